"""HL7 v2 messages as they are found: ORU and MDM with embedded documents, VXU, what else carries facts; batches too.

Read by its separators alone: whatever line ends, whatever version, fields in any number. A message that carries CDA
gives those documents; any other gives one document with its results and text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers.dates import from_hl7
from vault.importers.reading import (
    Builder,
    author_name,
    clean,
    clean_text,
    decode_base64,
    person_name,
    says_nothing,
    sha256,
)
from vault.terminology import class_of_type, type_label

MEDIA_TYPE = "application/hl7-v2+er7"
MAX_MESSAGES = 5_000
MAX_SEGMENTS = 500_000
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=[^A-Za-z0-9\s]|$)")
_ESCAPE = re.compile(r"\\(F|S|T|R|E|H|N|\.br|\.sp\d*|\.[a-z]+[+-]?\d*|X[0-9A-Fa-f]+|Z[^\\]*|C[^\\]*|M[^\\]*)\\")
_FLAGS = "MetaDMPMSS"
_FLAG_NAMES = {"INVISIBLE_REP_LEGAUX": "INVISIBLE_REPRESENTANTS_LEGAUX"}
_CONFIDENTIALITY = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX")
_NARRATIVE = frozenset({"TX", "FT"})
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


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its segments in order, and the separators that its MSH declares."""

    segments: tuple[tuple[str, ...], ...]
    component: str
    repetition: str
    escape: str
    subcomponent: str

    def all(self, *names: str) -> Iterator[tuple[str, ...]]:
        return (segment for segment in self.segments if segment[0] in names)

    def first(self, name: str) -> tuple[str, ...]:
        return next(self.all(name), (name,))

    def field(self, segment: tuple[str, ...], number: int) -> str:
        return segment[number] if number < len(segment) else ""

    def repetitions(self, segment: tuple[str, ...], number: int) -> list[str]:
        whole = self.field(segment, number)
        return whole.split(self.repetition) if whole else []

    def part(self, value: str, number: int) -> str:
        """Component `number` (from 1) of the first repetition, its first subcomponent, as text."""
        parts = value.split(self.repetition)[0].split(self.component)
        return self.text(parts[number - 1].split(self.subcomponent)[0]) if number <= len(parts) else ""

    def of(self, segment: tuple[str, ...], number: int, part: int = 1) -> str:
        return self.part(self.field(segment, number), part)

    def text(self, value: str) -> str:
        """A value with its escape sequences written out."""
        if "\\" not in value and self.escape not in value:
            return value
        return _ESCAPE.sub(self._escaped, value.replace(self.escape, "\\") if self.escape else value)

    def _escaped(self, match: re.Match[str]) -> str:
        code = match.group(1)
        plain = {
            "F": "|",
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": "\\",
            "H": "",
            "N": "",
        }
        if code in plain:
            return plain[code]
        if code.startswith("X"):
            packed = bytes.fromhex(code[1:] if len(code) % 2 else code[1:-1])
            return packed.decode("utf-8", "replace").replace("\r", "\n")
        return "\n" if code.startswith((".br", ".sp", ".ce")) else ""


def read(data: bytes, name: str) -> list[Read]:
    """Every document of a file of messages."""
    warnings: list[str] = []
    messages = split(_decode(data, warnings))
    if not messages:
        raise InputRefused("no HL7 message in this file")
    reads: list[Read] = []
    refused: list[InputRefused] = []
    for index, message in enumerate(messages):
        raw = data if len(messages) == 1 else _encoded(message)
        try:
            reads += read_message(message, raw, name if len(messages) == 1 else f"{index + 1}-{name}", warnings)
        except InputRefused as failure:
            refused.append(failure)
    if not reads:
        raise refused[0]
    if refused and reads:
        out = (*reads[0].warnings, f"{len(refused)} message(s) held nothing to keep: {refused[0]}")
        reads[0] = replace(reads[0], warnings=out)
    return reads


