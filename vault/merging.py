"""The tasks of the quarantine worker, and the reading of what they answer.

The worker loads this module before it gives up its rights; the vault reads the answers as strictly as any other input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vault.errors import ForeignChange, InputRefused
from vault.replica import Change, Clash, Merged, Side, merge
from vault.shape import check_state

if TYPE_CHECKING:
    from vault.quarantine import Task


def merge_task(value: Any, parts: list[bytes]) -> tuple[Any, list[bytes]]:
    """[own actor, claims] and (save, chunks...) to the merged replica."""
    own, heads = value
    claims = [
        Change(bytes.fromhex(name), bytes.fromhex(actor), seq, tuple(bytes.fromhex(d) for d in deps), data)
        for (name, actor, seq, deps), data in zip(heads, parts[1:], strict=True)
    ]
    merged = merge(parts[0], claims, own=bytes.fromhex(own))
    clashes = [
        [clash.path, [[side.value, side.actor.hex(), side.change.hex()] for side in clash.sides]]
        for clash in merged.conflicts
    ]
    groups = (merged.applied, merged.known, merged.missing, merged.waiting)
    hashes = [[name.hex() for name in group] for group in groups]
    return [merged.state, clashes, hashes], [merged.save]


def read_merged(answer: Any, parts: list[bytes]) -> Merged:
    """The worker's answer as a Merged; ForeignChange when it is not one."""
    try:
        state, clashes, hashes = answer
        (save,) = parts
        check_state(state)
        conflicts = tuple(
            Clash(tuple(path), tuple(Side(v, bytes.fromhex(actor), bytes.fromhex(name)) for v, actor, name in sides))
            for path, sides in clashes
        )
        groups = [tuple(bytes.fromhex(name) for name in group) for group in hashes]
        return Merged(save, state, conflicts, *groups)
    except (ValueError, TypeError, AttributeError, InputRefused) as failure:
        raise ForeignChange("the worker's answer cannot be read") from failure


TASKS: dict[str, Task] = {"merge": merge_task}
