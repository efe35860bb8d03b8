"""The structured body of a CDA document: entries by template, whatever section they stand in.

Template ids of IHE PCC and CCD, of the French CI-SIS and of US C-CDA. An entry inside another (a tapered dose, the
reaction of an allergy, the reason of a treatment) belongs to that one. Negated, empty and "nothing known" entries
are negated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.importers.cda_values import (
    V3,
    XSI_TYPE,
    Coded,
    Narrative,
    coded,
    find,
    interval,
    quantity,
    templates,
    value_of,
)
from vault.importers.dates import from_hl7
from vault.importers.reading import Builder, clean, says_nothing
from vault.terminology import ATC_SYSTEMS, antithrombotic, is_atc, substance_of_cip

if TYPE_CHECKING:
    from lxml.etree import _Element

_IHE, _CCDA = "1.3.6.1.4.1.19376.1.5.3.1.4.", "2.16.840.1.113883.10.20.22.4."
_CCD, _FR = "2.16.840.1.113883.10.20.1.", "1.2.250.1.213.1.1.3."
# First match wins: an allergy carries the problem's template too, an immunization that of a medication activity.
_KINDS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("allergy", "observation", frozenset({_IHE + "6", _CCDA + "7", _CCD + "18", _FR + "41"})),
    ("planned", "substanceAdministration", frozenset({_IHE + "12.2", _FR + "47", _CCDA + "42", _CCDA + "120"})),
    ("immunization", "substanceAdministration", frozenset({_IHE + "12", _CCDA + "52", _FR + "45"})),
    ("medication", "substanceAdministration",
     frozenset({_IHE + "7", _CCDA + "16", _CCD + "24", _FR + "42", _FR + "83"})),
    ("family_history", "observation", frozenset({_IHE + "13.3", _CCDA + "46", _CCD + "22", _FR + "51"})),
    ("condition", "observation", frozenset({_IHE + "5", _CCDA + "4", _CCD + "28", _FR + "37"})),
    ("vital", "observation", frozenset({_IHE + "13.2", _CCDA + "27", _FR + "50"})),
    ("result", "observation", frozenset({"1.3.6.1.4.1.19376.1.3.1.6", _CCDA + "2", _FR + "80"})),
    ("social_history", "observation", frozenset({_IHE + "13.4", _IHE + "13.5", _CCDA + "38", _CCDA + "78", _CCDA + "85",
                                                 _FR + "52", _FR + "53"})),
    ("directive", "observation", frozenset({_IHE + "13.7", _CCDA + "48", _CCD + "17", _FR + "54"})),
    ("procedure", "", frozenset({_IHE + "19", _CCDA + "12", _CCDA + "13", _CCDA + "14", _CCD + "29"})),
    ("device", "supply", frozenset({_CCDA + "50", _FR + "20"})),
)  # fmt: skip
_STATEMENTS = frozenset(
    V3 + tag for tag in ("observation", "substanceAdministration", "supply", "procedure", "act", "encounter")
)
_MEDICATION_SECTIONS = frozenset({
    "10160-0", "10183-2", "42346-7", "18610-6", "57828-6", "29549-3", "75311-1", "56445-0", "8658-9",
})  # fmt: skip
_RESULT_SECTIONS = frozenset({"30954-2"})
_MEASURED = frozenset({"PQ", "INT", "REAL", "IVL_PQ", "RTO", "RTO_PQ_PQ", "MO"})
_SIMPLE_OBSERVATION = frozenset({_IHE + "13", _FR + "48"})
_CCDA_PREFIX = "2.16.840.1.113883.10.20.22."
_CIP_SYSTEMS = ("1.2.250.1.213.2.3.2", "1.2.250.1.213.2.3.1", "1.2.250.1.213.2.3.4")
_STATUS = {
    "active": "active", "aborted": "stopped", "cancelled": "stopped", "nullified": "stopped", "suspended": "stopped",
    "held": "stopped",
}  # fmt: skip


def read_body(body: _Element, narrative: Narrative, out: Builder) -> None:
    """Adds every entry of the structured body to `out`, in document order."""
    taken: set[_Element] = set()
    for element in body.iter(*_STATEMENTS):
        kind = kind_of(element)
        if kind is None:
            continue
        if any(ancestor in taken for ancestor in element.iterancestors(*_STATEMENTS)) and not _own_fact(element, kind):
            continue
        taken.add(element)
        _READERS.get(kind, _observation)(element, kind, narrative, out)
    _count_the_rest(body, taken, out)


def kind_of(element: _Element) -> str | None:
    """Which kind of entry a statement is, None for everything that is part of another or not kept apart."""
    found = templates(element)
    tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    for kind, wanted, known in _KINDS:
        if found & known and (tag == wanted or (not wanted and tag in ("procedure", "act", "observation"))):
            return None if kind == "condition" and element.get("moodCode") in ("RQO", "INT", "GOL", "PRMS") else kind
    section = _section_code(element)
    if tag == "substanceAdministration" and section in _MEDICATION_SECTIONS and find(element, "consumable") is not None:
        return "medication"
    if tag == "observation" and section in _RESULT_SECTIONS and (not found or found & _SIMPLE_OBSERVATION):
        # Coded findings of an examination (questionnaires of imaging) are notes; what is measured is a result.
        values = element.findall(V3 + "value")
        measured = any(value.get(XSI_TYPE, "").rpartition(":")[2] in _MEASURED for value in values)
        return ("result" if measured else "note") if values else None
    return None


def _own_fact(element: _Element, kind: str) -> bool:
    """An observation that stands on its own even inside another statement (result in a panel, problem in a concern)."""
    if kind == "condition":
        # The reason for a treatment and the reaction of an allergy say nothing new about the patient.
        link = element.getparent()
        inside = link.get("typeCode") if link is not None else None
        return inside not in ("RSON", "MFST") and not _within(element, "allergy")
    return kind in ("result", "vital", "allergy", "note")


def _within(element: _Element, kind: str) -> bool:
    return any(kind_of(ancestor) == kind for ancestor in element.iterancestors(V3 + "observation"))


def _section_code(element: _Element) -> str:
    section = next(element.iterancestors(V3 + "section"), None)
    code = None if section is None else section.find(V3 + "code")
    return "" if code is None else code.get("code", "")


def _count_the_rest(body: _Element, taken: set[_Element], out: Builder) -> None:
    """Statements that gave no entry stay in the narrative and in the original file: say how many."""
    for entry in body.iter(V3 + "entry"):
        if not any(item in taken for item in entry.iter(*_STATEMENTS)):
            section = entry.getparent()
            title = section.find(V3 + "title") if section is not None else None
            name = clean("".join(title.itertext()), 80) if title is not None else ""
            out.not_understood(f"entry of section '{name or _section_code(entry[0]) if len(entry) else name}'")


def _negated(element: _Element, *labels: Coded) -> bool:
    """negationInd, a null statement, or a concept that says nothing is known."""
    if element.get("negationInd") == "true" or element.get("nullFlavor"):
        return True
    return any(
        says_nothing(label.label, label.code, *(code for code, _, _ in label.others))
        for label in labels
        if label != Coded()
    )


def _medication(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    product = find(element, "consumable/manufacturedProduct")
    material = find(product, "manufacturedMaterial")
    if material is None:
        material = find(product, "manufacturedLabeledDrug")
    concept = coded(find(material, "code"), narrative)
    name = clean("".join(part.itertext())) if (part := find(material, "name")) is not None else ""
    text = narrative.text(element.find(V3 + "text"))
    label = concept.label or name or text or concept.code
    start, end = _treatment_times(element)
    empty = product is None or material is None or not label
    fields: dict[str, object] = {
        "label": label or _null_label(element, material),
        "code": concept.code,
        "system": concept.system,
        "start": start,
        "end": end,
        "negated": _negated(element, Coded(label, concept.code, others=concept.others)) or empty,
    }
    if kind == "immunization":
        fields |= _immunization_fields(element, material, narrative)
        fields["status"] = "completed" if _status(element) == "unknown" else _status(element)
        fields["note"] = text if text != label else ""
    elif kind == "planned":
        kind, fields["note"] = "note", " · ".join(filter(None, ("planned", _dose(element, text, narrative)[0])))
    else:
        atc = _atc(material, concept)
        fields["substance"] = _substance(material, concept, atc)
        fields["dose"], instructions = _dose(element, text if text != label else "", narrative)
        fields["status"] = _status(element)
        fields["note"] = " · ".join(filter(None, (instructions, f"ATC {atc}" if atc and atc != concept.code else "")))
    out.add(kind, fields)


def _immunization_fields(element: _Element, material: _Element | None, narrative: Narrative) -> dict[str, object]:
    number = ""
    for item in element.iter(V3 + "observation"):
        code = item.find(V3 + "code")
        if code is not None and code.get("code") == "30973-2":
            value = item.find(V3 + "value")
            number = value_of(value, narrative)[0] if value is not None else ""
    if not number and (repeat := element.find(V3 + "repeatNumber")) is not None:
        number = quantity(repeat)[0].lstrip("≥≤ ")
    performer = find(element, "performer/assignedEntity")
    person = find(performer, "assignedPerson/name")
    organisation = find(performer, "representedOrganization/name")
    names = [" ".join(" ".join(part.itertext()).split()) for part in (person, organisation) if part is not None]
    lot = find(material, "lotNumberText")
    return {
        "lot": "".join(lot.itertext()) if lot is not None else "",
        "dose_number": number,
        "performer": ", ".join(names),
    }


def _treatment_times(element: _Element) -> tuple[str, str]:
    """The interval of treatment: the first effectiveTime that is not a frequency."""
    for time in element.findall(V3 + "effectiveTime"):
        start, end = interval(time)
        if start or end:
            return start, end
    return "", ""


def _status(element: _Element) -> str:
    """`completed` is fixed in IHE and French templates and says nothing there: dates decide."""
    status = element.find(V3 + "statusCode")
    code = "" if status is None else status.get("code", "")
    if code == "completed" and any(item.startswith(_CCDA_PREFIX) for item in templates(element)):
        return "completed"
    return _STATUS.get(code, "unknown")


def _done(element: _Element) -> str:
    status = element.find(V3 + "statusCode")
    return "completed" if status is not None and status.get("code") == "completed" else _status(element)


def _dose(element: _Element, text: str, narrative: Narrative) -> tuple[str, str]:
    """(dose as prescribed, further instructions): written instructions first, else quantity and period."""
    text = "" if text in ("-", "—") else text
    instructions = [
        narrative.text(act.find(V3 + "text"))
        for link in element.findall(V3 + "entryRelationship")
        for act in link.findall(V3 + "act")
        if (code := act.find(V3 + "code")) is not None and code.get("code") in ("PINSTRUCT", "409073007")
    ]
    measured = " ".join(filter(None, quantity(element.find(V3 + "doseQuantity"))))
    for time in element.findall(V3 + "effectiveTime"):
        period = " ".join(filter(None, quantity(find(time, "period"))))
        if period:
            measured = f"{measured} / {period}".strip(" /") if measured else f"/ {period}"
    written = text or next((item for item in instructions if item), "")
    dose = " · ".join(dict.fromkeys(item for item in (written, measured) if item))
    return dose, " · ".join(item for item in dict.fromkeys(instructions) if item and item != written)


def _atc(material: _Element | None, concept: Coded) -> str:
    if code := concept.in_system(*ATC_SYSTEMS):
        return code
    for item in material.iter("{*}code", "{*}translation") if material is not None else ():
        if item.get("codeSystem") in ATC_SYSTEMS and is_atc(item.get("code", "")):
            return clean(item.get("code"))
    return ""


def _substance(material: _Element | None, concept: Coded, atc: str) -> str:
    """From the document's own ingredients, the French medicines list, or the ATC code of an antithrombotic."""
    names: list[str] = []
    for item in (
        material.iter("{urn:ihe:pharm:medication}ingredient", "{*}asSpecializedKind") if material is not None else ()
    ):
        name = next((part for part in item.iterchildren("{*}name")), None)
        code = next((part for part in item.iterchildren("{*}code")), None)
        text = clean("".join(name.itertext())) if name is not None else ""
        if text := text or (clean(code.get("displayName")) if code is not None else ""):
            names.append(text)
    if names:
        return "; ".join(dict.fromkeys(names))
    for code in (concept.code, *(other for other, system, _ in concept.others if system in _CIP_SYSTEMS)):
        if concept.system in _CIP_SYSTEMS and (substance := substance_of_cip(code)):
            return substance
    for other, system, label in concept.others:
        if system in _CIP_SYSTEMS and label and not other.startswith("34009"):
            return label
    drug = antithrombotic(atc=atc)
    return drug.substance_fr if drug is not None else ""


