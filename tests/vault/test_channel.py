"""spec/envelope.md, section "Taking": order, rights, and that nobody silences anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.persons import DOCTOR, HOLDER, NOW, OTHER, seed
from vault import channel as channels
from vault.channel import Channel, Pending, Writer, encode_changes, encode_edition, own_sender_key
from vault.errors import ForeignChange, Replayed, VaultError
from vault.identity import Identity
from vault.primitives import hash32
from vault.replica import Change, edit, flatten, make, merge

DOCUMENT, BOX = bytes(16), seed("mailbox")
STATE: dict[str, dict[str, Any]] = {
    "meta": {"kind": "medications", "title": "T"},
    "entries": {"a" * 32: {"kind": "medication", "label": "X", "dose": "1"}},
    "attachments": {},
}
READER = Identity("Lecteur", "nurse", OTHER.sign, OTHER.box)
WRITERS = [
    Writer(HOLDER.sign.public, HOLDER.name, "", "edit"),
    Writer(DOCTOR.sign.public, DOCTOR.name, "doctor", "edit"),
    Writer(OTHER.sign.public, OTHER.name, "nurse", "read"),
]
SAVE, EDITION = make(STATE, seed("holder actor")[:16])


@dataclass(frozen=True)
class Sent:
    type: str
    signer: bytes
    seq: int
    prev: bytes
    body: bytes
    document: bytes = DOCUMENT
    epoch: int = 1
    device: bytes = bytes(16)
    time: int = NOW

    @property
    def hash(self) -> bytes:
        return hash32(repr(self).encode())


class Device:
    """Somebody who writes: keeps the chain of the own envelopes."""

    def __init__(self, who: Identity, actor: str = "") -> None:
        self.sign, self.seq, self.prev = who.sign.public, 0, bytes(32)
        self.actor = seed(actor or who.name)[:16]
        self.save = SAVE

    def send(self, body: bytes, kind: str = "change") -> Sent:
        sent = Sent(kind, self.sign, self.seq + 1, self.prev, body)
        self.seq, self.prev = sent.seq, sent.hash
        return sent

    def write(self, value: str, entry: str = "a" * 32) -> Change:
        path = ("entries", entry, "dose") if entry == "a" * 32 else ("entries", entry)
        content: Any = value if entry == "a" * 32 else {"kind": "medication", "label": value}
        self.save, change = edit(self.save, self.actor, [("set", path, content)])
        assert change is not None
        return change

    def change(self, value: str, entry: str = "a" * 32) -> Sent:
        return self.send(encode_changes([self.write(value, entry)]))


def followed(**fields: Any) -> Channel:
    """A grantee's session, after the edition."""
    new = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public, edition=EDITION.hash, **fields)
    holder = Device(HOLDER)
    for body in encode_edition(EDITION, WRITERS):
        assert new.take(holder.send(body, "edition"), merge).refused is None
    return new


def test_a_channel_opens_with_its_edition_and_goes_on() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    taken = channel.take(doctor.change("2"), merge)
    assert [item.author for item in taken.applied] == [DOCTOR.name]
    assert flatten(channel.save)["entries"]["a" * 32]["dose"] == "2"
    assert own_sender_key(DOCTOR.sign.public, bytes(16)) in channel.senders


def refused(channel: Channel, sent: Sent) -> str:
    """The failure class, whether it has no place or its content is refused; the document stays as it was."""
    before = channel.save
    try:
        taken = channel.take(sent, merge)
    except VaultError as failure:
        return failure.code
    assert channel.save == before and not taken.applied
    return taken.refused.code if taken.refused else ""


def test_a_person_with_the_right_to_read_does_not_write() -> None:
    channel, reader = followed(), Device(READER)
    assert refused(channel, reader.change("9")) == "foreign-change"
    assert not any(key == own_sender_key(reader.sign, bytes(16)) for key in channel.senders)


def test_a_stranger_does_not_write() -> None:
    stranger = Device(HOLDER)
    stranger.sign = seed("nobody")
    assert refused(followed(), stranger.change("9")) == "foreign-change"


def test_replayed_skipped_and_forked_envelopes_have_no_place() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    first, second, third = doctor.change("2"), doctor.change("3"), doctor.change("4")
    channel.take(first, merge)
    with pytest.raises(Replayed):
        channel.take(first, merge)
    assert refused(channel, third) == "foreign-change"
    assert refused(channel, replace(second, prev=seed("another history"))) == "foreign-change"
    channel.take(second, merge)
    channel.take(third, merge)
    assert flatten(channel.save)["entries"]["a" * 32]["dose"] == "4"


