"""CDA R2: what each fixture states, counted by hand in the file, against what the importer reads."""

from __future__ import annotations

import base64
import re
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

from vault.document import Entry, Read
from vault.errors import InputRefused
from vault.importers import read_file
from vault.review.medications import medication_list, preoperative_list

FIXTURES = Path(__file__).parent.parent / "fixtures"
FRENCH, AMERICAN = FIXTURES / "cda_fr_own", FIXTURES / "cda_us_hl7"
DAMORE, REPLACE = "CDA_Embedded_Text_Plain_Surgical_Consult.xml", "CCD_Parent_Document_Replace_(C-CDAR2.1).xml"

# Entries by section, (facts, negated), counted by reading the files; everything not named is zero.
EXPECTED = {
    FRENCH / "N1_CR-BIO_pdf.xml": {},
    FRENCH / "N1_EXPPAT_directives.xml": {},
    FRENCH / "N1_LDL-SES_pdf.xml": {},
    FRENCH / "N3_CR-BIO.xml": {"results": (4, 0)},
    FRENCH / "N3_autopresentable.xml": {"results": (4, 0)},
    FRENCH / "N3_VAC.xml": {"immunizations": (2, 1)},
    FRENCH / "N3_VSM.xml": {"medications": (2, 0), "allergies": (1, 0), "conditions": (1, 0)},
    FRENCH / "N3_eP-MED_avec_pdf.xml": {"medications": (1, 0)},
    AMERICAN / "CCD.xml": {"allergies": (0, 1), "results": (1, 0), "vitals": (9, 0)},
    AMERICAN / REPLACE: {
        "medications": (0, 2), "immunizations": (0, 1), "allergies": (0, 1), "conditions": (0, 1),
    },
    AMERICAN / DAMORE: {},
    AMERICAN / "Transfer_Summary.xml": {
        "medications": (2, 0), "immunizations": (3, 2), "allergies": (2, 0), "conditions": (5, 0), "results": (6, 0),
        "vitals": (8, 0),
    },
}  # fmt: skip
KINDS = {
    "medications": "medication", "allergies": "allergy", "conditions": "condition", "immunizations": "immunization",
    "results": "result", "vitals": "vital",
}  # fmt: skip


class Source(NamedTuple):
    id: str
    date: str


def read_one(path: Path, data: bytes | None = None) -> Read:
    (read,) = read_file(path.read_bytes() if data is None else data, path.name)
    return read


def field(entry: Entry, *names: str) -> tuple[str, ...]:
    return tuple(entry.text(name) for name in names)


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name)
def test_counts(path: Path) -> None:
    document = read_one(path).document
    found = {
        section: (len(entries) - sum(entry.negated for entry in entries), sum(entry.negated for entry in entries))
        for section, kind in KINDS.items()
        if (entries := document.of_kind(kind))
    }
    assert found == EXPECTED[path]


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name)
def test_the_original_is_kept_first(path: Path) -> None:
    read = read_one(path)
    first = read.document.attachments[0]
    assert (first.media_type, read.files[first.sha256]) == ("text/xml", path.read_bytes())


def test_every_negation_of_the_file_is_one_of_the_entries() -> None:
    """An independent count: negationInd on statements, by a pattern over the text."""
    for path in EXPECTED:
        written = len(
            re.findall(r"<(?:observation|substanceAdministration)\b[^>]*negationInd=.true.", path.read_text())
        )
        assert sum(entry.negated for entry in read_one(path).document.entries) >= written, path.name


def test_header_of_a_french_document() -> None:
    read = read_one(FRENCH / "N3_VSM.xml")
    document, subject = read.document, read.subject
    assert document.title == "Volet de synthèse médicale"
    assert (document.type_code, document.class_code, document.confidentiality) == ("60591-5", "11", "N")
    assert document.date == "2025-02-03T10:15:00+01:00"
    assert document.author == "DR Aline FICTIVE, Cabinet fictif"
    assert document.source_id == "cda:1.2.250.1.999.1.4^VAULT-4^1"
    assert subject is not None
    assert (subject.family, subject.given, subject.birth) == ("EXEMPLE-VAULT", "ZÉLIE ANNE-LOUISE", "1984-04-12")
    assert subject.other_names == ("D'ESSAI",)
    assert ("1.2.250.1.213.1.4.10", "284047599900133") in subject.identifiers


def test_facts_of_a_french_summary() -> None:
    document = read_one(FRENCH / "N3_VSM.xml").document
    first, second = document.of_kind("medication")
    assert field(first, "label", "code", "dose", "start", "status") == (
        "BISOPROLOL FICTIF 2,5 mg, comprimé", "3400930000011", "1 comprimé le matin", "2019-06-01", "prescribed",
    )  # fmt: skip
    assert field(second, "label", "dose", "start") == (
        "RAMIPRIL FICTIF 5 mg, comprimé",
        "1 comprimé le soir",
        "2021-03-10",
    )
    (allergy,) = document.of_kind("allergy")
    assert field(allergy, "label", "code", "start") == ("Allergie à la pénicilline", "Z88.0", "2005")
    (condition,) = document.of_kind("condition")
    assert field(condition, "label", "code") == ("Hypertension essentielle (primitive)", "I10")
    assert not any(entry.negated for entry in document.entries)


