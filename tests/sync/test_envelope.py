"""spec/envelope.md, the format: sealed for one mailbox, signed inside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import envelope
from sync.envelope import INNER, MAX_BODY, MAX_ENVELOPE, OUTER
from tests.persons import DOCTOR, HOLDER, NOW, seed
from vault.encoding import encode
from vault.errors import (
    BadSignature,
    CannotOpen,
    Malformed,
    Replayed,
    SuiteRefused,
    TooLarge,
    VaultError,
    VerificationFailed,
)
from vault.primitives import SigningKey, hash32, pad, seal_box

KEY, CHANNEL = seed("channel key"), seed("channel")
FIELDS: dict[str, Any] = {
    "channel": CHANNEL, "document": bytes(16), "epoch": 1, "device": bytes(16), "seq": 1, "prev": bytes(32),
    "roster": bytes(32), "time": NOW, "body": b"body",
}  # fmt: skip


def sealed(signer: SigningKey = HOLDER.sign, key: bytes = KEY, **changes: Any) -> bytes:
    arguments = {"kind": "change", "seen": [(CHANNEL, 3, seed("chain"))], **FIELDS, **changes}
    return envelope.seal(key, signer, **arguments)[0]


def raw(mailbox: bytes = CHANNEL, signature: bytes | None = None, padded: bool = True, **changes: Any) -> bytes:
    """An envelope written by somebody who has the key and keeps no rule."""
    fields = {"suite": 1, "type": "change", "signer": HOLDER.sign.public, "seen": [], **FIELDS, **changes}
    inner = encode(fields)
    outer = encode({"inner": inner, "sig": signature or HOLDER.sign.sign("env", inner)})
    return seal_box(KEY, "elpis-env", pad(outer) if padded else outer, b"\1envelope\0" + mailbox)


def test_an_envelope_says_who_and_after_what() -> None:
    data, head = envelope.seal(KEY, HOLDER.sign, kind="edition", seen=[(CHANNEL, 3, seed("chain"))], **FIELDS)
    inner = envelope.open(KEY, CHANNEL, data)
    assert (inner.type, inner.signer, inner.hash, inner.body) == ("edition", HOLDER.sign.public, head, b"body")
    assert inner.seen == ((CHANNEL, 3, seed("chain")),)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (bytes(MAX_ENVELOPE + 1), TooLarge),
        (b"", CannotOpen),
        (sealed(key=seed("another key")), CannotOpen),
        (raw(mailbox=seed("elsewhere")), CannotOpen),
        (raw(padded=False), Malformed),
        (raw(suite=2), SuiteRefused),
        (raw(type="gossip"), Malformed),
        (raw(extra=1), Malformed),
        (raw(epoch=0), Malformed),
        (raw(time=1 << 62), Malformed),
        (raw(signature=bytes(64)), BadSignature),
        (raw(signature=DOCTOR.sign.sign("env", b"")), BadSignature),
        (raw(signer=DOCTOR.sign.public), BadSignature),
        (raw(channel=seed("elsewhere")), Replayed),
    ],
)
def test_what_a_reader_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        envelope.open(KEY, CHANNEL, data)


@pytest.mark.parametrize("context", ["card", "grant", "deposit", "checkpoint", "opening"])
def test_a_signature_of_another_context_is_none(context: str) -> None:
    inner = encode({"suite": 1, "type": "change", "signer": HOLDER.sign.public, "seen": [], **FIELDS})
    with pytest.raises(BadSignature):
        envelope.open(KEY, CHANNEL, raw(signature=HOLDER.sign.sign(context, inner)))


SAMPLE = sealed()


@settings(max_examples=100)
@given(st.integers(0, len(SAMPLE) * 8 - 1))
def test_every_flipped_bit_gives_one_uniform_error(bit: int) -> None:
    flipped = bytearray(SAMPLE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen):
        envelope.open(KEY, CHANNEL, bytes(flipped))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_quietly(data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        envelope.open(KEY, CHANNEL, data)


def test_the_largest_body_fits_a_message_and_one_more_does_not() -> None:
    data = sealed(body=bytes(MAX_BODY), seen=[(CHANNEL, 2**62, seed("x"))] * 256)
    assert len(data) <= MAX_ENVELOPE and len(envelope.open(KEY, CHANNEL, data).body) == MAX_BODY
    with pytest.raises(VaultError):
        sealed(body=bytes(MAX_BODY + 1))
    assert OUTER.limit >= INNER.limit


def test_lengths_say_little() -> None:
    assert len({len(sealed(body=bytes(size))) for size in range(900, 940)}) <= 2


def test_two_envelopes_never_look_alike() -> None:
    assert len({sealed() for _ in range(20)}) == 20 and hash32(sealed()) != hash32(sealed())
