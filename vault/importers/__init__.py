"""From a file's bytes to documents, and nothing else: nothing is stored, fetched or executed.

    read_file(data, name) -> list of Read

The format is recognised by content. InputRefused says why nothing was read. Readers load their libraries on first use.
"""

from __future__ import annotations

from vault.document import Read
from vault.errors import InputRefused
from vault.importers.sniff import format_of

__all__ = ["format_of", "read_file"]

MAX_FILE = 512 << 20


def read_file(data: bytes, name: str) -> list[Read]:
    """Every document in the file, the file itself among their attachments."""
    if not data:
        raise InputRefused("the file is empty")
    if len(data) > MAX_FILE:
        raise InputRefused("the file is too large to be read", limit=MAX_FILE)
    found = format_of(data, name)
    if found == "cda":
        from vault.importers import cda

        return cda.read(data, name)
    if found == "fhir-json":
        from vault.importers import fhir

        return fhir.read(data, name)
    if found == "pdf":
        from vault.importers import pdf

        return pdf.read(data, name)
    raise InputRefused("the format is not known")
