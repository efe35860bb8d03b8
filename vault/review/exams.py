"""Examinations that were done already: shown before the same one is asked for again.

An examination is known by its code, or by its name. The interval in which a second one is probably needless depends on
what it is; the ones here are a caution, not a rule, and the holder can set another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from vault.document import Entry
from vault.review.medications import Source
from vault.terminology import fold

# Words of a folded name, and the days within which a second one is worth a question. The first that fits counts.
INTERVALS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("mammographie", "mammography", "mammogram"), 365),
    (("coloscopie", "colonoscopy"), 1095),
    (("osteodensitometrie", "densitometry", "dexa"), 730),
    (("scanner", "tdm", "tomodensitometrie", "ct", "irm", "mri", "tep", "pet"), 90),
    (("echographie", "ultrasound", "echocardiographie", "echocardiography", "doppler"), 90),
    (("radiographie", "radio", "x ray", "radiography"), 60),
    (("groupe sanguin", "blood group", "abo"), 36_500),
    (("hba1c", "hemoglobine glyquee", "hemoglobin a1c"), 90),
    (("tsh", "ferritine", "ferritin", "cholesterol", "vitamine d", "vitamin d"), 60),
)
DEFAULT_DAYS = 30
_IMAGING_TYPES = ("18748-4", "18726-0", "11525-3", "24606-6")  # LOINC document types of imaging reports


@dataclass(frozen=True, slots=True)
class Exam:
    """One examination that was done."""

    label: str
    day: str
    document: str
    code: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same examination twice within its interval, the newer one first."""

    newer: Exam
    older: Exam
    days: int
    interval: int


def done(rows: Iterable[tuple[Source, Entry]], documents: Iterable[object] = ()) -> tuple[Exam, ...]:
    """Every examination, newest first: results, examinations among the procedures, and reports of imaging."""
    found = []
    for source, entry in rows:
        if entry.kind not in ("result", "procedure") or entry.negated:
            continue
        label = entry.text("label")
        if entry.kind == "procedure" and interval_of(label) == DEFAULT_DAYS:
            continue  # an operation is no examination
        day = (entry.text("start") or source.date)[:10]
        found.append(Exam(label, day, source.id, entry.text("code"), entry.text("author")))
    for item in documents:
        if getattr(item, "type_code", "") in _IMAGING_TYPES:
            found.append(
                Exam(str(getattr(item, "title", "")), str(getattr(item, "date", ""))[:10], str(getattr(item, "id", "")),
                     author=str(getattr(item, "author", "")))
            )  # fmt: skip
    return tuple(sorted(set(found), key=lambda exam: (exam.day, exam.label), reverse=True))


def before_asking(exams: Iterable[Exam], wanted: str, *, on: date, days: int | None = None) -> tuple[Exam, ...]:
    """What was done lately of an examination that somebody is about to ask for, newest first."""
    since = (on - timedelta(days=interval_of(wanted) if days is None else days)).isoformat()
    words = set(fold(wanted).split())
    fits = [exam for exam in exams if words and (words <= set(fold(exam.label).split()) or exam.code == wanted)]
    # A day that is known only by its year or month counts when it may lie inside.
    return tuple(exam for exam in fits if exam.day and exam.day >= since[: len(exam.day)])


def repeats(exams: Iterable[Exam], *, days: int | None = None) -> tuple[Repeat, ...]:
    """Examinations that were done twice within their interval, in two documents; each with the one just before it."""
    by_name: dict[str, list[Exam]] = {}
    for exam in exams:
        if len(exam.day) == 10:
            by_name.setdefault(exam.code or fold(exam.label), []).append(exam)
    found = []
    for group in by_name.values():
        ordered = sorted(group, key=lambda exam: exam.day, reverse=True)
        for newer, older in pairwise(ordered):
            interval = interval_of(newer.label) if days is None else days
            apart = (_day(newer) - _day(older)).days
            if newer.document != older.document and 0 < apart <= interval:
                found.append(Repeat(newer, older, apart, interval))
    return tuple(sorted(found, key=lambda repeat: repeat.newer.day, reverse=True))


def interval_of(label: str) -> int:
    """Days within which a second such examination is worth a question."""
    text = f" {fold(label)} "
    for words, days in INTERVALS:
        if any(f" {word} " in text for word in words):
            return days
    return DEFAULT_DAYS


def _day(exam: Exam) -> date:
    try:
        return date.fromisoformat(exam.day)
    except ValueError:
        return date.min
