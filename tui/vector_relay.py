"""Vectors of what is at a relay: envelopes, checkpoints, receipts, chains, pages, openings as the relay reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sync import client, envelope, wire
from vault import channel, primitives
from vault.errors import InputRefused, VerificationFailed

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]

INNER = ("type", "channel", "document", "epoch", "device", "signer", "seq", "prev", "roster", "time", "body", "hash")


def _envelope(given: Given) -> dict[str, Any]:
    key, channel, data = given.blob("key"), given.blob("channel"), given.blob("data")
    read = envelope.open(key, channel, data)
    if "seed" in given:
        fields = {name: getattr(read, name) for name in INNER[1:-1] if name != "signer"}
        signer = primitives.SigningKey.from_seed(given.blob("seed"))
        nonce = data[: primitives.NONCE]
        again, _ = envelope.seal(key, signer, kind=read.type, seen=read.seen, nonce=nonce, **fields)
        if again != data:
            raise VerificationFailed("written again, this gives other bytes")
    seen = [{"mailbox": mailbox, "count": count, "chain": chain} for mailbox, count, chain in read.seen]
    return {name: getattr(read, name) for name in INNER} | {"seen": seen}


def _channel_body(given: Given) -> dict[str, Any]:
    shape = channel.EDITION if given.text("type") == "edition" else channel.CHANGES
    fields = shape.decode(given.blob("data"))
    if shape.encode(fields) != given.blob("data"):
        raise VerificationFailed("written again, this gives other bytes")
    return fields


def _checkpoint(given: Given) -> dict[str, Any]:
    data = given.blob("data")
    read = wire.Checkpoint.decode(data)
    read.verify(given.blob("key"), primitives.verify)
    if read.encode() != data:
        raise VerificationFailed("written again, this gives other bytes")
    return {name: getattr(read, name) for name in ("kind", "address", "count", "chain", "time")}


def _receipt(given: Given) -> dict[str, Any]:
    data = given.blob("data")
    read = wire.Receipt.decode(data)
    read.verify(given.blob("key"), primitives.verify)
    if read.encode() != data:
        raise VerificationFailed("written again, this gives other bytes")
    return {name: getattr(read, name) for name in ("what", "address", "time")}


def _chain(given: Given) -> dict[str, Any]:
    link, links = wire.START, []
    for index, entry in enumerate(given.many("entries"), start=1):
        time = entry.number("time")
        if not 0 <= time <= wire.MAX_INT:
            raise InputRefused("a time of this vector is out of range")
        link = wire.extend_chain(link, index, time, wire.hash_body(entry.blob("body")))
        links.append(link)
    return {"links": links}


def _page(given: Given) -> dict[str, Any]:
    messages = wire.decode_frames(given.blob("data"))
    bodies = [None if message.freed else message.body for message in messages]
    again = [wire.encode_frame(m.index, m.time, body, m.body_hash) for m, body in zip(messages, bodies, strict=True)]
    if b"".join(again) != given.blob("data"):
        raise VerificationFailed("written again, this gives other bytes")
    return {"entries": [[m.index, m.time, m.body, m.body_hash] for m in messages]}


def _history(given: Given) -> dict[str, Any]:
    """A page after what was seen before, with the checkpoint that must cover both."""
    messages = wire.decode_frames(given.blob("data"))
    checkpoint = wire.Checkpoint.decode(given.blob("checkpoint"))
    if "address" in given:
        client.check_about(checkpoint, given.number("kind"), given.blob("address"))
    checkpoint.verify(given.blob("key"), primitives.verify)
    seen = client.Seen(given.number("count"), given.blob("chain"))
    after = client.follow(seen, messages, checkpoint)
    return {"count": after.count, "chain": after.chain}


def _relay_opening(given: Given) -> dict[str, Any]:
    """What a reader sends, as the relay reads it: layout, in suite 2 the key behind it, the reader key's signature."""
    read, _kem = wire.Opening.receive(given.blob("data"))
    primitives.verify(given.blob("reader"), "opening", read.signed, read.signature)
    return {name: getattr(read, name) for name in ("grant", "counter", "fresh", "kem_hash", "tags", "statement")}


def _token(given: Given) -> dict[str, Any]:
    return {"hash": wire.hash_token(given.blob("token"))}


def _address(given: Given) -> dict[str, Any]:
    data = wire.decode_b64(given.text("text"), given.number("length"))
    return {"data": data}


RELAY_FORMATS: dict[str, Run] = {
    "envelope": _envelope,
    "channel-body": _channel_body,
    "checkpoint": _checkpoint,
    "receipt": _receipt,
    "chain": _chain,
    "page": _page,
    "history": _history,
    "relay-opening": _relay_opening,
    "token": _token,
    "address": _address,
}
