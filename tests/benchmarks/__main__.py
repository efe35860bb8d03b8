"""`python -m tests.benchmarks [--quick] [--only NAME]`: runs every bench_*.py and prints one table.

Exit 1 when a benchmark raised, which means that something is wrong and not merely slow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tests.benchmarks.harness import Row, rows_of, table


def run(name: str, quick: bool) -> list[Row] | None:
    """The module's rows, or None after telling how it failed."""
    started = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(rows_of, name, quick).result()
        except BrokenProcessPool:
            print(f"{name}: its process died", file=sys.stderr)
        except Exception:
            traceback.print_exc()
        finally:
            print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small amounts: checks results, proves no speed")
    parser.add_argument("--only", default="", metavar="NAME", help="modules whose name contains NAME")
    options = parser.parse_args()
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py") if options.only in path.stem)
    results = {name: run(name, options.quick) for name in names}
    rows = [row for result in results.values() for row in result or ()]
    failed = [name for name, result in results.items() if result is None]
    if rows:
        print(table(rows))
    over = sum(not row.within for row in rows)
    print(f"{len(rows)} measurements, {over} outside of their limit{' (quick: not meaningful)' * options.quick}")
    if failed:
        print(f"wrong, not slow: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
