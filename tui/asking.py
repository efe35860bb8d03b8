"""Asking a person at a terminal: passphrase without echo, a typed name, words of the recovery kit.

A passphrase is never an argument. It comes from a file, a file descriptor, a command of the person's choice, or the
terminal; when none of these is there, VaultLocked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tui.language import _
from vault.errors import InputRefused, UnlockFailed, VaultLocked

MAX_PASSPHRASE = 4096


class UsageError(Exception):
    """The command line asks for something that cannot be meant or done: exit code 2."""

    code = "usage"


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def passphrase(file: str | None, descriptor: int | None, *, new: bool = False, command: bool = True) -> str:
    """The passphrase: --passphrase-file, --passphrase-fd, ELPIS_PASSPHRASE_COMMAND, the terminal (twice when new)."""
    program = os.environ.get("ELPIS_PASSPHRASE_COMMAND") if command else None
    if file is not None:
        with open(file, "rb") as source:
            given = _first_line(source.read(MAX_PASSPHRASE + 1))
    elif descriptor is not None:
        given = _from_descriptor(descriptor)
    elif program:
        given = _from_command(program)
    elif at_terminal():
        given = _typed(new)
    else:
        raise VaultLocked()
    if new and not given:
        raise InputRefused(_("The passphrase is empty."))
    return given


def typed_name(name: str, warning: str) -> bool:
    """Whether the person typed `name`, after reading what is about to happen. UsageError when nobody is there."""
    if not at_terminal():
        raise UsageError(_("Nobody is here to confirm: add --yes."))
    _say(warning)
    answer = _line(_("Type {name!r} to go on: ").format(name=name))
    return " ".join(answer.casefold().split()) == " ".join(name.casefold().split())


def agrees(question: str) -> bool:
    """Whether the person answered yes."""
    return _line(question + " " + _("[y/N] ")).strip().casefold() in ("y", "yes", "o", "oui")


def line(question: str) -> str:
    """One typed line, "" for nothing."""
    return _line(question).strip()


def asked_back(words: Sequence[str]) -> bool:
    """Whether the person can give three words of the recovery kit back, in three tries each."""
    import secrets

    for place in sorted(secrets.SystemRandom().sample(range(len(words)), 3)):
        for _try in range(3):
            if _line(_("Word {n} of the kit: ").format(n=place + 1)).strip().casefold() in _spellings(words[place]):
                break
            _say(_("No, that is another word. Read it again on your sheet."))
        else:
            return False
    return True


def _spellings(word: str) -> tuple[str, str]:
    """As printed, and without its accents."""
    import unicodedata

    parts = unicodedata.normalize("NFKD", word.casefold())
    return (word.casefold(), "".join(mark for mark in parts if not unicodedata.combining(mark)))


def _typed(new: bool) -> str:
    import getpass

    if not new:
        return getpass.getpass(_("Passphrase: "), sys.stderr)
    while True:
        first = getpass.getpass(_("New passphrase: "), sys.stderr)
        if first and first == getpass.getpass(_("The same again: "), sys.stderr):
            return first
        _say(_("The two are not the same, or empty. Try again."))


def hidden(question: str) -> str:
    """An answer typed without echo."""
    import getpass

    return getpass.getpass(question, sys.stderr)


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _from_descriptor(descriptor: int) -> str:
    with open(descriptor, "rb", closefd=False) as source:
        return _first_line(source.read(MAX_PASSPHRASE + 1))


def _from_command(command: str) -> str:
    """Standard output of ELPIS_PASSPHRASE_COMMAND, its first line."""
    import shlex
    import subprocess

    try:
        run = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as failure:
        raise VaultLocked(_("ELPIS_PASSPHRASE_COMMAND cannot be run: {why}").format(why=failure)) from failure
    if run.returncode:
        raise VaultLocked(_("ELPIS_PASSPHRASE_COMMAND ended with {code}").format(code=run.returncode))
    return _first_line(run.stdout)


def _first_line(data: bytes) -> str:
    line = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if len(line) > MAX_PASSPHRASE:
        raise InputRefused(_("The passphrase is too long."))
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UnlockFailed(_("The passphrase is not UTF-8 text.")) from None
