"""The record as a whole in lines of text: facts, vaccinations, measurements, and what is worth a question.

Shared by `profile`, `review` and the screen of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tui import plot, render
from tui.language import N_, _, language, ngettext

if TYPE_CHECKING:
    from vault import Vault
    from vault.review.conflicts import Contradiction
    from vault.review.exams import Exam
    from vault.review.profile import Dose, Fact, Series

KINDS = ("medication", "allergy", "condition", "immunization", "procedure", "family_history", "directive",
         "trusted_person", "contact", "device", "social_history", "vital", "result")  # fmt: skip
WHAT = {
    "doses": N_("two doses of one treatment"),
    "taken": N_("taken here, denied there"),
    "stated": N_("affirmed here, denied there"),
    "nothing": N_("“nothing known” beside something that is known"),
}
SHOWN_POINTS = 5


def gather(vault: Vault) -> list[Any]:
    """Every entry that a review looks at, with its document."""
    return [row for kind in KINDS for row in vault.entries(kind)]


def calendar_lines(calendar: Mapping[str, Sequence[Dose]]) -> list[str]:
    """A line for each disease: when one was vaccinated against it."""
    from vault.review.profile import disease_name

    lines = []
    for key, doses in calendar.items():
        name = disease_name(key, language()) or _("Other vaccines")
        days = [render.date(dose.day) or _("no date") for dose in doses]
        if not key:
            days = [f"{render.clean(dose.label)} ({day})" for dose, day in zip(doses, days, strict=True)]
        lines.append(f"  {name}: {', '.join(days)}")
    return lines


def fact_line(fact: Fact) -> str:
    what = render.clean(fact.label) or render.clean(fact.code)
    if fact.negated:
        what = _("NO: {what}").format(what=what)
    details = [
        render.clean(fact.fields.get(name))
        for name in ("performer", "value", "reaction", "severity", "criticality", "note")
    ]
    facts = [what, *details, render.period(fact.start, fact.end)]
    if not fact.active and not fact.negated:
        facts.append(_("over"))
    return "  - " + ", ".join(filter(None, facts))


def series_line(series: Series) -> str:
    shown = [f"{render.clean(point.value)} ({render.date(point.day[:10])})" for point in series.points[-SHOWN_POINTS:]]
    before = len(series.points) - len(shown)
    more = ngettext("{n} earlier", "{n} earlier", before).format(n=before) if before else ""
    unit = f" [{render.clean(series.unit)}]" if series.unit else ""
    drawn = plot.bars(series)
    line = f"  - {render.clean(series.label)}{unit}: " + ", ".join(filter(None, (more, *shown)))
    return f"{line}  {drawn}" if drawn else line


def contradiction_text(item: Contradiction, titles: dict[str, str]) -> str:
    lines = [f"  - {render.clean(item.label)}: {_(WHAT[item.what])}"]
    for side in item.sides:
        said = _("no") if side.negated else render.clean(side.value) or _("yes")
        title = render.clean(titles.get(side.document, "")) or side.document[:8]
        lines.append(f"      {said}: {title}, {render.date(side.date[:10]) or _('no date')}")
    return "\n".join(lines)


def exam_line(exam: Exam) -> str:
    return "  - " + ", ".join(filter(None, (render.clean(exam.label), render.date(exam.day), exam.document[:8])))


def since(days: int) -> str:
    return ngettext("{n} day after", "{n} days after", days).format(n=days)
