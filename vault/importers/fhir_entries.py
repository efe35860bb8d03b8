"""FHIR resources to entries: each one resource, one entry. R4 and R4B, tolerant of R5, STU3 and DSTU2 field names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vault.importers.dates import from_fhir
from vault.importers.fhir_types import (
    Resolver,
    Resource,
    between,
    codes_of,
    first,
    first_code,
    has_code,
    items,
    label_of,
    measure,
    quantity,
    text_of,
    words,
)
from vault.importers.reading import says_nothing
from vault.terminology import ATC_SYSTEMS, antithrombotic, is_atc, substance_of_cip

Fields = dict[str, object]
_ACTIVE = {
    "active": "active", "completed": "completed", "stopped": "stopped", "cancelled": "stopped", "ended": "stopped",
    "on-hold": "stopped", "suspended": "stopped", "aborted": "stopped", "declined": "stopped", "draft": "unknown",
    "in-progress": "active", "finished": "completed", "resolved": "completed", "inactive": "completed",
    "remission": "completed", "recurrence": "active", "relapse": "active", "confirmed": "active", "done": "completed",
}  # fmt: skip
_MISTAKE = "entered-in-error"
# LOINC codes of vital signs, for observations without a category (FHIR vital signs profile).
_VITAL_LOINC = frozenset({
    "85353-1", "9279-1", "8867-4", "2708-6", "59408-5", "8310-5", "8302-2", "9843-4", "29463-7", "39156-5",
    "85354-9", "8480-6", "8462-4", "8478-0", "3141-9", "8287-5", "59576-9", "55284-4", "8331-1", "8306-3", "3137-7",
})  # fmt: skip
_SECTION_KIND = {"30954-2": "result", "8716-3": "vital", "29762-2": "social_history", "10162-6": "social_history",
                 "82810-3": "social_history", "47420-5": "note"}  # fmt: skip


def entry_of(resource: Resource, resolver: Resolver, section: str = "") -> tuple[str, Fields] | None:
    """(kind, fields), None for what is not a fact about the patient. `section` is the LOINC of its IPS section."""
    kind = resource.get("resourceType")
    if kind == "Observation":
        return _observation(resource, section)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return reader(resource, resolver) if reader is not None else None


def _common(resource: Resource, label: str, concept: Any) -> Fields:
    system, code = first_code(concept)
    mistake = resource.get("status") == _MISTAKE or has_code(resource.get("verificationStatus"), _MISTAKE)
    label = label or code
    return {
        "label": label or "(-)", "code": code, "system": system,
        "negated": not label or mistake or says_nothing(label, *(code for _, code in codes_of(concept))),
        "note": " · ".join(filter(None, ("entered in error" if mistake else "", _notes(resource)))),
    }  # fmt: skip


def _notes(resource: Resource) -> str:
    return " · ".join(filter(None, (text_of(item.get("text")) for item in items(resource.get("note")))))


def _medication(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept, product = _medication_concept(resource, resolver)
    label = label_of(concept)
    fields = _common(resource, label, concept)
    start, end = _when(resource, "effective", "medicationPeriod", "period", "occurence", "occurrence")
    if not start:
        bounds = _bounds(resource)
        start, end = from_fhir(bounds.get("start")), end or from_fhir(bounds.get("end"))
    if not start:
        start = next(
            (
                date
                for name in (
                    "authoredOn",
                    "whenHandedOver",
                    "whenPrepared",
                    "dateWritten",
                    "dateAsserted",
                    "effectiveDateTime",
                )
                if (date := from_fhir(resource.get(name)))
            ),
            "",
        )
    status = text_of(resource.get("status")).lower()
    atc = next((code for system, code in codes_of(concept) if system in ATC_SYSTEMS and is_atc(code)), "")
    if resource.get("resourceType") in ("MedicationDispense", "MedicationAdministration"):
        shown = "completed"
    else:
        shown = _ACTIVE.get(status, "unknown")
    unusual = status if status in ("on-hold", "intended", "draft", "not-taken", "suspended") else ""
    fields |= {
        "substance": _substance(concept, product, atc, resolver),
        "dose": _dose(resource),
        "start": start,
        "end": end,
        "status": shown,
        "negated": fields["negated"]
        or status in ("not-taken", "not-done")
        or resource.get("doNotPerform") is True
        or resource.get("wasNotTaken") is True
        or resource.get("wasNotGiven") is True,
        "note": " · ".join(
            filter(None, (unusual, str(fields["note"]), f"ATC {atc}" if atc and atc != fields["code"] else ""))
        ),
        "author": resolver.name(
            resource.get("requester") or resource.get("informationSource") or resource.get("prescriber"), resource
        ),
    }
    return "medication", fields


def _medication_concept(resource: Resource, resolver: Resolver) -> tuple[Any, Resource]:
    """The concept inline, or that of the Medication it refers to."""
    medication = resource.get("medication")
    concept = resource.get("medicationCodeableConcept")
    reference = resource.get("medicationReference")
    if isinstance(medication, dict):  # R5
        concept, reference = concept or medication.get("concept"), reference or medication.get("reference")
    product = resolver.follow(reference, resource) if reference else None
    if product is not None:
        code = product.get("code")
        if label_of(code):
            return code, product
        parts = [label_of(part.get("itemCodeableConcept")) for part in items(product.get("ingredient"))]
        return {"text": "; ".join(filter(None, parts)) or text_of(first(reference).get("display"))}, product
    if concept is None and isinstance(reference, dict):
        # A FHIR Coding-like display, or an identifier only: the medicine is not in the file.
        return {
            "text": text_of(reference.get("display")) or text_of(first(reference.get("identifier")).get("value"))
        }, {}
    return concept, {}


def _substance(concept: Any, product: Resource, atc: str, resolver: Resolver) -> str:
    names = []
    for part in items(product.get("ingredient")):
        item = part.get("itemCodeableConcept") or part.get("item")
        if isinstance(item, dict) and isinstance(item.get("concept"), dict):
            item = item["concept"]
        reference = part.get("itemReference") or (item if isinstance(item, dict) and "reference" in item else None)
        inner = resolver.follow(reference, product) if reference else None
        names.append(label_of(inner.get("code")) if inner else label_of(item))
    if found := "; ".join(dict.fromkeys(filter(None, names))):
        return found
    for _, code in codes_of(concept):
        if substance := substance_of_cip(code):
            return substance
    drug = antithrombotic(atc=atc)
    return drug.substance_fr if drug is not None else ""


def _dosages(resource: Resource) -> list[dict[str, Any]]:
    return [item for name in ("dosage", "dosageInstruction") for item in items(resource.get(name))]


def _bounds(resource: Resource) -> dict[str, Any]:
    for dosage in _dosages(resource):
        timing = dosage.get("timing")
        repeat = timing.get("repeat") if isinstance(timing, dict) else None
        if isinstance(repeat, dict) and (bounds := first(repeat.get("boundsPeriod"))):
            return bounds
    return {}


def _dose(resource: Resource) -> str:
    return " · ".join(dict.fromkeys(filter(None, map(_one_dose, _dosages(resource)))))


def _one_dose(dosage: dict[str, Any]) -> str:
    """Free text as written, else quantity and rhythm."""
    if written := text_of(dosage.get("text")) or text_of(dosage.get("patientInstruction")):
        return written
    rate = first(dosage.get("doseAndRate")) or dosage
    amount = measure(rate.get("doseQuantity") or rate.get("quantity") or rate.get("dose")) or between(
        rate.get("doseRange")
    )
    timing = first(dosage.get("timing"))
    repeat = first(timing.get("repeat"))
    rhythm = label_of(timing.get("code")) if timing.get("code") else ""
    if not rhythm and repeat.get("frequency"):
        period, unit = (
            text_of(repeat.get("period") or "1"),
            text_of(repeat.get("periodUnit") or repeat.get("periodUnits")),
        )
        rhythm = f"{text_of(repeat.get('frequency'))} x / {period} {unit}"
    needed = (
        "si besoin (as needed)"
        if dosage.get("asNeededBoolean") is True
        else label_of(dosage.get("asNeededCodeableConcept"))
    )
    when = words(repeat.get("when"))
    route = label_of(dosage.get("route"))
    return " · ".join(filter(None, (f"{amount} {rhythm}".strip(), when, needed, route)))


def _when(resource: Resource, *names: str) -> tuple[str, str]:
    """(start, end) of the first choice element present: DateTime, Period, Age or text."""
    for name in names:
        for key in (name + "DateTime", name + "Date", name + "Instant", name):
            if date := from_fhir(resource.get(key)):
                return date, ""
        for key in (name + "Period", name):
            period = resource.get(key)
            if isinstance(period, dict) and (period.get("start") or period.get("end")):
                return from_fhir(period.get("start")), from_fhir(period.get("end"))
    return "", ""


def _allergy(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("code") or resource.get("substance")
    reactions = list(items(resource.get("reaction")))
    if not label_of(concept):
        concept = next((part["substance"] for part in reactions if label_of(part.get("substance"))), concept)
    fields = _common(resource, label_of(concept), concept)
    start, end = _when(resource, "onset")
    signs = [label_of(sign.get("concept") if isinstance(sign.get("concept"), dict) else sign)
             for part in reactions for sign in items(part.get("manifestation"))]  # fmt: skip
    signs += [text_of(part.get("description")) for part in reactions if not part.get("manifestation")]
    fields |= {
        "start": start or from_fhir(resource.get("recordedDate")),
        "end": end,
        "status": _ACTIVE.get(label_of_code(resource.get("clinicalStatus") or resource.get("status")), "unknown"),
        "negated": fields["negated"] or has_code(resource.get("verificationStatus"), "refuted"),
        "reaction": "; ".join(dict.fromkeys(filter(None, signs))),
        "severity": next((text for part in reactions if (text := text_of(part.get("severity")))), ""),
        "criticality": text_of(resource.get("criticality")),
        "author": resolver.name(resource.get("asserter") or resource.get("recorder"), resource),
    }
    return "allergy", fields


def label_of_code(concept: Any) -> str:
    return first_code(concept)[1].lower()


def _condition(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("code")
    fields = _common(resource, label_of(concept), concept)
    start, end = _when(resource, "onset")
    stopped, stopped_end = _when(resource, "abatement")
    end = stopped_end or stopped or end
    status = _ACTIVE.get(label_of_code(resource.get("clinicalStatus")), "")
    fields |= {
        "start": start or from_fhir(resource.get("recordedDate") or resource.get("dateRecorded")),
        "end": end,
        "status": status or ("completed" if end else "unknown"),
        "severity": label_of(resource.get("severity")),
        "negated": fields["negated"] or has_code(resource.get("verificationStatus"), "refuted"),
        "author": resolver.name(resource.get("asserter") or resource.get("recorder"), resource),
    }
    return "condition", fields


def _immunization(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("vaccineCode")
    fields = _common(resource, label_of(concept), concept)
    start, end = _when(resource, "occurrence", "date")
    protocol = first(resource.get("protocolApplied")) or first(resource.get("vaccinationProtocol"))
    status = text_of(resource.get("status"))
    actor = first(resource.get("performer"))
    fields |= {
        "start": start,
        "end": end,
        "status": "completed" if status in ("completed", "") else _ACTIVE.get(status, "unknown"),
        "negated": fields["negated"]
        or status == "not-done"
        or resource.get("notGiven") is True
        or resource.get("wasNotGiven") is True,
        "lot": text_of(resource.get("lotNumber")),
        "dose_number": next(
            (
                text
                for name in ("doseNumberPositiveInt", "doseNumberString", "doseNumber", "doseSequence")
                if (text := text_of(protocol.get(name)))
            ),
            "",
        ),
        "performer": resolver.name(actor.get("actor") or actor or resource.get("performer"), resource),
        "note": " · ".join(
            filter(
                None,
                (
                    str(fields["note"]),
                    text_of(resource.get("occurrenceString")),
                    label_of(resource.get("statusReason")),
                ),
            )
        ),
    }
    return "immunization", fields


def _observation(resource: Resource, section: str) -> tuple[str, Fields]:
    concept = resource.get("code")
    fields = _common(resource, label_of(concept), concept)
    value, unit = _value(resource)
    if not value:
        value, unit = _components(resource)
    start, end = _when(resource, "effective", "applies")
    absent = label_of(resource.get("dataAbsentReason"))
    fields |= {
        "value": value,
        "unit": unit,
        "range": "; ".join(
            filter(None, (text_of(part.get("text")) or between(part) for part in items(resource.get("referenceRange"))))
        ),
        "interpretation": " ".join(
            dict.fromkeys(first_code(part)[1] or label_of(part) for part in items(resource.get("interpretation")))
        ),
        "start": start or from_fhir(resource.get("issued")),
        "end": end,
        "status": "unknown" if resource.get("status") in ("registered", "preliminary", "cancelled") else "",
        "note": " · ".join(filter(None, (str(fields["note"]), text_of(resource.get("comment")), absent))),
    }
    if absent and not value:
        fields["negated"] = True
    return _observation_kind(resource, concept, section), fields


def _observation_kind(resource: Resource, concept: Any, section: str) -> str:
    categories = {code.lower() for _, code in codes_of(resource.get("category"))}
    for names, kind in ((("laboratory", "lab", "imaging"), "result"), (("vital-signs",), "vital"),
                        (("social-history",), "social_history")):  # fmt: skip
        if categories & set(names):
            return kind
    if section in _SECTION_KIND:
        return _SECTION_KIND[section]
    if any(code in _VITAL_LOINC for _, code in codes_of(concept)):
        return "vital"
    if not categories and "valueQuantity" in resource:
        return "result"
    return "note"


def _value(holder: dict[str, Any]) -> tuple[str, str]:
    """(value, unit) of a value[x], whatever its type."""
    for name, value in holder.items():
        if not name.startswith("value") or name == "valueSet":
            continue
        kind = name[5:]
        if kind in ("Quantity", "Age", "Money", "SimpleQuantity"):
            return quantity(value)
        if kind in ("CodeableConcept", "Coding"):
            return label_of(value), ""
        if kind == "Range":
            return between(value), ""
        if kind == "Ratio":
            return " / ".join(filter(None, (measure(value.get(part)) for part in ("numerator", "denominator")))), ""
        if kind == "Period":
            return " - ".join(filter(None, (from_fhir(value.get(part)) for part in ("start", "end")))), ""
        if kind == "SampledData":
            return text_of(value.get("data"))[:200], ""
        if found := text_of(value):
            return found, ""
    return "", ""


def _components(resource: Resource) -> tuple[str, str]:
    """The parts of a panel in one value; systolic and diastolic pressure as "107/81"."""
    parts = [
        (codes_of(part.get("code")), label_of(part.get("code")), *_value(part))
        for part in items(resource.get("component"))
    ]
    pressure = {
        code: (value, unit) for codes, _, value, unit in parts for _, code in codes if code in ("8480-6", "8462-4")
    }
    if len(pressure) == 2 and len(parts) == 2 and all(value for value, _ in pressure.values()):
        unit = pressure["8480-6"][1]
        return f"{pressure['8480-6'][0]}/{pressure['8462-4'][0]}", unit
    return "; ".join(f"{label} {value} {unit}".strip() for _, label, value, unit in parts if value), ""


def _procedure(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("code")
    fields = _common(resource, label_of(concept), concept)
    start, end = _when(resource, "performed", "occurrence")
    status = text_of(resource.get("status"))
    actor = first(resource.get("performer"))
    fields |= {
        "start": start, "end": end, "status": _ACTIVE.get(status, "unknown"),
        "negated": fields["negated"] or status == "not-done" or resource.get("notDone") is True,
        "performer": resolver.name(actor.get("actor") or actor, resource),
    }  # fmt: skip
    return "procedure", fields


def _device(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    device = resolver.follow(resource.get("device"), resource) or {}
    concept = device.get("type") or resource.get("device")
    label = label_of(device.get("type")) or resolver.name(resource.get("device"), resource)
    fields = _common(resource, label, concept)
    start, end = _when(resource, "timing")
    return "device", fields | {
        "start": start,
        "end": end,
        "status": _ACTIVE.get(text_of(resource.get("status")), "unknown"),
    }


def _family(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    who = label_of(resource.get("relationship"))
    conditions = [label_of(part.get("code")) for part in items(resource.get("condition"))]
    fields = _common(resource, "; ".join(filter(None, conditions)) or who, first(resource.get("condition")).get("code"))
    start, _ = _when(resource, "date")
    return "family_history", fields | {"start": start, "note": " · ".join(filter(None, (who, str(fields["note"]))))}


def _consent(resource: Resource, resolver: Resolver) -> tuple[str, Fields] | None:
    if not has_code(resource.get("scope"), "adr") and not has_code(
        resource.get("category"), "acd", "dnr", "hcd", "polst", "42348-3", "75320-2"
    ):
        return None
    concept = next((item for item in items(resource.get("category")) if label_of(item)), resource.get("scope"))
    fields = _common(resource, label_of(concept), concept)
    return "directive", fields | {"start": from_fhir(resource.get("dateTime"))}


_READERS: dict[str, Callable[[Resource, Resolver], tuple[str, Fields] | None]] = {
    "MedicationStatement": _medication,
    "MedicationUsage": _medication,
    "MedicationRequest": _medication,
    "MedicationOrder": _medication,
    "MedicationPrescription": _medication,
    "MedicationDispense": _medication,
    "MedicationAdministration": _medication,
    "AllergyIntolerance": _allergy,
    "Condition": _condition,
    "Immunization": _immunization,
    "Procedure": _procedure,
    "DeviceUseStatement": _device,
    "DeviceUsage": _device,
    "FamilyMemberHistory": _family,
    "Consent": _consent,
}
