"""What a DICOM object says in words: the content of a structured report, and a document that it encloses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vault.errors import InputRefused
from vault.importers.reading import Builder, clean

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_DEPTH, MAX_ITEMS = 32, 5_000
_SUFFIX = {"application/pdf": "pdf", "text/xml": "xml", "application/xml": "xml"}
Text = Callable[[Any, str], str]
Items = Callable[[Any, str], list[Any]]


def lines_of(header: Dataset, text: Text, items: Items) -> list[str]:
    """A structured report, one line for each of its statements."""
    found = [line for line in _lines(header, text, items, 0) if line]
    return found[:MAX_ITEMS]


def _lines(part: Any, text: Text, items: Items, depth: int) -> Iterator[str]:
    for count, item in enumerate(items(part, "ContentSequence")):
        if depth > MAX_DEPTH or count > MAX_ITEMS:
            return
        name, value = _meaning(item, "ConceptNameCodeSequence", text, items), _value(item, text, items)
        yield f"{name}: {value}" if name and value else name or value
        yield from _lines(item, text, items, depth + 1)


def _value(item: Any, text: Text, items: Items) -> str:
    measured = next(iter(items(item, "MeasuredValueSequence")), None)
    if measured is not None:
        units = next(iter(items(measured, "MeasurementUnitsCodeSequence")), None)
        return clean(f"{text(measured, 'NumericValue')} {text(units, 'CodeValue')}")
    written = (text(item, name) for name in ("TextValue", "PersonName", "DateTime", "Date", "Time"))
    return next(filter(None, written), "") or _meaning(item, "ConceptCodeSequence", text, items)


def _meaning(item: Any, name: str, text: Text, items: Items) -> str:
    return text(next(iter(items(item, name)), None), "CodeMeaning")


def attach_enclosed(header: Dataset, out: Builder, text: Text) -> str:
    """A report in PDF, or a clinical document, inside the object: a file of its own. Its text, for search."""
    data = header.get("EncapsulatedDocument")
    if not isinstance(data, bytes) or not data:
        return ""
    length = text(header, "EncapsulatedDocumentLength")
    data = data[: int(length)] if length.isdigit() and 0 < int(length) <= len(data) else data.rstrip(b"\0")
    media_type = text(header, "MIMETypeOfEncapsulatedDocument").lower() or "application/octet-stream"
    title = text(header, "DocumentTitle") or "document"
    out.attach(data, media_type, f"{title}.{_SUFFIX.get(media_type, 'bin')}")
    if not data.startswith(b"%PDF"):
        return ""
    from vault.importers import pdf

    try:
        return pdf.text_of(data).text
    except InputRefused:
        out.warn("the enclosed PDF has no readable text")
        return ""
