"""Taking files in: choose, read and file them in a thread, then say what came in and what did not, with why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.language import _, ngettext
from tui.render import clean, document_title
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.files import ChooseFile
from tui.screens.forms import Working
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from vault import Vault


async def bring_in(screen: HouseScreen[Any], vault: Vault) -> bool:
    """The whole flow, from a screen's worker. True when something was added."""
    path = await screen.app.push_screen_wait(ChooseFile(_("Which file, or which folder?"), whole_folder=True))
    if path is None:
        return False
    working = Working(_("The files are being read. A large folder takes a while."))
    screen.app.push_screen(working)
    report = None
    with screen.telling():
        report = await in_thread(lambda: _import(vault, path))
    working.dismiss(None)
    if report is None:
        return False
    await screen.app.push_screen_wait(Result(report))
    return bool(report.documents)


def _import(vault: Vault, path: Path) -> Any:
    from vault.intake import import_files

    return import_files(vault, [path])


class Result(Dialog[None]):
    """What was added, what was there already, what could not be read and why."""

    def __init__(self, report: Any) -> None:
        super().__init__()
        self._report = report

    def title_text(self) -> str:
        count = len(self._report.documents)
        return ngettext("{count} document added", "{count} documents added", count).format(count=count)

    def body(self) -> ComposeResult:
        with VerticalScroll(id="long"):
            yield Plain("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        report = self._report
        lines = [f"+ {document_title(document)}" for document in report.documents]
        old = len(report.duplicates)
        if old:
            lines.append(ngettext("{count} was there already.", "{count} were there already.", old).format(count=old))
        lines += [
            _("Not read: {file}: {why}").format(file=clean(Path(item.file).name), why=clean(item.why))
            for item in report.skipped
        ]
        return lines or [_("Nothing was found to read.")]

    def offers(self) -> list[Key]:
        return [Key(_("Esc"), _("Back"), "leave")]
