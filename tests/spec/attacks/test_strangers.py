"""What somebody can try who has a contact card, and states addresses and documents that belong to others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.client import RelayClient, Token
from tests.hostile_relay import URL, HostileRelay
from tests.stage import Stage, kinds
from vault.errors import NotFound
from vault.grant import make_body, seal, seal_renewal
from vault.identity import Card, Identity, make_card, read_card
from vault.masking import columns
from vault.primitives import BoxKey, SigningKey, make_id, make_key

ELSEWHERE = "http://elsewhere.test"


@dataclass
class Stranger:
    """Keys of their own, and what they know of others."""

    stage: Stage
    me: Identity

    @classmethod
    def come(cls, stage: Stage, role: str = "") -> Stranger:
        return cls(stage, Identity("Inconnu Zéphyr", role, SigningKey.make(), BoxKey.make()))

    def send(self, card: Card, sealed: bytes) -> None:
        """Into somebody's inbox, with the token on the card."""
        assert card.inbox is not None and card.deposit is not None
        with self.stage.relay.factory("stranger")(URL) as client:
            client.append(card.inbox, card.deposit, sealed)

    def grant(self, card: Card, mailbox: bytes, **changes: Any) -> tuple[bytes, bytes]:
        """(number, document) of a grant by the stranger, sent."""
        now = int(self.stage.physician.clock())
        document = changes.pop("document", None) or make_id()
        fields = {
            "number": make_key(), "issuer_sign": self.me.sign.public, "issuer_box": self.me.box.public,
            "issuer_name": self.me.name, "grantee_sign": card.sign, "grantee_box": card.box, "role": "doctor",
            "right": "edit", "purpose": "avis", "made": now, "not_before": now, "until": now + 7200, "openings": None,
            "offline": 0, "relay": URL, "relay_key": card.relay_key, "roster": bytes(32), **changes,
        }  # fmt: skip
        body = make_body(fields, columns([document], [1], [make_key()], [make_id()], [mailbox]))
        self.send(card, seal(self.me, body, make_key(), make_key(), make_key(), [bytes(100)], card.kem))
        return fields["number"], document

    def renew(self, card: Card, number: bytes, document: bytes) -> None:
        items = columns([document], [2], [make_key()], [make_id()], [make_key()])
        self.send(card, seal_renewal(self.me, "doctor", card.box, number, items, make_key(), [bytes(100)], card.kem))


@pytest.fixture
def elsewhere(stage: Stage, tmp_path: Path) -> Iterator[HostileRelay]:
    """A relay of the stranger's, which the holder reaches at its address."""
    relay = HostileRelay(tmp_path / "elsewhere")
    known, theirs = stage.mine._relays._factory, relay.factory("holder")

    def factory(url: str, **options: Any) -> RelayClient:
        return (theirs if url == ELSEWHERE else known)(url, **options)

    stage.mine._relays._factory = factory
    yield relay
    stage.mine.close()
    relay.close()


@pytest.mark.parametrize("end", ["renewed", "over"])
def test_grant_that_names_the_readers_inbox(stage: Stage, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """When it moves on or ends, what was remembered of its channel is forgotten: never the inbox itself."""
    card, stranger = read_card(stage.physician.people.card()), Stranger.come(stage)
    assert card.inbox is not None
    number, document = stranger.grant(card, card.inbox)
    stage.theirs.sync()
    if end == "renewed":
        stranger.renew(card, number, document)
        assert kinds(stage.theirs.sync()) == ["renewed"]
    else:
        stage.physician.visiting.end(number.hex())
    letter = stage.letter()
    stage.grant(letter)
    assert stage.theirs.open(letter).document.title == "Lettre"
    assert read_card(stage.physician.people.card()).inbox == card.inbox


def test_card_that_names_the_holders_inbox_at_another_relay(stage: Stage, elsewhere: HostileRelay) -> None:
    """What that relay signs about its own mailbox of this address says nothing about the holder's."""
    mine, stranger, token = read_card(stage.holder.people.card()), Stranger.come(stage, "doctor"), make_key()
    assert mine.inbox is not None
    with elsewhere.factory("stranger")(ELSEWHERE) as client:
        client.create_mailbox(mine.inbox, make_key(), [Token(token, "append")])
        for _ in range(5):
            client.append(mine.inbox, token, os.urandom(20))
    card = make_card(
        stranger.me, relay=ELSEWHERE, relay_key=elsewhere.signer.public, inbox=mine.inbox, deposit=token, now=1
    )
    person = stage.holder.people.add(card, met=True)
    stage.holder.sharing.grant(person, [stage.letter()], right="read", purpose="avis", seconds=60)
    stage.mine.sync()
    stranger.send(mine, os.urandom(100))
    assert kinds(stage.pull()) == ["quarantined"]  # it was read, and the relay of the holder is accused of nothing


def test_grant_of_somebody_elses_channel(stage: Stage) -> None:
    """Who has a document of the holder's too, and grants its channel in a name of their own: what a device remembers
    of the channel that the holder granted is not touched when that grant is over."""
    section, _, opened = stage.shared()
    place = opened._place
    kept = stage.physician.store.rows("SELECT * FROM link WHERE mailbox = ?", (place,))
    number, _ = Stranger.come(stage).grant(read_card(stage.physician.people.card()), stage.channel(opened))
    stage.theirs.sync()
    stage.physician.visiting.end(number.hex())
    assert kept and stage.physician.store.rows("SELECT * FROM link WHERE mailbox = ?", (place,)) == kept
    opened.set_entry(None, "medication", {"label": "BISOPROLOL"})
    stage.pull()
    assert "BISOPROLOL" in stage.labels(section)


def test_grant_of_a_document_that_somebody_else_grants(stage: Stage) -> None:
    """Of the same id, with the greater right and for longer: it never opens in place of the other one."""
    letter, card = stage.letter(), read_card(stage.physician.people.card())
    grant = stage.grant(letter, right="read")
    false, _ = Stranger.come(stage).grant(card, make_key(), document=bytes.fromhex(letter), issuer_name="Martin Léa")
    stage.theirs.sync()
    with pytest.raises(NotFound):
        stage.theirs.open(letter)
    assert stage.theirs.open(f"{grant.id[:8]}/{letter[:8]}").document.title == "Lettre"
    assert stage.theirs.open(grant.id).document.title == "Lettre"
    stage.physician.visiting.end(false.hex())
    assert stage.theirs.open(letter).document.title == "Lettre"
