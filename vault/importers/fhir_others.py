"""Family history, directives, alerts and what was ordered, from FHIR."""

from __future__ import annotations

from vault.importers.dates import from_fhir
from vault.importers.fhir_facts import STATUS, Fields, common_fields, period, sites, when
from vault.importers.fhir_types import Resolver, Resource, between, has_code, items, label_of, measure, text_of


def read_family(resource: Resource) -> list[tuple[str, Fields]]:
    """One for each condition of the relative: who, at what age, and whether they died of it."""
    who = label_of(resource.get("relationship"))
    start, _ = when(resource, "date")
    made = []
    for part in list(items(resource.get("condition"))) or [{}]:
        concept = part.get("code")
        fields = common_fields(resource, label_of(concept) or who, concept)
        onset = measure(part.get("onsetAge") or part.get("onsetQuantity")) or between(part.get("onsetRange"))
        onset = f"age {onset}" if onset else text_of(part.get("onsetString")) or period(part.get("onsetPeriod"))
        died = label_of(part.get("outcome")) or ("died of it" if part.get("contributedToDeath") is True else "")
        notes = [text_of(note.get("text")) for note in items(part.get("note"))]
        said = (who, onset, died, *notes, str(fields["note"]))
        made.append(("family_history", fields | {"start": start, "note": " · ".join(filter(None, said))}))
    return made


def read_alert(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    """A flag on the record: something to know before acting."""
    concept = resource.get("code")
    start, end = when(resource, "period")
    fields = common_fields(resource, label_of(concept), concept)
    return "note", fields | {
        "start": start, "end": end, "status": STATUS.get(text_of(resource.get("status")), "unknown"),
        "note": " · ".join(filter(None, (label_of(resource.get("category")), str(fields["note"])))),
        "author": resolver.name(resource.get("author"), resource),
    }  # fmt: skip


def read_order(resource: Resource, resolver: Resolver) -> tuple[str, Fields]:
    """An examination, act or visit that was asked for: no fact yet."""
    concept = resource.get("code") or resource.get("type")
    if isinstance(concept, dict) and isinstance(concept.get("concept"), dict):  # R5
        concept = concept["concept"]
    fields = common_fields(resource, label_of(concept), concept)
    start, end = when(resource, "occurrence", "scheduled", "fulfillmentTime")
    return "note", fields | {
        "start": start or from_fhir(resource.get("authoredOn") or resource.get("orderedOn")), "end": end,
        "status": STATUS.get(text_of(resource.get("status")), "unknown"),
        "negated": fields["negated"] or resource.get("doNotPerform") is True,
        "note": " · ".join(filter(None, ("planned", sites(resource), str(fields["note"])))),
        "author": resolver.name(resource.get("requester") or resource.get("orderer"), resource),
    }  # fmt: skip


def read_consent(resource: Resource, resolver: Resolver) -> tuple[str, Fields] | None:
    if not has_code(resource.get("scope"), "adr") and not has_code(
        resource.get("category"), "acd", "dnr", "hcd", "polst", "42348-3", "75320-2"
    ):
        return None
    concept = next((item for item in items(resource.get("category")) if label_of(item)), resource.get("scope"))
    fields = common_fields(resource, label_of(concept), concept)
    return "directive", fields | {"start": from_fhir(resource.get("dateTime"))}
