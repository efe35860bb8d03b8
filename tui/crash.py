"""What is said when the program itself fails: the kind of fault and where, never a message and never a value.

A message or a local variable can hold a passphrase or a diagnosis; file names, functions and line numbers cannot.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from tui.language import _

_ROOT = Path(__file__).resolve().parent.parent
SHOWN = 6  # frames, the innermost ones


def fault(error: BaseException) -> str:
    """A few lines for the person and for a report."""
    cause = getattr(error, "error", None)
    inner = cause if isinstance(cause, BaseException) else error
    frames = traceback.extract_tb(inner.__traceback__)[-SHOWN:]
    places = [f"  {_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    said = _("Elpis stopped: a fault in the program. What was saved before is kept.")
    ask = _("Please report these lines; they hold nothing of your record:")
    return "\n".join([said, ask, f"  {type(inner).__name__}", *places])


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name
