"""spec/encoding.md: what a Shape and its checks refuse, and that what is written can be read."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.encoding import (
    MAX_DEPTH,
    MAX_INT,
    MAX_TIME,
    Check,
    Shape,
    blob,
    boolean,
    decode,
    encode,
    integer,
    list_of,
    map_of,
    moment,
    one_of,
    optional,
    scalar,
    text,
)
from vault.errors import Malformed, TooLarge, VerificationFailed

HALF = "\ud800"  # half a surrogate pair


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (blob(2), b"ab", [b"a", b"abc", "ab", None]),
        (blob(at_most=2), b"", [b"abc", 1]),
        (text(2), "éa", ["abc", b"a", None, HALF]),
        (integer(1, 3), 3, [0, 4, True, "1", None, 1.0]),
        (moment(), MAX_TIME, [-1, MAX_TIME + 1]),
        (boolean(), False, [0, 1, None, "true"]),
        (one_of("a", "b"), "b", ["c", 1, None]),
        (optional(integer()), None, ["x"]),
        (list_of(integer(), at_most=2), [1, 2], [[1, 2, 3], ["x"], (1,), None]),
        (map_of(integer(), at_most=1), {"k": 1}, [{"a": 1, "b": 2}, {"k": "x"}, [], {1: 1}, {"k" * 65: 1}, {HALF: 1}]),
        (scalar(2), True, ["abc", MAX_INT + 1, 1.5, b"x", []]),
        (scalar(), None, [HALF]),
    ],
)
def test_each_check_takes_what_it_names_and_nothing_else(check: Check, good: Any, bad: list[Any]) -> None:
    shape = Shape("thing", {"v": check})
    assert shape.decode(shape.encode({"v": good})) == {"v": good}
    for wrong in bad:
        with pytest.raises(Malformed):
            shape.encode({"v": wrong})


@pytest.mark.parametrize("wrong", [[], None, {}, {"v": 1, "w": 1}, {"w": 1}, {1: 1}])
def test_a_shape_has_exactly_its_keys(wrong: Any) -> None:
    with pytest.raises(Malformed):
        Shape("thing", {"v": integer()}).check(wrong)
    with pytest.raises(TooLarge):
        Shape("thing", {"v": text(100)}, limit=10).encode({"v": "x" * 50})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "wrong", [1.5, {1: 2}, {"k" * 65: 1}, {"é" * 33: 1}, MAX_INT + 1, -MAX_INT - 1, HALF, {HALF: 1}, {1}, nested(17)]
)
def test_what_is_never_encoded(wrong: Any) -> None:
    with pytest.raises(Malformed):
        encode(wrong)


def test_the_size_is_looked_at_first() -> None:
    with pytest.raises(TooLarge):
        decode(b"\xff" * 11, limit=10)


def test_depth_has_one_limit_for_both_sides() -> None:
    data = encode(nested(MAX_DEPTH))
    assert decode(data, limit=100) == nested(MAX_DEPTH)
    with pytest.raises(Malformed):
        decode(b"\x81" + data, limit=100)


@pytest.mark.parametrize(
    "data",
    [
        "", "00ff", "1800", "190001", "1bffffffffffffffff", "3bffffffffffffffff", "5f", "7f", "9f", "bf", "ff", "c000",
        "d81c80", "f7", "f90000", "fb3ff8000000000000", "1c", "41", "61", "61ff", "81", "a1", "a10000",
        "a1616100616100", "a2616200616100", "a2616100616101", "7840" + "61" * 63, "a17841" + "61" * 65 + "00", "62c080",
        "63eda080", "a16161", "1a0000ffff",
    ],
)  # fmt: skip
def test_there_is_one_encoding(data: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(data), limit=1000)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_come_back_the_same(data: bytes) -> None:
    try:
        value = decode(data, limit=150)
    except VerificationFailed:
        return
    assert encode(value) == data


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(PLAIN)
def test_what_is_written_is_read(value: Any) -> None:
    assert decode(encode(value), limit=1 << 20) == value


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=16), inner, max_size=6),
    max_leaves=30,
)


@given(PLAIN)
def test_maps_are_ordered_as_a_canonical_writer_orders_them(value: Any) -> None:
    written = encode(value)
    assert written == cbor2.dumps(value, canonical=True)
    assert decode(written, limit=1 << 20) == value


@given(st.dictionaries(st.text(max_size=16), PLAIN, max_size=8))
def test_a_shape_orders_a_mapping_of_any_make(value: dict[str, Any]) -> None:
    shape = Shape("any", dict.fromkeys(value, lambda *_: None))
    assert shape.encode(MappingProxyType(dict(reversed(value.items())))) == cbor2.dumps(value, canonical=True)
