"""`open`: the screens. `lock`: tell them to lock."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tui.asking import UsageError
from tui.language import _, choose_language
from tui.session import Session, Verb

PATIENCE = 5.0


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _open(session: Session) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_("The screens need a terminal. `elpis --help` shows what can be done without one."))
    from tui import app

    return app.run(session.path, session.args.language or choose_language())


def _lock(session: Session) -> int:
    """Asks whoever holds the vault to lock it. The signal is only sent while the lock on `busy` is really held."""
    from vault.errors import NoVault, VaultBusy

    path = session.path
    if not (path / "keyslots").exists():
        raise NoVault(str(path))
    holder = _holder(path / "busy")
    if holder is None:
        session.give({"locked": True, "was_open": False}, _("The vault is locked already."))
        return 0
    if holder > 0:
        os.kill(holder, signal.SIGUSR1)
    end = time.monotonic() + PATIENCE
    while _holder(path / "busy") is not None:
        if time.monotonic() > end:
            raise VaultBusy(str(path))
        time.sleep(0.05)
    session.give({"locked": True, "was_open": True}, _("The vault is locked now."))
    return 0


def _holder(busy: Path) -> int | None:
    """The process that has the vault open, 0 when it does not say which; None when nobody has."""
    import fcntl

    try:
        with busy.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read(20).strip()
                return int(text) if text.isdigit() else 0
    except FileNotFoundError:
        pass
    return None


VERBS = {"open": Verb(_nothing, _open), "lock": Verb(_nothing, _lock)}
