"""An authority's office: it certifies, renews, revokes and publishes, offline, with a key that nobody else has.

`Office` keeps its books in memory; `Folder` keeps them in a folder: `authority.key`, `authority.log` (every
certificate ever signed, appended to and never changed) and `authority.pub` (the bulletin, for everybody).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from vault.bulletin import (
    MAX_LEAVES,
    MAX_LIST_DAYS,
    MAX_REVOKED,
    Standing,
    make_bulletin,
    make_revocations,
    read_bulletin,
)
from vault.certificate import (
    CERTIFICATE,
    DAY,
    LOGGED,
    Authority,
    certify,
    make_authority,
    make_logged,
    read_authority,
    sign_again,
)
from vault.errors import InputRefused, Malformed, NotFound, StorageFailed, VerificationFailed
from vault.identity import Card
from vault.keys import sync_folder
from vault.log import derive_leaf, derive_root, make_extract, make_head, make_path
from vault.primitives import SigningKey, hash32
from vault.statement import Statement, read_statement

KEY_FILE, LOG_FILE, PUBLIC_FILE = "authority.key", "authority.log", "authority.pub"
WHOLE = 65_536  # a log of at most so many leaves is published whole
MAX_STATEMENT = 4224
_LENGTH = struct.Struct(">I")


class Office:
    """The key, every certificate signed with it, and what was revoked of them."""

    def __init__(
        self,
        key: SigningKey,
        authority: bytes,
        certificates: Sequence[bytes] = (),
        published: Standing | None = None,
    ) -> None:
        self._key = key
        self._authority = authority
        self._certificates = list(certificates)
        self._leaves = [derive_leaf(certificate) for certificate in certificates]
        self._revoked = dict(published.revocations.entries) if published else {}
        self._number = published.revocations.number if published else 0
        self._time = published.head.time if published else 0

    @classmethod
    def open(cls, name: str, key: SigningKey, now: int) -> Office:
        return cls(key, make_authority(name, key, now))

    @property
    def authority(self) -> Authority:
        return read_authority(self._authority)

    def certify(self, card: Card, *, unique_id: str, role: str, now: int, days: int) -> bytes:
        """A logged certificate for the keys and the name on the card."""
        return self._log(certify(self._key, card, unique_id=unique_id, role=role, now=now, days=days), now)

    def renew(self, logged: bytes, *, now: int, days: int) -> bytes:
        """The same id, name, role and keys for some days more. InputRefused for what was revoked."""
        old = self._own(LOGGED.decode(logged)["certificate"])
        if hash32(old) in self._revoked:
            raise InputRefused("this certificate was revoked: look at the person's card again", hint="certify anew")
        return self._log(sign_again(self._key, old, now=now, days=days), now)

    def revoke(self, wanted: str | bytes, *, now: int) -> tuple[Statement, ...]:
        """Revoke one certificate (its file), or every running one of an id. NotFound when there is none."""
        if isinstance(wanted, bytes):
            statements = [self._own(LOGGED.decode(wanted)["certificate"])]
        else:
            statements = [one for one in self._certificates if _fields(one).fields["id"] == wanted]
        running = [one for one in statements if _fields(one).fields["until"] > now and hash32(one) not in self._revoked]
        if not running:
            raise NotFound("no running certificate fits", wanted=str(wanted)[:100])
        for one in running:
            self._revoked[hash32(one)] = now
        return tuple(_fields(one) for one in running)

    def revoked(self, certificate: bytes) -> int | None:
        return self._revoked.get(hash32(certificate))

    def bulletin(self, now: int, days: int = MAX_LIST_DAYS) -> bytes:
        """The file for everybody: a new list, a new head. Signing it does not wait for something to have changed."""
        if not 1 <= days <= MAX_LIST_DAYS:
            raise InputRefused(f"a list is believed for 1 to {MAX_LIST_DAYS} days", days=days)
        running = {hash32(one) for one in self._certificates if _fields(one).fields["until"] > now}
        self._revoked = {certificate: time for certificate, time in self._revoked.items() if certificate in running}
        if len(self._revoked) > MAX_REVOKED:
            raise InputRefused("too many revoked certificates for one list", limit=MAX_REVOKED)
        self._number += 1
        revocations = make_revocations(self._key, self._number, now, now + days * DAY, self._revoked)
        return make_bulletin(
            self._authority, revocations, self._head(now), make_extract(self._leaves, self._start(now))
        )

    def _start(self, now: int) -> int:
        """Where the extract begins: it holds every certificate that has not ended, and at least the newest ones."""
        first = next((at for at, one in enumerate(self._certificates) if _fields(one).fields["until"] > now), 0)
        start = max(0, min(first, len(self._leaves) - WHOLE)) if len(self._leaves) > WHOLE else 0
        if len(self._leaves) - start > MAX_LEAVES:
            raise InputRefused("too many running certificates for one file", limit=MAX_LEAVES)
        return start

    def _log(self, certificate: bytes, now: int) -> bytes:
        self._append(certificate)
        index = len(self._leaves)
        self._certificates.append(certificate)
        self._leaves.append(derive_leaf(certificate))
        return make_logged(certificate, self._head(now), index, make_path(self._leaves, index))

    def _append(self, certificate: bytes) -> None:
        """Before a head covers it: what was signed and lost would look like a log that shrinks."""

    def _head(self, now: int) -> bytes:
        self._time = max(self._time, now)  # a clock that was turned back must not look like a shrinking log
        return make_head(self._key, len(self._leaves), derive_root(self._leaves), self._time)

    def _own(self, certificate: bytes) -> bytes:
        if certificate not in self._certificates:
            raise NotFound("this certificate is not in the log of this authority")
        return certificate


class Folder(Office):
    """An office whose books lie in a folder. In a rehearsal nothing is written."""

    def __init__(self, path: Path, *, rehearse: bool = False) -> None:
        self._path = path
        self._rehearse = rehearse
        self._torn = 0
        try:
            seed = (path / KEY_FILE).read_bytes()
            published = read_bulletin((path / PUBLIC_FILE).read_bytes())
            certificates, self._torn = _read_log((path / LOG_FILE).read_bytes())
        except FileNotFoundError as failure:
            raise NotFound(f"no authority in {path}") from failure
        super().__init__(SigningKey.from_seed(seed), published.authority.data, certificates, published)
        if derive_root(self._leaves[: published.head.size]) != published.head.root:
            raise VerificationFailed("the authority's log is not the one that its last file shows")

    @classmethod
    def create(cls, path: Path, name: str, now: int) -> Folder:
        key = SigningKey.make()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (path / KEY_FILE).exists():
            raise InputRefused("there is an authority in this folder already", hint="It was left as it is.")
        _write(path / LOG_FILE, b"")
        _write(path / PUBLIC_FILE, Office.open(name, key, now).bulletin(now))
        _write(path / KEY_FILE, key.seed)
        for public in (LOG_FILE, PUBLIC_FILE):
            (path / public).chmod(0o644)
        return cls(path)

    def publish(self, now: int, days: int = MAX_LIST_DAYS) -> bytes:
        """The bulletin, written to `authority.pub`."""
        data = self.bulletin(now, days)
        if self._rehearse:
            return data
        _write(self._path / PUBLIC_FILE, data)
        (self._path / PUBLIC_FILE).chmod(0o644)
        return data

    def _append(self, certificate: bytes) -> None:
        if self._rehearse:
            return
        try:
            with (self._path / LOG_FILE).open("r+b") as log:
                log.seek(-self._torn, os.SEEK_END)
                log.truncate()  # what a crash cut short was never covered by a head
                log.write(_LENGTH.pack(len(certificate)) + certificate)
                log.flush()
                os.fsync(log.fileno())
        except OSError as failure:
            raise StorageFailed("the log of the authority cannot be written") from failure
        self._torn = 0


def read_log(data: bytes, bulletin: Standing) -> Iterator[tuple[Statement, int | None]]:
    """(certificate, when it was revoked) for everything in a log file, oldest first, after the file was checked
    against the authority's bulletin."""
    certificates, torn = _read_log(data)
    if torn or derive_root([derive_leaf(one) for one in certificates]) != bulletin.head.root:
        raise VerificationFailed("this log is not the one that the authority's file shows")
    for certificate in certificates:
        revoked = bulletin.revocations.entries.get(hash32(certificate))
        yield _fields(certificate).by(bulletin.authority.sign), revoked


def _read_log(data: bytes) -> tuple[list[bytes], int]:
    """(certificates, how many bytes at the end are of one that was cut short)."""
    certificates, at = [], 0
    while len(data) - at >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data, at)
        if length > MAX_STATEMENT:
            raise Malformed("not the log of an authority")
        end = at + _LENGTH.size + length
        if end > len(data):
            break
        certificates.append(data[at + _LENGTH.size : end])
        at = end
    return certificates, len(data) - at


def _fields(certificate: bytes) -> Statement:
    return read_statement("certificate", CERTIFICATE, certificate)


def _write(path: Path, data: bytes) -> None:
    """In one step: a crash leaves the old file or the new one."""
    beside = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as failure:
        raise StorageFailed(f"{path.name} cannot be written") from failure
