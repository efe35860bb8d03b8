"""What each format of `spec/vectors` means to the second reader: an input in, an output out, or a refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from spec.reader import (
    attachments,
    authorities,
    backup,
    cbor,
    chunks,
    devices,
    head,
    hybrid,
    keyslots,
    late,
    patients,
    primitives,
    relay,
    rosters,
    rows,
    shares,
    statements,
)
from spec.reader.ciphers import Secretstream
from spec.reader.encoder import encode
from spec.reader.refusal import Refused

Input = dict[str, Any]
Run = Callable[[Input], dict[str, Any]]


def raw(given: Input, name: str) -> bytes:
    return bytes.fromhex(given[name])


def raws(given: Input, *names: str) -> list[bytes]:
    return [raw(given, name) for name in names]


def chain(given: Input, name: str) -> list[bytes]:
    return [bytes.fromhex(item) for item in given[name]]


def maybe(given: Input, name: str) -> bytes | None:
    return raw(given, name) if name in given else None


def read_welcome(given: Input) -> dict[str, Any]:
    sign, box, fresh = raws(given, "sign", "box", "fresh")
    keys = primitives.ed25519_public(sign), primitives.x25519_public(box), primitives.x25519_public(fresh)
    about = raws(given, "sealed", "vault", "old_sign", "transcript")
    return devices.read_welcome(*about, (fresh, raw(given, "seed")), keys, maybe(given, "secret"))


def typed(value: Any) -> Any:
    """Bytes as {"$bytes": hex}: text and bytes stay apart in JSON."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else value


def person(given: Input) -> statements.Person:
    seed, secret = raws(given, "sign", "box")
    return statements.Person(seed, secret, primitives.ed25519_public(seed), primitives.x25519_public(secret))


def read_encoding(given: Input) -> dict[str, Any]:
    value = cbor.decode(raw(given, "data"), given["limit"])
    if encode(value) != raw(given, "data"):
        raise Refused("error", "the reader's own encoder gives other bytes")
    return {"value": typed(value)}


def read_suite(given: Input) -> dict[str, Any]:
    primitives.need_suite(given["suite"], given["minimum"], known=(1, 2))
    return {}


def read_public_key(given: Input) -> dict[str, Any]:
    make = primitives.ed25519_public if given["kind"] == "ed25519" else primitives.x25519_public
    return {"public": make(raw(given, "secret"))}


def read_padding(given: Input) -> dict[str, Any]:
    return {"data": primitives.unpad(raw(given, "padded"))}


def read_signature(given: Input) -> dict[str, Any]:
    public, message, signature = raws(given, "public", "message", "signature")
    primitives.verify(public, given["kind"], message, signature)
    if "seed" in given and primitives.sign(raw(given, "seed"), given["kind"], message) != signature:
        raise Refused("error", "the same signer gives another signature")
    return {}


def read_box(given: Input) -> dict[str, Any]:
    key, box, aad = raws(given, "key", "box", "aad")
    return {"plaintext": primitives.open_box(key, given["label"], box, aad)}


def read_hybrid_key(given: Input) -> dict[str, Any]:
    hybrid.check_key(raw(given, "public"))
    if "signing" in given and hybrid.public_of(hybrid.seed_of(raw(given, "signing"))) != raw(given, "public"):
        raise Refused("error", "the same signing seed gives another key")
    return {}


def read_seal_key(given: Input) -> dict[str, Any]:
    primitives.check_box_public(raw(given, "public"))
    return {}


def read_stream(given: Input) -> dict[str, Any]:
    reader = Secretstream(*raws(given, "key", "header"))
    pulled = [reader.pull(bytes.fromhex(chunk)) for chunk in given["chunks"]]
    return {"parts": [part for part, _ in pulled], "final": [final for _, final in pulled]}


def read_card(given: Input) -> dict[str, Any]:
    return statements.read_card(raw(given, "data"))


def read_card_text(given: Input) -> dict[str, Any]:
    data = statements.read_card_text(given["text"])
    statements.read_card(data)
    return {"data": data}


def read_safety_number(given: Input) -> dict[str, Any]:
    my_sign, my_box, their_sign, their_box = raws(given, "my_sign", "my_box", "their_sign", "their_box")
    return {"number": statements.safety_number((my_sign, my_box), (their_sign, their_box))}


