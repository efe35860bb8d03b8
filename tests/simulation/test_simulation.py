"""The simulation itself: seeds hold, a seed is the same run for ever, and a product that is broken is found out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

import vault.following
from tests.simulation.apart import simulate
from tests.simulation.exchange import Runner
from tests.simulation.schedule import draw
from vault.channel import Channel
from vault.outbox import Outbox
from vault.primitives import make_key
from vault.store.grants import GrantStore


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def test_seeds_hold() -> None:
    done = simulate("exchange", "--seeds", "1..40", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 seeds" in done.stdout


@pytest.mark.parametrize(
    "seed",
    [
        753,  # a relay that signed two histories of somebody else's inbox was taken for one that does not answer
        775,  # late changes of a document without readers were each written on their own, and conflicts went
        794,  # a late change replaced what the holder had written in the epoch between
        939,  # a contradiction that an opening met was kept, and not told
        1361,  # a draft and a late change made one entry twice: of one of them nothing was shown
        1605,  # what was written again beside a conflict ended it
    ],
)
def test_what_was_found_is_mended(runner: Runner, seed: int) -> None:
    assert runner.run(draw(seed)).failure == ""


def test_a_seed_is_the_same_run_for_ever() -> None:
    first, second = simulate("exchange", "--seed", "5"), simulate("exchange", "--seed", "5")
    assert first.stdout == second.stdout
    assert first.stdout.count("->") > 15


def _no_late_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault.following.Following, "write_again", lambda *_: None)


def _anybody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "_check_right", lambda *_: None)


def _relay_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "check_tail", lambda *_: None)
    monkeypatch.setattr(Outbox, "_compare", lambda *_: None)


def _drafts_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a closed channel refused is not written again."""
    monkeypatch.setattr(Outbox, "drafts", lambda *_: [])


def _keys_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opened an ended grant stays on the grantee's device."""
    monkeypatch.setattr(GrantStore, "end_visit", lambda self, number: self._store.run(
        "UPDATE visit SET state = 'ended' WHERE number = ?", (number,)) and [])  # fmt: skip


def _one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch has the same key: whoever left goes on reading."""
    monkeypatch.setattr("vault.epochs.make_key", _Alternating())


class _Alternating:
    """Epochs draws address, owner token, appending token and channel key, in this order."""

    def __init__(self) -> None:
        self._frame = 0

    def __call__(self) -> bytes:
        return bytes(32) if sys._getframe(1).f_code.co_name == "start" and self._fourth() else make_key()

    def _fourth(self) -> bool:
        self._frame = (self._frame + 1) % 4
        return self._frame == 0


def _acknowledged_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of the holder are marked as said before they are queued."""
    monkeypatch.setattr("vault.outbox._batches", lambda changes: iter(()))


@pytest.mark.parametrize(
    ("mend", "seeds"),
    [
        (_no_late_changes, range(1, 40)),
        (_anybody_writes, range(1, 60)),
        (_relay_believed, range(60, 300)),
        (_drafts_dropped, range(1, 60)),
        (_keys_kept, range(1, 20)),
        (_one_key, range(1, 40)),
        (_acknowledged_lost, range(1, 20)),
    ],
)
def test_a_broken_product_is_found_out(
    monkeypatch: pytest.MonkeyPatch, runner: Runner, mend: Callable[[pytest.MonkeyPatch], None], seeds: range
) -> None:
    mend(monkeypatch)
    found = next((seed for seed in seeds if runner.run(draw(seed)).failure), None)
    assert found is not None, f"no seed of {seeds} notices: {mend.__doc__ or mend.__name__}"
    monkeypatch.undo()
    assert runner.run(draw(found)).failure == ""
