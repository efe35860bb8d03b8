"""PDF: text of every page, title and dates of the file; kept whole. Scans are said to be scans."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from vault.document import Document, Read
from vault.errors import InputRefused
from vault.importers.reading import Builder, clean, clean_text, safe_name, sha256

MEDIA_TYPE = "application/pdf"
LIBRARY = "pypdfium2"
MAX_PAGES = 5_000
MAX_CHARACTERS = 2_000_000
MAX_BLANK = 50  # pages without text that are told of
DOTS_PER_INCH = 200
MAX_PIXELS = 30_000_000
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
    blank: tuple[int, ...] = ()  # the first pages without text


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
    document = Document(
        title=title or "PDF",
        date=pages.date,
        author=pages.author,
        source_id=f"sha256:{sha256(data)}",
        text=pages.text,
    )
    part = {"blank_pages": ",".join(map(str, pages.blank))} if pages.blank else {}
    return [replace(out.finish(document, None), part=part)]


def _opened(data: bytes) -> Any:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as failure:
        why = "needs a password" if "password" in str(failure).lower() else "cannot be opened"
        raise InputRefused(f"the PDF {why}", hint="Open it with its own program and save it again.") from failure


def render(data: bytes, number: int) -> bytes:
    """A page as a grey picture (PGM). InputRefused when there is no such page or it cannot be drawn."""
    import pypdfium2

    pdf = _opened(data)
    try:
        if not 0 <= number < len(pdf):
            raise InputRefused("the PDF has no such page")
        page = pdf[number]
        try:
            width, height = page.get_size()
            if width <= 0 or height <= 0:
                raise InputRefused("the page has no size")
            scale = min(DOTS_PER_INCH / 72, (MAX_PIXELS / (width * height)) ** 0.5)
            bitmap = page.render(scale=scale, grayscale=True)
            wide, high, stride = bitmap.width, bitmap.height, bitmap.stride
            lines = memoryview(bitmap.buffer).cast("B")
            rows = (lines[at : at + wide] for at in range(0, stride * high, stride))
            return b"P5 %d %d 255\n" % (wide, high) + b"".join(rows)
        finally:
            page.close()
    except pypdfium2.PdfiumError as failure:
        raise InputRefused("the page cannot be drawn") from failure
    finally:
        pdf.close()


def text_of(data: bytes) -> Pages:
    """Text and properties; InputRefused when it does not open (damaged, needs a password)."""
    import pypdfium2

    pdf = _opened(data)
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
        tuple(number for number, text in enumerate(texts) if not text.strip())[:MAX_BLANK],
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
