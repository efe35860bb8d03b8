"""The command line as such: every verb helps in both languages, options stand anywhere, a start stays light."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tests.tui.commanding import Elpis, environment, passphrase_file, process
from tui import cli, language
from tui.session import duration, moment, rfc3339
from vault import RecoveryKit

LEAVES = list(
    chain.from_iterable(
        [(entry.name, name) for name, _help in entry.verbs] if entry.verbs else [(entry.name,)] for entry in cli.VERBS
    )
)
# The verbs that the specification of this story names: none may go missing.
NAMED = {
    "init", "lock", "import", "add", "amend", "list", "show", "search", "meds", "export", "card", "professional",
    "grant", "grants", "revoke", "trace", "inbox", "contribute", "deposit", "sync", "verify", "relay-view", "relay",
    "authority", "demo", "doctor", "passphrase", "recovery", "vectors",
}  # fmt: skip


def test_every_named_verb_is_there() -> None:
    assert {entry.name for entry in cli.VERBS} >= NAMED


@pytest.mark.parametrize("lang", language.LANGUAGES)
@pytest.mark.parametrize("verb", LEAVES, ids=" ".join)
def test_every_verb_helps(verb: tuple[str, ...], lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*verb, "--help", "--language", lang]) == 0
    out = capsys.readouterr().out
    assert out.startswith({"en": "usage: ", "fr": "usage\u00a0: "}[lang])
    assert "--vault" in out and "--json" in out
    entry = next(entry for entry in cli.VERBS if entry.name == verb[0])
    told = dict(entry.verbs)[verb[1]] if len(verb) > 1 else entry.help
    assert " ".join(language._(told).split()) in " ".join(out.split())


@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_help_lists_every_verb(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([f"--language={lang}", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {entry.name}" in out for entry in cli.VERBS)


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["init"],
        ["list", "--no-such-option"],
        ["professional"],
        ["grant", "--to", "A", "--document", "ab", "--for", "soon", "--purpose", "p"],
        ["grant", "--to", "A", "--document", "ab", "--for", "1h", "--until", "2030-01-01", "--purpose", "p"],
        ["add", "--kind", "wishes"],
        ["meds", "--on", "yesterday"],
        ["init", "--name", "A", "--birth", "21/03/1958", "--recovery-out", "kit"],
        ["init", "--name", "A", "--professional", "--recovery-out", "kit"],
        ["init", "--name", "A"],
    ],
    ids=" ".join,
)
def test_usage_errors_end_with_2(elpis: Elpis, words: list[str]) -> None:
    answer = elpis(*words, code=2)
    assert answer.out == "" and answer.err


def test_usage_errors_speak_french(elpis: Elpis) -> None:
    assert "il manque les arguments suivants" in elpis("--language", "fr", "grant", code=2).err


def test_options_stand_before_and_after_the_verb(elpis: Elpis, tmp_path: Path) -> None:
    assert elpis("list", "--json").out == elpis("--json", "list").out == "[]\n"
    other = tmp_path / "elsewhere"
    assert str(other) in elpis("list", "--vault", other, code=10).err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("elpis ")


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)])
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "0s", "1.5h", "٣h", "9999999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Exception, match="duration"):
        duration(text)


def test_moments() -> None:
    assert moment("2026-12-31T18:00Z") == 1_798_740_000
    assert rfc3339(1_798_740_000) == "2026-12-31T18:00:00Z"
    assert rfc3339(None) is None
    assert moment("2026-12-31") > moment("2026-12-31T23:59:58")


def test_a_start_loads_only_what_it_needs() -> None:
    """`elpis list` without a vault: no screen, no client, no file format, no rich."""
    heavy = ("textual", "asyncio", "httpx2", "rich", "lxml", "pypdfium2", "segno", "platformdirs", "babel", "sync")
    script = (
        "import sys; from tui import cli; cli.main(['list', '--vault', '/nonexistent'])\n"
        f"sys.exit(repr([name for name in {heavy!r} if name in sys.modules] or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.stderr.splitlines()[-1] == "''", done.stderr


# What a list of documents needs nothing of: each of these costs every start of every command some milliseconds.
NOT_FOR_A_LIST = (
    "automerge", "cryptography", "importlib.resources", "secrets", "socket", "sqlite3", "subprocess", "sync",
    "tempfile", "vault.attachment", "vault.channel", "vault.chunk", "vault.devices", "vault.grant", "vault.hybrid",
    "vault.identity", "vault.importers", "vault.people", "vault.quarantine", "vault.recovery", "vault.replica",
    "vault.review", "vault.roster", "vault.sharing", "vault.store.household", "vault.telling", "vault.terminology",
)  # fmt: skip


def test_a_list_loads_only_what_it_needs(made: dict[str, tuple[Path, RecoveryKit]], tmp_path: Path) -> None:
    path = shutil.copytree(made[""][0], tmp_path / "vault")
    words = ["--vault", str(path), "--passphrase-file", str(passphrase_file(tmp_path)), "list"]
    script = (
        f"import sys; from tui import cli; code = cli.main({words!r})\n"
        f"sys.exit(code or repr([name for name in {NOT_FOR_A_LIST!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_the_list_of_verbs_is_there_when_it_may_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A start builds the parser of one verb; help and mistakes show all of them."""
    for words, code in ((["--help"], 0), (["--language", "en", "-h", "list"], 0), (["lizt"], 2), (["-h", "lizt"], 0)):
        assert cli.main(words) == code
        out, err = capsys.readouterr()
        assert "contribute" in out + err, words
    assert cli.main(["list", "--help"]) == 0
    assert "newest first" in capsys.readouterr().out


def test_language_comes_from_the_environment() -> None:
    assert "coffre" in process("list", "--vault", "/nonexistent", environ={"ELPIS_LANG": "fr"}).stderr
    assert "coffre" in process("list", "--vault", "/nonexistent", environ={"LC_ALL": "fr_FR.UTF-8"}).stderr
    assert "vault" in process("list", "--vault", "/nonexistent").stderr
