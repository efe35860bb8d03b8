"""Two devices of one patient through the command line, over a relay that is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tui.commanding import environment, passphrase_file, process, relay


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with relay(tmp_path) as address:
        yield address


class Device:
    """`elpis` as a process, on one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.vault = folder / name
        self._options = ["--json", "--yes", "--passphrase-file", str(passphrase_file(folder))]

    def __call__(self, *words: str | Path, code: int = 0) -> Any:
        done = process("--vault", self.vault, *self._options, *words)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "--vault", str(self.vault), *self._options, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment(),
        )  # fmt: skip


def step(running: subprocess.Popen[str]) -> dict[str, Any]:
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line, running.stderr.read() if running.stderr else ""
    answer: dict[str, Any] = json.loads(line)
    return answer


def end(running: subprocess.Popen[str]) -> None:
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err + out


def join(old: Device, new: Device, name: str) -> None:
    """The old device shows a code, the new one takes it, people compare the number."""
    showing = old.start("device", "add", "--wait", "60")
    joining = new.start("device", "join", step(showing)["code"], "--name", name, "--wait", "60")
    assert step(showing) == {"waiting": True}
    end(showing)
    number = step(joining)["number"]
    assert old("device", "add", "--confirm", number) == {"added": name}
    assert step(joining)["vault"] == str(new.vault)
    end(joining)


def test_two_devices_of_one_patient(tmp_path: Path, url: str) -> None:
    laptop, phone = Device(tmp_path, "laptop"), Device(tmp_path, "phone")
    laptop("init", "--name", "Martin Jeanne", "--recovery-out", str(tmp_path / "kit.txt"))
    laptop("sync", "--relay", url)
    laptop("add", "--kind", "medications", "--label", "BISOPROLOL 2,5 mg")
    join(laptop, phone, "téléphone")
    assert [item["name"] for item in laptop("device", "list")][1:] == ["téléphone"]
    assert laptop("doctor")["ok"] and phone("doctor")["ok"]  # the kit opens the first one's folder alone

    phone("add", "--kind", "allergies", "--label", "pénicilline")
    phone("sync")
    laptop("sync")
    titles = {item["title"] for item in laptop("list")}
    phone("sync")
    assert titles == {item["title"] for item in phone("list")} and len(titles) == 2
    assert [item["label"] for item in phone("meds")] == ["BISOPROLOL 2,5 mg"]

    removed = laptop("device", "remove", "téléphone")
    assert removed["name"] == "téléphone"
    laptop("sync")
    laptop("add", "--kind", "allergies", "--label", "iode")
    laptop("sync")
    phone("add", "--kind", "allergies", "--label", "du voleur")
    phone("sync")
    phone("sync")
    laptop("sync")
    assert not laptop("search", "voleur") and not phone("search", "iode")


def test_an_older_device_in_other_hands_is_removed_by_the_kit(tmp_path: Path, url: str) -> None:
    laptop, phone, kit = Device(tmp_path, "laptop"), Device(tmp_path, "phone"), tmp_path / "kit.txt"
    laptop("init", "--name", "Martin Jeanne", "--recovery-out", str(kit))
    laptop("sync", "--relay", url)
    join(laptop, phone, "téléphone")
    phone("sync")
    (older,) = [item["id"] for item in phone("device", "list") if item["name"] != "téléphone"]
    laptop("device", "remove", "téléphone")
    phone("device", "remove", older[:8], code=1)  # it was removed itself
    phone("device", "remove", older[:8], "--kit", kit)
    phone("add", "--kind", "allergies", "--label", "iode")
    phone("sync")
    laptop("sync")
    laptop("device", "remove", "téléphone", code=1)
    assert [item["name"] for item in phone("device", "list")] == ["téléphone"]
    assert phone("search", "iode") and not laptop("search", "iode")


def test_the_wrong_number_is_refused(tmp_path: Path, url: str) -> None:
    laptop, phone = Device(tmp_path, "laptop"), Device(tmp_path, "phone")
    laptop("init", "--name", "Martin Jeanne", "--recovery-out", str(tmp_path / "kit.txt"))
    laptop("sync", "--relay", url)
    showing = laptop.start("device", "add", "--wait", "60")
    joining = phone.start("device", "join", step(showing)["code"], "--wait", "60")
    end_of = step(showing)
    assert end_of == {"waiting": True}
    end(showing)
    number = step(joining)["number"]
    laptop("device", "add", "--confirm", f"{(int(number) + 1) % 1_000_000:06d}", code=14)
    out, err = joining.communicate(timeout=60)
    assert joining.returncode != 0 and not (phone.vault / "keyslots").exists(), out + err
    assert len(laptop("device", "list")) == 1
