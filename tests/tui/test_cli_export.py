"""`elpis export`: the whole record, whole or not at all, and never over another file."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from tests.tui.commanding import Elpis
from tests.tui.conftest import ElpisFactory as Factory


@pytest.fixture
def filled(elpis: Elpis, tmp_path: Path) -> Elpis:
    letter = tmp_path / "letter.txt"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    elpis("add", "--file", letter)
    elpis("add", "--kind", "medications", "--label", "PREVISCAN 20 mg", "--status", "active")
    return elpis


@pytest.mark.parametrize(("what", "begins"), [
    ("archive", b"PK"), ("xdm", b"PK"), ("ips", b"{"), ("summary", b"%PDF"), ("preop", b"%PDF"),
])  # fmt: skip
def test_every_form_is_a_private_new_file(filled: Elpis, tmp_path: Path, what: str, begins: bytes) -> None:
    out = tmp_path / "out"
    answer = filled("export", what, "--out", out, "--language", "en")
    assert "not encrypted" in answer.err
    assert out.read_bytes().startswith(begins) and stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    filled("export", what, "--out", out, code=1)
    assert out.read_bytes() == before
    filled("export", what, code=2)


def test_an_archive_comes_back_into_another_vault(filled: Elpis, elpis_of: Factory, tmp_path: Path) -> None:
    told = filled("export", "archive", "--out", tmp_path / "all.zip", "--json").json
    assert (told["documents"], told["files"], told["damaged"]) == (2, 1, [])
    again = filled("import", tmp_path / "all.zip", "--json").json
    assert again["documents"] == [] and len(again["duplicates"]) == 2
    assert json.loads(zipfile.ZipFile(tmp_path / "all.zip").read("ips.json"))["resourceType"] == "Bundle"


def test_a_damaged_attachment_ends_with_14_and_is_named(filled: Elpis, tmp_path: Path) -> None:
    (file,) = (filled.vault / "attachments").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    answer = filled("export", "archive", "--out", tmp_path / "all.zip", code=14)
    assert "letter.txt" in answer.err
