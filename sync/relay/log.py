"""The relay's log: JSON lines of allowed fields only. No address, id, token, query, nor any text of a client."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TextIO

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})
_HELD = 200


class Log:
    """Lines are held back for a moment and written together; `flush` is called once a second and at the end."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._lines: list[str] = []

    def line(
        self, method: str, route: str, status: int, began: float, size: int, fault: BaseException | None = None
    ) -> None:
        """`route` is the template from the source, never the path that was asked for."""
        method = method if method in _METHODS else "OTHER"
        spent = (time.perf_counter() - began) * 1000
        end = "}\n" if fault is None else f',"fault":{json.dumps(_where(fault))}}}\n'
        self._lines.append(
            f'{{"time":{int(time.time())},"method":"{method}","route":"{route}","status":{status},'
            f'"ms":{spent:.1f},"bytes":{size}{end}'
        )
        if len(self._lines) >= _HELD:
            self.flush()

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._out.write("".join(lines))
            self._out.flush()


def _where(fault: BaseException) -> str:
    """Class and source line of a fault: enough to find it, without its text, which may hold what a client sent."""
    frames = traceback.extract_tb(fault.__traceback__)
    place = f" {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return type(fault).__name__ + place
