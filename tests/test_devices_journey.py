"""One patient, several devices: taken in, apart, lost, put back from a backup, lied to by the relay, closed.

Every device is a process of its own with a folder of its own, as in life; a relay process passes sealed bytes between
them over HTTP. Calling a device runs one `elpis` command there and gives its JSON answer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "tui.cli"]
ENVIRONMENT = {**os.environ, "ELPIS_LANG": "en", "PYTHONWARNINGS": "ignore"}
NOT_VERIFIED = 14


class Device:
    """One of the patient's devices."""

    def __init__(self, folder: Path, name: str) -> None:
        self.vault, self.name, self.kit = folder / name, name, folder / f"{name}.kit"
        self._passphrase = folder / f"{name}.passphrase"
        self._passphrase.write_text(f"une phrase assez longue pour {name}\n", encoding="utf-8")

    def __call__(self, *words: str | Path, code: int = 0) -> Any:
        ended = elpis(*self._options(), *words)
        assert ended.returncode == code, f"{self.name} {words} ended with {ended.returncode}: {ended.stderr}"
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def start(self, *words: str) -> Steps:
        return Steps([*COMMAND, *self._options(), *words])

    def _options(self) -> list[str]:
        return ["--vault", str(self.vault), "--passphrase-file", str(self._passphrase), "--yes", "--json"]

    def passphrase_of(self, other: Device) -> None:
        self._passphrase = other._passphrase

    def happened(self) -> list[tuple[str, str]]:
        """One exchange: what it brought."""
        return [(event["kind"], event["person"]) for event in self("sync")["events"]]

    def knows(self, word: str) -> bool:
        return bool(self("search", word))


