"""spec/primitives.md, section 4: lengths and the pad that reaches them."""

from __future__ import annotations

from spec.vectors.writing import Vectors, fixed
from vault import primitives

SIZES = (0, 1, 2, 3, 8, 9, 15, 16, 17, 100, 127, 128, 129, 1000, 4095, 4096, 65536, 65537, 10**6, 2**30 + 1, 2**34)


def make() -> list[Vectors]:
    return [_length(), _padding()]


def _length() -> Vectors:
    vectors = Vectors("padme-length")
    for size in SIZES:
        vectors.valid(f"{size}", f"padded length of {size}", {"size": size}, {"length": primitives.padme_length(size)})
    return vectors


def _padding() -> Vectors:
    vectors = Vectors("padding")
    for size in (0, 1, 7, 8, 30, 200, 1000):
        data = fixed("padding", size)
        vectors.valid(f"size-{size}", f"{size} bytes", {"padded": primitives.pad(data)}, {"data": data})
    zeros = b"\x80" + bytes(40)
    vectors.valid(
        "looks-padded", "data that ends like a pad itself", {"padded": primitives.pad(zeros)}, {"data": zeros}
    )
    good = primitives.pad(fixed("padding", 200))
    for name, description, padded in (
        ("nothing", "no byte at all", b""),
        ("only-zeros", "no marker", bytes(16)),
        ("no-marker", "the marker changed", fixed("padding", 200) + b"\x81" + bytes(len(good) - 201)),
        ("one-zero-more", "one zero more than the length rule gives", good + b"\0"),
        ("one-zero-less", "one zero less than the length rule gives", good[:-1]),
        ("not-padded", "bare data", fixed("padding", 199) + b"\x01"),
        ("rest-after", "a byte other than zero after the marker", good[:-1] + b"\x01"),
    ):
        vectors.refused(name, description, "malformed", {"padded": padded})
    return vectors
