"""Files into a vault: once, whole, and only the holder's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vault import Vault
from vault.errors import InputRefused, StorageFailed
from vault.importers import read_file
from vault.intake import import_files
from vault.record import Batch
from vault.review.medications import preoperative_list

FIXTURES = Path(__file__).parent.parent / "fixtures"
ZELIE = "EXEMPLE-VAULT Zélie"
OWN = [FIXTURES / "cda_fr_own", FIXTURES / "fhir_fr_own", FIXTURES / "hl7v2_own", FIXTURES / "xdm_own"]


@pytest.fixture
def zelie(vault: Vault) -> Iterator[Vault]:
    """The empty vault, in the name that the French fixtures carry."""
    name, birth = vault.holder_name, vault.holder_birth
    vault.holder_name, vault.holder_birth = ZELIE, "1984-04-12"
    yield vault
    vault.holder_name, vault.holder_birth = name, birth


def test_importing_twice_adds_nothing(zelie: Vault) -> None:
    first = import_files(zelie, OWN)
    assert not first.skipped
    count = zelie.count()
    # Two French documents share an identifier, two messages a control id; what is in the archive is known by then.
    assert (len(first.documents), len(first.duplicates)) == (count, 4)
    assert all(document.id for document in first.documents)
    again = import_files(zelie, OWN)
    assert (again.documents, zelie.count()) == ([], count)
    assert len(again.duplicates) == len(first.documents) + len(first.duplicates)


def test_what_is_imported_can_be_read_found_and_opened(zelie: Vault) -> None:
    path = FIXTURES / "cda_fr_own/N3_VSM.xml"
    (made,) = import_files(zelie, [path]).documents
    held = zelie.read(made.id)
    assert (held.title, held.type_code, held.date) == (made.title, made.type_code, made.date)
    (read,) = read_file(path.read_bytes(), path.name)
    assert [(entry.kind, entry.fields) for entry in held.entries] == [
        (entry.kind, entry.fields) for entry in read.document.entries
    ]
    assert [entry.kind for entry in held.entries] == [entry.kind for entry in made.entries]
    assert zelie.search("bisoprolol")[0].summary.id == made.id
    original = made.attachments[0]
    assert b"".join(zelie.attachment(made.id, original.sha256)) == path.read_bytes()
    listed = preoperative_list(zelie.entries("medication"), on=date(2026, 11, 21))
    assert [item.label[:10] for item in listed] == ["BISOPROLOL", "RAMIPRIL F"]


def test_somebody_elses_file_is_skipped_unless_asked(vault: Vault) -> None:
    path = FIXTURES / "cda_fr_own/N3_VSM.xml"
    report = import_files(vault, [path])
    assert (report.documents, vault.count()) == ([], 0)
    assert "somebody else" in report.skipped[0].why
    asked = import_files(vault, [path], about_someone_else=True)
    assert (len(asked.documents), vault.count()) == (1, 1)
    assert any("taken as asked" in warning for warning in asked.warnings)


def test_a_file_that_names_nobody_is_taken_with_a_warning(vault: Vault) -> None:
    report = import_files(vault, [FIXTURES / "pdf_own/CR_bio.pdf"])
    assert len(report.documents) == 1
    assert report.warnings == ["CR_bio.pdf: names nobody: taken for the holder's"]


def test_one_identifier_on_two_documents_loses_neither(vault: Vault) -> None:
    """Two published examples carry one Bundle.identifier; the second has a treatment more."""
    paths = [
        FIXTURES / "ips_connectathon" / name for name in ("HK_IPS_Sample1.json", "HK_IPS_Sample_with_medication.json")
    ]
    report = import_files(vault, paths, about_someone_else=True)
    assert len(report.documents) == 2
    assert any("both are kept" in warning for warning in report.warnings)
    assert len(import_files(vault, paths[::-1], about_someone_else=True).duplicates) == 2


def test_bad_files_are_said_and_the_next_still_comes_in(zelie: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b'<!DOCTYPE x [<!ENTITY a "b">]><ClinicalDocument/>')
    (folder / "b.pdf").write_bytes(b"%PDF-1.7 nothing")
    (folder / "c.bin").write_bytes(bytes(1000))
    (folder / "d.json").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"x")
    shutil.copy(FIXTURES / "cda_fr_own/N3_VAC.xml", folder / "z.xml")
    report = import_files(zelie, [folder, tmp_path / "missing.xml"])
    assert [Path(item.file).name for item in report.skipped] == ["a.xml", "b.pdf", "c.bin", "d.json", "missing.xml"]
    assert all(item.why for item in report.skipped)
    assert [document.title for document in report.documents] == ["Historique des vaccinations"]


def test_a_dry_run_writes_nothing(zelie: Vault) -> None:
    report = import_files(zelie, [FIXTURES / "cda_fr_own"], dry_run=True)
    assert len(report.documents) >= 7
    assert not any(document.id for document in report.documents)
    assert zelie.count() == 0


def test_a_file_comes_in_whole_or_not_at_all(zelie: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second document of an archive fails to be stored: the first is not there either."""
    added = []
    real = Batch.add

    def fails_second(*args: Any, **options: Any) -> str:
        added.append(1)
        if len(added) == 2:
            raise refusal
        return real(*args, **options)

    monkeypatch.setattr(Batch, "add", fails_second)
    files = [FIXTURES / "xdm_own/IHE_XDM_2docs.zip", FIXTURES / "cda_fr_own/N3_VAC.xml"]
    refusal: Exception = StorageFailed("disk full")
    with pytest.raises(StorageFailed):
        import_files(zelie, files)
    assert zelie.count() == 0
    assert not list((zelie.path / "attachments").iterdir())
    # A document that is refused takes its file along, and no other.
    added.clear()
    refusal = InputRefused("not this one")
    report = import_files(zelie, files)
    assert [item.why for item in report.skipped] == ["not this one"]
    assert [item.title for item in report.documents] == ["Historique des vaccinations"]
    assert (zelie.count(), len(list((zelie.path / "attachments").iterdir()))) == (1, 1)
    assert zelie.search("vaccinations")


def test_progress_names_each_file(zelie: Vault) -> None:
    seen: list[tuple[str, int, int]] = []
    import_files(zelie, [FIXTURES / "pdf_own"], progress=lambda *step: seen.append(step))
    assert seen == [("CR_bio.pdf", 0, 2), ("lettre_liaison.pdf", 1, 2), ("", 2, 2)]


def test_limited_or_not_gives_the_same(zelie: Vault) -> None:
    free = import_files(zelie, OWN, limited=False, dry_run=True)
    limited = import_files(zelie, OWN, limited=True, dry_run=True)
    assert free.documents == limited.documents
    assert free.warnings == limited.warnings
