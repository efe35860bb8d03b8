"""The first run, key by key: nothing is skipped, nothing is believed, and the vault that it leaves opens again."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Key

from tests.tui.driving import Screens, run, running
from tui.app import ElpisApp
from tui.language import set_language
from tui.screens.first_run import AskKit, ShowKit, same_word
from vault import Vault

PHRASE = "quatre lampes bleues au soir"


async def up_to_phrase(screens: Screens) -> None:
    await screens.see("Choose your language")
    await screens.press("enter")
    await screens.see("Whose vault is it?")
    await screens.press("enter")
    await screens.type("name", "Bernard Lucie")
    await screens.type("birth", "21/03/1958")
    await screens.press("enter")
    await screens.see("Here are six words")
    await screens.press("enter")


async def through_kit(screens: Screens) -> list[str]:
    await screens.until(lambda: isinstance(screens.app.screen, ShowKit))
    shown = screens.app.screen
    assert isinstance(shown, ShowKit)
    words = list(shown._words)
    text = await screens.see("24 words", words[0], words[23], "Fingerprint")
    assert all(word in text for word in words)
    await screens.press("enter")
    await screens.until(lambda: isinstance(screens.app.screen, AskKit))
    return words


def places(screens: Screens) -> list[int]:
    asked = screens.app.screen
    assert isinstance(asked, AskKit)
    return asked._places


def test_the_first_run_makes_a_vault_that_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "vault"

    async def story() -> None:
        async with running(ElpisApp(path)) as screens:
            await up_to_phrase(screens)
            await screens.type("first", PHRASE)
            await screens.type("second", PHRASE)
            await screens.press("enter")
            words = await through_kit(screens)
            for place in places(screens):
                await screens.type(f"word{place}", words[place])
            await screens.press("f2")
            await screens.see("Your vault is ready")
            await screens.press("escape")
            await screens.see("Elpis · Bernard Lucie", "no access open", "Nothing here yet")
            assert screens.app.vault is not None

    run(story)
    with Vault.unlock(path, PHRASE) as vault:
        assert (vault.holder_name, vault.holder_birth, vault.role, vault.language) == (
            "Bernard Lucie", "1958-03-21", "", "en",
        )  # fmt: skip


def test_two_different_phrases_make_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vault"

    async def story() -> None:
        async with running(ElpisApp(path)) as screens:
            await up_to_phrase(screens)
            await screens.type("first", PHRASE)
            await screens.type("second", PHRASE + "s")
            await screens.press("enter")
            await screens.see("The two are not the same")
            await screens.type("first", "court")
            await screens.press("f2")
            await screens.see("at least 8 characters")
            assert not path.exists()

    run(story)


def test_a_kit_that_was_not_written_down_is_noticed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(ElpisApp(tmp_path / "vault")) as screens:
            await up_to_phrase(screens)
            await screens.type("first", PHRASE)
            await screens.type("second", PHRASE)
            await screens.press("enter")
            words = await through_kit(screens)
            asked = places(screens)
            for place in asked:
                await screens.type(f"word{place}", words[place])
            await screens.type(f"word{asked[1]}", "perdu")
            await screens.press("f2")
            await screens.see(f"Not the right word: number {asked[1] + 1}.")
            await screens.press("escape")
            await screens.until(lambda: isinstance(screens.app.screen, ShowKit))

    run(story)


def test_the_kit_goes_onto_a_sheet_to_print(tmp_path: Path) -> None:
    sheet = tmp_path / "kit.pdf"

    async def story() -> None:
        async with running(ElpisApp(tmp_path / "vault")) as screens:
            await up_to_phrase(screens)
            await screens.type("first", PHRASE)
            await screens.type("second", PHRASE)
            await screens.press("enter")
            await screens.until(lambda: isinstance(screens.app.screen, ShowKit))
            await screens.press("f3")
            await screens.see("A sheet to print", "QR code")
            await screens.type("path", str(sheet))
            await screens.press("enter")
            await screens.see("Move it away from this computer.")

    run(story)
    assert sheet.read_bytes().startswith(b"%PDF-") and sheet.stat().st_mode & 0o077 == 0


def test_a_birth_date_that_is_none_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(ElpisApp(tmp_path / "vault")) as screens:
            await screens.press("enter")
            await screens.press("enter")
            await screens.type("name", "Bernard Lucie")
            await screens.type("birth", "31/02/1958")
            await screens.press("enter")
            await screens.see("day/month/year, for example")

    run(story)


@pytest.mark.parametrize("onward", ["enter", "tab"])
def test_what_is_typed_fast_does_not_land_in_the_field_before(tmp_path: Path, onward: str) -> None:
    async def story() -> None:
        async with running(ElpisApp(tmp_path / "vault")) as screens:
            await screens.press("enter")
            await screens.press("enter")
            await screens.see("Who are you?")
            for key in (*"Lucie", onward, *"21", "slash", *"03", "slash", *"1958", "enter"):
                screens.app.post_message(Key(key, key if len(key) == 1 else "/" if key == "slash" else None))
            await screens.see("Here are six words")

    run(story)


def test_accents_and_capitals_of_the_kit_do_not_matter() -> None:
    assert same_word("Ecole ", "école") is False  # spaces are taken off where it is typed
    assert same_word("ECOLE", "école")
    assert not same_word("ecolier", "école")


@pytest.fixture(autouse=True)
def english() -> None:
    set_language("en")
