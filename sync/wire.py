"""Shapes and limits of what travels between a client and a relay: the one place where both sides agree.

Standard library only, because the relay imports it and must stay blind. Whatever is signed has a fixed layout of
fixed-length fields, so that nobody needs a parser before a signature is checked. Normative text: spec/relay.md.

`WireError` is the only error raised here; sync/client.py maps it into the vault's tree, the relay into status 400.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

SUITE = 1
HYBRID = 2
BASE = "/v1"

ADDRESS = 32
TOKEN = 32
HASH = 32
HALF = 32
TAG = 16
SIGNATURE = 64
KEM = 1_184

MESSAGE_BYTES = 1 << 20
MAILBOX_MESSAGES = 100_000
MAILBOX_TOKENS = 64
PAGE_MESSAGES = 1_000
PAGE_BYTES = 4 << 20
BLOB_BYTES = 16 << 30
BLOB_CHUNK = 8 << 20
JSON_BYTES = 64 << 10
OPENING_TAGS = 64
STATEMENT_BYTES = 4_096
TRACE_ENTRIES = 100_000
HALF_SECONDS = 10 * 366 * 86_400
WATCHES = 256
WAIT_SECONDS = 30
URL_BYTES = 1_024
HEADER_BYTES = 16 << 10
HEADER_COUNT = 64
# Requests to one address: a burst, refilled at so many a second. A grant is opened by one person, a mailbox by devices.
MAILBOX_RATE, MAILBOX_BURST = 500, 20_000
GRANT_RATE, GRANT_BURST = 20, 200
MAX_INT = 2**63 - 1

MAILBOX = 1
TRACE = 2
KINDS = {"mailbox": MAILBOX, "trace": TRACE}
HALF_HELD = 1
HALF_DESTROYED = 2
MAILBOX_CLOSED = 3
RIGHTS = ("append", "read")

CHECKPOINT_HEADER = "Elpis-Checkpoint"
OFFSET_HEADER = "Upload-Offset"
LENGTH_HEADER = "Upload-Length"
OCTETS = "application/octet-stream"

START = bytes(HASH)
"""Chain value of an empty mailbox or trace."""

Verify = Callable[[bytes, str, bytes, bytes], None]
"""(public key, context, signed bytes, signature): raises unless valid, as vault.primitives.verify does."""

_CHECKPOINT = struct.Struct(">BB32sQ32sQ64s")
_RECEIPT = struct.Struct(">BB32sQ64s")
_FRAME = struct.Struct(">QQI")
# suite | grant | counter | fresh | in suite 2 the hash of the ML-KEM key | number of tags
_OPENINGS = {SUITE: struct.Struct(">B32sQ32sB"), HYBRID: struct.Struct(">B32sQ32s32sB")}
_FREED = 0xFFFF_FFFF
CHECKPOINT_BYTES = _CHECKPOINT.size
RECEIPT_BYTES = _RECEIPT.size


class WireError(ValueError):
    """Not one of the shapes of spec/relay.md."""


def limits() -> dict[str, int]:
    """What GET /v1/relay declares."""
    return {
        "message_bytes": MESSAGE_BYTES,
        "mailbox_messages": MAILBOX_MESSAGES,
        "tokens": MAILBOX_TOKENS,
        "page_messages": PAGE_MESSAGES,
        "page_bytes": PAGE_BYTES,
        "blob_bytes": BLOB_BYTES,
        "blob_chunk": BLOB_CHUNK,
        "json_bytes": JSON_BYTES,
        "opening_tags": OPENING_TAGS,
        "statement_bytes": STATEMENT_BYTES,
        "trace_entries": TRACE_ENTRIES,
        "half_seconds": HALF_SECONDS,
        "watches": WATCHES,
        "wait_seconds": WAIT_SECONDS,
        "url_bytes": URL_BYTES,
        "header_bytes": HEADER_BYTES,
        "header_count": HEADER_COUNT,
        "mailbox_rate": MAILBOX_RATE,
        "mailbox_burst": MAILBOX_BURST,
        "grant_rate": GRANT_RATE,
        "grant_burst": GRANT_BURST,
    }


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# The plain alphabet's own two characters and padding become something that no decoder takes.
_URL_TO_PLAIN = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
# What may stand at the end of a text whose length is 0, 1 or 2 more than a multiple of three.
_LAST = (_ALPHABET, _ALPHABET[::16], _ALPHABET[::4])


def encode_b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_b64(text: object, length: int | None = None) -> bytes:
    """The bytes; WireError unless `text` is their one spelling (and `length` bytes long)."""
    if not isinstance(text, str) or len(text) > 2 * JSON_BYTES:
        raise WireError("not base64url")
    try:
        raw = text.encode("ascii").translate(_URL_TO_PLAIN)
        data = binascii.a2b_base64(raw + b"==="[: -len(raw) % 4], strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as failure:
        raise WireError("not base64url") from failure
    # Unused bits would give one address several spellings.
    if text[-1:] not in _LAST[len(data) % 3] or (length is not None and len(data) != length):
        raise WireError("not base64url of the right length")
    return data


def _person(label: bytes) -> bytes:
    return label.ljust(16, b"\0")


_TOKEN, _HASH, _CHAIN, _HALF_TAG = map(_person, (b"elpis-token", b"elpis-hash", b"elpis-chain", b"elpis-half-tag"))


def hash_token(token: bytes) -> bytes:
    """What a relay keeps of a capability token."""
    return hashlib.blake2b(token, digest_size=HASH, person=_TOKEN).digest()


def hash_body(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=HASH, person=_HASH).digest()


def extend_chain(chain: bytes, index: int, time: int, body_hash: bytes) -> bytes:
    """The chain after the entry number `index` (from 1), which the relay accepted at `time`."""
    link = chain + index.to_bytes(8, "big") + time.to_bytes(8, "big") + body_hash
    return hashlib.blake2b(link, digest_size=HASH, person=_CHAIN).digest()


def derive_half_tag(half: bytes, tag: bytes) -> bytes:
    """One document's part of a half: what an opening releases instead of the half itself."""
    return hashlib.blake2b(tag, digest_size=HASH, key=half, person=_HALF_TAG).digest()


