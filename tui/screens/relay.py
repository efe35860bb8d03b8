"""Which relay: asked once, remembered by the vault."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult

from tui.language import _
from tui.screens.base import HouseScreen, in_thread
from tui.screens.forms import Form
from tui.widgets.field import Field
from tui.widgets.plain import Plain


async def need_relay(screen: HouseScreen[Any]) -> bool:
    """True when a relay is remembered, after asking for one if need be."""
    house = screen.house
    vault = house.opened
    if await in_thread(vault.people.relay) is not None:
        return True
    url = await screen.app.push_screen_wait(AskRelay())
    if not url:
        return False
    with screen.telling():
        await in_thread(lambda: house.need_watcher().set_relay(url))
        house.sync()
        return True
    return False


class AskRelay(Form[str]):
    """The address of a relay."""

    def title_text(self) -> str:
        return _("Which relay?")

    def body(self) -> ComposeResult:
        yield Plain(
            _(
                "A relay carries sealed envelopes between you and your professionals. It cannot read them. Type the"
                " address that was given to you."
            ),
            classes="below",
        )
        yield Field(_("Address"), id="url", hint="https://relay.example")

    def action_submit(self) -> None:
        url = self.value("url")
        if not url.startswith(("https://", "http://")):
            self.house.tell_text(_("An address begins with https://"), bad=True)
        else:
            self.dismiss(url)
