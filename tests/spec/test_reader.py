"""The second reader: it stands alone, and agrees with every vector."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSPHRASE
from vault import Attachment, Document, Entry, RecoveryKit, Vault, backup
from vault.errors import VaultError
from vault.exporters import archive
from vault.exporters.ips import Holder
from vault.intake import import_files
from vault.record import sha256_of

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "spec" / "reader"
FORBIDDEN = {"vault", "sync", "tui", "nacl", "cbor2", "automerge", "sqlcipher3", "mnemonic"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: a relative import hides where it leads"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", sorted(READER.glob("*.py")), ids=lambda file: file.stem)
def test_it_imports_nothing_of_the_product(file: Path) -> None:
    for name in imported(file):
        root = name.split(".")[0]
        own = name.startswith("spec.reader")
        assert own or root == "cryptography" or root in sys.stdlib_module_names, f"{file.name} imports {name}"


def test_it_agrees_with_every_vector_and_stands_alone() -> None:
    """Its own process says which modules it ended up with: nothing came in through a side door."""
    command = [sys.executable, "-m", "spec.reader", "--modules", str(ROOT / "spec" / "vectors")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = {line.split(".")[0] for line in done.stdout.splitlines()}
    assert "cryptography" in loaded
    assert not loaded & FORBIDDEN


def test_it_can_disagree(tmp_path: Path) -> None:
    vector = (ROOT / "spec" / "vectors" / "box" / "other-key.json").read_text()
    (tmp_path / "wrong.json").write_text(vector.replace("cannot-open", "malformed"))
    command = [sys.executable, "-m", "spec.reader", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "FAILED box/other-key" in done.stdout


def read_a_second_time(folder: Path, secret: str, *options: str) -> dict[str, Any]:
    """What the reader prints about a backup, in a process of its own."""
    command = [sys.executable, "-m", "spec.reader.vaults", str(folder), *options]
    done = subprocess.run(
        command, cwd=ROOT, input=f"{secret}\n", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def kept(
    made: dict[str, tuple[Path, RecoveryKit]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], RecoveryKit]:
    """(a backup that the product made of a real vault, what the vault says its documents are, the kit)."""
    folder = tmp_path_factory.mktemp("second")
    path, kit = made[""]
    shutil.copytree(path, folder / "vault")
    with Vault.unlock(folder / "vault", PASSPHRASE) as vault:
        fixtures = ROOT / "tests" / "fixtures" / "cda_fr_own"
        import_files(vault, [fixtures / "N3_VSM.xml", fixtures / "N3_CR-BIO.xml"], about_someone_else=True)
        section = vault.section("medications")
        entry = vault.add_entry(section, "medication", {"label": "BISOPROLOL", "dose": "½"})
        vault.amend_entry(section, entry, {"dose": "1"})
        file = b"scan " * 40_000
        one = Attachment(sha256_of(file), "application/pdf", len(file), "é.pdf")
        entries = (Entry("", "result", {"label": "HbA1c", "value": "6,1"}),)
        vault.add(Document(title="Œdème", entries=entries, attachments=(one,)), {one.sha256: file})
        backup.make(vault, folder / "backup")
        states = dict(vault.documents.states())
        whole = [vault.read(summary.id) for summary in vault.list(limit=100).documents]
        with (folder / "all.zip").open("xb") as target:
            archive.write(
                target,
                Holder(vault.holder_name, ""),
                whole,
                lambda document, file: vault.attachment(document.id, file.sha256),
                made=1_795_000_000,
                language="fr",
            )
    return folder / "backup", states, kit


def test_it_reads_a_whole_record_out_of_a_backup(kept: tuple[Path, dict[str, Any], RecoveryKit]) -> None:
    """Made by the product: keyslots, manifest, database pages, documents, every sealed file, by either way in."""
    folder, states, kit = kept
    found = read_a_second_time(folder, PASSPHRASE, "--modules")
    assert found["documents"] == states and len(states) >= 4
    assert sum(len(state["attachments"]) for state in states.values()) >= 3
    assert not {name.split(".")[0] for name in found["modules"]} & FORBIDDEN
    assert read_a_second_time(folder, " ".join(kit.words("fr")), "--kit")["documents"] == states


@pytest.mark.parametrize("module", ["vaults", "archives"])
def test_without_something_to_read_it_says_how_it_is_called(module: str) -> None:
    for words in ([], ["none"], ["--help"]):
        command = [sys.executable, "-m", f"spec.reader.{module}", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and f"spec.reader.{module} F" in done.stderr and "Traceback" not in done.stderr


def read_export(path: Path) -> dict[str, Any]:
    """What the reader prints about an export, in a process of its own."""
    command = [sys.executable, "-m", "spec.reader.archives", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_reads_a_whole_record_out_of_an_export(kept: tuple[Path, dict[str, Any], RecoveryKit]) -> None:
    folder, states, _ = kept
    found = read_export(folder.parent / "all.zip")["documents"]
    assert found.keys() == states.keys()
    for identity, state in states.items():
        told = found[identity]
        assert told["title"] == state["meta"].get("title", "")
        assert {entry: fields["kind"] for entry, fields in told["entries"].items()} == {
            entry: fields["kind"] for entry, fields in state["entries"].items()
        }
        assert {file["sha256"] for file in told["attachments"]} == set(state["attachments"])


@pytest.mark.parametrize("name", ["record.json", "documents/", "checksums.sha256"])
def test_it_refuses_a_changed_export(name: str, kept: tuple[Path, dict[str, Any], RecoveryKit], tmp_path: Path) -> None:
    """One byte of the record, of a document's file or of the checksums; everything else as it was exported."""
    whole, changed = zipfile.ZipFile(kept[0].parent / "all.zip"), zipfile.ZipFile(tmp_path / "changed.zip", "w")
    with whole, changed:
        victim = next(one for one in whole.namelist() if one.startswith(name))
        for one in whole.namelist():
            data = bytearray(whole.read(one))
            data[10] ^= one == victim
            changed.writestr(one, bytes(data))
    assert read_export(tmp_path / "changed.zip")["failure"] == "verification-failed"


