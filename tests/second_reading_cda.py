"""Clinical documents, read a second time by their standards and another library than the importers'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree

Counts = dict[str, int]
Element = ElementTree.Element
V3 = "{urn:hl7-org:v3}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
IHE, CCDA, CCD = "1.3.6.1.4.1.19376.1.5.3.1.4.", "2.16.840.1.113883.10.20.22.4.", "2.16.840.1.113883.10.20.1."
CI_SIS = "1.2.250.1.213.1.1.3."
# Sections by LOINC code whose observations are of one kind.
SECTIONS = {"48765-2": "allergy", "8716-3": "vital"}
VACCINES, PLAN, RESULTS, VITALS = "11369-6", "18776-5", "30954-2", "8716-3"
PROBLEM = {IHE + "5", CCDA + "4", CCDA + "68", CCDA + "73", CCD + "28", CI_SIS + "37"}
ALLERGY = {IHE + "6", CCDA + "7", CCD + "18", CI_SIS + "41"}
HISTORY = {IHE + "13.3", CCDA + "46", CCD + "22", CI_SIS + "51"}
RESULT = {"1.3.6.1.4.1.19376.1.3.1.6", CCDA + "2", CI_SIS + "80"}
ANY_OBSERVATION = CCD + "31"
VITAL = {IHE + "13.2", CCDA + "27", CI_SIS + "50"}
SIMPLE = {IHE + "13", CI_SIS + "48"}
RECOMMENDED = {IHE + "12.2", CCDA + "42", CCDA + "120", CI_SIS + "47"}  # a vaccine that is due, a treatment planned
NUMBERS = {"PQ", "INT", "REAL", "IVL_PQ", "RTO", "RTO_PQ_PQ", "MO"}
# Sections that list problems, and the codes of an observation whose value is one.
PROBLEMS = {"11450-4", "11348-0", "46241-6", "11535-2"}
ASKS_FOR_PROBLEM = {"", "ASSERTION", "55607006", "64572001", "282291009", "404684003", "409586006", "418799008"}


def count_clinical(data: bytes) -> Counts | None:
    """Treatments are administrations of something, outside of vaccinations (and of plans, in the United States), each
    with what it holds; an allergy names what it is against, or is French."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return None
    kinds = ("medication", "allergy", "immunization", "vital", "condition", "result")
    found: Counter[str] = Counter(dict.fromkeys(kinds, 0))
    language = root.find(V3 + "languageCode")
    french = language is not None and language.get("code", "").startswith("fr")
    places = {VACCINES: "immunization"} | ({} if french else {PLAN: ""})
    words = {item.get("ID", ""): "".join(item.itertext()).strip() for item in root.iter() if item.get("ID")}
    for section in root.iter(V3 + "section"):
        place = _code(section)
        for entry in section.findall(V3 + "entry"):
            for tag, kind in (("substanceAdministration", "medication"), ("observation", SECTIONS.get(place, ""))):
                if tag == "substanceAdministration":
                    kind = places.get(place, kind)
                if kind in ("medication", "immunization", "allergy"):
                    found[kind] += sum(_counts(item, kind, french) for item in _outermost(entry, tag))
            for path in _observations(entry, ()):
                found["condition"] += _is_problem(path, place, words)
                found["result"] += _is_result(path, place)
                found["vital"] += _is_vital(path, place)
    return dict(found)


def _counts(item: Element, kind: str, french: bool) -> bool:
    if kind == "allergy":
        return french or item.find(V3 + "participant") is not None
    if kind == "immunization" and item.get("moodCode", "EVN") != "EVN":
        return False
    return item.find(V3 + "consumable") is not None and not _roots(item) & RECOMMENDED


def _outermost(element: Element, tag: str) -> Iterator[Element]:
    for child in element:
        if child.tag == V3 + tag:
            yield child
        else:
            yield from _outermost(child, tag)


Path = tuple[Element, ...]


def _observations(element: Element, above: Path) -> Iterator[Path]:
    """Every observation under an entry with all that it stands in, itself last."""
    for child in element:
        path = (*above, child)
        if child.tag == V3 + "observation":
            yield path
        yield from _observations(child, path)


def _is_problem(path: Path, place: str, words: dict[str, str]) -> bool:
    own = path[-1]
    roots = _roots(own)
    if own.get("moodCode", "EVN") in ("RQO", "INT", "GOL", "PRMS", "ARQ", "PRP") or roots & (ALLERGY | HISTORY):
        return False
    if not roots & PROBLEM:
        coded = own.find(V3 + "value") is not None and _code(own) in ASKS_FOR_PROBLEM
        return not roots and place in PROBLEMS and coded and _is_the_entry(path)
    link = path[-2] if len(path) > 1 else None
    why = link.get("typeCode") if link is not None else ""
    holder = path[-3].tag if len(path) > 2 else ""
    empty = not any(_says(own.find(V3 + part), words) for part in ("value", "text"))
    if why == "MFST" or (why == "RSON" and (empty or holder != V3 + "encounter")):
        return False  # how an allergy shows, why something was given or done; why somebody came is a problem
    if any(item.tag == V3 + "observation" and _roots(item) & ALLERGY for item in path[:-1]):
        return False
    given = any(item.tag == V3 + "substanceAdministration" for item in path[:-1])
    return not given or not empty  # an empty form about a vaccine says nothing


def _says(value: Element | None, words: dict[str, str]) -> bool:
    """A code, a name, or words that stand there or where it points to."""
    if value is None:
        return False
    pointed = [words.get(item.get("value", "").lstrip("#"), "") for item in value.iter(V3 + "reference")]
    return bool(value.get("displayName") or value.get("code") or "".join(value.itertext()).strip() or any(pointed))


def _is_result(path: Path, place: str) -> bool:
    own = path[-1]
    roots = _roots(own)
    if roots & (PROBLEM | ALLERGY | HISTORY | VITAL):
        return False
    values = own.findall(V3 + "value")
    if roots & RESULT or (ANY_OBSERVATION in roots and place == RESULTS):
        return True
    numbers = any(item.get(TYPE, "").split(":")[-1] in NUMBERS for item in values)
    if ANY_OBSERVATION in roots:
        return numbers and place != VITALS
    return place == RESULTS and numbers and (not roots or bool(roots & SIMPLE))


def _is_vital(path: Path, place: str) -> bool:
    own = path[-1]
    roots = _roots(own)
    if place != VITALS or roots & (PROBLEM | RESULT):
        return bool(roots & VITAL) and not roots & PROBLEM
    if roots & VITAL or ANY_OBSERVATION in roots:
        return True
    values = own.findall(V3 + "value")
    numbers = any(item.get(TYPE, "").split(":")[-1] in NUMBERS for item in values)
    return own.get("moodCode", "EVN") == "EVN" and bool(values) and (numbers or not roots) and _is_the_entry(path)


def _is_the_entry(path: Path) -> bool:
    """Alone in its entry, or in a plain act or battery that is the entry."""
    holders = [item for item in path[:-1] if item.tag not in (V3 + "entryRelationship", V3 + "component")]
    return not holders or (
        len(holders) == 1 and holders[0].tag in (V3 + "act", V3 + "organizer") and holders[0] is path[0]
    )


def _roots(element: Element) -> set[str]:
    return {item.get("root", "") for item in element.findall(V3 + "templateId")}


def _code(element: Element) -> str:
    code = element.find(V3 + "code")
    return code.get("code", "") if code is not None else ""
