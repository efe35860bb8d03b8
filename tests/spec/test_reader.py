"""The second reader: it stands alone, and agrees with every vector."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "spec" / "reader"
FORBIDDEN = {"vault", "sync", "tui", "nacl", "cbor2", "automerge", "sqlcipher3", "mnemonic"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: a relative import hides where it leads"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", sorted(READER.glob("*.py")), ids=lambda file: file.stem)
def test_it_imports_nothing_of_the_product(file: Path) -> None:
    for name in imported(file):
        root = name.split(".")[0]
        own = name.startswith("spec.reader")
        assert own or root == "cryptography" or root in sys.stdlib_module_names, f"{file.name} imports {name}"


def test_it_agrees_with_every_vector_and_stands_alone() -> None:
    """Its own process says which modules it ended up with: nothing came in through a side door."""
    command = [sys.executable, "-m", "spec.reader", "--modules", str(ROOT / "spec" / "vectors")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = {line.split(".")[0] for line in done.stdout.splitlines()}
    assert "cryptography" in loaded
    assert not loaded & FORBIDDEN


def test_it_can_disagree(tmp_path: Path) -> None:
    vector = (ROOT / "spec" / "vectors" / "box" / "other-key.json").read_text()
    (tmp_path / "wrong.json").write_text(vector.replace("cannot-open", "malformed"))
    command = [sys.executable, "-m", "spec.reader", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "FAILED box/other-key" in done.stdout
