"""Whether what was read is what the vault holds already, when both have one identifier."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from vault.document import Document, Read

if TYPE_CHECKING:
    from vault.vault import Vault


def own_document(vault: Vault, source_id: str) -> str | None:
    """The document of this very vault that an export of it names."""
    found = re.fullmatch(r"elpis:([0-9a-f]{32})", source_id)
    return found.group(1) if found and vault.documents.exists(found.group(1)) else None


def same_document(known: Document, read: Read) -> bool:
    """Whether a document under the same identifier is the same document: the same file, or the same facts."""
    new = read.document
    held = {item.sha256 for item in known.attachments}
    if read.format == "dicom":
        return {item.sha256 for item in new.attachments} <= held
    if held & _originals(new):
        return True
    return (known.type_code, known.date, _facts(known)) == (new.type_code, new.date, _facts(new)) and (
        len(held) == 0 or {item.sha256 for item in new.attachments} - _originals(new) <= held
    )


def _originals(document: Document) -> set[str]:
    """The source file itself: the structured attachment, or the only one."""
    structured = {item.sha256 for item in document.attachments if "xml" in item.media_type or "json" in item.media_type}
    return structured or {item.sha256 for item in document.attachments[:1]}


def _facts(document: Document) -> Counter[tuple[object, ...]]:
    return Counter(
        (entry.kind, *sorted((key, str(value)) for key, value in entry.fields.items())) for entry in document.entries
    )


def fingerprint(read: Read) -> str:
    return min(_originals(read.document), default="")[:16]


__all__ = ["fingerprint", "own_document", "same_document"]
