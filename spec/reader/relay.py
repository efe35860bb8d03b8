"""spec/envelope.md and spec/relay.md, read a second time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from spec.reader.cbor import Check, blob, list_of, moment, one_of, shape, statement, text, whole
from spec.reader.primitives import blake2b, need_suite, open_box, unpad, verify
from spec.reader.refusal import Refused, malformed

GREATEST = 2**63 - 1
BODY = 800_000
INNER: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "type": one_of("edition", "change", "vault"),
    "channel": blob(32),
    "document": blob(16),
    "epoch": whole(1),
    "device": blob(16),
    "signer": blob(32),
    "seq": whole(1),
    "prev": blob(32),
    "seen": list_of(shape({"mailbox": blob(32), "count": whole(), "chain": blob(32)}), 256),
    "roster": blob(32),
    "time": moment(),
    "body": blob(most=BODY),
}
INNER_LIMIT = BODY + 40_000


def read_envelope(key: bytes, channel: bytes, data: bytes) -> dict[str, Any]:
    if len(data) > 1 << 20:
        raise Refused("too-large", "an envelope over 1 MiB")
    padded = open_box(key, "elpis-env", data, b"\1envelope\0" + channel)
    outer = statement(unpad(padded), INNER_LIMIT + 200, {"inner": blob(most=INNER_LIMIT), "sig": blob(64)})
    inner = statement(outer["inner"], INNER_LIMIT, INNER)
    need_suite(inner["suite"])
    verify(inner["signer"], "env", outer["inner"], outer["sig"])
    if inner["channel"] != channel:
        raise Refused("replayed", "an envelope of another channel")
    return {name: value for name, value in inner.items() if name != "suite"} | {
        "hash": blake2b(outer["inner"], "elpis-hash")
    }


CLAIM: Mapping[str, Check] = {
    "actor": blob(most=64),
    "seq": whole(1),
    "deps": list_of(blob(32), 1000),
    "hash": blob(32),
    "data": blob(most=BODY),
}
WRITER: Mapping[str, Check] = {
    "sign": blob(32),
    "name": text(200),
    "role": text(60),
    "right": one_of("read", "edit"),
}
BODIES: Mapping[str, Mapping[str, Check]] = {
    "change": {"author": text(200), "changes": list_of(shape(CLAIM), 1000)},
    "edition": {
        "change": shape(CLAIM),
        "writers": list_of(shape(WRITER), 256),
        "part": whole(1, 16),
        "parts": whole(1, 16),
    },
}


def read_body(kind: str, data: bytes) -> dict[str, Any]:
    """What an envelope of this type holds; the chunks inside are `read_chunk`'s."""
    return statement(data, BODY, BODIES[kind])


CHECKPOINT = struct.Struct(">BB32sQ32sQ64s")
RECEIPT = struct.Struct(">BB32sQ64s")


def read_checkpoint(data: bytes, key: bytes) -> dict[str, Any]:
    """suite | kind | address | count | chain | time | signature."""
    if len(data) != CHECKPOINT.size:
        raise malformed("a checkpoint is 146 bytes")
    suite, kind, address, count, chain, time, signature = CHECKPOINT.unpack(data)
    if suite != 1 or kind not in (1, 2) or max(count, time) > GREATEST:
        raise malformed("not a checkpoint of this suite")
    verify(key, "checkpoint", data[:-64], signature)
    return {"kind": kind, "address": address, "count": count, "chain": chain, "time": time}


def read_receipt(data: bytes, key: bytes) -> dict[str, Any]:
    """suite | what | address | time | signature."""
    if len(data) != RECEIPT.size:
        raise malformed("a receipt is 106 bytes")
    suite, what, address, time, signature = RECEIPT.unpack(data)
    if suite != 1 or what not in (1, 2, 3) or time > GREATEST:
        raise malformed("not a receipt of this suite")
    verify(key, "receipt", data[:-64], signature)
    return {"what": what, "address": address, "time": time}


def link(previous: bytes, index: int, time: int, body_hash: bytes) -> bytes:
    return blake2b(previous + index.to_bytes(8, "big") + time.to_bytes(8, "big") + body_hash, "elpis-chain")


