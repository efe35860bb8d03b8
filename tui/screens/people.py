"""The people whom the vault knows: their cards, how sure one can be of who they are, one's own card."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.files import BULLETIN, read_small, write_private
from tui.language import _
from tui.messages import Changed
from tui.render import clean, fit, role
from tui.screens.base import HouseScreen, in_thread
from tui.screens.files import ChooseFile, SaveAs
from tui.screens.forms import Choice, Confirm, Option
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList


def sureness(person: Any) -> str:
    """How one knows that it is them, in a few words."""
    sure = [_("certified")] if person.certified else []
    sure += [_("number compared")] if person.met else []
    return ", ".join([role(person.role), *sure] if person.role else sure)


def refusal(person: Any) -> str:
    """Why nothing can be given to this person, "" when it can."""
    reasons = {
        "role-denied": _("a payer, insurer or employer: never"),
        "not-certified": _("nobody you trust vouches for them, number not compared"),
        "expired": _("their certificate is out of date"),
        "suite-refused": _("only their short card is here: ask for the file"),
        "wrong-recipient": _("their certificate is for somebody else"),
    }
    if person.reason:
        details = {
            "revoked": _("the authority has revoked their certificate"),
            "list-too-old": _("the authority's file is too old: get the newest"),
            "contradiction": _("the authority contradicted itself"),
            "not-logged": _("their certificate is in no log"),
        }
        return details.get(person.detail) or reasons.get(person.reason) or _("their certificate does not hold")
    return "" if person.card.inbox is not None else _("their card has no inbox: ask for a new one")


def person_option(person: Any) -> Option[Any]:
    return Option(person, clean(person.name), sureness(person), refusal(person))


async def add_person(screen: HouseScreen[Any]) -> Any:
    """A card, then how one knows that it is theirs; from a screen's worker. None when it was left."""
    vault = screen.house.opened
    path = await screen.app.push_screen_wait(ChooseFile(_("Which card?")))
    if path is None:
        return None
    with screen.telling():
        data = await in_thread(lambda: read_small(path))
        card = await in_thread(lambda: vault.people.read_card(data))
        certificate = await _ask_certificate(screen, f"{clean(card.name)}, {role(card.role)}")
        if certificate is None:
            return None
        person = await in_thread(
            lambda: vault.people.add(
                data, certificate=certificate.get("certificate"), authority=certificate.get("authority")
            )
        )
        if not person.certified and person.reason != "role-denied":
            person = await compare(screen, person)
        screen.house.changed()
        return person if not refusal(person) else None
    return None


async def _ask_certificate(screen: HouseScreen[Any], name: str) -> dict[str, bytes] | None:
    """The files that vouch for the card: a certificate and, the first time, the authority's own file."""
    options = [
        Option("certificate", _("They gave a certificate file"), _("from their order or agency")),
        Option("met", _("We are face to face"), _("we compare a number")),
    ]
    how = await screen.app.push_screen_wait(Choice(name, options, text=_("How do you know that this is their card?")))
    if how != "certificate":
        return None if how is None else {}
    files: dict[str, bytes] = {}
    path = await screen.app.push_screen_wait(ChooseFile(_("Which certificate?")))
    if path is None:
        return None
    files["certificate"] = await in_thread(lambda: read_small(path))
    known = await in_thread(screen.house.opened.people.authorities)
    question = _("Is there a file of the authority itself? Take it only from a source that you trust.")
    wanted: bool | None = not known
    if known:
        wanted = await screen.app.push_screen_wait(Confirm(name, question, _("Choose the file")))
    if wanted:
        authority = await screen.app.push_screen_wait(ChooseFile(_("Which file of the authority?")))
        if authority is not None:
            files["authority"] = await in_thread(lambda: read_small(authority, BULLETIN))
    return files


async def compare(screen: HouseScreen[Any], person: Any) -> Any:
    """The safety number, the same on both screens when nobody stands between."""
    people = screen.house.opened.people
    number = await in_thread(lambda: people.safety_number(person))
    text = _("Read this number together. On the screen of {name} it is the same.").format(name=clean(person.name))
    same = await screen.app.push_screen_wait(
        Confirm(_("Safety number"), text, _("It is the same"), figure=_in_lines(number))
    )
    if same:
        await in_thread(lambda: people.set_met(person.id))
        return await in_thread(lambda: people.get(bytes.fromhex(person.id)))
    return person


def _in_lines(number: str) -> str:
    groups = number.split()
    return "\n".join("    " + "  ".join(groups[start : start + 4]) for start in range(0, len(groups), 4))


class PeopleScreen(HouseScreen[None]):
    """Everybody, most recently used first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("n,N", "add", show=False),
        Binding("k,K", "compare", show=False),
        Binding("c,C", "card", show=False),
    ]

    def body(self) -> ComposeResult:
        yield VirtualList[Any](self._draw, id="people", empty=_("Nobody yet. N adds somebody from a card."))
        yield Plain(id="note", classes="dim")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#people", VirtualList).focus()
        self._read()

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key("N", _("Add somebody"), "add"),
            Key("K", _("Compare the number"), "compare"),
            Key("C", _("My card"), "card"),
        ]

    def help_text(self) -> str:
        return _(
            "A card carries the public keys of a person and where to write to them. Nobody can read with it."
            " Access is given only to somebody whom an authority that you trust certifies, or whose safety number"
            " you compared."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            people = await in_thread(vault.people.list)
            self.query_one("#people", VirtualList).show(people, keep_pointer=True)

    def on_changed(self, event: Changed) -> None:
        self._read()

    def _draw(self, person: Any, width: int) -> Text:
        name_width = min(28, width)
        line = Text(fit(person.name, name_width) + "  ")
        return line.append(fit(refusal(person) or sureness(person), max(0, width - name_width - 2)))

    @on(VirtualList.Moved)
    def _tell(self, event: VirtualList.Moved) -> None:
        row = event.row
        text = "" if row is None else ". ".join(filter(None, (sureness(row), refusal(row))))
        self.query_one("#note", Plain).say(text)

    def action_leave(self) -> None:
        self.dismiss(None)

    @work
    async def action_add(self) -> None:
        await add_person(self)

    @work
    async def action_compare(self) -> None:
        person = self.query_one("#people", VirtualList).row
        if person is not None:
            with self.telling():
                await compare(self, person)
                self.house.changed()

    @work
    async def action_card(self) -> None:
        vault = self.house.opened
        note = _(
            "Give this file to whoever is to send you something or give you access: with it nobody reads anything."
            " As a QR code: `elpis card`, in a terminal of 45 lines."
        )
        path: Path | None = await self.app.push_screen_wait(SaveAs(_("Save my card"), "elpis.card", note))
        if path is not None:
            with self.telling():
                card = await in_thread(vault.people.card)
                await in_thread(lambda: write_private(path, [card]))
                self.house.tell_text(_("Saved: {path}").format(path=path))
