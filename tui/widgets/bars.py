"""The two permanent lines: what is open to whom and when it was last synchronised, above; the keys, below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text
from textual import events
from textual.widget import Widget

from tui.render import cells, clean, fit


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a person can do here: the key as printed on it, what it does in a few words, the action."""

    cap: str
    label: str
    action: str


class TopLine(Widget):
    """Left: whose vault. Right: the accesses now open, then the last synchronisation; an alarm takes the right side."""

    def __init__(self) -> None:
        super().__init__()
        self._left = self._right = self._alarm = ""

    def say(self, left: str, right: str) -> None:
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def alarm(self, text: str) -> None:
        """What must be seen now, "" to take it away."""
        if text != self._alarm:
            self._alarm = text
            self.refresh()

    def render(self) -> Text:
        right = clean(self._alarm or self._right)
        room = max(0, self.size.width - cells(right) - 3)
        line = Text(" ").append(fit(self._left, room), Style(bold=True)).append(" ")
        return line.append(right, Style(reverse=bool(self._alarm), bold=bool(self._alarm))).append(" ")

    async def on_click(self, event: events.Click) -> None:
        await self.screen.run_action("screen.accesses")


class KeyLine(Widget):
    """The keys of the screen, clickable; those that do not fit are left to F1, which comes last and always fits."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: Sequence[Key] = ()
        self._spans: list[tuple[int, int, str]] = []

    def show(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        self.refresh()

    def render(self) -> Text:
        self._spans = []
        line = Text()
        room = self.size.width
        last = self._keys[-1:]
        reserved = sum(_width(key) for key in last)
        for key in [*self._keys[:-1], *last]:
            keep = 0 if key in last else reserved
            if line.cell_len + _width(key) + keep > room:
                continue
            start = line.cell_len
            line.append(f" {key.cap} ", Style(reverse=True, bold=True)).append(f" {key.label}  ")
            self._spans.append((start, line.cell_len, key.action))
        return line

    async def on_click(self, event: events.Click) -> None:
        for start, end, action in self._spans:
            if start <= event.x < end:
                await self.screen.run_action(action)


def _width(key: Key) -> int:
    return cells(key.cap) + cells(key.label) + 5
