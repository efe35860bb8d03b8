"""Letters in pictures and scans, read by tesseract where it is installed; without it they stay pictures.

tesseract is another program: it gets one picture on its standard input, answers text, and runs with its own limits of
time and memory, without any file of the vault. It needs its French and English data (Debian: tesseract-ocr,
tesseract-ocr-fra).
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from vault.document import Document, Read
from vault.errors import ForeignChange, InputRefused
from vault.importers.other import size_of_picture
from vault.importers.reading import MAX_TEXT, clean_text

LANGUAGES = ("fra", "eng")
SECONDS = 60
MEMORY = 1 << 30
MAX_PAGES = 50  # of one file
MAX_PIXELS = 60_000_000
MIN_SIDE = 40
MAX_OUTPUT = 1 << 20
RECOGNIZED = "its text was read from the picture by tesseract and may hold mistakes"
_WITHOUT_TEXT = ("no text in", "a picture: its text is not searchable", "the embedded PDF has no readable text")

Render = Callable[[bytes, int], bytes]  # (PDF, page) -> picture


class Recognizer:
    """One tesseract after another, or none. Threads may share it."""

    def __init__(self, program: str = "tesseract") -> None:
        self._program = shutil.which(program)
        self._lock = threading.Lock()
        self._without = 0
        self._running: set[subprocess.Popen[bytes]] = set()

    @cached_property
    def languages(self) -> str:
        """The languages to ask for, "" when it cannot read any."""
        if self._program is None:
            return ""
        try:
            told = subprocess.run([self._program, "--list-langs"], capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        known = told.stdout.decode("utf-8", "replace").split()
        return "+".join(language for language in LANGUAGES if language in known)

    def improve(self, read: Read, render: Render) -> Read:
        """The document with the text of its pictures and of its pages without text."""
        wanted = list(_pictures(read))
        if not wanted:
            return read
        if not self.languages:
            with self._lock:
                self._without += 1
            return read
        texts = [text for picture in _drawn(wanted, render) if (text := self.text_of(picture))]
        if not texts:
            return read
        text = clean_text("\n\n".join(filter(None, (read.document.text, *texts))))[:MAX_TEXT]
        said = tuple(warning for warning in read.warnings if not warning.startswith(_WITHOUT_TEXT))
        return replace(read, document=replace(read.document, text=text), warnings=(*said, RECOGNIZED))

    def text_of(self, picture: bytes) -> str:
        """The letters in a picture, "" when there are none or tesseract gave up."""
        if self._program is None:
            return ""
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_THREAD_LIMIT": "1"}
        if prefix := os.environ.get("TESSDATA_PREFIX"):
            environment["TESSDATA_PREFIX"] = prefix
        try:
            process = subprocess.Popen(
                [self._program, "stdin", "stdout", "-l", self.languages],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            return ""
        with self._lock:
            self._running.add(process)
        with process:
            try:
                _confine(process.pid)
                told, _ = process.communicate(picture, timeout=SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                told = b""
            finally:
                process.kill()
                with self._lock:
                    self._running.discard(process)
        return told[:MAX_OUTPUT].decode("utf-8", "replace").strip() if process.returncode == 0 else ""

    def abort(self) -> None:
        """Ends what is being read, from another thread."""
        with self._lock:
            for process in self._running:
                process.kill()

    def notes(self) -> list[str]:
        """What is to be said about pictures whose letters nobody read."""
        if not self._without:
            return []
        return [f"tesseract is not installed: {self._without} scan(s) or picture(s) came in without text for search"]


def _confine(pid: int) -> None:
    """Limits of a program that has not been given its picture yet."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ProcessLookupError):
            resource.prlimit(pid, limit, (value, value))


def _pictures(read: Read) -> Iterator[tuple[bytes, tuple[int, ...] | None]]:
    """(file, its pages without text; None for a picture) of what may hold letters that nobody can search."""
    document = read.document
    blank = tuple(int(page) for page in read.part.get("blank_pages", "").split(",") if page)
    for attachment in document.attachments:
        data = read.files.get(attachment.sha256)
        if not isinstance(data, bytes):
            continue
        if attachment.media_type == "application/pdf" and (blank or _bare(document)):
            yield data, blank or tuple(range(MAX_PAGES))
        elif attachment.media_type.startswith("image/") and _bare(document):
            width, height = size_of_picture(data, attachment.media_type)
            if width * height <= MAX_PIXELS and (min(width, height) >= MIN_SIDE or not width):
                yield data, None


def _bare(document: Document) -> bool:
    return not document.text and not document.entries


def _drawn(wanted: list[tuple[bytes, tuple[int, ...] | None]], render: Render) -> Iterator[bytes]:
    """One picture after another: none waits in memory."""
    left = MAX_PAGES
    for data, pages in wanted:
        if pages is None:
            yield data
            continue
        for page in pages[:left]:
            left -= 1
            try:
                yield render(data, page)
            except (InputRefused, ForeignChange):
                break


__all__ = ["RECOGNIZED", "Recognizer"]
