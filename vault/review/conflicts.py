"""Facts that contradict each other, with the documents and dates on each side. Nothing is decided here.

doses       one treatment taken now in two doses
taken       a treatment taken here and denied there
stated      an allergy or a condition affirmed here and denied there
nothing     "no known allergies" (treatments, conditions) beside one that is known
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from vault.document import Entry
from vault.importers.reading import says_nothing
from vault.review.medications import Source, active, same_medicine
from vault.review.profile import same_fact
from vault.terminology import fold

Row = tuple[Source, Entry]


@dataclass(frozen=True, slots=True)
class Side:
    """What one document says. `value` is the dose, or "" for a plain yes or no."""

    document: str
    entry: str
    date: str
    negated: bool
    value: str = ""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One thing and what is said of it, the newest side first."""

    what: str
    kind: str
    label: str
    sides: tuple[Side, ...]


def contradictions(rows: Iterable[Row], *, on: date) -> tuple[Contradiction, ...]:
    """Everything that the documents do not agree on, as of a day."""
    ordered = sorted(rows, key=lambda row: row[0].date, reverse=True)
    found = list(_medications([row for row in ordered if row[1].kind == "medication"], on))
    for kind in ("allergy", "condition"):
        found += _stated([row for row in ordered if row[1].kind == kind], kind, on)
    for kind in ("medication", "allergy", "condition"):
        found += _nothing([row for row in ordered if row[1].kind == kind], kind, on)
    return tuple(found)


def _medications(rows: list[Row], on: date) -> Iterable[Contradiction]:
    for group in _groups(rows, same_medicine):
        taken = [row for row in group if active(row[1], on)]
        denied = [row for row in group if row[1].negated]
        doses = {fold(row[1].text("dose")) for row in taken if row[1].text("dose")}
        if len(doses) > 1:
            dosed = [row for row in taken if row[1].text("dose")]
            yield Contradiction("doses", "medication", dosed[0][1].text("label"), _sides(dosed))
        if taken and denied:
            yield Contradiction("taken", "medication", taken[0][1].text("label"), _sides([*taken, *denied]))


def _stated(rows: list[Row], kind: str, on: date) -> Iterable[Contradiction]:
    for group in _groups(rows, same_fact):
        affirmed = [row for row in group if active(row[1], on)]
        denied = [row for row in group if row[1].negated]
        if affirmed and denied:
            yield Contradiction("stated", kind, affirmed[0][1].text("label"), _sides([*affirmed, *denied]))


def _nothing(rows: list[Row], kind: str, on: date) -> Iterable[Contradiction]:
    """Only the newest "nothing known" counts, and only against what was stated before it or at the same time."""
    none = [row for row in rows if row[1].negated and says_nothing(row[1].text("label"), row[1].text("code"))]
    if not none:
        return
    newest = none[0]
    known = [row for row in rows if active(row[1], on) and row[0].date <= newest[0].date and row[0].id != newest[0].id]
    if known:
        yield Contradiction("nothing", kind, newest[1].text("label"), _sides([newest, *known]))


def _groups(rows: list[Row], same: Callable[[Entry, Entry], bool]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for row in rows:
        for group in groups:
            if any(same(row[1], other[1]) for other in group):
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


def _sides(rows: list[Row]) -> tuple[Side, ...]:
    ordered = sorted(rows, key=lambda row: row[0].date, reverse=True)
    return tuple(Side(source.id, entry.id, source.date, entry.negated, entry.text("dose")) for source, entry in ordered)
