"""A fault of the program says where it was and shows no value; what makes Textual write somewhere is taken out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sept lampes vertes au matin"

PLANTED = f"""
import os, sys, threading
os.environ["TEXTUAL"] = "debug,devtools"
from pathlib import Path
from tui import app
from tui.screens.unlock import Unlock

def on_mount(self):
    passphrase = {SECRET!r}
    raise ValueError("the passphrase " + passphrase + " is wrong")

def in_thread(self):
    def fail():
        passphrase = {SECRET!r}
        raise KeyError(passphrase)
    threading.Thread(target=fail).start()

async def in_worker(self):
    passphrase = {SECRET!r}
    raise RuntimeError(passphrase)

where = sys.argv[1]
if where == "mount":
    Unlock.on_mount = on_mount
elif where == "thread":
    Unlock.on_mount = in_thread
else:
    Unlock.on_mount = lambda self: self.run_worker(in_worker(self))
sys.argv = ["elpis"]
real = app.ElpisApp.run
app.ElpisApp.run = lambda self: real(self, headless=True)
folder = Path(os.environ["VAULT"])
(folder / "keyslots").write_bytes(b"")
sys.exit(app.run(folder, "en"))
"""


@pytest.mark.parametrize("where", ["mount", "thread", "worker"])
def test_a_crash_prints_no_local_variable_and_exits_with_an_error(tmp_path: Path, where: str) -> None:
    environ = {**os.environ, "VAULT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, where], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Elpis stopped: a fault in the program." in said
    assert {"mount": "ValueError", "thread": "KeyError", "worker": "RuntimeError"}[where] in said
    assert SECRET not in said and "lampes" not in said
    assert "passphrase" not in said and "textual run" not in said


def test_nothing_is_written_because_of_a_variable(tmp_path: Path) -> None:
    script = (
        "import os, sys; import tui.app; from textual import constants as c; "
        "print(c.SCREENSHOT_DELAY, c.LOG_FILE, c.DRIVER, c.DEBUG, c.PRESS or '', "
        "sorted(n for n in os.environ if n.startswith('TEXTUAL')))"
    )
    planted = {
        "TEXTUAL": "devtools", "TEXTUAL_LOG": str(tmp_path / "log"), "TEXTUAL_SCREENSHOT": "1", "TEXTUAL_PRESS": "q",
        "TEXTUAL_DRIVER": "planted:Driver", "TEXTUAL_DEBUG": "1", "TEXTUAL_DEVTOOLS_HOST": "203.0.113.1",
        "TEXTUAL_SCREENSHOT_LOCATION": str(tmp_path),
    }  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")} | planted
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["-1", "None", "None", "False", "[]"]
    assert not list(tmp_path.iterdir())
