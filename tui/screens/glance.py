"""The record at a glance: each fact once, vaccinations by disease, measurements drawn, and what is worth a question.

Enter opens the document that says so, or draws a measurement over time. M compares with what the patient mentions, E
looks for an examination before it is asked for again.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date as Day
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui import overview, render
from tui.language import _
from tui.messages import Changed
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.forms import Form
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.rows import VirtualList

if TYPE_CHECKING:
    from vault import Vault
    from vault.review.exams import Exam
    from vault.review.medications import Medication
    from vault.review.profile import Profile, Series

HEAD = Style(bold=True, underline=True)
ALERT = Style(bold=True)
PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `document` is opened by Enter, `series` drawn."""

    text: str
    style: Style = PLAIN
    document: str = ""
    series: Series | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read from the vault, once."""

    day: Day
    profile: Profile
    questions: list[Row]
    exams: tuple[Exam, ...]


def look(vault: Vault) -> Seen:
    """Everything that the screen shows, as of today."""
    from vault.review import exams
    from vault.review.conflicts import contradictions
    from vault.review.profile import profile

    day = Day.fromtimestamp(vault.clock())
    rows = overview.gather(vault)
    titles = {row[0].id: row[0].title for row in rows}
    done = exams.done(rows, vault.list(limit=100_000).documents)
    found: list[Row] = []
    for item in contradictions(rows, on=day):
        told = overview.contradiction_text(item, titles).split("\n")
        sides = ["", *(side.document for side in item.sides)]
        found += [
            Row(line, ALERT if not number else PLAIN, sides[number]) for number, line in enumerate(told[: len(sides)])
        ]
    for twice in exams.repeats(done):
        found.append(Row(overview.exam_line(twice.newer), document=twice.newer.document))
        since = f"    {overview.since(twice.days)}: {overview.exam_line(twice.older).strip(' -')}"
        found.append(Row(since, document=twice.older.document))
    return Seen(day, profile(rows, on=day), found, tuple(done))


def lines(seen: Seen, width: int) -> Iterator[Row]:
    """The screen from top to bottom: questions first, whoever reads on knows what is disputed."""
    made = seen.profile
    if seen.questions:
        yield from _block(_("Worth a question"), seen.questions)
    if made.medications:
        yield from _block(_("Treatments"), (row for item in made.medications for row in _treatment(item, width)))
    for kind, facts in made.facts.items():
        if facts:
            told = (
                Row(line, ALERT if fact.negated else PLAIN, fact.sources[0])
                for fact in facts
                for line in _wrapped(overview.fact_line(fact), width)
            )
            yield from _block(_(render.ENTRY_NAMES[kind]), told)
    calendar = made.calendar()
    if calendar:
        told = (
            Row(line, document=doses[0].sources[0])
            for text, doses in zip(overview.calendar_lines(calendar), calendar.values(), strict=True)
            for line in _wrapped(text, width)
        )
        yield from _block(_("Immunizations"), told)
    if made.series:
        told = (
            Row(line, document=series.points[-1].source, series=series)
            for series in made.series
            for line in _wrapped(overview.series_line(series), width)
        )
        yield from _block(_("Measurements and results"), told)


def _treatment(item: Medication, width: int) -> Iterator[Row]:
    for line in render.medications([item], width).split("\n"):
        yield Row(line, ALERT if item.flags and not line.startswith(" ") else PLAIN, item.source_document)


def _block(title: str, rows: Iterable[Row]) -> Iterator[Row]:
    yield Row(title, HEAD)
    yield from rows
    yield Row("")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), subsequent_indent="    ", break_long_words=True) or [""]


class Glance(HouseScreen[None]):
    """The profile and its questions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("m,M", "mentioned", show=False),
        Binding("e,E", "exam", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._seen: Seen | None = None

    def body(self) -> ComposeResult:
        yield VirtualList[Row](self._draw, id="glance", empty=_("Nothing here yet."))

    def on_mount(self) -> None:
        super().on_mount()
        self._rows.focus()
        self._read()

    @property
    def _rows(self) -> VirtualList[Row]:
        return self.query_one("#glance", VirtualList)

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key(_("Enter"), _("Open"), "open"),
            Key("M", _("What was forgotten?"), "mentioned"),
            Key("E", _("Done already?"), "exam"),
            Key("L", _("Lock"), "app.lock"),
        ]

    def help_text(self) -> str:
        return _(
            "Each fact once, from every document. Enter opens the newest document that says so, and draws a"
            " measurement over time. M compares what somebody says they take with what is recorded. E looks whether"
            " an examination was done lately. Nothing here was checked by a professional."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            seen = await in_thread(lambda: look(vault))
            self._seen = seen
            self._rows.show(list(lines(seen, self.size.width - 4)), keep_pointer=self._rows.count > 0)

    def on_changed(self, event: Changed) -> None:
        self._read()

    def on_resize(self) -> None:
        if self._seen is not None:
            self._rows.show(list(lines(self._seen, self.size.width - 4)), keep_pointer=True)

    def _draw(self, row: Row, width: int) -> Text:
        return Text(render.fit(row.text, width) if not row.text.startswith(" ") else row.text[:width], row.style)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_open(self) -> None:
        self._rows.action_choose()

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        row = event.row
        if row.series is not None and len(row.series.points) > 1:
            self.app.push_screen(Drawn(row.series))
        elif row.document:
            from tui.screens.reader import Reader

            self.app.push_screen(Reader(row.document))

    @work
    async def action_mentioned(self) -> None:
        if self._seen is None:
            return
        from vault.review.mentioned import compare, read_list

        said = await self.app.push_screen_wait(
            Asked(_("What do they say they take?"), _("Treatments"), _("with commas between them"))
        )
        if not said:
            return
        told = compare(read_list(said.replace(",", "\n")), self._seen.profile.medications)
        nothing = _("Everything that is recorded as taken was mentioned.")
        text = [_("Taken, and not mentioned") if told.forgotten else nothing]
        text += ["  - " + render.clean(item.label or item.substance) for item in told.forgotten]
        if told.unknown:
            text += ["", _("Mentioned, and not recorded"), *(f"  - {render.clean(name)}" for name in told.unknown)]
        self.app.push_screen(Answer(_("What was forgotten?"), "\n".join(text)))

    @work
    async def action_exam(self) -> None:
        if self._seen is None:
            return
        from vault.review.exams import before_asking

        asked = await self.app.push_screen_wait(
            Asked(_("Which examination is about to be asked for?"), _("Examination"), "")
        )
        if not asked:
            return
        found = before_asking(self._seen.exams, asked, on=self._seen.day)
        text = [_("Done lately"), *map(overview.exam_line, found)] if found else [_("Not done lately.")]
        self.app.push_screen(Answer(_("Done already?"), "\n".join(text)))


class Asked(Form[str]):
    """One line of text."""

    def __init__(self, title: str, label: str, hint: str) -> None:
        super().__init__()
        self._title, self._label, self._hint = title, label, hint

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield Field(self._label, id="asked", hint=self._hint)

    def action_submit(self) -> None:
        self.dismiss(self.value("asked").strip())


class Answer(Dialog[None]):
    """A few lines to read."""

    WIDE = True

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield VirtualList[str](lambda line, width: Text(line[:width]), id="answer")

    def on_mount(self) -> None:
        super().on_mount()
        rows = self.query_one("#answer", VirtualList)
        rows.show(self._text.split("\n"))
        rows.focus()

    def offers(self) -> list[Key]:
        return [Key(_("Esc"), _("Back"), "leave")]


class Drawn(Answer):
    """A measurement over time."""

    def __init__(self, series: Series) -> None:
        from tui.plot import heading, plot

        drawn = plot(series, 62) or [overview.series_line(series)]
        super().__init__(heading(series), "\n".join(drawn))


__all__ = ["Glance"]