def test_a_refused_vaccine_is_negated() -> None:
    *given, refused = read_one(FRENCH / "N3_VAC.xml").document.of_kind("immunization")
    assert [field(entry, "label", "start", "lot") for entry in given] == [
        ("Vaccin dTP fictif", "2014-05-02", "LOT-A1"),
        ("Vaccin grippe fictif", "2024-10-20", "LOT-B2"),
    ]
    assert (refused.text("label"), refused.negated) == ("Vaccin fièvre jaune fictif", True)


def test_results_keep_their_decimals_and_ranges() -> None:
    results = read_one(FRENCH / "N3_CR-BIO.xml").document.of_kind("result")
    assert [field(entry, "label", "value", "unit", "range", "interpretation") for entry in results] == [
        ("Hémoglobine", "13.2", "g/dL", "12.0 - 16.0 g/dL", "N"),
        ("Glucose à jeun", "5.4", "mmol/L", "3.9 - 5.5 mmol/L", "N"),
        ("Créatinine", "68", "umol/L", "45 - 84 umol/L", "N"),
        ("Protéine C réactive", "0.6", "mg/L", "0 - 5 mg/L", "N"),
    ]


def test_a_stray_bracket_is_repaired_without_loss() -> None:
    """The narrative says "< 1 mg/L" unescaped: a recovering parser alone drops the rest of the row."""
    read = read_one(FRENCH / "N3_CR-BIO.xml")
    assert "CRP | < 1 mg/L" in read.document.text
    assert read.warnings == ("repaired: stray '<' or '&' in the text",)


def test_a_self_displaying_document_is_found_in_its_stylesheet() -> None:
    plain, wrapped = (read_one(FRENCH / name).document for name in ("N3_CR-BIO.xml", "N3_autopresentable.xml"))
    assert wrapped.source_id == plain.source_id
    assert [entry.fields for entry in wrapped.entries] == [entry.fields for entry in plain.entries]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("N1_LDL-SES_pdf.xml", 1654, "liaison"),
        ("N1_CR-BIO_pdf.xml", 1723, "Hémoglobine"),
        ("N3_eP-MED_avec_pdf.xml", 1723, ""),
    ],
)
def test_an_embedded_pdf_is_a_file_with_text(name: str, size: int, words: str) -> None:
    read = read_one(FRENCH / name)
    pdf = read.document.attachments[1]
    assert (pdf.media_type, pdf.size, read.files[pdf.sha256][:5]) == ("application/pdf", size, b"%PDF-")
    assert words in read.document.text


def test_the_entry_inside_an_entry_is_not_a_second_treatment() -> None:
    """The prescription's dose stands in a subordinate substanceAdministration."""
    (treatment,) = read_one(FRENCH / "N3_eP-MED_avec_pdf.xml").document.of_kind("medication")
    assert field(treatment, "label", "dose") == (
        "PARACETAMOL FICTIF 1 g, comprimé", "1 comprimé si douleur, maximum 3 par jour, 5 jours",
    )  # fmt: skip


def test_what_is_planned_is_not_taken() -> None:
    document = read_one(AMERICAN / "Transfer_Summary.xml").document
    assert [entry.text("label") for entry in document.of_kind("medication")] == [
        "albuterol 0.09 MG/ACTUAT [Proventil]", "atenolol 25 MG Oral Tablet",
    ]  # fmt: skip
    planned = [entry.text("label") for entry in document.of_kind("note") if entry.text("note").startswith("planned")]
    assert len(planned) == 5, planned


def test_a_prescription_is_prescribed_and_ends_when_it_says() -> None:
    """The first treatment of the summary is an intention; the same as an event is one that is taken."""
    data = (FRENCH / "N3_VSM.xml").read_bytes()
    low = b'<low value="20190601"/>'
    data = data.replace(low, low + b'<high value="20190701"/>')
    (made,) = read_file(data, "a.xml")
    first, second = made.document.of_kind("medication")
    assert field(first, "status", "start", "end") == ("prescribed", "2019-06-01", "2019-07-01")
    rows = [(Source("d", "2025"), entry) for entry in (first, second)]
    over, going_on = (
        next(item for item in medication_list(rows, on=date(2020, 1, 1)) if item.start == start)
        for start in ("2019-06-01", "2021-03-10")
    )
    assert (over.active, over.ahead, over.prescribed) == (False, False, True)
    assert (going_on.active, going_on.ahead, going_on.prescribed) == (False, True, True)
    assert [item.label for item in preoperative_list(rows, on=date(2026, 1, 1))] == ["RAMIPRIL FICTIF 5 mg, comprimé"]
    (event,) = read_file(data.replace(b'moodCode="INT"', b'moodCode="EVN"'), "a.xml")
    assert {entry.text("status") for entry in event.document.of_kind("medication")} == {"active"}


