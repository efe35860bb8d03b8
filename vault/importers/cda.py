"""HL7 CDA R2: French CI-SIS (N1 with an embedded file, N3 structured, self-displaying) and US C-CDA.

`read` takes a parsed root, so that the archive and message importers can hand over what they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers import xml
from vault.importers.cda_entries import read_body
from vault.importers.cda_people import read_people
from vault.importers.cda_values import V3, Narrative, child, find, interval, name_parts, readable
from vault.importers.dates import from_hl7
from vault.importers.reading import (
    Builder,
    author_name,
    clean,
    clean_text,
    decode_base64,
    person_name,
    safe_name,
    sha256,
)
from vault.terminology import class_of_type, type_label

if TYPE_CHECKING:
    from lxml.etree import _Element

ROOT = V3 + "ClinicalDocument"
MEDIA_TYPE = "text/xml"
MAX_DOCUMENTS = 200
_DMP_CLASSES = "1.2.250.1.213.1.1.4.1"
_MEDIA_SUFFIX = {
    "application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png", "text/plain": "txt", "text/rtf": "rtf",
    "application/rtf": "rtf", "text/html": "html", "image/tiff": "tif", "text/xml": "xml",
}  # fmt: skip


def read(data: bytes, name: str) -> list[Read]:
    """Every clinical document of an XML file."""
    root, repairs = xml.parse(data)
    documents = list(find_documents(root))
    if not documents:
        raise InputRefused("no ClinicalDocument in this XML file")
    if len(documents) > MAX_DOCUMENTS:
        raise InputRefused("too many clinical documents in one file", limit=MAX_DOCUMENTS)
    return [read_document(item, data, name, repairs) for item in documents]


def find_documents(root: _Element) -> Iterator[_Element]:
    """ClinicalDocument at the root, inside an `xsl:stylesheet` or any wrapper; a missing namespace is put in."""
    if root.tag == "ClinicalDocument":
        for element in root.iter():
            if isinstance(element.tag, str) and not element.tag.startswith("{"):
                with suppress(ValueError):  # damaged XML leaves names that are none
                    element.tag = V3 + element.tag
    if root.tag == ROOT:
        yield root
    else:
        yield from root.iter(ROOT)


def read_document(root: _Element, data: bytes, name: str, repairs: tuple[str, ...] = ()) -> Read:
    """One document; `data` is the file that it stands in and is always kept."""
    out = Builder(warnings=list(repairs))
    out.attach(data, MEDIA_TYPE, name or "document.xml")
    narrative = Narrative(root)
    title = find(root, "title")
    text = _read_component(root, narrative, out)
    read_people(root, narrative, out)
    document = Document(
        title="".join(title.itertext()) if title is not None else "",
        date=_date(root),
        author=_author(root),
        confidentiality=_confidentiality(root),
        language=_attribute(root, "languageCode", "code"),
        source_id=_source_id(root, data),
        type_code=_attribute(root, "code", "code"),
        class_code=_class_code(root),
        text=text,
    )
    if not clean(document.title):
        document = _titled(document, root)
    subject, other = _subjects(root)
    if other:
        out.warn("the document names more than one patient; the first is taken")
    return replace(out.finish(document, subject), several=other)


def _titled(document: Document, root: _Element) -> Document:
    shown = _attribute(root, "code", "displayName") or type_label(document.type_code)
    return replace(document, title=shown or document.type_code or "CDA")


def _read_component(root: _Element, narrative: Narrative, out: Builder) -> str:
    """Entries, embedded files and text of the body."""
    body = find(root, "component/structuredBody")
    lines: list[str] = []
    if body is not None:
        for section in read_body(body, narrative, out):
            lines += _section_text(section)
    for media in root.iter(V3 + "observationMedia"):
        _embedded(child(media, "value"), _media_name(media), out)
    for element in root.iter(V3 + "nonXMLBody"):
        _embedded(child(element, "text"), "", out)
    for item in list(out.attachments)[1:]:
        if item.media_type == "text/plain":
            lines.append(out.files[item.sha256].decode("utf-8", "replace"))
        elif item.media_type == "application/pdf":
            lines.append(_pdf_text(out.files[item.sha256], out))
    return clean_text("\n".join(lines))


def _section_text(section: _Element) -> list[str]:
    title, text = child(section, "title"), child(section, "text")
    lines = [] if title is None else ["", "".join(title.itertext())]
    if text is not None:
        lines.append(readable(text))
    return lines


def _media_name(media: _Element) -> str:
    return clean(media.get("ID"))


def _embedded(element: _Element | None, name: str, out: Builder) -> None:
    """A nonXMLBody text or observationMedia value: base64, plain text, or a pointer to a file that is not here."""
    if element is None:
        return
    media_type = clean(element.get("mediaType")).lower()
    content = element.text or ""
    reference = child(element, "reference")
    if element.get("representation") == "B64" and content.strip():
        data, damaged = decode_base64(content)
        if damaged:
            out.warn("an embedded file is cut short; what is there was kept")
        if element.get("compression"):
            out.warn(f"an embedded file is compressed ({clean(element.get('compression'), 10)}) and kept as it is")
    elif content.strip():
        data, media_type = content.strip().encode(), media_type or "text/plain"
    else:
        if reference is not None:
            out.warn(f"refers to a file that is not part of it: {safe_name(reference.get('value', ''))}")
        return
    media_type = media_type or sniff_media(data)
    if data:
        out.attach(data, media_type, f"{name or 'document'}.{_MEDIA_SUFFIX.get(media_type, 'bin')}")


def sniff_media(data: bytes) -> str:
    """Media type of an embedded file that does not say."""
    for magic, media_type in ((b"%PDF", "application/pdf"), (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"),
                              (b"{\\rtf", "text/rtf"), (b"<", "text/xml")):  # fmt: skip
        if data.lstrip()[:8].startswith(magic):
            return media_type
    return "application/octet-stream"


def _pdf_text(data: bytes, out: Builder) -> str:
    from vault.importers import pdf

    try:
        return pdf.text_of(data).text
    except InputRefused:
        out.warn("the embedded PDF has no readable text")
        return ""


def _source_id(root: _Element, data: bytes) -> str:
    """cda:ROOT^EXTENSION^VERSION; the hash of the bytes where the document has no id."""
    identifier = find(root, "id")
    if identifier is None or not identifier.get("root"):
        return f"sha256:{sha256(data)}"
    version = _attribute(root, "versionNumber", "value")
    return f"cda:{identifier.get('root')}^{identifier.get('extension', '')}^{version}"


def _date(root: _Element) -> str:
    time = find(root, "effectiveTime")
    start, end = interval(time)
    if start or end:
        return start or end
    event = find(root, "documentationOf/serviceEvent/effectiveTime")
    return next((date for date in (*interval(event), from_hl7(_attribute(root, "author/time", "value"))) if date), "")


def _class_code(root: _Element) -> str:
    """DMP class: as a translation of the type when the document gives one, else by the type."""
    code = find(root, "code")
    if code is None:
        return ""
    for item in (code, *code.findall(V3 + "translation")):
        if item.get("codeSystem") == _DMP_CLASSES:
            return clean(item.get("code"))
    return class_of_type(code.get("code", ""))


def _confidentiality(root: _Element) -> str:
    """The strictest code; N when the document says nothing."""
    codes = [item.get("code", "") for item in root.findall(V3 + "confidentialityCode")]
    order = {"N": 0, "": -1, "R": 1, "V": 2}
    return clean(max(codes, key=lambda code: order.get(code, 3), default="N")) or "N"


def _author(root: _Element) -> str:
    """The first author who is a person, with the organisation; else the device, else the custodian."""
    devices: list[str] = []
    for author in root.findall(V3 + "author"):
        assigned = child(author, "assignedAuthor")
        person = person_of(assigned, "assignedPerson/name")
        organisation = _name(find(assigned, "representedOrganization"))
        if person:
            return author_name(person, organisation)
        device = find(assigned, "assignedAuthoringDevice/softwareName")
        devices.append(author_name("".join(device.itertext()) if device is not None else "", organisation))
    custodian = _name(find(root, "custodian/assignedCustodian/representedCustodianOrganization"))
    return next((item for item in devices if item), custodian)


def person_of(element: _Element | None, path: str) -> str:
    prefix, given, family = name_parts(find(element, path))
    suffix = find(element, path + "/suffix")
    title = clean("".join(suffix.itertext())) if suffix is not None else ""
    # French documents put the title ("DR") into the suffix.
    return person_name(given, family, prefix or (title if title.isupper() and len(title) <= 4 else ""))


def _name(element: _Element | None) -> str:
    name = find(element, "name")
    return clean("".join(name.itertext())) if name is not None else ""


def _subjects(root: _Element) -> tuple[Subject | None, bool]:
    roles = root.findall(f"{V3}recordTarget/{V3}patientRole")
    subjects = [subject for role in roles if (subject := _subject(role)) is not None]
    distinct = {(item.family, item.given, item.birth) for item in subjects}
    return (subjects[0] if subjects else None), len(distinct) > 1


def _subject(role: _Element) -> Subject | None:
    """Birth name first (qualifier BR), every other family name beside it."""
    patient = child(role, "patient")
    identifiers = tuple(
        (item.get("root", ""), item.get("extension", "")) for item in role.findall(V3 + "id") if item.get("extension")
    )
    if patient is None:
        return Subject(identifiers=identifiers) if identifiers else None
    families: list[tuple[str, str]] = []
    givens: list[tuple[str, str]] = []
    for name in patient.findall(V3 + "name"):
        for bucket, tag in ((families, "family"), (givens, "given")):
            bucket += [(clean("".join(item.itertext())), item.get("qualifier", "")) for item in name.findall(V3 + tag)]
        if not name.findall(V3 + "family") and not len(name):
            families.append((clean(name.text), ""))
    families = [pair for pair in families if pair[0]]
    birth_first = sorted(families, key=lambda pair: "BR" not in pair[1])
    birth = from_hl7(_attribute(patient, "birthTime", "value"))[:10]
    return Subject(
        family=birth_first[0][0] if birth_first else "",
        given=_joined(text for text, _ in sorted(givens, key=lambda pair: "BR" not in pair[1])),
        birth=birth,
        identifiers=identifiers,
        other_names=tuple(dict.fromkeys(text for text, _ in birth_first[1:] if text != birth_first[0][0])),
    )


def _joined(names: Iterable[str]) -> str:
    """Given names in order, without those that an earlier one already contains."""
    words: list[str] = []
    for name in names:
        if not set(name.split()) <= set(words):
            words += name.split()
    return " ".join(words)


def _attribute(element: _Element, path: str, name: str) -> str:
    found = find(element, path)
    return clean(found.get(name)) if found is not None else ""
