"""DICOM: the header only; pixels are never decoded here. pydicom comes with the extra `imaging`."""

from __future__ import annotations

import io
import struct
import warnings as python_warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from vault.document import Document, Read, Subject
from vault.errors import InputRefused
from vault.importers import dicom_report
from vault.importers.dates import from_dicom
from vault.importers.reading import Builder, author_name, clean, sha256

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MEDIA_TYPE = "application/dicom"
MAX_OBJECTS = 200  # in one document
CLASS_IMAGING = "31"
_DIRECTORY = "1.2.840.10008.1.3.10"
_SHOWN = (
    "Modality",
    "StudyDescription",
    "SeriesDescription",
    "BodyPartExamined",
    "ProtocolName",
    "Manufacturer",
    "InstitutionName",
    "AccessionNumber",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
)


@cache
def _damaged() -> tuple[type[Exception], ...]:
    """What damaged values and files raise: pydicom's own errors have no common root."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        NotImplementedError, ValueError, TypeError, LookupError, AttributeError, OverflowError, EOFError, OSError,
        struct.error, zlib.error, BytesLengthException, InvalidDicomError,
    )  # fmt: skip


def read(data: bytes, name: str) -> list[Read]:
    """One document per DICOM object, to be grouped by study. What pydicom finds odd in values is not repeated here."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        return [_read(_header(data), data, name)]


def _read(header: Dataset, data: bytes, name: str) -> Read:
    out = Builder()
    out.attach(data, MEDIA_TYPE, name or "image.dcm")
    _check_claims(header, data, out)
    shown = {key: _text(header, key) for key in _SHOWN}
    named = (
        shown["StudyDescription"],
        shown["SeriesDescription"],
        _text(header, "DocumentTitle"),
        _report_name(header),
    )
    title = next(filter(None, named), " ".join(filter(None, ("DICOM", shown["Modality"]))))
    enclosed = dicom_report.attach_enclosed(header, out, _text)
    words = (*filter(None, shown.values()), *dicom_report.lines_of(header, _text, _items), enclosed)
    performer = _person(_text(header, "PerformingPhysicianName") or _text(header, "ReferringPhysicianName"))
    dates = (
        ("StudyDate", "StudyTime"),
        ("SeriesDate", "SeriesTime"),
        ("ContentDate", "ContentTime"),
        ("AcquisitionDate", ""),
    )
    offset = _text(header, "TimezoneOffsetFromUTC")
    unique = _text(header, "SOPInstanceUID") or _text(header.file_meta, "MediaStorageSOPInstanceUID")
    document = Document(
        title=title,
        class_code=CLASS_IMAGING,
        date=next((date for day, time in dates
                   if (date := from_dicom(_text(header, day), _text(header, time) if time else "", offset))), ""),
        author=author_name(performer, shown["InstitutionName"]),
        source_id=f"dicom:{unique}" if unique else f"sha256:{sha256(data)}",
        text="\n".join(filter(None, words)),
    )  # fmt: skip
    part = {
        "study": _text(header, "StudyInstanceUID"),
        "study_title": shown["StudyDescription"],
        "series": _text(header, "SeriesInstanceUID"),
        "series_title": clean(" ".join(filter(None, (shown["Modality"], shown["SeriesDescription"])))) or "DICOM",
    }
    return replace(out.finish(document, _subject(header)), part=part if part["study"] else {})


def group(reads: Sequence[Read]) -> list[Read]:
    """The objects of one study and patient as one document, what else there is as it is. The place is the first's."""
    found: dict[object, list[Read]] = {}
    for number, read in enumerate(reads):
        study = read.part.get("study")
        found.setdefault((study, read.subject) if study else number, []).append(read)
    grouped: list[Read] = []
    for members in found.values():
        grouped += _study(members) if members[0].part.get("study") else members
    return grouped


