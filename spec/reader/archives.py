"""An export, spec/export.md section 1, read a second time.

`python -m spec.reader.archives FILE` checks every file of the archive against its checksum and prints every document of
`record.json`, each with the files that belong to it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from spec.reader.refusal import Refused, malformed

FIELDS = (
    "kind",
    "title",
    "type_code",
    "class_code",
    "date",
    "author",
    "confidentiality",
    "language",
    "source_id",
    "text",
)
HEX = set("0123456789abcdef")
CHUNK = 1 << 20


def read_archive(path: Path) -> dict[str, Any]:
    """{"holder", "documents": {id: document}}; a refusal when a file is missing or changed."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise malformed("not a zip") from None
    with archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(set(names)) != len(names):
            raise malformed("a name stands twice")
        sums = checksums(archive)
        for name, digest in sums.items():
            if name not in names or hash_of(archive, name) != digest:
                raise Refused("verification-failed", f"{name} is missing, or is another file than was exported")
        if {"record.json", "ips.json", "index.html"} - sums.keys():
            raise malformed("an archive has a record, a summary and an index")
        record = json.loads(archive.read("record.json"))
    if not isinstance(record, dict) or record.get("elpis_export") != 1:
        raise malformed("not a record of this version")
    documents = {one["id"]: document(one, sums) for one in record["documents"]}
    if len(documents) != len(record["documents"]):
        raise malformed("a document stands twice")
    return {"holder": record["holder"], "documents": documents}


def checksums(archive: zipfile.ZipFile) -> dict[str, str]:
    """name -> SHA-256, as `sha256sum -c` reads them."""
    try:
        lines = archive.read("checksums.sha256").decode().splitlines()
    except KeyError:
        raise malformed("no checksums") from None
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def hash_of(archive: zipfile.ZipFile, name: str) -> str:
    found = hashlib.sha256()
    with archive.open(name) as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return found.hexdigest()


def document(told: dict[str, Any], sums: dict[str, str]) -> dict[str, Any]:
    """One document; its files stand in the archive under their paths, and their hashes agree twice."""
    identity = told["id"]
    if len(identity) != 32 or set(identity) - HEX:
        raise malformed("a document without its id")
    for file in told["attachments"]:
        if file["path"] and sums.get(file["path"]) != file["sha256"]:
            raise Refused("verification-failed", f"{file['path']} is not the file of its document")
    entries = {entry["id"]: {"kind": entry["kind"], **entry["fields"]} for entry in told["entries"]}
    return {**{name: told[name] for name in FIELDS}, "entries": entries, "attachments": told["attachments"]}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print("python -m spec.reader.archives FILE    an archive that `elpis export archive` wrote", file=sys.stderr)
        return 2
    try:
        found = read_archive(Path(arguments[0]))
    except Refused as refusal:
        print(json.dumps({"failure": refusal.code, "why": str(refusal)}))
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
