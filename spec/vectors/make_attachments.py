"""spec/attachment.md: whole sealed files."""

from __future__ import annotations

import hashlib
from typing import Any

import nacl.bindings as sodium

from spec.vectors.writing import Vectors, fixed, flip
from vault.primitives import padme_length

KEY, HEADER = fixed("attachment key"), fixed("attachment header", 24)
CHUNK = 64 << 10
MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL


def chunks(
    data: bytes, *, padded: int | None = None, first: int = MESSAGE, last: int = FINAL, fill: bytes = b"\0"
) -> list[bytes]:
    """The sealed chunks of a file under a fixed header."""
    size = padme_length(len(data)) if padded is None else padded
    whole = data + fill * (size - len(data))
    parts = [whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK)] or [b""]
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, HEADER, KEY)
    push = sodium.crypto_secretstream_xchacha20poly1305_push
    return [push(state, part, None, last if at == len(parts) - 1 else first) for at, part in enumerate(parts)]


def make() -> list[Vectors]:
    vectors = Vectors("attachment")

    def given(data: bytes, sealed: list[bytes], **changes: Any) -> dict[str, Any]:
        told = {"key": KEY, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return told | {"file": HEADER + b"".join(sealed)} | changes

    small, large = fixed("small file", 1000), bytes(CHUNK) + b"end"
    for name, description, data in (
        ("empty", "an empty file: one empty chunk, FINAL", b""),
        ("one-byte", "one byte", b"x"),
        ("small", "1 000 bytes, padded to 1 024", small),
        ("zeros", "a file that is nothing but zeros", bytes(777)),
        ("one-whole-chunk", "64 KiB: one chunk and no second one", bytes(CHUNK)),
        ("two-chunks", "64 KiB and three bytes: two chunks, each with its own tag", large),
    ):
        told = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        vectors.valid(name, description, given(data, chunks(data)), told)
    two = chunks(large)

    def refused(name: str, description: str, told: dict[str, Any], failure: str = "cannot-open") -> None:
        vectors.refused(name, description, failure, told)

    good = chunks(small)
    refused("other-key", "another key", given(small, good, key=fixed("another key")))
    refused("bit", "one bit changed", given(small, [flip(good[0], 5)]))
    refused("header-bit", "one bit of the header changed", given(small, good, file=flip(HEADER, 0) + good[0]))
    refused("cut", "the last byte gone", given(small, [good[0][:-1]]))
    refused("trailing", "one byte more", given(small, [*good, b"\0"]))
    refused("no-final", "the last chunk not marked FINAL", given(small, chunks(small, last=MESSAGE)))
    refused("padding-not-zeros", "padding other than zeros", given(small, chunks(small, fill=b"\1")))
    refused("size-larger", "a larger size in the metadata", given(small, good, size=1001), "verification-failed")
    refused(
        "size-smaller", "a smaller size in the metadata: what follows would not be zeros", given(small, good, size=999)
    )
    refused("not-padded", "without padding", given(small, chunks(small, padded=len(small))))
    refused(
        "other-hash",
        "another file than the metadata names",
        given(small, good, sha256="00" * 32),
        "verification-failed",
    )
    refused("swapped", "two chunks swapped", given(large, two[::-1]))
    refused("last-missing", "the last chunk gone", given(large, two[:1]))
    early = chunks(large, first=FINAL)
    refused("final-early", "a chunk before the last marked FINAL", given(large, early))
    refused("doubled", "the first chunk twice", given(large, [two[0], *two]))
    refused("empty-chunk-behind", "64 KiB, and an empty chunk behind them", given(bytes(CHUNK), _empty_behind()))
    refused("nothing", "an empty sealed file", given(small, [], file=b""))
    return [vectors]


def _empty_behind() -> list[bytes]:
    """What a writer would make that starts a chunk whenever one is full."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, HEADER, KEY)
    push = sodium.crypto_secretstream_xchacha20poly1305_push
    return [push(state, bytes(CHUNK), None, MESSAGE), push(state, b"", None, FINAL)]
