"""The change envelope: what lies in a channel's mailbox, sealed and signed. Normative text: spec/envelope.md.

    inner = { body, channel, device, document, epoch, prev, roster, seen, seq, signer, suite, time, type }   CBOR
    out   = box(channel_key, "elpis-env", Padme( { inner, sig } ), AAD = suite | "envelope" | mailbox)

The signature is inside: the relay sees no author. `prev` chains the envelopes of each device; `seen` says
what its device last saw of the mailbox, so that a relay with two histories is caught at the first exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vault.encoding import Shape, blob, integer, list_of, moment, one_of
from vault.errors import Replayed, TooLarge
from vault.primitives import (
    KEY,
    SIGNATURE,
    SUITE,
    SigningKey,
    hash32,
    need_suite,
    open_box,
    pad,
    seal_box,
    unpad,
    verify,
)

MAX_ENVELOPE = 1 << 20  # as the relay's limit on a message
MAX_BODY = 800_000

SEEN = Shape("seen", {"mailbox": blob(KEY), "count": integer(), "chain": blob(KEY)})
INNER = Shape(
    "inner",
    {
        "suite": integer(0, 255),
        "type": one_of("edition", "change", "vault"),
        "channel": blob(KEY),
        "document": blob(16),
        "epoch": integer(1),
        "device": blob(16),
        "signer": blob(KEY),
        "seq": integer(1),
        "prev": blob(KEY),
        "seen": list_of(SEEN.check, at_most=256),
        "roster": blob(KEY),
        "time": moment(),
        "body": blob(at_most=MAX_BODY),
    },
    limit=MAX_BODY + 40_000,
)
OUTER = Shape("envelope", {"inner": blob(at_most=INNER.limit), "sig": blob(SIGNATURE)}, limit=INNER.limit + 200)


@dataclass(frozen=True, slots=True)
class Inner:
    """An opened envelope whose signature by `signer` was checked; `hash` is over the inner bytes."""

    type: str
    channel: bytes
    document: bytes
    epoch: int
    device: bytes
    signer: bytes
    seq: int
    prev: bytes
    seen: tuple[tuple[bytes, int, bytes], ...]
    roster: bytes
    time: int
    body: bytes
    hash: bytes


def seal(
    key: bytes,
    signer: SigningKey,
    *,
    kind: str,
    channel: bytes,
    document: bytes,
    epoch: int,
    device: bytes,
    seq: int,
    prev: bytes,
    seen: Sequence[tuple[bytes, int, bytes]],
    roster: bytes,
    time: int,
    body: bytes,
    nonce: bytes | None = None,
) -> tuple[bytes, bytes]:
    """(the bytes for the mailbox, the hash that the next envelope of this device names as `prev`)."""
    inner = INNER.encode(
        {
            "suite": SUITE,
            "type": kind,
            "channel": channel,
            "document": document,
            "epoch": epoch,
            "device": device,
            "signer": signer.public,
            "seq": seq,
            "prev": prev,
            "seen": [{"mailbox": mailbox, "count": count, "chain": chain} for mailbox, count, chain in seen],
            "roster": roster,
            "time": time,
            "body": body,
        }
    )
    outer = OUTER.encode({"inner": inner, "sig": signer.sign("env", inner)})
    return seal_box(key, "elpis-env", pad(outer), _aad(channel), nonce=nonce), hash32(inner)


def open(key: bytes, channel: bytes, data: bytes) -> Inner:
    """The envelope's content. CannotOpen, Malformed, BadSignature, SuiteRefused; Replayed from another channel."""
    if len(data) > MAX_ENVELOPE:
        raise TooLarge(f"an envelope of {len(data)} bytes, at most {MAX_ENVELOPE}")
    outer = OUTER.decode(unpad(open_box(key, "elpis-env", data, _aad(channel))))
    fields: dict[str, Any] = INNER.decode(outer["inner"])
    need_suite(fields["suite"])
    verify(fields["signer"], "env", outer["inner"], outer["sig"])
    if fields["channel"] != channel:
        raise Replayed("this envelope belongs to another channel")
    seen = tuple((item["mailbox"], item["count"], item["chain"]) for item in fields.pop("seen"))
    fields.pop("suite")
    return Inner(**fields, seen=seen, hash=hash32(outer["inner"]))


def _aad(channel: bytes) -> bytes:
    return bytes([SUITE]) + b"envelope\0" + channel
