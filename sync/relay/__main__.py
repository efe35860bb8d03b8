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
    serve(arguments.db, arguments.port, arguments.host)


if __name__ == "__main__":
    main()
