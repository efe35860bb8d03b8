"""Hostile changes through the strict reading and the limited worker: a share of ELPIS_FUZZ, and every bomb."""

from __future__ import annotations

import time

import pytest

from tests.fuzz.bombs import bombs
from tests.fuzz.changes import Input, Parts, make_input, replicas
from tests.fuzz.crdt import Tally, inputs, random_of, run
from tests.fuzz.runner import CRDT_SHARE, EXECUTIONS
from vault import quarantine, replica
from vault.quarantine import SECONDS, Quarantine

INPUTS = EXECUTIONS * CRDT_SHARE // 100


@pytest.mark.timeout(180 + INPUTS // 100)
def test_hostile_changes_are_refused_or_merged_and_nobody_dies() -> None:
    tally = Tally()
    with Quarantine() as worker:
        run(inputs(INPUTS, seed=1), worker, tally)
    assert not tally.findings, "\n".join(tally.findings[:20])
    assert tally.outcomes.total() == INPUTS
    # Both ways through are reached, and hardly any input is left to the worker's limits.
    assert tally.outcomes["taken"] > INPUTS // 100 and tally.outcomes["refused"] > INPUTS // 2
    assert len(tally.killed) < INPUTS // 100


def test_bombs_cost_a_worker_at_most() -> None:
    tally = Tally()
    with Quarantine() as worker:
        run(bombs(), worker, tally)
    assert not tally.findings, "\n".join(tally.findings)
    assert tally.outcomes["taken"] >= 1, "the honest crowd"
    assert tally.outcomes["killed"] <= 10, tally.killed  # on a busy machine; two when it is idle


def test_without_the_strict_reading_the_worker_alone_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reading lets through by mistake meets Automerge in there: panics, and gigabytes that are refused."""
    code = "import vault.replica as r; r._check_claim = lambda *a, **k: ((0, 0), ()); from vault.merging import TASKS"
    monkeypatch.setattr(quarantine, "_START", quarantine._START.replace("from vault.q", f"{code}; from vault.q"))
    tally = Tally()
    with Quarantine(seconds=1.0) as worker:
        run(inputs(60, seed=2), worker, tally)
        run((bomb for bomb in bombs() if "deflate" in bomb[0] or "nested" in bomb[0]), worker, tally)
    assert not tally.findings, "\n".join(tally.findings)
    assert tally.outcomes["killed"] >= 5, tally


def test_an_input_replays_exactly() -> None:
    for at in range(50):
        assert make_input(random_of(7, at)) == make_input(random_of(7, at))


def test_a_change_taken_apart_and_put_together_is_the_same() -> None:
    for save, good in replicas():
        for change in (*good, *replica.changes(save)):
            assert Parts.of(change.data).claim() == change


def test_the_runner_sees_what_must_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    save, good = replicas()[0]
    healthy = Quarantine.merge

    def broken(self: Quarantine, given: bytes, claims: object, **options: object) -> object:
        if options:  # not the good changes in between
            time.sleep(0.01)
            raise KeyError("x")
        return healthy(self, given, claims)  # type: ignore[arg-type]

    monkeypatch.setattr(Quarantine, "merge", broken)
    monkeypatch.setattr("tests.fuzz.crdt.SECONDS", 0.0)
    monkeypatch.setattr("tests.fuzz.crdt.ENDING", 0.0)
    tally = Tally()
    with Quarantine() as worker:
        run(iter([("one", Input(save, good))]), worker, tally)
    assert SECONDS == 1.8 and len(tally.findings) == 2 and "KeyError" in tally.findings[0], tally.findings
