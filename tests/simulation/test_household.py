"""Several devices of one patient: seeds hold, a seed is the same run for ever, a product that is broken is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.simulation.apart import simulate
from tests.simulation.household import Runner
from vault.devices import Devices
from vault.hearing import Hearing
from vault.store.household import HouseholdStore


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def test_seeds_hold() -> None:
    done = simulate("household", "--seeds", "1..28")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "28 seeds" in done.stdout


KEPT = {
    ("recovered", 47): "three recovery kits turn one log",
    ("recovered", 96): "a device comes back under a key from before its last two uses of a kit",
    ("recovered", 236): "two histories bring one device",
    ("restored", 305): "a copy that was put back reads what it had told itself, and owes what that owes",
    ("recovered", 369): "what was told in a log before a turn that does not hold",
    ("recovered", 432): "words told behind a turn, and words that build on them told after it",
    ("crash", 526): "an amendment that a crash did not undo",
    ("shared", 618): "an opening by a renewal that another device has not told of yet",
    ("recovered", 656): "an inbox is closed that stayed open in another history",
    ("stolen", 717): "what a removed device wrote before it heard that this does not hold",
    ("stolen", 724): "a device that owes an epoch hears that it was removed",
    ("recovered", 740): "an epoch of another device is known before the access that it was started for",
    ("restored", 2797): "an edition that a copy put back sends once more",
    ("restored", 4169): "words in an edition that lost, forgotten by the copy that had written them",
    ("shared", 5427): "what a grantee wrote into an edition that lost",
    ("mixed", 70): "a removed device under its name of before it renewed its keys",
    ("mixed", 81): "a device that was removed and comes back by a kit starts epochs",
    ("mixed", 106): "a removed device's addition, on a branch that a senior's act began",
    ("mixed", 691): "a device that an older one removed at the same time removes that one",
    ("mixed", 800): "a kit that was used on a device which was removed at the same time",
    ("mixed", 806): "a removal by a device that was itself removed counts for nothing",
    ("mixed", 297): "a copy that is put back while its place in the roster is lost",
}


@pytest.mark.parametrize(("profile", "seed"), KEPT)
def test_lives_that_left_devices_apart(profile: str, seed: int) -> None:
    done = simulate("household", "--profile", profile, "--seed", str(seed))
    assert done.returncode == 0 and ": holds" in done.stdout, KEPT[profile, seed] + done.stdout + done.stderr


def test_a_seed_is_the_same_run_for_ever() -> None:
    first, second = simulate("household", "--seed", "10"), simulate("household", "--seed", "10")
    assert first.stdout == second.stdout
    assert first.stdout.count("->") > 20


def _not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an edition that lost held is left behind."""
    monkeypatch.setattr(Hearing, "_left_behind", lambda *_: [])


def _copies_owe_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that was put back does not do what it owed under its former name."""
    monkeypatch.setattr(HouseholdStore, "take_over", lambda *_: None)


def _removal_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that was removed by a removed one does not hear that this does not hold."""
    monkeypatch.setattr(Devices, "_go_to", lambda *_: None)


@pytest.mark.parametrize("broken", [_not_written_again, _copies_owe_nothing, _removal_is_all])
def test_a_broken_product_is_found_out(
    monkeypatch: pytest.MonkeyPatch, runner: Runner, broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    broken(monkeypatch)
    found = next((seed for seed in range(1, 60) if runner.run(seed).failure), None)
    assert found is not None, f"no seed notices: {broken.__doc__}"
    monkeypatch.undo()
    assert runner.run(found).failure == ""
