"""Backups that can be left with anyone: ciphertext and keyslots, nothing else. Made, verified, restored.

A backup holds the sealed files as they lie in the vault, a sealed copy of the database for each time it was made, and a
sealed manifest for each copy, written last: what a crash interrupts is no backup yet, and takes nothing from those
before it. Normative: spec/backup.md.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vault.attachment import hash_seal, open_file, seal_file
from vault.backup_place import Place, fetched, place_of, write_to
from vault.encoding import Shape, blob, encode, integer, list_of, moment
from vault.errors import InputRefused, NotFound, StorageFailed, VaultError, VaultExists, VerificationFailed
from vault.keys import KIT, Keyslots, VaultKey, sync_folder, write_whole
from vault.primitives import SUITE, make_id, make_key, need_suite, open_box, pad, seal_box, unpad
from vault.recovery import RecoveryKit

if TYPE_CHECKING:
    from vault.vault import Vault

KEPT = 5  # copies of the database that stay, the newest among them
MAX_FILES = 1_000_000
Progress = Callable[[int, int], None]  # (files done, files in all)

MANIFEST = Shape(
    "backup",
    {
        "suite": integer(1, 255),
        "vault": blob(16),
        "made": moment(),
        "documents": integer(),
        "key": blob(32),
        "size": integer(),
        "sha256": blob(32),
        "files": list_of(blob(64), at_most=MAX_FILES),  # name | SHA-256 of the sealed file
    },
    64 << 20,
)


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a vault in a backup. `files` are its sealed files: (name, SHA-256), hex."""

    name: str
    vault_id: bytes
    made: int
    documents: int
    size: int
    sha256: str
    files: tuple[tuple[str, str], ...]
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """What a run wrote. `damaged` are sealed files of the vault that are not what their names say: not copied."""

    copy: Copy
    copied: int
    kept: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read of a backup. `failed` are (name, why)."""

    copy: Copy
    others: tuple[Copy, ...]
    failed: tuple[tuple[str, str], ...]


def make(
    vault: Vault, path: Path, *, kit_only: bool = False, keep: int = KEPT, progress: Progress | None = None
) -> Made:
    """Adds this vault, as it is now, to the backup at `path`; the backup is read again before this returns."""
    place = place_of(path)
    slots = Keyslots.read(vault.path / "keyslots")
    _need_own(place, vault.vault_id)
    key = vault.derive("elpis-backup")
    for left in vault.path.glob("backup-*.new"):  # of a run that was killed: nobody else works here while it is open
        shutil.rmtree(left, ignore_errors=True)
    with _work(vault.path) as work, _whole(place):
        if kit_only:
            # Nobody who guesses passphrases gets anywhere with such a backup.
            only = tuple(slot for slot in slots.slots if slot.kind == KIT)
            slots = vault.authenticated(replace(slots, path=work / "keyslots", slots=only))
            slots.write()
        copy = _copy_database(vault, place, work)
        # A clock that was put back must not make this copy look like an old one.
        before = _earlier(place, key, vault.vault_id)
        copy = replace(copy, made=max(copy.made, *(earlier.made + 1 for earlier in before), 0))
        # After the database: every file that it names lies there by now.
        known = {name: sha256 for earlier in before for name, sha256 in earlier.files}
        files, copied, damaged = _copy_files(vault, place, known, progress)
        copy = replace(copy, files=tuple(files))
        write_whole(work / "manifest", _sealed(key, copy))
        # Last but one: a run that is stopped changes nothing about who opens the copies that are there.
        place.put("keyslots", slots.path)
        place.settle()  # what the manifest names is there before it
        place.put(f"manifests/{copy.name}", work / "manifest")
        place.settle()
        place.finish()
        found = _opened(place, key, vault.vault_id, copy.name)
        if found != copy:
            raise VerificationFailed("the backup does not hold what was written")
        _open_database(place, found, work / "check")
        for name, sha256 in files:
            if name in copied:
                _check_file(place, name, sha256)
    _forget(place, key, vault.vault_id, keep)
    return Made(copy, len(copied), len(files) - len(copied), tuple(damaged))


def open_slots(
    place: Place, work: Path, *, passphrase: str = "", kit: RecoveryKit | None = None
) -> tuple[bytes, VaultKey]:
    """(vault id, vault key) of a backup, by the passphrase of its vault or by the kit."""
    from vault.passphrase import normal_form

    if "keyslots" not in place.names():
        raise NotFound("there is no backup here")
    with fetched(place, "keyslots", work / "keyslots") as path:
        slots = Keyslots.read(path)
    if kit is not None:
        return slots.vault_id, slots.open_with_kit(kit.entropy)
    return slots.vault_id, slots.open_with_passphrase(normal_form(passphrase))


def verify(
    path: Path,
    *,
    passphrase: str = "",
    kit: RecoveryKit | None = None,
    before: int | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Reads everything of the newest copy (or the newest one made by `before`), and every other manifest."""
    place = place_of(path)
    with _work() as work:
        vault_id, key = open_slots(place, work, passphrase=passphrase, kit=kit)
        copy, others, failed = _choose(place, key.derive("elpis-backup"), vault_id, before)
        try:
            _open_database(place, copy, work / "vault.db")
            _check_database(work / "vault.db", key)
        except VaultError as failure:
            failed.append((f"snapshots/{copy.name}", str(failure)))
        for done, (name, sha256) in enumerate(copy.files):
            if progress is not None:
                progress(done, len(copy.files))
            try:
                _check_file(place, name, sha256)
            except VaultError as failure:
                failed.append((f"attachments/{name}", str(failure)))
    return Verified(copy, tuple(others), tuple(failed))


