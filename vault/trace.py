"""The trace of grants given: what relays recorded, checked against what grantees signed. Normative: spec/opening.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vault.encoding import MAX_TIME
from vault.errors import NotFound, VerificationFailed
from vault.opening import read_request, verify_opening
from vault.store.grants import Given, GrantStore

if TYPE_CHECKING:
    from vault.vault import Vault

UNNAMED = NotFound.code  # of an opening by a tag that this device does not know, or not yet
KEPT = 7 * 86_400  # seconds after the end during which a relay is still asked for late entries
_ORDER = {"granted": 0, "opened": 1, "unknown": 1, "revoked": 2, "ended": 2}


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of the journal. "opened" and `verified` only when the professional's own signature proves it."""

    time: int
    person: str
    role: str
    document: str
    document_id: str
    purpose: str
    state: str
    verified: bool
    detail: str = ""


class Trace:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._grants = GrantStore(vault.store)

    def to_follow(self) -> list[Given]:
        """Grants whose trace may still grow, or ended not long ago."""
        return self._grants.to_trace(int(self._vault.clock()), KEPT)

    def take(self, number: bytes, entries: list[tuple[int, int, bytes]], count: int, chain: bytes) -> list[TraceLine]:
        """Check and keep entries (position, time, bytes) that followed the relay's chain up to (count, chain)."""
        given = self._grants.given(number)
        if given is None:
            raise NotFound("the trace of an unknown grant")
        reading = _Reading(self._vault, self._grants, given)
        lines: list[TraceLine] = []
        with self._vault.store.transaction():
            for position, time, entry in entries:
                found = reading.judge(entry)
                self._grants.add_opening(number, position, time, entry, *found)
                lines += reading.lines(time, found)
            self._grants.proven(number, reading.counter)
            self._grants.advance_trace(number, count, chain)
        return lines

    def look_again(self) -> list[TraceLine]:
        """Openings by a tag that was not known when they were read: another device's renewal may have told it since."""
        lines: list[TraceLine] = []
        with self._vault.store.transaction():
            for number, entries in self._grants.unnamed().items():
                given = self._grants.given(number)
                if given is None:
                    continue
                reading = _Reading(self._vault, self._grants, given)
                for position, time, entry in entries:
                    reading.counter = self._counter_before(given, position)
                    found = reading.judge(entry)
                    if found.detail != UNNAMED:
                        self._grants.judge_opening(number, position, *found)
                        self._grants.proven(number, reading.counter)
                        lines += reading.lines(time, found)
        return lines

    def _counter_before(self, given: Given, position: int) -> int:
        """Of the last opening before this place that was proven, 0 without one. Another device's word may be none."""
        before = self._grants.proven_before(given.number, position)
        try:
            return read_request(before, given.reader).counter if before else 0
        except VerificationFailed:
            return 0

    def put_receipt(self, number: bytes, receipt: bytes) -> None:
        self._grants.put_receipt(number, receipt)

    def lines(self) -> tuple[TraceLine, ...]:
        """Everything that happened to grants, oldest first: granted, opened, revoked, ended, unknown."""
        lines: list[TraceLine] = []
        given = {row.number: row for row in self._grants.all_given()}
        items = self._grants.all_items()
        titles = {number: {item.document: item.title for item in held} for number, held in items.items()}
        for number, row in given.items():
            for document, title in titles.get(number, {}).items():
                lines.append(_line(row, row.made, title, document, row.purpose, "granted", True))
                if row.ended is not None:
                    end, proven = row.until if row.state == "ended" else row.ended, row.receipt is not None
                    lines.append(_line(row, end, title, document, row.purpose, row.state, proven))
        for opening in self._grants.openings():
            if opening.number not in given:
                continue  # another device told of it, and of its grant nothing that counts
            row, held = given[opening.number], titles.get(opening.number, {})
            shown, proven = opening.why or row.purpose, opening.state == "opened"
            for document in opening.documents or (b"",):
                title = held.get(document, "")
                lines.append(_line(row, opening.time, title, document, shown, opening.state, proven, opening.detail))
        return tuple(sorted(lines, key=lambda line: (line.time, _ORDER[line.state])))


class _Found(NamedTuple):
    """What an entry proves: the documents, 16 bytes each; `state` is "opened" or "unknown", for the reason `detail`."""

    documents: bytes
    why: str
    state: str
    detail: str


class _Reading:
    """The entries of one grant's trace, in order. `counter`: what the next one must exceed."""

    def __init__(self, vault: Vault, grants: GrantStore, given: Given) -> None:
        self._given, self._me, self.counter = given, vault.identity.box, given.counter
        self._items = grants.documents_of_tags(given.number)
        self._titles = {item.document: item.title for item in grants.items(given.number)}

    def judge(self, entry: bytes) -> _Found:
        try:
            opened = verify_opening(
                entry,
                reader=self._given.reader,
                grantee=self._given.sign,
                me=self._me,
                number=self._given.number,
                grant_hash=self._given.hash,
                items=self._items,
                after=self.counter,
            )
        except (VerificationFailed, NotFound) as failure:
            known = failure.facts.get("documents")
            return _Found(known if isinstance(known, bytes) else b"", "", "unknown", failure.code)
        self.counter = opened.counter
        return _Found(b"".join(opened.documents), opened.why, "opened", "")

    def lines(self, time: int, found: _Found) -> list[TraceLine]:
        """A line for each document."""
        documents = [found.documents[at : at + 16] for at in range(0, len(found.documents), 16)] or [b""]
        why, proven = found.why or self._given.purpose, found.state == "opened"
        return [
            _line(self._given, time, self._titles.get(item, ""), item, why, found.state, proven, found.detail)
            for item in documents
        ]


def _line(
    given: Given,
    time: int,
    title: str,
    document: bytes,
    purpose: str,
    state: str,
    verified: bool,
    detail: str = "",
) -> TraceLine:
    # A relay may claim any time; no calendar shows more than the year 9999.
    return TraceLine(
        min(time, MAX_TIME), given.name, given.role, title, document.hex(), purpose, state, verified, detail
    )
