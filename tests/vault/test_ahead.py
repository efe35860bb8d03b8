"""Reading ahead: in order, within bounds, and no thread is left behind."""

from __future__ import annotations

import threading
import time

import pytest

from vault import ahead
from vault.ahead import Ahead


def test_results_come_in_order_whoever_is_faster() -> None:
    def slow(number: int) -> tuple[int, int]:
        time.sleep(0.002 * (number % 3))
        return number * 10, 1

    with Ahead(range(50), [slow, slow, slow]) as reading:
        given = [pair for batch in reading for pair in batch]
    assert given == [(number, number * 10) for number in range(50)]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST", 3)
    begun: list[int] = []
    with Ahead(range(20), [lambda number: (begun.append(number), 1)]) as reading:
        batches = iter(reading)
        next(batches)
        time.sleep(0.1)
        assert len(begun) <= 1 + 3 + 3
        rest = [pair for batch in batches for pair in batch]
    assert len(begun) == 20
    assert rest


def test_a_few_are_waited_for_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction for each file would cost more than the files."""
    release = threading.Event()

    def second_waits(number: int) -> tuple[int, int]:
        assert number != 1 or release.wait(30)
        return number, 1

    with Ahead(range(3), [second_waits]) as reading:
        batches = iter(reading)
        assert next(batches) == [(0, 0)]
        release.set()
        assert [pair for batch in batches for pair in batch] == [(1, 1), (2, 2)]
    monkeypatch.setattr(ahead, "PATIENCE", 600)  # longer than the test may take
    with Ahead(range(40), [lambda number: (number, 1)]) as reading:
        assert all(len(batch) >= ahead.FEW for batch in list(reading)[:-1])
    release.clear()
    with Ahead(range(3), [lambda number: (second_waits(number)[0], ahead.WORTH)]) as reading:
        batches = iter(reading)
        assert next(batches) == [(0, 0)]
        release.set()


def test_weight_counts_and_one_heavy_source_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WEIGHT", 10)
    with Ahead(range(5), [lambda number: (number, 100)]) as reading:
        sizes = []
        for batch in reading:
            time.sleep(0.02)
            sizes.append(len(batch))
    assert sum(sizes) == 5
    assert max(sizes) == 1


def test_a_failure_comes_out_after_what_was_done_before_it() -> None:
    def fails(number: int) -> tuple[int, int]:
        if number == 3:
            raise KeyError("three")
        return number, 1

    given = []
    with pytest.raises(KeyError), Ahead(range(9), [fails]) as reading:
        for batch in reading:
            given += batch
    assert given == [(0, 0), (1, 1), (2, 2)]


def test_leaving_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with Ahead(range(1000), [lambda number: (number, 1)] * 2) as reading:
        next(iter(reading))
    assert threading.active_count() == before


def test_nothing_to_do_ends_at_once() -> None:
    with Ahead([], [lambda number: (number, 1)]) as reading:
        assert list(reading) == []
