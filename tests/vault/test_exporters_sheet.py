"""The recovery sheet: its words, its QR code module by module, one page a share, nothing of anybody on it."""

from __future__ import annotations

import io
from datetime import date

import pypdfium2
import pytest
import segno

from vault import RecoveryKit
from vault.exporters.sheet import Sheet, as_pdf, as_text

KIT = RecoveryKit(bytes(range(100, 132)))
DAY = date(2026, 12, 1)


def whole(language: str) -> Sheet:
    return Sheet(tuple(KIT.words(language)), KIT.fingerprint())


def divided() -> list[Sheet]:
    shares = KIT.divided("2of3")
    return [Sheet(tuple(part.text.split()), KIT.fingerprint(), part.number, 3, part.needed, part.set_id)
            for part in shares]  # fmt: skip


def pdf(sheets: list[Sheet], language: str) -> pypdfium2.PdfDocument:
    target = io.BytesIO()
    as_pdf(target, sheets, language=language, made=DAY)
    return pypdfium2.PdfDocument(target.getvalue())


def text(page: pypdfium2.PdfPage) -> str:
    return " ".join(page.get_textpage().get_text_range().split())


@pytest.mark.parametrize(("language", "day", "lost"), [
    ("fr", "1er décembre 2026", "est perdu"), ("en", "1 December 2026", "everything in it is lost"),
])  # fmt: skip
def test_a_sheet_is_one_a4_page_with_everything_on_it(language: str, day: str, lost: str) -> None:
    document = pdf([whole(language)], language)
    assert len(document) == 1 and [round(side) for side in document[0].get_size()] == [595, 842]
    page = text(document[0])
    for place, word in enumerate(KIT.words(language), 1):
        assert f"{place}. {word}" in page
    assert KIT.fingerprint() in page and day in page and lost in page and "elpis recovery use" in page


def test_each_share_has_a_page_that_tells_nothing_of_the_others() -> None:
    sheets = divided()
    document = pdf(sheets, "fr")
    assert len(document) == 3
    for number, sheet in enumerate(sheets):
        page = text(document[number])
        assert f"Jeu n° {sheet.set_id}, part {number + 1} sur 3 : 2 parts" in page
        assert all(f"{place}. {word}" in page for place, word in enumerate(sheet.words, 1))
        other = sheets[number - 1]
        assert sum(f"{place}. {word}" in page for place, word in enumerate(other.words, 1)) < 10


@pytest.mark.parametrize("share", [False, True])
def test_the_code_holds_the_words(share: bool) -> None:
    """What is drawn is what segno makes of the words: every module is looked at in the picture of the page."""
    sheet = divided()[0] if share else whole("fr")
    picture = pdf([sheet], "fr")[0].render(scale=4).to_pil().convert("L")
    right = picture.crop((picture.width // 2, 0, picture.width, picture.height // 2))
    width, height = right.size
    grey = right.tobytes()
    dark = [[shade < 128 for shade in grey[y * width : (y + 1) * width]] for y in range(height)]
    matrix = [list(row) for row in segno.make_qr(" ".join(sheet.words), error="m").matrix_iter(border=0)]
    # The heading's rule is above the code: the code begins at the first row of its finder pattern.
    top, left, step = find(dark, len(matrix))
    for y, line in enumerate(matrix):
        for x, module in enumerate(line):
            assert dark[int(top + (y + 0.5) * step)][int(left + (x + 0.5) * step)] == bool(module), (x, y)


def find(dark: list[list[bool]], modules: int) -> tuple[int, int, float]:
    """(top, left, pixels a module) of the largest square of ink on the upper right."""
    rows = [y for y, row in enumerate(dark) if any(row[-800:])]
    rule = next(y for y in rows if sum(dark[y]) > len(dark[y]) * 0.8)
    ink = [y for y in rows if y > rule + 12]
    columns = [x for x in range(len(dark[0])) if any(row[x] for row in dark[ink[0] : ink[0] + 8])]
    top = ink[0]
    left, right = min(columns), max(columns)
    return top, left, (right - left + 1) / modules


def test_the_text_gives_the_kit_again() -> None:
    assert RecoveryKit.read(as_text([whole("fr")], language="fr", made=DAY)) == KIT
    sheets = divided()
    assert RecoveryKit.read(as_text(sheets, language="en", made=DAY)) == KIT
    assert RecoveryKit.read(*(as_text([sheet], language="fr", made=DAY) for sheet in sheets[1:])) == KIT


def test_the_same_sheet_is_the_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for target in (first, second):
        as_pdf(target, [whole("fr")], language="fr", made=DAY)
    assert first.getvalue() == second.getvalue()


def test_words_are_not_in_a_repr() -> None:
    assert KIT.words("fr")[3] not in repr(whole("fr"))
