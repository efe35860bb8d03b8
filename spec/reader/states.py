"""spec/replica.md, section 1, read a second time: what the state of a document may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spec.reader.refusal import malformed

META = {
    "kind", "title", "type_code", "class_code", "date", "author", "confidentiality", "language", "source_id", "text",
}  # fmt: skip
KINDS = {
    "clinical", "medications", "allergies", "conditions", "immunizations", "results", "vitals", "procedures", "family",
    "directives", "trusted", "contacts",
}  # fmt: skip
ENTRY = {
    "kind", "label", "code", "system", "substance", "dose", "start", "end", "status", "negated", "value", "unit",
    "range", "interpretation", "reaction", "severity", "criticality", "lot", "dose_number", "performer", "note",
    "author",
}  # fmt: skip
ENTRY_KINDS = {
    "medication", "allergy", "condition", "immunization", "result", "vital", "procedure", "family_history", "directive",
    "trusted_person", "contact", "device", "social_history", "note",
}  # fmt: skip
TEXTS = {"media_type", "name", "key", "sealed_sha256", "blob", "blob_token"}
SIZES = {"size", "sealed_size"}
LARGEST = 2**53 - 1


def check_state(state: Mapping[str, Mapping[str, Any]]) -> None:
    if set(state) != {"meta", "entries", "attachments"}:
        raise malformed("three maps")
    for name, value in state["meta"].items():
        if name not in META or not text(value, 4_000_000 if name == "text" else 1000):
            raise malformed("a field of the document")
    if state["meta"].get("kind") not in KINDS:
        raise malformed("the kind of the document")
    if len(state["entries"]) > 20_000 or len(state["attachments"]) > 256:
        raise malformed("too many")
    for name, fields in state["entries"].items():
        if not re.fullmatch("[0-9a-f]{32}", name) or not isinstance(fields, dict):
            raise malformed("an entry is a map under its id")
        if not set(fields) <= ENTRY or fields.get("kind") not in ENTRY_KINDS:
            raise malformed("a field or the kind of an entry")
        if not all(map(scalar, fields.values())):
            raise malformed("a value of an entry")
    for name, fields in state["attachments"].items():
        check_attachment(name, fields)


def check_attachment(name: str, fields: Any) -> None:
    if not sha(name) or not isinstance(fields, dict) or not set(fields) <= TEXTS | SIZES:
        raise malformed("an attachment is a map under its SHA-256")
    texts = {one: fields.get(one, "") for one in TEXTS}
    if "media_type" not in fields or not all(text(value, 1000) for value in texts.values()):
        raise malformed("text of an attachment")
    if not all(whole(fields.get(one)) and fields[one] >= 0 for one in SIZES):
        raise malformed("a size of an attachment")
    if not (sha(texts["key"]) and sha(texts["sealed_sha256"])):
        raise malformed("the key or the seal of an attachment")
    if not all(texts[one] == "" or sha(texts[one]) for one in ("blob", "blob_token")):
        raise malformed("the place of an attachment")


def text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool) or whole(value) or text(value, 100_000)


def sha(value: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", value) is not None
