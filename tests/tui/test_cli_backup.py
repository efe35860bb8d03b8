"""`elpis backup`: made, read again, restored; each with its exit code."""

from __future__ import annotations

from pathlib import Path

from tests.tui.commanding import Elpis, passphrase_file
from vault import RecoveryKit


def test_there_and_back(elpis: Elpis, tmp_path: Path, made: dict[str, tuple[Path, RecoveryKit]]) -> None:
    letter, place = tmp_path / "letter.txt", tmp_path / "place"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    document = elpis("add", "--file", letter, "--json").json["id"]
    assert elpis("backup", "make", place, "--dry-run", "--json").json["dry_run"] and not place.exists()
    told = elpis("backup", "make", place, "--json").json
    assert (told["documents"], told["copied"], told["there"], told["damaged"]) == (1, 1, 0, [])
    elpis("add", "--kind", "allergies", "--label", "pénicilline")
    assert "1 was there already" in elpis("backup", "make", place, "--language", "en").err
    told = elpis("backup", "verify", place, "--json").json
    assert told["ok"] and told["documents"] == 2 and [copy["documents"] for copy in told["others"]] == [1]

    elpis("backup", "restore", place, code=1)  # a vault is there
    elpis.vault = tmp_path / "restored"
    assert elpis("backup", "restore", place, "--json").json["documents"] == 2
    assert elpis("show", document, "--json").json["title"] == "letter"

    kit, new = tmp_path / "kit", tmp_path / "new"
    kit.write_text(" ".join(made[""][1].words()), encoding="utf-8")
    new.write_text("une phrase toute neuve\n", encoding="utf-8")
    elpis.vault = tmp_path / "by-kit"
    elpis("backup", "restore", place, "--kit", kit, "--new-passphrase-file", new)
    elpis.passphrase = new
    assert len(elpis("list", "--json").json) == 2


def test_damage_ends_with_14_and_a_wrong_passphrase_with_12(elpis: Elpis, tmp_path: Path) -> None:
    letter, place = tmp_path / "letter.txt", tmp_path / "place.zip"
    letter.write_text("Lettre de liaison", encoding="utf-8")
    elpis("add", "--file", letter)
    elpis("backup", "make", place)
    elpis("backup", "make", place, code=1)
    folder = tmp_path / "folder"
    elpis("backup", "make", folder)
    (file,) = (folder / "attachments").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert "1 thing" in elpis("backup", "verify", folder, code=14).err
    elpis.vault = tmp_path / "restored"
    elpis("backup", "restore", folder, code=14)
    assert not elpis.vault.exists()
    elpis("backup", "restore", folder, "--partial", code=14)
    assert len(elpis("list", "--json").json) == 1
    wrong = passphrase_file(tmp_path)
    wrong.write_text("not this one\n", encoding="utf-8")
    elpis("backup", "verify", place, code=12)
