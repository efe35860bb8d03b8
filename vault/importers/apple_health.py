"""Apple Health export, streamed: each kind of measurement one by one while they are few, else one line per month.

The original file stays with the document. A blood pressure stands in its Correlation and again at top
level: counted once.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers.reading import Builder, Original, clean

if TYPE_CHECKING:
    from vault.importers.archive import Archive

FEW = 400  # of one kind: each stays an entry of its own
MAX_KINDS = 300
MAX_MONTHS = 1_200
MAX_RECORDS = 20_000_000
_SYSTOLIC, _DIASTOLIC = (
    "HKQuantityTypeIdentifierBloodPressureSystolic",
    "HKQuantityTypeIdentifierBloodPressureDiastolic",
)
_LABELS = {
    "BodyMass": ("Poids", "29463-7"),
    "Height": ("Taille", "8302-2"),
    "HeartRate": ("Fréquence cardiaque", "8867-4"),
    "RestingHeartRate": ("Fréquence cardiaque au repos", "40443-4"),
    "OxygenSaturation": ("Saturation en oxygène", "59408-5"),
    "BodyTemperature": ("Température", "8310-5"),
    "RespiratoryRate": ("Fréquence respiratoire", "9279-1"),
    "BloodGlucose": ("Glycémie", "2339-0"),
    "BodyMassIndex": ("Indice de masse corporelle", "39156-5"),
    "StepCount": ("Pas", "55423-8"),
    "SleepAnalysis": ("Sommeil", "93832-4"),
}


@dataclass
class Kind:
    """One kind of measurement, in bounded memory."""

    unit: str = ""
    count: int = 0
    few: list[tuple[str, str, str]] = field(default_factory=list)  # (start, value, source)
    months: dict[str, list[float]] = field(default_factory=dict)  # month -> [count, sum, lowest, highest]

    def put(self, start: str, value: str, source: str) -> None:
        self.count += 1
        if self.count <= FEW:
            self.few.append((start, value, source))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        month = self.months.get(start[:7])
        if month is None:
            if len(self.months) < MAX_MONTHS:
                self.months[start[:7]] = [1, number, number, number]
        else:
            month[0] += 1
            month[1] += number
            month[2] = min(month[2], number)
            month[3] = max(month[3], number)


@dataclass
class Export:
    """What was read so far."""

    birth: str = ""
    date: str = ""
    records: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    pressures: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    damaged: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Record":
            self._record(attributes)
        elif name == "Me":
            self.birth = attributes.get("HKCharacteristicTypeIdentifierDateOfBirth", "")[:10]
        elif name == "ExportDate":
            self.date = apple_date(attributes.get("value", ""))
        elif name in ("Workout", "ActivitySummary", "ClinicalRecord"):
            self.left[name] = self.left.get(name, 0) + 1

    def _record(self, attributes: dict[str, str]) -> None:
        self.records += 1
        if self.records > MAX_RECORDS:
            raise InputRefused("the export holds too many records", limit=MAX_RECORDS)
        kind, start = attributes.get("type", ""), attributes.get("startDate", "")
        value, source = attributes.get("value", ""), attributes.get("sourceName", "")
        if kind in (_SYSTOLIC, _DIASTOLIC) and len(self.pressures) < 200_000:
            self.pressures.setdefault((start, source), {})[kind] = value
            return
        known = self.kinds.get(kind)
        if known is None:
            if len(self.kinds) >= MAX_KINDS:
                return
            known = self.kinds[kind] = Kind(attributes.get("unit", ""))
        known.put(start, value, source)


def find_export(archive: Archive) -> zipfile.ZipInfo | None:
    """The measurements in an export's zip, by name; its CDA twin is not it."""
    return next((item for item in archive.members
                 if item.filename.lower().rpartition("/")[2] in ("export.xml", "exportation.xml", "exportación.xml")
                 and "health" in item.filename.lower()), None)  # fmt: skip


