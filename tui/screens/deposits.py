"""Deposits of people whom the vault does not know: they wait here for the holder's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.language import _
from tui.messages import Changed
from tui.render import clean, fit, instant, role
from tui.screens.base import HouseScreen, in_thread
from tui.screens.forms import Confirm
from tui.widgets.bars import Key
from tui.widgets.rows import VirtualList

if TYPE_CHECKING:
    from vault.feeding import Waiting


class Deposits(HouseScreen[None]):
    """One line per deposit; taken or refused, one by one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("x,X", "refuse", show=False),
    ]

    def body(self) -> ComposeResult:
        yield VirtualList["Waiting"](
            self._draw, id="deposits", empty=_("Nothing waits. What people you know send is filed by itself.")
        )

    def on_mount(self) -> None:
        super().on_mount()
        self._rows.focus()
        self._read()

    @property
    def _rows(self) -> VirtualList[Waiting]:
        return self.query_one("#deposits", VirtualList)

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key(_("Enter"), _("Take it"), "take"),
            Key("X", _("Refuse it"), "refuse"),
        ]

    def help_text(self) -> str:
        return _(
            "Whoever has your card can send you documents without being able to read anything. Those of people"
            " whom you do not know wait here. Take only what you expected, from somebody you recognise."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            self._rows.show(await in_thread(vault.feeding.waiting), keep_pointer=True)

    def on_changed(self, event: Changed) -> None:
        self._read()

    def action_leave(self) -> None:
        self.dismiss(None)

    def _draw(self, item: Waiting, width: int) -> Text:
        who = f"{clean(item.name)} ({role(item.role)})" if item.role else clean(item.name)
        return Text(f"{fit(instant(item.received), 24)}  {fit(who, 24)}  {fit(item.title, width - 52)}")

    def action_take(self) -> None:
        self._rows.action_choose()

    @on(VirtualList.Chosen)
    def _take(self, event: VirtualList.Chosen) -> None:
        self._settle(event.row, take=True)

    def action_refuse(self) -> None:
        if (row := self._rows.row) is not None:
            self._settle(row, take=False)

    @work
    async def _settle(self, item: Waiting, *, take: bool) -> None:
        feeding = self.house.opened.feeding
        title = _("Take this deposit?") if take else _("Refuse this deposit?")
        text = _("“{title}”, sent by {name}. No authority vouches for the sender.").format(
            title=clean(item.title), name=clean(item.name)
        )
        if await self.app.push_screen_wait(Confirm(title, text, _("Take it") if take else _("Refuse it"))):
            with self.telling():
                await in_thread(lambda: feeding.accept(item.id) if take else feeding.refuse(item.id))
                self.house.changed()
                self.house.sync()
