"""Text that is only ever text: names, titles and notes from outside are data, so nothing here reads markup."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from tui.render import clean


class Plain(Static):
    """A paragraph. Control characters and terminal escapes are taken out before it is drawn."""

    def __init__(self, text: str | Text = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(_safe(text), id=id, classes=classes, markup=False)

    def say(self, text: str | Text) -> None:
        """Shows other words."""
        self.update(_safe(text))


def _safe(text: str | Text) -> Text:
    return Text(clean(text, lines=True)) if isinstance(text, str) else text
