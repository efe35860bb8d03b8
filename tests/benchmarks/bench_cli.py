"""How long `elpis list` takes to start, without key derivation: a new process that answers from an encrypted vault.

The process is a real one; only Argon2id, which costs what it is told to cost, is replaced by its result.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row, repeated
from vault import Document, Vault
from vault.keys import Keyslots
from vault.primitives import derive_passphrase_key

PASSPHRASE = "a phrase for measuring"
LIMIT_MS = 150
ROOT = Path(__file__).parents[2]

STARTED = """
import sys
from vault import primitives
key = bytes.fromhex(sys.argv.pop(1))
primitives.derive_passphrase_key = lambda *_: key
from tui.cli import main
sys.exit(main())
"""


def main(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="elpis-bench-") as folder:
        path, secret = Path(folder) / "vault", Path(folder) / "passphrase"
        secret.write_text(PASSPHRASE + "\n")
        count = 1_000
        vault, _kit = Vault.create(path, name="Measured Person", passphrase=PASSPHRASE)
        with vault:
            vault.add_many((Document(title=f"Document {n}", date=f"{1990 + n % 30}-05-01"), {}) for n in range(count))
        slot = next(slot for slot in Keyslots.read(path / "keyslots").slots if slot.kind == "passphrase")
        key = derive_passphrase_key(PASSPHRASE, slot.salt, slot.ops, slot.memory).hex()
        # As installed: compiled once, by the round that is not counted.
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        words = ["--vault", str(path), "--passphrase-file", str(secret)]
        rounds = 7 if quick else 25
        listed = _milliseconds([STARTED, key, *words, "list", "--limit", "50"], environ, rounds)
        helped = _milliseconds(["import sys; from tui.cli import main; sys.exit(main())", "--help"], environ, rounds)
        bare = _milliseconds(["pass"], environ, rounds)
    detail = f"bare interpreter {bare:.0f} ms; median of {rounds}"
    yield Row(f"elpis list, of {count} documents", listed, LIMIT_MS, detail=detail, unit="ms")
    yield Row("elpis --help", helped, LIMIT_MS, detail=detail, unit="ms")


def _milliseconds(script: list[str], environ: dict[str, str], rounds: int) -> float:
    def run() -> None:
        subprocess.run([sys.executable, "-c", *script], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, check=True)

    return median(repeated(run, rounds)) * 1000
