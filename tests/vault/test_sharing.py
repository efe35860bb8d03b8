"""Grants from the holder's side: what is queued, in which order, what an end takes back, and what stays cheap."""

from __future__ import annotations

import pytest

from tests.parties import Parties
from vault import Vault
from vault.errors import CannotOpen, InputRefused, NotFound, RoleDenied
from vault.grant import MAX_SECONDS
from vault.masking import MAX_ITEMS, Item, derive_half_tag, unwrap
from vault.store.grants import GrantStore
from vault.store.outbox import OutboxStore


@pytest.fixture
def parties(vault_factory: object) -> Parties:
    return Parties(vault_factory)  # type: ignore[arg-type]


def verbs(vault: Vault) -> list[str]:
    rows = vault.store.rows("SELECT verb FROM outbox ORDER BY urgent DESC, id")
    return [row[0] for row in rows]


def test_a_grant_queues_everything_and_sends_nothing(parties: Parties) -> None:
    _, _, doctor = parties.professional()
    grant = parties.holder.sharing.grant(doctor, [parties.letter()], right="read", purpose="avis", seconds=60)
    assert verbs(parties.holder) == ["create_mailbox", "seal", "put_half", "append"]
    assert (grant.state, grant.titles, grant.right) == ("active", ("Lettre",), "read")
    assert parties.holder.sharing.find(grant.id[:8]) == grant == parties.holder.sharing.grants()[0]


def test_what_is_revoked_before_it_was_sent_is_never_sent(parties: Parties) -> None:
    doctor_vault, doctor_exchange, doctor = parties.professional()
    grant = parties.holder.sharing.grant(doctor, [parties.letter()], right="read", purpose="", seconds=60)
    assert parties.holder.sharing.revoke(grant.id).state == "revoked"
    assert verbs(parties.holder) == ["destroy_half", "close_mailbox"]
    parties.exchange.sync()
    assert not parties.relay.halves and OutboxStore(parties.holder.store).queued() == 0
    assert "put_half" not in parties.relay.calls and not doctor_exchange.sync().events
    assert doctor_vault.visiting.grants() == ()


