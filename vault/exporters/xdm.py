"""The record's documents as an IHE XDM zip: files as they came, with XDS metadata, for other health software.

One submission set. A document that came as CDA or FHIR gives that file alone, since its other files lie inside it; of
any other document each file is one entry. What has no file (facts typed by the holder) is in the summary beside them.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from vault.document import Attachment, Document, Entry
from vault.errors import VaultError
from vault.exporters.archive import Written
from vault.exporters.ips import Holder, bundle
from vault.importers.reading import clean
from vault.review.profile import profile

Content = Callable[[Document, Attachment], Iterator[bytes]]
_FOLDER = "IHE_XDM/SUBSET01"
_STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
_PACKAGE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
_CODES = {
    "class": "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a",
    "confidentiality": "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f",
    "format": "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d",
    "facility": "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1",
    "practice": "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead",
    "type": "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983",
}
_AUTHOR = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
_DOCUMENT_ID, _DOCUMENT_PATIENT = (
    "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab", "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427",
)  # fmt: skip
_SET_ID, _SET_SOURCE, _SET_PATIENT = (
    "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8", "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832",
    "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446",
)  # fmt: skip
_SET_TYPE = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
_LOINC, _CONFIDENTIALITY, _UNKNOWN = "2.16.840.1.113883.6.1", "2.16.840.1.113883.5.25", "2.16.840.1.113883.5.1008"
_FRENCH_CLASS = "1.2.250.1.213.1.1.4.1"  # class codes of one to three digits are the French ones
_ENDINGS = {"application/pdf": "PDF", "text/xml": "XML", "application/fhir+json": "JSON", "image/png": "PNG",
            "image/jpeg": "JPG", "text/plain": "TXT", "application/dicom": "DCM"}  # fmt: skip
_README = "An IHE XDM archive written by Elpis. It is not encrypted: keep it in a safe place.\r\n"


@dataclass(frozen=True, slots=True)
class _Item:
    """One file of the set and what its metadata say."""

    uri: str
    unique: str
    media_type: str
    title: str
    document: Document
    sha1: str
    size: int


def write(
    target: IO[bytes], holder: Holder, documents: Iterable[Document], content: Content, *, made: int, language: str
) -> Written:
    """The zip into `target`, file by file. `made` in seconds since 1970."""
    written = Written()
    items: list[_Item] = []
    rows: list[tuple[Document, Entry]] = []
    moment = datetime.fromtimestamp(made, UTC)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for document in documents:
            written.documents += 1
            rows += [(document, entry) for entry in document.entries]
            for attachment in _chosen(document):
                uri = f"DOC{len(items) + 1:05d}.{_ENDINGS.get(attachment.media_type, 'BIN')}"
                unique = _unique(document, attachment)
                item = _stored(archive, uri, unique, document, attachment, content(document, attachment), moment)
                if item is None:
                    written.damaged.append((document.title, attachment.name))
                else:
                    items.append(item)
                    written.files += 1
        summary = bundle(holder, profile(rows, on=moment.date()), made=made, language=language)
        title = "Synthèse du patient" if language == "fr" else "Patient summary"
        about = Document(title=title, type_code="60591-5", date=moment.strftime("%Y-%m-%dT%H:%M:%SZ"), author="Elpis")
        file = Attachment(hashlib.sha256(summary).hexdigest(), "application/fhir+json", len(summary), "ips.json")
        last = _stored(archive, "SUMMARY.JSON", _oid(file.sha256), about, file, iter([summary]), moment)
        metadata = _metadata(holder, [*items, last] if last else items, moment, language)
        for name, data in (
            (f"{_FOLDER}/METADATA.XML", metadata), ("README.TXT", _README), ("INDEX.HTM", _index(items)),
        ):  # fmt: skip
            archive.writestr(_info(name, moment), data.encode())
    return written


def _chosen(document: Document) -> Sequence[Attachment]:
    structured = [item for item in document.attachments if "xml" in item.media_type or "json" in item.media_type]
    return structured[:1] or document.attachments


def _stored(
    archive: zipfile.ZipFile, uri: str, unique: str, document: Document, attachment: Attachment,
    pieces: Iterator[bytes], moment: datetime,
) -> _Item | None:  # fmt: skip
    sha1, size = hashlib.sha1(usedforsecurity=False), 0  # what the standard asks for; trust comes from elsewhere
    with archive.open(_info(f"{_FOLDER}/{uri}", moment), "w", force_zip64=True) as member:
        try:
            for piece in pieces:
                sha1.update(piece)
                size += len(piece)
                member.write(piece)
        except VaultError:
            return None
    title = document.title or attachment.name
    return _Item(uri, unique, attachment.media_type, title, document, sha1.hexdigest(), size)


def _metadata(holder: Holder, items: list[_Item], moment: datetime, language: str) -> str:
    objects = [_object(number, item, holder, language) for number, item in enumerate(items, 1)]
    time = moment.strftime("%Y%m%d%H%M%S")
    patient = _patient_id(holder)
    package = (
        '<rim:RegistryPackage id="SubmissionSet01" objectType="urn:oasis:names:tc:ebxml-regrep:ObjectType:'
        'RegistryObject:RegistryPackage">'
        + _slot("submissionTime", time)
        + _classified("SubmissionSet01", _SET_TYPE, "34133-9", _LOINC, "Summarization of Episode Note", 9001)
        + _identified("SubmissionSet01", _SET_PATIENT, patient, "XDSSubmissionSet.patientId", 9002)
        + _identified("SubmissionSet01", _SET_SOURCE, _oid("elpis"), "XDSSubmissionSet.sourceId", 9003)
        + _identified("SubmissionSet01", _SET_ID, _oid(f"set {patient} {time}"), "XDSSubmissionSet.uniqueId", 9004)
        + "</rim:RegistryPackage>"
        + f'<rim:Classification id="cl0" classifiedObject="SubmissionSet01" classificationNode="{_PACKAGE}"/>'
    )
    members = "".join(
        f'<rim:Association id="as{number}" associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"'
        f' sourceObject="SubmissionSet01" targetObject="Document{number:05d}">'
        + _slot("SubmissionSetStatus", "Original") + "</rim:Association>"
        for number in range(1, len(items) + 1)
    )  # fmt: skip
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"'
        ' xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:RegistryObjectList>\n'
        + "\n".join(objects) + "\n" + package + members + "\n</rim:RegistryObjectList></lcm:SubmitObjectsRequest>\n"
    )  # fmt: skip


def _object(number: int, item: _Item, holder: Holder, language: str) -> str:
    document, name = item.document, f"Document{number:05d}"
    info = [f"PID-5|{_hl7(holder.name)}^^^^^^D"]
    if birth := re.sub(r"\D", "", holder.birth)[:8]:
        info.append(f"PID-7|{birth}")
    strict = document.confidentiality if re.fullmatch(r"[A-Z]{1,3}", document.confidentiality) else "N"
    type_code = document.type_code if re.fullmatch(r"[\w-]{1,40}", document.type_code) else "34133-9"
    class_code = document.class_code if re.fullmatch(r"[\w-]{1,40}", document.class_code) else type_code
    class_system = _FRENCH_CLASS if re.fullmatch(r"\d{1,3}", class_code) else _LOINC
    when = re.sub(r"\D", "", document.date)[:14]
    return (
        f'<rim:ExtrinsicObject id="{name}" mimeType={quoteattr(clean(item.media_type, 100))} objectType="{_STABLE}"'
        ' status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved">'
        + (_slot("creationTime", when) if len(when) >= 4 else "")
        + _slot("hash", item.sha1) + _slot("languageCode", document.language or language)
        + _slot("size", str(item.size)) + _slot("URI", item.uri) + _slot("sourcePatientInfo", *info)
        + f"<rim:Name><rim:LocalizedString value={quoteattr(clean(item.title, 200))}/></rim:Name>"
        + (_author(name, document.author, number) if document.author else "")
        + _classified(name, _CODES["class"], class_code, class_system, class_code, 10 * number)
        + _classified(name, _CODES["confidentiality"], strict, _CONFIDENTIALITY, strict, 10 * number + 1)
        + _classified(name, _CODES["format"], "urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3",
                      "mimeType Sufficient", 10 * number + 2)
        + _classified(name, _CODES["facility"], "UNK", _UNKNOWN, "unknown", 10 * number + 3)
        + _classified(name, _CODES["practice"], "UNK", _UNKNOWN, "unknown", 10 * number + 4)
        + _classified(name, _CODES["type"], type_code, _LOINC, type_code, 10 * number + 5)
        + _identified(name, _DOCUMENT_PATIENT, _patient_id(holder), "XDSDocumentEntry.patientId", 10 * number + 6)
        + _identified(name, _DOCUMENT_ID, item.unique, "XDSDocumentEntry.uniqueId", 10 * number + 7)
        + "</rim:ExtrinsicObject>"
    )  # fmt: skip


def _author(name: str, author: str, number: int) -> str:
    return (
        f'<rim:Classification id="au{number}" classificationScheme="{_AUTHOR}" classifiedObject="{name}"'
        f' nodeRepresentation="">' + _slot("authorPerson", f"^{_hl7(author)}^") + "</rim:Classification>"
    )


def _slot(name: str, *values: str) -> str:
    listed = "".join(f"<rim:Value>{escape(clean(value))}</rim:Value>" for value in values)
    return f'<rim:Slot name="{name}"><rim:ValueList>{listed}</rim:ValueList></rim:Slot>'


def _classified(name: str, scheme: str, code: str, system: str, display: str, number: int) -> str:
    return (
        f'<rim:Classification id="cl{number}" classificationScheme="{scheme}" classifiedObject="{name}"'
        f" nodeRepresentation={quoteattr(code)}>" + _slot("codingScheme", system)
        + f"<rim:Name><rim:LocalizedString value={quoteattr(display)}/></rim:Name></rim:Classification>"
    )  # fmt: skip


def _identified(name: str, scheme: str, value: str, what: str, number: int) -> str:
    return (
        f'<rim:ExternalIdentifier id="ei{number}" identificationScheme="{scheme}" registryObject="{name}"'
        f' value={quoteattr(clean(value, 256))}><rim:Name><rim:LocalizedString value="{what}"/></rim:Name>'
        "</rim:ExternalIdentifier>"
    )


def _unique(document: Document, attachment: Attachment) -> str:
    """The id that the document came with, when it came by XDS; otherwise one that follows from its content."""
    source = document.source_id.removeprefix("xds:")
    return source if source != document.source_id and len(_chosen(document)) == 1 else _oid(attachment.sha256)


def _oid(text: str) -> str:
    """An OID under 2.25 (a UUID) that follows from a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"elpis-xdm").digest()
    return f"2.25.{int.from_bytes(digest)}"


def _patient_id(holder: Holder) -> str:
    return f"{_oid(f'{holder.name} {holder.birth}').removeprefix('2.25.')}^^^&2.25.1&ISO"


def _hl7(text: str) -> str:
    """Text without the marks that separate the parts of an HL7 field."""
    return re.sub(r"[\^&|~\\]", " ", clean(text, 200)).strip()


def _index(items: Sequence[_Item]) -> str:
    rows = "".join(f'<li><a href="{_FOLDER}/{item.uri}">{escape(clean(item.title))}</a></li>' for item in items)
    head = '<!doctype html><html><head><meta charset="utf-8"><title>XDM</title></head>'
    return f"{head}<body><ul>{rows}</ul></body></html>\n"


def _info(name: str, moment: datetime) -> zipfile.ZipInfo:
    stamp = (max(1980, moment.year), moment.month, moment.day, moment.hour, moment.minute, moment.second)
    info = zipfile.ZipInfo(name, stamp)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info
