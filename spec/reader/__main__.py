"""`python -m spec.reader [--modules] DIR`: all vectors below DIR, read a second time; exit code 1 if one fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from spec.reader.formats import FORMATS
from spec.reader.refusal import Refused


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def run(vector: dict[str, Any]) -> str:
    """ "" when the reader agrees with the vector, otherwise what came instead."""
    came: dict[str, Any]
    read = FORMATS.get(vector["format"])
    if read is None:
        return "no such format in this reader"
    why = ""
    try:
        came = {"output": plain(read(vector["input"]))}
    except Refused as refusal:
        came, why = {"failure": refusal.code}, str(refusal)
    return "" if came == vector["expected"] else f"{json.dumps(came)} {why}"


def main(arguments: list[str]) -> int:
    folder = Path(next((word for word in arguments if not word.startswith("-")), "spec/vectors"))
    vectors = [json.loads(file.read_bytes()) for file in sorted(folder.rglob("*.json"))]
    failed = [(vector["id"], found) for vector in vectors if (found := run(vector))]
    for name, found in failed:
        print(f"FAILED {name}: {found}")
    print(f"second reader: {len(vectors) - len(failed)} of {len(vectors)} vectors")
    if "--modules" in arguments:
        print("\n".join(sorted(sys.modules)))
    return 1 if failed or not vectors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
