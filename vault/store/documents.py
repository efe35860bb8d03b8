"""All SQL about documents: the row that lists show, the state that readers see, the replica, the search row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vault.document import CLINICAL, ENTRY_SECTION, Document
from vault.errors import NotFound
from vault.shape import to_document
from vault.store import timeline
from vault.store.connection import Row, Store
from vault.store.searching import ANYTHING, Index, Wanted, readable
from vault.store.summary import COLUMNS, Summary, summary_of

if TYPE_CHECKING:
    from vault.clash import Clash
    from vault.replica import Change, Edit, Merged, State


@dataclass(frozen=True, slots=True)
class Replica:
    """A document's Automerge replica and under which actor this device writes into it."""

    save: bytes
    epoch: int
    actor: bytes


class Listener(Protocol):
    """Who is told of every change when the holder has more than one device."""

    def added(self, document_id: str) -> None: ...
    def changed(self, document_id: str, epoch: int, change: Change, author: str, time: int, *, own: bool) -> None: ...


ACTOR = 16  # bytes; a replica of that length is not written out yet: the actor of the change that makes the state
LATER = 1 << 19  # characters of a state whose first change is within its limits for certain


class Documents:
    """Documents by their id (32 hex characters)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.index = Index(store)
        self.listener: Listener | None = None

    def add(
        self, document_id: str, state: State, save: bytes | None, actor: bytes, now: int, *, epoch: int = 0
    ) -> None:
        """A new document; at epoch 0 unless it comes from another device.

        Without a `save`, its replica is the one change that makes the state, written out when somebody first asks for
        it: most documents of a life are never written into. The state was checked.
        """
        key, text = bytes.fromhex(document_id), _json(state)
        if save is None:
            save = actor if len(text) <= LATER and self.listener is None else _written_out(state, actor)
        with self._store.transaction():
            meta = state["meta"]
            place = self._free_place(meta.get("date", ""), now)
            number = self._store.insert(
                "INSERT INTO document (id, place, kind, title, type_code, class_code, date, author, confidentiality,"
                " counts, attachments, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (key, place, *_columns(state), now),
            )
            self._store.run("INSERT INTO content (document, state, conflicts) VALUES (?, ?, '[]')", (number, text))
            self._store.run(
                "INSERT INTO replica (document, epoch, actor, save) VALUES (?, ?, ?, ?)", (number, epoch, actor, save)
            )
            if meta.get("source_id"):
                self._store.run(
                    "INSERT INTO source (id, document) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (meta["source_id"], number),
                )
            self._hold(number, state)
            self.index.put(place, state)
            if self.listener is not None:
                self.listener.added(document_id)

    def write(self, document_id: str, state: State, save: bytes, conflicts: Sequence[Clash] = ()) -> None:
        """The document after a local edit or a merge: every reading of it follows the replica."""
        with self._store.transaction():
            number, place, date, added = self._row(document_id, "number, place, date, added")
            dated = state["meta"].get("date", "")
            moved = place if dated == date else self._free_place(dated, added)
            self._store.run(
                "UPDATE document SET place = ?, kind = ?, title = ?, type_code = ?, class_code = ?, date = ?,"
                " author = ?, confidentiality = ?, counts = ?, attachments = ? WHERE number = ?",
                (moved, *_columns(state), number),
            )
            self._store.run(
                "UPDATE content SET state = ?, conflicts = ? WHERE document = ?",
                (_json(state), _clashes(conflicts), number),
            )
            self._store.run("UPDATE replica SET save = ? WHERE document = ?", (save, number))
            self._hold(number, state, known=True)
            self.index.drop(place)
            self.index.put(moved, state)

    def record(
        self, document_id: str, epoch: int, change: Change, author: str, time: int, *, pushed: bool = False
    ) -> None:
        """Keeps a change of a shared document. `pushed` once it needs no envelope any more."""
        self._record(document_id, epoch, [(change, author, time)], pushed=pushed)

    def _record(
        self, document_id: str, epoch: int, changes: Sequence[tuple[Change, str, int]], *, pushed: bool
    ) -> None:
        document = bytes.fromhex(document_id)
        self._store.run_many(
            "INSERT INTO change (hash, document, epoch, actor, seq, deps, bytes, author, time, pushed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                (
                    change.hash, document, epoch, change.actor, change.seq,
                    b"".join(change.deps), change.data, author, time, int(pushed),
                )
                for change, author, time in changes
            ),
        )  # fmt: skip
        if self.listener is not None:
            for change, author, time in changes:
                self.listener.changed(document_id, epoch, change, author, time, own=not pushed)

    def with_unpushed(self) -> list[str]:
        """Documents with a change of this device that is in no envelope yet."""
        rows = self._store.rows("SELECT DISTINCT document FROM change WHERE pushed = 0 ORDER BY document")
        return [row[0].hex() for row in rows]

    def unpushed(self, document_id: str) -> list[tuple[str, int, Change, str]]:
        """(document, epoch, change, author) of every change of this device that is in no envelope yet, in order."""
        from vault.replica import Change

        rows = self._store.rows(
            "SELECT document, epoch, hash, actor, seq, deps, bytes, author FROM change WHERE pushed = 0"
            " AND document = ? ORDER BY epoch, actor, seq",
            (bytes.fromhex(document_id),),
        )
        return [
            (row[0].hex(), row[1], Change(row[2], row[3], row[4], _hashes(row[5]), row[6]), row[7])
            for row in rows
        ]  # fmt: skip

    def set_all_pushed(self) -> None:
        self._store.run("UPDATE change SET pushed = 1 WHERE pushed = 0")

    def edit(self, document_id: str, edits: Sequence[Edit], *, author: str, time: int) -> None:
        """One change of this device, in the name of `author`: the holder, or whose late change is replayed here."""
        from vault.replica import conflicts, edit, flatten

        with self._store.transaction():
            replica = self.replica(document_id)
            save, change = edit(replica.save, replica.actor, edits)
            if change is None:
                return
            several = replica.epoch > 0 or self.listener is not None
            self.write(document_id, flatten(save), save, conflicts(save) if several else ())
            if several:
                self.record(document_id, replica.epoch, change, author, time)

    def applied(self, document_id: str, merged: Merged, changes: Sequence[tuple[Change, str, int]]) -> None:
        """The document after a merge of foreign changes, each with its author and time. They need no envelope."""
        with self._store.transaction():
            epoch = self.replica(document_id).epoch
            self._record(document_id, epoch, changes, pushed=True)
            for actor, author in {(change.actor, author): None for change, author, _ in changes}:
                self.name_actor(actor, author)
            self.write(document_id, merged.state, merged.save, merged.conflicts)

    def name_actor(self, actor: bytes, name: str) -> None:
        """Who writes under an actor id: told once, never changed by a later claim."""
        self._store.run("INSERT INTO actor (actor, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (actor, name))

    def actor_name(self, actor: bytes) -> str:
        row = self._store.row("SELECT name FROM actor WHERE actor = ?", (actor,))
        return str(row[0]) if row else ""

    def start_epoch(self, document_id: str, save: bytes, actor: bytes, *, to: int | None = None) -> int:
        """A fresh replica takes the old one's place; the old one stays in the archive. The new epoch's number: the
        next one, unless `to` is given."""
        with self._store.transaction():
            (number,) = self._row(document_id, "number")
            ended = self.replica(document_id)
            following = ended.epoch + 1 if to is None else to
            self._store.run(
                "INSERT INTO replica_archive (document, epoch, actor, save) VALUES (?, ?, ?, ?)",
                (number, ended.epoch, ended.actor, ended.save),
            )
            self._store.run(
                "UPDATE replica SET epoch = ?, actor = ?, save = ? WHERE document = ?",
                (following, actor, save, number),
            )
            # The edition holds one side of each conflict: the others stay in the archived replica.
            self._store.run("UPDATE content SET conflicts = '[]' WHERE document = ? AND conflicts <> '[]'", (number,))
            return following

    def renumber(self, document_id: str, epoch: int, to: int) -> None:
        """Another number for an epoch, before another one takes its place."""
        (number,) = self._row(document_id, "number")
        for table in ("replica", "replica_archive"):
            self._store.run(f"UPDATE {table} SET epoch = ? WHERE document = ? AND epoch = ?", (to, number, epoch))

    def last_epoch(self, document_id: str) -> int:
        """The greatest number of an epoch that this document ever had here."""
        number, epoch = self._row(document_id, "number, epoch", join="JOIN replica ON replica.document = number")
        row = self._store.row("SELECT max(epoch) FROM replica_archive WHERE document = ?", (number,))
        return max(int(epoch), int(row[0] or 0) if row else 0)

    def archived(self, document_id: str) -> list[tuple[int, bytes]]:
        """(epoch, replica) of every ended epoch."""
        (number,) = self._row(document_id, "number")
        rows = self._store.rows("SELECT epoch, save FROM replica_archive WHERE document = ? ORDER BY epoch", (number,))
        return [(row[0], row[1]) for row in rows]

    def put_archive(self, document_id: str, epoch: int, save: bytes) -> None:
        """The replica of an ended epoch, from another device."""
        (number,) = self._row(document_id, "number")
        self._store.run("INSERT OR IGNORE INTO replica_archive VALUES (?, ?, ?, ?)", (number, epoch, b"", save))

    def added(self, document_id: str) -> int:
        """When the document came into the vault."""
        (added,) = self._row(document_id, "added")
        return int(added)

    def every_change(self, document_id: str) -> dict[bytes, tuple[str, int]]:
        """hash -> (author, time) of the changes that were kept."""
        rows = self._store.rows(
            "SELECT hash, author, time FROM change WHERE document = ?", (bytes.fromhex(document_id),)
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def ids(self) -> list[str]:
        return [bytes(row[0]).hex() for row in self._store.rows("SELECT id FROM document ORDER BY number")]

    def epoch(self, document_id: str) -> int:
        return self.replica(document_id).epoch

    def replica_save(self, document_id: str, epoch: int) -> bytes:
        """The replica of an epoch, the current one or an ended one."""
        replica = self.replica(document_id)
        if replica.epoch == epoch:
            return replica.save
        (save,) = self._row(document_id, "save", f"JOIN replica_archive ON document = number AND epoch = {int(epoch)}")
        return bytes(save)

    def archive(self, document_id: str, epoch: int, save: bytes) -> None:
        """The replica of an ended epoch, after changes that came late: nothing that was written is lost."""
        self.replica_save(document_id, epoch)
        self._store.run(
            "UPDATE replica_archive SET save = ? WHERE epoch = ?"
            " AND document = (SELECT number FROM document WHERE id = ?)",
            (save, epoch, bytes.fromhex(document_id)),
        )

    def remove(self, document_id: str) -> None:
        """Takes the document out of every table that names it. Only one that was never granted."""
        number, place = self._row(document_id, "number, place")
        with self._store.transaction():
            self.index.drop(place)
            self._store.run("DELETE FROM change WHERE document = ?", (bytes.fromhex(document_id),))
            for table in ("holding", "source", "content", "replica", "replica_archive", "imported"):
                self._store.run(f"DELETE FROM {table} WHERE document = ?", (number,))
            self._store.run("DELETE FROM document WHERE number = ?", (number,))

    def index_again(self) -> None:
        """The index of a vault that was made before the index held what is there now."""
        self.index.again((self._row(document_id, "place")[0], state) for document_id, state in self.states())

    def exists(self, document_id: str) -> bool:
        return self._store.row("SELECT 1 FROM document WHERE id = ?", (_key(document_id),)) is not None

    def set_shared(self, document_id: str, shared: bool) -> None:
        self._store.run(
            "UPDATE document SET shared = ?1 WHERE id = ?2 AND shared <> ?1", (int(shared), bytes.fromhex(document_id))
        )

    def state(self, document_id: str) -> Document:
        """The document as a reader sees it, without its conflicts."""
        return to_document(self.flat(document_id), document_id)

    def flat(self, document_id: str) -> State:
        """The state with the attachments' keys: never leaves the vault as it is."""
        (text,) = self._row(document_id, "state", join="JOIN content ON content.document = number")
        flat: State = json.loads(text)
        return flat

    def conflicts(self, document_id: str) -> list[Any]:
        (text,) = self._row(document_id, "conflicts", join="JOIN content ON content.document = number")
        found: list[Any] = json.loads(text)
        return found

    def written(self, change: bytes) -> tuple[str, int]:
        """(author, time) of a change; ("", 0) when it was not kept."""
        row = self._store.row("SELECT author, time FROM change WHERE hash = ?", (change,))
        return (str(row[0]), int(row[1])) if row else ("", 0)

    def replica(self, document_id: str) -> Replica:
        save, epoch, actor, text = self._row(
            document_id,
            f"save, epoch, actor, CASE length(save) WHEN {ACTOR} THEN state END",
            join="JOIN replica ON replica.document = number JOIN content ON content.document = number",
        )
        made = bytes(save) if text is None else _written_out(json.loads(text), bytes(save))
        return Replica(made, int(epoch), bytes(actor))

    def find(self, prefix: str) -> str:
        """The one document whose id begins so; NotFound for none or several."""
        text = prefix.strip().lower()
        if not 4 <= len(text) <= 32 or not set(text) <= set("0123456789abcdef"):
            raise NotFound(f"no document {prefix[:40]!r}", hint="Give at least 4 characters of its id.")
        low, high = bytes.fromhex(text.ljust(32, "0")), bytes.fromhex(text.ljust(32, "f"))
        rows = self._store.rows("SELECT id FROM document WHERE id BETWEEN ? AND ? LIMIT 2", (low, high))
        if len(rows) != 1:
            raise NotFound(f"{'more than one' if rows else 'no'} document begins with {text}")
        return bytes(rows[0][0]).hex()

    def find_source(self, source_id: str) -> str | None:
        row = self._store.row(
            "SELECT document.id FROM source JOIN document ON number = source.document WHERE source.id = ?", (source_id,)
        )
        return bytes(row[0]).hex() if row else None

    def find_kind(self, kind: str) -> str | None:
        row = self._store.row("SELECT id FROM document WHERE kind = ? ORDER BY number LIMIT 1", (kind,))
        return bytes(row[0]).hex() if row else None

    def count(self) -> int:
        row = self._store.row("SELECT count(*) FROM document")
        return int(row[0]) if row else 0

    def page(self, *, kind: str, type_code: str, year: str, before: int | None, limit: int) -> list[Summary]:
        """Newest first, below the place `before`. Costs the same wherever in the timeline it is."""
        wanted: list[str] = []
        params: list[Any] = []
        if kind:
            wanted.append("kind = ?")
            params.append(kind)
        if type_code:
            wanted.append("type_code = ?")
            params.append(type_code)
        if year:
            wanted.append("place >= ? AND place < ? AND substr(date, 1, 4) = ?")
            params += [*timeline.year_places(year), year]
        if before is not None:
            wanted.append("place < ?")
            params.append(before)
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        sql = f"SELECT {COLUMNS} FROM document {where} ORDER BY place DESC LIMIT ?"
        return [summary_of(row) for row in self._store.rows(sql, (*params, limit))]

    def search(self, text: str, limit: int, wanted: Wanted = ANYTHING) -> list[tuple[Summary, str]]:
        """(summary, readable text) of the newest documents that hold every word and are as wanted."""
        found = self.index.search(text, limit, wanted)
        return [(summary, readable(self.flat(summary.id))) for summary in found]

    def holding(self, kind: str) -> Iterator[tuple[Summary, State]]:
        """Every document with entries of this kind, newest first, with its state."""
        rows = self._store.rows(
            f"SELECT {COLUMNS}, content.state FROM holding JOIN document ON document.number = holding.document"
            " JOIN content ON content.document = document.number WHERE holding.kind = ? ORDER BY document.place DESC",
            (kind,),
        )
        for row in rows:
            yield summary_of(row), json.loads(row[-1])

    def states(self) -> Iterator[tuple[str, State]]:
        """Every document's state, a few at a time."""
        last = 0
        while rows := self._store.rows(
            "SELECT number, id, state FROM document JOIN content ON content.document = number"
            " WHERE number > ? ORDER BY number LIMIT 200",
            (last,),
        ):
            for number, key, text in rows:
                last = number
                yield bytes(key).hex(), json.loads(text)

    def _row(self, document_id: str, columns: str, join: str = "") -> Row:
        row = self._store.row(f"SELECT {columns} FROM document {join} WHERE id = ?", (_key(document_id),))
        if row is None:
            raise NotFound(f"no document {document_id[:40]!r}")
        return row

    def _free_place(self, date: str, added: int) -> int:
        base = timeline.base_place(date, added)
        row = self._store.row(
            "SELECT max(place) FROM document WHERE place >= ? AND place < ?", (base, base + (1 << timeline.TIE_BITS))
        )
        return base if row is None or row[0] is None else int(row[0]) + 1

    def _hold(self, number: int, state: State, *, known: bool = False) -> None:
        if known:
            self._store.run("DELETE FROM holding WHERE document = ?", (number,))
        kinds = {fields["kind"] for fields in state["entries"].values()}
        self._store.run_many(
            "INSERT INTO holding (kind, document) VALUES (?, ?)", [(kind, number) for kind in sorted(kinds)]
        )


def _written_out(state: State, actor: bytes) -> bytes:
    from vault.replica import make

    return make(state, actor, checked=True)[0]


def _key(document_id: str) -> bytes:
    try:
        return bytes.fromhex(document_id)
    except ValueError:
        return b""


def _hashes(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[at : at + 32] for at in range(0, len(joined), 32))


def _columns(state: State) -> tuple[str, ...]:
    meta = state["meta"]
    counts: dict[str, int] = {}
    for fields in state["entries"].values():
        section = ENTRY_SECTION.get(fields["kind"])
        if section:
            counts[section] = counts.get(section, 0) + 1
    shown = {key: {name: fields.get(name, "") for name in _SHOWN} for key, fields in state["attachments"].items()}
    names = ("title", "type_code", "class_code", "date", "author", "confidentiality")
    return (meta.get("kind", CLINICAL), *(meta.get(name, "") for name in names), _json(counts), _json(shown))


_SHOWN = ("media_type", "size", "name")


def _clashes(conflicts: Sequence[Clash]) -> str:
    return _json(
        [
            [clash.path, [[side.value, side.actor.hex(), side.change.hex()] for side in clash.sides]]
            for clash in conflicts
        ]
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
