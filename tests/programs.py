"""Programs of the system that some tests call: `need("spass")` gives the path of one, or says what is missing.

On a person's machine a missing program skips the test by name. In CI (`CI=true`) it fails, because .ci/run installs
every program of the list there, and a proof that is silently left out would look like a proof.
"""

from __future__ import annotations

import os
import shutil

import pytest

COMMANDS = {"spass": "SPASS"}  # program -> what it is called on the path, where that differs
PACKAGES = {
    "gcore": "gdb",
    "tesseract": "tesseract-ocr tesseract-ocr-fra",
}  # program -> Debian's package, where that differs


def need(program: str) -> str:
    """The full path of `program`."""
    path = shutil.which(COMMANDS.get(program, program))
    if path is not None:
        return path
    message = f"needs the program {program} (Debian: apt install {PACKAGES.get(program, program)})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
