"""The table of a folder: each format and outcome, as the specification shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault.document import Document, Entry, Read
from vault.errors import InputRefused
from vault.listing import list_files
from vault.outcome import Found, Survey, outcome_of
from vault.survey import survey

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_specification_is_what_the_command_makes() -> None:
    outcomes, found = survey([ROOT / "tests/fixtures"], recognize=False)
    assert found.table() in (ROOT / "spec/import.md").read_text()
    assert len(outcomes) == sum(row["files"] for row in found.rows.values())


@pytest.mark.parametrize(
    ("document", "warnings", "how", "left"),
    [
        (Document(text="x"), (), "whole", False),
        (
            Document(entries=(Entry("0" * 32, "note", {}),)),
            ("kept in the original file only: 2 x Claim",),
            "whole",
            True,
        ),
        (Document(text="x"), ("repaired: text was not UTF-8, read as Windows-1252",), "repaired", False),
        (Document(text="x"), ("an embedded file is cut short; what is there was kept",), "repaired", False),
        (Document(), ("a picture: its text is not searchable",), "raw", False),
    ],
)
def test_what_a_reader_says_decides(document: Document, warnings: tuple[str, ...], how: str, left: bool) -> None:
    found = Found(Path("x"), "cda", (Read(document, None, {}, warnings, format="cda"),))
    assert (outcome_of(found).how, outcome_of(found).left) == (how, left)


def test_what_was_refused_is_named_with_its_reason() -> None:
    refused = outcome_of(Found(Path("/a/x.bin"), "other", refused=InputRefused("the format is not known")))
    assert (refused.how, refused.why) == ("refused", "the format is not known")
    assert Survey.of([refused]).refused == [refused]


def test_files_are_listed_by_name_without_litter_and_links(tmp_path: Path) -> None:
    for name in ("b/2.pdf", "b/1.pdf", "a.xml", ".hidden/x", "__MACOSX/y", "Thumbs.db", "disc/DICOMDIR", "disc/I1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c.lnk").symlink_to(tmp_path / "a.xml")
    files, over = list_files([tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in files] == ["a.xml", "b/1.pdf", "b/2.pdf", "disc/I1"]
    assert not over
    assert list_files([tmp_path / "disc/DICOMDIR"])[0] == [tmp_path / "disc/I1"]
    assert list_files([tmp_path / "missing"])[0] == [tmp_path / "missing"]
