"""Files of any size as authenticated chunks in constant memory. Normative: spec/attachment.md.

A sealed file is a secretstream: header (24 bytes), then chunks of 64 KiB of padded plaintext, each with 17 bytes of
tag; the last one is marked FINAL. The plaintext is followed by zeros up to its Padme length: the true size travels in
the document's metadata, with the key and the hash of the sealed file, and never with the file.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vault.errors import CannotOpen, InputRefused, StorageFailed, VerificationFailed
from vault.primitives import FileOpener, FileSealer, padme_length

CHUNK = 64 << 10
SEALED_CHUNK = CHUNK + FileSealer.OVERHEAD
MAX_SIZE = 15 << 30  # padded and sealed it stays under the relay's 16 GiB

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What is written into the document's metadata about a sealed file; hashes in hex."""

    sha256: str
    size: int
    sealed_sha256: str
    sealed_size: int


def sealed_length(size: int) -> int:
    """Bytes on disk and at the relay of a file of `size` bytes."""
    padded = padme_length(size)
    chunks = max(1, -(-padded // CHUNK))
    return FileSealer.HEADER + padded + chunks * FileSealer.OVERHEAD


def seal_file(source: Path | bytes, target: Path, key: bytes, progress: Progress | None = None) -> SealedFile:
    """Writes `source` sealed under a key used for nothing else, durable under its final name or not at all."""
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_SIZE:
            raise InputRefused("this file is too large", limit=MAX_SIZE)
        draft = target.with_name(target.name + ".new")
        try:
            with _reader(source) as read, _writer(draft) as write:
                sealed = _seal(read, write, size, key, progress)
                write.flush()
                os.fsync(write.fileno())
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as failure:
        raise StorageFailed("the file could not be read or its sealed copy not written") from failure
    return sealed


def open_file(
    path: Path, key: bytes, size: int, *, sha256: str, progress: Progress | None = None
) -> Iterator[bytes]:
    """The plaintext, chunk by chunk. CannotOpen when anything was changed, dropped, doubled, moved or cut.

    Each chunk is authentic when it is given; that nothing is missing is known when the iterator ends without raising.
    """
    plain = hashlib.sha256()
    done = 0
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != sealed_length(size):
                raise CannotOpen("the sealed file does not have its length")
            opener = FileOpener(key, file.read(FileSealer.HEADER))
            final = False
            while not final:
                piece, final = opener.pull(file.read(SEALED_CHUNK))
                kept = piece[: max(0, size - done)]
                if any(piece[len(kept) :]):
                    raise CannotOpen("the padding is not zeros")
                done += len(kept)
                plain.update(kept)
                if kept:
                    yield kept
                if progress is not None:
                    progress(done, size)
            if file.read(1) or done != size:
                raise CannotOpen("the sealed file does not end where it says")
    except FileNotFoundError as failure:
        raise StorageFailed("the attachment's file is missing") from failure
    except OSError as failure:
        raise StorageFailed("the attachment's file cannot be read") from failure
    if plain.hexdigest() != sha256:
        raise VerificationFailed("the attachment is not the file that the document names")


def _seal(read: BinaryIO, write: BinaryIO, size: int, key: bytes, progress: Progress | None) -> SealedFile:
    sealer = FileSealer(key)
    plain, sealed = hashlib.sha256(), hashlib.sha256(sealer.header)
    write.write(sealer.header)
    left, padding, total = size, padme_length(size) - size, FileSealer.HEADER
    final = False
    while not final:
        piece = read.read(min(CHUNK, left))
        if len(piece) != min(CHUNK, left):
            raise InputRefused("the file changed while it was read")
        left -= len(piece)
        plain.update(piece)
        zeros = min(padding, CHUNK - len(piece))
        padding -= zeros
        final = not left and not padding
        out = sealer.push(piece + bytes(zeros), final=final)
        sealed.update(out)
        write.write(out)
        total += len(out)
        if progress is not None:
            progress(size - left, size)
    if read.read(1):
        raise InputRefused("the file grew while it was read")
    return SealedFile(plain.hexdigest(), size, sealed.hexdigest(), total)


def _reader(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _writer(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")
