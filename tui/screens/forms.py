"""Dialogs with fields, and the small ones that everything uses: a yes or no, a list to choose from, help, palette."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input

from tui.language import _
from tui.render import clean, fit
from tui.screens.base import Dialog
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList

T = TypeVar("T")


class Form(Dialog[T]):
    """Fields; Enter goes to the next one, and on the last one it submits.

    Enter and Tab have priority so that the focus has moved before the next key is given out: what is typed or pasted
    fast must not land in the field before. Submitting waits behind the keys that the last field has not taken in yet.
    """

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", show=False, priority=True),
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("f2", "submit", show=False),
    ]

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("Next"), "next"), Key("F2", _("Done"), "submit"), Key(_("Esc"), _("Back"), "leave")]

    def value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def action_next(self) -> None:
        inputs = list(self.query(Input))
        if inputs and self.focused is inputs[-1]:
            inputs[-1].call_later(self.action_submit)
        else:
            self.focus_next(Input)

    def action_submit(self) -> None:
        """Reads the fields and dismisses."""


class Confirm(Dialog[bool]):
    """One question. Only `y`, `o` or F2 says yes: Enter alone never does what cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o,y,f2", "yes", show=False),
        Binding("n,N", "leave", show=False),
    ]

    def __init__(self, title: str, question: str, yes: str, *, no: str = "", figure: str = "") -> None:
        super().__init__()
        self._title, self._question, self._yes, self._no, self._figure = title, question, yes, no, figure

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield Plain(self._question)
        if self._figure:
            yield Plain(Text(self._figure), classes="head gap")

    def offers(self) -> list[Key]:
        return [Key(_("Y"), self._yes, "yes"), Key(_("Esc"), self._no or _("No, go back"), "leave")]

    def action_yes(self) -> None:
        self.dismiss(True)


class Working(Dialog[None]):
    """Something takes a moment. It cannot be left: it ends by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def title_text(self) -> str:
        return _("One moment")

    def body(self) -> ComposeResult:
        yield Plain(self._text)

    def all_keys(self) -> list[Key]:
        return []

    def action_leave(self) -> None:
        """Nothing to leave for."""


class Going(Dialog[None]):
    """How far something long is. Esc asks it to stop; whoever works looks at `stop`."""

    def __init__(self, title: str, text: str, stopping: str) -> None:
        super().__init__()
        self.stop = threading.Event()
        self._title, self._text, self._stopping = title, text, stopping
        self._said = ""

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield Plain(self._text)
        yield Plain(id="far", classes="gap")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(0.2, self._show)

    def offers(self) -> list[Key]:
        return [Key(_("Esc"), _("Stop"), "leave")]

    def tell(self, done: int, total: int, name: str = "") -> None:
        """From the thread that works."""
        self._said = _("{done} of {total}").format(done=done, total=total) + (f"  {clean(name)}" if name else "")

    def _show(self) -> None:
        stopping = self._stopping if self.stop.is_set() else ""
        self.query_one("#far", Plain).say("\n".join(filter(None, (self._said, stopping))))

    def action_leave(self) -> None:
        self.stop.set()


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One line of a choice; `refused` says why it cannot be chosen, "" when it can."""

    value: T
    label: str
    note: str = ""
    refused: str = ""


class Choice(Dialog[T]):
    """A short list; Enter chooses, and a line that cannot be chosen says why."""

    def __init__(self, title: str, options: Sequence[Option[T]], *, text: str = "", left: int = 34) -> None:
        super().__init__()
        self._title, self._options, self._text, self._left = title, options, text, left

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        if self._text:
            yield Plain(self._text)
        yield VirtualList[Option[T]](self._draw, id="options")
        yield Plain(id="note", classes="dim")

    def on_mount(self) -> None:
        super().on_mount()
        options = self.query_one("#options", VirtualList)
        options.styles.height = min(12, max(2, len(self._options)))
        options.show(self._options)
        options.focus()

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("Choose"), "choose"), Key(_("Esc"), _("Back"), "leave")]

    def _draw(self, option: Option[T], width: int) -> Text:
        left = min(self._left, width)
        line = Text(fit(option.label, left), "dim" if option.refused else "")
        note = option.refused or option.note
        room = width - left - 2
        return line.append("  " + fit(note, room), "dim") if note and room > 1 else line

    def action_choose(self) -> None:
        self.query_one("#options", VirtualList).action_choose()

    @on(VirtualList.Moved)
    def _tell_note(self, event: VirtualList.Moved) -> None:
        note = "" if event.row is None else event.row.refused or event.row.note
        said = self.query_one("#note", Plain)
        said.say(note)
        said.display = bool(note)

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        if event.row.refused:
            self.house.tell_text(event.row.refused, bad=True)
        else:
            self.dismiss(event.row.value)


class Help(Dialog[None]):
    """What this screen is for, and every key of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1,enter", "leave", show=False, priority=True)]

    def __init__(self, text: str, keys: Sequence[Key]) -> None:
        super().__init__()
        self._text, self._keys = text, keys

    def title_text(self) -> str:
        return _("Help")

    def body(self) -> ComposeResult:
        general = [
            Key("↑ ↓", _("Move in a list"), ""), Key(_("Tab"), _("Go to the next field"), ""),
            Key("Ctrl+P", _("Every command, by name"), ""), Key("Ctrl+L", _("Lock at once"), ""),
            Key("Ctrl+Q", _("Leave Elpis"), ""),
        ]  # fmt: skip
        lines = [f"{fit(key.cap, 8)} {key.label}" for key in [*self._keys, *general]]
        with VerticalScroll(id="long"):
            yield Plain("\n\n".join(filter(None, (self._text, "\n".join(lines)))))

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#long").focus()

    def offers(self) -> list[Key]:
        return [Key(_("Esc"), _("Back"), "leave")]

    def all_keys(self) -> list[Key]:
        return self.offers()


class Palette(Dialog[str]):
    """Every command of the screen by its name; typing narrows the list. Returns the action."""

    def __init__(self, commands: Sequence[Key]) -> None:
        super().__init__()
        self._commands = commands

    def title_text(self) -> str:
        return _("Commands")

    def body(self) -> ComposeResult:
        yield Input(placeholder=_("Type a few letters"), id="words")
        yield VirtualList[Key](lambda key, width: Text(fit(key.label, width - 9) + " " + fit(key.cap, 8)), id="options")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#options", VirtualList).show(self._commands)
        self.query_one("#words", Input).focus()

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("Do it"), "choose"), Key(_("Esc"), _("Back"), "leave")]

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        words = event.value.casefold().split()
        found = [key for key in self._commands if all(word in key.label.casefold() for word in words)]
        self.query_one("#options", VirtualList).show(found, empty=_("No command of this name."))

    def on_key(self, event: object) -> None:
        options = self.query_one("#options", VirtualList)
        steps = {"up": -1, "down": 1}.get(getattr(event, "key", ""), 0)
        if steps and not options.has_focus:
            options.action_move(steps)

    @on(Input.Submitted)
    def action_choose(self) -> None:
        self.query_one("#options", VirtualList).action_choose()

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        self.dismiss(event.row.action)
