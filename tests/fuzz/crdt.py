"""python -m tests.fuzz.crdt --inputs N [--seed S] [--at I] [--bombs]

Hostile changes, right in every checksum, against the strict reading and the limited worker, as a vault uses them. The
process that asks must live, no input may take over two seconds or 768 MiB, and good changes must still be merged.
With --at, one input alone, as it was. With --bombs, the ones made by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.bombs import bombs
from tests.fuzz.changes import Input, make_input, replicas
from vault.channel import CHANGES, encode_changes, read_claim
from vault.errors import ForeignChange, VerificationFailed
from vault.quarantine import MEMORY, SECONDS, Quarantine
from vault.replica import Change, merge

EVERY = 500  # inputs between two looks at whether good changes are still taken
ENDING = 1.5  # seconds to hand a large input over and to end a worker whose time is over, on a busy machine too


@dataclass
class Tally:
    """What became of the inputs. `killed` are those that cost a worker; `findings` must stay empty."""

    outcomes: Counter[str] = field(default_factory=Counter)
    killed: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_name: str = ""
    peak: int = 0  # address space of a worker, in bytes

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(self.outcomes.items()))
        return (
            f"{self.outcomes.total()} inputs: {outcomes}; {len(self.killed)} workers killed; slowest "
            f"{self.slowest:.3f} s ({self.slowest_name}); worker's peak {self.peak >> 20} MiB; "
            f"{len(self.findings)} findings"
        )


def random_of(seed: int, at: int) -> Random:
    return Random(0xC4D7 << 80 | seed << 40 | at)


def inputs(count: int, seed: int) -> Iterator[tuple[str, Input]]:
    for at in range(count):
        yield f"--seed {seed} --at {at}", make_input(random_of(seed, at))


def run(given: Iterator[tuple[str, Input]], worker: Quarantine, tally: Tally) -> None:
    """Each input through one worker, which is started again whenever it dies."""
    healthy(worker, tally)
    for number, (name, what) in enumerate(given, 1):
        began = time.perf_counter()
        outcome = one(worker, what, name, tally)
        spent = time.perf_counter() - began
        tally.outcomes[outcome] += 1
        if spent > tally.slowest:
            tally.slowest, tally.slowest_name = spent, name
        if spent > SECONDS + ENDING:
            tally.findings.append(f"{name}: {spent:.2f} s")
        if outcome == "killed" or number % EVERY == 0:
            healthy(worker, tally)
    healthy(worker, tally)


def one(worker: Quarantine, given: Input, name: str, tally: Tally) -> str:
    """ "taken", "waiting", "known" or "refused"; "killed" when it took the worker with it."""
    try:
        merged = worker.merge(given.save, travelled(given.claims), own=given.own)
    except ForeignChange as refused:
        if "broke the worker" in str(refused) or "took too long" in str(refused):
            tally.killed.append(f"{name}: {refused}")
            return "killed"
        return "refused"
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        tally.findings.append(f"{name}: {type(failure).__name__}: {str(failure)[:200]}")
        return "raised"
    return "taken" if merged.applied else "waiting" if merged.waiting else "known"


def travelled(claims: tuple[Change, ...]) -> list[Change]:
    """As they come out of an envelope; more than one envelope can hold go to the worker all the same."""
    try:
        return [read_claim(fields) for fields in CHANGES.decode(encode_changes(claims))["changes"]]
    except VerificationFailed:
        return list(claims)


def healthy(worker: Quarantine, tally: Tally) -> None:
    """The worker, a new one if it must be, merges good changes as this process does."""
    for save, good in replicas():
        if worker.merge(save, good) != merge(save, good):
            tally.findings.append("a worker merged good changes wrongly")
    process = worker._process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    tally.peak = max(tally.peak, 1024 * int(re.search(r"VmPeak:\s+(\d+)", status)[1]))  # type: ignore[index]
    if tally.peak > MEMORY:
        tally.findings.append(f"a worker of {tally.peak} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.crdt", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=int)
    parser.add_argument("--bombs", action="store_true")
    asked = parser.parse_args()
    tally = Tally()
    began = time.perf_counter()
    with Quarantine() as worker:
        if asked.at is not None:
            given = iter([(f"--at {asked.at}", make_input(random_of(asked.seed, asked.at)))])
        elif asked.bombs:
            given = bombs()
        else:
            given = inputs(asked.inputs, asked.seed)
        run(given, worker, tally)
    for line in (*tally.killed[:20], *tally.findings):
        print(line)
    print(f"{tally}, {time.perf_counter() - began:.0f} s")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
