"""Feeding as a whole: a short run with light readers and kills, and one with real vaults, from folder to list."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.conftest import PASSPHRASE
from tests.parties import renewed
from tests.simulation.feeding import Item, Outcome, Run, data_of, known_key, opened, options_of, simulate, somebody
from vault import RecoveryKit, Vault


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_misdirected(tmp_path: Path) -> None:
    words = ["--establishments", "12", "--documents", "240", "--vaults", "60", "--days", "3", "--life", "0.1", "1"]
    outcome = simulate(options_of(words), tmp_path)
    assert outcome.right, outcome
    assert outcome.kills and outcome.noise and outcome.repeats and outcome.offline_days


@pytest.mark.timeout(300)
def test_twenty_establishments_feed_forty_real_vaults(
    made: dict[str, tuple[Path, RecoveryKit]], tmp_path: Path
) -> None:
    words = ["--establishments", "20", "--documents", "400", "--vaults", "40", "--days", "2", "--life", "1", "6"]
    run = Run(tmp_path, options_of(words))
    try:
        people = [patient(made[""][0], tmp_path / f"patient-{index}", index, run.relay.url) for index in range(40)]
        run.settle([card for _, card in people])
        cards = [establishment_card(run, number) for number in range(20)]
        for day in range(3):
            run.day(day)
        outcome = run.judge((index, list(filed(path, cards))) for index, (path, _) in enumerate(people))
    finally:
        run.relay.close()
    assert outcome.right, outcome


def patient(template: Path, path: Path, index: int, url: str) -> tuple[Path, bytes]:
    """A real vault with an inbox, and its card."""
    shutil.copytree(template, path)
    with Vault.unlock(path, PASSPHRASE) as vault:
        own = renewed(vault, somebody(index).name)
        with Exchange(own) as exchange:
            exchange.set_relay(url)
            exchange.sync()
        return path, own.people.card()


def establishment_card(run: Run, number: int) -> bytes:
    with known_key(run.plan), opened(run.plan, number) as vault:
        return vault.people.card()


def filed(path: Path, establishments: list[bytes]) -> Iterator[int]:
    """What the patient's vault holds once it knows the establishments and has fetched: the results' numbers."""
    with Vault.unlock(path, PASSPHRASE) as vault, Exchange(vault) as exchange:
        for card in establishments:
            vault.people.add(card)
        exchange.sync()
        assert vault.feeding.waiting() == ()
        before = None
        while True:
            page = vault.list(before=before, limit=200)
            for line in page.documents:
                (entry,) = vault.read(line.id).entries
                yield int(entry.text("value"))
            before = page.next
            if before is None:
                return


def test_the_judge_sees_what_is_wrong() -> None:
    """The count itself can fail."""
    fine = Outcome(documents=2, found=2, messages=2)
    assert fine.right
    for wrong in ({"found": 1, "lost": 1}, {"messages": 3, "doubled": 1}, {"misdirected": 1}, {"rejected": 1}):
        assert not replace(fine, **wrong).right
    noise = Item(0, 3, -1, 0, "file", "noise", "N1", "20260101080000")
    assert somebody(3).ins.encode() in data_of(noise)
