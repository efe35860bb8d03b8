"""Opening a grant: the request that the relay checks and keeps, the statement that only the patient reads, the release.

The fixed layout of request and release is the relay's (spec/relay.md); the statement is CBOR (spec/opening.md).
Fresh keys are made for every opening: recorded traffic and a device seized later open nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vault.encoding import MAX_INT, Shape, blob, integer, list_of, moment, text
from vault.errors import BadSignature, Malformed, NotFound, Replayed, VerificationFailed, WrongRecipient
from vault.hybrid import OVERHEAD, RELEASE, derive_public, open_hybrid
from vault.identity import Identity
from vault.primitives import (
    HYBRID,
    KEY,
    SEALING,
    SIGNATURE,
    SUITE,
    BoxKey,
    SigningKey,
    hash32,
    need_suite,
    open_once,
    verify,
)
from vault.statement import make_statement, open_statement, read_statement, seal_statement

TAG = 16
MAX_TAGS = 64
MAX_STATEMENT = 4096
MAX_WHY = 500  # bytes that are written: with them, a statement about MAX_TAGS documents always fits
# suite | grant | counter | fresh | in suite 2 the hash of the ML-KEM key | number of tags
_HEADS = {SUITE: struct.Struct(">B32sQ32sB"), HYBRID: struct.Struct(">B32sQ32s32sB")}
_LENGTH = struct.Struct(">I")
_RELEASE = struct.Struct(">32sQB")

STATEMENT = Shape(
    "opening-statement",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "grant": blob(KEY),
        "grant_hash": blob(KEY),
        "counter": integer(1),
        "fresh": blob(KEY),
        "documents": list_of(blob(16), at_most=MAX_TAGS),
        "tags": list_of(blob(TAG), at_most=MAX_TAGS),
        "name": text(200),
        "why": text(500),
        "time": moment(),
        "device": blob(16),
    },
    limit=MAX_STATEMENT - 300,
)


@dataclass(frozen=True, slots=True)
class Request:
    """An opening request, as the relay stores it in the trace. `kem_hash` in suite 2 alone."""

    grant: bytes
    counter: int
    fresh: bytes
    kem_hash: bytes | None
    tags: tuple[bytes, ...]
    statement: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """What a professional signed about an opening, checked against the relay's record of it."""

    counter: int
    name: str
    why: str
    time: int
    documents: tuple[bytes, ...]
    tags: tuple[bytes, ...]


def make_request(
    me: Identity,
    *,
    issuer_box: bytes,
    number: bytes,
    grant_hash: bytes,
    reader: SigningKey,
    counter: int,
    fresh: BoxKey,
    documents: Sequence[bytes],
    tags: Sequence[bytes],
    why: str,
    device: bytes,
    now: int,
) -> bytes:
    """The bytes to send: fixed layout, statement sealed to the patient, all signed by the grant's reader key.

    In suite 2 when `fresh` has a seed: then the ML-KEM key stands behind it, which the trace does not keep.
    """
    kem = derive_public(fresh.seed) if fresh.seed else b""
    fields = {
        "suite": SUITE,
        "recipient": issuer_box,
        "grant": number,
        "grant_hash": grant_hash,
        "counter": counter,
        "fresh": fresh.public,
        "documents": list(documents),
        "tags": list(tags),
        "name": me.name,
        "why": cut(why, MAX_WHY),
        "time": now,
        "device": device,
    }
    statement = seal_statement(issuer_box, make_statement("opening-statement", STATEMENT, fields, me.sign))
    suite, hashed = (HYBRID, [hash32(kem)]) if kem else (SUITE, [])
    head = _HEADS[suite].pack(suite, number, counter, fresh.public, *hashed, len(tags))
    unsigned = head + b"".join(tags) + _LENGTH.pack(len(statement)) + statement
    return unsigned + reader.sign("opening", unsigned) + kem