def read_authority(given: Input) -> dict[str, Any]:
    told = authorities.read_authority(raw(given, "data"))
    return {name: told[name] for name in ("name", "sign")}


def read_certificate(given: Input) -> dict[str, Any]:
    data, card = raws(given, "data", "card")
    return authorities.read_certificate(data, many(given, "bulletins"), card, given["now"])


def read_bulletin(given: Input) -> dict[str, Any]:
    known = authorities.keep(many(given, "bulletins"), many(given, "certificates"))
    told = {name: known.list[name] for name in ("number", "next")}
    told |= {name: known.head[name] for name in ("size", "root")}
    revoked = [entry["certificate"] for entry in known.list["entries"]]
    return told | {"revoked": revoked, "promised": [head["size"] for head in known.promised]}


def read_log(given: Input) -> dict[str, Any]:
    leaves = [authorities.leaf(entry) for entry in many(given, "entries")]
    return {"root": authorities.root(leaves), "paths": [authorities.path(leaves, at) for at in range(len(leaves))]}


def many(given: Input, name: str) -> list[bytes]:
    return [bytes.fromhex(item) for item in given.get(name, [])]


def read_grant(given: Input) -> dict[str, Any]:
    return statements.read_grant(raw(given, "sealed"), person(given["grantee"]), given["now"])


def read_renewal(given: Input) -> dict[str, Any]:
    known = [_item(one) for one in given["known"]]
    return statements.read_renewal(raw(given, "sealed"), person(given["grantee"]), raw(given, "issuer"), known)


def _item(told: Input) -> dict[str, Any]:
    return {name: raw(told, name) for name in ("document", "edition", "tag", "mailbox")} | {"epoch": told["epoch"]}


def read_half_tag(given: Input) -> dict[str, Any]:
    return {"half_tag": statements.half_tag(*raws(given, "half", "tag"))}


def read_wrap(given: Input) -> dict[str, Any]:
    half, released, grant_hash, masked, label = raws(given, "half", "half_tag", "grant_hash", "masked", "label")
    return statements.unwrap(half, released, grant_hash, _item(given["item"]), masked, label, given["right"])


def read_release(given: Input) -> dict[str, Any]:
    sealed, fresh, grant = raws(given, "sealed", "fresh", "grant")
    tags = [bytes.fromhex(tag) for tag in given["tags"]]
    seed = raw(given, "seed") if "seed" in given else b""
    return {"halves": statements.read_release(sealed, fresh, seed, grant, given["counter"], tags)}


def read_opening_entry(given: Input) -> dict[str, Any]:
    items = {bytes.fromhex(tag): bytes.fromhex(document) for tag, document in given["items"].items()}
    entry, reader, grantee, secret, grant, digest = raws(
        given, "entry", "reader", "grantee", "box", "grant", "grant_hash"
    )
    return statements.read_opening(entry, reader, grantee, secret, grant, digest, items, given["after"])


def read_deposit(given: Input) -> dict[str, Any]:
    return statements.read_deposit(raw(given, "sealed"), person(given["recipient"]))


def read_keyslots(given: Input) -> dict[str, Any]:
    kit = raw(given, "kit") if "kit" in given else None
    return {"key": keyslots.open_keyslots(raw(given, "file"), given.get("passphrase"), kit)}


def read_attachment(given: Input) -> dict[str, Any]:
    sealed, key = raws(given, "file", "key")
    data = attachments.open_file(sealed, key, given["size"], given["sha256"])
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def read_history(given: Input) -> dict[str, Any]:
    chain, data, checkpoint, key = raws(given, "chain", "data", "checkpoint", "key")
    if "address" in given:
        relay.about(checkpoint, given["kind"], raw(given, "address"))
    return relay.follow(given["count"], chain, data, checkpoint, key)


