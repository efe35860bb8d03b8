"""Allergies, problems, observations, procedures and devices of a CDA body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.importers.cda_statement import is_negated, null_label, status_of_concern, status_when_done
from vault.importers.cda_values import (
    V3,
    Coded,
    Narrative,
    child,
    coded,
    find,
    interval,
    templates,
    value_of,
)
from vault.importers.dates import from_hl7
from vault.importers.reading import Builder, clean, says_nothing

if TYPE_CHECKING:
    from lxml.etree import _Element

_IHE, _CCDA = "1.3.6.1.4.1.19376.1.5.3.1.4.", "2.16.840.1.113883.10.20.22.4."


def read_allergy(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    value, category = child(element, "value"), coded(child(element, "code"), narrative)
    finding = coded(value, narrative)
    agents = [
        agent
        for role in element.findall(f"{V3}participant/{V3}participantRole/{V3}playingEntity")
        if (agent := _agent(role, narrative)).label
    ]
    negated = is_negated(element, finding, category)
    agent = agents[0] if agents else Coded()
    # "Allergy to substance" + agent "penicillin": the agent is what a person must read.
    named = agent if agent.label and not says_nothing(agent.label, agent.code) else finding
    if not named.label:
        named = Coded(narrative.text(child(element, "text")) or named.code, named.code, named.system)
    start, end = interval(child(element, "effectiveTime"))
    reactions, severity, criticality, status = _allergy_details(element, narrative)
    if named is agent and finding.label and element.get("negationInd") != "true" and not _generic(finding):
        reactions.insert(0, finding.label)
    out.add("allergy", {
        "label": named.label or null_label(element, value), "code": named.code, "system": named.system,
        "substance": agent.label if named is agent else "", "start": start, "end": end,
        "negated": negated or says_nothing(agent.label, agent.code) or not named.label,
        "status": status or ("completed" if end else "unknown"),
        "reaction": "; ".join(dict.fromkeys(reactions)), "severity": severity, "criticality": criticality,
        "note": category.label if category.code not in ("ASSERTION", "DISEASE", "") else "",
    })  # fmt: skip


def _agent(role: _Element, narrative: Narrative) -> Coded:
    found = coded(child(role, "code"), narrative)
    name = child(role, "name")
    text = clean("".join(name.itertext())) if name is not None else ""
    return Coded(found.label or text or found.code, found.code, found.system, found.system_name, found.others)


def _generic(finding: Coded) -> bool:
    """Drug allergy, propensity to adverse reaction: the kind of reaction, not a reaction."""
    kinds = ("DALG", "DINT", "DNAINT", "FALG", "EALG", "OINT", "ALG")
    return finding.system == "2.16.840.1.113883.6.96" or finding.code in kinds


def _allergy_details(element: _Element, narrative: Narrative) -> tuple[list[str], str, str, str]:
    reactions, severity, criticality, status = [], "", "", ""
    for link in element.iter(V3 + "entryRelationship"):
        item = child(link, "observation")
        if item is None or (value := child(item, "value")) is None:
            continue
        found, code = templates(item), find(item, "code")
        text = value_of(value, narrative)[0]
        what = code.get("code", "") if code is not None else ""
        if found & {_CCDA + "8"} or what == "SEV":
            severity = severity or text
        elif found & {_CCDA + "145"} or what == "82606-5":
            criticality = text
        elif found & {_CCDA + "28", _IHE + "1.1"} or what == "33999-4":
            status = {"55561003": "active", "G-A230": "active", "73425007": "stopped", "413322009": "completed"}.get(
                value.get("code", ""), status)  # fmt: skip
        elif link.get("typeCode") == "MFST" and item.get("negationInd") != "true" and text:
            reactions.append(text)
    return reactions, severity, criticality, status


def read_condition(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    value = child(element, "value")
    finding = coded(value, narrative) if value is not None else Coded()
    text = narrative.text(child(element, "text"))
    label = finding.label or (narrative.text(value) if value is not None else "") or text or finding.code
    start, end = interval(child(element, "effectiveTime"))
    concern = next(element.iterancestors(V3 + "act"), None)
    status = "completed" if end else ("active" if status_of_concern(concern) == "active" else "unknown")
    reason = next(element.iterancestors(V3 + "substanceAdministration"), None)
    out.add(kind, {
        "label": label or null_label(element, value), "code": finding.code, "system": finding.system, "start": start,
        "end": end, "negated": is_negated(element, Coded(label, finding.code, others=finding.others)) or not label,
        "status": status if kind == "condition" else "",
        "note": " · ".join(filter(None, (
            text if text != label else "",
            f"reaction: {_product_label(reason, narrative)}" if reason is not None else ""))),
    })  # fmt: skip


def _product_label(administration: _Element, narrative: Narrative) -> str:
    code = find(administration, "consumable/manufacturedProduct/manufacturedMaterial/code")
    return coded(code, narrative).label


def read_observation(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    concept = coded(child(element, "code"), narrative)
    values = [value_of(item, narrative) for item in element.findall(V3 + "value")]
    values = [pair for pair in values if pair[0]]
    units = {unit for _, unit in values}
    start, end = interval(child(element, "effectiveTime"))
    text = narrative.text(child(element, "text"))
    interpretation = [
        item.get("code") or item.get("displayName") or "" for item in element.findall(V3 + "interpretationCode")
    ]
    label = concept.label or text or concept.code
    out.add(kind, {
        "label": label or null_label(element, child(element, "code")),
        "code": concept.code, "system": concept.system,
        "value": "; ".join(value if len(units) < 2 else f"{value} {unit}".strip() for value, unit in values),
        "unit": units.pop() if len(units) == 1 else "", "range": _range(element, narrative),
        "interpretation": " ".join(filter(None, interpretation)), "start": start, "end": end,
        "negated": is_negated(element) or not label,
        "note": text if text.lower() not in (label.lower(), *(value.lower() for value, _ in values)) else "",
    })  # fmt: skip


def _range(element: _Element, narrative: Narrative) -> str:
    found = []
    for item in element.findall(f"{V3}referenceRange/{V3}observationRange"):
        written = narrative.text(child(item, "text"))
        value = child(item, "value")
        measured = " ".join(filter(None, value_of(value, narrative))) if value is not None else ""
        found.append(written or measured)
    return "; ".join(dict.fromkeys(filter(None, found)))


def read_act(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    """Procedures and devices."""
    concept = coded(child(element, "code"), narrative)
    device = coded(find(element, "participant/participantRole/playingDevice/code"), narrative)
    if kind == "device" and device.label:
        concept = device
    text = narrative.text(child(element, "text"))
    start, end = interval(child(element, "effectiveTime"))
    label = concept.label or text or concept.code
    planned = element.get("moodCode") in ("INT", "RQO", "PRMS", "ARQ")
    performer = find(element, "performer/assignedEntity/assignedPerson/name")
    out.add(kind, {
        "label": label or null_label(element, child(element, "code")),
        "code": concept.code, "system": concept.system,
        "start": start or from_hl7(text), "end": end, "negated": is_negated(element, concept) or not label,
        "status": "unknown" if planned else status_when_done(element),
        "performer": " ".join(performer.itertext()) if performer is not None else "",
        "note": " · ".join(filter(None, ("planned" if planned else "", text if text != label else ""))),
    })  # fmt: skip
