"""The picture in the README: the record of an invented patient, drawn by the program itself.

`ELPIS_DRAW=1 pytest tests/tui/test_screens_picture.py` draws it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conftest import VaultFactory
from tests.tui.driving import inside, run
from tui.language import set_language
from tui.standing import Standing
from vault import Document

PICTURE = Path(__file__).resolve().parents[2] / ".github" / "screenshot.svg"
NOW = 1_795_276_800.0
RECORD = (
    ("Discharge letter, cardiology", "2026-11-12", "Central Hospital"),
    ("Echocardiography", "2026-11-10", "Dr Paul Example"),
    ("Blood count, potassium, creatinine", "2026-11-09", "Example Laboratory"),
    ("Consultation, cardiology", "2026-10-02", "Dr Paul Example"),
    ("Vaccination against influenza", "2026-10-01", "Example Pharmacy"),
    ("Chest X-ray", "2026-09-18", "Central Hospital"),
    ("Letter to the family doctor", "2026-09-18", "Dr Anne Invented"),
    ("Prescription", "2026-06-30", "Dr Anne Invented"),
    ("Glycated haemoglobin", "2026-06-24", "Example Laboratory"),
    ("Operation report, right knee", "2019-03-05", "Central Hospital"),
    ("Vaccination record", "1998", "Dr Anne Invented"),
)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the picture depends on the day or on the place."""
    set_language("en")
    monkeypatch.setattr(
        Standing, "words", lambda *_: ("Elpis · Sample Maria", "1 access open (1 d 23 h) · synchronised 14:02")
    )


def drawn(vault_factory: VaultFactory) -> str:
    vault = vault_factory(clock=lambda: NOW)
    vault.language = "en"
    section = vault.section("medications")
    vault.add_entry(section, "medication", {"label": "Apixaban 5 mg"})
    vault.documents.set_shared(section, True)
    vault.add_many((Document(title=title, date=date, author=author), {}) for title, date, author in RECORD)
    shots: list[str] = []

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Discharge letter", "↗ Medications", "1 access open")
            shots.append(screens.app.export_screenshot(title="elpis"))

    run(story)
    # A picture that fetches its letters from a host would tell that host who looks at it.
    return re.sub(r"@font-face \{.*?\}", "", shots[0], flags=re.DOTALL)


def test_the_picture_is_what_the_program_draws(vault_factory: VaultFactory, still: None) -> None:
    svg = drawn(vault_factory)
    if os.environ.get("ELPIS_DRAW") == "1":
        PICTURE.write_text(svg)
    assert _words(PICTURE.read_text()) == _words(svg)
    assert "url(http" not in svg and "src:" not in PICTURE.read_text()


def _words(svg: str) -> list[str]:
    return re.findall(r">([^<>\n]+)</text>", svg)