def prehash(context: str, message: bytes) -> bytes:
    """What Ed25519 signs: `elpis/<context>/1`, a zero byte, BLAKE2b-512 of the exact bytes that travel."""
    return b"elpis/" + context.encode() + b"/1\0" + hashlib.blake2b(message, digest_size=64).digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A relay's signed word: this mailbox or trace holds `count` entries, whose hashes chain up to `chain`."""

    kind: int
    address: bytes
    count: int
    chain: bytes
    time: int
    signature: bytes

    def signed_part(self) -> bytes:
        return self.encode()[:-SIGNATURE]

    def encode(self) -> bytes:
        return _CHECKPOINT.pack(SUITE, self.kind, self.address, self.count, self.chain, self.time, self.signature)

    @classmethod
    def decode(cls, data: bytes) -> Checkpoint:
        if len(data) != CHECKPOINT_BYTES:
            raise WireError("a checkpoint has another length")
        suite, kind, address, count, chain, time, signature = _CHECKPOINT.unpack(data)
        if suite != SUITE or kind not in (MAILBOX, TRACE) or count > MAX_INT or time > MAX_INT:
            raise WireError("not a checkpoint of this suite")
        return cls(kind, address, count, chain, time, signature)

    def verify(self, key: bytes, verify: Verify) -> None:
        """Raises what `verify` raises unless the relay with this key signed it."""
        verify(key, "checkpoint", self.signed_part(), self.signature)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A relay's signed word that it did something: `what` is HALF_HELD, HALF_DESTROYED or MAILBOX_CLOSED."""

    what: int
    address: bytes
    time: int
    signature: bytes

    def signed_part(self) -> bytes:
        return self.encode()[:-SIGNATURE]

    def encode(self) -> bytes:
        return _RECEIPT.pack(SUITE, self.what, self.address, self.time, self.signature)

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        if len(data) != RECEIPT_BYTES:
            raise WireError("a receipt has another length")
        suite, what, address, time, signature = _RECEIPT.unpack(data)
        if suite != SUITE or what not in (HALF_HELD, HALF_DESTROYED, MAILBOX_CLOSED) or time > MAX_INT:
            raise WireError("not a receipt of this suite")
        return cls(what, address, time, signature)

    def verify(self, key: bytes, verify: Verify) -> None:
        """Raises what `verify` raises unless the relay with this key signed it."""
        verify(key, "receipt", self.signed_part(), self.signature)


def unsigned_checkpoint(kind: int, address: bytes, count: int, chain: bytes, time: int) -> bytes:
    """The first 82 bytes of a checkpoint: what the relay signs."""
    return _CHECKPOINT.pack(SUITE, kind, address, count, chain, time, b"")[:-SIGNATURE]


