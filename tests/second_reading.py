"""What files state, read a second time by other means: no line of the importers, no library that they use.

`python -m tests.second_reading FOLDER ...` compares every file of known kind with what the importer makes of it. Counts
are of entries, denied ones included. What this reading cannot tell (None) is not compared.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.second_reading_cda import Counts, count_clinical

FHIR_KINDS = {
    "MedicationStatement": "medication", "MedicationRequest": "medication", "MedicationDispense": "medication",
    "MedicationAdministration": "medication", "MedicationOrder": "medication",
    "AllergyIntolerance": "allergy", "Condition": "condition", "Immunization": "immunization",
    "Procedure": "procedure", "FamilyMemberHistory": "family_history",
    "Observation": "observation",
}  # fmt: skip
# What is counted together: an Observation becomes any of these kinds, an alert or an order a note.
OBSERVED = ("result", "vital", "social_history", "note")
ORDERS = ("ServiceRequest", "ProcedureRequest", "ReferralRequest")
FHIR_KINDS |= dict.fromkeys(("Flag", *ORDERS), "observation")
HOLDERS = ("DiagnosticReport", "Observation", "List")  # contain facts of their own


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
        return count_clinical(data)
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
        elif isinstance(root, dict) and (root.get("resourceType") or "Bundle") == "Bundle":
            yield from _resources(entry.get("resource") for entry in root.get("entry", []))
        elif isinstance(root, dict):
            yield root
            if root.get("resourceType") in HOLDERS:
                held = (item for item in root.get("contained", []) if item.get("resourceType") in FHIR_KINDS)
                yield from (item for item in held if item["resourceType"] not in ORDERS)


# --- HL7 v2


def _hl7(data: bytes) -> Counts:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    found: Counter[str] = Counter({"allergy": 0, "condition": 0, "immunization": 0, "result": 0})
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
        for fields in message:
            for kind, number in _carried(fields).items():
                found[kind] += number if kind in found else 0
        if "VXU" not in "".join(message[0][8:9]):
            found["result"] += sum(_is_result(fields) for fields in message)
    return dict(found)


def _carried(fields: list[str]) -> Counts:
    """A clinical document in a base64 field."""
    parts = (fields[5] if len(fields) > 5 else "").split("^")
    if fields[0] != "OBX" or fields[2] != "ED" or len(parts) < 5 or fields[11:12] in (["X"], ["D"]):
        return {}
    packed = "".join(parts[4].split()).rstrip("=")
    packed = packed[:-1] if len(packed) % 4 == 1 else packed  # cut short by one
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4))
    except ValueError:
        return {}
    return (count_clinical(data) or {}) if b"ClinicalDocument" in data else {}


def _is_result(fields: list[str]) -> bool:
    """A named observation that is no text, no file, no address, not taken back and no flag of the French profile."""
    kind, name, value, status = (fields[at] if at < len(fields) else "" for at in (2, 3, 5, 11))
    if fields[0] != "OBX" or kind in ("TX", "FT", "ED", "RP", "HD", "AD", "XPN", "XAD", "XTN", "CX", "EI"):
        return False
    parts = name.split("^")
    flag = "MetaDMPMSS" in parts or parts[0] in ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX")
    named = any(parts[:2])
    return named and not flag and status not in ("X", "W", "D") and bool(value.strip("^~") or any(parts[1:2]))


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
