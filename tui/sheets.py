"""The recovery sheet of a kit, as text or as a page to print, in the language spoken now; and the words that a person
brings from one."""

from __future__ import annotations

import io
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tui import asking, files
from tui.language import _, language, ngettext

if TYPE_CHECKING:
    from tui.session import Session
    from vault.exporters.sheet import Sheet
    from vault.recovery import RecoveryKit

SHARE_WORDS = 33


def sheet_text(kit: RecoveryKit) -> str:
    """The recovery sheet as text: lines with # are for the reader, the others are the 24 words in order."""
    from vault.exporters import sheet

    return sheet.as_text(_sheets(kit, ""), language=language(), made=date.today())


def sheet_data(path: Path, kit: RecoveryKit, scheme: str = "") -> bytes:
    """The sheets as a file of this name holds them: pages with a QR code when it is called a PDF, text otherwise."""
    from vault.exporters import sheet

    sheets, told = _sheets(kit, scheme), {"language": language(), "made": date.today()}
    if path.suffix.lower() == ".pdf":
        pages = io.BytesIO()
        sheet.as_pdf(pages, sheets, **told)  # type: ignore[arg-type]
        return pages.getvalue()
    return sheet.as_text(sheets, **told).encode()  # type: ignore[arg-type]


def fill_sheet(path: Path, kit: RecoveryKit, scheme: str = "") -> None:
    """Writes the sheets into a file that is there and empty. Durable when this returns."""
    data = sheet_data(path, kit, scheme)
    with path.open("wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())


def _sheets(kit: RecoveryKit, scheme: str) -> list[Sheet]:
    from vault.exporters.sheet import Sheet

    if not scheme:
        return [Sheet(tuple(kit.words(language())), kit.fingerprint())]
    shares = kit.divided(scheme)
    return [
        Sheet(tuple(share.text.split()), kit.fingerprint(), share.number, len(shares), share.needed, share.set_id)
        for share in shares
    ]


def brought(session: Session) -> list[str]:
    """The 24 words, or shares: from files, or typed one after the other."""
    if session.args.kit:
        return [files.read_small(Path(name)).decode("utf-8", "replace") for name in session.args.kit]
    from vault.errors import VaultLocked

    if not asking.at_terminal():
        raise VaultLocked(_("no recovery kit was given: --kit FILE"))
    typed = [asking.hidden(_("The 24 words, or a share: "))]
    if len(typed[0].split()) < SHARE_WORDS:
        return typed
    from vault.shares import read_share

    first = read_share(typed[0].split())
    while len(typed) < first.needed:
        left = first.needed - len(typed)
        session.say(ngettext("{n} share is missing.", "{n} shares are missing.", left).format(n=left))
        typed.append(asking.hidden(_("The next share: ")))
        read_share(typed[-1].split(), len(typed))
    return typed
