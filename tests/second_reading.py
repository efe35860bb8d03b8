"""What files state, read a second time by other means: no line of the importers, no library that they use.

`python -m tests.second_reading FOLDER ...` compares every file of known kind with what the importer makes of it. Counts
are of entries, denied ones included. What this reading cannot tell (None) is not compared.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Counts = dict[str, int]
V3 = "{urn:hl7-org:v3}"

FHIR_KINDS = {
    "MedicationStatement": "medication", "MedicationRequest": "medication", "MedicationDispense": "medication",
    "MedicationAdministration": "medication", "AllergyIntolerance": "allergy", "Condition": "condition",
    "Immunization": "immunization", "Procedure": "procedure", "FamilyMemberHistory": "family_history",
    "Observation": "observation",
}  # fmt: skip
# Sections of a clinical document, by LOINC code, whose observations are of one kind.
SECTIONS = {"48765-2": "allergy", "8716-3": "vital"}
OBSERVED = ("result", "vital", "social_history", "note")  # what an Observation becomes
VACCINES, PLAN = "11369-6", "18776-5"


def count(data: bytes, name: str) -> Counts | None:
    """Entries of each kind that this reading is sure about; None for a file that it does not know."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \r\n\t\x0b")
    if head[:2] == b"PK":
        return _zip(data)
    if head[:1] in (b"{", b"[") and b"resourceType" in data:
        return _fhir(data.decode("utf-8-sig"))
    if head[:4] == b"MSH|" or re.match(rb"(FHS|BHS)\|", head):
        return _hl7(data)
    if b"<HealthData" in head:
        return _apple(data)
    if b"ClinicalDocument" in data and head[:1] == b"<":
        return _cda(data)
    if data[128:132] == b"DICM":
        return _dicom(data)
    return None


# --- FHIR


def _fhir(text: str) -> Counts:
    found: Counter[str] = Counter(dict.fromkeys(FHIR_KINDS.values(), 0))
    try:
        roots = [json.loads(text)]
    except ValueError:
        roots = [json.loads(line) for line in text.splitlines() if line.strip()]
    for resource in _resources(roots):
        kind = FHIR_KINDS.get(resource.get("resourceType", ""))
        if kind == "family_history":
            found[kind] += max(1, len(resource.get("condition", [])))
        elif kind:
            found[kind] += 1
    return dict(found)