class Steps:
    """A command that goes on for a while: a line of JSON for each step."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env=ENVIRONMENT,
        )  # fmt: skip

    def step(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        out, err = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, out + err


def elpis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False)


@contextmanager
def relaying(database: Path, port: int = 0) -> Iterator[str]:
    """A relay in a process of its own; its URL."""
    command = [*COMMAND, "relay", "serve", "--db", str(database), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def take_in(old: Device, new: Device) -> None:
    """The old device shows a code, the new one a number, the old one is told the number."""
    showing = old.start("device", "add", "--wait", "60")
    joining = new.start("device", "join", showing.step()["code"], "--name", new.name, "--wait", "60")
    assert showing.step() == {"waiting": True}
    showing.end()
    assert old("device", "add", "--confirm", joining.step()["number"]) == {"added": new.name}
    assert joining.step()["name"] == "Martin Jeanne"
    joining.end()


def take_in_by_secret(old: Device, new: Device) -> None:
    """A code that only the new device sees, as a QR code would be: nothing is compared."""
    showing = old.start("device", "add", "--secret", "--wait", "60")
    joining = new.start("device", "join", showing.step()["code"], "--name", new.name, "--wait", "60")
    assert showing.step() == {"added": new.name}
    assert joining.step()["name"] == "Martin Jeanne"
    showing.end()
    joining.end()


def exchange(*devices: Device) -> None:
    """Everybody, until each has what each has told."""
    for _ in range(2):
        for device in devices:
            device("sync")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[str]:
    with relaying(tmp_path / "relay.db") as url:
        yield url


@pytest.fixture
def laptop(tmp_path: Path, relay: str) -> Device:
    """The first device, with a treatment, on the relay."""
    made = Device(tmp_path, "laptop")
    made("init", "--name", "Martin Jeanne", "--recovery-out", made.kit)
    made("sync", "--relay", relay)
    made("add", "--kind", "medications", "--label", "BISOPROLOL")
    return made


def test_three_devices_apart_and_one_of_them_lost(tmp_path: Path, laptop: Device) -> None:
    phone, tablet = Device(tmp_path, "phone"), Device(tmp_path, "tablet")
    take_in(laptop, phone)
    take_in_by_secret(phone, tablet)
    assert [item["label"] for item in tablet("meds")] == ["BISOPROLOL"]
    assert ("device-added", "tablet") in laptop.happened()

    # Each writes while it is away from the others, all three into a section that none had before.
    letter = tmp_path / "letter.txt"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    phone("add", "--file", letter, "--title", "Lettre")
    for device in (laptop, phone, tablet):
        for label in ("pollen", "latex"):
            device("add", "--kind", "allergies", "--label", f"{label} {device.name}")
    exchange(laptop, phone, tablet)
    laptop("add", "--kind", "allergies", "--label", "iode")
    exchange(laptop, phone, tablet)
    everything = contents(laptop)
    assert contents(phone) == contents(tablet) == everything
    assert len(everything) == 3 and all(device.knows("iode") and device.knows("pollen") for device in (phone, tablet))

    # The laptop is renamed, and the name reaches the others.
    laptop("device", "name", laptop("device", "list")[0]["id"][:8], "portable")
    exchange(laptop, phone)
    assert [item["name"] for item in phone("device", "list")] == ["portable", "phone", "tablet"]


def test_a_lost_device_is_removed_and_what_it_does_meanwhile_counts_for_nothing(tmp_path: Path) -> None:
    laptop, phone, tablet = (Device(tmp_path, name) for name in ("laptop", "phone", "tablet"))
    with relaying(tmp_path / "relay.db") as url:
        laptop("init", "--name", "Martin Jeanne", "--recovery-out", laptop.kit)
        laptop("sync", "--relay", url)
        take_in(laptop, phone)
        take_in(laptop, tablet)
        exchange(laptop, phone, tablet)

    # No relay for a while. The tablet was stolen: it goes while whoever has it removes the phone and writes.
    assert not laptop("device", "remove", "tablet")["sent"]
    assert not tablet("device", "remove", "phone")["sent"]
    tablet("add", "--kind", "allergies", "--label", "du voleur")
    phone("add", "--kind", "conditions", "--label", "écrit sans réseau")

    with relaying(tmp_path / "relay.db", port_of(url)):
        tablet("sync")  # the thief is first
        assert ("removed-here", "phone") in phone.happened()
        for _ in range(2):
            laptop("sync")
        assert ("retired", "") not in phone.happened()
        exchange(laptop, phone, tablet)
        assert [item["name"] for item in phone("device", "list")][1:] == ["phone"]
        assert laptop.knows("sans réseau") and not laptop.knows("voleur") and not phone.knows("voleur")

        # From now on the tablet gets nothing, and asks for nothing but the log that it was in.
        laptop("add", "--kind", "allergies", "--label", "secret")
        exchange(laptop, phone, tablet)
        assert phone.knows("secret") and not tablet.knows("secret")
        assert tablet.happened() == [("retired", "")]
        tablet("device", "remove", "phone", code=1)


def test_a_backup_that_is_put_back_goes_on_as_another_device(tmp_path: Path, laptop: Device) -> None:
    phone = Device(tmp_path, "phone")
    take_in(laptop, phone)
    exchange(laptop, phone)
    phone("backup", "make", tmp_path / "backup")
    phone("add", "--kind", "allergies", "--label", "après la copie")
    exchange(phone, laptop)
    before = {item["name"]: item["id"] for item in phone("device", "list")}

    # The phone falls into the water; its backup goes on. It reads what it missed before it tells anything.
    again = Device(tmp_path, "again")
    again.passphrase_of(phone)
    again("backup", "restore", tmp_path / "backup")
    again("add", "--kind", "allergies", "--label", "sur la copie")
    exchange(again, laptop)
    assert again.knows("après la copie") and laptop.knows("sur la copie")
    listed = {item["id"]: item for item in laptop("device", "list")}
    (new,) = (item for item in listed.values() if item["restored_from"])
    assert new["restored_from"] == before["phone"] and len(listed) == 3
    assert contents(again) == contents(laptop)


def test_a_used_recovery_kit_changes_every_key_and_every_device_is_told(tmp_path: Path, laptop: Device) -> None:
    phone = Device(tmp_path, "phone")
    take_in(laptop, phone)
    exchange(laptop, phone)
    cards = [bytes_of(laptop, tmp_path / "before")]
    devices = {item["id"] for item in phone("device", "list")}

    fresh = tmp_path / "fresh.txt"
    laptop("recovery", "use", "--kit", laptop.kit, "--recovery-out", fresh)
    told = phone.happened() + phone.happened()
    assert ("recovery-used", "") in told
    exchange(laptop, phone)
    phone("add", "--kind", "allergies", "--label", "après le kit")
    exchange(phone, laptop)
    assert laptop.knows("après le kit") and contents(laptop) == contents(phone)
    cards.append(bytes_of(laptop, tmp_path / "after"))
    assert cards[0] != cards[1]
    after = {item["id"] for item in phone("device", "list")}
    assert after == {item["id"] for item in laptop("device", "list")} and len(after - devices) == 1
    laptop("recovery", "test", "--kit", laptop.kit, code=12)
    laptop("recovery", "test", "--kit", fresh)


def test_a_relay_that_shows_two_histories_is_proven_to_by_its_own_signatures(tmp_path: Path) -> None:
    laptop, phone = Device(tmp_path, "laptop"), Device(tmp_path, "phone")
    honest, other = tmp_path / "relay.db", tmp_path / "other.db"
    with relaying(honest) as url:
        laptop("init", "--name", "Martin Jeanne", "--recovery-out", laptop.kit)
        laptop("sync", "--relay", url)
        take_in(laptop, phone)
        exchange(laptop, phone)
    copy_of(honest, other)

    # One history for the laptop, another one, signed with the same key, for the phone.
    with relaying(honest, port_of(url)):
        laptop("add", "--kind", "allergies", "--label", "pour le portable")
        laptop("sync")
    with relaying(other, port_of(url)):
        phone("add", "--kind", "conditions", "--label", "pour le téléphone")
        phone("sync")
        kinds = {event["kind"] for event in laptop("sync")["events"]}
    assert "relay-contradiction" in kinds

    # Anybody checks the proof, without a vault; a proof that somebody touched is none.
    written = laptop("verify", "--save-evidence", tmp_path / "proofs")["written"]
    assert written
    checked = elpis("verify", "--evidence", written[0], "--json")
    assert checked.returncode == 0 and json.loads(checked.stdout)["proven"] is True
    damaged = bytearray(Path(written[0]).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    assert elpis("verify", "--evidence", tmp_path / "damaged").returncode in (1, NOT_VERIFIED)


def test_closing_on_one_device_is_told_to_the_others_and_each_shreds_its_own(tmp_path: Path, laptop: Device) -> None:
    phone = Device(tmp_path, "phone")
    letter = tmp_path / "letter.txt"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    laptop("add", "--file", letter)
    take_in(laptop, phone)
    exchange(laptop, phone)

    ended = laptop("close", "--no-export", "--certificate", tmp_path / "laptop.json")
    assert {item["why"] for item in ended["left_at_relays"]} == {"other-devices"}
    assert "blob" in {item["what"] for item in ended["destroyed_at_relays"]}
    laptop("list", code=10)
    assert ("vault-closed", "") in phone.happened()
    assert phone.happened() == [("retired", "")]
    assert len(phone("list")) == 2

    assert phone("close", "--no-export", "--certificate", tmp_path / "phone.json")["left_at_relays"] == []
    phone("list", code=10)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def copy_of(database: Path, to: Path) -> None:
    """All of a relay that does not run: its books, its secrets and its files."""
    for item in database.parent.glob(database.name + "*"):
        target = to.parent / item.name.replace(database.name, to.name)
        shutil.copytree(item, target) if item.is_dir() else shutil.copy(item, target)


def bytes_of(device: Device, path: Path) -> bytes:
    """Its card."""
    device("card", "--out", path)
    return path.read_bytes()


def contents(device: Device) -> dict[str, Any]:
    """Every document as the device shows it."""
    return {item["id"]: device("show", item["id"]) for item in device("list")}
