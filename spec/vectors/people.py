"""The few people of the vectors, none of them real, and statements signed whatever they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spec.vectors.writing import fixed
from vault import certificate, hybrid, identity
from vault.encoding import encode
from vault.primitives import BoxKey, SigningKey

NOW = 1_795_287_600  # 2026-11-21T19:00:00Z
DAY = 86_400


def make_person(name: str, role: str = "") -> identity.Identity:
    sign, box = SigningKey.from_seed(fixed(f"{name} sign")), BoxKey.from_secret(fixed(f"{name} box"))
    return identity.Identity(name, role, sign, box)


HOLDER = make_person("Holder Example")
DOCTOR = make_person("Doctor Example", "doctor")
OTHER = make_person("Other Example", "nurse")
AUTHORITY_KEY = SigningKey.from_seed(fixed("authority"))
OTHER_AUTHORITY_KEY = SigningKey.from_seed(fixed("other authority"))
AUTHORITY = certificate.make_authority("Order of Examples", AUTHORITY_KEY, NOW)
OTHER_AUTHORITY = certificate.make_authority("Other Order", OTHER_AUTHORITY_KEY, NOW)
RELAY_KEY = SigningKey.from_seed(fixed("relay"))


def kem_of(person: identity.Identity) -> bytes:
    """The ML-KEM key that goes with this person's signing seed."""
    return hybrid.derive_public(hybrid.derive_seed(person.sign.seed))


def secrets_of(person: identity.Identity) -> dict[str, Any]:
    """What a vector gives of whoever reads."""
    return {"name": person.name, "sign": person.sign.seed, "box": person.box.secret}


def card_fields(person: identity.Identity, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "name": person.name,
        "role": person.role,
        "sign": person.sign.public,
        "box": person.box.public,
        "relay": "https://relay.example",
        "relay_key": RELAY_KEY.public,
        "inbox": fixed(f"{person.name} inbox"),
        "deposit": fixed(f"{person.name} deposit"),
        "made": NOW,
    }
    return fields | changes


def signed(kind: str, fields: Mapping[str, Any], key: SigningKey, **outer: Any) -> bytes:
    """A statement without any of the product's checks: a vector may say what the product would never write."""
    body = encode(dict(fields))
    return encode({"type": kind, "body": body, "sig": key.sign(kind, body)} | outer)


def without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def make_card(person: identity.Identity) -> bytes:
    return signed("card", card_fields(person), person.sign)
