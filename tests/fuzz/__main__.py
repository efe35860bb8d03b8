"""python -m tests.fuzz --executions N [--seed S] [--target T ...] [--at I]

Feeds changed inputs to everything that reads what somebody else wrote. With --at, one execution alone, as it was.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.runner import Finding, random_of, run_all
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--at", type=int)
    asked = parser.parse_args()
    if asked.at is not None:
        for name in asked.target or []:
            given = TARGETS[name].make(random_of(TARGETS[name], asked.seed, asked.at))
            print(repr(given)[:4000])
            TARGETS[name].run(given)
        return 0
    findings: list[Finding] = []
    executions = 0
    for tally in run_all(asked.executions, asked.seed, findings, asked.target):
        executions += tally.executions
        rate = tally.executions / max(tally.seconds, 1e-9)
        print(
            f"{tally.target:24} {tally.executions:9} executions {rate:9.0f}/s, {tally.taken:8} taken, "
            f"slowest {tally.slowest * 1000:7.1f} ms",
            flush=True,
        )
    for finding in findings:
        print(finding)
    print(f"{executions} executions of {len(asked.target or TARGETS)} targets, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
