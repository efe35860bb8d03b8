"""Keyslots around the random vault key, the keys derived from it, and the keyring inside the vault.

Each slot wraps the same 32-byte vault key; every key in use is derived from it by a label. Changing the passphrase
rewrites one slot and re-encrypts nothing. Normative: spec/keyslots.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vault import primitives
from vault.encoding import Shape, blob, encode, integer, list_of, one_of
from vault.errors import NotFound, NoVault, StorageFailed, UnlockFailed, VerificationFailed

if TYPE_CHECKING:
    from vault.recovery import RecoveryKit
    from vault.store.connection import Store

PASSPHRASE, KIT = "passphrase", "kit"
LABEL = {PASSPHRASE: "elpis-slot-pass", KIT: "elpis-slot-kit"}
MAX_SLOTS = 8
LIMIT = 8192

_SLOT = {
    "kind": one_of(PASSPHRASE, KIT),
    "id": blob(16),
    "salt": blob(primitives.SALT),
    "ops": integer(0, 1 << 16),
    "memory": integer(0, 1 << 40),
    "box": blob(primitives.KEY + primitives.BOX_OVERHEAD),
}
_SLOT_SHAPE = Shape("slot", _SLOT, 1024)
FILE = Shape(
    "keyslots",
    {
        "suite": integer(1, 255),
        "vault": blob(16),
        "slots": list_of(_SLOT_SHAPE.check, at_most=MAX_SLOTS),
        "mac": blob(32),
    },
    LIMIT,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One way to the vault key. `ops` and `memory` are of Argon2id, 0 for a slot that needs none."""

    kind: str
    id: bytes
    salt: bytes
    ops: int
    memory: int
    box: bytes = b""

    def aad(self, vault_id: bytes) -> bytes:
        return encode(["keyslot", primitives.SUITE, vault_id, self.kind, self.id, self.salt, self.ops, self.memory])


@dataclass(frozen=True, slots=True, repr=False)
class VaultKey:
    """The vault key and what is derived from it."""

    secret: bytes

    def derive(self, label: str, context: bytes = b"") -> bytes:
        return primitives.derive_key(self.secret, label, context)


@dataclass(frozen=True, slots=True)
class Keyslots:
    """The `keyslots` file. Every way of failing to open it is one UnlockFailed, so that nothing can be told apart."""

    path: Path
    vault_id: bytes
    slots: tuple[Slot, ...]
    mac: bytes

    @classmethod
    def create(
        cls,
        path: Path,
        vault_id: bytes,
        key: VaultKey,
        passphrase: str,
        kit: RecoveryKit | None,
        *,
        sensitive: bool = False,
    ) -> Keyslots:
        """A new device of a vault has no kit of its own: the vault's opens the folder that it was made with."""
        slots = [_wrap_passphrase(vault_id, key, passphrase, sensitive=sensitive)]
        if kit is not None:
            slots.append(_wrap_kit(vault_id, key, kit))
        made = cls(path, vault_id, tuple(slots), b"").with_mac(key)
        made.write()
        return made

    @classmethod
    def read(cls, path: Path) -> Keyslots:
        try:
            with path.open("rb") as file:
                data = file.read(LIMIT + 1)
        except FileNotFoundError:
            raise NoVault(f"no vault in {path.parent}") from None
        except OSError as failure:
            raise StorageFailed("the keyslot file cannot be read") from failure
        try:
            value = FILE.decode(data)
            primitives.need_suite(value["suite"])
        except VerificationFailed:
            raise _failed() from None
        return cls(path, value["vault"], tuple(Slot(**slot) for slot in value["slots"]), value["mac"])

    def open_with_passphrase(self, passphrase: str) -> VaultKey:
        """The vault key; the whole file must be what this vault wrote."""
        key = self._unwrap(PASSPHRASE, lambda slot: _passphrase_key(slot, passphrase))
        if not primitives.same(self._mac(key), self.mac):
            raise _failed()
        return key

    def open_with_kit(self, entropy: bytes) -> VaultKey:
        """The vault key. Only the kit's own slot counts: the kit also repairs a file whose other slots are damaged."""
        return self._unwrap(KIT, lambda slot: entropy)

    def with_passphrase(self, key: VaultKey, passphrase: str) -> Keyslots:
        """The same slots with a new passphrase slot in place of the old; the old cost is never lowered."""
        heavy = any(slot.memory >= primitives.ARGON_MEMORY_SENSITIVE for slot in self.slots if slot.kind == PASSPHRASE)
        fresh = _wrap_passphrase(self.vault_id, key, passphrase, sensitive=heavy)
        others = tuple(slot for slot in self.slots if slot.kind != PASSPHRASE)
        return replace(self, slots=(fresh, *others)).with_mac(key)

    def with_kit(self, key: VaultKey, kit: RecoveryKit) -> Keyslots:
        """The same slots with a new recovery kit in place of the old."""
        others = tuple(slot for slot in self.slots if slot.kind != KIT)
        return replace(self, slots=(*others, _wrap_kit(self.vault_id, key, kit))).with_mac(key)

    def with_mac(self, key: VaultKey) -> Keyslots:
        return replace(self, mac=self._mac(key))

    def write(self) -> None:
        """Atomic: a crash leaves the old file or the new one, whole."""
        value = {"suite": primitives.SUITE, "vault": self.vault_id, "slots": self._listed(), "mac": self.mac}
        write_whole(self.path, FILE.encode(value))

    def _listed(self) -> list[dict[str, object]]:
        return [{name: getattr(slot, name) for name in _SLOT} for slot in self.slots]

    def _mac(self, key: VaultKey) -> bytes:
        return key.derive("elpis-slots", encode([primitives.SUITE, self.vault_id, self._listed()]))

    def _unwrap(self, kind: str, derive: Callable[[Slot], bytes]) -> VaultKey:
        for slot in self.slots:
            if slot.kind != kind:
                continue
            try:
                return VaultKey(primitives.open_box(derive(slot), LABEL[kind], slot.box, slot.aad(self.vault_id)))
            except VerificationFailed:
                continue
        raise _failed()


