"""The JSON that the command line answers with. Stable: outside programs read it. Times are RFC 3339."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui.session import rfc3339

if TYPE_CHECKING:
    from vault.document import Attachment, Document

Shape = dict[str, Any]
COUNTED = ("medications", "allergies", "conditions", "immunizations", "results", "vitals")


def attachment(item: Attachment) -> Shape:
    return {"sha256": item.sha256, "media_type": item.media_type, "size": item.size}


def summary(item: Any) -> Shape:
    """One document as `import` and `list` give it; takes a Document or a Summary."""
    counts: Mapping[str, int] = item.counts() if callable(item.counts) else item.counts
    return {
        "id": item.id,
        "kind": item.kind,
        "title": item.title,
        "type_code": item.type_code,
        "class_code": item.class_code,
        "date": item.date,
        "author": item.author,
        "confidentiality": item.confidentiality,
        "entries": {name: counts.get(name, 0) for name in COUNTED},
        "attachments": [attachment(file) for file in item.attachments],
    }


def document(item: Document) -> Shape:
    """One document whole: the summary, its text, every entry under `content`, and what was written twice."""
    return {
        **summary(item),
        "language": item.language,
        "source_id": item.source_id,
        "text": item.text,
        "content": [{"id": entry.id, "kind": entry.kind, **entry.fields} for entry in item.entries],
        "conflicts": [
            {
                "entry": conflict.entry_id,
                "field": conflict.field,
                "sides": [{"value": value, "author": author, "time": when} for value, author, when in conflict.sides],
            }
            for conflict in item.conflicts
        ],
    }


def medication(item: Any) -> Shape:
    return {
        "label": item.label,
        "code": item.code,
        "system": item.system,
        "substance": item.substance,
        "dose": item.dose,
        "start": item.start,
        "end": item.end,
        "active": item.active,
        "source_document": item.source_document,
        "negated": item.negated,
        "flags": [*item.flags, *(["prescribed"] if item.prescribed else [])],
    }


def trace_line(item: Any) -> Shape:
    return {
        "time": rfc3339(item.time),
        "person": item.person,
        "role": item.role,
        "document": item.document_id,
        "purpose": item.purpose,
        "state": item.state,
        "verified": item.verified,
    }


def grant(item: Any) -> Shape:
    return {
        "id": item.id,
        "person": item.person,
        "documents": list(item.documents),
        "right": item.right,
        "until": rfc3339(item.until),
        "state": item.state,
    }


def visit(item: Any) -> Shape:
    """One grant as the professional sees it."""
    return {
        "id": item.id,
        "patient": item.patient,
        "documents": list(item.document_ids),
        "right": item.right,
        "purpose": item.purpose,
        "until": rfc3339(item.until),
        "state": item.state,
        "opened": rfc3339(max(filter(None, item.opened), default=None)),
    }


def person(item: Any) -> Shape:
    return {
        "id": item.id,
        "name": item.name,
        "role": item.role,
        "certified": item.certified,
        "certificate_id": item.certificate_id,
        "met": item.met,
        "refused": item.reason,
        "detail": item.detail,
    }


def waiting(item: Any) -> Shape:
    """One deposit that waits for the holder's word."""
    return {
        "id": item.id,
        "person": item.name,
        "role": item.role,
        "title": item.title,
        "time": rfc3339(item.received),
        "reason": item.reason,
    }


def device(item: Any) -> Shape:
    return {
        "id": item.id,
        "name": item.name,
        "added": rfc3339(item.added),
        "this": item.this,
        "restored_from": item.restored_from or None,
    }


def event(item: Any) -> Shape:
    return {
        "kind": item.kind,
        "person": item.person,
        "document": item.document_id,
        "title": item.title,
        "time": rfc3339(item.time),
    }
