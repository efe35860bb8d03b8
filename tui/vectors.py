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
from vault.primitives import LABELS


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
        return unhex(self.any(name))

    def blobs(self, name: str) -> list[bytes]:
        return [unhex(item) for item in self.items(name)]

    def text(self, name: str) -> str:
        return str(self.any(name))

    def label(self, name: str) -> str:
        """A label of the registry: no other ever comes out of a file."""
        if self.any(name) not in LABELS:
            raise InputRefused("this vector has a label that is not registered")
        return str(self.any(name))

    def number(self, name: str) -> int:
        value = self.any(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputRefused(f"the {name} of this vector is no whole number")
        return value

    def given(self, name: str) -> Given:
        return _given(self.any(name))

    def many(self, name: str) -> list[Given]:
        return [_given(item) for item in self.items(name)]

    def pairs(self, name: str) -> dict[bytes, bytes]:
        """An object whose names and values are byte strings."""
        inner = self.given(name)
        return {unhex(key): inner.blob(key) for key in inner._fields}

    def items(self, name: str) -> list[Any]:
        value = self.any(name)
        if not isinstance(value, list):
            raise InputRefused(f"the {name} of this vector is no list")
        return value


def unhex(text: object) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError as failure:
        raise InputRefused("a byte string of this vector is not hexadecimal") from failure


def _given(fields: object) -> Given:
    if not isinstance(fields, dict):
        raise InputRefused("a part of this vector is no object")
    return Given(fields)


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
        name, kind, expected = str(vector["id"]), str(vector["format"]), vector["expected"]
        given = _given(vector["input"])
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
