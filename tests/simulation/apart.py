"""A simulation in a process of its own, as its command line runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def simulate(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.simulation.MODULE ARGUMENTS`, with the same order of sets every time."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    return subprocess.run(
        [sys.executable, "-m", f"tests.simulation.{module}", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
