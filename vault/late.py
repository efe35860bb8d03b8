"""Late changes, written again: what was made in an epoch that is over goes into the current one, beside what was
written there meanwhile. Pure functions over replicas. Normative text: spec/epoch.md.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from vault.clash import Clash, Path
from vault.replica import Change, Edit, Merged, State, changes, conflicts, edit, flatten, merge
from vault.shape import alike, edits_between


@dataclass(frozen=True, slots=True)
class Late:
    """What late changes did to the replica of their epoch. `seen`: what each edit replaced there. `contested`: fields
    that somebody else had set too."""

    edits: tuple[Edit, ...]
    seen: tuple[Any, ...]
    contested: tuple[tuple[Path, bytes], ...]  # (path, the change of somebody else)
    whole: Mapping[str, Mapping[str, Any]]  # the entries that were touched, as they stood afterwards


@dataclass(frozen=True, slots=True)
class Again:
    """The current replica with the late edits in it, and the changes that put them there."""

    save: bytes
    state: State
    merged: Merged
    beside: Change | None  # the values that stood there, written again under an actor of their own
    late: Change | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written on a state: the edits, and beside them what their authors had not read, once more."""

    edits: tuple[Edit, ...]
    beside: tuple[tuple[Path, Any], ...]


def effect(before: bytes, merged: Merged, applied: Sequence[bytes]) -> Late:
    """What the changes in `applied` did, those that lost a conflict included."""
    return effect_on(flatten(before), merged.state, merged.conflicts, set(applied))


def effect_on(old: State, new: State, conflicts: Iterable[Clash], late: Set[bytes]) -> Late:
    """The same, of states: without the changes that `late` names, and with them."""
    edits: list[Edit] = list(edits_between(old, new))
    contested: list[tuple[Path, bytes]] = []
    for clash in conflicts:
        sides = [side for side in clash.sides if side.change in late]
        if not sides:
            continue
        others = [side for side in clash.sides if side.change not in late]
        if others and clash.path[-1] != "kind":
            contested.append((clash.path, others[0].change))
        shown = clash.sides[0]
        if shown.change not in late:
            edits = [item for item in edits if item[1] != clash.path]
            edits.append(("set", clash.path, sides[0].value))
    return Late(tuple(edits), tuple(replaced(edits, old)), tuple(contested), touched(edits, new))


