"""The front door: create, unlock, recover, lock, change the passphrase; the record through it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from vault import Attachment, Document, Entry, RecoveryKit, Vault
from vault.errors import (
    InputRefused,
    NotFound,
    NoVault,
    RolledBack,
    StorageFailed,
    UnlockFailed,
    VaultBusy,
    VaultExists,
    VaultLocked,
)

NEW = "une autre phrase de passe"


def test_what_was_written_is_read_after_lock_and_unlock(vault: Vault, passphrase: str) -> None:
    document_id = vault.add(Document(title="Compte rendu", date="2024-05-01", author="Dr Çelik", text="Bonjour"))
    section = vault.section("medications")
    entry_id = vault.add_entry(section, "medication", {"label": "BISOPROLOL 2,5 mg", "dose": "1/j", "negated": False})
    vault.lock()
    with Vault.unlock(vault.path, passphrase) as again:
        assert again.read(document_id) == Document(
            id=document_id, title="Compte rendu", date="2024-05-01", author="Dr Çelik", text="Bonjour"
        )
        assert again.read(section).entries == (
            Entry(entry_id, "medication", {"label": "BISOPROLOL 2,5 mg", "dose": "1/j", "negated": False}),
        )
        assert (again.holder_name, again.holder_birth, again.role) == ("Martin Léa", "1980-02-03", "")


def test_entries_are_amended_field_by_field_and_removed(vault: Vault) -> None:
    section = vault.section("allergies")
    assert vault.section("allergies") == section
    entry_id = vault.add_entry(section, "allergy", {"label": "Pénicilline", "severity": "severe"})
    vault.amend_entry(section, entry_id, {"severity": None, "reaction": "urticaire"})
    assert vault.read(section).entries[0].fields == {"label": "Pénicilline", "reaction": "urticaire"}
    assert [entry.id for _, entry in vault.entries("allergy")] == [entry_id]
    vault.remove_entry(section, entry_id)
    assert vault.read(section).entries == ()
    assert list(vault.entries("allergy")) == []
    with pytest.raises(NotFound):
        vault.amend_entry(section, entry_id, {"label": "x"})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("nonsense", {"label": "x"}),
        ("medication", {"unknown_field": "x"}),
        ("medication", {"label": 1.5}),
        ("medication", {"label": "x" * 100_001}),
        ("medication", {"label": "half a pair \ud83d"}),
        ("medication", {"dose_number": 1 << 60}),
    ],
)
def test_what_no_reader_would_understand_is_refused_and_leaves_nothing(vault: Vault, kind: str, fields: dict) -> None:
    section = vault.section("medications")
    with pytest.raises(InputRefused):
        vault.add_entry(section, kind, fields)
    assert vault.read(section).entries == ()


def test_an_amended_document_is_found_by_its_new_words_and_at_its_new_date(vault: Vault) -> None:
    first = vault.add(Document(title="Ancien titre", date="2020-01-01"))
    vault.add(Document(title="Autre", date="2021-01-01"))
    vault.amend(first, {"title": "Échographie", "date": "2022-02-02"})
    assert [hit.summary.id for hit in vault.search("echo")] == [first]
    assert vault.search("ancien") == ()
    assert [line.title for line in vault.list().documents] == ["Échographie", "Autre"]
    vault.amend(first, {"title": "Scanner"})
    assert [vault.search("echo"), [hit.summary.title for hit in vault.search("scan")]] == [(), ["Scanner"]]
    with pytest.raises(InputRefused):
        vault.amend(first, {"source_id": "x"})


def test_adding_the_same_source_twice_adds_nothing(vault: Vault) -> None:
    document = Document(title="CR", source_id="cda:1.2.3^4^1")
    assert vault.add(document) == vault.add(document)
    assert vault.count() == 1
    assert vault.find_source("cda:1.2.3^4^1") == vault.add(document)
    assert vault.find_source("cda:unknown") is None


def test_a_document_is_found_by_the_beginning_of_its_id(vault: Vault) -> None:
    document_id = vault.add(Document(title="x"))
    assert vault.find(document_id[:6].upper()) == document_id
    for prefix in ("", "abc", "zzzz", "%%%%", document_id + "00"):
        with pytest.raises(NotFound):
            vault.find(prefix)
    with pytest.raises(NotFound):
        vault.read("00" * 16)
    with pytest.raises(NotFound):
        vault.read("not an id")


def test_every_attachment_comes_with_its_file(vault: Vault) -> None:
    with pytest.raises(InputRefused):
        vault.add(Document(attachments=(Attachment("0" * 64, "application/pdf", 3),)))
    with pytest.raises(InputRefused):
        vault.add(Document(attachments=(Attachment("0" * 64, "application/pdf", 3),)), {"0" * 64: b"abc"})
    assert vault.count() == 0
    assert list((vault.path / "attachments").iterdir()) == []


def test_no_second_vault_in_a_folder_and_none_where_there_is_none(
    vault: Vault, passphrase: str, tmp_path: Path
) -> None:
    vault.lock()
    with pytest.raises(VaultExists):
        Vault.create(vault.path, name="X", passphrase=passphrase)
    with pytest.raises(NoVault):
        Vault.unlock(tmp_path / "nothing", passphrase)
    with pytest.raises(InputRefused):
        Vault.create(tmp_path / "new", name="X", passphrase="short")
    with pytest.raises(InputRefused):
        Vault.create(tmp_path / "new", name=" ", passphrase=passphrase)


def test_only_its_owner_may_look_into_the_folder(vault: Vault) -> None:
    document_id = vault.add(Document(title="x"))
    vault.attach(document_id, b"abc", name="a", media_type="text/plain")
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o700
    for path in vault.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_wrong_passphrase_opens_nothing(vault: Vault) -> None:
    vault.lock()
    with pytest.raises(UnlockFailed):
        Vault.unlock(vault.path, "une phrase qui n'est pas la bonne")


def test_the_same_phrase_from_another_keyboard_opens(vault: Vault, tmp_path: Path, passphrase: str) -> None:
    vault.change_passphrase(passphrase, "e\u0301te\u0301 \ufb01ni ce matin")
    vault.lock()
    Vault.unlock(vault.path, " \u00e9t\u00e9 fini ce matin\n").lock()


def test_a_changed_passphrase_replaces_the_old_and_reencrypts_nothing(vault: Vault, passphrase: str) -> None:
    vault.add(Document(title="x"))
    before = (vault.path / "vault.db").read_bytes()
    with pytest.raises(UnlockFailed):
        vault.change_passphrase("not the old phrase", NEW)
    vault.change_passphrase(passphrase, NEW)
    assert (vault.path / "vault.db").read_bytes() == before
    vault.lock()
    with pytest.raises(UnlockFailed):
        Vault.unlock(vault.path, passphrase)
    with Vault.unlock(vault.path, NEW) as again:
        assert again.count() == 1


def test_a_crash_while_the_passphrase_changes_leaves_a_vault_that_opens(
    vault: Vault, passphrase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("power")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(StorageFailed):
            vault.change_passphrase(passphrase, NEW)
    vault.lock()
    Vault.unlock(vault.path, passphrase).lock()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_recovery_kit_opens_the_vault_again(
    vault: Vault, made: dict[str, tuple[Path, RecoveryKit]], language: str, passphrase: str
) -> None:
    vault.add(Document(title="x"))
    vault.lock()
    words = made[""][1].words(language)
    assert len(words) == 24
    with Vault.recover(vault.path, " ".join(words).upper(), NEW) as again:
        assert again.count() == 1
        assert again.meta_bytes("root") == made[""][1].root_key().public
    with pytest.raises(UnlockFailed):
        Vault.unlock(vault.path, passphrase)
    Vault.unlock(vault.path, NEW).lock()
    wrong = [words[1], words[0], *words[2:]]
    with pytest.raises(UnlockFailed):
        Vault.recover(vault.path, " ".join(wrong), NEW)


def test_a_new_kit_replaces_the_old(vault: Vault, passphrase: str, made: dict[str, tuple[Path, RecoveryKit]]) -> None:
    kit = vault.replace_kit(passphrase)
    vault.lock()
    with pytest.raises(UnlockFailed):
        Vault.recover(vault.path, " ".join(made[""][1].words()), NEW)
    Vault.recover(vault.path, " ".join(kit.words()), NEW).lock()


def test_a_locked_vault_answers_nothing(vault: Vault) -> None:
    document_id = vault.add(Document(title="x"))
    vault.lock()
    vault.lock()
    for act in (lambda: vault.read(document_id), vault.list, lambda: vault.add(Document(title="y"))):
        with pytest.raises(VaultLocked):
            act()


def test_a_vault_is_open_once(vault: Vault, passphrase: str) -> None:
    with pytest.raises(VaultBusy):
        Vault.unlock(vault.path, passphrase, wait=0.1)


def _hold(path: Path, passphrase: str, ready: object) -> None:
    Vault.unlock(path, passphrase)
    ready.set()  # type: ignore[attr-defined]
    threading.Event().wait()


def test_the_lock_dies_with_its_process(vault: Vault, passphrase: str) -> None:
    vault.lock()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(vault.path, passphrase, ready))
    other.start()
    assert ready.wait(60)
    with pytest.raises(VaultBusy):
        Vault.unlock(vault.path, passphrase, wait=0)
    other.kill()
    other.join()
    Vault.unlock(vault.path, passphrase).lock()


def test_rollback_of_vault_the_database_put_back(vault: Vault, passphrase: str) -> None:
    vault.add(Document(title="before"))
    vault.lock()
    shutil.copy(vault.path / "vault.db", vault.path.parent / "old.db")
    with Vault.unlock(vault.path, passphrase) as again:
        again.add(Document(title="after"))
    shutil.copy(vault.path.parent / "old.db", vault.path / "vault.db")
    with pytest.raises(RolledBack):
        Vault.unlock(vault.path, passphrase)
    with Vault.unlock(vault.path, passphrase, accept_older=True) as accepted:
        assert [line.title for line in accepted.list().documents] == ["before"]
        accepted.add(Document(title="on we go"))
    Vault.unlock(vault.path, passphrase).lock()


def test_rollback_of_vault_another_history_of_the_same_length(vault: Vault, passphrase: str) -> None:
    vault.lock()
    twin = vault.path.parent / "twin"
    shutil.copytree(vault.path, twin)
    for path in (vault.path, twin):
        with Vault.unlock(path, passphrase) as opened:
            opened.add(Document(title="one more"))
    shutil.copy(twin / "vault.db", vault.path / "vault.db")
    with pytest.raises(RolledBack):
        Vault.unlock(vault.path, passphrase)


def test_rollback_of_vault_a_head_removed_or_changed(vault: Vault, passphrase: str) -> None:
    vault.add(Document(title="x"))
    vault.lock()
    head = vault.path / "head"
    whole = head.read_bytes()
    for damaged in (b"", whole[:-1], whole + b"\0", *(_flipped(whole, bit) for bit in range(0, len(whole) * 8, 37))):
        head.write_bytes(damaged)
        with pytest.raises(RolledBack):
            Vault.unlock(vault.path, passphrase)
    head.write_bytes(whole)
    Vault.unlock(vault.path, passphrase).lock()


def test_a_head_that_lags_after_a_crash_is_fine(vault: Vault, passphrase: str) -> None:
    vault.add(Document(title="1"))
    behind = (vault.path / "head").read_bytes()
    vault.add(Document(title="2"))
    vault.lock()
    (vault.path / "head").write_bytes(behind)
    with Vault.unlock(vault.path, passphrase) as again:
        assert again.count() == 2


def test_after_a_rollback_no_actor_is_used_again(vault: Vault, passphrase: str) -> None:
    document_id = vault.add(Document(title="x"))
    before = vault.documents.replica(document_id).actor
    vault.lock()
    with Vault.unlock(vault.path, passphrase, accept_older=True) as again:
        assert again.documents.replica(document_id).actor != before


def test_an_interrupted_creation_is_begun_again(
    tmp_path: Path, passphrase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("vault.keys.write_whole", _power_cut)
        with pytest.raises(StorageFailed):
            Vault.create(tmp_path / "v", name="X", passphrase=passphrase)
    with pytest.raises(NoVault):
        Vault.unlock(tmp_path / "v", passphrase)
    vault, _ = Vault.create(tmp_path / "v", name="X", passphrase=passphrase)
    vault.lock()


def test_sweeping_removes_only_files_that_no_document_names(vault: Vault) -> None:
    document_id = vault.add(Document(title="x"))
    kept = vault.attach(document_id, b"abc" * 1000, name="a", media_type="text/plain")
    (vault.path / "attachments" / ("0" * 64)).write_bytes(b"left by a crash")
    assert vault.sweep() == 1
    assert b"".join(vault.attachment(document_id, kept.sha256)) == b"abc" * 1000


def test_threads_share_a_vault(vault: Vault) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for index in range(20):
                vault.add(Document(title=f"{number} {index}"))
                vault.list(limit=5)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert vault.count() == 80


def _power_cut(*_: object) -> None:
    raise StorageFailed("power")


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_nothing_readable_lies_in_the_folder(vault: Vault) -> None:
    document_id = vault.add(Document(title="Canari Zinzolin", text="Canari Zinzolin " * 50))
    vault.attach(document_id, b"Canari Zinzolin " * 5000, name="Canari Zinzolin", media_type="text/plain")
    for path in vault.path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(word in data for word in (b"Zinzolin", b"zinzolin", b"Martin")), path
            assert os.path.basename(path) not in data.decode("latin-1")
