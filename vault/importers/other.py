"""Pictures, text, office files: kept whole with what name and first bytes say. Pictures are never decoded here."""

from __future__ import annotations

import mimetypes
import re
import struct

from vault.document import Document, Read
from vault.errors import InputRefused
from vault.importers.reading import Builder, clean, safe_name, sha256

MAX_PIXELS = 400_000_000
_DATED = re.compile(r"(?P<date>(?:19|20)\d\d-[01]\d-[0-3]\d)[ _-]*(?P<rest>.*)")
# Other files that a person has on purpose, by their suffix.
_KNOWN = {
    ".txt": "text/plain", ".rtf": "application/rtf", ".csv": "text/csv", ".html": "text/html", ".htm": "text/html",
    ".doc": "application/msword", ".odt": "application/vnd.oasis.opendocument.text",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".wav": "audio/wav", ".mp4": "video/mp4", ".mov": "video/quicktime",
    ".eml": "message/rfc822", ".msg": "application/vnd.ms-outlook",
}  # fmt: skip


def read_picture(data: bytes, name: str, media_type: str) -> list[Read]:
    """A picture or scan. A header that claims a huge one is refused before anybody decodes it."""
    width, height = size_of_picture(data, media_type)
    if width * height > MAX_PIXELS:
        raise InputRefused(
            f"the picture claims {width} x {height} pixels", hint="Such pictures are made to exhaust a reader."
        )
    out = Builder()
    out.attach(data, media_type, name)
    out.warn("a picture: its text is not searchable")
    return [out.finish(_document(data, name, ""), None)]


def read_file(data: bytes, name: str) -> list[Read]:
    """A file of a known kind that no importer understands. InputRefused for the rest."""
    suffix = "." + name.lower().rpartition(".")[2]
    if suffix not in _KNOWN:
        raise InputRefused(
            "the format is not known",
            hint="Add it to a document as an attachment, with a title and a date.",
            format="unknown",
        )
    return keep(data, name)


def keep(data: bytes, name: str, why: str = "") -> list[Read]:
    """Any file, as an attachment of a document with its name for a title."""
    suffix = "." + name.lower().rpartition(".")[2]
    media_type = _KNOWN.get(suffix) or mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    out = Builder()
    out.attach(data, media_type, name)
    out.warn(f"kept as it is, not understood{': ' + why if why else ''}")
    text = data[:1_000_000].decode("utf-8", "replace") if media_type in ("text/plain", "text/csv") else ""
    return [out.finish(_document(data, name, text), None)]


def title_and_date(name: str) -> tuple[str, str]:
    """("Lettre de liaison", "2025-03-14") of "2025-03-14_Lettre de liaison.pdf"."""
    stem = safe_name(name).rsplit(".", 1)[0].replace("_", " ")
    match = _DATED.fullmatch(stem)
    return (clean(match.group("rest")) or stem, match.group("date")) if match else (stem, "")


def size_of_picture(data: bytes, media_type: str) -> tuple[int, int]:
    """(width, height) as the header claims, (0, 0) when it does not say."""
    try:
        if media_type == "image/png":
            return struct.unpack(">II", data[16:24])
        if media_type == "image/gif":
            return struct.unpack("<HH", data[6:10])
        if media_type == "image/bmp":
            width, height = struct.unpack("<ii", data[18:26])
            return abs(width), abs(height)
        if media_type == "image/jpeg":
            return _jpeg_size(data)
        if media_type == "image/tiff":
            return _tiff_size(data)
    except (struct.error, IndexError):
        pass
    return 0, 0


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF:
            return 0, 0
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + max(length, 2)
    return 0, 0


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    found = {256: 0, 257: 0}
    for index in range(min(count, 100)):
        tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * index)
        if tag in found:
            (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 2 + 12 * index + 8)
    return found[256], found[257]


def _document(data: bytes, name: str, text: str) -> Document:
    title, date = title_and_date(name)
    return Document(title=title or "file", date=date, source_id=f"sha256:{sha256(data)}", text=text)
