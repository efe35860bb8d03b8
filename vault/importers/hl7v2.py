"""HL7 v2 messages as they are found: ORU and MDM with embedded documents, VXU, what else carries facts; batches too.

Read by its separators alone: whatever line ends, whatever version, fields in any number. A message that carries CDA
gives those documents; any other gives one document with its results and text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers.dates import from_hl7
from vault.importers.hl7v2_facts import FLAGS, confidentiality_of, flags_of, read_facts
from vault.importers.hl7v2_message import Message, by_patient, decode_text, encode_message, split
from vault.importers.reading import (
    Builder,
    author_name,
    clean,
    decode_base64,
    person_name,
    sha256,
)
from vault.review.identity import contradict
from vault.terminology import class_of_type, type_label

MEDIA_TYPE = "application/hl7-v2+er7"
_SUFFIX = {
    "pdf": ("application/pdf", "pdf"),
    "xml": ("text/xml", "xml"),
    "jpeg": ("image/jpeg", "jpg"),
    "jpg": ("image/jpeg", "jpg"),
    "png": ("image/png", "png"),
    "rtf": ("text/rtf", "rtf"),
    "html": ("text/html", "html"),
    "plain": ("text/plain", "txt"),
    "text": ("text/plain", "txt"),
    "tiff": ("image/tiff", "tif"),
    "dicom": ("application/dicom", "dcm"),
}


def read(data: bytes, name: str) -> list[Read]:
    """Every document of a file of messages."""
    warnings: list[str] = []
    messages = split(decode_text(data, warnings))
    if not messages:
        raise InputRefused("no HL7 message in this file")
    reads: list[Read] = []
    refused: list[InputRefused] = []
    parts = [part for message in messages for part in by_patient(message)]
    for index, message in enumerate(parts):
        raw = data if len(parts) == 1 else encode_message(message)
        try:
            reads += read_message(message, raw, name if len(parts) == 1 else f"{index + 1}-{name}", warnings)
        except InputRefused as failure:
            refused.append(failure)
    if not reads:
        raise refused[0]
    if refused and reads:
        out = (*reads[0].warnings, f"{len(refused)} message(s) held nothing to keep: {refused[0]}")
        reads[0] = replace(reads[0], warnings=out)
    return reads


def read_message(message: Message, raw: bytes, name: str, warnings: list[str]) -> list[Read]:
    """The documents of one message."""
    head = message.first("MSH")
    kind = message.of(head, 9)
    if kind in ("ACK", "MCF", "NMD") or not message.first("PID")[1:]:
        raise InputRefused(f"an HL7 {clean(kind, 10) or 'message'} without a patient: nothing to keep")
    flags = {key for key, value in flags_of(message) if value == "Y"}
    subject = _subject(message)
    documents, out, taken_back = [], Builder(warnings=list(warnings)), 0
    out.attach(raw, MEDIA_TYPE, name)
    for segment in message.all("OBX"):
        if message.of(segment, 2) not in ("ED", "RP"):
            continue
        if message.of(segment, 11) in ("D", "X"):
            taken_back += 1
            continue
        documents += _embedded(message, segment, out, flags)
    if taken_back:
        out.warn(f"the sender takes back {taken_back} document(s): nothing was deleted, decide for yourself")
    if taken_back and not documents and len(out.attachments) == 1:
        raise InputRefused(
            "the message asks to take back a document", hint="Nothing was deleted. Remove it yourself if you agree."
        )
    lines = read_facts(message, out)
    if any(contradict(read.subject, subject) for read in documents):
        # The carrier names one person and what it carries another: whose it is cannot be told.
        documents = [replace(read, several=True) for read in documents]
    if documents and not out.entries:
        first = documents[0]
        files = dict(first.files) | {out.attachments[0].sha256: raw}
        document = replace(first.document, attachments=(*first.document.attachments, out.attachments[0]))
        warned = (*out.warnings, *first.warnings)
        documents[0] = replace(first, document=document, subject=first.subject or subject, files=files, warnings=warned)
        return documents
    document = _document(message, raw, flags, lines, out)
    return [out.finish(document, subject), *documents]


def _document(message: Message, raw: bytes, flags: set[str], lines: list[str], out: Builder) -> Document:
    head, order, about = message.first("MSH"), message.first("OBR"), message.first("TXA")
    code, label = message.of(order, 4), message.of(order, 4, 2)
    if not code and (codes := [s for s in message.all("OBX") if message.of(s, 2) == "ED"]):
        code, label = message.of(codes[0], 3), message.of(codes[0], 3, 2)
    code = code or message.of(about, 2)
    dates = (
        message.of(order, 7),
        message.of(order, 22),
        message.of(about, 4),
        message.of(about, 6),
        message.of(head, 7),
    )
    texts = [out.files[item.sha256] for item in out.attachments[1:] if item.media_type == "text/plain"]
    return Document(
        title=label
        or type_label(code)
        or " ".join(filter(None, (message.of(head, 9), message.of(head, 9, 2))))
        or "HL7",
        type_code=code if type_label(code) else code if re.fullmatch(r"\d{3,6}-\d", code) else "",
        class_code=class_of_type(code),
        date=next((date for value in dates if (date := from_hl7(value))), ""),
        author=_author(message),
        confidentiality=confidentiality_of(flags) or "N",
        source_id=_source_id(message, raw),
        text="\n".join([*lines, *(text.decode("utf-8", "replace") for text in texts), *_pdf_texts(out)]),
    )


def _pdf_texts(out: Builder) -> Iterator[str]:
    from vault.importers import pdf

    for item in out.attachments[1:]:
        if item.media_type == "application/pdf":
            try:
                yield pdf.text_of(out.files[item.sha256]).text
            except InputRefused:
                out.warn("an embedded PDF has no readable text")


def _embedded(message: Message, segment: tuple[str, ...], out: Builder, flags: set[str]) -> list[Read]:
    """Files of an ED value. CDA becomes documents of its own, everything else attachments of the message's document."""
    if message.of(segment, 2) == "RP":
        out.warn(f"refers to something that lies elsewhere: {clean(message.of(segment, 5), 120)}")
        return []
    documents: list[Read] = []
    for value in message.repetitions(segment, 5):
        parts = value.split(message.component)
        packed = parts[4] if len(parts) > 4 else max(parts, key=len, default="")
        data, damaged = _unpacked(message, parts, packed)
        if not data:
            out.warn("an embedded document is empty")
            continue
        if damaged:
            out.warn("an embedded file is cut short; what is there was kept")
        if b"ClinicalDocument" in data[:200_000]:
            documents += _clinical(data, out, flags)
            continue
        subtype = next((part.lower() for part in parts[1:3][::-1] if part.lower() in _SUFFIX), "")
        media_type, suffix = _media_type(data, subtype)
        if message.of(segment, 3, 3) == FLAGS:
            continue
        label = message.of(segment, 3, 2) or message.of(segment, 3) or "document"
        out.attach(data, media_type, f"{label}.{suffix}")
    return documents


