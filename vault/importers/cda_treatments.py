"""Treatments and vaccinations of a CDA body: product, substance, dose, dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.importers.cda_statement import comments_of, is_negated, null_label, status_of
from vault.importers.cda_values import (
    V3,
    Coded,
    Narrative,
    child,
    children,
    coded,
    find,
    interval,
    quantity,
    value_of,
    value_of_ratio,
)
from vault.importers.reading import Builder, clean
from vault.importers.rhythm import AS_NEEDED, event
from vault.terminology import ATC_SYSTEMS, antithrombotic, is_atc, substance_of_cip

if TYPE_CHECKING:
    from lxml.etree import _Element

_CIP_SYSTEMS = ("1.2.250.1.213.2.3.2", "1.2.250.1.213.2.3.1", "1.2.250.1.213.2.3.4")


def read_treatment(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    product = find(element, "consumable/manufacturedProduct")
    material = find(product, "manufacturedMaterial")
    if material is None:
        material = find(product, "manufacturedLabeledDrug")
    concept = coded(find(material, "code"), narrative)
    name = clean("".join(part.itertext())) if (part := find(material, "name")) is not None else ""
    text = narrative.text(child(element, "text"))
    label = concept.label or name or text or concept.code
    start, end = _treatment_times(element)
    empty = product is None or material is None or not label
    fields: dict[str, object] = {
        "label": label or null_label(element, material),
        "code": concept.code,
        "system": concept.system,
        "start": start,
        "end": end,
        "negated": is_negated(element, Coded(label, concept.code, others=concept.others)) or empty,
    }
    if kind == "immunization":
        fields |= _immunization_fields(element, material, narrative)
        fields["status"] = "completed" if status_of(element) == "unknown" else status_of(element)
        reason = _reason_not_given(element, narrative) if fields["negated"] else ""
        said = (reason, text if text != label else "", comments_of(element, narrative))
        fields["note"] = " · ".join(dict.fromkeys(filter(None, said)))
    elif kind == "planned":
        kind, fields["note"] = "note", " · ".join(filter(None, ("planned", _dose(element, text, narrative)[0])))
    else:
        atc = _atc(material, concept)
        fields["substance"] = _substance(material, concept, atc)
        fields["dose"], instructions = _dose(element, text if text != label else "", narrative)
        fields["status"] = _status(element)
        said = (instructions, comments_of(element, narrative), f"ATC {atc}" if atc and atc != concept.code else "")
        fields["note"] = " · ".join(filter(None, said))
    out.add(kind, fields)


def _status(element: _Element) -> str:
    """What was meant to be given, not seen to be: a prescription. When it began and ended, its dates say."""
    status = status_of(element)
    meant = element.get("moodCode") in ("INT", "RQO", "PRMS")
    return "prescribed" if meant and status in ("active", "unknown") else status


def _immunization_fields(element: _Element, material: _Element | None, narrative: Narrative) -> dict[str, object]:
    number = ""
    for item in element.iter(V3 + "observation"):
        code = child(item, "code")
        if code is not None and code.get("code") == "30973-2":
            value = child(item, "value")
            number = value_of(value, narrative)[0] if value is not None else ""
    if not number and (repeat := child(element, "repeatNumber")) is not None:
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


def _reason_not_given(element: _Element, narrative: Narrative) -> str:
    for link in children(element, "entryRelationship"):
        if link.get("typeCode") == "RSON" and (item := child(link, "observation")) is not None:
            return coded(child(item, "code"), narrative).label
    return ""


def _treatment_times(element: _Element) -> tuple[str, str]:
    """The interval of treatment: the first effectiveTime that is not a frequency."""
    for time in children(element, "effectiveTime"):
        start, end = interval(time)
        if start or end:
            return start, end
    return "", ""


def _dose(element: _Element, text: str, narrative: Narrative) -> tuple[str, str]:
    """(dose as prescribed, further instructions): written instructions first, else quantity and period."""
    text = "" if text in ("-", "—") else text
    instructions = [
        narrative.text(child(act, "text"))
        for link in children(element, "entryRelationship")
        for act in children(link, "act")
        if (code := child(act, "code")) is not None and code.get("code") in ("PINSTRUCT", "409073007")
    ]
    written = text or next((item for item in instructions if item), "")
    measured = _measured_dose(element, narrative, alone=not written)
    dose = " · ".join(dict.fromkeys(item for item in (written, measured) if item))
    return dose, " · ".join(item for item in dict.fromkeys(instructions) if item and item != written)


def _measured_dose(element: _Element, narrative: Narrative, *, alone: bool) -> str:
    """Quantity and period; where nothing was written also when, by what route, at most how much, if at all."""
    amount = " ".join(filter(None, quantity(child(element, "doseQuantity"))))
    times = list(children(element, "effectiveTime"))
    periods = [found for time in times if (found := " ".join(filter(None, quantity(find(time, "period")))))]
    if periods and (amount or alone):
        amount = f"{amount} / {' / '.join(periods)}".strip()
    if not alone:
        return amount
    events = [event(item.get("code", "")) for time in times if (item := find(time, "event")) is not None]
    most = child(element, "maxDoseQuantity")
    parts = [" ".join(filter(None, (amount, *events))), _condition(element, narrative)]
    if most is not None and (highest := value_of_ratio(most)):
        parts.append(f"max {highest}")
    parts.append(coded(child(element, "routeCode"), narrative).label)
    return " · ".join(filter(None, parts))


def _condition(element: _Element, narrative: Narrative) -> str:
    """ "As needed", with what for."""
    if find(element, "precondition") is None:
        return ""
    value = find(element, "precondition/criterion/value")
    what = value_of(value, narrative)[0] if value is not None else narrative.text(
        find(element, "precondition/criterion/text"))  # fmt: skip
    return f"{AS_NEEDED}: {what}" if what else AS_NEEDED


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
