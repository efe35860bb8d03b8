"""spec/deposit.md, section "Filing": what a hostile depositor cannot do, and what a known one can."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.parties import Parties
from tests.persons import NOW, person
from vault import Attachment, Document
from vault import feeding as rooms
from vault.deposit import MAX_INLINE, seal_deposit
from vault.document import Entry
from vault.errors import InputRefused, Malformed, NotFound, VerificationFailed
from vault.feeding import plain_name
from vault.identity import Identity, make_card
from vault.statement import open_statement

STATE: dict[str, Any] = {"meta": {"kind": "clinical", "title": "Bilan"}, "entries": {}, "attachments": {}}
INLINE: dict[str, Any] = {
    "sha256": hashlib.sha256(b"abc").digest(), "inline": b"abc", "blob": None, "token": None, "key": None,
    "sealed_sha256": None, "sealed_size": 0, "media_type": "text/plain", "name": "../../a\x1b.txt", "size": 3,
}  # fmt: skip
LAB = person("Laboratoire des Tests", "laboratory")


@pytest.fixture
def parties(vault_factory: object) -> Parties:
    return Parties(vault_factory)  # type: ignore[arg-type]


def statement(parties: Parties, sender: Identity = LAB, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "card": make_card(sender, now=NOW), "certificate": None, "authority": None, "unique": "lab:1",
        "relay": parties.relay.url, "state": STATE, "files": [], "now": NOW,
    }  # fmt: skip
    me = parties.holder.identity
    return open_statement(me.box, seal_deposit(sender, me.box.public, **(arguments | changes)))


def known(parties: Parties, sender: Identity = LAB) -> None:
    parties.holder.people.add(make_card(sender, now=NOW))


def filed(parties: Parties, data: bytes) -> Document:
    deposit_id, state, _ = parties.holder.feeding.receive(data)
    assert state == "known"
    return parties.holder.feeding.file(deposit_id)[1]


def test_a_deposit_of_somebody_known_is_filed_once(parties: Parties) -> None:
    known(parties)
    document = filed(parties, statement(parties))
    assert (document.title, document.author, document.kind) == ("Bilan", LAB.name, "clinical")
    assert parties.holder.feeding.receive(statement(parties))[1] == "repeated"
    assert parties.holder.count() == 1


def test_a_stranger_waits_for_the_holders_word(parties: Parties) -> None:
    deposit_id, state, title = parties.holder.feeding.receive(statement(parties))
    assert (state, title, parties.holder.count()) == ("waiting", "Bilan", 0)
    assert parties.holder.feeding.find(deposit_id[:6]).name == LAB.name
    parties.holder.feeding.accept(deposit_id)
    assert parties.holder.feeding.to_file() == (deposit_id,)
    parties.exchange.sync()
    assert parties.holder.count() == 1 and not parties.holder.feeding.waiting()


def test_what_was_refused_stays_refused(parties: Parties) -> None:
    deposit_id, _, _ = parties.holder.feeding.receive(statement(parties))
    parties.holder.feeding.refuse(deposit_id)
    with pytest.raises(NotFound):
        parties.holder.feeding.accept(deposit_id)
    assert parties.holder.feeding.receive(statement(parties))[1] == "repeated"
    with pytest.raises(NotFound):
        parties.holder.feeding.find(deposit_id)


def test_a_payer_waits_even_when_known(parties: Parties) -> None:
    payer = person("Assur", "insurer")
    known(parties, payer)
    assert parties.holder.feeding.receive(statement(parties, payer))[1] == "waiting"


def test_a_certified_stranger_is_filed(parties: Parties) -> None:
    vault, exchange, _ = parties.professional()
    parties.holder.store.run("DELETE FROM person")

    read = vault.people.read_card(vault.people.card())
    certificate = parties.office.certify(read, unique_id="1", role="doctor", now=int(parties.clock()), days=1)
    exchange.deposit(parties.holder.people.card(), [(Document(title="R"), {})], certificate)
    parties.exchange.sync()
    assert parties.holder.list().documents[0].author == "Ndiaye Awa"
    promised = parties.holder.store.rows("SELECT size FROM promised")
    assert promised == [(2,)], "the next file of the authority must hold what was believed"


@pytest.mark.parametrize("kind", ["medications", "allergies", "results"])
def test_a_deposit_never_becomes_a_section_of_the_profile(parties: Parties, kind: str) -> None:
    known(parties)
    filed(parties, statement(parties, state=STATE | {"meta": {"kind": kind, "title": "T"}}))
    assert parties.holder.list().documents[0].kind == "clinical"
    assert parties.holder.section("medications") != parties.holder.list(kind="clinical").documents[0].id


def test_a_deposit_stands_in_for_nothing_else(parties: Parties) -> None:
    known(parties)
    meta = {"kind": "clinical", "title": "T", "source_id": "cda:someone^else", "author": "Dr Célèbre"}
    document = filed(parties, statement(parties, state=STATE | {"meta": meta}))
    assert document.author == f"Dr Célèbre ({LAB.name})"
    assert parties.holder.find_source("cda:someone^else") is None


def test_a_sender_is_called_as_the_holder_knows_them(parties: Parties) -> None:
    known(parties)
    false = Identity("Hôpital Célèbre", "hospital", LAB.sign, LAB.box)
    assert filed(parties, statement(parties, false)).author == LAB.name


def test_names_of_files_have_no_folders_and_obey_no_screen(parties: Parties) -> None:
    known(parties)
    document = filed(parties, statement(parties, files=[INLINE]))
    assert [item.name for item in document.attachments] == ["a.txt"]
    assert b"".join(parties.holder.attachment(document.id, document.attachments[0].sha256)) == b"abc"


@pytest.mark.parametrize(
    ("name", "plain"), [("a/b", "b"), ("..\\..\\c", "c"), ("..", ""), ("\x1b[31mx\n", "[31mx"), ("é.pdf", "é.pdf")]
)
def test_plain_names(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_a_state_that_is_none_is_refused(parties: Parties) -> None:
    for state in (
        {"meta": {"kind": "gossip"}, "entries": {}, "attachments": {}},
        {"meta": {"kind": "clinical"}, "entries": {"x": {"kind": "note"}}, "attachments": {}},
    ):
        with pytest.raises(Malformed):
            parties.holder.feeding.receive(statement(parties, state=state))


def test_files_at_a_relay_of_the_senders_choice_are_not_fetched(parties: Parties) -> None:
    known(parties)
    far = INLINE | {
        "inline": None, "blob": bytes(32), "token": bytes(32), "key": bytes(32), "sealed_sha256": bytes(32),
        "sealed_size": 9,
    }  # fmt: skip
    with pytest.raises(VerificationFailed):
        parties.holder.feeding.receive(statement(parties, files=[far], relay="http://intranet.example"))


def test_a_flood_fills_no_vault(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_WAITING_OF_ONE", 3)
    monkeypatch.setattr(rooms, "MAX_WAITING", 5)
    monkeypatch.setattr(rooms, "MAX_A_DAY", 2)
    for number in range(3):
        parties.holder.feeding.receive(statement(parties, unique=str(number)))
    with pytest.raises(InputRefused):
        parties.holder.feeding.receive(statement(parties, unique="one more"))
    for number in range(2):
        parties.holder.feeding.receive(statement(parties, person(f"sender {number}")))
    with pytest.raises(InputRefused):
        parties.holder.feeding.receive(statement(parties, person("sender 3")))
    parties.holder.store.run("DELETE FROM deposit")
    known(parties)
    states = [parties.holder.feeding.receive(statement(parties, unique=f"x{number}"))[1] for number in range(3)]
    assert states == ["known", "known", "waiting"]
    assert parties.holder.feeding.waiting()[0].reason == "too-many"


def test_a_large_file_lies_sealed_at_the_relay_until_it_is_fetched(parties: Parties, tmp_path: Path) -> None:
    vault, exchange, _ = parties.professional()
    data = bytes(range(256)) * (MAX_INLINE // 256) + b"!"
    path = tmp_path / "image"
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    entry = Entry("", "result", {"label": "Na"})
    document = Document(title="Image", attachments=(Attachment(sha256, "image/x", len(data), "i.x"),), entries=(entry,))
    exchange.deposit(parties.holder.people.card(), [(document, {sha256: path})])
    assert all(data[:64] not in blob for _, _, blob in parties.relay.blobs.values())
    assert not list((vault.path / "deposits").iterdir()), "nothing of it stays with the depositor"
    events = parties.exchange.sync().events
    assert [event.kind for event in events] == ["deposit-received", "deposit-filed"]
    found = parties.holder.list().documents[0]
    assert b"".join(parties.holder.attachment(found.id, sha256)) == data
    assert not list((parties.holder.path / "deposits").iterdir())


@pytest.mark.parametrize("harm", ["gone", "changed", "longer"])
def test_a_promised_file_that_does_not_come_makes_the_deposit_wait(parties: Parties, harm: str) -> None:
    _, exchange, _ = parties.professional()
    data = b"x" * (MAX_INLINE + 1)
    sha256 = hashlib.sha256(data).hexdigest()
    document = Document(title="Image", attachments=(Attachment(sha256, "image/x", len(data), "i.x"),))
    exchange.deposit(parties.holder.people.card(), [(document, {sha256: data})])
    for address, (owner, tokens, blob) in list(parties.relay.blobs.items()):
        if harm == "gone":
            del parties.relay.blobs[address]
        else:
            harmed = blob[:-1] + b"\0" if harm == "changed" else blob + b"\0"
            parties.relay.blobs[address] = (owner, tokens, harmed)
    parties.exchange.sync()
    assert parties.holder.count() == 0 and len(parties.holder.feeding.waiting()) == 1
    assert parties.holder.feeding.waiting()[0].reason in ("relay-refused", "verification-failed")


def test_a_deposit_names_its_files(parties: Parties) -> None:
    card = parties.holder.people.read_card(parties.holder.people.card())
    document = Document(title="X", attachments=(Attachment("0" * 64, "text/plain", 1, ""),))
    for files in ({}, {"0" * 64: b"y"}):
        with pytest.raises(InputRefused):
            parties.holder.feeding.deposit(card, document, files)
    big = Document(title="X", attachments=(Attachment("0" * 64, "text/plain", MAX_INLINE + 1, ""),))
    with pytest.raises(InputRefused):
        parties.holder.feeding.deposit(card, big, {"0" * 64: b"y"})
    with pytest.raises(InputRefused):
        parties.holder.feeding.deposit(
            parties.holder.people.read_card(make_card(LAB, now=NOW)), Document(title="X"), {}
        )


def test_a_long_source_id_still_makes_one_deposit(parties: Parties) -> None:
    _, exchange, _ = parties.professional()
    document = Document(title="X", source_id="cda:" + "1" * 900)
    unique = [exchange.deposit(parties.holder.people.card(), [(document, {})]) for _ in range(2)]
    assert unique[0] == unique[1]
    parties.exchange.sync()
    assert parties.holder.count() == 1
