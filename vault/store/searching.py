"""The search index: which words stand in which document, and how it is asked.

FTS5 writes what it has gathered to the disk whenever a savepoint begins and whenever a document comes that is older
than the one before. So what comes in together is indexed together, oldest first, at the end of its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.store import timeline, words
from vault.store.connection import Store
from vault.store.summary import COLUMNS, Summary, summary_of

if TYPE_CHECKING:
    from vault.replica import State

MOST = 500  # documents whose words wait in memory
_INSERT = "INSERT INTO search (rowid, words) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search is narrowed to. `since` and `until` are a year, a month or a day, both included; `author` the
    beginnings of words of who wrote it."""

    type_code: str = ""
    since: str = ""
    until: str = ""
    author: str = ""

    def fits(self, summary: Summary) -> bool:
        """The day as it is written decides, whatever the time zone; what has no date is in no range."""
        if self.type_code not in ("", summary.type_code):
            return False
        if self.since and summary.date[: len(self.since)] < self.since:
            return False
        if self.until and not "" < summary.date[: len(self.until)] <= self.until:
            return False
        if not self.author:
            return True
        named = words.fold(summary.author).split()
        return all(any(name.startswith(word) for name in named) for word in words.fold(self.author).split())


ANYTHING = Wanted()


class Index:
    """Words by the place of their document."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._together = False
        self._waiting: list[tuple[int, str]] = []

    def put(self, place: int, state: State) -> None:
        """A document that is not in the index."""
        if not self._together:
            self._store.run(_INSERT, (place, _words(state)))
            return
        self._waiting.append((place, _words(state)))
        if len(self._waiting) >= MOST:
            self._settle()

    def drop(self, place: int) -> None:
        self._settle()
        self._store.run("DELETE FROM search WHERE rowid = ?", (place,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Documents of one transaction, indexed at its end. Only inside a transaction, which keeps others out."""
        if self._together:
            yield
            return
        self._together = True
        try:
            yield
            self._settle()
        finally:
            self._together = False
            self._waiting = []

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that may fail alone."""
        before = self._waiting[:]
        try:
            with self._store.savepoint():
                yield
        except BaseException:
            # What was indexed in the part, of itself or of what came before, was taken back with it.
            self._waiting = before
            raise

    def _settle(self) -> None:
        if self._waiting:
            self._store.run_many(_INSERT, sorted(self._waiting))
            self._waiting = []

    def forget(self) -> None:
        """Rewrites the index: a removed row's words would otherwise stay in it, unfound, until it is next merged."""
        self._store.run("INSERT INTO search (search) VALUES ('optimize')")

    def again(self, documents: Iterable[tuple[int, State]]) -> None:
        """Everything anew, from places and states: for a vault that is older than what the index holds."""
        with self._store.transaction():
            self._store.run("INSERT INTO search (search) VALUES ('delete-all')")
            for place, state in documents:
                self._store.run(_INSERT, (place, _words(state)))
            self._store.run("DELETE FROM meta WHERE key = 'index-again'")

    def search(self, text: str, limit: int, wanted: Wanted) -> list[Summary]:
        """The newest documents that hold every word and are as wanted."""
        asked = words.narrowed(text, wanted.author, wanted.type_code)
        if not asked and wanted == ANYTHING:
            return []
        found: list[Summary] = []
        first, before = timeline.range_places(wanted.since, wanted.until)
        while len(found) < limit:
            page = self._matching(asked, first, before, limit)
            found += [summary for summary in page if wanted.fits(summary)]
            if len(page) < limit:
                break
            before = page[-1].place
        return found[:limit]

    def _matching(self, asked: str, first: int, before: int, limit: int) -> list[Summary]:
        """Documents from a place up to another, newest first. The index's rowid is the place: nothing is sorted."""
        params: list[Any] = [first, before]
        if asked:
            choice = (
                "SELECT rowid AS place FROM search WHERE rowid >= ? AND rowid < ? AND search MATCH ?"
                " ORDER BY rowid DESC LIMIT ?"
            )
            params.append(asked)
        else:
            choice = "SELECT place FROM document WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT ?"
        rows = self._store.rows(
            f"SELECT {COLUMNS} FROM ({choice}) AS chosen JOIN document ON document.place = chosen.place"
            " ORDER BY document.place DESC",
            (*params, limit),
        )
        return [summary_of(row) for row in rows]


def readable(state: State) -> str:
    """What search looks through and cuts excerpts from."""
    meta = state["meta"]
    parts = [meta.get("title", ""), meta.get("author", "")]
    for fields in state["entries"].values():
        parts.append(" ".join([str(fields[name]) for name in _SEARCHED if fields.get(name)]))
    parts += [fields.get("name", "") for fields in state["attachments"].values()]
    parts.append(meta.get("text", ""))
    return "\n".join(part for part in parts if part)


_SEARCHED = ("label", "substance", "code", "dose", "value", "unit", "reaction", "performer", "note", "author")


def _words(state: State) -> str:
    """Every word once: the index holds no places and no counts, so a repetition adds nothing but work."""
    meta = state["meta"]
    facets = words.facets(meta.get("author", ""), meta.get("type_code", ""))
    return " ".join(dict.fromkeys([*words.folded(readable(state)), *facets.split()]))
