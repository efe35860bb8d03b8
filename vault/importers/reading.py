"""What every importer makes: one `Read` at a time, with clean text, stable entry ids and the raw file attached."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from vault.document import ENTRY_FIELDS, Attachment, Document, Entry, Read, Subject, Value

MAX_FIELD = 20_000
MAX_TEXT = 4_000_000
MAX_WARNINGS = 50
MEMORY = 1 << 12  # labels that are remembered: a record says the same few many times
_FIELDS = frozenset(ENTRY_FIELDS)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_SPACES = re.compile(r"[ \t\u00a0]*\s[ \t\u00a0]*")
# A whole label that says "nothing" in French or English: such an entry is kept, as negated, never as a fact.
_NOTHING = re.compile(
    r"(aucune?|n[ée]ant|rien|ras|none|nil|nothing|n/?a|sans objet|non renseign[ée]e?)\.?"
    r"|(aucune?|pas d['’e]|absence d['’e]|sans)\s*(traitement|m[ée]dicament|allergie|intol[ée]rance|vaccin"
    r"|ant[ée]c[ée]dent|probl[èe]me|pathologie|information|donn[ée]e)[\w\s'’éèêàçù,()-]*"
    r"|(no|nil|none) (known|current|active|reported|recorded)\b.*"
    r"|no (information|medications?|allerg(y|ies)|problems?|immuni[sz]ations?|conditions?)\b.*"
    r"|patient (has no|denies)\b.*|(not known|unknown|information absente|no data).{0,60}",
    re.IGNORECASE,
)
# Codes that mean the same: IPS "absent and unknown data", SNOMED CT, the CNAM's "Aucun".
_NOTHING_CODES = frozenset(
    {
        "no-allergy-info",
        "no-known-allergies",
        "no-known-medication-allergies",
        "no-known-environmental-allergies",
        "no-known-food-allergies",
        "no-medication-info",
        "no-known-medications",
        "no-problem-info",
        "no-known-problems",
        "no-immunization-info",
        "no-known-immunizations",
        "no-procedure-info",
        "no-known-procedures",
        "no-device-info",
        "no-known-devices",
        "716186003",
        "409137002",
        "428607008",
        "429625007",
        "160244002",
        "160245001",
        "787481004",
        "787482006",
        "787483001",
        "1003774007",
        "1234391005",
        "787480003",
        "443508001",
        "NO-TREATMENT",
        "NO-VACCIN",
        "nilknown",
        "66557003",
    }
)


def clean(value: object, limit: int = MAX_FIELD) -> str:
    """Text on one line without control characters or direction overrides."""
    if value is None or value == "":
        return ""
    if isinstance(value, str) and len(value) <= limit and value.isprintable():
        # Printable text has no control characters and no white space but the plain one: nearly every value.
        return " ".join(value.split()) if "  " in value or value[:1] == " " or value[-1:] == " " else value
    text = _CONTROL.sub("", str(value)[: limit * 4])
    return " ".join(text.split())[:limit]


def clean_text(value: str, limit: int = MAX_TEXT) -> str:
    """Text that keeps its lines, without control characters or direction overrides."""
    text = _CONTROL.sub("", value[:limit].replace("\r\n", "\n").replace("\r", "\n"))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def says_nothing(label: str, *codes: str) -> bool:
    """Whether a coded or written statement says that nothing is known or present."""
    return not _NOTHING_CODES.isdisjoint(codes) or _means_nothing(label)


@lru_cache(MEMORY)
def _means_nothing(label: str) -> bool:
    return _NOTHING.fullmatch(label.strip()) is not None


def sha256(data: bytes) -> str:
    """In hex. The file that is read is asked for several times in a row: its hash is remembered with it."""
    global _last
    known, digest = _last
    if known is not data:
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= _REMEMBERED:
            _last = data, digest
    return digest


_REMEMBERED = 4 << 20
_last: tuple[bytes, str] = b"", hashlib.sha256(b"").hexdigest()


def safe_name(name: str) -> str:
    """A file's own name, for showing: no folders, no control characters."""
    base = PurePosixPath(name.replace("\\", "/")).name
    return clean(base, 200)


