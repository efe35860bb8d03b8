"""Import against the bare parser of the same bytes: reading alone, and through the worker into the encrypted vault.

The files are the fixtures themselves, under other identifiers so that none is a duplicate.
"""

from __future__ import annotations

import io
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from xml.parsers import expat

from lxml import etree
from pydicom import dcmread

from tests.benchmarks.harness import Row, most_mb, paired, rss_mb, timed
from vault import Vault
from vault.importers import read_file
from vault.importers.apple_health import stream
from vault.intake import import_files

FIXTURES = Path(__file__).parent.parent / "fixtures"
FHIR = FIXTURES / "fhir_r4_synthea/Buster_Hoeger_ad2e3fc5-2b5d-4cb9-8d03-9ea0f4ac8423.json"
CDA = FIXTURES / "cda_us_hl7/Transfer_Summary.xml"
DICOM = FIXTURES / "dicom_pydicom/CT_small.dcm"
LETTER = FIXTURES / "cda_fr_own/N3_CR-BIO.xml"
LIMIT = 4.0


def main(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        yield from _apple(Path(folder), 20_000 if quick else 324_000, rounds)
        yield _dicom(rounds)
        vault, _ = Vault.create(Path(folder) / "vault", name="Banc Essai", passphrase="sept lampes vertes au matin")
        with vault:
            large, small = (_large_fhir(20), _large_cda(20)), (FHIR.read_bytes(), CDA.read_bytes())
            for number, (name, parse) in enumerate((("FHIR", json.loads), ("CDA", etree.fromstring))):
                of = _Format(vault, Path(folder), name, parse, rounds)
                yield from of.rows(f"{name}, files of 5 MB", large[number], 2 if quick else 8)
                yield from of.rows(f"{name}, a folder of files of 240 kB", small[number], 4 if quick else 300)
                yield of.one(f"{name}, one file of 240 kB", small[number])
        yield from _growth(Path(folder), *((300, 100) if quick else (20_000, 2_000)))


def _large_fhir(times: int) -> bytes:
    """One record as long as that of a person with a long history: the fixture many times over, under other ids."""
    bundle = json.loads(FHIR.read_bytes())
    first, *rest = bundle["entry"]
    bundle["entry"] = [first]
    for number in range(times):
        for entry in rest:
            resource = entry["resource"]
            bundle["entry"].append({**entry, "resource": {**resource, "id": f"{resource['id']}-{number}"}})
    return json.dumps(bundle, indent=2).encode()


def _large_cda(times: int) -> bytes:
    """The sections of the fixture many times over."""
    root = etree.fromstring(CDA.read_bytes())
    body = root.find(".//{urn:hl7-org:v3}structuredBody")
    for component in list(body.iterchildren("{urn:hl7-org:v3}component")) * (times - 1):
        body.append(etree.fromstring(etree.tostring(component, with_tail=False)))
    return bytes(etree.tostring(root))


class _Format:
    """Files of one format, against the bare parser of their bytes."""

    def __init__(self, vault: Vault, folder: Path, name: str, parse: Callable[[bytes], object], rounds: int) -> None:
        self._vault, self._folder, self._parse, self._rounds = vault, folder, parse, rounds
        self._suffix = CDA.suffix if name == "CDA" else FHIR.suffix
        self._numbers = count()

    def rows(self, name: str, data: bytes, files: int) -> Iterator[Row]:
        """Reading alone, and everything: both for the same files."""
        copies = [_renamed(data, f"p{number}") for number in range(files)]
        size = sum(map(len, copies)) / 1e6

        def read() -> None:
            for item in copies:
                assert read_file(item, f"x{self._suffix}")[0].document.entries

        bare, store = self._bare(copies), self._store(copies)
        speed = f"{size / timed(read):.1f} MB/s"
        yield Row(f"{name}: read / bare parser", paired(read, bare, self._rounds), LIMIT, detail=speed)
        speed = f"{size / timed(store):.1f} MB/s"
        both = f"{name}: worker, encryption, storage, index / bare parser"
        yield Row(both, paired(store, bare, self._rounds), LIMIT, detail=speed)

    def one(self, name: str, data: bytes) -> Row:
        """A single file, which pays for the start of the worker alone."""
        copies = [_renamed(data, "p0")]
        store = self._store(copies)
        taken = f"{timed(store) * 1e3:.0f} ms"
        return Row(
            f"{name}, with the start of its worker / bare parser",
            paired(store, self._bare(copies), self._rounds),
            detail=taken,
        )

    def _bare(self, copies: list[bytes]) -> Callable[[], None]:
        def bare() -> None:
            for item in copies:
                self._parse(item)

        return bare

    def _store(self, copies: list[bytes]) -> Callable[[], None]:
        """Each call imports a folder of its own: the same files under other identifiers, none of them a duplicate."""

        def written() -> list[Path]:
            batch = Path(tempfile.mkdtemp(dir=self._folder))
            paths = [batch / f"{number}{self._suffix}" for number in range(len(copies))]
            for path, item in zip(paths, copies, strict=True):
                path.write_bytes(_renamed(item, f"s{next(self._numbers)}"))
            return paths

        batches = iter([written() for _ in range(self._rounds + 2)])

        def store() -> None:
            report = import_files(self._vault, next(batches), about_someone_else=True)
            assert len(report.documents) >= len(copies), report

        return store


def _growth(folder: Path, files: int, window: int) -> Iterator[Row]:
    """One import of many small documents of forty years: what the last of them cost against the first."""
    chooser, text = random.Random(7), LETTER.read_text(encoding="utf-8")
    vocabulary = ["".join(chooser.choices("aeilmnorstu", k=chooser.randrange(4, 11))) for _ in range(20_000)]
    batch = folder / "many"
    batch.mkdir()
    for number in range(files):
        day = f"{1985 + chooser.randrange(40)}{1 + chooser.randrange(12):02}{1 + chooser.randrange(28):02}"
        made = re.sub(r'(<effectiveTime value=")20250203', rf"\g<1>{day}", text, count=1)
        made = re.sub(r"<title>", f"<title>{' '.join(chooser.choices(vocabulary, k=30))} ", made, count=1)
        made = re.sub(r'(<versionNumber value=")[^"]*', rf"\g<1>{number}", made, count=1)
        (batch / f"{number:06}.xml").write_text(made, encoding="utf-8")
    seen: list[tuple[float, float, float]] = []

    def progress(_name: str, _done: int, _total: int) -> None:
        seen.append((time.perf_counter(), time.process_time(), rss_mb()))

    vault, _ = Vault.create(folder / "growing", name="Banc Essai", passphrase="sept lampes vertes au matin")
    with vault:
        report = import_files(vault, [batch], about_someone_else=True, progress=progress)
        assert len(report.documents) == vault.count() == files, report.skipped
    grown = max(seen[number][2] for number in range(window, files)) - seen[window][2]
    yield Row(
        f"import of {files} documents: memory after the first {window}", grown, 150, unit="MB",
        detail=f"{grown / (files - window) * 1e3:.1f} kB a document",
    )  # fmt: skip
    first = window // 4  # the start of the workers is no growth
    for name, kind in (("on the clock", 0), ("in processor time of this process", 1)):
        ratio = (seen[-1][kind] - seen[-1 - window][kind]) / (seen[first + window][kind] - seen[first][kind])
        whole = seen[-1][kind] - seen[0][kind]
        yield Row(
            f"import of {files} documents, {name}: the last {window} / {window} of the first", ratio, 1.5,
            detail=f"{whole:.0f} s in all, {whole / files * 1e3:.1f} ms a document",
        )  # fmt: skip


def _renamed(data: bytes, mark: str) -> bytes:
    """The same record under another identifier."""
    if data.lstrip().startswith(b"{"):
        return data.replace(b"{", b'{"id": "%s",' % mark.encode(), 1) if b'"id": "p' not in data[:40] else re.sub(
            rb'"id": "p\d+"', b'"id": "%s"' % mark.encode(), data, count=1)  # fmt: skip
    return re.sub(rb'(<versionNumber value=")[^"]*', rb"\g<1>" + mark.encode(), data, count=1)


def _apple(folder: Path, records: int, rounds: int) -> Iterator[Row]:
    """A large Apple Health export: reading against the bare parser; memory of all that an import of it needs."""
    path = folder / "export.xml"
    with path.open("wb") as file:
        file.write(b"<HealthData>")
        for number in range(records):
            day = f"20{10 + number % 15}-{1 + number % 12:02}-{1 + number % 28:02}"
            file.write(
                f'<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Montre" unit="count/min"'
                f' creationDate="{day} 08:00:01 +0200" startDate="{day} 08:00:00 +0200" endDate="{day} 08:00:00 +0200"'
                f' value="{50 + number % 90}"/>\n'.encode()
            )
        file.write(b"</HealthData>")

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(1 << 20), b"")

    def bare() -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda _name, _attributes: None
        for piece in pieces():
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    size = path.stat().st_size / 1e6
    speed = f"{size:.0f} MB, {size / timed(lambda: stream(pieces())):.1f} MB/s"
    yield Row("Apple Health: read / bare parser (expat)", paired(lambda: stream(pieces()), bare, rounds), detail=speed)
    vault, _ = Vault.create(folder / "measured", name="Banc Essai", passphrase="sept lampes vertes au matin")
    with vault:
        seconds, most = most_mb(lambda: import_files(vault, [path], about_someone_else=True))
        assert vault.count() == 1
    yield Row(
        "Apple Health: memory of an import, the vault's process and its worker", most,
        150, detail=f"{records} records, {seconds:.1f} s", unit="MB",
    )  # fmt: skip


def _dicom(rounds: int) -> Row:
    """The header of an image. Its pixels are nobody's business here."""
    data = DICOM.read_bytes()

    def bare() -> None:
        for _ in range(50):
            list(dcmread(io.BytesIO(data), stop_before_pixels=True).iterall())

    def read() -> None:
        for _ in range(50):
            assert read_file(data, "x.dcm")[0].document.date

    return Row("DICOM: read / bare parser (pydicom)", paired(read, bare, rounds))
