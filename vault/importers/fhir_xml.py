"""FHIR XML, turned into the JSON shape and read like it. Repeated elements are lists; a list of one is one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vault.document import Read
from vault.errors import InputRefused
from vault.importers import xml

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/fhir+xml"
_FHIR = "{http://hl7.org/fhir}"
_BOOLEANS = {"true": True, "false": False}


def read(data: bytes, name: str) -> list[Read]:
    from vault.importers import fhir

    root, repairs = xml.parse(data)
    if not str(root.tag).startswith(_FHIR):
        raise InputRefused("no FHIR resource in this XML file")
    return fhir.read_loaded(to_json(root), data, name, MEDIA_TYPE, repairs)


def to_json(element: _Element) -> dict[str, Any]:
    """A resource element. Depth is bounded by the XML reader."""
    return {"resourceType": _local(element)} | _content(element)


def _content(element: _Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element:
        if not isinstance(child.tag, str):
            continue
        name = _local(child)
        value = _value(child)
        if name in found:
            known = found[name]
            found[name] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            found[name] = value
    if (identifier := element.get("id")) is not None:
        found.setdefault("id", identifier)
    if (url := element.get("url")) is not None:
        found.setdefault("url", url)
    return found


def _value(element: _Element) -> Any:
    from lxml import etree

    if not str(element.tag).startswith(_FHIR):
        return etree.tostring(element, encoding="unicode", with_tail=False)
    children = [child for child in element if isinstance(child.tag, str)]
    # `resource` and `contained` hold one element named after its type.
    if (
        len(children) == 1
        and _local(element) in ("resource", "contained", "outcome")
        and _local(children[0])[:1].isupper()
    ):
        return to_json(children[0])
    value = element.get("value")
    if value is not None and not any(_local(child) != "extension" for child in children):
        return _BOOLEANS.get(value, value)
    return _content(element)


def _local(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2]
