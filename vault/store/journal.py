"""SQL about what an establishment fed: contents received, documents deposited, files seen."""

from __future__ import annotations

from dataclasses import dataclass

from vault.store.connection import Store


@dataclass(frozen=True, slots=True)
class Fed:
    """A content that was received. `state`: taken, rejected; `why` and `detail` of a rejection."""

    content: bytes
    source: str
    state: str
    why: str
    detail: str
    roster: bytes
    time: int


@dataclass(frozen=True, slots=True)
class FedDocument:
    """A document that was deposited. `state`: queued, sent, refused."""

    facts: bytes
    number: bytes
    content: bytes
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class FedFile:
    size: int
    changed: int
    content: bytes


_REFUSED = "content IN (SELECT content FROM fed_document WHERE state = 'refused')"
_FED = "content, source, state, why, detail, roster, time"


class JournalStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    # Contents

    def fed(self, content: bytes) -> Fed | None:
        row = self._store.row(f"SELECT {_FED} FROM fed WHERE content = ?", (content,))
        return Fed(*row) if row else None

    def add(self, fed: Fed, body: bytes | None = None) -> None:
        self._store.run(
            f"INSERT INTO fed ({_FED}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (fed.content, fed.source, fed.state, fed.why, fed.detail, fed.roster, fed.time, body),
        )

    def forget(self, content: bytes) -> None:
        """Decide it again when it comes again. Documents of it that relays refused are deposited again."""
        self._store.run("DELETE FROM fed WHERE content = ?", (content,))

    def rejected(self) -> list[Fed]:
        """Newest first, with what relays refused for good."""
        rows = self._store.rows(
            f"SELECT {_FED} FROM fed WHERE state = 'rejected' UNION ALL "
            "SELECT f.content, f.source, 'refused', 'refused', d.why, f.roster, f.time FROM fed_document d "
            "JOIN fed f ON f.content = d.content WHERE d.state = 'refused' ORDER BY time DESC"
        )
        return [Fed(*row) for row in rows]

    def forget_rejected(self, roster: bytes) -> None:
        """Look again at files that were rejected, or refused by relays, under another roster than this."""
        self._store.run(
            f"DELETE FROM fed WHERE (state = 'rejected' OR ({_REFUSED} AND body IS NULL)) AND roster <> ?", (roster,)
        )

    def outdate_rejected(self) -> int:
        """As if every one of them had been decided under another roster."""
        return self._store.run(f"UPDATE fed SET roster = x'' WHERE state = 'rejected' OR {_REFUSED}")

    def unsent_messages(self, roster: bytes) -> list[tuple[bytes, str, bytes]]:
        """(content, source, message) of messages that a relay refused, decided under another roster than this."""
        rows = self._store.rows(
            "SELECT DISTINCT f.content, f.source, f.body FROM fed_document d JOIN fed f ON f.content = d.content "
            "WHERE d.state = 'refused' AND f.body IS NOT NULL AND f.roster <> ?",
            (roster,),
        )
        return [tuple(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many contents were rejected, and how many documents are queued, sent, refused."""
        rows = self._store.rows("SELECT state, count(*) FROM fed_document GROUP BY state")
        rejected = self._store.row("SELECT count(*) FROM fed WHERE state = 'rejected'")
        found = {"queued": 0, "sent": 0, "refused": 0, **{str(state): int(count) for state, count in rows}}
        return {**found, "rejected": int(rejected[0]) if rejected else 0}

    def settled(self, content: bytes) -> bool:
        """Whether it was taken and relays have every document of it."""
        fed = self.fed(content)
        row = self._store.row("SELECT 1 FROM fed_document WHERE content = ? AND state <> 'sent' LIMIT 1", (content,))
        return fed is not None and fed.state == "taken" and row is None

    # Documents

    def document(self, patient: bytes, source_id: str) -> FedDocument | None:
        row = self._store.row(
            "SELECT facts, number, content, state, why FROM fed_document WHERE patient = ? AND source_id = ?",
            (patient, source_id),
        )
        return FedDocument(*row) if row else None

    def put_document(self, patient: bytes, source_id: str, facts: bytes, number: bytes, content: bytes) -> None:
        self._store.run(
            "INSERT OR REPLACE INTO fed_document (patient, source_id, facts, number, content) VALUES (?, ?, ?, ?, ?)",
            (patient, source_id, facts, number, content),
        )

    def sent(self, number: bytes) -> None:
        """A relay has it; of a message of which relays have everything, nothing needs to be kept."""
        if self._store.run("UPDATE fed_document SET state = 'sent' WHERE number = ?", (number,)):
            self._store.run(
                "UPDATE fed SET body = NULL WHERE body IS NOT NULL AND content = "
                "(SELECT content FROM fed_document WHERE number = ?) AND NOT EXISTS (SELECT 1 FROM fed_document d "
                "WHERE d.content = fed.content AND d.state <> 'sent')",
                (number,),
            )

    def refused(self, number: bytes, why: str) -> None:
        """A relay will never take it."""
        self._store.run("UPDATE fed_document SET state = 'refused', why = ? WHERE number = ?", (why, number))

    # Files

    def files(self) -> dict[str, FedFile]:
        return {row[0]: FedFile(*row[1:]) for row in self._store.rows("SELECT * FROM fed_file")}

    def put_file(self, path: str, file: FedFile) -> None:
        self._store.run(
            "INSERT OR REPLACE INTO fed_file VALUES (?, ?, ?, ?)", (path, file.size, file.changed, file.content)
        )

    def drop_file(self, path: str) -> None:
        self._store.run("DELETE FROM fed_file WHERE path = ?", (path,))
