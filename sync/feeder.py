"""Feeding goes on: a folder is looked through, messages are answered, and what is queued is sent, until told to stop.

A relay that is away holds nothing up here: what it is to get stays queued, in the vault. Normative: spec/feeding.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sync.exchange import Exchange
from sync.report import Report
from vault.errors import StorageFailed
from vault.feed import SETTLED, Feed, Pass

EVERY = 2.0
PATIENCE = 60.0  # the longest pause between two tries to reach a relay


class Feeder:
    """One feed and the exchange that sends what it queues."""

    def __init__(self, feed: Feed, exchange: Exchange) -> None:
        self._feed = feed
        self._exchange = exchange
        exchange.sweep()  # before anything is sealed: what a crash left behind

    def once(self, folder: Path | None, *, move_to: Path | None = None, stop: threading.Event) -> tuple[Pass, Report]:
        """Take what is there, wait for what is still being written, send, and move what was sent."""
        whole = Pass()
        while folder is not None:
            done = self._feed.folder(folder, stop=stop)
            whole.outcomes += done.outcomes
            whole.documents += done.documents
            whole.waiting = done.waiting
            if not done.waiting or stop.wait(SETTLED / 2):
                break
        report = self._exchange.push()
        if folder is not None and move_to is not None:
            whole.moved = self._feed.folder(folder, move_to=move_to, stop=stop).moved
        return whole, report

    def run(
        self,
        folder: Path | None,
        *,
        move_to: Path | None = None,
        stop: threading.Event,
        paused: Callable[[StorageFailed], None] = lambda failure: None,
    ) -> None:
        """Until `stop`. Sending has a thread of its own, so that a slow relay keeps no message waiting.

        `paused` is told when there is no room now; the next look finds the same files.
        """
        with ThreadPoolExecutor(1, "feeder-send") as threads:
            sending = threads.submit(self._send, stop, paused)
            try:
                while not stop.is_set():
                    self._feed.refresh()
                    if folder is not None:
                        try:
                            self._feed.folder(folder, move_to=move_to, stop=stop)
                        except StorageFailed as failure:
                            paused(failure)
                    stop.wait(EVERY)
            finally:
                stop.set()
        sending.result()  # what ended it ends the feeding

    def _send(self, stop: threading.Event, paused: Callable[[StorageFailed], None]) -> None:
        pause = EVERY
        try:
            while not stop.is_set():
                try:
                    away = bool(self._exchange.push().unreachable)
                except StorageFailed as failure:
                    paused(failure)
                    away = True
                pause = min(pause * 2, PATIENCE) if away else EVERY / 4
                stop.wait(pause)
        finally:
            stop.set()
