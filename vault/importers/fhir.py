"""FHIR JSON: document bundles (IPS), collections, transactions (Synthea), NDJSON (.phr, bulk data), single resources.

A document bundle is one document. Any other bundle is one record document with the entries of its resources, and one
further document for every DocumentReference, DiagnosticReport or Media that carries its content. Read per
resource: what is not understood is counted in the warnings and stays in the original file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers.dates import from_fhir
from vault.importers.fhir_content import content_reads, has_content
from vault.importers.fhir_entries import entry_of
from vault.importers.fhir_types import Resolver, Resource, first, human_name, items, label_of, narrative, text_of, words
from vault.importers.reading import Builder, author_name, clean, safe_name, sha256
from vault.terminology import class_of_type, fold

MEDIA_TYPE = "application/fhir+json"
MAX_BYTES = 512 << 20
MAX_NESTED = 4
MAX_SUBJECTS = 50
# Resources that are the frame of others or about money; nothing is lost by not counting them.
_FRAME = frozenset({
    "Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Device", "Medication", "Bundle",
    "Composition", "Binary", "Provenance", "RelatedPerson", "CareTeam", "Endpoint", "Specimen", "Substance",
    "OperationOutcome", "MessageHeader", "Parameters", "ValueSet", "List", "DocumentManifest", "HealthcareService",
    "Group", "Encounter", "EpisodeOfCare", "Appointment",
})  # fmt: skip
_DATES = frozenset({
    "recordedDate", "authoredOn", "effectiveDateTime", "occurrenceDateTime", "issued", "date", "created", "indexed",
    "dateTime", "started", "performedDateTime",
})  # fmt: skip
_OLD = frozenset({"MedicationOrder", "MedicationPrescription", "DiagnosticOrder", "ProcedureRequest", "BodySite"})


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


def read(data: bytes, name: str) -> list[Read]:
    """Every document of a FHIR JSON or NDJSON file."""
    loaded, warnings = load(data)
    return read_loaded(loaded, data, name, MEDIA_TYPE, warnings)


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


def read_loaded(loaded: Any, data: bytes, name: str, media_type: str, warnings: Iterable[str] = ()) -> list[Read]:
    """Documents of FHIR in its JSON shape (FHIR XML comes here too). `data` is the original file."""
    if isinstance(loaded, dict) and loaded.get("resourceType") == "Bundle" and loaded.get("type") == "document":
        return [_document_bundle(loaded, data, name, media_type, list(warnings))]
    if isinstance(loaded, dict) and loaded.get("resourceType") not in ("Bundle", None):
        return _single(loaded, data, name, media_type, list(warnings))
    parts = Parts(warnings=list(warnings))
    inner: list[dict[str, Any]] = []
    _flatten(loaded, parts, inner, 0)
    if not parts.resources and not inner:
        raise InputRefused("no FHIR resource in this file")
    reads = []
    for bundle in inner:
        packed = json.dumps(bundle, ensure_ascii=False).encode()
        reads.append(_document_bundle(bundle, packed, name, MEDIA_TYPE, []))
    if parts.resources or not reads:
        reads = _collection(loaded if isinstance(loaded, dict) else {}, parts, data, name, media_type) + reads
    return reads


def _flatten(loaded: Any, parts: Parts, documents: list[dict[str, Any]], depth: int) -> None:
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
                _flatten(resource, parts, documents, depth + 1)
        else:
            parts.put(resource, full_url)


# --- a document bundle ------------------------------------------------------------------------------------------------


def _document_bundle(bundle: dict[str, Any], data: bytes, name: str, media_type: str, warnings: list[str]) -> Read:
    """An IPS or any other bundle of type document: ONE document with the entries of all its sections."""
    parts = Parts(warnings=warnings)
    _flatten(bundle, parts, [], 0)
    composition: Resource = next((item for item in parts.resources if item["resourceType"] == "Composition"), {})
    out = Builder(warnings=parts.warnings)
    out.attach(data, media_type, name)
    if not composition:
        out.warn("a document bundle without a Composition")
    sections, text = _sections(composition, parts.resolver, out)
    _add_entries(parts, out, sections)
    for resource in parts.resources:
        _attach_content(resource, parts, out)
    subjects = _patients(parts)
    about = _subject_of(composition, parts) or (subjects[0] if subjects else None)
    if len(subjects) > 1:
        out.warn("the document holds more than one patient; the subject of its Composition is taken")
    kind, code = label_of(composition.get("type")), _type_code(composition.get("type"))
    document = Document(
        title=text_of(composition.get("title")) or kind or _stem(name),
        type_code=code,
        class_code=_class_code(composition.get("category"), code),
        date=from_fhir(composition.get("date")) or from_fhir(bundle.get("timestamp")),
        author=_composition_author(composition, parts.resolver),
        confidentiality=_confidentiality(composition, bundle),
        language=text_of(composition.get("language")) or text_of(bundle.get("language")),
        source_id=_bundle_id(bundle, composition, data),
        text=text,
    )
    return out.finish(document, about)


def _sections(composition: Resource, resolver: Resolver, out: Builder) -> tuple[dict[int, str], str]:
    """(LOINC code of the section by identity of the resource, narrative of all sections)."""
    found: dict[int, str] = {}
    lines: list[str] = [narrative(composition.get("text"))]
    waiting = [(section, 0) for section in items(composition.get("section"))]
    while waiting:
        section, depth = waiting.pop(0)
        lines += ["", text_of(section.get("title")), narrative(section.get("text"))]
        code = _type_code(section.get("code"))
        for reference in items(section.get("entry")):
            resource = resolver.follow(reference, composition)
            if resource is None:
                out.warn(f"refers to something that is not in the file: {clean(reference.get('reference'), 120)}")
                continue
            found.setdefault(id(resource), code)
            for member in items(resource.get("hasMember")):
                if (part := resolver.follow(member, resource)) is not None:
                    found.setdefault(id(part), code)
        if depth < MAX_NESTED:
            waiting += [(inner, depth + 1) for inner in items(section.get("section"))]
    return found, "\n".join(lines)


def _add_entries(parts: Parts, out: Builder, sections: dict[int, str], only: set[int] | None = None) -> None:
    """One entry per resource, in the order of the file; the same resource twice counts once."""
    seen: dict[str, Resource] = {}
    for resource in parts.resources:
        if only is not None and id(resource) not in only:
            continue
        kind, number = resource["resourceType"], text_of(resource.get("id"))
        if number:
            if seen.get(f"{kind}/{number}") == resource:
                out.warn("the same resource stands in the file more than once and was read once")
                continue
            seen[f"{kind}/{number}"] = resource
        if kind in _OLD or isinstance(resource.get("clinicalStatus"), str):
            out.warn("an older version of FHIR (DSTU2 or STU3): read as far as it is the same")
        try:
            entry = entry_of(resource, parts.resolver, sections.get(id(resource), ""))
        except (AttributeError, TypeError, ValueError, KeyError) as failure:
            shown = f"{kind}/{clean(number, 60)}"
            out.warn(f"{shown} could not be read ({type(failure).__name__}) and stays in the original file")
            continue
        if entry is not None:
            out.add(entry[0], entry[1])
        elif kind not in _FRAME and not has_content(resource, parts.resolver):
            out.not_understood(clean(kind, 60))


def _attach_content(resource: Resource, parts: Parts, out: Builder) -> None:
    for media_type, data, name in content_reads(resource, parts.resolver, out):
        out.attach(data, media_type, name)


def _composition_author(composition: Resource, resolver: Resolver) -> str:
    names = [resolver.name(author, composition) for author in items(composition.get("author"))]
    organisation = resolver.name(composition.get("custodian"), composition)
    person = next((found for found in names if found), "")
    return person if organisation and organisation in person else author_name(person, organisation)


def _bundle_id(bundle: dict[str, Any], composition: Resource, data: bytes) -> str:
    for holder in (bundle, composition):
        identifier = first(holder.get("identifier"))
        if value := text_of(identifier.get("value")):
            return f"fhir:{text_of(identifier.get('system'))}|{value}"
    return _resource_id(bundle) or f"sha256:{sha256(data)}"


def _resource_id(resource: dict[str, Any]) -> str:
    """fhir:Type/id with its version, "" without an id."""
    number = text_of(resource.get("id"))
    meta = first(resource.get("meta"))
    version = text_of(meta.get("versionId")) or text_of(meta.get("lastUpdated"))
    return f"fhir:{resource.get('resourceType')}/{number}|{version}" if number else ""


# --- any other bundle -------------------------------------------------------------------------------------------------


def _collection(bundle: dict[str, Any], parts: Parts, data: bytes, name: str, media_type: str) -> list[Read]:
    """One record document per patient, and one document per DocumentReference and the like with content."""
    groups = _by_patient(parts)
    reads: list[Read] = []
    source = _bundle_id(bundle, {}, data)
    for index, (subject, members) in enumerate(groups):
        content: list[Read] = []
        only = {id(resource) for resource in members}
        for resource in members:
            content += _content_document(resource, parts, subject)
        out = Builder(warnings=list(parts.warnings))
        _add_entries(parts, out, {}, only)
        alone = len(groups) == 1 and len(content) == 1 and not out.entries
        if alone:
            reads.append(_with_original(content[0], data, name, media_type, parts.warnings))
            continue
        if len(groups) == 1:
            out.attach(data, media_type, name)
        else:
            packed = json.dumps(members, ensure_ascii=False, indent=1).encode()
            out.attach(packed, MEDIA_TYPE, f"{_stem(name)}-{index + 1}.json")
            out.warn("the file holds more than one patient: only this patient's part is kept with the document")
        composition: Resource = next((item for item in members if item["resourceType"] == "Composition"), {})
        document = Document(
            title=text_of(composition.get("title")) or _stem(name) or "FHIR",
            type_code=_type_code(composition.get("type")),
            class_code=_class_code(composition.get("category"), _type_code(composition.get("type"))),
            date=from_fhir(composition.get("date")) or from_fhir(bundle.get("timestamp")) or _latest(members),
            author=_composition_author(composition, parts.resolver) if composition else _main_author(parts),
            confidentiality=_confidentiality(bundle, composition),
            source_id=source if len(groups) == 1 else f"{source}#{index + 1}",
            text="\n".join([narrative(composition.get("text")), *_reports(members)]),
        )
        reads.append(out.finish(document, subject))
        reads += content
    return reads


def _with_original(read: Read, data: bytes, name: str, media_type: str, warnings: Iterable[str]) -> Read:
    """A file that is nothing but one document: the original goes with it."""
    from dataclasses import replace

    out = Builder(attachments=list(read.document.attachments), files=dict(read.files))
    out.attach(data, media_type, name)
    document = replace(read.document, attachments=tuple(out.attachments))
    return Read(document, read.subject, out.files, (*warnings, *read.warnings))


def _by_patient(parts: Parts) -> list[tuple[Subject | None, list[Resource]]]:
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


def _patients(parts: Parts) -> list[Subject]:
    return [
        subject for same in _patient_resources(parts).values() if (subject := subject_of_patient(same[0])) is not None
    ]


def _content_document(resource: Resource, parts: Parts, subject: Subject | None) -> list[Read]:
    """A document of its own for a resource that carries its content."""
    from vault.importers.fhir_content import document_of

    if resource["resourceType"] not in ("DocumentReference", "DiagnosticReport", "Media"):
        return []
    made = document_of(resource, parts.resolver)
    if made is None:
        return []
    out, document = made
    if document.source_id == "":
        from dataclasses import replace

        document = replace(document, source_id=_resource_id(resource) or f"sha256:{out.attachments[0].sha256}")
    return [out.finish(document, _subject_of(resource, parts) or subject)]


def _subject_of(resource: Resource, parts: Parts) -> Subject | None:
    about = parts.resolver.follow(resource.get("subject") or resource.get("patient"), resource)
    return subject_of_patient(about) if about is not None and about.get("resourceType") == "Patient" else None


def _latest(members: list[Resource]) -> str:
    dates = [date for item in members for name in _DATES & item.keys() if len(date := from_fhir(item[name])) >= 10]
    return max(dates, default="")


def _main_author(parts: Parts) -> str:
    """Practitioner and organisation of a bundle that has exactly one of each."""
    people = [item for item in parts.resources if item["resourceType"] == "Practitioner"]
    places = [item for item in parts.resources if item["resourceType"] == "Organization"]
    return author_name(
        human_name(people[0].get("name")) if len(people) == 1 else "",
        text_of(places[0].get("name")) if len(places) == 1 else "",
    )


def _reports(members: list[Resource]) -> list[str]:
    """Conclusions of reports without a file of their own: searchable text."""
    lines = []
    for item in members:
        if item["resourceType"] in ("DiagnosticReport", "CarePlan", "ClinicalImpression", "Communication"):
            lines += [
                label_of(item.get("code") or item.get("category")),
                text_of(item.get("conclusion")),
                text_of(item.get("description")),
                narrative(item.get("text")),
            ]
    return lines


# --- one resource -----------------------------------------------------------------------------------------------------


def _single(resource: Resource, data: bytes, name: str, media_type: str, warnings: list[str]) -> list[Read]:
    from vault.importers.fhir_content import document_of

    parts = Parts(warnings=warnings)
    parts.put(resource)
    if not parts.resources:
        raise InputRefused("no FHIR resource in this file")
    for inner in items(resource.get("contained")):
        if inner.get("resourceType") == "Patient":
            parts.resolver.put(inner)
    subject = subject_of_patient(resource) if resource["resourceType"] == "Patient" else _subject_of(resource, parts)
    made = document_of(resource, parts.resolver)
    out, document = made if made is not None else (Builder(), Document())
    for warning in parts.warnings:
        out.warn(warning)
    out.attach(data, media_type, name)
    _add_entries(parts, out, {})
    if resource["resourceType"] in _FRAME:
        out.not_understood(clean(resource["resourceType"], 60))
    entry = out.entries[0][1] if out.entries else {}
    document = Document(
        title=document.title or str(entry.get("label", "")) or _shown(resource) or _stem(name),
        type_code=document.type_code,
        class_code=document.class_code,
        date=document.date or str(entry.get("start", "")) or _latest([resource]),
        author=document.author or str(entry.get("author", "")),
        confidentiality=_confidentiality(resource),
        language=text_of(resource.get("language")),
        source_id=_resource_id(resource) or f"sha256:{sha256(data)}",
        text="\n".join(filter(None, (document.text, narrative(resource.get("text"))))),
    )
    return [out.finish(document, subject)]


def _shown(resource: Resource) -> str:
    kind = clean(resource["resourceType"], 60)
    name = (
        human_name(resource.get("name")) if isinstance(resource.get("name"), list) else text_of(resource.get("title"))
    )
    return f"{kind}: {name or label_of(resource.get('code') or resource.get('type'))}".rstrip(": ")


# --- shared -----------------------------------------------------------------------------------------------------------


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


def _type_code(concept: Any) -> str:
    """LOINC first, as the DMP does; else the first code."""
    codings = list(items(first(concept).get("coding")))
    loinc = next((item for item in codings if "loinc" in text_of(item.get("system"))), first(codings))
    return text_of(loinc.get("code"))


def _class_code(category: Any, type_code: str) -> str:
    for concept in items(category):
        for coding in items(concept.get("coding")):
            system = text_of(coding.get("system"))
            if "A03-ClasseDocument" in system or system.endswith("1.2.250.1.213.1.1.4.1"):
                return text_of(coding.get("code"))
    return class_of_type(type_code)


def _confidentiality(*holders: dict[str, Any]) -> str:
    """The strictest of the v3 confidentiality codes found."""
    codes = [text_of(holder.get("confidentiality")) for holder in holders]
    for holder in holders:
        for security in items(first(holder.get("meta")).get("security")):
            if "onfidentiality" in text_of(security.get("system")):
                codes.append(text_of(security.get("code")))
    order = {"V": 3, "R": 2, "N": 1, "M": 0, "L": 0, "U": 0}
    return max((code for code in codes if code in order), key=lambda code: order[code], default="N")


def _stem(name: str) -> str:
    return safe_name(name).rsplit(".", 1)[0].replace("_", " ")
