"""Conflicts of a replica: fields that people wrote without knowing of each other. Normative: spec/replica.md, 4.

They are found from the operations themselves, since Automerge names only the value that it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault import chunk
from vault.chunk import MAX_FIRST, Operation, OpId

Path = tuple[str, ...]
Known = Mapping[bytes, Sequence[Operation]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a conflict: the value, who wrote it and in which change."""

    value: str | int | bool | None
    actor: bytes
    change: bytes


@dataclass(frozen=True, slots=True)
class Clash:
    """A field with more than one value, written by people who did not know of each other; the shown value first."""

    path: Path
    sides: tuple[Side, ...]


def clashes(
    history: Sequence[Any], state: Mapping[str, Mapping[str, Any]], known: Known | None = None
) -> tuple[Clash, ...]:
    """Every field with several values. `history`: Automerge's changes, in order; `state`: what is shown; `known`: the
    operations of changes that were read already, by hash."""
    if _linear(history):
        return ()
    maps = _Maps(history, known or {})
    found = []
    for path, sides in maps.sides():
        if len(path) == 3 and path[1] not in state.get(path[0], {}):
            continue  # of an entry that was removed
        # `kind` is written with every amendment; two of the same value are no conflict.
        if len({(type(side.value), side.value) for side in sides}) > 1:
            found.append(Clash(path, sides))
    return tuple(sorted(found, key=lambda clash: clash.path))


def doubled(history: Sequence[Any]) -> frozenset[Path]:
    """Entries and attachments that two people made at the same time: there are two maps under one name."""
    if _linear(history):
        return frozenset()
    return frozenset(path for path, made in _Maps(history, {}).places.items() if len(path) == 2 and len(made) > 1)


class _Maps:
    """The maps that are there, and what every field of them was set to and is not replaced."""

    def __init__(self, history: Sequence[Any], known: Known) -> None:
        self.places: dict[Path, dict[OpId, Side]] = {}  # the maps of each path, by the operation that made them
        self._fields: dict[OpId, dict[str, dict[OpId, Side]]] = {}
        paths: dict[OpId, Path] = {chunk.ROOT: ()}
        for made in history:
            for operation in known.get(made.hash) or _read(made.raw_bytes):
                path = (*paths.get(operation.target, ()), operation.key)
                fields = self._fields.setdefault(operation.target, {}).setdefault(operation.key, {})
                maps = self.places.get(path, {})
                for replaced in operation.replaces:
                    fields.pop(replaced, None)
                    maps.pop(replaced, None)
                if operation.action == chunk.MAKE_MAP:
                    paths[operation.id] = path
                    self.places.setdefault(path, {})[operation.id] = Side(None, made.actor_id, made.hash)
                elif operation.action == chunk.PUT:
                    fields[operation.id] = Side(operation.value, made.actor_id, made.hash)

    def sides(self) -> Iterator[tuple[Path, tuple[Side, ...]]]:
        """Of each field, what it was set to; of a map that was made twice, what it is in each of them that was not
        removed. The greatest operation, which is the one that Automerge shows, first."""
        for path, maps in self.places.items():
            order = sorted(maps, reverse=True)
            if path[0] == "entries":
                order = [identity for identity in order if self._fields.get(identity, {}).get("kind")] or order
            names = {name for identity in order for name in self._fields.get(identity, ())}
            for name in names:
                sides: list[Side] = []
                for identity in order:
                    puts = self._fields.get(identity, {}).get(name, {})
                    sides += [puts[put] for put in sorted(puts, reverse=True)] or [maps[identity]]
                yield (*path, name), tuple(sides)


def _read(data: bytes) -> Sequence[Operation]:
    return chunk.read_operations(chunk.read_header(data, limit=MAX_FIRST * 2))


def _linear(history: Sequence[Any]) -> bool:
    """Whether each change knew the one before it: then nobody wrote unknown to anybody."""
    last: list[bytes] = []
    for made in history:
        if made.deps != last:
            return False
        last = [made.hash]
    return True