def _null_label(*elements: _Element | None) -> str:
    """What to show for a statement without any words: its null flavour."""
    flavour = next((item.get("nullFlavor") for item in elements if item is not None and item.get("nullFlavor")), "")
    return f"(nullFlavor {flavour})" if flavour else "(-)"


def _allergy(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    value, category = element.find(V3 + "value"), coded(element.find(V3 + "code"), narrative)
    finding = coded(value, narrative)
    agents = [
        agent
        for role in element.findall(f"{V3}participant/{V3}participantRole/{V3}playingEntity")
        if (agent := _agent(role, narrative)).label
    ]
    negated = _negated(element, finding, category)
    agent = agents[0] if agents else Coded()
    # "Allergy to substance" + agent "penicillin": the agent is what a person must read.
    named = agent if agent.label and not says_nothing(agent.label, agent.code) else finding
    if not named.label:
        named = Coded(narrative.text(element.find(V3 + "text")) or named.code, named.code, named.system)
    start, end = interval(element.find(V3 + "effectiveTime"))
    reactions, severity, criticality, status = _allergy_details(element, narrative)
    if named is agent and finding.label and element.get("negationInd") != "true" and not _generic(finding):
        reactions.insert(0, finding.label)
    out.add("allergy", {
        "label": named.label or _null_label(element, value), "code": named.code, "system": named.system,
        "substance": agent.label if named is agent else "", "start": start, "end": end,
        "negated": negated or says_nothing(agent.label, agent.code) or not named.label,
        "status": status or ("completed" if end else "unknown"),
        "reaction": "; ".join(dict.fromkeys(reactions)), "severity": severity, "criticality": criticality,
        "note": category.label if category.code not in ("ASSERTION", "DISEASE", "") else "",
    })  # fmt: skip


def _agent(role: _Element, narrative: Narrative) -> Coded:
    found = coded(role.find(V3 + "code"), narrative)
    name = role.find(V3 + "name")
    text = clean("".join(name.itertext())) if name is not None else ""
    return Coded(found.label or text or found.code, found.code, found.system, found.system_name, found.others)


def _generic(finding: Coded) -> bool:
    """Drug allergy, propensity to adverse reaction: the kind of reaction, not a reaction."""
    kinds = ("DALG", "DINT", "DNAINT", "FALG", "EALG", "OINT", "ALG")
    return finding.system == "2.16.840.1.113883.6.96" or finding.code in kinds


def _allergy_details(element: _Element, narrative: Narrative) -> tuple[list[str], str, str, str]:
    reactions, severity, criticality, status = [], "", "", ""
    for link in element.iter(V3 + "entryRelationship"):
        item = link.find(V3 + "observation")
        if item is None or (value := item.find(V3 + "value")) is None:
            continue
        found, code = templates(item), find(item, "code")
        text = value_of(value, narrative)[0]
        what = code.get("code", "") if code is not None else ""
        if found & {_CCDA + "8"} or what == "SEV":
            severity = severity or text
        elif found & {_CCDA + "145"} or what == "82606-5":
            criticality = text
        elif found & {_CCDA + "28", _IHE + "1.1"} or what == "33999-4":
            status = {"55561003": "active", "G-A230": "active", "73425007": "stopped", "413322009": "completed"}.get(
                value.get("code", ""), status)  # fmt: skip
        elif link.get("typeCode") == "MFST" and item.get("negationInd") != "true" and text:
            reactions.append(text)
    return reactions, severity, criticality, status


def _condition(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    value = element.find(V3 + "value")
    finding = coded(value, narrative) if value is not None else Coded()
    text = narrative.text(element.find(V3 + "text"))
    label = finding.label or (narrative.text(value) if value is not None else "") or text or finding.code
    start, end = interval(element.find(V3 + "effectiveTime"))
    concern = next(element.iterancestors(V3 + "act"), None)
    status = "completed" if end else ("active" if _concern_status(concern) == "active" else "unknown")
    reason = next(element.iterancestors(V3 + "substanceAdministration"), None)
    out.add(kind, {
        "label": label or _null_label(element, value), "code": finding.code, "system": finding.system, "start": start,
        "end": end, "negated": _negated(element, Coded(label, finding.code, others=finding.others)) or not label,
        "status": status if kind == "condition" else "",
        "note": " · ".join(filter(None, (
            text if text != label else "",
            f"reaction: {_product_label(reason, narrative)}" if reason is not None else ""))),
    })  # fmt: skip


def _product_label(administration: _Element, narrative: Narrative) -> str:
    code = find(administration, "consumable/manufacturedProduct/manufacturedMaterial/code")
    return coded(code, narrative).label


def _concern_status(concern: _Element | None) -> str:
    status = None if concern is None else concern.find(V3 + "statusCode")
    return "" if status is None else status.get("code", "")


def _observation(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    concept = coded(element.find(V3 + "code"), narrative)
    values = [value_of(item, narrative) for item in element.findall(V3 + "value")]
    values = [pair for pair in values if pair[0]]
    units = {unit for _, unit in values}
    start, end = interval(element.find(V3 + "effectiveTime"))
    text = narrative.text(element.find(V3 + "text"))
    interpretation = [
        item.get("code") or item.get("displayName") or "" for item in element.findall(V3 + "interpretationCode")
    ]
    label = concept.label or text or concept.code
    out.add(kind, {
        "label": label or _null_label(element, element.find(V3 + "code")),
        "code": concept.code, "system": concept.system,
        "value": "; ".join(value if len(units) < 2 else f"{value} {unit}".strip() for value, unit in values),
        "unit": units.pop() if len(units) == 1 else "", "range": _range(element, narrative),
        "interpretation": " ".join(filter(None, interpretation)), "start": start, "end": end,
        "negated": _negated(element) or not label,
        "note": text if text.lower() not in (label.lower(), *(value.lower() for value, _ in values)) else "",
    })  # fmt: skip


def _range(element: _Element, narrative: Narrative) -> str:
    found = []
    for item in element.findall(f"{V3}referenceRange/{V3}observationRange"):
        written = narrative.text(item.find(V3 + "text"))
        value = item.find(V3 + "value")
        measured = " ".join(filter(None, value_of(value, narrative))) if value is not None else ""
        found.append(written or measured)
    return "; ".join(dict.fromkeys(filter(None, found)))


def _act(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    """Procedures and devices."""
    concept = coded(element.find(V3 + "code"), narrative)
    device = coded(find(element, "participant/participantRole/playingDevice/code"), narrative)
    if kind == "device" and device.label:
        concept = device
    text = narrative.text(element.find(V3 + "text"))
    start, end = interval(element.find(V3 + "effectiveTime"))
    label = concept.label or text or concept.code
    planned = element.get("moodCode") in ("INT", "RQO", "PRMS", "ARQ")
    performer = find(element, "performer/assignedEntity/assignedPerson/name")
    out.add(kind, {
        "label": label or _null_label(element, element.find(V3 + "code")),
        "code": concept.code, "system": concept.system,
        "start": start or from_hl7(text), "end": end, "negated": _negated(element, concept) or not label,
        "status": "unknown" if planned else _done(element),
        "performer": " ".join(performer.itertext()) if performer is not None else "",
        "note": " · ".join(filter(None, ("planned" if planned else "", text if text != label else ""))),
    })  # fmt: skip


_READERS = {
    "medication": _medication,
    "planned": _medication,
    "immunization": _medication,
    "allergy": _allergy,
    "condition": _condition,
    "family_history": _condition,
    "procedure": _act,
    "device": _act,
}