def test_text_body_and_missing_file() -> None:
    read = read_one(AMERICAN / DAMORE)
    assert read.document.attachments[1].media_type == "text/plain"
    assert len(read.document.text) > 500
    reference = (AMERICAN / DAMORE).read_bytes()
    body = re.sub(
        rb"<text mediaType.*?</text>", b'<text><reference value="../x/UD_sample.pdf"/></text>', reference, flags=re.S
    )
    assert read_one(AMERICAN / DAMORE, body).warnings == ("refers to a file that is not part of it: UD_sample.pdf",)


def vsm() -> bytes:
    return (FRENCH / "N3_VSM.xml").read_bytes()


@pytest.mark.parametrize(
    "declaration",
    [
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:9/e.dtd"> %e;]>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
    ],
)
def test_entities_are_refused(declaration: bytes) -> None:
    hostile = vsm().replace(b"?>", b"?>" + declaration, 1)
    for data in (hostile, hostile.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16")):
        with pytest.raises(InputRefused, match="entity"):
            read_file(data, "x.xml")


def test_a_doctype_alone_is_read_and_nothing_is_fetched() -> None:
    data = vsm().replace(b"?>", b'?><!DOCTYPE ClinicalDocument SYSTEM "http://127.0.0.1:9/cda.dtd">', 1)
    assert read_one(FRENCH / "N3_VSM.xml", data).warnings == ()


@pytest.mark.parametrize("filler", [b"", b"x" * 8_000_000], ids=["small", "huge"])
def test_depth_is_capped(filler: bytes) -> None:
    data = (
        b'<ClinicalDocument xmlns="urn:hl7-org:v3">'
        + b"<a>" * 5_000
        + filler
        + b"</a>" * 5_000
        + b"</ClinicalDocument>"
    )
    with pytest.raises(InputRefused, match="deep"):
        read_file(data, "x.xml")


def test_elements_are_capped() -> None:
    data = b'<ClinicalDocument xmlns="urn:hl7-org:v3">' + b"<a/>" * 4_000_001 + b"</ClinicalDocument>"
    with pytest.raises(InputRefused, match="elements"):
        read_file(data, "x.xml")


def test_a_large_embedded_file_is_read() -> None:
    """Over libxml2's own limit of 10 MB for one text."""
    pdf = b"%PDF-1.4\n" + bytes(range(256)) * 40_000
    original = (FRENCH / "N1_CR-BIO_pdf.xml").read_bytes()
    start = original.index(b'representation="B64">') + len(b'representation="B64">')
    data = original[:start] + base64.b64encode(pdf) + original[original.index(b"</text></nonXMLBody>") :]
    read = read_one(FRENCH / "N1_CR-BIO_pdf.xml", data)
    assert read.files[read.document.attachments[1].sha256] == pdf


def test_encodings_are_repaired() -> None:
    text = vsm().decode()
    wrong = text.encode("cp1252")  # declares UTF-8 and is not
    read = read_one(FRENCH / "N3_VSM.xml", wrong)
    assert read.document.title == "Volet de synthèse médicale"
    assert "Windows-1252" in read.warnings[0]
    right = text.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"').encode("latin-1")
    assert read_one(FRENCH / "N3_VSM.xml", right).document.title == "Volet de synthèse médicale"
    assert read_one(FRENCH / "N3_VSM.xml", text.replace('encoding="UTF-8"', "").encode("utf-8-sig")).warnings == ()


def test_a_truncated_document_gives_what_is_there_and_says_so() -> None:
    whole = vsm()
    read = read_one(FRENCH / "N3_VSM.xml", whole[: whole.index(b"RAMIPRIL FICTIF")])
    assert "damaged XML" in read.warnings[0]
    assert read.document.of_kind("medication")[0].text("label") == "BISOPROLOL FICTIF 2,5 mg, comprimé"


def test_null_and_nothing_known_are_never_facts() -> None:
    text = vsm().decode()
    empty = '<code nullFlavor="UNK"/><name nullFlavor="UNK"/>'
    nothing = '<code code="02276797" codeSystem="1.2.250.1.213.2.63" displayName="Aucun"/>'
    for material in (empty, nothing):
        changed = re.sub(r"<code code=.3400930000011.*?</name>", material, text, flags=re.S)
        changed = changed.replace("<text>1 comprimé le matin</text>", "")
        first, second = read_one(FRENCH / "N3_VSM.xml", changed.encode()).document.of_kind("medication")
        assert (first.negated, second.negated) == (True, False)


def test_reading_twice_gives_the_same() -> None:
    assert read_one(FRENCH / "N3_VSM.xml") == read_one(FRENCH / "N3_VSM.xml")


def test_no_document_is_refused() -> None:
    with pytest.raises(InputRefused):
        read_file(b"<html><body>ClinicalDocument</body></html>", "x.xml")
    with pytest.raises(InputRefused, match="empty"):
        read_file(b"", "x.xml")
