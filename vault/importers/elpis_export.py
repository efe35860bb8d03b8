"""An archive that Elpis itself exported: the same documents, entries and files again. Normative: spec/export.md.

It is read like any other foreign file: anybody can write one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vault.document import DOCUMENT_KINDS, ENTRY_FIELDS, ENTRY_KINDS, Attachment, Document, Entry, Read, Subject, Value
from vault.errors import InputRefused
from vault.importers.archive import Archive
from vault.importers.reading import MAX_FIELD, clean, clean_text, safe_name, sha256

FORMAT = "elpis_export"
MAX_RECORD = 200 << 20
_HEADER = ("title", "type_code", "class_code", "date", "author", "language", "source_id")
_ID = re.compile(r"[0-9a-f]{32}")


def find_record(archive: Archive) -> Any:
    """The entry of record.json at the top, when there is one beside an index."""
    names = {info.filename: info for info in archive.members}
    return names.get("record.json") if "checksums.sha256" in names else None


def read(archive: Archive, info: Any) -> list[Read]:
    """Every document. What is not as Elpis writes it is refused; a file that is missing or changed is left out."""
    data = archive.read(info, MAX_RECORD)
    try:
        told = json.loads(data or b"")
        if told[FORMAT] != 1:
            raise InputRefused("this export was written by a newer Elpis")
        subject = Subject(given=clean(told["holder"]["name"], 200), birth=clean(told["holder"]["birth"], 10))
        files = {item.filename: item for item in archive.members}
        return [_document(one, subject, archive, files) for one in told["documents"]]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as failure:
        raise InputRefused("record.json is not one that Elpis writes") from failure


def _document(told: dict[str, Any], subject: Subject, archive: Archive, files: dict[str, Any]) -> Read:
    warnings: list[str] = []
    attachments, content = [], {}
    for item in told["attachments"]:
        data = archive.read(files[item["path"]]) if item["path"] in files else None
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
    return Read(document, subject, content, tuple(warnings))


def _entry(told: dict[str, Any]) -> Entry:
    if not _ID.fullmatch(told["id"]) or told["kind"] not in ENTRY_KINDS:
        raise ValueError("not an entry")
    return Entry(told["id"], told["kind"], {name: _value(name, value) for name, value in told["fields"].items()})


def _value(name: str, value: Any) -> Value:
    if name not in ENTRY_FIELDS or not (value is None or isinstance(value, str | int | bool)):
        raise ValueError("not a field of an entry")
    return clean_text(value, MAX_FIELD) if isinstance(value, str) else value
