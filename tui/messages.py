"""What workers tell the screens. A worker never touches a widget: it posts one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.exchange import Event
    from vault.errors import VaultError


class Synced(Message):
    """An exchange with the relay has ended well, `at` seconds since 1970. `events` is what it brought; when `sent`,
    the relay confirmed something that was waiting here."""

    def __init__(self, events: Sequence[Event], at: int, sent: bool = False) -> None:
        super().__init__()
        self.events, self.at, self.sent = tuple(events), at, sent


class SyncFailed(Message):
    """The relay could not be reached, or refused, or contradicted itself."""

    def __init__(self, error: VaultError) -> None:
        super().__init__()
        self.error = error


class Fault(Message):
    """A thread failed in a way that no error of the vault explains: the program ends as after any other fault."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Changed(Message):
    """Something on the screen may be out of date: an exchange brought news, or a dialog changed the vault."""