def read(data: bytes, name: str) -> list[Read]:
    """export.xml alone."""
    export = stream(data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20))
    return [_document(export, Original.of(data, name), "text/xml")]


def read_outside(source: Any, original: Original) -> Read:
    """export.xml that stays outside, in pieces."""
    return _document(stream(iter(lambda: source.read(1 << 20), b"")), original, "text/xml")


def read_archive(archive: Archive, info: zipfile.ZipInfo, original: Original) -> list[Read]:
    """The whole export; its electrocardiograms and workout routes stay in the original file."""
    export = stream(archive.stream(info))
    others = [item for item in archive.members if item is not info]
    if others:
        export.left["other file of the export"] = len(others)
    return [_document(export, original, "application/zip")]


def stream(pieces: Iterable[bytes]) -> Export:
    """Reads pieces as they come; entity declarations are refused."""
    export = Export()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = export.start
    parser.EntityDeclHandler = _refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as failure:
        if not export.records:
            raise InputRefused(f"not readable as an Apple Health export: {failure}") from failure
        export.damaged = str(failure)
    return export


def _refuse(*_: object) -> None:
    raise InputRefused("XML with entity declarations is not read", hint="Such files can make a reader hang.")


def apple_date(value: str) -> str:
    """ "2024-10-27 08:00:00 +0200" as RFC 3339."""
    if len(value) == 25 and value[10] == value[19] == " ":
        return f"{value[:10]}T{value[11:19]}{value[20:23]}:{value[23:]}"
    return value[:10]


def _document(export: Export, original: Original, media_type: str) -> Read:
    out = Builder()
    original.attach_to(out, media_type)
    _add_pressures(export, out)
    for kind, found in sorted(export.kinds.items()):
        _add_kind(kind, found, out)
    for what, count in sorted(export.left.items()):
        out.left[clean(what, 60)] = count
    if export.damaged:
        out.warn(f"damaged XML, read as far as possible ({export.damaged})")
    subject = Subject(birth=export.birth) if export.birth else None
    document = Document(
        title="Apple Health", date=export.date, author="Apple Health", source_id=f"sha256:{original.sha256}",
        text=f"Apple Health: {export.records} records",
    )  # fmt: skip
    return out.finish(document, subject)


def _add_pressures(export: Export, out: Builder) -> None:
    pairs = Kind("mmHg")
    for (start, source), values in sorted(export.pressures.items()):
        if _SYSTOLIC in values and _DIASTOLIC in values:
            pairs.few.append((start, f"{values[_SYSTOLIC]}/{values[_DIASTOLIC]}", source))
        else:
            out.left["half of a blood pressure"] += 1
    for start, value, source in pairs.few[-5_000:]:
        out.add(
            "vital",
            {
                "label": "Pression artérielle",
                "code": "85354-9",
                "system": "http://loinc.org",
                "value": value,
                "unit": "mmHg",
                "start": apple_date(start),
                "author": source,
            },
        )


def _add_kind(kind: str, found: Kind, out: Builder) -> None:
    short = (
        kind.removeprefix("HKQuantityTypeIdentifier")
        .removeprefix("HKCategoryTypeIdentifier")
        .removeprefix("HKDataType")
    )
    label, code = _LABELS.get(short, (short, ""))
    base = {"label": label or "(-)", "code": code or kind, "system": "http://loinc.org" if code else "apple-health"}
    vital = "vital" if code and short not in ("StepCount", "SleepAnalysis") else "note"
    if found.count <= FEW:
        for start, value, source in found.few:
            shown = value.removeprefix("HKCategoryValue").removeprefix(short)
            out.add(vital, {**base, "value": shown, "unit": found.unit, "start": apple_date(start), "author": source})
        return
    for month, (count, total, lowest, highest) in sorted(found.months.items()):
        average = f"{total / count:.4g} ({lowest:.4g} - {highest:.4g})" if highest else ""
        out.add(vital, {**base, "value": average, "unit": found.unit, "start": month, "note": f"n = {int(count)}"})
