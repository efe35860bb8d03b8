"""What a relay can try that holds its own signing key, every byte it was given, and the network."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from sync import wire
from sync.client import RelayRefused
from sync.evidence import read_evidence
from sync.relay.signing import Signer
from tests.hostile_relay import URL, Call, Honest, Reply, swap
from tests.stage import Stage, details, kinds
from vault.document import Attachment, Document
from vault.errors import AccessEnded, BadSignature, RelayContradiction, VaultError, VerificationFailed
from vault.record import sha256_of


def test_forked_relay(stage: Stage) -> None:
    """Two histories of one channel: the first word that crosses from one to the other tells."""
    section, _, opened = stage.shared()
    stage.relay.fork("physician")
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.mine.sync()
    opened.set_entry(None, "medication", {"label": "BISOPROLOL"})
    opened.refresh()
    opened.set_entry(None, "medication", {"label": "ATORVASTATINE"})
    channel = stage.channel(opened)
    here, there = stage.relay.entries(channel), stage.relay.entries(channel, world=1)
    assert len(here) == 2 and len(there) == 3
    stage.relay.show(channel, [*here, *there[1:]])
    events = stage.pull()
    assert "relay-contradiction" in kinds(events)
    assert stage.labels(section) == ["APIXABAN 5 mg", "ATORVASTATINE", "BISOPROLOL", "RAMIPRIL"]


def test_forked_relay_signs_against_itself(stage: Stage) -> None:
    """What it signed when it took a message and what it signs when it shows them: the two signatures are kept."""
    section, _, opened = stage.shared()
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.mine.push()
    channel = stage.channel(opened)
    first, second = stage.relay.entries(channel)
    stage.relay.show(channel, [first, (second[0], os.urandom(len(second[1])))])
    events = stage.pull()
    assert details(events, "relay-contradiction") == ["proven"]
    (kept,) = stage.holder.store.rows("SELECT envelope FROM evidence WHERE why = 'relay-contradiction'")
    proof = read_evidence(kept[0])
    one, two = proof.first, proof.second
    assert (one.address, one.count) == (two.address, two.count) and one.chain != two.chain
    for checkpoint in (one, two):
        checkpoint.verify(stage.relay.signer.public, _verify)


def test_rollback_of_relay(stage: Stage) -> None:
    section, _, opened = stage.shared()
    copy = stage.relay.keep()
    opened.set_entry(None, "medication", {"label": "BISOPROLOL"})
    opened.refresh()
    stage.pull()
    stage.relay.put_back(copy)
    assert "relay-contradiction" in kinds(stage.pull())
    assert "BISOPROLOL" in stage.labels(section)
    with pytest.raises(RelayContradiction):
        opened.refresh()


def test_withheld_tail(stage: Stage) -> None:
    """Entries that the relay signed for and does not show."""
    section, _, opened = stage.shared()
    opened.set_entry(None, "medication", {"label": "BISOPROLOL"})
    channel = stage.channel(opened)
    whole = stage.relay.entries(channel)
    honest = stage.relay.page(wire.MAILBOX, channel, whole)

    def twist(call: Call, ask: Honest) -> Reply:
        if call.room == "messages" and call.method == "GET" and call.address == channel:
            return replace(honest, body=b"")
        return ask(call)

    stage.relay.twist = twist
    assert details(stage.pull(), "relay-contradiction") == ["the relay signed entries that it does not show"]
    assert stage.labels(section) == ["APIXABAN 5 mg"]


def test_withheld_tail_that_was_acknowledged(stage: Stage) -> None:
    """It took a message, signed so, and now signs a shorter mailbox."""
    section, _, opened = stage.shared()
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    stage.mine.push()
    channel = stage.channel(opened)
    stage.relay.show(channel, stage.relay.entries(channel)[:-1])
    assert "relay-contradiction" in kinds(stage.pull())


def test_withheld_envelope_in_the_middle(stage: Stage) -> None:
    """With its own key it can sign a channel without one envelope: the gap in the author's chain is seen."""
    section, _, opened = stage.shared()
    opened.set_entry(None, "medication", {"label": "BISOPROLOL"})
    opened.set_entry(None, "medication", {"label": "ATORVASTATINE"})
    channel = stage.channel(opened)
    edition, _, last = stage.relay.entries(channel)
    stage.relay.show(channel, [edition, last])
    assert details(stage.pull(), "quarantined") == ["foreign-change"]
    assert stage.labels(section) == ["APIXABAN 5 mg"]


