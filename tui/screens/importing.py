"""Taking files in: choose, look what they would give, file them with a way to stop, say what came in, take it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tui.details import translated
from tui.language import _, ngettext
from tui.render import clean, document_title
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.files import ChooseFile
from tui.screens.forms import Going
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from vault import Vault

OWN, ALL = "own", "all"


async def bring_in(screen: HouseScreen[Any], vault: Vault) -> bool:
    """The whole flow, from a screen's worker. True when something was added and stayed."""
    path = await screen.app.push_screen_wait(ChooseFile(_("Which file, or which folder?"), whole_folder=True))
    if path is None:
        return False
    looked = await _run(screen, vault, path, dry_run=True)
    if looked is None or looked.left:
        return False
    if not looked.documents and not _doubtful(looked):
        await screen.app.push_screen_wait(Result(looked))
        return False
    wanted = await screen.app.push_screen_wait(Summary(looked))
    if wanted is None:
        return False
    report = await _run(screen, vault, path, dry_run=False, everybody=wanted == ALL)
    if report is None:
        return False
    if await screen.app.push_screen_wait(Result(report)) and report.id:
        return not await _take_back(screen, vault, report)
    return bool(report.documents)


async def _run(screen: HouseScreen[Any], vault: Vault, path: Path, *, dry_run: bool, everybody: bool = False) -> Any:
    """The files read, or read and filed, while a dialog shows how far it is and lets it be stopped."""
    from vault.intake import import_files

    reading = Going(
        _("Looking at the files") if dry_run else _("Taking the files in"),
        _("The files are being read. A large folder takes a while."),
        _("It stops after this file; what came in stays."),
    )
    screen.app.push_screen(reading)
    report = None
    with screen.telling():
        report = await in_thread(
            lambda: import_files(
                vault,
                [path],
                dry_run=dry_run,
                about_someone_else=everybody,
                recognize=not dry_run,
                progress=lambda name, done, total: reading.tell(done, total, name),
                stopped=reading.stop.is_set,
            )
        )
    reading.dismiss(None)
    return report


async def _take_back(screen: HouseScreen[Any], vault: Vault, report: Any) -> bool:
    from vault.undo import undo_import

    done = None
    with screen.telling():
        done = await in_thread(lambda: undo_import(vault, report.id))
    if done is not None:
        count = len(done.removed)
        screen.house.tell_text(
            ngettext("{count} document was taken back.", "{count} documents were taken back.", count).format(
                count=count
            )
        )
    return done is not None and not done.kept


class Summary(Dialog[str]):
    """What the files would give, before anything is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,f2,o,y", "own", show=False, priority=True),
        Binding("a,A", "everybody", show=False),
    ]

    def __init__(self, looked: Any) -> None:
        super().__init__()
        self._looked = looked

    def title_text(self) -> str:
        count = len(self._looked.documents)
        return ngettext("{count} document to add", "{count} documents to add", count).format(count=count)

    def body(self) -> ComposeResult:
        with VerticalScroll(id="long"):
            yield Plain("\n".join(_lines(self._looked)))

    def offers(self) -> list[Key]:
        keys = [Key(_("Enter"), _("Add them"), "own")] if self._looked.documents else []
        if _doubtful(self._looked):
            keys.append(Key("A", _("Also what may be about somebody else"), "everybody"))
        return [*keys, Key(_("Esc"), _("Back"), "leave")]

    def action_own(self) -> None:
        self.dismiss(OWN if self._looked.documents else None)

    def action_everybody(self) -> None:
        if _doubtful(self._looked):
            self.dismiss(ALL)


class Result(Dialog[bool]):
    """What was added, what was there already, what could not be read and why. Returns whether it is taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("z,Z", "undo", show=False)]

    def __init__(self, report: Any) -> None:
        super().__init__()
        self._report = report

    def title_text(self) -> str:
        count = len(self._report.documents)
        return ngettext("{count} document added", "{count} documents added", count).format(count=count)

    def body(self) -> ComposeResult:
        with VerticalScroll(id="long"):
            yield Plain("\n".join(_lines(self._report)))

    def offers(self) -> list[Key]:
        undo = [Key("Z", _("Take it back"), "undo")] if self._report.id else []
        return [*undo, Key(_("Esc"), _("Back"), "leave")]

    def action_undo(self) -> None:
        if self._report.id:
            self.dismiss(True)


def _doubtful(report: Any) -> bool:
    """Whether something was left because it may be about somebody else."""
    from vault.belonging import HINT

    return any(item.hint == HINT for item in report.skipped)


def _lines(report: Any) -> Sequence[str]:
    lines = [f"+ {document_title(document)}" for document in report.documents]
    old = len(report.duplicates)
    if old:
        lines.append(ngettext("{count} was there already.", "{count} were there already.", old).format(count=old))
    lines += [
        _("Not read: {file}: {why}").format(file=clean(Path(item.file).name), why=clean(translated(item.why)))
        for item in report.skipped
    ]
    if report.left:
        left = report.left
        lines.append(
            ngettext("{count} file was not come to.", "{count} files were not come to.", left).format(count=left)
        )
    return lines or [_("Nothing was found to read.")]
