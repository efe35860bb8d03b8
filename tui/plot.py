"""A series of measurements as a picture made of letters: one line of bars, or a field of Braille dots with its axes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tui.render import clean, date
from vault.review.profile import Series

BARS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a Braille cell, by row and column
HEIGHT = 8
_LEAST = 20

Measured = list[tuple[float, float]]  # (seconds since 1970, value), oldest first


def bars(series: Series, width: int = 24) -> str:
    """The newest numbers of a series as bars of eight heights; "" when there are fewer than three."""
    values = [value for _, value in measured(series)][-width:]
    if len(values) < 3:
        return ""
    low, high = min(values), max(values)
    step = (high - low) / (len(BARS) - 1)
    return "".join(BARS[round((value - low) / step) if step else 3] for value in values)


def plot(series: Series, width: int, height: int = HEIGHT) -> list[str]:
    """The numbers over time, highest and lowest at the left, first and last day below. [] without two of them."""
    points = measured(series)
    if len(points) < 2:
        return []
    low, high = min(value for _, value in points), max(value for _, value in points)
    marks = [_number(high), _number(low)]
    margin = max(map(len, marks)) + 1
    across = max(_LEAST, width - margin - 1)
    rows = _field(points, across, height, low, high)
    left = [marks[0], *[""] * (height - 2), marks[1]]
    lines = [f"{mark:>{margin - 1}} │{row}".rstrip() for mark, row in zip(left, rows, strict=True)]
    first, last = date(_day(series, points[0])), date(_day(series, points[-1]))
    gap = max(1, across - len(first) - len(last))
    return [*lines, " " * margin + "└" + "─" * across, " " * (margin + 1) + first + " " * gap + last]


def measured(series: Series) -> Measured:
    """What is a number and has a day; of a pair ("140/80") the first."""
    found: Measured = []
    for point in series.points:
        number = point.number if point.number is not None else _first(point.value)
        moment = _seconds(point.day)
        if number is not None and moment is not None:
            found.append((moment, number))
    return sorted(found)


def _field(points: Measured, across: int, height: int, low: float, high: float) -> list[str]:
    """Dots, two by four in a cell, joined from one measurement to the next."""
    wide, tall = across * 2, height * 4
    start, end = points[0][0], points[-1][0]
    places = [
        (
            round((moment - start) / (end - start) * (wide - 1)) if end > start else wide // 2,
            round((high - value) / (high - low) * (tall - 1)) if high > low else tall // 2,
        )
        for moment, value in points
    ]
    cells = [[0] * across for _ in range(height)]
    for (x0, y0), (x1, y1) in zip(places, [*places[1:], places[-1]], strict=True):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in cells]


def _first(value: str) -> float | None:
    """The number that a value begins with: of a pair, or of a mean with its range."""
    try:
        return float(value.replace("/", " ").split()[0].replace(",", "."))
    except (ValueError, IndexError):
        return None


def _seconds(day: str) -> float | None:
    """A date, possibly partial, as seconds."""
    full = day[:10] + "0000-01-01"[len(day[:10]) :]
    try:
        made = datetime.fromisoformat(day if len(day) > 10 else full)
    except ValueError:
        return None
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def _day(series: Series, point: tuple[float, float]) -> str:
    return next((item.day[:10] for item in series.points if _seconds(item.day) == point[0]), "")


def _number(value: float) -> str:
    return f"{value:.6g}"


def heading(series: Series) -> str:
    """What is measured, in which unit, and the range that counts as usual."""
    unit = f" [{clean(series.unit)}]" if series.unit else ""
    return clean(series.label) + unit


__all__: Sequence[str] = ("bars", "heading", "measured", "plot")
