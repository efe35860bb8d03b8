"""The edges of a shape: each field at its limit, and one beyond it. What the pages say in words is a table here."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GREATEST = 2**63 - 1
LAST_SECOND = 253_402_300_799


@dataclass(frozen=True)
class Edge:
    """What a field may be at most and at least, and what is one beyond either."""

    most: Any
    least: Any
    beyond: Mapping[str, tuple[str, Any]]  # how it is named -> (in words, the value)


Edges = Mapping[str, Edge]


def exact(size: int) -> Edge:
    filler = bytes([7]) * size
    return Edge(None, None, {f"{size - 1}": (f"of {size - 1} bytes", filler[1:])})


def at_most(size: int) -> Edge:
    return Edge(bytes(size), b"", {f"{size + 1}": (f"of {size + 1} bytes", bytes(size + 1))})


def text(size: int) -> Edge:
    return Edge("\u00e9" * size, "", {f"{size + 1}": (f"of {size + 1} characters", "x" * (size + 1))})


def whole(least: int = 0, most: int = GREATEST) -> Edge:
    """Over 2^63 - 1 there is no number in any format: `encoding/number-over`."""
    under = "negative" if least == 0 else str(least - 1)
    beyond = {under: ("under its least", least - 1)}
    if most < GREATEST:
        beyond[str(most + 1)] = ("over its greatest", most + 1)
    return Edge(most, least, beyond)


def time() -> Edge:
    beyond = {"10000": ("in the year 10000", LAST_SECOND + 1), "negative": ("before 1970", -1)}
    return Edge(LAST_SECOND, 0, beyond)


def suite() -> Edge:
    """No edge of it is valid: what is not known is refused otherwise."""
    return Edge(None, None, {"256": ("of two bytes", 256), "negative": ("under zero", -1)})


def of_bytes(size: int, characters: int) -> str:
    """Text of so many characters that is so many bytes of UTF-8, up to four of one character."""
    whole_ones, rest = divmod(size - characters, 3)
    letters = "\U0001f3e5" * whole_ones + ("\u00e9" if rest == 1 else "\u20ac" if rest == 2 else "")
    return letters + "t" * (characters - len(letters))


def many(item: Any, size: int) -> Edge:
    return Edge([item] * size, [], {f"{size + 1}": (f"with {size + 1} of them", [item] * (size + 1))})


def put(fields: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The fields with another value at a path: names and, in lists, places."""
    changed = copy.deepcopy(dict(fields))
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place: Any = changed
    for part in way:
        place = place[part]
    place[last] = value
    return changed


def beyond(fields: Mapping[str, Any], edges: Edges) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, description, fields) with one field beyond its limit, each in turn."""
    for path, edge in edges.items():
        shown = "-".join(part for part in path.split(".") if not part.isdigit())
        for name, (words, value) in edge.beyond.items():
            description = f"{' of '.join(reversed(shown.replace('_', ' ').split('-')))} {words}"
            yield f"{shown.replace('_', '-')}-{name}", description, put(fields, path, value)


def at_edge(fields: Mapping[str, Any], edges: Edges, *, greatest: bool, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields, each at its limit, apart from those that the rules of the format bind."""
    for path, edge in edges.items():
        value = edge.most if greatest else edge.least
        if value is not None and path not in but:
            fields = put(fields, path, value)
    return dict(fields)
