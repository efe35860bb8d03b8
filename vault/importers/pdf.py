"""PDF: text of every page, title and dates of the file; kept whole. Scans are said to be scans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vault.document import Document, Read
from vault.errors import InputRefused
from vault.importers.reading import Builder, clean, clean_text, safe_name, sha256

MEDIA_TYPE = "application/pdf"
LIBRARY = "pypdfium2"
MAX_PAGES = 5_000
MAX_CHARACTERS = 2_000_000
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-]\d\d)'?(\d\d)'?)?")
_NO_TITLE = re.compile(
    r"untitled|\(?anonymous\)?|microsoft word.*|document\d*|.*\.(docx?|odt|pdf|rtf|tmp)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Pages:
    text: str
    pages: int
    title: str
    author: str
    date: str
    cut: bool


def read(data: bytes, name: str) -> list[Read]:
    """One document; its title is the PDF's own, else the file's name."""
    pages = text_of(data)
    out = Builder()
    out.attach(data, MEDIA_TYPE, name or "document.pdf")
    if not pages.text:
        out.warn(f"no text in {pages.pages} page(s), probably a scan: kept as a picture, not searchable")
    if pages.cut:
        out.warn("only the first part of the text was taken for search")
    title = pages.title if pages.title and not _NO_TITLE.fullmatch(pages.title) else _stem(name)
    digest = sha256(data)
    return [
        out.finish(
            Document(
                title=title or "PDF",
                date=pages.date,
                author=pages.author,
                source_id=f"sha256:{digest}",
                text=pages.text,
            ),
            None,
        )
    ]


def text_of(data: bytes) -> Pages:
    """Text and properties; InputRefused when it does not open (damaged, needs a password)."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as failure:
        why = "needs a password" if "password" in str(failure).lower() else "cannot be opened"
        raise InputRefused(f"the PDF {why}", hint="Open it with its own program and save it again.") from failure
    try:
        count = min(len(pdf), MAX_PAGES)
        texts: list[str] = []
        size = 0
        for index in range(count):
            text = _page_text(pdf, index, pypdfium2.PdfiumError)
            texts.append(text)
            size += len(text)
            if size > MAX_CHARACTERS:
                break
        about = pdf.get_metadata_dict(skip_empty=True)
        cut = len(texts) < len(pdf)
    finally:
        pdf.close()
    author = clean(about.get("Author", ""))
    return Pages(
        clean_text("\n\n".join(texts)), count, clean(about.get("Title", "")),
        "" if author.lower() in ("anonymous", "(anonymous)", "unknown") else author,
        _pdf_date(about.get("CreationDate", "")), cut,
    )  # fmt: skip


def _page_text(pdf: Any, index: int, damaged: type[Exception]) -> str:
    """A page that cannot be read leaves the others readable."""
    try:
        page = pdf[index]
        try:
            text_page = page.get_textpage()
            try:
                return str(text_page.get_text_bounded())
            finally:
                text_page.close()
        finally:
            page.close()
    except damaged:
        return ""


def _pdf_date(value: str) -> str:
    match = _DATE.match(value)
    if match is None:
        return ""
    year, month, day, hour, minute, second, zulu, east, quarter = match.groups()
    date = "-".join(filter(None, (year, month, day)))
    if not (month and day and hour):
        return date
    zone = "Z" if zulu else f"{east}:{quarter}" if east else ""
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"


def _stem(name: str) -> str:
    return safe_name(name).rsplit(".", 1)[0].replace("_", " ")
