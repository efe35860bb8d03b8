"""The rules of blobs: sealed files, uploaded in pieces, read in ranges. Their bytes lie beside the database."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

from sync import wire
from sync.relay.mailbox import READ, add_tokens, allows
from sync.relay.refusal import Refusal, StorageRefused
from sync.relay.store import BLOB, Blob, Capability, Store

READ_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class Span(NamedTuple):
    start: int
    end: int
    partial: bool


def create(store: Store, address: bytes, owner: bytes, tokens: Sequence[Capability], size: int, now: int) -> bool:
    """True when it is new, False when the same owner repeats it."""
    blob = store.blob(address)
    if blob is not None:
        if not compare_digest(blob.owner, owner) or blob.size != size:
            raise Refusal("exists")
        return False
    if size > wire.BLOB_BYTES:
        raise Refusal("too-large")
    number = store.add_blob(Blob(0, address, owner, size, 0, secrets.token_hex(16), now))
    add_tokens(store, BLOB, number, tokens, 0)
    return True


def owned(store: Store, address: bytes, owner: bytes) -> Blob:
    blob = store.blob(address)
    if blob is None:
        raise Refusal("unknown")
    if not compare_digest(blob.owner, owner):
        raise Refusal("token")
    return blob


def readable(store: Store, address: bytes, token: bytes, now: int) -> Blob:
    blob = store.blob(address)
    if blob is None:
        raise Refusal("unknown")
    if not compare_digest(blob.owner, token) and not allows(store, BLOB, blob.id, token, READ, now):
        raise Refusal("token")
    if blob.offset != blob.size:
        raise Refusal("incomplete")
    return blob


def advance(store: Store, address: bytes, owner: bytes, start: int, end: int) -> int:
    """Acknowledges bytes that are on disk; another upload of the same bytes may have been faster."""
    blob = owned(store, address, owner)
    if blob.offset != start:
        raise Refusal("offset")
    store.advance_blob(blob.id, end)
    return end


def drop(store: Store, address: bytes, owner: bytes) -> str:
    """The file to be removed once this is on disk."""
    blob = owned(store, address, owner)
    store.drop_blob(blob.id)
    return blob.file


def read_range(header: str, size: int) -> Span:
    """One range of bytes, or all of them without the header. More than one range is not offered."""
    if not header:
        return Span(0, size, False)
    match = _RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        raise Refusal("malformed")
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if start >= end:
        raise Refusal("range")
    return Span(start, end, True)


class Folder:
    """The files. Names are random and say nothing, not even the blob's address."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(mode=0o700, exist_ok=True)

    def open_at(self, file: str, offset: int) -> int:
        """A handle for writing at `offset`; what an interrupted upload left behind it is cut off."""
        try:
            handle = os.open(self._path / file, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(handle, offset)
            os.lseek(handle, offset, os.SEEK_SET)
        except OSError as failure:
            raise StorageRefused from failure
        return handle

    def write(self, handle: int, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        except OSError as failure:
            raise StorageRefused from failure

    def sync(self, handle: int) -> None:
        try:
            os.fsync(handle)
            folder = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as failure:
            raise StorageRefused from failure

    def read(self, handle: int, offset: int, size: int) -> bytes:
        try:
            return os.pread(handle, size, offset)
        except OSError as failure:
            raise StorageRefused from failure

    def open_for_reading(self, file: str) -> int:
        try:
            return os.open(self._path / file, os.O_RDONLY)
        except OSError as failure:
            raise StorageRefused from failure

    def remove(self, file: str) -> None:
        (self._path / file).unlink(missing_ok=True)

    def sweep(self, keep: set[str]) -> None:
        """Removes files of blobs that are no more: what a crash left between database and folder."""
        for entry in self._path.iterdir():
            if entry.name not in keep:
                entry.unlink()
