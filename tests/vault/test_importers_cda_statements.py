"""Statements of a CDA body as other senders write them: each as small as it can be, and what it must come to."""

from __future__ import annotations

import pytest

from vault.document import Entry
from vault.importers import read_file

CCDA, CCD = "2.16.840.1.113883.10.20.22.4.", "2.16.840.1.113883.10.20.1."
SNOMED, LOINC = "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1"


def document(section: str, *entries: str, text: str = "", header: str = "") -> bytes:
    body = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="1.2.3" extension="4"/><title>T</title>{header}<component><structuredBody><component><section>'
        f'<code code="{section}"/><text>{text}</text>{body}</section></component></structuredBody></component>'
        "</ClinicalDocument>"
    ).encode()


def entries(section: str, *statements: str, text: str = "") -> tuple[Entry, ...]:
    (read,) = read_file(document(section, *statements, text=text), "a.xml")
    return read.document.entries


def one(section: str, statement: str, text: str = "") -> Entry:
    (entry,) = entries(section, statement, text=text)
    return entry


def observation(inner: str, *templates: str, mood: str = "EVN") -> str:
    known = "".join(f'<templateId root="{root}"/>' for root in templates)
    return f'<observation classCode="OBS" moodCode="{mood}">{known}{inner}</observation>'


def coded(name: str, code: str, label: str = "", system: str = SNOMED) -> str:
    kind = ' xsi:type="CD"' if name == "value" else ""
    return f'<{name}{kind} code="{code}" codeSystem="{system}" displayName="{label}"/>'


def administration(inner: str, template: str = CCDA + "16", mood: str = "INT") -> str:
    product = (
        "<consumable><manufacturedProduct><manufacturedMaterial>"
        f"{coded('code', '1', 'Product')}</manufacturedMaterial></manufacturedProduct></consumable>"
    )
    return (
        f'<substanceAdministration moodCode="{mood}"><templateId root="{template}"/>{inner}{product}'
        "</substanceAdministration>"
    )


def link(inner: str, kind: str = "REFR") -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


PROBLEM = coded("code", "55607006") + coded("value", "233604007", "Pneumonia")


def concern(inner: str, status: str) -> str:
    return f'<act moodCode="EVN"><statusCode code="{status}"/>{link(inner, "SUBJ")}</act>'


@pytest.mark.parametrize(
    ("code", "status", "negated"),
    [("413322009", "completed", False), ("55561003", "active", False), ("410516002", "active", True)],
)
def test_a_problem_says_itself_whether_it_goes_on(code: str, status: str, negated: bool) -> None:
    """The concern about a problem may be open when the problem is over."""
    own = link(observation(coded("code", "33999-4", "Status", LOINC) + coded("value", code)))
    entry = one("11450-4", concern(observation(PROBLEM + own, CCDA + "4"), "active"))
    assert (entry.text("label"), entry.text("status"), entry.negated) == ("Pneumonia", status, negated)


def test_an_unknown_end_of_a_closed_concern_is_an_end() -> None:
    over = '<effectiveTime><low value="2020"/><high nullFlavor="UNK"/></effectiveTime>'
    assert one("11450-4", concern(observation(over + PROBLEM, CCDA + "4"), "completed")).text("status") == "completed"
    assert one("11450-4", concern(observation(over + PROBLEM, CCDA + "4"), "active")).text("status") == "active"


def test_a_problem_keeps_its_side_severity_and_remark() -> None:
    side = f'<qualifier><name code="272741003"/>{coded("value", "7771000", "Left")}</qualifier>'
    site = f'<targetSiteCode code="1" displayName="Lower leg">{side}</targetSiteCode>'
    severe = link(observation(coded("code", "SEV") + coded("value", "24484000", "Severe")))
    remark = link(f"<act>{coded('code', '48767-8', 'Comment', LOINC)}<text>after a fall</text></act>")
    entry = one("11450-4", observation(PROBLEM + site + severe + remark, CCDA + "4"))
    assert entry.text("severity") == "Severe"
    assert entry.text("note") == "Lower leg, Left · after a fall"


def test_family_history_says_who_and_how_old() -> None:
    age = link(observation(coded("code", "445518008") + '<value xsi:type="PQ" value="57" unit="a"/>', CCDA + "31"))
    father = f"<subject><relatedSubject>{coded('code', 'FTH', 'Father')}</relatedSubject></subject>"
    had = observation(PROBLEM + age, CCDA + "46")
    entry = one("10157-6", f"<organizer>{father}<component>{had}</component></organizer>")
    assert (entry.kind, entry.text("label"), entry.text("note")) == ("family_history", "Pneumonia", "Father · age 57 a")


