"""The devices of one person on their screens: taking one in from the other's first run, and going on without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.conftest import VaultFactory
from tests.tui.commanding import relay as relaying
from tests.tui.driving import Screens, inside, run, running
from tui.app import ElpisApp
from tui.language import set_language
from tui.screens.devices import ShowCode
from vault import Document, Vault

PHRASE = "lune rivière tabac novembre"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[str]:
    with relaying(tmp_path) as url:
        yield url


@pytest.fixture
def laptop(vault_factory: VaultFactory, relay: str) -> Vault:
    """A holder's vault with a letter, which knows the relay."""
    vault = vault_factory()
    vault.set_meta("language", "en")
    vault.language = "en"
    vault.devices.set_name("Laptop")
    vault.add(Document(title="Letter of the laptop", date="2026-01-02"))
    with Exchange(vault) as exchange:
        exchange.set_relay(relay)
        exchange.sync()
    return vault


async def join(screens: Screens, code: str) -> None:
    """The first run on the new device, up to its number."""
    await screens.see("Choisissez votre langue")
    await screens.press("enter")
    await screens.see("I have a vault on another device")
    await screens.press("down", "enter")
    await screens.see("From another device")
    await screens.type("code", code)
    await screens.type("name", "Phone")
    await screens.press("f2")
    await screens.see("Type it")
    await screens.press("enter")
    await screens.type("first", PHRASE)
    await screens.type("second", PHRASE)
    await screens.press("f2")
    await screens.see("The number of this meeting")


def number_on(screens: Screens) -> str:
    """The six digits, as a person reads them from the screen."""
    line = next(line for line in screens.text().splitlines() if sum(mark.isdigit() for mark in line) == 6)
    return "".join(mark for mark in line if mark.isdigit())


def test_a_device_is_taken_in_from_its_first_run_and_removed_again(laptop: Vault, tmp_path: Path) -> None:
    phone = ElpisApp(tmp_path / "phone")

    async def story() -> None:
        async with inside(laptop) as old, running(phone) as new:
            await old.see("Letter of the laptop")
            await old.press("e")
            await old.see("Laptop", "this device")
            await old.press("n")
            await old.see("Waiting for the new device.", "elpis-device:")
            screen = old.app.screen
            assert isinstance(screen, ShowCode)
            await join(new, screen._code)
            await old.see("The new device shows six digits")
            await old.type("number", "12345")
            await old.press("f2")
            await old.see("Six digits are needed.")
            await old.type("number", number_on(new))
            await old.press("f2")
            await old.see("The device is in: Phone", "Phone")
            await new.press("y")
            await new.see("Letter of the laptop")
            await new.press("e")
            await new.see("Laptop", "Phone", "this device")

            await old.press("r")
            await old.see("This is the device that you are using")
            await old.press("down", "r")
            await old.see("Remove Phone?", "What this device has read it keeps")
            await old.press("y")
            await old.see("Removed: Phone")
            await old.until(lambda: "Phone" not in "\n".join(old.text().splitlines()[:8]))
            await new.press("s")
            await new.see("this device was removed", "This device was removed. What is here stays readable")

    run(story)


def test_a_wrong_number_hands_nothing_over(laptop: Vault, tmp_path: Path) -> None:
    phone = ElpisApp(tmp_path / "phone")

    async def story() -> None:
        async with inside(laptop) as old, running(phone) as new:
            await old.press("e")
            await old.see("Laptop")
            await old.press("n")
            await old.see("Waiting for the new device.")
            screen = old.app.screen
            assert isinstance(screen, ShowCode)
            await join(new, screen._code)
            await old.see("The new device shows six digits")
            await old.type("number", f"{(int(number_on(new)) + 1) % 1_000_000:06d}")
            await old.press("f2")
            await old.see("somebody may stand")
            await new.press("y")
            await new.see("did not take", "Choisissez votre langue")
            assert len(laptop.devices.all()) == 1 and not (tmp_path / "phone" / "keyslots").exists()

    run(story)


def test_in_french(laptop: Vault) -> None:
    laptop.language = "fr"

    async def story() -> None:
        async with inside(laptop) as screens:
            await screens.see("Letter of the laptop")
            await screens.press("e")
            await screens.see("cet appareil", "Ajouter un appareil")
            await screens.press("n")
            await screens.see("Un nouvel appareil", "En attente du nouvel appareil")
            await screens.press("escape")
            await screens.press("f1")
            await screens.see("Un appareil perdu ou donné")

    run(story)
    set_language("en")
