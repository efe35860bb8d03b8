"""Files that are read while they stay where they are: long Apple Health exports, and the export of a whole vault."""

from __future__ import annotations

import hashlib
import json
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import VaultFactory
from tui.exports import to_file
from vault import Attachment, Document, Vault, file_reader
from vault.errors import ForeignChange
from vault.exporters import archive as exported
from vault.importers import archive, elpis_export, plain
from vault.intake import import_files
from vault.survey import survey

PDF = Path(__file__).parent.parent / "fixtures/pdf_own/CR_bio.pdf"
DAY = "2024-01-{:02} 08:00:00 +0200"


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided here, and not in the worker, is decided early."""
    monkeypatch.setattr(file_reader, "LARGE", 1000)


def health(records: int) -> Iterator[bytes]:
    yield b'<?xml version="1.0"?>\n<!DOCTYPE HealthData [\n<!ELEMENT HealthData (Record*)>\n]>\n<HealthData>'
    for number in range(records):
        day = DAY.format(1 + number % 28)
        yield (
            f'<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Montre" unit="count/min"'
            f' value="{50 + number % 90}" startDate="{day}" endDate="{day}"/>\n'
        ).encode()
    yield b"</HealthData>"


def test_a_long_export_of_measurements_is_never_held(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "export.xml"
    with path.open("wb") as file:
        file.writelines(health(400_000))
    size, before = path.stat().st_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert size > 60_000_000
    (document,) = import_files(vault, [path]).documents
    # In here neither is it: the worker's own wall is below its size and the interpreter's together.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < size // 2
    (entry,) = vault.read(document.id).entries
    assert entry.fields["note"] == "n = 400000" and entry.fields["value"].endswith("(50 - 139)")
    (kept,) = document.attachments
    digest = hashlib.sha256()
    for piece in vault.attachment(document.id, kept.sha256):
        digest.update(piece)
    assert (kept.size, digest.hexdigest()) == (size, kept.sha256)
    assert import_files(vault, [path]).duplicates


def test_the_worker_needs_little_memory_for_it(tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """324 000 records in an address space of 150 MB beyond what the worker's own code takes."""
    path = tmp_path / "export.xml"
    with path.open("wb") as file:
        file.writelines(health(324_000))
    monkeypatch.setattr(plain, "MEMORY", 300 << 20)
    assert len(import_files(vault, [path]).documents) == 1