def body_hash(body: bytes) -> bytes:
    return blake2b(body, "elpis-hash")


def links(entries: Sequence[Mapping[str, Any]]) -> list[bytes]:
    made = [bytes(32)]
    for index, entry in enumerate(entries, start=1):
        made.append(link(made[-1], index, entry["time"], body_hash(bytes.fromhex(entry["body"]))))
    return made[1:]


def read_page(data: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """(index, time, body, hash of the body) of each entry; a freed one has no body left."""
    entries = []
    at = 0
    while at < len(data):
        if len(data) - at < 20:
            raise malformed("cut inside of an entry's head")
        index, time, length = struct.unpack_from(">QQI", data, at)
        at += 20
        freed = length == 0xFFFF_FFFF
        size = 32 if freed else length
        if not 0 < size <= 1 << 20 or at + size > len(data) or max(index, time) > GREATEST:
            raise malformed("cut or oversized entry")
        body = data[at : at + size]
        at += size
        entries.append((index, time, b"", body) if freed else (index, time, body, body_hash(body)))
    return entries


def about(checkpoint: bytes, kind: int, address: bytes) -> None:
    """A checkpoint is about what was asked for, whoever signed it."""
    if len(checkpoint) == CHECKPOINT.size and checkpoint[1:34] != bytes([kind]) + address:
        raise Refused("bad-signature", "about something else")


def follow(count: int, chain: bytes, data: bytes, checkpoint: bytes, key: bytes) -> dict[str, Any]:
    """What a client that saw `count` entries up to `chain` makes of the next page."""
    entries, signed = read_page(data), read_checkpoint(checkpoint, key)
    start = count
    if signed["count"] < count:
        raise Refused("relay-contradiction", "shorter than before")
    for index, time, _, digest in entries:
        if index != count + 1:
            raise Refused("relay-contradiction", "a gap")
        count, chain = index, link(chain, index, time, digest)
    if count > signed["count"]:
        raise Refused("relay-contradiction", "more than was signed")
    if count == start and count < signed["count"]:
        raise Refused("relay-contradiction", "less than was signed")
    if count == signed["count"] and chain != signed["chain"]:
        raise Refused("relay-contradiction", "another history")
    return {"count": count, "chain": chain}


OPENINGS = {1: struct.Struct(">B32sQ32sB"), 2: struct.Struct(">B32sQ32s32sB")}


def read_relay_opening(data: bytes, reader: bytes) -> dict[str, Any]:
    """The relay's own reading of an opening request: it refuses a counter over 2^63 - 1 and a tag named twice."""
    layout = OPENINGS.get(data[0]) if data else None
    if layout is None or len(data) < layout.size:
        raise malformed("too short, or of no suite")
    suite, grant, counter, fresh, *known, count = layout.unpack_from(data)
    if suite == 2:
        data, kem = data[:-1184], data[-1184:]
        if len(kem) != 1184 or blake2b(kem, "elpis-hash") != known[0]:
            raise malformed("another key than was signed for")
    if counter > GREATEST or not 1 <= count <= 64:
        raise malformed("no counter, or no number of tags")
    at = layout.size + 16 * count
    length = int.from_bytes(data[at : at + 4], "big")
    if length > 4096 or len(data) != at + 4 + length + 64:
        raise malformed("another length")
    tags = [data[place : place + 16] for place in range(layout.size, at, 16)]
    if len(set(tags)) != count:
        raise malformed("a tag named twice")
    verify(reader, "opening", data[:-64], data[-64:])
    told = {"grant": grant, "counter": counter, "fresh": fresh, "kem_hash": known[0] if known else None}
    return told | {"tags": tags, "statement": data[at + 4 : -64]}


def token_hash(token: bytes) -> bytes:
    return hashlib.blake2b(token, digest_size=32, person=b"elpis-token".ljust(16, b"\0")).digest()


def read_address(written: str, length: int) -> bytes:
    try:
        data = base64.b64decode(written.encode("ascii") + b"=" * (-len(written) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise malformed("not base64url") from None
    if len(data) != length or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != written:
        raise malformed("another spelling, or another length")
    return data
