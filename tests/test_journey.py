"""The way of one document, from the patient's file to the professional's screen and back: a newcomer's first file.

Everybody here is a process of their own, as in life: each `person(...)` call runs the `elpis` command once, with that
person's vault, and a relay process passes sealed bytes between them over HTTP. Nothing is shared but what travels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parent.parent / "tui" / "demo" / "files"
ENDED, NOT_VERIFIED = 13, 14


class Person:
    """Somebody with a vault of their own. Calling them runs one `elpis` command and gives its JSON answer."""

    def __init__(self, folder: Path, name: str) -> None:
        self.vault = folder / name
        self.card = folder / f"{name}.card"
        self.passphrase = folder / f"{name}.passphrase"
        self.passphrase.write_text(f"une phrase assez longue pour {name}\n")

    def __call__(self, *words: str | Path, code: int = 0) -> Any:
        ended = elpis("--vault", self.vault, "--passphrase-file", self.passphrase, "--yes", "--json", *words)
        assert ended.returncode == code, f"{words} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        return json.loads(ended.stdout) if ended.stdout.strip() else None


def elpis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli", *map(str, words)]
    environment = {**os.environ, "ELPIS_LANG": "en", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[str]:
    """A relay in a process of its own; its URL."""
    command = [sys.executable, "-m", "tui.cli", "relay", "serve", "--db", str(tmp_path / "relay.db"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_journey(tmp_path: Path, relay: str) -> None:
    patient, physician, laboratory, insurer = (
        Person(tmp_path, name) for name in ("patient", "physician", "laboratory", "insurer")
    )

    # Everybody makes a vault, meets the relay, and has a contact card.
    born = ("--birth", "1984-04-12")
    patient("init", "--name", "EXEMPLE-VAULT Zélie", *born, "--recovery-out", tmp_path / "kit.txt")
    for person, role in ((physician, "doctor"), (laboratory, "laboratory"), (insurer, "insurer")):
        kit = tmp_path / f"{role}.kit"
        person("init", "--name", f"Invented {role}", "--professional", "--role", role, "--recovery-out", kit)
    for person in (patient, physician, laboratory, insurer):
        person("sync", "--relay", relay)
        person("card", "--out", person.card)

    # The patient imports two documents; importing twice adds nothing.
    imported = patient("import", FILES / "N3_VSM.xml", FILES / "N1_LDL-SES_pdf.xml")
    summary, letter = (document["id"] for document in imported["documents"])
    assert imported["documents"][0]["entries"]["medications"] == 2
    assert patient("import", FILES / "N3_VSM.xml")["documents"] == []
    medications = patient("meds")
    assert {item["source_document"] for item in medications} == {summary}

    # An offline authority certifies the physician and, in good faith, the insurer.
    authority = tmp_path / "authority"
    assert elpis("authority", "init", authority, "--name", "Invented order").returncode == 0
    for person, role in ((physician, "doctor"), (insurer, "insurer")):
        certificate = person.card.with_suffix(".cert")
        issued = ("--id", f"ID-{role}", "--role", role, "--days", "30", "--out", certificate)
        assert elpis("authority", "certify", authority, person.card, *issued).returncode == 0
        patient("professional", "add", person.card, "--cert", certificate, "--authority", authority)

    # The physician gets the discharge letter for a day; the insurer gets nothing, ever.
    to_read = ("--document", letter, "--right", "read", "--for", "24h", "--purpose", "Consultation")
    patient("grant", "--to", "Invented insurer", *to_read, code=NOT_VERIFIED)
    patient("grant", "--to", "Invented doctor", *to_read)
    assert [(grant["right"], grant["state"]) for grant in patient("grants")] == [("read", "active")]

    # The physician opens it. The patient sees it in the trace, proved by the physician's own signature.
    physician("inbox")
    opened = physician("show", letter)
    assert opened["title"] == "Lettre de liaison"
    patient("sync")
    states = [(line["state"], line["person"], line["verified"]) for line in patient("trace")]
    assert states == [("granted", "Invented doctor", True), ("opened", "Invented doctor", True)]

    # Both write into the patient's own list of treatments, unknown to each other: both survive.
    patient("add", "--kind", "medications", "--label", "RAMIPRIL 5 mg", "--dose", "1 le soir")
    section = next(item for item in patient("list") if item["kind"] == "medications")["id"]
    edit = ("--document", section, "--right", "edit", "--for", "1h", "--purpose", "Surgery")
    grant = patient("grant", "--to", "Invented doctor", *edit)
    patient("add", "--kind", "medications", "--label", "BISOPROLOL 2,5 mg")  # not sent yet
    treatment = tmp_path / "treatment.json"
    treatment.write_text(json.dumps([{"kind": "medication", "label": "APIXABAN 5 mg", "substance": "apixaban"}]))
    physician("contribute", section, treatment)
    patient("sync")
    labels = {entry["label"] for entry in patient("show", section)["content"]}
    assert labels == {"RAMIPRIL 5 mg", "BISOPROLOL 2,5 mg", "APIXABAN 5 mg"}
    assert patient("meds", "--preop")[0]["flags"][0] == "anticoagulant"

    # The laboratory lays down a result for the patient, who knows it by then. It cannot read anything back.
    patient("professional", "add", laboratory.card)
    laboratory("deposit", "--to", patient.card, FILES / "N3_CR-BIO.xml")
    patient("sync")
    assert any(document["entries"]["results"] == 4 for document in patient("list"))

    # Revoked: the next opening ends.
    patient("revoke", grant["id"])
    physician("show", section, code=ENDED)

    # And a grant of two seconds ends by itself.
    patient(
        "grant", "--to", "Invented doctor", "--document", summary, "--right", "read", "--for", "2s", "--purpose", "?"
    )
    time.sleep(2.2)
    physician("inbox")
    physician("show", summary, code=ENDED)
    patient("sync")
    assert [grant["state"] for grant in patient("grants")] == ["ended", "revoked", "active"]
