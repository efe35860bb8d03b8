"""Each call to the disk of keyslots and sealed files fails once: nothing is lost, and the error is the vault's own.

The other rooms that are covered to the last branch (encoding, primitives, grants, openings, rosters, envelopes) call
none; that is tested too. Command for the coverage: `make coverage`.
"""

from __future__ import annotations

import ast
import os
import resource
from pathlib import Path

import nacl.exceptions
import pytest

from tests.faults import every_fault
from vault import RecoveryKit, Vault, attachment, keys, primitives
from vault.attachment import CHUNK, WORTH_THREADS, hash_seal, open_file, seal_file
from vault.durable import Written
from vault.errors import (
    BadKey,
    CannotOpen,
    InputRefused,
    NotFound,
    NoVault,
    StorageFailed,
    VaultError,
    VerificationFailed,
)
from vault.keys import Keyslots, VaultKey

ROOT = Path(__file__).resolve().parents[2]
KEY = VaultKey(bytes(range(32)))
FILE_KEY = bytes(range(32))
DERIVE = getattr(primitives.derive_passphrase_key, "__wrapped__", primitives.derive_passphrase_key)
PURE = (
    "vault/encoding.py", "vault/primitives.py", "vault/grant.py", "vault/opening.py", "vault/roster.py",
    "sync/envelope.py",
)  # fmt: skip


