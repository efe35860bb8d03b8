"""Contacts and persons of trust: who is one in CDA, FHIR and HL7 v2, and who is not."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, NamedTuple

import pytest

from tests.vault.test_importers_cda_statements import coded, document
from vault.document import Entry
from vault.importers import read_file
from vault.review.profile import profile

NAME = "<name><given>Ada</given><family>FICTIVE</family></name>"
REACHED = '<telecom value="tel:0100000000"/><addr><city>PARIS</city></addr>'
Found = list[tuple[str, str, str, str]]


class Source(NamedTuple):
    id: str
    date: str


def people(data: bytes, name: str) -> tuple[Entry, ...]:
    return tuple(
        entry
        for read in read_file(data, name)
        for entry in read.document.entries
        if entry.kind in ("contact", "trusted_person")
    )


def told(entries: tuple[Entry, ...]) -> Found:
    return [(entry.kind, entry.text("label"), entry.text("performer"), entry.text("value")) for entry in entries]


def header(inner: str, *, french: bool) -> Found:
    language = f'<languageCode code="{"fr-FR" if french else "en-US"}"/>'
    return told(people(document("11450-4", header=language + inner), "a.xml"))


def informant(kind: str, code: str = "") -> str:
    person = f"<relatedPerson>{NAME}</relatedPerson>"
    return f'<informant><relatedEntity classCode="{kind}">{code}{REACHED}{person}</relatedEntity></informant>'


def participant(kind: str, type_code: str = "IND", code: str = "", time: str = "") -> str:
    entity = f'<associatedEntity classCode="{kind}">{code}{REACHED}<associatedPerson>{NAME}</associatedPerson>'
    return f'<participant typeCode="{type_code}">{time}{entity}</associatedEntity></participant>'


FRENCH = '<languageCode code="fr-FR"/>'
SISTER, WHERE = coded("code", "SIS", "Soeur"), "0100000000, PARIS"


def test_a_french_document_names_the_person_of_trust_and_whom_to_call() -> None:
    assert header(informant("NOK", SISTER) + informant("ECON", SISTER), french=True) == [
        ("trusted_person", "Ada FICTIVE", "Soeur", WHERE),
        ("contact", "Ada FICTIVE", "Soeur, à prévenir en cas d’urgence", WHERE),
    ]


def test_next_of_kin_elsewhere_is_a_contact() -> None:
    assert header(participant("NOK", code=coded("code", "MTH", "mother")), french=False) == [
        ("contact", "Ada FICTIVE", "mother, next of kin", WHERE)
    ]


def test_a_health_care_proxy_is_trusted_anywhere() -> None:
    assert header(participant("AGNT", code=coded("code", "HPOWATT")), french=False)[0][0] == "trusted_person"


def test_a_guardian_is_a_contact() -> None:
    guardian = f"<guardian>{REACHED}<guardianPerson>{NAME}</guardianPerson></guardian>"
    inner = f"<recordTarget><patientRole><patient>{guardian}</patient></patientRole></recordTarget>"
    assert header(inner, french=True) == [("contact", "Ada FICTIVE", "représentant légal", WHERE)]


@pytest.mark.parametrize(
    "inner",
    [
        participant("PROV"),
        participant("NOK", type_code="HLD"),
        participant("AGNT", type_code="PRF"),
        informant("ASSIGNED"),
        participant("NOK").replace(NAME, ""),
        participant("PRS", code=coded("code", "SELF", "self")),
    ],
)
def test_staff_payers_the_nameless_and_oneself_are_no_contacts(inner: str) -> None:
    assert header(inner, french=False) == []


def test_who_is_no_longer_a_contact_has_an_end() -> None:
    time = '<time><low value="2001"/><high value="20111025"/></time>'
    (entry,) = people(document("11450-4", header=participant("NOK", time=time)), "a.xml")
    assert entry.text("end") == "2011-10-25"


def fhir(*resources: dict[str, Any]) -> tuple[Entry, ...]:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in resources]}
    return people(json.dumps(bundle).encode(), "a.json")


def relationship(code: str, system: str = "http://terminology.hl7.org/CodeSystem/v2-0131", text: str = "") -> list[Any]:
    return [{"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}]


HUMAN = {"family": "FICTIVE", "given": ["Ada"]}
PHONE = [{"system": "phone", "value": "0100000000"}, {"system": "phone", "value": "0199999999", "use": "old"}]


def test_contacts_of_a_patient() -> None:
    french = "https://mos.esante.gouv.fr/NOS/TRE_R260-HL7RoleClass/FHIR/TRE-R260-HL7RoleClass"
    contacts = [
        {"relationship": relationship("C"), "name": HUMAN, "telecom": PHONE, "address": {"city": "PARIS"}},
        {"relationship": relationship("NOK", french), "name": HUMAN},
        {"relationship": relationship("N"), "name": HUMAN},
        {"relationship": relationship("E"), "organization": {"display": "an employer"}},
        {"relationship": relationship("X", text="Health care proxy"), "name": HUMAN},
    ]
    assert told(fhir({"resourceType": "Patient", "contact": contacts})) == [
        ("contact", "Ada FICTIVE", "emergency contact", WHERE),
        ("trusted_person", "Ada FICTIVE", "", ""),
        ("contact", "Ada FICTIVE", "next of kin", ""),
        ("trusted_person", "Ada FICTIVE", "Health care proxy", ""),
    ]


def test_a_related_person_alone_and_in_a_bundle() -> None:
    person = {"resourceType": "RelatedPerson", "relationship": relationship("WIFE"), "name": [HUMAN], "active": False,
              "meta": {"lastUpdated": "2024-05-06T07:08:09Z"}}  # fmt: skip
    (entry,) = fhir({"resourceType": "Patient", "id": "1"}, person)
    assert (entry.text("performer"), entry.text("end")) == ("wife", "2024-05-06")
    (read,) = read_file(json.dumps(person).encode(), "a.json")
    assert [item.kind for item in read.document.entries] == ["contact"]
    assert not read.warnings


def test_next_of_kin_of_a_message() -> None:
    lines = (
        "MSH|^~\\&|A|B|||20240101||ADT^A01|1|P|2.5|||||FRA",
        "PID|1||1||FICTIVE^ADA",
        "NK1|1|FICTIVE^LEA^^^MME^^L|SIS^Soeur^HL70063|1 rue X^^PARIS^^75001|^PRN^PH^^^^^^^^^0100000000||NOK^^HL70131",
        "NK1|2|ROE^MARIE|SPO||(216)123-4567||EC",
        "NK1|3|FORM^FILLER|FVP^Form completed by (Name)-Vaccine provider^HL70063",
        "NK1|4||MTH",
    )
    assert told(people("\r".join(lines).encode(), "a.hl7")) == [
        ("trusted_person", "MME LEA FICTIVE", "Soeur", "0100000000, 1 rue X 75001 PARIS"),
        ("contact", "MARIE ROE", "conjoint, à prévenir en cas d’urgence", "(216)123-4567"),
    ]


def test_the_profile_names_each_once() -> None:
    entries = people(document("11450-4", header=FRENCH + informant("NOK", SISTER) + informant("ECON", SISTER)), "a.xml")
    rows = [(Source(number, f"202{number}-01-01"), entry) for number in "12" for entry in entries]
    facts = profile(rows, on=date(2024, 1, 1)).facts
    assert [(len(facts[kind]), facts[kind][0].sources) for kind in ("trusted_person", "contact")] == [
        (1, ("2", "1")),
        (1, ("2", "1")),
    ]
