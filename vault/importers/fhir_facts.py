"""What the entries of all FHIR resources have in common: label, codes, notes, dates, status."""

from __future__ import annotations

from typing import Any

from vault.importers.dates import from_fhir
from vault.importers.fhir_types import (
    Resource,
    codes_of,
    first,
    has_code,
    items,
    label_of,
    text_of,
)
from vault.importers.reading import says_nothing

Fields = dict[str, object]
STATUS = {
    "active": "active", "completed": "completed", "stopped": "stopped", "cancelled": "stopped", "ended": "stopped",
    "on-hold": "stopped", "suspended": "stopped", "aborted": "stopped", "declined": "stopped", "draft": "unknown",
    "in-progress": "active", "finished": "completed", "resolved": "completed", "inactive": "completed",
    "remission": "completed", "recurrence": "active", "relapse": "active", "confirmed": "active", "done": "completed",
}  # fmt: skip
_MISTAKE = "entered-in-error"


def common_fields(resource: Resource, label: str, concept: Any) -> Fields:
    codes = codes_of(concept)
    system, code = next(iter(codes), ("", ""))
    mistake = resource.get("status") == _MISTAKE or has_code(resource.get("verificationStatus"), _MISTAKE)
    label = label or code
    return {
        "label": label or "(-)", "code": code, "system": system,
        "negated": not label or mistake or says_nothing(label, *(code for _, code in codes)),
        "note": " · ".join(filter(None, ("entered in error" if mistake else "", _notes(resource)))),
    }  # fmt: skip


def _notes(resource: Resource) -> str:
    return " · ".join(filter(None, (text_of(item.get("text")) for item in items(resource.get("note")))))


def sites(resource: Resource) -> str:
    """Where on the body."""
    return "; ".join(dict.fromkeys(filter(None, (label_of(item) for item in items(resource.get("bodySite"))))))


def period(value: Any) -> str:
    """A Period as "start - end"."""
    return " - ".join(filter(None, (from_fhir(first(value).get(part)) for part in ("start", "end"))))


def when(resource: Resource, *names: str) -> tuple[str, str]:
    """(start, end) of the first choice element present: DateTime, Period, Age or text."""
    for name in names:
        for key in (name + "DateTime", name + "Date", name + "Instant", name):
            if key in resource and (date := from_fhir(resource[key])):
                return date, ""
        for key in (name + "Period", name):
            period = resource.get(key)
            if isinstance(period, dict) and (period.get("start") or period.get("end")):
                return from_fhir(period.get("start")), from_fhir(period.get("end"))
    return "", ""