def unsigned_receipt(what: int, address: bytes, time: int) -> bytes:
    """The first 42 bytes of a receipt: what the relay signs."""
    return _RECEIPT.pack(SUITE, what, address, time, b"")[:-SIGNATURE]


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of a mailbox or trace. A freed one has lost its bytes but not its hash: the chain can be checked."""

    index: int
    time: int
    body: bytes
    body_hash: bytes

    @property
    def freed(self) -> bool:
        return not self.body


def encode_frame(index: int, time: int, body: bytes | None, body_hash: bytes) -> bytes:
    """index | time | length | bytes. A freed entry says length 2^32-1 and carries its 32-byte hash."""
    if body is None:
        return _FRAME.pack(index, time, _FREED) + body_hash
    return _FRAME.pack(index, time, len(body)) + body


def decode_frames(data: bytes) -> list[Message]:
    """Every entry of a page; WireError when the bytes do not end with an entry."""
    return list(_frames(memoryview(data)))


def _frames(view: memoryview) -> Iterator[Message]:
    at = 0
    while at < len(view):
        if len(view) - at < _FRAME.size:
            raise WireError("truncated entry")
        index, time, length = _FRAME.unpack_from(view, at)
        at += _FRAME.size
        size = HASH if length == _FREED else length
        if not 0 < size <= MESSAGE_BYTES or size > len(view) - at or index > MAX_INT or time > MAX_INT:
            raise WireError("truncated or oversized entry")
        body = bytes(view[at : at + size])
        at += size
        yield Message(index, time, b"", body) if length == _FREED else Message(index, time, body, hash_body(body))


@dataclass(frozen=True, slots=True)
class Opening:
    """A reader's request for the relay's half of some documents of one grant; `kem_hash` in suite 2 alone."""

    grant: bytes
    counter: int
    fresh: bytes
    kem_hash: bytes | None
    tags: tuple[bytes, ...]
    statement: bytes
    signature: bytes
    signed: bytes

    @classmethod
    def decode(cls, data: bytes) -> Opening:
        """The fields, with lengths checked and the signature not yet."""
        layout = _OPENINGS.get(data[0]) if data else None
        if layout is None or len(data) < layout.size:
            raise WireError("truncated opening, or not of these suites")
        _suite, grant, counter, fresh, *kem_hash, count = layout.unpack_from(data)
        if counter > MAX_INT or not 1 <= count <= OPENING_TAGS:
            raise WireError("no counter, or a number of tags that is none")
        end = layout.size + count * TAG
        length = int.from_bytes(data[end : end + 4], "big")
        if length > STATEMENT_BYTES or len(data) != end + 4 + length + SIGNATURE:
            raise WireError("an opening with these counts has another length")
        tags = tuple(data[at : at + TAG] for at in range(layout.size, end, TAG))
        if len(set(tags)) != count:
            raise WireError("a tag is named twice")
        signed = data[:-SIGNATURE]
        known = kem_hash[0] if kem_hash else None
        return cls(grant, counter, fresh, known, tags, signed[end + 4 :], data[-SIGNATURE:], signed)

    @classmethod
    def receive(cls, body: bytes) -> tuple[Opening, bytes]:
        """(the opening, the ML-KEM key that travels behind it in suite 2) of what a reader sends."""
        behind = KEM if body[:1] == bytes((HYBRID,)) else 0
        opening, kem = cls.decode(body[: len(body) - behind]), body[len(body) - behind :]
        if opening.kem_hash is not None and hash_body(kem) != opening.kem_hash:
            raise WireError("an opening with another key than it was signed for")
        return opening, kem

    @property
    def entry(self) -> bytes:
        """What the trace keeps."""
        return self.signed + self.signature

    @classmethod
    def encode(
        cls,
        grant: bytes,
        counter: int,
        fresh: bytes,
        tags: Iterable[bytes],
        statement: bytes,
        sign: Callable[[str, bytes], bytes],
        kem: bytes = b"",
    ) -> bytes:
        """What a reader sends: in suite 2 with an ML-KEM key, else in suite 1. `sign(context, message)` is the reader
        key's. WireError when a relay would refuse it."""
        tags = tuple(tags)
        suite, hashed = (HYBRID, [hash_body(kem)]) if kem else (SUITE, [])
        signed = _OPENINGS[suite].pack(suite, grant, counter, fresh, *hashed, len(tags))
        signed += b"".join(tags) + len(statement).to_bytes(4, "big") + statement
        body = signed + sign("opening", signed) + kem
        cls.receive(body)
        return body


OPENING_BYTES = _OPENINGS[HYBRID].size + OPENING_TAGS * TAG + 4 + STATEMENT_BYTES + SIGNATURE + KEM


def encode_release(grant: bytes, counter: int, half: bytes, tags: Iterable[bytes]) -> bytes:
    """grant | counter | n | n x (tag | half tag): what is sealed to the reader's fresh keys."""
    pairs = [tag + derive_half_tag(half, tag) for tag in tags]
    return grant + counter.to_bytes(8, "big") + bytes((len(pairs),)) + b"".join(pairs)


def decode_release(data: bytes, grant: bytes, counter: int) -> dict[bytes, bytes]:
    """{tag: half tag}; WireError unless it answers this grant and counter."""
    head = grant + counter.to_bytes(8, "big")
    pairs = data[len(head) + 1 :]
    step = TAG + HASH
    if data[: len(head)] != head or len(data) <= len(head) or len(pairs) != data[len(head)] * step:
        raise WireError("not the answer to this opening")
    return {pairs[at : at + TAG]: pairs[at + TAG : at + step] for at in range(0, len(pairs), step)}
