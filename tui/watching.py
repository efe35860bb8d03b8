"""The exchange in the background: a thread that waits at the relay and says what came. It knows no widget.

Daemon threads and not workers of the screen library: a wait of half a minute at a relay must never hold the door when
somebody locks or leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vault.errors import VaultError

if TYPE_CHECKING:
    from sync.exchange import Event, Exchange, Report
    from vault import Vault

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 120.0  # seconds before trying again after a failure, doubling

Synced = Callable[[Sequence["Event"], int, bool], object]
Failed = Callable[[VaultError], object]


class Watcher:
    """One exchange for the time that a vault is open. `synced` and `failed` are called from its threads."""

    def __init__(self, vault: Vault, synced: Synced, failed: Failed) -> None:
        self._vault, self._synced, self._failed = vault, synced, failed
        self._stop = threading.Event()
        self._made: Exchange | None = None
        self._making = threading.Lock()

    @property
    def exchange(self) -> Exchange:
        with self._making:
            if self._made is None:
                from sync.exchange import Exchange, Report

                self._made = Exchange(self._vault, caught=lambda event: self._tell(Report(events=[event])))
            return self._made

    def start(self) -> None:
        """Exchanges once, then follows the relay until `stop`."""
        if self._stop.is_set():
            return
        self.sync()
        threading.Thread(target=self._follow, name="elpis-watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def sync(self) -> None:
        """One exchange now, beside the waiting. Nothing happens while no relay is remembered."""
        threading.Thread(target=self._once, name="elpis-sync", daemon=True).start()

    def set_relay(self, url: str) -> None:
        """Remembers the relay. RelayUnreachable when it does not answer."""
        self.exchange.set_relay(url)

    def _once(self) -> None:
        try:
            if self._vault.people.relay() is not None:
                self._tell(self.exchange.sync())
        except VaultError as error:
            self._fail(error)

    def _follow(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                self.exchange.watch(self._tell, self._stop)
                pause = FIRST_PAUSE
            except VaultError as error:
                self._fail(error)
                pause = min(pause * 2, LONGEST_PAUSE)
            self._stop.wait(pause)
        if self._made is not None:
            self._made.close()

    def _tell(self, report: Report) -> None:
        if not self._stop.is_set():
            self._synced(report.events, int(self._vault.clock()), report.pushed > 0)

    def _fail(self, error: VaultError) -> None:
        """After the lock there is nobody to tell: the vault went away under the exchange, as it should."""
        if not self._stop.is_set():
            self._failed(error)