def split(text: str) -> list[Message]:
    """Messages of a file or batch; a line that is no segment goes on with the one before."""
    messages: list[list[str]] = []
    count = 0
    for line in re.split(r"[\r\n\x0b\x1c]+", text.lstrip("\ufeff")):
        if line.startswith("MSH"):
            messages.append([line])
        elif messages and line.strip():
            count += 1
            if _SEGMENT.match(line):
                messages[-1].append(line)
            else:
                messages[-1][-1] += "\n" + line
    if len(messages) > MAX_MESSAGES or count > MAX_SEGMENTS:
        raise InputRefused("too many HL7 messages or segments in one file", limit=MAX_MESSAGES)
    return [_message(lines) for lines in messages if len(lines[0]) > 8]


def _message(lines: list[str]) -> Message:
    field = lines[0][3]
    declared = lines[0][4:].split(field)[0].ljust(4)
    segments = []
    for line in lines:
        parts = line.split(field)
        if parts[0] in ("FHS", "BHS", "BTS", "FTS"):
            continue
        # MSH-1 is the separator itself: field numbers count from there.
        segments.append((parts[0], field, *parts[1:]) if parts[0] == "MSH" else tuple(parts))
    return Message(tuple(segments), declared[0], declared[1], declared[2].strip(), declared[3].strip() or "&")


def _encoded(message: Message) -> bytes:
    lines = ("|".join((s[0], *s[2:])) if s[0] == "MSH" else "|".join(s) for s in message.segments)
    return "\r".join(lines).encode()


def _decode(data: bytes, warnings: list[str]) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.append("repaired: text was not UTF-8, read as Windows-1252")
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return data.decode("latin-1")


def read_message(message: Message, raw: bytes, name: str, warnings: list[str]) -> list[Read]:
    """The documents of one message."""
    head = message.first("MSH")
    kind = message.of(head, 9)
    if kind in ("ACK", "MCF", "NMD") or not message.first("PID")[1:]:
        raise InputRefused(f"an HL7 {clean(kind, 10) or 'message'} without a patient: nothing to keep")
    flags = {key for key, value in _flags(message) if value == "Y"}
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
    lines = _facts(message, out)
    if documents and not out.entries:
        first = documents[0]
        files = dict(first.files) | {out.attachments[0].sha256: raw}
        document = replace(first.document, attachments=(*first.document.attachments, out.attachments[0]))
        documents[0] = Read(document, first.subject or subject, files, (*out.warnings, *first.warnings))
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
        confidentiality=_confidentiality(flags) or "N",
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
        if message.of(segment, 3, 3) == _FLAGS:
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
    marked = _confidentiality(flags)
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


def _facts(message: Message, out: Builder) -> list[str]:
    """Entries of the segments that state facts; lines of narrative text."""
    lines: list[str] = []
    taken = ""
    for segment in message.segments:
        name = segment[0]
        if name == "OBR":
            taken = from_hl7(message.of(segment, 7)) or from_hl7(message.of(segment, 22))
            lines.append(message.of(segment, 4, 2))
        elif name == "OBX":
            lines += _observation(message, segment, taken, out)
        elif name == "NTE":
            lines += [message.text(part) for part in message.repetitions(segment, 3)]
        elif name == "RXA":
            _immunization(message, segment, out)
        elif name == "RXE":
            _medication(message, segment, out)
        elif name in ("AL1", "IAM"):
            _allergy(message, segment, out)
        elif name == "DG1":
            _diagnosis(message, segment, out)
    return [clean_text(line) for line in lines if line]


