"""What a folder of files would give: each is read as for an import, nothing is stored, no vault is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from vault.ahead import Ahead
from vault.file_reader import FileReader
from vault.listing import list_files
from vault.outcome import Outcome, Survey, outcome_of
from vault.recognition import Recognizer

THREADS = 2
Progress = Callable[[str, int, int], None]


def survey(
    paths: Iterable[Path], *, limited: bool = True, recognize: bool = True, progress: Progress | None = None
) -> tuple[list[Outcome], Survey]:
    """(what became of each file, the same counted by format)."""
    files, _over = list_files(paths)
    recognizer = Recognizer() if recognize else None
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        count = min(THREADS, os.cpu_count() or 1, max(1, len(files)))
        readers = [stack.enter_context(FileReader(limited=limited, recognizer=recognizer)) for _ in range(count)]
        for group in stack.enter_context(Ahead(files, [reader.read for reader in readers])):
            for path, found in group:
                outcomes.append(outcome_of(found))
                if progress is not None:
                    progress(path.name, len(outcomes), len(files))
    return outcomes, Survey.of(outcomes)


__all__ = ["survey"]
