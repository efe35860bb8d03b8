"""DICOM objects into documents: one for each study, whichever way the disc comes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from vault import Vault
from vault.importers import dicom
from vault.intake import import_files

SLICES, STUDY, OTHER = 3, generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["other"])


def image(number: int, *, study: str = STUDY, series: str = "1", title: str = "Scanner thorax", **more: str) -> bytes:
    """One slice, of some twenty pixels."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    unique = generate_uid(entropy_srcs=[study, series, str(number)])
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = unique
    made.StudyInstanceUID = study
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[study, series])
    made.Modality, made.StudyDescription, made.SeriesDescription = "CT", title, f"série {series}"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = more.get("name", "Martin^Léa")
    made.PatientBirthDate = more.get("birth", "19800203")
    made.StudyDate, made.StudyTime = "20240311", "101500"
    made.Rows, made.Columns, made.BitsAllocated, made.SamplesPerPixel = 4, 5, 8, 1
    made.PixelRepresentation, made.BitsStored, made.HighBit = 0, 8, 7
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = bytes(20)
    packed = io.BytesIO()
    pydicom.dcmwrite(packed, made, enforce_file_format=True)
    return packed.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Beside the vault, not around it."""
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.fixture
def disc(folder: Path) -> Path:
    """Two series of one study and one image of another, in folders as a disc has them."""
    folder = folder / "disc"
    for series in ("1", "2"):
        (folder / f"DICOM/S{series}").mkdir(parents=True)
        for number in range(SLICES):
            (folder / f"DICOM/S{series}/I{number}").write_bytes(image(number, series=series))
    (folder / "DICOM/X").write_bytes(image(1, study=OTHER, title="Radio genou"))
    (folder / "DICOMDIR").write_bytes((Path(__file__).parent.parent / "fixtures/dicom_pydicom/DICOMDIR").read_bytes())
    return folder


def test_a_disc_is_one_document_for_each_study(vault: Vault, disc: Path) -> None:
    report = import_files(vault, [disc])
    assert not report.skipped
    assert sorted((item.title, len(item.attachments)) for item in report.documents) == [
        ("Radio genou", 1), ("Scanner thorax", 2 * SLICES),
    ]  # fmt: skip
    thorax = next(item for item in report.documents if item.title == "Scanner thorax")
    held = vault.read(thorax.id)
    assert held.date == "2024-03-11T10:15:00"
    assert "3 images: CT série 1" in held.text and "3 images: CT série 2" in held.text
    for attachment in held.attachments:
        assert b"".join(vault.attachment(thorax.id, attachment.sha256))[128:132] == b"DICM"
    again = import_files(vault, [disc])
    assert (again.documents, len(again.duplicates), vault.count()) == ([], 2, 2)


def test_the_index_of_a_disc_stands_for_the_disc(vault: Vault, disc: Path) -> None:
    assert len(import_files(vault, [disc / "DICOMDIR"]).documents) == 2


def test_a_zip_of_a_disc_is_the_same(vault: Vault, disc: Path, folder: Path) -> None:
    packed = folder / "disc.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(disc.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(disc))
    report = import_files(vault, [packed])
    assert sorted(item.title for item in report.documents) == ["Radio genou", "Scanner thorax"]
    assert len(import_files(vault, [disc]).duplicates) == 2


def test_images_that_come_later_are_added_without_doubling(vault: Vault, folder: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(image(number))
    import_files(vault, paths[:2])
    (later,) = import_files(vault, paths).documents
    assert len(later.attachments) == 2
    assert not import_files(vault, paths[2:]).documents
    assert not import_files(vault, paths).documents
    assert vault.count() == 2


def test_a_large_study_becomes_several_of_one_title(
    vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "MAX_OBJECTS", 2)
    for number in range(5):
        (folder / f"{number}.dcm").write_bytes(image(number))
    report = import_files(vault, [folder])
    assert [item.title for item in report.documents][:3] == [f"Scanner thorax ({number})" for number in (1, 2, 3)]
    assert [len(item.attachments) for item in report.documents] == [2, 2, 1]
    assert len(import_files(vault, [folder]).duplicates) == 3


def test_images_of_two_patients_are_two_documents_and_one_is_asked_about(vault: Vault, folder: Path) -> None:
    (folder / "a.dcm").write_bytes(image(1))
    (folder / "b.dcm").write_bytes(image(2, name="Durand^Paul", birth="19500101"))
    report = import_files(vault, [folder])
    assert [len(item.attachments) for item in report.documents] == [1]
    assert ["somebody else" in item.why for item in report.skipped] == [True]
    asked = import_files(vault, [folder], about_someone_else=True)
    assert len(asked.documents) == 1
    assert vault.count() == 2


def test_an_image_that_changed_while_it_was_read_is_left_out(
    vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a.dcm"
    path.write_bytes(image(1))
    real = dicom.group

    def changed(reads: list) -> list:
        path.write_bytes(image(2))
        return real(reads)

    monkeypatch.setattr(dicom, "group", changed)
    report = import_files(vault, [path])
    assert report.skipped and not report.documents and vault.count() == 0
    assert not list((vault.path / "attachments").iterdir())


def concept(meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", meaning
    return [code]


def changed(**fields: object) -> bytes:
    """An object of the study with other content than pixels."""
    made = pydicom.dcmread(io.BytesIO(image(9, series="9")))
    del made.PixelData, made.Rows, made.Columns
    for name, value in fields.items():
        setattr(made, name, value)
    packed = io.BytesIO()
    pydicom.dcmwrite(packed, made, enforce_file_format=True)
    return packed.getvalue()


def test_a_structured_report_is_found_by_its_words(vault: Vault, folder: Path) -> None:
    size, text, outer = Dataset(), Dataset(), Dataset()
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", concept("millimetre")
    measured.MeasurementUnitsCodeSequence[0].CodeValue = "mm"
    size.ValueType, size.ConceptNameCodeSequence, size.MeasuredValueSequence = "NUM", concept("Diamètre"), [measured]
    text.ValueType, text.ConceptNameCodeSequence, text.TextValue = "TEXT", concept("Conclusion"), "Nodule stable"
    outer.ValueType, outer.ConceptNameCodeSequence, outer.ContentSequence = "CONTAINER", concept("Résultats"), [size]
    report = changed(Modality="SR", ValueType="CONTAINER", ContentSequence=[outer, text])
    (folder / "sr.dcm").write_bytes(report)
    (document,) = import_files(vault, [folder]).documents
    assert "Résultats\nDiamètre: 12.5 mm\nConclusion: Nodule stable" in vault.read(document.id).text
    assert vault.search("nodule")


def test_a_report_enclosed_in_a_study_is_a_file_beside_the_images(vault: Vault, folder: Path) -> None:
    pdf = (Path(__file__).parent.parent / "fixtures/pdf_own/CR_bio.pdf").read_bytes()
    padded = pdf + b"\0" * (len(pdf) % 2)
    enclosed = changed(EncapsulatedDocument=padded, EncapsulatedDocumentLength=len(pdf), DocumentTitle="Compte rendu",
                       MIMETypeOfEncapsulatedDocument="application/pdf")  # fmt: skip
    (folder / "a.dcm").write_bytes(image(1))
    (folder / "b.dcm").write_bytes(enclosed)
    (document,) = import_files(vault, [folder]).documents
    kept = {item.name: item for item in document.attachments}
    assert kept.keys() == {"a.dcm", "b.dcm", "Compte rendu.pdf"}
    assert b"".join(vault.attachment(document.id, kept["Compte rendu.pdf"].sha256)) == pdf
    assert b"".join(vault.attachment(document.id, kept["b.dcm"].sha256)) == enclosed
    assert "globine" in vault.read(document.id).text
    assert not import_files(vault, [folder]).documents
