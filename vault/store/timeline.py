"""Where a document stands in time: one whole number, the order of the timeline and the rowid of the search index."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

TIE_BITS = 20  # documents of one second, in the order in which they came
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_OFFSET_HOURS = 15  # no time zone is further from UTC


def base_place(date: str, added: int) -> int:
    """The first place of the second that `date` means.

    A partial date means its beginning. A date that is missing or unreadable means the time of arrival: the newest
    arrivals without a date stay in sight instead of falling to the end.
    """
    return _seconds(date, added) << TIE_BITS


def year_places(year: str) -> tuple[int, int]:
    """(first, end) places among which everything dated in this year stands, whatever its time zone."""
    if not re.fullmatch(r"\d{4}", year) or not 1 <= int(year) <= 9998:
        return (0, 0)
    margin = _OFFSET_HOURS * 3600
    first = _since(datetime(int(year), 1, 1, tzinfo=UTC)) - margin
    end = _since(datetime(int(year) + 1, 1, 1, tzinfo=UTC)) + margin
    return (max(0, first) << TIE_BITS, end << TIE_BITS)


def range_places(since: str, until: str) -> tuple[int, int]:
    """(first, end) places among which everything dated from one partial date to another stands, both included."""
    margin = _OFFSET_HOURS * 3600
    first = max(0, _seconds(since, 0) - margin) << TIE_BITS if since else 0
    if not until:
        return first, 1 << 62
    days = {4: 366, 7: 31}.get(len(until), 1)
    return first, (_seconds(until, 0) + days * 86_400 + margin) << TIE_BITS


def is_partial(date: str) -> bool:
    """Whether this is a year, a month or a day that can be searched by."""
    if not _PARTIAL.fullmatch(date):
        return False
    try:
        datetime.fromisoformat(f"{date}-01-01"[:10] if len(date) == 4 else f"{date}-01"[:10])
    except ValueError:
        return False
    return True


def _seconds(date: str, added: int) -> int:
    try:
        partial = _PARTIAL.fullmatch(date)
        if partial:
            year, month, day = (int(part or 1) for part in partial.groups())
            return _since(datetime(year, month, day, tzinfo=UTC))
        moment = datetime.fromisoformat(date)
        return max(0, _since(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except (ValueError, OverflowError):
        return _since(datetime(1970, 1, 1, tzinfo=UTC)) + added


def _since(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)
