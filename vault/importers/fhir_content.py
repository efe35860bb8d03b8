"""Resources that carry a file: DocumentReference, DiagnosticReport, Media, Binary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vault.document import Document
from vault.errors import InputRefused
from vault.importers.dates import from_fhir
from vault.importers.fhir_types import Resolver, Resource, first, items, label_of, narrative, text_of
from vault.importers.reading import Builder, decode_base64, safe_name
from vault.terminology import class_of_type

_SUFFIX = {
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/plain": ".txt",
    "text/xml": ".xml",
    "application/xml": ".xml",
    "application/dicom": ".dcm",
}


def has_content(resource: Resource, resolver: Resolver) -> bool:
    return any(_data_of(attachment, resource, resolver) is not None for attachment in _attachments(resource))


def content_reads(resource: Resource, resolver: Resolver, out: Builder) -> Iterator[tuple[str, bytes, str]]:
    """(media type, bytes, name) of every file that a resource carries; what lies elsewhere is said."""
    for attachment in _attachments(resource):
        found = _data_of(attachment, resource, resolver)
        if found is None:
            if url := text_of(attachment.get("url")):
                out.warn(f"its content lies elsewhere and was not fetched: {url[:120]}")
            continue
        packed, media_type = found
        data, damaged = decode_base64(packed)
        if damaged:
            out.warn("an embedded file is cut short; what is there was kept")
        if data:
            title = safe_name(text_of(attachment.get("title")))
            yield media_type, data, title if "." in title else (title or "document") + _SUFFIX.get(media_type, "")


def document_of(resource: Resource, resolver: Resolver, *, elsewhere: bool = False) -> tuple[Builder, Document] | None:
    """Header and files of a resource with content, None when it carries none. `source_id` may be empty.

    `elsewhere`: also the header of a document whose content is not here.
    """
    out = Builder()
    texts: list[str] = []
    for media_type, data, name in content_reads(resource, resolver, out):
        out.attach(data, media_type, name)
        texts.append(_text_of_file(media_type, data, out))
    if not out.attachments and not (elsewhere and resource.get("resourceType") == "DocumentReference"):
        return None
    code = _loinc(resource.get("type") or resource.get("code"))
    category = [coding for concept in items(resource.get("category")) for coding in items(concept.get("coding"))]
    classes = [
        text_of(item.get("code"))
        for item in category
        if "A03" in text_of(item.get("system")) or text_of(item.get("system")).endswith("1.2.250.1.213.1.1.4.1")
    ]
    attachment = next(_attachments(resource), {})
    label = label_of(resource.get("type") or resource.get("code"))
    author = resolver.name(
        first(resource.get("author") or resource.get("performer") or resource.get("operator")), resource
    )
    document = Document(
        title=text_of(resource.get("description")) or text_of(attachment.get("title")) or label,
        type_code=code,
        class_code=classes[0] if classes else class_of_type(code),
        date=next(
            (
                date
                for value in (
                    attachment.get("creation"),
                    resource.get("date"),
                    resource.get("effectiveDateTime"),
                    resource.get("issued"),
                    resource.get("createdDateTime"),
                    resource.get("created"),
                    resource.get("indexed"),
                )
                if (date := from_fhir(value))
            ),
            "",
        ),
        author=author,
        confidentiality=_security(resource),
        language=text_of(attachment.get("language")),
        source_id=_identifier(resource),
        text="\n".join([text_of(resource.get("conclusion")), narrative(resource.get("text")), *texts]),
    )
    return out, document


def _attachments(resource: Resource) -> Iterator[dict[str, Any]]:
    kind = resource.get("resourceType")
    if kind == "DocumentReference":
        for content in items(resource.get("content")):
            yield from items(content.get("attachment"))
    elif kind == "DiagnosticReport":
        yield from items(resource.get("presentedForm"))
    elif kind == "Media":
        yield from items(resource.get("content"))
    elif kind == "Binary":
        yield {"contentType": resource.get("contentType"), "data": resource.get("data") or resource.get("content")}


def _data_of(attachment: dict[str, Any], resource: Resource, resolver: Resolver) -> tuple[str, str] | None:
    """(base64, media type) inline or in a Binary of the same file."""
    media_type = text_of(attachment.get("contentType")).split(";")[0].strip() or "application/octet-stream"
    data = attachment.get("data")
    if isinstance(data, str) and data:
        return data, media_type
    binary = resolver.follow({"reference": text_of(attachment.get("url"))}, resource)
    if binary is not None and binary.get("resourceType") == "Binary":
        data = binary.get("data") or binary.get("content")
        if isinstance(data, str) and data:
            return data, text_of(binary.get("contentType")) or media_type
    return None


def _text_of_file(media_type: str, data: bytes, out: Builder) -> str:
    if media_type == "text/plain":
        return data.decode("utf-8", "replace")
    if media_type == "application/pdf" and data.startswith(b"%PDF"):
        from vault.importers import pdf

        try:
            return pdf.text_of(data).text
        except InputRefused:
            out.warn("an embedded PDF has no readable text")
    return ""


def _loinc(concept: Any) -> str:
    codings = list(items(first(concept).get("coding")))
    found = next((item for item in codings if "loinc" in text_of(item.get("system"))), first(codings))
    return text_of(found.get("code"))


def _security(resource: Resource) -> str:
    codes = [
        text_of(coding.get("code"))
        for label in items(resource.get("securityLabel"))
        for coding in items(label.get("coding"))
    ]
    order = {"N": 1, "L": 0, "U": 0, "M": 0, "R": 2, "V": 3}
    return max(codes, key=lambda code: order.get(code, 4), default="N") or "N"


def _identifier(resource: Resource) -> str:
    for name in ("masterIdentifier", "identifier"):
        identifier = first(resource.get(name))
        if value := text_of(identifier.get("value")):
            return f"fhir:{text_of(identifier.get('system'))}|{value}"
    return ""
