"""The door: a wrong passphrase tells nothing, and every way of locking takes every screen away."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import PASSPHRASE, VaultFactory
from tests.tui.driving import inside, run, running
from tui.app import ElpisApp
from tui.language import set_language
from tui.messages import Changed
from tui.screens.timeline import Timeline
from tui.screens.unlock import Unlock
from vault import Document, Vault


@pytest.fixture(autouse=True)
def english() -> None:
    set_language("en")


@pytest.fixture
def closed(vault_factory: VaultFactory) -> Path:
    vault = vault_factory()
    vault.set_meta("language", "en")
    vault.add(Document(title="Letter of Doctor Example"))
    vault.lock()
    return vault.path


def test_the_right_passphrase_opens_and_a_wrong_one_says_one_sentence(closed: Path) -> None:
    async def story() -> None:
        async with running(ElpisApp(closed)) as screens:
            await screens.see("The vault is locked")
            await screens.type("passphrase", "something else entirely")
            await screens.press("enter")
            text = await screens.see("does not open with this passphrase")
            assert "something" not in text
            await screens.type("passphrase", PASSPHRASE)
            await screens.press("enter")
            text = await screens.see("Letter of Doctor Example")
            assert PASSPHRASE not in text

    run(story)


def test_the_recovery_kit_opens_it(made: dict[str, tuple[Path, object]], closed: Path) -> None:
    kit = made[""][1]

    async def story() -> None:
        async with running(ElpisApp(closed)) as screens:
            await screens.press("f3")
            await screens.type("kit", " ".join(kit.words("fr")))  # type: ignore[attr-defined]
            await screens.type("first", "une autre phrase secrete")
            await screens.type("second", "une autre phrase secrete")
            await screens.press("f2")
            await screens.see("Letter of Doctor Example")

    run(story)
    Vault.unlock(closed, "une autre phrase secrete").lock()


@pytest.mark.parametrize("way", ["l", "ctrl+l", "SIGUSR1", "idle"])
def test_locking_takes_every_screen_away_at_once(vault_factory: VaultFactory, way: str) -> None:
    vault = vault_factory()
    vault.set_meta("language", "en")
    vault.language = "en"
    vault.add(Document(title="Letter of Doctor Example"))

    async def story() -> None:
        options = {"auto_lock": 1.5, "warning": 1.4} if way == "idle" else {}
        async with inside(vault, **options) as screens:
            await screens.see("Letter of Doctor Example")
            screens.app.tell_text("Letter opened by somebody")
            await screens.see("opened by somebody")
            if way == "ctrl+l":
                await screens.press("enter", "a")  # a reader and a dialog are in front
            if way == "idle":
                await screens.see("press any key")
            elif way == "SIGUSR1":
                os.kill(os.getpid(), signal.SIGUSR1)
            else:
                await screens.press(way)
            await screens.until(lambda: isinstance(screens.app.screen, Unlock))
            await screens.see("The vault is locked")
            assert "Letter" not in screens.text()
            assert screens.app.vault is None
            assert not any(isinstance(screen, Timeline) for screen in screens.app.screen_stack)

    run(story)
    Vault.unlock(vault.path, PASSPHRASE).lock()


def test_a_key_puts_the_automatic_lock_off(vault: Vault) -> None:
    async def story() -> None:
        async with inside(vault, auto_lock=1.2, warning=1.0) as screens:
            for _ in range(5):
                await screens.pilot.pause(0.4)
                await screens.press("down")
            assert screens.app.vault is vault

    run(story)


def test_the_palette_is_translated_and_takes_no_picture(vault: Vault) -> None:
    vault.language = "fr"

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.press("ctrl+p")
            text = await screens.see("Commandes", "Chercher", "Donner accès")
            assert "screenshot" not in text.lower()
            await screens.type("words", "quitter")
            await screens.see("Quitter Elpis")
            await screens.press("escape", "f1")
            await screens.see("Voici votre dossier", "Donner accès")

    run(story)


def test_news_that_come_after_the_lock_are_no_fault(vault: Vault) -> None:
    async def story() -> None:
        async with inside(vault) as screens:
            timeline = screens.app.screen
            screens.app.vault = None
            timeline.post_message(Changed())
            await screens.pilot.pause(0.3)
            assert screens.app.return_code is None
            screens.app.vault = vault

    run(story)
