"""Giving access: to whom, to what, which right and until when; one sentence says it all before the last Enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.dates import end_of_day, read_date
from tui.language import _, ngettext
from tui.render import SECTIONS, clean, document_title, fit, instant, role
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.forms import Choice, Option
from tui.screens.people import add_person, person_option
from tui.screens.relay import need_relay
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList
from vault import Summary, Vault
from vault.document import CLINICAL, DOCUMENT_KINDS

HOUR = 3_600
SPANS = (HOUR, 24 * HOUR, 7 * 24 * HOUR, 0)  # 0: until a date
USUAL = 1  # 24 hours
CHOSEN = "chosen"
NEW = "new"
OFFERED = 2_000  # documents offered for choosing one by one


@dataclass(frozen=True, slots=True)
class What:
    """The documents of a grant and how they are called in a sentence."""

    documents: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Terms:
    right: str
    until: int
    purpose: str


async def give_access(screen: HouseScreen[Any], document_id: str) -> None:
    """The whole flow, from a screen's worker: three dialogs for somebody known."""
    house = screen.house
    vault = house.opened
    if not await need_relay(screen):
        return
    person = await _ask_person(screen, vault)
    if person is None:
        return
    what = await _ask_what(screen, vault, document_id)
    if what is None:
        return
    terms = await screen.app.push_screen_wait(AskTerms(person, what))
    if terms is None:
        return
    with screen.telling():
        await in_thread(
            lambda: vault.sharing.grant(
                person, what.documents, right=terms.right, until=terms.until, purpose=terms.purpose
            )
        )  # fmt: skip
        house.changed()
        house.sync()
        house.tell_text(_("Access given to {name}. The journal shows it; R there revokes it.").format(name=person.name))


async def _ask_person(screen: HouseScreen[Any], vault: Vault) -> Any:
    people = await in_thread(vault.people.list)
    options: list[Option[Any]] = [person_option(person) for person in people]
    options.append(Option(NEW, _("Somebody new"), _("from the card that they gave you")))
    chosen = await screen.app.push_screen_wait(Choice(_("Who may look?"), options, left=26))
    return await add_person(screen) if chosen == NEW else chosen


async def _ask_what(screen: HouseScreen[Any], vault: Vault, document_id: str) -> What | None:
    options = await in_thread(lambda: presets(vault, document_id))
    options.append(Option(CHOSEN, _("Chosen documents"), _("you mark them one by one")))
    chosen = await screen.app.push_screen_wait(Choice(_("What may be seen?"), options))
    if not isinstance(chosen, str):
        return chosen
    page = await in_thread(lambda: vault.list(limit=OFFERED))
    return await screen.app.push_screen_wait(ChooseDocuments(page.documents))


def presets(vault: Vault, document_id: str) -> list[Option[Any]]:
    """The document at hand, and the treatments; each says what it leaves out."""
    options: list[Option[Any]] = []
    total = vault.count()
    if document_id:
        title = document_title(vault.read(document_id))
        note = ngettext("without {count} other document", "without {count} other documents", total - 1)
        note = note.format(count=total - 1) if total > 1 else _("it is all that this record holds")
        options.append(Option(What((document_id,), title), title, note))
    treatments = vault.list(kind="medications", limit=64).documents
    left_out = ", ".join(_(SECTIONS[kind]) for kind in DOCUMENT_KINDS if kind not in ("medications", CLINICAL))
    name = _("My treatments")
    options.append(
        Option(
            What(tuple(item.id for item in treatments), name),
            name,
            _("without: {kinds}, other documents").format(kinds=left_out),
            "" if treatments else _("no treatment was entered yet"),
        )
    )
    return options


