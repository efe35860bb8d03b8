"""SQL about what is still to be said to relays, what was refused, and what a grantee wrote that no relay has taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from vault import encoding
from vault.store.connection import Store

_MAX_ARGUMENTS = 64 << 10
_COLUMNS = "id, relay, verb, address, arguments, payload, belongs"
EVIDENCE_COUNT, EVIDENCE_BYTES = 200, 16 << 20  # of one mailbox: whoever may write there may not fill this vault


@dataclass(frozen=True, slots=True, repr=False)
class Outgoing:
    """One call to a relay that is still to be made. `arguments` are the call's, `payload` its opaque bytes.

    `belongs`: the grant it is for, whose end takes it back.
    """

    id: int
    relay: str
    verb: str
    address: bytes
    arguments: Mapping[str, Any]
    payload: bytes | None
    belongs: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """What a grantee wrote: `edits` as JSON. `refused`: the relay did not take it, the channel is closed."""

    id: int
    number: bytes
    document: bytes
    epoch: int
    edits: str
    refused: bool


class OutboxStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def queue(
        self,
        relay: str,
        verb: str,
        address: bytes,
        arguments: Mapping[str, Any],
        payload: bytes | None = None,
        *,
        urgent: bool = False,
        belongs: bytes | None = None,
    ) -> int:
        return self._store.insert(
            "INSERT INTO outbox (urgent, relay, verb, address, arguments, payload, belongs)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (int(urgent), relay, verb, address, encoding.encode(dict(arguments)), payload, belongs),
        )

    def first(self, silent: Collection[str], held: Collection[bytes]) -> Outgoing | None:
        """The first call, in order: not for a silent relay, not about an address or for a grant that is held back."""
        relays, marks = ", ".join("?" * len(silent)), ", ".join("?" * len(held))
        row = self._store.row(
            f"SELECT {_COLUMNS} FROM outbox WHERE relay NOT IN ({relays}) AND address NOT IN ({marks}) "
            f"AND (belongs IS NULL OR belongs NOT IN ({marks})) ORDER BY urgent DESC, id LIMIT 1",
            (*silent, *held, *held),
        )
        return _outgoing(row) if row else None

    def queued(self) -> int:
        row = self._store.row("SELECT count(*) FROM outbox")
        return int(row[0]) if row else 0

    def become(self, outgoing_id: int, verb: str, arguments: Mapping[str, Any], payload: bytes) -> None:
        """An outgoing body was sealed: from now on exactly these bytes are sent, however often it takes."""
        self._store.run(
            "UPDATE outbox SET verb = ?, arguments = ?, payload = ? WHERE id = ?",
            (verb, encoding.encode(dict(arguments)), payload, outgoing_id),
        )

    def sent(self, outgoing_id: int) -> None:
        self._store.run("DELETE FROM outbox WHERE id = ?", (outgoing_id,))

    def take_back(self, belongs: bytes) -> int:
        """What was still to be said for a grant that ends: its half, its package, its renewals."""
        return self._store.run("DELETE FROM outbox WHERE belongs = ?", (belongs,))

    def take_back_from(self, address: bytes) -> int:
        """What was still to be said of a mailbox that closes."""
        return self._store.run("DELETE FROM outbox WHERE address = ? AND verb <> 'close_mailbox'", (address,))

    def files(self) -> set[str]:
        """Names of the sealed files that queued calls send."""
        found = set()
        for row in self._store.rows("SELECT arguments FROM outbox WHERE verb = 'put_blob'"):
            arguments = encoding.decode(row[0], limit=_MAX_ARGUMENTS)
            found.add(str(arguments.get("file", "")).rpartition("/")[2])
        return found

    # Evidence

    def keep_evidence(
        self, address: bytes, envelope: bytes, why: str, detail: str, now: int, *, signed: bool = False
    ) -> bool:
        """False when this mailbox has left as much evidence as is kept, of what relays `signed` or of all else."""
        row = self._store.row(
            "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM evidence WHERE mailbox = ? AND signed = ?",
            (address, signed),
        )
        count, size = row or (0, 0)
        if count >= EVIDENCE_COUNT or size + len(envelope) > EVIDENCE_BYTES:
            return False
        self._store.run(
            "INSERT INTO evidence (mailbox, envelope, why, detail, time, signed) VALUES (?, ?, ?, ?, ?, ?)",
            (address, envelope, why, detail, now, signed),
        )
        return True

    def evidence(self) -> list[tuple[bytes, bytes, str, str, int]]:
        """(mailbox, envelope, failure class, detail, time), newest first."""
        return [tuple(row) for row in self._store.rows(
            "SELECT mailbox, envelope, why, detail, time FROM evidence ORDER BY id DESC LIMIT 1000"
        )]  # fmt: skip

    # Drafts

    def add_draft(self, number: bytes, document: bytes, epoch: int, edits: str) -> int:
        return self._store.insert(
            "INSERT INTO draft (number, document, epoch, edits) VALUES (?, ?, ?, ?)", (number, document, epoch, edits)
        )

    def drafts(self, number: bytes, document: bytes) -> list[Draft]:
        """In the order in which they were written."""
        rows = self._store.rows(
            "SELECT id, number, document, epoch, edits, refused FROM draft WHERE number = ? AND document = ?"
            " ORDER BY id",
            (number, document),
        )
        return [Draft(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]

    def refuse_draft(self, draft_id: int) -> None:
        self._store.run("UPDATE draft SET refused = 1 WHERE id = ?", (draft_id,))

    def drop_draft(self, draft_id: int) -> None:
        self._store.run("DELETE FROM draft WHERE id = ?", (draft_id,))


def _outgoing(row: tuple[Any, ...]) -> Outgoing:
    arguments = encoding.decode(row[4], limit=_MAX_ARGUMENTS)
    return Outgoing(row[0], row[1], row[2], row[3], arguments, row[5], row[6])