def test_another_document_or_epoch_has_no_place() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    sent = doctor.change("2")
    assert refused(channel, replace(sent, epoch=2)) == "foreign-change"
    assert refused(channel, replace(sent, document=seed("x")[:16])) == "foreign-change"


def test_only_the_holder_opens_a_channel_and_only_once() -> None:
    """An edition that comes once more changes nothing; what the device that sent it writes afterwards is heard."""
    body = encode_edition(EDITION, WRITERS)[0]
    other = encode_edition(make(STATE | {"entries": {}}, seed("x")[:16])[1], WRITERS[:1])[0]
    fresh = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public)
    assert refused(fresh, Device(DOCTOR).send(body, "edition")) == "foreign-change"
    for late in (body, other):
        channel, again = followed(), Device(HOLDER, "again")
        before = channel.save, dict(channel.writers)
        first = replace(again.send(late, "edition"), device=seed("again")[:16])
        taken, again.prev = channel.take(first, merge), first.hash
        assert (channel.save, dict(channel.writers)) == before and not taken.applied and taken.refused is None
        assert channel.take(replace(again.change("2"), device=first.device), merge).applied


def test_a_channel_opens_with_the_edition_of_the_grant_alone() -> None:
    other = make(STATE | {"entries": {}}, seed("x")[:16])[1]
    fresh = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public, edition=EDITION.hash)
    assert refused(fresh, Device(HOLDER).send(encode_edition(other, WRITERS)[0], "edition")) == "foreign-change"


@pytest.mark.parametrize("writers", [WRITERS[1:], [*WRITERS, replace(WRITERS[1], right="read")]])
def test_an_edition_names_the_holder_and_nobody_twice(writers: list[Writer]) -> None:
    fresh = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public)
    assert refused(fresh, Device(HOLDER).send(encode_edition(EDITION, writers)[0], "edition")) == "foreign-change"


def test_a_large_edition_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_PART", 50)
    bodies = encode_edition(EDITION, WRITERS)
    assert len(bodies) > 2
    fresh, holder = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public, edition=EDITION.hash), Device(HOLDER)
    for body in bodies:
        assert fresh.take(holder.send(body, "edition"), merge).refused is None
    assert flatten(fresh.save) == flatten(SAVE)
    missing, holder = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public, edition=EDITION.hash), Device(HOLDER)
    assert missing.take(holder.send(bodies[0], "edition"), merge).refused is None
    assert refused(missing, holder.send(bodies[2], "edition")) == "foreign-change"
    assert missing.parts == []
    assert missing.take(holder.send(bodies[0], "edition"), merge).refused is None
    for body in bodies:  # once more, from the first part on
        assert missing.take(holder.send(body, "edition"), merge).refused is None
    assert missing.save == fresh.save


def test_a_refused_content_does_not_silence_its_device() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    assert refused(channel, doctor.send(b"\xff")) == "malformed"
    broken = doctor.write("2")._replace(hash=seed("another hash"))
    doctor.save = SAVE
    assert refused(channel, doctor.send(encode_changes([broken]))) == "foreign-change"
    assert channel.take(doctor.change("3"), merge).applied


def test_only_the_holder_names_another_author() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    assert refused(channel, doctor.send(encode_changes([doctor.write("2")], "Somebody Else"))) == "foreign-change"
    holder = Device(HOLDER, "late")
    holder.seq, holder.prev = 1, channel.senders[own_sender_key(HOLDER.sign.public, bytes(16))][1]
    taken = channel.take(holder.send(encode_changes([holder.write("5")], DOCTOR.name)), merge)
    assert [item.author for item in taken.applied] == [DOCTOR.name]


def test_nobody_writes_under_the_actor_of_another() -> None:
    channel, doctor, false = followed(), Device(DOCTOR), Device(DOCTOR, "false")
    channel.take(doctor.change("2"), merge)
    false.seq, false.prev, false.actor = doctor.seq, doctor.prev, seed("holder actor")[:16]
    assert refused(channel, false.change("3")) == "foreign-change"


def test_nobody_writes_under_the_readers_own_actor() -> None:
    mine = seed("this device")[:16]
    channel, doctor = followed(own=mine), Device(DOCTOR)
    doctor.actor = mine
    assert refused(channel, doctor.change("2")) == "foreign-change"


