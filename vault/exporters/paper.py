"""A4 pages: fonts, margins, headings, tables, QR codes. The only importer of reportlab.

Text that came from outside is data: `shown` takes its control characters out and escapes what the layout would read as
markup. Pages carry no date of their making and no id, so that the same content is the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import IO, Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import (
    HRFlowable,
    KeepTogether,
    ListFlowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from vault.importers.reading import clean

WIDTH = A4[0] - 36 * mm - 12  # the frame of a page keeps 6 points on each side
# Free fonts that know more letters than the built-in ones; the first that this system has is put into the file.
_FONTS = (("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"), ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"))
_GREY, _PALE = colors.HexColor("#555555"), colors.HexColor("#eeeeee")
BOLD = "\x02"  # no text from outside keeps this character
Piece = Any  # a flowable of reportlab, which has no types


def shown(text: object, limit: int = 2000) -> str:
    """Text from outside as it may stand in a paragraph: on one line, escaped, in letters that the font has."""
    return escape(shown_plain(text, limit))


def shown_plain(text: object, limit: int = 2000) -> str:
    """The same where nothing reads markup."""
    one = clean(text, limit)
    return one if _embedded() else one.encode("cp1252", "replace").decode("cp1252")


def title(text: str, below: str = "") -> list[Piece]:
    made = [Paragraph(shown(text), _style("title"))]
    if below:
        made.append(Paragraph(shown(below), _style("below")))
    return [*made, HRFlowable(width="100%", color=colors.black, thickness=1, spaceBefore=2 * mm, spaceAfter=3 * mm)]


def heading(text: str) -> Piece:
    return Paragraph(shown(text), _style("heading"))


def line(text: str, *, bold: bool = False, small: bool = False) -> Piece:
    return Paragraph(f"<b>{shown(text)}</b>" if bold else shown(text), _style("small" if small else "body"))


def warning(text: str) -> Piece:
    """A sentence in a frame: what must not be overlooked."""
    inner = Paragraph(f"<b>{shown(text)}</b>", _style("body"))
    frame = [("BOX", (0, 0), (-1, -1), 1, colors.black), *_padded(2.5)]
    return Table([[inner]], colWidths=[WIDTH], style=frame, spaceBefore=2 * mm, spaceAfter=2 * mm)


def steps(texts: Sequence[str]) -> Piece:
    """Numbered sentences."""
    items = [Paragraph(shown(text), _style("body")) for text in texts]
    return ListFlowable(items, bulletType="1", bulletFontName=_names()[0], bulletFontSize=9.5, leftIndent=6 * mm)


def rows(head: Sequence[str], lines: Sequence[Sequence[str]], widths: Sequence[float]) -> Piece:
    """A table with a heading that is repeated on every page. `widths` are parts of the page's width.

    A cell that begins with BOLD is printed so.
    """
    cells: list[list[Piece]] = [[Paragraph(f"<b>{shown(name)}</b>", _style("cell")) for name in head]]
    for texts in lines:
        cells.append([Paragraph(_cell(text), _style("cell")) for text in texts])
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
        ("LINEBELOW", (0, 1), (-1, -1), 0.25, _GREY), *_padded(1.2),
    ]  # fmt: skip
    scale = WIDTH / sum(widths)
    return Table(cells, colWidths=[width * scale for width in widths], style=style, repeatRows=1, hAlign="LEFT")


def numbered(words: Sequence[str], columns: int) -> Piece:
    """Words with their numbers, column by column, to be copied by hand."""
    height = -(-len(words) // columns)
    grid: list[list[Piece]] = [["" for _ in range(columns)] for _ in range(height)]
    for place, word in enumerate(words):
        text = f'<font color="#555555" size="8">{place + 1}.</font> <b>{shown(word)}</b>'
        grid[place % height][place // height] = Paragraph(text, _style("word"))
    style = [("GRID", (0, 0), (-1, -1), 0.25, _GREY), ("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *_padded(1.6)]
    return Table(grid, colWidths=[WIDTH / columns] * columns, style=style)


def beside(left: Sequence[Piece], right: Piece, part: float) -> Piece:
    """Lines with something on their right, which takes `part` of the width."""
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("ALIGN", (1, 0), (1, 0), "RIGHT"),
        ("LEFTPADDING", (0, 0), (0, 0), 0), ("RIGHTPADDING", (1, 0), (1, 0), 0),
    ]  # fmt: skip
    return Table([[list(left), right]], colWidths=[WIDTH * (1 - part), WIDTH * part], style=style)


def qr(text: str, size: float) -> Piece:
    """A QR code of `size` millimetres, its quiet zone included."""
    import segno

    matrix = [list(row) for row in segno.make_qr(text, error="m").matrix_iter(border=4)]
    module = size * mm / len(matrix)
    picture = Drawing(size * mm, size * mm)
    for y, row in enumerate(matrix):
        start = 0
        for x in range(len(row) + 1):
            dark = x < len(row) and row[x]
            if not dark:
                if x > start:
                    top = (len(matrix) - 1 - y) * module
                    bar = Rect(start * module, top, (x - start) * module, module, fillColor=colors.black)
                    bar.strokeWidth, bar.strokeColor = 0, None
                    picture.add(bar)
                start = x + 1
    return picture


def space(millimetres: float) -> Piece:
    return Spacer(1, millimetres * mm)


def page_break() -> Piece:
    return PageBreak()


def together(pieces: Sequence[Piece]) -> Piece:
    """Pieces that stand on one page."""
    return KeepTogether(list(pieces))


def write(target: IO[bytes], name: str, pieces: Sequence[Piece], foot: str, page_of: str, *, language: str) -> int:
    """The pages as a PDF, and how many they are. `page_of` says "page {n}"; `foot` stands on every one."""

    def below(canvas: Any, _document: object) -> None:
        canvas.setFont(_names()[0], 7.5)
        canvas.setFillColor(_GREY)
        canvas.drawString(18 * mm + 6, 10 * mm, shown_plain(foot))
        canvas.drawRightString(A4[0] - 18 * mm - 6, 10 * mm, page_of.format(n=canvas.getPageNumber()))

    document = SimpleDocTemplate(
        target, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=15 * mm, bottomMargin=17 * mm,
        title=name, author="", creator="Elpis", invariant=1, lang=language,
    )  # fmt: skip
    draw: Callable[[Any, object], None] = below
    document.build(list(pieces), onFirstPage=draw, onLaterPages=draw)
    return int(document.page)


def _cell(text: str) -> str:
    return f"<b>{shown(text)}</b>" if text.startswith(BOLD) else shown(text)


def _padded(millimetres: float) -> list[tuple[Any, ...]]:
    return [(f"{side}PADDING", (0, 0), (-1, -1), millimetres * mm) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


@cache
def _style(name: str) -> Any:
    plain, bold = _names()
    styles = {
        "title": {"fontName": bold, "fontSize": 17, "leading": 21},
        "below": {"fontSize": 10, "leading": 13, "textColor": _GREY},
        "heading": {"fontName": bold, "fontSize": 11.5, "leading": 14, "spaceBefore": 4 * mm, "spaceAfter": 1.5 * mm},
        "body": {"fontSize": 9.5, "leading": 13},
        "small": {"fontSize": 8, "leading": 10, "textColor": _GREY},
        "cell": {"fontSize": 8.5, "leading": 10.5, "splitLongWords": 1},
        "word": {"fontSize": 11, "leading": 13},
        "centre": {"fontSize": 8, "leading": 10, "alignment": TA_CENTER},
    }
    return ParagraphStyle(name, **{"fontName": plain, **styles[name]})


def _embedded() -> bool:
    return _names()[0] == "Elpis"


@cache
def _names() -> tuple[str, str]:
    """(regular, bold). The built-in fonts know the letters of Western Europe, and no others."""
    for regular, bold in _FONTS:
        try:
            pdfmetrics.registerFont(TTFont("Elpis", regular))
            pdfmetrics.registerFont(TTFont("Elpis-Bold", bold))
        except TTFError:
            continue
        pdfmetrics.registerFontFamily(
            "Elpis", normal="Elpis", bold="Elpis-Bold", italic="Elpis", boldItalic="Elpis-Bold"
        )
        return "Elpis", "Elpis-Bold"
    return "Helvetica", "Helvetica-Bold"
