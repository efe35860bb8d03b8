"""Files of any size as authenticated chunks in constant memory. Normative: spec/attachment.md.

A sealed file is a secretstream: header (24 bytes), then chunks of 64 KiB of padded plaintext, each with 17 bytes of
tag; the last one is marked FINAL. The plaintext is followed by zeros up to its Padme length: the true size travels in
the document's metadata, with the key and the hash of the seal, and never with the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from vault.errors import CannotOpen, InputRefused, StorageFailed, VerificationFailed
from vault.primitives import FileOpener, FileSealer, padme_length

CHUNK = 64 << 10
SEALED_CHUNK = CHUNK + FileSealer.OVERHEAD
MAC = 16  # the end of each sealed chunk
MAX_SIZE = 15 << 30  # padded and sealed it stays under the relay's 16 GiB

BATCH = 16  # chunks that one stage hands to the next at once
AHEAD = 4  # batches between two stages
WORTH_THREADS = 4 << 20

T = TypeVar("T")
Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What is written into the document's metadata about a sealed file; hashes in hex.

    `sealed_sha256` is over the header and the authenticator of every chunk, in order: it tells one sealed file from
    every other, and costs a thousandth of a hash over all of it.
    """

    sha256: str
    size: int
    sealed_sha256: str
    sealed_size: int


