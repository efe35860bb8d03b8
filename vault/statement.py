"""A signed statement: the exact bytes that travel, and one signature in the context of its type.

    statement = { "body": bytes, "sig": bytes(64), "type": text }        deterministic CBOR

The body is itself deterministic CBOR of one Shape. Normative text: spec/statement.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.encoding import Shape, blob, text
from vault.errors import Malformed
from vault.primitives import SIGNATURE, BoxKey, SigningKey, pad, seal_to, unpad, verify

# Every statement type; each is its own signature context (registry in spec/primitives.md).
TYPES = (
    "card", "authority", "certificate", "log-head", "revocations", "grant", "package", "renewal", "opening-statement",
    "deposit", "roster",
)  # fmt: skip
OVERHEAD = 128


@dataclass(frozen=True, slots=True)
class Statement:
    """A read statement whose signature was checked by `Statement.by` or a reader of one type."""

    type: str
    fields: Mapping[str, Any]
    body: bytes
    sig: bytes

    def by(self, public: bytes) -> Statement:
        """Itself, when `public` signed it; BadSignature otherwise."""
        verify(public, self.type, self.body, self.sig)
        return self


def make_statement(kind: str, shape: Shape, fields: Mapping[str, Any], key: SigningKey) -> bytes:
    return sign_body(kind, shape, shape.encode(fields), key)


def sign_body(kind: str, shape: Shape, body: bytes, key: SigningKey) -> bytes:
    """The statement of a body that `shape` encoded before."""
    return _outer(shape).encode({"type": kind, "body": body, "sig": key.sign(kind, body)})


def read_statement(kind: str, shape: Shape, data: bytes) -> Statement:
    """The fields, unverified: call `.by(key)` next. Malformed or TooLarge when it is not such a statement."""
    outer = _outer(shape).decode(data)
    if outer["type"] != kind:
        raise Malformed(f"a {outer['type']!r} statement where a {kind} statement belongs")
    return Statement(kind, shape.decode(outer["body"]), outer["body"], outer["sig"])


def seal_statement(recipient: bytes, statement: bytes) -> bytes:
    """The statement for one person's inbox: padded, so that its length says little, and sealed to the X25519 key."""
    return seal_to(recipient, pad(statement))


def open_statement(me: BoxKey, sealed: bytes) -> bytes:
    """The statement inside a sealed message. CannotOpen, or Malformed when its padding is not the one it must have."""
    return unpad(me.open(sealed))


def type_of(data: bytes, limit: int) -> str:
    """The type that a statement claims, to choose its reader."""
    return str(Shape("statement", _FIELDS, limit).decode(data)["type"])


_FIELDS = {"type": text(32), "body": blob(at_most=1 << 20), "sig": blob(SIGNATURE)}


def _outer(shape: Shape) -> Shape:
    return Shape("statement", _FIELDS, shape.limit + OVERHEAD)
