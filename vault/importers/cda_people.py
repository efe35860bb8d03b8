"""Contacts and persons of trust in a CDA header: participants, informants who are no staff, guardians."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vault.importers.cda_values import V3, Narrative, child, coded, find, interval, name_parts
from vault.importers.people import People, joined, telephone
from vault.importers.reading import Builder, clean, person_name

if TYPE_CHECKING:
    from lxml.etree import _Element

_FRENCH = "2.16.840.1.113883.2.8.2.1"
_CLASSES = frozenset({"NOK", "ECON", "CAREGIVER", "AGNT", "GUARD", "GUAR", "PRS", "CON"})
_TYPES = frozenset({"IND", "NOT", ""})  # who pays, who refers and who takes part in a meeting is no contact


def read_people(root: _Element, narrative: Narrative, out: Builder) -> None:
    """Adds everybody whom the header names as somebody of the patient's."""
    language = find(root, "languageCode")
    french = any(item.get("root") == _FRENCH for item in root.findall(V3 + "templateId")) or (
        language is not None and (language.get("code") or "").lower().startswith("fr")
    )
    people = People(french=french)
    for entity, person, kind, ended in _named(root):
        role = coded(child(entity, "code"), narrative)
        words = people.role(role.label, *((role.code,) if not role.label else ()), kind)
        people.add(out, _name(find(entity, person)), words, _reached(entity), kind, role.code, ended=ended)


def _named(root: _Element) -> Iterator[tuple[_Element, str, str, str]]:
    """(role, where its person's name stands, class of the role, when it ended)."""
    for entity in root.iterfind(f"{V3}recordTarget/{V3}patientRole/{V3}patient/{V3}guardian"):
        person = "guardianPerson" if child(entity, "guardianPerson") is not None else "guardianOrganization"
        yield entity, person + "/name", "GUARD", ""
    for participant in root.iterchildren(V3 + "participant"):
        entity = child(participant, "associatedEntity")
        if entity is not None and entity.get("classCode") in _CLASSES and participant.get("typeCode", "") in _TYPES:
            yield entity, "associatedPerson/name", entity.get("classCode", ""), interval(child(participant, "time"))[1]
    for entity in root.iterfind(f"{V3}informant/{V3}relatedEntity"):
        if entity.get("classCode") in _CLASSES:
            yield entity, "relatedPerson/name", entity.get("classCode", ""), interval(child(entity, "effectiveTime"))[1]


def _name(element: _Element | None) -> str:
    prefix, given, family = name_parts(element)
    return person_name(given, family, prefix)


def _reached(entity: _Element) -> Iterator[str]:
    for telecom in entity.findall(V3 + "telecom"):
        yield telephone(telecom.get("value", ""))
    for address in entity.findall(V3 + "addr"):
        lines = [part for part in address if isinstance(part.tag, str)]
        yield from joined(part.text or "" for part in lines) if lines else joined([clean(address.text)])
