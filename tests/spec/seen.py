"""Runs the second reader on every vector and notes which values its checks saw: `python -m tests.spec.seen` prints the
limits without a vector at the limit and one beyond it, and the sizes that the reader reads within.

The checks of `spec.reader.cbor` are replaced by ones that remember, before anything else of the reader is imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spec.reader import cbor
from spec.reader.refusal import Refused

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
SHAPELESS = {"argon2id"}  # slow, and without a shape
ENCODING = 2**63  # over every number that the encoding knows
_current = [""]
_checks: list[Check] = []
_sizes: dict[int, tuple[Mapping[str, Any], int]] = {}


class Check:
    """A check with its limits, and at which vectors it measured what."""

    def __init__(self, low: int, high: int, measure: Callable[[Any], int | None], test: Callable[[Any], bool]) -> None:
        self.low, self.high, self._measure, self._test = low, high, measure, test
        self.exact = low == high
        self.number = measure is _number
        self.seen: dict[int, set[str]] = {}
        self.names: set[str] = set()
        self.inner: Any = None
        _checks.append(self)

    def __call__(self, value: Any) -> bool:
        measured = self._measure(value)
        if measured is not None:
            self.seen.setdefault(measured, set()).add(_current[0])
        return self._test(value)


def _length(kind: type) -> Callable[[Any], int | None]:
    return lambda value: len(value) if isinstance(value, kind) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _replace() -> None:
    blob, text, whole, list_of, map_of = cbor.blob, cbor.text, cbor.whole, cbor.list_of, cbor.map_of
    shape, or_null, statement = cbor.shape, cbor.or_null, cbor.statement

    def note(check: Check, inner: Any = None) -> Any:
        check.inner = inner
        return check

    def new_blob(size: int | None = None, most: int = 1 << 20) -> Any:
        low, high = (0, most) if size is None else (size, size)
        return Check(low, high, _length(bytes), blob(size, most))

    def new_whole(low: int = 0, high: int = cbor.GREATEST) -> Any:
        return Check(low, high, _number, whole(low, high))

    def unlimited(test: Callable[[Any], bool], inner: Any) -> Any:
        """Named with what is inside; it has no limit of its own."""
        check = Check(0, 0, lambda value: None, test)
        _checks.remove(check)
        return note(check, inner)

    def new_statement(data: bytes, limit: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        _sizes[id(fields)] = (fields, limit)
        return statement(data, limit, fields)

    replaced: dict[str, Any] = {
        "blob": new_blob,
        "text": lambda most: Check(0, most, _length(str), text(most)),
        "whole": new_whole,
        "moment": lambda: new_whole(0, 253_402_300_799),
        "list_of": lambda inner, most: note(Check(0, most, _length(list), list_of(inner, most)), inner),
        "map_of": lambda inner, most: note(Check(0, most, _length(dict), map_of(inner, most)), inner),
        "shape": lambda fields: unlimited(shape(fields), fields),
        "or_null": lambda inner: unlimited(or_null(inner), inner),
        "statement": new_statement,
    }
    for name, new in replaced.items():
        setattr(cbor, name, new)


def _name(path: str, check: Any) -> None:
    if isinstance(check, Mapping):
        for key, inner in check.items():
            _name(f"{path}.{key}", inner)
    elif isinstance(check, Check):
        check.names.add(path)
        if check.inner is not None:
            _name(path, check.inner)


def _shapes() -> dict[str, Any]:
    """Every shape of the reader by its name."""
    return {
        f"{module.__name__.rsplit('.', 1)[1]}.{name}": value
        for module in list(sys.modules.values())
        if module.__name__.startswith("spec.reader.")
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, (dict, Check))
    }


def _run() -> dict[str, str]:
    """What came of each vector: "" or the failure class."""
    from spec.reader.formats import FORMATS

    came = {}
    for file in sorted(VECTORS.glob("*/*.json")):
        vector = json.loads(file.read_bytes())
        if vector["format"] in SHAPELESS:
            continue
        _current[0] = vector["id"]
        try:
            FORMATS[vector["format"]](vector["input"])
            came[vector["id"]] = ""
        except Refused as refusal:
            came[vector["id"]] = refusal.code
    return came


def _gaps(check: Check, came: Mapping[str, str]) -> list[int]:
    """The values beside a limit that no vector has: taken inside of it, refused beyond it."""

    def have(value: int, *, inside: bool) -> bool:
        unread = ("malformed", "unlock-failed")
        return any((came[one] in unread) != inside for one in check.seen.get(value, ()))

    if check.exact:
        return [] if have(check.low - 1, inside=False) or have(check.low + 1, inside=False) else [check.low]
    wanted = [(check.high, True), (check.high + 1, False)]
    if check.number:
        wanted += [(check.low, True), (check.low - 1, False)]
    return [value for value, inside in wanted if value != ENCODING and not have(value, inside=inside)]


def main() -> None:
    _replace()
    import spec.reader.formats  # noqa: F401  everything of the reader, with the new checks

    shapes = _shapes()
    for path, shape in shapes.items():
        _name(path, shape)
    came = _run()
    named = [(min(check.names), check) for check in _checks if check.names]
    # A suite has no edge that is taken: what is not known is refused in another way.
    gaps = {name: gap for name, check in named if not name.endswith(".suite") and (gap := _gaps(check, came))}
    sizes = {name: _sizes[id(shape)][1] for name, shape in shapes.items() if id(shape) in _sizes}
    print(json.dumps({"gaps": gaps, "sizes": sizes}, sort_keys=True))


if __name__ == "__main__":
    main()
