"""Runs targets. A stranger's input may only be refused: soon, in the vault's own words, within bounded memory."""

from __future__ import annotations

import os
import resource
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from sync.wire import WireError
from tests.fuzz.targets import TARGETS, Target
from vault.errors import VaultError

# How many executions in all (20 000 unless told, CI asks for a million), and how many of a hundred are hostile changes.
EXECUTIONS = int(os.environ.get("ELPIS_FUZZ", "20000"))
CRDT_SHARE = 20
SECONDS = 1.0  # of one execution, in processor time: a busy machine is no hang
MEMORY = 400 << 20  # that a whole run may add to the process


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. `python -m tests.fuzz --target T --seed S --at I` does it again."""

    target: str
    seed: int
    at: int
    what: str

    def __str__(self) -> str:
        return f"{self.what}\n    again: python -m tests.fuzz --target {self.target} --seed {self.seed} --at {self.at}"


@dataclass
class Tally:
    target: str
    executions: int = 0
    taken: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


def random_of(target: Target, seed: int, at: int) -> Random:
    return Random(zlib.crc32(target.name.encode()) << 64 | seed << 40 | at)


def once(target: Target, seed: int, at: int) -> tuple[bool, float, str]:
    """(taken, processor seconds, what is wrong or "")."""
    given = target.make(random_of(target, seed, at))
    began = time.process_time()
    taken, wrong = False, ""
    try:
        target.run(given)
        taken = True
    except (VaultError, WireError):
        pass
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        wrong = f"{target.name}: {type(failure).__name__}: {str(failure)[:300]}"
    spent = time.process_time() - began
    if not wrong and spent > SECONDS:
        wrong = f"{target.name}: {spent:.1f} s for one input"
    return taken, spent, wrong


def run(target: Target, seed: int, executions: int, findings: list[Finding]) -> Tally:
    """Each wrong thing once: the first input of every kind is enough to mend it."""
    tally = Tally(target.name)
    kinds: set[str] = set()
    began = time.perf_counter()
    for at in range(executions):
        taken, spent, wrong = once(target, seed, at)
        tally.executions += 1
        tally.taken += taken
        tally.slowest = max(tally.slowest, spent)
        if wrong and wrong[:80] not in kinds:
            kinds.add(wrong[:80])
            findings.append(Finding(target.name, seed, at, wrong))
    tally.seconds = time.perf_counter() - began
    return tally


def run_all(executions: int, seed: int, findings: list[Finding], names: list[str] | None = None) -> Iterator[Tally]:
    """So many executions in all, shared out; at least one hundredth of the smallest share for every target."""
    chosen = [TARGETS[name] for name in names or TARGETS]
    shares = sum(target.share for target in chosen)
    before = peak()
    for target in chosen:
        yield run(target, seed, max(10, executions * target.share // shares), findings)
        if peak() - before > MEMORY:
            grown = f"{target.name}: memory grew by {(peak() - before) >> 20} MiB"
            findings.append(Finding(target.name, seed, 0, grown))
            before = peak()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
