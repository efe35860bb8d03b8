"""Two themes of high contrast, dark and light. What a colour says is also said in words or by a sign."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="elpis-dark", dark=True, primary="#ffd75f", secondary="#c6c6c6", accent="#5fd7ff", warning="#ffaf5f",
    error="#ff8787", success="#87ff87", foreground="#ffffff", background="#000000", surface="#3a3a3a", panel="#262626",
)  # fmt: skip
LIGHT = Theme(
    name="elpis-light", dark=False, primary="#00308f", secondary="#3a3a3a", accent="#005f87", warning="#7f3f00",
    error="#a00000", success="#005f00", foreground="#000000", background="#ffffff", surface="#d0d0d0", panel="#e4e4e4",
)  # fmt: skip