def decode_base64(text: str) -> tuple[bytes, bool]:
    """(bytes, whether something was missing): white space is ignored, a truncated tail is dropped."""
    packed = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    padded = len(packed) % 4 == 0 or text.rstrip().endswith("=")
    if len(packed) % 4 == 1:
        packed = packed[:-1]
        padded = False
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4)), not padded
    except (binascii.Error, ValueError):
        return b"", True


@dataclass(frozen=True, slots=True)
class Original:
    """The file that is read, which stays with what was read of it. `data` is None where it is too large to be held."""

    sha256: str
    size: int
    name: str
    data: bytes | None = None

    @classmethod
    def of(cls, data: bytes, name: str) -> Original:
        return cls(sha256(data), len(data), name, data)

    def attach_to(self, out: Builder, media_type: str) -> None:
        if self.data is not None:
            out.attach(self.data, media_type, self.name)
        else:
            out.attach_outside(self.sha256, self.size, media_type, self.name)


@dataclass
class Builder:
    """Collects one document. `source_id` decides the ids of its entries, so that reading again gives the same."""

    entries: list[tuple[str, dict[str, Value]]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, fields: dict[str, Value | object]) -> None:
        """One entry; empty fields are left out, unknown ones are a mistake of the importer."""
        kept: dict[str, Value] = {}
        if not fields.keys() <= _FIELDS:
            raise KeyError(*fields.keys() - _FIELDS)
        for name, value in fields.items():
            if value is None or value == "":
                continue
            if name == "negated":
                if value:
                    kept[name] = True
            elif text := clean(value):
                kept[name] = text
        self.entries.append((kind, kept))

    def attach(self, data: bytes, media_type: str, name: str = "") -> Attachment:
        """The file, once: the same bytes twice are one attachment."""
        digest = sha256(data)
        if digest in self.files:
            return next(item for item in self.attachments if item.sha256 == digest)
        item = Attachment(digest, clean(media_type, 100) or "application/octet-stream", len(data), safe_name(name))
        self.attachments.append(item)
        self.files[digest] = data
        return item

    def attach_outside(self, digest: str, size: int, media_type: str, name: str) -> None:
        """A file that is not here: whoever asked for the reading has it."""
        self.attachments.append(Attachment(digest, clean(media_type, 100), size, safe_name(name)))

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def not_understood(self, what: str) -> None:
        """Counts something that stays in the raw file only; said once with its number at the end."""
        self.left[what] += 1

    def finish(self, document: Document, subject: Subject | None) -> Read:
        """The result. `document` brings the header; entries and attachments come from here."""
        for what, count in sorted(self.left.items()):
            self.warn(f"kept in the original file only: {count} x {what}")
        warnings = self.warnings[:MAX_WARNINGS]
        if len(self.warnings) > MAX_WARNINGS:
            warnings.append(f"and {len(self.warnings) - MAX_WARNINGS} more warnings")
        entries = tuple(
            Entry(_entry_id(document.source_id, index), kind, fields)
            for index, (kind, fields) in enumerate(self.entries)
        )
        made = Document(
            title=clean(document.title, 500),
            type_code=clean(document.type_code, 100),
            class_code=clean(document.class_code, 100),
            date=document.date,
            author=clean(document.author, 500),
            confidentiality=clean(document.confidentiality, 100) or "N",
            language=clean(document.language, 35),
            source_id=clean(document.source_id, 1000),
            text=clean_text(document.text),
            entries=entries,
            attachments=tuple(self.attachments),
        )
        return Read(made, subject, self.files, tuple(warnings))


def person_name(given: str, family: str, prefix: str = "") -> str:
    """As shown: "DR Aline FICTIVE"."""
    return clean(" ".join(part for part in (prefix, given, family) if part))


def author_name(person: str, organisation: str) -> str:
    """Person and organisation in one line, either may be missing."""
    person, organisation = clean(person), clean(organisation)
    return ", ".join(dict.fromkeys(part for part in (person, organisation) if part))


def _entry_id(source_id: str, index: int) -> str:
    return hashlib.blake2b(f"{source_id}\0{index}".encode(), digest_size=16, person=b"elpis-entry").hexdigest()
