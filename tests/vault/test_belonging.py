"""Whose a file is: by name, birth date and INS; whatever is in doubt is asked, and never mixed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from vault import Vault
from vault.belonging import Question
from vault.document import Subject
from vault.errors import InputRefused
from vault.intake import import_files
from vault.review.identity import check_ins, same_person

FIXTURES = Path(__file__).parent.parent / "fixtures"
OID = "1.2.250.1.213.1.4.10"
INS, OTHER_INS = "284047599900133", "185057800608491"


def patient(family: str, given: str, birth: str, number: str = "1", ins: str = "") -> dict:
    identifier = [{"system": f"urn:oid:{OID}", "value": ins}] if ins else []
    return {
        "resource": {
            "resourceType": "Patient", "id": number, "birthDate": birth, "identifier": identifier,
            "name": [{"family": family, "given": [given]}],
        }
    }  # fmt: skip


def bundle(path: Path, *entries: dict, kind: str = "collection") -> Path:
    facts = [
        {"resource": {"resourceType": "Condition", "id": f"c{n}", "code": {"text": f"fait {n}"},
                      "subject": {"reference": f"Patient/{entry['resource']['id']}"}}}
        for n, entry in enumerate(entries)
    ]  # fmt: skip
    path.write_text(json.dumps({"resourceType": "Bundle", "type": kind, "entry": [*entries, *facts]}))
    return path


def subject(ins: str = "", family: str = "", birth: str = "") -> Subject:
    return Subject(family, "", birth, ((f"urn:oid:{OID}", ins),) if ins else ())


def test_one_ins_is_one_person_and_two_are_two() -> None:
    assert same_person(subject(INS, "Durand"), "Martin Léa", "1980-02-03", INS) == (True, "")
    assert same_person(subject(OTHER_INS, "Martin"), "Martin Léa", "", INS) == (False, "the INS is another")
    assert not same_person(subject(INS, "Martin", "1970-01-01"), "Martin Léa", "1980-02-03", INS)[0]
    assert same_person(subject(OTHER_INS, "Martin"), "Martin Léa", "", "")[0]


@pytest.mark.parametrize("written", ["284047599900133", "2 84 04 75 999 001 33", "1850 52a 006 084 35"])
def test_an_ins_is_taken_with_its_key(written: str) -> None:
    assert check_ins(written) == "".join(written.split()).upper()


@pytest.mark.parametrize("written", ["284047599900134", "12345", "984047599900133", "28404759990013x"])
def test_what_is_no_ins_is_refused(written: str) -> None:
    with pytest.raises(InputRefused):
        check_ins(written)


def test_the_ins_of_the_vault_decides(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    mine = bundle(folder / "a.json", patient("Durand", "Nouvelle", "1980-02-03", ins=INS))
    other = bundle(folder / "b.json", patient("Martin", "Léa", "1980-02-03", ins=OTHER_INS))
    vault.set_ins(INS)
    report = import_files(vault, [mine, other])
    assert len(report.documents) == 1
    assert [item.why for item in report.skipped] == [
        "about somebody else than the holder of this vault (the INS is another)"
    ]
    assert (vault.holder_ins, vault.meta("ins")) == (INS, INS)
    vault.set_ins("")
    assert len(import_files(vault, [other]).documents) == 1


def labels(vault: Vault, document: str) -> list[str]:
    return [entry.text("label") for entry in vault.read(document).entries]


def test_two_patients_in_one_file_are_parted_and_asked_about(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    path = bundle(
        folder / "two.json", patient("Martin", "Léa", "1980-02-03"), patient("Durand", "Paul", "1950-01-01", "2")
    )
    report = import_files(vault, [path])
    (own,) = report.documents
    assert labels(vault, own.id) == ["fait 0"]
    assert len(report.skipped) == 1
    assert b"Durand" not in b"".join(vault.attachment(own.id, own.attachments[0].sha256))
    asked: list[Question] = []
    again = import_files(vault, [path], ask=lambda question: bool(asked.append(question)) or True)
    assert [(question.subject.family, question.file) for question in asked if question.subject] == [
        ("Durand", "two.json")
    ]
    assert [labels(vault, item.id) for item in again.documents] == [["fait 1"]]


def test_a_document_about_two_patients_is_asked_about_whole(vault: Vault, tmp_path: Path) -> None:
    text = (FIXTURES / "cda_fr_own/N3_VSM.xml").read_text()
    start, end = text.index("<recordTarget"), text.index("</recordTarget>") + len("</recordTarget>")
    second = text[start:end].replace("EXEMPLE-VAULT", "AUTRE").replace("19840412", "19500101")
    path = tmp_path / "two.xml"
    path.write_text(text[:end] + second + text[end:])
    vault.holder_name, vault.holder_birth = "EXEMPLE-VAULT Zélie", "1984-04-12"
    report = import_files(vault, [path])
    assert (report.documents, [item.why for item in report.skipped]) == ([], ["names more than one patient"])
    assert len(import_files(vault, [path], ask=lambda _question: True).documents) == 1


def test_what_names_nobody_beside_somebody_else_is_not_taken_for_the_holders(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(FIXTURES / "cda_fr_own/N3_VSM.xml", "a.xml")
        archive.write(FIXTURES / "pdf_own/CR_bio.pdf", "b.pdf")
    report = import_files(vault, [path])
    assert not report.documents
    assert sorted(item.why for item in report.skipped) == [
        "about somebody else than the holder of this vault (the birth date is another)",
        "names nobody, in a file that also names somebody else",
    ]
    answers = iter([True, False])
    assert len(import_files(vault, [path], ask=lambda _question: next(answers)).documents) == 1
