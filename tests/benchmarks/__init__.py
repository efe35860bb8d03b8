"""Measured ratios, each against its floor in one run on one machine: `make bench`.

A benchmark is a module `bench_NAME.py` with `main(quick: bool)` that yields `harness.Row`s. It raises when what it
measures is wrong; it never fails for being slow. `quick` keeps every check and makes the work small.
"""
