"""How the story is told: numbered steps with their time, what each party saw, and whether a promise was kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tui.language import _
from tui.render import clean

PARTY = 15


class Teller:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._number = 0
        self.broken = 0
        self.steps: list[dict[str, object]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step of the story: its lines, then how long it took."""
        self._number += 1
        self.line(f"\n{self._number:2}. {title}")
        before, start = self.broken, time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.line(f"{'':4}{_('{seconds:.2f} s').format(seconds=seconds)}")
        self.steps.append({"title": title, "seconds": round(seconds, 3), "kept": self.broken == before})

    def say(self, party: str, text: str) -> None:
        """What one party saw or did."""
        first, *rest = clean(text, lines=True).split("\n")
        self.line(f"{'':4}{party:<{PARTY}}{first}")
        for more in rest:
            self.line(f"{'':{4 + PARTY}}{more}")

    def promise(self, kept: bool, text: str) -> None:
        """A promise of the product, checked here and now."""
        self.broken += 0 if kept else 1
        mark = _("kept") if kept else _("BROKEN")
        self.line(f"{'':4}-> {mark}: {text}")

    def line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
