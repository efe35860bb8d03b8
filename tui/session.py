"""One run of the command line: which vault, how it is opened, how answers are given.

stdout carries data and stderr talk. `Session.give` prints JSON or text; `Session.say` talks.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import asking
from tui.asking import UsageError
from tui.language import _, choose_language, set_language

if TYPE_CHECKING:
    from sync.exchange import Event, Exchange
    from vault import Vault


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: how its arguments are read and what it does. `writes` gives it --dry-run."""

    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Session], int]
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb is given: its arguments, and the ways to the vault and to the person."""

    args: argparse.Namespace

    @property
    def path(self) -> Path:
        """--vault, ELPIS_VAULT, or the place that this system keeps such things in."""
        given = self.args.vault or os.environ.get("ELPIS_VAULT")
        if given:
            return Path(given).expanduser()
        import platformdirs

        return platformdirs.user_data_path("elpis") / "vault"

    @property
    def json(self) -> bool:
        return bool(self.args.json)

    @property
    def width(self) -> int:
        """Columns to fill: those of the terminal, 80 when there is none."""
        import shutil

        return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80

    @property
    def dry_run(self) -> bool:
        return bool(getattr(self.args, "dry_run", False))

    def passphrase(self, *, new: bool = False) -> str:
        return asking.passphrase(self.args.passphrase_file, self.args.passphrase_fd, new=new)

    @contextlib.contextmanager
    def vault(self) -> Iterator[Vault]:
        """The vault, open; it says which language to speak unless the person has."""
        from vault import Vault
        from vault.errors import NoVault

        path = self.path
        if not (path / "keyslots").exists() and not (path / "vault.db").exists():
            raise NoVault(str(path))
        with Vault.unlock(path, self.passphrase()) as vault:
            if not self.args.language:
                set_language(choose_language(os.environ, vault.language))
            yield vault

    def exchange(self, vault: Vault) -> Exchange:
        from sync.exchange import Exchange

        return Exchange(vault, caught=self._caught)

    def _caught(self, event: Event) -> None:
        """A relay contradicted itself while this command spoke to it."""
        from tui import render

        self.say(render.events([event]))

    def refresh(self, vault: Vault) -> bool:
        """Sends and fetches when a relay is known. False, and said, when it does not answer."""
        from sync.client import RelayUnreachable

        if vault.people.relay() is None:
            return False
        try:
            with self.exchange(vault) as exchange:
                for event in exchange.sync().contradictions:
                    self._caught(event)
        except RelayUnreachable:
            self.say(_("The relay cannot be reached: this is what had come before."))
            return False
        return True

    def give(self, data: Any, text: Callable[[], str] | str = "") -> None:
        """The answer, on stdout: JSON when asked for, else text; nothing when the text is empty."""
        if self.json:
            self.give_json(data)
            return
        shown = text if isinstance(text, str) else text()
        if shown:
            sys.stdout.write(shown + "\n")

    def give_json(self, data: Any) -> None:
        """JSON on stdout. A terminal gets no mark that could reorder or recolour what stands around it."""
        import json

        sys.stdout.write(json.dumps(data, ensure_ascii=sys.stdout.isatty(), indent=1) + "\n")

    def say(self, sentence: str) -> None:
        sys.stderr.write(sentence + "\n")

    def confirm(self, name: str, warning: str) -> None:
        """Goes on once the person has typed `name`, or said --yes beforehand."""
        if not self.args.yes and not asking.typed_name(name, warning):
            raise UsageError(_("The name was not the same: nothing was done."))


def rfc3339(seconds: float | None) -> str | None:
    """Seconds since 1970 as RFC 3339 in UTC, as every JSON answer gives them."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def duration(text: str) -> int:
    """Seconds in "5s", "30m", "24h", "7d". For argparse."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not (number.isascii() and number.isdigit()) or not 0 < int(number) < 1_000_000_000:
        raise argparse.ArgumentTypeError(_("{text!r} is not a duration: 5s, 30m, 24h, 7d").format(text=text))
    return int(number) * units[unit]


def moment(text: str) -> int:
    """Seconds since 1970 of an RFC 3339 date (its last second, local time) or date-time. For argparse."""
    from datetime import datetime

    try:
        when = datetime.fromisoformat(text)
    except ValueError as failure:
        raise argparse.ArgumentTypeError(
            _("{text!r} is not a date: 2026-12-31 or 2026-12-31T18:00Z").format(text=text)
        ) from failure
    if len(text) <= 10:
        when = when.replace(hour=23, minute=59, second=59)
    return int(when.timestamp() if when.tzinfo else time.mktime(when.timetuple()))
