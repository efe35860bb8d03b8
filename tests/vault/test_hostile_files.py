"""Every kind of file made to do harm, by name: refused or put aside with a reason, in the time and memory of a file.

Nothing is written outside of the vault, nothing is fetched, nothing stays half in it, and the next file comes in.
"""

from __future__ import annotations

import base64
import io
import os
import resource
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vault import Vault
from vault.importers import plain
from vault.intake import import_files

FIXTURES = Path(__file__).parent.parent / "fixtures"
GOOD = FIXTURES / "pdf_own/CR_bio.pdf"
CDA = (FIXTURES / "cda_fr_own/N3_VSM.xml").read_bytes()
CASES: dict[str, tuple[str, Callable[[], bytes]]] = {}
REFUSED, TAKEN, EITHER = "refused", "taken", "either"
EXPECTED: dict[str, str] = {}


def case(name: str, suffix: str, expected: str = REFUSED) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(made: Callable[[], bytes]) -> Callable[[], bytes]:
        CASES[name], EXPECTED[name] = (suffix, made), expected
        return made

    return keep


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return packed.getvalue()


def clinical(prologue: bytes, body: bytes = b"") -> bytes:
    return b'<?xml version="1.0"?>' + prologue + b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>' + body + (
        b"</title></ClinicalDocument>"
    )  # fmt: skip


def with_pdf(data: bytes) -> bytes:
    """A clinical document around a PDF."""
    packed = base64.b64encode(data)
    return (
        b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>x</title><component><nonXMLBody><text mediaType='
        b'"application/pdf" representation="B64">' + packed + b"</text></nonXMLBody></component></ClinicalDocument>"
    )


