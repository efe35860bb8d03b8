"""The resources of a FHIR file: loaded, flattened, grouped by patient."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from vault.document import Subject
from vault.errors import InputRefused
from vault.importers.dates import from_fhir
from vault.importers.fhir_types import Resolver, Resource, items, text_of, words
from vault.terminology import fold

MAX_BYTES = 512 << 20
MAX_NESTED = 4
MAX_SUBJECTS = 50
# What holds facts of its own inside itself: a report its results, a list what it lists.
_HOLDERS = frozenset({"DiagnosticReport", "Observation", "List"})
_FACTS = frozenset({
    "Observation", "FamilyMemberHistory", "AllergyIntolerance", "Condition", "Immunization", "Procedure",
    "MedicationStatement",
})  # fmt: skip


@dataclass
class Parts:
    """The resources of a file, in order, with what references need."""

    resources: list[Resource] = field(default_factory=list)
    resolver: Resolver = field(default_factory=Resolver)
    warnings: list[str] = field(default_factory=list)

    def put(self, resource: Any, full_url: str = "") -> None:
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            self.warnings.append("an entry that is not a FHIR resource was left out")
            return
        self.resolver.put(resource, full_url)
        self.resources.append(resource)
        self.resources += _held(resource)


def _held(resource: Resource) -> list[Resource]:
    """The facts contained in a report or list, each with what it needs to be read alone."""
    if resource["resourceType"] not in _HOLDERS:
        return []
    shared: dict[str, Any] = {name: resource[name] for name in ("subject", "contained") if name in resource}
    return [{**shared, **inner, "contained": resource["contained"]} for inner in items(resource.get("contained"))
            if inner.get("resourceType") in _FACTS]  # fmt: skip


def load(data: bytes) -> tuple[Any, list[str]]:
    """JSON, or the list of the lines of an NDJSON file; decimals stay text (5.40 is not 5.4)."""
    if len(data) > MAX_BYTES:
        raise InputRefused("JSON file is too large", limit=MAX_BYTES)
    warnings: list[str] = []
    text = _decode(data, warnings)
    try:
        return _loads(text), warnings
    except json.JSONDecodeError as failure:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{") or not lines[0].rstrip().endswith("}"):
            raise InputRefused(f"not readable as JSON: {failure.msg} at character {failure.pos}") from failure
    resources = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                resources.append(_loads(line))
            except json.JSONDecodeError as failure:
                warnings.append(f"line {number} is not readable as JSON ({failure.msg}) and was left out")
    if not resources:
        raise InputRefused("not readable as JSON")
    return resources, warnings


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_constant=str)
    except RecursionError as failure:
        raise InputRefused("JSON nested too deep") from failure
    except json.JSONDecodeError:
        raise
    except ValueError as failure:
        raise InputRefused("JSON with a number that is too long") from failure


def _decode(data: bytes, warnings: list[str]) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.append("repaired: text was not UTF-8, read as Windows-1252")
        return data.decode("cp1252", "replace")


def flatten(loaded: Any, parts: Parts, documents: list[dict[str, Any]], depth: int) -> None:
    """Resources of a bundle or a list of lines; document bundles inside are set apart."""
    if depth > MAX_NESTED:
        parts.warnings.append("bundles nested too deep were left out")
        return
    if isinstance(loaded, list):
        entries: list[tuple[Any, str]] = [(item, "") for item in loaded]
    else:
        entries = [(entry.get("resource"), text_of(entry.get("fullUrl"))) for entry in items(loaded.get("entry"))
                   if "resource" in entry]  # fmt: skip
    for resource, full_url in entries:
        if isinstance(resource, dict) and resource.get("resourceType") == "Bundle":
            if resource.get("type") == "document":
                documents.append(resource)
            else:
                flatten(resource, parts, documents, depth + 1)
        else:
            parts.put(resource, full_url)


def by_patient(parts: Parts) -> list[tuple[Subject | None, list[Resource]]]:
    """Resources grouped by whom they are about; what names nobody goes to the first patient."""
    patients = _patient_resources(parts)
    if len(patients) <= 1:
        subject = subject_of_patient(next(iter(patients.values()))[0]) if patients else None
        return [(subject, parts.resources)]
    if len(patients) > MAX_SUBJECTS:
        raise InputRefused(f"a file about {len(patients)} patients", hint="Ask for an export of one person's record.")
    keys = list(patients)
    home = {id(resource): key for key, same in patients.items() for resource in same}
    groups: dict[str, list[Resource]] = {key: [] for key in keys}
    for resource in parts.resources:
        about = next(
            (
                found
                for name in ("subject", "patient", "beneficiary", "individual", "for")
                if (found := parts.resolver.follow(resource.get(name), resource)) is not None
            ),
            resource,
        )
        groups[home.get(id(about), keys[0])].append(resource)
    return [(subject_of_patient(patients[key][0]), groups[key]) for key in keys]


def _patient_resources(parts: Parts) -> dict[str, list[Resource]]:
    """Patient resources by person: the same name and birth date is one person."""
    found: dict[str, list[Resource]] = {}
    for resource in parts.resources:
        if resource["resourceType"] == "Patient":
            subject = subject_of_patient(resource)
            key = f"{fold(subject.family)}|{fold(subject.given)}|{subject.birth}" if subject else f"?{len(found)}"
            found.setdefault(key, []).append(resource)
    return found


def patients_of(parts: Parts) -> list[Subject]:
    return [
        subject for same in _patient_resources(parts).values() if (subject := subject_of_patient(same[0])) is not None
    ]


def subject_of(resource: Resource, parts: Parts) -> Subject | None:
    about = parts.resolver.follow(resource.get("subject") or resource.get("patient"), resource)
    return subject_of_patient(about) if about is not None and about.get("resourceType") == "Patient" else None


def subject_of_patient(patient: Resource) -> Subject | None:
    """The official name first, every other family name beside it."""
    names = sorted(
        items(patient.get("name")), key=lambda name: {"official": 0, "usual": 1}.get(text_of(name.get("use")), 2)
    )
    identifiers = tuple(
        (text_of(item.get("system")), text_of(item.get("value"))) for item in items(patient.get("identifier"))
        if text_of(item.get("value"))
    )  # fmt: skip
    families = [family for name in names if (family := words(name.get("family")))]
    birth = from_fhir(patient.get("birthDate"))[:10]
    if not names and not birth and not identifiers:
        return None
    main = names[0] if names else {}
    family, given = words(main.get("family")), words(main.get("given"))
    if not family and not given:
        given = text_of(main.get("text"))
    return Subject(family, given, birth, identifiers, tuple(dict.fromkeys(item for item in families if item != family)))
