"""Import against the bare parser of the same bytes: reading alone, and through the worker into the encrypted vault.

The files are the fixtures themselves, under other identifiers so that none is a duplicate.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from lxml import etree

from tests.benchmarks.harness import Row, paired, peak_mb, timed
from vault import Vault
from vault.importers import read_file
from vault.importers.apple_health import stream
from vault.intake import import_files

FIXTURES = Path(__file__).parent.parent / "fixtures"
FHIR = FIXTURES / "fhir_r4_synthea/Buster_Hoeger_ad2e3fc5-2b5d-4cb9-8d03-9ea0f4ac8423.json"
CDA = FIXTURES / "cda_us_hl7/Transfer_Summary.xml"
LIMIT = 4.0


def main(quick: bool) -> Iterator[Row]:
    yield _apple(20_000 if quick else 324_000)
    rounds = 3 if quick else 7
    large_files, small_files = (2, 4) if quick else (8, 100)
    with tempfile.TemporaryDirectory() as folder:
        vault, _ = Vault.create(Path(folder) / "vault", name="Banc Essai", passphrase="sept lampes vertes au matin")
        with vault:
            large = _large_fhir(20), _large_cda(20)
            for name, data, parse in (("FHIR", large[0], json.loads), ("CDA", large[1], etree.fromstring)):
                yield from _format(vault, Path(folder), name, data, parse, large_files, rounds)
            small = FHIR.read_bytes(), CDA.read_bytes()
            for name, data, parse in (
                ("FHIR, 240 kB", small[0], json.loads),
                ("CDA, 249 kB", small[1], etree.fromstring),
            ):
                yield from _format(vault, Path(folder), name, data, parse, small_files, rounds, limit=None)


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


def _format(
    vault: Vault,
    folder: Path,
    name: str,
    data: bytes,
    parse: Callable[[bytes], object],
    files: int,
    rounds: int,
    limit: float | None = LIMIT,
) -> Iterator[Row]:
    suffix = CDA.suffix if name.startswith("CDA") else FHIR.suffix
    copies = [_renamed(data, f"p{number}") for number in range(files)]
    size = sum(map(len, copies)) / 1e6

    def bare() -> None:
        for item in copies:
            parse(item)

    def read() -> None:
        for item in copies:
            assert read_file(item, f"x{suffix}")[0].document.entries

    numbers = count()

    def written() -> list[Path]:
        """The same files under other identifiers: none is a duplicate."""
        batch = Path(tempfile.mkdtemp(dir=folder))
        paths = [batch / f"{number}{suffix}" for number in range(files)]
        for path, item in zip(paths, copies, strict=True):
            path.write_bytes(_renamed(item, f"s{next(numbers)}"))
        return paths

    batches = iter([written() for _ in range(rounds + 2)])

    def store() -> None:
        report = import_files(vault, next(batches), about_someone_else=True)
        assert len(report.documents) >= files, report

    speed = f"{size / timed(read):.1f} MB/s"
    yield Row(f"{name}: read / bare parser", paired(read, bare, rounds), limit, detail=speed)
    speed = f"{size / timed(store):.1f} MB/s"
    yield Row(
        f"{name}: worker, encryption, storage, index / bare parser", paired(store, bare, rounds), limit, detail=speed
    )


def _renamed(data: bytes, mark: str) -> bytes:
    """The same record under another identifier."""
    if data.lstrip().startswith(b"{"):
        return data.replace(b"{", b'{"id": "%s",' % mark.encode(), 1) if b'"id": "p' not in data[:40] else re.sub(
            rb'"id": "p\d+"', b'"id": "%s"' % mark.encode(), data, count=1)  # fmt: skip
    return re.sub(rb'(<versionNumber value=")[^"]*', rb"\g<1>" + mark.encode(), data, count=1)


def _apple(records: int) -> Row:
    """Memory of a large Apple Health export, read as a stream."""

    def pieces() -> Iterator[bytes]:
        yield b"<HealthData>"
        for number in range(records):
            day = f"20{10 + number % 15}-{1 + number % 12:02}-{1 + number % 28:02}"
            yield (
                f'<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Montre" unit="count/min"'
                f' value="{50 + number % 90}" startDate="{day} 08:00:00 +0200" endDate="{day} 08:00:00 +0200"/>\n'
            ).encode()
        yield b"</HealthData>"

    seconds = timed(lambda: stream(pieces()))
    return Row(
        "Apple Health: memory of the whole process",
        peak_mb(),
        150,
        detail=f"{records} records, {seconds:.1f} s",
        unit="MB",
    )
