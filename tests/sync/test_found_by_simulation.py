"""What the simulation (tests/simulation) found, each as a test of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync.client import RelayUnreachable
from sync.exchange import Exchange
from tests.parties import Parties
from vault import Document, Vault
from vault.errors import AccessEnded, RelayContradiction
from vault.store.outbox import OutboxStore

DAY = 86_400


@pytest.fixture
def parties(vault_factory: Callable[..., Vault]) -> Parties:
    return Parties(vault_factory)


def grant(parties: Parties, document: str, name: str, seconds: int = DAY) -> tuple[Vault, Exchange, str]:
    vault, exchange, person = parties.professional(name)
    made = parties.holder.sharing.grant(person, [document], right="edit", purpose="avis", seconds=seconds)
    parties.exchange.sync()
    return vault, exchange, made.id


def test_a_draft_written_again_stands_beside_what_others_wrote_since(parties: Parties) -> None:
    """Seed 31: the author's own device wrote its draft over the newer value, as if it had read it."""
    letter = parties.letter()
    _, first, _ = grant(parties, letter, "Ndiaye Awa")
    first.sync()
    opened = first.open(letter)
    grant(parties, letter, "Petit Jean")  # the next epoch; the first channel is closed
    opened.write([("set", ("meta", "title"), "draft")])
    parties.holder.amend(letter, {"title": "newer"})
    parties.exchange.sync()
    first.open(letter)
    parties.exchange.sync()
    (conflict,) = parties.holder.read(letter).conflicts
    assert {side[:2] for side in conflict.sides} == {("draft", "Ndiaye Awa"), ("newer", "Martin Léa")}


def test_a_draft_never_replaces_what_its_author_had_not_read(parties: Parties) -> None:
    """The holder's value is in the edition already: the draft knew nothing of it, so both are shown."""
    letter = parties.letter()
    _, first, _ = grant(parties, letter, "Ndiaye Awa")
    first.sync()
    opened = first.open(letter)
    parties.holder.amend(letter, {"title": "unread"})
    grant(parties, letter, "Petit Jean")
    opened.write([("set", ("meta", "title"), "draft")])
    first.open(letter)
    parties.exchange.sync()
    (conflict,) = parties.holder.read(letter).conflicts
    assert {side[0] for side in conflict.sides} == {"draft", "unread"}


def test_a_draft_that_the_relay_took_without_an_answer_is_not_written_twice(parties: Parties) -> None:
    """Seed 440: its entry was made anew over what the holder had written into it since."""
    letter = parties.letter()
    _, first, _ = grant(parties, letter, "Ndiaye Awa")
    first.sync()
    opened = first.open(letter)
    called = parties.relay.add

    def lost(*arguments: Any) -> Any:
        called(*arguments)
        raise RelayUnreachable("the answer is lost")

    parties.relay.add = lost  # type: ignore[method-assign]
    entry = opened.set_entry(None, "note", {"label": "taken"})
    parties.relay.add = called  # type: ignore[method-assign]
    grant(parties, letter, "Petit Jean")
    parties.exchange.sync()
    parties.holder.amend_entry(letter, entry, {"label": "newer"})
    parties.exchange.sync()
    first.open(letter)
    first.open(letter)
    parties.exchange.sync()
    (held,) = parties.holder.read(letter).entries
    assert held.text("label") == "newer" and not parties.holder.read(letter).conflicts


def test_a_draft_about_an_entry_that_came_back_from_the_holder(parties: Parties) -> None:
    """Seed 172: the entry was made a second time, and one of the two was hidden with what it said."""
    letter = parties.letter()
    _, first, _ = grant(parties, letter, "Ndiaye Awa")
    first.sync()
    opened = first.open(letter)
    entry = opened.set_entry(None, "note", {"label": "one"})
    grant(parties, letter, "Petit Jean")
    parties.exchange.sync()
    opened.set_entry(entry, "note", {"label": "two"})
    first.open(letter)
    parties.exchange.sync()
    (held,) = parties.holder.read(letter).entries
    assert held.text("label") == "two" and not parties.holder.read(letter).conflicts