def _study(members: list[Read]) -> list[Read]:
    """One document; a study of very many objects becomes several of one title."""
    first = members[0].document
    series: dict[str, list[Read]] = {}
    for member in members:
        series.setdefault(member.part.get("series", ""), []).append(member)
    counted = [f"{_images(len(some))}: {some[0].part.get('series_title', '')}" for some in series.values()]
    lines = [line for member in members for line in member.document.text.splitlines()]
    text = "\n".join(dict.fromkeys((*counted, *lines)))
    warnings = tuple(dict.fromkeys(warning for member in members for warning in member.warnings))
    attachments = {item.sha256: (item, member) for member in members for item in member.document.attachments}
    kept = list(attachments.values())
    source = f"dicom:{members[0].part['study']}"
    parts = []
    for number, at in enumerate(range(0, len(kept), MAX_OBJECTS), 1):
        some = kept[at : at + MAX_OBJECTS]
        document = replace(
            first,
            title=members[0].part.get("study_title") or first.title,
            date=min((member.document.date for member in members if member.document.date), default=""),
            source_id=source,
            text=text if number == 1 else "",
            attachments=tuple(item for item, _ in some),
        )
        if len(kept) > MAX_OBJECTS:
            document = replace(document, title=f"{document.title} ({number})")
        if number > 1:
            document = replace(document, source_id=f"{source}#{number}")
        files = {item.sha256: member.files[item.sha256] for item, member in some if item.sha256 in member.files}
        parts.append(
            replace(members[0], document=document, files=files, warnings=warnings if number == 1 else (), part={})
        )
    return parts


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _header(data: bytes) -> Dataset:
    try:
        import pydicom
    except ModuleNotFoundError as missing:
        raise InputRefused("DICOM is read with the extra 'imaging'", hint="Install elpis-vault[imaging].") from missing
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    except RecursionError as failure:
        raise InputRefused("DICOM nested too deep") from failure
    except _damaged() as failure:
        raise InputRefused(f"not readable as DICOM ({type(failure).__name__})") from failure
    if _text(header.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY or "DirectoryRecordSequence" in header:
        raise InputRefused("the index of a DICOM disc", hint="Import the folder: the pictures themselves are read.")
    if not len(header) or (
        data[128:132] != b"DICM" and not {"SOPClassUID", "PatientName", "Modality", "PatientID"} & set(header.dir())
    ):
        raise InputRefused("no DICOM header in this file")
    return header


def _check_claims(header: Dataset, data: bytes, out: Builder) -> None:
    """Rows and columns that the file cannot hold: said now, so that no viewer allocates for them."""
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    frames, bits = _number(header, "NumberOfFrames") or 1, _number(header, "BitsAllocated") or 8
    syntax = _text(header.file_meta, "TransferSyntaxUID")
    plain = syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "")
    samples = _number(header, "SamplesPerPixel") or 1
    if samples == 3 and _text(header, "PhotometricInterpretation") in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        samples = 2  # two pixels share their colour
    claimed = rows * columns * frames * samples * max(bits, 1) // 8
    if plain and claimed > len(data) + 1024:
        out.warn(f"the header claims {columns} x {rows} pixels, more than the file holds: cut short or wrong")
    elif claimed > len(data) * 2_000:
        out.warn(f"the header claims {columns} x {rows} pixels in {frames} frame(s), hardly in a file of this size")


def _subject(header: Dataset) -> Subject | None:
    name = _text(header, "PatientName").split("=")[0].split("^")
    family, given = clean(name[0]), clean(name[1]) if len(name) > 1 else ""
    birth = from_dicom(_text(header, "PatientBirthDate"))[:10]
    number = _text(header, "PatientID")
    if not (family or given or birth or number):
        return None
    return Subject(family, given, birth, (("dicom", number),) if number else ())


def _person(value: str) -> str:
    parts = value.split("=")[0].split("^")
    return clean(
        " ".join(filter(None, (parts[3] if len(parts) > 3 else "", parts[1] if len(parts) > 1 else "", parts[0])))
    )


def _text(header: Any, keyword: str) -> str:
    """A value as text, "" when it is missing or damaged: values are decoded when they are asked for."""
    try:
        value = header.get(keyword, "") if header is not None else ""
        value = "" if value is None else str(value)
    except _damaged():
        return ""
    return clean(value, 1_000)


def _items(header: Any, keyword: str) -> list[Any]:
    """The items of a sequence, none when it is missing or damaged."""
    try:
        value = header.get(keyword) if header is not None else None
        return list(value) if value is not None and not isinstance(value, str | bytes) else []
    except _damaged():
        return []


def _report_name(header: Dataset) -> str:
    return _text(next(iter(_items(header, "ConceptNameCodeSequence")), None), "CodeMeaning")


def _number(header: Dataset, keyword: str) -> int:
    text = _text(header, keyword)
    return int(text) if text.isdigit() else 0
