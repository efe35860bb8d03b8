"""The medication list and the pre-operative list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from vault.document import Entry, Value
from vault.importers import read_file
from vault.review.medications import active, medication_list, preoperative_list
from vault.terminology import anticoagulant, antithrombotic, substance_key, substance_of_cip, substance_of_label

FIXTURES = Path(__file__).parent.parent / "fixtures"
TODAY = date(2026, 11, 21)


@dataclass(frozen=True)
class Row:
    id: str
    date: str


def drug(label: str, *, source: str = "d1", when: str = "2026-01-01", **fields: Value) -> tuple[Row, Entry]:
    return Row(source, when), Entry("0" * 32, "medication", {"label": label, **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"start": "2026-11-21"}, True),
        ({"start": "2026-11-22"}, False),
        ({"end": "2026-11-21"}, True),
        ({"end": "2026-11-20"}, False),
        ({"end": "2026"}, True),
        ({"end": "2025-12"}, False),
        ({"start": "2019-06-01T10:00:00+02:00", "end": "2026-12-01T00:00:00Z"}, True),
        ({"status": "active"}, True),
        ({"status": "unknown"}, True),
        ({"status": "prescribed"}, True),
        ({"status": "prescribed", "end": "2026-11-20"}, False),
        ({"status": "completed"}, False),
        ({"status": "stopped"}, False),
        ({"negated": True}, False),
    ],
)
def test_active_on_a_date(fields: dict[str, Value], expected: bool) -> None:
    assert active(drug("X", **fields)[1], TODAY) is expected


def test_anticoagulants_come_first_then_antiplatelets() -> None:
    rows = [
        drug("Zolpidem 10 mg"),
        drug("KARDEGIC 75 mg"),
        drug("Amlodipine 5 mg"),
        drug("Xarelto 20 mg"),
        drug("Ticagrelor 90 mg"),
        drug("Apixaban 5 MG Oral Tablet"),
        drug("PREVISCAN 20 mg", status="stopped"),
        drug("Bisoprolol", negated=True),
    ]
    listed = preoperative_list(rows, on=TODAY)
    assert [item.label for item in listed] == [
        "Apixaban 5 MG Oral Tablet",
        "Xarelto 20 mg",
        "KARDEGIC 75 mg",
        "Ticagrelor 90 mg",
        "Amlodipine 5 mg",
        "Zolpidem 10 mg",
    ]
    assert [item.flags for item in listed][:3] == [("anticoagulant",), ("anticoagulant",), ("antiplatelet",)]


@pytest.mark.parametrize(
    "name",
    [
        "COUMADINE 5 mg",
        "warfarin sodium 5 MG Oral Tablet",
        "fluindione",
        "Acénocoumarol",
        "Eliquis 5 mg",
        "Dabigatran étexilate",
        "LIXIANA 60 mg",
        "Enoxaparin sodium 40 mg/0.4 mL",
        "LOVENOX 4000 UI",
        "Fondaparinux",
        "HÉPARINE CALCIQUE",
        "B01AF02",
        "B01AB05",
    ],
)
def test_anticoagulants_in_both_languages(name: str) -> None:
    assert anticoagulant(name)


@pytest.mark.parametrize(
    "name", ["FLECTOR TISSUGEL HEPARINE, emplâtre", "Lipheparin gel", "Vitamine K1", "Kardegic", "B01AC06", "Heparan"]
)
def test_what_is_no_anticoagulant(name: str) -> None:
    assert not anticoagulant(name)


def test_codes_alone_are_enough() -> None:
    """An ATC code, a French pack and a French medicine whose label says nothing."""
    rows = [
        drug("traitement A", code="B01AF01", system="http://www.whocc.no/atc"),
        drug("traitement B", code="3400935693099", system="1.2.250.1.213.2.3.2"),
        drug("traitement C", code="63564053", system="1.2.250.1.213.2.3.1"),
        drug("traitement D", note="ATC B01AA03"),
    ]
    assert {item.label: item.flags[0] for item in preoperative_list(rows, on=TODAY)} == {
        "traitement A": "anticoagulant", "traitement B": "anticoagulant", "traitement C": "antiplatelet",
        "traitement D": "anticoagulant",
    }  # fmt: skip


def test_the_french_medicines_list() -> None:
    assert substance_of_cip("3400935693099") == "WARFARINE SODIQUE"
    assert substance_of_cip("63564053").startswith("CLOPIDOGREL")
    assert substance_of_cip("3400930000011") == substance_of_cip("nonsense") == ""
    assert substance_of_label("BISOPROLOL FICTIF 2,5 mg") == "bisoprolol"
    assert substance_of_label("Doliprane") == ""
    assert substance_key("TRAMADOL; CHLORHYDRATE DE TRAMADOL") == substance_key("tramadol") == "tramadol"
    assert substance_key("WARFARINE SODIQUE") == substance_key("warfarin sodium") == "warfarin"
    assert antithrombotic("Warfarine") is not None


def test_one_treatment_in_two_documents_is_one_row() -> None:
    rows = [
        drug("BISOPROLOL 2,5 mg", source="old", when="2025-01-01", dose="1 le matin", start="2019-06-01"),
        drug("Bisoprolol 2,5 mg", source="new", when="2026-01-01", dose="1 le matin", start="2026-01-01"),
    ]
    (one,) = medication_list(rows, on=TODAY)
    assert (one.sources, one.source_document, one.start, one.flags) == (("new", "old"), "new", "2019-06-01", ())


def test_prescribed_here_and_taken_there_is_taken() -> None:
    prescribed = drug("Ramipril 5 mg", source="new", when="2026-02-01", status="prescribed")
    taken = drug("Ramipril 5 mg", source="old")
    assert [item.prescribed for item in medication_list([prescribed], on=TODAY)] == [True]
    assert [item.prescribed for item in medication_list([prescribed, taken], on=TODAY)] == [False]


def test_two_doses_stay_two_rows_in_conflict() -> None:
    rows = [drug("Bisoprolol 2,5 mg", dose="1 le matin"), drug("Bisoprolol 5 mg", dose="2 le matin", source="d2")]
    listed = medication_list(rows, on=TODAY)
    assert [item.flags for item in listed] == [("duplicate", "conflict"), ("duplicate", "conflict")]


def test_affirmed_and_denied_is_a_conflict() -> None:
    rows = [drug("Warfarine 5 mg"), drug("Coumadine", negated=True, source="d2")]
    taken, denied = medication_list(rows, on=TODAY)
    assert (taken.flags, denied.flags) == (("anticoagulant", "conflict"), ("anticoagulant", "conflict"))
    assert (taken.active, denied.active, denied.negated) == (True, False, True)


def test_two_brands_of_one_substance_are_seen() -> None:
    rows = [drug("ELIQUIS 5 mg", dose="2/j"), drug("apixaban 5 mg", dose="2/j", source="d2")]
    assert all("duplicate" in item.flags for item in medication_list(rows, on=TODAY))


def test_real_files() -> None:
    """Aspirin, of twelve treatments, is the one to stop before surgery."""
    path = FIXTURES / "ips_connectathon/EU_Giorgio_Cangioli_03.json"
    (made,) = read_file(path.read_bytes(), path.name)
    rows = [(Row("d", made.document.date), entry) for entry in made.document.of_kind("medication")]
    listed = preoperative_list(rows, on=TODAY)
    assert len(listed) == 12
    assert (listed[0].label, listed[0].flags) == ("Acetylsalicylic acid", ("antiplatelet",))
    assert not any(item.flags for item in listed[1:])
