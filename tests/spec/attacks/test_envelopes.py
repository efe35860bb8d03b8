"""What somebody with a device in a channel can try, and a relay that plays with what was sealed."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace

import pytest

from sync import envelope
from sync.opened import OpenDocument
from tests.hostile_relay import URL
from tests.stage import Stage, details, kinds
from vault import replica
from vault.channel import encode_changes, encode_edition
from vault.errors import BadSignature, CannotOpen, Malformed, Replayed, RightMissing, SuiteRefused
from vault.identity import Identity, make_card
from vault.people import Person
from vault.primitives import BoxKey, SigningKey, make_id, make_key, pad, seal_box
from vault.replica import Change, _leb, edit, flatten, make
from vault.store.mailboxes import MailboxStore

FIELDS: dict[str, object] = {
    "kind": "change", "document": bytes(16), "epoch": 1, "device": bytes(16), "seq": 1, "prev": bytes(32), "seen": [],
    "roster": bytes(32), "time": 1, "body": b"",
}  # fmt: skip


def written(opened: OpenDocument, *labels: str) -> None:
    for label in labels:
        opened.set_entry(None, "medication", {"label": label})


def test_replayed_envelope(stage: Stage) -> None:
    section, _, opened = stage.shared()
    written(opened, "BISOPROLOL")
    mailbox = stage.channel(opened)
    stage.pull()
    before = stage.holder.read(section)
    entries = stage.relay.entries(mailbox)
    stage.relay.show(mailbox, [*entries, entries[1], entries[0], entries[1]])
    assert "document-changed" not in kinds(stage.pull())
    assert stage.holder.read(section) == before


def test_reordered_envelopes(stage: Stage) -> None:
    """The second is refused before the first, kept as evidence, and never shown without it."""
    section, _, opened = stage.shared()
    written(opened, "UN", "DEUX")
    mailbox = stage.channel(opened)
    edition, one, two = stage.relay.entries(mailbox)
    stage.relay.show(mailbox, [edition, two, one])
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg", "UN"]


def test_delayed_envelope_of_an_older_epoch(stage: Stage) -> None:
    """What comes after the document moved on is written again into the new epoch, its author named."""
    section, _, opened = stage.shared()
    mailbox = stage.channel(opened)
    held = stage.relay.entries(mailbox)
    written(opened, "RETARDE")
    late = stage.relay.entries(mailbox)
    stage.relay.show(mailbox, held)
    stage.mine.sync()
    stage.holder.sharing.grant(stage.person, [section], right="read", purpose="soin", seconds=3600)
    stage.relay.show(mailbox, late)
    stage.pull()
    assert "RETARDE" in stage.labels(section)


def test_envelope_of_another_channel(stage: Stage) -> None:
    """A relay that delivers one channel's envelopes into another: its key opens nothing there."""
    section, _, opened = stage.shared()
    other = stage.letter()
    stage.grant(other)
    second = stage.theirs.open(other)
    written(opened, "BISOPROLOL")
    (edition,) = stage.relay.entries(stage.channel(second))
    stage.relay.show(stage.channel(second), [edition, stage.relay.entries(stage.channel(opened))[1]])
    assert details(stage.pull(), "quarantined") == ["cannot-open"]
    assert stage.holder.read(other).title == "Lettre"
    assert stage.labels(section) == ["APIXABAN 5 mg", "BISOPROLOL"]


def test_envelope_for_another_channel_under_the_same_key() -> None:
    """Whoever has the key cannot pass off what was signed for one channel as said in another."""
    key, signer, here, there = make_key(), SigningKey.make(), make_key(), make_key()
    sealed, _ = envelope.seal(key, signer, channel=here, **FIELDS)  # type: ignore[arg-type]
    assert envelope.open(key, here, sealed).channel == here
    with pytest.raises(CannotOpen):
        envelope.open(key, there, sealed)
    inner = envelope.INNER.encode({**_inner(signer), "channel": here})
    outer = envelope.OUTER.encode({"inner": inner, "sig": signer.sign("env", inner)})
    moved = seal_box(key, "elpis-env", pad(outer), bytes([1]) + b"envelope\0" + there)
    with pytest.raises(Replayed):
        envelope.open(key, there, moved)


def test_reflected_envelope(stage: Stage) -> None:
    """Everybody gets back what they wrote themselves: it is neither taken twice nor taken for somebody else's."""
    section, _, opened = stage.shared()
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.mine.sync()
    written(opened, "BISOPROLOL")
    opened.refresh()
    stage.pull()
    mailbox = stage.channel(opened)
    edition, mine, theirs = stage.relay.entries(mailbox)
    before, shown = stage.holder.read(section), opened.document
    stage.relay.show(mailbox, [edition, mine, theirs, mine, theirs])
    opened.refresh()
    assert "document-changed" not in kinds(stage.pull())
    assert (stage.holder.read(section), opened.document) == (before, shown)


