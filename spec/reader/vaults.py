"""A whole record out of a backup, read a second time: keyslots, manifest, database, documents, sealed files.

`python -m spec.reader.vaults FOLDER [--kit]` takes the passphrase, or the 24 words, from standard input and prints
every document with its state; every sealed file was opened.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from spec.reader import attachments, backup, database, keyslots
from spec.reader.cbor import statement
from spec.reader.primitives import derive
from spec.reader.refusal import Refused
from spec.reader.states import check_state


def read_backup(folder: Path, passphrase: str | None, kit: bytes | None = None) -> dict[str, Any]:
    """{"made", "documents": {id: state}}; a refusal when any byte of the newest copy is not what it must be."""
    slots = (folder / "keyslots").read_bytes()
    key = keyslots.open_keyslots(slots, passphrase, kit)
    vault = statement(slots, 8192, keyslots.FILE)["vault"]
    told, name = newest(folder / "manifests", key, vault)
    sealed = (folder / "snapshots" / name).read_bytes()
    data = attachments.open_file(sealed, told["key"], told["size"], told["sha256"].hex())
    known = {file[:32].hex(): file[32:].hex() for file in told["files"]}
    for file, digest in known.items():
        if hashlib.sha256((folder / "attachments" / file).read_bytes()).hexdigest() != digest:
            raise Refused("verification-failed", f"sealed file {file[:8]} is not the one of this copy")
    connection = database.connect(derive(key, "elpis-store"), data)
    rows = connection.execute("SELECT id, state FROM document JOIN content ON content.document = number").fetchall()
    connection.close()
    documents = {bytes(identity).hex(): json.loads(state) for identity, state in rows}
    if len(documents) != told["documents"]:
        raise Refused("verification-failed", "another number of documents than the manifest says")
    for state in documents.values():
        check_state(state)
        for sha256, fields in state["attachments"].items():
            open_attachment(folder, key, sha256, fields)
    return {"made": told["made"], "documents": documents}


def newest(folder: Path, key: bytes, vault: bytes) -> tuple[dict[str, Any], str]:
    """(what the newest manifest that opens says, its name); the others do not count."""
    opened = []
    for file in sorted(folder.iterdir()):
        try:
            opened.append((backup.read_manifest(key, vault, bytes.fromhex(file.name), file.read_bytes()), file.name))
        except Refused:
            continue
    if not opened:
        raise Refused("not-found", "no manifest opens")
    return max(opened, key=lambda one: int(one[0]["made"]))


def open_attachment(folder: Path, key: bytes, sha256: str, fields: dict[str, Any]) -> bytes:
    """A sealed file of a document: its name is derived from its seal, its key and size stand in the document."""
    name = derive(key, "elpis-files", bytes.fromhex(fields["sealed_sha256"])).hex()
    sealed = (folder / "attachments" / name).read_bytes()
    return attachments.open_file(sealed, bytes.fromhex(fields["key"]), fields["size"], sha256)


USAGE = "python -m spec.reader.vaults FOLDER [--kit]    the passphrase, or the 24 words, on standard input"


def main(arguments: list[str]) -> int:
    folder = next((Path(word) for word in arguments if not word.startswith("-")), None)
    if folder is None or not folder.is_dir():
        print(USAGE, file=sys.stderr)
        return 2
    secret = sys.stdin.readline().rstrip("\n")
    try:
        kit = keyslots.read_words(secret)["entropy"] if "--kit" in arguments else None
        found = read_backup(folder, None if kit is not None else secret, kit)
    except Refused as refusal:
        print(json.dumps({"failure": refusal.code, "why": str(refusal)}))
        return 1
    if "--modules" in arguments:
        found["modules"] = sorted(sys.modules)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
