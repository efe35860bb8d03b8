"""The structured body of a CDA document: entries by template, whatever section they stand in.

Template ids of IHE PCC and CCD, of the French CI-SIS and of US C-CDA. An entry inside another (a tapered dose, the
reaction of an allergy, the reason of a treatment) belongs to that one. Negated, empty and "nothing known" entries
are negated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vault.importers.cda_facts import read_act, read_allergy, read_condition, read_observation, read_plan
from vault.importers.cda_treatments import read_treatment
from vault.importers.cda_values import (
    V3,
    XSI_TYPE,
    Narrative,
    child,
    children,
    find,
    templates,
)
from vault.importers.reading import Builder, clean

if TYPE_CHECKING:
    from lxml.etree import _Element

_IHE, _CCDA = "1.3.6.1.4.1.19376.1.5.3.1.4.", "2.16.840.1.113883.10.20.22.4."
_CCD, _FR = "2.16.840.1.113883.10.20.1.", "1.2.250.1.213.1.1.3."
_PREGNANCY = "2.16.840.1.113883.10.20.15.3.8"
# Beside these, CCD has one template for every observation and one for every supply.
_RESULTS = frozenset({"1.3.6.1.4.1.19376.1.3.1.6", _CCDA + "2", _FR + "80"})
_DEVICES = frozenset({_CCDA + "50", _FR + "20"})
# First match wins: an allergy carries the problem's template too, an immunization that of a medication activity.
_KINDS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("allergy", "observation", frozenset({_IHE + "6", _CCDA + "7", _CCD + "18", _FR + "41"})),
    ("planned", "substanceAdministration", frozenset({_IHE + "12.2", _FR + "47", _CCDA + "42", _CCDA + "120"})),
    ("immunization", "substanceAdministration", frozenset({_IHE + "12", _CCDA + "52", _FR + "45"})),
    ("medication", "substanceAdministration",
     frozenset({_IHE + "7", _CCDA + "16", _CCD + "24", _FR + "42", _FR + "83"})),
    ("family_history", "observation", frozenset({_IHE + "13.3", _CCDA + "46", _CCD + "22", _FR + "51"})),
    ("condition", "observation",
     frozenset({_IHE + "5", _CCDA + "4", _CCDA + "68", _CCDA + "73", _CCD + "28", _FR + "37"})),
    ("vital", "observation", frozenset({_IHE + "13.2", _CCDA + "27", _FR + "50"})),
    ("result", "observation", _RESULTS | {_CCD + "31"}),
    ("social_history", "observation",
     frozenset({_IHE + "13.4", _IHE + "13.5", _CCDA + "38", _CCDA + "78", _CCDA + "85", _CCDA + "200", _CCDA + "507",
                _PREGNANCY, _CCD + "33", _FR + "52", _FR + "53"})),
    ("directive", "observation", frozenset({_IHE + "13.7", _CCDA + "48", _CCD + "17", _FR + "54"})),
    ("procedure", "", frozenset({_IHE + "19", _CCDA + "12", _CCDA + "13", _CCDA + "14", _CCD + "29"})),
    ("device", "supply", _DEVICES | {_CCD + "34"}),
    ("note", "observation", frozenset({_CCDA + "67", _CCDA + "69", _CCDA + "74"})),
    ("plan", "", frozenset({_CCDA + "39", _CCDA + "40", _CCDA + "41", _CCDA + "44", _CCD + "25"})),
)  # fmt: skip
_BY_TEMPLATE = {template: place for place, (_, _, known) in reversed(list(enumerate(_KINDS))) for template in known}
_STATEMENTS = frozenset(
    V3 + tag for tag in ("observation", "substanceAdministration", "supply", "procedure", "act", "encounter")
)
_PARTS = tuple(V3 + tag for tag in ("section", "entry", "text"))
_MEDICATION_SECTIONS = frozenset({
    "10160-0", "10183-2", "42346-7", "18610-6", "57828-6", "29549-3", "75311-1", "56445-0", "8658-9",
})  # fmt: skip
_RESULT_SECTIONS = frozenset({"30954-2"})
_VACCINES, _VITALS, _EQUIPMENT = "11369-6", "8716-3", "46264-8"
# What a statement without any known template is, by the section that it stands in: (element, kind).
_BY_SECTION = {
    "47519-4": ("procedure", "procedure"), "11450-4": ("observation", "condition"),
    "11348-0": ("observation", "condition"), "46241-6": ("observation", "condition"),
    "11535-2": ("observation", "condition"), "48765-2": ("observation", "allergy"), _VITALS: ("observation", "vital"),
    _VACCINES: ("substanceAdministration", "immunization"), "29762-2": ("observation", "social_history"),
    "10157-6": ("observation", "family_history"), "42348-3": ("observation", "directive"),
    "47420-5": ("observation", "note"), "10190-7": ("observation", "note"),
}  # fmt: skip
# Codes of an observation whose value is a problem, not the answer to a question.
_PROBLEM_TYPES = frozenset({
    "", "ASSERTION", "55607006", "64572001", "282291009", "404684003", "409586006", "418799008", "29308-4", "75326-9",
    "75323-6", "75325-1", "75318-6", "75319-4", "75321-0", "75317-8",
})  # fmt: skip
# Who said it, its status, a comment, how bad it is, which dose it was: of another statement.
_DETAILS = frozenset({"48766-0", "33999-4", "48767-8", "SEV", "30973-2"})
_WISHED = ("RQO", "INT", "GOL", "PRMS", "ARQ", "PRP")
_MEASURED = frozenset({"PQ", "INT", "REAL", "IVL_PQ", "RTO", "RTO_PQ_PQ", "MO"})
_SIMPLE_OBSERVATION = frozenset({_IHE + "13", _FR + "48"})


def read_body(body: _Element, narrative: Narrative, out: Builder) -> list[_Element]:
    """Adds every entry of the structured body to `out`, in document order. Its sections, for their text."""
    statements, parts = _walk(body)
    narrative.narratives = parts["text"]
    taken: set[_Element] = set()
    entries: set[_Element] = set()
    for element, tag in statements:
        kind = kind_of(element, tag)
        if kind is None:
            continue
        if not taken.isdisjoint(element.iterancestors()) and not _own_fact(element, kind):
            continue
        taken.add(element)
        entries.update(element.iterancestors(V3 + "entry"))
        _READERS.get(kind, read_observation)(element, kind, narrative, out)
    _count_the_rest((entry for entry in parts["entry"] if entry not in entries), out)
    return parts["section"]


def _walk(body: _Element) -> tuple[list[tuple[_Element, str]], dict[str, list[_Element]]]:
    """(statements with their tag, sections, entries and texts by tag), in document order: a tree is walked once."""
    statements: list[tuple[_Element, str]] = []
    parts: dict[str, list[_Element]] = {"section": [], "entry": [], "text": []}
    for element in body.iter(*_STATEMENTS, *_PARTS):
        tag = str(element.tag)[len(V3) :]
        if (found := parts.get(tag)) is not None:
            found.append(element)
        else:
            statements.append((element, tag))
    return statements, parts


def kind_of(element: _Element, tag: str) -> str | None:
    """Which kind of entry a statement is, None for everything that is part of another or not kept apart."""
    found = templates(element)
    section = _section_code(element)
    known = sorted([_BY_TEMPLATE[template] for template in found if template in _BY_TEMPLATE])
    for place in known:
        kind, wanted, _ = _KINDS[place]
        if tag == wanted or (not wanted and tag in ("procedure", "act", "observation", "encounter")):
            return _told_by_place(element, kind, section)
    if tag == "observation" and _code_of(element) in _DETAILS:
        return None
    if tag == "substanceAdministration" and section in _MEDICATION_SECTIONS and find(element, "consumable") is not None:
        return "medication"
    if tag == "observation" and section in _RESULT_SECTIONS and (not found or found & _SIMPLE_OBSERVATION):
        # Coded findings of an examination (questionnaires of imaging) are notes; what is measured is a result.
        values = list(children(element, "value"))
        return ("result" if _measured(values) else "note") if values else None
    return None if known else _kind_by_section(element, tag, section)


def _told_by_place(element: _Element, kind: str, section: str) -> str | None:
    """One template serves several purposes: mood and section tell which."""
    wished = element.get("moodCode") in _WISHED
    if kind == "condition" and wished:
        return None
    if kind == "immunization" and wished:
        return "planned"
    if section == _VACCINES and kind == "medication":
        return "immunization"
    if kind == "result" and section != "30954-2" and not templates(element) & _RESULTS:
        # That of any observation: of what is measured, of an answer.
        values = list(children(element, "value"))
        return "vital" if section == _VITALS else "result" if _measured(values) else "note" if values else None
    return None if kind == "device" and section != _EQUIPMENT and not templates(element) & _DEVICES else kind


def _kind_by_section(element: _Element, tag: str, section: str) -> str | None:
    """A statement of no known template that is itself what its section is about, not a detail of another."""
    wanted, kind = _BY_SECTION.get(section, ("", ""))
    if tag != wanted or element.get("moodCode", "EVN") != "EVN" or not _stands_alone(element):
        return None
    values = list(children(element, "value"))
    if templates(element) and not (kind == "vital" and _measured(values)):
        return None  # of a template that somebody knows: not for sure what the section is about
    if tag == "observation" and not values:
        return None
    if kind in ("condition", "family_history"):
        return kind if _code_of(element) in _PROBLEM_TYPES else None
    return kind if kind != "allergy" or child(element, "participant") is not None else None


def _stands_alone(element: _Element) -> bool:
    """Directly in an entry, or in the concern or battery that makes up one."""
    link = element.getparent()
    if link is None or link.tag == V3 + "entry":
        return link is not None
    holder = link.getparent()
    around = None if holder is None else holder.getparent()
    return (
        holder is not None and around is not None and around.tag == V3 + "entry"
        and holder.tag in (V3 + "act", V3 + "organizer") and not templates(holder) & _BY_TEMPLATE.keys()
    )  # fmt: skip


def _measured(values: list[_Element]) -> bool:
    return any(value.get(XSI_TYPE, "").rpartition(":")[2] in _MEASURED for value in values)


def _own_fact(element: _Element, kind: str) -> bool:
    """An observation that stands on its own even inside another statement (result in a panel, problem in a concern)."""
    if kind == "condition":
        # The reason for a treatment and the reaction of an allergy say nothing new about the patient.
        link = element.getparent()
        inside = link.get("typeCode") if link is not None else None
        return inside not in ("RSON", "MFST") and not _within(element, "allergy")
    if kind == "allergy":
        return not _within(element, "allergy")  # its reaction, which some senders mark as they mark an allergy
    return kind in ("result", "vital", "note", "device")


def _within(element: _Element, kind: str) -> bool:
    return any(kind_of(ancestor, "observation") == kind for ancestor in element.iterancestors(V3 + "observation"))


def _section_code(element: _Element) -> str:
    section = next(element.iterancestors(V3 + "section"), None)
    return "" if section is None else _code_of(section)


def _code_of(element: _Element) -> str:
    code = child(element, "code")
    return "" if code is None else code.get("code", "")


def _count_the_rest(entries: Iterable[_Element], out: Builder) -> None:
    """Statements that gave no entry stay in the narrative and in the original file: say how many."""
    names: dict[_Element | None, str] = {}
    for entry in entries:
        section = entry.getparent()
        if section not in names:
            title = child(section, "title") if section is not None else None
            names[section] = clean("".join(title.itertext()), 80) if title is not None else ""
        name = names[section]
        out.not_understood(f"entry of section '{name or _section_code(entry[0]) if len(entry) else name}'")


_READERS = {
    "medication": read_treatment,
    "planned": read_treatment,
    "immunization": read_treatment,
    "allergy": read_allergy,
    "condition": read_condition,
    "family_history": read_condition,
    "procedure": read_act,
    "device": read_act,
    "plan": read_plan,
}
