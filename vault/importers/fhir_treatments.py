"""FHIR medication resources to entries: the product followed to its substance, the dosage in words."""

from __future__ import annotations

from typing import Any

from vault.importers.dates import from_fhir
from vault.importers.fhir_facts import STATUS, Fields, common_fields, when
from vault.importers.fhir_types import (
    Resolver,
    Resource,
    between,
    codes_of,
    first,
    items,
    label_of,
    measure,
    text_of,
    words,
)
from vault.importers.rhythm import AS_NEEDED, event
from vault.terminology import ATC_SYSTEMS, antithrombotic, is_atc, substance_of_cip


def read_treatment(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    concept, product = _medication_concept(resource, resolver)
    label = label_of(concept)
    fields = common_fields(resource, label, concept)
    start, end = when(resource, "effective", "medicationPeriod", "period", "occurence", "occurrence")
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
        shown = STATUS.get(status, "unknown")
    unusual = status if status in ("on-hold", "intended", "draft", "not-taken", "suspended") else ""
    if resource.get("intent") in ("proposal", "plan", "option"):
        shown, unusual = "unknown", "planned"
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
        # Where even that is missing, its number is shown: a treatment that nobody can name is still one.
        identifier = text_of(first(reference.get("identifier")).get("value"))
        return {"text": text_of(reference.get("display")) or identifier or text_of(reference.get("reference"))}, {}
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
    needed = AS_NEEDED if dosage.get("asNeededBoolean") is True else label_of(dosage.get("asNeededCodeableConcept"))
    when = ", ".join(map(event, words(repeat.get("when")).split()))
    route = label_of(dosage.get("route"))
    return " · ".join(filter(None, (f"{amount} {rhythm}".strip(), when, needed, route)))
