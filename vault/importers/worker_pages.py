"""The importers' worker with the PDF library loaded."""

from __future__ import annotations

import pypdfium2  # noqa: F401

from vault.importers.worker import COURSES, TASKS

__all__ = ["COURSES", "TASKS"]
