"""Dates as people type them, in French or English order of the parts: 21/03/1958, 1958-03-21, 03/1958, 1958."""

from __future__ import annotations

import re
from datetime import date as Day
from datetime import datetime, timedelta

_FORMS = (
    re.compile(r"(?P<y>\d{4})(?:-(?P<m>\d{1,2})(?:-(?P<d>\d{1,2}))?)?"),
    re.compile(r"(?:(?:(?P<d>\d{1,2})[/. ])?(?P<m>\d{1,2})[/. ])?(?P<y>\d{4})"),
)


def read_date(typed: str, *, whole: bool = False) -> str | None:
    """RFC 3339, partial when only a part was typed (not with `whole`); None when it is no date. Empty stays empty."""
    text = typed.strip()
    if not text:
        return ""
    for form in _FORMS:
        found = form.fullmatch(text)
        if found:
            return _checked(int(found["y"]), found["m"], found["d"], whole)
    return None


def _checked(year: int, month: str | None, day: str | None, whole: bool) -> str | None:
    try:
        Day(year, int(month or 1), int(day or 1))
    except ValueError:
        return None
    if whole and not (month and day):
        return None
    parts = [f"{year:04}", *(f"{int(part):02}" for part in (month, day) if part)]
    return "-".join(parts)


def end_of_day(day: str) -> int:
    """The first second after a whole day, local time."""
    return int((datetime.fromisoformat(day) + timedelta(days=1)).timestamp())
