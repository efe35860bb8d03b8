"""SQL about grants given, openings, grants received (visits) and deposits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.errors import NotFound
from vault.store.connection import Store

_GIVEN = (
    "number, person, sign, box, hash, name, role, body, half, relay_half, reader, owner, relay, "
    '"right", purpose, made, until, state, '
    "ended, receipt, count, chain, counter"
)
_VISIT = (
    'number, issuer_sign, issuer_box, patient, "right", purpose, not_before, until, offline, relay, relay_key, '
    "grant_hash, half, reader, counter, state, received"
)
_VISIT_ITEM = "number, document, epoch, edition, tag, mailbox, masked, label, opened"
_MANY = 500  # values in one SQL list


@dataclass(frozen=True, slots=True, repr=False)
class Given:
    """A grant this vault gave. `state`: active, revoked, ended. `sign` and `box` are the grantee's keys, `hash` the
    grant's, `counter` that of the last opening that was proven."""

    number: bytes
    person: bytes
    sign: bytes
    box: bytes
    hash: bytes
    name: str
    role: str
    body: bytes
    half: bytes
    relay_half: bytes | None
    reader: bytes
    owner: bytes
    relay: str
    right: str
    purpose: str
    made: int
    until: int
    state: str
    ended: int | None
    receipt: bytes | None
    count: int
    chain: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class GivenItem:
    document: bytes
    tag: bytes
    title: str


@dataclass(frozen=True, slots=True)
class OpeningRow:
    number: bytes
    position: int
    time: int
    documents: tuple[bytes, ...]
    why: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True, repr=False)
class VisitRow:
    """A grant this vault received. `state`: open, ended. Halves are None once it ended."""

    number: bytes
    issuer_sign: bytes
    issuer_box: bytes
    patient: str
    right: str
    purpose: str
    not_before: int
    until: int
    offline: int
    relay: str
    relay_key: bytes
    grant_hash: bytes
    half: bytes | None
    reader: bytes | None
    counter: int
    state: str
    received: int


@dataclass(frozen=True, slots=True, repr=False)
class VisitItem:
    """One document of it. `masked` and `label` are None once it ended, and in a grant of an earlier version."""

    number: bytes
    document: bytes
    epoch: int
    edition: bytes
    tag: bytes
    mailbox: bytes
    masked: bytes | None
    label: bytes | None
    opened: int | None


class GrantStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add_given(self, given: Given, items: list[GivenItem]) -> None:
        values = [getattr(given, name) for name in Given.__dataclass_fields__]
        marks = ", ".join("?" * len(values))
        self._store.run(f"INSERT INTO given ({_GIVEN}) VALUES ({marks})", values)
        rows = ((given.number, at, item.document, item.tag, item.title) for at, item in enumerate(items))
        self._store.run_many("INSERT INTO given_item VALUES (?, ?, ?, ?, ?)", rows)

    def given(self, number: bytes) -> Given | None:
        row = self._store.row(f"SELECT {_GIVEN} FROM given WHERE number = ?", (number,))
        return Given(*row) if row else None

    def all_given(self) -> list[Given]:
        return [Given(*row) for row in self._store.rows(f"SELECT {_GIVEN} FROM given ORDER BY made DESC, rowid DESC")]

    def active(self) -> list[Given]:
        return [Given(*row) for row in self._store.rows(f"SELECT {_GIVEN} FROM given WHERE state = 'active'")]

    def to_trace(self, now: int, keep: int) -> list[Given]:
        """Grants that a relay knows and whose trace may still grow, or that ended less than `keep` seconds ago."""
        return [
            Given(*row)
            for row in self._store.rows(
                f"SELECT {_GIVEN} FROM given WHERE (state = 'active' OR ended > ?) AND NOT EXISTS "
                "(SELECT 1 FROM outbox WHERE belongs = number AND verb = 'put_half')",
                (now - keep,),
            )
        ]

    def find_given(self, prefix: str) -> list[Given]:
        """At most two grants whose number begins so (hex)."""
        rows = self._store.rows(f"SELECT {_GIVEN} FROM given WHERE lower(hex(number)) LIKE ? || '%' LIMIT 2", (prefix,))
        return [Given(*row) for row in rows]

    def signs_of(self, document: bytes) -> set[bytes]:
        """Signing keys of everybody who was ever given this document."""
        rows = self._store.rows(
            "SELECT DISTINCT sign FROM given JOIN given_item USING (number) WHERE given_item.document = ?", (document,)
        )
        return {row[0] for row in rows}

    def active_for(self, documents: Sequence[bytes]) -> dict[bytes, list[Given]]:
        """document -> the active grants of it, for each document that somebody may open."""
        given: dict[bytes, Given] = {}
        found: dict[bytes, list[Given]] = {}
        for start in range(0, len(documents), _MANY):
            some = documents[start : start + _MANY]
            rows = self._store.rows(
                "SELECT document, number FROM given_item JOIN given USING (number) "
                f"WHERE state = 'active' AND document IN ({', '.join('?' * len(some))}) ORDER BY given.rowid",
                some,
            )
            for document, number in rows:
                if number not in given:
                    given[number] = self._need_given(number)
                found.setdefault(document, []).append(given[number])
        return found

    def _need_given(self, number: bytes) -> Given:
        row = self.given(number)
        if row is None:
            raise NotFound("no such grant")
        return row

    def items(self, number: bytes) -> list[GivenItem]:
        rows = self._store.rows(
            "SELECT document, tag, title FROM given_item WHERE number = ? ORDER BY position", (number,)
        )
        return [GivenItem(*row) for row in rows]

    def add_tags(self, number: bytes, tags: Iterable[tuple[bytes, bytes]]) -> None:
        """(tag, document) of a renewal: an opening may name any tag that its document ever had."""
        rows = ((number, tag, document) for tag, document in tags)
        self._store.run_many("INSERT INTO given_tag VALUES (?, ?, ?)", rows)

    def documents_of_tags(self, number: bytes) -> dict[bytes, bytes]:
        """tag -> document, of the grant and of all its renewals."""
        rows = self._store.rows(
            "SELECT tag, document FROM given_item WHERE number = ? "
            "UNION ALL SELECT tag, document FROM given_tag WHERE number = ?",
            (number, number),
        )
        return {row[0]: row[1] for row in rows}

    def all_items(self) -> dict[bytes, list[GivenItem]]:
        """The items of every grant, in order."""
        found: dict[bytes, list[GivenItem]] = {}
        for row in self._store.rows("SELECT number, document, tag, title FROM given_item ORDER BY number, position"):
            found.setdefault(row[0], []).append(GivenItem(*row[1:]))
        return found

    def end_given(self, number: bytes, state: str, now: int) -> None:
        """Over: the halves that this vault kept to renew it are forgotten."""
        self._store.run(
            "UPDATE given SET state = ?, ended = ?, relay_half = NULL WHERE number = ? AND state = 'active'",
            (state, now, number),
        )

    def put_receipt(self, number: bytes, receipt: bytes) -> None:
        self._store.run("UPDATE given SET receipt = ? WHERE number = ?", (receipt, number))

    def advance_trace(self, number: bytes, count: int, chain: bytes) -> None:
        self._store.run("UPDATE given SET count = ?, chain = ? WHERE number = ?", (count, chain, number))

    def proven(self, number: bytes, counter: int) -> None:
        """An opening with this counter was proven: the next one must have a greater."""
        self._store.run("UPDATE given SET counter = max(counter, ?) WHERE number = ?", (counter, number))

    def add_opening(
        self, number: bytes, position: int, time: int, entry: bytes, documents: bytes, why: str, state: str, detail: str
    ) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO opening VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, position, time, entry, documents, why, state, detail),
        )

    def judge_opening(self, number: bytes, position: int, documents: bytes, why: str, state: str, detail: str) -> None:
        """What came of a line of the trace that was looked at again."""
        self._store.run(
            "UPDATE opening SET documents = ?, why = ?, state = ?, detail = ? WHERE number = ? AND position = ?",
            (documents, why, state, detail, number, position),
        )

    def unnamed(self) -> dict[bytes, list[tuple[int, int, bytes]]]:
        """Of each grant, (position, time, entry) of the openings that name a tag which was not known, in order."""
        found: dict[bytes, list[tuple[int, int, bytes]]] = {}
        for number, *entry in self._store.rows(
            "SELECT number, position, time, entry FROM opening WHERE detail = 'not-found' ORDER BY number, position"
        ):
            found.setdefault(number, []).append((entry[0], entry[1], entry[2]))
        return found

    def proven_before(self, number: bytes, position: int) -> bytes | None:
        """The entry of the last opening before this place of the trace that was proven."""
        row = self._store.row(
            "SELECT entry FROM opening WHERE number = ? AND position < ? AND state = 'opened'"
            " ORDER BY position DESC LIMIT 1",
            (number, position),
        )
        return row[0] if row else None

    def openings(self) -> list[OpeningRow]:
        rows = self._store.rows(
            "SELECT number, position, time, documents, why, state, detail FROM opening ORDER BY time"
        )
        return [
            OpeningRow(row[0], row[1], row[2], _ids(row[3]), row[4], row[5], row[6])
            for row in rows
        ]  # fmt: skip

    def entries(self, number: bytes) -> list[tuple[int, int, bytes]]:
        """(position, time, entry bytes) of a grant's trace, in order: what `verify` checks again."""
        rows = self._store.rows(
            "SELECT position, time, entry FROM opening WHERE number = ? ORDER BY position", (number,)
        )
        return [(row[0], row[1], row[2]) for row in rows]

    # Visits: grants received

    def add_visit(self, visit: VisitRow, items: list[VisitItem]) -> None:
        values = [getattr(visit, name) for name in VisitRow.__dataclass_fields__]
        marks = ", ".join("?" * len(values))
        self._store.run(f"INSERT OR IGNORE INTO visit ({_VISIT}) VALUES ({marks})", values)
        self.put_visit_items(items)

    def put_visit_items(self, items: Sequence[VisitItem]) -> None:
        """New documents of a grant, or later epochs of those that are there."""
        self._store.run_many(
            f"INSERT INTO visit_item ({_VISIT_ITEM}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (number, document) DO UPDATE SET epoch = excluded.epoch, edition = excluded.edition, "
            "tag = excluded.tag, mailbox = excluded.mailbox, masked = excluded.masked, label = excluded.label "
            "WHERE excluded.epoch > epoch",
            ([getattr(item, name) for name in VisitItem.__dataclass_fields__] for item in items),
        )

    def visit(self, number: bytes) -> VisitRow | None:
        row = self._store.row(f"SELECT {_VISIT} FROM visit WHERE number = ?", (number,))
        return VisitRow(*row) if row else None

    def visits(self) -> list[VisitRow]:
        return [
            VisitRow(*row) for row in self._store.rows(f"SELECT {_VISIT} FROM visit ORDER BY received DESC, rowid DESC")
        ]

    def visit_items(self, number: bytes) -> list[VisitItem]:
        rows = self._store.rows(f"SELECT {_VISIT_ITEM} FROM visit_item WHERE number = ? ORDER BY document", (number,))
        return [VisitItem(*row) for row in rows]

    def all_visit_items(self) -> dict[bytes, list[VisitItem]]:
        found: dict[bytes, list[VisitItem]] = {}
        for row in self._store.rows(f"SELECT {_VISIT_ITEM} FROM visit_item ORDER BY number, document"):
            found.setdefault(row[0], []).append(VisitItem(*row))
        return found

    def open_from(self, issuer_sign: bytes) -> tuple[int, int]:
        """How many grants received are open: (of this holder, of everybody)."""
        row = self._store.row(
            "SELECT coalesce(sum(issuer_sign = ?), 0), count(*) FROM visit WHERE state = 'open'", (issuer_sign,)
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def visits_of(self, document: bytes) -> list[VisitRow]:
        """Grants received for a document, newest first, ended ones too."""
        columns = ", ".join(f"visit.{name.strip()}" for name in _VISIT.split(","))
        rows = self._store.rows(
            f"SELECT {columns} FROM visit JOIN visit_item USING (number) WHERE visit_item.document = ? "
            "ORDER BY visit.state = 'open' DESC, visit.\"right\" = 'edit' DESC, visit.until DESC, visit.rowid DESC",
            (document,),
        )
        return [VisitRow(*row) for row in rows]

    def next_counter(self, number: bytes, at_least: int) -> int:
        """Greater than every counter before, kept before it is used."""
        self._store.run("UPDATE visit SET counter = max(counter + 1, ?) WHERE number = ?", (at_least, number))
        row = self._store.row("SELECT counter FROM visit WHERE number = ?", (number,))
        return int(row[0]) if row else 0

    def set_opened(self, number: bytes, document: bytes, now: int) -> None:
        self._store.run("UPDATE visit_item SET opened = ? WHERE number = ? AND document = ?", (now, number, document))

    def is_open(self, number: bytes) -> bool:
        return self._store.row("SELECT 1 FROM visit WHERE number = ? AND state = 'open'", (number,)) is not None

    def end_visit(self, number: bytes) -> list[bytes]:
        """Everything that could open it is wiped; the addresses of its mailboxes are returned, to be forgotten too."""
        self._store.run("UPDATE visit SET state = 'ended', half = NULL, reader = NULL WHERE number = ?", (number,))
        self._store.run("UPDATE visit_item SET masked = NULL, label = NULL WHERE number = ?", (number,))
        self._store.run("DELETE FROM kept WHERE number = ?", (number,))
        self._store.run("DELETE FROM draft WHERE number = ?", (number,))
        return [row[0] for row in self._store.rows("SELECT mailbox FROM visit_item WHERE number = ?", (number,))]

    def past_end(self, now: int) -> list[bytes]:
        return [
            row[0] for row in self._store.rows("SELECT number FROM visit WHERE state = 'open' AND until <= ?", (now,))
        ]

    def keep(self, item: VisitItem, content: bytes, replica: bytes, until: int, now: int) -> None:
        self._store.run(
            "INSERT OR REPLACE INTO kept (number, document, content, replica, until, used, epoch, mailbox)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (item.number, item.document, content, replica, until, now, item.epoch, item.mailbox),
        )

    def rewrite_kept(self, number: bytes, document: bytes, replica: bytes) -> None:
        """What was written into a kept copy; how long it is kept stays as it was."""
        self._store.run("UPDATE kept SET replica = ? WHERE number = ? AND document = ?", (replica, number, document))

    def kept(self, number: bytes, document: bytes, now: int) -> tuple[bytes, bytes, int, bytes | None] | None:
        """(content, replica, epoch, channel), unless its time is over or the clock shows less than when it was last
        used. No channel in what an earlier version kept."""
        row = self._store.row(
            "SELECT content, replica, epoch, mailbox FROM kept"
            " WHERE number = ? AND document = ? AND until > ? AND used <= ?",
            (number, document, now, now),
        )
        if row is None:
            return None
        self._store.run("UPDATE kept SET used = ? WHERE number = ? AND document = ?", (now, number, document))
        return row[0], row[1], row[2], row[3]

    def kept_past(self, now: int) -> bool:
        return self._store.row("SELECT 1 FROM kept WHERE until <= ? LIMIT 1", (now,)) is not None

    def drop_kept(self, now: int) -> None:
        self._store.run("DELETE FROM kept WHERE until <= ?", (now,))

    # Deposits

    def add_deposit(
        self,
        deposit_id: bytes,
        sender: bytes,
        name: str,
        role: str,
        title: str,
        sealed: bytes | None,
        now: int,
        state: str,
        why: str,
    ) -> None:
        """The same deposit again changes nothing."""
        self._store.run(
            "INSERT OR IGNORE INTO deposit (id, sender, name, role, title, sealed, received, state, why) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (deposit_id, sender, name, role, title, sealed, now, state, why),
        )

    def deposit(self, deposit_id: bytes) -> tuple[bytes, str, bytes | None] | None:
        """(sender, state, sealed statement)."""
        row = self._store.row("SELECT sender, state, sealed FROM deposit WHERE id = ?", (deposit_id,))
        return (row[0], row[1], row[2]) if row else None

    def deposits(self, state: str) -> list[tuple[bytes, bytes, str, str, str, int, str]]:
        """(id, sender, name, role, title, received, why)."""
        rows = self._store.rows(
            "SELECT id, sender, name, role, title, received, why FROM deposit WHERE state = ? ORDER BY received, rowid",
            (state,),
        )
        return [tuple(row) for row in rows]

    def waiting(self, sender: bytes) -> tuple[int, int]:
        """How many deposits wait for the holder's word: (of this sender, of everybody)."""
        row = self._store.row(
            "SELECT coalesce(sum(sender = ?), 0), count(*) FROM deposit WHERE state = 'waiting'", (sender,)
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def taken_since(self, sender: bytes, since: int) -> int:
        """How many deposits of this sender were taken without the holder's word since then."""
        row = self._store.row(
            "SELECT count(*) FROM deposit WHERE sender = ? AND received >= ? AND state IN ('known', 'filed')",
            (sender, since),
        )
        return int(row[0]) if row else 0

    def settle_deposit(self, deposit_id: bytes, state: str, document: bytes | None, why: str = "") -> None:
        """Filed or refused: its sealed bytes are not needed any more. Still waiting: why it could not be filed."""
        keep = "sealed" if state in ("waiting", "known") else "NULL"
        self._store.run(
            f"UPDATE deposit SET state = ?, document = ?, why = ?, sealed = {keep} WHERE id = ?",
            (state, document, why, deposit_id),
        )


def _ids(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[start : start + 16] for start in range(0, len(joined), 16))
