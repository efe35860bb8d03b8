"""`python -m sync.relay --db FILE --port N`: a relay without the patient's program."""

from __future__ import annotations

import argparse
from pathlib import Path

from sync.relay.serve import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sync.relay", description="Elpis relay")
    parser.add_argument("--db", type=Path, required=True, help="database file; blobs and keys lie beside it")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    if not 0 <= arguments.port <= 65535:
        parser.error("a port is a number from 0 to 65535")
    try:
        serve(arguments.db, arguments.port, arguments.host)
    except OSError as failure:
        parser.exit(1, f"{parser.prog}: {failure}\n")


if __name__ == "__main__":
    main()
