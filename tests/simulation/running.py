"""How a simulation is run from the command line: one seed with its schedule, or many on several processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Protocol

MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed; `failure` is "" when everything held."""

    seed: int
    profile: str
    failure: str = ""
    where: str = ""


class Runs(Protocol):
    """Runs of one process: one template, one worker."""

    def run_seed(self, seed: int) -> Outcome: ...
    def close(self) -> None: ...


_runner: Runs | None = None


def _one(make: Callable[[], Runs], seed: int) -> Outcome:
    global _runner
    if _runner is None:
        _runner = make()
        Finalize(None, _runner.close, exitpriority=1)
    return _runner.run_seed(seed)


def many(make: Callable[[], Runs], seeds: str, jobs: int) -> list[Outcome]:
    """The outcomes of seeds `A..B` that are failures, each printed as it comes."""
    first, _, last = seeds.partition("..")
    wanted = range(int(first), int(last or first) + 1)
    started, failed = time.monotonic(), []
    with ProcessPoolExecutor(jobs) as pool:
        for outcome in pool.map(_one, [make] * len(wanted), wanted, chunksize=8):
            if outcome.failure:
                failed.append(outcome)
                print(f"seed {outcome.seed} ({outcome.profile}): {outcome.failure[:700]}", flush=True)
    print(f"{len(wanted)} seeds in {time.monotonic() - started:.0f} s, {len(failed)} failed", flush=True)
    return failed


def start(main: Callable[[], int], module: str) -> None:
    """`main` in a process in which the order of a set of text is always the same: a run must be the same run again."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", module, *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