def test_from_its_zip_it_is_the_same(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("apple_health_export/export.xml", b"".join(health(5_000)))
        packed.writestr("apple_health_export/export_cda.xml", b"<ClinicalDocument/>")
    (large,) = import_files(vault, [path], dry_run=True).documents
    monkeypatch.setattr(file_reader, "LARGE", 1 << 30)
    (held,) = import_files(vault, [path], dry_run=True).documents
    assert large == held and large.entries


def test_any_other_large_zip_is_read_whole(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "folder.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.write(PDF, "2024-01-02_Bilan.pdf")
    (made,) = import_files(vault, [path]).documents
    assert (made.title, made.date) == ("Bilan", "2024-01-02")


# --- the export of a vault


def told(count: int, **change: Any) -> dict[str, Any]:
    header = {"kind": "clinical", "type_code": "", "class_code": "", "author": "", "confidentiality": "N"}
    return {
        "elpis_export": 1, "made": "", "holder": {"name": "Zélie EXEMPLE-VAULT", "birth": "1984-04-12"},
        "documents": [
            {
                "id": f"{number:032x}", "title": f"Lettre {number}", **header, "date": "2024-01-02", "language": "fr",
                "source_id": "", "text": f"mot{number} \U0001f600", "entries": [],
                "attachments": [{
                    "sha256": hashlib.sha256(b"x%d" % number).hexdigest(), "media_type": "text/plain", "size": 2,
                    "name": "x.txt", "path": f"documents/{number}.txt",
                }],
            }
            for number in range(count)
        ],
        **change,
    }  # fmt: skip


def pack(path: Path, record: str, count: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(count):
            packed.writestr(f"documents/{number}.txt", b"x%d" % number)
        packed.writestr("record.json", record)
        packed.writestr("checksums.sha256", "")
    return path


def test_a_record_of_more_files_than_an_archive_may_hold(tmp_path: Path, vault: Vault) -> None:
    count = archive.MAX_MEMBERS + 1
    path = pack(tmp_path / "export.zip", json.dumps(told(count)), count)
    outcomes, _ = survey([path])
    assert [(item.format, item.how) for item in outcomes] == [("elpis", "whole")]
    done = import_files(vault, [path])  # about somebody else: asked once, refused as a whole
    assert not done.documents and len(done.skipped) == 1


@pytest.mark.parametrize("indent", [None, 1])
def test_it_comes_in_once(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 100)
    record = json.dumps(told(200), indent=indent, ensure_ascii=indent is None)
    path = pack(tmp_path / "export.zip", record, 200)
    done = import_files(vault, [path], about_someone_else=True, limited=False)
    assert (len(done.documents), done.skipped) == (200, [])
    (warning,) = done.warnings
    assert "somebody else" in warning and [item.how for item in done.outcomes] == ["whole"]
    assert vault.search("mot199") and done.id
    assert len(import_files(vault, [path], about_someone_else=True, limited=False).duplicates) == 200


@pytest.mark.parametrize("why", ["cut", "not a document"])
def test_what_ends_early_leaves_nothing_and_the_next_file_comes_in(vault: Vault, tmp_path: Path, why: str) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    record = json.dumps(told(50))
    record = record[: len(record) - 300] if why == "cut" else record.replace(f"{49:032x}", "x")
    pack(folder / "a.zip", record, 50)
    (folder / "b.pdf").write_bytes(PDF.read_bytes())
    done = import_files(vault, [folder], about_someone_else=True)
    assert [Path(item.file).name for item in done.skipped] == ["a.zip"]
    assert vault.count() == len(done.documents) == 1
    assert len(list((vault.path / "attachments").iterdir())) == 1
    assert {Path(item.file).name: item.how for item in done.outcomes} == {"a.zip": "refused", "b.pdf": "whole"}


def test_stopped_half_way_it_leaves_nothing(vault: Vault, tmp_path: Path) -> None:
    path, asked = pack(tmp_path / "a.zip", json.dumps(told(50)), 50), iter(range(1_000))
    done = import_files(vault, [path], about_someone_else=True, stopped=lambda: next(asked) > 20)
    assert "stopped before its end" in done.skipped[0].why and vault.count() == 0
    assert not list((vault.path / "attachments").iterdir())


def test_a_changed_file_is_left_out_and_said(vault: Vault, tmp_path: Path) -> None:
    record = told(3)
    record["documents"][1]["attachments"][0]["sha256"] = "0" * 64
    done = import_files(vault, [pack(tmp_path / "a.zip", json.dumps(record), 3)], about_someone_else=True)
    assert [len(item.attachments) for item in done.documents] == [1, 0, 1]
    assert any("missing from the archive, or changed" in warning for warning in done.warnings)


def test_both_ways_of_reading_give_the_same(vault_factory: VaultFactory, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", json.dumps(told(20)), 20)
    made: list[list[Document]] = [
        import_files(vault_factory(), [path], about_someone_else=True, dry_run=True, limited=limited).documents
        for limited in (True, False)
    ]
    assert made[0] == made[1] and len(made[0]) == 20


def test_a_record_that_unpacks_to_too_much_is_refused(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL", 1_000)
    monkeypatch.setattr(archive, "OWN_RATIO", 1)
    record = told(2)
    data = bytes(1_000_000)
    for item in record["documents"]:
        item["attachments"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "path": "documents/0.txt"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("documents/0.txt", data)
        packed.writestr("record.json", json.dumps(record))
        packed.writestr("checksums.sha256", "")
    done = import_files(vault, [tmp_path / "a.zip"], about_someone_else=True, limited=False)
    assert not done.documents and "more than is read" in done.skipped[0].why


def large(path: Path, size: int, compression: int, *, changed: bool = False) -> tuple[Path, str]:
    """An export of one document with one large file, and the hash of that file."""
    piece, digest = bytes(range(256)) * 4096, hashlib.sha256()
    record = told(1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        info = zipfile.ZipInfo("documents/0.txt")
        info.compress_type = compression
        with packed.open(info, "w", force_zip64=True) as member:
            for at in range(0, size, len(piece)):
                digest.update(piece[: size - at])
                member.write(piece[: size - at] if not (changed and at == 0) else piece[::-1])
        (attachment,) = record["documents"][0]["attachments"]
        attachment |= {"sha256": digest.hexdigest(), "size": size}
        packed.writestr("record.json", json.dumps(record))
        packed.writestr("checksums.sha256", "")
    return path, digest.hexdigest()


def test_a_file_that_is_too_large_to_be_handed_over_is_stored_from_where_it_stands(
    vault: Vault, tmp_path: Path
) -> None:
    size = elpis_export.MAX_ATTACHMENT + 1_000_003
    path, digest = large(tmp_path / "export.zip", size, zipfile.ZIP_STORED)
    done = import_files(vault, [path], about_someone_else=True)
    (document,) = done.documents
    (kept,) = document.attachments
    assert (kept.sha256, kept.size, done.skipped) == (digest, size, [])
    found = hashlib.sha256()
    for piece in vault.attachment(document.id, digest):
        found.update(piece)
    assert found.hexdigest() == digest
    assert import_files(vault, [path], about_someone_else=True).duplicates


@pytest.mark.parametrize(("compression", "changed"), [(zipfile.ZIP_DEFLATED, False), (zipfile.ZIP_STORED, True)])
def test_one_that_is_compressed_or_changed_is_left_out_and_said(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int, changed: bool
) -> None:
    monkeypatch.setattr(elpis_export, "MAX_ATTACHMENT", 1 << 20)
    path, _digest = large(tmp_path / "export.zip", 3 << 20, compression, changed=changed)
    done = import_files(vault, [path], about_someone_else=True, limited=False)
    (document,) = done.documents
    assert document.attachments == ()
    assert any("missing from the archive, or changed" in item or "left out" in item for item in done.warnings)


def test_a_place_outside_of_the_archive_is_no_answer(tmp_path: Path) -> None:
    own = plain.Outside("0" * 64, 100)
    attachment = ["1" * 64, "text/plain", "x"]
    for place in ([0, 101], [-1, 5], [90, 20], [0, True], "ab"):
        with pytest.raises(ForeignChange):
            plain._answered({"reads": [{"attachments": [attachment], "slices": {"1" * 64: place}}]}, [b""], own)


def test_what_is_exported_comes_back_whatever_its_size(
    vault_factory: VaultFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elpis_export, "MAX_ATTACHMENT", 1 << 20)
    monkeypatch.setattr(exported, "STORED", 1 << 20)
    mine, data = vault_factory(), bytes(range(256)) * 8192
    item = Attachment(hashlib.sha256(data).hexdigest(), "application/dicom", len(data), "a.dcm")
    mine.add(Document(title="IRM", attachments=(item,)), {item.sha256: data})
    to_file(mine, "archive", tmp_path / "all.zip")
    again = vault_factory()
    (document,) = import_files(again, [tmp_path / "all.zip"], about_someone_else=True, limited=False).documents
    assert b"".join(again.attachment(document.id, item.sha256)) == data
