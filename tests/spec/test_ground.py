"""What a reviewer tries first on the two lowest rooms: `vault.encoding` and `vault.primitives`."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import cbor2
import nacl.bindings as sodium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault import encoding, primitives
from vault.errors import BelowFloor, CannotOpen, Malformed, TooLarge

LIMIT = 1 << 20
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-encoding.MAX_INT, encoding.MAX_INT) | st.binary(max_size=40) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=15), inner, max_size=5),
    max_leaves=20,
)


def shared_references(levels: int, width: int = 10) -> bytes:
    """A value of `width ** levels` items in a few hundred bytes: lists that refer to each other by tags 28 and 29."""
    shared = [b"\xd8\x1c\x80"]
    for level in range(1, levels):
        shared.append(b"\xd8\x1c" + bytes([0x80 + width]) + (b"\xd8\x1d" + bytes([level - 1])) * width)
    return bytes([0x80 + len(shared)]) + b"".join(shared)


@given(PLAIN)
def test_what_is_written_is_read(value: Any) -> None:
    data = encoding.encode(value)
    assert encoding.decode(data, limit=LIMIT) == value
    assert cbor2.loads(data) == value


@given(st.binary(max_size=60))
def test_every_input_is_refused_or_is_the_one_encoding(data: bytes) -> None:
    try:
        value = encoding.decode(data, limit=LIMIT)
    except Malformed:
        return
    assert encoding.encode(value) == data


@given(PLAIN, st.data())
def test_a_changed_byte_never_gives_a_second_encoding(value: Any, draw: st.DataObject) -> None:
    data = bytearray(encoding.encode(value))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        other = encoding.decode(bytes(data), limit=LIMIT)
    except Malformed:
        return
    assert encoding.encode(other) == bytes(data)


def test_shared_references_cost_nothing() -> None:
    """A general decoder follows them and never comes back from 15 levels."""
    start = time.perf_counter()
    with pytest.raises(Malformed):
        encoding.decode(shared_references(15), limit=LIMIT)
    assert time.perf_counter() - start < 1


def test_a_decoder_is_linear_in_hostile_input() -> None:
    start = time.perf_counter()
    for data in (b"\x81" * 500_000, b"\xa1\x61a" * 300_000, b"\x9b" + b"\x7f" * 8, b"\x5b" + b"\x7f" * 8):
        with pytest.raises(Malformed):
            encoding.decode(data, limit=LIMIT)
    assert time.perf_counter() - start < 1


def test_size_is_checked_before_anything_is_read() -> None:
    with pytest.raises(TooLarge):
        encoding.decode(b"\xff" * 11, limit=10)


def test_half_a_surrogate_pair_is_refused_inside_the_tree() -> None:
    for value in ("\ud800", {"\ud800": 1}, ["\udfff"]):
        with pytest.raises(Malformed):
            encoding.encode(value)


def test_an_empty_secret_derives_nothing() -> None:
    for secret in (b"", bytes(15), bytes(65)):
        with pytest.raises(Malformed):
            primitives.derive_key(secret, "elpis-store")


def test_a_short_salt_is_not_padded() -> None:
    for salt in (b"s", bytes(15)):
        with pytest.raises(Malformed):
            primitives.derive_key(bytes(32), "elpis-store", salt=salt)


def test_passphrase_is_the_same_however_the_keyboard_sends_it() -> None:
    composed, decomposed = unicodedata.normalize("NFC", "épée"), unicodedata.normalize("NFD", "épée")
    assert composed != decomposed
    salt, ops, memory = bytes(16), primitives.ARGON_OPS, primitives.ARGON_MEMORY
    keys = {primitives.derive_passphrase_key(text, salt, ops, memory) for text in (composed, decomposed)}
    assert len(keys) == 1


def test_argon_parameters_are_refused_before_hashing() -> None:
    start = time.perf_counter()
    salt, ops, memory = bytes(16), primitives.ARGON_OPS, primitives.ARGON_MEMORY
    for low_ops, low_memory in ((ops - 1, memory), (ops, memory - 1024), (0, 0), (-1, memory)):
        with pytest.raises(BelowFloor):
            primitives.derive_passphrase_key("p", salt, low_ops, low_memory)
    for high_ops, high_memory in ((11, memory), (ops, (2 << 30) + 1024), (ops, memory + 1)):
        with pytest.raises(Malformed):
            primitives.derive_passphrase_key("p", salt, high_ops, high_memory)
    with pytest.raises(Malformed):
        primitives.derive_passphrase_key("\ud800", salt, ops, memory)
    assert time.perf_counter() - start < 0.2


@pytest.mark.parametrize(
    "tag",
    [sodium.crypto_secretstream_xchacha20poly1305_TAG_PUSH, sodium.crypto_secretstream_xchacha20poly1305_TAG_REKEY],
)
def test_stream_tags_that_are_never_written_are_never_read(tag: int) -> None:
    key = bytes(range(32))
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    header = sodium.crypto_secretstream_xchacha20poly1305_init_push(state, key)
    chunk = sodium.crypto_secretstream_xchacha20poly1305_push(state, b"x", None, tag)
    with pytest.raises(CannotOpen):
        primitives.FileOpener(key, header).pull(chunk)
