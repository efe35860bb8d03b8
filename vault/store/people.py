"""SQL about people, authorities and relays."""

from __future__ import annotations

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


_PERSON = "id, name, role, card, certificate, met, added, used"


class PeopleStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def put_person(self, row: PersonRow) -> None:
        self._store.run(
            f"INSERT INTO person ({_PERSON}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "name = excluded.name, role = excluded.role, card = excluded.card, used = max(used, excluded.used), "
            "certificate = coalesce(excluded.certificate, certificate), met = max(met, excluded.met)",
            (row.id, row.name, row.role, row.card, row.certificate, int(row.met), row.added, row.used),
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

    def pin_authority(self, sign: bytes, name: str, data: bytes, now: int) -> None:
        self._store.run("INSERT OR IGNORE INTO authority VALUES (?, ?, ?, ?)", (sign, name, data, now))

    def authority(self, sign: bytes) -> bytes | None:
        row = self._store.row("SELECT data FROM authority WHERE sign = ?", (sign,))
        return row[0] if row else None

    def authorities(self) -> list[bytes]:
        return [row[0] for row in self._store.rows("SELECT data FROM authority ORDER BY name")]

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
    return PersonRow(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7])