def test_changes_wait_for_what_they_need() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    first, second = doctor.write("2"), doctor.write("3")
    assert not channel.take(doctor.send(encode_changes([second])), merge).applied
    assert [item.change.hash for item in channel.pending] == [second.hash]
    taken = channel.take(doctor.send(encode_changes([first])), merge)
    assert {item.change.hash for item in taken.applied} == {first.hash, second.hash}
    assert not channel.pending and flatten(channel.save)["entries"]["a" * 32]["dose"] == "3"


def test_waiting_changes_have_a_limit_of_each_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_PENDING", 2)
    channel, doctor, holder = followed(), Device(DOCTOR), Device(HOLDER, "late")
    doctor.write("never sent")
    for value in ("2", "3"):
        channel.take(doctor.change(value), merge)
    assert len(channel.pending) == 2
    assert refused(channel, doctor.change("4")) == "foreign-change"
    holder.seq, holder.prev = 1, channel.senders[own_sender_key(HOLDER.sign.public, bytes(16))][1]
    holder.write("never sent")
    assert channel.take(holder.change("5"), merge).refused is None and len(channel.pending) == 3


def test_a_waiting_poison_takes_nobody_along() -> None:
    """A change that turns unacceptable only when somebody else's arrives is dropped alone."""
    channel, doctor, holder = followed(), Device(DOCTOR), Device(HOLDER, "late")
    honest = holder.write("2")
    poison = Change(seed("poison"), seed("p")[:16], 1, (honest.hash,), b"")
    channel.pending = [Pending(poison, "?", NOW)]
    holder.seq, holder.prev = 1, channel.senders[own_sender_key(HOLDER.sign.public, bytes(16))][1]
    taken = channel.take(holder.send(encode_changes([honest])), merge)
    assert [item.change.hash for item in taken.applied] == [honest.hash] and not channel.pending
    assert doctor.seq == 0


def test_an_empty_envelope_changes_nothing() -> None:
    channel = followed()
    taken = channel.take(Device(DOCTOR).send(encode_changes([])), merge)
    assert taken.refused is None and not taken.applied


def test_the_same_change_twice_is_known() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    change = doctor.write("2")
    channel.take(doctor.send(encode_changes([change])), merge)
    assert not channel.take(doctor.send(encode_changes([change])), merge).applied


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_order_of_delivery_that_keeps_each_chain_converges(data: st.DataObject) -> None:
    """Three people write; two followers hear them in different orders and end with the same document."""
    writers = [Writer(who.sign.public, who.name, "", "edit") for who in (HOLDER, DOCTOR, OTHER)]
    devices = [Device(HOLDER, "late"), Device(DOCTOR), Device(OTHER)]
    opening = Device(HOLDER)
    first = opening.send(encode_edition(EDITION, writers)[0], "edition")
    devices[0].seq, devices[0].prev = opening.seq, opening.prev
    queues: list[list[Sent]] = [[], [], []]
    written = {"a" * 32}
    for number in range(data.draw(st.integers(1, 12))):
        who = data.draw(st.integers(0, 2))
        entry = "a" * 32 if data.draw(st.booleans()) else f"{number:032x}"
        written.add(entry)
        queues[who].append(devices[who].change(f"{who}-{number}", entry))

    def deliver(order: Sequence[int]) -> Channel:
        channel = Channel(BOX, DOCUMENT, 1, HOLDER.sign.public, edition=EDITION.hash)
        assert channel.take(first, merge).refused is None
        waiting = [list(queue) for queue in queues]
        for who in [*order, *(w for w in range(3) for _ in range(12))]:
            if waiting[who]:
                assert channel.take(waiting[who].pop(0), merge).refused is None
        return channel

    left = deliver(data.draw(st.lists(st.integers(0, 2), max_size=12)))
    right = deliver(data.draw(st.lists(st.integers(0, 2), max_size=12)))
    assert flatten(left.save) == flatten(right.save) and not left.pending and not right.pending
    assert set(flatten(left.save)["entries"]) == written


def test_hostile_bodies_raise_nothing_else() -> None:
    channel, doctor = followed(), Device(DOCTOR)
    for body in (b"", b"\xa0", b"\xa1gchanges\x80", bytes(1000), encode_changes([])[:-1]):
        assert refused(channel, doctor.send(body)) in ("malformed", "too-large")
    assert isinstance(ForeignChange(), VaultError)
