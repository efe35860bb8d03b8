"""spec/keyslots.md, read a second time. Every refusal is one: unlock-failed."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spec.reader.cbor import Check, blob, list_of, one_of, shape, statement, whole
from spec.reader.encoder import encode
from spec.reader.primitives import argon2id, blake2b, derive, ed25519_public, need_suite, open_box
from spec.reader.refusal import Refused

SLOT: Mapping[str, Check] = {
    "kind": one_of("passphrase", "kit"),
    "id": blob(16),
    "salt": blob(16),
    "ops": whole(0, 1 << 16),
    "memory": whole(0, 1 << 40),
    "box": blob(32 + 72),
}
FILE: Mapping[str, Check] = {
    "suite": whole(1, 255),
    "vault": blob(16),
    "slots": list_of(shape(SLOT), 8),
    "mac": blob(32),
}
FAILED = Refused("unlock-failed", "one answer for every reason")


def open_keyslots(data: bytes, passphrase: str | None, kit: bytes | None) -> bytes:
    """The vault key, by the passphrase or by the recovery kit."""
    try:
        file = statement(data, 8192, FILE)
        need_suite(file["suite"])
    except Refused:
        raise FAILED from None
    if kit is not None:
        return _unwrap(file, "kit", "elpis-slot-kit", lambda slot: kit)
    normal = unicodedata.normalize("NFKC", passphrase or "").strip()
    key = _unwrap(
        file, "passphrase", "elpis-slot-pass", lambda slot: argon2id(normal, slot["salt"], slot["ops"], slot["memory"])
    )
    mac = derive(key, "elpis-slots", encode([1, file["vault"], file["slots"]]))
    if not hmac.compare_digest(mac, file["mac"]):
        raise FAILED
    return key


def _unwrap(file: Mapping[str, Any], kind: str, label: str, slot_key: Callable[[Mapping[str, Any]], bytes]) -> bytes:
    for slot in file["slots"]:
        if slot["kind"] != kind:
            continue
        aad = encode(["keyslot", 1, file["vault"], kind, slot["id"], slot["salt"], slot["ops"], slot["memory"]])
        try:
            return open_box(slot_key(slot), label, slot["box"], aad)
        except Refused:
            continue
    raise FAILED


@cache
def wordlist(language: str) -> list[str]:
    return Path(__file__).with_name("words").joinpath(f"{language}.txt").read_text(encoding="utf-8").split()


def bare(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def read_words(typed: str) -> dict[str, Any]:
    words = [bare(word) for word in typed.replace(",", " ").split()]
    for language in ("fr", "en"):
        places = {bare(word): place for place, word in enumerate(wordlist(language))}
        if len(words) != 24 or any(word not in places for word in words):
            continue
        data = sum(places[word] << 11 * (23 - at) for at, word in enumerate(words)).to_bytes(33, "big")
        if hashlib.sha256(data[:32]).digest()[:1] == data[32:]:
            root = ed25519_public(derive(data[:32], "elpis-root-seed"))
            fingerprint = blake2b(root, "elpis-hash").hex()[:16]
            return {"entropy": data[:32], "root": root, "fingerprint": fingerprint} | {
                tongue: written(data[:32], tongue) for tongue in ("fr", "en")
            }
    raise FAILED


def written(entropy: bytes, language: str) -> str:
    number = int.from_bytes(entropy + hashlib.sha256(entropy).digest()[:1], "big")
    return " ".join(wordlist(language)[number >> 11 * (23 - at) & 2047] for at in range(24))