def test_self_addressed_envelope(stage: Stage) -> None:
    """Under the reader's own device id, signed by somebody else: neither passed over as one's own nor taken for it.

    It uses up none of the numbers of the device that it names: what that device writes next is heard.
    """
    section, _, opened = stage.shared()
    forged, _ = stage.forge(opened, "ADRESSE", device=stage.holder.device_id)
    stage.send(opened, forged)
    assert "document-changed" in kinds(stage.pull())
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.mine.sync()
    opened.refresh()
    labels = ["ADRESSE", "APIXABAN 5 mg", "RAMIPRIL"]
    assert stage.labels(section) == labels == sorted(entry.text("label") for entry in opened.document.entries)


def test_envelope_signed_by_somebody_else(stage: Stage) -> None:
    """A grantee has the channel's key. That is no right to speak for the holder, nor for nobody in particular."""
    section, _, opened = stage.shared()
    stranger = SigningKey.make()
    forged, _ = stage.forge(opened, "INVENTE", signer=stranger)
    inner = envelope.INNER.encode(
        {**_inner(stranger), "channel": stage.channel(opened), "signer": stage.holder.identity.sign.public}
    )
    outer = envelope.OUTER.encode({"inner": inner, "sig": stranger.sign("env", inner)})
    aad = bytes([1]) + b"envelope\0" + stage.channel(opened)
    claimed = seal_box(opened._unlocked.content.key, "elpis-env", pad(outer), aad)
    stage.send(opened, forged, claimed)
    assert details(stage.pull(), "quarantined") == ["foreign-change", "bad-signature"]
    assert stage.labels(section) == ["APIXABAN 5 mg"]


def test_writing_without_the_right_to_edit(stage: Stage) -> None:
    """A reader has the key, not the right: neither the vault here nor the holder's vault takes it."""
    section, _, opened = stage.shared(right="read")
    with pytest.raises(RightMissing):
        written(opened, "INVENTE")
    forged, _ = stage.forge(opened, "INVENTE")
    mailbox = stage.channel(opened)
    stage.relay.show(mailbox, [*stage.relay.entries(mailbox), (1, forged)])
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg"]


def test_edition_by_a_grantee(stage: Stage) -> None:
    """Only the holder opens a channel: a second edition cannot add writers or replace the document."""
    section, _, opened = stage.shared()
    before = stage.holder.read(section)
    state = flatten(opened._channel.save)
    _, change = make({**state, "entries": {}}, make_id())
    people = [replace(writer, right="edit") for writer in opened._channel.writers.values()]
    (body,) = encode_edition(change, people)
    forged, _ = stage.forge(opened, "INVENTE", kind="edition", body=body)
    stage.send(opened, forged)
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.holder.read(section) == before
    opened.refresh()
    assert len(opened.document.entries) == 1


def test_author_named_by_a_grantee(stage: Stage) -> None:
    """Only the holder's device may say that a change is somebody else's."""
    section, _, opened = stage.shared()
    forged, _ = stage.forge(opened, "INVENTE", author=stage.holder.holder_name)
    stage.send(opened, forged)
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg"]


def test_equivocating_device(stage: Stage) -> None:
    """Two envelopes under one number: the first that came counts, and the chain of the other leads nowhere."""
    section, _, opened = stage.shared()
    one, _ = stage.forge(opened, "UN")
    other, head = stage.forge(opened, "AUTRE")
    next_of_other, _ = stage.forge(opened, "SUITE", seq=2, prev=head)
    stage.send(opened, one, other, next_of_other)
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg", "UN"]


def test_actor_of_somebody_else(stage: Stage) -> None:
    """A change under the actor of the holder's replica would brick it: it is refused whoever signs it."""
    section, _, opened = stage.shared()
    (actor,) = {change.actor for change in replica.changes(opened._channel.save)}
    forged, _ = stage.forge(opened, "INVENTE", actor=actor)
    stage.send(opened, forged)
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    assert stage.labels(section) == ["APIXABAN 5 mg", "RAMIPRIL"]


def test_crdt_panic_and_bomb_through_a_channel(stage: Stage) -> None:
    """Signed by somebody with every right: kept as evidence; the vault goes on and hears the same device again."""
    section, _, opened = stage.shared()
    prev, seq = bytes(32), 0
    bombs = _hostile(opened)
    for change in bombs:
        seq += 1
        sealed, prev = stage.forge(opened, "", body=encode_changes([change]), seq=seq, prev=prev)
        stage.send(opened, sealed)
    honest, _ = stage.forge(opened, "ENSUITE", seq=seq + 1, prev=prev)
    stage.send(opened, honest)
    assert details(stage.pull(), "quarantined") == ["foreign-change"] * len(bombs)
    assert stage.labels(section) == ["APIXABAN 5 mg", "ENSUITE"]
    opened.refresh()
    assert len(opened.document.entries) == 2