def sealed_length(size: int) -> int:
    """Bytes on disk and at the relay of a file of `size` bytes."""
    padded = padme_length(size)
    chunks = max(1, -(-padded // CHUNK))
    return FileSealer.HEADER + padded + chunks * FileSealer.OVERHEAD


def hash_seal(path: Path) -> str:
    """The `sealed_sha256` of a sealed file, in hex. StorageFailed when it cannot be read."""
    seal = hashlib.sha256()
    try:
        with path.open("rb") as file:
            seal.update(file.read(FileSealer.HEADER))
            while chunk := file.read(SEALED_CHUNK):
                seal.update(chunk[-MAC:])
    except OSError as failure:
        raise StorageFailed("the sealed file cannot be read") from failure
    return seal.hexdigest()


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes that stand inside a larger file."""

    path: Path
    offset: int
    size: int


Source = Path | bytes | Slice


def seal_file(source: Source, target: Path, key: bytes, progress: Progress | None = None) -> SealedFile:
    """Writes `source` sealed under a key used for nothing else, durable under its final name or not at all."""
    draft = target.with_name(target.name + ".new")
    try:
        try:
            sealed = seal_draft(source, draft, key, progress, durable=True)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as failure:
        raise StorageFailed("the sealed file could not be written") from failure
    return sealed


def seal_draft(
    source: Source,
    draft: Path,
    key: bytes,
    progress: Progress | None = None,
    *,
    sha256: str = "",
    durable: bool = False,
) -> SealedFile:
    """`seal_file` without its end: whoever writes many files gives them their names, and syncs them, together.

    `sha256` is the hash of the source where the caller made it already, of these very bytes.
    """
    try:
        size = _size(source)
        if size > MAX_SIZE:
            raise InputRefused("this file is too large", limit=MAX_SIZE)
        with _reader(source) as read, _writer(draft) as write:
            sealed = _seal(read, write, size, key, progress, sha256)
            write.flush()
            if durable:
                os.fsync(write.fileno())
            return sealed
    except OSError as failure:
        raise StorageFailed("the file could not be read or its sealed copy not written") from failure


def open_file(path: Path, key: bytes, size: int, *, sha256: str, progress: Progress | None = None) -> Iterator[bytes]:
    """The plaintext, piece by piece. CannotOpen when anything was changed, dropped, doubled, moved or cut.

    Each piece is authentic when it is given; that nothing is missing is known when the iterator ends without raising.
    """
    plain = hashlib.sha256()
    done = 0
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != sealed_length(size):
                raise CannotOpen("the sealed file does not have its length")
            opener = FileOpener(key, file.read(FileSealer.HEADER))
            with _ahead(_sealed_chunks(file), size) as sealed, _ahead(_opened(opener, sealed), size) as opened:
                for chunk in (chunk for batch in opened for chunk in batch):
                    piece = chunk[: size - done]
                    if chunk[len(piece) :].strip(b"\0"):
                        raise CannotOpen("the padding is not zeros")
                    done += len(piece)
                    plain.update(piece)
                    if piece:
                        yield piece
                    if progress is not None:
                        progress(done, size)
    except FileNotFoundError as failure:
        raise StorageFailed("the attachment's file is missing") from failure
    except OSError as failure:
        raise StorageFailed("the attachment's file cannot be read") from failure
    if done != size:
        raise CannotOpen("the sealed file ends early")
    if plain.hexdigest() != sha256:
        raise VerificationFailed("the attachment is not the file that the document names")


def _seal(read: BinaryIO, write: BinaryIO, size: int, key: bytes, progress: Progress | None, sha256: str) -> SealedFile:
    """Three stages at once on a large file, since libsodium and hashlib let go of the interpreter: read and hash, seal,
    write."""
    sealer = FileSealer(key)
    plain, sealed = hashlib.sha256(), hashlib.sha256(sealer.header)
    write.write(sealer.header)
    done, total = 0, FileSealer.HEADER
    batches = _plain(read, size, (lambda _chunk: None) if sha256 else plain.update)
    with _ahead(batches, size) as plain_batches, _ahead(_sealed(sealer, plain_batches), size) as sealed_batches:
        for batch in sealed_batches:
            for chunk in batch:
                sealed.update(chunk[-MAC:])
                write.write(chunk)
                total += len(chunk)
            done = min(size, done + BATCH * CHUNK)
            if progress is not None:
                progress(done, size)
    return SealedFile(sha256 or plain.hexdigest(), size, sealed.hexdigest(), total)


def _plain(read: BinaryIO, size: int, hashed: Callable[[bytes], None]) -> Iterator[tuple[list[bytes], bool]]:
    """(chunks of the padded plaintext, whether the last of them ends the file)."""
    left, padding = size, padme_length(size) - size
    batch: list[bytes] = []
    while True:
        wanted = min(CHUNK, left)
        chunk = read.read(wanted)
        if len(chunk) != wanted or (wanted == left and read.read(1)):
            raise InputRefused("the file changed while it was read")
        hashed(chunk)
        left -= wanted
        zeros = min(padding, CHUNK - wanted)
        padding -= zeros
        batch.append(chunk + bytes(zeros) if zeros else chunk)
        final = not left and not padding
        if final or len(batch) == BATCH:
            yield batch, final
            batch = []
        if final:
            return


def _sealed(sealer: FileSealer, batches: Iterable[tuple[list[bytes], bool]]) -> Iterator[list[bytes]]:
    for batch, last in batches:
        sealed = [sealer.push(chunk, final=False) for chunk in batch[:-1]]
        yield [*sealed, sealer.push(batch[-1], final=last)]


def _sealed_chunks(file: BinaryIO) -> Iterator[list[bytes]]:
    while batch := [chunk for _ in range(BATCH) if (chunk := file.read(SEALED_CHUNK))]:
        yield batch


def _opened(opener: FileOpener, batches: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
    final = False
    for batch in batches:
        chunks = []
        for sealed in batch:
            if final:
                raise CannotOpen("the sealed file goes on after its end")
            chunk, final = opener.pull(sealed)
            chunks.append(chunk)
        yield chunks
    if not final:
        raise CannotOpen("the sealed file has no end")


@contextmanager
def _ahead(items: Iterator[T], size: int) -> Iterator[Iterator[T]]:
    """The same items, made in a thread that runs a little ahead when the file is worth one."""
    if size < WORTH_THREADS:
        yield items
        return
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(item: tuple[bool, T | BaseException | None]) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stopped.is_set():
                    return
            put((False, None))
        except BaseException as failure:  # noqa: BLE001 - raised again where the items are used
            put((False, failure))

    def made() -> Iterator[T]:
        while True:
            good, item = waiting.get()
            if not good:
                if isinstance(item, BaseException):
                    raise item
                return
            yield cast(T, item)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield made()
    finally:
        stopped.set()
        thread.join()


def _size(source: Source) -> int:
    if isinstance(source, Slice):
        return source.size
    return source.stat().st_size if isinstance(source, Path) else len(source)


def _reader(source: Source) -> BinaryIO:
    if isinstance(source, Slice):
        return cast(BinaryIO, _Part(source))
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


class _Part(io.RawIOBase):
    """A slice as a file of its own; shorter when the larger one is."""

    def __init__(self, source: Slice) -> None:
        self._file = source.path.open("rb")
        self._file.seek(source.offset)
        self._left = source.size

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(self._left if size < 0 else min(self._left, size))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._file.close()
        super().close()


def _writer(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")
