"""Dates as they stand in the source, written as RFC 3339: no precision or offset is invented, none is lost."""

from __future__ import annotations

import re
from functools import lru_cache

MEMORY = 1 << 12  # dates that are remembered: a record says the same few many times
_HL7 = re.compile(r"(\d{4})(\d\d)?(\d\d)?(?:T?(\d\d)(\d\d)?(\d\d)?(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?")
_RFC = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d|:60)?(\.\d+)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)


def from_hl7(value: str | None) -> str:
    """An HL7 time stamp ("20250203101500+0100", "201905", "2005") as RFC 3339, partial like the source; "" if none."""
    match = _HL7.fullmatch((value or "").strip())
    if match is None:
        return ""
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if month is None or not 1 <= int(month) <= 12:
        return year
    if day is None or not 1 <= int(day) <= 31:
        return f"{year}-{month}"
    date = f"{year}-{month}-{day}"
    if hour is None or int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return date
    # A day written with a zone only ("20250203+0100") has no time of its own.
    text = f"{date}T{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    if offset == "Z":
        return text + "Z"
    return text + (f"{offset[:3]}:{offset[-2:]}" if offset else "")


def from_fhir(value: object) -> str:
    """A FHIR date, dateTime or instant, unchanged when it is one; "" otherwise."""
    return _from_text(value) if isinstance(value, str) and len(value) < 40 else ""


@lru_cache(MEMORY)
def _from_text(value: str) -> str:
    text = value.strip().replace(" ", "T", 1)
    if _RFC.fullmatch(text):
        return text
    return from_hl7(text) if text.isdigit() else ""


def from_dicom(date: str, time: str = "", offset: str = "") -> str:
    """DICOM DA ("20250203" or "2025.02.03"), TM and an optional zone."""
    day = date.strip().replace(".", "")
    clock = time.strip().replace(":", "")
    return from_hl7(day + clock + offset.strip()) if clock[:1].isdigit() else from_hl7(day)


def day_of(value: str) -> str:
    """The date part."""
    return value[:10]
