"""SQL about mailboxes, what was seen in them, their writers and files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.store.connection import Store

ZERO = bytes(32)
_MAILBOX = "address, relay, kind, owner, append, key, document, epoch, state, count, chain"


def place_of(address: bytes, relay_key: bytes, issuer: bytes = b"") -> bytes:
    """Under what is remembered of somebody else's mailbox. Its address is that person's word, and may be the address of
    a mailbox of this vault or of another person: what another relay or issuer says must never count for that one."""
    return issuer + relay_key + address


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
        row = self._store.row(
            f"SELECT {_MAILBOX} FROM mailbox WHERE kind = 'inbox' AND relay = ? AND state = 'open'", (relay,)
        )
        return Mailbox(*row) if row else None

    def open_inboxes(self) -> list[Mailbox]:
        """At whatever relay."""
        rows = self._store.rows(f"SELECT {_MAILBOX} FROM mailbox WHERE kind = 'inbox' AND state = 'open'")
        return [Mailbox(*row) for row in rows]

    def to_pull(self) -> list[Mailbox]:
        """Own mailboxes that may hold something new: the vault's own first, then inboxes, then documents'."""
        rows = self._store.rows(
            f"SELECT {_MAILBOX} FROM mailbox WHERE state IN ('open', 'closing') "
            "ORDER BY kind = 'snapshot' DESC, kind = 'vault' DESC, kind = 'inbox' DESC, epoch"
        )
        return [Mailbox(*row) for row in rows]

    def owned(self) -> list[Mailbox]:
        """Every mailbox that this vault may close, those that are closed already too."""
        rows = self._store.rows(f"SELECT {_MAILBOX} FROM mailbox WHERE owner IS NOT NULL ORDER BY address")
        return [Mailbox(*row) for row in rows]

    def channel(self, document: bytes) -> Mailbox | None:
        """The open channel of one of this vault's documents."""
        row = self._store.row(
            f"SELECT {_MAILBOX} FROM mailbox WHERE document = ? AND kind = 'channel' AND state = 'open'", (document,)
        )
        return Mailbox(*row) if row else None

    def set_state(self, address: bytes, state: str) -> None:
        self._store.run("UPDATE mailbox SET state = ? WHERE address = ?", (state, address))

    def forget(self, place: bytes) -> None:
        """What was remembered of a mailbox of somebody else."""
        for table in ("link", "sender"):
            self._store.run(f"DELETE FROM {table} WHERE mailbox = ?", (place,))

    def advance(self, address: bytes, count: int, chain: bytes) -> None:
        """The relay's chain was followed to `count`."""
        with self._store.transaction():
            self._store.run("UPDATE mailbox SET count = ?, chain = ? WHERE address = ?", (count, chain, address))
            self.remember(address, count, chain)

    def remember(self, address: bytes, position: int, chain: bytes, signed: bytes | None = None) -> None:
        """The chain at this position, and the relay's signed word for it when there is one."""
        self._store.run(
            "INSERT INTO link VALUES (?, ?, ?, ?) ON CONFLICT (mailbox, position) DO UPDATE SET "
            "signed = coalesce(signed, excluded.signed)",
            (address, position, chain, signed),
        )

    def link(self, address: bytes, position: int) -> tuple[bytes, bytes] | None:
        """(chain, signed checkpoint or b"") at this position, when this vault knows it."""
        if position == 0:
            return ZERO, b""
        row = self._store.row("SELECT chain, signed FROM link WHERE mailbox = ? AND position = ?", (address, position))
        return (row[0], row[1] or b"") if row else None

    def signed_for(self, address: bytes) -> tuple[int, bytes] | None:
        """The last position that the relay signed for when it took a message, and its signed word."""
        row = self._store.row(
            "SELECT position, signed FROM link WHERE mailbox = ? AND signed IS NOT NULL ORDER BY position DESC LIMIT 1",
            (address,),
        )
        return (row[0], row[1]) if row else None

    def knows(self, address: bytes) -> bool:
        """Whether this is a mailbox of this vault."""
        return self._store.row("SELECT 1 FROM mailbox WHERE address = ?", (address,)) is not None

    def links(self, address: bytes) -> dict[int, tuple[bytes, bytes]]:
        """position -> (chain, signed checkpoint or b""), as far as this vault keeps them."""
        rows = self._store.rows("SELECT position, chain, signed FROM link WHERE mailbox = ?", (address,))
        return {row[0]: (row[1], row[2] or b"") for row in rows}

    def forget_links(self, address: bytes, before: int) -> None:
        self._store.run("DELETE FROM link WHERE mailbox = ? AND position < ?", (address, before))

    def writers(self, address: bytes) -> dict[bytes, tuple[str, str, str]]:
        """signing key -> (name, role, right)."""
        rows = self._store.rows('SELECT sign, name, role, "right" FROM writer WHERE mailbox = ?', (address,))
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def put_writers(self, address: bytes, writers: Iterable[tuple[bytes, str, str, str]]) -> None:
        rows = ((address, *writer) for writer in writers)
        self._store.run_many("INSERT OR REPLACE INTO writer VALUES (?, ?, ?, ?, ?)", rows)

    def senders(self, address: bytes) -> dict[bytes, tuple[int, bytes]]:
        rows = self._store.rows("SELECT device, seq, head FROM sender WHERE mailbox = ?", (address,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def sender(self, address: bytes, device: bytes) -> tuple[int, bytes] | None:
        """(number, hash) of the last envelope of one device in this channel."""
        row = self._store.row("SELECT seq, head FROM sender WHERE mailbox = ? AND device = ?", (address, device))
        return (row[0], row[1]) if row else None

    def put_sender(self, address: bytes, device: bytes, seq: int, head: bytes) -> None:
        self._store.run("INSERT OR REPLACE INTO sender VALUES (?, ?, ?, ?)", (address, device, seq, head))

    def actors(self, address: bytes) -> dict[bytes, bytes]:
        rows = self._store.rows("SELECT actor, signer FROM channel_actor WHERE mailbox = ?", (address,))
        return {row[0]: row[1] for row in rows}

    def put_actor(self, address: bytes, actor: bytes, signer: bytes) -> None:
        """Who writes under this actor in this channel: the first one, for good."""
        self._store.run("INSERT OR IGNORE INTO channel_actor VALUES (?, ?, ?)", (address, actor, signer))

    def pending(self, address: bytes) -> list[tuple[bytes, str, int]]:
        """(claim, author, time) of changes that wait for their dependencies."""
        rows = self._store.rows("SELECT claim, author, time FROM pending WHERE mailbox = ?", (address,))
        return [(row[0], row[1], row[2]) for row in rows]

    def set_pending(self, address: bytes, claims: Sequence[tuple[bytes, bytes, str, int]]) -> None:
        self._store.run("DELETE FROM pending WHERE mailbox = ?", (address,))
        self._store.run_many("INSERT INTO pending VALUES (?, ?, ?, ?, ?)", ((address, *claim) for claim in claims))

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

    def blobs(self, document: bytes) -> list[tuple[bytes, bytes, bytes, str]]:
        """(address, owner token, read token, relay) of every attachment of a document that lies at a relay."""
        rows = self._store.rows("SELECT address, owner, token, relay FROM blob WHERE document = ?", (document,))
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def all_blobs(self) -> list[tuple[bytes, bytes, bytes, str]]:
        """The same of every document."""
        rows = self._store.rows("SELECT address, owner, token, relay FROM blob ORDER BY address")
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def want(self, document: bytes, sha256: str, relay: str) -> None:
        """A file that lies at a relay alone: the next exchange fetches it."""
        self._store.run(
            "INSERT OR IGNORE INTO wanted (document, sha256, relay) VALUES (?, ?, ?)", (document, sha256, relay)
        )

    def wanted(self, failed_before: int) -> list[tuple[bytes, str, str]]:
        """(document, sha256, relay), without those that failed since then."""
        rows = self._store.rows(
            "SELECT document, sha256, relay FROM wanted WHERE failed = 0 OR failed <= ?", (failed_before,)
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def failed(self, document: bytes, sha256: str, now: int) -> None:
        """What came was not the file: it is not asked for again at once."""
        self._store.run("UPDATE wanted SET failed = ? WHERE document = ? AND sha256 = ?", (now, document, sha256))

    def got(self, document: bytes, sha256: str) -> None:
        self._store.run("DELETE FROM wanted WHERE document = ? AND sha256 = ?", (document, sha256))