def test_a_draft_that_its_author_took_back_is_not_written_again(parties: Parties) -> None:
    """An entry that was made and removed again before the relay took either came back in the next epoch."""
    letter = parties.letter()
    kept = parties.holder.add_entry(letter, "note", {"label": "kept"})
    _, first, _ = grant(parties, letter, "Ndiaye Awa")
    first.sync()
    opened = first.open(letter)
    grant(parties, letter, "Petit Jean")  # the next epoch; the first channel is closed
    entry = opened.set_entry(None, "note", {"label": "a mistake"})
    opened.write([("delete", ("entries", entry))])
    opened.write([("set", ("meta", "author"), "a mistake")])
    opened.write([("delete", ("meta", "author"))])
    opened.set_entry(kept, "note", {"note": "meant"})
    first.open(letter)
    parties.exchange.sync()
    held = parties.holder.read(letter)
    assert [(entry.text("label"), entry.text("note")) for entry in held.entries] == [("kept", "meant")]
    assert held.author != "a mistake"


def test_a_document_that_is_still_open_takes_nothing_after_the_end(parties: Parties) -> None:
    """Seed 37: what was written through an open document after its grant ended stayed in the grantee's vault."""
    letter = parties.letter()
    vault, exchange, grant_id = grant(parties, letter, "Ndiaye Awa")
    exchange.sync()
    opened = exchange.open(letter)
    parties.holder.sharing.revoke(grant_id)
    parties.exchange.sync()
    with pytest.raises(AccessEnded):
        exchange.open(letter)
    with pytest.raises(AccessEnded):
        opened.set_entry(None, "note", {"label": "after the end"})
    assert vault.store.row("SELECT count(*) FROM draft") == (0,)


def test_a_renewal_that_comes_after_the_end_is_no_evidence(parties: Parties) -> None:
    """Seed 14: it was on its way when the grant ended, and was shown as an attack."""
    letter = parties.letter()
    vault, exchange, _ = grant(parties, letter, "Ndiaye Awa", seconds=3600)
    grant(parties, letter, "Petit Jean")
    parties.clock.now += 7200
    assert [event.kind for event in exchange.sync().events] == ["grant-received"]
    exchange.sync()
    assert OutboxStore(vault.store).evidence() == []


def test_a_grantee_notices_a_channel_that_was_rolled_back(parties: Parties) -> None:
    """Seeds 168 and 177: between two openings a grantee remembered nothing of the channel."""
    letter = parties.letter()
    vault, exchange, _ = grant(parties, letter, "Ndiaye Awa")
    exchange.sync()
    opened = exchange.open(letter)
    opened.set_entry(None, "note", {"label": "taken"})
    log = parties.relay.mailboxes[opened._unlocked.item.mailbox]
    log.entries.pop()
    log.chain.pop()
    with pytest.raises(RelayContradiction):
        exchange.open(letter)
    address, both, why, _, _ = OutboxStore(vault.store).evidence()[0]
    assert (address, why, len(both)) == (opened._place, "relay-contradiction", 2 * 146)


def test_an_attached_file_stays_when_the_process_stops_right_after_the_commit(parties: Parties) -> None:
    """Seed 209: the file was taken away again although the document already named it."""
    holder = parties.holder
    letter = holder.add(Document(title="Lettre"))
    after = holder.store.after_commit

    def stop() -> None:
        holder.store.after_commit = after
        raise KeyboardInterrupt

    holder.store.after_commit = stop
    with pytest.raises(KeyboardInterrupt):
        holder.attach(letter, b"x" * 100, name="x", media_type="text/plain")
    (attachment,) = holder.read(letter).attachments
    assert b"".join(holder.attachment(letter, attachment.sha256)) == b"x" * 100


def test_what_is_written_into_a_kept_copy_goes_into_the_epoch_that_it_was_kept_in(parties: Parties) -> None:
    """Seeds 4937 and 5700: after a renewal it went, under the old key, into the new channel, whose next envelope was
    then missing one before it."""
    letter = parties.letter()
    _, exchange, person = parties.professional("Ndiaye Awa")
    parties.holder.sharing.grant(person, [letter], right="edit", purpose="avis", seconds=DAY, offline=DAY // 2)
    parties.exchange.sync()
    exchange.sync()
    exchange.open(letter).close()
    grant(parties, letter, "Petit Jean")
    exchange.sync()  # the renewal
    parties.relay.down = True
    opened = exchange.open(letter)
    assert opened.offline
    parties.relay.down = False
    entry = opened.set_entry(None, "note", {"label": "away"})
    exchange.open(letter).set_entry(None, "note", {"label": "back"})
    parties.exchange.sync()
    labels = {one.id: one.fields.get("label") for one in parties.holder.read(letter).entries}
    assert labels[entry] == "away" and "back" in labels.values()
    assert not OutboxStore(parties.holder.store).evidence()
