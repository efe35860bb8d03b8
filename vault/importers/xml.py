"""XML from anywhere: encodings repaired, entities refused, size, depth and number of elements capped.

Two passes: strict; then with stray `<` and `&` escaped; then libxml2's recovery, with a warning each time. Nothing is
ever fetched, no DTD is read.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import TYPE_CHECKING, Any

from vault.errors import InputRefused

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_BYTES = 256 << 20
MAX_ELEMENTS = 2_000_000
MAX_DEPTH = 200
# Above this a text node may be over libxml2's own limit of 10 MB, lifted by huge_tree; our caps then stand alone.
_HUGE = 7_000_000
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_DECLARED = re.compile(rb"^[\s\xef\xbb\xbf]*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)")
_ENTITY = re.compile(rb"<!(?i:ENTITY)")
_STRAY = re.compile(r"<(?![A-Za-z_/!?:])")
_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)([A-Za-z][A-Za-z0-9]{1,31};)?")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def parse(data: bytes) -> tuple[_Element, tuple[str, ...]]:
    """(root, what was repaired). InputRefused when it is not XML or is hostile."""
    from lxml import etree

    if len(data) > MAX_BYTES:
        raise InputRefused("XML file is too large", limit=MAX_BYTES)
    repairs: list[str] = []
    packed = _as_utf8(data, repairs)
    if b"<!" in packed and _ENTITY.search(packed):
        raise InputRefused("XML with entity declarations is not read", hint="Such files can make a reader hang.")
    packed = _without_doctype(packed)
    if len(packed) > 2 * MAX_ELEMENTS and packed.count(b"<") > 2 * MAX_ELEMENTS:
        raise InputRefused("XML with too many elements", limit=MAX_ELEMENTS)
    try:
        root = etree.fromstring(packed, _parser(len(packed), recover=False))
    except etree.XMLSyntaxError as first:
        root = _second_pass(packed, str(first), repairs)
    if len(packed) > _HUGE:
        _check_depth(root)
    return root, tuple(repairs)


def _second_pass(packed: bytes, reason: str, repairs: list[str]) -> _Element:
    from lxml import etree

    if "Excessive depth" in reason:
        raise InputRefused("XML nested too deep", limit=MAX_DEPTH)
    text = packed.decode()
    mended = _AMPERSAND.sub(_entity_text, _STRAY.sub("&lt;", _NOT_XML.sub("", text)))
    if mended != text:
        try:
            root = etree.fromstring(mended.encode(), _parser(len(packed), recover=False))
        except etree.XMLSyntaxError:
            pass
        else:
            repairs.append("repaired: stray '<' or '&' in the text")
            return root
    try:
        root = etree.fromstring(mended.encode(), _parser(len(packed), recover=True))
    except etree.XMLSyntaxError as failure:
        raise InputRefused(f"not readable as XML: {failure}") from failure
    if root is None:
        raise InputRefused(f"not readable as XML: {reason}")
    repairs.append(f"damaged XML, read as far as possible ({reason})")
    return root


def _without_doctype(packed: bytes) -> bytes:
    """A DOCTYPE says nothing that is needed, and names files that must not be opened."""
    at = packed.find(b"<!DOCTYPE", 0, 1 << 16)
    if at < 0:
        return packed
    inside = packed.find(b"[", at)
    end = packed.find(b">", at)
    if 0 <= inside < end:
        end = packed.find(b">", packed.find(b"]", inside))
    return packed[:at] + packed[end + 1 :] if end > 0 else packed


def _entity_text(match: re.Match[str]) -> str:
    name = match.group(1)
    if name and name in html5:
        return html5[name].replace("&", "&amp;").replace("<", "&lt;")
    return "&amp;" + (name or "")


def _parser(size: int, *, recover: bool) -> Any:
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=size > _HUGE,
        remove_comments=True, remove_pis=True, collect_ids=False, recover=recover,
    )  # fmt: skip


def _check_depth(root: _Element) -> None:
    """libxml2 stops at 256 by itself, but only at 2 048 with huge_tree."""
    from lxml import etree

    depth, deepest = 0, 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MAX_DEPTH:
                raise InputRefused("XML nested too deep", limit=MAX_DEPTH)


def _as_utf8(data: bytes, repairs: list[str]) -> bytes:
    """The document in UTF-8 without a declaration; what the bytes are wins over what the declaration says."""
    data = data.lstrip(b"\r\n\t \x00") if not data.startswith((b"\xff\xfe", b"\xfe\xff")) else data
    for mark, encoding in (
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):
        if data.startswith(mark):
            return _no_declaration(data.decode(encoding, "replace"))
    declared = _declared(data)
    if declared in ("", "utf-8", "utf8", "us-ascii", "ascii"):
        try:
            return _strip_head(data.removeprefix(b"\xef\xbb\xbf"), data)
        except UnicodeDecodeError:
            repairs.append("repaired: text was not UTF-8, read as Windows-1252")
            return _no_declaration(_cp1252(data))
    try:
        text = (
            _cp1252(data) if declared in ("iso-8859-1", "latin-1", "latin1", "windows-1252") else data.decode(declared)
        )
    except (LookupError, UnicodeDecodeError, OSError):  # OSError: a worker may not load a rare codec
        repairs.append(f"repaired: declared encoding {declared} does not fit the text")
        text = data.decode("utf-8", "replace")
    return _no_declaration(text)


def _declared(data: bytes) -> str:
    match = _DECLARED.match(data[:200])
    return match.group(1).decode("ascii").lower() if match else ""


def _strip_head(body: bytes, data: bytes) -> bytes:
    """Checks that `body` is UTF-8 without copying it when it is ASCII."""
    if not data.isascii():
        body.decode("utf-8")
    head = body[:200].decode("utf-8", "ignore")
    match = _DECLARATION.match(head)
    return body[len(match.group(0).encode()) :] if match else body


def _no_declaration(text: str) -> bytes:
    text = text.lstrip("\ufeff \r\n\t")
    match = _DECLARATION.match(text[:200])
    return (text[match.end() :] if match else text).encode("utf-8", "replace")


def _cp1252(data: bytes) -> str:
    """Windows-1252, with the five bytes that it leaves undefined read as Latin-1."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
