"""Export and backup on the screen: who may read it, where to, how far, what was written; stopped, nothing is left."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import pytest

from tests.tui.driving import Screens, inside, run
from tui import exports
from tui.app import ElpisApp
from tui.language import set_language
from tui.screens.handing import STOPPED_FOLDER, STOPPED_ZIP, _exports, _openers
from vault import Document, Vault, backup
from vault.document import Attachment
from vault.record import sha256_of


@pytest.fixture
def english(vault: Vault) -> None:
    set_language("en")
    vault.language = "en"


@pytest.fixture
def filled(vault: Vault) -> Vault:
    for name in ("one", "two"):
        data = name.encode() * 50
        item = Attachment(sha256_of(data), "text/plain", len(data), f"{name}.txt")
        vault.add(Document(title=name, attachments=(item,)), {item.sha256: data})
    vault.add_entry(vault.section("medications"), "medication", {"label": "Apixaban 5 mg"})
    return vault


async def chosen(screens: Screens, key: str, title: str, *moves: str) -> None:
    await screens.press(key)
    await screens.see(title)
    await screens.press(*moves, "enter")


@pytest.mark.parametrize(("downs", "what"), [(0, "archive"), (1, "xdm"), (2, "ips"), (3, "summary"), (4, "preop")])
def test_every_export_is_written(english: None, filled: Vault, tmp_path: Path, downs: int, what: str) -> None:
    target = tmp_path / "out"

    async def story() -> None:
        async with inside(filled) as screens:
            await chosen(screens, "x", "What do you want to export?", *["down"] * downs)
            await screens.see("Where should it go?", f"elpis-{what}-", "not protected by the vault")
            await screens.type("path", str(target))
            await screens.press("enter")
            text = await screens.see("The export is written", "It is not encrypted")
            assert ("Not checked by a professional." in text) == (what in ("summary", "preop"))
            assert ("3 documents, 2 files" in text) == (what in ("archive", "xdm"))

    run(story)
    begin = {"archive": b"PK", "xdm": b"PK", "ips": b"{", "summary": b"%PDF", "preop": b"%PDF"}[what]
    assert target.read_bytes().startswith(begin) and target.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("language", "titles", "keys"),
    [
        ("en", ("What do you want to export?", "Who should be able to open the backup?"), ("Export", "Back up")),
        ("fr", ("Que voulez-vous exporter ?", "Qui doit pouvoir ouvrir la sauvegarde ?"), ("Exporter", "Sauvegarder")),
    ],
)
def test_what_each_holds_and_for_whom_it_is_fits_the_screen(
    filled: Vault, language: str, titles: tuple[str, str], keys: tuple[str, str]
) -> None:
    """Every word of every choice, at 80x24."""
    set_language(language)
    filled.language = language

    async def story() -> None:
        async with inside(filled) as screens:
            for key, title, options in zip("xb", titles, (_exports(), _openers()), strict=True):
                await screens.press(key)
                await screens.until(lambda title=title: _plain(title) in _plain(screens.text()))  # type: ignore[misc]
                for option in options:
                    await screens.until(lambda note=option.note: _plain(note) in _plain(screens.text()))  # type: ignore[misc]
                    assert _plain(option.label) in _plain(screens.text())
                    await screens.press("down")
                await screens.press("escape")
            await screens.press("f1")
            await screens.see(*keys)

    run(story)


def _plain(text: str) -> str:
    """Words alone: no frame, and every blank the same."""
    return " ".join(word for word in text.split() if word not in "│╭╮╰╯▶")


@pytest.mark.parametrize("kit_only", [False, True])
def test_a_backup_is_made_and_opens(english: None, filled: Vault, tmp_path: Path, kit_only: bool) -> None:
    place = tmp_path / "kept"
    place.mkdir()

    async def story() -> None:
        async with inside(filled) as screens:
            for told in ("2 files were copied", "0 files were copied, 2 were there already"):
                await chosen(screens, "b", "Who should be able to open", *["down"] * kit_only)
                await screens.see("Where should it go?", "ends in .zip")
                await screens.type("path", str(place))
                await screens.press("enter")
                await screens.see("The backup is made", "3 documents, 2 files", told)
                await screens.press("escape")

    run(story)
    kinds = {slot.kind for slot in backup.Keyslots.read(place / "keyslots").slots}
    assert kinds == ({"kit"} if kit_only else {"passphrase", "kit"})


@pytest.mark.parametrize("place", ["kept", "kept.zip"])
def test_a_backup_that_is_stopped_is_none(
    english: None, filled: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    real = backup.hash_seal

    def slow(path: Path) -> str:
        reached.set()
        go_on.wait(10)
        return real(path)

    monkeypatch.setattr(backup, "hash_seal", slow)
    told: list[str] = []
    monkeypatch.setattr(ElpisApp, "tell", lambda self, error: told.append(str(error)))

    async def story() -> None:
        async with inside(filled) as screens:
            await chosen(screens, "b", "Who should be able to open")
            await screens.see("Where should it go?")
            await screens.type("path", str(tmp_path / place))
            await screens.press("enter")
            await screens.see("Making the backup", "0 of 2")
            await screens.until(reached.is_set)
            await screens.press("escape")
            await screens.see("there is no new copy then")
            go_on.set()
            await screens.until(lambda: "Making the backup" not in screens.text())
            await screens.until(lambda: told != [])

    run(story)
    assert told == [STOPPED_ZIP if place.endswith(".zip") else STOPPED_FOLDER]
    assert not list(tmp_path.glob("kept/manifests/*")) and not list(tmp_path.glob("kept/keyslots"))
    assert not list(tmp_path.glob("kept.zip*"))


def test_an_export_that_is_stopped_leaves_no_file(
    english: None, filled: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real = Vault.attachment

    def slow(self: Vault, *arguments: str) -> object:
        go_on.wait(10)
        return real(self, *arguments)

    monkeypatch.setattr(Vault, "attachment", slow)

    async def story() -> None:
        async with inside(filled) as screens:
            await chosen(screens, "x", "What do you want to export?")
            await screens.see("Where should it go?")
            await screens.type("path", str(tmp_path / "all.zip"))
            await screens.press("enter")
            await screens.see("Writing the export")
            await screens.press("escape")
            await screens.see("nothing of it stays")
            go_on.set()
            await screens.until(lambda: "Writing the export" not in screens.text())

    run(story)
    assert not (tmp_path / "all.zip").exists()


def test_progress_counts_documents(filled: Vault, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    exports.to_file(filled, "archive", tmp_path / "a.zip", progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert zipfile.ZipFile(tmp_path / "a.zip").testzip() is None
