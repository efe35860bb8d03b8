"""What leaves the vault: the same record when it comes back, valid FHIR, pages that say it all, names as data."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.conftest import BIRTH, HOLDER, VaultFactory
from vault import Attachment, Document, Entry, Vault
from vault.errors import CannotOpen, InputRefused
from vault.exporters import archive, printed, xdm
from vault.exporters.ips import Holder, bundle
from vault.importers import read_file
from vault.intake import import_files
from vault.record import sha256_of
from vault.review.medications import preoperative_list
from vault.review.profile import profile

FIXTURES = Path(__file__).parent.parent / "fixtures"
MADE = 1_795_000_000  # 2026-11-18
TODAY = date(2026, 11, 18)
HOSTILE = '</li><script>alert(1)</script><img src="https://payer.example/x">&amp;\x1b[31m\u202e'
WHO = Holder(HOLDER, BIRTH)
SOME = ("cda_fr_own", "fhir_r4_synthea", "ips_hl7", "pdf_own", "xdm_own", "hl7v2_own", "scan_own", "dicom_pydicom")


def documents(vault: Vault) -> Iterator[Document]:
    for summary in vault.list(limit=10_000).documents:
        yield vault.read(summary.id)


def content(vault: Vault) -> Any:
    return lambda document, attachment: vault.attachment(document.id, attachment.sha256)


def exported(vault: Vault, path: Path, kind: Any = archive) -> Any:
    with path.open("xb") as target:
        return kind.write(target, WHO, documents(vault), content(vault), made=MADE, language="fr")


def record(vault: Vault) -> list[Any]:
    """Everything that a person put in or took in; ids of documents belong to a vault and are left out."""
    told = []
    for document in documents(vault):
        source = "" if document.source_id.startswith("elpis:") else document.source_id
        files = {item.sha256: b"".join(vault.attachment(document.id, item.sha256)) for item in document.attachments}
        entries = sorted((entry.id, entry.kind, sorted(entry.fields.items(), key=str)) for entry in document.entries)
        header = dataclasses.replace(document, id="", source_id=source, entries=(), attachments=())
        told.append((repr(header), entries, sorted(document.attachments, key=str), sorted(files.items())))
    return sorted(told, key=str)


@pytest.fixture
def full(vault: Vault) -> Vault:
    import_files(vault, [FIXTURES / name for name in SOME], about_someone_else=True, limited=False)
    section = vault.section("medications")
    vault.add_entry(section, "medication", {"label": "PREVISCAN 20 mg", "dose": "1 le soir", "status": "active"})
    vault.add_entry(section, "medication", {"label": HOSTILE, "note": "deux\nlignes", "status": "active"})
    vault.add_entry(vault.section("allergies"), "allergy", {"label": "Pénicilline", "reaction": "urticaire"})
    vault.add_entry(vault.section("allergies"), "allergy", {"label": "Arachide", "negated": True})
    data = b"<html><script>alert(1)</script>"
    file = Attachment(sha256_of(data), "text/html", len(data), "../../etc/passwd.html")
    vault.add(
        Document(title=HOSTILE.replace("\x1b", "").replace("\u202e", ""), attachments=(file,)), {file.sha256: data}
    )
    return vault


# --- archive


def test_an_archive_that_comes_back_is_the_same_record(
    full: Vault, vault_factory: VaultFactory, tmp_path: Path
) -> None:
    path = tmp_path / "export.zip"
    written = exported(full, path)
    assert written.documents == full.count() > 15 and written.damaged == []
    other = vault_factory()
    done = import_files(other, [path])
    assert done.skipped == [] and len(done.documents) == full.count()
    # Marks that reorder text or drive a terminal are taken out on the way in, here as everywhere.
    cleaned = [item for item in record(full) if "alert(1)" not in str(item)]
    assert [item for item in record(other) if "alert(1)" not in str(item)] == cleaned
    assert len(cleaned) == full.count() - 2
    assert len(other.read(other.section("medications")).entries) == 2


def test_nothing_is_doubled(full: Vault, vault_factory: VaultFactory, tmp_path: Path) -> None:
    path, count = tmp_path / "export.zip", full.count()
    exported(full, path)
    again = import_files(full, [path], limited=False)
    assert full.count() <= count + 1  # the one whose text was cleaned on the way
    assert len(again.duplicates) >= count - 1
    other = vault_factory()
    import_files(other, [path], limited=False)
    before = other.count()
    assert len(import_files(other, [path], limited=False).duplicates) == before == other.count()
    # The very files that the record was made of are known too.
    source = FIXTURES / "cda_fr_own"
    assert import_files(other, [source], about_someone_else=True, limited=False).documents == []


def test_checksums_are_those_of_the_files_and_originals_are_as_they_came(full: Vault, tmp_path: Path) -> None:
    exported(full, tmp_path / "export.zip")
    originals = {item.sha256 for document in documents(full) for item in document.attachments}
    known = {hashlib.sha256(path.read_bytes()).hexdigest() for path in FIXTURES.rglob("*") if path.is_file()}
    assert len(originals & known) > 10
    with zipfile.ZipFile(tmp_path / "export.zip") as packed:
        assert packed.testzip() is None
        sums = dict(reversed(line.split("  ", 1)) for line in packed.read("checksums.sha256").decode().splitlines())
        assert sums.keys() == set(packed.namelist()) - {"checksums.sha256"}
        for name, digest in sums.items():
            assert hashlib.sha256(packed.read(name)).hexdigest() == digest
            assert ".." not in name and not name.startswith("/") and "\\" not in name
    assert originals <= set(sums.values())


def test_the_index_fetches_and_executes_nothing(full: Vault, tmp_path: Path) -> None:
    exported(full, tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as packed:
        page = packed.read("index.html").decode()
        names = set(packed.namelist())
    assert "<script" not in page and "<img" not in page and "\x1b" not in page and "\u202e" not in page
    assert not re.search(r"(?:src|href)=\"(?:https?:|//|data:|javascript:)", page)
    assert "default-src 'none'" in page and "Non vérifié par un professionnel" in page
    assert "[ANTICOAGULANT]" in page and "NON : </span>Arachide" in page
    from html import unescape
    from urllib.parse import unquote

    links = re.findall(r'href="([^"]+)"([^>]*)>', page)
    assert links and {unquote(unescape(link)) for link, _ in links} <= names
    assert all("download" in how for link, how in links if link.endswith((".html", ".xml")))


def test_a_damaged_file_is_named_and_the_rest_goes_out(
    full: Vault, vault_factory: VaultFactory, tmp_path: Path
) -> None:
    (bad, *_) = [document for document in documents(full) if document.attachments]

    def read(document: Document, attachment: Attachment) -> Iterator[bytes]:
        if document.id == bad.id:
            yield b"begin"
            raise CannotOpen("changed")
        yield from full.attachment(document.id, attachment.sha256)

    with (tmp_path / "export.zip").open("xb") as target:
        written = archive.write(target, WHO, documents(full), read, made=MADE, language="en")
    assert {title for title, _ in written.damaged} == {bad.title}
    other = vault_factory()
    done = import_files(other, [tmp_path / "export.zip"], limited=False)
    assert len(done.documents) == full.count()


@pytest.mark.parametrize("change", [
    {"elpis_export": 2}, {"documents": [{}]}, {"documents": 7}, {"holder": None},
    {"documents": [{"id": "x", "kind": "clinical"}]},
])  # fmt: skip
def test_an_archive_that_elpis_did_not_write_is_refused(change: dict[str, Any]) -> None:
    told = {"elpis_export": 1, "made": "", "holder": {"name": "A", "birth": ""}, "documents": [], **change}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr("record.json", json.dumps(told))
        packed.writestr("checksums.sha256", "")
    with pytest.raises(InputRefused):
        read_file(target.getvalue(), "export.zip")


# --- FHIR


def rows_of(path: Path) -> list[tuple[Any, Entry]]:
    reads = read_file(path.read_bytes(), path.name)
    return [(Document(id=f"{at}", date=read.document.date), entry)
            for at, read in enumerate(reads) for entry in read.document.entries]  # fmt: skip


def test_every_fixture_gives_a_valid_summary() -> None:
    tried = 0
    for path in sorted(FIXTURES.rglob("*")):
        if not path.is_file() or path.suffix in (".md", ".tsv"):
            continue
        try:
            rows = rows_of(path)
        except InputRefused:
            continue
        data = bundle(WHO, profile(rows, on=TODAY), made=MADE, language="en")
        made = Bundle.model_validate_json(data)
        kinds = [entry.resource.get_resource_type() for entry in made.entry]
        assert kinds[:2] == ["Composition", "Patient"]
        urls = {entry.fullUrl for entry in made.entry}
        assert len(urls) == len(made.entry)
        assert set(re.findall(r'"reference": "([^"]+)"', data.decode())) <= urls
        tried += 1
    assert tried > 30


def test_a_summary_says_what_the_record_says() -> None:
    rows = [
        (Document(id="1", date="2026-01-01"), Entry("a", kind, fields)) for kind, fields in (
            ("medication", {"label": "PREVISCAN 20 mg", "dose": "1 le soir", "status": "active", "start": "2019-05"}),
            ("medication", {"label": "Aspirine", "negated": True}),
            ("allergy", {"label": "Pénicilline", "criticality": "high", "reaction": "choc", "severity": "severe"}),
            ("allergy", {"label": "Arachide", "negated": True, "code": "91935009", "system": "2.16.840.1.113883.6.96"}),
            ("condition", {"label": HOSTILE, "start": "hier", "code": "x", "system": "not a system"}),
            ("immunization", {"label": "REPEVAX"}),
            ("vital", {"label": "Poids", "value": "71,50", "unit": "kg", "start": "2026-01-01T10:00:00Z"}),
            ("result", {"label": "Groupe", "value": "\ue0005", "start": "2026"}),
        )
    ]  # fmt: skip
    data = bundle(Holder("Zoé \ue000", "vers 1950"), profile(rows, on=TODAY), made=MADE, language="fr")
    made = Bundle.model_validate_json(data)
    by_kind: dict[str, list[Any]] = {}
    for entry in json.loads(data)["entry"]:
        by_kind.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    assert {item["status"] for item in by_kind["MedicationStatement"]} == {"active", "not-taken"}
    assert {item["verificationStatus"]["coding"][0]["code"] for item in by_kind["AllergyIntolerance"]} == {
        "confirmed", "refuted",
    }  # fmt: skip
    coded = next(item for item in by_kind["AllergyIntolerance"] if item["code"]["text"] == "Arachide")
    assert coded["code"]["coding"] == [{"system": "urn:oid:2.16.840.1.113883.6.96", "code": "91935009"}]
    assert "coding" not in by_kind["Condition"][0]["code"] and "onsetDateTime" not in by_kind["Condition"][0]
    assert b'"value": 71.50' in data and "birthDate" not in by_kind["Patient"][0]
    assert b"<script>" not in data.split(b'"div"')[1] and made.type == "document"
    (back,) = read_file(data, "ips.json")
    assert {entry.text("label") for entry in back.document.entries} >= {"PREVISCAN 20 mg", "Arachide", "Poids"}
    assert [entry.negated for entry in back.document.entries if entry.text("label") == "Arachide"] == [True]


def test_an_empty_record_claims_nothing() -> None:
    data = bundle(WHO, profile([], on=TODAY), made=MADE, language="fr")
    Bundle.model_validate_json(data)
    sections = json.loads(data)["entry"][0]["resource"]["section"]
    assert [section["emptyReason"]["coding"][0]["code"] for section in sections] == ["unavailable"] * 3


# --- XDM


def test_an_xdm_archive_is_read_by_its_metadata(full: Vault, vault_factory: VaultFactory, tmp_path: Path) -> None:
    written = exported(full, tmp_path / "export.zip", xdm)
    assert written.files > 10 and written.damaged == []
    other = vault_factory()
    done = import_files(other, [tmp_path / "export.zip"], about_someone_else=True, limited=False)
    assert done.skipped == [] and not [
        text for text in done.warnings if "SHA-1" in text or "not in the archive" in text
    ]
    titles = {document.title for document in done.documents}
    for document in documents(full):
        if any("xml" in item.media_type for item in document.attachments):
            assert document.title in titles
    with zipfile.ZipFile(tmp_path / "export.zip") as packed:
        assert {"INDEX.HTM", "README.TXT", "IHE_XDM/SUBSET01/METADATA.XML"} <= set(packed.namelist())
        assert all(re.fullmatch(r"[A-Z0-9_]{1,8}\.[A-Z]{1,4}", name.rpartition("/")[2]) for name in packed.namelist())
        assert "<script" not in packed.read("INDEX.HTM").decode()


# --- paper


def pages(data: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(data)
    assert all([round(side) for side in page.get_size()] == [595, 842] for page in document)
    return [" ".join(page.get_textpage().get_text_range().split()) for page in document]


def page(language: str) -> printed.Page:
    return printed.Page(Holder("Martin Zoé <b>", "1957-03-02"), TODAY, language, {"1": "Lettre <i>&amp; cie"})


def some(number: int = 3) -> list[tuple[Any, Entry]]:
    labels = [f"TRAITEMENT {at} 10 mg" for at in range(number)] + ["PREVISCAN 20 mg", "KARDEGIC 75 mg", HOSTILE]
    usual = {"dose": "1 le soir", "start": "2019-05-01", "status": "active"}
    taken = [Entry(label, "medication", {"label": label, **usual}) for label in labels]
    facts = [
        Entry("a", "allergy", {"label": "Pénicilline", "reaction": "choc"}),
        Entry("b", "allergy", {"label": "Arachide", "negated": True}),
        Entry("c", "condition", {"label": "Fibrillation atriale", "start": "2018"}),
        Entry("d", "immunization", {"label": "REPEVAX", "start": "2012-03-01"}),
        Entry("e", "directive", {"label": "Personne de confiance : Awa Ndiaye"}),
    ]
    return [(Document(id="1", date="2026-01-01"), entry) for entry in (*taken, *facts)]


@pytest.mark.parametrize(("language", "words"), [
    ("fr", ("[ANTICOAGULANT] PREVISCAN", "[ANTIAGRÉGANT] KARDEGIC", "Non vérifié par un professionnel",
            "NON : Arachide", "2 mars 1957", "Tétanos", "1er mars 2012", "Personne de confiance", "Dr Awa",
            "Ne pas arrêter sans avis", "fluindione")),
    ("en", ("[ANTICOAGULANT] PREVISCAN", "[ANTIPLATELET] KARDEGIC", "Not checked by a professional", "NO: Arachide",
            "2 March 1957", "Tetanus", "1 March 2012", "Not to be stopped without")),
])  # fmt: skip
def test_the_summary_on_paper(language: str, words: tuple[str, ...]) -> None:
    target = io.BytesIO()
    contacts = [printed.Contact("Dr Awa <u>Ndiaye</u>", "médecin")]
    printed.summary(target, page(language), profile(some(), on=TODAY), contacts)
    told = pages(target.getvalue())
    for word in words:
        assert word in " ".join(told)
    assert "Martin Zoé <b>" in told[0] and "<script>alert(1)</script>" in " ".join(told)
    assert told[0].index("ANTICOAGULANT") < told[0].index("TRAITEMENT 0")
    assert all(("professionnel" in text) or ("professional" in text) for text in told)


def test_the_list_before_surgery_is_one_page_anticoagulants_first() -> None:
    for number in (0, 3, 60):
        target = io.BytesIO()
        rows = [(source, entry) for source, entry in some(number) if entry.kind == "medication"]
        printed.preoperative(target, page("fr"), preoperative_list(rows, on=TODAY))
        (told,) = pages(target.getvalue())
        assert told.index("[ANTICOAGULANT]") < told.index("[ANTIAGRÉGANT]") < told.index("<script>")
        assert ("de plus : voir la synthèse" in told) is (number == 60)
    long = [(Document(id="1"), Entry(f"{at}", "medication", {"label": f"{at} " + "mot " * 60, "dose": "dose " * 60,
             "status": "active"})) for at in range(40)]  # fmt: skip
    target = io.BytesIO()
    printed.preoperative(target, page("fr"), preoperative_list(long, on=TODAY))
    assert len(pages(target.getvalue())) == 1


def test_pages_of_an_empty_record_say_that_nothing_is_recorded() -> None:
    target = io.BytesIO()
    printed.summary(target, page("fr"), profile([], on=TODAY))
    (told,) = pages(target.getvalue())
    assert told.count("cela ne veut pas dire qu’il n’y en a pas") == 4 and "Aucun anticoagulant" in told


def test_names_in_other_scripts_do_not_break_a_page() -> None:
    target = io.BytesIO()
    who = printed.Page(Holder("Ελένη Αλεξίου 王小明 عمر", ""), TODAY, "fr", {})
    printed.preoperative(target, who, ())
    assert len(pages(target.getvalue())) == 1
