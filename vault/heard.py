"""What another device of the holder did, as it is told to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that another device did: the kind of event, who, what, when."""

    kind: str
    person: str = ""
    document_id: str = ""
    title: str = ""
    detail: str = ""
