"""The meeting of two devices at a relay that does not keep to one history: what was answered is what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.pairing import Guest, Host
from tests.household import Household
from vault import Vault
from vault.enrolment import Code, derive_number, derive_transcript
from vault.errors import NotFound, VerificationFailed


@pytest.fixture
def household(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Household]:
    made = Household(vault_factory, tmp_path)
    yield made
    made.close()


def met(household: Household) -> tuple[Host, Code, Guest, Guest, str]:
    """A meeting up to the number that the new device shows; then the relay puts a thief's hello in its place."""
    host = Host(household.holder, household.exchange, household.relay.factory)
    code = host.begin()
    guest, thief = (Guest(code.print(), name, household.relay.factory) for name in ("phone", "thief"))
    shown = household._meet(host, guest)
    household.relay.put_in_place(code.address, 0, thief._sealed)
    return host, code, guest, thief, shown


def test_another_hello_in_place_of_the_one_that_was_answered(household: Household) -> None:
    """By name (number found afterwards): whoever saw the old device's hello searches for one of its own with which the
    six digits agree, and the relay shows that one from then on. Here the digits are those of the other."""
    host, code, guest, thief, shown = met(household)
    number = derive_number(derive_transcript(code.commit, thief._hello, guest._old))
    assert number != shown
    with pytest.raises(VerificationFailed):
        host.admit(number)
    assert len(household.holder.devices.all()) == 1


def test_the_hello_that_was_answered_is_the_one_that_is_let_in(household: Household) -> None:
    host, _, guest, _, shown = met(household)
    assert host.number() == shown
    assert host.admit(shown) == "phone"
    assert household.holder.devices.roster().devices[1].sign == guest._side.sign.public


def test_before_a_hello_was_answered_nobody_is_let_in(household: Household) -> None:
    host = Host(household.holder, household.exchange, household.relay.factory)
    code = host.begin()
    guest = Guest(code.print(), "x", household.relay.factory)
    with guest._client() as client:
        client.append(code.address, code.token, guest._sealed)
    with pytest.raises(NotFound):
        host.admit("000000")
