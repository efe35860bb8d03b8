"""The first run, one question at a time: language, who, passphrase, recovery kit, first files."""

from __future__ import annotations

import secrets
import unicodedata
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.dates import read_date
from tui.files import write_private
from tui.language import LANGUAGES, _, language, set_language
from tui.machine import machine_name
from tui.render import fit
from tui.render import role as role_words
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.devices import AskCode, join_vault
from tui.screens.files import SaveAs
from tui.screens.forms import Choice, Confirm, Form, Option, Working
from tui.screens.importing import bring_in
from tui.sheets import sheet_data
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from vault import RecoveryKit, Vault
from vault.certificate import ROLES
from vault.errors import InputRefused
from vault.passphrase import accept_new, make_passphrase, normal_form

NAMES = {"fr": "Français", "en": "English"}  # each in its own language, so that everybody finds theirs
ASKED_BACK = 3
JOIN = "join"


class FirstRun(HouseScreen[Vault]):
    """Asks in order; Esc goes back by one. Returns the open vault, None when the person leaves."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._role = self._holder = self._birth = self._phrase = ""
        self._code: tuple[str, str] | None = None

    def body(self) -> ComposeResult:
        yield Plain(id="welcome")

    def on_mount(self) -> None:
        super().on_mount()
        self._conduct()

    @work
    async def _conduct(self) -> None:
        steps = (self._ask_language, self._ask_role, self._ask_name, self._offer_phrase, self._ask_phrase)
        at = 0
        while at < len(steps):
            at += 1 if await steps[at]() else -1
            if at < 0:
                self.dismiss(None)
                return
        await self._make()

    async def _ask_language(self) -> bool:
        mine = sorted(LANGUAGES, key=lambda code: code != language())  # the system's, or the one asked for, first
        options = [Option(code, NAMES[code]) for code in mine]
        chosen = await self.app.push_screen_wait(
            Choice("Elpis", options, text="Choisissez votre langue.\nChoose your language.")
        )
        if chosen is None:
            return False
        set_language(chosen)
        self.show_keys()
        return True

    async def _ask_role(self) -> bool:
        options = [Option("", _("mine: I am the patient"))]
        options += [Option(JOIN, _("I have a vault on another device"))]
        options += [Option(role, _("a professional's: {role}").format(role=role_words(role))) for role in ROLES]
        text = _("Elpis keeps health records in a vault on this computer. Nobody opens it without your passphrase.")
        chosen = await self.app.push_screen_wait(Choice(_("Whose vault is it?"), options, text=text, left=60))
        if chosen is None:
            return False
        self._role, self._code = chosen, None
        return True

    async def _ask_name(self) -> bool:
        if self._role == JOIN:
            self._code = await self.app.push_screen_wait(AskCode())
            return self._code is not None
        answer = await self.app.push_screen_wait(AskName(self._holder, self._birth, patient=not self._role))
        if answer is None:
            return False
        self._holder, self._birth = answer
        return True

    async def _offer_phrase(self) -> bool:
        accepted = await self.app.push_screen_wait(OfferPhrase())
        return accepted is not None

    async def _ask_phrase(self) -> bool:
        phrase = await self.app.push_screen_wait(AskPhrase())
        self._phrase = phrase or ""
        return phrase is not None

    async def _make(self) -> None:
        """The key derivation takes about a second: in a thread, and said."""
        if self._code is not None:
            await self._join(*self._code)
            return
        working = Working(_("Your vault is being made. It takes a second or two."))
        self.app.push_screen(working)
        vault = None
        with self.telling():
            vault, kit = await in_thread(
                lambda: Vault.create(
                    self._path, name=self._holder, birth=self._birth, passphrase=self._phrase,
                    role=self._role, language=language(),
                )
            )  # fmt: skip
        self._phrase = ""
        working.dismiss(None)
        if vault is None:
            self._conduct()
            return
        await in_thread(lambda: vault.devices.set_name(machine_name()))
        await self._hand_over(kit)
        if not self._role:
            question = _("Files that you have already (letters, results, exports) can be read into the vault now.")
            ask = Confirm(_("Your vault is ready"), question, _("Choose files"), no=_("Not now"))
            if await self.app.push_screen_wait(ask):
                await bring_in(self, vault)
        self.dismiss(vault)

    async def _join(self, code: str, name: str) -> None:
        """The vault of the other device, here too; what went wrong is told, and the code is asked for again."""
        vault, phrase, self._phrase = None, self._phrase, ""
        with self.telling():
            vault = await join_vault(self, self._path, code, name, phrase)
        if vault is None:
            self._conduct()
        else:
            self.dismiss(vault)

    async def _hand_over(self, kit: RecoveryKit) -> None:
        words = kit.words(language())
        while True:
            await self.app.push_screen_wait(ShowKit(kit))
            if await self.app.push_screen_wait(AskKit(words)):
                return


class AskName(Form[tuple[str, str]]):
    """(name, birth date in RFC 3339)."""

    def __init__(self, name: str, birth: str, *, patient: bool) -> None:
        super().__init__()
        self._typed, self._birth, self._patient = name, birth, patient

    def title_text(self) -> str:
        return _("Who are you?")

    def body(self) -> ComposeResult:
        yield Plain(_("Family name first, then given names, as on official papers."), classes="dim below")
        yield Field(_("Name"), id="name", value=self._typed, hint=_("Martin Jeanne"))
        if self._patient:
            yield Field(_("Date of birth"), id="birth", value=self._birth, hint=_("21/03/1958"))

    def action_submit(self) -> None:
        birth = read_date(self.value("birth"), whole=True) if self._patient else ""
        if not self.value("name"):
            self.house.tell_text(_("A name is needed."), bad=True)
        elif birth is None or (self._patient and not birth):
            self.house.tell_text(_("Type the date as day/month/year, for example 21/03/1958."), bad=True)
        else:
            self.dismiss((self.value("name"), birth))


class OfferPhrase(Dialog[bool]):
    """A generated phrase; it is only an offer, the next question takes what is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", show=False),
        Binding("n,N", "another", show=False),
    ]

    def title_text(self) -> str:
        return _("Your passphrase")

    def body(self) -> ComposeResult:
        yield Plain(_("The passphrase opens the vault. Nobody can find it for you, not even those who made Elpis."))
        yield Plain(
            _("Here are six words drawn at random. Write them down, or choose words of your own."), classes="gap"
        )
        yield Plain(make_passphrase(language()), id="phrase", classes="head gap")

    def offers(self) -> list[Key]:
        return [
            Key(_("Enter"), _("Type it"), "accept"),
            Key("N", _("Six other words"), "another"),
            Key(_("Esc"), _("Back"), "leave"),
        ]

    def action_another(self) -> None:
        self.query_one("#phrase", Plain).say(make_passphrase(language()))

    def action_accept(self) -> None:
        self.dismiss(True)


