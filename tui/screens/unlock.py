"""The door: the passphrase, or the recovery kit when it is lost.

The vault is imported while the passphrase is being checked, so that the door is there at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from tui.language import _
from tui.screens.base import HouseScreen, in_thread
from tui.screens.forms import Form
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from tui.wording import sentence, words
from vault.errors import UnlockFailed, VaultError

if TYPE_CHECKING:
    from vault import Vault


class Unlock(HouseScreen["Vault"]):
    """Returns the open vault. A wrong passphrase gets one sentence, whatever is wrong."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f3", "recover", show=False)]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._busy = False

    def body(self) -> ComposeResult:
        with Vertical(id="door"):
            yield Plain("Elpis", classes="head")
            yield Plain(_("The vault is locked. Type your passphrase, then Enter."), classes="gap")
            yield Input(password=True, id="passphrase", select_on_focus=False)
            yield Plain(id="said", classes="bad gap")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#passphrase", Input).focus()

    def offers(self) -> list[Key]:
        return [
            Key(_("Enter"), _("Open"), "open"),
            Key("F3", _("Passphrase lost"), "recover"),
            Key("^Q", _("Leave"), "app.quit"),
        ]

    def help_text(self) -> str:
        return _(
            "The passphrase is the one you typed twice when the vault was made. Without it, the 24 words of the"
            " recovery kit open the vault and you choose a new passphrase."
        )

    @on(Input.Submitted)
    def action_open(self) -> None:
        field = self.query_one("#passphrase", Input)
        if field.value and not self._busy:
            self._try(field.value)
            field.value = ""

    @work
    async def _try(self, passphrase: str) -> None:
        self._busy = True
        said = self.query_one("#said", Plain)
        said.say(_("Opening: one moment."))
        try:
            vault = await in_thread(lambda: _unlock(self._path, passphrase))
        except VaultError as error:
            told = words(error)
            said.say(told.sentence if isinstance(error, UnlockFailed) else f"{sentence(error)} {told.step}")
            return
        finally:
            self._busy = False
        self.dismiss(vault)

    @work
    async def action_recover(self) -> None:
        answer = await self.app.push_screen_wait(AskRecovery())
        if answer is None:
            return
        self.query_one("#said", Plain).say(_("Opening: one moment."))
        try:
            vault = await in_thread(lambda: _recover(self._path, *answer))
        except UnlockFailed:
            self.query_one("#said", Plain).say(_("These words do not open the vault. Nothing was changed."))
            return
        except VaultError as error:
            self.query_one("#said", Plain).say(words(error).sentence)
            return
        self.dismiss(vault)


def _unlock(path: Path, passphrase: str) -> Vault:
    from vault import Vault

    return Vault.unlock(path, passphrase)


def _recover(path: Path, kit: str, passphrase: str) -> Vault:
    from vault import Vault

    return Vault.recover(path, kit, passphrase)


class AskRecovery(Form[tuple[str, str]]):
    """(the 24 words, the new passphrase)."""

    def title_text(self) -> str:
        return _("Open with the recovery kit")

    def body(self) -> ComposeResult:
        yield Plain(_("Type the 24 words in order, with spaces between them."), classes="dim below")
        yield Field(_("The 24 words"), id="kit")
        yield Field(_("New passphrase"), id="first", secret=True)
        yield Field(_("The same again"), id="second", secret=True)

    def action_submit(self) -> None:
        from vault.passphrase import accept_new, normal_form

        with self.telling():
            phrase = accept_new(self.value("first"))
            if phrase != normal_form(self.value("second")):
                self.house.tell_text(_("The two are not the same. Type them again."), bad=True)
                return
            self.dismiss((self.value("kit"), phrase))