def touched(edits: Sequence[Edit], state: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries that these edits are about, whole."""
    ids = {item[1][1] for item in edits if item[1][0] == "entries"}
    return {entry_id: dict(state["entries"][entry_id]) for entry_id in sorted(ids) if entry_id in state["entries"]}


def fitted(
    edits: Sequence[Edit], whole: Mapping[str, Mapping[str, Any]], state: Mapping[str, Mapping[str, Any]]
) -> list[Edit]:
    """The edits as they can be made on this state, one after the other: an entry that was removed comes back whole, and
    nothing is removed that is not there."""
    fitting: list[Edit] = []
    present = {part: set(keys) for part, keys in state.items()}
    back: set[str] = set()
    for item in edits:
        part, key = item[1][0], item[1][1]
        here = key in present[part]
        if len(item[1]) == 3 and not here:
            if part != "entries" or item[0] == "delete" or key not in whole:
                continue
            back.add(key)
            item = ("set", ("entries", key), dict(whole[key]))
        elif (len(item[1]) == 3 and part == "entries" and key in back) or (item[0] == "delete" and not here):
            continue  # it is in the whole entry already, or there is nothing to remove
        if len(item[1]) == 2:
            if item[0] == "set":
                present[part].add(key)
            else:
                present[part].discard(key)
                back.discard(key)
        fitting.append(item)
    return fitting


def write_again(save: bytes, aside: bytes, branch: bytes, late: Late) -> Again:
    """The late edits on the edition of the current epoch, under the actor `branch`, merged into `save`.

    From the edition on they know nothing of what was written since: that stays beside them as a conflict. The value of
    a field that was contested, or that the edition has from somebody who wrote it in another epoch, is written again
    under `aside`, a new actor: it knows as little of the late edit as that of it, and both are seen.
    """
    every = changes(save)
    base = _prefix([every[0], *(made for made in every if made.actor == branch)])
    plan = plan_again(late, base.state)
    _, change = edit(base.save, branch, plan.edits)
    if change is None:
        state = flatten(save)
        return Again(save, state, Merged(save, state, conflicts(save)), None, None)
    beside = _beside(base, aside, plan)
    merged = merge(save, [change] if beside is None else [beside, change])
    return Again(merged.save, merged.state, merged, beside, change)


def plan_again(late: Late, base: State) -> Plan:
    """What late edits become on this state."""
    edits, unseen = _unseen(late, base)
    return _plan(edits, late.whole, base, [*(path for path, _ in late.contested), *unseen])


def _plan(edits: Sequence[Edit], whole: Mapping[str, Mapping[str, Any]], base: State, paths: Iterable[Path]) -> Plan:
    values = {path: _value(base, path) for path in paths}
    beside = tuple((path, value) for path, value in values.items() if value is not None)
    return Plan(tuple(fitted(edits, whole, base)), beside)


def _beside(base: Merged, aside: bytes, plan: Plan) -> Change | None:
    """What these fields hold in this state, once more: the same value alone would write nothing."""
    again: list[Edit] = []
    for path, value in plan.beside:
        again += [("delete", path), ("set", path, value)]
    return edit(base.save, aside, again)[1] if again else None


def _unseen(late: Late, base: State) -> tuple[list[Edit], list[Path]]:
    """(the edits that are still to be made, the fields whose value in this state their authors had not read)."""
    edits: list[Edit] = []
    unseen: list[Path] = []
    for item, seen in zip(late.edits, late.seen, strict=True):
        path = item[1]
        here = _value(base, path)
        new = item[2] if len(item) == 3 else None
        if here is not None and not alike(here, seen) and not alike(here, new):
            if item[0] == "delete" and len(path) == 2 and path[0] != "meta":
                continue  # somebody amended it unseen: it stays
            if isinstance(here, Mapping):  # made in another epoch too
                both = ((name, here.get(name), value) for name, value in dict(new or {}).items())
                fields = [name for name, old, value in both if old is not None and not alike(old, value)]
                unseen += [(*path, name) for name in fields if path[0] == "entries"]
            else:
                unseen.append(path)
        edits.append(item)
    return edits, [path for path in unseen if path[-1] != "kind"]


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author wrote and no relay took, or took without an answer. `seen`: what each edit replaced."""

    edits: tuple[Edit, ...]
    seen: tuple[Any, ...]
    whole: Mapping[str, Mapping[str, Any]]


def replaced(edits: Sequence[Edit], state: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """What each of these edits replaces in this state; None for nothing."""
    return [_value(state, item[1]) for item in edits]


def draft_again(save: bytes, aside: bytes, branch: bytes, draft: Draft) -> tuple[bytes, list[Change]]:
    """An author's drafts of earlier epochs, as one change under `branch`: (replica, changes to be sent).

    They are made on the edition, or on the first state after it that knows every entry they are about: what was written
    later stands beside them. Where that state has another value than the author replaced, somebody else wrote it: that
    value is written again beside, under `aside`; both are new actors. What the relay took after all is not made again.
    """
    every = changes(save)
    ids = {item[1][1] for item in draft.edits if item[1][0] == "entries"}
    first = {entry_id: at for at, made in reversed([*enumerate(every)]) for entry_id in ids if _names(made, entry_id)}
    base = _prefix(every[: max(first.values(), default=0) + 1])
    plan = plan_draft(draft, first, base.state)
    _, late = edit(base.save, branch, plan.edits)
    if late is None:
        return save, []
    beside = _beside(base, aside, plan)
    made = [late] if beside is None else [beside, late]
    return merge(save, made).save, made


def plan_draft(draft: Draft, known: Container[str], base: State) -> Plan:
    """What drafts become on this state, up to which the entries in `known` were named by a change."""
    edits, unseen = _contested(draft, known, base)
    return _plan(edits, draft.whole, base, unseen)


def _contested(draft: Draft, known: Container[str], base: State) -> tuple[list[Edit], list[Path]]:
    """(the edits that are still to be made, the fields whose value in this state their author had not read)."""
    edits: list[Edit] = []
    unseen: list[Path] = []
    made: dict[Path, Any] = {}  # by earlier edits of the draft itself
    for item, seen in zip(draft.edits, draft.seen, strict=True):
        path = item[1]
        here = _value(base, path)
        if path[0] == "entries" and len(path) == 2:
            if item[0] == "set" and path[1] in known:
                continue  # its id is random: it was taken
            if item[0] == "delete" and path[1] in known and not alike(here, seen) and path not in made:
                continue  # somebody amended it unseen: it stays
        elif path not in made and path[-1] != "kind":
            new = item[2] if len(item) == 3 else None
            if not alike(here, seen) and not alike(here, new):
                unseen.append(path)
        made[path] = True
        edits.append(item)
    return edits, unseen


def _names(made: Change, entry_id: str) -> bool:
    return entry_id.encode() in made.data


def _prefix(every: Sequence[Change]) -> Merged:
    base = merge(b"", every[:1])
    return merge(base.save, every[1:]) if every[1:] else base


def _value(state: Mapping[str, Mapping[str, Any]], path: Path) -> Any:
    place: Any = state
    for name in path:
        if not isinstance(place, Mapping) or name not in place:
            return None
        place = place[name]
    return place
