"""spec/encoding.md: what the strict reader takes, and one file for each thing that it refuses."""

from __future__ import annotations

from spec.vectors.writing import Vectors, typed
from vault import encoding

LIMIT = 1024

VALID: dict[str, tuple[str, object]] = {
    "null": ("null", None),
    "booleans": ("the two booleans", [False, True]),
    "unsigned-edges": (
        "the last number of each width and the first of the next",
        [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1],
    ),
    "negative-edges": (
        "the same for negative numbers",
        [-1, -24, -25, -256, -257, -65536, -65537, -(2**32), -(2**32) - 1, -(2**63) + 1],
    ),
    "bytes": ("byte strings of 0, 23, 24 and 256 bytes", [b"", b"\x01" * 23, b"\x02" * 24, b"\x03" * 256]),
    "text": ("text: empty, accents, outside of the basic plane", ["", "Hémoglobine glyquée", "\U0001f3e5", "\0\x1b["]),
    "text-not-normalised": (
        "text is bytes to the encoding: two spellings of one letter stay two texts",
        ["é", "e\u0301"],
    ),
    "map-order": (
        "keys in the bytewise order of their encodings: shorter first, then by bytes",
        {"b": 1, "aa": 2, "ab": 3, "a" * 23: 4, "a" * 24: 5, "é": 6},
    ),
    "map-empty": ("an empty map in an empty-looking list", [{}, []]),
    "depth-16": ("lists inside each other down to the deepest that is read", [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]),
    "key-64": ("a key of 64 bytes, the longest", {"k" * 64: True}),
    "statement": (
        "what a statement looks like",
        {"suite": 1, "kind": "example", "id": bytes(16), "until": 1795287600, "openings": None, "tags": [b"\1", b"\2"]},
    ),
}

REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("no byte at all", ""),
    "trailing-byte": ("a whole item, then one byte more", "f600"),
    "two-items": ("two items one after the other", "f6f6"),
    "long-number": ("the number 0 in two bytes", "1800"),
    "long-number-16": ("the number 255 in three bytes", "1900ff"),
    "long-number-32": ("the number 65535 in five bytes", "1a0000ffff"),
    "long-number-64": ("the number 1 in nine bytes", "1b0000000000000001"),
    "number-over": ("2^63, over the greatest number", "1b8000000000000000"),
    "negative-under": ("-2^63, under the least number", "3b7fffffffffffffff"),
    "long-length": ("the length of a byte string in two bytes instead of one", "580101"),
    "long-count": ("the length of a list in two bytes instead of one", "9801f6"),
    "open-bytes": ("a byte string of open length", "5f4101ff"),
    "open-text": ("text of open length", "7f6161ff"),
    "open-list": ("a list of open length", "9ff6ff"),
    "open-map": ("a map of open length", "bf6161f6ff"),
    "break-alone": ("a break without anything open", "ff"),
    "float-16": ("a half-precision float: no float is ever encoded", "f93c00"),
    "float-32": ("a single-precision float", "fa3f800000"),
    "float-64": ("a double", "fb3ff0000000000000"),
    "nan": ("not-a-number", "f97e00"),
    "undefined": ("undefined", "f7"),
    "simple-0": ("simple value 0", "e0"),
    "simple-255": ("simple value 255", "f8ff"),
    "simple-false-long": ("false as a two-byte simple value", "f814"),
    "tag-date": ("a date, tag 0", "c074323031332d30332d32315432303a30343a30305a"),
    "tag-epoch": ("a time, tag 1", "c100"),
    "tag-bignum": ("a big number, tag 2", "c24101"),
    "tag-decimal": ("a decimal fraction, tag 4", "c4820101"),
    "tag-embedded": ("embedded CBOR, tag 24", "d81841f6"),
    "tag-self": ("self-described CBOR, tag 55799", "d9d9f7f6"),
    "tag-shared": ("shared references, tags 28 and 29", "82d81c80d81d00"),
    "key-twice": ("one key twice", "a2616101616102"),
    "key-order": ("keys out of order", "a2616201616102"),
    "key-order-length": ("a longer key before a shorter one", "a2626161016162" + "02"),
    "key-number": ("a number as a key", "a10101"),
    "key-bytes": ("bytes as a key", "a1416101"),
    "key-long-length": ("a key whose length takes two bytes instead of one", "a1780161" + "01"),
    "key-65": ("a key of 65 bytes", "a17841" + "6b" * 65 + "f5"),
    "text-not-utf8": ("text that is not UTF-8", "62c328"),
    "text-surrogate": ("half a surrogate pair", "63eda080"),
    "text-cut": ("ends inside of a text", "6461"),
    "key-not-utf8": ("a key that is not UTF-8", "a162c32801"),
    "text-overlong": ("an overlong form of the letter A", "62c181"),
    "depth-17": ("one list deeper than is read", "81" * 17 + "80"),
    "cut-head": ("ends inside of a length", "19ff"),
    "cut-bytes": ("ends inside of a byte string", "4401"),
    "cut-list": ("ends inside of a list", "8201"),
    "cut-map": ("ends after a key", "a16161"),
    "huge-bytes": ("a byte string that says it has 2^63 - 1 bytes", "5b7fffffffffffffff"),
    "huge-list": ("a list that says it has 2^32 - 1 items", "9affffffff"),
    "reserved-length": ("length code 28, which means nothing", "1c"),
    "reserved-length-29": ("length code 29 of a text", "7d"),
    "reserved-length-30": ("length code 30 of a list", "9e"),
    "open-number": ("a number of open length", "1f"),
    "depth-17-map": ("a list in sixteen maps and a list", "81" + "a16161" * 16 + "80"),
}


def make() -> list[Vectors]:
    vectors = Vectors("encoding")
    for name, (description, value) in VALID.items():
        given = {"data": encoding.encode(value), "limit": LIMIT}
        vectors.valid(name, description, given, {"value": typed(value)})
    for name, (description, data) in REFUSED.items():
        vectors.refused(name, description, "malformed", {"data": data, "limit": LIMIT})
    at = encoding.encode(bytes(LIMIT - 3))
    vectors.valid(
        "at-limit", "as many bytes as the limit says", {"data": at, "limit": LIMIT}, {"value": typed(bytes(LIMIT - 3))}
    )
    over = encoding.encode(bytes(LIMIT - 2))
    vectors.refused(
        "over-limit", "one byte over the limit: refused before it is read", "too-large", {"data": over, "limit": LIMIT}
    )
    vectors.refused(
        "over-limit-malformed",
        "over the limit and not CBOR: size comes first",
        "too-large",
        {"data": b"\xff" * 3, "limit": 2},
    )
    return [vectors]