def test_changes_that_wait_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans wait within bounds, and what depends on nothing is still heard."""
    monkeypatch.setattr("vault.channel.MAX_PENDING", 100)
    section, _, opened = stage.shared()
    prev, orphans = bytes(32), _orphans(120)
    for seq in range(1, 4):
        sealed, prev = stage.forge(
            opened, "", body=encode_changes(orphans[40 * seq - 40 : 40 * seq]), seq=seq, prev=prev
        )
        stage.send(opened, sealed)
    honest, _ = stage.forge(opened, "ENSUITE", seq=4, prev=prev)
    stage.send(opened, honest)
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg", "ENSUITE"]
    (waiting,) = stage.holder.store.row("SELECT count(*) FROM pending")
    assert waiting == 80


@pytest.mark.parametrize("suite", [0, 2, 255])
def test_unknown_or_lower_suite_of_an_envelope(suite: int) -> None:
    key, signer, channel = make_key(), SigningKey.make(), make_key()
    inner = envelope.INNER.encode({**_inner(signer), "channel": channel, "suite": suite})
    outer = envelope.OUTER.encode({"inner": inner, "sig": signer.sign("env", inner)})
    for named, expected in ((1, SuiteRefused), (suite, CannotOpen)):
        sealed = seal_box(key, "elpis-env", pad(outer), bytes([named]) + b"envelope\0" + channel)
        with pytest.raises(expected):
            envelope.open(key, channel, sealed)


def test_every_bit_of_an_envelope_counts() -> None:
    """One answer for all, but for the signature and shape that only whoever has the key can reach."""
    key, signer, channel = make_key(), SigningKey.make(), make_key()
    sealed, _ = envelope.seal(key, signer, channel=channel, **FIELDS)  # type: ignore[arg-type]
    answers = set()
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CannotOpen) as caught:
            envelope.open(key, channel, bytes(changed))
        answers.add(str(caught.value))
    assert len(answers) == 1
    inner = envelope.INNER.encode({**_inner(signer), "channel": channel})
    sig = signer.sign("env", inner)
    aad = bytes([1]) + b"envelope\0" + channel
    for bit in range(0, len(inner) * 8, 7):
        other = bytearray(inner)
        other[bit // 8] ^= 1 << bit % 8
        outer = envelope.OUTER.encode({"inner": bytes(other), "sig": sig})
        with pytest.raises((BadSignature, Malformed, SuiteRefused)):
            envelope.open(key, channel, seal_box(key, "elpis-env", pad(outer), aad))


def _inner(signer: SigningKey) -> dict[str, object]:
    fields = {name: value for name, value in FIELDS.items() if name != "kind"}
    return {**fields, "suite": 1, "type": "change", "signer": signer.public}


def _claim(opened: OpenDocument) -> Change:
    _, change = edit(
        opened._channel.save, make_id(), [("set", ("entries", make_id().hex()), {"kind": "medication", "dose": 7})]
    )
    assert change is not None
    return change


def _rebuilt(claim: Change, content: bytes, kind: int = 1) -> Change:
    """The claim for a chunk of this content, its checksum and hash right."""
    body = bytes([kind]) + _leb(len(content)) + content
    digest = hashlib.sha256(body).digest()
    return Change(digest, claim.actor, claim.seq, claim.deps, replica.chunk.MAGIC + digest[:4] + body)


def _hostile(opened: OpenDocument) -> list[Change]:
    """What makes Automerge panic, or inflates in it: a counter, a deflated gigabyte, run lengths of millions."""
    claim = _claim(opened)
    whole = claim.data[9:]
    content = whole[len(_leb(len(whole))) :] if len(whole) > 128 else whole[1:]
    assert replica.chunk.MAGIC + hashlib.sha256(claim.data[8:]).digest()[:4] == claim.data[:8]
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(256)) + squeezer.flush()
    runs = [content[:at] + b"\xff\xff\xff\x7f" + content[at + 1 :] for at in range(60, len(content), 12)]
    cut = Change(claim.hash, claim.actor, claim.seq, claim.deps, claim.data[:-1])
    counter = content.replace(b"\x14medication", b"\x18medication")  # the type of a whole number is a counter's now
    assert counter != content
    chunks = [counter, *runs]
    return [cut, _rebuilt(claim, small, 2), *(_rebuilt(claim, chunk) for chunk in chunks)]


def _orphans(many: int) -> list[Change]:
    """True changes of a replica that nobody else has: what they depend on never comes."""
    save, _ = make({"meta": {"kind": "medications"}, "entries": {}, "attachments": {}}, make_id())
    actor, made = make_id(), []
    for count in range(many):
        save, change = edit(save, actor, [("set", ("meta", "title"), str(count))])
        assert change is not None
        made.append(change)
    return made


def colleague(stage: Stage, me: Identity | None = None) -> Person:
    """Somebody else whom the holder gives documents."""
    me = me or Identity("Lindqvist Ode", "doctor", SigningKey.make(), BoxKey.make())
    key = stage.person.card.relay_key
    card = make_card(me, now=1, relay=URL, relay_key=key, inbox=make_key(), deposit=make_key())
    return stage.holder.people.add(card, met=True)


def test_a_document_that_grows_until_no_epoch_can_start(stage: Stage) -> None:
    """What does not fit an edition is refused: while somebody else has the document, its writer's access could not
    end."""
    section, grant, opened = stage.shared()
    other = colleague(stage)
    stage.holder.sharing.grant(other, [section], right="read", purpose="avis", seconds=600)
    stage.mine.sync()
    opened, prev, found = stage.theirs.open(section), bytes(32), []
    for number in range(1, 14):
        large = []
        for _ in range(7):
            entry = {"kind": "medication", "label": "x" * 99_000}
            _, change = edit(opened._channel.save, make_id(), [("set", ("entries", make_id().hex()), entry)])
            assert change is not None
            large.append(change)
        data, prev = stage.forge(opened, "", seq=number, prev=prev, body=encode_changes(large))
        stage.send(opened, data)
        found.append(details(stage.pull(), "quarantined"))
    assert found == [[]] * 12 + [["foreign-change"]]
    stage.holder.sharing.revoke(grant.id)
    stage.mine.sync()
    assert stage.holder.sharing.find(grant.id).state == "revoked" and stage.holder.documents.epoch(section) == 3


def test_a_document_that_fits_no_edition_ends_for_everybody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an earlier version let it grow: it keeps nobody's access from ending."""
    section, grant, _ = stage.shared()
    stage.holder.sharing.grant(colleague(stage), [section], right="read", purpose="avis", seconds=600)
    stage.mine.sync()
    monkeypatch.setattr(replica, "MAX_FIRST", 100)
    stage.holder.sharing.revoke(grant.id)
    stage.mine.sync()
    assert stage.holder.sharing.find(grant.id).state == "revoked"
    assert stage.holder.store.rows("SELECT 1 FROM mailbox WHERE kind = 'channel' AND state = 'open'") == []


