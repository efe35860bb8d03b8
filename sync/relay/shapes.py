"""Readers of what stands in JSON bodies. Each returns plain values or raises WireError."""

from __future__ import annotations

from typing import Any, NamedTuple

from sync import wire
from sync.relay.http import whole
from sync.relay.store import Capability
from sync.wire import WireError, decode_b64


class Watch(NamedTuple):
    kind: int
    address: bytes
    token: bytes
    after: int


def key(value: Any) -> bytes:
    """32 bytes: a hash, a public key, a half."""
    return decode_b64(value, 32)


def keys(value: Any) -> list[bytes]:
    return [key(item) for item in _list(value, wire.MAILBOX_TOKENS)]


def optional(value: Any) -> int | None:
    return None if value is None else whole(value)


def positive(value: Any) -> int:
    if whole(value) == 0:
        raise WireError("not more than zero")
    return whole(value)


def openings(value: Any) -> int | None:
    return None if value is None else positive(value)


def tokens(value: Any) -> list[Capability]:
    found = [_token(item) for item in _list(value, wire.MAILBOX_TOKENS)]
    if len({token.hash for token in found}) != len(found):
        raise WireError("a token is named twice")
    return found


def _token(value: Any) -> Capability:
    fields = _object(value, "token", "right", "until")
    if fields["right"] not in wire.RIGHTS:
        raise WireError("no such right")
    return Capability(key(fields["token"]), fields["right"], optional(fields["until"]))


def watches(value: Any) -> list[Watch]:
    return [_watch(item) for item in _list(value, wire.WATCHES)]


def _watch(value: Any) -> Watch:
    fields = _object(value, "kind", "address", "token", "after")
    kind = wire.KINDS.get(fields["kind"]) if isinstance(fields["kind"], str) else None
    if kind is None:
        raise WireError("no such kind")
    return Watch(kind, key(fields["address"]), wire.hash_token(key(fields["token"])), whole(fields["after"]))


def seconds(value: Any) -> int:
    if whole(value) > wire.WAIT_SECONDS:
        raise WireError("too long to wait")
    return whole(value)


def _list(value: Any, limit: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise WireError("not a list within its limit")
    return value


def _object(value: Any, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise WireError("not an object with these fields")
    return value
