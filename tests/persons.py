"""Fixed people for tests of formats: seeds are words, so that a failure reads well."""

from __future__ import annotations

import hashlib

from vault.identity import Card, Identity, make_card, read_card
from vault.primitives import BoxKey, SigningKey

NOW = 1_800_000_000
DAY = 86_400


def seed(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def person(name: str, role: str = "") -> Identity:
    return Identity(name, role, SigningKey.from_seed(seed(f"{name} sign")), BoxKey.from_secret(seed(f"{name} box")))


def card_of(who: Identity, **fields: object) -> Card:
    return read_card(make_card(who, now=NOW, **fields))  # type: ignore[arg-type]


HOLDER = person("Martin Léa")
DOCTOR = person("Ndiaye Awa", "doctor")
OTHER = person("Petit Jean", "nurse")
INBOX = {
    "relay": "https://relay.example", "relay_key": seed("relay"), "inbox": seed("inbox"), "deposit": seed("deposit"),
}  # fmt: skip
