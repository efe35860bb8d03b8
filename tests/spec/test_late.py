"""spec/epoch.md, "Writing again": product and second reader come to the same on states that nobody chose."""

from __future__ import annotations

import random
from typing import Any

import pytest

from spec.reader import late as second
from spec.vectors.make_late import ATTACHED
from tui.vector_formats import FORMATS
from tui.vectors import Given, plain

VALUES = ("1", "2", 1, True, False, None)
IDS, FILES = [digit * 32 for digit in "123"], [digit * 64 for digit in "45"]


def state(rng: random.Random) -> dict[str, Any]:
    fields = ("dose", "note", "negated")
    entries = {
        one: {"kind": rng.choice(("medication", "note"))} | {
            name: rng.choice(VALUES) for name in fields if rng.random() < 0.5}
        for one in IDS if rng.random() < 0.6
    }  # fmt: skip
    meta = {name: rng.choice("xy") for name in ("title", "author") if rng.random() < 0.6}
    files = {one: ATTACHED | {"name": rng.choice("xy")} for one in FILES if rng.random() < 0.5}
    return {"meta": {"kind": "medications"} | meta, "entries": entries, "attachments": files}


def conflicts(rng: random.Random, after: dict[str, Any]) -> list[dict[str, Any]]:
    """Conflicts whose first side is what the state shows, as those of a replica are."""
    found = []
    for entry, fields in after["entries"].items():
        for name, value in fields.items():
            if rng.random() < 0.3:
                others = ("medication", "note") if name == "kind" else VALUES
                choice = [one for one in others if not second.same(one, value)]
                sides = [value, *rng.sample(choice, rng.randint(1, min(2, len(choice))))]
                told = [{"value": side, "late": rng.random() < 0.5} for side in sides]
                found.append({"path": ["entries", entry, name], "sides": told})
    return sorted(found, key=lambda one: one["path"])


def product(kind: str, given: dict[str, Any]) -> Any:
    return plain(FORMATS[kind](Given(plain(given))))


@pytest.mark.parametrize("seed", range(400))
def test_late_changes_are_written_again_alike(seed: int) -> None:
    rng = random.Random(seed)
    before, after, base = state(rng), state(rng), state(rng)
    told = {"before": before, "after": after, "conflicts": conflicts(rng, after)}
    did = second.effect(before, after, told["conflicts"])
    assert product("late-effect", told) == plain(did)
    given = did | {"base": base}
    assert product("late-again", given) == plain(second.write_again(given))


@pytest.mark.parametrize("seed", range(400))
def test_drafts_are_written_again_alike(seed: int) -> None:
    """An author goes from state to state; what came meanwhile is another."""
    rng = random.Random(seed)
    edits, seen, whole, here = [], [], {}, state(rng)
    for _ in range(3):
        then = state(rng)
        did = second.effect(here, then, [])
        edits, seen, whole, here = edits + did["edits"], seen + did["seen"], whole | did["whole"], then
    base = state(rng)
    known = sorted({*base["entries"], *rng.sample(IDS, 1)})
    given = {"edits": edits, "seen": seen, "whole": whole, "known": known, "base": base}
    assert product("late-draft", given) == plain(second.write_drafts(given))
