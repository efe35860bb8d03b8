"""The trace of grants given: what relays recorded, checked against what grantees signed. Normative: spec/opening.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.encoding import MAX_TIME
from vault.errors import NotFound, VerificationFailed
from vault.opening import verify_opening
from vault.store.grants import Given, GrantStore

if TYPE_CHECKING:
    from vault.vault import Vault

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
        held = self._grants.items(number)
        items, titles = self._grants.documents_of_tags(number), {item.document: item.title for item in held}
        lines: list[TraceLine] = []
        counter = given.counter
        with self._vault.store.transaction():
            for position, time, entry in entries:
                made, counter = self._check(given, items, titles, counter, position, time, entry)
                lines += made
            self._grants.proven(number, counter)
            self._grants.advance_trace(number, count, chain)
        return lines

    def _check(
        self,
        given: Given,
        items: dict[bytes, bytes],
        titles: dict[bytes, str],
        counter: int,
        position: int,
        time: int,
        entry: bytes,
    ) -> tuple[list[TraceLine], int]:
        """One entry: (a line for each document, the counter that the next one must exceed)."""
        documents: tuple[bytes, ...] = ()
        why, state, detail = "", "unknown", ""
        try:
            opened = verify_opening(
                entry,
                reader=given.reader,
                grantee=given.sign,
                me=self._vault.identity.box,
                number=given.number,
                grant_hash=given.hash,
                items=items,
                after=counter,
            )
            documents, why, state, counter = opened.documents, opened.why, "opened", opened.counter
        except VerificationFailed as failure:
            detail = failure.code
        self._grants.add_opening(given.number, position, time, entry, b"".join(documents), why, state, detail)
        shown = why or given.purpose
        lines = [
            _line(given, time, titles.get(document, ""), document, shown, state, state == "opened", detail)
            for document in documents or (b"",)
        ]
        return lines, counter

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
            row, held = given[opening.number], titles.get(opening.number, {})
            shown, proven = opening.why or row.purpose, opening.state == "opened"
            for document in opening.documents or (b"",):
                title = held.get(document, "")
                lines.append(_line(row, opening.time, title, document, shown, opening.state, proven, opening.detail))
        return tuple(sorted(lines, key=lambda line: (line.time, _ORDER[line.state])))


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
