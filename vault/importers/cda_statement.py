"""What every statement of a CDA body says of itself: negated, null, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.importers.cda_values import (
    Coded,
    child,
    templates,
)
from vault.importers.reading import says_nothing

if TYPE_CHECKING:
    from lxml.etree import _Element

_CCDA_PREFIX = "2.16.840.1.113883.10.20.22."
_STATUS = {
    "active": "active", "aborted": "stopped", "cancelled": "stopped", "nullified": "stopped", "suspended": "stopped",
    "held": "stopped",
}  # fmt: skip


def is_negated(element: _Element, *labels: Coded) -> bool:
    """negationInd, a null statement, or a concept that says nothing is known."""
    if element.get("negationInd") == "true" or element.get("nullFlavor"):
        return True
    return any(
        says_nothing(label.label, label.code, *(code for code, _, _ in label.others))
        for label in labels
        if label != Coded()
    )


def status_of(element: _Element) -> str:
    """`completed` is fixed in IHE and French templates and says nothing there: dates decide."""
    status = child(element, "statusCode")
    code = "" if status is None else status.get("code", "")
    if code == "completed" and any(item.startswith(_CCDA_PREFIX) for item in templates(element)):
        return "completed"
    return _STATUS.get(code, "unknown")


def status_when_done(element: _Element) -> str:
    status = child(element, "statusCode")
    return "completed" if status is not None and status.get("code") == "completed" else status_of(element)


def null_label(*elements: _Element | None) -> str:
    """What to show for a statement without any words: its null flavour."""
    flavour = next((item.get("nullFlavor") for item in elements if item is not None and item.get("nullFlavor")), "")
    return f"(nullFlavor {flavour})" if flavour else "(-)"


def status_of_concern(concern: _Element | None) -> str:
    status = None if concern is None else child(concern, "statusCode")
    return "" if status is None else status.get("code", "")
