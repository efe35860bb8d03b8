"""spec/vault-channel.md and spec/evidence.md, read a second time."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from spec.reader import rosters
from spec.reader.cbor import Check, blob, boolean, list_of, moment, one_of, or_null, shape, statement, text, whole
from spec.reader.encoder import encode
from spec.reader.hybrid import check_key
from spec.reader.primitives import blake2b, check_box_public, derive, need_suite, open_box, open_sealed, unpad
from spec.reader.refusal import Refused, malformed
from spec.reader.relay import WRITER, link, read_checkpoint
from spec.reader.statements import opened_by, read, relay_url

Told = dict[str, Any]
CODE: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "relay": relay_url,
    "relay_key": blob(32),
    "address": blob(32),
    "token": blob(32),
    "commit": blob(32),
    "key": blob(32),
    "secret": or_null(blob(16)),
}
HELLO: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "role": one_of("old", "new"),
    "vault": or_null(blob(16)),
    "sign": blob(32),
    "box": blob(32),
    "fresh": blob(32),
    "kem": or_null(blob(1184)),
    "nonce": blob(32),
    "name": text(60),
    "proof": or_null(blob(32)),
}
TOKENS = shape({"address": blob(32), "owner": blob(32), "append": blob(32), "key": blob(32)})
CHAIN = list_of(blob(most=40_000), 4096)
WELCOME: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "recipient": blob(32),
    "transcript": blob(32),
    "proof": or_null(blob(32)),
    "root": blob(32),
    "chain": CHAIN,
    "about": shape({"name": text(200), "birth": text(40), "role": text(60), "language": text(10)}),
    "identity_sign": blob(32),
    "identity_box": blob(32),
    "relay": relay_url,
    "relay_key": blob(32),
    "epoch": whole(1),
    "count": whole(),
    "chain_at": blob(32),
    "channel": TOKENS,
    "snapshot": TOKENS,
    "senders": list_of(shape({"device": blob(16), "seq": whole(1), "head": blob(32)}), 1000),
}
FIRST = 8 << 20
CLAIM = shape(
    {
        "actor": blob(16),
        "seq": whole(1),
        "deps": list_of(blob(32), 1000),
        "hash": blob(32),
        "data": blob(most=FIRST),
    }
)
PLACE = shape(
    {
        "address": blob(32),
        "relay": text(500),
        "owner": blob(32),
        "append": blob(32),
        "key": blob(32),
        "writers": list_of(shape(WRITER), 256),
    }
)
OPERATIONS: Mapping[str, Mapping[str, Check]] = {
    "roster": {"chain": CHAIN},
    "row": {"name": text(40), "key": text(500), "value": blob(most=8 << 20)},
    "edition": {
        "document": blob(16),
        "epoch": whole(0, 1 << 62),
        "parent": or_null(blob(32)),
        "heads": list_of(blob(32), 1000),
        "change": CLAIM,
        "added": moment(),
        "author": text(200),
        "channel": or_null(PLACE),
        "current": boolean(),
    },
    "changes": {
        "document": blob(16),
        "edition": blob(32),
        "items": list_of(shape({"change": CLAIM, "author": text(200), "time": moment(), "own": boolean()}), 1000),
        "again": list_of(blob(32), 1000),
    },
    "turn": {
        "chain": CHAIN,
        "epoch": whole(1),
        "boxes": list_of(shape({"device": blob(16), "sealed": blob(most=2000)}), 64),
    },
    "signed": {"relay": text(500), "checkpoints": list_of(blob(146), 256)},
    "end": {},
}
NEXT: Mapping[str, Check] = {
    "vault": blob(16),
    "device": blob(16),
    "epoch": whole(1),
    "address": blob(32),
    "owner": blob(32),
    "append": blob(32),
    "key": blob(32),
}
WHOLE = FIRST + 1_000_000
BODY: Mapping[str, Check] = {"part": whole(1, 64), "parts": whole(1, 64), "data": blob(most=780_000)}
BUNDLE: Mapping[str, Check] = {"ops": list_of(shape({"kind": one_of(*OPERATIONS), "body": blob(most=WHOLE)}), 1000)}
EVIDENCE: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "relay": text(500),
    "key": blob(32),
    "first": blob(146),
    "second": blob(146),
    "chain": blob(32),
    "entries": list_of(shape({"time": moment(), "hash": blob(32)}), 10_000),
}


def read_code(line: str) -> Told:
    plain = "".join(line.split())
    prefix, _, body = plain.partition(":")
    if prefix != "elpis-device":
        raise malformed("not a code")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as failure:
        raise malformed("not base64url") from failure
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != body:
        raise malformed("another spelling")
    told = statement(data, 2000, CODE)
    need_suite(told["suite"])
    return {name: value for name, value in told.items() if name != "suite"}


def open_hello(key: bytes, address: bytes, sealed: bytes) -> Told:
    return {"hello": unpad(open_box(key, "elpis-pair-hello", sealed, b"\1hello\0" + address))}


def commit_of(hello: bytes) -> bytes:
    return blake2b(hello, "elpis-pair")


def read_hello(data: bytes, role: str, commit: bytes, secret: bytes | None) -> Told:
    if role == "old" and not hmac.compare_digest(commit_of(data), commit):
        raise Refused("bad-signature", "not what the code is bound to")
    told = statement(data, 3000, HELLO)
    need_suite(told["suite"], known=(2,))
    if told["role"] != role or (told["kem"] is None) == (role == "new"):
        raise malformed("a hello of the other side")
    if told["kem"] is not None:
        check_key(told["kem"])
    check_box_public(told["fresh"])
    check_box_public(told["box"])
    if role == "new" and secret is not None:
        proof = derive(secret, "elpis-pair-proof", commit + encode({**told, "proof": None}))
        if told["proof"] != proof:
            raise Refused("bad-signature", "the code was not read")
    return {name: told[name] for name in ("vault", "sign", "box", "fresh", "kem", "nonce", "name")}


def read_meeting(old: bytes, new: bytes) -> Told:
    commit = commit_of(old)
    transcript = blake2b(commit + new + old, "elpis-pair")
    number = int.from_bytes(blake2b(b"number" + transcript, "elpis-pair")[:8], "big") % 1_000_000
    return {"commit": commit, "transcript": transcript, "number": str(number).zfill(6)}


def read_welcome(
    sealed: bytes,
    vault: bytes,
    old_sign: bytes,
    transcript: bytes,
    fresh: tuple[bytes, bytes],
    keys: tuple[bytes, bytes, bytes],
    secret: bytes | None,
) -> Told:
    """`keys`: the new device's public keys (sign, box, fresh); `fresh`: the secret of the last, and the ML-KEM seed."""
    signed = read("welcome", WELCOME, 900_000, opened_by(*fresh, sealed)).by(old_sign)
    told = signed.fields
    need_suite(told["suite"], known=(2,))
    if told["recipient"] != keys[2] or told["transcript"] != transcript:
        raise Refused("wrong-recipient", "handed to another device")
    if secret is not None and told["proof"] != derive(secret, "elpis-pair-proof", transcript):
        raise Refused("bad-signature", "without the proof")
    devices = rosters.read_all(told["chain"], told["root"], vault)[-1]["devices"]
    if not any((device["sign"], device["box"]) == keys[:2] for device in devices):
        raise malformed("a roster without this device")
    if not any(device["sign"] == old_sign for device in devices):
        raise malformed("whoever hands it over is in no roster")
    names = ("identity_sign", "identity_box", "relay", "epoch", "count", "chain_at")
    return {name: told[name] for name in names} | {"channel": told["channel"]["address"]}