def flate_pdf(stream: bytes, page: bytes = b"[0 0 595 842]") -> bytes:
    """A page whose content is this stream, packed."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R>>" % page,
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream),
    )  # fmt: skip
    body = b"".join(b"%d 0 obj%s endobj\n" % pair for pair in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer<</Size 5/Root 1 0 R>>\n%%EOF"


def zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def dicom(*elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + length + meta + b"".join(elements)


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


@case("xxe-file", "xml")
def _() -> bytes:
    return clinical(b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', b"&a;")


@case("xxe-network", "xml")
def _() -> bytes:
    return clinical(b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/a"> %a;]>')


@case("xxe-external-dtd", "xml", TAKEN)
def _() -> bytes:
    return clinical(b'<!DOCTYPE ClinicalDocument SYSTEM "http://127.0.0.1:9/a.dtd">')


@case("xinclude", "xml", TAKEN)
def _() -> bytes:
    include = b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    return clinical(b"", include)


@case("entity-bomb-billion-laughs", "xml")
def _() -> bytes:
    lines = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    return clinical(b'<!DOCTYPE x [<!ENTITY l0 "ha">' + lines + b"]>", b"&l9;")


@case("entity-bomb-quadratic", "xml")
def _() -> bytes:
    return clinical(b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100_000 + b'">]>', b"&a;" * 100_000)


@case("entity-bomb-utf-16", "xml")
def _() -> bytes:
    return (
        clinical(b'<!DOCTYPE x [<!ENTITY a "b">]>', b"&a;")
        .decode()
        .replace("?>", ' encoding="utf-16"?>')
        .encode("utf-16")
    )


@case("deep-xml", "xml")
def _() -> bytes:
    return clinical(b"", b"<a>" * 100_000 + b"</a>" * 100_000)


@case("deep-xml-over-the-size-of-huge-trees", "xml")
def _() -> bytes:
    return clinical(b"", b" " * 8_000_000 + b"<a>" * 1_500 + b"</a>" * 1_500)


@case("many-elements", "xml")
def _() -> bytes:
    return clinical(b"", b"<a/>" * 5_000_000)


@case("many-attributes", "xml", EITHER)
def _() -> bytes:
    return clinical(b"", b"<a " + b" ".join(b'a%d="1"' % n for n in range(300_000)) + b"/>")


@case("zip-bomb", "zip")
def _() -> bytes:
    return zipped(("a.pdf", bytes(600 << 20)))


@case("zip-bomb-of-many", "zip")
def _() -> bytes:
    return zipped(*((f"{n}.pdf", b"%PDF-" + os.urandom(100) + bytes(3 << 20)) for n in range(200)))


@case("zip-of-too-many", "zip")
def _() -> bytes:
    return zipped(*((f"{n}.txt", b"x") for n in range(6_000)))


@case("zip-slip", "zip", TAKEN)
def _() -> bytes:
    return zipped(("../../../../elpis-slipped.txt", b"out"), ("/etc/elpis-slipped.txt", b"out"))


@case("nested-archives", "zip")
def _() -> bytes:
    inner = zipped(("x.txt", bytes(10 << 20)))
    for _level in range(20):
        inner = zipped(("inner.zip", inner))
    return inner


@case("zip-that-lies-about-sizes", "zip")
def _() -> bytes:
    data = bytearray(zipped(("a.xml", b" " * (600 << 20))))
    place = data.find(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 100)
    data[22:26] = struct.pack("<I", 100)
    return bytes(data)


@case("zip-that-overlaps", "zip", EITHER)
def _() -> bytes:
    """Many names for one member: the central directory points at the same bytes again and again."""
    one = zipped(("a.txt", bytes(5 << 20)))
    place = one.find(b"PK\x01\x02")
    entry, end = one[place : one.find(b"PK\x05\x06")], one[one.find(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"a.txt", b"%05d" % number) for number in range(4_000))
    ending = end[:8] + struct.pack("<HHII", 4_000, 4_000, len(entries), place) + end[20:]
    return one[:place] + entries + ending


@case("truncated-zip", "zip")
def _() -> bytes:
    return zipped(("a.xml", CDA))[:-200]


@case("truncated-pdf", "pdf")
def _() -> bytes:
    return GOOD.read_bytes()[:400]


@case("truncated-json", "json")
def _() -> bytes:
    return (FIXTURES / "ips_hl7/Bundle-bundle-minimal.json").read_bytes()[:-40]


@case("truncated-xml", "xml", TAKEN)
def _() -> bytes:
    anonymous = CDA[: CDA.index(b"<recordTarget")] + CDA[CDA.index(b"</recordTarget>") + len(b"</recordTarget>") :]
    return anonymous[: len(anonymous) // 2]


@case("truncated-dicom", "dcm", EITHER)
def _() -> bytes:
    return (FIXTURES / "dicom_pydicom/CT_small.dcm").read_bytes()[:400]


@case("picture-of-900-megapixels-png", "png")
def _() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 30_000, 30_000) + bytes(1000)


@case("picture-of-900-megapixels-jpeg", "jpg")
def _() -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, 30_000, 30_000) + bytes(1000)


@case("picture-of-900-megapixels-tiff", "tif")
def _() -> bytes:
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, 30_000) for tag in (256, 257))
    return b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(100)


@case("picture-of-900-megapixels-bmp", "bmp")
def _() -> bytes:
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, 30_000, -30_000) + bytes(100)


@case("picture-that-is-none", "png", TAKEN)
def _() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 500, 500) + os.urandom(1000)


@case("deep-json", "json")
def _() -> bytes:
    return b'{"resourceType":"Bundle","x":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}"


@case("deep-bundles", "json", EITHER)
def _() -> bytes:
    start = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":'
    return start * 300 + b'{"resourceType":"Basic"}' + b"}]}" * 300


@case("json-of-one-long-number", "json")
def _() -> bytes:
    return b'{"resourceType":"Basic","id":' + b"9" * 5_000_000 + b"}"


@case("json-of-many-values", "json")
def _() -> bytes:
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + b"9," * 60_000_000 + b"1]}"


@case("json-that-refers-to-itself", "json", TAKEN)
def _() -> bytes:
    return (
        b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"PractitionerRole","id":"a",'
        b'"practitioner":{"reference":"PractitionerRole/a"}}},{"resource":{"resourceType":"Condition","id":"c","code":'
        b'{"text":"x"},"recorder":{"reference":"PractitionerRole/a"}}}]}'
    )


@case("dicom-that-claims-65535-squared", "dcm", TAKEN)
def _() -> bytes:
    number = struct.pack("<H", 65_535)
    return dicom(
        element(8, 0x60, b"CS", b"CT"), element(0x28, 0x10, b"US", number), element(0x28, 0x11, b"US", number),
        element(0x28, 0x100, b"US", struct.pack("<H", 16)),
    )  # fmt: skip


@case("dicom-with-an-element-of-4-gigabytes", "dcm", EITHER)
def _() -> bytes:
    return dicom(element(8, 0x60, b"CS", b"CT"), struct.pack("<HH2sHI", 9, 0x10, b"OB", 0, 0xFFFF_FFF0) + b"x")


@case("dicom-nested-deep", "dcm", EITHER)
def _() -> bytes:
    start = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFF_FFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFF_FFFF)
    return dicom(element(8, 0x60, b"CS", b"CT"), start * 20_000)


@case("dicom-deflate-bomb", "dcm")
def _() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(900)), packer.flush()])
    return dicom(packed, syntax=b"1.2.840.10008.1.2.1.99")


@case("pdf-deflate-bomb", "pdf", EITHER)
def _() -> bytes:
    return flate_pdf(zeros(900 << 20))


@case("pdf-deflate-bomb-in-a-clinical-document", "xml", EITHER)
def _() -> bytes:
    return with_pdf(flate_pdf(zeros(900 << 20)))


@case("pdf-of-a-page-like-a-field", "pdf", EITHER)
def _() -> bytes:
    return flate_pdf(zlib.compress(b"0 0 m 9 9 l S"), b"[0 0 99999999 99999999]")


@case("hl7-of-too-many-segments", "hl7")
def _() -> bytes:
    return b"MSH|^~\\&|A|B|C|D|2024||ORU^R01|1|P|2.5\r" + b"OBX|1|TX|x||y\r" * 600_000


@case("hl7-that-repeats-without-end", "hl7", EITHER)
def _() -> bytes:
    return b"MSH|^~\\&|A|B|C|D|2024||ORU^R01|1|P|2.5\rPID|1||" + b"1^^^A~" * 2_000_000 + b"\r"


@case("apple-with-entities", "xml")
def _() -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE HealthData [<!ENTITY a "' + b"a" * 1000 + b'">]><HealthData>&a;</HealthData>'
    )


@case("apple-of-endless-kinds", "xml", EITHER)
def _() -> bytes:
    records = b"".join(b'<Record type="K%d" startDate="2024-01-01" value="1"/>' % number for number in range(200_000))
    return b"<HealthData>" + records + b"</HealthData>"


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def slips(vault: Path) -> set[Path]:
    """Where a member that climbs out of its archive would land: above the vault, above the import, in the system."""
    above = [*vault.parents, *Path.cwd().parents, Path.cwd(), Path("/etc")]
    return {path for folder in above for path in folder.glob("elpis-slipped*")}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_it_does_no_harm(
    name: str, vault: Vault, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, made = CASES[name]
    folder = tmp_path_factory.mktemp("files")
    (folder / f"a.{suffix}").write_bytes(made())
    (folder / "b.pdf").write_bytes(GOOD.read_bytes())
    before, slipped = tree(folder), slips(vault.path)

    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    report = import_files(vault, [folder])
    # The limit of a file, twice where its worker was started for another room, and what the other file takes.
    assert time.monotonic() - start < 3 * plain.SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - own) << 10 < plain.MEMORY
    skipped = [Path(item.file).name for item in report.skipped]
    if EXPECTED[name] != EITHER:
        assert skipped == ([f"a.{suffix}"] if EXPECTED[name] == REFUSED else []), report
    assert all(item.why for item in report.skipped)
    assert any(vault.read(item.id).attachments[0].name == "b.pdf" for item in report.documents)
    assert vault.count() == len(report.documents)
    kept = sum(len(item.attachments) for item in report.documents)
    assert len(list((vault.path / "attachments").iterdir())) == kept
    assert b"root:" not in b"".join(vault.read(item.id).text.encode() for item in report.documents)
    assert tree(folder) == before
    assert slips(vault.path) == slipped


def test_the_limits_are_those_that_are_promised() -> None:
    assert plain.SECONDS == 10.0
    assert plain.MEMORY == 500 << 20
