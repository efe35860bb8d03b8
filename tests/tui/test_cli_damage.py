"""Vaults and relays that somebody broke: a sentence and the right exit code, no traceback, nothing made worse."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PASSPHRASE
from tests.tui.commanding import Elpis, process
from vault import Document, Vault
from vault.errors import StorageFailed


def flip(path: Path, start: int, step: int) -> None:
    data = bytearray(path.read_bytes())
    for at in range(start, len(data), step):
        data[at] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def attachment(vault: Path) -> Path:
    return next((vault / "attachments").iterdir())


# what is done to the vault; then the codes of `list`, `doctor` and `verify`
DAMAGES: dict[str, tuple[Callable[[Path], object], int, int, int]] = {
    "database cut": (lambda vault: cut(vault / "vault.db", 5000), 1, 15, 1),
    "database flipped": (lambda vault: flip(vault / "vault.db", 4196, 4096), 1, 15, 1),
    "database empty": (lambda vault: cut(vault / "vault.db", 0), 1, 15, 1),
    "database gone": (lambda vault: (vault / "vault.db").unlink(), 1, 15, 1),
    "keyslots flipped": (lambda vault: flip(vault / "keyslots", 20, 37), 12, 15, 12),
    "keyslots cut": (lambda vault: cut(vault / "keyslots", 30), 12, 15, 12),
    "keyslots foreign": (lambda vault: (vault / "keyslots").write_bytes(bytes(100_000)), 12, 15, 12),
    "keyslots gone": (lambda vault: (vault / "keyslots").unlink(), 1, 15, 1),
    "head gone": (lambda vault: (vault / "head").unlink(), 14, 15, 14),
    "head foreign": (lambda vault: (vault / "head").write_bytes(bytes(64)), 14, 15, 14),
    "attachment gone": (lambda vault: attachment(vault).unlink(), 0, 0, 14),
    "attachment flipped": (lambda vault: flip(attachment(vault), 100, 1 << 20), 0, 0, 14),
    "foreign files": (lambda vault: (vault / "attachments" / "x").mkdir(mode=0o700), 0, 0, 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_vault_is_told_in_a_sentence(elpis: Elpis, damage: str) -> None:
    with Vault.unlock(elpis.vault, PASSPHRASE) as vault:
        document = vault.add(Document(title="Letter"))
        vault.attach(document, b"the original" * 100, name="a.txt", media_type="text/plain")
    harm, listed, doctor, verified = DAMAGES[damage]
    harm(elpis.vault)
    for verb, code in (("list", listed), ("doctor", doctor), ("verify", verified)):
        answer = elpis(verb, code=code)
        assert "Traceback" not in answer.err
        if verb == "list" and code:
            assert answer.out == "" and len(answer.err.splitlines()) == 2


def test_a_vault_without_its_keyslots_is_not_overwritten(elpis: Elpis, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with Vault.unlock(elpis.vault, PASSPHRASE) as vault:
        vault.add(Document(title="Letter"))
    (elpis.vault / "keyslots").rename(kept)
    assert "put that file back" in elpis("list", code=1).err
    assert "put it back from a copy" in elpis("doctor", code=15).out
    elpis("init", "--name", "Somebody", "--recovery-out", tmp_path / "kit", code=1)
    kept.rename(elpis.vault / "keyslots")
    assert "Letter" in elpis("list").out


def test_a_full_disk_is_named_and_nothing_is_lost(elpis: Elpis) -> None:
    with Vault.unlock(elpis.vault, PASSPHRASE) as vault:
        vault.add(Document(title="Before"))
        (pages,) = vault.store.row("PRAGMA page_count") or ()
        vault.store.run(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageFailed, match="no room is left on the disk"):
            vault.add_many([(Document(title=f"Letter {n}", text="word " * 2000), {}) for n in range(200)])
        assert [item.title for item in vault.list().documents] == ["Before"]
        vault.store.run(f"PRAGMA max_page_count = {pages * 100}")
        vault.add(Document(title="After"))
    assert len(elpis("list", "--json").json) == 2


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / name for name in ("noise", "other", "short")}
    files["noise"].write_bytes(bytes(range(256)) * 40)
    with sqlite3.connect(files["other"]) as other:
        other.execute("CREATE TABLE x (a)")
    other.close()
    files["short"].write_bytes(files["other"].read_bytes()[:1000])
    return files


@pytest.mark.parametrize("name", ["noise", "other", "short"])
def test_relay_view_of_something_else_is_refused(elpis: Elpis, foreign: dict[str, Path], name: str) -> None:
    before = foreign[name].read_bytes()
    assert "Name the database of a relay" in elpis("relay-view", "--db", foreign[name], code=1).err
    assert foreign[name].read_bytes() == before


def test_a_relay_that_cannot_start_says_why(elpis: Elpis, foreign: dict[str, Path], tmp_path: Path) -> None:
    assert "not a database" in elpis("relay", "serve", "--db", foreign["noise"], "--port", "0", code=1).err
    elpis("relay", "serve", "--db", tmp_path / "no" / "relay.db", "--port", "0", code=1)
    elpis("relay", "serve", "--db", tmp_path / "relay.db", "--port", "65536", code=2)
    done = process("relay", "serve", "--db", foreign["noise"], "--port", "0")
    assert (done.returncode, done.stdout) == (1, "") and "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_is_said(elpis: Elpis) -> None:
    """A folder in place of the lock stands for a disk that refuses: the superuser may write everywhere else."""
    (elpis.vault / "busy").unlink(missing_ok=True)
    (elpis.vault / "busy").mkdir()
    for words in (("list",), ("verify",), ("sync",), ("add", "--kind", "medications", "--label", "x")):
        answer = elpis(*words, code=1)
        assert "The disk refused" in answer.err and answer.out == ""
    shutil.rmtree(elpis.vault / "busy")
    assert elpis("list", "--json").json == []
