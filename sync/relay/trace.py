"""Chained logs: how an entry is added to a mailbox or trace, and how a page of one is read."""

from __future__ import annotations

from typing import NamedTuple

from sync import wire
from sync.relay.store import Entry, Log, Store


class Head(NamedTuple):
    """The state that a checkpoint signs."""

    kind: int
    address: bytes
    length: int
    chain: bytes
    time: int


class Page(NamedTuple):
    frames: bytes
    head: Head


def add(store: Store, log: Log, body: bytes, body_hash: bytes, now: int) -> Head:
    """Appends; the caller has checked that this may be done."""
    number = log.length + 1
    chain = wire.extend_chain(log.chain, number, now, body_hash)
    store.add_entry(log.id, Entry(number, now, body_hash, body), repeatable=log.kind == wire.MAILBOX)
    store.set_head(log, number, chain, now)
    return Head(log.kind, log.address, number, chain, now)


def read(store: Store, log: Log, after: int, limit: int, now: int) -> Page:
    """A page of entries and the whole log's head, of one snapshot."""
    entries = store.entries(log.id, after, min(limit, wire.PAGE_MESSAGES), wire.PAGE_BYTES)
    frames = b"".join(wire.encode_frame(entry.number, entry.time, entry.body, entry.hash) for entry in entries)
    return Page(frames, Head(log.kind, log.address, log.length, log.chain, max(now, log.time)))
