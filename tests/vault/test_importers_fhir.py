"""FHIR: counts by an independent reading of the JSON, facts read by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vault.document import Entry, Read
from vault.errors import InputRefused
from vault.importers import read_file
from vault.importers.fhir_xml import to_json

FIXTURES = Path(__file__).parent.parent / "fixtures"
IPS, CONNECTATHON = FIXTURES / "ips_hl7", FIXTURES / "ips_connectathon"
SYNTHEA = FIXTURES / "fhir_r4_synthea" / "Buster_Hoeger_ad2e3fc5-2b5d-4cb9-8d03-9ea0f4ac8423.json"
BUNDLES = [*sorted(IPS.glob("*.json")), *sorted(CONNECTATHON.glob("*.json")), SYNTHEA]
ONE_EACH = {
    "MedicationStatement": "medication", "MedicationRequest": "medication", "AllergyIntolerance": "allergy",
    "Condition": "condition", "Immunization": "immunization", "Procedure": "procedure",
}  # fmt: skip


def read_one(path: Path) -> Read:
    (read,) = read_file(path.read_bytes(), path.name)
    return read


def resources(path: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(path.read_text())["entry"]]


def field(entry: Entry, *names: str) -> tuple[str, ...]:
    return tuple(entry.text(name) for name in names)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name[:40])
def test_every_resource_counts_once(path: Path) -> None:
    wanted = Counter(ONE_EACH[item["resourceType"]] for item in resources(path) if item["resourceType"] in ONE_EACH)
    for item in resources(path):
        if item["resourceType"] == "Observation":
            codes = [coding["code"] for category in item.get("category", []) for coding in category["coding"]]
            wanted += Counter({"result": "laboratory" in codes, "vital": "vital-signs" in codes})
    found = Counter(entry.kind for entry in read_one(path).document.entries)
    assert {kind: found[kind] for kind in wanted} == dict(wanted)


def test_header_of_an_ips() -> None:
    read = read_one(IPS / "Bundle-bundle-minimal.json")
    document = read.document
    assert document.title == "Patient Summary as of December 11, 2020 14:30"
    assert (document.type_code, document.class_code) == ("60591-5", "11")
    assert document.date == "2020-12-11T14:30:00+01:00"
    assert document.author.startswith("Beetje van Hulp")
    assert document.source_id == "fhir:urn:oid:2.16.724.4.8.10.200.10|28b95815-76ce-457b-b7ae-a972e527db40"
    assert document.attachments[0].media_type == "application/fhir+json"
    assert read.files[document.attachments[0].sha256] == (IPS / "Bundle-bundle-minimal.json").read_bytes()
    assert read.subject is not None
    assert (read.subject.family, read.subject.given, read.subject.birth) == ("DeLarosa", "Martha", "1972-05-01")


def test_medications_are_followed_to_their_product() -> None:
    labels = [field(entry, "label", "substance", "start") for entry in read_one(
        CONNECTATHON / "EU_Giorgio_Cangioli_01.json").document.of_kind("medication")]  # fmt: skip
    assert labels == [
        ("Skilarence", "dimethyl fumarate", ""),
        ("Karvea", "irbesartan", ""),
        ("Boots Decongestant 0.05% w/v Nasal spray", "oxymetazoline hydrochloride", ""),
    ]
    doses = [field(entry, "label", "code", "dose", "start") for entry in read_one(
        CONNECTATHON / "EU_Giorgio_Cangioli_03.json").document.of_kind("medication")]  # fmt: skip
    assert ("Acetylsalicylic acid", "B01AC06", "75 mg/day", "2012-11-10") in doses
    assert len(doses) == 12


def test_contained_medication() -> None:
    (entry,) = read_one(FIXTURES / "fhir_r4_hl7_examples/MedicationRequest-medrx0301.json").document.entries
    assert entry.kind == "medication"
    assert entry.text("label") != "(-)"
    assert not entry.negated


def test_nothing_known_is_negated() -> None:
    known = {entry.text("code"): entry.negated for path in BUNDLES for entry in read_one(path).document.entries}
    assert known["no-known-allergies"] is known["no-known-medications"] is True
    assert read_one(FIXTURES / "fhir_r4_hl7_examples/Immunization-notGiven.json").document.entries[0].negated


def test_results_and_pressure() -> None:
    document = read_one(IPS / "Bundle-bundle-ips-all-sections.json").document
    vitals = {entry.text("code"): field(entry, "value", "unit") for entry in document.of_kind("vital")}
    assert vitals["85354-9"] == ("140/80", "mmHg")
    assert vitals["39156-5"] == ("24.56", "kg/m2")


def test_decimals_stay_as_written() -> None:
    data = b'{"resourceType":"Observation","code":{"text":"K"},"valueQuantity":{"value":5.40,"unit":"mmol/L"}}'
    (read,) = read_file(data, "x.json")
    assert read.document.entries[0].text("value") == "5.40"


def test_a_collection_with_one_file_is_that_document() -> None:
    read = read_one(FIXTURES / "fhir_fr_own/bundle_patient_ins_docref.json")
    document = read.document
    assert (document.title, document.type_code, document.class_code) == ("CR biologie", "11502-2", "10")
    assert [item.media_type for item in document.attachments] == ["application/pdf", "application/fhir+json"]
    assert "Hémoglobine" in document.text
    assert read.subject is not None
    assert read.subject.other_names == ("D'ESSAI",)


def test_a_transaction_is_one_record_and_says_what_it_left() -> None:
    read = read_one(SYNTHEA)
    assert read.document.author == "Dr. Antonia Stark, COOLEY DICKINSON HOSPITAL INC,THE"
    assert "kept in the original file only: 7 x Claim" in read.warnings
    assert "kept in the original file only: 6 x ExplanationOfBenefit" in read.warnings


def test_ndjson_reads_line_by_line() -> None:
    path = FIXTURES / "fhir_r4_phr_ndjson/JohnDoe.phr"
    lines = [json.loads(line)["resourceType"] for line in path.read_text().splitlines() if line.strip()]
    read = read_one(path)
    found = Counter(entry.kind for entry in read.document.entries)
    assert (found["medication"], found["condition"], found["immunization"]) == tuple(
        lines.count(kind) for kind in ("MedicationStatement", "Condition", "Immunization"))  # fmt: skip
    broken = path.read_bytes().replace(b'"resourceType":"Condition"', b'"resourceType":"Cond')
    (less,) = read_file(broken, path.name)
    assert any("is not readable as JSON" in warning for warning in less.warnings)
    assert len(less.document.entries) == len(read.document.entries) - 1


def bundle(*members: dict[str, Any], kind: str = "collection") -> bytes:
    return json.dumps(
        {"resourceType": "Bundle", "type": kind, "entry": [{"resource": item} for item in members]}
    ).encode()


ANNE = {"resourceType": "Patient", "id": "a", "name": [{"family": "Anne", "given": ["A"]}], "birthDate": "1990-01-01"}
BRICE = {"resourceType": "Patient", "id": "b", "name": [{"family": "Brice", "given": ["B"]}], "birthDate": "1991-01-01"}


def condition(number: str, patient: str, **more: Any) -> dict[str, Any]:
    about = {"reference": f"Patient/{patient}"}
    return {"resourceType": "Condition", "id": number, "code": {"text": f"C{number}"}, "subject": about, **more}


def test_two_patients_are_never_mixed() -> None:
    reads = read_file(bundle(ANNE, BRICE, condition("1", "a"), condition("2", "b"), condition("3", "b")), "x.json")
    found = {
        read.subject.family: [entry.text("label") for entry in read.document.entries] for read in reads if read.subject
    }
    assert found == {"Anne": ["C1"], "Brice": ["C2", "C3"]}
    for read in reads:
        other = b"Brice" if read.subject and read.subject.family == "Anne" else b"Anne"
        assert not any(other in data for data in read.files.values())


def test_the_same_resource_twice_counts_once() -> None:
    (read,) = read_file(bundle(ANNE, condition("1", "a"), condition("1", "a")), "x.json")
    assert len(read.document.entries) == 1


def test_mistakes_and_refutations_are_never_facts() -> None:
    wrong = {"coding": [{"code": "entered-in-error"}]}
    refuted = {"coding": [{"code": "refuted"}]}
    (read,) = read_file(
        bundle(ANNE, condition("1", "a", verificationStatus=wrong), condition("2", "a", verificationStatus=refuted)),
        "x.json",
    )
    assert [entry.negated for entry in read.document.entries] == [True, True]


def test_one_bad_resource_leaves_the_others() -> None:
    bad = {"resourceType": "MedicationStatement", "id": "9", "dosage": [1, None], "medicationCodeableConcept": [[]]}
    (read,) = read_file(bundle(ANNE, bad, condition("1", "a")), "x.json")
    assert "C1" in [entry.text("label") for entry in read.document.entries]


def test_xml_gives_what_json_gives() -> None:
    text = """<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/>
      <entry><resource><Patient><id value="a"/><name><family value="Anne"/><given value="A"/></name>
        <birthDate value="1990-01-01"/></Patient></resource></entry>
      <entry><resource><Condition><id value="1"/><code><text value="C1"/></code>
        <subject><reference value="Patient/a"/></subject></Condition></resource></entry></Bundle>"""
    (from_xml,) = read_file(text.encode(), "x.xml")
    (from_json,) = read_file(bundle(ANNE, condition("1", "a")), "x.json")
    assert [entry.fields for entry in from_xml.document.entries] == [
        entry.fields for entry in from_json.document.entries
    ]
    assert from_xml.subject == from_json.subject
    assert callable(to_json)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"resourceType":"Bundle","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
        (b'{"resourceType":"Patient","name":[{"fam', "JSON"),
        (b'{"resourceType":"Bundle","type":"collection"}', "no FHIR resource"),
        (b'{"a":1}', "not known"),
    ],
)
def test_refusals(data: bytes, why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        read_file(data, "x.json")


def test_text_from_outside_is_only_text() -> None:
    data = json.dumps(
        {"resourceType": "Condition", "id": "x", "code": {"text": "a\u001b[31m\u202eb\u0000\ud800c"}}
    ).encode()
    (read,) = read_file(data, "x.json")
    assert read.document.entries[0].text("label") == "a[31mbc"


@pytest.mark.parametrize(
    ("resource", "version"),
    [
        ({"resourceType": "Condition", "patient": {"display": "x"}, "code": {"text": "Asthme"}}, "DSTU2"),
        ({"resourceType": "MedicationOrder", "medicationCodeableConcept": {"text": "RAMIPRIL"}}, "DSTU2"),
        ({"resourceType": "AllergyIntolerance", "substance": {"text": "Arachide"}}, "DSTU2"),
        ({"resourceType": "MedicationStatement", "taken": "y", "medicationCodeableConcept": {"text": "X"}}, "STU3"),
        ({"resourceType": "Condition", "clinicalStatus": "active", "subject": {}, "code": {"text": "x"}}, "STU3"),
        ({"resourceType": "Condition", "subject": {}, "code": {"text": "x"}}, ""),
    ],
)
def test_older_versions_are_labelled_and_kept_whole(resource: dict[str, Any], version: str) -> None:
    data = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}).encode()
    (read,) = read_file(data, "x.json")
    told = [warning for warning in read.warnings if "older version of FHIR" in warning]
    assert len(told) == bool(version) and all(version in warning for warning in told)
    assert read.files[read.document.attachments[0].sha256] == data
