"""What leaves the vault whole: an export that others read, a backup that nobody reads without the holder’s keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, TypeVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.language import _, ngettext
from tui.render import clean
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.files import SaveAs
from tui.screens.forms import Choice, Going, Option
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from vault import Vault
from vault.errors import InputRefused

R = TypeVar("R")
SUFFIX = {"archive": ".zip", "ips": ".json", "xdm": ".zip", "summary": ".pdf", "preop": ".pdf"}


class Done(Dialog[None]):
    """What was written, and what to know about it."""

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def title_text(self) -> str:
        return self._title

    def body(self) -> ComposeResult:
        with VerticalScroll(id="long"):
            yield Plain("\n".join(self._lines))

    def offers(self) -> list[Key]:
        return [Key(_("Esc"), _("Back"), "leave")]


# Why work ended, as tui/details.py translates it. A stopped backup leaves what spec/backup.md, section 3 says.
STOPPED = "stopped before its end: nothing of it was kept"
STOPPED_ZIP = "stopped before its end: there is no backup"
STOPPED_FOLDER = "stopped before its end: there is no new copy, and sealed files of it stay until the next backup"


async def hand_out(screen: HouseScreen[Any], vault: Vault) -> None:
    """An export: which, where to, written, told."""
    what = await screen.app.push_screen_wait(
        Choice(_("What do you want to export?"), _exports(), text=_("Whoever has the file reads it."), left=80)
    )
    if what is None:
        return
    day = date.fromtimestamp(vault.clock()).isoformat()
    path = await screen.app.push_screen_wait(SaveAs(_("Where should it go?"), f"elpis-{what}-{day}{SUFFIX[what]}"))
    if path is None:
        return
    from tui.exports import to_file

    going = Going(
        _("Writing the export"), _("The record is being written. A large one takes a while."),
        _("It stops; nothing of it stays."),
    )  # fmt: skip
    done = await _run(screen, going, lambda: (to_file(vault, what, path, progress=_watched(going)),))
    if done is None:
        return
    lines = [_("Written: {file}").format(file=clean(path)), _("It is not encrypted: keep it in a safe place.")]
    written = done[0]
    if written is not None:
        lines.insert(1, _counted(written.documents, written.files))
        lines += [f"! {clean(title)}: {clean(name)}" for title, name in written.damaged]
    if what in ("summary", "preop"):
        lines.append(_("Not checked by a professional."))
    await screen.app.push_screen_wait(Done(_("The export is written"), lines))


async def back_up(screen: HouseScreen[Any], vault: Vault) -> None:
    """A backup: who opens it, where to, made and read again, told."""
    kit_only = await screen.app.push_screen_wait(
        Choice(
            _("Who should be able to open the backup?"),
            _openers(),
            text=_("It holds everything that the vault holds, encrypted. Anyone may keep it for you."),
            left=80,
        )
    )
    if kit_only is None:
        return
    note = _("A folder keeps several copies and takes only what is new; a name that ends in .zip is one file.")
    path = await screen.app.push_screen_wait(SaveAs(_("Where should it go?"), "elpis-backup", note, folder=True))
    if path is None:
        return
    from vault import backup

    going = Going(
        _("Making the backup"), _("It is copied, and read again at the end."),
        _("It stops after this file; there is no new copy then."),
    )  # fmt: skip
    watched = _watched(going, STOPPED_ZIP if path.suffix.lower() == ".zip" else STOPPED_FOLDER)
    made = await _run(screen, going, lambda: backup.make(vault, path, kit_only=kit_only == "kit", progress=watched))
    if made is None:
        return
    lines = [
        _("The backup is made and was read again: {place}").format(place=clean(path)),
        _counted(made.copy.documents, len(made.copy.files)),
        ngettext("{n} file was copied", "{n} files were copied", made.copied).format(n=made.copied)
        + ", " + ngettext("{n} was there already.", "{n} were there already.", made.kept).format(n=made.kept),
    ]  # fmt: skip
    if made.damaged:
        told = ngettext(
            "{n} attachment is damaged in the vault itself, and is not in it: see `elpis verify`.",
            "{n} attachments are damaged in the vault itself, and are not in it: see `elpis verify`.",
            len(made.damaged),
        )
        lines.append(told.format(n=len(made.damaged)))
    await screen.app.push_screen_wait(Done(_("The backup is made"), lines))


def _exports() -> list[Option[str]]:
    """What each holds, and for whom it is."""
    every = (
        ("archive", _("Everything, in one zip"),
         _("Every original file, a summary, an index that any browser opens. For you, or another program of yours.")),
        ("xdm", _("Files for health software (IHE XDM)"),
         _("Every original file with its title, date and author. For a professional who takes in a record.")),
        ("ips", _("Summary for other programs (FHIR)"),
         _("Treatments, allergies, problems, vaccinations, results; no files. For a hospital, here or abroad.")),
        ("summary", _("Summary on paper (PDF)"),
         _("The same to read and to print, A4, with the people to call. For whoever treats you.")),
        ("preop", _("Treatments before surgery (PDF)"),
         _("What is taken now, anticoagulants first, on A4. For a surgeon or an anaesthetist.")),
    )  # fmt: skip
    return [Option(what, label, note) for what, label, note in every]


def _openers() -> list[Option[str]]:
    return [
        Option("both", _("The passphrase, or the recovery kit"),
               _("As the vault itself. Whoever keeps it can try passphrases on it: yours must be a good one.")),
        Option("kit", _("The recovery kit only"),
               _("Nobody can try passphrases on it. Without the 24 words or enough shares,"
                 " you cannot open it either.")),
    ]  # fmt: skip


def _counted(documents: int, files: int) -> str:
    first = ngettext("{n} document", "{n} documents", documents).format(n=documents)
    return first + ", " + ngettext("{n} file", "{n} files", files).format(n=files)


def _watched(going: Going, stopped: str = STOPPED) -> Callable[[int, int], None]:
    """Tells how far it is; ends the work where it stands when that was asked for."""

    def tell(done: int, total: int) -> None:
        if going.stop.is_set():
            raise InputRefused(stopped)
        going.tell(done, total)

    return tell


async def _run(screen: HouseScreen[Any], going: Going, work: Callable[[], R]) -> R | None:
    """The work in a thread, while a dialog shows how far it is. None when it ended in an error, which was told."""
    screen.app.push_screen(going)
    done: R | None = None
    with screen.telling():
        done = await in_thread(work)
    going.dismiss(None)
    return done


__all__ = ["back_up", "hand_out"]
