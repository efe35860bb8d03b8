"""Runs the vectors of `spec/vectors` through the product: every file is one input and what must come of it.

A vector passes when the output is exactly the expected one, or when the refusal has exactly the expected failure class
(`code` in vault/errors.py). A format that is not known fails too: a vector that nobody runs proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.wire import WireError
from tui.vector_formats import FORMATS
from vault.errors import InputRefused, Malformed, VaultError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one vector. `found` says what came instead, "" when it passed."""

    id: str
    format: str
    passed: bool
    found: str


class Given:
    """The input of a vector. Bytes are hex in the file; a missing field is the vector's fault, not the product's."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def any(self, name: str) -> Any:
        if name not in self._fields:
            raise InputRefused(f"this vector has no {name}")
        return self._fields[name]

    def blob(self, name: str) -> bytes:
        return bytes.fromhex(self.any(name))

    def blobs(self, name: str) -> list[bytes]:
        return [bytes.fromhex(item) for item in self.any(name)]

    def text(self, name: str) -> str:
        return str(self.any(name))

    def number(self, name: str) -> int:
        return int(self.any(name))

    def given(self, name: str) -> Given:
        return Given(self.any(name))

    def many(self, name: str) -> list[Given]:
        return [Given(item) for item in self.any(name)]


def check_folder(folder: Path) -> Iterator[Outcome]:
    """Every `*.json` below `folder`, in order. InputRefused when there is none, or one that is no vector."""
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise InputRefused(f"no vectors in {folder}")
    for file in files:
        yield check_file(file)


def check_file(file: Path) -> Outcome:
    try:
        vector = json.loads(file.read_bytes())
        name, kind, given, expected = vector["id"], vector["format"], Given(vector["input"]), vector["expected"]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise InputRefused(f"{file.name} is not a vector") from failure
    run = FORMATS.get(kind)
    if run is None:
        return Outcome(name, kind, False, "unknown format")
    try:
        came: dict[str, Any] = {"output": plain(run(given))}
    except WireError as failure:
        came = {"failure": Malformed.code, "why": str(failure)}
    except VaultError as failure:
        came = {"failure": failure.code, "why": str(failure)}
    why = came.pop("why", "")
    passed = came == expected
    return Outcome(name, kind, passed, "" if passed else f"{json.dumps(came)} {why}".strip())


def plain(value: Any) -> Any:
    """JSON form of an output: bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
