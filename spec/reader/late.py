"""spec/epoch.md, "Writing again", read a second time: on plain maps, without a replica."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

State = Mapping[str, Mapping[str, Any]]
Edit = Sequence[Any]  # "set", path, value; or "delete", path
PARTS = ("meta", "entries", "attachments")


def at(state: State, path: Sequence[str]) -> Any:
    """What is there: None for nothing, and for null."""
    place: Any = state
    for name in path:
        if not isinstance(place, dict) or name not in place:
            return None
        place = place[name]
    return place


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and bool(one == other)


def value_of(edit: Edit) -> Any:
    return edit[2] if edit[0] == "set" else None


def in_order(edits: Iterable[Edit]) -> list[Edit]:
    """By part, then by the names of the path."""
    return sorted(edits, key=lambda edit: (PARTS.index(edit[1][0]), edit[1][1:]))


def difference(before: State, after: State) -> list[Edit]:
    edits: list[Edit] = []
    for part in PARTS:
        old, new = before[part], after[part]
        edits += [["delete", [part, key]] for key in old if key not in new]
        for key, value in new.items():
            if isinstance(value, dict) and isinstance(old.get(key), dict):
                inner = old[key]
                edits += [["delete", [part, key, name]] for name in inner if name not in value]
                edits += [
                    ["set", [part, key, name], scalar]
                    for name, scalar in value.items()
                    if name not in inner or not same(inner[name], scalar)
                ]
            elif key not in old or not same(old[key], value):
                edits.append(["set", [part, key], value])
    return edits


def effect(before: State, after: State, conflicts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Step 1."""
    edits, contested = difference(before, after), []
    for conflict in conflicts:
        path, sides = conflict["path"], conflict["sides"]
        late = [side for side in sides if side["late"]]
        if late and len(late) < len(sides) and path[-1] != "kind":
            contested.append(path)
        if late and not sides[0]["late"]:
            edits = [edit for edit in edits if edit[1] != path] + [["set", path, late[0]["value"]]]
    edits = in_order(edits)
    about = sorted({edit[1][1] for edit in edits if edit[1][0] == "entries"})
    return {
        "edits": edits,
        "seen": [at(before, edit[1]) for edit in edits],
        "contested": sorted(contested),
        "whole": {name: after["entries"][name] for name in about if name in after["entries"]},
    }


def unread(edits: Sequence[Edit], seen: Sequence[Any], base: State) -> tuple[list[Edit], list[list[str]]]:
    """Step 2."""
    kept, paths = [], []
    for edit, before in zip(edits, seen, strict=True):
        path, new, here = list(edit[1]), value_of(edit), at(base, edit[1])
        whole = len(path) == 2 and path[0] != "meta"
        if here is not None and not same(here, before) and not same(here, new):
            if edit[0] == "delete" and whole:
                continue
            if not isinstance(here, dict):
                paths.append(path)
            elif path[0] == "entries":
                paths += [
                    [*path, name]
                    for name, value in (new or {}).items()
                    if here.get(name) is not None and not same(here[name], value)
                ]
        kept.append(edit)
    return kept, [path for path in paths if path[-1] != "kind"]


def unread_by_author(
    edits: Sequence[Edit], seen: Sequence[Any], known: Iterable[str], base: State
) -> tuple[list[Edit], list[list[str]]]:
    """Step 2 of drafts."""
    kept: list[Edit] = []
    paths: list[list[str]] = []
    own: list[list[str]] = []
    for edit, before in zip(edits, seen, strict=True):
        path, here, new = list(edit[1]), at(base, edit[1]), value_of(edit)
        if path[0] == "entries" and len(path) == 2:
            if path[1] in known and (edit[0] == "set" or (not same(here, before) and path not in own)):
                continue
        elif path not in own and path[-1] != "kind" and not same(here, before) and not same(here, new):
            paths.append(path)
        own.append(path)
        kept.append(edit)
    return kept, paths


def fit(edits: Iterable[Edit], whole: Mapping[str, Any], base: State) -> tuple[list[Edit], State]:
    """Step 3: (the edits that are made, the state with them)."""
    state = {part: copy.deepcopy(dict(base[part])) for part in PARTS}
    made: list[Edit] = []
    back: set[str] = set()
    hidden: dict[str, dict[str, Any]] = {}
    for edit in edits:
        part, key, *field = edit[1]
        here = key in state[part]
        if field and not here:
            if part != "entries" or edit[0] == "delete" or key not in whole:
                continue
            back.add(key)
            edit = ["set", ["entries", key], whole[key]]
        elif (field and part == "entries" and key in back) or (edit[0] == "delete" and not here):
            continue
        if len(edit[1]) == 2 and edit[0] == "delete":
            back.discard(key)
        make(state, edit, hidden)
        made.append(edit)
    return made, state


def make(state: dict[str, dict[str, Any]], edit: Edit, hidden: dict[str, dict[str, Any]]) -> None:
    """`hidden`: the fields of removed entries."""
    part, key, *field = edit[1]
    if field and edit[0] == "set":
        state[part][key][field[0]] = edit[2]
    elif field:
        state[part][key].pop(field[0], None)
    elif edit[0] == "delete":
        gone = state[part].pop(key)
        if part == "entries":
            hidden[key] = gone
    elif isinstance(edit[2], dict):
        state[part].setdefault(key, hidden.pop(key, {})).update(edit[2])
    else:
        state[part][key] = edit[2]


def plan(
    edits: Sequence[Edit], whole: Mapping[str, Any], base: State, paths: Iterable[Sequence[str]]
) -> dict[str, Any]:
    """Steps 3 and 4."""
    made, state = fit(edits, whole, base)
    beside = sorted({tuple(path) for path in paths if at(base, path) is not None})
    return {"edits": made, "beside": [[list(path), at(base, path)] for path in beside], "state": state}


def write_again(given: Mapping[str, Any]) -> dict[str, Any]:
    edits, paths = unread(given["edits"], given["seen"], given["base"])
    return plan(edits, given["whole"], given["base"], [*given["contested"], *paths])


def write_drafts(given: Mapping[str, Any]) -> dict[str, Any]:
    edits, paths = unread_by_author(given["edits"], given["seen"], given["known"], given["base"])
    return plan(edits, given["whole"], given["base"], paths)
