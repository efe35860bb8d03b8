"""Merging one change in the limited worker: its cost, and that it does not grow with the vault."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_store import ACTOR, KEY, fill, states
from tests.benchmarks.harness import Row, repeated, timed
from vault import replica
from vault.quarantine import Quarantine
from vault.replica import Change, edit, make, merge
from vault.store.connection import Store
from vault.store.documents import Documents

ENTRY = "0" * 31 + "1"
DOCTOR = b"D" * 16


def one_change(entries: int) -> tuple[bytes, Change]:
    state = {
        "meta": {"kind": "medications"},
        "entries": {
            f"{number:032x}": {"kind": "medication", "label": f"valeur {number}"} for number in range(1, entries + 1)
        },
        "attachments": {},
    }
    save, _ = make(state, ACTOR)
    _, change = edit(save, DOCTOR, [("set", ("entries", ENTRY, "dose"), "1 par jour")])
    if change is None:
        raise RuntimeError("the edit made no change")
    return save, change


def bare(save: bytes, change: Change) -> None:
    """What Automerge alone costs, in process and unchecked: the floor."""
    document = replica.Document.load(save)
    replica._apply(document, [change])
    document.save()


def cost(rounds: int) -> Iterable[Row]:
    save, change = one_change(1)
    with Quarantine() as worker:
        if worker.merge(save, [change]).state["entries"][ENTRY]["dose"] != "1 par jour":
            raise RuntimeError("the worker did not merge")
        seconds = repeated(lambda: worker.merge(save, [change]), rounds)
        floor = median(repeated(lambda: bare(save, change), rounds))
        inside = median(repeated(lambda: merge(save, [change]), rounds))
    there = median(seconds)
    yield Row(
        "merge of one change in the worker", there * 1e6, 150, unit="us",
        detail=f"checked in process {inside * 1e6:.0f} us, Automerge alone {floor * 1e6:.0f} us",
    )  # fmt: skip
    yield Row("merge in the worker / Automerge alone", there / floor, None)
    yield from run_of_changes(save, 20, max(2, rounds // 40))


def run_of_changes(save: bytes, length: int, rounds: int) -> Iterable[Row]:
    """The next changes to a document whose replica the worker holds already: one by one, and all in one call."""
    run: list[Change] = []
    at = save
    for number in range(length):
        at, change = edit(at, DOCTOR, [("set", ("entries", ENTRY, "dose"), f"{number} par jour")])
        run += [change] if change else []
    one_by_one, together = [], []
    with Quarantine() as worker:
        for _ in range(rounds):
            at = worker.merge(save, run[:1]).save
            for change in run[1:]:
                start = time.perf_counter()
                at = worker.merge(at, [change]).save
                one_by_one.append(time.perf_counter() - start)
            together.append(timed(lambda: worker.merge(save, run)) / length)
    yield Row("merge of the next change in the worker", median(one_by_one) * 1e6, 150, unit="us")
    yield Row(f"merge of each of {length} changes in one call", median(together) * 1e6, 150, unit="us")


def flat(sizes: tuple[int, ...], rounds: int) -> Iterable[Row]:
    """Merge and keep: read the replica from the store, merge in the worker, write it back, as the vault grows."""
    save, change = one_change(1)
    with tempfile.TemporaryDirectory() as name, Quarantine() as worker:
        store = Store.open(Path(name) / "vault.db", KEY, create=True)
        documents = Documents(store)
        document_id = "f" * 32
        documents.add(document_id, replica.flatten(save), save, ACTOR, 1_700_000_000)
        have, first = 0, 0.0
        every = list(states(sizes[-1]))

        def merged() -> float:
            return timed(lambda: worker.merge(documents.replica(document_id).save, [change]))

        for size in sizes:
            fill(store, have, every[have:size])
            have = size
            merged()
            there = median(merged() for _ in range(rounds))
            first = first or there
            detail = f"{there * 1e6:.0f} us with the reading of the replica"
            yield Row(f"merge with {size:,} documents, against {sizes[0]}", there / first, 1.3, detail=detail)
        store.close()


def main(quick: bool) -> Iterable[Row]:
    yield from cost(50 if quick else 2_000)
    yield from flat((10, 100) if quick else (10, 1_000, 100_000), 50 if quick else 1_000)