@pytest.fixture
def quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id touches no disk."""
    monkeypatch.setattr(primitives, "derive_passphrase_key", lambda phrase, salt, *cost: primitives.hash32(salt))


def slots_at(path: Path) -> Keyslots:
    return Keyslots.create(path, bytes(16), KEY, "sept lampes vertes", RecoveryKit(bytes(32)))


@pytest.mark.usefixtures("quick_derivation")
def test_keyslots_are_the_old_ones_or_the_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "keyslots"
    old = slots_at(path)
    new = old.with_kit(KEY, RecoveryKit(b"n" * 32))

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, StorageFailed) if what else failure is None
        assert Keyslots.read(path) == new if failure is None else Keyslots.read(path) in (old, new)
        draft = tmp_path / "keyslots.new"
        assert what == "unlink" or not draft.exists()
        draft.unlink(missing_ok=True)
        old.write()
        assert Keyslots.read(path) == old

    assert every_fault(new.write, judge).keys() >= {"open", "write", "flush", "fsync", "rename", "close"}


@pytest.mark.usefixtures("quick_derivation")
def test_a_disk_that_takes_a_part_of_a_write_leaves_no_part_of_the_keyslots(tmp_path: Path) -> None:
    """As when a disk fills up: the kernel takes some bytes without an error, and refuses the next ones."""
    path = tmp_path / "keyslots"
    old = slots_at(path)
    new = old.with_kit(KEY, RecoveryKit(b"n" * 32))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StorageFailed):
            new.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Keyslots.read(path) == old and [file.name for file in tmp_path.iterdir()] == ["keyslots"]
    new.write()
    assert Keyslots.read(path) == new


@pytest.mark.usefixtures("quick_derivation")
def test_keyslots_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    made = slots_at(tmp_path / "keyslots")

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, StorageFailed) if what else failure is None
        assert Keyslots.read(made.path) == made

    assert every_fault(lambda: Keyslots.read(made.path), judge).keys() == {"open", "read", "close"}
    with pytest.raises(NoVault):
        Keyslots.read(tmp_path / "nothing")


@pytest.mark.parametrize("size", [1000, 2 * CHUNK + 1, WORTH_THREADS + 1])
def test_a_sealed_file_is_whole_or_not_there(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "sealed"
    data = os.urandom(size)
    source.write_bytes(data)

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, StorageFailed) if what else failure is None
        assert source.read_bytes() == data
        if target.exists():
            assert target.stat().st_size == attachment.sealed_length(size)
            target.unlink()
        else:
            assert failure is not None
        left = tmp_path / "sealed.new"
        assert what == "unlink" or not left.exists()
        left.unlink(missing_ok=True)

    seen = every_fault(lambda: seal_file(source, target, FILE_KEY), judge)
    assert seen.keys() >= {"stat", "open", "read", "write", "flush", "fsync", "rename", "close"}


@pytest.mark.parametrize("size", [0, 1000, 2 * CHUNK + 1, WORTH_THREADS + 1])
def test_an_opened_file_is_whole_or_says_that_it_could_not_be_read(tmp_path: Path, size: int) -> None:
    data, told = os.urandom(size), []
    target = tmp_path / "sealed"
    made = seal_file(data, target, FILE_KEY)

    def act() -> None:
        told.append(b"".join(open_file(target, FILE_KEY, size, sha256=made.sha256)))

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, StorageFailed) if what else failure is None
        assert told == ([] if what else [data])
        told.clear()

    assert every_fault(act, judge).keys() == {"open", "fstat", "read", "close"}


def test_the_hash_of_a_seal_that_cannot_be_read(tmp_path: Path) -> None:
    made = seal_file(bytes(3 * CHUNK), tmp_path / "sealed", FILE_KEY)

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, StorageFailed) if what else failure is None

    assert every_fault(lambda: hash_seal(tmp_path / "sealed"), judge).keys() == {"open", "read", "close"}
    assert hash_seal(tmp_path / "sealed") == made.sealed_sha256


@pytest.mark.parametrize("count", [1, 3])
def test_files_are_durable_or_the_disk_is_heard(tmp_path: Path, count: int) -> None:
    """One after the other or several at a time: a sync that fails is never passed over."""
    files = [tmp_path / str(number) for number in range(count)]
    for file in files:
        file.write_bytes(b"sealed")

    def judge(failure: BaseException | None, what: str) -> None:
        assert isinstance(failure, OSError) if what else failure is None

    def synced(folder: Path, files: list[Path]) -> None:
        written = Written(folder)
        try:
            for file in files:
                written.add(file)
            written.sync()
        finally:
            written.close()

    failed = every_fault(lambda: synced(tmp_path, files), judge)
    assert set(failed) == {"open", "fsync"} and sum(failed.values()) == 4 * (count + 1)
    synced(tmp_path / "nowhere", [])


def test_a_file_that_is_taken_back_is_gone_and_its_sync_is_forgotten(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(4)]
    written = Written(tmp_path)
    for file in files[:3]:
        file.write_bytes(b"sealed")
    for file in files:  # the last one was never written: its sync fails
        written.add(file)
    written.take_back(2)
    written.sync()
    written.close()
    assert [file.exists() for file in files] == [True, True, False, False] and len(written) == 2


def test_a_secret_is_the_old_one_when_the_database_has_no_room(vault: Vault) -> None:
    vault.keyring.put("other", b"old")
    pages = vault.store.row("PRAGMA page_count")
    assert pages is not None
    vault.store.rows(f"PRAGMA max_page_count = {pages[0]}")
    with pytest.raises(StorageFailed, match="no room"):
        vault.keyring.put("other", bytes(10_000_000))
    assert vault.keyring.get("other") == b"old"
    vault.store.rows("PRAGMA max_page_count = 1073741823")
    vault.keyring.put("other", b"new")
    assert vault.keyring.need("other") == b"new"
    vault.keyring.drop("other")
    with pytest.raises(NotFound, match="other"):
        vault.keyring.need("other")


@pytest.mark.usefixtures("quick_derivation")
def test_a_vault_of_a_new_device_has_no_kit(tmp_path: Path) -> None:
    made = Keyslots.create(tmp_path / "keyslots", bytes(16), KEY, "sept lampes vertes", None)
    assert [slot.kind for slot in made.slots] == [keys.PASSPHRASE]


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment, "MAX_SIZE", 99)
    with pytest.raises(InputRefused, match="too large"):
        seal_file(bytes(100), tmp_path / "sealed", FILE_KEY)
    assert not list(tmp_path.iterdir())


def test_progress_is_told_while_a_file_is_opened(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = seal_file(bytes(CHUNK + 5), tmp_path / "sealed", FILE_KEY)
    given = open_file(
        tmp_path / "sealed", FILE_KEY, made.size, sha256=made.sha256, progress=lambda *now: told.append(now)
    )
    assert sum(map(len, given)) == made.size == told[-1][0]


def test_the_other_rooms_call_no_disk() -> None:
    for name in PURE:
        tree = list(ast.walk(ast.parse((ROOT / name).read_text())))
        imports = [node for node in tree if isinstance(node, ast.Import)]
        imported = {alias.name for node in imports for alias in node.names}
        imported |= {str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}
        assert not imported & {"io", "pathlib", "shutil", "tempfile", "subprocess", "socket", "sqlite3"}, name
        of_os = {node.attr for node in tree if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os"}
        assert of_os <= {"urandom"}, name
        called = {node.func.id for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        functions = {node.name for node in tree if isinstance(node, ast.FunctionDef)}
        assert "open" not in called - functions, name


# What no input reaches, and is there for the day when a library or the machine fails.


def test_a_length_that_the_file_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = seal_file(bytes(1000), tmp_path / "sealed", FILE_KEY)
    monkeypatch.setattr(attachment, "sealed_length", lambda size: made.sealed_size)
    with pytest.raises(CannotOpen, match="ends early"):
        list(open_file(tmp_path / "sealed", FILE_KEY, 5000, sha256=made.sha256))


def test_a_file_under_another_name_in_the_document(tmp_path: Path) -> None:
    made = seal_file(bytes(1000), tmp_path / "sealed", FILE_KEY)
    with pytest.raises(VerificationFailed, match="not the file"):
        list(open_file(tmp_path / "sealed", FILE_KEY, made.size, sha256="0" * 64))


@pytest.mark.parametrize("failure", [RuntimeError, nacl.exceptions.CryptoError])
def test_a_library_that_fails_is_a_failure_of_the_vault(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise failure("libsodium")

    monkeypatch.setattr(primitives.sodium, "crypto_box_seal", fail)
    monkeypatch.setattr(primitives.sodium, "crypto_pwhash_alg", fail)
    with pytest.raises(BadKey):
        primitives.seal_to(primitives.BoxKey.make().public, b"x")
    with pytest.raises(VaultError, match="not enough memory"):
        DERIVE("phrase", bytes(16), 3, primitives.ARGON_MEMORY)


def test_a_label_that_nobody_registered() -> None:
    with pytest.raises(ValueError, match="unregistered"):
        primitives.derive_key(bytes(32), "elpis-invented")
