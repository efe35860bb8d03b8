"""What the state of a document may look like: names, types and sizes. Normative: spec/replica.md.

The same check stands before every local write and behind every merge, so that no replica ever holds what a reader would
not understand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vault.document import (
    CLINICAL,
    DOCUMENT_KINDS,
    ENTRY_FIELDS,
    ENTRY_KINDS,
    Attachment,
    Document,
    Entry,
)
from vault.errors import InputRefused

PARTS = ("meta", "entries", "attachments")
META_FIELDS = (
    "kind", "title", "type_code", "class_code", "date", "author", "confidentiality", "language", "source_id", "text",
)  # fmt: skip
ATTACHMENT_TEXT = ("media_type", "name", "key", "sealed_sha256", "blob", "blob_token")
ATTACHMENT_NUMBERS = ("size", "sealed_size")
MAX_SHORT = 1_000
MAX_VALUE = 100_000
MAX_TEXT = 4_000_000
MAX_ENTRIES = 20_000
MAX_ATTACHMENTS = 256
MAX_WHOLE = (1 << 53) - 1

_ID = re.compile(r"[0-9a-f]{32}")
_SHA = re.compile(r"[0-9a-f]{64}")
_FIELDS = frozenset(ENTRY_FIELDS) | {"kind"}
_KINDS = frozenset(ENTRY_KINDS)
_META = frozenset(META_FIELDS)
_ATTACHMENT = frozenset(ATTACHMENT_TEXT) | frozenset(ATTACHMENT_NUMBERS)


def check_state(state: Mapping[str, Mapping[str, Any]]) -> None:
    """InputRefused unless this is a state that every reader understands."""
    if state.keys() != set(PARTS):
        raise InputRefused("a document has meta, entries and attachments")
    _check_meta(state["meta"])
    if len(state["entries"]) > MAX_ENTRIES:
        raise InputRefused("a document holds more entries than it may", entries=MAX_ENTRIES)
    for entry_id, fields in state["entries"].items():
        _check_entry(entry_id, fields)
    check_attachments(state["attachments"])


def check_attachments(part: Mapping[str, Any]) -> None:
    """InputRefused unless these are the attachments of a state."""
    if len(part) > MAX_ATTACHMENTS:
        raise InputRefused("a document holds more files than it may", attachments=MAX_ATTACHMENTS)
    for sha256, fields in part.items():
        _check_attachment(sha256, fields)


def to_state(document: Document, sealed: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """The document as a replica holds it. `sealed` are the attachments' fields by SHA-256."""
    meta = {name: getattr(document, name) for name in META_FIELDS if getattr(document, name) != ""}
    entries: dict[str, dict[str, Any]] = {
        entry.id: {"kind": entry.kind, **{name: value for name, value in entry.fields.items() if value is not None}}
        for entry in document.entries
    }
    attachments = {sha256: dict(fields) for sha256, fields in (sealed or {}).items()}
    return {"meta": meta, "entries": entries, "attachments": attachments}


def to_document(state: Mapping[str, Mapping[str, Any]], document_id: str = "") -> Document:
    """The state as a reader sees it."""
    meta = state["meta"]
    entries = tuple(
        Entry(entry_id, fields["kind"], {name: value for name, value in fields.items() if name != "kind"})
        for entry_id, fields in state["entries"].items()
    )
    document = Document(id=document_id, entries=entries, attachments=attachments_of(state["attachments"]))
    return replace(document, **{"confidentiality": "", "kind": CLINICAL, **meta})


