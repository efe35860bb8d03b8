"""Runs every vector through the product: `python -m spec.vectors.check [DIR]`, as `elpis vectors --check DIR` does."""

from __future__ import annotations

import sys
from pathlib import Path

from tui.vectors import check_folder

HERE = Path(__file__).parent


def main(folder: Path = HERE) -> int:
    """0 when every vector passes. The ones that do not are listed with what came instead."""
    outcomes = list(check_folder(folder))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(f"FAILED {outcome.id}: {outcome.found}")
    formats = len({outcome.format for outcome in outcomes})
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} vectors pass, {formats} formats")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
