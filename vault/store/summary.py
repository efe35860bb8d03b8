"""One line of a list, and the columns that it is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from vault.document import SECTION_ENTRY, Attachment
from vault.shape import attachments_of
from vault.store.connection import Row

COLUMNS = (
    "document.place, document.id, document.kind, document.title, document.type_code, document.class_code,"
    " document.date, document.author, document.confidentiality, document.counts, document.attachments, document.shared"
)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a list. `place` is its position in the timeline, for paging."""

    id: str
    kind: str
    title: str
    type_code: str
    class_code: str
    date: str
    author: str
    confidentiality: str
    counts: Mapping[str, int]
    attachments: tuple[Attachment, ...]
    shared: bool
    place: int


_NONE = dict.fromkeys(SECTION_ENTRY, 0)


def summary_of(row: Row) -> Summary:
    place, key, *texts, counts, attachments, shared = row[:12]
    files = attachments_of(json.loads(attachments)) if attachments != "{}" else ()
    kind, title, type_code, class_code, date, author, confidentiality = texts
    return Summary(
        bytes(key).hex(), kind, title, type_code, class_code, date, author, confidentiality,
        _NONE | json.loads(counts), files, bool(shared), place,
    )  # fmt: skip
