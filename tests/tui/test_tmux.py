"""The screens in a real terminal: the wizard, a grant and its revocation, key by key in tmux, at 80x24."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.conftest import PASSPHRASE, VaultFactory
from tests.programs import need
from tests.tui.test_screens_sharing import met, relay  # noqa: F401 - fixtures
from vault import Vault
from vault.people import Person

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


class Terminal:
    """One tmux server of its own, with one window of 80x24."""

    def __init__(self, folder: Path, vault: Path) -> None:
        self._tmux = [need("tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "ELPIS_VAULT": str(vault), "LANG": "C.UTF-8", "NO_COLOR": "1"}
        command = f"{sys.executable} -m tui.cli --language en open; echo ended with $?; sleep 60"
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", "80", "-y", "24", command], env=environ, cwd=ROOT, check=True
        )

    def keys(self, *keys: str) -> None:
        for key in keys:
            subprocess.run([*self._tmux, "send-keys", key], check=True)

    def type(self, text: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)

    def text(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True)
        return done.stdout

    def see(self, *words: str) -> str:
        end = time.monotonic() + PATIENCE
        while not all(word in (text := self.text()) for word in words):
            assert time.monotonic() < end, f"waited in vain for {words} on:\n{text}"
            time.sleep(0.05)
        return text

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_the_wizard_in_a_terminal(tmp_path: Path, terminals: list[Terminal]) -> None:
    path = tmp_path / "vault"
    terminal = Terminal(tmp_path, path)
    terminals.append(terminal)
    terminal.see("Choose your language")
    terminal.keys("Enter")
    terminal.see("Whose vault is it?")
    terminal.keys("Enter")
    terminal.see("Who are you?")
    terminal.type("Bernard Lucie")
    terminal.keys("Enter")
    terminal.type("21/03/1958")
    terminal.keys("Enter")
    terminal.see("Here are six words")
    terminal.keys("Enter")
    terminal.see("Type your passphrase twice")
    terminal.type(PASSPHRASE)
    terminal.keys("Enter")
    terminal.type(PASSPHRASE)
    terminal.keys("Enter")
    kit = dict(re.findall(r"(?<!\d)(\d{1,2}) ([a-z]+)", terminal.see("These 24 words", "24 ")))
    assert len(kit) == 24
    terminal.keys("Enter")
    for number in re.findall(r"Word number (\d+)", terminal.see("Three words of your kit")):
        terminal.type(kit[number])
        terminal.keys("Enter")
    terminal.see("Your vault is ready")
    terminal.keys("Escape")
    terminal.see("Elpis · Bernard Lucie", "Nothing here yet")
    terminal.keys("C-q")
    terminal.see("ended with 0")
    with Vault.unlock(path, PASSPHRASE) as vault:
        assert vault.holder_name == "Bernard Lucie"


def test_grant_and_revoke_in_a_terminal(
    met: tuple[Vault, Vault, Person],  # noqa: F811
    tmp_path: Path,
    terminals: list[Terminal],
    vault_factory: VaultFactory,
) -> None:
    holder, doctor, person = met
    holder.set_meta("language", "en")
    holder.lock()
    terminal = Terminal(tmp_path, holder.path)
    terminals.append(terminal)
    terminal.see("The vault is locked")
    terminal.type(PASSPHRASE)
    terminal.keys("Enter")
    terminal.see("Letter that is not granted", "no access open")
    start = time.monotonic()
    terminal.keys("p")
    terminal.see("Who may look?", person.name)
    terminal.keys("Enter")
    terminal.see("My treatments")
    terminal.keys("Enter")
    terminal.see(f"{person.name} (doctor) may read")
    terminal.keys("Enter")
    terminal.see("1 access open (23 h 59 min)")
    assert time.monotonic() - start < 30
    with Exchange(doctor) as exchange:
        end = time.monotonic() + PATIENCE
        while not doctor.visiting.grants():
            assert time.monotonic() < end
            exchange.sync()
    terminal.keys("j")
    terminal.see("Open now", "granted")
    terminal.keys("r")
    terminal.see("Revoke this access?", "may have been copied")
    terminal.keys("y")
    terminal.see("revoked", "no access open")
    terminal.keys("C-l")
    assert person.name not in terminal.see("The vault is locked")
    terminal.keys("C-q")
    terminal.see("ended with 0")
    with Vault.unlock(holder.path, PASSPHRASE) as again:
        assert [grant.state for grant in again.sharing.grants()] == ["revoked"]
