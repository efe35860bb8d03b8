"""Run the world of a seed: `python -m tests.simulation.exchange --seed 17` prints its schedule as it happens;
`--seeds 1..500` runs many, on `--jobs` processes, and prints the seeds that fail.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.simulation import invariants
from tests.simulation.running import MEMORY, Outcome, many, start
from tests.simulation.schedule import Schedule, draw
from tests.simulation.world import Template, World, determined


class Runner:
    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="elpis-simulation-", dir=MEMORY if MEMORY.is_dir() else None))
        self._template = Template(self._folder / "template")
        self._numbers = itertools.count()

    def close(self) -> None:
        self._template.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run_seed(self, seed: int) -> Outcome:
        return self.run(draw(seed))

    def run(self, schedule: Schedule, say: Callable[[str], None] = lambda line: None) -> Outcome:
        folder = self._folder / str(next(self._numbers))
        try:
            return self._run(schedule, folder, say)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, schedule: Schedule, folder: Path, say: Callable[[str], None]) -> Outcome:
        world = World(self._template, folder)
        try:
            with determined(schedule.seed, world.clock):
                for number, step in enumerate(schedule.steps, 1):
                    came = "stopped the run"
                    try:
                        came = world.do(step)
                    finally:
                        say(f"{number:>3}  {step}  -> {came}")
                if schedule.profile == "hostile":
                    invariants.check_always(world)
                else:
                    invariants.check_honest(world, clocks=schedule.profile == "clock")
        except Exception as failure:
            last = traceback.extract_tb(failure.__traceback__)[-1]
            where = "".join(traceback.format_exception(failure)[-14:])
            return Outcome(schedule.seed, schedule.profile, f"{type(failure).__name__}: {failure} ({last.name})", where)
        finally:
            with suppress(Exception):
                world.close()
        return Outcome(schedule.seed, schedule.profile)


def shrink(runner: Runner, schedule: Schedule, failure: str) -> Schedule:
    """The shortest schedule found that fails in the same way: steps and faults are left out one by one."""
    kind = failure.partition(":")[0]

    def fails(candidate: Schedule) -> bool:
        return runner.run(candidate).failure.partition(":")[0] == kind

    size = max(1, len(schedule.steps) // 2)
    while size:
        at = 0
        while at < len(schedule.steps):
            shorter = replace(schedule, steps=schedule.steps[:at] + schedule.steps[at + size :])
            if fails(shorter):
                schedule = shorter
            else:
                at += size
        size //= 2
    for at, step in enumerate(schedule.steps):
        plain = [*schedule.steps[:at], replace(step, faults=()), *schedule.steps[at + 1 :]]
        if step.faults and fails(candidate := replace(schedule, steps=tuple(plain))):
            schedule = candidate
    return schedule


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.exchange", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed and print its schedule")
    parser.add_argument("--seeds", metavar="A..B", help="run many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shrink", action="store_true", help="leave out what a failing seed does not need")
    chosen = parser.parse_args(arguments)
    if chosen.seeds:
        return 1 if many(Runner, chosen.seeds, chosen.jobs) else 0
    runner = Runner()
    try:
        schedule = draw(chosen.seed or 0)
        print(f"seed {schedule.seed}, {schedule.profile}")
        outcome = runner.run(schedule, print)
        if outcome.failure and chosen.shrink:
            schedule = shrink(runner, schedule, outcome.failure)
            print("shortest:")
            outcome = runner.run(schedule, print)
        print(outcome.where or "holds")
        return 1 if outcome.failure else 0
    finally:
        runner.close()


if __name__ == "__main__":
    start(main, "tests.simulation.exchange")
