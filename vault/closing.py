"""The end of a vault: what lies where, what can be destroyed, what cannot, and the shredding itself.

A vault is encrypted under one random key that only its keyslots hold. So the keyslots go first: from then on nothing of
the rest can be opened, wherever copies of it lie. Normative: spec/closing.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vault.errors import StorageFailed
from vault.keys import sync_folder
from vault.primitives import make_random
from vault.store.grants import GrantStore
from vault.store.household import HouseholdStore
from vault.store.mailboxes import MailboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

HALF, MAILBOX, CHANNEL, BLOB = "half", "mailbox", "channel", "blob"
PARTS = ("vault.db", "vault.db-wal", "vault.db-shm", "head", "attachments", "deposits", "busy")


@dataclass(frozen=True, slots=True)
class Held:
    """Something of this vault that a relay holds, and the token that ends it."""

    what: str
    relay: str
    address: bytes
    owner: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody who was given a document, and whether a signature proves that it was opened."""

    person: str
    role: str
    document: str
    opened: bool


@dataclass(frozen=True, slots=True)
class Local:
    """What was destroyed here."""

    keyslots: int
    files: int
    bytes: int


def held(vault: Vault) -> tuple[Held, ...]:
    """What relays hold of this vault: halves first, since they are what still opens something."""
    grants, mailboxes = GrantStore(vault.store), MailboxStore(vault.store)
    halves = [Held(HALF, given.relay, given.number, given.owner) for given in grants.all_given() if not given.receipt]
    others = len(vault.devices.roster().devices) > 1 and not vault.devices.retired()
    # The other devices still have to read in the vault's channel that it is over: it is closed and keeps what it holds.
    kinds = {"vault": CHANNEL} if others else {}
    boxes = [
        Held(kinds.get(box.kind, MAILBOX), box.relay, box.address, box.owner) for box in mailboxes.owned() if box.owner
    ]
    blobs = [Held(BLOB, relay, address, owner) for address, owner, _token, relay in mailboxes.all_blobs()]
    files = [
        Held(BLOB, relay, address, owner) for _sealed, relay, address, owner, *_ in HouseholdStore(vault.store).files()
    ]
    return (*halves, *boxes, *blobs, *files)


def seen(vault: Vault) -> tuple[Seen, ...]:
    """Who was given what, once each: copies that they made cannot be destroyed from here."""
    found: dict[tuple[str, str, str], bool] = {}
    for line in vault.sharing.trace():
        key = (line.person, line.role, line.document)
        found[key] = found.get(key, False) or (line.state == "opened" and line.verified)
    return tuple(Seen(*key, opened) for key, opened in found.items())


def shred(path: Path) -> Local:
    """Destroys the vault in this folder, which must be locked. The keyslots first; what else lies there is left."""
    try:
        slots = path / "keyslots"
        slot_bytes = slots.stat().st_size
        _overwrite(slots)
        slots.unlink()
        sync_folder(path)
        files, size = 0, 0
        for name in _own(path):
            part = path / name
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    files, size = files + 1, size + file.stat().st_size
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink()
        sync_folder(path)
        if not any(path.iterdir()):
            path.rmdir()
    except OSError as failure:
        raise StorageFailed("not everything of the vault could be destroyed") from failure
    return Local(slot_bytes, files, size)


def _own(path: Path) -> Sequence[str]:
    copies = [item.name for item in path.iterdir() if item.name.startswith("vault.db.before-")]
    drafts = [item.name for item in path.iterdir() if item.name.endswith(".new")]
    return [name for name in (*PARTS, *copies, *drafts) if (path / name).exists()]


def _overwrite(path: Path) -> None:
    """Random bytes in place of what stood there. A disk that writes elsewhere may keep the old ones for a while."""
    with path.open("r+b") as file:
        file.write(make_random(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