def test_another_relay_key(stage: Stage) -> None:
    """Whoever answers at the address must sign with the key of the first contact."""
    section, _, opened = stage.shared()
    stage.relay._worlds[0].relay.keeper.signer = Signer(os.urandom(32))
    for attempt in (lambda: stage.mine.set_relay(URL), opened.refresh):
        with pytest.raises(VerificationFailed):
            attempt()
    stage.holder.add_entry(section, "medication", {"label": "RAMIPRIL"})
    assert details(stage.pull(), "refused") != []


def test_receipts_are_not_interchangeable(stage: Stage) -> None:
    """ "The half is held" is no answer to "destroy it", and one grant's receipt is none of another's."""
    grant, other = stage.grant(stage.letter()), stage.grant(stage.letter("Autre"))
    signer = stage.relay.signer
    for what, address in ((wire.HALF_HELD, grant.id), (wire.HALF_DESTROYED, other.id)):
        receipt = signer.receipt(what, bytes.fromhex(address), 1)

        def twist(call: Call, ask: Honest, receipt: bytes = receipt) -> Reply:
            return Reply(200, (), receipt) if call.method == "DELETE" and call.room == "halves" else ask(call)

        stage.relay.twist = twist
        client = stage.relay.factory("holder")(URL, verify_key=signer.public)
        with pytest.raises(BadSignature):
            client.destroy_half(bytes.fromhex(grant.id), os.urandom(32))
        client.close()


def test_release_of_another_opening_replayed(stage: Stage) -> None:
    """An answer recorded earlier is sealed to a key that is gone; a half of another item is not what was asked for."""
    section, _, _ = stage.shared()
    (recorded,) = [reply for call, reply in stage.relay.calls if call.room == "openings"]
    stage.relay.twist = lambda call, ask: recorded if call.room == "openings" else ask(call)
    with pytest.raises(VerificationFailed):
        stage.theirs.open(section)


def test_trace_entry_replayed(stage: Stage) -> None:
    """One signature proves one opening: the relay cannot make the journal say that somebody looked twice."""
    _, grant, _ = stage.shared()
    number = bytes.fromhex(grant.id)
    (entry,) = stage.relay.entries(number, wire.TRACE)
    stage.relay.show(number, [entry, entry])
    stage.pull()
    lines = [(line.state, line.verified) for line in stage.holder.sharing.trace() if line.state != "granted"]
    assert lines == [("opened", True), ("unknown", False)]


def test_trace_rolled_back_hides_no_opening(stage: Stage) -> None:
    _, grant, _ = stage.shared()
    number = bytes.fromhex(grant.id)
    stage.pull()
    stage.relay.show(number, [])
    assert "relay-contradiction" in kinds(stage.pull())
    assert [line.state for line in stage.holder.sharing.trace()] == ["granted", "opened"]


def test_opening_of_one_grant_in_the_trace_of_another(stage: Stage) -> None:
    _, grant, _ = stage.shared()
    other = stage.grant(stage.letter())
    entry = stage.relay.entries(bytes.fromhex(grant.id), wire.TRACE)
    stage.relay.show(bytes.fromhex(other.id), entry)
    stage.pull()
    assert [line.verified for line in stage.holder.sharing.trace() if line.state == "unknown"] == [False]


def test_every_pair_of_blobs_swapped_at_the_relay(stage: Stage) -> None:
    """Two files of one size in one document: each opens as itself or not at all."""
    files = {sha256_of(data): data for data in (b"a" * 5000, b"b" * 5000)}
    document = Document(title="Deux", attachments=tuple(Attachment(sha, "text/plain", 5000, "f") for sha in files))
    shared = stage.holder.add(document, files)
    stage.grant(shared)
    opened = stage.theirs.open(shared)
    one, other = (bytes.fromhex(fields["blob"]) for fields in _files(stage, shared).values())
    for sha, data in files.items():
        assert b"".join(opened.attachment(sha)) == data
    stage.relay.twist = swap(one, other)
    for sha in files:
        with pytest.raises(VaultError):
            b"".join(opened.attachment(sha))


