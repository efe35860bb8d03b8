"""One line of a form: what is asked, and where it is typed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from tui.widgets.plain import Plain


class Field(Horizontal):
    """A label and an input beside it."""

    def __init__(self, label: str, *, id: str, value: str = "", hint: str = "", secret: bool = False) -> None:
        super().__init__(classes="field")
        self._label, self._input_id, self._value, self._hint, self._secret = label, id, value, hint, secret

    def compose(self) -> ComposeResult:
        yield Plain(self._label, classes="label")
        yield Input(
            self._value, id=self._input_id, placeholder=self._hint, password=self._secret, select_on_focus=False
        )
