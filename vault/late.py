"""Late changes, written again: what was made in an epoch that is over goes into the current one, beside what was
written there meanwhile. Pure functions over replicas. Normative text: spec/epoch.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.replica import Change, Edit, Merged, Path, State, changes, edit, flatten, merge
from vault.shape import edits_between


@dataclass(frozen=True, slots=True)
class Late:
    """What late changes did to the replica of their epoch. `contested`: fields that somebody else had set too."""

    edits: tuple[Edit, ...]
    contested: tuple[tuple[Path, bytes], ...]  # (path, the change of somebody else)
    whole: Mapping[str, Mapping[str, Any]]  # the entries that were touched, as they stood afterwards


@dataclass(frozen=True, slots=True)
class Again:
    """The current replica with the late edits in it, and the changes that put them there."""

    save: bytes
    state: State
    merged: Merged
    beside: Change | None  # the value that stood there, written again under this device's actor
    late: Change | None


def effect(before: bytes, merged: Merged, applied: Sequence[bytes]) -> Late:
    """What the changes in `applied` did, those that lost a conflict included."""
    old = flatten(before)
    edits: list[Edit] = list(edits_between(old, merged.state))
    contested: list[tuple[Path, bytes]] = []
    late = set(applied)
    for clash in merged.conflicts:
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
    return Late(tuple(edits), tuple(contested), touched(edits, merged.state))


def touched(edits: Sequence[Edit], state: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries that these edits are about, whole."""
    ids = {item[1][1] for item in edits if item[1][0] == "entries"}
    return {entry_id: dict(state["entries"][entry_id]) for entry_id in ids if entry_id in state["entries"]}


def fitted(
    edits: Sequence[Edit], whole: Mapping[str, Mapping[str, Any]], state: Mapping[str, Mapping[str, Any]]
) -> list[Edit]:
    """The edits as they can be made on this state: an entry that was removed comes back whole, and nothing is removed
    that is not there."""
    fitting: list[Edit] = []
    back: set[str] = set()
    for item in edits:
        part, key = item[1][0], item[1][1]
        here = key in state[part]
        if part != "meta" and not here and len(item[1]) == 3:
            if part == "entries" and item[0] == "set" and key in whole and key not in back:
                back.add(key)
                fitting.append(("set", ("entries", key), dict(whole[key])))
        elif item[0] == "set" or here:
            fitting.append(item)
    return fitting


def write_again(save: bytes, actor: bytes, branch: bytes, late: Late) -> Again:
    """The late edits on the edition of the current epoch, under the actor `branch`, merged into `save`.

    From the edition on they know nothing of what was written since: that stays beside them as a conflict. `actor` is
    this device's: a contested field's present value is written again under it, so that both are seen.
    """
    every = changes(save)
    trunk = [every[0], *(made for made in every if made.actor == branch)]
    base = merge(b"", trunk[:1])
    if trunk[1:]:
        base = merge(base.save, trunk[1:])
    present = flatten(save)
    beside: Change | None = None
    again: list[Edit] = []
    for path, _ in late.contested:
        value = _value(present, path)
        if value is not None:
            again += [("delete", path), ("set", path, value)]  # the same value alone would write nothing
    if again:
        save, beside = edit(save, actor, again)
    _, change = edit(base.save, branch, fitted(late.edits, late.whole, base.state))
    if change is None:
        return Again(save, flatten(save), Merged(save, present), beside, None)
    merged = merge(save, [change])
    return Again(merged.save, merged.state, merged, beside, change)


def draft_again(
    save: bytes, actor: bytes, edits: Sequence[Edit], whole: Mapping[str, Mapping[str, Any]]
) -> tuple[bytes, Change | None]:
    """An author's own drafts of earlier epochs, as one change under a fresh `actor`: (replica, change).

    They are made on the edition, or on the first state after it that holds every entry they are about: an entry of the
    author's may have come back from the holder meanwhile. What was written later stands beside them.
    """
    every = changes(save)
    base = merge(b"", every[:1])
    wanted = {item[1][1] for item in edits if item[1][0] == "entries"} & flatten(save)["entries"].keys()
    for made in every[1:]:
        if wanted <= base.state["entries"].keys():
            break
        base = merge(base.save, [made])
    _, change = edit(base.save, actor, fitted(edits, whole, base.state))
    return (save, None) if change is None else (merge(save, [change]).save, change)


def _value(state: Mapping[str, Mapping[str, Any]], path: Path) -> Any:
    place: Any = state
    for name in path:
        if not isinstance(place, Mapping) or name not in place:
            return None
        place = place[name]
    return place
