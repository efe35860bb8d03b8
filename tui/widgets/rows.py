"""A list that costs the same at ten rows and at a million: only the visible lines are drawn, pages come on demand.

The list never asks for data itself. It says `Wanted(page)` and whoever owns it answers with `fill`; a row that has not
come yet is drawn as a dot. Every row is one line, made by the `draw` function that the owner gives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

RowT = TypeVar("RowT")

PAGE = 500
PAGES_KEPT = 8
POINTER = "▶ "  # the row is told by a sign and by reverse video, never by colour alone
MARGIN = "  "


class VirtualList(ScrollView, Generic[RowT], can_focus=True):
    """Rows of one line each. `draw(row, width)` gives the line; `Chosen` is Enter or a click on the selected row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "leap(-1)", show=False),
        Binding("pagedown", "leap(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Wanted(Message):
        """A page that is on the screen and not in memory."""

        def __init__(self, rows: VirtualList[Any], page: int) -> None:
            super().__init__()
            self.rows, self.page = rows, page

        @property
        def control(self) -> VirtualList[Any]:
            return self.rows

    class Chosen(Message):
        """Enter, or a click, on the row at the pointer."""

        def __init__(self, rows: VirtualList[Any], row: Any) -> None:
            super().__init__()
            self.rows, self.row = rows, row

        @property
        def control(self) -> VirtualList[Any]:
            return self.rows

    class Moved(Message):
        """The pointer is on another row; None when there is none."""

        def __init__(self, rows: VirtualList[Any], row: Any) -> None:
            super().__init__()
            self.rows, self.row = rows, row

        @property
        def control(self) -> VirtualList[Any]:
            return self.rows

    def __init__(self, draw: Callable[[RowT, int], Text], *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._empty = empty
        self._pages: OrderedDict[int, Sequence[RowT]] = OrderedDict()
        self._asked: set[int] = set()
        self._count = 0
        self._keep_all = True
        self.pointer = 0

    @property
    def count(self) -> int:
        return self._count

    @property
    def row(self) -> RowT | None:
        """The row at the pointer, when it is in memory."""
        return self._row(self.pointer)

    def show(self, rows: Sequence[RowT], *, keep_pointer: bool = False, empty: str | None = None) -> None:
        """All the rows at once, for what fits in memory without a thought."""
        self._pages = OrderedDict({0: rows})
        self._keep_all = True
        if empty is not None:
            self._empty = empty
        self._begin(len(rows), keep_pointer)

    def expect(self, count: int, first: Sequence[RowT], *, keep_pointer: bool = False) -> None:
        """`count` rows that will be asked for page by page, the first page given; other pages are forgotten."""
        self._pages = OrderedDict({0: first})
        self._keep_all = False
        self._begin(count, keep_pointer)

    def fill(self, page: int, rows: Sequence[RowT]) -> None:
        """The answer to `Wanted`."""
        self._asked.discard(page)
        self._pages[page] = rows
        self._pages.move_to_end(page)
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        self.refresh()
        if self.pointer // PAGE == page:
            self.post_message(self.Moved(self, self.row))

    def grow(self, count: int) -> None:
        """The count is known now; the pages that are here stay."""
        self._count = count
        self.virtual_size = Size(self.size.width, count)
        self.refresh()

    def _begin(self, count: int, keep_pointer: bool) -> None:
        self._asked = set()
        self._count = count
        self.pointer = min(self.pointer, max(0, count - 1)) if keep_pointer else 0
        self.virtual_size = Size(self.size.width, count)
        if not keep_pointer:
            self.scroll_to(y=0, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved(self, self.row))

    def _row(self, index: int) -> RowT | None:
        if not 0 <= index < self._count:
            return None
        page, offset = (0, index) if self._keep_all else divmod(index, PAGE)
        rows = self._pages.get(page)
        if rows is None:
            if page not in self._asked:
                self._asked.add(page)
                self.post_message(self.Wanted(self, page))
            return None
        return rows[offset] if offset < len(rows) else None

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        plain = self.rich_style
        index = self.scroll_offset.y + y
        if index >= self._count:
            text = MARGIN + self._empty if self._count == 0 and y == 1 else ""
            return Strip([Segment(text, plain)]).adjust_cell_length(width, plain)
        row = self._row(index)
        line = Text("·") if row is None else self._draw(row, width - len(POINTER))
        line.truncate(width - len(POINTER), overflow="ellipsis")
        here = index == self.pointer
        style = plain + Style(reverse=here and self.has_focus, bold=here or None)
        segments = [Segment(POINTER if here else MARGIN, style)]
        written = style + self.app.console.get_style(line.style)
        segments += [
            Segment(segment.text, written + segment.style if segment.style else written)
            for segment in line.render(self.app.console, end="")
        ]
        return Strip(segments).adjust_cell_length(width, style)

    def point(self, index: int) -> None:
        """Puts the pointer on a row and brings it into view."""
        if not self._count:
            return
        self.pointer = max(0, min(self._count - 1, index))
        top, height = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        if self.pointer < top:
            self.scroll_to(y=self.pointer, animate=False, immediate=True)
        elif self.pointer >= top + height:
            self.scroll_to(y=self.pointer - height + 1, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved(self, self.row))

    def action_move(self, steps: int) -> None:
        self.point(self.pointer + steps)

    def action_leap(self, pages: int) -> None:
        self.point(self.pointer + pages * max(1, self.scrollable_content_region.height - 1))

    def action_edge(self, last: int) -> None:
        self.point(self._count - 1 if last else 0)

    def action_choose(self) -> None:
        if (row := self.row) is not None:
            self.post_message(self.Chosen(self, row))

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y
        if index < self._count:
            again = index == self.pointer
            self.point(index)
            if again or event.chain > 1:
                self.action_choose()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
