"""Title, type, class, date, author, confidentiality and identifier of a document made from FHIR."""

from __future__ import annotations

from typing import Any

from vault.importers.dates import from_fhir
from vault.importers.fhir_parts import Parts
from vault.importers.fhir_types import Resolver, Resource, first, human_name, items, label_of, text_of
from vault.importers.reading import author_name, clean, safe_name, sha256
from vault.terminology import class_of_type

_DATES = frozenset({
    "recordedDate", "authoredOn", "effectiveDateTime", "occurrenceDateTime", "issued", "date", "created", "indexed",
    "dateTime", "started", "performedDateTime",
})  # fmt: skip


def author_of_composition(composition: Resource, resolver: Resolver) -> str:
    names = [resolver.name(author, composition) for author in items(composition.get("author"))]
    organisation = resolver.name(composition.get("custodian"), composition)
    person = next((found for found in names if found), "")
    return person if organisation and organisation in person else author_name(person, organisation)


def bundle_id(bundle: dict[str, Any], composition: Resource, data: bytes) -> str:
    for holder in (bundle, composition):
        identifier = first(holder.get("identifier"))
        if value := text_of(identifier.get("value")):
            return f"fhir:{text_of(identifier.get('system'))}|{value}"
    return resource_id(bundle) or f"sha256:{sha256(data)}"


def resource_id(resource: dict[str, Any]) -> str:
    """fhir:Type/id with its version, "" without an id."""
    number = text_of(resource.get("id"))
    meta = first(resource.get("meta"))
    version = text_of(meta.get("versionId")) or text_of(meta.get("lastUpdated"))
    return f"fhir:{resource.get('resourceType')}/{number}|{version}" if number else ""


def latest_date(members: list[Resource]) -> str:
    dates = [date for item in members for name in _DATES & item.keys() if len(date := from_fhir(item[name])) >= 10]
    return max(dates, default="")


def main_author(parts: Parts) -> str:
    """Practitioner and organisation of a bundle that has exactly one of each."""
    people = [item for item in parts.resources if item["resourceType"] == "Practitioner"]
    places = [item for item in parts.resources if item["resourceType"] == "Organization"]
    return author_name(
        human_name(people[0].get("name")) if len(people) == 1 else "",
        text_of(places[0].get("name")) if len(places) == 1 else "",
    )


def title_of(resource: Resource) -> str:
    kind = clean(resource["resourceType"], 60)
    name = (
        human_name(resource.get("name")) if isinstance(resource.get("name"), list) else text_of(resource.get("title"))
    )
    return f"{kind}: {name or label_of(resource.get('code') or resource.get('type'))}".rstrip(": ")


def type_code_of(concept: Any) -> str:
    """LOINC first, as the DMP does; else the first code."""
    codings = list(items(first(concept).get("coding")))
    loinc = next((item for item in codings if "loinc" in text_of(item.get("system"))), first(codings))
    return text_of(loinc.get("code"))


def class_code_of(category: Any, type_code: str) -> str:
    for concept in items(category):
        for coding in items(concept.get("coding")):
            system = text_of(coding.get("system"))
            if "A03-ClasseDocument" in system or system.endswith("1.2.250.1.213.1.1.4.1"):
                return text_of(coding.get("code"))
    return class_of_type(type_code)


def confidentiality_of(*holders: dict[str, Any]) -> str:
    """The strictest of the v3 confidentiality codes found."""
    codes = [text_of(holder.get("confidentiality")) for holder in holders]
    for holder in holders:
        for security in items(first(holder.get("meta")).get("security")):
            if "onfidentiality" in text_of(security.get("system")):
                codes.append(text_of(security.get("code")))
    order = {"V": 3, "R": 2, "N": 1, "M": 0, "L": 0, "U": 0}
    return max((code for code in codes if code in order), key=lambda code: order[code], default="N")


def stem_of(name: str) -> str:
    return safe_name(name).rsplit(".", 1)[0].replace("_", " ")
