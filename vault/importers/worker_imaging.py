"""The importers' worker with pydicom, where it is installed, and the PDF library loaded."""

from __future__ import annotations

import codecs
from contextlib import suppress

from vault.importers import dicom  # noqa: F401
from vault.importers.worker_pages import COURSES, TASKS

with suppress(ModuleNotFoundError):
    import pydicom.charset

    for _codec in set(pydicom.charset.python_encoding.values()):
        with suppress(LookupError):
            codecs.lookup(_codec)

__all__ = ["COURSES", "TASKS"]
