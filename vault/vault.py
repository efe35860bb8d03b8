"""Vault: the front door. Create, unlock, recover, lock; the record itself is in record.py.

A vault is a folder: `keyslots`, `vault.db` (SQLCipher), `head`, `attachments/` and `busy` (a lock that dies with its
process). Normative: spec/storage.md.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vault import passphrase as phrases
from vault.errors import InputRefused, NoVault, StorageFailed, VaultBusy, VaultExists
from vault.head import Head
from vault.keys import Keyring, Keyslots, VaultKey, sync_folder
from vault.primitives import BoxKey, SigningKey, make_id, make_key
from vault.record import RETIRED, TELLING, Record
from vault.store.connection import Store
from vault.store.documents import Documents

if TYPE_CHECKING:
    from vault.devices import Devices
    from vault.enrolment import Newcomer
    from vault.feeding import Feeding
    from vault.identity import Identity
    from vault.people import People
    from vault.quarantine import Quarantine
    from vault.recovery import RecoveryKit
    from vault.sharing import Sharing
    from vault.telling import Telling
    from vault.visiting import Visiting

Clock = Callable[[], float]
SLOTS, STORE, HEAD, FILES, BUSY, MAKING = "keyslots", "vault.db", "head", "attachments", "busy", "making"
WAIT = 2.0


class Vault(Record):
    """An open vault. One process at a time; threads of it may share it."""

    def __init__(self, path: Path, slots: Keyslots, key: VaultKey, store: Store, head: Head, busy: int) -> None:
        self.path = path
        self.store = store
        self.documents = Documents(store)
        self.keyring = Keyring(store)
        self.vault_id = slots.vault_id
        self.clock: Clock = time.time
        self._slots = slots
        self._key = key
        self._head = head
        self._busy = busy
        self._locked = False
        self.read_settings()
        if self.meta_bytes(TELLING) or self.meta(RETIRED):
            self.telling.listen()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        name: str,
        birth: str = "",
        passphrase: str,
        role: str = "",
        language: str = "fr",
        sensitive: bool = False,
        clock: Clock = time.time,
    ) -> tuple[Vault, RecoveryKit]:
        """A new vault and the recovery kit that also opens it, shown this once. A `role` makes it a professional's."""
        normal = phrases.accept_new(passphrase)
        if not name.strip() or len(name) > 200:
            raise InputRefused("a vault has the name of its holder, at most 200 characters")
        vault_id, kit = make_id(), _make_kit()
        about = {"name": name.strip(), "birth": birth, "role": role, "language": language}

        def furnish(store: Store) -> None:
            _furnish(store, vault_id, about, kit, int(clock()))

        return cls._made(path, vault_id, normal, kit, furnish, sensitive=sensitive, clock=clock), kit

    @classmethod
    def join(cls, path: Path, newcomer: Newcomer, *, passphrase: str, clock: Clock = time.time) -> Vault:
        """A vault of its own for a new device of a holder; what it holds comes with the first exchanges."""
        normal = phrases.accept_new(passphrase)
        return cls._made(path, newcomer.vault_id, normal, None, newcomer.furnish, sensitive=False, clock=clock)

    @classmethod
    def _made(
        cls,
        path: Path,
        vault_id: bytes,
        passphrase: str,
        kit: RecoveryKit | None,
        furnish: Callable[[Store], None],
        *,
        sensitive: bool,
        clock: Clock,
    ) -> Vault:
        with _prepared(path) as busy:
            key = VaultKey(make_key())
            store = Store.open(path / STORE, key.derive("elpis-store"), create=True)
            try:
                furnish(store)
                head = Head(path / HEAD, key.derive("elpis-head"), vault_id, store)
                head.accept()
                # The keyslots come last: a vault exists when it can be opened.
                slots = Keyslots.create(path / SLOTS, vault_id, key, passphrase, kit, sensitive=sensitive)
                vault = cls(path, slots, key, store, head, busy)
            except BaseException:
                store.close()
                raise
        head.follow()
        vault.clock = clock
        return vault

    @classmethod
    def unlock(
        cls,
        path: Path,
        passphrase: str,
        *,
        clock: Clock = time.time,
        wait: float = WAIT,
        accept_older: bool = False,
    ) -> Vault:
        """The vault, open. `accept_older` takes a vault that was put back from a copy, after RolledBack said so."""
        with _entered(path, wait) as busy:
            slots = Keyslots.read(path / SLOTS)
            key = slots.open_with_passphrase(phrases.normal_form(passphrase))
            vault = cls._opened(path, slots, key, busy, accept_older=accept_older)
        vault.clock = clock
        if accept_older:
            vault.devices.put_back()
        return vault

    @classmethod
    def recover(
        cls, path: Path, words: str, new_passphrase: str, *, clock: Clock = time.time, accept_older: bool = False
    ) -> Vault:
        """The vault, opened by its recovery kit (words or shares); the new passphrase replaces the old."""
        normal = phrases.accept_new(new_passphrase)
        from vault.recovery import RecoveryKit

        kit = RecoveryKit.read(words)
        with _entered(path, WAIT) as busy:
            slots = Keyslots.read(path / SLOTS)
            key = slots.open_with_kit(kit.entropy)
            slots = slots.with_passphrase(key, normal)
            vault = cls._opened(path, slots, key, busy, accept_older=accept_older)
            slots.write()
        vault.clock = clock
        if accept_older:
            vault.devices.put_back()
        return vault

    def lock(self) -> None:
        """Closes the vault and lets go of its keys. Python cannot promise that their memory is erased."""
        if self._locked:
            return
        self._locked = True
        try:
            if "quarantine" in self.__dict__:
                self.quarantine.close()
            self.store.close()
        finally:
            self._head.close()
            self._key = VaultKey(bytes(32))
            os.close(self._busy)

    def change_passphrase(self, old: str, new: str) -> None:
        """One slot is written anew; nothing is encrypted again. UnlockFailed when `old` is wrong."""
        normal = phrases.accept_new(new)
        key = self._slots.open_with_passphrase(phrases.normal_form(old))
        self._slots = self._slots.with_passphrase(key, normal)
        self._slots.write()

    def replace_kit(self, passphrase: str, deliver: Callable[[RecoveryKit], object] | None = None) -> RecoveryKit:
        """A new recovery kit; the old one opens nothing any more. The root key changes with it.

        `deliver` takes the new kit to where it is kept, before the old one ends: when it raises, nothing is changed.
        """
        key = self._slots.open_with_passphrase(phrases.normal_form(passphrase))
        kit = _make_kit()
        if deliver is not None:
            deliver(kit)
        self._put_kit(key, kit)
        self.devices.new_root(kit.root_key().public)
        return kit

    def renew_kit(self, deliver: Callable[[RecoveryKit], object] | None = None) -> RecoveryKit:
        """A new kit in place of the one that was just used: the old one opens this folder no more."""
        kit = _make_kit()
        if deliver is not None:
            deliver(kit)
        self._put_kit(self._key, kit)
        return kit

    def _put_kit(self, key: VaultKey, kit: RecoveryKit) -> None:
        self._slots = self._slots.with_kit(key, kit)
        self._slots.write()

    def read_settings(self) -> None:
        """What the holder is called, and in which language; another device may have changed it."""
        self.holder_name = self.meta("name")
        self.holder_birth = self.meta("birth")
        self.holder_ins = self.meta("ins")
        self.role = self.meta("role")
        self.language = self.meta("language")

    def evidence(self) -> list[bytes]:
        """What is kept against relays, newest first."""
        from vault.store.outbox import OutboxStore

        return [data for _, data, why, *_ in OutboxStore(self.store).evidence() if why == "relay-contradiction"]

    def authenticated(self, slots: Keyslots) -> Keyslots:
        """Some of this vault's slots as a file of their own, for a backup."""
        return slots.with_mac(self._key)

    def meta(self, name: str) -> str:
        """What the vault keeps about itself under this name, as text; "" for nothing."""
        return self.meta_bytes(name).decode("utf-8", "replace")

    def meta_bytes(self, name: str) -> bytes:
        row = self.store.row("SELECT value FROM meta WHERE key = ?", (name,))
        return bytes(row[0]) if row else b""

    def set_meta(self, name: str, value: str | bytes) -> None:
        _set_meta(self.store, name, value)

    def set_ins(self, written: str) -> None:
        """The holder's INS, "" for none: what comes in is compared with it. InputRefused when it is none."""
        from vault.review.identity import check_ins

        number = check_ins(written) if written.strip() else ""
        self.set_meta("ins", number)
        self.holder_ins = number

    def derive(self, label: str, context: bytes = b"") -> bytes:
        """A key of this vault for one registered purpose."""
        return self._key.derive(label, context)

    # The other rooms of the house, entered when they are first needed: a list of documents needs none of them.

    @cached_property
    def identity(self) -> Identity:
        """The holder's own keys."""
        from vault.hybrid import derive_seed
        from vault.identity import Identity

        sign = SigningKey.from_seed(self.keyring.need("identity-sign"))
        box = BoxKey.from_secret(self.keyring.need("identity-box"), derive_seed(sign.seed))
        return Identity(self.holder_name, self.role, sign, box)

    @property
    def device_id(self) -> bytes:
        from vault.roster import derive_device_id

        return derive_device_id(SigningKey.from_seed(self.keyring.need("device-sign")).public)

    @property
    def roster_head(self) -> bytes:
        from vault.roster import derive_head

        return derive_head(self.meta_bytes("roster"))

    @cached_property
    def quarantine(self) -> Quarantine:
        """Where foreign changes are read; its process starts when the first one comes."""
        from vault.quarantine import Quarantine

        return Quarantine()

    @cached_property
    def telling(self) -> Telling:
        from vault.telling import Telling

        return Telling(self)

    @cached_property
    def devices(self) -> Devices:
        from vault.devices import Devices

        return Devices(self)

    @cached_property
    def people(self) -> People:
        from vault.people import People

        return People(self.store, self.identity, lambda: self.clock(), lambda: self.devices.roster().min_suite)

    @cached_property
    def sharing(self) -> Sharing:
        from vault.sharing import Sharing

        return Sharing(self)

    @cached_property
    def visiting(self) -> Visiting:
        from vault.visiting import Visiting

        return Visiting(self)

    @cached_property
    def feeding(self) -> Feeding:
        from vault.feeding import Feeding

        return Feeding(self)

    def __enter__(self) -> Vault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock()

    @classmethod
    def _opened(cls, path: Path, slots: Keyslots, key: VaultKey, busy: int, *, accept_older: bool = False) -> Vault:
        store = Store.open(path / STORE, key.derive("elpis-store"))
        try:
            head = Head(path / HEAD, key.derive("elpis-head"), slots.vault_id, store)
            if accept_older:
                _take_up_again(store, head)
            else:
                head.check()
            vault = cls(path, slots, key, store, head, busy)
        except BaseException:
            store.close()
            raise
        head.follow()
        if vault.meta("index-again"):
            vault.documents.index_again()
        return vault


