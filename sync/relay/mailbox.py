"""The rules of mailboxes, and of tokens wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from sync import wire
from sync.relay import trace
from sync.relay.refusal import Refusal
from sync.relay.store import BLOB, Capability, Log, Store

APPEND, READ = wire.RIGHTS


class Appended(NamedTuple):
    number: int
    head: trace.Head
    repeated: bool


def create(store: Store, address: bytes, owner: bytes, tokens: Sequence[Capability], now: int) -> bool:
    """True when it is new, False when the same owner repeats it."""
    log = store.log(wire.MAILBOX, address)
    if log is not None:
        if not compare_digest(log.owner, owner):
            raise Refusal("exists")
        return False
    add_tokens(store, wire.MAILBOX, store.add_log(wire.MAILBOX, address, owner, now), tokens, 0)
    return True


def add_tokens(store: Store, kind: int, parent: int, tokens: Sequence[Capability], have: int) -> None:
    if have + len(tokens) > wire.MAILBOX_TOKENS:
        raise Refusal("full")
    for token in tokens:
        store.add_token(kind, parent, token)


def change_tokens(
    store: Store, kind: int, address: bytes, owner: bytes, add: Sequence[Capability], remove: Sequence[bytes]
) -> None:
    thing = store.log(kind, address) if kind != BLOB else store.blob(address)
    if thing is None:
        raise Refusal("unknown")
    if not compare_digest(thing.owner, owner):
        raise Refusal("token")
    gone = {token for token in remove if store.token(kind, thing.id, token)}
    fresh = {token.hash for token in add if token.hash in gone or not store.token(kind, thing.id, token.hash)}
    if store.count_tokens(kind, thing.id) - len(gone) + len(fresh) > wire.MAILBOX_TOKENS:
        raise Refusal("full")
    for token in gone:
        store.drop_token(kind, thing.id, token)
    for capability in add:
        store.add_token(kind, thing.id, capability)


def allows(store: Store, kind: int, parent: int, token: bytes, right: str, now: int) -> bool:
    found = store.token(kind, parent, token)
    return found is not None and found.right == right and (found.until is None or now < found.until)


def append(store: Store, address: bytes, token: bytes, body: bytes, body_hash: bytes, now: int) -> Appended:
    log = store.log(wire.MAILBOX, address)
    if log is None:
        raise Refusal("unknown")
    if not compare_digest(log.owner, token) and not allows(store, wire.MAILBOX, log.id, token, APPEND, now):
        raise Refusal("token")
    if log.closed is not None:
        raise Refusal("closed")
    number = store.entry_number(log.id, body_hash)
    if number is not None:
        return Appended(number, trace.Head(log.kind, address, log.length, log.chain, log.time), True)
    if log.length >= wire.MAILBOX_MESSAGES:
        raise Refusal("full")
    return Appended(log.length + 1, trace.add(store, log, body, body_hash, now), False)


def readable(store: Store, address: bytes, token: bytes, now: int) -> Log:
    """The mailbox, if this token may read it."""
    log = store.log(wire.MAILBOX, address)
    if log is None:
        raise Refusal("unknown")
    if not compare_digest(log.owner, token):
        if not allows(store, wire.MAILBOX, log.id, token, READ, now):
            raise Refusal("token")
        if log.closed is not None:
            raise Refusal("closed")
    return log


def owned(store: Store, address: bytes, owner: bytes) -> Log:
    log = store.log(wire.MAILBOX, address)
    if log is None:
        raise Refusal("unknown")
    if not compare_digest(log.owner, owner):
        raise Refusal("token")
    return log


def trim(store: Store, address: bytes, owner: bytes, upto: int) -> None:
    log = owned(store, address, owner)
    if log.freed < min(upto, log.length):
        store.free_entries(log, min(upto, log.length))


def close(store: Store, address: bytes, owner: bytes, purge: bool, now: int) -> int:
    """The time at which it was closed, the same when repeated."""
    log = owned(store, address, owner)
    if log.closed is None:
        store.close_log(log, now)
        log = log._replace(closed=now)
    if purge and log.freed < log.length:
        store.free_entries(log, log.length)
    return now if log.closed is None else log.closed