def read_request(data: bytes, reader: bytes) -> Request:
    """The request, signed by the reader key. Malformed unless every byte is accounted for."""
    if len(data) < _HEADS[SUITE].size + _LENGTH.size + SIGNATURE:
        raise Malformed("an opening request is longer")
    need_suite(data[0], known=SEALING)
    head = _HEADS[data[0]]
    _suite, grant, counter, fresh, *kem_hash, count = head.unpack_from(data)
    place = head.size + count * TAG
    if not 1 <= count <= MAX_TAGS or len(data) < place + _LENGTH.size + SIGNATURE:
        raise Malformed("the number of tags does not fit the request")
    tags = tuple(data[start : start + TAG] for start in range(head.size, place, TAG))
    if len(set(tags)) != count or not 1 <= counter <= MAX_INT:
        raise Malformed("a tag stands twice, or the counter is none")
    (length,) = _LENGTH.unpack_from(data, place)
    if length > MAX_STATEMENT or len(data) != place + _LENGTH.size + length + SIGNATURE:
        raise Malformed("the statement's length does not fit the request")
    verify(reader, "opening", data[:-SIGNATURE], data[-SIGNATURE:])
    known = kem_hash[0] if kem_hash else None
    return Request(grant, counter, fresh, known, tags, data[place + _LENGTH.size : -SIGNATURE])


def read_release(
    sealed: bytes, fresh: BoxKey, number: bytes, counter: int, tags: Sequence[bytes]
) -> dict[bytes, bytes]:
    """tag -> half of that item. WrongRecipient when the relay answered another request.

    In the suite of the request, which `fresh` tells; CannotOpen for an answer in another one.
    """
    if fresh.seed:
        place = OVERHEAD + KEY
        plain = open_once(open_hybrid(fresh.seed, fresh.secret, sealed[:place], RELEASE), sealed[place:])
    else:
        plain = fresh.open(sealed)
    if len(plain) < _RELEASE.size:
        raise Malformed("a release is longer")
    grant, answered, count = _RELEASE.unpack_from(plain)
    if grant != number or answered != counter:
        raise WrongRecipient("the relay answered another opening")
    pairs = plain[_RELEASE.size :]
    if count != len(tags) or len(pairs) != count * (TAG + KEY):
        raise Malformed("the release does not hold what was asked for")
    step = TAG + KEY
    halves = {pairs[at : at + TAG]: pairs[at + TAG : at + step] for at in range(0, len(pairs), step)}
    if set(halves) != set(tags):
        raise Malformed("the release is for other items")
    return halves


def cut(words: str, most: int) -> str:
    """The words, cut to at most so many bytes of UTF-8, whole characters."""
    return words.encode()[:most].decode(errors="ignore")


def verify_opening(
    entry: bytes,
    *,
    reader: bytes,
    grantee: bytes,
    me: BoxKey,
    number: bytes,
    grant_hash: bytes,
    items: Mapping[bytes, bytes],
    after: int = 0,
) -> Opened:
    """One trace entry, checked by the patient: the grantee signed exactly the opening that the relay recorded.

    `items` maps each tag of the grant to its document; `after` is the counter of the last opening that was proven.
    Raises when anything is missing or contradicts: the trace then says "unknown", never more than a signature proves.
    """
    request = read_request(entry, reader)
    statement = read_statement("opening-statement", STATEMENT, open_statement(me, request.statement)).by(grantee)
    fields = statement.fields
    need_suite(fields["suite"])
    if fields["recipient"] != me.public:
        raise WrongRecipient("this opening was stated to somebody else")
    told = (fields["grant"], fields["grant_hash"], fields["counter"], fields["fresh"], tuple(fields["tags"]))
    if told != (number, grant_hash, request.counter, request.fresh, request.tags) or request.grant != number:
        raise VerificationFailed("the professional's statement is about another opening")
    documents = tuple(fields["documents"])
    if any(tag not in items for tag in request.tags):
        # Halves of those that are known left, whatever stands beside them.
        known = b"".join(dict.fromkeys(items[tag] for tag in request.tags if tag in items))
        raise NotFound("a tag that this grant is not known to have", documents=known)
    if len(documents) != len(request.tags) or any(
        items[tag] != document for tag, document in zip(request.tags, documents, strict=True)
    ):
        raise BadSignature("the statement names other documents than were opened")
    if request.counter <= after:
        raise Replayed("this opening was recorded before")  # one signature proves one opening
    return Opened(request.counter, fields["name"], fields["why"], fields["time"], documents, request.tags)
