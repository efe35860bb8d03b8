"""Every history of the roster that a device was shown, and the one that holds among them.

Whoever knows the same statements comes to the same chain, in whatever order they came. Normative text: spec/roster.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from vault.errors import Malformed, TooLarge
from vault.roster import Device, Roster, beats, derive_head, rank, read_first, read_next

MAX_STATEMENTS = 8192
Known = tuple[bytes, bytes]  # a statement and the head of the one before it; b"" before the first


class Histories:
    """A tree of statements; each is read against the one before it, once."""

    def __init__(self, root: bytes, vault_id: bytes) -> None:
        self._root, self._vault = root, vault_id
        self._read: dict[bytes, Roster] = {}
        self._data: dict[bytes, bytes] = {}
        self._before: dict[bytes, bytes] = {}
        self._after: dict[bytes, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._read)

    def add(self, chain: Sequence[bytes]) -> list[Known]:
        """The statements of this chain that are new, in order. VerificationFailed for a chain that does not read, or
        begins otherwise; then nothing of it is known."""
        fresh: dict[bytes, Roster] = {}
        known: list[Known] = []
        before: Roster | None = None
        for data in chain:
            head, at = derive_head(data), before.head if before is not None else b""
            roster = self._read.get(head)
            if roster is not None and self._before[head] != at:
                raise Malformed("a statement stands at another place of the chain")
            if roster is None:
                if at == b"" and self._read:
                    raise Malformed("a chain that begins otherwise")
                roster = read_next(data, before) if before else read_first(data, self._root, self._vault)
                fresh[head] = roster
                known.append((data, at))
            before = roster
        if len(self) + len(fresh) > MAX_STATEMENTS:
            raise TooLarge("too many histories of one vault", limit=MAX_STATEMENTS)
        for roster, (data, at) in zip(fresh.values(), known, strict=True):
            self._put(roster, data, at)
        return known

    def _put(self, roster: Roster, data: bytes, at: bytes) -> None:
        self._read[roster.head], self._data[roster.head], self._before[roster.head] = roster, data, at
        self._after.setdefault(at, []).append(roster.head)

    def restore(self, data: bytes, before: bytes) -> None:
        """A statement that was added in another life of this process; the one before it came earlier."""
        read = read_next(data, self._read[before]) if before else read_first(data, self._root, self._vault)
        self._put(read, data, before)

    def chain(self, head: bytes) -> list[bytes]:
        """The chain that ends with this statement."""
        found = []
        while head:
            found.append(self._data[head])
            head = self._before[head]
        return found[::-1]

    def knows(self, head: bytes) -> bool:
        return head in self._read

    def roster(self, head: bytes) -> Roster:
        return self._read[head]

    def before(self, head: bytes) -> Roster:
        """The roster before this statement; of the first, its own."""
        return self._read[self._before[head] or head]

    def devices_from(self, head: bytes) -> dict[bytes, Device]:
        """Every device of the epoch that this statement began, and of every history that follows from there."""
        found: dict[bytes, Device] = {}
        waiting = [head]
        while waiting:
            roster = self._read[waiting.pop()]
            found.update({device.id: device for device in roster.devices})
            waiting += self._after.get(roster.head, ())
        return found

    def held(self, without: Collection[bytes] = ()) -> list[bytes]:
        """The chain that holds; `without`: heads of statements that do not count, nor what follows them."""
        after: dict[bytes, bytes] = {}
        for head in sorted(self._read, key=lambda one: -self._read[one].count):
            branches = [one for one in self._after.get(head, ()) if one not in without]
            if branches:
                after[head] = self._best(head, branches, after)
        return [self._data[roster.head] for roster in self._along(self._after[b""][0], after)]

    def _best(self, at: bytes, branches: Sequence[bytes], after: Mapping[bytes, bytes]) -> bytes:
        before = self._read[at]
        first, *others = sorted(branches, key=lambda head: rank(self._read[head], before))
        for other in others:
            if not beats([*self._along(first, after)], [*self._along(other, after)], before):
                first = other
        return first

    def _along(self, head: bytes, after: Mapping[bytes, bytes]) -> Iterator[Roster]:
        while head:
            yield self._read[head]
            head = after.get(head, b"")

    def others(self, chain: Sequence[bytes]) -> Iterator[tuple[Roster, Roster]]:
        """Statements that are not in this chain, each with the one before it."""
        inside = {derive_head(data) for data in chain}
        for head, roster in self._read.items():
            if head not in inside:
                yield roster, self._read[self._before[head]]
