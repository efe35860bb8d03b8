"""Every error has its sentence, its next step and its exit code, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vault.errors
from sync.client import RelayRefused, RelayUnreachable
from tui import details, language, wording
from tui.asking import UsageError
from vault.errors import VaultError


def everything(kind: type[VaultError]) -> Iterator[type[VaultError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from everything(child)


@pytest.mark.parametrize("kind", sorted(everything(VaultError), key=str))
def test_every_error_of_the_tree_is_worded(kind: type[VaultError]) -> None:
    assert kind.code in wording.codes()


EXPECTED = [
    (VaultError("x"), 1),
    (UsageError("x"), 2),
    (RelayUnreachable("x"), 3),
    (RelayRefused(500, "x"), 1),
    (vault.errors.VaultLocked(), 4),
    (vault.errors.NoVault(), 10),
    (vault.errors.VaultBusy(), 11),
    (vault.errors.UnlockFailed(), 12),
    (vault.errors.AccessEnded(), 13),
    (vault.errors.RoleDenied(), 14),
    (vault.errors.RolledBack(), 14),
    (vault.errors.RelayContradiction(), 14),
    (vault.errors.InputRefused(), 1),
    (KeyboardInterrupt(), 130),
    (OSError(28, "No space left on device"), 1),
]


@pytest.mark.parametrize(("error", "code"), EXPECTED)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert wording.words(error).exit_code == code


def test_every_failed_verification_ends_with_14() -> None:
    for kind in everything(vault.errors.VerificationFailed):
        assert wording.of_code(kind.code).exit_code == 14


@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_words_are_in_the_language_spoken(lang: str) -> None:
    before = language.language()
    try:
        language.set_language(lang)
        worded = wording.words(vault.errors.NoVault("/somewhere"))
        assert worded.sentence == {"en": "There is no vault here.", "fr": "Il n’y a pas de coffre ici."}[lang]
        assert worded.detail == "/somewhere" and "elpis init" in worded.step
    finally:
        language.set_language(before)


def test_a_bare_error_repeats_nothing_and_details_are_cleaned() -> None:
    assert wording.words(vault.errors.NotFound()).detail == ""
    assert "\x1b" not in wording.sentence(vault.errors.NotFound("\x1b[31mred"))


def test_every_detail_is_said_somewhere() -> None:
    """A fact that nobody states any more is taken out of the list; one that was reworded is followed."""
    root = Path(details.__file__).parents[1]
    said = "\n".join(
        node.value
        for room in ("vault", "sync", "tui/screens")
        for path in (root / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    # These begin with one word or another; the rest of them is looked for.
    parts = {part.strip() for fact in details.FACTS for part in re.split(r"\{\w+\}|^no |^more than one ", fact)}
    assert {part for part in parts if part not in said and not re.search(re.sub(r"\d+", ".*", part), said)} == set()


def test_details_keep_what_varies() -> None:
    before = language.language()
    try:
        language.set_language("fr")
        assert details.translated("2 people fit 'Noël'") == "2 personnes correspondent à 'Noël'"
        assert details.translated("no vault in /a {b}") == "pas de coffre dans /a {b}"
        assert details.translated("something that nobody translated") == "something that nobody translated"
    finally:
        language.set_language(before)


def test_a_hint_is_the_better_next_step() -> None:
    assert wording.words(vault.errors.InputRefused("x", hint="Ask again.")).step == "Ask again."
