"""Profile, contradictions, repeated examinations, and what a patient forgot to mention."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from vault.document import Entry
from vault.errors import InputRefused
from vault.importers import read_file
from vault.review.conflicts import contradictions
from vault.review.exams import before_asking, done, interval_of, repeats
from vault.review.medications import Medication, identity_of, medication_list
from vault.review.mentioned import compare, is_mentioned, read_list
from vault.review.profile import disease_name, diseases_of, profile

FIXTURES = Path(__file__).parent.parent / "fixtures"
TODAY = date(2026, 11, 21)


@dataclass(frozen=True)
class From:
    id: str
    date: str = "2026-01-01"
    title: str = ""
    type_code: str = ""
    author: str = ""


ONE, TWO, THREE = From("a", "2024-05-01"), From("b", "2025-06-01"), From("c", "2026-07-01")


def entry(kind: str, label: str, **fields: str | bool) -> Entry:
    return Entry(f"{label}-{len(fields)}", kind, {"label": label, **fields})


# --- profile


def test_one_fact_stands_once_with_all_its_sources() -> None:
    rows = [
        (ONE, entry("allergy", "Pénicilline", start="2010", reaction="urticaire")),
        (TWO, entry("allergy", "PENICILLINE")),
        (THREE, entry("allergy", "Penicillin G", code="764146007", system="http://snomed.info/sct")),
        (TWO, entry("allergy", "pénicilline G", code="764146007", system="http://snomed.info/sct")),
        (ONE, entry("condition", "Asthme", status="completed")),
        (THREE, entry("allergy", "Pénicilline", negated=True)),
    ]
    made = profile(rows, on=TODAY)
    first, second, denied = made.facts["allergy"]
    assert {first.sources, second.sources} == {("b", "a"), ("c", "b")}
    old = next(fact for fact in (first, second) if fact.label == "PENICILLINE")
    assert old.start == "2010" and old.fields["reaction"] == "urticaire"
    assert denied.negated and denied.sources == ("c",)
    assert [fact.active for fact in made.facts["condition"]] == [False]


def test_vaccinations_are_a_calendar_by_disease() -> None:
    rows = [
        (ONE, entry("immunization", "REPEVAX", start="2012-03-01", dose_number="4")),
        (TWO, entry("immunization", "Vaccin REPEVAX, suspension", start="2012-03-01", lot="L1")),
        (TWO, entry("immunization", "Vaccin grippe saisonnière", start="2025-10-12")),
        (ONE, entry("immunization", "Influenza vaccine", start="2024-10-10")),
        (ONE, entry("immunization", "Haemophilus influenzae b", start="1990")),
        (ONE, entry("immunization", "Un vaccin inconnu", start="2001-01-01")),
        (TWO, entry("immunization", "COMIRNATY", negated=True)),
    ]
    made = profile(rows, on=TODAY)
    calendar = made.calendar()
    assert list(calendar) == ["diphtheria", "tetanus", "polio", "pertussis", "influenza", "hib", ""]
    (booster,) = calendar["tetanus"]
    assert (booster.dose_number, booster.lot, booster.sources) == ("4", "L1", ("b", "a"))
    assert [dose.day for dose in calendar["influenza"]] == ["2025-10-12", "2024-10-10"]
    assert "covid-19" not in calendar and made.vaccinations[-1].negated
    assert disease_name("tetanus", "fr") == "Tétanos" and disease_name("", "fr") == ""


@pytest.mark.parametrize(("label", "code", "expected"), [
    ("Gardasil 9", "", ("hpv",)), ("Vaccin ROR", "", ("measles",)), ("", "J07BC01", ("hepatitis-b",)),
    ("TWINRIX", "", ("hepatitis-a", "hepatitis-b")), ("Orage", "", ()), ("Prevenar 20", "", ("pneumococcus",)),
])  # fmt: skip
def test_vaccines_are_known_by_name_or_code(label: str, code: str, expected: tuple[str, ...]) -> None:
    assert diseases_of(label, code) == expected


def test_measurements_are_series_in_one_unit() -> None:
    rows = [
        (TWO, entry("vital", "Poids", value="71,5", unit="kg", start="2025-01-01", code="29463-7")),
        (ONE, entry("vital", "Body weight", value="70.0", unit="kg", start="2024-01-01", code="29463-7")),
        (TWO, entry("vital", "Body weight", value="70.0", unit="kg", start="2024-01-01", code="29463-7")),
        (ONE, entry("vital", "Body weight", value="154", unit="lb", start="2024-02-01", code="29463-7")),
        (ONE, entry("result", "CRP", value="< 5", unit="mg/L", start="2024-02-01")),
        (ONE, entry("result", "Groupe", value="A Rh+", start="2024-02-01")),
    ]
    made = {(series.label, series.unit): series for series in profile(rows, on=TODAY).series}
    weight = made["Poids", "kg"]
    assert [(point.day, point.number) for point in weight.points] == [("2024-01-01", 70.0), ("2025-01-01", 71.5)]
    assert made["Body weight", "lb"].points[0].number == 154
    assert made["CRP", "mg/L"].points[0].number == 5 and made["Groupe", ""].points[0].number is None


# --- contradictions


def test_contradictions_name_both_sides() -> None:
    rows = [
        (ONE, entry("medication", "BISOPROLOL 2,5 mg", dose="1 le matin", status="active")),
        (TWO, entry("medication", "bisoprolol 5 mg", dose="1 matin et soir", status="active")),
        (THREE, entry("medication", "Kardegic 75", negated=True)),
        (ONE, entry("medication", "KARDEGIC 75 mg", status="active")),
        (ONE, entry("allergy", "Pénicilline")),
        (TWO, entry("allergy", "penicilline", negated=True)),
        (THREE, entry("allergy", "Aucune allergie connue", negated=True)),
        (ONE, entry("condition", "Asthme")),
        (TWO, entry("condition", "Asthme")),
    ]
    found = {(item.what, item.kind): item for item in contradictions(rows, on=TODAY)}
    assert set(found) == {
        ("doses", "medication"),
        ("taken", "medication"),
        ("stated", "allergy"),
        ("nothing", "allergy"),
    }
    doses = found["doses", "medication"]
    assert [(side.document, side.date, side.value) for side in doses.sides] == [
        ("b", "2025-06-01", "1 matin et soir"), ("a", "2024-05-01", "1 le matin"),
    ]  # fmt: skip
    assert [(side.document, side.negated) for side in found["stated", "allergy"].sides] == [("b", True), ("a", False)]
    assert found["nothing", "allergy"].sides[0].document == "c"


def test_what_came_later_or_is_over_contradicts_nothing() -> None:
    rows = [
        (ONE, entry("allergy", "Aucune allergie connue", negated=True)),
        (TWO, entry("allergy", "Latex")),
        (ONE, entry("medication", "BISOPROLOL 2,5 mg", dose="1", status="stopped")),
        (TWO, entry("medication", "BISOPROLOL 5 mg", dose="2", status="active")),
    ]
    assert contradictions(rows, on=TODAY) == ()


# --- examinations


def test_what_was_done_lately_is_shown_before_it_is_asked_again() -> None:
    rows = [
        (From("a"), entry("result", "HbA1c", start="2026-10-01", code="4548-4")),
        (From("b"), entry("result", "HbA1c", start="2026-09-01", code="4548-4")),
        (From("c"), entry("result", "HbA1c", start="2026-01-01", code="4548-4")),
        (From("d"), entry("procedure", "Scanner thoracique", start="2026-11-01")),
        (From("e"), entry("procedure", "Appendicectomie", start="2026-11-01")),
    ]
    exams = done(rows, [From("f", "2026-11-10", "Radiographie du genou", "18748-4"), From("g", "2026", "Lettre")])
    assert [exam.document for exam in exams] == ["f", "d", "a", "b", "c"]
    assert [exam.document for exam in before_asking(exams, "hba1c", on=TODAY)] == ["a", "b"]
    assert [exam.document for exam in before_asking(exams, "4548-4", on=TODAY, days=400)] == ["a", "b", "c"]
    assert [exam.document for exam in before_asking(exams, "scanner", on=TODAY)] == ["d"]
    assert before_asking(exams, "scanner cérébral", on=TODAY) == () and before_asking(exams, "", on=TODAY) == ()
    (again,) = repeats(exams)
    assert (again.newer.document, again.older.document, again.days, again.interval) == ("a", "b", 30, 90)
    assert repeats(exams, days=10) == ()
    assert interval_of("IRM cérébrale") == 90 and interval_of("Irmgard") == 30


# --- what the patient forgot

# (as it is recorded, as people say it)
TREATMENTS = (
    ("PREVISCAN 20 mg, comprimé quadrisécable", "previscam"), ("ELIQUIS 5 mg", "eliquis 5"),
    ("KARDEGIC 75 mg, poudre", "kardégic"), ("BISOPROLOL 2,5 mg, comprimé", "Bisoprolol"),
    ("RAMIPRIL 5 mg, comprimé", "ramipril le matin"), ("ATORVASTATINE 40 mg", "atorvastatine"),
    ("METFORMINE 850 mg", "metformine 850 matin et soir"), ("LEVOTHYROX 75 microgrammes", "lévothyrox"),
    ("FUROSEMIDE 40 mg", "furosémide"), ("AMLODIPINE 5 mg", "amlodipine"), ("OMEPRAZOLE 20 mg, gélule", "oméprazole"),
    ("PARACETAMOL 1 g", "paracétamol si douleur"), ("ZOLPIDEM 10 mg", "zolpidem pour dormir"),
    ("VENTOLINE 100 microgrammes/dose", "ventoline"), ("SERTRALINE 50 mg", "sertraline"),
    ("ALLOPURINOL 200 mg", "allopurinol"), ("SPIRONOLACTONE 25 mg", "spironolactone"),
    ("VITAMINE D3 100 000 UI", "vitamine d3"), ("VITAMINE B12 1000", "vitamine b12"),
    ("ACIDE FOLIQUE 5 mg", "acide folique"), ("ACIDE VALPROIQUE 500 mg", "acide valproïque"),
    ("INSULINE GLARGINE 100 U/mL", "insuline glargine"), ("INSULINE ASPARTE 100 U/mL", "insuline asparte"),
    ("DIGOXINE 0,25 mg", "digoxine"), ("WARFARINE 5 mg", "warfarine"),
)  # fmt: skip


def taking(labels: list[str]) -> tuple[Medication, ...]:
    rows = [(From(str(at)), entry("medication", label, status="active")) for at, label in enumerate(labels)]
    return medication_list(rows, on=TODAY)


def patients() -> Iterator[tuple[list[str], list[str], str]]:
    """100 patients with 3 to 9 treatments: (recorded, said, the one of them that 37 do not say)."""
    chance = random.Random(37)
    for number in range(100):
        chosen = chance.sample(TREATMENTS, chance.randint(3, 9))
        forgotten = chance.choice(chosen) if number < 37 else None
        said = [spoken for recorded, spoken in chosen if (recorded, spoken) != forgotten]
        chance.shuffle(said)
        yield [recorded for recorded, _ in chosen], said, forgotten[0] if forgotten else ""


def test_every_omission_is_listed_and_nothing_else() -> None:
    omissions = 0
    for recorded, said, forgotten in patients():
        told = compare(said, taking(recorded))
        assert [item.label for item in told.forgotten] == ([forgotten] if forgotten else []), (recorded, said)
        assert told.unknown == () and len(told.known) == len(said)
        omissions += bool(forgotten)
    assert omissions == 37


def test_what_is_said_and_not_recorded_is_listed_too() -> None:
    told = compare(["aspirine", "bisoprolol"], taking(["BISOPROLOL 2,5 mg"]))
    assert told.unknown == ("aspirine",) and told.forgotten == ()


@pytest.mark.parametrize(("said", "recorded", "means"), [
    ("coumadine", "WARFARINE 5 mg", True), ("metoprolol", "BISOPROLOL 5 mg", False),
    ("vitamine d", "VITAMINE B12", False),
    ("ramipril", "PERINDOPRIL 5 mg", False), ("insuline", "INSULINE GLARGINE 100 U/mL", False),
    ("vaccin grippe", "Vaccin pneumocoque", False), ("Tylenol", "Acetaminophen 650 MG", False),
])  # fmt: skip
def test_names_are_compared_as_people_say_them(said: str, recorded: str, means: bool) -> None:
    (item,) = taking([recorded])
    assert is_mentioned(said, item) is means


def test_a_list_is_read_as_people_write_it() -> None:
    assert read_list("# pour lundi\n- Kardegic 75\n\nBisoprolol 2,5 mg; Ramipril\n") == [
        "Kardegic 75", "Bisoprolol 2,5 mg", "Ramipril",
    ]  # fmt: skip


def test_on_real_files_nothing_said_is_called_forgotten_and_nothing_left_out_is_hidden() -> None:
    """Each treatment of each fixture is said by its own label, then left out, one at a time."""
    taken_in_all = 0
    for path in sorted(FIXTURES.rglob("*")):
        if not path.is_file() or path.suffix in (".md", ".tsv"):
            continue
        try:
            reads = read_file(path.read_bytes(), path.name)
        except InputRefused:
            continue
        rows = [
            (From(str(at), read.document.date), fact) for at, read in enumerate(reads) for fact in read.document.entries
        ]
        listed = [item for item in medication_list(rows, on=TODAY) if item.active]
        assert compare([item.label for item in listed], listed).forgotten == (), path.name
        for left_out in listed:
            told = compare([item.label for item in listed if item is not left_out], listed)
            same = [item for item in listed if item is not left_out and _drug(item) == _drug(left_out)]
            assert left_out in told.forgotten or same, (path.name, left_out.label)
            taken_in_all += 1
    assert taken_in_all >= 30


def _drug(item: Medication) -> str:
    return identity_of(entry("medication", item.label, substance=item.substance, code=item.code, system=item.system))