def edits_between(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, tuple[str, ...], Any] | tuple[str, tuple[str, ...]]]:
    """The edits that lead from one state to the other, by paths of the state."""
    edits: list[tuple[str, tuple[str, ...], Any] | tuple[str, tuple[str, ...]]] = []
    for part in PARTS:
        for key, value in after[part].items():
            old = before[part].get(key)
            if alike(value, old):
                continue
            if isinstance(value, Mapping) and isinstance(old, Mapping):
                fields = [(name, new) for name, new in value.items() if not alike(old.get(name, ...), new)]
                edits += [("set", (part, key, name), new) for name, new in fields]
                edits += [("delete", (part, key, name)) for name in old if name not in value]
            else:
                edits.append(("set", (part, key), value))
        edits += [("delete", (part, key)) for key in before[part] if key not in after[part]]
    return edits


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a state are the same: 1 is not true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    return type(one) is type(other) and bool(one == other)


def attachments_of(part: Mapping[str, Mapping[str, Any]]) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(sha256, fields["media_type"], fields["size"], fields.get("name", ""))
        for sha256, fields in part.items()
    )


def weight(state: Mapping[str, Mapping[str, Any]]) -> int:
    """No fewer bytes than the first change of this state takes, and not many more: text in UTF-8 and what stands around
    it in the columns of a chunk."""
    total = 1_000
    for part in PARTS:
        for key, value in state[part].items():
            fields = value if isinstance(value, Mapping) else {key: value}
            total += 80 + len(key) + 10 * len(fields) + len("".join(fields).encode())
            texts = [item for item in fields.values() if isinstance(item, str)]
            total += len("".join(texts).encode()) + 10 * (len(fields) - len(texts))
    return total


def _check_meta(meta: Mapping[str, Any]) -> None:
    for name, value in meta.items():
        if name not in _META:
            raise InputRefused(f"a document has no field {name[:40]!r}")
        if not is_text(value, MAX_TEXT if name == "text" else MAX_SHORT):
            raise InputRefused(f"the document's {name} is not text of an acceptable length")
    if meta.get("kind") not in DOCUMENT_KINDS:
        raise InputRefused("the document is of an unknown kind")


def _check_entry(entry_id: str, fields: Any) -> None:
    if not _ID.fullmatch(entry_id) or not (type(fields) is dict or isinstance(fields, Mapping)):
        raise InputRefused("an entry is a map under an id of 32 hex characters")
    if not fields.keys() <= _FIELDS or fields.get("kind") not in _KINDS:
        raise InputRefused("an entry is of an unknown kind or has an unknown field")
    try:
        # Nearly every entry is a little text and nothing else: that is seen at once.
        if is_text("".join(fields.values()), MAX_VALUE):
            return
    except TypeError:
        pass  # a value is none: each is looked at
    for name, value in fields.items():
        if isinstance(value, str):
            if not is_text(value, MAX_VALUE):
                raise InputRefused(f"the entry's {name} is not text of an acceptable length", limit=MAX_VALUE)
        elif value is not None and (not isinstance(value, int) or abs(value) > MAX_WHOLE):
            raise InputRefused(f"the entry's {name} is neither text, a whole number nor true or false")


def _check_attachment(sha256: str, fields: Any) -> None:
    if not _SHA.fullmatch(sha256) or not isinstance(fields, Mapping) or not fields.keys() <= _ATTACHMENT:
        raise InputRefused("an attachment is a map of known fields under its SHA-256")
    for name in ATTACHMENT_TEXT:
        if not is_text(fields.get(name, ""), MAX_SHORT):
            raise InputRefused(f"the attachment's {name} is not text of an acceptable length")
    for name in ATTACHMENT_NUMBERS:
        value = fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_WHOLE:
            raise InputRefused(f"the attachment's {name} is not a size")
    if not all(fields.get(name, "") == "" or _SHA.fullmatch(fields[name]) for name in ("blob", "blob_token")):
        raise InputRefused("the attachment's place at a relay is not one")
    if "media_type" not in fields or not all(_SHA.fullmatch(fields.get(name, "")) for name in ("key", "sealed_sha256")):
        raise InputRefused("the attachment has no usable key or hash")


def is_text(value: Any, limit: int) -> bool:
    if not isinstance(value, str) or len(value) > limit:
        return False
    if value.isascii():
        return True
    try:
        # A lone surrogate is no character: neither the replica nor the store can hold it.
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
