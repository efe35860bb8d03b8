"""SQL about the histories of the roster and the logs of the vault: which counts, up to where, and what stands there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vault.store.connection import Store

END = 1 << 40  # a place behind everything


class LogStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    # Statements

    def statements(self) -> list[tuple[bytes, bytes]]:
        """(statement, head of the one before it), each after that."""
        return [(row[0], row[1]) for row in self._store.rows("SELECT data, before FROM statement ORDER BY number")]

    def count_statements(self) -> int:
        row = self._store.row("SELECT count(*) FROM statement")
        return int(row[0]) if row else 0

    def put_statements(self, known: Iterable[tuple[bytes, bytes]]) -> None:
        self._store.run_many("INSERT OR IGNORE INTO statement (data, before) VALUES (?, ?)", known)

    # Which log belongs to which statement, and where in a log a turn stands

    def logs(self) -> dict[bytes, bytes]:
        """Head of the statement that began an epoch -> log of that epoch."""
        return {row[0]: row[1] for row in self._store.rows("SELECT head, mailbox FROM vault_log")}

    def put_log(self, head: bytes, log: bytes) -> None:
        self._store.run("INSERT OR IGNORE INTO vault_log VALUES (?, ?)", (head, log))

    def put_turn(self, log: bytes, following: bytes, position: int) -> None:
        self._store.run(
            "INSERT INTO turn_place VALUES (?1, ?2, ?3) ON CONFLICT (log, next) DO UPDATE SET position = ?3"
            " WHERE ?3 < position",
            (log, following, position),
        )

    def turn(self, log: bytes, following: bytes) -> int:
        row = self._store.row("SELECT position FROM turn_place WHERE log = ? AND next = ?", (log, following))
        return int(row[0]) if row else END

    # The history that holds

    def path(self) -> list[bytes]:
        return [row[0] for row in self._store.rows("SELECT log FROM path ORDER BY number")]

    def put_path(self, logs: Sequence[tuple[bytes, int]]) -> None:
        self._store.run("DELETE FROM path")
        self._store.run_many(
            "INSERT INTO path VALUES (?, ?, ?)", ((log, number, upto) for number, (log, upto) in enumerate(logs))
        )

    def upto(self, log: bytes) -> int:
        """Up to which place this log counts; 0 for one that does not."""
        row = self._store.row("SELECT upto FROM path WHERE log = ?", (log,))
        return int(row[0]) if row else 0

    # Up to where a log was taken

    def taken(self, log: bytes) -> int:
        row = self._store.row("SELECT count FROM mailbox WHERE address = ?", (log,))
        return int(row[0]) if row else 0

    def bookmark(self, log: bytes) -> tuple[int, bool] | None:
        """(the place up to which it was taken, whether it is read again from there); None: it is taken as it comes."""
        row = self._store.row("SELECT count, again FROM bookmark WHERE log = ?", (log,))
        return (int(row[0]), bool(row[1])) if row else None

    def put_bookmark(self, log: bytes) -> None:
        """Here: what comes from now on is not taken."""
        if self.bookmark(log) is not None:
            return
        self._store.run(
            "INSERT INTO bookmark (log, count, chain) SELECT address, count, chain FROM mailbox WHERE address = ?",
            (log,),
        )
        self._store.run(
            "INSERT INTO bookmark_sender SELECT mailbox, device, seq, head FROM sender WHERE mailbox = ?", (log,)
        )

    def read_again(self, log: bytes, *, again: bool) -> None:
        self._store.run("UPDATE bookmark SET again = ? WHERE log = ?", (int(again), log))

    def to_read_again(self) -> list[bytes]:
        return [row[0] for row in self._store.rows("SELECT log FROM bookmark WHERE again = 1")]

    def rewind(self, log: bytes, own: Iterable[bytes]) -> None:
        """Back to the bookmark. What the device itself told under its names `own` is not told again."""
        for device in own:
            self._store.run(
                "INSERT OR REPLACE INTO bookmark_sender SELECT mailbox, device, seq, head FROM sender"
                " WHERE mailbox = ? AND device = ?",
                (log, device),
            )
        self._store.run("DELETE FROM sender WHERE mailbox = ?", (log,))
        self._store.run("INSERT INTO sender SELECT log, device, seq, head FROM bookmark_sender WHERE log = ?", (log,))
        self._store.run("DELETE FROM heard_part WHERE mailbox = ?", (log,))
        self._store.run(
            "UPDATE mailbox SET (count, chain) = (SELECT count, chain FROM bookmark WHERE log = ?1) WHERE address = ?1",
            (log,),
        )
        for table in ("bookmark", "bookmark_sender"):
            self._store.run(f"DELETE FROM {table} WHERE log = ?", (log,))
