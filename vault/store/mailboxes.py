"""SQL about mailboxes, what was seen in them, their writers, and what is still to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault import encoding
from vault.store.connection import Store

ZERO = bytes(32)
_MAILBOX = "address, relay, kind, owner, append, key, document, epoch, state, count, chain"
_MAX_ARGUMENTS = 64 << 10


@dataclass(frozen=True, slots=True, repr=False)
class Mailbox:
    """`state`: open, closing (closed at the relay, what lies in it is still to be read), done."""

    address: bytes
    relay: str
    kind: str
    owner: bytes | None
    append: bytes | None
    key: bytes | None
    document: bytes | None
    epoch: int
    state: str
    count: int
    chain: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Outgoing:
    """One call to a relay that is still to be made. `arguments` are the call's, `payload` its opaque bytes."""

    id: int
    relay: str
    verb: str
    address: bytes
    arguments: Mapping[str, Any]
    payload: bytes | None


class MailboxStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self,
        address: bytes,
        relay: str,
        kind: str,
        *,
        owner: bytes | None = None,
        append: bytes | None = None,
        key: bytes | None = None,
        document: bytes | None = None,
        epoch: int = 0,
    ) -> None:
        self._store.run(
            f"INSERT OR IGNORE INTO mailbox ({_MAILBOX}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', 0, ?)",
            (address, relay, kind, owner, append, key, document, epoch, ZERO),
        )

    def mailbox(self, address: bytes) -> Mailbox | None:
        row = self._store.row(f"SELECT {_MAILBOX} FROM mailbox WHERE address = ?", (address,))
        return Mailbox(*row) if row else None

    def inbox(self, relay: str) -> Mailbox | None:
        row = self._store.row(f"SELECT {_MAILBOX} FROM mailbox WHERE kind = 'inbox' AND relay = ?", (relay,))
        return Mailbox(*row) if row else None

    def to_pull(self) -> list[Mailbox]:
        """Own mailboxes that may hold something new, inboxes first."""
        rows = self._store.rows(
            f"SELECT {_MAILBOX} FROM mailbox WHERE kind IN ('inbox', 'channel') AND state IN ('open', 'closing') "
            "ORDER BY kind = 'channel', epoch"
        )
        return [Mailbox(*row) for row in rows]

    def channel(self, document: bytes) -> Mailbox | None:
        """The open channel of one of this vault's documents."""
        row = self._store.row(
            f"SELECT {_MAILBOX} FROM mailbox WHERE document = ? AND kind = 'channel' AND state = 'open'", (document,)
        )
        return Mailbox(*row) if row else None

    def shared(self) -> list[tuple[bytes, str]]:
        """(document, relay) of this vault's documents that have an open channel."""
        rows = self._store.rows("SELECT document, relay FROM mailbox WHERE kind = 'channel' AND state = 'open'")
        return [(row[0], row[1]) for row in rows]

    def set_state(self, address: bytes, state: str) -> None:
        self._store.run("UPDATE mailbox SET state = ? WHERE address = ?", (state, address))

    def drop(self, address: bytes) -> None:
        for table in ("link", "sender", "writer", "channel_actor", "pending"):
            self._store.run(f"DELETE FROM {table} WHERE mailbox = ?", (address,))
        self._store.run("DELETE FROM mailbox WHERE address = ?", (address,))

    def advance(self, address: bytes, count: int, chain: bytes) -> None:
        """The relay's chain was followed to `count`."""
        self._store.run("UPDATE mailbox SET count = ?, chain = ? WHERE address = ?", (count, chain, address))
        self._store.run("INSERT OR REPLACE INTO link VALUES (?, ?, ?)", (address, count, chain))

    def remember(self, address: bytes, position: int, chain: bytes) -> None:
        """The relay signed this chain at this position, though it was not followed up to it yet."""
        self._store.run("INSERT OR IGNORE INTO link VALUES (?, ?, ?)", (address, position, chain))

    def link(self, address: bytes, position: int) -> bytes | None:
        if position == 0:
            return ZERO
        row = self._store.row("SELECT chain FROM link WHERE mailbox = ? AND position = ?", (address, position))
        return row[0] if row else None

    def writers(self, address: bytes) -> dict[bytes, tuple[str, str, str]]:
        """signing key -> (name, role, right)."""
        rows = self._store.rows('SELECT sign, name, role, "right" FROM writer WHERE mailbox = ?', (address,))
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def put_writer(self, address: bytes, sign: bytes, name: str, role: str, right: str) -> None:
        self._store.run("INSERT OR REPLACE INTO writer VALUES (?, ?, ?, ?, ?)", (address, sign, name, role, right))

    def senders(self, address: bytes) -> dict[bytes, tuple[int, bytes]]:
        rows = self._store.rows("SELECT device, seq, head FROM sender WHERE mailbox = ?", (address,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def put_sender(self, address: bytes, device: bytes, seq: int, head: bytes) -> None:
        self._store.run("INSERT OR REPLACE INTO sender VALUES (?, ?, ?, ?)", (address, device, seq, head))

    def actors(self, address: bytes) -> dict[bytes, bytes]:
        rows = self._store.rows("SELECT actor, signer FROM channel_actor WHERE mailbox = ?", (address,))
        return {row[0]: row[1] for row in rows}

    def put_actor(self, address: bytes, actor: bytes, signer: bytes) -> None:
        self._store.run("INSERT OR IGNORE INTO channel_actor VALUES (?, ?, ?)", (address, actor, signer))

    def pending(self, address: bytes) -> list[tuple[bytes, str, int]]:
        """(claim, author, time) of changes that wait for their dependencies."""
        rows = self._store.rows("SELECT claim, author, time FROM pending WHERE mailbox = ?", (address,))
        return [(row[0], row[1], row[2]) for row in rows]

    def set_pending(self, address: bytes, claims: Sequence[tuple[bytes, bytes, str, int]]) -> None:
        self._store.run("DELETE FROM pending WHERE mailbox = ?", (address,))
        for change_hash, claim, author, time in claims:
            self._store.run("INSERT INTO pending VALUES (?, ?, ?, ?, ?)", (address, change_hash, claim, author, time))

    def keep_evidence(self, address: bytes, envelope: bytes, why: str, detail: str, now: int) -> None:
        self._store.run(
            "INSERT INTO evidence (mailbox, envelope, why, detail, time) VALUES (?, ?, ?, ?, ?)",
            (address, envelope, why, detail, now),
        )

    def evidence(self) -> list[tuple[bytes, bytes, str, str, int]]:
        """(mailbox, envelope, failure class, detail, time), newest first."""
        return [tuple(row) for row in self._store.rows(
            "SELECT mailbox, envelope, why, detail, time FROM evidence ORDER BY id DESC LIMIT 1000"
        )]  # fmt: skip

    # The outbox

    def queue(
        self,
        relay: str,
        verb: str,
        address: bytes,
        arguments: Mapping[str, Any],
        payload: bytes | None = None,
        *,
        urgent: bool = False,
    ) -> int:
        return self._store.insert(
            "INSERT INTO outbox (urgent, relay, verb, address, arguments, payload) VALUES (?, ?, ?, ?, ?, ?)",
            (int(urgent), relay, verb, address, encoding.encode(dict(arguments)), payload),
        )

    def outgoing(self, limit: int = 100) -> list[Outgoing]:
        """What to send next, in order."""
        rows = self._store.rows(
            "SELECT id, relay, verb, address, arguments, payload FROM outbox ORDER BY urgent DESC, id LIMIT ?", (limit,)
        )
        return [
            Outgoing(row[0], row[1], row[2], row[3], encoding.decode(row[4], limit=_MAX_ARGUMENTS), row[5])
            for row in rows
        ]

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

    # Blobs

    def blob(self, document: bytes, sha256: str) -> tuple[bytes, bytes, bytes, str] | None:
        """(address, owner token, read token, relay) of an attachment's ciphertext at the relay."""
        row = self._store.row(
            "SELECT address, owner, token, relay FROM blob WHERE document = ? AND sha256 = ?", (document, sha256)
        )
        return (row[0], row[1], row[2], row[3]) if row else None

    def put_blob(self, document: bytes, sha256: str, address: bytes, owner: bytes, token: bytes, relay: str) -> None:
        self._store.run(
            "INSERT OR REPLACE INTO blob VALUES (?, ?, ?, ?, ?, ?)", (sha256, document, address, owner, token, relay)
        )