def _observation(message: Message, segment: tuple[str, ...], taken: str, out: Builder) -> list[str]:
    """A result, or lines of a report."""
    kind, status = message.of(segment, 2), message.of(segment, 11)
    if kind in ("ED", "RP") or message.of(segment, 3, 3) == _FLAGS or message.of(segment, 3) in _CONFIDENTIALITY:
        return []
    code, label = message.of(segment, 3), message.of(segment, 3, 2)
    values = [_value(message, value, kind) for value in message.repetitions(segment, 5)]
    value = "; ".join(filter(None, values))
    if message.of(message.first("MSH"), 9) == "VXU" or kind in ("HD", "AD", "XPN", "XAD", "XTN", "CX", "EI"):
        out.not_understood("observation about the message, not about the patient")
        return []
    if kind in _NARRATIVE or (not code and not label):
        return values
    if status in ("X", "W", "D") or not (value or label):
        out.not_understood("withdrawn or empty observation")
        return []
    out.add("result", {
        "label": label or code, "code": code, "system": message.of(segment, 3, 3), "value": value,
        "unit": message.of(segment, 6) or message.of(segment, 6, 2), "range": message.text(message.field(segment, 7)),
        "interpretation": " ".join(message.part(item, 1) for item in message.repetitions(segment, 8)),
        "start": from_hl7(message.of(segment, 14)) or taken,
        "status": "unknown" if status in ("P", "R", "S", "I") else "",
        "performer": message.of(segment, 23) or message.of(segment, 15, 2),
    })  # fmt: skip
    return []


def _value(message: Message, value: str, kind: str) -> str:
    parts = value.split(message.component)
    if kind == "SN":
        return "".join(message.text(part) for part in parts)
    if kind in ("CE", "CWE", "CNE", "CF"):
        return message.part(value, 2) or message.part(value, 9) or message.part(value, 1)
    if kind in ("DT", "TS", "DTM"):
        return from_hl7(message.part(value, 1)) or message.part(value, 1)
    return (
        message.text(value.replace(message.component, " ").strip()) if kind not in ("NM",) else message.part(value, 1)
    )


def _immunization(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 5), message.of(segment, 5, 2)
    out.add("immunization", {
        "label": label or code or "(-)", "code": code, "system": message.of(segment, 5, 3),
        "start": from_hl7(message.of(segment, 3)), "lot": message.of(segment, 15),
        "performer": message.of(segment, 10, 2), "status": "completed",
        "negated": message.of(segment, 20) in ("RE", "NA") or code == "998" or not (label or code),
        "note": message.of(segment, 18, 2),
    })  # fmt: skip


def _medication(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 2), message.of(segment, 2, 2)
    amount = " ".join(filter(None, (message.of(segment, 3), message.of(segment, 5, 2) or message.of(segment, 5))))
    instructions = message.of(segment, 7, 2) or message.of(segment, 7)
    timing = message.field(segment, 1).split(message.component)
    out.add("medication", {
        "label": label or code or "(-)", "code": code, "system": message.of(segment, 2, 3),
        "dose": " · ".join(filter(None, (amount, instructions))), "status": "unknown",
        "start": from_hl7(timing[3]) if len(timing) > 3 else "", "end": from_hl7(timing[4]) if len(timing) > 4 else "",
        "negated": not (label or code),
    })  # fmt: skip


def _allergy(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 3), message.of(segment, 3, 2)
    if label or code:
        out.add("allergy", {
            "label": label or code, "code": code, "system": message.of(segment, 3, 3),
            "severity": message.of(segment, 4, 2) or message.of(segment, 4), "reaction": message.of(segment, 5),
            "negated": says_nothing(label or code, code), "status": "unknown",
        })  # fmt: skip


def _diagnosis(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 3), message.of(segment, 3, 2) or message.of(segment, 4)
    if label or code:
        out.add("condition", {
            "label": label or code, "code": code, "system": message.of(segment, 3, 3), "status": "unknown",
            "start": from_hl7(message.of(segment, 5)), "negated": says_nothing(label or code, code),
        })  # fmt: skip


def _flags(message: Message) -> Iterator[tuple[str, str]]:
    """The confidentiality flags of the French profile: (name, Y or N)."""
    for segment in message.all("OBX"):
        name = message.of(segment, 3)
        yield _FLAG_NAMES.get(name, name), message.of(segment, 5)


def _confidentiality(flags: set[str]) -> str:
    return " ".join(name for name in _CONFIDENTIALITY if name in flags)


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
