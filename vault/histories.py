"""Every history of the roster that a device was shown, and the one that holds among them.

Whoever knows the same statements comes to the same chain, in whatever order they came. Normative text: spec/roster.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain as joined

from vault.errors import Malformed, TooLarge
from vault.roster import Device, Roster, derive_head, rank, read_first, read_next

MAX_STATEMENTS = 8192
ROUNDS = 64  # in which it is decided which removals count
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

    def add(self, chain: Sequence[bytes], *, holding: bytes = b"") -> list[Known]:
        """The statements of this chain that are new, in order. VerificationFailed for a chain that does not read, or
        begins otherwise; then nothing of it is known. `holding`: the head of the chain that holds; what goes on from
        there is taken however many others there are."""
        fresh: dict[bytes, Roster] = {}
        known: list[Known] = []
        before: Roster | None = None
        goes_on = False
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
            goes_on = goes_on or head == holding
        if not goes_on and len(self) + len(fresh) > MAX_STATEMENTS:
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

    def heads(self) -> list[bytes]:
        """Of every statement that is known."""
        return list(self._read)

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

    def held(self) -> list[bytes]:
        """The chain that holds."""
        void = self._void()
        chain, at = [], self._after[b""][0]
        while True:
            chain.append(self._data[at])
            following = [head for head in self._after.get(at, ()) if head not in void]
            if not following:
                return chain
            before = self._read[at]
            at = min((rank(self._read[head], before), head) for head in following)[1]

    def struck(self, head: bytes) -> set[bytes]:
        """Who signed statements that follow this one and are void: there, another one would be too."""
        void = self._void()
        return {self._read[one].signer for one in self._after.get(head, ()) if one in void}

    def _void(self) -> set[bytes]:
        """Statements that count for nothing, because a removal beats what the removed device did concurrently."""
        strikes, void = self._strikes(), set[bytes]()
        undecided = list(strikes)
        for _ in range(ROUNDS):
            threatened = self._with_following(joined.from_iterable(strikes[head] for head in undecided), void)
            counting = [head for head in undecided if head not in threatened] or undecided[:1]
            void |= self._with_following(joined.from_iterable(strikes[head] for head in counting), void)
            undecided = [head for head in undecided if head not in void and head not in counting]
            if not undecided:
                break
        return void

    def _strikes(self) -> dict[bytes, list[bytes]]:
        """head of a removal -> what its removed devices signed concurrently, in the order of section 4."""
        signed: dict[bytes, list[bytes]] = {}
        for roster in self._read.values():
            signed.setdefault(roster.signer, []).append(roster.head)
        appeared = self._appeared()
        spans = self._spans()
        found = []
        for head, roster in self._read.items():
            before = self.before(head)
            gone = [device.sign for device in before.devices if not roster.has(device.id)]
            if not gone or _renews(before, roster):
                continue
            begin, end = spans[head]
            theirs = [other for sign in gone for other in signed.get(sign, ())]
            apart = [other for other in theirs if spans[other][1] < begin or end < spans[other][0]]
            by = (0, 0, b"") if roster.signer == before.root else appeared[roster.signer]
            found.append(((by, roster.count, head), apart))
        return {order[2]: apart for order, apart in sorted(found)}

    def _appeared(self) -> dict[bytes, tuple[int, int, bytes]]:
        """Signing key -> where it first appears in the tree."""
        appeared: dict[bytes, tuple[int, int, bytes]] = {}
        for roster in self._read.values():
            for place, device in enumerate(roster.devices):
                new = (roster.count, place, device.sign)
                appeared[device.sign] = min(new, appeared.get(device.sign, new))
        return appeared

    def _spans(self) -> dict[bytes, tuple[int, int]]:
        """Where each statement stands when the tree is walked, and where what follows it ends."""
        begun: dict[bytes, int] = {}
        spans: dict[bytes, tuple[int, int]] = {}
        waiting = [(head, False) for head in self._after.get(b"", ())]
        while waiting:
            head, done = waiting.pop()
            if done:
                spans[head] = (begun[head], len(begun) - 1)
                continue
            begun[head] = len(begun)
            waiting.append((head, True))
            waiting += [(following, False) for following in self._after.get(head, ())]
        return spans

    def _with_following(self, heads: Iterable[bytes], known: Collection[bytes]) -> set[bytes]:
        """These statements and all that follow them, but for those that are `known`."""
        found: set[bytes] = set()
        waiting = list(heads)
        while waiting:
            at = waiting.pop()
            if at not in known and at not in found:
                found.add(at)
                waiting += self._after.get(at, ())
        return found

    def former(self, device: bytes) -> set[bytes]:
        """The ids that this device had before its renewals, in whatever history."""
        found: set[bytes] = set()
        waiting = [device]
        while waiting:
            at = waiting.pop()
            for roster in self._read.values():
                before = self.before(roster.head)
                gone = [one.id for one in before.devices if not roster.has(one.id)]
                if roster.has(at) and not before.has(at) and _renews(before, roster) and gone[0] not in found:
                    found.add(gone[0])
                    waiting.append(gone[0])
        return found

    def others(self, chain: Sequence[bytes]) -> Iterator[tuple[Roster, Roster]]:
        """Statements that are not in this chain, each with the one before it."""
        inside = {derive_head(data) for data in chain}
        for head, roster in self._read.items():
            if head not in inside:
                yield roster, self._read[self._before[head]]


def _renews(before: Roster, roster: Roster) -> bool:
    """Whether a single device leaves and a single one comes: one with new keys."""
    left = sum(not roster.has(device.id) for device in before.devices)
    return left == 1 and len(roster.devices) == len(before.devices)
