"""IHE XDM: documents with XDS metadata in a zip. Names are matched as people mangle them; SHA-1 is checked."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers import xml
from vault.importers.archive import Archive, Member, read_folder, read_member
from vault.importers.dates import from_hl7
from vault.importers.other import keep
from vault.importers.reading import clean, person_name
from vault.review.identity import contradict
from vault.terminology import class_of_type

if TYPE_CHECKING:
    from lxml.etree import _Element

_SCHEMES = {
    "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983": "type",
    "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a": "class",
    "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f": "confidentiality",
    "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d": "author",
}
_UNIQUE = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


@dataclass(frozen=True, slots=True)
class Described:
    """What the metadata say about one document."""

    uri: str
    unique: str
    sha1: str
    size: str
    title: str
    codes: dict[str, tuple[str, ...]]
    author: str
    date: str
    language: str
    subject: Subject | None


def find_metadata(archive: Archive) -> list[zipfile.ZipInfo]:
    """METADATA.XML of each submission set, also where a folder separator got lost."""
    return [item for item in archive.members if item.filename.upper().endswith("METADATA.XML")]


def read(archive: Archive, data: bytes, name: str) -> list[Read]:
    """Every document of every submission set; members without metadata stay out, and are said."""
    reads: list[Read] = []
    for info in find_metadata(archive):
        content = archive.read(info)
        if content is None:
            continue
        try:
            described = list(_described(content))
        except InputRefused as refused:
            archive.warnings.append(f"{info.filename[-60:]}: {refused}")
            continue
        for document in described:
            member = _member(archive, document, info)
            if member is None:
                archive.warnings.append(
                    f"{clean(document.uri, 80) or document.unique}: named in the metadata, not in the archive"
                )
                continue
            reads += _documents(document, member, archive)
    if not reads:
        return read_folder(archive)
    if archive.warnings:
        reads[0] = replace(reads[0], warnings=(*reads[0].warnings, *dict.fromkeys(archive.warnings)))
    return reads


def _documents(described: Described, member: Member, archive: Archive) -> list[Read]:
    notes = []
    if described.sha1 and hashlib.sha1(member.data, usedforsecurity=False).hexdigest() != described.sha1.lower():
        notes.append(f"{member.name[:80]}: not the file that the metadata describe (SHA-1 differs)")
    reads = read_member(member, archive) or keep(member.data, member.name)
    made = []
    for read in reads:
        document = _completed(read.document, described)
        made.append(
            replace(
                read,
                document=document,
                subject=read.subject or described.subject,
                warnings=(*notes, *read.warnings),
                several=read.several or contradict(read.subject, described.subject),
            )
        )
    return made


def _completed(document: Document, described: Described) -> Document:
    """A clinical document's own header first, the metadata for what it does not say; for other files the other way."""
    own = not document.source_id.startswith("sha256:")
    type_code = next(iter(described.codes.get("type", ())), "")
    class_code = next(iter(described.codes.get("class", ())), "")
    confidentiality = " ".join(code for code in described.codes.get("confidentiality", ()) if code != "N") or "N"
    if own:
        return replace(
            document, class_code=class_code or document.class_code, author=document.author or described.author,
            type_code=document.type_code or type_code,
            confidentiality=confidentiality if document.confidentiality == "N" else document.confidentiality,
        )  # fmt: skip
    return replace(
        document,
        title=described.title or document.title,
        type_code=type_code,
        class_code=class_code or class_of_type(type_code),
        author=described.author,
        date=described.date or document.date,
        language=described.language,
        confidentiality=confidentiality,
        source_id=f"xds:{described.unique}" if described.unique else document.source_id,
    )


def _described(content: bytes) -> list[Described]:
    root, _ = xml.parse(content)
    return [_one(item) for item in root.iter("{*}ExtrinsicObject")]


def _one(element: _Element) -> Described:
    slots = {slot.get("name", ""): _values(slot) for slot in element.iterchildren("{*}Slot")}
    codes: dict[str, tuple[str, ...]] = {}
    author = ""
    for item in element.iterchildren("{*}Classification"):
        kind = _SCHEMES.get(item.get("classificationScheme", ""))
        if kind == "author":
            inner = {slot.get("name", ""): _values(slot) for slot in item.iterchildren("{*}Slot")}
            author = author or _author(inner)
        elif kind and (code := item.get("nodeRepresentation")):
            codes[kind] = (*codes.get(kind, ()), clean(code))
    unique = next(
        (
            item.get("value", "")
            for item in element.iterchildren("{*}ExternalIdentifier")
            if item.get("identificationScheme") == _UNIQUE
        ),
        "",
    )
    title = next((text.get("value", "") for text in element.iterfind("{*}Name/{*}LocalizedString")), "")

    def slot(name: str) -> str:
        return next(iter(slots.get(name, ())), "")

    return Described(
        slot("URI"),
        clean(unique),
        slot("hash"),
        slot("size"),
        clean(title),
        codes,
        author,
        from_hl7(slot("creationTime")),
        slot("languageCode"),
        _subject(slots.get("sourcePatientInfo", ())),
    )


def _values(slot: _Element) -> tuple[str, ...]:
    return tuple(clean("".join(value.itertext())) for value in slot.iterfind("{*}ValueList/{*}Value"))


def _author(slots: dict[str, tuple[str, ...]]) -> str:
    person = next(iter(slots.get("authorPerson", ())), "").split("^")
    name = person_name(person[2] if len(person) > 2 else "", person[1] if len(person) > 1 else person[0])
    place = next(iter(slots.get("authorInstitution", ())), "").split("^")[0]
    return ", ".join(filter(None, (name, place)))


def _subject(info: tuple[str, ...]) -> Subject | None:
    fields = dict(value.split("|", 1) for value in info if "|" in value)
    name = fields.get("PID-5", "").split("^")
    family, given = clean(name[0]), clean(name[1]) if len(name) > 1 else ""
    birth = from_hl7(fields.get("PID-7"))[:10]
    identifiers = []
    for value in fields.get("PID-3", "").split("~"):
        number, _, rest = value.partition("^")
        authority = rest.split("^")[2] if rest.count("^") >= 2 else ""
        if number:
            identifiers.append((clean(authority.split("&")[1] if "&" in authority else authority), clean(number)))
    found = Subject(family, given, birth, tuple(identifiers))
    return found if family or given or birth else None


def _member(archive: Archive, described: Described, metadata: zipfile.ZipInfo) -> Member | None:
    """By URI in the folder of the metadata, by file name anywhere, else by size and hash."""
    others = [item for item in archive.members if item is not metadata]
    folder = metadata.filename.replace("\\", "/")[: -len("METADATA.XML")].lower()
    uri = described.uri.replace("\\", "/").lower()
    last = uri.rpartition("/")[2]
    for way in ("path", "name", "end"):
        for info in others if uri else ():
            path = info.filename.replace("\\", "/").lower()
            fits = {"path": path == folder + uri, "name": path.rpartition("/")[2] == last, "end": path.endswith(last)}
            if fits[way]:
                data = archive.read(info)
                return Member(info.filename, data) if data is not None else None
    for info in others:
        if described.size.isdigit() and info.file_size == int(described.size) and described.sha1:
            data = archive.read(info)
            if data is not None and hashlib.sha1(data, usedforsecurity=False).hexdigest() == described.sha1.lower():
                return Member(info.filename, data)
    return None
