"""Contacts and persons of trust in FHIR: `Patient.contact` and `RelatedPerson`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vault.importers.dates import from_fhir
from vault.importers.fhir_types import Resource, codes_of, first, human_name, items, label_of, text_of, words
from vault.importers.people import People, joined, telephone

if TYPE_CHECKING:
    from vault.importers.reading import Builder

_FRENCH = ("esante.gouv.fr", "interopsante", "1.2.250.1.213")


def read_people(resource: Resource, out: Builder) -> bool:
    """Adds those whom a resource names; whether it is one that names somebody."""
    kind = resource.get("resourceType")
    if kind == "Patient":
        for contact in items(resource.get("contact")):
            _add(contact, resource, out)
        return bool(resource.get("contact"))
    if kind == "RelatedPerson":
        _add(resource, resource, out)
    return kind == "RelatedPerson"


def _add(person: Resource, resource: Resource, out: Builder) -> None:
    """A person; of one who is no longer that, the end is told."""
    concepts = list(items(person.get("relationship")))
    codes = [code for concept in concepts for _, code in codes_of(concept)]
    systems = " ".join(system for concept in concepts for system, _ in codes_of(concept))
    people = People(french=any(mark in systems for mark in _FRENCH))
    named = [label for concept in concepts if (label := label_of(concept)) and label not in codes]
    unnamed = [code for concept in concepts if label_of(concept) in codes for _, code in codes_of(concept)]
    named += [code for code in unnamed if not people.knows(code)]
    ended = from_fhir(first(person.get("period")).get("end"))
    if not ended and resource.get("active") is False and person is resource:
        named += [code for code in unnamed if not people.knows(code)]
    ended = from_fhir(first(resource.get("meta")).get("lastUpdated"))[:10]
    role = people.role(", ".join(dict.fromkeys(named)), *unnamed)
    people.add(out, human_name(person.get("name")), role, _reached(person), *codes, ended=ended)


def _reached(person: Resource) -> Iterator[str]:
    for telecom in items(person.get("telecom")):
        if telecom.get("use") != "old":
            yield telephone(text_of(telecom.get("value")))
    for address in items(person.get("address")):
        if written := text_of(address.get("text")):
            yield written
        else:
            lines = (words(address.get(part)) for part in ("line", "postalCode", "city", "state", "country"))
            yield from joined(lines)
