"""Every fixture, counted a second time without the importers (tests/second_reading.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.second_reading import count, differences, main
from vault.errors import InputRefused

FIXTURES = Path(__file__).parent.parent / "fixtures"
FILES = sorted(
    path for path in FIXTURES.rglob("*") if path.is_file() and count(path.read_bytes(), path.name) is not None
)


def test_most_fixtures_are_counted() -> None:
    assert len(FILES) >= 44
    assert sum(sum((count(path.read_bytes(), path.name) or {}).values()) for path in FILES) > 700


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_both_readings_agree(path: Path) -> None:
    try:
        assert differences(path.read_bytes(), path.name) == {}
    except InputRefused:
        assert path.name == "DICOMDIR"


def test_a_difference_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second reading counts an allergy that the importer cannot tell from this code alone."""
    data = (FIXTURES / "cda_fr_own/N3_VSM.xml").read_bytes()
    changed = data.replace(b"1.3.6.1.4.1.19376.1.5.3.1.4.6", b"1.2.3").replace(b"1.2.250.1.213.1.1.3.41", b"1.2.3")
    assert changed != data
    (tmp_path / "a.xml").write_bytes(changed)
    (tmp_path / "b.xml").write_bytes(data)
    assert main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "a.xml: allergy 1 here, 0 read" in told and "2 files compared" in told and "1 files differ" in told