class ChooseDocuments(Dialog[What]):
    """Space marks, Enter goes on with what is marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", show=False),
        Binding("f2", "done", show=False),
    ]

    def __init__(self, documents: Sequence[Summary]) -> None:
        super().__init__()
        self._documents = documents
        self._marked: dict[str, Summary] = {}

    def title_text(self) -> str:
        return _("Mark the documents that may be seen")

    def body(self) -> ComposeResult:
        yield VirtualList[Summary](self._draw, id="documents")
        yield Plain(id="note", classes="dim")

    def on_mount(self) -> None:
        super().on_mount()
        rows = self.query_one("#documents", VirtualList)
        rows.show(self._documents)
        rows.focus()
        self._count()

    def offers(self) -> list[Key]:
        return [
            Key(_("Space"), _("Mark"), "mark"),
            Key(_("Enter"), _("Go on"), "done"),
            Key(_("Esc"), _("Back"), "leave"),
        ]

    def _draw(self, item: Summary, width: int) -> Text:
        mark = "[x] " if item.id in self._marked else "[ ] "
        return Text(mark + fit(document_title(item), width - 26) + "  " + fit(item.author, 20))

    def action_mark(self) -> None:
        rows = self.query_one("#documents", VirtualList)
        item = rows.row
        if item is not None:
            if self._marked.pop(item.id, None) is None:
                self._marked[item.id] = item
            rows.action_move(1)
            self._count()

    def _count(self) -> None:
        count = len(self._marked)
        text = ngettext("{count} document marked", "{count} documents marked", count).format(count=count)
        self.query_one("#note", Plain).say(text)

    @on(VirtualList.Chosen)
    def action_done(self) -> None:
        if not self._marked:
            self.action_mark()
        if self._marked:
            name = ", ".join(document_title(item) for item in self._marked.values())
            self.dismiss(What(tuple(self._marked), name))


class AskTerms(Dialog[Terms]):
    """How long, which right, why. The sentence below is what Enter does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("e,E", "right", show=False)]

    def __init__(self, person: Any, what: What) -> None:
        super().__init__()
        self._person, self._what = person, what
        self._right = "read"

    def title_text(self) -> str:
        return _("How long, and what for?")

    def body(self) -> ComposeResult:
        yield VirtualList[int](self._draw, id="spans")
        yield Field(_("Until (day/month/year)"), id="day")
        yield Field(_("Purpose"), id="purpose", value=_("consultation"))
        yield Plain(id="sentence", classes="head gap")

    def on_mount(self) -> None:
        super().on_mount()
        self.query(Field).first().display = False
        spans = self.query_one("#spans", VirtualList)
        spans.styles.height = len(SPANS)
        spans.show(SPANS)
        spans.point(USUAL)
        spans.focus()

    def offers(self) -> list[Key]:
        other = _("Reading only") if self._right == "edit" else _("Allow editing")
        return [
            Key(_("Enter"), _("Give access"), "give"),
            Key("E", other, "right"),
            Key(_("Tab"), _("Purpose"), "purpose"),
            Key(_("Esc"), _("Back"), "leave"),
        ]

    def _draw(self, seconds: int, width: int) -> Text:
        names = {SPANS[0]: _("1 hour"), SPANS[1]: _("24 hours"), SPANS[2]: _("7 days"), SPANS[3]: _("until a date")}
        return Text(fit(names[seconds], width))

    def action_right(self) -> None:
        self._right = "edit" if self._right == "read" else "read"
        self.show_keys()
        self._tell()

    def action_purpose(self) -> None:
        self.query_one("#purpose", Input).focus()

    def until(self) -> int | None:
        """The end as chosen, None while it is not complete or not in the future."""
        seconds = self.query_one("#spans", VirtualList).row
        now = int(self.house.now())
        if seconds:
            return now + int(seconds)
        day = read_date(self.query_one("#day", Input).value, whole=True)
        end = end_of_day(day) if day else 0
        return end if end > now else None

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        self.query(Field).first().display = event.row == 0
        self._tell()

    @on(Input.Changed)
    def _tell(self) -> None:
        end = self.until()
        pattern = (
            _("{name} ({role}) may read and edit {what} until {end}.")
            if self._right == "edit"
            else _("{name} ({role}) may read {what} until {end}.")
        )
        what = _("“{text}”").format(text=clean(self._what.name))
        until = _("…") if end is None else instant(end)
        sentence = pattern.format(name=clean(self._person.name), role=role(self._person.role), what=what, end=until)
        self.query_one("#sentence", Plain).say(sentence)

    @on(VirtualList.Chosen)
    @on(Input.Submitted)
    def action_give(self) -> None:
        end = self.until()
        if end is None:
            self.query_one("#day", Input).focus()
            if self.query_one("#day", Input).value:
                self.house.tell_text(_("Type a day to come, as day/month/year."), bad=True)
            return
        purpose = self.query_one("#purpose", Input).value.strip()
        if not purpose:
            self.house.tell_text(_("Say what for, in a word: the journal keeps it."), bad=True)
            return
        self.dismiss(Terms(self._right, end, purpose))
