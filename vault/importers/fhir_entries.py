"""FHIR resources to entries: each one resource, one entry. R4 and R4B, tolerant of R5, STU3 and DSTU2 field names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vault.importers.dates import from_fhir
from vault.importers.fhir_facts import STATUS, Fields, common_fields, period, sites, when
from vault.importers.fhir_others import read_alert, read_consent, read_family, read_order
from vault.importers.fhir_treatments import read_treatment
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
)

# LOINC codes of vital signs, for observations without a category (FHIR vital signs profile).
_VITAL_LOINC = frozenset({
    "85353-1", "9279-1", "8867-4", "2708-6", "59408-5", "8310-5", "8302-2", "9843-4", "29463-7", "39156-5",
    "85354-9", "8480-6", "8462-4", "8478-0", "3141-9", "8287-5", "59576-9", "55284-4", "8331-1", "8306-3", "3137-7",
})  # fmt: skip
_SECTION_KIND = {"30954-2": "result", "8716-3": "vital", "29762-2": "social_history", "10162-6": "social_history",
                 "82810-3": "social_history", "47420-5": "note"}  # fmt: skip


def entries_of(resource: Resource, resolver: Resolver, section: str = "") -> list[tuple[str, Fields]]:
    """(kind, fields) each; none of what is not a fact about the patient. `section` is the LOINC of its IPS section."""
    kind = resource.get("resourceType")
    if kind == "Observation":
        return [_observation(resource, section)]
    if kind == "FamilyMemberHistory":
        return read_family(resource)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    found = reader(resource, resolver) if reader is not None else None
    return [found] if found is not None else []


def _allergy(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("code") or resource.get("substance")
    reactions = list(items(resource.get("reaction")))
    if not label_of(concept):
        concept = next((part["substance"] for part in reactions if label_of(part.get("substance"))), concept)
    fields = common_fields(resource, label_of(concept), concept)
    start, end = when(resource, "onset")
    signs = [label_of(sign.get("concept") if isinstance(sign.get("concept"), dict) else sign)
             for part in reactions for sign in items(part.get("manifestation"))]  # fmt: skip
    signs += [text_of(part.get("description")) for part in reactions if not part.get("manifestation")]
    fields |= {
        "start": start or from_fhir(resource.get("recordedDate")),
        "end": end,
        "status": STATUS.get(label_of_code(resource.get("clinicalStatus") or resource.get("status")), "unknown"),
        "negated": fields["negated"]
        or has_code(resource.get("verificationStatus"), "refuted")
        or resource.get("status") == "refuted",
        "note": _uncertain(resource, fields),
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
    fields = common_fields(resource, label_of(concept), concept)
    start, end = when(resource, "onset")
    stopped, stopped_end = when(resource, "abatement")
    end = stopped_end or stopped or end
    status = STATUS.get(label_of_code(resource.get("clinicalStatus")), "")
    fields |= {
        "start": start or from_fhir(resource.get("recordedDate") or resource.get("dateRecorded")),
        "end": end,
        "status": status or ("completed" if end else "unknown"),
        "severity": label_of(resource.get("severity")),
        "negated": fields["negated"] or has_code(resource.get("verificationStatus"), "refuted"),
        "note": _uncertain(resource, fields, sites(resource)),
        "author": resolver.name(resource.get("asserter") or resource.get("recorder"), resource),
    }
    return "condition", fields


def _uncertain(resource: Resource, fields: Fields, *more: str) -> str:
    """The note, with how sure the statement is where it is not."""
    sure = label_of_code(resource.get("verificationStatus"))
    said = sure if sure in ("unconfirmed", "provisional", "differential", "refuted") else ""
    return " · ".join(filter(None, (said, *more, str(fields["note"]))))


def _immunization(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept = resource.get("vaccineCode")
    fields = common_fields(resource, label_of(concept), concept)
    start, end = when(resource, "occurrence", "date")
    protocol = first(resource.get("protocolApplied")) or first(resource.get("vaccinationProtocol"))
    status = text_of(resource.get("status"))
    actor = first(resource.get("performer"))
    fields |= {
        "start": start,
        "end": end,
        "status": "completed" if status in ("completed", "") else STATUS.get(status, "unknown"),
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
    fields = common_fields(resource, label_of(concept), concept)
    value, unit = _value(resource)
    if not value:
        value, unit = _components(resource)
    start, end = when(resource, "effective", "applies")
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
        "note": " · ".join(
            filter(None, (sites(resource), str(fields["note"]), text_of(resource.get("comment")), absent))
        ),
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
            return period(value), ""
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
    fields = common_fields(resource, label_of(concept), concept)
    start, end = when(resource, "performed", "occurrence")
    status = text_of(resource.get("status"))
    actor = first(resource.get("performer"))
    fields |= {
        "start": start, "end": end, "status": STATUS.get(status, "unknown"),
        "negated": fields["negated"] or status == "not-done" or resource.get("notDone") is True
        or resource.get("notPerformed") is True,
        "note": " · ".join(filter(None, (sites(resource), str(fields["note"])))),
        "performer": resolver.name(actor.get("actor") or actor, resource),
    }  # fmt: skip
    return "procedure", fields


def _device(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    device = resolver.follow(resource.get("device"), resource) or {}
    concept = device.get("type") or resource.get("device")
    label = label_of(device.get("type")) or resolver.name(resource.get("device"), resource)
    fields = common_fields(resource, label, concept)
    start, end = when(resource, "timing")
    return "device", fields | {
        "start": start,
        "end": end,
        "status": STATUS.get(text_of(resource.get("status")), "unknown"),
    }


_READERS: dict[str, Callable[[Resource, Resolver], tuple[str, Fields] | None]] = {
    "MedicationStatement": read_treatment,
    "MedicationUsage": read_treatment,
    "MedicationRequest": read_treatment,
    "MedicationOrder": read_treatment,
    "MedicationPrescription": read_treatment,
    "MedicationDispense": read_treatment,
    "MedicationAdministration": read_treatment,
    "AllergyIntolerance": _allergy,
    "Condition": _condition,
    "Immunization": _immunization,
    "Procedure": _procedure,
    "DeviceUseStatement": _device,
    "DeviceUsage": _device,
    "Flag": read_alert,
    "ServiceRequest": read_order,
    "ProcedureRequest": read_order,
    "ReferralRequest": read_order,
    "Consent": read_consent,
}