def product_says(folder: Path, passphrase: str) -> str:
    """The failure class that the product's own reading of the backup ends with."""
    try:
        found = backup.verify(folder, passphrase=passphrase)
    except VaultError as failure:
        return failure.code
    return "damaged" if found.failed else ""


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _only(folder: Path, name: str) -> Path:
    return sorted((folder / name).iterdir())[0]


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "keyslots changed": (lambda folder: _flip(folder / "keyslots"), "unlock-failed"),
    "manifest changed": (lambda folder: _flip(_only(folder, "manifests")), "not-found"),
    "snapshot changed": (lambda folder: _flip(_only(folder, "snapshots")), "cannot-open"),
    "snapshot cut": (
        lambda folder: _only(folder, "snapshots").write_bytes(_only(folder, "snapshots").read_bytes()[:-1]),
        "cannot-open",
    ),
    "sealed file changed": (lambda folder: _flip(_only(folder, "attachments")), "verification-failed"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_it_refuses_a_damaged_backup(what: str, kept: tuple[Path, dict[str, Any], RecoveryKit], tmp_path: Path) -> None:
    change, code = DAMAGE[what]
    shutil.copytree(kept[0], tmp_path / "backup")
    change(tmp_path / "backup")
    assert read_a_second_time(tmp_path / "backup", PASSPHRASE).get("failure") == code
    assert product_says(tmp_path / "backup", PASSPHRASE) in (code, "damaged")


def test_it_refuses_another_passphrase(kept: tuple[Path, dict[str, Any], RecoveryKit]) -> None:
    assert read_a_second_time(kept[0], "sept lampes vertes au soir")["failure"] == "unlock-failed"


def test_every_page_of_a_database_is_authentic_or_refused(vault: Vault, tmp_path: Path) -> None:
    """A bit of any page, and a page in the place of another."""
    from spec.reader import database, refusal

    vault.add(Document(title="one", text="w" * 9000))
    vault.store.backup(tmp_path / "db")
    key, data = vault.derive("elpis-store"), (tmp_path / "db").read_bytes()
    assert database.open_pages(key, data)[:16] == database.MAGIC
    pages = len(data) // database.PAGE
    for page in range(pages):
        changed = bytearray(data)
        changed[page * database.PAGE + 100 + page] ^= 1
        with pytest.raises(refusal.Refused, match="storage-failed"):
            database.open_pages(key, bytes(changed))
    second, third = data[4096:8192], data[8192:12288]
    for wrong in (data[:4096] + third + second + data[12288:], data[:-1], b""):
        with pytest.raises(refusal.Refused, match="storage-failed"):
            database.open_pages(key, wrong)