def test_a_revocation_overtakes_everything(parties: Parties) -> None:
    _, _, doctor = parties.professional()
    grant = parties.holder.sharing.grant(doctor, [parties.letter()], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    parties.holder.sharing.grant(doctor, [parties.letter("B")], right="read", purpose="", seconds=60)
    parties.relay.calls.clear()
    revoked = []

    def interrupt(verb: str, address: bytes) -> None:
        if verb == "create_mailbox" and not revoked:
            revoked.append(parties.holder.sharing.revoke(grant.id))

    parties.relay.before = interrupt
    parties.exchange.sync()
    assert parties.relay.calls[:2] == ["create_mailbox", "destroy_half"]
    assert parties.relay.halves[bytes.fromhex(grant.id)].half is None


@pytest.mark.parametrize("arguments", [
    {"right": "own"}, {"seconds": 0}, {"seconds": -1}, {"seconds": MAX_SECONDS + 1}, {"openings": 0},
])  # fmt: skip
def test_what_cannot_be_granted(parties: Parties, arguments: dict[str, object]) -> None:
    _, _, doctor = parties.professional()
    wanted: dict[str, object] = {"right": "read", "purpose": "", "seconds": 60} | arguments
    with pytest.raises(InputRefused):
        parties.holder.sharing.grant(doctor, [parties.letter()], **wanted)  # type: ignore[arg-type]
    assert not verbs(parties.holder) and not parties.holder.sharing.grants()


def test_a_grant_of_nothing_of_too_much_or_of_something_else_is_none(parties: Parties) -> None:
    _, _, doctor = parties.professional()
    for documents in ([], [f"{n:032x}" for n in range(MAX_ITEMS + 1)]):
        with pytest.raises(InputRefused):
            parties.holder.sharing.grant(doctor, documents, right="read", purpose="", seconds=60)
    with pytest.raises(NotFound):
        parties.holder.sharing.grant(doctor, [parties.letter(), "0" * 32], right="read", purpose="", seconds=60)
    assert not verbs(parties.holder)


def test_a_payer_gets_nothing_even_with_a_certificate(parties: Parties) -> None:
    vault, _, _ = parties.professional("Assur")
    payer = parties.introduce(vault, "insurer")
    with pytest.raises(RoleDenied):
        parties.holder.sharing.grant(payer, [parties.letter()], right="read", purpose="", seconds=60)


def test_who_stays_gets_one_renewal_for_all_documents(parties: Parties) -> None:
    _, _, first = parties.professional("Ndiaye Awa")
    _, _, second = parties.professional("Petit Jean")
    documents = [parties.letter(str(number)) for number in range(5)]
    parties.holder.sharing.grant(first, documents, right="read", purpose="", seconds=60)
    parties.exchange.sync()
    parties.holder.sharing.grant(second, documents, right="edit", purpose="", seconds=60)
    appended = [verb for verb in verbs(parties.holder) if verb == "append"]
    assert len(appended) == 2, "the package for one and one renewal for the other"


def test_an_epoch_that_could_not_be_told_to_everybody_does_not_begin(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edition and every renewal are one transaction, also when another device's epoch was the reason."""
    document = parties.letter()
    for name in ("Ndiaye Awa", "Petit Jean"):
        _, _, person = parties.professional(name)
        parties.holder.sharing.grant(person, [document], right="read", purpose="", seconds=60)
    before = parties.holder.documents.replica(document).epoch, verbs(parties.holder)
    renew, told = parties.holder.sharing._renew, []

    def once(*parts: object) -> None:
        if told:
            raise InputRefused("no room")
        told.append(renew(*parts))  # type: ignore[arg-type,func-returns-value]

    monkeypatch.setattr(parties.holder.sharing, "_renew", once)
    with pytest.raises(InputRefused):
        parties.holder.sharing.reconcile(document, lost=True)
    assert told and (parties.holder.documents.replica(document).epoch, verbs(parties.holder)) == before


def test_a_half_that_was_kept_opens_no_later_epoch(parties: Parties) -> None:
    """A changed program keeps what was released once; the renewal needs another half, and that leaves another line."""
    vault, exchange, first = parties.professional("Ndiaye Awa")
    _, _, second = parties.professional("Petit Jean")
    letter = parties.letter()
    grant = parties.holder.sharing.grant(first, [letter], right="read", purpose="", seconds=600)
    parties.exchange.sync()
    exchange.sync()
    exchange.open(letter)
    number, relay_half = bytes.fromhex(grant.id), parties.relay.halves[bytes.fromhex(grant.id)].half
    before = GrantStore(vault.store).visit_items(number)[0]
    assert relay_half is not None
    kept = derive_half_tag(relay_half, before.tag)
    for end in range(2):  # somebody joins, then leaves
        one = parties.holder.sharing.grant(second, [letter], right="read", purpose="", seconds=600)
        if end:
            parties.holder.sharing.revoke(one.id)
    parties.exchange.sync()
    exchange.sync()
    visit, item = GrantStore(vault.store).visit(number), GrantStore(vault.store).visit_items(number)[0]
    assert visit is not None and visit.half is not None and item.masked is not None and item.label is not None
    assert item.epoch > before.epoch and item.tag != before.tag
    for tag in (before.tag, item.tag):
        granted = Item(item.document, item.epoch, item.edition, tag, item.mailbox)
        with pytest.raises(CannotOpen):
            unwrap(visit.half, kept, visit.grant_hash, granted, item.masked, item.label, edit=False)
    exchange.open(letter)
    parties.exchange.sync()
    lines = [line for line in parties.holder.sharing.trace() if line.state in ("opened", "unknown")]
    assert [(line.state, line.document_id) for line in lines] == [("opened", letter)] * 2


def test_an_opening_that_crossed_its_renewal_is_proven_too(parties: Parties) -> None:
    """The holder remembers the tags of every epoch: the relay may record the old one after a new one was drawn."""
    _, exchange, first = parties.professional("Ndiaye Awa")
    _, _, second = parties.professional("Petit Jean")
    letter = parties.letter()
    parties.holder.sharing.grant(first, [letter], right="read", purpose="", seconds=600)
    parties.exchange.sync()
    exchange.sync()
    parties.holder.sharing.grant(second, [letter], right="read", purpose="", seconds=600)
    exchange.open(letter)
    parties.exchange.sync()
    assert [line.state for line in parties.holder.sharing.trace()].count("opened") == 1


def test_revoking_one_leaves_the_other(parties: Parties) -> None:
    first_vault, first_exchange, first = parties.professional("Ndiaye Awa")
    _, second_exchange, second = parties.professional("Petit Jean")
    letter = parties.letter()
    one = parties.holder.sharing.grant(first, [letter], right="read", purpose="", seconds=60)
    two = parties.holder.sharing.grant(second, [letter], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    for exchange in (first_exchange, second_exchange):
        exchange.sync()
        assert exchange.open(letter).document.title == "Lettre"
    parties.holder.sharing.revoke(one.id)
    parties.holder.amend(letter, {"title": "Après"})
    parties.exchange.sync()
    second_exchange.sync()
    assert second_exchange.open(letter).document.title == "Après"
    assert parties.holder.sharing.find(two.id[:6]).state == "active"
    assert first_vault.visiting.grants()[0].state == "open", "it does not know yet"


def test_somebody_with_two_grants_is_one_writer_with_the_greater_right(parties: Parties) -> None:
    _, exchange, doctor = parties.professional()
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="edit", purpose="", seconds=60)
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    exchange.sync()
    opened = exchange.open(letter)
    assert opened.right == "edit"
    opened.set_entry(None, "note", {"label": "vu"})
    parties.exchange.sync()
    assert parties.holder.read(letter).entries[0].text("label") == "vu"


def test_grants_end_by_themselves(parties: Parties) -> None:
    _, _, doctor = parties.professional()
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    assert parties.holder.list().documents[0].shared
    parties.clock.now += 60
    events = parties.exchange.sync().events
    assert [event.kind for event in events] == ["access-ended"]
    assert parties.holder.sharing.grants()[0].state == "ended" and not parties.holder.list().documents[0].shared
    assert [line.state for line in parties.holder.sharing.trace()] == ["granted", "ended"]
    assert not parties.holder.sharing.expire()


def test_too_many_people_at_once_are_refused_whole(parties: Parties) -> None:
    _, _, doctor = parties.professional()
    letter = parties.letter()
    for _ in range(31):
        parties.holder.sharing.grant(doctor, [letter], right="edit", purpose="", seconds=60)
    before = parties.holder.documents.epoch(letter)
    with pytest.raises(InputRefused):
        parties.holder.sharing.grant(doctor, [letter], right="edit", purpose="", seconds=60)
    assert parties.holder.documents.epoch(letter) == before


def test_lists_cost_the_same_number_of_queries_however_many_there_are(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, doctor = parties.professional()
    asked: list[str] = []
    rows, row = parties.holder.store.rows, parties.holder.store.row

    def cost() -> int:
        asked.clear()
        parties.holder.sharing.grants()
        parties.holder.sharing.trace()
        return len(asked)

    def counting_rows(sql: str, params: object = ()) -> object:
        asked.append(sql)
        return rows(sql, params)  # type: ignore[arg-type]

    def counting_row(sql: str, params: object = ()) -> object:
        asked.append(sql)
        return row(sql, params)  # type: ignore[arg-type]

    monkeypatch.setattr(parties.holder.store, "rows", counting_rows)
    monkeypatch.setattr(parties.holder.store, "row", counting_row)
    parties.holder.sharing.grant(doctor, [parties.letter()], right="read", purpose="", seconds=60)
    few = cost()
    for _ in range(5):
        parties.holder.sharing.grant(doctor, [parties.letter()], right="read", purpose="", seconds=60)
    assert cost() == few


def test_ids_that_are_none_find_nothing(parties: Parties) -> None:
    for wanted in ("", "abc", "zzzz", "%" * 4, "0" * 64):
        with pytest.raises(NotFound):
            parties.holder.sharing.find(wanted)
    for wanted in ("x", "00"):
        with pytest.raises(NotFound):
            parties.holder.sharing.revoke(wanted)


def test_without_a_relay_or_an_inbox_nothing_is_granted(parties: Parties, vault_factory: object) -> None:
    _, _, doctor = parties.professional()
    lonely = vault_factory(clock=parties.clock)  # type: ignore[operator]
    lonely.people.pin_authority(parties.office.bulletin(int(parties.clock())))
    known = lonely.people.add(doctor.card.data, met=True)
    with pytest.raises(InputRefused):
        lonely.sharing.grant(known, ["0" * 32], right="read", purpose="", seconds=60)
