"""spec/primitives.md, section 8: secretstream, the frame of attachments."""

from __future__ import annotations

import nacl.bindings as sodium

from spec.vectors.writing import Vectors, fixed, flip

MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
PUSH = sodium.crypto_secretstream_xchacha20poly1305_TAG_PUSH
REKEY = sodium.crypto_secretstream_xchacha20poly1305_TAG_REKEY
KEY, HEADER = fixed("stream key"), fixed("stream header", 24)
PARTS = (b"first part", fixed("stream part", 300), b"", b"last part")


def stream(parts: tuple[bytes, ...], tags: tuple[int, ...], key: bytes = KEY) -> list[bytes]:
    """Chunks under a fixed header: what a writer and a reader make of one header is the same state."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, HEADER, key)
    push = sodium.crypto_secretstream_xchacha20poly1305_push
    return [push(state, part, None, tag) for part, tag in zip(parts, tags, strict=True)]


def make() -> list[Vectors]:
    vectors = Vectors("stream")
    good = stream(PARTS, (MESSAGE, MESSAGE, MESSAGE, FINAL))

    def given(chunks: list[bytes], key: bytes = KEY, header: bytes = HEADER) -> dict[str, object]:
        return {"key": key, "header": header, "chunks": chunks}

    output = {"parts": list(PARTS), "final": [False, False, False, True]}
    vectors.valid("four-parts", "four chunks, one of them empty, the last one FINAL", given(good), output)
    one = stream((b"all",), (FINAL,))
    vectors.valid("one-part", "one chunk that is the last one", given(one), {"parts": [b"all"], "final": [True]})
    for name, description, chunks in (
        ("dropped", "a chunk dropped", [good[0], *good[2:]]),
        ("swapped", "two chunks swapped", [good[1], good[0], *good[2:]]),
        ("doubled", "a chunk twice", [good[0], good[0], *good[1:]]),
        ("first-bit", "the sealed tag byte of a chunk changed", [flip(good[0], 0), *good[1:]]),
        ("text-bit", "one bit of the text changed", [flip(good[0], 3), *good[1:]]),
        ("mac-bit", "one bit of the authenticator changed", [flip(good[0], -1), *good[1:]]),
        ("chunk-cut", "a chunk cut by one byte", [good[0][:-1], *good[1:]]),
        ("chunk-16", "a chunk shorter than its overhead", [good[0][:16]]),
        ("push-tag", "a chunk marked PUSH, which is never written", stream((b"a", b"b"), (PUSH, FINAL))),
        ("rekey-tag", "a chunk marked REKEY, which is never written", stream((b"a", b"b"), (REKEY, FINAL))),
    ):
        vectors.refused(name, description, "cannot-open", given(chunks))
    vectors.refused("other-key", "another key", "cannot-open", given(good, key=fixed("other stream key")))
    vectors.refused("header-bit", "one bit of the header changed", "cannot-open", given(good, header=flip(HEADER, 20)))
    vectors.refused("header-short", "a header of 23 bytes", "malformed", given(good, header=HEADER[:23]))
    vectors.refused("key-short", "a key of 31 bytes", "malformed", given(good, key=KEY[:31]))
    return [vectors]