def test_a_vaccination_of_the_old_summary_is_none_of_the_treatments() -> None:
    """CCD has one template for both: the section tells."""
    assert one("11369-6", administration("", CCD + "24", "EVN")).kind == "immunization"
    assert one("10160-0", administration("", CCD + "24", "EVN")).kind == "medication"


def test_a_vaccination_that_is_only_intended_was_not_given() -> None:
    entry = one("11369-6", administration("", CCDA + "52", "INT"))
    assert (entry.kind, entry.text("note")) == ("note", "planned")


def test_why_a_vaccine_was_not_given_is_a_remark_and_no_problem() -> None:
    why = link(observation(coded("code", "PATOBJ", "Patient objection"), CCDA + "53"), "RSON")
    form = link(observation("<code/>", CCD + "28"), "CAUS")
    refused = administration(why + form, CCDA + "52", "EVN").replace('moodCode="EVN"', 'negationInd="true"', 1)
    entry = one("11369-6", refused)
    assert (entry.kind, entry.negated, entry.text("note")) == ("immunization", True, "Patient objection")


def test_the_observation_of_the_old_summary_is_what_its_section_is_about() -> None:
    measured = observation(
        coded("code", "1", "Body weight") + '<value xsi:type="PQ" value="86" unit="kg"/>', CCD + "31"
    )
    answered = observation(coded("code", "2", "Walks alone") + "<value xsi:type='ST'>yes</value>", CCD + "31")
    battery = f"<organizer><component>{measured}</component></organizer>"
    assert [entry.kind for entry in entries("8716-3", battery)] == ["vital"]
    assert [entry.kind for entry in entries("30954-2", battery, answered)] == ["result", "result"]
    assert [entry.kind for entry in entries("47420-5", battery, answered)] == ["result", "note"]


@pytest.mark.parametrize(
    ("section", "statement", "kind"),
    [
        ("11450-4", observation(PROBLEM), "condition"),
        ("11450-4", concern(observation(PROBLEM), "active"), "condition"),
        ("11450-4", observation(coded("code", "33999-4") + coded("value", "1", "Active")), None),
        ("11450-4", observation(PROBLEM, "1.2.3.4"), None),
        ("11450-4", observation(PROBLEM, mood="GOL"), None),
        ("47519-4", f'<procedure moodCode="EVN">{coded("code", "80146002", "Appendectomy")}</procedure>', "procedure"),
        ("47519-4", f'<procedure moodCode="RQO">{coded("code", "80146002", "Appendectomy")}</procedure>', None),
        ("8716-3", observation(coded("code", "8480-6") + '<value xsi:type="PQ" value="120"/>', "1.2.3.4"), "vital"),
        ("8716-3", observation(coded("code", "82607-3")), None),
        ("29762-2", observation(coded("code", "1", "Alcohol") + "<value xsi:type='ST'>none</value>"), "social_history"),
        ("48765-2", observation(coded("code", "1") + coded("value", "2", "Nuts")), None),
    ],
)
def test_a_statement_without_template_is_told_by_its_section(section: str, statement: str, kind: str | None) -> None:
    assert [entry.kind for entry in entries(section, statement)] == ([kind] if kind else [])


def test_devices_scales_and_plans() -> None:
    device = f"<playingDevice>{coded('code', '72506001', 'Pacemaker')}</playingDevice>"
    supply = f'<supply><templateId root="{CCD}34"/><participant><participantRole>{device}'
    supply += "</participantRole></participant></supply>"
    assert one("46264-8", supply).text("label") == "Pacemaker"
    assert entries("10160-0", supply) == ()
    scale = observation(coded("code", "1", "PHQ-2") + '<value xsi:type="INT" value="3"/>', CCDA + "69")
    assert (one("10190-7", scale).kind, one("10190-7", scale).text("value")) == ("note", "3")
    planned = f'<encounter moodCode="INT"><templateId root="{CCDA}40"/>{coded("code", "1", "Visit")}</encounter>'
    assert (one("18776-5", planned).kind, one("18776-5", planned).text("note")) == ("note", "planned")


def test_a_number_whose_unit_has_no_code_is_not_lost() -> None:
    text = "<originalText>x10e3/uL</originalText>"
    value = f'<value xsi:type="PQ" nullFlavor="OTH"><translation value="11.5">{text}</translation></value>'
    entry = one("30954-2", observation(coded("code", "6690-2", "Leukocytes") + value, CCDA + "2"))
    assert (entry.text("value"), entry.text("unit")) == ("11.5", "x10e3/uL")


