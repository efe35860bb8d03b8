"""Driving the screens without a terminal: a pilot at 80x24, what can be read there, waiting for what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from tui.app import ElpisApp
from vault import Vault

SIZE = (80, 24)
PATIENCE = 10.0


class Screens:
    """An application under a pilot."""

    def __init__(self, app: ElpisApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, name: str, text: str) -> None:
        """Puts text into a field, as a paste would."""
        await self.until(lambda: bool(self.app.screen.query(f"#{name}")))
        field = self.app.screen.query_one(f"#{name}", Input)
        field.focus()
        field.value = text
        await self.pilot.pause()

    async def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            told = [str(notice.message) for notice in self.app._notifications]
            assert time.monotonic() < end, f"waited in vain on:\n{self.text()}\n{told}"
            await self.pilot.pause(0.02)

    async def see(self, *words: str) -> str:
        """Waits until all the words are on the screen; what is on it."""
        await self.until(lambda: all(word in self.text() for word in words))
        return self.text()

    def text(self) -> str:
        """The screen as a person reads it."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)


@asynccontextmanager
async def running(app: ElpisApp) -> AsyncIterator[Screens]:
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        try:
            yield Screens(app, pilot)
        finally:
            app.close()


@asynccontextmanager
async def inside(vault: Vault, **options: Any) -> AsyncIterator[Screens]:
    """The screens of a vault that is open already."""
    app = ElpisApp(vault.path, **options)
    async with running(app) as screens:
        app.pop_screen()
        app.enter(vault)
        await screens.pilot.pause()
        yield screens


def run(story: Callable[[], Any]) -> None:
    asyncio.run(story())