def restore(
    path: Path,
    target: Path,
    *,
    passphrase: str,
    kit_words: str = "",
    before: int | None = None,
    partial: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Verified:
    """A new vault in `target` from a backup that was verified first; nothing is ever written over.

    `kit_words` opens it in place of the passphrase, which is then the new one. `partial` goes on when some sealed
    files are damaged: they are then missing.
    """
    from vault.vault import Vault

    if target.exists() and any(target.iterdir()):
        raise VaultExists(
            f"there is something in {target} already", hint="It was left as it is. Choose another folder."
        )
    place = place_of(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.parent / f"{target.name}.{make_id().hex()[:8]}.new"
    try:
        (work / "attachments").mkdir(mode=0o700, parents=True)
        work.chmod(0o700)
        kit = RecoveryKit.read(kit_words) if kit_words else None
        vault_id, key = open_slots(place, work, passphrase=passphrase, kit=kit)
        copy, others, failed = _choose(place, key.derive("elpis-backup"), vault_id, before)
        _open_database(place, copy, work / "vault.db")
        _check_database(work / "vault.db", key)
        damaged = _fetch_files(place, copy, work / "attachments", progress)
        if damaged and not partial:
            raise VerificationFailed(
                f"{len(damaged)} sealed files of the backup are missing or damaged",
                hint="Nothing was restored. Everything else can be, when you say so: --partial.",
            )
        write_to(place, "keyslots", work / "keyslots")
        # The lost days may live on elsewhere: nothing may be written under the names of before.
        if kit is not None:
            Vault.recover(work, kit_words, passphrase, clock=clock, accept_older=True).lock()
        else:
            Vault.unlock(work, passphrase, clock=clock, accept_older=True).lock()
        work.rename(target)
        sync_folder(target.parent)
    except OSError as failure:
        raise StorageFailed("the vault cannot be restored here") from failure
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Verified(copy, tuple(others), (*failed, *damaged))


@contextmanager
def _whole(place: Place) -> Iterator[None]:
    """A backup that does not come to its end leaves no file that looks like one."""
    try:
        yield
    except BaseException:
        place.abandon()
        raise


def _need_own(place: Any, vault_id: bytes) -> None:
    """InputRefused when something else lies there: a backup never mixes with anything."""
    if place.foreign:
        raise InputRefused(
            "something else is there already",
            hint="It was left as it is. Name a new or an empty folder, or a new file.",
        )
    if "keyslots" in (place.names() if place.path.exists() else ()):
        with _work() as work, fetched(place, "keyslots", work / "keyslots") as path:
            if Keyslots.read(path).vault_id != vault_id:
                raise InputRefused("the backup of another vault is there", hint="It was left as it is.")


def _copy_database(vault: Vault, place: Place, work: Path) -> Copy:
    """The database, sealed once more: padded, and whole or not at all, which its pages alone are not."""
    name, key = make_id().hex(), make_key()
    documents = vault.count()
    vault.store.backup(work / "vault.db")
    made = seal_file(work / "vault.db", work / "snapshot", key)
    (work / "vault.db").unlink()
    place.put(f"snapshots/{name}", work / "snapshot")
    (work / "snapshot").unlink()
    return Copy(name, vault.vault_id, int(vault.clock()), documents, made.size, made.sha256, (), key)


def _copy_files(
    vault: Vault, place: Any, known: Mapping[str, str], progress: Progress | None
) -> tuple[list[tuple[str, str]], set[str], list[str]]:
    """(files with their hashes, names of those that are new, names that are damaged in the vault)."""
    sources = sorted(path for path in (vault.path / "attachments").iterdir() if not path.name.endswith(".new"))
    there = place.names()
    files: list[tuple[str, str]] = []
    copied, damaged = set(), []
    for done, source in enumerate(sources):
        if progress is not None:
            progress(done, len(sources))
        path = f"attachments/{source.name}"
        sha256 = known.get(source.name, "")
        if not sha256 or path not in there or place.size(path) != source.stat().st_size:
            if vault.sealed_path(hash_seal(source)) != source:
                damaged.append(source.name)
                continue
            sha256 = _hash(_pieces(source))
            place.put(path, source)
            copied.add(source.name)
        files.append((source.name, sha256))
    return files, copied, damaged


def _fetch_files(place: Place, copy: Copy, folder: Path, progress: Progress | None) -> list[tuple[str, str]]:
    failed = []
    for done, (name, sha256) in enumerate(copy.files):
        if progress is not None:
            progress(done, len(copy.files))
        try:
            write_to(place, f"attachments/{name}", folder / name)
            if _hash(_pieces(folder / name)) != sha256:
                raise _changed()
        except VaultError as failure:
            (folder / name).unlink(missing_ok=True)
            failed.append((f"attachments/{name}", str(failure)))
    sync_folder(folder)
    return failed


def _choose(
    place: Place, key: bytes, vault_id: bytes, before: int | None
) -> tuple[Copy, list[Copy], list[tuple[str, str]]]:
    """(the copy that is meant, the others, manifests that cannot be read)."""
    copies, failed = [], []
    for name in sorted(name for name in place.names() if name.startswith("manifests/")):
        try:
            copies.append(_opened(place, key, vault_id, name.removeprefix("manifests/")))
        except VaultError as failure:
            failed.append((name, str(failure)))
    wanted = [copy for copy in copies if before is None or copy.made <= before]
    if not wanted:
        raise NotFound("no copy in this backup can be read" if before is None else "no copy of that time or earlier")
    newest = max(wanted, key=lambda copy: copy.made)
    return newest, [copy for copy in copies if copy is not newest], failed


def _earlier(place: Place, key: bytes, vault_id: bytes) -> list[Copy]:
    """The copies that are there and can be read."""
    try:
        newest, others, _failed = _choose(place, key, vault_id, None)
    except NotFound:
        return []
    return [newest, *others]


def seal_manifest(key: bytes, copy: Copy, *, nonce: bytes | None = None) -> bytes:
    """The manifest of a copy, padded and sealed under the vault's backup key. `nonce` is for vectors only."""
    told = {
        "suite": SUITE, "vault": copy.vault_id, "made": copy.made, "documents": copy.documents, "key": copy.key,
        "size": copy.size, "sha256": bytes.fromhex(copy.sha256),
        "files": [bytes.fromhex(name + sha256) for name, sha256 in copy.files],
    }  # fmt: skip
    return seal_box(key, "elpis-manifest", pad(MANIFEST.encode(told)), _aad(copy.vault_id, copy.name), nonce=nonce)


def open_manifest(key: bytes, vault_id: bytes, name: str, data: bytes) -> Copy:
    """The copy that a manifest describes. CannotOpen for another vault's, another name's, or a changed one."""
    told = MANIFEST.decode(unpad(open_box(key, "elpis-manifest", data, _aad(vault_id, name))))
    need_suite(told["suite"])
    if told["vault"] != vault_id:
        raise VerificationFailed("the manifest of another vault")
    files = tuple((item[:32].hex(), item[32:].hex()) for item in told["files"])
    return Copy(name, vault_id, told["made"], told["documents"], told["size"], told["sha256"].hex(), files, told["key"])


def _sealed(key: bytes, copy: Copy) -> bytes:
    return seal_manifest(key, copy)


def _opened(place: Place, key: bytes, vault_id: bytes, name: str) -> Copy:
    path = f"manifests/{name}"
    if place.size(path) > 2 * MANIFEST.limit:
        raise VerificationFailed("the manifest is too large")
    return open_manifest(key, vault_id, name, b"".join(place.pieces(path)))


def _aad(vault_id: bytes, name: str) -> bytes:
    return encode(["backup", SUITE, vault_id, bytes.fromhex(name)])


def _open_database(place: Place, copy: Copy, target: Path) -> None:
    """The database of a copy, whole; it stays encrypted under its own key."""
    with fetched(place, f"snapshots/{copy.name}", target.with_name(target.name + ".sealed")) as sealed:
        try:
            with target.open("wb") as file:
                for piece in open_file(sealed, copy.key, copy.size, sha256=copy.sha256):
                    file.write(piece)
            target.chmod(0o600)
        except OSError as failure:
            raise StorageFailed("the backup cannot be opened here") from failure


def _check_database(path: Path, key: VaultKey) -> None:
    from vault.store.connection import Store

    store = Store.open(path, key.derive("elpis-store"))
    try:
        told = store.rows("PRAGMA cipher_integrity_check") + store.rows("PRAGMA quick_check")
    finally:
        store.close()
    if [row[0] for row in told] != ["ok"]:
        raise VerificationFailed("the database of the backup is damaged")


def _check_file(place: Place, name: str, sha256: str) -> None:
    if _hash(place.pieces(f"attachments/{name}")) != sha256:
        raise _changed()


def _changed() -> VerificationFailed:
    return VerificationFailed("not the file that was put there")


def _forget(place: Any, key: bytes, vault_id: bytes, keep: int) -> None:
    """Copies beyond the newest `keep` go, then what none of those that stay names. Nothing goes that cannot be read."""
    if place.path.is_file():
        return
    newest, others, failed = _choose(place, key, vault_id, None)
    if failed:
        return
    copies = sorted([newest, *others], key=lambda copy: copy.made, reverse=True)
    for copy in copies[max(1, keep) :]:
        place.drop(f"manifests/{copy.name}")
    stay = copies[: max(1, keep)]
    named = {f"attachments/{name}" for copy in stay for name, _ in copy.files} | {"keyslots"}
    named |= {f"{folder}/{copy.name}" for copy in stay for folder in ("snapshots", "manifests")}
    for name in place.names() - named:
        place.drop(name)


def _hash(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    except OSError as failure:
        raise StorageFailed("a sealed file cannot be read") from failure


@contextmanager
def _work(folder: Path | None = None) -> Iterator[Path]:
    """A private folder for ciphertext under way, gone afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="backup-", suffix=".new", dir=folder) as work:
            yield Path(work)
    except OSError as failure:
        raise StorageFailed("there is no room to work in") from failure
