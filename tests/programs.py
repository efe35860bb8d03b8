"""Programs of the system that some tests call: `need("spass")` gives the path of one, or says what is missing.

On a person's machine a missing program skips the test by name. In CI (`CI=true`) it fails, because .ci/run installs
every program of the list there, and a proof that is silently left out would look like a proof.
"""

from __future__ import annotations

import os
import shutil

import pytest

# What a program is called on the path, where that is not the name of Debian's package.
COMMANDS = {"spass": "SPASS"}


def need(program: str) -> str:
    """The full path of `program`, named as its Debian package."""
    path = shutil.which(COMMANDS.get(program, program))
    if path is not None:
        return path
    message = f"needs the program {program} (Debian: apt install {program})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
