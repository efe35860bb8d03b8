"""The logs of the vault: each epoch of the roster has one, and a history of the roster is a path through them.

Of each log on the path that holds everything counts up to the turn that leads to the next one. What stands in another
log, or behind that turn, counts for nothing; when another history holds, it is read once more from where it was left.
Normative text: spec/vault-channel.md, section 8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from vault.roster import Roster, derive_head
from vault.store.connection import Store
from vault.store.logs import END, LogStore
from vault.store.mailboxes import Mailbox

if TYPE_CHECKING:
    from vault.histories import Known

__all__ = ["END", "Logs"]


class Logs:
    def __init__(self, store: Store) -> None:
        self._store = LogStore(store)

    # Statements

    def statements(self) -> list[Known]:
        return self._store.statements()

    def count_statements(self) -> int:
        return self._store.count_statements()

    def keep(self, known: Iterable[Known]) -> None:
        self._store.put_statements(known)

    # Logs

    def of(self, head: bytes) -> bytes | None:
        """The log of the epoch that this statement began."""
        return self._store.logs().get(head)

    def began(self, log: bytes) -> bytes | None:
        """The head of the statement that began the epoch of this log."""
        return next((head for head, known in self._store.logs().items() if known == log), None)

    def all(self) -> list[bytes]:
        return list(self._store.logs().values())

    def add(self, head: bytes, log: bytes) -> None:
        """A log, nothing of which was taken yet and nothing of which counts before the path leads through it."""
        if self.of(head) is None:
            self._store.put_log(head, log)
            self._store.put_bookmark(log)

    def begin(self, rosters: Sequence[Roster], current: Mailbox) -> None:
        """The vault's first log, or the one that a new device was let into: it belongs to the statement that began its
        epoch."""
        if not self._store.logs():
            began = next((one for one in rosters if one.epoch == current.epoch), rosters[-1])
            self._store.put_log(began.head, current.address)
            self._store.put_path([(current.address, END)])

    def turn(self, log: bytes, following: bytes, position: int) -> None:
        """The turn that leads from one log to another stands here."""
        self._store.put_turn(log, following, position)

    # The path

    def path(self) -> list[bytes]:
        return self._store.path()

    def lead(self, chain: Iterable[bytes]) -> list[bytes]:
        """The path of the chain that holds. What counts in each log from now on is settled here."""
        known = self._store.logs()
        path = [known[head] for head in map(derive_head, chain) if head in known]
        upto = [self._store.turn(*pair) for pair in pairwise(path)]
        self._store.put_path([*zip(path, [*upto, END], strict=False)])
        for log in known.values():
            self._settle(log)
        return path

    def _settle(self, log: bytes) -> None:
        mark, upto = self._store.bookmark(log), self._store.upto(log)
        if mark is None:
            if self._store.taken(log) + 1 >= upto:
                self._store.put_bookmark(log)
        else:
            self._store.read_again(log, again=mark[0] + 1 < upto)

    def counts(self, log: bytes) -> bool:
        """Whether what comes now in this log is taken."""
        if log not in self.all():
            return True
        if self._store.bookmark(log) is None:
            self._settle(log)
        return self._store.bookmark(log) is None

    def rewind(self, own: Collection[bytes]) -> list[bytes]:
        """Logs of which more counts than was taken: they are read again from their bookmarks."""
        logs = self._store.to_read_again()
        for log in logs:
            self._store.rewind(log, own)
        return logs
