"""Two languages, one catalogue each: complete, compiled, and chosen the way people expect."""

from __future__ import annotations

import ast
import importlib.util
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tui import language as speech

TUI = Path(speech.__file__).parent
PO = {lang: TUI / "locale" / lang / "LC_MESSAGES" / "elpis.po" for lang in speech.LANGUAGES}


def messages(lang: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    with PO[lang].open("rb") as source:
        for message in read_po(source, locale=lang):
            if message.id:
                yield _forms(message.id), _forms(message.string)


def _forms(part: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else tuple(part or ())


def test_catalogues_are_fresh_complete_and_compiled() -> None:
    script = TUI / "locale" / "build.py"
    run = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert run.stdout == "" and run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("lang", speech.LANGUAGES)
def test_translations_keep_their_placeholders(lang: str) -> None:
    def fields(text: str) -> set[str]:
        named = {name for _, name, _, _ in string.Formatter().parse(text.replace("%(", "%((")) if name}
        return named | set(re.findall(r"%\(\w+\)[sdr]|%[sdr]", text))

    for ids, strings in messages(lang):
        if not all(strings):
            continue  # told by the test above
        for text in strings:
            assert fields(text) <= set().union(*map(fields, ids)), (ids, text)
            assert fields(ids[-1]) == fields(strings[-1]), (ids, text)


def test_french_is_typeset() -> None:
    for _, strings in messages("fr"):
        for text in strings:
            assert not re.search(r" [:;!?»]|« ", text), text


def test_no_formatted_string_is_marked_for_translation() -> None:
    """`_(f"...")` can never be found in a catalogue."""
    for path in TUI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "ngettext"):
                assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("environ", "vault", "expected"),
    [
        ({}, "", "en"),
        ({"LANG": "fr_FR.UTF-8"}, "", "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "de_DE.UTF-8"}, "", "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "fr"}, "", "fr"),
        ({"LANG": "frr_DE"}, "", "en"),
        ({"LANG": "fr_FR"}, "en", "en"),
        ({"LANG": "en_GB", "ELPIS_LANG": "fr"}, "en", "fr"),
        ({"LANG": "C"}, "fr", "fr"),
    ],
)
def test_choice(environ: dict[str, str], vault: str, expected: str) -> None:
    assert speech.choose_language(environ, vault) == expected


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no such language"):
        speech.set_language("tlh")


def test_babel_is_not_needed_to_run() -> None:
    assert importlib.util.find_spec("babel") is not None
    script = "import tui.language, sys; tui.language._('x'); sys.exit('babel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
