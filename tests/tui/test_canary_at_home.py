"""Canary strings: what a patient's own commands leave on the disk, killed ones too, says nothing to its finder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import HOLDER, PASSPHRASE
from tests.tui.commanding import environment, passphrase_file, process
from tui.demo import payer
from vault import Document, RecoveryKit, Vault

FILE = Path(__file__).parents[1] / "fixtures" / "cda_fr_own" / "N3_VSM.xml"
KILLED = """
import os, sys
from pathlib import Path
from vault import Document, Vault
vault = Vault.unlock(Path(sys.argv[1]), sys.argv[2])
for number in range(10_000):
    vault.add(Document(title=f"Canari tué {number}", text="Canari-en-vol " * 200))
    vault.search("canari")
    if number == 3:
        print("ready", flush=True)
"""


def test_nothing_readable_is_left_outside_of_what_was_asked_for(
    made: dict[str, tuple[Path, RecoveryKit]], tmp_path: Path
) -> None:
    """Database, write-ahead log, files, temporary files, caches, crash files: all that lies under the person's home."""
    home, given = tmp_path / "home", tmp_path / "given"
    given.mkdir()
    folders = {name: home / name.lower() for name in ("TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    vault = home / "vault"
    shutil.copytree(made[""][0], vault)
    note = given / "note.txt"
    note.write_text("Canari-de-papier " * 3000)
    secret = passphrase_file(given)
    around = {name: str(folder) for name, folder in folders.items()} | {"HOME": str(home)}

    def elpis(*words: str | Path) -> str:
        done = process("--vault", vault, "--passphrase-file", secret, *words, environ=around)
        assert done.returncode == 0, done.stderr
        return done.stdout

    elpis("import", "--about-someone-else", FILE)
    assert '"id"' in elpis("list", "--json")
    elpis("search", "canari")
    elpis("verify")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(vault), PASSPHRASE], stdout=subprocess.PIPE, env=environment(**around)
    ) as victim:
        assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        victim.send_signal(signal.SIGKILL)
    assert (vault / "vault.db-wal").stat().st_size > 10_000, "the log that it died with"
    places = payer.files_of(home)
    with Vault.unlock(vault, PASSPHRASE) as opened:
        opened.attach(
            opened.add(Document(title="Canari à part")), note, name="canari-de-papier.txt", media_type="text/plain"
        )
        words = payer.words_of(opened) | {"Canari tué", "Canari-en-vol", "Canari-de-papier", HOLDER}
        keys = payer.keys_of(opened) | {"vault key": opened._key.secret}
        places |= payer.files_of(home)
    assert any(place.endswith("vault.db-wal") for place in places) and len(words) > 50
    found = payer.search(words, keys, places)
    assert found.found == ()


def test_the_search_would_see_a_file_left_behind(vault: Vault, tmp_path: Path) -> None:
    vault.add(Document(title="Canari à part"))
    (tmp_path / "tmp-leftover").write_text("… Canari à part …")
    assert payer.search(payer.words_of(vault), {}, payer.files_of(tmp_path)).found
