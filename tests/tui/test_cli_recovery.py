"""`elpis recovery`: a sheet is made, rehearsed and used; nothing changes before it must."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from tests.conftest import HOLDER
from tests.tui.commanding import Elpis
from tui import asking
from vault import RecoveryKit


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def shares_of(text: Path) -> list[str]:
    return text.read_text(encoding="utf-8").split("\n\n")


def test_a_new_kit_takes_the_place_of_the_old(
    elpis: Elpis, tmp_path: Path, made: dict[str, tuple[Path, RecoveryKit]]
) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(" ".join(made[""][1].words("fr")), encoding="utf-8")
    answer = elpis("recovery", "make", "--out", new, "--yes", "--json")
    assert answer.json["new"] is True and "is lost" in answer.err
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert RecoveryKit.read(new.read_text(encoding="utf-8")).fingerprint() == answer.json["fingerprint"]
    elpis("recovery", "test", "--kit", old, code=12)
    assert elpis("recovery", "test", "--kit", new, "--json").json["fingerprint"] == answer.json["fingerprint"]


def test_a_rehearsal_changes_nothing(elpis: Elpis, tmp_path: Path) -> None:
    kit = tmp_path / "kit.txt"
    elpis("recovery", "make", "--shares", "2of3", "--out", kit, "--yes")
    before = state(elpis.vault)
    elpis("recovery", "test", "--kit", kit)
    kit.write_text(kit.read_text(encoding="utf-8").replace(" ", " elpis ", 3), encoding="utf-8")
    assert state(elpis.vault) == before


def test_the_kit_at_hand_is_printed_again_or_divided_and_the_vault_stays(
    elpis: Elpis, tmp_path: Path, made: dict[str, tuple[Path, RecoveryKit]]
) -> None:
    old = tmp_path / "old.txt"
    old.write_text(" ".join(made[""][1].words("en")), encoding="utf-8")
    before = state(elpis.vault)
    elpis("recovery", "make", "--kit", old, "--out", tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes().startswith(b"%PDF")
    elpis("recovery", "make", "--kit", old, "--shares", "3of5", "--out", tmp_path / "five.txt")
    assert state(elpis.vault) == before
    files = []
    for number, text in enumerate(shares_of(tmp_path / "five.txt")[1:4]):
        files.append(tmp_path / f"share-{number}")
        files[-1].write_text(text, encoding="utf-8")
    assert "3 are needed" in elpis("recovery", "test", "--kit", *files[:2], code=12).err
    new = tmp_path / "phrase"
    new.write_text("une phrase toute neuve\n", encoding="utf-8")
    elpis("recovery", "use", "--kit", *files, "--new-passphrase-file", new)
    elpis("list", code=12)
    elpis.passphrase = new
    elpis("list")


def test_what_is_lost_is_said_before_and_a_name_is_asked(
    elpis: Elpis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "kit.pdf", []

    def typed(name: str, warning: str) -> bool:
        asked.append((name, warning))
        return False

    monkeypatch.setattr(asking, "typed_name", typed)
    before = state(elpis.vault)["keyslots"]
    elpis("recovery", "make", "--out", out, code=2)
    assert not out.exists() and state(elpis.vault)["keyslots"] == before
    assert asked[0][0] == HOLDER and "is lost" in asked[0][1]


def test_no_file_is_written_over(elpis: Elpis, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine", encoding="utf-8")
    before = state(elpis.vault)["keyslots"]
    elpis("recovery", "make", "--out", precious, "--yes", code=1)
    assert precious.read_text(encoding="utf-8") == "mine" and state(elpis.vault)["keyslots"] == before
    elpis("recovery", "make", "--out", tmp_path / "kit.docx", "--yes", code=2)
    elpis("recovery", "make", "--out", tmp_path / "dry.pdf", "--dry-run")
    assert not (tmp_path / "dry.pdf").exists()


def test_shares_typed_at_a_terminal_are_asked_one_by_one(
    elpis: Elpis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = tmp_path / "kit.txt"
    elpis("recovery", "make", "--shares", "2of3", "--out", kit, "--yes")
    words = [" ".join(line for line in text.splitlines() if not line.startswith("#")) for text in shares_of(kit)]
    answers = iter([words[2], words[0]])
    monkeypatch.setattr(asking, "at_terminal", lambda: True)
    monkeypatch.setattr(asking, "hidden", lambda question: next(answers))
    assert "1 share is missing" in elpis("recovery", "test").err