def test_a_range_that_is_only_called_normal_gets_its_bounds() -> None:
    bounds = '<value xsi:type="IVL_PQ"><low value="60" unit="/min"/><high value="100" unit="/min"/></value>'
    inner = coded("code", "8867-4", "Heart rate") + '<value xsi:type="PQ" value="72" unit="/min"/>'
    inner += f"<referenceRange><observationRange><text>Normal</text>{bounds}</observationRange></referenceRange>"
    assert one("8716-3", observation(inner, CCDA + "27")).text("range") == "Normal 60 - 100 /min"


def test_an_asserted_finding_is_named_by_what_it_says() -> None:
    inner = coded("code", "ASSERTION", "Assertion") + coded("value", "77386006", "Pregnant")
    entry = one("29762-2", observation(inner, "2.16.840.1.113883.10.20.15.3.8"))
    assert (entry.kind, entry.text("label"), entry.text("value")) == ("social_history", "Pregnant", "")
    assert entry.text("code") == "77386006"


def test_the_dose_says_when_and_only_if_needed() -> None:
    event = '<effectiveTime xsi:type="EIVL_TS"><event code="HS"/></effectiveTime>'
    route = '<routeCode code="C38288" displayName="Oral"/>'
    most = '<maxDoseQuantity><numerator value="4"/><denominator value="1" unit="d"/></maxDoseQuantity>'
    need = f"<precondition><criterion>{coded('value', '1', 'Pain')}</criterion></precondition>"
    inner = f'{event}{route}<doseQuantity value="1" unit="{{tablet}}"/>{most}{need}'
    dose = one("10160-0", administration(inner)).text("dose")
    assert dose == "1 tablet au coucher (HS) · si besoin (as needed): Pain · max 4 / 1 d · Oral"


def test_a_period_without_amount_says_nothing_beside_written_words() -> None:
    inner = '<text>every day</text><effectiveTime xsi:type="PIVL_TS"><period value="2982616" unit="m"/></effectiveTime>'
    assert one("10160-0", administration(inner)).text("dose") == "every day"


def test_all_severities_of_an_allergy_are_told_and_its_concern_keeps_it_active() -> None:
    def severity(label: str) -> str:
        return link(observation(coded("code", "SEV") + coded("value", "1", label), CCDA + "8"), "SUBJ")

    agent = f"<playingEntity>{coded('code', '7980', 'Penicillin')}</playingEntity>"
    agent = f'<participant typeCode="CSM"><participantRole>{agent}</participantRole></participant>'
    hives = link(observation(coded("code", "ASSERTION") + coded("value", "1", "Hives") + severity("Severe")), "MFST")
    inner = coded("code", "ASSERTION") + coded("value", "416098002", "Drug allergy") + agent
    entry = one("48765-2", concern(observation(inner + severity("Mild") + hives, CCDA + "7"), "active"))
    assert (entry.text("severity"), entry.text("reaction"), entry.text("status")) == ("Mild; Severe", "Hives", "active")


def allergy(agent: str, inner: str = "") -> str:
    role = f'<participant typeCode="CSM"><participantRole><playingEntity>{agent}</playingEntity></participantRole>'
    return observation(f"{coded('code', 'ASSERTION')}{role}</participant>{inner}", CCDA + "7")


def test_an_agent_without_code_is_called_by_its_name() -> None:
    code = '<code code="UNK" nullFlavor="UNK"><originalText>Coded name not available</originalText></code>'
    entry = one("48765-2", allergy(f"{code}<name>LATEX STRAP</name>"))
    assert (entry.text("label"), entry.text("code")) == ("LATEX STRAP", "")


def test_a_reaction_that_is_marked_like_an_allergy_is_a_reaction() -> None:
    """Some senders give both the same templates: nobody is allergic to hives."""
    hives = observation(coded("value", "247472004", "Hives"), CCDA + "7", CCDA + "4")
    entry = one("48765-2", allergy(coded("code", "7980", "Penicillin"), link(hives, "MFST")))
    assert (entry.text("label"), entry.text("reaction")) == ("Penicillin", "Hives")


def test_why_somebody_came_is_a_problem_and_an_empty_form_is_none() -> None:
    why, empty = link(observation(PROBLEM, CCDA + "4"), "RSON"), link(observation("<code/>", CCDA + "4"), "RSON")
    assert [entry.text("label") for entry in entries("46240-8", f"<encounter>{why}{empty}</encounter>")] == [
        "Pneumonia"
    ]


def test_who_told_a_result_is_no_result() -> None:
    source = link(observation(coded("code", "48766-0", "Information source", LOINC) + "<value>Dr FICTIVE</value>"))
    inner = coded("code", "6690-2", "Leukocytes") + '<value xsi:type="PQ" value="7.6"/>' + source
    assert one("30954-2", observation(inner, CCDA + "2")).text("label") == "Leukocytes"
