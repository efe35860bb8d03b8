"""`elpis close`: nothing is destroyed before its time, keys first, and the certificate says what is left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync import wire
from tests.conftest import HOLDER, PHYSICIAN
from tests.tui.commanding import Elpis, relay
from tests.tui.conftest import ElpisFactory
from tui import asking
from vault import closing


@dataclass(frozen=True)
class World:
    patient: Elpis
    doctor: Elpis
    folder: Path
    url: str
    document: str


@pytest.fixture
def world(elpis_of: ElpisFactory, tmp_path: Path) -> Iterator[World]:
    """A patient who granted a document with a file to a physician, who opened it."""
    patient, doctor = elpis_of(""), elpis_of("doctor")
    with relay(tmp_path) as url:
        for who in (patient, doctor):
            who("sync", "--relay", url)
        card, letter = tmp_path / "card", tmp_path / "letter.txt"
        doctor("card", "--out", card)
        patient("professional", "add", card)
        patient("professional", "verify", "Ndiaye", "--met", "--yes", code=None)
        letter.write_text("Lettre de liaison", encoding="utf-8")
        document = patient("add", "--file", letter, "--json").json["id"]
        yield World(patient, doctor, tmp_path, url, document)


def granted(world: World) -> None:
    authority, cert, card = world.folder / "authority", world.folder / "cert", world.folder / "card"
    world.patient("authority", "init", authority, "--name", "Order")
    words = ("authority", "certify", authority, card, "--id", "RPPS 1", "--role", "doctor", "--days", "30")
    world.patient(*words, "--out", cert)
    world.patient("professional", "add", card, "--cert", cert, "--authority", authority / "authority.pub", code=None)
    world.patient("professional", "add", card, "--cert", cert, "--authority", authority, code=None)
    world.patient(
        "grant", "--to", "Ndiaye", "--document", world.document, "--right", "read", "--for", "24h", "--purpose", "x"
    )
    world.patient("sync")
    world.doctor("inbox")
    world.doctor("show", world.document, "--why", "consultation")
    world.patient("sync")


def test_the_end_of_a_vault_with_everything_it_had_elsewhere(world: World) -> None:
    granted(world)
    assert (
        world.patient("close", "--no-export", "--certificate", world.folder / "c.json", "--dry-run", "--json").json[
            "relay"
        ]
        >= 4
    )
    out, certificate = world.folder / "all.zip", world.folder / "end.json"
    (world.patient.vault / "holiday.jpg").write_bytes(b"not the vault's")
    world.patient("close", "--export", out, "--certificate", certificate, "--yes")
    told = json.loads(certificate.read_text(encoding="utf-8"))
    kinds = {item["what"]: item for item in told["destroyed_at_relays"]}
    assert set(kinds) == {"half", "mailbox", "blob"} and told["left_at_relays"] == []
    for what, meaning in (("half", wire.HALF_DESTROYED), ("mailbox", wire.MAILBOX_CLOSED)):
        receipt = wire.Receipt.decode(bytes.fromhex(kinds[what]["receipt"]))
        assert receipt.what == meaning and receipt.address.hex() == kinds[what]["address"]
    (reader,) = told["cannot_be_destroyed"]["read_by"]
    assert reader["person"] == PHYSICIAN and reader["opened"] is True
    assert [path.name for path in world.patient.vault.iterdir()] == ["holiday.jpg"]
    world.patient("list", code=10)
    # The professional cannot open it any more, and the export comes back into a new vault.
    world.doctor("show", world.document, code=13)
    assert out.read_bytes().startswith(b"PK") and told["export"] == str(out)


def test_a_silent_relay_stops_it_before_anything_is_destroyed_here(elpis: Elpis, tmp_path: Path) -> None:
    with relay(tmp_path) as url:
        elpis("sync", "--relay", url)
    end = tmp_path / "end.txt"
    elpis("close", "--no-export", "--certificate", end, "--yes", code=3)
    assert not end.exists()
    elpis("list")
    elpis("close", "--no-export", "--certificate", end, "--yes", "--offline", "--language", "en")
    text = end.read_text(encoding="utf-8")
    assert "Left at relays" in text and HOLDER in text and "What cannot be destroyed" in text
    assert not elpis.vault.exists()


def test_another_name_destroys_nothing(elpis: Elpis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(asking, "typed_name", lambda name, warning: asked.append(name) is not None)
    before = (elpis.vault / "keyslots").read_bytes()
    out, end = tmp_path / "all.zip", tmp_path / "end.txt"
    elpis("close", "--export", out, "--certificate", end, code=2)
    assert asked == [HOLDER] and out.exists() and not end.exists()
    assert (elpis.vault / "keyslots").read_bytes() == before
    elpis("close", "--certificate", end, code=2)
    elpis("close", "--no-export", "--certificate", tmp_path / "end.pdf", "--yes", code=2)
    end.write_text("precious", encoding="utf-8")
    elpis("close", "--no-export", "--certificate", end, "--yes", code=1)
    assert end.read_text(encoding="utf-8") == "precious"
    elpis("list")


def test_an_export_that_is_not_whole_stops_it(elpis: Elpis, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    elpis("add", "--file", letter)
    (file,) = (elpis.vault / "attachments").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    end = tmp_path / "end.txt"
    elpis("close", "--export", tmp_path / "all.zip", "--certificate", end, "--yes", code=14)
    assert not end.exists()
    elpis("list")


def test_the_keyslots_go_first_and_are_overwritten(elpis: Elpis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shredding that is stopped right after the keyslots has ended the vault."""
    slots = elpis.vault / "keyslots"
    kept = elpis.vault.parent / "hard-link"
    kept.hardlink_to(slots)
    before = slots.read_bytes()

    def stopped(_path: Path) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(closing, "_own", stopped)
        with pytest.raises(KeyboardInterrupt):
            closing.shred(elpis.vault)
    assert not slots.exists() and kept.read_bytes() != before and len(kept.read_bytes()) == len(before)
    elpis("list", code=1)  # what is left is no vault, and no new one is made over it
    shutil.rmtree(elpis.vault)
