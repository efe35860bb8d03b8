"""A holder who asks for suite 2: spec/roster.md, "The least suite"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.household import Household, letter
from vault import Document, Vault
from vault.errors import InputRefused, SuiteRefused
from vault.people import Person
from vault.primitives import HYBRID, SUITE, BoxKey


@pytest.fixture
def household(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Household]:
    made = Household(vault_factory, tmp_path)
    yield made
    made.close()


def weak(household: Household, name: str = "Ancien Paul") -> tuple[Vault, Exchange, Person]:
    """Somebody whose program has suite 1 alone."""
    vault, exchange, _ = household.professional(name)
    household.holder.store.run("DELETE FROM person WHERE name = ?", (name,))
    vault.__dict__["identity"] = replace(vault.identity, box=BoxKey.from_secret(vault.identity.box.secret))
    vault.__dict__.pop("people")
    return vault, exchange, household.introduce(vault)


def test_nothing_goes_out_below_it_and_nothing_comes_in(household: Household) -> None:
    holder, document = household.holder, letter(household.holder)
    old, old_exchange, person = weak(household)
    new, _, other = household.professional("Ndiaye Awa")
    assert person.card.suite == SUITE and person.reason == ""
    old.feeding.deposit(old.people.read_card(holder.people.card()), Document(title="avant"), {})
    holder.devices.require_suite(HYBRID)
    assert holder.devices.roster().min_suite == HYBRID
    with pytest.raises(SuiteRefused):
        holder.sharing.grant(person, [document], right="read", purpose="", seconds=600)
    with pytest.raises(SuiteRefused):
        holder.feeding.deposit(person.card, Document(title="x"), {})
    assert holder.people.find("Ancien").reason == "suite-refused"
    holder.sharing.grant(other, [document], right="read", purpose="", seconds=600)
    # The holder's card has suite 2: what comes in suite 1 all the same was made by somebody who will not know better.
    card = replace(old.people.read_card(holder.people.card()), suite=SUITE, kem=None, kem_hash=None)
    old.feeding.deposit(card, Document(title="après"), {})
    new.feeding.deposit(new.people.read_card(holder.people.card()), Document(title="en règle"), {})
    old_exchange.sync()
    household.connect(new)
    report = household.exchange.sync()
    assert [event.detail for event in report.events if event.kind == "quarantined"] == ["suite-refused"]
    assert "après" not in {row.title for row in holder.feeding.waiting()}


def test_it_never_falls_and_every_device_holds_to_it(household: Household) -> None:
    household.add_device()
    household.settle(2)
    (holder, _), (phone, _) = household.devices
    phone.devices.require_suite(HYBRID)
    household.settle(2)
    holder.devices.require_suite(SUITE)
    household.settle(2)
    assert [vault.devices.roster().min_suite for vault, _ in household.devices] == [HYBRID, HYBRID]
    assert len(holder.devices.chain()) == 3, "the first, the phone, and one that raised it"


def test_raised_while_another_device_changes_the_roster(household: Household) -> None:
    """Two statements after the same one: whichever holds, it is raised, and the third device is in."""
    household.add_device()
    household.settle(2)
    phone, _ = household.devices[1]
    phone.devices.require_suite(HYBRID)
    household.add_device("tablette")
    household.settle(4)
    assert {vault.devices.roster().min_suite for vault, _ in household.devices} == {HYBRID}
    assert {len(vault.devices.roster().devices) for vault, _ in household.devices} == {3}


def test_not_while_an_access_goes_to_somebody_with_less(household: Household) -> None:
    holder, document = household.holder, letter(household.holder)
    _, _, person = weak(household)
    given = holder.sharing.grant(person, [document], right="read", purpose="", seconds=600)
    with pytest.raises(InputRefused):
        holder.devices.require_suite(HYBRID)
    assert holder.devices.roster().min_suite == SUITE
    holder.sharing.revoke(given.id)
    holder.devices.require_suite(HYBRID)
    assert holder.devices.roster().min_suite == HYBRID
