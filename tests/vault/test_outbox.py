"""What is still to be said: order, silence, evidence with a limit, batches with a size."""

from __future__ import annotations

import pytest

from sync import envelope
from vault import Document, Vault
from vault import outbox as rooms
from vault.errors import BadSignature, CannotOpen, InputRefused, NotFound, RelayContradiction
from vault.outbox import Outbox, _batches
from vault.primitives import hash32
from vault.replica import Change
from vault.store.outbox import EVIDENCE_BYTES, EVIDENCE_COUNT, OutboxStore

RELAY, AWAY = "https://relay.example", "https://away.example"


def test_the_urgent_first_then_in_order_and_nothing_for_who_is_silent(vault: Vault) -> None:
    store = OutboxStore(vault.store)
    for relay, verb, urgent, belongs in (
        (RELAY, "a", False, None), (AWAY, "b", False, b"g"), (RELAY, "c", True, None), (RELAY, "d", False, b"g"),
    ):  # fmt: skip
        store.queue(relay, verb, verb.encode(), {}, urgent=urgent, belongs=belongs)

    def first(silent: tuple[str, ...] = (), held: tuple[bytes, ...] = ()) -> str:
        item = store.first(silent, held)
        return item.verb if item else ""

    assert first() == "c" and first(held=(b"c",)) == "a" and first((RELAY,)) == "b"
    assert first(held=(b"c", b"a", b"g")) == "" and first((RELAY, AWAY)) == ""
    assert store.take_back(b"g") == 2 and store.queued() == 2


def test_what_is_sealed_is_sealed_once(vault: Vault) -> None:
    store, outbox = OutboxStore(vault.store), Outbox(vault)
    with pytest.raises(NotFound):
        store.queue(RELAY, "seal", bytes(32), {"type": "change", "token": bytes(32)}, b"body")
        item = outbox.first((), ())
        assert item is not None
        outbox.seal(item, envelope.seal)


def test_evidence_has_a_limit_and_junk_leaves_only_its_hash(vault: Vault) -> None:
    outbox, store = Outbox(vault), OutboxStore(vault.store)
    outbox.keep(b"box", b"junk" * 100, CannotOpen())
    outbox.keep(b"box", b"signed", BadSignature())
    assert [row[1] for row in store.evidence()] == [b"signed", hash32(b"junk" * 100)]
    outbox.keep(b"large", bytes(EVIDENCE_BYTES + 1), BadSignature())
    assert store.evidence()[0][1] == hash32(bytes(EVIDENCE_BYTES + 1))
    for number in range(EVIDENCE_COUNT + 5):
        outbox.keep(b"flood", b"%d" % number, BadSignature())
    rows = vault.store.rows("SELECT count(*) FROM evidence WHERE mailbox = ?", (b"flood",))
    assert rows == [(EVIDENCE_COUNT,)]


def change(size: int) -> Change:
    return Change(bytes(32), bytes(16), 1, (), bytes(size))


def test_batches_keep_order_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_BATCH", 1000)
    monkeypatch.setattr(rooms, "MAX_CLAIMS", 3)
    sizes = [1, 1, 1, 1, 900, 5000, 1]
    found = [[len(item.data) for item in batch] for batch in _batches([change(size) for size in sizes])]
    assert found == [[1, 1, 1], [1], [900], [5000], [1]] and list(_batches([])) == []


def test_what_a_relay_signed_must_stay_so(vault: Vault) -> None:
    outbox = Outbox(vault)

    class Signed:
        def __init__(self, count: int, chain: bytes) -> None:
            self.count, self.chain = count, chain

        def encode(self) -> bytes:
            return b"signed " + self.chain

    outbox.expect(b"unknown", Signed(1, b"x"))
    vault.people.set_relay(RELAY, bytes(32))
    (inbox,) = outbox.mailboxes()
    outbox.expect(inbox.address, Signed(1, b"x"))
    outbox.expect(inbox.address, Signed(1, b"x"))
    with pytest.raises(RelayContradiction) as caught:
        outbox.expect(inbox.address, Signed(1, b"y"))
    assert bytes.fromhex(str(caught.value.facts["evidence"])) == b"signed xsigned y"
    with pytest.raises(RelayContradiction):
        outbox.check_link(inbox.address, 1, b"z", Signed(2, b"w"))
    outbox.check_link(inbox.address, 2, b"z", Signed(2, b"z"))
    with pytest.raises(RelayContradiction):
        outbox.compare_seen(inbox.address, [(inbox.address, 0, bytes(32)), (inbox.address, 1, b"q")], 5)
    outbox.compare_seen(inbox.address, [(inbox.address, 1, b"x"), (b"other", 9, b"")], 5)


def test_an_outbox_has_an_end(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.persons import HOLDER, INBOX, card_of
    from vault import feeding

    monkeypatch.setattr(feeding, "MAX_QUEUED", 1)
    card = card_of(HOLDER, **INBOX)
    vault.feeding.deposit(card, Document(title="X"), {})
    with pytest.raises(InputRefused):
        vault.feeding.deposit(card, Document(title="X"), {})