def _clinical(data: bytes, out: Builder, flags: set[str]) -> list[Read]:
    from vault.importers import cda

    try:
        reads = cda.read(data, "document.xml")
    except InputRefused as failure:
        out.warn(f"an embedded clinical document could not be read ({failure}) and is kept as a file")
        out.attach(data, "text/xml", "document.xml")
        return []
    marked = confidentiality_of(flags)
    return (
        [replace(read, document=replace(read.document, confidentiality=marked)) for read in reads] if marked else reads
    )


def _unpacked(message: Message, parts: list[str], packed: str) -> tuple[bytes, bool]:
    encoding = parts[3].strip().lower() if len(parts) > 3 else ""
    if encoding in ("a", "") and not re.fullmatch(r"[A-Za-z0-9+/=\s]{16,}", packed):
        return message.text(packed).encode(), False
    if encoding == "hex":
        digits = re.sub(r"[^0-9A-Fa-f]", "", packed)
        return bytes.fromhex(digits[: len(digits) // 2 * 2]), bool(len(digits) % 2)
    return decode_base64(packed)


def _media_type(data: bytes, subtype: str) -> tuple[str, str]:
    if data.startswith(b"%PDF"):
        return _SUFFIX["pdf"]
    if data.startswith(b"\xff\xd8\xff"):
        return _SUFFIX["jpeg"]
    if subtype == "xml" and not data.lstrip().startswith(b"<"):
        return _SUFFIX["plain"]
    return _SUFFIX.get(subtype, ("application/octet-stream", "bin"))


def _author(message: Message) -> str:
    """Responsible observer, interpreter, ordering or authoring person; else the sending facility."""
    place = message.of(message.first("MSH"), 4) or message.of(message.first("MSH"), 3)
    order, about = message.first("OBR"), message.first("TXA")
    for segment in message.all("PRT"):
        if message.of(segment, 4) == "SB":
            found = person_name(message.of(segment, 5, 3), message.of(segment, 5, 2))
            if found:
                return author_name(found, place)
    for segment, number in ((order, 32), (about, 9), (about, 22), (order, 34), (order, 16)):
        family, given = message.of(segment, number, 2), message.of(segment, number, 3)
        if family or given:
            return author_name(person_name(given, family, message.of(segment, number, 6)), place)
    return clean(place)


def _source_id(message: Message, raw: bytes) -> str:
    unique = message.of(message.first("TXA"), 12)
    head = message.first("MSH")
    if unique:
        return f"hl7v2:{unique}"
    control = message.of(head, 10)
    sender = message.of(head, 4) or message.of(head, 3)
    return f"hl7v2:{sender}^{control}^{message.of(head, 7)}" if control else f"sha256:{sha256(raw)}"


def _subject(message: Message) -> Subject | None:
    segment = message.first("PID")
    names = message.repetitions(segment, 5)
    legal = next((name for name in names if message.part(name, 7) in ("L", "")), names[0] if names else "")
    families = [message.part(name, 1) for name in names]
    given = " ".join(dict.fromkeys(f"{message.part(legal, 2)} {message.part(legal, 3)}".split()))
    identifiers = tuple(
        (_authority(message, item), number)
        for item in message.repetitions(segment, 3)
        if (number := message.part(item, 1))
    )
    subject = Subject(
        family=clean(message.part(legal, 1)), given=clean(given), birth=from_hl7(message.of(segment, 7))[:10],
        identifiers=identifiers,
        other_names=tuple(dict.fromkeys(name for name in families if name and name != message.part(legal, 1))),
    )  # fmt: skip
    return subject if subject != Subject() else None


def _authority(message: Message, identifier: str) -> str:
    parts = identifier.split(message.component)
    whole = parts[3].split(message.subcomponent) if len(parts) > 3 else [""]
    return clean(whole[1] if len(whole) > 1 and whole[1] else whole[0])
