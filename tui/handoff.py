"""Hands an attachment to another program; the copies in other programs' hands are wiped.

A copy lives in a folder kept in memory by the system (never on a disk when there is one), readable by this user alone.
It is overwritten and removed when the vault is locked, when the access ends and when Elpis ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from tui.files import write_private
from tui.render import clean
from vault.errors import InputRefused

_MEMORY = ("/dev/shm",)  # noqa: S108 - kept in memory by the system; the folder made in it is private and random
_EXTENSIONS = {
    "application/pdf": ".pdf", "text/plain": ".txt", "text/xml": ".xml", "application/xml": ".xml",
    "image/jpeg": ".jpg", "image/png": ".png", "application/fhir+json": ".json", "application/json": ".json",
    "application/dicom": ".dcm",
}  # fmt: skip


class Handoff:
    """The copies now in other programs' hands."""

    def __init__(self, folders: Iterable[str] = _MEMORY) -> None:
        self._folders = tuple(folders)
        self._folder: Path | None = None

    def copy(self, chunks: Iterable[bytes], media_type: str) -> Path:
        """A copy with a random name; the name that the file came with is never used."""
        if self._folder is None:
            parent = next((name for name in self._folders if os.access(name, os.W_OK)), None)
            self._folder = Path(tempfile.mkdtemp(prefix="elpis-", dir=parent))
        path = self._folder / (secrets.token_hex(8) + _EXTENSIONS.get(media_type, ".bin"))
        write_private(path, chunks)
        return path

    def open_with(self, chunks: Iterable[bytes], media_type: str) -> None:
        """Copies, and asks the system for the program that goes with this kind of file."""
        program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
        if program is None:
            raise InputRefused("no program here opens files of this kind")
        path = self.copy(chunks, media_type)
        viewer = subprocess.Popen(
            [program, str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        # Nobody waits for it here; once it has ended it must not stay behind as a dead process either.
        threading.Thread(target=viewer.wait, name="elpis-viewer", daemon=True).start()

    def wipe(self) -> None:
        """Overwrites and removes every copy."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink():
                _overwrite(path)
        shutil.rmtree(folder, ignore_errors=True)


def file_name(name: str, media_type: str) -> str:
    """A name to propose for saving: what the file came with, without folders and without leading dots."""
    plain = clean(name).replace("/", "-").replace("\\", "-").lstrip(".")
    return plain or "document" + _EXTENSIONS.get(media_type, ".bin")


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
