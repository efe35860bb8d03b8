"""From a file's bytes to documents, and nothing else: nothing is stored, fetched or executed.

    read_file(data, name) -> list of Read

The format is recognised by content. InputRefused says why nothing was read. Readers load their libraries on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from vault.document import Read
from vault.errors import InputRefused
from vault.importers.sniff import format_of

__all__ = ["format_of", "read_file", "split"]

MAX_FILE = 512 << 20
MAX_ENTRIES = 5_000
_READERS = {
    "cda": "vault.importers.cda",
    "fhir-json": "vault.importers.fhir",
    "fhir-xml": "vault.importers.fhir_xml",
    "pdf": "vault.importers.pdf",
    "zip": "vault.importers.archive",
    "hl7v2": "vault.importers.hl7v2",
    "dicom": "vault.importers.dicom",
    "apple": "vault.importers.apple_health",
    "other": "vault.importers.other",
}


def read_file(data: bytes, name: str) -> list[Read]:
    """Every document in the file, the file itself among their attachments."""
    if not data:
        raise InputRefused("the file is empty")
    if len(data) > MAX_FILE:
        raise InputRefused("the file is too large to be read", limit=MAX_FILE)
    found = format_of(data, name)
    if found.startswith("picture:"):
        from vault.importers import other

        return [replace(made, format="picture") for made in other.read_picture(data, name, found[len("picture:") :])]
    reader = import_module(_READERS[found])
    read: Callable[[bytes, str], list[Read]] = reader.read_file if found == "other" else reader.read
    return [part for made in read(data, name) for part in split(replace(made, format=made.format or found))]


def split(read: Read) -> list[Read]:
    """A document with more entries than one may hold, as several of one title; the files stay with the first."""
    whole = read.document
    if len(whole.entries) <= MAX_ENTRIES:
        return [read]
    parts = []
    for number, at in enumerate(range(0, len(whole.entries), MAX_ENTRIES), 1):
        document = replace(
            whole,
            title=f"{whole.title} ({number})",
            source_id=whole.source_id if number == 1 else f"{whole.source_id}#{number}",
            entries=whole.entries[at : at + MAX_ENTRIES],
            attachments=whole.attachments if number == 1 else (),
            text=whole.text if number == 1 else "",
        )
        parts.append(
            replace(
                read,
                document=document,
                files=read.files if number == 1 else {},
                warnings=read.warnings if number == 1 else (),
                part=read.part if number == 1 else {},
            )
        )
    return parts
