"""An archive that Elpis itself exported: the same documents, entries and files again. Normative: spec/export.md.

It is read like any other foreign file: anybody can write one.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from vault.document import DOCUMENT_KINDS, ENTRY_FIELDS, ENTRY_KINDS, Attachment, Document, Entry, Read, Subject, Value
from vault.errors import InputRefused
from vault.importers.reading import MAX_FIELD, clean, clean_text, safe_name, sha256

if TYPE_CHECKING:
    from vault.importers.archive import Archive

FORMAT = "elpis_export"
MARKS = frozenset({"record.json", "checksums.sha256"})
MAX_DOCUMENT = 64 << 20  # of record.json, for one document
MAX_ATTACHMENT = 128 << 20  # what is longer is stored from where it stands, if it is not compressed
_LIST = re.compile(r'"documents":\s*\[')
_HEAD = 1 << 16
_BETWEEN = re.compile(r"[\s,]*")
_HEADER = ("title", "type_code", "class_code", "date", "author", "language", "source_id")
_ID = re.compile(r"[0-9a-f]{32}")


def find_record(archive: Archive) -> Any:
    """The entry of record.json at the top, when there is one beside an index."""
    names = {info.filename: info for info in archive.members}
    return names.get("record.json") if names.keys() >= MARKS else None


def read(archive: Archive, info: Any) -> Iterator[Read]:
    """Every document, one at a time. What is not as Elpis writes it is refused; a file that is missing or changed is
    left out."""
    try:
        told = _told(archive.stream(info))
        head = next(told)
        if head[FORMAT] != 1:
            raise InputRefused("this export was written by a newer Elpis")
        subject = Subject(given=clean(head["holder"]["name"], 200), birth=clean(head["holder"]["birth"], 10))
        files = {item.filename: item for item in archive.members}
        for one in told:
            yield _document(one, subject, archive, files)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as failure:
        raise InputRefused("record.json is not one that Elpis writes") from failure


def _told(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """What stands before the documents, then each document: the whole is never held."""
    decoder, source = codecs.getincrementaldecoder("utf-8")(), iter(pieces)
    text = ""
    while (start := _LIST.search(text)) is None:
        piece = next(source, b"")
        if not piece or len(text) > _HEAD:
            raise ValueError("no documents")
        text += decoder.decode(piece)
    head = json.loads(text[: start.start()].rstrip().rstrip(",") + "}")
    yield head
    scan, at = json.JSONDecoder().raw_decode, start.end()
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "]":
            return
        try:
            one, at = scan(text, at)
        except ValueError:
            more = [piece] if (piece := next(source, b"")) else []
            while more and sum(map(len, more)) < len(text) - at and (piece := next(source, b"")):
                more.append(piece)
            if not more or len(text) - at > MAX_DOCUMENT:
                raise
            text, at = text[at:] + decoder.decode(b"".join(more)), 0
            continue
        yield one


def _document(told: dict[str, Any], subject: Subject, archive: Archive, files: dict[str, Any]) -> Read:
    warnings: list[str] = []
    attachments, content, slices = [], {}, {}
    for item in told["attachments"]:
        if (info := files.get(item["path"])) is not None and info.file_size > MAX_ATTACHMENT:
            place = archive.place_of(info)
            if place is None:
                warnings.append(f"{safe_name(str(item['name']))}: too large to be unpacked, left out")
                continue
            if _hash(archive.stream(info)) == item["sha256"]:
                slices[item["sha256"]] = place
                named = clean(item["media_type"], 100), place[1], safe_name(str(item["name"]))
                attachments.append(Attachment(item["sha256"], *named))
                continue
            info = None
        data = None if info is None else archive.read(info, MAX_ATTACHMENT)
        if data is None or sha256(data) != item["sha256"]:
            warnings.append(f"{safe_name(str(item['name']))}: missing from the archive, or changed")
            continue
        content[item["sha256"]] = data
        attachments.append(
            Attachment(item["sha256"], clean(item["media_type"], 100), len(data), safe_name(str(item["name"])))
        )
    header: dict[str, Any] = {name: clean(told[name], 1000) for name in _HEADER}
    if not _ID.fullmatch(told["id"]) or told["kind"] not in DOCUMENT_KINDS:
        raise ValueError("not a document")
    # A document that was made here has no identifier from elsewhere: its own one tells it again.
    header["source_id"] = header["source_id"] or f"elpis:{told['id']}"
    document = Document(
        **header, kind=told["kind"], confidentiality=clean(told["confidentiality"], 100) or "N",
        text=clean_text(str(told["text"])), entries=tuple(map(_entry, told["entries"])),
        attachments=tuple(attachments),
    )  # fmt: skip
    return Read(document, subject, content, tuple(warnings), slices=slices)


def _hash(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _entry(told: dict[str, Any]) -> Entry:
    if not _ID.fullmatch(told["id"]) or told["kind"] not in ENTRY_KINDS:
        raise ValueError("not an entry")
    return Entry(told["id"], told["kind"], {name: _value(name, value) for name, value in told["fields"].items()})


def _value(name: str, value: Any) -> Value:
    if name not in ENTRY_FIELDS or not (value is None or isinstance(value, str | int | bool)):
        raise ValueError("not a field of an entry")
    return clean_text(value, MAX_FIELD) if isinstance(value, str) else value
