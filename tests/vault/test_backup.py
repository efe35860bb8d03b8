"""Backups: whole after every crash, refused after every change, restored as a vault of its own, silent to a keeper."""

from __future__ import annotations

import random
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import HOLDER, PASSPHRASE
from tests.killing import Nursery, share
from vault import Attachment, Document, Entry, RecoveryKit, Vault, backup
from vault.backup_place import NAME, Archive, Folder
from vault.errors import (
    CannotOpen,
    InputRefused,
    NotFound,
    RolledBack,
    StorageFailed,
    UnlockFailed,
    VaultExists,
    VerificationFailed,
)
from vault.primitives import padme_length
from vault.record import sha256_of

CANARY = "Coronarographie-canari"
KILLS = share("backup")


def add(vault: Vault, number: int, size: int = 3000) -> str:
    data = f"{CANARY} {number} ".encode() * (size // 20)
    file = Attachment(sha256_of(data), "text/plain", len(data), f"{CANARY}-{number}.txt")
    entry = Entry("", "medication", {"label": f"{CANARY} {number}", "dose": "1"})
    return vault.add(Document(title=f"{CANARY} {number}", entries=(entry,), attachments=(file,)), {file.sha256: data})


def content(vault: Vault) -> list[tuple[str, tuple[Attachment, ...], bytes]]:
    return sorted(
        (
            page.title,
            page.attachments,
            b"".join(b"".join(vault.attachment(page.id, file.sha256)) for file in page.attachments),
        )
        for page in vault.list().documents
    )


def listed(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def filled(vault: Vault) -> Vault:
    for number in range(3):
        add(vault, number)
    return vault


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.mark.parametrize("name", ["backup", "backup.zip"])
def test_a_backup_gives_the_same_record_under_new_names(filled: Vault, tmp_path: Path, name: str) -> None:
    where, new = tmp_path / name, tmp_path / "new"
    made = backup.make(filled, where)
    assert (made.copied, made.kept, made.damaged) == (3, 0, ()) and made.copy.documents == 3
    found = backup.verify(where, passphrase=PASSPHRASE)
    assert found.failed == () and found.copy == made.copy
    before = content(filled)
    actors = {filled.documents.replica(page.id).actor for page in filled.list().documents}
    backup.restore(where, new, passphrase=PASSPHRASE)
    with Vault.unlock(new, PASSPHRASE) as again:
        assert content(again) == before and again.holder_name == HOLDER
        assert again.search(CANARY) and again.vault_id == filled.vault_id
        assert not actors & {again.documents.replica(page.id).actor for page in again.list().documents}
        add(again, 9)
    assert not list(tmp_path.glob("*.new")) and not list(filled.path.glob("*.new"))


def test_only_what_is_new_is_copied_and_what_is_not_named_goes(filled: Vault, place: Path) -> None:
    backup.make(filled, place)
    old = listed(place)
    add(filled, 3)
    made = backup.make(filled, place)
    assert (made.copied, made.kept) == (1, 3) and len(backup.verify(place, passphrase=PASSPHRASE).others) == 1
    assert old < listed(place)
    for _ in range(3):
        backup.make(filled, place, keep=2)
    assert len([name for name in listed(place) if name.startswith("snapshots/")]) == 2
    (place / "attachments" / ("ab" * 32)).write_bytes(b"left by a crash")
    (place / "attachments" / ("cd" * 32 + ".new")).write_bytes(b"left by a crash")
    backup.make(filled, place)
    assert not [name for name in listed(place) if name.endswith(".new") or "ab" * 32 in name]


def test_an_earlier_copy_can_be_restored(filled: Vault, place: Path, tmp_path: Path) -> None:
    filled.clock = lambda: 1_800_000_000.0
    backup.make(filled, place)
    filled.clock = lambda: 1_800_000_100.0
    add(filled, 3)
    backup.make(filled, place)
    backup.restore(place, tmp_path / "old", passphrase=PASSPHRASE, before=1_800_000_050)
    with Vault.unlock(tmp_path / "old", PASSPHRASE) as old:
        assert old.count() == 3
    with pytest.raises(NotFound):
        backup.verify(place, passphrase=PASSPHRASE, before=1_700_000_000)


def test_a_clock_that_was_put_back_makes_no_old_copy(filled: Vault, place: Path) -> None:
    filled.clock = lambda: 1_800_000_000.0
    first = backup.make(filled, place).copy
    add(filled, 3)
    filled.clock = lambda: 1_700_000_000.0
    assert backup.make(filled, place).copy.made > first.made
    assert backup.verify(place, passphrase=PASSPHRASE).copy.documents == 4


def test_a_keeper_sees_ciphertext_and_padded_sizes(filled: Vault, place: Path) -> None:
    add(filled, 4, size=70_000)
    backup.make(filled, place)
    for name in listed(place):
        assert NAME.fullmatch(name)
        data = (place / name).read_bytes()
        assert CANARY.encode() not in data and HOLDER.encode() not in data and b"SQLite" not in data
        assert (place / name).stat().st_mode & 0o077 == 0
    (snapshot,) = (place / "snapshots").iterdir()
    plain = snapshot.stat().st_size - 24
    chunks = -(-plain // (65536 + 17))
    assert padme_length(plain - 17 * chunks) == plain - 17 * chunks


def test_the_kit_opens_a_backup_and_may_be_the_only_way(
    filled: Vault, place: Path, tmp_path: Path, made: dict[str, tuple[Path, RecoveryKit]]
) -> None:
    kit = made[""][1]
    backup.make(filled, place, kit_only=True)
    assert backup.verify(place, kit=kit).failed == ()
    with pytest.raises(UnlockFailed):
        backup.verify(place, passphrase=PASSPHRASE)
    with pytest.raises(UnlockFailed):
        backup.restore(
            place, tmp_path / "no", passphrase="une autre phrase", kit_words=" ".join(RecoveryKit.make().words())
        )
    assert not (tmp_path / "no").exists()
    backup.restore(place, tmp_path / "new", passphrase="une autre phrase", kit_words=" ".join(kit.words()))
    with Vault.unlock(tmp_path / "new", "une autre phrase") as again:
        assert again.count() == 3


def test_nothing_is_ever_written_over(filled: Vault, vault_factory, place: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    backup.make(filled, place)
    other = vault_factory("doctor")
    with pytest.raises(VaultExists):
        backup.restore(place, other.path, passphrase=PASSPHRASE)
    before = listed(place)
    with pytest.raises(InputRefused, match="another vault"):
        backup.make(other, place)
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "cat.jpg").write_bytes(b"cat")
    for target in (mine, other.path, mine / "cat.jpg"):
        with pytest.raises(InputRefused):
            backup.make(filled, target)
    backup.make(filled, tmp_path / "one.zip")
    with pytest.raises(InputRefused):
        backup.make(filled, tmp_path / "one.zip")
    assert listed(place) == before and listed(mine) == {"cat.jpg"}


def test_a_stopped_run_changes_nothing_about_the_copies_that_are_there(filled: Vault, place: Path) -> None:
    """Nor about who opens them: a copy for the kit alone stays one."""
    backup.make(filled, place, kit_only=True)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    add(filled, 5)

    def stop(done: int, total: int) -> None:
        if done == total - 1:
            raise InputRefused("stopped")

    with pytest.raises(InputRefused, match="stopped"):
        backup.make(filled, place, progress=stop)
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    left = {path.parent.name for path in after.keys() - before.keys()}
    assert left <= {"snapshots", "attachments"} and "snapshots" in left
    backup.make(filled, place, kit_only=True)
    assert len(list((place / "snapshots").iterdir())) == len(list((place / "manifests").iterdir())) == 2


@pytest.mark.parametrize("what", ["keyslots", "manifests", "snapshots", "attachments"])
@pytest.mark.parametrize("how", ["flip", "cut", "longer", "gone", "empty"])
def test_every_damaged_file_is_found(filled: Vault, place: Path, tmp_path: Path, what: str, how: str) -> None:
    backup.make(filled, place)
    (path, *_) = [place / name for name in sorted(listed(place)) if name.startswith(what)]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    changed = {"flip": bytes(data), "cut": bytes(data)[:-1], "longer": path.read_bytes() + b"\0", "empty": b""}
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(changed[how])
    new = tmp_path / "new"
    try:
        found = backup.verify(place, passphrase=PASSPHRASE)
        assert [name for name, _ in found.failed] == [path.relative_to(place).as_posix()]
    except (VerificationFailed, UnlockFailed, NotFound):
        assert what in ("keyslots", "manifests")
    with pytest.raises((VerificationFailed, UnlockFailed, NotFound, StorageFailed)):
        backup.restore(place, new, passphrase=PASSPHRASE)
    assert not new.exists() and not list(tmp_path.glob("new*"))
    if what == "attachments":
        assert len(backup.restore(place, new, passphrase=PASSPHRASE, partial=True).failed) == 1
        with Vault.unlock(new, PASSPHRASE) as again:
            assert again.count() == 3 and len(list((new / "attachments").iterdir())) == 2


def test_files_exchanged_or_from_another_backup_are_found(filled: Vault, place: Path, tmp_path: Path) -> None:
    backup.make(filled, place)
    one, two, _three = sorted((place / "attachments").iterdir())
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    assert len(backup.verify(place, passphrase=PASSPHRASE).failed) == 1
    one.write_bytes(kept)
    add(filled, 5)
    backup.make(filled, place)
    first, second = sorted((place / "manifests").iterdir())
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    found = backup.verify(place, passphrase=PASSPHRASE)
    assert [name for name, _ in found.failed] == [f"manifests/{first.name}"]
    first.write_bytes(data)
    with pytest.raises(CannotOpen):
        backup.open_manifest(bytes(32), filled.vault_id, first.name, data)


def test_one_manifest_that_cannot_be_read_keeps_everything(filled: Vault, place: Path) -> None:
    backup.make(filled, place)
    (manifest,) = (place / "manifests").iterdir()
    manifest.write_bytes(b"damaged")
    old = listed(place)
    for _ in range(3):
        backup.make(filled, place, keep=1)
    assert old < listed(place)
    assert len(backup.verify(place, passphrase=PASSPHRASE).failed) == 1


def test_a_damaged_attachment_of_the_vault_is_said_and_not_copied(filled: Vault, place: Path) -> None:
    (path, *_) = sorted((filled.path / "attachments").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    made = backup.make(filled, place)
    assert made.damaged == (path.name,) and made.copied == 2
    assert backup.verify(place, passphrase=PASSPHRASE).failed == ()


def test_the_restored_files_alone_do_not_open_as_if_nothing_had_happened(
    filled: Vault, place: Path, tmp_path: Path
) -> None:
    """Whoever puts the parts together by hand is told: it is older than what was seen."""
    backup.make(filled, place)
    backup.restore(place, tmp_path / "new", passphrase=PASSPHRASE)
    (tmp_path / "new" / "head").unlink()
    with pytest.raises(RolledBack):
        Vault.unlock(tmp_path / "new", PASSPHRASE)


def test_a_hostile_archive_names_nothing_else(filled: Vault, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    backup.make(filled, good)
    with zipfile.ZipFile(good) as read, zipfile.ZipFile(bad, "w") as write:
        for info in read.infolist():
            write.writestr(info, read.read(info))
        write.writestr("attachments/../../outside", b"x")
        write.writestr(zipfile.ZipInfo("attachments/" + "ab" * 32), bytes(1 << 20), zipfile.ZIP_DEFLATED)
    assert backup.verify(bad, passphrase=PASSPHRASE).failed == ()
    assert Archive(bad).names() == Archive(good).names()
    (tmp_path / "not.zip").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(VerificationFailed):
        backup.verify(tmp_path / "not.zip", passphrase=PASSPHRASE)
    with pytest.raises(NotFound):
        backup.verify(tmp_path / "nowhere", passphrase=PASSPHRASE)
    with pytest.raises(VerificationFailed):
        Folder(tmp_path).size("../vault.db")


def test_a_full_disk_leaves_the_backup_as_it_was(filled: Vault, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.make(filled, place)
    before = listed(place)
    add(filled, 7)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(StorageFailed):
            backup.make(filled, place)
    assert listed(place) == before and backup.verify(place, passphrase=PASSPHRASE).failed == ()


VICTIM = """
import sys
from pathlib import Path
from vault import Vault, backup
from vault.keys import Keyslots, VaultKey

key = bytes.fromhex(sys.argv[2])
Keyslots.open_with_passphrase = lambda self, phrase: VaultKey(key)
vault = Vault.unlock(Path(sys.argv[1]), "-", wait=10)
print('["ready"]', flush=True)
while True:
    backup.make(vault, Path(sys.argv[3]), keep=2)
"""


def test_a_kill_during_a_backup_takes_nothing(filled: Vault, place: Path) -> None:
    chance = random.Random(20)
    for number in range(20):
        add(filled, 10 + number, size=50_000)
    path, key = filled.path, filled._key.secret.hex()
    backup.make(filled, place)
    filled.lock()
    with Nursery("import automerge, sqlcipher3, vault.backup, vault.vault") as nursery:
        for _ in range(max(3, KILLS)):
            victim = nursery.victim(VICTIM, path, key, place)
            time.sleep(chance.random() * 0.3)
            victim.kill()
            found = backup.verify(place, passphrase=PASSPHRASE)
            assert found.failed == () and found.copy.documents == 23
    with Vault.unlock(path, PASSPHRASE) as again:
        backup.make(again, place)
        assert not list(path.glob("backup-*"))
    assert not [name for name in listed(place) if name.endswith(".new")]
