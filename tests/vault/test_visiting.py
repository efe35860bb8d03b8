"""The professional's side: what is kept, for how long, and what is gone at the end."""

from __future__ import annotations

import pytest

from sync.client import RelayRefused
from tests.parties import Parties
from vault import visiting as rooms
from vault.epochs import Started
from vault.errors import (
    AccessEnded,
    InputRefused,
    NotFound,
    Replayed,
    SuiteRefused,
    VerificationFailed,
    WrongRecipient,
)
from vault.grant import seal_renewal
from vault.masking import APPEND, READ, columns, derive_half_tags, derive_tokens
from vault.statement import open_statement
from vault.store.grants import GrantStore


@pytest.fixture
def parties(vault_factory: object) -> Parties:
    return Parties(vault_factory)  # type: ignore[arg-type]


def granted(parties: Parties, **changes: object) -> tuple[object, object, str, str]:
    vault, exchange, doctor = parties.professional()
    letter = parties.letter()
    arguments: dict[str, object] = {"right": "edit", "purpose": "avis", "seconds": 3600} | changes
    grant = parties.holder.sharing.grant(doctor, [letter], **arguments)  # type: ignore[arg-type]
    parties.exchange.sync()
    exchange.sync()
    return vault, exchange, letter, grant.id


def secrets_in(vault) -> list[object]:  # type: ignore[no-untyped-def]
    found: list[object] = []
    for sql in (
        "SELECT half FROM visit", "SELECT reader FROM visit", "SELECT masked FROM visit_item",
        "SELECT label FROM visit_item", "SELECT content FROM kept", "SELECT edits FROM draft",
    ):  # fmt: skip
        found += [row[0] for row in vault.store.rows(sql) if row[0] is not None]
    return found


def test_nothing_that_reads_stays_on_the_device_while_it_is_open(parties: Parties) -> None:
    vault, exchange, letter, _ = granted(parties)
    opened = exchange.open(letter)
    key = opened._unlocked.content.key
    dump = b"".join(bytes(cell) if isinstance(cell, bytes) else str(cell).encode() for table in (
        "visit", "visit_item", "kept", "draft", "outbox", "secret", "meta", "mailbox", "sender",
    ) for row in vault.store.rows(f"SELECT * FROM {table}") for cell in row)  # fmt: skip
    assert key not in dump and b"bonjour" not in dump and b"Lettre" not in dump


def test_the_end_wipes_what_could_open(parties: Parties) -> None:
    vault, exchange, letter, _ = granted(parties, offline=600)
    opened = exchange.open(letter)
    opened.set_entry(None, "note", {"label": "vu"})
    assert secrets_in(vault)
    parties.clock.now += 3600
    with pytest.raises(AccessEnded):
        _ = opened.document
    assert not secrets_in(vault) and vault.visiting.grants()[0].state == "ended"
    for wanted in (letter, vault.visiting.grants()[0].id):
        with pytest.raises(AccessEnded):
            exchange.open(wanted)


def test_a_relay_that_says_ended_wipes_too_and_one_that_is_confused_does_not(parties: Parties) -> None:
    vault, exchange, letter, grant_id = granted(parties)
    half = parties.relay.halves.pop(bytes.fromhex(grant_id))
    with pytest.raises(AccessEnded):
        exchange.open(letter)
    assert vault.visiting.grants()[0].state == "open"
    parties.relay.halves[bytes.fromhex(grant_id)] = half
    assert exchange.open(letter).document.title == "Lettre"
    parties.holder.sharing.revoke(grant_id)
    parties.exchange.sync()
    with pytest.raises(AccessEnded):
        exchange.open(letter)
    assert not secrets_in(vault)


def test_offline_only_when_allowed_and_never_past_its_time(parties: Parties) -> None:
    vault, exchange, letter, _ = granted(parties, offline=600)
    exchange.open(letter)
    parties.relay.down = True
    parties.clock.now += 300
    kept = exchange.open(letter)
    assert kept.offline and kept.document.title == "Lettre"
    kept.set_entry(None, "note", {"label": "au chevet"})
    assert exchange.open(letter).document.entries[0].text("label") == "au chevet"
    parties.clock.now += 301
    with pytest.raises(Exception, match="down"):
        exchange.open(letter)
    vault.visiting.close_ended()
    assert vault.store.row("SELECT count(*) FROM kept") == (0,)
    parties.relay.down = False
    assert exchange.open(letter).document.entries[0].text("label") == "au chevet"


