"""The professional's home: what patients have opened, with the exact time that is left; deposits go out from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.files import as_read, read_small
from tui.language import _, ngettext
from tui.messages import Changed
from tui.render import RIGHTS, clean, fit, instant, remaining
from tui.screens.base import HouseScreen, in_thread
from tui.screens.files import ChooseFile
from tui.screens.forms import Confirm, Form, Working
from tui.screens.people import PeopleScreen
from tui.screens.relay import need_relay
from tui.screens.visit import VisitReader
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList

if TYPE_CHECKING:
    from vault.visiting import Visit


@dataclass(frozen=True, slots=True)
class Opened:
    """One document of an access. `number` counts the documents of one access from 1."""

    visit: Visit
    document_id: str
    number: int


class Patients(HouseScreen[None]):
    """Open accesses first, those that end soonest on top; ended ones below, for a while."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,S", "app.sync", show=False),
        Binding("d,D", "deposit", show=False),
        Binding("c,C", "people", show=False),
        Binding("e,E", "devices", show=False),
        Binding("r,R", "relay", show=False),
    ]

    def body(self) -> ComposeResult:
        yield VirtualList[Opened](
            self._draw, id="visits", empty=_("No patient has opened anything to you yet. C saves your card for them.")
        )
        yield Plain(id="detail")

    def on_mount(self) -> None:
        super().on_mount()
        self._rows.focus()
        self._read()
        self.set_interval(1.0, self._rows.refresh)

    @property
    def _rows(self) -> VirtualList[Opened]:
        return self.query_one("#visits", VirtualList)

    def offers(self) -> list[Key]:
        return [
            Key(_("Enter"), _("Open"), "read"),
            Key("D", _("Deposit to a patient"), "deposit"),
            Key("S", _("Synchronise"), "app.sync"),
            Key("C", _("People and cards"), "people"),
            Key("L", _("Lock"), "app.lock"),
            Key("R", _("Relay"), "relay"),
            Key("E", _("My devices"), "devices"),
        ]

    def help_text(self) -> str:
        return _(
            "Each line is a document that a patient opened to you, with the time that is left. Opening it leaves"
            " a signed line in the patient's journal, with the reason you give. At the end the keys and the"
            " content go from here. A deposit sends a document to a patient and lets you read nothing."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            visits = await in_thread(vault.visiting.grants)
            ordered = sorted(visits, key=lambda visit: (visit.state != "open", visit.until))
            rows = [
                Opened(visit, document_id, number)
                for visit in ordered
                for number, document_id in enumerate(visit.document_ids, 1)
            ]
            self._rows.show(rows, keep_pointer=True)

    def on_changed(self, event: Changed) -> None:
        self._read()

    def _draw(self, row: Opened, width: int) -> Text:
        visit, now = row.visit, self.house.now()
        is_open = visit.state == "open" and visit.until > now
        left = remaining(visit.until - now) if is_open else _("access ended")
        facts = f"{fit(visit.patient, 20)}  {fit(_purpose(row), width - 63)}  "
        right = fit(_(RIGHTS.get(visit.right, visit.right)), 23)
        return Text(f"{facts}{right}  {left:>13} ", Style() if is_open else Style(dim=True))

    @on(VirtualList.Moved)
    def _tell(self, event: VirtualList.Moved) -> None:
        row = event.row
        if row is None:
            self.query_one("#detail", Plain).say("")
            return
        at = row.visit.opened[row.number - 1]
        said = _("Last opened: {when}.").format(when=instant(at)) if at else _("Not opened yet.")
        end = _("{name}, until {end}.").format(name=clean(row.visit.patient), end=instant(row.visit.until))
        self.query_one("#detail", Plain).say(f"{end} {said}")

    def action_read(self) -> None:
        self._rows.action_choose()

    def action_devices(self) -> None:
        from tui.screens.devices import DevicesScreen

        self.app.push_screen(DevicesScreen())

    def action_people(self) -> None:
        self.app.push_screen(PeopleScreen())

    @work
    async def action_relay(self) -> None:
        if await need_relay(self):
            self.house.sync()

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        self._open(event.row)

    @work
    async def _open(self, row: Opened) -> None:
        why = await self.app.push_screen_wait(AskWhy(row.visit))
        if why is None:
            return
        exchange = self.house.need_watcher().exchange
        working = Working(_("The document is being opened."))
        self.app.push_screen(working)
        opened = None
        with self.telling():
            opened = await in_thread(lambda: exchange.open(f"{row.visit.id}/{row.document_id}", why))
        working.dismiss(None)
        self.house.changed()
        if opened is not None:
            self.app.push_screen(VisitReader(opened, row.visit.patient))

    @work
    async def action_deposit(self) -> None:
        """A card, a file, a yes: the document is sealed for the card's owner and leaves."""
        if not await need_relay(self):
            return
        vault, exchange = self.house.opened, self.house.need_watcher().exchange
        card_path = await self.app.push_screen_wait(ChooseFile(_("Whose record? Choose the patient's card.")))
        file_path = card_path and await self.app.push_screen_wait(ChooseFile(_("Which document?")))
        if not card_path or not file_path:
            return
        with self.telling():
            data = await in_thread(lambda: read_small(card_path))
            card = await in_thread(lambda: vault.people.read_card(data))
            reads = await in_thread(lambda: as_read(file_path))
            count = ngettext("{count} document", "{count} documents", len(reads)).format(count=len(reads))
            question = _("{count} of “{file}” to {name}. You will not be able to read it back.").format(
                count=count, file=clean(file_path.name), name=clean(card.name)
            )
            if await self.app.push_screen_wait(Confirm(_("Send this deposit?"), question, _("Send"))):
                await in_thread(lambda: exchange.deposit(data, [(read.document, read.files) for read in reads]))
                self.house.sync()
                self.house.tell_text(_("The deposit is on its way."))


def _purpose(row: Opened) -> str:
    """What the access was given for, and which document of it when there are several: titles are sealed until then."""
    count = len(row.visit.document_ids)
    purpose = clean(row.visit.purpose)
    return purpose if count == 1 else f"{row.number}/{count} {purpose}"


class AskWhy(Form[str]):
    """Why the document is opened; the patient reads it, signed."""

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        self._visit = visit

    def title_text(self) -> str:
        return _("Open a document of {name}").format(name=clean(self._visit.patient))

    def body(self) -> ComposeResult:
        yield Plain(
            _("The patient sees in the journal that you opened it, when, and this reason. You sign it."),
            classes="below",
        )
        yield Field(_("Reason"), id="why", value=clean(self._visit.purpose))

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("Sign and open"), "submit"), Key(_("Esc"), _("Back"), "leave")]

    def action_submit(self) -> None:
        why = self.value("why")
        if why:
            self.dismiss(why)
        else:
            self.house.tell_text(_("Say why, in a word."), bad=True)
