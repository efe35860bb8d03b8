"""What every screen and dialog has: its keys told in one place, help in plain words, errors told as sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from tui.language import _
from tui.widgets.bars import Key, KeyLine, TopLine
from tui.widgets.plain import Plain
from vault.errors import VaultError

if TYPE_CHECKING:
    from tui.app import ElpisApp

T = TypeVar("T")
R = TypeVar("R")


async def in_thread(work: Callable[[], R]) -> R:
    """Runs what touches disk, key derivation or the network away from the screen."""
    return await asyncio.to_thread(work)


class Telling:
    """Tells the error that ends a block; anything but an error of the vault or of a file is a fault of the program.

    A screen that the lock has taken away meanwhile says nothing.
    """

    def __init__(self, screen: Widget, house: ElpisApp) -> None:
        self._screen, self._house = screen, house

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, VaultError | OSError):
            return False
        if self._screen.is_attached:
            self._house.tell(error)
        return True


class Told(Generic[T]):
    """Shared by screens and dialogs; mixed in before Screen."""

    @property
    def house(self) -> ElpisApp:
        return cast("ElpisApp", cast(Widget, self).app)

    def offers(self) -> list[Key]:
        """What can be done here, most useful first; F1 is added behind."""
        return []

    def help_text(self) -> str:
        """A few plain sentences about this screen."""
        return ""

    def all_keys(self) -> list[Key]:
        return [*self.offers(), Key("F1", _("Help"), "app.help")]

    def show_keys(self) -> None:
        for line in cast(Widget, self).query(KeyLine):
            line.show(self.all_keys())

    def telling(self) -> Telling:
        """An error of the vault, in the block that follows, becomes a sentence on the screen."""
        return Telling(cast(Widget, self), self.house)


class HouseScreen(Told[T], Screen[T | None]):
    """A full screen: the top line, the body, the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("l,L", "app.lock", show=False)]

    def compose(self) -> ComposeResult:
        yield TopLine()
        yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        yield from ()

    def on_mount(self) -> None:
        self.show_keys()
        self.house.refresh_top_line()

    def on_screen_resume(self) -> None:
        self.house.refresh_top_line()

    def action_accesses(self) -> None:
        """A click on the top line."""


class Dialog(Told[T], ModalScreen[T | None]):
    """A box over the screen. It returns a value, None when it was left with Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]
    WIDE: ClassVar[bool] = False

    def title_text(self) -> str:
        return ""

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="wide" if self.WIDE else ""):
            yield Plain(self.title_text(), id="title")
            yield from self.body()
            yield KeyLine()

    def body(self) -> ComposeResult:
        yield from ()

    def on_mount(self) -> None:
        self.show_keys()

    def action_leave(self) -> None:
        self.dismiss(None)
