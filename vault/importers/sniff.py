"""Which format a file is in, by its own few rules: first bytes, root element, segment names. Names only break ties."""

from __future__ import annotations

import re

_ROOT = re.compile(rb"<(?!\?|!)(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_PICTURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"BM", "image/bmp"),
)
_BOXED = dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "image/heic") | dict.fromkeys(
    (b"avif", b"avis"), "image/avif"
)
_HEAD = 8192


def format_of(data: bytes, name: str = "") -> str:
    """One of cda, fhir-json, fhir-xml, pdf, zip, hl7v2, dicom, apple, or other; "picture:TYPE" for pictures."""
    head = data[:_HEAD]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:1024].find(b"%PDF-") != -1:  # after what may hold one as it is
        return "pdf"
    if _bare_dicom(head, name):
        return "dicom"
    for magic, media_type in _PICTURES:
        if head.startswith(magic) and (magic != b"BM" or len(data) > 54):
            return f"picture:{media_type}"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "picture:image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _BOXED:
        return f"picture:{_BOXED[head[8:12]]}"
    return _text_format(data, head, name)


def _text_format(data: bytes, head: bytes, name: str) -> str:
    plain = _narrow(head).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x0b\x1c")
    if re.match(rb"(FHS|BHS|MSH)[^A-Za-z0-9\s]", plain):
        return "hl7v2"
    if plain[:1] in b"{[" and plain:
        return "fhir-json" if b"resourceType" in _narrow(data[: 1 << 20]) else "other"
    if plain[:1] == b"<":
        return _xml_format(data, head)
    return "other"


def _xml_format(data: bytes, head: bytes) -> str:
    match = _ROOT.search(_narrow(data[: 1 << 16]))
    root = match.group(1).decode("ascii", "replace") if match else ""
    if root == "ClinicalDocument":
        return "cda"
    if root == "HealthData":
        return "apple"
    if b"http://hl7.org/fhir" in _narrow(head):
        return "fhir-xml"
    if root in ("stylesheet", "transform") or b"ClinicalDocument" in _narrow(data[: 4 << 20]):
        return "cda" if b"ClinicalDocument" in _narrow(data) else "other"
    return "other"


def _narrow(data: bytes) -> bytes:
    """UTF-16 squeezed to its low bytes: enough to recognise ASCII marks."""
    return data.replace(b"\0", b"") if data[:64].count(b"\0") > 8 or data[:2] in (b"\xff\xfe", b"\xfe\xff") else data


def _bare_dicom(head: bytes, name: str) -> bool:
    """DICOM without a preamble: a first element of group 0002 or 0008 with a plausible value representation."""
    if len(head) < 12:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0
    big = head[:2] in (b"\x00\x08", b"\x00\x02") and head[2] == 0
    if (little or big) and (explicit or name.lower().endswith((".dcm", ".dicom", ".ima"))):
        return True
    # Implicit little endian: group 0008, an even length that fits.
    length = int.from_bytes(head[4:8], "little")
    return (
        head[:2] == b"\x08\x00"
        and head[3] == 0
        and length < 512
        and length % 2 == 0
        and head[8 + length : 10 + length] == b"\x08\x00"
    )
