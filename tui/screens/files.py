"""Choosing a file or a name to save under, by typing or by walking through folders with the arrows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Input

from tui.language import _
from tui.render import fit, size
from tui.screens.base import Dialog, in_thread
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList

SHOWN = 500  # what a folder shows at most; typing narrows it


@dataclass(frozen=True, slots=True)
class Item:
    path: Path
    folder: bool
    size: int


class ChooseFile(Dialog[Path]):
    """An existing file. `whole_folder` lets a folder be chosen as well (F2)."""

    def __init__(self, title: str, *, start: Path | None = None, suffixes: tuple[str, ...] = (),
                 whole_folder: bool = False) -> None:  # fmt: skip
        super().__init__()
        self._title, self._start, self._suffixes = title, start or Path.cwd(), suffixes
        self._whole_folder = whole_folder

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield Input(f"{self._start}/", id="path", select_on_focus=False)
        yield VirtualList[Item](self._draw, id="files", empty=_("Nothing here goes with what is typed."))

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#path", Input).focus()

    def offers(self) -> list[Key]:
        keys = [Key("↑ ↓", _("Move"), "stay"), Key(_("Enter"), _("Open"), "choose")]
        if self._whole_folder:
            keys.append(Key("F2", _("The whole folder"), "folder"))
        return [*keys, Key(_("Esc"), _("Back"), "leave")]

    def action_stay(self) -> None:
        """The arrows are handled where the list is."""

    def _draw(self, item: Item, width: int) -> Text:
        if item.folder:
            return Text(fit(f"{item.path.name}/", width), "bold")
        return Text(fit(item.path.name, width - 10) + f"{size(item.size):>9}")

    @on(Input.Changed)
    def _list(self, event: Input.Changed) -> None:
        self.run_worker(self._look(event.value), exclusive=True)

    async def _look(self, typed: str) -> None:
        items = await in_thread(lambda: matching(typed, self._suffixes))
        self.query_one("#files", VirtualList).show(items)

    def on_key(self, event: events.Key) -> None:
        files = self.query_one("#files", VirtualList)
        steps = {"up": -1, "down": 1}.get(event.key, 0)
        if steps and not files.has_focus:
            files.action_move(steps)
        elif event.key == "f2" and self._whole_folder:
            self.action_folder()

    def action_folder(self) -> None:
        folder = expand(self.query_one("#path", Input).value)
        if folder.is_dir():
            self.dismiss(folder)

    @on(Input.Submitted)
    def action_choose(self) -> None:
        typed = expand(self.query_one("#path", Input).value)
        item = self.query_one("#files", VirtualList).row
        if typed.is_file():
            self.dismiss(typed)
        elif item is not None:
            self._take(item)

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        self._take(event.row)

    def _take(self, item: Item) -> None:
        if not item.folder:
            self.dismiss(item.path)
            return
        field = self.query_one("#path", Input)
        field.value = f"{item.path}/"
        field.cursor_position = len(field.value)
        field.focus()


class SaveAs(Dialog[Path]):
    """A name for a new file; one that exists is refused here already. `folder` takes a folder that exists, too."""

    def __init__(self, title: str, name: str, note: str = "", *, folder: bool = False) -> None:
        super().__init__()
        self._title, self._proposed, self._note, self._folder = title, name, note, folder

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        yield Input(str(Path.home() / self._proposed), id="path", select_on_focus=False)
        note = self._note or _("The file is not protected by the vault: keep it where only you can read it.")
        yield Plain(note, classes="dim gap")

    def offers(self) -> list[Key]:
        return [Key(_("Enter"), _("Save"), "choose"), Key(_("Esc"), _("Back"), "leave")]

    @on(Input.Submitted)
    def action_choose(self) -> None:
        path = expand(self.query_one("#path", Input).value)
        if path.exists() and not (self._folder and path.is_dir()):
            self.house.tell_text(_("There is a file of this name already. Choose another name."), bad=True)
        elif not path.parent.is_dir():
            self.house.tell_text(_("There is no such folder."), bad=True)
        else:
            self.dismiss(path)


def expand(typed: str) -> Path:
    """What was typed, from home or from the root. A whole path typed or pasted behind the folder shown replaces it."""
    typed = typed.strip()
    for start in ("//", "/~/"):
        typed = typed[at + 1 :] if (at := typed.rfind(start)) >= 0 else typed
    return Path(typed).expanduser()


def matching(typed: str, suffixes: tuple[str, ...]) -> list[Item]:
    """What lies in the typed folder and begins with the typed letters; folders first, nothing hidden."""
    path = expand(typed)
    folder, begin = (path, "") if typed.endswith("/") or not typed else (path.parent, path.name)
    items = []
    try:
        for entry in folder.iterdir():
            name = entry.name.casefold()
            if name.startswith(".") or not name.startswith(begin.casefold()):
                continue
            is_folder = entry.is_dir()
            if is_folder or not suffixes or entry.suffix.casefold() in suffixes:
                items.append(Item(entry, is_folder, 0 if is_folder else entry.stat().st_size))
    except OSError:
        return []
    return sorted(items, key=lambda item: (not item.folder, item.path.name.casefold()))[:SHOWN]