class Keyring:
    """Secrets that the vault keeps for itself, by name, inside the encrypted store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> bytes | None:
        row = self._store.row("SELECT value FROM secret WHERE name = ?", (name,))
        return bytes(row[0]) if row else None

    def need(self, name: str) -> bytes:
        value = self.get(name)
        if value is None:
            raise NotFound(f"no key named {name} in this vault")
        return value

    def put(self, name: str, value: bytes) -> None:
        self._store.run(
            "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def drop(self, name: str) -> None:
        self._store.run("DELETE FROM secret WHERE name = ?", (name,))


def write_whole(path: Path, data: bytes) -> None:
    """The file with exactly this content, durable, mode 0600; never half of it."""
    draft = path.with_name(path.name + ".new")
    try:
        try:
            # A buffered file: a disk that fills up may take a part of a plain write and call it done.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as failure:
        raise StorageFailed(f"{path.name} cannot be written") from failure


def sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wrap_passphrase(vault_id: bytes, key: VaultKey, passphrase: str, *, sensitive: bool) -> Slot:
    ops = primitives.ARGON_OPS_SENSITIVE if sensitive else primitives.ARGON_OPS
    memory = primitives.ARGON_MEMORY_SENSITIVE if sensitive else primitives.ARGON_MEMORY
    slot = Slot(PASSPHRASE, primitives.make_id(), primitives.make_random(primitives.SALT), ops, memory)
    return _filled(slot, vault_id, key, _passphrase_key(slot, passphrase))


def _wrap_kit(vault_id: bytes, key: VaultKey, kit: RecoveryKit) -> Slot:
    slot = Slot(KIT, primitives.make_id(), primitives.make_random(primitives.SALT), 0, 0)
    return _filled(slot, vault_id, key, kit.entropy)


def _filled(slot: Slot, vault_id: bytes, key: VaultKey, slot_key: bytes) -> Slot:
    return replace(slot, box=primitives.seal_box(slot_key, LABEL[slot.kind], key.secret, slot.aad(vault_id)))


def _passphrase_key(slot: Slot, passphrase: str) -> bytes:
    return primitives.derive_passphrase_key(passphrase, slot.salt, slot.ops, slot.memory)


def _failed() -> UnlockFailed:
    return UnlockFailed("the vault did not open", hint="Nothing was changed. Check the passphrase, and the keyboard.")
