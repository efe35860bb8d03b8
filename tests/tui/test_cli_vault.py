"""A holder alone with the command line: what goes in, what comes out, and with which exit code."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import HOLDER, PASSPHRASE
from tests.tui.commanding import Elpis, environment, passphrase_file, process
from tui import asking, cli
from vault import Document, RecoveryKit, Vault

DOCUMENT_KEYS = [
    "id", "kind", "title", "type_code", "class_code", "date", "author", "confidentiality", "entries", "attachments",
]  # fmt: skip
ENTRY_KEYS = [
    "medications", "allergies", "conditions", "immunizations", "results", "vitals",
]  # fmt: skip
MEDICATION_KEYS = [
    "label", "code", "system", "substance", "dose", "start", "end", "active", "source_document", "negated", "flags",
]  # fmt: skip
BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "identifier": {"system": "urn:test", "value": "bundle-1"},
    "entry": [
        {
            "fullUrl": "urn:uuid:p",
            "resource": {
                "resourceType": "Patient",
                "id": "p",
                "name": [{"family": "Martin", "given": ["Léa"]}],
                "birthDate": "1980-02-03",
            },
        },
        {
            "fullUrl": "urn:uuid:m",
            "resource": {
                "resourceType": "MedicationStatement",
                "id": "m",
                "status": "active",
                "subject": {"reference": "urn:uuid:p"},
                "medicationCodeableConcept": {"text": "PREVISCAN 20 mg"},
                "effectiveDateTime": "2019-05-01",
                "dosage": [{"text": "3/4 le soir"}],
            },
        },
    ],
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(BUNDLE), encoding="utf-8")
    return path


# --- making, and the ways in


def test_init_makes_a_vault_and_a_kit_that_opens_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit, folder = tmp_path / "kit", tmp_path / "new"
    words = [
        "init", "--name", "Durand Zoé", "--birth", "1958-03-21", "--recovery-out", str(kit), "--language", "fr",
        "--passphrase-file", str(passphrase_file(tmp_path)), "--vault", str(folder), "--json",
    ]  # fmt: skip
    assert cli.main(words) == 0
    made = json.loads(capsys.readouterr().out)
    assert list(made) == ["vault", "id", "name", "recovery_file"]
    assert made["name"] == "Durand Zoé" and made["recovery_file"] == str(kit)
    assert stat.S_IMODE(kit.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    lines = kit.read_text(encoding="utf-8").splitlines()
    typed = " ".join(line for line in lines if not line.startswith("#"))
    assert len(typed.split()) == 24
    assert RecoveryKit.from_words(typed).fingerprint() in kit.read_text(encoding="utf-8")
    with Vault.unlock(folder, PASSPHRASE) as vault:
        assert (vault.holder_name, vault.holder_birth, vault.language) == ("Durand Zoé", "1958-03-21", "fr")

    elpis = Elpis(folder, passphrase_file(tmp_path), capsys)
    assert elpis("recovery", "test", "--kit", kit, "--json").json["opens"] is True
    new = tmp_path / "new-passphrase"
    new.write_text("a wholly other phrase\n", encoding="utf-8")
    elpis("recovery", "use", "--kit", kit, "--new-passphrase-file", new)
    assert elpis("list", code=12).out == ""
    elpis.passphrase = new
    elpis("list")


def test_init_never_writes_over_anything(elpis: Elpis, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    elpis("init", "--name", "A", "--recovery-out", kit, code=1)
    assert not kit.exists()
    kit.write_text("precious", encoding="utf-8")
    elpis("init", "--name", "A", "--recovery-out", kit, "--vault", tmp_path / "other", code=1)
    assert kit.read_text(encoding="utf-8") == "precious" and not (tmp_path / "other" / "keyslots").exists()


def test_a_failed_init_leaves_no_kit(tmp_path: Path, elpis: Elpis) -> None:
    short = tmp_path / "short"
    short.write_text("abc\n", encoding="utf-8")
    kit, folder = tmp_path / "kit", tmp_path / "fresh"
    words = ("init", "--name", "A", "--recovery-out", kit, "--vault", folder, "--passphrase-file", short)
    assert "8" in elpis(*words, code=1).err
    assert not kit.exists() and not (folder / "keyslots").exists()
    assert elpis(*words, "--dry-run").err == ""
    assert not folder.exists() or not any(folder.glob("keyslots"))


def test_change_of_passphrase(elpis: Elpis, tmp_path: Path) -> None:
    new = tmp_path / "new-passphrase"
    new.write_text("a wholly other phrase\n", encoding="utf-8")
    elpis("passphrase", "--new-passphrase-file", new, "--dry-run")
    elpis("list")
    elpis("passphrase", "--new-passphrase-file", new)
    elpis("list", code=12)
    elpis.passphrase = new
    elpis("list")


def test_where_the_passphrase_comes_from(elpis: Elpis, tmp_path: Path) -> None:
    where = ("--vault", str(elpis.vault), "list", "--json")
    assert process(*where).returncode == 4
    command = f"cat {passphrase_file(tmp_path)}"
    assert process(*where, environ={"ELPIS_PASSPHRASE_COMMAND": command}).stdout == "[]\n"
    for broken in ("false", "/no/such/program", "unbalanced '"):
        assert process(*where, environ={"ELPIS_PASSPHRASE_COMMAND": broken}).returncode == 4
    assert process(*where, environ={"ELPIS_PASSPHRASE_COMMAND": "echo wrong"}).returncode == 12
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode() + b"\n")
    os.close(writing)
    with open(reading, "rb"):
        assert process(*where, "--passphrase-fd", str(reading), pass_fds=[reading]).returncode == 0


def test_a_kit_that_is_asked_back(monkeypatch: pytest.MonkeyPatch) -> None:
    words = RecoveryKit.make().words("fr")
    places: list[int] = []

    def answer(prompt: str) -> str:
        places.append(int(prompt.split()[1]) - 1)
        return words[places[-1]].upper() + "\n"

    monkeypatch.setattr(asking, "_line", answer)
    assert asking.asked_back(words) and len(set(places)) == 3
    monkeypatch.setattr(asking, "_line", lambda _prompt: "wrong\n")
    assert not asking.asked_back(words)


# --- documents


def test_import_list_meds(elpis: Elpis, bundle: Path) -> None:
    done = elpis("import", bundle, "--json").json
    assert list(done) == ["documents", "duplicates", "skipped", "warnings"]
    assert done["documents"] and not done["skipped"]
    for document in done["documents"]:
        assert list(document) == DOCUMENT_KEYS and list(document["entries"]) == ENTRY_KEYS
        assert all(list(file) == ["sha256", "media_type", "size"] for file in document["attachments"])
    listed = elpis("list", "--json").json
    assert {item["id"] for item in listed} == {item["id"] for item in done["documents"]}
    assert all(list(item) == DOCUMENT_KEYS for item in listed)

    again = elpis("import", bundle, "--json").json
    assert not again["documents"] and len(again["duplicates"]) == len(done["documents"])
    assert elpis("list", "--json").json == listed

    medications = elpis("meds", "--json").json
    assert [list(item) for item in medications] == [MEDICATION_KEYS]
    assert medications[0]["active"] is True and medications[0]["source_document"] == listed[0]["id"]
    assert "anticoagulant" in medications[0]["flags"]
    assert elpis("meds", "--preop").out.startswith("[ANTICOAGULANT] PREVISCAN 20 mg")


def test_import_says_what_it_cannot_read(elpis: Elpis, tmp_path: Path, bundle: Path) -> None:
    junk = tmp_path / "junk.bin"
    junk.write_bytes(b"\x00\x01\x02 nothing of ours")
    done = elpis("import", junk, "--json", code=1).json
    assert [list(item) for item in done["skipped"]] == [["file", "why"]] and done["skipped"][0]["why"]
    assert elpis("import", junk, bundle, "--json").json["documents"]
    assert elpis("import", tmp_path / "missing", code=1).out == ""


def test_a_folder_is_looked_at_without_a_vault(elpis: Elpis, tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").write_bytes(bundle.read_bytes())
    (folder / "b.bin").write_bytes(bytes(range(250)) * 9)
    (folder / "c.txt").write_text("")
    table = tmp_path / "TABLE.md"
    missing = Elpis(tmp_path / "no-vault", elpis.passphrase, elpis._capsys)
    done = missing("import", "--dry-run", "--report", folder, "--out", table, "--json").json
    assert [item["outcome"] for item in done["files"]] == ["whole", "refused", "refused"]
    assert done["formats"]["fhir-json"] == {"files": 1, "whole": 1, "left": 0}
    lines = table.read_text().splitlines()
    assert lines[0].startswith("| format | files | read whole | repaired | kept raw | refused |")
    assert lines[2] == "| FHIR JSON | 1 | 1 | 0 | 0 | 0 | 0 |" and lines[-1].startswith("| all | 3 | 1 | 0 | 0 | 2 |")
    assert missing("import", "--dry-run", "--report", folder).out == table.read_text()
    assert missing("import", "--report", folder, code=2).out == ""
    assert not (tmp_path / "no-vault").exists()


def test_an_import_is_taken_back(elpis: Elpis, bundle: Path) -> None:
    elpis("import", "--undo", "--yes", code=1)
    elpis("import", bundle)
    listed = elpis("list", "--json").json
    planned = elpis("import", "--undo", "--dry-run", "--json").json
    assert [item["id"] for item in planned["removed"]] == [item["id"] for item in listed]
    assert elpis("list", "--json").json == listed
    elpis("import", "--undo", code=2)
    done = elpis("import", "--undo", planned["import"][:8], "--yes", "--json").json
    assert list(done) == ["import", "time", "removed", "kept"] and not done["kept"]
    assert elpis("list", "--json").json == []
    assert elpis("import", bundle, "--json").json["documents"]
    elpis("import", "--undo", "x", bundle, code=2)
    elpis("import", code=2)


def test_search_is_narrowed_by_type_date_and_author(elpis: Elpis, tmp_path: Path) -> None:
    for name, date, author in (("a", "2024-03-15", "Dr Martin"), ("b", "2023-01-02", "Dr Durand")):
        (tmp_path / f"{name}.txt").write_text(f"bilan {name}")
        elpis("add", "--file", tmp_path / f"{name}.txt", "--title", f"bilan {name}", "--date", date, "--author", author)
    titles = lambda *words: [item["title"] for item in elpis("search", *words, "--json").json]
    assert titles("bil") == ["bilan a", "bilan b"]
    assert titles("bil", "--from", "2024") == ["bilan a"] and titles("--to", "2023-06") == ["bilan b"]
    assert titles("--author", "dura") == ["bilan b"] and titles("bil", "--type", "x") == []
    elpis("search", code=2)
    elpis("search", "bil", "--from", "hier", code=1)


def test_any_file_is_kept_when_asked(elpis: Elpis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "2024-03-15_radio.xyz"
    path.write_bytes(bytes(range(250)) * 9)
    assert elpis("import", path, "--json", code=1).json["skipped"]
    (kept,) = elpis("import", path, "--keep-others", "--json").json["documents"]
    assert (kept["title"], kept["date"], kept["attachments"][0]["size"]) == ("radio", "2024-03-15", 2250)
    other = tmp_path / "note.xyz"
    other.write_bytes(bytes(range(240)) * 9)
    answers = iter(["y\n", "Ma note\n", "2023-05\n", "Moi\n"])
    monkeypatch.setattr(asking, "at_terminal", lambda: True)
    monkeypatch.setattr(asking, "_line", lambda _prompt: next(answers))
    (asked,) = elpis("import", other, "--json").json["documents"]
    assert (asked["title"], asked["date"], asked["author"]) == ("Ma note", "2023-05", "Moi")


def test_the_ins_of_the_holder_is_kept_and_compared(elpis: Elpis, tmp_path: Path) -> None:
    elpis("amend", "holder", "--set", "ins=284047599900134", code=1)
    elpis("amend", "holder", "--set", "name=x", code=2)
    done = elpis("amend", "holder", "--set", "ins=2 84 04 75 999 001 33", "--json").json
    assert done["changes"] == {"ins": "284047599900133"}
    other = json.loads(json.dumps(BUNDLE))
    patient = next(item["resource"] for item in other["entry"] if item["resource"]["resourceType"] == "Patient")
    patient["identifier"] = [{"system": "urn:oid:1.2.250.1.213.1.4.8", "value": "185057800608491"}]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    (skipped,) = elpis("import", path, "--json", code=1).json["skipped"]
    assert "INS" in skipped["why"]


def test_a_file_about_somebody_else_waits_for_a_word(elpis: Elpis, tmp_path: Path) -> None:
    other = json.loads(json.dumps(BUNDLE).replace("Martin", "Lefebvre").replace("1980-02-03", "1931-12-24"))
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    assert elpis("import", path, "--json", code=1).json["skipped"]
    assert elpis("list", "--json").json == []
    assert elpis("import", path, "--about-someone-else", "--dry-run", "--json").json["documents"]
    assert elpis("list", "--json").json == []
    assert elpis("import", path, "--about-someone-else", "--json").json["documents"]


def test_add_amend_show_search(elpis: Elpis) -> None:
    words = ("add", "--kind", "allergies", "--label", "Pénicilline", "--reaction", "urticaire")
    assert elpis(*words, "--dry-run", "--json").json["dry_run"] is True
    assert elpis("list", "--json").json == []
    added = elpis(*words, "--json").json
    assert elpis(*words, "--label", "Latex", "--json").json["document"] == added["document"]

    shown = elpis("show", added["document"][:8], "--json").json
    assert list(shown)[: len(DOCUMENT_KEYS)] == DOCUMENT_KEYS
    assert [entry["label"] for entry in shown["content"]].count("Pénicilline") == 1
    assert elpis("search", "penicil", "--json").json[0]["id"] == added["document"]
    assert elpis("search", "absent").out == ""

    entry = added["entry"][:8]
    elpis("amend", added["document"], entry, "--set", "severity=severe", "note=since childhood")
    elpis("amend", added["document"], entry, "--set", "note=", "--dry-run")
    text = elpis("show", added["document"]).out
    assert "Pénicilline, urticaire, severe, since childhood" in text
    elpis("amend", added["document"], entry, "--set", "note=", "negated=true")
    assert "NO: Pénicilline, urticaire, severe  [" in elpis("show", added["document"], "--language", "en").out
    elpis("amend", added["document"], entry, "--set", "colour=red", code=2)
    elpis("amend", added["document"], "ffff0000", "--set", "label=x", code=1)

    assert "--yes" in elpis("amend", added["document"], entry, "--remove", code=2).err
    elpis("amend", added["document"], entry, "--remove", "--yes")
    assert "Pénicilline" not in elpis("show", added["document"]).out
    elpis("show", "00000000", code=1)


def test_any_file_goes_in_and_comes_out_again(elpis: Elpis, tmp_path: Path) -> None:
    source = tmp_path / "scan.bin"
    source.write_bytes(os.urandom(200_000))
    words = ("add", "--file", source, "--title", "Old scan", "--date", "2001-02")
    assert elpis(*words, "--dry-run", "--json").json["id"] == ""
    added = elpis(*words, "--json").json
    assert elpis(*words, "--json").json["id"] == added["id"]
    assert len(elpis("list", "--json").json) == 1

    target = tmp_path / "out.bin"
    elpis("export", added["id"], "--attachment", added["attachments"][0]["sha256"][:10], "--out", target)
    assert target.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    elpis("export", added["id"], "--attachment", added["attachments"][0]["sha256"], "--out", target, code=1)
    exported = json.loads(elpis("export", added["id"]).out)
    assert exported["title"] == "Old scan" and exported["date"] == "2001-02"
    elpis("export", added["id"], "--out", tmp_path / "document.json")
    assert json.loads((tmp_path / "document.json").read_text(encoding="utf-8")) == exported


def test_a_name_from_outside_never_chooses_where_a_file_goes(
    elpis: Elpis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault.unlock(elpis.vault, PASSPHRASE) as vault:
        document = vault.section("results")
        vault.attach(document, b"hello", name="../../.\x1b[31mprofile", media_type="text/plain")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    elpis("export", document, "--attachment", "2cf24dba")
    assert [path.name for path in here.iterdir()] == ["profile"]
    assert not list(tmp_path.glob("*profile"))


def test_terminal_escapes_never_reach_the_terminal(elpis: Elpis) -> None:
    elpis("add", "--kind", "conditions", "--label", "Asthma\x1b[2J\u202egnp", "--note", "\x9b31m\x07")
    for words in (("list",), ("search", "asthma"), ("show", elpis("list", "--json").json[0]["id"])):
        out = elpis(*words).out
        assert not set(out) & set("\x1b\x9b\x07\u202e"), words


# --- state of the vault, and every other exit code


def test_verify_and_doctor(elpis: Elpis, tmp_path: Path) -> None:
    source = tmp_path / "scan.bin"
    source.write_bytes(b"x" * 100_000)
    elpis("add", "--file", source)
    checked = elpis("verify", "--json").json
    assert checked["ok"] and {item["what"] for item in checked["checks"]} == {
        "head", "documents", "attachments", "trace", "chains", "checkpoints", "receipts",
    }  # fmt: skip
    assert elpis("doctor", "--json").json["ok"] is True

    sealed = next((elpis.vault / "attachments").iterdir())
    data = bytearray(sealed.read_bytes())
    data[len(data) // 2] ^= 1
    sealed.write_bytes(data)
    failed = elpis("verify", "--json", code=14).json
    assert not failed["ok"] and [item["what"] for item in failed["checks"] if item["failed"]] == ["attachments"]

    (elpis.vault / "keyslots").chmod(0o644)
    found = elpis("doctor", "--json", code=15).json
    assert [item["section"] for item in found["findings"] if item["state"] == "problem"] == ["folder"]


def test_doctor_says_how_to_go_on_with_an_older_copy(elpis: Elpis) -> None:
    database = elpis.vault / "vault.db"
    before = database.read_bytes()
    elpis("add", "--kind", "conditions", "--label", "Asthma")
    database.write_bytes(before)
    assert "elpis doctor" in elpis("list", code=14).err
    assert "--accept-older" in elpis("doctor", code=15).out
    assert elpis("list", code=14).out == ""
    elpis("doctor", "--accept-older", "--yes")
    assert elpis("list", "--json").json == []


def test_doctor_without_a_vault(elpis: Elpis, tmp_path: Path) -> None:
    assert elpis("doctor", "--vault", tmp_path / "none", "--json").json["ok"] is True


def test_busy_and_lock(elpis: Elpis) -> None:
    assert elpis("lock", "--json").json == {"locked": True, "was_open": False}
    elpis("lock", "--vault", elpis.vault / "none", code=10)
    script = (
        "import signal, sys, pathlib\nfrom vault import Vault\n"
        "vault = Vault.unlock(pathlib.Path(sys.argv[1]), sys.argv[2])\n"
        "signal.signal(signal.SIGUSR1, lambda *_: vault.lock())\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(elpis.vault), PASSPHRASE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    ) as holder:  # fmt: skip
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        elpis("list", code=11)
        assert elpis("lock", "--json").json == {"locked": True, "was_open": True}
        elpis("list")
        assert holder.stdin is not None
        holder.stdin.close()


def at_work(elpis: Elpis, folder: Path, then: str) -> subprocess.Popen[str]:
    """`elpis list` that waits for its passphrase, in a process group of its own."""
    marker = folder / "asked"
    command = shlex.join(["sh", "-c", f"touch {marker}; {then}"])
    started = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "list", "--vault", str(elpis.vault)],
        env=environment(ELPIS_PASSPHRASE_COMMAND=command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    end = time.monotonic() + 20
    while not marker.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return started


def test_ctrl_c_ends_with_130(elpis: Elpis, tmp_path: Path) -> None:
    with at_work(elpis, tmp_path, "sleep 30") as started:
        os.killpg(started.pid, signal.SIGINT)
        _out, err = started.communicate(timeout=20)
        assert started.returncode == 130 and "Traceback" not in err


def test_a_command_at_work_is_not_ended_by_a_wish_to_lock(elpis: Elpis, tmp_path: Path) -> None:
    with at_work(elpis, tmp_path, f"sleep 0.5; cat {passphrase_file(tmp_path)}") as started:
        os.kill(started.pid, signal.SIGUSR1)
        started.communicate(timeout=20)
        assert started.returncode == 0


def test_a_closed_pipe_is_no_error(elpis: Elpis, tmp_path: Path) -> None:
    with Vault.unlock(elpis.vault, PASSPHRASE) as vault:
        letter = vault.add(Document(title="A long letter", text="word " * 15_000))
    options = ["--vault", str(elpis.vault), "--passphrase-file", str(passphrase_file(tmp_path))]
    for words in (["list"], ["show", letter]):  # less and more than Python keeps before it writes
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", *words, *options],
            stdout=writing, stderr=subprocess.PIPE, env=environment(), check=False,
        )  # fmt: skip
        os.close(writing)
        assert done.returncode == 0 and b"Traceback" not in done.stderr and b"BrokenPipe" not in done.stderr


def test_no_vault_wrong_passphrase(elpis: Elpis, tmp_path: Path) -> None:
    elpis("list", "--vault", tmp_path / "none", code=10)
    wrong = tmp_path / "wrong"
    wrong.write_text("not this one\n", encoding="utf-8")
    answer = elpis("list", "--passphrase-file", wrong, code=12)
    assert answer.out == "" and "not this one" not in answer.err
    elpis("list", "--passphrase-file", tmp_path / "no-file", code=1)


def test_the_vault_says_which_language_to_speak(elpis: Elpis) -> None:
    """The shared fixture's vault speaks French; --language has the last word."""
    assert "Pas encore de document" in elpis("list").err
    assert "No document yet" in elpis("list", "--language", "en").err


def test_vectors(elpis: Elpis, tmp_path: Path) -> None:
    elpis("vectors", "--check", tmp_path, code=1)


def test_a_card_is_a_file_a_line_and_a_picture(elpis: Elpis, tmp_path: Path) -> None:
    card = tmp_path / "my.card"
    written = elpis("card", "--out", card, "--json").json
    assert list(written) == ["file", "fingerprint", "name"] and written["name"] == HOLDER
    told = elpis("card", "--json").json
    assert told["card"].startswith("elpis-card:") and told["fingerprint"] == written["fingerprint"]
    assert elpis("card", "--text").out.strip().startswith("elpis-card:")
    assert "█" in elpis("card").out or "▄" in elpis("card").out
    elpis("export", "card", "--out", tmp_path / "again.card")
    assert (tmp_path / "again.card").exists()
