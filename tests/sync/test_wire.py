"""The shapes that travel: one spelling each, fixed lengths, and signatures under one context."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire
from sync.wire import Checkpoint, Opening, Receipt, WireError
from vault import primitives
from vault.errors import BadSignature

KEY = primitives.SigningKey.from_seed(bytes(range(32)))
ADDRESS = bytes(range(32))


def checkpoint(**changes: object) -> Checkpoint:
    fields = {"kind": wire.MAILBOX, "address": ADDRESS, "count": 3, "chain": b"c" * 32, "time": 1_800_000_000}
    fields |= changes
    part = wire.unsigned_checkpoint(**fields)  # type: ignore[arg-type]
    return Checkpoint.decode(part + KEY.sign("checkpoint", part))


def test_labels_of_wire_and_vault_agree() -> None:
    half, tag, token = os.urandom(32), os.urandom(16), os.urandom(32)
    assert wire.derive_half_tag(half, tag) == primitives.derive_key(half, "elpis-half-tag", tag)
    assert wire.hash_token(token) == primitives.hash32(token, "elpis-token")
    assert wire.hash_body(b"x") == primitives.hash32(b"x")
    numbers = (7).to_bytes(8, "big"), (9).to_bytes(8, "big")
    assert wire.extend_chain(wire.START, 7, 9, tag * 2) == primitives.chain(wire.START, *numbers, tag * 2)


@given(st.binary(max_size=100))
def test_base64_has_one_spelling(data: bytes) -> None:
    text = wire.encode_b64(data)
    assert wire.decode_b64(text) == data
    assert "=" not in text
    for other in (text + "=", text + "\n", " " + text, text.replace("-", "+") if "-" in text else text + "=="):
        with pytest.raises(WireError):
            wire.decode_b64(other)


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAB", "AAAAA", "AA==", "é", "A A", "++++", "////", "AA\0A", 5, None, b"AAAA"]
)
def test_base64_refuses(text: object) -> None:
    with pytest.raises(WireError):
        wire.decode_b64(text)


def test_base64_length() -> None:
    with pytest.raises(WireError):
        wire.decode_b64(wire.encode_b64(b"x" * 31), 32)


@given(st.text(max_size=60))
def test_base64_never_raises_anything_else(text: str) -> None:
    try:
        data = wire.decode_b64(text)
    except WireError:
        return
    assert wire.encode_b64(data) == text


def test_checkpoint_layout() -> None:
    made = checkpoint()
    data = made.encode()
    assert len(data) == 146
    assert data[:2] == b"\1\1"
    assert data[2:34] == ADDRESS
    assert data[34:42] == (3).to_bytes(8, "big")
    assert data[42:74] == b"c" * 32
    assert data[74:82] == (1_800_000_000).to_bytes(8, "big")
    made.verify(KEY.public, primitives.verify)


def test_every_flipped_bit_of_a_checkpoint_is_refused() -> None:
    data = checkpoint().encode()
    for bit in range(0, len(data) * 8, 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((WireError, BadSignature)):
            Checkpoint.decode(bytes(changed)).verify(KEY.public, primitives.verify)


def test_receipt_is_not_a_checkpoint() -> None:
    part = wire.unsigned_receipt(wire.HALF_HELD, ADDRESS, 5)
    assert len(part) == 42
    Receipt.decode(part + KEY.sign("receipt", part)).verify(KEY.public, primitives.verify)
    with pytest.raises(BadSignature):
        Receipt.decode(part + KEY.sign("checkpoint", part)).verify(KEY.public, primitives.verify)


@pytest.mark.parametrize("cut", [0, 1, 20, 51])
def test_truncated_frames_are_refused(cut: int) -> None:
    data = wire.encode_frame(1, 5, b"x" * 32, bytes(32))
    assert wire.decode_frames(data)[0].body == b"x" * 32
    with pytest.raises(WireError):
        wire.decode_frames(data + data[: cut or 19])


def test_freed_frame_keeps_its_hash() -> None:
    (message,) = wire.decode_frames(wire.encode_frame(4, 5, None, b"h" * 32))
    assert message.freed
    assert (message.index, message.body, message.body_hash) == (4, b"", b"h" * 32)


def test_frame_of_no_bytes_or_too_many_is_refused() -> None:
    for length in (0, wire.MESSAGE_BYTES + 1):
        head = (1).to_bytes(8, "big") + (1).to_bytes(8, "big") + length.to_bytes(4, "big")
        with pytest.raises(WireError):
            wire.decode_frames(head + bytes(length))


@given(st.binary(max_size=400))
def test_frames_never_raise_anything_else(data: bytes) -> None:
    try:
        wire.decode_frames(data)
    except WireError:
        return


def opening(**changes: object) -> bytes:
    fields = {
        "grant": ADDRESS,
        "counter": 1,
        "fresh": b"f" * 32,
        "tags": [b"t" * 16, b"u" * 16],
        "statement": b"s" * 50,
    }
    fields |= changes
    return Opening.encode(**fields, sign=KEY.sign)  # type: ignore[arg-type]


def test_opening_there_and_back() -> None:
    data = opening()
    read = Opening.decode(data)
    assert (read.grant, read.counter, read.fresh, read.statement) == (ADDRESS, 1, b"f" * 32, b"s" * 50)
    assert read.tags == (b"t" * 16, b"u" * 16)
    primitives.verify(KEY.public, "opening", read.signed, read.signature)


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": []},
        {"tags": [bytes([n]) * 16 for n in range(65)]},
        {"tags": [b"t" * 16, b"t" * 16]},
        {"statement": bytes(4_097)},
        {"counter": 2**63},
    ],
)
def test_opening_outside_of_its_limits(changes: dict[str, object]) -> None:
    with pytest.raises(WireError):
        opening(**changes)


def test_opening_with_another_length_is_refused() -> None:
    data = opening()
    for other in (data[:-1], data + b"x", data[:74], b"", b"\2" + data[1:]):
        with pytest.raises(WireError):
            Opening.decode(other)


@given(st.binary(max_size=300))
def test_opening_never_raises_anything_else(data: bytes) -> None:
    try:
        Opening.decode(data)
    except WireError:
        return


def test_release_answers_one_opening_only() -> None:
    half, tags = b"h" * 32, [b"t" * 16, b"u" * 16]
    data = wire.encode_release(ADDRESS, 7, half, tags)
    assert wire.decode_release(data, ADDRESS, 7) == {tag: wire.derive_half_tag(half, tag) for tag in tags}
    for grant, counter, answer in (
        (b"x" * 32, 7, data),
        (ADDRESS, 8, data),
        (ADDRESS, 7, data[:-1]),
        (ADDRESS, 7, b""),
    ):
        with pytest.raises(WireError):
            wire.decode_release(answer, grant, counter)
