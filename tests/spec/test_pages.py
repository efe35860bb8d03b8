"""The pages of `spec/`: registries are those of the code, commands exist, every format has a page that names it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.vector_formats import FORMATS
from vault import certificate, errors, primitives, statement
from vault.errors import VaultError

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec"


def page(name: str) -> str:
    return (SPEC / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    return re.split(r"^\*\*|^## ", text.split(title, 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))


def test_the_registry_of_labels_is_the_code_s() -> None:
    assert first_column(section(page("primitives.md"), "**Registry of labels.**")) == set(primitives.LABELS)


def test_the_registry_of_contexts_is_the_code_s() -> None:
    """Contexts are the types of statements, and those given by name to `sign`."""
    named = set()
    for file in (*(ROOT / "vault").rglob("*.py"), *(ROOT / "sync").rglob("*.py")):
        named.update(re.findall(r"sign\(\"([a-z-]+)\"", file.read_text(encoding="utf-8")))
    contexts = set(statement.TYPES) | named
    assert first_column(section(page("primitives.md"), "**Registry of contexts.**")) == contexts


def test_every_label_fits_and_none_begins_another() -> None:
    """Personalisation is padded with zeros: two labels must differ before the padding."""
    padded = {label.encode().ljust(16, b"\0") for label in primitives.LABELS}
    assert len(padded) == len(primitives.LABELS) and all(len(label) == 16 for label in padded)


def constants(*rooms: str) -> Iterator[tuple[str, str]]:
    """(file, text) of every text and byte string in the code of these rooms, without the registry itself."""
    for room in rooms:
        for file in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            tree.body = [node for node in tree.body if not ast.unparse(node).startswith("LABELS = ")]
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                    text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
                    yield str(file.relative_to(ROOT)), text


# Names of other things: of a lock, of threads and files, of what a file of another program is called.
OTHER_NAMES = {"elpis-lock", "elpis-entry", "elpis-ips", "elpis-xdm", "elpis-vault", "elpis-sync", "elpis-watch"}


def test_every_label_is_used_and_whatever_looks_like_one_is_registered() -> None:
    """The reserved one apart, which nothing may use yet."""
    used = {word for _, word in constants("vault", "sync") if re.fullmatch(r"elpis-[a-z]+(-[a-z]+)*", word)}
    assert used - OTHER_NAMES == set(primitives.LABELS) - {"elpis-slot-ring"}


def test_a_label_has_one_purpose() -> None:
    """Only what stands on both sides of one wire, or seals and opens one thing, names a label in two files."""
    places: dict[str, set[str]] = {}
    for file, word in constants("vault", "sync"):
        if word in primitives.LABELS:
            places.setdefault(word, set()).add(file)
    shared = {label: files for label, files in places.items() if len(files) > 1}
    assert shared == {
        "elpis-hash": {"vault/primitives.py", "sync/wire.py"},
        "elpis-chain": {"vault/primitives.py", "sync/wire.py"},
        "elpis-half-tag": {"vault/masking.py", "sync/wire.py"},
        "elpis-head": {"vault/head.py", "vault/vault.py"},
        "elpis-store": {"vault/vault.py", "vault/backup.py"},
    }


def test_failure_classes_are_the_code_s() -> None:
    codes = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VaultError)}
    named = first_column(section(page("README.md"), "## 4. Failure classes"))
    assert named <= codes
    used = set(re.findall(r'"failure": "([a-z-]+)"', "".join(map(Path.read_text, SPEC.rglob("vectors/*/*.json")))))
    assert used <= named


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_page_names_every_format_of_vectors(kind: str) -> None:
    text = page("README.md") + page("primitives.md") + page("encoding.md")
    assert f"`{kind}`" in text or f"`{kind}/`" in text or f"vectors/{kind}/" in text


FORMAT_PAGES = (
    "attachment", "backup", "card", "certificate", "deposit", "encoding", "envelope", "evidence", "grant", "keyslots",
    "opening", "primitives", "recovery", "relay", "replica", "roster", "statement", "storage", "vault-channel",
)  # fmt: skip


@pytest.mark.parametrize("name", FORMAT_PAGES)
def test_a_page_of_a_format_says_what_is_refused_how_large_it_is_and_where_it_is_checked(name: str) -> None:
    text = page(f"{name}.md")
    assert re.search(r"(?i)must\s+(reject|answer|refuse|be refused)", text), "no list of what a reader must reject"
    assert re.search(r"at most|limit|exactly|bytes\(|length", text), "no limits"
    assert "Code:" in text and "`reader/" in text


def test_the_page_of_a_format_names_its_vectors() -> None:
    """A reviewer finds them from the page, not from the list of contents alone."""
    text = "".join(page(f"{name}.md") for name in (*FORMAT_PAGES, "epoch", "feeding"))
    missing = [kind for kind in FORMATS if not re.search(rf"`(vectors/)?{kind}/", text)]
    assert not missing


def test_what_a_page_points_at_exists() -> None:
    """Code, readers and tests that are named with their place."""
    for file in SPEC.glob("*.md"):
        text = file.read_text(encoding="utf-8")
        for path in set(re.findall(r"`((?:vault|sync|tui|tests)/[\w/.-]+\.(?:py|md))`", text)):
            assert (ROOT / path).exists(), f"{file.name}: {path}"
        for path in set(re.findall(r"`(reader/\w+\.py)`", text)):
            assert (SPEC / path).exists(), f"{file.name}: {path}"
        for path in set(re.findall(r"\]\((?!http)([\w./-]+(?:\.md|\.yaml|/))(?:#[\w-]+)?\)", text)):
            assert (SPEC / path).exists(), f"{file.name}: {path}"


@pytest.mark.parametrize("vector", sorted(set(re.findall(r"`vectors/([a-z0-9*/-]+)`", page("threat-model.md")))))
def test_the_threat_model_points_at_vectors_that_exist(vector: str) -> None:
    pattern = vector if "/" in vector else f"{vector}/*"
    assert list((SPEC / "vectors").glob(f"{pattern}.json"))


def test_other_words_for_roles_are_the_code_s() -> None:
    """A second reader has the text alone: a word that is missing there would be another role."""
    rows = re.findall(r"^\| `(\w+)` \| (`.+) \|$", section(page("certificate.md"), "## Roles"), flags=re.MULTILINE)
    assert {word: role for role, words in rows for word in re.findall(r"`(\w+)`", words)} == certificate.ALIASES


def test_the_wording_about_time_is_word_for_word() -> None:
    wording = (
        "After the end date an honest relay has destroyed its half of the key. Whoever then takes the professional's "
        "device, without anything copied earlier, cannot open the document. Each release leaves a signed entry that "
        "the patient can check. Nobody can make a person forget."
    )
    assert wording in page("threat-model.md")
