"""Attachments against `age` on the same file, both durable at the end; the memory that a large one takes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row, peak_mb, present, timed
from vault.attachment import SealedFile, open_file, seal_file
from vault.durable import sync_file

KEY = bytes(range(32))


def written(path: Path, size: int) -> Path:
    """A file that nothing can compress."""
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    return path


class Age:
    """`age` with a key pair of its own, as a person would use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = folder / "identity"
        subprocess.run(["age-keygen", "-o", str(self.identity)], check=True, capture_output=True)
        told = subprocess.run(["age-keygen", "-y", str(self.identity)], check=True, capture_output=True, text=True)
        self.recipient = told.stdout.strip()

    def seal(self, source: Path) -> None:
        target = self.folder / "age"
        subprocess.run(["age", "-r", self.recipient, "-o", str(target), str(source)], check=True)
        sync_file(target)

    def open(self) -> None:
        command = ["age", "-d", "-i", str(self.identity), "-o", str(self.folder / "age-out"), str(self.folder / "age")]
        subprocess.run(command, check=True)


def main(quick: bool) -> Iterable[Row]:
    size, rounds = (8 << 20, 1) if quick else (1 << 30, 3)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ELPIS_BENCH_DIR")) as name:
        folder = Path(name)
        source = written(folder / "source", size)
        target, out = folder / "ours", folder / "ours-out"
        kept: list[SealedFile] = []

        def seal() -> None:
            target.unlink(missing_ok=True)
            kept.append(seal_file(source, target, KEY))

        def unseal() -> None:
            with out.open("wb") as file:
                file.writelines(open_file(target, KEY, size, sha256=kept[-1].sha256))

        seal()
        unseal()
        if out.read_bytes()[-1000:] != source.read_bytes()[-1000:] if quick else out.stat().st_size != size:
            raise RuntimeError("the file did not come back")
        memory = peak_mb()
        if not present("age"):
            yield Row("attach, seconds (age is not installed)", timed(seal), None, unit="s")
        else:
            age = Age(folder)
            sealing, opening, absolute = [], [], []
            for _ in range(rounds):
                ours = timed(seal)
                sealing.append(ours / timed(lambda: age.seal(source)))
                opening.append(timed(unseal) / timed(age.open))
                absolute.append(size / ours / 1e9)
            yield Row("attach 1 GB / age", median(sealing), 1.3, detail=f"{median(absolute):.2f} GB/s, synced")
            yield Row("read back 1 GB / age -d", median(opening), 1.3, detail="hash of the plaintext checked too")
        if not quick:
            yield Row("attach 1 GB: most memory", memory, 100, unit="MB")
