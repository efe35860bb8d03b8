"""Taking files in on the screen: looked at first, stopped when asked, told, and taken back."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.tui.driving import Screens, inside, run
from tui.language import set_language
from tui.screens.files import expand
from vault import Vault, intake

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(autouse=True)
def english(vault: Vault) -> None:
    set_language("en")
    vault.language = "en"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    shutil.copytree(FIXTURES / "pdf_own", made)
    (made / "junk.bin").write_bytes(bytes(range(250)) * 9)
    return made


async def chosen(screens: Screens, folder: Path) -> None:
    await screens.press("i")
    await screens.see("Which file, or which folder?")
    await screens.type("path", f"{folder}/")
    await screens.press("f2")


def test_looked_at_added_and_taken_back(vault: Vault, folder: Path) -> None:
    async def story() -> None:
        async with inside(vault) as screens:
            await chosen(screens, folder)
            await screens.see("2 documents to add", "+ CR biologie", "Not read: junk.bin")
            assert vault.count() == 0
            await screens.press("enter")
            await screens.see("2 documents added", "Take it back")
            assert vault.count() == 2
            await screens.press("z")
            await screens.see("2 documents were taken back.")
            assert vault.count() == 0

    run(story)


def test_left_after_a_look_nothing_is_kept(vault: Vault, folder: Path) -> None:
    async def story() -> None:
        async with inside(vault) as screens:
            await chosen(screens, folder)
            await screens.see("2 documents to add")
            await screens.press("escape")
            await screens.until(lambda: "documents to add" not in screens.text())
            assert vault.count() == 0

    run(story)


def test_what_may_be_somebody_elses_is_added_only_when_said(vault: Vault, tmp_path: Path) -> None:
    made = tmp_path / "files"
    made.mkdir()
    shutil.copy(FIXTURES / "cda_fr_own/N3_VAC.xml", made)

    async def story() -> None:
        async with inside(vault) as screens:
            await chosen(screens, made)
            await screens.see("0 documents to add", "about somebody else", "Also what may be")
            await screens.press("a")
            await screens.see("1 document added")
            assert vault.count() == 1

    run(story)


def test_it_is_stopped_between_two_files(vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Esc while the files are filed: what is in stays, the rest is counted."""
    real, going, on = intake.import_files, threading.Event(), threading.Event()

    def slow(*args: object, **options: object) -> object:
        tell = options["progress"]

        def told(*step: object) -> None:
            tell(*step)  # type: ignore[operator]
            if not options["dry_run"]:
                going.set()
                on.wait(10)

        return real(*args, **{**options, "progress": told})  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "import_files", slow)
    monkeypatch.setattr("vault.ahead.MOST", 1)

    async def story() -> None:
        async with inside(vault) as screens:
            await chosen(screens, folder)
            await screens.see("2 documents to add")
            await screens.press("enter")
            await screens.until(going.is_set)
            await screens.press("escape")
            await screens.see("It stops after this file")
            on.set()
            await screens.see("1 document added", "not come to")
            assert vault.count() == 1

    run(story)


def test_a_whole_path_replaces_the_folder_shown() -> None:
    """Whoever pastes a path into the field need not empty it first."""
    home = Path.home()
    assert expand("/srv/letters//media/card.elpis") == Path("/media/card.elpis")
    assert expand("/srv/somebody/~/letters") == home / "letters"
    assert expand(" ~/letters ") == home / "letters"
    assert expand("/srv/letters/") == Path("/srv/letters")
