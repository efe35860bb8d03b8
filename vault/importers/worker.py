"""The importers' task for the limited worker (vault/quarantine.py), with everything loaded that reading may need.

Once the worker runs it can open nothing: libraries, codecs and lists are loaded here, by importing this module. Only
files with PDF in them pay for its library: see worker_pages.py.
"""

from __future__ import annotations

import codecs
import gc
import mimetypes
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lxml.etree  # noqa: F401

from vault import terminology
from vault.errors import InputRefused
from vault.importers import (  # noqa: F401
    apple_health,
    archive,
    cda,
    elpis_export,
    fhir,
    fhir_xml,
    hl7v2,
    other,
    pdf,
    read_file,
    split,
    xdm,
)
from vault.importers.plain import to_plain
from vault.importers.reading import Original, sha256

if TYPE_CHECKING:
    from vault.document import Read
    from vault.quarantine import Course, Task

for _codec in (
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "latin-1",
    "iso8859-15",
    "cp437",
    "ascii",
    "cp850",
    "mac-roman",
    "iso8859-2",
    "cp1250",
    "unicode_escape",
    "idna",
):
    codecs.lookup(_codec)
mimetypes.init()
terminology.warm()


def read_task(value: Any, parts: list[bytes]) -> tuple[Any, list[bytes]]:
    """A file's name and bytes to its documents; the file itself is not sent back, an empty one stands for it."""
    (data,) = parts
    # With None in its place, asking for a library that was not loaded fails at once and touches no file.
    sys.modules.setdefault(pdf.LIBRARY, None)  # type: ignore[arg-type]
    gc.disable()  # nothing that reading makes goes in circles: looking for them is a tenth of the time
    try:
        if data.startswith(b"PK") and archive.wants_stream(data):
            return {"wants": "stream"}, []
        reads = read_file(data, str(value))
    except InputRefused as refused:
        return {"refused": str(refused), "hint": refused.hint}, []
    except ModuleNotFoundError as missing:
        if missing.name != pdf.LIBRARY:
            raise
        return {"wants": "pages"}, []
    finally:
        gc.enable()
    return _told(reads, sha256(data))


def _told(reads: Iterable[Read], own: str) -> tuple[Any, list[bytes]]:
    """Documents as an answer; the file with the hash `own` is not sent back, an empty one stands for it."""
    plain, files = [], []
    for read in reads:
        described, kept = to_plain(read)
        plain.append(described)
        files += [
            b"" if item.sha256 == own else part for item, part in zip(read.document.attachments, kept, strict=True)
        ]
    return {"reads": plain}, files


def outside_course(value: Any, source: Any) -> Iterator[tuple[Any, list[bytes]]]:
    """A file that stays outside, document by document: an export of Apple Health or of Elpis."""
    original = Original(str(value["sha256"]), int(value["size"]), str(value["name"]))
    gc.disable()
    try:
        if value["format"] == "apple":
            reads: Iterator[Read] | None = iter([replace(apple_health.read_outside(source, original), format="apple")])
        else:
            reads = archive.read_outside(source, original)
        if reads is None:
            yield {"wants": "whole"}, []
            return
        for read in reads:
            yield _told(split(read), original.sha256)
    except InputRefused as refused:
        yield {"refused": str(refused), "hint": refused.hint}, []
    finally:
        gc.enable()


def render_task(value: Any, parts: list[bytes]) -> tuple[Any, list[bytes]]:
    """A page of a PDF as a picture."""
    return None, [pdf.render(parts[0], int(value))]


COURSES: dict[str, Course] = {"outside": outside_course}
TASKS: dict[str, Task] = {"read": read_task, "render": render_task}