def test_blob_truncated_or_longer_at_the_relay(stage: Stage) -> None:
    data = os.urandom(200_000)
    sha = sha256_of(data)
    shared = stage.holder.add(
        Document(title="Long", attachments=(Attachment(sha, "text/plain", len(data), "f"),)), {sha: data}
    )
    stage.grant(shared)
    opened = stage.theirs.open(shared)

    def cut(call: Call, ask: Honest, by: int = 0) -> Reply:
        reply = ask(call)
        if call.method != "GET" or not call.path.startswith("/blobs/"):
            return reply
        body = reply.body[:-by] if by > 0 else reply.body + bytes(-by)
        size = b"bytes 0-%d/%d" % (len(body) - 1, len(body))
        kept = tuple(header for header in reply.headers if header[0] not in (b"content-range", b"content-length"))
        return replace(reply, body=body, headers=(*kept, (b"content-range", size)))

    for by in (1, 65_553, -1):
        stage.relay.twist = lambda call, ask, by=by: cut(call, ask, by)  # type: ignore[misc]
        with pytest.raises(VerificationFailed):
            b"".join(opened.attachment(sha))


def test_concurrent_revoke_and_write(stage: Stage) -> None:
    """Written before the holder revoked: it is kept. Written afterwards: nobody hears it, the author is told."""
    section, grant, opened = stage.shared()
    opened.set_entry(None, "medication", {"label": "AVANT"})
    stage.holder.sharing.revoke(grant.id)
    opened.set_entry(None, "medication", {"label": "PENDANT"})  # the relay does not know yet
    stage.mine.sync()
    stage.mine.sync()
    assert stage.labels(section) == ["APIXABAN 5 mg", "AVANT", "PENDANT"]
    opened.set_entry(None, "medication", {"label": "APRES"})
    stage.pull()
    assert "APRES" not in stage.labels(section)
    with pytest.raises(AccessEnded):
        opened.refresh()
    with pytest.raises(AccessEnded):
        stage.theirs.open(section)


def test_revocation_that_the_relay_does_not_hear(stage: Stage) -> None:
    """It may go on releasing its half: what the holder writes afterwards is under a key that nobody was given."""
    section, grant, opened = stage.shared()
    other = stage.letter()
    stage.holder.sharing.revoke(grant.id)

    def deaf(call: Call, ask: Honest) -> Reply:
        return (
            Reply(200, (), stage.relay.signer.receipt(wire.HALF_DESTROYED, call.address, 1))
            if (call.method == "DELETE" and call.room == "halves")
            else ask(call)
        )

    stage.relay.twist = deaf
    stage.mine.sync()
    stage.holder.add_entry(section, "medication", {"label": "APRES"})
    stage.mine.sync()
    labels = set()
    try:
        again = stage.theirs.open(section)
        labels = {entry.text("label") for entry in again.document.entries}
    except (VaultError, RelayRefused):
        pass
    assert "APRES" not in labels
    assert stage.holder.documents.exists(other)
    assert opened.id == section


def _files(stage: Stage, document: str) -> dict[str, dict[str, str]]:
    return stage.holder.documents.flat(document)["attachments"]  # type: ignore[no-any-return]


def _verify(public: bytes, kind: str, message: bytes, signature: bytes) -> None:
    from vault.primitives import verify

    verify(public, kind, message, signature)


def test_attached_file_that_is_another_is_fetched_once_a_day(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be of any size, and come again with every exchange for ever."""
    section, _, opened = stage.shared()
    opened.add_file(b"rapport" * 100, media_type="text/plain", name="r.txt")
    asked = []

    def twist(call: Call, ask: Honest) -> Reply:
        reply = ask(call)
        if call.room == "blobs" and call.method == "GET":
            asked.append(call)
            return replace(reply, body=bytes(len(reply.body)))
        return reply

    stage.relay.twist = twist
    assert details(stage.pull(), "quarantined") == ["verification-failed"]
    for _ in range(3):
        assert details(stage.pull(), "quarantined") == []
    assert len(asked) == 1
    stage.relay.twist = lambda call, ask: ask(call)
    now = stage.holder.clock()
    monkeypatch.setattr(stage.holder, "clock", lambda: now + 86_500)
    stage.pull()
    (sha256,) = (attachment.sha256 for attachment in stage.holder.read(section).attachments)
    assert b"".join(stage.holder.attachment(section, sha256)) == b"rapport" * 100