class AskPhrase(Form[str]):
    """A new passphrase, typed twice."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f3", "show", show=False)]

    def title_text(self) -> str:
        return _("Type your passphrase twice")

    def body(self) -> ComposeResult:
        yield Field(_("Passphrase"), id="first", secret=True)
        yield Field(_("The same again"), id="second", secret=True)

    def offers(self) -> list[Key]:
        return [*super().offers()[:2], Key("F3", _("Show or hide"), "show"), Key(_("Esc"), _("Back"), "leave")]

    def action_show(self) -> None:
        for field in self.query(Input):
            field.password = not field.password

    def action_submit(self) -> None:
        try:
            phrase = accept_new(self.value("first"))
        except InputRefused as error:
            self.house.tell_text(
                _("A passphrase has at least {count} characters.").format(count=error.facts.get("minimum", 8)), bad=True
            )
            return
        if phrase != normal_form(self.value("second")):
            self.house.tell_text(_("The two are not the same. Type them again."), bad=True)
            return
        self.dismiss(phrase)


class ShowKit(Dialog[bool]):
    """The 24 words, numbered down the columns as people copy them; F3 makes the sheet to print, with its QR code."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", show=False),
        Binding("f3", "write", show=False),
        Binding("escape", "accept", show=False),
    ]

    def __init__(self, kit: RecoveryKit) -> None:
        super().__init__()
        self._kit, self._words = kit, kit.words(language())

    def title_text(self) -> str:
        return _("Your recovery kit")

    def body(self) -> ComposeResult:
        yield Plain(
            _(
                "These 24 words open the vault when the passphrase is lost. Write them on paper, in order, and keep the"
                " paper away from this computer. They are shown only now."
            )
        )
        yield Plain(Text(kit_table(self._words)), classes="head gap")
        yield Plain(_("Fingerprint of this kit: {value}").format(value=self._kit.fingerprint()), classes="dim gap")

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("I have written them down"), "accept"), Key("F3", _("A sheet to print"), "write")]

    def action_accept(self) -> None:
        self.dismiss(True)

    @work
    async def action_write(self) -> None:
        note = _("One page with the words and a QR code; plain text when the name ends with .txt. Print it, delete it.")
        path = await self.app.push_screen_wait(SaveAs(_("A sheet to print"), "elpis-recovery.pdf", note))
        if path is None:
            return
        with self.telling():
            await in_thread(lambda: write_private(path, [sheet_data(path, self._kit)]))
            self.house.tell_text(_("Written. Move it away from this computer."))


def kit_table(words: list[str]) -> str:
    """Four columns, read downwards."""
    rows = (len(words) + 3) // 4
    return "\n".join(
        "  ".join(f"{number + 1:>2} {fit(words[number], 12)}" for number in range(row, len(words), rows)).rstrip()
        for row in range(rows)
    )


class AskKit(Form[bool]):
    """Three words of the kit, at random places: a kit that nobody wrote down is noticed now."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self._words = words
        self._places = sorted(secrets.SystemRandom().sample(range(len(words)), ASKED_BACK))

    def title_text(self) -> str:
        return _("Three words of your kit")

    def body(self) -> ComposeResult:
        yield Plain(_("Take your paper and type the words with these numbers."), classes="dim below")
        for place in self._places:
            yield Field(_("Word number {number}").format(number=place + 1), id=f"word{place}")

    def offers(self) -> list[Key]:
        return [*super().offers()[:2], Key(_("Esc"), _("Show the words again"), "leave")]

    def action_submit(self) -> None:
        wrong = [place + 1 for place in self._places if not same_word(self.value(f"word{place}"), self._words[place])]
        if wrong:
            numbers = ", ".join(map(str, wrong))
            self.house.tell_text(_("Not the right word: number {numbers}.").format(numbers=numbers), bad=True)
            return
        self.dismiss(True)


def same_word(typed: str, word: str) -> bool:
    """Accents and capitals do not matter: they are not what is being checked."""
    return _bare(typed) == _bare(word)


def _bare(word: str) -> str:
    return "".join(mark for mark in unicodedata.normalize("NFKD", word).casefold() if not unicodedata.combining(mark))
