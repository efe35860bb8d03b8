"""A relay that shows two devices of one holder different histories is exposed when they first exchange anything."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync import wire
from sync.evidence import read_evidence
from sync.exchange import Report
from sync.wire import Message
from tests.household import Household, letter
from tests.relay_double import Log
from vault import Vault
from vault.errors import Malformed, VerificationFailed


@pytest.fixture
def household(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Household]:
    made = Household(vault_factory, tmp_path)
    yield made
    made.close()


def kinds(report: Report) -> list[str]:
    return [event.kind for event in report.events]


def inbox(household: Household) -> bytes:
    card = household.holder.people.read_card(household.holder.people.card())
    assert card.inbox is not None
    return card.inbox


def forked(log: Log) -> Log:
    """The same mailbox with another last entry: what the relay shows to the other device."""
    other = copy.deepcopy(log)
    last = other.entries[-1]
    body = last.body + b"!"
    other.entries[-1] = Message(last.index, last.time, body, wire.hash_body(body))
    other.chain[-1] = wire.extend_chain(other.chain[-2], last.index, last.time, wire.hash_body(body))
    return other


def test_a_forked_relay_is_exposed_at_the_first_exchange_of_two_devices(household: Household) -> None:
    """By name (issue 3). The holder's inbox: the laptop is shown one message, the phone another; each is signed."""
    phone, on_phone = household.add_device()
    household.settle()
    address = inbox(household)
    log = household.relay.mailboxes[address]
    household.relay.add(log, wire.MAILBOX, address, b"not a deposit")
    other = forked(log)
    household.exchange.sync()
    household.relay.mailboxes[address] = other
    on_phone.sync()
    letter(household.holder)
    household.exchange.sync()
    reports = [on_phone.sync(), household.exchange.sync(), on_phone.sync()]
    told = [event for report in reports for event in report.events if event.kind == "relay-contradiction"]
    assert told and any(event.detail == "proven" for event in told)
    proofs = [data for data in phone.evidence() if proves(data)]
    assert read_evidence(proofs[0]).first.address == address
    assert read_evidence(proofs[0]).relay_key == household.relay.key.public


def proves(data: bytes) -> bool:
    try:
        read_evidence(data)
    except VerificationFailed:
        return False
    return True


def test_a_fork_of_the_vaults_own_channel_is_proven_by_its_next_page(household: Household) -> None:
    phone, on_phone = household.add_device()
    household.settle()
    letter(household.holder)
    household.exchange.sync()
    household.exchange.sync()
    log = household.relay.mailboxes[household.holder.telling.address]
    assert len(log.entries) > 1
    household.relay.mailboxes[household.holder.telling.address] = forked(log)
    on_phone.sync()
    letter(phone)
    on_phone.push()
    report = household.exchange.sync()
    assert "relay-contradiction" in kinds(report)
    assert any(proves(data) for data in household.holder.evidence())


def test_an_honest_relay_is_never_accused(household: Household) -> None:
    phone, _ = household.add_device()
    household.settle()
    for vault in (household.holder, phone):
        letter(vault)
    assert not [kind for report in household.settle(4) for kind in kinds(report) if kind == "relay-contradiction"]
    assert household.holder.evidence() == phone.evidence() == []


def test_one_signature_proves_nothing() -> None:
    with pytest.raises(Malformed):
        read_evidence(b"")
