"""The tasks of the quarantine worker, and the reading of what they answer.

The worker loads this module before it gives up its rights; the vault reads the answers as strictly as any other input.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vault.clash import Clash, Side
from vault.errors import ForeignChange, InputRefused
from vault.replica import Change, Live, Merged
from vault.shape import check_state

if TYPE_CHECKING:
    from vault.quarantine import Task

KEPT = 8
MAX_KEPT = 20_000  # bytes of a save, and operations
_HASH = 32
_CLAIM = struct.Struct(">32s16sQ")  # hash, actor, seq; the dependencies follow


# Replicas as they were answered: most often the next change is to one of them, and it need not be loaded again.
_kept: dict[bytes, Live] = {}


def pack(save: bytes, claims: Sequence[Change], own: bytes) -> list[bytes]:
    """The byte strings that `merge_task` reads: save, own actor, and for each claim what it says and its chunk."""
    parts = [save, own]
    for claim in claims:
        deps = b"".join(claim.deps)
        if (
            not 0 <= claim.seq < 1 << 64
            or len(claim.hash) != _HASH
            or len(claim.actor) != 16
            or len(deps) != _HASH * len(claim.deps)
        ):
            raise ForeignChange("a change from outside has a hash, author or number of a wrong length")
        parts += (_CLAIM.pack(claim.hash, claim.actor, claim.seq) + deps, claim.data)
    return parts


def merge_task(_: Any, parts: list[bytes]) -> tuple[Any, list[bytes]]:
    """What `pack` made to the merged replica: [state, clashes] and save, applied, known, missing, waiting."""
    save, own, *rest = parts
    claims = [
        Change._make((*_CLAIM.unpack_from(said), _hashes(said[_CLAIM.size :]), data))
        for said, data in zip(rest[::2], rest[1::2], strict=True)
    ]
    live = _kept.pop(save, None) or Live(save)
    merged = live.take(claims, own=own)
    _keep(merged.save, live)
    clashes = [
        [clash.path, [[side.value, side.actor.hex(), side.change.hex()] for side in clash.sides]]
        for clash in merged.conflicts
    ]
    groups = (merged.applied, merged.known, merged.missing, merged.waiting)
    return [merged.state, clashes], [merged.save, *map(b"".join, groups)]


def _keep(save: bytes, live: Live) -> None:
    """Small ones only: what is kept must never be what the next task lacks memory for."""
    if len(save) > MAX_KEPT or live.operations > MAX_KEPT:
        return
    _kept[save] = live
    if len(_kept) > KEPT:
        del _kept[next(iter(_kept))]


def read_merged(answer: Any, parts: list[bytes]) -> Merged:
    """The worker's answer as a Merged; ForeignChange when it is not one."""
    try:
        state, clashes = answer
        save, applied, known, missing, waiting = parts
        check_state(state)
        conflicts = tuple(
            Clash(tuple(path), tuple(Side(v, bytes.fromhex(actor), bytes.fromhex(name)) for v, actor, name in sides))
            for path, sides in clashes
        )
        return Merged(save, state, conflicts, _hashes(applied), _hashes(known), _hashes(missing), _hashes(waiting))
    except (ValueError, TypeError, AttributeError, InputRefused) as failure:
        raise ForeignChange("the worker's answer cannot be read") from failure


def _hashes(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % _HASH:
        raise ValueError("not whole hashes")
    return tuple(joined[at : at + _HASH] for at in range(0, len(joined), _HASH))


TASKS: dict[str, Task] = {"merge": merge_task}
