"""Patient, physician and laboratory, each with a vault, and a relay of its own process: the story by commands alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSPHRASE
from tests.tui.commanding import Elpis, passphrase_file, process, relay
from tests.tui.conftest import ElpisFactory
from vault import Vault

TRACE_KEYS = ["time", "person", "role", "document", "purpose", "state", "verified"]
GRANT_KEYS = ["id", "person", "documents", "right", "until", "state"]


@dataclass(frozen=True)
class World:
    patient: Elpis
    doctor: Elpis
    url: str
    folder: Path
    document: str
    entry: str

    def grant(self, *words: str, document: str = "", **options: Any) -> Any:
        return self.patient(
            "grant", "--to", "Ndiaye", "--document", document or self.document, "--purpose", "follow-up", "--json",
            *words, **options,
        ).json  # fmt: skip


@pytest.fixture
def world(elpis_of: ElpisFactory, tmp_path: Path) -> Iterator[World]:
    """A relay; a patient with one treatment; a certified physician, known to the patient."""
    patient, doctor = elpis_of(""), elpis_of("doctor")
    with relay(tmp_path) as url:
        for who in (patient, doctor):
            done = who("sync", "--relay", url, "--json").json
            assert list(done) == ["pushed", "pulled", "queued", "events"]
        card, cert, authority = tmp_path / "card", tmp_path / "cert", tmp_path / "authority"
        doctor("card", "--out", card)
        patient("authority", "init", authority, "--name", "Order")
        words = ("authority", "certify", authority, card, "--id", "RPPS 123", "--role", "doctor", "--days", "30")
        assert patient(*words, "--out", cert, "--json").json["role"] == "doctor"
        added = patient("professional", "add", card, "--cert", cert, "--authority", authority, "--json").json
        assert added["certified"] is True and added["refused"] == "" and len(added["safety_number"].split()) == 12
        entry = patient("add", "--kind", "medications", "--label", "BISOPROLOL 2,5 mg", "--dose", "1/d", "--json").json
        yield World(patient, doctor, url, tmp_path, entry["document"], entry["entry"])


def test_the_story(world: World) -> None:
    patient, doctor, document = world.patient, world.doctor, world.document
    assert world.grant("--for", "24h", "--right", "edit", "--dry-run")["dry_run"] is True
    assert patient("grants", "--json").json == []

    granted = world.grant("--for", "24h", "--right", "edit")
    assert granted["queued"] is False and granted["until"].endswith("Z")
    assert [list(item) for item in patient("grants", "--json").json] == [GRANT_KEYS]

    inbox = doctor("inbox", "--json").json
    assert inbox["grants"][0]["documents"] == [document] and inbox["grants"][0]["state"] == "open"
    assert inbox["grants"][0]["id"] == granted["id"]
    shown = doctor("show", document, "--why", "surgery", "--json").json
    assert [entry["label"] for entry in shown["content"]] == ["BISOPROLOL 2,5 mg"]
    assert shown["right"] == "edit" and shown["until"] == granted["until"]
    assert doctor("show", granted["id"], "--json").json["id"] == document

    report = world.folder / "entries.json"
    report.write_text(
        json.dumps(
            [
                {"kind": "medication", "label": "PREVISCAN 20 mg", "dose": "3/4"},
                {"id": world.entry, "kind": "medication", "dose": "2/d"},
            ]
        ),
        encoding="utf-8",
    )
    assert doctor("contribute", document, report, "--json").json["entries"] == 2
    patient("amend", document, world.entry, "--set", "dose=3/d")
    events = patient("sync", "--json").json["events"]
    assert {"opened", "document-changed"} <= {event["kind"] for event in events}
    seen = patient("show", document, "--json").json
    assert {entry["label"] for entry in seen["content"]} == {"BISOPROLOL 2,5 mg", "PREVISCAN 20 mg"}
    assert [(clash["entry"], clash["field"]) for clash in seen["conflicts"]] == [(world.entry, "dose")]
    assert {(side["value"], side["author"]) for side in seen["conflicts"][0]["sides"]} == {
        ("2/d", "Ndiaye Awa"), ("3/d", "Martin Léa"),
    }  # fmt: skip
    assert "ANTICOAGULANT" in patient("meds", "--preop").out.splitlines()[0]

    trace = patient("trace", "--json").json
    assert all(list(line) == TRACE_KEYS for line in trace)
    assert [line["state"] for line in trace].count("opened") == 3
    assert {line["purpose"] for line in trace if line["state"] == "opened"} == {"surgery", "follow-up"}
    assert all(line["verified"] for line in trace if line["state"] == "opened")

    assert patient("revoke", granted["id"][:8], code=2).out == ""
    assert patient("revoke", granted["id"][:8], "--dry-run", "--json").json["state"] == "active"
    assert patient("revoke", granted["id"][:8], "--yes", "--json").json["state"] == "revoked"
    doctor("show", document, code=13)
    doctor("contribute", document, report, code=13)
    assert patient("trace", "--json").json[-1]["state"] == "revoked"
    assert patient("verify", "--json").json["ok"] and patient("doctor", "--json").json["ok"]


def test_a_contributed_file_lies_sealed_and_private_in_the_vault(world: World) -> None:
    patient, doctor, document = world.patient, world.doctor, world.document
    report = world.folder / "report.txt"
    report.write_text("an X-ray without findings", encoding="utf-8")
    world.grant("--for", "24h", "--right", "edit")
    said = doctor("contribute", document, report, "--language", "en").out
    assert "attached: report.txt" in said and "0 entries" not in said
    patient("sync")
    assert [item["size"] for item in patient("show", document, "--json").json["attachments"]] == [25]
    for path in (patient.vault, *patient.vault.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_an_end_date_passes(world: World) -> None:
    granted = world.grant("--for", "3s")
    shown = world.doctor("inbox", "--json").json
    assert shown["grants"][0]["id"] == granted["id"]
    time.sleep(3.2)
    world.doctor("show", world.document, code=13)
    assert world.patient("grants", "--json").json[0]["state"] == "ended"
    assert "ended" in world.patient("trace", "--json").json[-1]["state"]


def test_reading_is_not_writing(world: World) -> None:
    world.grant("--for", "1h")
    world.doctor("inbox")
    entries = world.folder / "entries.json"
    entries.write_text('[{"kind": "medication", "label": "X"}]', encoding="utf-8")
    assert "edit" in world.doctor("contribute", world.document, entries, "--language", "en", code=1).err
    entries.write_text('[{"kind": "wish", "label": "X"}]', encoding="utf-8")
    world.doctor("contribute", world.document, entries, code=2)


def test_a_stranger_and_a_payer_get_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for name, role, met in (("Assurtout", "insurer", True), ("Nobody", "doctor", False)):
        path, card = world.folder / name, world.folder / f"{name}.card"
        vault, _ = Vault.create(path, name=name, passphrase=PASSPHRASE, role=role)
        vault.lock()
        other = Elpis(path, passphrase_file(world.folder), capsys)
        other("sync", "--relay", world.url)
        other("card", "--out", card)
        world.patient("professional", "add", card, *(["--met"] if met else []))
        words = (
            "grant",
            "--to",
            name,
            "--document",
            world.document,
            "--for",
            "1h",
            "--purpose",
            "p",
            "--language",
            "en",
        )
        for more in ((), ("--dry-run",)):
            assert world.patient(*words, *more, code=14).out == ""
    assert world.patient("grants", "--json").json == []
    listed = {person["name"]: person["refused"] for person in world.patient("professional", "list", "--json").json}
    assert listed == {"Ndiaye Awa": "", "Assurtout": "role-denied", "Nobody": "not-certified"}


def test_an_authority_withdraws_what_it_vouched_for(world: World) -> None:
    patient, folder = world.patient, world.folder
    authority, cert, renewed = folder / "authority", folder / "cert", folder / "renewed"
    assert len(patient("authority", "log", authority, "--json").json) == 1
    assert (
        patient("authority", "renew", authority, cert, "--days", "9", "--out", renewed, "--dry-run", "--json").json[
            "index"
        ]
        == 1
    )
    assert not renewed.exists()
    patient("authority", "renew", authority, cert, "--days", "9", "--out", renewed)
    patient("professional", "add", folder / "card", "--cert", renewed)
    assert patient("authority", "list", "--json").json[0]["certificates"] == 1, "the newest file is not taken yet"
    published = patient("authority", "publish", authority, "--out", folder / "order.pub", "--json").json
    assert (published["certificates"], published["revoked"]) == (2, 0)
    assert patient("authority", "update", folder / "order.pub", "--json").json["certificates"] == 2
    assert patient("authority", "revoke", authority, "RPPS 123", "--json").json["revoked"][1]["name"] == "Ndiaye Awa"
    assert "Ndiaye Awa" in patient("authority", "log", authority, "--language", "en").out
    world.grant("--for", "1h")
    assert "2 certificates, 2 revoked" in patient("authority", "update", authority, "--language", "en").out
    listed = patient("professional", "list", "--json").json[0]
    assert (listed["certified"], listed["refused"], listed["detail"]) == (False, "not-certified", "revoked")
    words = ("grant", "--to", "Ndiaye", "--document", world.document, "--for", "1h", "--purpose", "p")
    assert "revoked" in patient(*words, "--language", "en", code=14).err
    patient("authority", "update", cert, code=14)
    patient("authority", "renew", authority, cert, "--out", renewed, code=1)
    patient("authority", "revoke", authority, "RPPS 123", code=1)


def test_meeting_somebody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path, card = world.folder / "met", world.folder / "met.card"
    vault, _ = Vault.create(path, name="Petit Luc", passphrase=PASSPHRASE, role="nurse")
    vault.lock()
    nurse, mine = Elpis(path, passphrase_file(world.folder), capsys), world.folder / "mine.card"
    nurse("sync", "--relay", world.url)
    nurse("card", "--out", card)
    world.patient("card", "--out", mine)
    number = world.patient("professional", "add", card, "--json").json["safety_number"]
    assert nurse("professional", "add", mine, "--json").json["safety_number"] == number
    assert world.patient("professional", "verify", "Petit", "--json").json["met"] is False
    assert world.patient("professional", "verify", "Petit", "--met", "--json").json["met"] is True
    words = ("grant", "--to", "Petit", "--preset", "medications", "--for", "1h", "--purpose", "care", "--json")
    assert world.patient(*words).json["documents"] == [world.document]


def test_a_deposit_goes_in_and_never_comes_back(world: World) -> None:
    card, result = world.folder / "patient.card", world.folder / "result.txt"
    world.patient("card", "--out", card)
    result.write_text("potassium 4.1", encoding="utf-8")
    assert world.doctor("deposit", "--to", card, result, "--dry-run", "--json").json["dry_run"] is True
    sent = world.doctor("deposit", "--to", card, result, "--json").json
    assert sent["documents"] == ["result"] and sent["queued"] is False
    assert world.doctor("list", "--json").json == []
    world.patient("inbox")
    filed = [item for item in world.patient("list", "--json").json if item["title"] == "result"]
    assert len(filed) == 1 and filed[0]["author"] == "Ndiaye Awa"


def test_a_deposit_of_a_stranger_waits_for_a_word(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path, card = world.folder / "lab", world.folder / "patient.card"
    vault, _ = Vault.create(path, name="Labo Sud", passphrase=PASSPHRASE, role="laboratory")
    vault.lock()
    lab = Elpis(path, passphrase_file(world.folder), capsys)
    lab("sync", "--relay", world.url)
    world.patient("card", "--out", card)
    for name in ("good", "bad"):
        (world.folder / f"{name}.txt").write_text(name, encoding="utf-8")
    lab("deposit", "--to", card, world.folder / "good.txt", world.folder / "bad.txt")
    waiting = {item["title"]: item["id"] for item in world.patient("inbox", "--json").json["deposits"]}
    assert waiting.keys() == {"good", "bad"} and len(world.patient("list", "--json").json) == 1
    left = world.patient("inbox", "--accept", waiting["good"], "--refuse", waiting["bad"], "--json").json
    assert left["deposits"] == []
    assert {item["title"] for item in world.patient("list", "--json").json} == {"Traitements", "good"}


def test_offline_is_said_and_loses_nothing(elpis_of: ElpisFactory, tmp_path: Path, world: World) -> None:
    """Another port answers nothing: a grant is queued, reading goes on, only `sync` and an opening say 3."""
    world.grant("--for", "1h")
    world.doctor("inbox")
    for who in (world.patient, world.doctor):
        with Vault.unlock(who.vault, PASSPHRASE) as vault:
            for table in ("relay", "mailbox", "given", "visit", "outbox"):
                names = [row[1] for row in vault.store.rows(f"PRAGMA table_info({table})")]
                column = "url" if "url" in names else "relay"
                vault.store.run(f"UPDATE {table} SET {column} = 'http://127.0.0.1:9'")
    world.patient("sync", code=3)
    assert world.grant("--for", "1h")["queued"] is True
    assert "cannot be reached" in world.patient("trace", "--language", "en").err
    world.doctor("show", world.document, code=3)
    assert world.doctor("inbox", "--json").json["fetched"] is False
    found = world.patient("doctor", "--json", code=15).json["findings"]
    assert [item["section"] for item in found if item["state"] == "problem"] == ["relay"]


def test_no_relay_yet(elpis: Elpis) -> None:
    elpis("sync", code=2)
    assert elpis("inbox", "--json").json == {"grants": [], "deposits": [], "fetched": False}
    assert elpis("trace", "--json").json == []


def test_the_whole_of_it_as_processes(tmp_path: Path) -> None:
    """The commands that outside checks run, each a process of its own without a terminal."""
    secret = passphrase_file(tmp_path)

    def run(who: str, *words: str | Path, code: int = 0) -> str:
        environ = {"ELPIS_VAULT": str(tmp_path / who)}
        done: subprocess.CompletedProcess[str] = process(*words, "--passphrase-file", secret, environ=environ)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    with relay(tmp_path) as url:
        assert url.startswith("http://127.0.0.1:")
        kit = tmp_path / "kit"
        run("p", "init", "--name", "Durand Zoé", "--birth", "1958-03-21", "--recovery-out", kit)
        run("d", "init", "--name", "Noël Marc", "--professional", "--role", "doctor", "--recovery-out", tmp_path / "k2")
        run("p", "sync", "--relay", url)
        run("d", "sync", "--relay", url)
        run("d", "card", "--out", tmp_path / "d.card")
        run("p", "professional", "add", tmp_path / "d.card", "--met")
        document = json.loads(run("p", "add", "--kind", "allergies", "--label", "Latex", "--json"))["document"]
        grant = ("grant", "--to", "Noël", "--document", document, "--for", "24h", "--purpose", "visit", "--json")
        granted = json.loads(run("p", *grant))["id"]
        run("d", "inbox")
        assert "Latex" in run("d", "show", document)
        assert [line["state"] for line in json.loads(run("p", "trace", "--json"))] == ["granted", "opened"]
        run("p", "revoke", granted, "--yes")
        run("d", "show", document, code=13)
        view = run("p", "relay-view", "--db", tmp_path / "relay.db", "--json")
        assert json.loads(view)["tables"]["half"]["rows"] == 1
        assert "half" in run("p", "relay-view", "--db", tmp_path / "relay.db")
        run("p", "relay-view", "--db", tmp_path / "missing.db", code=1)
        assert not any(word in view for word in ("Durand", "Noël", "Latex", document, granted))
