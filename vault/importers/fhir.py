"""FHIR JSON: document bundles (IPS), collections, transactions (Synthea), NDJSON (.phr, bulk data), single resources.

A document bundle is one document. Any other bundle is one record document with the entries of its resources, and one
further document for every DocumentReference, DiagnosticReport or Media that carries its content. Read per
resource: what is not understood is counted in the warnings and stays in the original file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers.dates import from_fhir
from vault.importers.fhir_content import content_reads, document_of, has_content
from vault.importers.fhir_entries import entries_of
from vault.importers.fhir_header import (
    author_of_composition,
    bundle_id,
    class_code_of,
    confidentiality_of,
    latest_date,
    main_author,
    resource_id,
    stem_of,
    title_of,
    type_code_of,
)
from vault.importers.fhir_parts import (
    MAX_NESTED,
    Parts,
    by_patient,
    flatten,
    load,
    patients_of,
    subject_of,
    subject_of_patient,
)
from vault.importers.fhir_people import read_people
from vault.importers.fhir_types import Resolver, Resource, items, label_of, narrative, text_of
from vault.importers.fhir_versions import version_of
from vault.importers.reading import Builder, clean, sha256
from vault.terminology import class_of_type

MEDIA_TYPE = "application/fhir+json"
# Resources that are the frame of others or about money; nothing is lost by not counting them.
_FRAME = frozenset({
    "Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Device", "Medication", "Bundle",
    "Composition", "Binary", "Provenance", "RelatedPerson", "CareTeam", "Endpoint", "Specimen", "Substance",
    "OperationOutcome", "MessageHeader", "Parameters", "ValueSet", "List", "DocumentManifest", "HealthcareService",
    "Group", "Encounter", "EpisodeOfCare", "Appointment",
})  # fmt: skip


def read(data: bytes, name: str) -> list[Read]:
    """Every document of a FHIR JSON or NDJSON file."""
    loaded, warnings = load(data)
    return read_loaded(loaded, data, name, MEDIA_TYPE, warnings)


def read_loaded(loaded: Any, data: bytes, name: str, media_type: str, warnings: Iterable[str] = ()) -> list[Read]:
    """Documents of FHIR in its JSON shape (FHIR XML comes here too). `data` is the original file."""
    if isinstance(loaded, dict) and loaded.get("resourceType") == "Bundle" and loaded.get("type") == "document":
        return [_document_bundle(loaded, data, name, media_type, list(warnings))]
    if isinstance(loaded, dict) and loaded.get("resourceType") not in ("Bundle", None):
        return _single(loaded, data, name, media_type, list(warnings))
    parts = Parts(warnings=list(warnings))
    inner: list[dict[str, Any]] = []
    flatten(loaded, parts, inner, 0)
    if not parts.resources and not inner:
        raise InputRefused("no FHIR resource in this file")
    reads = []
    for bundle in inner:
        packed = json.dumps(bundle, ensure_ascii=False).encode()
        reads.append(_document_bundle(bundle, packed, name, MEDIA_TYPE, []))
    if parts.resources or not reads:
        reads = _collection(loaded if isinstance(loaded, dict) else {}, parts, data, name, media_type) + reads
    return reads


def _document_bundle(bundle: dict[str, Any], data: bytes, name: str, media_type: str, warnings: list[str]) -> Read:
    """An IPS or any other bundle of type document: ONE document with the entries of all its sections."""
    parts = Parts(warnings=warnings)
    flatten(bundle, parts, [], 0)
    composition: Resource = next((item for item in parts.resources if item["resourceType"] == "Composition"), {})
    out = Builder(warnings=parts.warnings)
    out.attach(data, media_type, name)
    if not composition:
        out.warn("a document bundle without a Composition")
    sections, text = _sections(composition, parts.resolver, out)
    _add_entries(parts, out, sections)
    for resource in parts.resources:
        _attach_content(resource, parts, out)
    subjects = patients_of(parts)
    about = subject_of(composition, parts) or (subjects[0] if subjects else None)
    if len(subjects) > 1:
        out.warn("the document holds more than one patient; the subject of its Composition is taken")
    kind, code = label_of(composition.get("type")), type_code_of(composition.get("type"))
    document = Document(
        title=text_of(composition.get("title")) or kind or stem_of(name),
        type_code=code,
        class_code=class_code_of(composition.get("category"), code),
        date=from_fhir(composition.get("date")) or from_fhir(bundle.get("timestamp")),
        author=author_of_composition(composition, parts.resolver),
        confidentiality=confidentiality_of(composition, bundle),
        language=text_of(composition.get("language")) or text_of(bundle.get("language")),
        source_id=bundle_id(bundle, composition, data),
        text=text,
    )
    return replace(out.finish(document, about), several=len(subjects) > 1)


def _sections(composition: Resource, resolver: Resolver, out: Builder) -> tuple[dict[int, str], str]:
    """(LOINC code of the section by identity of the resource, narrative of all sections)."""
    found: dict[int, str] = {}
    lines: list[str] = [narrative(composition.get("text"))]
    waiting = [(section, 0) for section in items(composition.get("section"))]
    while waiting:
        section, depth = waiting.pop(0)
        lines += ["", text_of(section.get("title")), narrative(section.get("text"))]
        code = type_code_of(section.get("code"))
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
        if version := version_of(resource):
            out.warn(f"an older version of FHIR ({version}): read as far as it is the same, and kept whole")
        try:
            entries = entries_of(resource, parts.resolver, sections.get(id(resource), ""))
        except (AttributeError, TypeError, ValueError, KeyError) as failure:
            shown = f"{kind}/{clean(number, 60)}"
            out.warn(f"{shown} could not be read ({type(failure).__name__}) and stays in the original file")
            continue
        for entry in entries:
            out.add(entry[0], entry[1])
        if (
            not entries
            and not read_people(resource, out)
            and kind not in _FRAME
            and not has_content(resource, parts.resolver)
        ):
            out.not_understood(clean(kind, 60))


def _attach_content(resource: Resource, parts: Parts, out: Builder) -> None:
    for media_type, data, name in content_reads(resource, parts.resolver, out):
        out.attach(data, media_type, name)


def _collection(bundle: dict[str, Any], parts: Parts, data: bytes, name: str, media_type: str) -> list[Read]:
    """One record document per patient, and one document per DocumentReference and the like with content."""
    groups = by_patient(parts)
    reads: list[Read] = []
    source = bundle_id(bundle, {}, data)
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
            out.attach(packed, MEDIA_TYPE, f"{stem_of(name)}-{index + 1}.json")
            out.warn("the file holds more than one patient: only this patient's part is kept with the document")
        composition: Resource = next((item for item in members if item["resourceType"] == "Composition"), {})
        document = Document(
            title=text_of(composition.get("title")) or stem_of(name) or "FHIR",
            type_code=type_code_of(composition.get("type")),
            class_code=class_code_of(composition.get("category"), type_code_of(composition.get("type"))),
            date=from_fhir(composition.get("date")) or from_fhir(bundle.get("timestamp")) or latest_date(members),
            author=author_of_composition(composition, parts.resolver) if composition else main_author(parts),
            confidentiality=confidentiality_of(bundle, composition),
            source_id=source if len(groups) == 1 else f"{source}#{index + 1}",
            text="\n".join([narrative(composition.get("text")), *_reports(members)]),
        )
        reads.append(out.finish(document, subject))
        reads += content
    return reads


def _with_original(read: Read, data: bytes, name: str, media_type: str, warnings: Iterable[str]) -> Read:
    """A file that is nothing but one document: the original goes with it."""
    out = Builder(attachments=list(read.document.attachments), files=dict(read.files))
    out.attach(data, media_type, name)
    document = replace(read.document, attachments=tuple(out.attachments))
    return Read(document, read.subject, out.files, (*warnings, *read.warnings))


def _content_document(resource: Resource, parts: Parts, subject: Subject | None) -> list[Read]:
    """A document of its own for a resource that carries its content."""
    if resource["resourceType"] not in ("DocumentReference", "DiagnosticReport", "Media"):
        return []
    made = document_of(resource, parts.resolver)
    if made is None:
        return []
    out, document = made
    if document.source_id == "":
        document = replace(document, source_id=resource_id(resource) or f"sha256:{out.attachments[0].sha256}")
    return [out.finish(document, subject_of(resource, parts) or subject)]


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


def _single(resource: Resource, data: bytes, name: str, media_type: str, warnings: list[str]) -> list[Read]:
    parts = Parts(warnings=warnings)
    parts.put(resource)
    if not parts.resources:
        raise InputRefused("no FHIR resource in this file")
    for inner in items(resource.get("contained")):
        if inner.get("resourceType") == "Patient":
            parts.resolver.put(inner)
    subject = subject_of_patient(resource) if resource["resourceType"] == "Patient" else subject_of(resource, parts)
    made = document_of(resource, parts.resolver, elsewhere=True)
    out, document = made if made is not None else (Builder(), Document())
    for warning in parts.warnings:
        out.warn(warning)
    out.attach(data, media_type, name)
    _add_entries(parts, out, {})
    if resource["resourceType"] in _FRAME and not out.entries and made is None:
        out.not_understood(clean(resource["resourceType"], 60))
    entry = out.entries[0][1] if len(out.entries) == 1 and len(parts.resources) == 1 else {}
    type_code = document.type_code or (type_code_of(resource.get("code")) if "conclusion" in resource else "")
    document = Document(
        title=document.title
        or str(entry.get("label", ""))
        or (title_of(resource) if made is None else "")
        or stem_of(name),
        type_code=type_code,
        class_code=document.class_code or class_of_type(type_code),
        date=document.date or str(entry.get("start", "")) or latest_date([resource]),
        author=document.author or str(entry.get("author", "")),
        confidentiality=document.confidentiality if document.confidentiality != "N" else confidentiality_of(resource),
        language=document.language or text_of(resource.get("language")),
        source_id=resource_id(resource) or f"sha256:{sha256(data)}",
        text=document.text.strip() or "\n".join(_reports([resource]) or [narrative(resource.get("text"))]),
    )
    return [out.finish(document, subject)]
