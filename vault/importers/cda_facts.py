"""Allergies, problems, observations, procedures and devices of a CDA body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.importers.cda_statement import (
    comments_of,
    is_negated,
    null_label,
    own_status,
    site_of,
    status_of_concern,
    status_when_done,
)
from vault.importers.cda_values import (
    V3,
    Coded,
    Narrative,
    child,
    children,
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
_CCD = "2.16.840.1.113883.10.20.1."


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
    concern = status_of_concern(next(element.iterancestors(V3 + "act"), None))
    if named is agent and finding.label and element.get("negationInd") != "true" and not _generic(finding):
        reactions.insert(0, finding.label)
    out.add("allergy", {
        "label": named.label or null_label(element, value), "code": named.code, "system": named.system,
        "substance": agent.label if named is agent else "", "start": start, "end": end,
        "negated": negated or says_nothing(agent.label, agent.code) or not named.label,
        "status": status or ("completed" if end else "active" if concern == "active" else "unknown"),
        "reaction": "; ".join(dict.fromkeys(reactions)), "severity": severity, "criticality": criticality,
        "note": _joined(category.label if category.code not in ("ASSERTION", "DISEASE", "") else "",
                        comments_of(element, narrative)),
    })  # fmt: skip


def _agent(role: _Element, narrative: Narrative) -> Coded:
    found = coded(child(role, "code"), narrative)
    name = child(role, "name")
    text = clean("".join(name.itertext())) if name is not None else ""
    # Without a code its text may be a form of words ("name not available"): the name beside it is better.
    label = found.label or text if found.code else text or found.label
    return Coded(label or found.code, found.code, found.system, found.system_name, found.others)


def _generic(finding: Coded) -> bool:
    """Drug allergy, propensity to adverse reaction: the kind of reaction, not a reaction."""
    kinds = ("DALG", "DINT", "DNAINT", "FALG", "EALG", "OINT", "ALG")
    return finding.system == "2.16.840.1.113883.6.96" or finding.code in kinds


def _allergy_details(element: _Element, narrative: Narrative) -> tuple[list[str], str, str, str]:
    reactions, severities, criticality, status = [], list[str](), "", ""
    for link in element.iter(V3 + "entryRelationship"):
        item = child(link, "observation")
        if item is None or (value := child(item, "value")) is None:
            continue
        found, code = templates(item), find(item, "code")
        text = value_of(value, narrative)[0]
        what = code.get("code", "") if code is not None else ""
        if found & {_CCDA + "8"} or what == "SEV":
            severities.append(text)
        elif found & {_CCDA + "145"} or what == "82606-5":
            criticality = text
        elif found & {_CCDA + "28", _IHE + "1.1"} or what == "33999-4":
            status = {"55561003": "active", "G-A230": "active", "73425007": "stopped", "413322009": "completed"}.get(
                value.get("code", ""), status)  # fmt: skip
        elif link.get("typeCode") == "MFST" and item.get("negationInd") != "true" and text:
            named = value.get("displayName") or text != value.get("code")
            reactions.append(text if named else narrative.text(child(item, "text")) or text)
    # The substance may be weighed otherwise than one reaction: none of both is left out.
    return reactions, "; ".join(dict.fromkeys(filter(None, severities))), criticality, status


def read_condition(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    value = child(element, "value")
    finding = coded(value, narrative) if value is not None else Coded()
    text = narrative.text(child(element, "text"))
    label = finding.label or (narrative.text(value) if value is not None else "") or text or finding.code
    reason = next(element.iterancestors(V3 + "substanceAdministration"), None)
    link = element.getparent()
    if not label and (reason is not None or (link is not None and link.get("typeCode") == "RSON")):
        return  # an empty form for a reaction to a vaccine or for why something was done
    span = child(element, "effectiveTime")
    start, end = interval(span)
    stated, ruled_out = own_status(element)
    out.add(kind, {
        "label": label or null_label(element, value), "code": finding.code, "system": finding.system, "start": start,
        "end": end,
        "negated": is_negated(element, Coded(label, finding.code, others=finding.others)) or not label or ruled_out,
        "status": stated or _status(element, span, end) if kind == "condition" else "",
        "severity": _severity(element, narrative) if kind == "condition" else "",
        "note": _joined(
            _relative(element, narrative) if kind == "family_history" else site_of(element, narrative),
            text if text != label else "", comments_of(element, narrative),
            f"reaction: {_product_label(reason, narrative)}" if reason is not None else ""),
    })  # fmt: skip


def _status(element: _Element, span: _Element | None, end: str) -> str:
    """Of a problem that does not state its own: its end, else the concern that it belongs to."""
    concern = status_of_concern(next(element.iterancestors(V3 + "act"), None))
    high = None if span is None else child(span, "high")
    if end or (concern == "completed" and high is not None and high.get("nullFlavor") == "UNK"):
        return "completed"  # an unknown end is an end
    return "active" if concern == "active" else "unknown"


def _severity(element: _Element, narrative: Narrative) -> str:
    for item in element.findall(f"{V3}entryRelationship/{V3}observation"):
        code, value = child(item, "code"), child(item, "value")
        if code is not None and code.get("code") == "SEV" and value is not None:
            return value_of(value, narrative)[0]
    return ""


def _relative(element: _Element, narrative: Narrative) -> str:
    """Who had it, how old they were, and whether they died of it."""
    organizer = next(element.iterancestors(V3 + "organizer"), None)
    who = coded(find(organizer, "subject/relatedSubject/code"), narrative)
    if not who.label and not who.code:
        who = coded(find(element, "subject/relatedSubject/code"), narrative)
    told = [who.label or who.code]
    for link in children(element, "entryRelationship"):
        item = child(link, "observation")
        if item is None:
            continue
        code, value = find(item, "code"), child(item, "value")
        if templates(item) & {_CCDA + "31", _CCD + "38"} or (code is not None and code.get("code") == "445518008"):
            told.append("age " + " ".join(filter(None, value_of(value, narrative))) if value is not None else "")
        elif templates(item) & {_CCDA + "47", _CCD + "42"} and value is not None:
            told.append(value_of(value, narrative)[0])
    return _joined(*told)


def _joined(*parts: str) -> str:
    return " · ".join(dict.fromkeys(filter(None, parts)))


def _product_label(administration: _Element, narrative: Narrative) -> str:
    code = find(administration, "consumable/manufacturedProduct/manufacturedMaterial/code")
    return coded(code, narrative).label


def read_observation(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    concept = coded(child(element, "code"), narrative)
    values = [value_of(item, narrative) for item in children(element, "value")]
    values = [pair for pair in values if pair[0]]
    units = {unit for _, unit in values}
    start, end = interval(child(element, "effectiveTime"))
    text = narrative.text(child(element, "text"))
    interpretation = [
        item.get("code") or item.get("displayName") or "" for item in children(element, "interpretationCode")
    ]
    label = concept.label or text or concept.code
    value = "; ".join(value if len(units) < 2 else f"{value} {unit}".strip() for value, unit in values)
    unit = units.pop() if len(units) == 1 else ""
    if label.upper() in ("ASSERTION", ""):
        label, value = value or label, ""  # the finding is all that is said
        concept = next(
            (found for item in element.findall(V3 + "value") if (found := coded(item, narrative)).code), concept
        )
    out.add(kind, {
        "label": label or null_label(element, child(element, "code")),
        "code": concept.code, "system": concept.system, "value": value, "unit": unit,
        "range": _range(element, narrative),
        "interpretation": " ".join(filter(None, interpretation)), "start": start, "end": end,
        "negated": is_negated(element) or not label,
        "note": _joined(site_of(element, narrative), text if text.lower() not in _said(label, values) else "",
                        comments_of(element, narrative)),
    })  # fmt: skip


def _said(label: str, values: list[tuple[str, str]]) -> set[str]:
    """What a narrative may repeat."""
    return {label.lower(), *(value.lower() for value, _ in values), *(" ".join(pair).lower() for pair in values)}


def _range(element: _Element, narrative: Narrative) -> str:
    found = []
    for item in (span for part in children(element, "referenceRange") for span in children(part, "observationRange")):
        written = narrative.text(child(item, "text"))
        value = child(item, "value")
        measured = " ".join(filter(None, value_of(value, narrative))) if value is not None else ""
        # "Normal range" alone gives no bounds.
        bounds = any(letter.isdigit() for letter in written)
        found.append(written if bounds else " ".join(filter(None, (written, measured))))
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
    site = site_of(element, narrative)
    out.add(kind, {
        "label": label or null_label(element, child(element, "code")),
        "code": concept.code, "system": concept.system,
        "start": start or from_hl7(text), "end": end, "negated": is_negated(element, concept) or not label,
        "status": "unknown" if planned else status_when_done(element),
        "performer": " ".join(performer.itertext()) if performer is not None else "",
        "note": _joined("planned" if planned else "", site, text if text != label else "",
                        comments_of(element, narrative)),
    })  # fmt: skip


def read_plan(element: _Element, kind: str, narrative: Narrative, out: Builder) -> None:
    """What is to be done: no fact yet."""
    read_act(element, "note", narrative, out)
