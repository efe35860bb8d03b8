"""Document, Entry, Attachment: what a record is made of. Plain data, no behaviour beyond reading itself.

A **document** is the unit of a grant: a clinical document with its attachments, or one section of the health profile.
An **entry** is one fact in it (a medication, an allergy, ...) with an id that never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Value = str | int | bool | None

# One section of the health profile per kind; CLINICAL is everything that came as a document of its own.
CLINICAL = "clinical"
SECTION_ENTRY = {
    "medications": "medication",
    "allergies": "allergy",
    "conditions": "condition",
    "immunizations": "immunization",
    "results": "result",
    "vitals": "vital",
    "procedures": "procedure",
    "family": "family_history",
    "directives": "directive",
    "trusted": "trusted_person",
    "contacts": "contact",
}
ENTRY_SECTION = {entry: section for section, entry in SECTION_ENTRY.items()}
# How a new section is called, in the language of its vault.
SECTION_TITLES = {
    "fr": {
        "medications": "Traitements", "allergies": "Allergies", "conditions": "Problèmes de santé",
        "immunizations": "Vaccinations", "results": "Résultats", "vitals": "Mesures",
        "procedures": "Actes et opérations",
        "family": "Antécédents familiaux", "directives": "Directives anticipées", "trusted": "Personne de confiance",
        "contacts": "Contacts",
    },
    "en": {
        "medications": "Medications", "allergies": "Allergies", "conditions": "Conditions",
        "immunizations": "Immunizations", "results": "Results", "vitals": "Measurements", "procedures": "Procedures",
        "family": "Family history", "directives": "Advance directives", "trusted": "Person of trust",
        "contacts": "Contacts",
    },
}  # fmt: skip
DOCUMENT_KINDS = (CLINICAL, *SECTION_ENTRY)
# Entry kinds that have no section of their own yet are kept too: nothing that was read is thrown away.
ENTRY_KINDS = (*ENTRY_SECTION, "device", "social_history", "note")

# The fields that an entry may carry besides its kind; all optional, all text unless said otherwise.
#   label          what a person reads ("BISOPROLOL 2,5 mg")       code, system  the source's code and its OID or URI
#   substance      active substance in plain words                 dose          as prescribed, free text
#   start, end     RFC 3339 date or date-time, possibly partial ("2019", "2019-05", "2019-05-01")
#   status         active | completed | stopped | unknown; of a treatment also prescribed
#   negated        bool: "does NOT take / is NOT allergic"
#   value, unit    of a result or vital; decimals stay text        range         reference range, text
#   interpretation H, L, N, A, ... as in the source                 reaction, severity, criticality   of an allergy
#   lot, dose_number, performer                                     of an immunization
#   value          of a trusted_person or contact: how they are reached; performer: who they are to the holder
#   note           free text                                        author        who stated it, as shown
ENTRY_FIELDS = (
    "label", "code", "system", "substance", "dose", "start", "end", "status", "negated", "value", "unit", "range",
    "interpretation", "reaction", "severity", "criticality", "lot", "dose_number", "performer", "note", "author",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact. `id` is 32 hex characters, stable for the life of the document; `fields` has keys of ENTRY_FIELDS."""

    id: str
    kind: str
    fields: Mapping[str, Value] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The field as text, "" when absent."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    @property
    def negated(self) -> bool:
        return self.fields.get("negated") is True


@dataclass(frozen=True, slots=True)
class Attachment:
    """An original file kept with a document. `sha256` is of the plaintext, 64 hex characters; `size` in bytes."""

    sha256: str
    media_type: str
    size: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two or more people wrote one field without knowing of each other. `sides` are (value, author, RFC 3339 time)."""

    entry_id: str  # "" for a field of the document itself
    field: str
    sides: tuple[tuple[Value, str, str], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A clinical document or a section. Dates are RFC 3339, possibly partial; codes as in the source.

    `id` is 32 hex characters ("" before the vault gives one). `source_id` is the unique id that the document had where
    it came from ("cda:ROOT^EXT^VERSION", "fhir:SYSTEM|VALUE", "sha256:HEX"): importing it twice adds nothing.
    """

    id: str = ""
    kind: str = CLINICAL
    title: str = ""
    type_code: str = ""
    class_code: str = ""
    date: str = ""
    author: str = ""
    confidentiality: str = "N"
    language: str = ""
    source_id: str = ""
    text: str = ""  # narrative or page text, for reading and search
    entries: tuple[Entry, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    def with_id(self, document_id: str) -> Document:
        return replace(self, id=document_id)

    def of_kind(self, kind: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def counts(self) -> dict[str, int]:
        """Entries per section, every section named, as the JSON of `import` and `list` gives them."""
        return {section: len(self.of_kind(kind)) for section, kind in SECTION_ENTRY.items()}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a file says it is about. `birth` is RFC 3339 date or ""; `identifiers` are (system, value)."""

    family: str = ""
    given: str = ""
    birth: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()
    other_names: tuple[str, ...] = ()  # further family names (birth name, used name)


@dataclass(frozen=True, slots=True)
class Read:
    """One document as an importer read it: nothing stored yet. `files` are the attachments' bytes by SHA-256 hex.

    `several`: the source states more people than `subject`, and what is whose cannot be told for sure. `format` is what
    the file was taken for. `part` says of what larger thing it is a part (a DICOM study), or which pages lack text.
    `slices` are the attachments that are not among `files` but stand in the file itself: (offset, size) by hash.
    """

    document: Document
    subject: Subject | None
    files: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    several: bool = False
    format: str = ""
    part: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
