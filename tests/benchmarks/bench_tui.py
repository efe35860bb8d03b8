"""First paint of the screens against a bare Textual application, both in a terminal of their own, at 100 000 documents.

The clock starts when the process has its vault open (the door: when it starts) and stops when the words are on the
terminal. The bare application is one label; both import the same Textual.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row
from vault import Document, Vault, primitives

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "sept lampes vertes au matin"
ROUNDS = 7
LIMIT = 1.3
PATIENCE = 30.0

BARE = """
import os, sys
os.write(1, b"start")
from textual.app import App
from textual.widgets import Label
class Bare(App):
    def compose(self):
        yield Label("painted")
Bare().run()
"""
DOOR = """
import os, sys
os.write(1, b"start")
from pathlib import Path
from tui.app import run
run(Path(sys.argv[1]), "en")
"""
TIMELINE = """
import os, sys
from pathlib import Path
from vault import Vault, primitives
key = bytes.fromhex(sys.argv[2])
primitives.derive_passphrase_key = lambda *args, **options: key
vault = Vault.unlock(Path(sys.argv[1]), "already derived")
os.write(1, b"start")
from tui.app import ElpisApp
ElpisApp._show_door = lambda self: self.enter(vault)
ElpisApp(Path(sys.argv[1])).run()
"""


def main(quick: bool) -> Iterable[Row]:
    count = 1_000 if quick else 100_000
    rounds = 3 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vault"
        key = _fill(path, count)
        bare, door, timeline = [], [], []
        for _ in range(rounds):
            bare.append(_first_paint(BARE, b"painted"))
            door.append(_first_paint(DOOR, b"locked", str(path)))
            timeline.append(_first_paint(TIMELINE, b"Letter number", str(path), key.hex()))
    detail = f"bare {median(bare) * 1e3:.0f} ms; median of the ratios of {rounds} rounds"
    yield Row("screens: first paint of the door", _ratio(door, bare), LIMIT, detail=detail)
    yield Row(f"screens: first paint of the record, {count} documents", _ratio(timeline, bare), LIMIT, detail=detail)


def _ratio(ours: list[float], bare: list[float]) -> float:
    """Of rounds that ran one after the other: what else the machine did falls on both sides alike."""
    return median(mine / theirs for mine, theirs in zip(ours, bare, strict=True))


def _fill(path: Path, count: int) -> bytes:
    """A vault of `count` documents; the key that its passphrase gives, so that no round pays for the derivation."""
    keys: list[bytes] = []
    real = primitives.derive_passphrase_key
    primitives.derive_passphrase_key = lambda *args, **options: keys.append(real(*args, **options)) or keys[-1]  # type: ignore[func-returns-value]
    try:
        vault, _ = Vault.create(path, name="Exemple Anne", passphrase=PASSPHRASE, language="en")
    finally:
        primitives.derive_passphrase_key = real
    with vault:
        vault.add_many(
            (Document(title=f"Letter number {number}", date=f"{1990 + number % 36}-05-17", author="Dr Exemple"), {})
            for number in range(count)
        )
    return keys[-1]


def _first_paint(script: str, words: bytes, *arguments: str) -> float:
    """Seconds from "start" to `words` on a terminal of 80x24."""
    parent, child = pty.openpty()
    os.set_blocking(parent, False)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=child, stdout=child, stderr=child, env=environ,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(child)
        try:
            begun = _wait(parent, b"start")
            return _wait(parent, words) - begun
        finally:
            process.kill()
            os.close(parent)


def _wait(terminal: int, words: bytes) -> float:
    """When `words` have come."""
    seen, end = b"", time.perf_counter() + PATIENCE
    while words not in seen:
        if time.perf_counter() > end:
            raise TimeoutError(f"{words!r} never came: {seen[-500:]!r}")
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                seen += os.read(terminal, 65_536)
            except OSError as error:  # the process has ended
                raise RuntimeError(f"{words!r} never came: {seen[-500:]!r}") from error
    return time.perf_counter()