def _make_kit() -> RecoveryKit:
    from vault.recovery import RecoveryKit

    return RecoveryKit.make()


def _furnish(store: Store, vault_id: bytes, about: Mapping[str, str], kit: RecoveryKit, now: int) -> None:
    """What a vault holds from its first moment: who it is of, and the keys of this device and of its holder."""
    from vault.roster import make_first
    from vault.store.household import HouseholdStore

    keyring = Keyring(store)
    with store.transaction():
        for name, value in about.items():
            _set_meta(store, name, value)
        _set_meta(store, "made", str(now))
        _set_meta(store, "root", kit.root_key().public)
        signs, boxes = {}, {}
        for owner in ("device", "identity"):
            signs[owner], boxes[owner] = SigningKey.make(), BoxKey.make()
            keyring.put(f"{owner}-sign", signs[owner].seed)
            keyring.put(f"{owner}-box", boxes[owner].secret)
        first = make_first(kit.root_key(), vault_id, signs["device"].public, boxes["device"].public, now)
        _set_meta(store, "roster", first)
        HouseholdStore(store).put_chain([first])


def _take_up_again(store: Store, head: Head) -> None:
    """A copy was put back: no replica may be written under an actor that may have gone on elsewhere."""
    store.check()
    with store.transaction():
        for (number,) in store.rows("SELECT document FROM replica"):
            store.run("UPDATE replica SET actor = ? WHERE document = ?", (make_id(), number))
    head.accept()


