"""One medication list across documents, and the list that a surgeon needs.

Duplicates are joined only where nothing is lost by it: same substance, same dose, same answer to "is it taken". Two
doses, or a treatment affirmed here and denied there, stay two rows and are flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from vault.document import Entry
from vault.terminology import (
    ATC_SYSTEMS,
    antithrombotic,
    fold,
    is_atc,
    label_of_cip,
    substance_key,
    substance_of_cip,
    substance_of_label,
)

PRESCRIBED = "prescribed"  # the status of what was meant to be given, and that nobody says is taken
ANTICOAGULANT, ANTIPLATELET, DUPLICATE, CONFLICT = "anticoagulant", "antiplatelet", "duplicate", "conflict"
_OVER = frozenset({"completed", "stopped"})
_STRENGTH = re.compile(r"\s*\d.*$")


class Source(Protocol):
    """What a row needs to know of the document that it comes from."""

    @property
    def id(self) -> str: ...

    @property
    def date(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Medication:
    """One treatment. `sources` are the ids of every document that states it, newest first.

    `prescribed`: no document says that it is taken, only that it was prescribed. `ahead`: it has not begun.
    """

    label: str
    code: str = ""
    system: str = ""
    substance: str = ""
    dose: str = ""
    start: str = ""
    end: str = ""
    active: bool = False
    source_document: str = ""
    sources: tuple[str, ...] = ()
    negated: bool = False
    flags: tuple[str, ...] = ()
    note: str = ""
    prescribed: bool = False
    ahead: bool = False


def medication_list(rows: Iterable[tuple[Source, Entry]], *, on: date) -> tuple[Medication, ...]:
    """Every treatment that the documents state, those active on the date first, then by label."""
    ordered = sorted(rows, key=lambda row: row[0].date, reverse=True)
    merged: dict[tuple[str, ...], Medication] = {}
    for source, entry in ordered:
        if entry.kind != "medication":
            continue
        found = _medication(source, entry, on)
        key = _key(found)
        known = merged.get(key)
        merged[key] = found if known is None else _joined(known, found)
    listed = _flag_conflicts(list(merged.values()))
    return tuple(sorted(listed, key=lambda item: (not item.active, fold(item.label), item.start)))


def preoperative_list(rows: Iterable[tuple[Source, Entry]], *, on: date) -> tuple[Medication, ...]:
    """What is taken on the date: anticoagulants first, then antiplatelets, then the rest by label."""
    taken = [item for item in medication_list(rows, on=on) if item.active]
    return tuple(sorted(taken, key=lambda item: (rank(item), fold(item.label), item.start)))


def rank(item: Medication) -> int:
    """0 for an anticoagulant, 1 for an antiplatelet, 2 for everything else."""
    return 0 if ANTICOAGULANT in item.flags else 1 if ANTIPLATELET in item.flags else 2


def active(entry: Entry, on: date) -> bool:
    """Not negated, not over, begun and not ended; what the source leaves open counts as going on."""
    if entry.negated or entry.text("status") in _OVER or _ahead(entry, on):
        return False
    end = entry.text("end")[:10]
    # A partial date compares by the precision that it has: treated "until 2025" is treated all of 2025.
    return not (end and end < on.isoformat()[: len(end)])


def _ahead(entry: Entry, on: date) -> bool:
    start = entry.text("start")[:10]
    return bool(start) and start > on.isoformat()[: len(start)]


def substance_of(entry: Entry) -> str:
    """Active substance as the entry states it, as the French medicines list knows the pack, or by the label."""
    return entry.text("substance") or substance_of_cip(entry.text("code")) or substance_of_label(entry.text("label"))


def same_medicine(left: Entry, right: Entry) -> bool:
    """Whether two entries are about one drug, whatever its strength, its pack or its language."""
    return identity_of(left) == identity_of(right)


def identity_of(entry: Entry) -> str:
    """One key for one drug: its substances, else its code, else the words before the strength."""
    return _identity(Medication(entry.text("label"), entry.text("code"), entry.text("system"), substance_of(entry)))


def _medication(source: Source, entry: Entry, on: date) -> Medication:
    substance = substance_of(entry)
    code, system = entry.text("code"), entry.text("system")
    coded = code if system in ATC_SYSTEMS or (is_atc(code) and len(code) == 7) else ""
    noted = re.search(r"\bATC ([A-Z]\d\d[A-Z]{2}\d\d)\b", entry.text("note"))
    atc = coded or (noted.group(1) if noted else "")
    drug = antithrombotic(entry.text("label"), substance, label_of_cip(code), atc=atc)
    return Medication(
        label=entry.text("label"), code=code, system=system, substance=substance, dose=entry.text("dose"),
        start=entry.text("start"), end=entry.text("end"), active=active(entry, on), source_document=source.id,
        sources=(source.id,), negated=entry.negated, flags=(drug.effect,) if drug is not None else (),
        note=entry.text("note"), prescribed=entry.text("status") == PRESCRIBED, ahead=_ahead(entry, on),
    )  # fmt: skip


def _identity(item: Medication) -> str:
    """What makes two rows the same drug: substances, else code, else the words before the strength."""
    if key := substance_key(item.substance):
        return key
    if drug := antithrombotic(item.label):
        return fold(drug.substance_en) or fold(item.label)
    return fold(_STRENGTH.sub("", item.label)) or f"{item.system}|{item.code}"


def _key(item: Medication) -> tuple[str, ...]:
    """Rows with one key are one row. What is over keeps its own dates."""
    base = (_identity(item), fold(item.label), fold(item.dose), str(item.active), str(item.negated))
    return base if item.active else (*base, item.start[:10], item.end[:10])


def _joined(newer: Medication, older: Medication) -> Medication:
    starts = [item.start for item in (newer, older) if item.start]
    return replace(
        newer,
        start=min(starts, default=""),
        sources=tuple(dict.fromkeys((*newer.sources, *older.sources))),
        prescribed=newer.prescribed and older.prescribed,
    )


def _flag_conflicts(items: list[Medication]) -> list[Medication]:
    """Same drug more than once among what is taken; doses that differ; affirmed here and denied there."""
    groups: dict[str, list[Medication]] = {}
    for item in items:
        groups.setdefault(_identity(item), []).append(item)
    flagged = []
    for item in items:
        group = groups[_identity(item)]
        taken = [other for other in group if other.active]
        denied = [other for other in group if other.negated]
        flags = list(item.flags)
        if item.active and len(taken) > 1:
            flags.append(DUPLICATE)
            if len({fold(other.dose) for other in taken if other.dose}) > 1:
                flags.append(CONFLICT)
        if ((item.active and denied) or (item.negated and taken)) and CONFLICT not in flags:
            flags.append(CONFLICT)
        flagged.append(replace(item, flags=tuple(flags)))
    return flagged
