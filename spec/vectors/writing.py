"""Writes vectors: one JSON file each, the same bytes on every run.

A maker (`make_*.py`) has a function `make()` that returns its `Vectors`. Nothing here or there is random: every key
and nonce is `fixed(name)`, so a changed byte in a vector is a changed format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nacl.bindings as sodium

from vault.primitives import pad

HERE = Path(__file__).parent


def fixed(name: str, size: int = 32) -> bytes:
    """Bytes that only look random, the same for ever."""
    return hashlib.shake_256(b"elpis vectors/" + name.encode()).digest(size)


def plain(value: Any) -> Any:
    """JSON form of a vector's value: bytes as hex; `typed` below says which strings are bytes where it matters."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def typed(value: Any) -> Any:
    """A decoded value with bytes as {"$bytes": hex}, so that text and bytes stay apart in JSON."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [typed(item) for item in value]
    return value


def flip(data: bytes, at: int, bit: int = 0) -> bytes:
    """The same bytes with one bit changed; negative positions count from the end."""
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def seal_fixed(ephemeral: bytes, public: bytes, plaintext: bytes) -> bytes:
    """NaCl sealed box with a given ephemeral secret: libsodium draws its own, and vectors may not change."""
    sender = sodium.crypto_scalarmult_base(ephemeral)
    nonce = hashlib.blake2b(sender + public, digest_size=24).digest()
    return sender + sodium.crypto_box_easy(plaintext, nonce, public, ephemeral)


def seal_padded(ephemeral: bytes, public: bytes, statement: bytes) -> bytes:
    """A statement as it travels in suite 1: the byte of the suite, then padded and sealed."""
    return b"\1" + seal_fixed(ephemeral, public, pad(statement))


@dataclass(slots=True)
class Vectors:
    """The vectors of one format, by file name."""

    format: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def valid(self, name: str, description: str, given: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        self._add(name, description, given, {"output": plain(output)})

    def refused(self, name: str, description: str, failure: str, given: Mapping[str, Any]) -> None:
        self._add(name, description, given, {"failure": failure})

    def _add(self, name: str, description: str, given: Mapping[str, Any], expected: dict[str, Any]) -> None:
        if name in self.files:
            raise ValueError(f"two vectors of the name {self.format}/{name}")
        self.files[name] = {
            "id": f"{self.format}/{name}",
            "format": self.format,
            "description": description,
            "input": plain(given),
            "expected": expected,
        }

    def add(self, others: Vectors) -> None:
        """Those of another maker of the same format."""
        if twice := self.files.keys() & others.files.keys():
            raise ValueError(f"two makers write {self.format}/{min(twice)}")
        self.files |= others.files

    def write(self, folder: Path = HERE) -> None:
        """Every file of this format; one that no maker makes any more goes away."""
        target = folder / self.format
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.json"):
            if old.stem not in self.files:
                old.unlink()
        for name, content in self.files.items():
            text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
            (target / f"{name}.json").write_text(text, encoding="ascii")
