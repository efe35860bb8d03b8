"""spec/attacks.md: every attack of the table is a test that exists, and every attack test stands in the table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.spec import mutations

TESTS = Path(__file__).parents[1]
PAGE = (Path(__file__).parents[2] / "spec" / "attacks.md").read_text()
NAMED = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))
# The attacks that the design asks for by name; what exists only with later features is not here yet.
WANTED = (
    "swapped recipient key", "unsigned roster entry",
    "every bit flipped in every keyslot and wrap gives one uniform error", "KDF parameters below the floor",
    "every pair of blobs swapped", "chunks dropped, reordered, truncated",
    "each signature under every other context", "replayed envelope", "delayed envelope", "reflected envelope",
    "self-addressed", "self-addressed envelope",
    "re-sealed grant", "rollback of vault", "rollback of relay", "forked relay", "withheld tail",
    "equivocating device", "CRDT panic and bomb", "concurrent revoke and write", "release after the end", "role denied",
    "expired certificate", "wrong-name certificate", "revoked certificate",
    "unknown or lower suite", "low-order keys", "canary strings",
    "terminal escape sequences in names and notes",
)  # fmt: skip


def defined() -> set[tuple[str, str]]:
    return {
        (path.name, node.name)
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_attack_of_the_table_names_tests_that_exist() -> None:
    assert NAMED and not NAMED - defined()
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| attack")]
    assert not [row for row in rows if "::" not in row.split("|")[4]]


def test_every_attack_that_is_asked_for_stands_in_the_table() -> None:
    first = [line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("| ")]
    assert not [name for name in WANTED if not any(cell.startswith(name) for cell in first)]


def test_every_attack_test_stands_in_the_table() -> None:
    here = {name for name in defined() if (TESTS / "spec" / "attacks" / name[0]).exists() and name not in NAMED}
    assert not here


def test_the_checks_of_the_table_exist() -> None:
    """`room.name` in the third column is a function, method or class of that room."""
    for room, names in set(re.findall(r"`(\w+)\.((?:\w+\.)?\w+)`", "\n".join(_checks()))):
        files = [path for top in ("vault", "sync", "tui") for path in (TESTS.parent / top).rglob(f"{room}.py")]
        assert files, room
        name = names.rpartition(".")[2]
        assert any(re.search(rf"^\s*(def|class) {name}\b", path.read_text(), re.M) for path in files), (room, names)


def test_every_mutation_is_one_and_runs_an_attack_test() -> None:
    """The text that a mutation takes out stands exactly once in its file, and its tests exist."""
    known = {name for _, name in defined()}
    for mutation in mutations.MUTATIONS:
        assert mutation.source(TESTS.parent).count(mutation.old) == 1, mutation.name
        assert mutation.old != mutation.new
        assert not [test for test in mutation.tests if test.rpartition("::")[2].partition("[")[0] not in known]


def _checks() -> list[str]:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    return [cells[3] for cells in rows if len(cells) > 4]
