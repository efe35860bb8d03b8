"""SQL about people, authorities and relays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vault.store.connection import Store


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: bytes
    name: str
    role: str
    card: bytes
    certificate: bytes | None
    met: bool
    added: int
    used: int
    kem: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """A pinned authority: its statement, its newest list and head with the extract of its log, and the evidence."""

    sign: bytes
    name: str
    data: bytes
    list: bytes
    head: bytes
    start: int
    peaks: bytes
    leaves: bytes
    first: bytes | None = None
    second: bytes | None = None


_AUTHORITY = "sign, name, data, list, head, start, peaks, leaves"
_PERSON = "id, name, role, card, certificate, met, added, used, kem"


class PeopleStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def put_person(self, row: PersonRow) -> None:
        self._store.run(
            f"INSERT INTO person ({_PERSON}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "name = excluded.name, role = excluded.role, card = excluded.card, kem = excluded.kem, "
            "used = max(used, excluded.used), "
            "certificate = coalesce(excluded.certificate, certificate), met = max(met, excluded.met)",
            (row.id, row.name, row.role, row.card, row.certificate, int(row.met), row.added, row.used, row.kem),
        )

    def person(self, person_id: bytes) -> PersonRow | None:
        row = self._store.row(f"SELECT {_PERSON} FROM person WHERE id = ?", (person_id,))
        return _person(row) if row else None

    def people(self) -> list[PersonRow]:
        """Everybody, most recently used first."""
        return [_person(row) for row in self._store.rows(f"SELECT {_PERSON} FROM person ORDER BY used DESC, name")]

    def set_met(self, person_id: bytes) -> None:
        self._store.run("UPDATE person SET met = 1 WHERE id = ?", (person_id,))

    def touch(self, person_id: bytes, now: int) -> None:
        self._store.run("UPDATE person SET used = ? WHERE id = ?", (now, person_id))

    def put_authority(self, row: AuthorityRow, promised: Iterable[tuple[int, bytes]], now: int) -> None:
        """What is kept of an authority from now on; evidence against it stays, whatever comes."""
        with self._store.transaction():
            self._store.run(
                f"INSERT INTO authority ({_AUTHORITY}, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (sign) DO UPDATE SET list = excluded.list, head = excluded.head, start = excluded.start, "
                "peaks = excluded.peaks, leaves = excluded.leaves",
                (row.sign, row.name, row.data, row.list, row.head, row.start, row.peaks, row.leaves, now),
            )
            self._store.run("DELETE FROM promised WHERE sign = ?", (row.sign,))
            self._store.run_many(
                "INSERT INTO promised VALUES (?, ?, ?)", ((row.sign, size, head) for size, head in promised)
            )

    def accuse(self, sign: bytes, first: bytes, second: bytes) -> None:
        """Two signed statements of this authority that contradict each other; the first two are kept."""
        self._store.run(
            "UPDATE authority SET first = ?, second = ? WHERE sign = ? AND first IS NULL", (first, second, sign)
        )

    def authority(self, sign: bytes) -> AuthorityRow | None:
        row = self._store.row(f"SELECT {_AUTHORITY}, first, second FROM authority WHERE sign = ?", (sign,))
        return AuthorityRow(*row) if row else None

    def promised(self, sign: bytes) -> list[bytes]:
        return [row[0] for row in self._store.rows("SELECT head FROM promised WHERE sign = ? ORDER BY size", (sign,))]

    def authorities(self) -> list[AuthorityRow]:
        rows = self._store.rows(f"SELECT {_AUTHORITY}, first, second FROM authority ORDER BY name")
        return [AuthorityRow(*row) for row in rows]

    def home_relay(self) -> tuple[str, bytes] | None:
        """(url, verify key) of the relay that has this vault's inbox."""
        row = self._store.row("SELECT url, verify_key FROM relay WHERE home = 1")
        return (row[0], row[1]) if row else None

    def relay_key(self, url: str) -> bytes | None:
        row = self._store.row("SELECT verify_key FROM relay WHERE url = ?", (url,))
        return row[0] if row else None

    def put_relay(self, url: str, key: bytes, *, home: bool) -> None:
        if home:
            self._store.run("UPDATE relay SET home = 0")
        self._store.run(
            "INSERT INTO relay VALUES (?, ?, ?) ON CONFLICT (url) DO UPDATE SET home = max(home, excluded.home)",
            (url, key, int(home)),
        )


def _person(row: tuple) -> PersonRow:  # type: ignore[type-arg]
    return PersonRow(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7], row[8])