def test_somebody_who_stays_and_cannot_be_sent_to(stage: Stage) -> None:
    """Whose newest card has no inbox: nobody else's end waits for that person."""
    section, grant, _ = stage.shared()
    me = Identity("Lindqvist Ode", "doctor", SigningKey.make(), BoxKey.make())
    stage.holder.sharing.grant(colleague(stage, me), [section], right="read", purpose="avis", seconds=600)
    stage.mine.sync()
    stage.holder.people.add(make_card(me, now=2), met=True)
    stage.holder.sharing.revoke(grant.id)
    stage.mine.sync()
    assert stage.holder.sharing.find(grant.id).state == "revoked"


def test_evidence_against_a_relay_is_not_crowded_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By junk, or by lies about the relay, of somebody who may write in the mailbox."""
    monkeypatch.setattr("vault.store.outbox.EVIDENCE_COUNT", 3)
    section, _, opened = stage.shared()
    stage.send(opened, *(b"junk %d" % number for number in range(5)))
    lie, _ = stage.forge(opened, "DEUX", seen=[(stage.channel(opened), 1, make_key())])
    stage.send(opened, lie)
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.pull()
    channel = stage.channel(opened)
    stage.relay.show(channel, stage.relay.entries(channel)[:-1])
    stage.pull()
    why = stage.holder.store.rows("SELECT why, signed FROM evidence WHERE mailbox = ? ORDER BY id", (channel,))
    assert why == [("cannot-open", 0)] * 3 + [("relay-contradiction", 1)]


def test_as_many_devices_as_envelopes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer may name a new device each time: of what is known about all of them nothing is read for one."""
    section, _, opened = stage.shared()
    stage.send(opened, *(stage.forge(opened, str(number), device=make_id())[0] for number in range(20)))
    monkeypatch.setattr(MailboxStore, "senders", lambda *_: pytest.fail("the chains of all devices were read"))
    stage.pull()
    assert len(stage.labels(section)) == 21
