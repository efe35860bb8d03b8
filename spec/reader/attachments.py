"""spec/attachment.md, read a second time."""

from __future__ import annotations

import hashlib

from spec.reader.ciphers import Secretstream
from spec.reader.primitives import padme
from spec.reader.refusal import Refused

CHUNK = 64 << 10


def sealed_length(size: int) -> int:
    padded = padme(size)
    return 24 + padded + 17 * max(1, -(-padded // CHUNK))


def open_file(sealed: bytes, key: bytes, size: int, sha256: str) -> bytes:
    """The whole file: this reader is not made for large ones."""
    if len(sealed) != sealed_length(size):
        raise Refused("cannot-open", "not the length of such a file")
    stream = Secretstream(key, sealed[:24])
    padded, final, at = b"", False, 24
    while not final:
        piece, final = stream.pull(sealed[at : at + CHUNK + 17])
        padded += piece
        at += CHUNK + 17
    if at < len(sealed) or len(padded) != padme(size) or any(padded[size:]):
        raise Refused("cannot-open", "something after the end")
    if hashlib.sha256(padded[:size]).hexdigest() != sha256:
        raise Refused("verification-failed", "another file than the document names")
    return padded[:size]