def _resources(roots: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for root in roots:
        if isinstance(root, list):
            yield from _resources(root)
        elif isinstance(root, dict) and root.get("resourceType") == "Bundle":
            yield from _resources(entry.get("resource") for entry in root.get("entry", []))
        elif isinstance(root, dict):
            yield root


# --- CDA


def _cda(data: bytes) -> Counts | None:
    """Treatments are administrations of something, outside of vaccinations (and of plans, in the United States), each
    with what it holds; an allergy names what it is against, or is French. Problems stand in too many sections."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return None
    found: Counter[str] = Counter({"medication": 0, "allergy": 0, "immunization": 0, "vital": 0})
    language = root.find(V3 + "languageCode")
    french = language is not None and language.get("code", "").startswith("fr")
    kinds = {VACCINES: "immunization"} | ({} if french else {PLAN: ""})
    for section in root.iter(V3 + "section"):
        code = section.find(V3 + "code")
        place = code.get("code", "") if code is not None else ""
        for entry in section.findall(V3 + "entry"):
            for tag, kind in (("substanceAdministration", "medication"), ("observation", SECTIONS.get(place, ""))):
                if tag == "substanceAdministration":
                    kind = kinds.get(place, kind)
                if kind in found:
                    told = _outermost(entry, tag, inner=kind == "vital")
                    found[kind] += sum(_counts(item, kind, french) for item in told)
    return dict(found)


def _counts(item: ElementTree.Element, kind: str, french: bool) -> bool:
    if kind == "allergy":
        return french or item.find(V3 + "participant") is not None
    return kind not in ("medication", "immunization") or item.find(V3 + "consumable") is not None


def _outermost(element: ElementTree.Element, tag: str, *, inner: bool) -> Iterator[ElementTree.Element]:
    """Elements of this name, with those inside of them only where asked for."""
    for child in element:
        if child.tag == V3 + tag:
            yield child
        if child.tag != V3 + tag or inner:
            yield from _outermost(child, tag, inner=inner)


# --- HL7 v2


def _hl7(data: bytes) -> Counts:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    found: Counter[str] = Counter({"allergy": 0, "condition": 0, "immunization": 0})
    messages: list[list[list[str]]] = []
    for line in re.split(r"[\r\n]+", text):
        fields = line.lstrip("\x0b\x1c").split("|")
        if fields[0] == "MSH":
            messages.append([])
        if messages:
            messages[-1].append(fields)
    for message in messages:
        found["allergy"] += sum(fields[0] in ("AL1", "IAM") for fields in message)
        found["condition"] += sum(fields[0] == "DG1" for fields in message)
        found["immunization"] += sum(fields[0] == "RXA" for fields in message)
    return dict(found)


# --- Apple Health, DICOM, archives


def _apple(data: bytes) -> Counts:
    """Records of each type; a pair of pressures is one."""
    kinds = Counter(re.findall(rb'<Record[^>]*?\btype="([^"]+)"', data))
    return {"records": sum(kinds.values()), "kinds": len(kinds)}


def _dicom(data: bytes) -> Counts:
    return {"documents": 1}


def _zip(data: bytes) -> Counts | None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = [name for name in packed.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        metadata = [name for name in names if name.upper().endswith("METADATA.XML")]
        if metadata:
            text = b"".join(packed.read(name) for name in metadata)
            return {"documents": len(re.findall(rb"<(?:\w+:)?ExtrinsicObject\b", text))}
        if any("health" in name.lower() and name.lower().endswith(".xml") for name in names):
            return _apple(b"".join(packed.read(name) for name in names if re.search(r"/ex\w+\.xml$", name)))
        return {"documents": sum(name.lower().endswith((".pdf", ".xml", ".jpg", ".png")) for name in names)}


# --- the comparison


def read_by_importer(data: bytes, name: str) -> Counts:
    """What the importer makes of it, in the same words."""
    from vault.importers import read_file

    reads = read_file(data, name)
    found: Counter[str] = Counter(entry.kind for read in reads for entry in read.document.entries)
    found["observation"] = sum(found[kind] for kind in OBSERVED)
    found["documents"] = len(reads)
    for read in reads:
        if told := re.fullmatch(r"Apple Health: (\d+) records", read.document.text):
            found["records"] = int(told[1])
            names = {entry.text("code") for entry in read.document.entries}
            found["kinds"] = len(names) + ("85354-9" in names)  # a pressure is two of its types
    return found


def differences(data: bytes, name: str) -> dict[str, tuple[int, int]] | None:
    """(counted here, read by the importer) of every kind that differs; None where nothing is compared."""
    counted = count(data, name)
    if counted is None:
        return None
    made = read_by_importer(data, name)
    return {kind: (number, made[kind]) for kind, number in counted.items() if made[kind] != number}


def main(folders: list[str]) -> int:
    from vault.errors import InputRefused

    compared = facts = wrong = 0
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file()):
        data = path.read_bytes()
        try:
            found = differences(data, path.name)
        except InputRefused as refused:
            print(f"{path}: refused: {refused}")
            continue
        if found is None:
            continue
        compared += 1
        facts += sum((count(data, path.name) or {}).values())
        wrong += bool(found)
        if found:
            print(f"{path}: " + ", ".join(f"{kind} {here} here, {there} read" for kind, (here, there) in found.items()))
    print(f"{compared} files compared, {facts} counts, {wrong} files differ")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
