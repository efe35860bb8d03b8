"""What became of one file: its format and how far it was understood. Also the table of a whole folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.document import Read
from vault.errors import InputRefused

WHOLE, REPAIRED, RAW, REFUSED = "whole", "repaired", "raw", "refused"
HOWS = (WHOLE, REPAIRED, RAW, REFUSED)
_REPAIRS = ("repaired", "damaged", "cut short", "left out", "differs", "could not be read", "more than the file holds")
_LEFT = "kept in the original file only"
_NAMES = {
    "cda": "CDA R2",
    "fhir-json": "FHIR JSON",
    "fhir-xml": "FHIR XML",
    "hl7v2": "HL7 v2",
    "xdm": "IHE XDM",
    "zip": "zip (Mon espace santé, any folder)",
    "dicom": "DICOM",
    "pdf": "PDF",
    "picture": "picture, scan",
    "apple": "Apple Health",
    "elpis": "export of Elpis",
    "other": "other",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What reading one file gave: documents, or why there are none. `stream` reads those that are too many to hold."""

    path: Path
    format: str
    reads: Sequence[Read] = ()
    refused: InputRefused | None = None
    stream: Callable[[], Iterator[Read]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`how` is one of HOWS; `left`: parts of it stay in the original file only."""

    file: str
    format: str
    how: str
    left: bool = False
    why: str = ""


def outcome_of(found: Found) -> Outcome:
    """How far a file was understood, judged by what its reader said."""
    if found.refused is not None:
        kind = next((read.format for read in found.reads if read.format), found.format)
        return Outcome(str(found.path), kind, REFUSED, why=str(found.refused))
    judge = Judge(found)
    try:
        for read in found.stream() if found.stream is not None else found.reads:
            judge.see(read)
    except InputRefused as refused:
        return judge.refused(refused)
    return judge.outcome()


class Judge:
    """What becomes of a file, from its documents as they come."""

    def __init__(self, found: Found) -> None:
        self._file, self._kind = str(found.path), found.format
        self._left = self._repaired = self._understood = False

    def see(self, read: Read) -> None:
        self._kind = read.format or self._kind
        self._left |= any(_LEFT in warning for warning in read.warnings)
        self._repaired |= any(mark in warning for warning in read.warnings for mark in _REPAIRS)
        self._understood |= bool(read.document.entries or read.document.text)

    def outcome(self) -> Outcome:
        how = (REPAIRED if self._repaired else WHOLE) if self._understood else RAW
        return Outcome(self._file, self._kind, how, self._left)

    def refused(self, why: InputRefused) -> Outcome:
        return Outcome(self._file, self._kind, REFUSED, why=str(why))


@dataclass(slots=True)
class Survey:
    """Files of a folder by format and outcome."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    refused: list[Outcome] = field(default_factory=list)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Survey:
        made = cls()
        for outcome in outcomes:
            row = made.rows.setdefault(outcome.format, Counter())
            row["files"] += 1
            row[outcome.how] += 1
            row["left"] += outcome.left
            if outcome.how == REFUSED:
                made.refused.append(outcome)
        return made

    def table(self) -> str:
        """As Markdown: a row for each format, one for all."""
        order = list(_NAMES)
        formats = sorted(self.rows, key=lambda kind: order.index(kind) if kind in order else len(order))
        total: Counter[str] = sum(self.rows.values(), Counter())
        lines = [
            "| format | files | read whole | repaired | kept raw | refused | with parts left in the original |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for name, row in (*((_NAMES.get(kind, kind), self.rows[kind]) for kind in formats), ("all", total)):
            cells = (row["files"], *(row[how] for how in HOWS), row["left"])
            lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
        return "\n".join(lines)


__all__ = ["HOWS", "Found", "Outcome", "Survey", "outcome_of"]
