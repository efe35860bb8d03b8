"""`backup`: copies that anyone may keep, and a vault from one of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import asking, files, render, wording
from tui.language import _, ngettext
from tui.progress import progress
from tui.session import Session, Verb, moment, rfc3339

if TYPE_CHECKING:
    from vault.backup import Copy


def _place_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar=_("FOLDER|FILE.zip"), help=_("where the backup lies"))


def _make_arguments(parser: argparse.ArgumentParser) -> None:
    _place_argument(parser)
    parser.add_argument(
        "--kit-only", action="store_true", help=_("only the recovery kit opens it: nobody can try passphrases on it")
    )
    parser.add_argument(
        "--keep", type=int, default=5, metavar="N", help=_("how many copies of the database stay in a folder (5)")
    )


def _make(session: Session) -> int:
    from vault import backup

    args = session.args
    with session.vault() as vault:
        if session.dry_run:
            session.give({"place": args.place, "dry_run": True}, _("A backup would be made."))
            return 0
        with progress(_("Copying")) as report:
            made = backup.make(vault, Path(args.place), kit_only=args.kit_only, keep=args.keep, progress=report)
    data = {**_shape(made.copy), "place": args.place, "copied": made.copied, "there": made.kept,
            "damaged": list(made.damaged)}  # fmt: skip
    session.give(data, _("The backup is made and was read again: {place}").format(place=args.place))
    session.say(
        ngettext("{n} file was copied", "{n} files were copied", made.copied).format(n=made.copied)
        + ", "
        + ngettext("{n} was there already.", "{n} were there already.", made.kept).format(n=made.kept)
    )
    if made.damaged:
        told = ngettext(
            "{n} attachment is damaged in the vault itself, and is not in it: see `elpis verify`.",
            "{n} attachments are damaged in the vault itself, and are not in it: see `elpis verify`.",
            len(made.damaged),
        )
        session.say(told.format(n=len(made.damaged)))
        return wording.NOT_VERIFIED
    return 0


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    _place_argument(parser)
    _opening_arguments(parser)


def _opening_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kit", metavar=_("FILE"), nargs="+", action="extend", help=_("opened by the recovery kit, not the passphrase")
    )
    parser.add_argument(
        "--before", type=moment, metavar=_("DATE"), help=_("the newest copy of this day or earlier, not the newest")
    )


def _verify(session: Session) -> int:
    from vault import backup
    from vault.recovery import RecoveryKit

    args = session.args
    kit = RecoveryKit.read(*_words(session)) if args.kit else None
    passphrase = "" if kit else session.passphrase()
    with progress(_("Checking")) as report:
        found = backup.verify(Path(args.place), passphrase=passphrase, kit=kit, before=args.before, progress=report)
    _told(session, found, {"ok": not found.failed})
    session.say(
        ngettext("{n} thing is not what it claims to be.", "{n} things are not.", len(found.failed)).format(
            n=len(found.failed)
        )
        if found.failed
        else _("The backup is whole.")
    )
    return wording.NOT_VERIFIED if found.failed else 0


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    _verify_arguments(parser)
    parser.add_argument(
        "--new-passphrase-file", metavar=_("FILE"), help=_("with --kit: its first line is the new passphrase")
    )
    parser.add_argument(
        "--partial", action="store_true", help=_("go on when attachments are damaged: they will be missing")
    )


def _restore(session: Session) -> int:
    from vault import backup

    args = session.args
    words = "\n\n".join(_words(session)) if args.kit else ""
    if words:
        file = args.new_passphrase_file or args.passphrase_file
        passphrase = asking.passphrase(file, args.passphrase_fd, new=True)
    else:
        passphrase = session.passphrase()
    with progress(_("Restoring")) as report:
        found = backup.restore(
            Path(args.place), session.path, passphrase=passphrase, kit_words=words, before=args.before,
            partial=args.partial, progress=report,
        )  # fmt: skip
    _told(session, found, {"vault": str(session.path)})
    session.say(_("The vault of {when} is restored: {path}").format(when=_when(found.copy), path=session.path))
    session.say(_("What was written after that is not in it. If the old device still works, do not use both."))
    return wording.NOT_VERIFIED if found.failed else 0


def _words(session: Session) -> list[str]:
    return [files.read_small(Path(name)).decode("utf-8", "replace") for name in session.args.kit]


def _told(session: Session, found: Any, more: dict[str, Any]) -> None:
    copies = sorted(found.others, key=lambda copy: copy.made, reverse=True)
    data = {
        **more,
        **_shape(found.copy),
        "others": [_shape(copy) for copy in copies],
        "failed": [{"file": name, "why": why} for name, why in found.failed],
    }
    lines = [f"{_when(found.copy)}  {_counted(found.copy)}"]
    lines += [f"{_when(copy)}  {_counted(copy)}" for copy in copies]
    lines += [f"  !  {render.clean(name)}  {render.clean(why)}" for name, why in found.failed]
    session.give(data, "\n".join(lines))


def _shape(copy: Copy) -> dict[str, Any]:
    return {"made": rfc3339(copy.made), "documents": copy.documents, "attachments": len(copy.files)}


def _when(copy: Copy) -> str:
    return render.instant(copy.made)


def _counted(copy: Copy) -> str:
    documents = ngettext("{n} document", "{n} documents", copy.documents).format(n=copy.documents)
    return documents + ", " + ngettext("{n} file", "{n} files", len(copy.files)).format(n=len(copy.files))


VERBS = {
    "backup make": Verb(_make_arguments, _make, writes=True),
    "backup verify": Verb(_verify_arguments, _verify),
    "backup restore": Verb(_restore_arguments, _restore),
}