def read_vault_body(data: bytes, before: Sequence[bytes]) -> Told:
    """`before`: the data of the parts that came already."""
    told = statement(data, 800_000, BODY)
    if told["part"] != len(before) + 1 or told["part"] > told["parts"]:
        raise Refused("foreign-change", "a part is missing")
    if told["part"] < told["parts"]:
        return {"operations": None}
    bundle = statement(b"".join([*before, told["data"]]), 64 * 780_000, BUNDLE)
    return {"operations": [[one["kind"], one["body"]] for one in bundle["ops"]]}


def read_operation(kind: str, data: bytes) -> Told:
    limit = 65_536 if kind in ("signed", "end") else WHOLE
    return {"fields": sorted(statement(data, limit, OPERATIONS[kind]))}


def open_turn(secret: bytes, sealed: bytes, vault: bytes, device: bytes) -> Told:
    """The next channel, in the box that a turn has for one device."""
    told = statement(unpad(open_sealed(secret, sealed)), 65_536, NEXT)
    if (told["vault"], told["device"]) != (vault, device):
        raise Refused("verification-failed", "made for another device")
    return {name: told[name] for name in ("epoch", "address", "owner", "append", "key")}


def read_evidence(data: bytes) -> Told:
    told = statement(data, 1 << 20, EVIDENCE)
    need_suite(told["suite"])
    for name in ("first", "second"):
        if told[name][0] != 1 or told[name][1] not in (1, 2):
            raise malformed("not a checkpoint")
    first, second = (read_checkpoint(told[name], told["key"]) for name in ("first", "second"))
    same = (first["kind"], first["address"]) == (second["kind"], second["address"])
    if not same or len(told["entries"]) != second["count"] - first["count"]:
        raise malformed("not of one mailbox, or not joined")
    chain = told["chain"]
    for at, entry in enumerate(told["entries"], first["count"] + 1):
        chain = link(chain, at, entry["time"], entry["hash"])
    if chain != second["chain"]:
        raise Refused("verification-failed", "the entries lead elsewhere")
    if told["chain"] == first["chain"]:
        raise Refused("verification-failed", "no contradiction")
    return {"key": told["key"], "address": first["address"], "counts": [first["count"], second["count"]]}
