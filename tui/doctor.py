"""What `elpis doctor` looks at: program, folder, keyslots, disk, head, relay, clock. Each finding is one sentence."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tui import render, wording
from tui.language import _

LIBRARIES = ("pynacl", "sqlcipher3", "automerge", "cbor2", "textual", "httpx2", "lxml", "pypdfium2")
LITTLE_SPACE = 500 << 20
SKEW = 120  # seconds between this clock and the relay's


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `state`: ok, problem, or skipped when it could not be looked at."""

    section: str
    state: str
    told: str


def program() -> Iterator[Finding]:
    """Python and the libraries that hold the house up."""
    running = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding("program", "ok" if fits else "problem", _("Python {version}").format(version=running))
    for name in LIBRARIES:
        try:
            yield Finding("program", "ok", f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield Finding("program", "problem", _("{name} is not installed.").format(name=name))


def folder(path: Path) -> Iterator[Finding]:
    """Who else on this machine could read the vault's files."""
    open_to_others = [
        item.relative_to(path.parent)
        for item in (path, *sorted(path.rglob("*")))
        if not item.is_symlink() and stat.S_IMODE(item.stat().st_mode) & 0o077
    ]
    for item in open_to_others[:5]:
        yield Finding("folder", "problem", _("Others on this machine can open {file}.").format(file=item))
    if not open_to_others:
        yield Finding("folder", "ok", _("Only you can open {path}.").format(path=path))


def keyslots(path: Path, joined: bool | None) -> Iterator[Finding]:
    """Whether there are two ways in: the passphrase and the kit. `joined`: filled from another device, whose kit opens
    that one's folder alone; None when nobody could look."""
    from vault.errors import VaultError
    from vault.keys import Keyslots

    try:
        kinds = [slot.kind for slot in Keyslots.read(path / "keyslots").slots]
    except VaultError:
        yield Finding("keyslots", "problem", _("The file `keyslots` is damaged: put it back from a copy."))
        return
    missing = sorted({"passphrase", "kit"} - set(kinds))
    if missing == ["kit"] and joined is not False:
        told = _("The passphrase has its keyslot. The recovery kit opens the device that it was made on.")
        yield Finding("keyslots", "ok" if joined else "skipped", told)
        return
    for kind in missing:
        yield Finding("keyslots", "problem", _("There is no keyslot for: {kind}.").format(kind=kind))
    if not missing:
        yield Finding("keyslots", "ok", _("The passphrase and the recovery kit have their keyslots."))


def disk(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    state = "problem" if free < LITTLE_SPACE else "ok"
    yield Finding("disk", state, _("{size} are free.").format(size=render.size(free)))
    writable = os.access(path, os.W_OK)
    if not writable:
        yield Finding("disk", "problem", _("The folder cannot be written to."))


def relay(url: str, verify_key: bytes | None) -> Iterator[Finding]:
    """Whether the remembered relay answers, is the one it was, and agrees about the time."""
    from sync.client import RelayClient
    from vault.errors import VaultError

    try:
        with RelayClient(url, verify_key=verify_key) as client:
            about = client.about()
    except VaultError as failure:
        yield Finding("relay", "problem", wording.sentence(failure))
        return
    yield Finding("relay", "ok", _("{url} answers.").format(url=render.clean(url)))
    skew = int(time.time()) - about.time
    if abs(skew) > SKEW:
        told = _("This clock and the relay's are {time} apart.").format(time=render.remaining(abs(skew)))
        yield Finding("clock", "problem", told)
    else:
        yield Finding("clock", "ok", _("This clock and the relay's agree."))