def test_offline_is_off_unless_the_holder_allows_it(parties: Parties) -> None:
    vault, exchange, letter, _ = granted(parties)
    exchange.open(letter)
    parties.relay.down = True
    with pytest.raises(Exception, match="down"):
        exchange.open(letter)
    assert vault.store.row("SELECT count(*) FROM kept") == (0,)


def test_a_clock_that_is_turned_back_prolongs_nothing(parties: Parties) -> None:
    _, exchange, letter, _ = granted(parties, offline=600)
    exchange.open(letter)
    parties.relay.down = True
    parties.clock.now += 500
    exchange.open(letter)
    parties.clock.now -= 400
    with pytest.raises(Exception, match="down"):
        exchange.open(letter)


def test_a_kept_copy_goes_on_from_the_channel_when_the_relay_is_back(parties: Parties) -> None:
    _, exchange, letter, _ = granted(parties, offline=600)
    exchange.open(letter)
    parties.relay.down = True
    kept = exchange.open(letter)
    kept.set_entry(None, "note", {"label": "au chevet"})
    parties.relay.down = False
    parties.holder.amend(letter, {"title": "Neuf"})
    parties.exchange.sync()
    kept.refresh()
    assert not kept.offline and kept.document.title == "Neuf" and len(kept.document.entries) == 1
    assert not kept.document.conflicts


def test_a_grant_comes_once_and_for_one_person(parties: Parties) -> None:
    vault, _, _, _ = granted(parties)
    messages = [m for log in parties.relay.mailboxes.values() for m in log.entries]
    packages = []
    for message in messages:
        try:
            packages.append(open_statement(vault.identity.box, message.body))
        except VerificationFailed:
            continue
    assert len(packages) == 1
    with pytest.raises(Replayed):
        vault.visiting.receive(packages[0])
    other, _, _ = parties.professional("Petit Jean")
    with pytest.raises(WrongRecipient):
        other.visiting.receive(packages[0])


def test_a_grant_that_comes_after_its_end_is_known_as_ended(parties: Parties) -> None:
    vault, exchange, doctor = parties.professional()
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    parties.clock.now += 61
    exchange.sync()
    assert vault.visiting.grants()[0].state == "ended" and not secrets_in(vault)


def test_a_flood_of_grants_fills_nothing(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_OPEN_OF_ONE", 2)
    vault, exchange, doctor = parties.professional()
    for number in range(4):
        parties.holder.sharing.grant(doctor, [parties.letter(str(number))], right="read", purpose="", seconds=60)
    parties.exchange.sync()
    events = exchange.sync().events
    assert len(vault.visiting.grants()) == 2
    assert [event.detail for event in events if event.kind == "quarantined"] == ["input-refused"] * 2


def renewal(parties: Parties, vault, grant_id: str, **changes: object) -> bytes:  # type: ignore[no-untyped-def]
    held = vault.visiting._grants.visit_items(bytes.fromhex(grant_id))[0]
    fields = {
        "documents": held.document, "epochs": held.epoch + 1, "editions": held.edition, "tags": b"fresh" + bytes(11),
        "mailboxes": bytes(32),
    } | changes  # fmt: skip
    fields["tags"] = fields["tags"] or held.tag
    number = changes.pop("number", bytes.fromhex(grant_id))
    fields.pop("number", None)
    me = vault.identity
    sealed = seal_renewal(
        parties.holder.identity,
        "doctor",
        me.box.public,
        number,
        columns(**{name: [value] for name, value in fields.items()}),  # type: ignore[arg-type]
        bytes(32),
        [b"label"],
    )
    return open_statement(me.box, sealed)


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"epochs": 1}, Replayed),
        ({"tags": None}, Replayed),  # the one of the epoch before
        ({"documents": bytes(16)}, NotFound),
        ({"number": bytes(32)}, NotFound),
    ],
)
def test_a_renewal_goes_forward_and_adds_nothing(
    parties: Parties, changes: dict[str, object], failure: type[Exception]
) -> None:
    vault, exchange, letter, grant_id = granted(parties)
    with pytest.raises(failure):
        vault.visiting.renew(renewal(parties, vault, grant_id, **changes))
    assert exchange.open(letter).document.title == "Lettre"


def test_a_renewal_by_somebody_else_is_none(parties: Parties) -> None:
    vault, exchange, letter, grant_id = granted(parties)
    data = renewal(parties, vault, grant_id)
    false, _, _ = parties.professional("Faux Paul")
    parties.holder, holder = false, parties.holder
    with pytest.raises(VerificationFailed):
        vault.visiting.renew(renewal(parties, vault, grant_id))
    parties.holder = holder
    vault.visiting.renew(data)
    with pytest.raises(VerificationFailed):
        exchange.open(letter)  # the key in it opens nothing


