"""The holder's home: every document, newest first, by pages of 500; search as one types; what can be done from here.

The screens behind it are imported when they are asked for: the first paint waits for none of them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Input

from tui.language import _
from tui.messages import Changed
from tui.render import clean, day, document_title, fit
from tui.screens.base import HouseScreen, in_thread
from tui.widgets.bars import Key
from tui.widgets.rows import PAGE, VirtualList
from vault import Hit, Summary
from vault.document import CLINICAL, ENTRY_SECTION

DEBOUNCE = 0.15
DATE_WIDTH, AUTHOR_WIDTH = 17, 20
FOUND = 200
MARK_OPEN, MARK_CLOSE = "\x02", "\x03"  # round the words found, as the vault's search gives them


class Timeline(HouseScreen[None]):
    """The list is either the whole record (by pages) or what the search found (all at once)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", show=False),
        Binding("p,P", "grant", show=False),
        Binding("j,J", "journal", show=False),
        Binding("g,G", "glance", show=False),
        Binding("a,A", "add", show=False),
        Binding("i,I", "bring_in", show=False),
        Binding("x,X", "hand_out", show=False),
        Binding("b,B", "back_up", show=False),
        Binding("d,D", "deposits", show=False),
        Binding("c,C", "people", show=False),
        Binding("e,E", "devices", show=False),
        Binding("s,S", "app.sync", show=False),
        Binding("escape", "close_search", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._cursors: list[tuple[int] | None] = [None]  # where each page begins, as far as is known
        self._walking = asyncio.Lock()
        self._pause: Timer | None = None

    def body(self) -> ComposeResult:
        yield VirtualList[Summary | Hit](
            self._draw, id="documents", empty=_("Nothing here yet. I takes files in, A adds an entry.")
        )

    def on_mount(self) -> None:
        super().on_mount()
        self._rows.focus()
        self._begin()

    @property
    def _rows(self) -> VirtualList[Summary | Hit]:
        return self.query_one("#documents", VirtualList)

    def offers(self) -> list[Key]:
        return [
            Key(_("Enter"), _("Read"), "read"),
            Key("/", _("Search"), "search"),
            Key("P", _("Give access"), "grant"),
            Key("J", _("Journal"), "journal"),
            Key("G", _("At a glance"), "glance"),
            Key("A", _("Add"), "add"),
            Key("I", _("Import"), "bring_in"),
            Key("X", _("Export"), "hand_out"),
            Key("B", _("Back up"), "back_up"),
            Key("L", _("Lock"), "app.lock"),
            Key("S", _("Synchronise"), "app.sync"),
            Key("D", _("Deposits waiting"), "deposits"),
            Key("C", _("People and cards"), "people"),
            Key("E", _("My devices"), "devices"),
        ]

    def help_text(self) -> str:
        return _(
            "This is your record, newest first. The line above says how many accesses are open now and when Elpis"
            " last met the relay. An arrow ↗ before a title: somebody has access to this document."
        )

    # The list and its pages

    @work(exclusive=True, group="list")
    async def _begin(self, *, keep_pointer: bool = False) -> None:
        """The first page is shown before the rest is counted: the screen does not wait for the size of the vault."""
        vault, rows = self.house.opened, self._rows
        with self.telling():
            page = await in_thread(lambda: vault.list(limit=PAGE))
            self._cursors = [None, page.next]
            before = rows.count if keep_pointer else 0
            rows.expect(max(before, len(page.documents)), page.documents, keep_pointer=keep_pointer)
            rows.grow(len(page.documents) if page.next is None else await in_thread(vault.count))

    @on(VirtualList.Wanted)
    def _wanted(self, event: VirtualList.Wanted) -> None:
        self._load(event.page)

    @work(group="pages")
    async def _load(self, wanted: int) -> None:
        """A page begins where the one before it ends: those between the last known and the wanted one are walked."""
        vault = self.house.opened
        with self.telling():
            async with self._walking:
                cursors = self._cursors
                while len(cursors) <= wanted and cursors[-1] is not None:
                    cursors.append((await in_thread(partial(vault.list, before=cursors[-1], limit=PAGE))).next)
                if wanted >= len(cursors) or (wanted and cursors[wanted] is None):
                    return
                page = await in_thread(partial(vault.list, before=cursors[wanted], limit=PAGE))
                if len(cursors) == wanted + 1:
                    cursors.append(page.next)
                if cursors is self._cursors and not self.query("#search"):
                    self._rows.fill(wanted, page.documents)

    def on_changed(self, event: Changed) -> None:
        if not self.query("#search"):
            self._begin(keep_pointer=True)

    def _draw(self, row: Summary | Hit, width: int) -> Text:
        snippet = "" if isinstance(row, Summary) else row.snippet
        item = row if isinstance(row, Summary) else row.summary
        when = day(item.date) or ("" if item.kind == CLINICAL else _("my profile"))
        line = Text(fit(when, DATE_WIDTH) + (" ↗ " if item.shared else "   "))
        title, found, rest = document_title(item), _marked(snippet), width - DATE_WIDTH - 4
        if snippet and found.plain.strip(" …").startswith(title):
            return line.append(found)
        if snippet:
            return line.append(fit(title, rest // 2) + "  ", Style(bold=True)).append(found)
        line.append(fit(title, rest - AUTHOR_WIDTH - 1), Style(bold=True))
        return line.append(" " + fit(item.author, AUTHOR_WIDTH))

    # Search

    def action_search(self) -> None:
        if self.query("#search"):
            self.query_one("#search", Input).focus()
            return
        self.mount(
            Input(placeholder=_("Words of a title, a treatment, a result, a note"), id="search"), before="#documents"
        )
        self.query_one("#search", Input).focus()

    def action_close_search(self) -> None:
        if self.query("#search"):
            self.query_one("#search", Input).remove()
            self._rows.focus()
            self._begin()

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        if self._pause is not None:
            self._pause.stop()
        words = event.value
        self._pause = self.set_timer(DEBOUNCE, lambda: self._find(words))

    @on(Input.Submitted, "#search")
    def _to_list(self) -> None:
        self._rows.focus()

    @work(exclusive=True, group="list")
    async def _find(self, words: str) -> None:
        vault = self.house.opened
        with self.telling():
            hits = await in_thread(lambda: vault.search(words, limit=FOUND)) if words.strip() else ()
            empty = _("Nothing found for these words.") if words.strip() else ""
            self._rows.show(hits, empty=empty)

    # What can be done from here

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        from tui.screens.reader import Reader

        item = event.row if isinstance(event.row, Summary) else event.row.summary
        self.app.push_screen(Reader(item.id))

    def action_read(self) -> None:
        self._rows.action_choose()

    def action_accesses(self) -> None:
        self.action_journal()

    def action_journal(self) -> None:
        from tui.screens.journal import Journal

        self.app.push_screen(Journal())

    def action_glance(self) -> None:
        from tui.screens.glance import Glance

        self.app.push_screen(Glance())

    def action_people(self) -> None:
        from tui.screens.people import PeopleScreen

        self.app.push_screen(PeopleScreen())

    def action_devices(self) -> None:
        from tui.screens.devices import DevicesScreen

        self.app.push_screen(DevicesScreen())

    def action_deposits(self) -> None:
        from tui.screens.deposits import Deposits

        self.app.push_screen(Deposits())

    @work
    async def action_grant(self) -> None:
        from tui.screens.grant import give_access

        row = self._rows.row
        item = row if row is None or isinstance(row, Summary) else row.summary
        await give_access(self, item.id if item else "")

    @work
    async def action_add(self) -> None:
        from tui.screens.entries import ChooseKind, EntryForm

        vault = self.house.opened
        kind = await self.app.push_screen_wait(ChooseKind())
        if kind is None:
            return
        fields = await self.app.push_screen_wait(EntryForm(kind))
        if fields is None:
            return
        with self.telling():
            await in_thread(lambda: vault.add_entry(vault.section(ENTRY_SECTION[kind]), kind, fields))
            self.house.changed()
            self.house.tell_text(_("Added."))

    @work
    async def action_bring_in(self) -> None:
        from tui.screens.importing import bring_in

        if await bring_in(self, self.house.opened):
            self.house.changed()

    @work
    async def action_hand_out(self) -> None:
        from tui.screens.handing import hand_out

        await hand_out(self, self.house.opened)

    @work
    async def action_back_up(self) -> None:
        from tui.screens.handing import back_up

        await back_up(self, self.house.opened)


def _marked(snippet: str) -> Text:
    """The words around a match, the match underlined and bold."""
    text = Text()
    strong = Style(bold=True, underline=True)
    for number, part in enumerate(snippet.replace(MARK_OPEN, MARK_CLOSE).split(MARK_CLOSE)):
        before, after = " " * part[:1].isspace(), " " * part[-1:].isspace()
        text.append(before).append(clean(part), strong if number % 2 else Style()).append(after)
    return text
