"""What every statement of a CDA body says of itself: negated, null, its status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vault.importers.cda_values import V3, Coded, Narrative, child, coded, find, templates
from vault.importers.reading import says_nothing

if TYPE_CHECKING:
    from lxml.etree import _Element

_CCDA_PREFIX = "2.16.840.1.113883.10.20.22."
_COMMENT, _STATUS_OBSERVATION = "48767-8", "33999-4"
_PROBLEM_STATUS = {
    "55561003": "active", "90734009": "active", "7087005": "active", "255227004": "active", "415684004": "active",
    "73425007": "completed", "413322009": "completed", "277022003": "completed",
}  # fmt: skip
_RULED_OUT = "410516002"
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


def own_status(element: _Element) -> tuple[str, bool]:
    """(status that an observation about this problem states, "" for none; whether it was ruled out)."""
    for item in _about(element, "observation"):
        code, value = child(item, "code"), child(item, "value")
        if code is not None and code.get("code") == _STATUS_OBSERVATION and value is not None:
            return _PROBLEM_STATUS.get(value.get("code", ""), ""), value.get("code") == _RULED_OUT
    return "", False


def comments_of(element: _Element, narrative: Narrative) -> str:
    """What somebody wrote beside the statement."""
    texts = [
        narrative.text(child(item, "text"))
        for item in _about(element, "act")
        if (code := child(item, "code")) is not None and code.get("code") == _COMMENT
    ]
    return " · ".join(dict.fromkeys(filter(None, texts)))


def site_of(element: _Element, narrative: Narrative) -> str:
    """Where on the body, with its side."""
    sites = []
    for item in element.findall(V3 + "targetSiteCode"):
        side = coded(find(item, "qualifier/value"), narrative).label
        sites.append(", ".join(filter(None, (coded(item, narrative).label, side))))
    return "; ".join(dict.fromkeys(filter(None, sites)))


def _about(element: _Element, tag: str) -> Iterator[_Element]:
    for link in element.iterchildren(V3 + "entryRelationship"):
        yield from link.iterchildren(V3 + tag)


def status_of_concern(concern: _Element | None) -> str:
    status = None if concern is None else child(concern, "statusCode")
    return "" if status is None else status.get("code", "")
