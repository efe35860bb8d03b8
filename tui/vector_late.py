"""Vectors of late changes: what they did, and what of it is written again. The states are made with the product."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vault import late, replica
from vault.clash import Clash, Side
from vault.replica import Edit
from vault.shape import PARTS

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]
_BASE, _BRANCH = b"base" * 4, b"late" * 4


def _edits(given: Given) -> tuple[Edit, ...]:
    return tuple((op, tuple(path), *value) for op, path, *value in given.items("edits"))


def _in_order(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda item: (PARTS.index(item[1][0]), item[1][1:]))


def _effect(given: Given) -> dict[str, Any]:
    clashes = [
        Clash(tuple(one.items("path")), tuple(Side(side.any("value"), b"", _name(side)) for side in one.many("sides")))
        for one in given.many("conflicts")
    ]
    did = late.effect_on(given.any("before"), given.any("after"), clashes, {_LATE})
    edits = _in_order(did.edits)
    seen = late.replaced(edits, given.any("before"))
    contested = sorted(path for path, _ in did.contested)
    return {"edits": edits, "seen": seen, "contested": contested, "whole": dict(did.whole)}


_LATE = b"late"


def _name(side: Given) -> bytes:
    return _LATE if side.any("late") else b"other"


def _again(given: Given) -> dict[str, Any]:
    contested = tuple((tuple(path), b"other") for path in given.items("contested"))
    what = late.Late(_edits(given), tuple(given.items("seen")), contested, given.any("whole"))
    return _planned(late.plan_again(what, given.any("base")), given.any("base"))


def _draft(given: Given) -> dict[str, Any]:
    draft = late.Draft(_edits(given), tuple(given.items("seen")), given.any("whole"))
    return _planned(late.plan_draft(draft, given.items("known"), given.any("base")), given.any("base"))


def _planned(plan: late.Plan, base: Mapping[str, Any]) -> dict[str, Any]:
    """With the state that the edits lead to: a replica is made of the base, and they are made in it."""
    save, _ = replica.make(base, _BASE)
    after, _ = replica.edit(save, _BRANCH, plan.edits)
    return {"edits": plan.edits, "beside": sorted(plan.beside), "state": replica.flatten(after)}


LATE_FORMATS: dict[str, Run] = {"late-effect": _effect, "late-again": _again, "late-draft": _draft}