def test_a_grant_of_an_earlier_version_says_so_and_a_renewal_opens_it(parties: Parties) -> None:
    """As an upgrade leaves it on both sides: nothing opens on the grantee's, and the holder's owes a renewal."""
    vault, exchange, letter, grant_id = granted(parties)
    vault.store.run("UPDATE visit_item SET masked = NULL, label = NULL")
    with pytest.raises(SuiteRefused, match="earlier version"):
        exchange.open(letter)
    assert vault.visiting.grants()[0].state == "open"
    parties.exchange.sync()
    assert [line.state for line in parties.holder.sharing.trace()] == ["granted"]
    parties.holder.store.run("INSERT INTO owed SELECT document, 1 FROM given_item")
    parties.exchange.sync()
    exchange.sync()
    assert exchange.open(letter).document.title == "Lettre"
    parties.exchange.sync()
    assert [line.state for line in parties.holder.sharing.trace()] == ["granted", "opened"]
    assert vault.visiting.grants()[0].id == grant_id


def test_a_grant_that_waited_through_an_upgrade_is_given_anew(parties: Parties) -> None:
    """It was sealed in the earlier form, which nobody takes any more: what arrives is another one, and one alone."""
    _, exchange, doctor = parties.professional()
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=60)
    parties.holder.store.run("UPDATE outbox SET payload = x'00' WHERE verb = 'append' AND belongs IS NOT NULL")
    parties.holder.store.run("INSERT INTO owed SELECT document, 1 FROM given_item")
    parties.holder.set_meta("anew", "1")
    parties.exchange.sync()
    told = [event.kind for event in exchange.sync().events]
    assert told == ["grant-received", "renewed"], "the next epoch began when the former one ended"
    assert exchange.open(letter).document.title == "Lettre"
    assert sorted(grant.state for grant in parties.holder.sharing.grants()) == ["active", "revoked"]


@pytest.mark.parametrize("right", ["read", "edit"])
def test_tokens_are_known_to_whoever_opened_and_registered_for_whom_they_are(parties: Parties, right: str) -> None:
    """What an opening derives is what the relay was told; a reader could derive a token to append, and it is none."""
    vault, exchange, letter, grant_id = granted(parties, right=right)
    content = exchange.open(letter)._unlocked.content
    item = GrantStore(vault.store).visit_items(bytes.fromhex(grant_id))[0]
    visit, relay_half = GrantStore(vault.store).visit(item.number), parties.relay.halves[item.number].half
    assert visit is not None and visit.half is not None and relay_half is not None
    half_tags = derive_half_tags(relay_half, [item.tag])
    (read,), (append,) = (derive_tokens(visit.half, label, half_tags, [item.tag]) for label in (READ, APPEND))
    assert (content.read, content.append) == (read, append if right == "edit" else None)
    client = parties.relay.factory(parties.relay.url)
    assert client.messages(item.mailbox, read)[0]
    if right == "edit":
        client.append(item.mailbox, append, b"taken")
    else:
        with pytest.raises(RelayRefused):
            client.append(item.mailbox, append, b"refused")


def test_finding(parties: Parties) -> None:
    vault, _, letter, grant_id = granted(parties)
    assert vault.visiting.find(grant_id[:8]) == (vault.visiting.grants()[0], None)
    assert vault.visiting.find(letter[:8])[1] == letter
    for wanted in ("", "abc", "zzzzz"):
        with pytest.raises(NotFound):
            vault.visiting.find(wanted)
    with pytest.raises(NotFound):
        vault.visiting.begin("00" * 32, [letter], "")
    with pytest.raises(NotFound):
        vault.visiting.begin(grant_id, ["00" * 16], "")
    assert Started.__slots__


def test_a_large_grant_takes_several_openings(parties: Parties) -> None:
    vault, exchange, doctor = parties.professional("\U0001f9ea" * 200)
    documents = [parties.letter(str(number)) for number in range(70)]
    grant = parties.holder.sharing.grant(doctor, documents, right="read", purpose="é" * 500, seconds=60)
    parties.exchange.sync()
    exchange.sync()
    with pytest.raises(InputRefused):
        vault.visiting.begin(grant.id, documents, "")
    assert len(exchange.open_all(grant.id)) == 70
    assert parties.relay.calls.count("open") == 2
    parties.exchange.sync()
    lines = parties.holder.sharing.trace()
    assert sum(line.state == "opened" and line.verified for line in lines) == 70
