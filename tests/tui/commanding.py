"""Running `elpis` in tests: inside this process (fast) or as a process of its own (real)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSPHRASE
from tui import cli

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """What one command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Elpis:
    """`elpis` on one vault, in this process."""

    def __init__(self, vault: Path, passphrase: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.vault = vault
        self.passphrase = passphrase
        self._capsys = capsys

    def __call__(self, *words: str | Path, code: int | None = 0) -> Answer:
        self._capsys.readouterr()
        options = ["--vault", str(self.vault), "--passphrase-file", str(self.passphrase)]
        got = cli.main([*options, *map(str, words)])
        out, err = self._capsys.readouterr()
        assert code is None or got == code, f"{words}: {got}\n{out}\n{err}"
        return Answer(got, out, err)


def environment(**more: str) -> dict[str, str]:
    own = ("ELPIS_", "LC_", "LANG", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **more}


def process(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m tui.cli` as a process without a terminal."""
    environ = environment(**options.pop("environ", {}))
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *map(str, words)],
        capture_output=True, text=True, check=False, env=environ, stdin=subprocess.DEVNULL, timeout=120, **options,
    )  # fmt: skip


@contextmanager
def relay(folder: Path) -> Iterator[str]:
    """A relay as a process of its own; its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "relay", "serve", "--db", str(folder / "relay.db"), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(),
    ) as serving:  # fmt: skip
        try:
            assert serving.stdout is not None
            yield serving.stdout.readline().strip()
        finally:
            serving.terminate()


def passphrase_file(folder: Path) -> Path:
    path = folder / "passphrase"
    path.write_text(PASSPHRASE + "\n", encoding="utf-8")
    return path
