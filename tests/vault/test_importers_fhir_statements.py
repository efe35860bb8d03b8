"""FHIR as other senders write it: each resource as small as it can be, and what it must come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vault.document import Document, Entry
from vault.importers import read_file

Resource = dict[str, Any]


def single(**resource: Any) -> Document:
    (read,) = read_file(json.dumps(resource).encode(), "a.json")
    return read.document


def one(**resource: Any) -> Entry:
    (entry,) = single(**resource).entries
    return entry


def concept(text: str, code: str = "") -> Resource:
    return {"text": text, **({"coding": [{"system": "urn:x", "code": code}]} if code else {})}


def status(code: str) -> Resource:
    return {"coding": [{"code": code}]}


@pytest.mark.parametrize("sure", ["unconfirmed", "provisional", "differential"])
def test_what_is_only_supposed_is_said_to_be(sure: str) -> None:
    site = [concept("Left ear"), concept("Neck")]
    entry = one(resourceType="Condition", code=concept("Burn"), verificationStatus=status(sure), bodySite=site)
    assert (entry.negated, entry.text("note")) == (False, f"{sure} · Left ear; Neck")
    entry = one(resourceType="AllergyIntolerance", code=concept("Nuts"), verificationStatus=status(sure))
    assert (entry.negated, entry.text("note")) == (False, sure)


def test_an_allergy_refuted_in_the_old_way_is_denied() -> None:
    assert one(resourceType="AllergyIntolerance", substance=concept("Nuts"), status="refuted").negated
    assert one(resourceType="Procedure", code=concept("Graft"), notPerformed=True).negated


def test_each_condition_of_a_relative_is_one() -> None:
    conditions = [
        {"code": concept("Stroke"), "onsetAge": {"value": 74, "unit": "yr"}, "contributedToDeath": True},
        {"code": concept("Asthma"), "onsetString": "as a child", "note": [{"text": "mild"}]},
    ]
    document = single(resourceType="FamilyMemberHistory", relationship=concept("father"), condition=conditions)
    assert [(entry.text("label"), entry.text("note")) for entry in document.entries] == [
        ("Stroke", "father · age 74 yr · died of it"),
        ("Asthma", "father · as a child · mild"),
    ]


def test_results_contained_in_a_report_are_results() -> None:
    observation = {
        "resourceType": "Observation", "id": "1", "code": concept("Ampicillin", "60504"),
        "valueQuantity": {"value": 4, "comparator": ">="}, "interpretation": [concept("", "R")],
    }  # fmt: skip
    document = single(
        resourceType="DiagnosticReport", id="9", code=concept("Antibiogram", "x"), conclusion="Resistant",
        contained=[observation, {"resourceType": "Organization", "id": "2", "name": "L"}], result=[{"reference": "#1"}],
    )  # fmt: skip
    (entry,) = document.entries
    assert (entry.kind, entry.text("label"), entry.text("value")) == ("result", "Ampicillin", ">=4")
    assert entry.text("interpretation") == "R"
    assert document.title == "DiagnosticReport: Antibiogram"
    assert document.text == "Antibiogram\nResistant"


def test_what_a_prescription_contains_is_no_fact_of_its_own() -> None:
    reason = {"resourceType": "Condition", "id": "1", "code": concept("Pain")}
    entry = one(resourceType="MedicationRequest", contained=[reason], medicationCodeableConcept=concept("Aspirin"))
    assert entry.kind == "medication"


def test_alerts_and_orders_are_notes() -> None:
    flag = one(resourceType="Flag", code=concept("Risk of falls"), category=[concept("Safety")], status="active",
               period={"start": "2024-01"})  # fmt: skip
    assert (flag.kind, flag.text("label"), flag.text("note"), flag.text("start")) == (
        "note", "Risk of falls", "Safety", "2024-01",
    )  # fmt: skip
    order = one(resourceType="ServiceRequest", code=concept("Colonoscopy"), authoredOn="2024-05-06", status="active")
    assert (order.kind, order.text("note"), order.text("start")) == ("note", "planned", "2024-05-06")
    assert one(resourceType="ServiceRequest", code=concept("Biopsy"), doNotPerform=True).negated
    later = one(resourceType="ServiceRequest", code={"concept": concept("X-ray")}, status="draft")
    assert later.text("label") == "X-ray"


def test_a_treatment_that_is_proposed_is_planned() -> None:
    entry = one(resourceType="MedicationRequest", medicationCodeableConcept=concept("Aspirin"), intent="proposal",
                status="active")  # fmt: skip
    assert (entry.text("status"), entry.text("note")) == ("unknown", "planned")


def test_a_treatment_whose_product_is_in_another_file_is_still_one() -> None:
    """Bulk data keep medicines apart from who takes them."""
    entry = one(resourceType="MedicationRequest", medicationReference={"reference": "Medication/7"}, status="active")
    assert (entry.text("label"), entry.negated) == ("Medication/7", False)


def test_a_document_whose_content_is_elsewhere_has_its_own_header() -> None:
    label = [{"coding": [{"code": "R"}]}]
    pointed = {"attachment": {"contentType": "application/pdf", "url": "https://example.org/1", "title": "Lettre"}}
    document = single(
        resourceType="DocumentReference", type={"coding": [{"system": "http://loinc.org", "code": "11488-4"}]},
        date="2024-05-06T07:08:09Z", securityLabel=label, author=[{"display": "Dr FICTIVE"}], content=[pointed],
        text={"div": "<div>Bonjour</div>"},
    )  # fmt: skip
    assert (document.title, document.type_code, document.date) == ("Lettre", "11488-4", "2024-05-06T07:08:09Z")
    assert (document.author, document.confidentiality) == ("Dr FICTIVE", "R")
    assert document.text.strip() == "Bonjour"


def test_a_binary_alone_is_its_file() -> None:
    (read,) = read_file(b'{"resourceType": "Binary", "contentType": "text/plain", "data": "Ym9uam91cg=="}', "mot.json")
    assert (read.document.title, read.document.text, read.warnings) == ("mot", "bonjour", ())
