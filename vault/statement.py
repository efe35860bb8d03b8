"""A signed statement: the exact bytes that travel, and one signature in the context of its type.

    statement = { "body": bytes, "sig": bytes(64), "type": text }        deterministic CBOR

The body is itself deterministic CBOR of one Shape. Normative text: spec/statement.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.encoding import Shape, blob, decode, text
from vault.errors import CannotOpen, Malformed, SuiteRefused, TooLarge
from vault.hybrid import open_hybrid, seal_hybrid
from vault.primitives import (
    HYBRID,
    SEALING,
    SIGNATURE,
    SUITE,
    BoxKey,
    SigningKey,
    need_suite,
    pad,
    seal_to,
    unpad,
    verify,
)

# Every statement type; each is its own signature context (registry in spec/primitives.md).
TYPES = (
    "card", "authority", "certificate", "log-head", "revocations", "grant", "package", "renewal", "opening-statement",
    "deposit", "roster", "welcome",
)  # fmt: skip
OVERHEAD = 128
MAX_SEALED = (1 << 20) + OVERHEAD


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
    _need_type(kind, outer)
    return Statement(kind, shape.decode(outer["body"]), outer["body"], outer["sig"])


def seal_statement(recipient: bytes, statement: bytes, kem: bytes | None = None) -> bytes:
    """The statement for one person's inbox: padded, so that its length says little, and sealed to the X25519 key.

    With the person's ML-KEM key it is sealed in suite 2, and the statement says so: `suite_for(kem)`.
    """
    if kem is None:
        return bytes([SUITE]) + seal_to(recipient, pad(statement))
    return bytes([HYBRID]) + seal_hybrid(kem, recipient, pad(statement))


def suite_for(kem: bytes | None) -> int:
    """The suite in which something is sealed to a person whose ML-KEM key is `kem`: never less than both ends have."""
    return SUITE if kem is None else HYBRID


def open_statement(me: BoxKey, sealed: bytes, minimum: int = SUITE) -> bytes:
    """The statement inside a sealed message. CannotOpen; Malformed when its padding is not the one it must have;
    SuiteRefused for an unknown suite, one below `minimum`, or one that it does not name under its signature."""
    if not sealed:
        raise CannotOpen("cannot be opened")
    suite, box = sealed[0], sealed[1:]
    need_suite(suite, minimum, known=SEALING)
    if suite == SUITE:
        statement = unpad(me.open(box))
    elif me.seed is None:
        raise CannotOpen("cannot be opened")
    else:
        statement = unpad(open_hybrid(me.seed, me.secret, box))
    if _suite_of(statement) != suite:
        raise SuiteRefused("sealed in another suite than was signed", suite=suite)
    return statement


def _suite_of(statement: bytes) -> object:
    """The suite that the body of a statement names, whatever its type."""
    outer = Shape("statement", _FIELDS, MAX_SEALED).decode(statement)
    body = decode(outer["body"], limit=1 << 20)
    return body.get("suite") if isinstance(body, dict) else None


def read_by_suite(kind: str, shapes: Mapping[int, Shape], data: bytes) -> Statement:
    """The same as `read_statement` where the map of a body depends on its suite; SuiteRefused for any other suite."""
    largest = max(shapes.values(), key=lambda shape: shape.limit)
    outer = _outer(largest).decode(data)
    body = decode(outer["body"], limit=largest.limit)
    suite = body.get("suite") if isinstance(body, dict) else None
    if isinstance(suite, bool) or not isinstance(suite, int):
        raise Malformed(f"a {kind} names its suite")
    need_suite(suite, known=tuple(shapes))
    shape = shapes[suite]
    if max(len(data) - OVERHEAD, len(outer["body"])) > shape.limit:
        raise TooLarge(f"a {kind} of {len(data)} bytes, at most {shape.limit + OVERHEAD}")
    _need_type(kind, outer)
    shape.check(body)
    return Statement(kind, body, outer["body"], outer["sig"])


def _need_type(kind: str, outer: Mapping[str, Any]) -> None:
    if outer["type"] != kind:
        raise Malformed(f"a {outer['type']!r} statement where a {kind} statement belongs")


def type_of(data: bytes, limit: int) -> str:
    """The type that a statement claims, to choose its reader."""
    return str(Shape("statement", _FIELDS, limit).decode(data)["type"])


_FIELDS = {"type": text(32), "body": blob(at_most=1 << 20), "sig": blob(SIGNATURE)}


def _outer(shape: Shape) -> Shape:
    return Shape("statement", _FIELDS, shape.limit + OVERHEAD)
