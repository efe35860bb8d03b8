"""An establishment by commands alone: a roster, a folder, a listener, and kill -9 in the middle of it all."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.establishment import LEA, Somebody, oru
from tests.killing import share
from tests.tui.commanding import Elpis, environment, relay
from tests.tui.conftest import ElpisFactory

KILLS = max(3, share("feeding"))
A_ROUND = max(1, 90 // KILLS)  # two documents each: a vault files 200 a day of one sender by itself


@dataclass(frozen=True)
class World:
    patient: Elpis
    laboratory: Elpis
    folder: Path
    roster: Path
    url: str

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.write_bytes(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`elpis feed` as a process of its own."""
        command = [sys.executable, "-m", "tui.cli", "--vault", str(self.laboratory.vault), "--passphrase-file"]
        return subprocess.Popen(
            [*command, str(self.laboratory.passphrase), "--language", "en", "feed", "--to", str(self.roster), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip

    def values(self) -> list[str]:
        self.patient("sync")
        waiting = self.patient("inbox", "--json").json["deposits"]
        assert not waiting
        return sorted(
            entry["value"]
            for line in self.patient("list", "--json").json
            for entry in self.patient("show", line["id"], "--json").json["content"]
        )


@pytest.fixture
def world(elpis_of: ElpisFactory, tmp_path: Path) -> Iterator[World]:
    patient, laboratory = elpis_of(""), elpis_of("doctor")
    folder, card = tmp_path / "out", tmp_path / "card"
    folder.mkdir()
    with relay(tmp_path) as url:
        for who in (patient, laboratory):
            who("sync", "--relay", url)
        laboratory("card", "--out", card)
        patient("professional", "add", card)
        patient("card", "--out", tmp_path / "lea.card")
        words = ("roster", "add", tmp_path / "roster", tmp_path / "lea.card", "--patient", LEA.ins)
        assert laboratory(*words, "--dry-run", "--json").json["name"] == "Martin Léa"
        assert not (tmp_path / "roster").exists()
        added = laboratory(*words, "--birth", LEA.birth, "--json").json
        assert added["identifiers"] == [{"system": "ins", "number": LEA.ins}]
        yield World(patient, laboratory, folder, tmp_path / "roster", url)


def test_a_folder_once_and_what_was_rejected(world: World, tmp_path: Path) -> None:
    world.write("a.hl7", oru(LEA, "1", "5.4"))
    world.write("b.hl7", oru(Somebody("Roux", "Zoé", "1990-01-01", "290017512345678"), "2"))
    journal = tmp_path / "journal"
    feed = ("feed", world.folder, "--to", world.roster, "--once")
    done = world.laboratory(*feed, "--journal", journal, "--json").json
    assert done == {"taken": 1, "repeated": 0, "rejected": 1, "documents": 1, "moved": 0, "queued": 0}
    assert [json.loads(line)["why"] for line in journal.read_text().splitlines()] == ["", "nobody"]
    assert journal.stat().st_mode & 0o077 == 0
    shown = world.laboratory("feed", "--json").json
    assert {key: shown[key] for key in ("sent", "rejected")} == {"sent": 1, "rejected": 1}
    assert shown["list"][0]["source"].endswith("b.hl7") and shown["list"][0]["why"] == "nobody"
    assert "nobody in the roster has this number" in world.laboratory("feed", "--language", "en").out
    assert world.laboratory(*feed, "--json").json["documents"] == 0
    assert world.values() == ["5.4"]
    assert [line["name"] for line in world.laboratory("roster", "list", world.roster, "--json").json] == ["Martin Léa"]
    world.laboratory("roster", "remove", world.roster, "--patient", LEA.ins)
    assert world.laboratory("roster", "list", world.roster, "--json").json == []


@pytest.mark.parametrize(
    "words",
    [
        ("feed", "{folder}"),
        ("feed", "{folder}/nothing", "--to", "{roster}"),
        ("feed", "--to", "{roster}", "--mllp", "2575", "--once"),
        ("feed", "--to", "{roster}", "--mllp", "x:y"),
        ("feed", "{folder}", "--to", "{roster}", "--move-to", "{folder}"),
        ("roster", "add", "{roster}", "{folder}", "--patient", "1", "--birth", "yesterday"),
    ],
)
def test_wrong_words(world: World, words: tuple[str, ...]) -> None:
    world.laboratory(*(word.format(folder=world.folder, roster=world.roster) for word in words), code=2)


def test_a_roster_of_another_vault(world: World) -> None:
    world.patient("feed", world.folder, "--to", world.roster, "--once", code=14)


def talk(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(b"\x0b" + message + b"\x1c\x0d")
        data = b""
        while not data.endswith(b"\x1c\x0d"):
            piece = peer.recv(65536)
            if not piece:
                break
            data += piece
        return data


def test_kill_9_at_random_moments(world: World) -> None:
    """Whatever was acknowledged or lay in the folder is in the patient's vault once, however often the feeder died."""
    chooser = random.Random(KILLS)
    expected: set[str] = set()
    acknowledged: set[str] = set()
    number = 0
    for round_ in range(KILLS):
        process = world.start(str(world.folder), "--mllp", "0")
        assert process.stderr is not None
        port = 0
        for line in process.stderr:
            if "127.0.0.1:" in line:
                port = int(line.rpartition(":")[2].rstrip(".\n"))
            if line.startswith("Feeding"):
                break
        end = time.monotonic() + chooser.uniform(0.05, 1.2)
        while time.monotonic() < end and number < A_ROUND * (round_ + 1):
            number += 1
            expected.add(f"{number}.1")
            world.write(f"{number}.hl7", oru(LEA, f"F{number}", f"{number}.1"))
            message = oru(LEA, f"M{number}", f"{number}.2")
            if b"|AA|" in talk(port, message):
                acknowledged.add(f"{number}.2")
            if chooser.random() < 0.3:
                talk(port, message)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = world.start("--again", str(world.folder), "--once")
    assert process.wait(60) == 0
    process.communicate()
    values = world.values()
    assert len(values) == len(set(values)), "nothing twice"
    assert set(values) >= expected | acknowledged, "nothing lost"
    assert acknowledged and set(values) <= expected | {f"{index}.2" for index in range(1, number + 1)}


def test_a_feeder_ends_when_it_is_told(world: World) -> None:
    process = world.start(str(world.folder), "--mllp", "0")
    assert process.stderr is not None
    assert "Listening on 127.0.0.1:" in process.stderr.readline()
    process.terminate()
    assert process.wait(20) == 0
    process.communicate()
