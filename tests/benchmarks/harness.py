"""What the benchmarks share: a row, a table, and ways of measuring that survive a busy machine.

Absolute times say nothing on somebody else's computer. A row therefore holds a ratio wherever one can be had, taken in
alternating rounds of the same process, and the median of them.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `limit` None means that it is only shown; `unit` "x" is a ratio."""

    name: str
    value: float
    limit: float | None = None
    better: Literal["lower", "higher"] = "lower"
    detail: str = ""
    unit: str = "x"

    @property
    def within(self) -> bool:
        if self.limit is None:
            return True
        return self.value <= self.limit if self.better == "lower" else self.value >= self.limit

    def cells(self) -> tuple[str, ...]:
        sign = "<=" if self.better == "lower" else ">="
        limit = "" if self.limit is None else f"{sign} {amount(self.limit, self.unit)}"
        return self.name, amount(self.value, self.unit), limit, "" if self.within else "over", self.detail


def rows_of(name: str, quick: bool) -> list[Row]:
    """What one benchmark module yields. Called in a process of its own: its memory and imports are no other's."""
    return list(importlib.import_module(f"tests.benchmarks.{name}").main(quick) or ())


def amount(value: float, unit: str) -> str:
    """Three significant digits, and no exponent for what a person compares."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 6)}f} {unit}".rstrip()


def table(rows: Iterable[Row]) -> str:
    """Aligned columns; numbers to the right."""
    lines = [("measurement", "value", "limit", "", "detail"), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {limit:>{widths[2]}}  {verdict:<{widths[3]}}  {detail}".rstrip()
        for name, value, limit, verdict, detail in lines
    )


def present(program: str) -> bool:
    """Whether a program to measure against is there. In CI it must be: a row that is left out proves nothing."""
    if shutil.which(program) is not None:
        return True
    missing = f"needs the program {program} (Debian: apt install {program})"
    if os.environ.get("CI") == "true":
        raise RuntimeError(missing)
    print(missing, file=sys.stderr)
    return False


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def repeated(action: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of `rounds` calls, after one that is not counted."""
    action()
    return [timed(action) for _ in range(rounds)]


def paired(action: Callable[[], object], baseline: Callable[[], object], rounds: int = 7) -> float:
    """How much longer `action` takes than `baseline`: the median over rounds that run both, in turns first.

    What else the machine does falls on both sides of a round alike, so it leaves the ratio nearly alone.
    """
    action()
    baseline()
    ratios = []
    for index in range(rounds):
        if index % 2:
            second = timed(baseline)
            first = timed(action)
        else:
            first = timed(action)
            second = timed(baseline)
        ratios.append(first / second)
    return median(ratios)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value with at least `share` (0 to 1) of all values at or below it."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rss_mb(pid: int | None = None) -> float:
    """Memory that a process holds now, in MB; this one by default."""
    statm = Path(f"/proc/{pid or os.getpid()}/statm").read_text()
    return int(statm.split()[1]) * PAGE_BYTES / 1e6


def cpu_seconds(pid: int) -> float:
    """Processor time of another process so far, in user and in kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_mb(action: Callable[[], object]) -> tuple[float, float]:
    """(seconds, the most memory that this process and its children held together while it ran, in MB)."""
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            with suppress(OSError):  # a child may end while it is looked at
                children = [
                    pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()
                ]
                most.append(rss_mb() + sum(rss_mb(int(pid)) for pid in children))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        seconds = timed(action)
    finally:
        ended.set()
        watcher.join()
    return seconds, max(most)


def peak_mb() -> float:
    """The most memory that this process ever held, in MB. Every benchmark module runs in a process of its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
