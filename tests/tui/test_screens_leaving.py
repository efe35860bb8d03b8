"""Copies in other programs' hands, the mouse, colours, and every way in which a terminal ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import stat
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import PASSPHRASE
from tests.tui.commanding import environment
from tests.tui.driving import inside, run
from tui.handoff import Handoff
from tui.language import set_language
from tui.widgets.bars import KeyLine, TopLine
from tui.widgets.rows import VirtualList
from vault import Document, Vault


@pytest.fixture(autouse=True)
def english(vault: Vault) -> None:
    set_language("en")
    vault.set_meta("language", "en")
    vault.language = "en"


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that opens files by writing down which; the file that it writes."""
    told, folder = tmp_path / "told", tmp_path / "bin"
    folder.mkdir()
    program = folder / ("open" if sys.platform == "darwin" else "xdg-open")
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {told}.new; mv {told}.new {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return told


def with_attachment(vault: Vault) -> None:
    document = vault.add(Document(title="Letter"))
    vault.attach(document, b"the original", name="../x; rm -rf.txt", media_type="text/plain")


@pytest.mark.parametrize("end", ["lock", "leave"])
def test_a_copy_for_another_program_is_private_and_wiped(vault: Vault, viewer: Path, end: str) -> None:
    with_attachment(vault)
    copies: list[Path] = []

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Letter")
            await screens.press("enter")
            await screens.see("Attachments")
            await screens.press("end", "enter")
            await screens.see("Open with another program")
            await screens.press("enter")
            await screens.until(viewer.exists)
            copies.append(Path(viewer.read_text()))
            assert copies[0].read_bytes() == b"the original"
            assert stat.S_IMODE(copies[0].stat().st_mode) == 0o600
            assert stat.S_IMODE(copies[0].parent.stat().st_mode) == 0o700
            assert re.fullmatch(r"[0-9a-f]{16}\.txt", copies[0].name)
            if end == "lock":
                await screens.press("ctrl+l")
                await screens.see("The vault is locked")
                assert not copies[0].parent.exists()

    run(story)
    assert not copies[0].exists() and not copies[0].parent.exists()


def test_a_copy_is_overwritten_before_it_goes(tmp_path: Path) -> None:
    handoff = Handoff([str(tmp_path)])
    path = handoff.copy([b"the ", b"original"], "text/plain")
    kept = tmp_path / "second name"
    os.link(path, kept)
    handoff.wipe()
    assert kept.read_bytes() == bytes(12) and not path.exists()
    handoff.wipe()


def test_everything_can_be_clicked(vault: Vault) -> None:
    vault.add(Document(title="First letter", date="2026-01-02"))
    vault.add(Document(title="Second letter", date="2026-01-01"))

    async def story() -> None:
        async with inside(vault) as screens:
            text = await screens.see("First letter", "Second letter")
            line = next(n for n, line in enumerate(text.splitlines()) if "Second letter" in line)
            rows = screens.app.screen.query_one("#documents", VirtualList)
            offset = (10, line - rows.region.y)
            await screens.pilot.click(rows, offset=offset)
            await screens.pilot.pause()
            assert rows.pointer == 1
            await screens.pilot.pause(0.6)  # so that it is no double click
            await screens.pilot.click(rows, offset=offset)
            await screens.see("Second letter", "Back")
            keys = screens.app.screen.query_one(KeyLine)
            await screens.pilot.click(keys, offset=(2, 0))
            await screens.see("First letter", "Search")
            await screens.pilot.click(screens.app.screen.query_one(TopLine))
            await screens.see("Nothing happened yet")
            keys = screens.app.screen.query_one(KeyLine)
            await screens.pilot.click(keys, offset=(screens.text().splitlines()[-1].index("Help"), 0))
            await screens.see("Who could look, who did")

    run(story)


class Terminal:
    """The screens in a terminal of 80x24, without any program between."""

    def __init__(self, vault: Path, **environ: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            given = environment(ELPIS_VAULT=str(vault), TERM="xterm-256color", COLORTERM="truecolor", **environ)
            os.execvpe(sys.executable, [sys.executable, "-m", "tui.cli", "--language", "en"], given)
        self.said = b""

    def see(self, words: bytes, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < end, self.said[-2000:]
            self._read(0.2)

    def _read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                self.said += os.read(self.master, 65536)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def ended(self, seconds: float = 20) -> int:
        """The exit code; negative when a signal ended it."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError("it did not end")
            if self.master >= 0:
                self._read(0.05)
            else:
                time.sleep(0.05)


def unlocked(vault: Path, **environ: str) -> Terminal:
    terminal = Terminal(vault, **environ)
    terminal.see(b"is locked")
    terminal.type(PASSPHRASE + "\r")
    terminal.see(b"Letter")
    return terminal


@pytest.mark.parametrize("way", ["SIGTERM", "SIGHUP", "hang up"])
def test_a_terminal_that_ends_closes_the_vault_and_wipes_the_copies(vault: Vault, viewer: Path, way: str) -> None:
    with_attachment(vault)
    vault.lock()
    terminal = unlocked(vault.path, PATH=os.environ["PATH"])
    terminal.type("\r")
    terminal.see(b"Attachments")
    terminal.type("\x1b[F")
    terminal.type("\r")
    terminal.see(b"another program")
    terminal.type("\r")
    end = time.monotonic() + 20
    while not viewer.exists():
        assert time.monotonic() < end
        terminal._read(0.05)
    copy = Path(viewer.read_text())
    assert copy.exists()
    if way == "hang up":
        terminal.hang_up()
        terminal.ended()
    else:
        os.kill(terminal.pid, getattr(signal, way))
        assert terminal.ended() == 0
        assert b"\x1b[?1049l" in terminal.said  # the screen that was there before is back
    assert not copy.exists()
    Vault.unlock(vault.path, PASSPHRASE, wait=0).lock()


def test_without_colours_everything_is_still_said(vault: Vault) -> None:
    vault.add(Document(title="Letter"))
    vault.lock()
    terminal = unlocked(vault.path, NO_COLOR="1")
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.ended()
    colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", terminal.said)
    assert all(len(set(colour)) == 1 for colour in colours)  # greys alone
    assert not re.search(rb"\x1b\[(?:\d+;)*(?:3[1-6]|4[1-6]|9[1-6])m", terminal.said)
    assert "▶ ".encode() in terminal.said  # the pointer is a sign


def test_with_colours_there_are_some(vault: Vault) -> None:
    vault.add(Document(title="Letter"))
    vault.lock()
    terminal = unlocked(vault.path)
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.ended()
    assert any(len(set(colour)) > 1 for colour in re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", terminal.said))