FORMATS: dict[str, Run] = {
    "encoding": read_encoding,
    "suite": read_suite,
    "kdf": lambda v: {"key": primitives.derive(raw(v, "secret"), v["label"], *raws(v, "context", "salt"))},
    "hash": lambda v: {"hash": primitives.blake2b(raw(v, "data"), v["label"])},
    "public-key": read_public_key,
    "argon2id": lambda v: {"key": primitives.argon2id(v["passphrase"], raw(v, "salt"), v["ops"], v["memory"])},
    "padme-length": lambda v: {"length": primitives.padme(v["size"])},
    "padding": read_padding,
    "signature": read_signature,
    "box": read_box,
    "sealed": lambda v: {"plaintext": primitives.open_sealed(*raws(v, "secret", "sealed"))},
    "seal-key": read_seal_key,
    "hybrid": lambda v: {"plaintext": hybrid.open_hybrid(*raws(v, "seed", "secret", "sealed"))},
    "hybrid-key": read_hybrid_key,
    "stream": read_stream,
    "keyslots": read_keyslots,
    "recovery-words": lambda v: keyslots.read_words(v["words"]),
    "shares": lambda v: shares.read_shares(v["shares"], raw(v, "passphrase")),
    "attachment": read_attachment,
    "backup": lambda v: backup.read_manifest(*raws(v, "key", "vault", "name", "data")),
    "change": lambda v: chunks.read_chunk(raw(v, "data")),
    "roster": lambda v: rosters.read_roster(*raws(v, "data", "root", "vault")),
    "roster-chain": lambda v: rosters.read_roster_chain(chain(v, "statements"), *raws(v, "root", "vault")),
    "roster-choice": lambda v: rosters.read_choice(chain(v, "ours"), chain(v, "theirs"), *raws(v, "root", "vault")),
    "roster-histories": lambda v: rosters.read_histories(
        [chain(v, name) for name in ("first", "second", "third")], *raws(v, "root", "vault")
    ),
    "card": read_card,
    "card-text": read_card_text,
    "safety-number": read_safety_number,
    "authority": read_authority,
    "log": read_log,
    "bulletin": read_bulletin,
    "certificate": read_certificate,
    "role": lambda v: {"role": statements.check_role(v["role"])},
    "grant": read_grant,
    "renewal": read_renewal,
    "half-tag": read_half_tag,
    "wrap": read_wrap,
    "opening-request": lambda v: statements.read_request(*raws(v, "data", "reader")),
    "release": read_release,
    "opening-entry": read_opening_entry,
    "deposit": read_deposit,
    "envelope": lambda v: relay.read_envelope(*raws(v, "key", "channel", "data")),
    "channel-body": lambda v: relay.read_body(v["type"], raw(v, "data")),
    "checkpoint": lambda v: relay.read_checkpoint(*raws(v, "data", "key")),
    "receipt": lambda v: relay.read_receipt(*raws(v, "data", "key")),
    "chain": lambda v: {"links": relay.links(v["entries"])},
    "page": lambda v: {"entries": relay.read_page(raw(v, "data"))},
    "history": read_history,
    "relay-opening": lambda v: relay.read_relay_opening(*raws(v, "data", "reader")),
    "token": lambda v: {"hash": relay.token_hash(raw(v, "token"))},
    "device-code": lambda v: devices.read_code(v["text"]),
    "device-hello": lambda v: devices.read_hello(raw(v, "data"), v["role"], raw(v, "commit"), maybe(v, "secret")),
    "hello-box": lambda v: devices.open_hello(*raws(v, "key", "address", "sealed")),
    "device-meeting": lambda v: devices.read_meeting(*raws(v, "old", "new")),
    "welcome": read_welcome,
    "vault-body": lambda v: devices.read_vault_body(raw(v, "data"), chain(v, "before")),
    "vault-operation": lambda v: devices.read_operation(v["kind"], raw(v, "data")),
    "evidence": lambda v: devices.read_evidence(raw(v, "data")),
    "head": lambda v: head.read_head(
        *raws(v, "key", "vault", "file"), {int(number): bytes.fromhex(link) for number, link in v["links"].items()}
    ),
    "patient-roster": lambda v: patients.read_patients(*raws(v, "key", "vault", "data")),
    "vault-row": lambda v: rows.read_row(v["name"], v["key"], raw(v, "value")),
    "turn-box": lambda v: devices.open_turn(*raws(v, "box", "sealed", "vault", "device")),
    "late-effect": lambda v: late.effect(v["before"], v["after"], v["conflicts"]),
    "late-again": late.write_again,
    "late-draft": late.write_drafts,
    "address": lambda v: {"data": relay.read_address(v["text"], v["length"])},
}
