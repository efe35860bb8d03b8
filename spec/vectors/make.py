"""Every vector anew: `python -m spec.vectors.make`. Running it twice changes nothing; a test proves it."""

from __future__ import annotations

import importlib
from pathlib import Path

from spec.vectors.writing import HERE, Vectors


def makers() -> list[str]:
    return sorted(path.stem for path in HERE.glob("make_*.py"))


def all_vectors() -> list[Vectors]:
    """What every maker makes, each format once, whoever adds to it."""
    made: dict[str, Vectors] = {}
    for name in makers():
        for vectors in importlib.import_module(f"spec.vectors.{name}").make():
            made.setdefault(vectors.format, Vectors(vectors.format)).add(vectors)
    return list(made.values())


def write_all(folder: Path = HERE) -> int:
    """The number of vectors written."""
    made = all_vectors()
    for vectors in made:
        vectors.write(folder)
    return sum(len(vectors.files) for vectors in made)


if __name__ == "__main__":
    print(f"{write_all()} vectors")
