"""The command line with a person at a terminal: passphrase without echo, the kit asked back, a name to type."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PASSPHRASE
from tests.tui.commanding import Elpis, environment, process
from vault import Vault

# The child makes the terminal its own, so that a passphrase is asked for on it and nowhere else.
CHILD = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tui.cli import main
sys.exit(main())
"""


class Terminal:
    """`elpis` on a terminal of its own. `until` waits for a prompt, `type` answers it."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *words],
            stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm"), start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.screen = ""
        self._read = 0

    def until(self, prompt: str, seconds: float = 30) -> str:
        """What came on the screen since the last prompt, up to this one."""
        end = time.monotonic() + seconds
        while prompt not in self.screen[self._read :]:
            assert time.monotonic() < end, f"no {prompt!r} in {self.screen!r}"
            assert self._more(), f"ended before {prompt!r}: {self.screen!r}"
        start, self._read = self._read, self.screen.index(prompt, self._read) + len(prompt)
        return self.screen[start : self._read]

    def type(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\n")

    def ends(self) -> int:
        while self._more():
            pass
        return self._process.wait(30)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def _more(self) -> bool:
        if not select.select([self._master], [], [], 0.5)[0]:
            return self._process.poll() is None
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # the other side is closed
            return False
        self.screen += data.decode()
        return bool(data)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_a_vault_is_made_by_hand(tmp_path: Path, terminals: list[Terminal]) -> None:
    path = tmp_path / "vault"
    terminal = Terminal("init", "--name", "Durand Zoé", "--vault", str(path), "--language", "en")
    terminals.append(terminal)
    for first, second in (("one phrase here", "another phrase"), (PASSPHRASE, PASSPHRASE)):
        terminal.until("New passphrase: ")
        terminal.type(first)
        terminal.until("The same again: ")
        terminal.type(second)
    sheet = terminal.until("Three of them are asked back.")
    words = " ".join(line for line in sheet.splitlines()[1:-1] if line and not line.startswith("#")).split()
    words = words[:24]
    assert len(words) == 24
    wrong = 0
    for _asked in range(3):
        place = int(re.findall(r"Word (\d+)", terminal.until(" of the kit: "))[-1])
        if not wrong:
            terminal.type("nonsense")
            terminal.until("another word")
            terminal.until(" of the kit: ")
            wrong = 1
        terminal.type(words[place - 1])
    assert terminal.ends() == 0
    assert PASSPHRASE not in terminal.screen and "one phrase here" not in terminal.screen
    with Vault.recover(path, " ".join(words), "a phrase quite new") as vault:
        assert vault.holder_name == "Durand Zoé"


def test_what_destroys_asks_for_a_name(elpis: Elpis, terminals: list[Terminal]) -> None:
    added = elpis("add", "--kind", "allergies", "--label", "Latex", "--json").json
    for typed, code in (("Latix", 2), ("latex", 0)):
        terminal = Terminal(
            "amend", added["document"], added["entry"], "--remove", "--vault", str(elpis.vault), "--language", "en"
        )
        terminals.append(terminal)
        terminal.until("Passphrase: ")
        terminal.type(PASSPHRASE)
        terminal.until("Type 'Latex' to go on: ")
        terminal.type(typed)
        assert terminal.ends() == code
        assert PASSPHRASE not in terminal.screen
    assert json.loads(elpis("export", added["document"]).out)["content"] == []


def test_json_on_a_terminal_moves_nothing(elpis: Elpis, terminals: list[Terminal]) -> None:
    elpis("add", "--kind", "allergies", "--label", "Latex\x9b2J\u202exetal")
    terminal = Terminal("meds", "--json", "--vault", str(elpis.vault), "--passphrase-file", str(elpis.passphrase))
    terminals.append(terminal)
    assert terminal.ends() == 0
    terminal = Terminal("export", elpis("list", "--json").json[0]["id"], "--vault", str(elpis.vault))
    terminals.append(terminal)
    terminal.until(": ")
    terminal.type(PASSPHRASE)
    assert terminal.ends() == 0
    assert "\x9b" not in terminal.screen and "\u202e" not in terminal.screen and "Latex" in terminal.screen


def test_the_screens_want_a_terminal() -> None:
    for words in ((), ("open",)):
        done = process(*words, "--vault", "/nonexistent")
        assert done.returncode == 2 and "terminal" in done.stderr
