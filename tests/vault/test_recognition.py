"""Letters of scans: read by tesseract where it is, said where it is not, and never longer than it may take."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from tests.programs import need
from vault import Vault, recognition
from vault.document import Attachment, Document, Read
from vault.errors import InputRefused
from vault.importers import pdf, read_file
from vault.intake import import_files
from vault.recognition import RECOGNIZED, Recognizer

FIXTURES = Path(__file__).parent.parent / "fixtures"
SCAN = FIXTURES / "scan_own/lettre_liaison_scan150.jpg"


def jpeg_pdf(picture: bytes, *, text: bool = False) -> bytes:
    """A scan as scanners make it: one picture on a page, and a page with text before it when asked."""
    width, height = 1241, 1754
    draw = b"q 595 0 0 842 0 0 cm /I Do Q"
    words = b"BT /F 12 Tf 50 700 Td (Page with text) Tj ET"
    kids = b"[5 0 R 3 0 R]" if text else b"[3 0 R]"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids %s/Count %d>>" % (kids, 1 + text),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>/Contents 6 0 R>>",
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/DCTDecode"
        b"/Length %d>>stream\n%s\nendstream" % (width, height, len(picture), picture),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F<</Type/Font/Subtype/Type1"
        b"/BaseFont/Helvetica>>>>>>/Contents 7 0 R>>",
        *(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream) for stream in (draw, words)),
    ]
    packed, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(packed))
        packed += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return packed + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, table, len(objects) + 1, len(packed),
    )  # fmt: skip


def fake(folder: Path, script: str) -> str:
    """A program that stands in for tesseract."""
    path = folder / "tesseract"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --list-langs ]; then echo fra; echo eng; exit 0; fi\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def picture_read() -> Read:
    return read_file(SCAN.read_bytes(), SCAN.name)[0]


def test_a_scan_is_found_by_its_words(vault: Vault) -> None:
    need("tesseract")
    report = import_files(vault, [SCAN])
    assert [warning.partition(": ")[2] for warning in report.warnings] == [
        RECOGNIZED, "names nobody: taken for the holder's",
    ]  # fmt: skip
    assert {hit.summary.id for hit in vault.search("bisoprolol")} == {report.documents[0].id}
    assert "ramipril" in vault.read(report.documents[0].id).text.lower()


def test_pages_without_text_are_drawn_and_read(vault: Vault, tmp_path: Path) -> None:
    need("tesseract")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "scan.pdf").write_bytes(jpeg_pdf(SCAN.read_bytes()))
    (folder / "mixed.pdf").write_bytes(jpeg_pdf(SCAN.read_bytes(), text=True))
    report = import_files(vault, [folder])
    assert not report.skipped
    assert len(vault.search("bisoprolol")) == 2
    mixed = vault.search("page with text")
    assert len(mixed) == 1 and "bisoprolol" in vault.read(mixed[0].summary.id).text.lower()


def test_without_tesseract_it_is_said_and_nothing_is_lost(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    report = import_files(vault, [SCAN])
    assert len(report.documents) == 1
    assert report.warnings[-1] == "tesseract is not installed: 1 scan(s) or picture(s) came in without text for search"


def test_it_can_be_left_out(vault: Vault) -> None:
    report = import_files(vault, [SCAN], recognize=False)
    assert report.documents[0].text == ""
    assert any("its text is not searchable" in warning for warning in report.warnings)


def test_what_takes_too_long_or_too_much_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "SECONDS", 1)
    assert Recognizer(fake(tmp_path, "sleep 60; echo late")).text_of(b"x") == ""
    monkeypatch.setattr(recognition, "SECONDS", 20)
    assert Recognizer(fake(tmp_path, "cat >/dev/null; echo 'péage'")).text_of(b"x") == "péage"
    assert Recognizer(fake(tmp_path, "echo half; exit 1")).text_of(b"x") == ""
    monkeypatch.setattr(recognition, "MEMORY", 8 << 20)
    hungry = "cat >/dev/null; exec python3 -c 'print(len(bytes(900_000_000)))'"
    assert Recognizer(fake(tmp_path, hungry)).text_of(b"x") == ""


def test_a_program_that_knows_no_language_reads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tesseract"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    assert Recognizer(str(path)).languages == ""


def test_pictures_beyond_reason_are_not_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    recognizer = Recognizer(fake(tmp_path, "true"))
    monkeypatch.setattr(recognizer, "text_of", lambda picture: asked.append(picture) or "")
    monkeypatch.setattr(recognition, "MAX_PIXELS", 1000)
    recognizer.improve(picture_read(), pdf.render)
    assert not asked


def test_a_document_that_has_text_keeps_it_alone(tmp_path: Path) -> None:
    recognizer = Recognizer(fake(tmp_path, "cat >/dev/null; echo read"))
    data = SCAN.read_bytes()
    attachment = Attachment("a" * 64, "image/jpeg", len(data), "x.jpg")
    written = Read(Document(text="already", attachments=(attachment,)), None, {"a" * 64: data})
    assert recognizer.improve(written, pdf.render) is written


def test_a_page_that_claims_to_be_a_field_is_drawn_small() -> None:
    huge = jpeg_pdf(SCAN.read_bytes()).replace(b"[0 0 595 842]", b"[0 0 14000 14000]")
    drawn = pdf.render(huge, 0)
    width, height = map(int, drawn.split(b" ", 3)[1:3])
    assert width * height <= pdf.MAX_PIXELS * 1.01 and len(drawn) > width * height
    with pytest.raises(InputRefused):
        pdf.render(huge, 5)