def _set_meta(store: Store, name: str, value: str | bytes) -> None:
    data = value.encode() if isinstance(value, str) else value
    store.run(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (name, data),
    )


@contextmanager
def _prepared(path: Path) -> Iterator[int]:
    """The folder of a new vault, locked. What an interrupted creation left behind is cleared away."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        with _entered(path, WAIT, create=True) as busy:
            if (path / SLOTS).exists():
                raise VaultExists(f"there is a vault in {path}", hint="It was left as it is.")
            if is_lost(path):
                raise _keyslots_lost()
            (path / MAKING).touch(mode=0o600)
            for left in (STORE, f"{STORE}-wal", f"{STORE}-shm", HEAD):
                (path / left).unlink(missing_ok=True)
            (path / FILES).mkdir(mode=0o700, exist_ok=True)
            sync_folder(path)
            yield busy
            (path / MAKING).unlink()
    except OSError as failure:
        raise StorageFailed("the vault's folder cannot be prepared") from failure


@contextmanager
def _entered(path: Path, wait: float, *, create: bool = False) -> Iterator[int]:
    """The lock on the vault, kept when the block ends well; VaultBusy when another process holds it."""
    if not create and not (path / SLOTS).exists():
        if is_lost(path):
            raise _keyslots_lost()
        raise NoVault(f"no vault in {path}", hint="`elpis init` makes one.")
    try:
        busy = os.open(path / BUSY, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as failure:
        raise StorageFailed("the vault's folder cannot be used") from failure
    try:
        _wait_for(busy, wait)
        # Whoever finds the vault busy can ask this process to lock it.
        os.pwrite(busy, b"%-10d\n" % os.getpid(), 0)  # of one length: nothing of a former number stays behind
        yield busy
    except BaseException:
        os.close(busy)
        raise


def is_lost(path: Path) -> bool:
    """Whether a vault lies here whose keyslots are gone. One that was never finished is none."""
    return (path / STORE).exists() and not (path / SLOTS).exists() and not (path / MAKING).exists()


def _keyslots_lost() -> StorageFailed:
    return StorageFailed(
        "the file `keyslots` of this vault is missing",
        hint="Nothing else opens it. The rest was left as it is: put that file back from a copy.",
    )


def _wait_for(busy: int, wait: float) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() >= end:
                raise VaultBusy("another Elpis has this vault open", hint="Close it there, or wait.") from None
            time.sleep(0.05)
