"""The data types of FHIR as text, and references followed inside one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vault.importers.reading import MEMORY, clean, person_name

Resource = dict[str, Any]
_TAGS = re.compile(
    r"<(script|style)\b.*?</\1\s*>|<(br|/?p|/?tr|/?li|/?div|/?h\d|/?table|/?caption)\b[^>]*>|<[^>]*>", re.S | re.I
)
MAX_CHAIN = 8
SHORT = 120  # characters of what is said again and again: systems, codes, units, labels


def items(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a list, or the one object where a list was expected."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item
    elif isinstance(value, dict):
        yield value


def first(value: Any) -> dict[str, Any]:
    return next(items(value), {})


def text_of(value: Any) -> str:
    """A string or number as text, "" for everything else."""
    if type(value) is str:
        return value if value.isalnum() else _line(value) if len(value) < SHORT else clean(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean(value) if isinstance(value, str | int) else ""


_line = lru_cache(MEMORY)(clean)


def label_of(concept: Any) -> str:
    """CodeableConcept, Coding or plain text (DSTU2): text, else the first display, else the first code."""
    if isinstance(concept, list):
        concept = first(concept)
    if not isinstance(concept, dict):
        return text_of(concept)
    if written := text_of(concept.get("text")):
        return written
    codings = list(items(concept.get("coding"))) or [concept]
    for name in ("display", "code"):
        for coding in codings:
            if found := text_of(coding.get(name)):
                return found
    return ""


def codes_of(concept: Any) -> list[tuple[str, str]]:
    """(system, code) of every coding."""
    if isinstance(concept, list):
        return [pair for item in concept for pair in codes_of(item)]
    if not isinstance(concept, dict):
        return [("", concept)] if isinstance(concept, str) else []
    codings = list(items(concept.get("coding")))
    if not codings and "code" in concept:
        codings = [concept]
    return [(text_of(item.get("system")), code) for item in codings if (code := text_of(item.get("code")))]


def first_code(concept: Any) -> tuple[str, str]:
    """(system, code) of the first coding."""
    return next(iter(codes_of(concept)), ("", ""))


def has_code(concept: Any, *codes: str) -> bool:
    return concept is not None and any(code.lower() in codes for _, code in codes_of(concept))


def quantity(value: Any) -> tuple[str, str]:
    """(value, unit) of a Quantity, with its comparator."""
    if not isinstance(value, dict):
        return text_of(value), ""
    number = text_of(value.get("value"))
    unit = text_of(value.get("unit")) or text_of(value.get("code"))
    return (text_of(value.get("comparator")) + number if number else ""), unit if number and unit != "1" else ""


def measure(value: Any) -> str:
    """A Quantity in one piece."""
    return " ".join(filter(None, quantity(value)))


def between(value: Any) -> str:
    """A Range as "low - high unit"."""
    if not isinstance(value, dict):
        return ""
    (low, unit), (high, other) = quantity(value.get("low")), quantity(value.get("high"))
    span = f"{low} - {high}" if low and high else f"≥ {low}" if low else f"≤ {high}" if high else ""
    return f"{span} {unit or other}".strip()


def human_name(value: Any) -> str:
    """A HumanName as shown; DSTU2 lists of family names too."""
    name = first(value)
    if written := text_of(name.get("text")):
        return written
    return person_name(words(name.get("given")), words(name.get("family")), words(name.get("prefix")))


def words(value: Any) -> str:
    return " ".join(filter(None, map(text_of, value))) if isinstance(value, list) else text_of(value)


def narrative(value: Any) -> str:
    """The XHTML of a Narrative as text."""
    import html

    div = value.get("div") if isinstance(value, dict) else None
    if not isinstance(div, str):
        return ""
    plain = _TAGS.sub(lambda match: "\n" if match.group(2) else " ", div)
    return html.unescape(plain)


@dataclass
class Resolver:
    """Finds what a reference points to: contained, by full URL, or by type and id. Nothing is fetched."""

    by_key: dict[str, Resource] = field(default_factory=dict)

    def put(self, resource: Resource, full_url: str = "") -> None:
        kind, number = text_of(resource.get("resourceType")), text_of(resource.get("id"))
        if full_url:
            self.by_key.setdefault(full_url, resource)
            self.by_key.setdefault("/".join(full_url.split("/")[-2:]), resource)
            self.by_key.setdefault("urn:uuid:" + full_url.rpartition("/")[2].removeprefix("urn:uuid:"), resource)
        if kind and number:
            self.by_key.setdefault(f"{kind}/{number}", resource)

    def follow(self, reference: Any, inside: Resource | None = None) -> Resource | None:
        """The resource, None when it is not in this file."""
        reference = first(reference) if isinstance(reference, list) else reference
        target = reference.get("reference") if isinstance(reference, dict) else reference
        if not isinstance(target, str):
            return None
        if target.startswith("#"):
            return next((item for item in items((inside or {}).get("contained")) if item.get("id") == target[1:]), None)
        plain = target.split("/_history/")[0]
        return self.by_key.get(plain) or self.by_key.get("/".join(plain.split("/")[-2:]))

    def name(self, reference: Any, inside: Resource | None = None, depth: int = 0) -> str:
        """Whom or what a reference stands for, as shown: practitioner with organisation, device, patient."""
        reference = first(reference) if isinstance(reference, list) else reference
        resource = self.follow(reference, inside)
        shown = text_of(reference.get("display")) if isinstance(reference, dict) else ""
        if resource is None or depth > MAX_CHAIN:
            return shown
        kind = resource.get("resourceType")
        if kind == "PractitionerRole":
            parts = [self.name(resource.get(part), resource, depth + 1) for part in ("practitioner", "organization")]
            return ", ".join(dict.fromkeys(filter(None, parts))) or shown
        if kind in ("Practitioner", "Patient", "RelatedPerson"):
            return human_name(resource.get("name")) or shown
        named = resource.get("name") or resource.get("deviceName")
        if isinstance(named, str):
            return clean(named)
        return text_of(first(named).get("name")) or label_of(resource.get("type")) or shown
