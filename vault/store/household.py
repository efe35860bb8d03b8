"""SQL about what devices tell each other: the roster, the queue, envelopes, editions in the log, late changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.operation import MAX_OPS, Together, decode_operation
from vault.store.connection import Store

ACTS = ("roster", "turn", "end")


@dataclass(frozen=True, slots=True)
class Told:
    """One operation that is still to be read back from the log."""

    id: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition of a document: its number (-1: its replica is not here), its place in the log (None: not in it yet,
    -1: it lost), who started it, and the heads of the parent that it was started from."""

    hash: bytes
    epoch: int
    place: int | None
    device: bytes
    parent: bytes | None = None
    heads: tuple[bytes, ...] = ()

    @property
    def lost(self) -> bool:
        return self.place == -1


@dataclass(frozen=True, slots=True)
class Late:
    """A change that is in no edition that holds, and the device whose duty it is."""

    document: bytes
    hash: bytes
    edition: bytes
    device: bytes
    author: str


class HouseholdStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    # The roster

    def chain(self) -> list[bytes]:
        return [bytes(row[0]) for row in self._store.rows("SELECT statement FROM roster ORDER BY count")]

    def put_chain(self, statements: Sequence[bytes]) -> None:
        self._store.run("DELETE FROM roster")
        self._store.run_many("INSERT INTO roster VALUES (?, ?)", enumerate(statements, 1))

    # What is to be told

    def tell(
        self, mailbox: bytes, kind: str, body: bytes, row: str | None = None, *, number: int | None = None
    ) -> None:
        """`number`: its place among what waits; None behind everything."""
        self._store.run(
            "INSERT INTO told (id, mailbox, row, kind, body) VALUES (?, ?, ?, ?, ?)", (number, mailbox, row, kind, body)
        )

    def unsealed(self, mailbox: bytes, limit: int) -> tuple[list[tuple[str, bytes]], int]:
        """(what lies in no envelope yet, in order, the number of the last): at least one operation when there is one,
        and no more than `limit` bytes otherwise."""
        found = Together()
        first, last = "", -1 << 62
        while rows := self._store.rows(
            "SELECT id, kind, body FROM told WHERE mailbox = ? AND sealed = 0 AND id > ? ORDER BY id LIMIT 1000",
            (mailbox, last),
        ):
            for number, kind, body in rows:
                if first in ("roster", "turn") or (first and kind in ("roster", "turn")):
                    return found.operations(), last  # alone: who is not known yet is introduced by it
                if first and (found.size + len(body) > limit or len(found) >= MAX_OPS):
                    return found.operations(), last
                found.add(kind, body)
                first, last = first or kind, number
        return found.operations(), last

    def speaks_of(self, row: str) -> bool:
        """Whether a value of this row waits to be told or to be read back."""
        name, _, key = row.partition(" ")
        waiting = "SELECT 1 FROM told WHERE row = ? UNION ALL SELECT 1 FROM dirty WHERE name = ? AND key = ? LIMIT 1"
        return self._store.row(waiting, (row, name, key)) is not None

    def tell_first(self, mailbox: bytes, kind: str, body: bytes) -> None:
        """Ahead of everything else that waits."""
        row = self._store.row("SELECT coalesce(min(id), 1) - 1 FROM told")
        number = min(int(row[0]), 0) if row else 0
        self._store.run("INSERT INTO told (id, mailbox, kind, body) VALUES (?, ?, ?, ?)", (number, mailbox, kind, body))

    def take_back(self, row: str) -> None:
        """A value of this row is not told after all."""
        name, _, key = row.partition(" ")
        self._store.run("DELETE FROM told WHERE row = ?", (row,))
        self.clean(name, key)

    def waiting(self, mailbox: bytes) -> bool:
        """Whether something is still to be told there, or to be read back."""
        return self._store.row("SELECT 1 FROM told WHERE mailbox = ? LIMIT 1", (mailbox,)) is not None

    def waiting_elsewhere(self, mailbox: bytes) -> bool:
        """Whether words of this device in another log of the vault are not read back yet."""
        marks = ", ".join("?" * len(ACTS))
        waiting = (
            "SELECT 1 FROM told JOIN mailbox ON mailbox.address = told.mailbox WHERE told.mailbox <> ?"
            f" AND mailbox.kind = 'vault' AND told.kind NOT IN ({marks}) LIMIT 1"
        )
        return self._store.row(waiting, (mailbox, *ACTS)) is not None

    def told_mailboxes(self) -> list[bytes]:
        """Mailboxes in which something is still to be told or to be read back."""
        return [row[0] for row in self._store.rows("SELECT DISTINCT mailbox FROM told")]

    def unseal(self, mailbox: bytes) -> None:
        """Envelopes that another device of the same name may have sent already: what they hold is told again."""
        self._store.run("DELETE FROM envelope WHERE mailbox = ?", (mailbox,))
        self._store.run("UPDATE told SET sealed = 0 WHERE mailbox = ?", (mailbox,))

    def retell_acts(self, mailbox: bytes, into: bytes) -> None:
        """Of what was told in a mailbox that does not count: what it does to the roster, which late changes were
        written again, and the end, are told again in another; everything else is told anew there."""
        rows = self._store.rows("SELECT id, kind, body FROM told WHERE mailbox = ? ORDER BY id", (mailbox,))
        for number, kind, body in rows:
            if kind in ACTS or (kind == "changes" and decode_operation(kind, body)["again"]):
                self._store.run("UPDATE told SET mailbox = ?, sealed = 0 WHERE id = ?", (into, number))
        self.forget(mailbox)

    def sealed_as(self, mailbox: bytes, seq: int) -> bool:
        """Whether this own envelope was not read back before."""
        return self._store.row("SELECT 1 FROM envelope WHERE mailbox = ? AND seq = ?", (mailbox, seq)) is not None

    def retell(self, mailbox: bytes, into: bytes) -> None:
        """What was told in a mailbox that is over and was not read back is told again in another."""
        self._store.run("DELETE FROM envelope WHERE mailbox = ?", (mailbox,))
        self._store.run("UPDATE told SET mailbox = ?, sealed = 0 WHERE mailbox = ?", (into, mailbox))

    def retell_words(self, mailbox: bytes, into: bytes) -> None:
        """What was told in a mailbox that takes nothing any more, but for what it does to the roster."""
        marks = ", ".join("?" * len(ACTS))
        self._store.run(
            f"UPDATE told SET mailbox = ?, sealed = 0 WHERE mailbox = ? AND kind NOT IN ({marks})",
            (into, mailbox, *ACTS),
        )

    def forget(self, mailbox: bytes) -> None:
        self._store.run("DELETE FROM envelope WHERE mailbox = ?", (mailbox,))
        self._store.run("DELETE FROM told WHERE mailbox = ?", (mailbox,))

    # Envelopes under way

    def put_envelopes(self, mailbox: bytes, sealed: Iterable[tuple[int, bytes]], upto: int) -> None:
        rows = list(sealed)
        for seq, data in rows:
            last = upto if (seq, data) == rows[-1] else None
            self._store.run("INSERT INTO envelope VALUES (?, ?, ?, ?, 0)", (mailbox, seq, data, last))
        self._store.run("UPDATE told SET sealed = 1 WHERE mailbox = ? AND id <= ?", (mailbox, upto))

    def unsent(self, mailbox: bytes) -> tuple[int, bytes] | None:
        row = self._store.row(
            "SELECT seq, data FROM envelope WHERE mailbox = ? AND sent = 0 ORDER BY seq LIMIT 1", (mailbox,)
        )
        return (row[0], row[1]) if row else None

    def sent(self, mailbox: bytes, seq: int) -> None:
        self._store.run("UPDATE envelope SET sent = 1 WHERE mailbox = ? AND seq = ?", (mailbox, seq))

    def read_back(self, mailbox: bytes, seq: int) -> list[Told]:
        """The relay's log has this envelope: everybody will read it. What it completed is returned and forgotten."""
        row = self._store.row("SELECT upto FROM envelope WHERE mailbox = ? AND seq = ?", (mailbox, seq))
        done: list[Told] = []
        if row and row[0] is not None:
            wanted = "FROM told WHERE mailbox = ? AND id <= ?"
            done = [
                Told(*r) for r in self._store.rows(f"SELECT id, kind, body {wanted} ORDER BY id", (mailbox, row[0]))
            ]
            self._store.run(f"DELETE {wanted}", (mailbox, row[0]))
        self._store.run("DELETE FROM envelope WHERE mailbox = ? AND seq <= ?", (mailbox, seq))
        return done

    def open_mailboxes(self) -> list[bytes]:
        """Mailboxes in which something is still to be told."""
        rows = self._store.rows(
            "SELECT mailbox FROM told WHERE sealed = 0 UNION SELECT mailbox FROM envelope WHERE sent = 0"
        )
        return [row[0] for row in rows]

    # Parts of what others tell

    def parts(self, mailbox: bytes, device: bytes) -> list[bytes]:
        rows = self._store.rows(
            "SELECT data FROM heard_part WHERE mailbox = ? AND device = ? ORDER BY part", (mailbox, device)
        )
        return [row[0] for row in rows]

    def put_part(self, mailbox: bytes, device: bytes, part: int, data: bytes) -> None:
        self._store.run("INSERT OR REPLACE INTO heard_part VALUES (?, ?, ?, ?)", (mailbox, device, part, data))

    def drop_parts(self, mailbox: bytes, device: bytes) -> None:
        self._store.run("DELETE FROM heard_part WHERE mailbox = ? AND device = ?", (mailbox, device))

    # Rows that changed

    def dirty(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self._store.rows("SELECT name, key FROM dirty")]

    def clean(self, name: str, key: str) -> None:
        self._store.run("DELETE FROM dirty WHERE name = ? AND key = ?", (name, key))

    def soil(self, name: str, key: str) -> None:
        self._store.run("INSERT OR IGNORE INTO dirty VALUES (?, ?)", (name, key))

    def is_dirty(self, name: str, key: str) -> bool:
        return self._store.row("SELECT 1 FROM dirty WHERE name = ? AND key = ?", (name, key)) is not None

    # Editions

    def editions(self, document: bytes) -> list[Edition]:
        """In the order of their epochs. What has its place in a log that does not count is in no log."""
        rows = self._store.rows(
            "SELECT hash, epoch, coalesce((SELECT iif(p.lost, -1, (q.number + 1 << 56) + p.position) FROM placed AS p"
            " JOIN path AS q ON q.log = p.log WHERE p.document = e.document AND p.hash = e.hash"
            " AND p.position >> 12 < q.upto ORDER BY q.number LIMIT 1), place), device, parent, heads"
            " FROM edition AS e WHERE document = ? ORDER BY epoch",
            (document,),
        )
        return [
            Edition(row[0], row[1], row[2], row[3], row[4], _hashes(row[5]))
            for row in rows
            if row[1] >= 0 or row[2] is not None
        ]

    def add_edition(
        self,
        document: bytes,
        edition: bytes,
        epoch: int,
        place: int | None,
        device: bytes,
        *,
        parent: bytes | None = None,
        heads: Iterable[bytes] = (),
    ) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO edition (document, hash, epoch, place, device, parent, heads)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (document, edition, epoch, place, device, parent, b"".join(heads)),
        )

    def pass_over(self, document: bytes, edition: bytes, device: bytes, log: bytes) -> None:
        """Another device's edition that lost against one before it: what belongs to it is known by its hash alone."""
        self.add_edition(document, edition, -1, None, device)
        self.place_edition(document, edition, log, lost=True)

    def place_edition(self, document: bytes, edition: bytes, log: bytes, *, lost: bool = False) -> None:
        """The edition stands in the log, after what was read of it: it is the one that holds, or lost."""
        self._store.run(
            "INSERT OR IGNORE INTO placed SELECT ?1, ?2, ?3, (count + 1 << 12) + (SELECT count(*) FROM placed"
            " WHERE document = ?1 AND log = ?3), ?4 FROM mailbox WHERE address = ?3",
            (document, edition, log, int(lost)),
        )

    def take_over_unplaced(self, document: bytes, editions: Iterable[bytes], device: bytes) -> None:
        """Editions that have their place in no log that counts: it is this device that tells them now."""
        self._store.run_many(
            "UPDATE edition SET device = ? WHERE document = ? AND hash = ?",
            ((device, document, edition) for edition in editions),
        )

    def forget_edition(self, document: bytes, edition: bytes) -> None:
        """It is taken as if it were new."""
        self._store.run("DELETE FROM edition WHERE document = ? AND hash = ?", (document, edition))

    def lose_edition(self, document: bytes, edition: bytes, epoch: int, log: bytes) -> None:
        """Another one came before it in the log."""
        self._store.run("UPDATE edition SET epoch = ? WHERE document = ? AND hash = ?", (epoch, document, edition))
        self.place_edition(document, edition, log, lost=True)

    def put_teller(self, changes: Iterable[bytes], device: bytes) -> None:
        self._store.run_many("INSERT OR IGNORE INTO teller VALUES (?, ?)", ((change, device) for change in changes))

    def take_over(self, old: bytes, new: bytes) -> None:
        """What this device started, wrote and owes under its former name is its own under the new one."""
        for table in ("edition", "teller", "late"):
            self._store.run(f"UPDATE {table} SET device = ? WHERE device = ?", (new, old))

    def teller(self, change: bytes) -> bytes | None:
        row = self._store.row("SELECT device FROM teller WHERE hash = ?", (change,))
        return row[0] if row else None

    # Late changes

    def add_late(self, late: Late) -> None:
        row = (late.document, late.hash, late.edition, late.device, late.author)
        self._store.run("INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?, ?)", row)

    def written_again(self, document: bytes, hashes: Iterable[bytes]) -> None:
        self._store.run_many("DELETE FROM late WHERE document = ? AND hash = ?", ((document, item) for item in hashes))

    def late_of(self, device: bytes) -> list[Late]:
        rows = self._store.rows(
            "SELECT document, hash, edition, device, author FROM late WHERE device = ? ORDER BY document", (device,)
        )
        return [Late(*row) for row in rows]

    def owe(self, document: bytes, *, lost: bool) -> None:
        """Another device started the epoch; `lost`: one of this device gave way to it."""
        self._store.run(
            "INSERT INTO owed VALUES (?, ?) ON CONFLICT (document) DO UPDATE SET lost = max(lost, excluded.lost)",
            (document, int(lost)),
        )

    def owed(self) -> list[tuple[bytes, bool]]:
        return [(row[0], bool(row[1])) for row in self._store.rows("SELECT document, lost FROM owed")]

    def paid(self, document: bytes) -> None:
        self._store.run("DELETE FROM owed WHERE document = ?", (document,))

    # Files

    def file(self, sealed_sha256: str) -> bool:
        return self._store.row("SELECT 1 FROM home_file WHERE sealed_sha256 = ?", (sealed_sha256,)) is not None

    def put_file(self, sealed_sha256: str, relay: str, address: bytes, owner: bytes, token: bytes, size: int) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO home_file VALUES (?, ?, ?, ?, ?, ?)",
            (sealed_sha256, relay, address, owner, token, size),
        )

    def files(self) -> list[tuple[str, str, bytes, bytes, bytes, int]]:
        """(SHA-256 of the sealed file, relay, address, owner token, reading token, size)."""
        return [tuple(row) for row in self._store.rows("SELECT * FROM home_file")]

    def set_file_token(self, sealed_sha256: str, token: bytes) -> None:
        self._store.run("UPDATE home_file SET token = ? WHERE sealed_sha256 = ?", (token, sealed_sha256))


def _hashes(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[at : at + 32] for at in range(0, len(joined), 32))
