"""`profile`, `review`: what the record says as a whole, and where a question is worth asking."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render, shapes
from tui.language import _, language
from tui.overview import calendar_lines, contradiction_text, exam_line, fact_line, gather, series_line, since
from tui.session import Session, Verb

if TYPE_CHECKING:
    from vault.review.conflicts import Contradiction
    from vault.review.exams import Exam
    from vault.review.mentioned import Mentioned
    from vault.review.profile import Fact, Profile, Series


def _day_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--on", type=date.fromisoformat, metavar=_("DATE"), help=_("as of this day, not today"))


def _profile_arguments(parser: argparse.ArgumentParser) -> None:
    _day_argument(parser)
    parser.add_argument("--plot", metavar=_("WORDS"), help=_("draw the measurements of this name over time"))


def _profile(session: Session) -> int:
    from vault.review.profile import profile

    with session.vault() as vault:
        day = session.args.on or date.fromtimestamp(vault.clock())
        made = profile(gather(vault), on=day)
    if session.args.plot is not None:
        return _plots(session, made)
    session.give(_profile_shape(made), lambda: _profile_text(made, session.width))
    session.say(_("Not checked by a professional."))
    return 0


def _plots(session: Session, made: Profile) -> int:
    """The series whose name holds these words, drawn."""
    from tui import plot
    from vault.terminology import fold

    words = fold(session.args.plot).split()
    found = [series for series in made.series if all(word in fold(series.label) for word in words)]
    drawn = [(series, plot.plot(series, session.width)) for series in found]
    blocks = ["\n".join([plot.heading(series), *lines]) for series, lines in drawn if lines]
    session.give({"series": [_series_shape(series) for series in found]}, "\n\n".join(blocks))
    if not blocks:
        session.say(_("Nothing of this name was measured twice."))
        return 1
    return 0


def _profile_shape(made: Profile) -> dict[str, Any]:
    from vault.review.profile import disease_name

    return {
        "medications": [shapes.medication(item) for item in made.medications],
        **{kind: [_fact_shape(fact) for fact in facts] for kind, facts in made.facts.items()},
        "immunization": [
            {"label": dose.label, "date": dose.day, "diseases": list(dose.diseases), "dose_number": dose.dose_number,
             "lot": dose.lot, "negated": dose.negated, "sources": list(dose.sources)}
            for dose in made.vaccinations
        ],
        "calendar": [
            {"disease": key, "name": disease_name(key, language()), "dates": [dose.day for dose in doses]}
            for key, doses in made.calendar().items()
        ],
        "series": [_series_shape(series) for series in made.series],
    }  # fmt: skip


def _series_shape(series: Series) -> dict[str, Any]:
    return {
        "label": series.label, "unit": series.unit, "code": series.code, "kind": series.kind,
        "points": [{"date": point.day, "value": point.value, "source": point.source} for point in series.points],
    }  # fmt: skip


def _fact_shape(fact: Fact) -> dict[str, Any]:
    return {
        "label": fact.label, "code": fact.code, "system": fact.system, "start": fact.start, "end": fact.end,
        "active": fact.active, "negated": fact.negated, "sources": list(fact.sources),
    }  # fmt: skip


def _profile_text(made: Profile, width: int) -> str:
    blocks = []
    if made.medications:
        blocks.append(_block(_("Treatments"), [render.medications(made.medications, width)]))
    for kind, facts in made.facts.items():
        if facts:
            blocks.append(_block(_(render.ENTRY_NAMES[kind]), map(fact_line, facts)))
    calendar = made.calendar()
    if calendar:
        blocks.append(_block(_("Immunizations"), calendar_lines(calendar)))
    if made.series:
        blocks.append(_block(_("Measurements and results"), map(series_line, made.series)))
    return "\n\n".join(blocks)


def _review_arguments(parser: argparse.ArgumentParser) -> None:
    _day_argument(parser)
    parser.add_argument(
        "--mentioned", metavar=_("FILE"), help=_("what the patient said, one treatment a line: what was forgotten?")
    )
    parser.add_argument("--exam", metavar=_("TEXT"), help=_("an examination that is about to be asked for"))
    parser.add_argument("--within", type=int, metavar=_("DAYS"), help=_("how many days count as lately"))


def _review(session: Session) -> int:
    from vault.review import exams
    from vault.review.conflicts import contradictions
    from vault.review.medications import medication_list
    from vault.review.mentioned import compare, read_list

    args = session.args
    said = read_list(files.read_small(Path(args.mentioned)).decode("utf-8", "replace")) if args.mentioned else None
    with session.vault() as vault:
        day = args.on or date.fromtimestamp(vault.clock())
        rows = gather(vault)
        titles = {row[0].id: row[0].title for row in rows}
        done = exams.done(rows, vault.list(limit=100_000).documents)
    found = contradictions(rows, on=day)
    twice = exams.repeats(done, days=args.within)
    lately = exams.before_asking(done, args.exam, on=day, days=args.within) if args.exam else None
    told = compare(said, medication_list(rows, on=day)) if said is not None else None
    data: dict[str, Any] = {
        "contradictions": [_contradiction_shape(item) for item in found],
        "repeated": [
            {"newer": _exam_shape(item.newer), "older": _exam_shape(item.older), "days": item.days} for item in twice
        ],
    }
    blocks = []
    if told is not None:
        data["forgotten"] = [shapes.medication(item) for item in told.forgotten]
        data["not_recorded"] = list(told.unknown)
        blocks.append(_mentioned_text(told, session.width))
    if lately is not None:
        data["lately"] = [_exam_shape(item) for item in lately]
        blocks.append(_block(_("Done lately"), map(exam_line, lately)) if lately else _("Not done lately."))
    if found:
        blocks.append(_block(_("Said differently in two places"), (contradiction_text(one, titles) for one in found)))
    if twice:
        lines = (f"{exam_line(item.newer)}\n    {since(item.days)}: {exam_line(item.older).strip(' -')}"
                 for item in twice)  # fmt: skip
        blocks.append(_block(_("Done twice within a short time"), lines))
    session.give(data, "\n\n".join(blocks))
    if not blocks:
        session.say(_("Nothing to ask about."))
    session.say(_("Not checked by a professional."))
    return 0


def _mentioned_text(told: Mentioned, width: int) -> str:
    blocks = []
    if told.forgotten:
        blocks.append(_block(_("Taken, and not mentioned"), [render.medications(told.forgotten, width)]))
    else:
        blocks.append(_("Everything that is recorded as taken was mentioned."))
    if told.unknown:
        blocks.append(_block(_("Mentioned, and not recorded"), (f"  - {render.clean(name)}" for name in told.unknown)))
    return "\n\n".join(blocks)


def _contradiction_shape(item: Contradiction) -> dict[str, Any]:
    sides = [
        {"document": side.document, "entry": side.entry, "date": side.date, "negated": side.negated,
         "value": side.value}
        for side in item.sides
    ]  # fmt: skip
    return {"what": item.what, "kind": item.kind, "label": item.label, "sides": sides}


def _exam_shape(exam: Exam) -> dict[str, Any]:
    return {"label": exam.label, "date": exam.day, "document": exam.document, "code": exam.code}


def _block(title: str, lines: Any) -> str:
    return "\n".join([title, *lines])


VERBS = {
    "profile": Verb(_profile_arguments, _profile),
    "review": Verb(_review_arguments, _review),
}
