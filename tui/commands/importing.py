"""`import`: files and folders into the vault, what a folder would give, and an import taken back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import asking, files, render, shapes
from tui.asking import UsageError
from tui.details import translated
from tui.language import _, ngettext
from tui.progress import progress
from tui.session import Session, Verb, rfc3339

if TYPE_CHECKING:
    from vault.belonging import Question
    from vault.intake import ImportReport
    from vault.undo import Undone


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar=_("FILE"), help=_("files and folders"))
    parser.add_argument(
        "--about-someone-else", action="store_true", help=_("take files that name somebody else as their subject")
    )
    parser.add_argument("--keep-others", action="store_true", help=_("keep files of unknown formats as they are"))
    parser.add_argument("--no-ocr", action="store_true", help=_("leave the letters of scans and pictures unread"))
    parser.add_argument(
        "--report", action="store_true", help=_("with --dry-run: a table of formats and outcomes; needs no vault")
    )
    parser.add_argument("--out", metavar=_("FILE"), help=_("where the table of --report goes"))
    parser.add_argument(
        "--undo", nargs="?", const="", metavar=_("IMPORT"), help=_("take an import back, the last one unless said")
    )


def _import(session: Session) -> int:
    args = session.args
    if args.undo is not None:
        if args.files:
            raise UsageError(_("--undo takes no files."))
        return _undo(session)
    if not args.files:
        raise UsageError(_("Say which files or folders."))
    if args.report:
        return _survey(session)
    return _bring_in(session)


def _bring_in(session: Session) -> int:
    from vault.intake import import_files

    args = session.args
    here = asking.at_terminal() and not session.dry_run
    describe = _as_named if args.keep_others else None
    with session.vault() as vault, progress(_("Reading")) as report:
        done = import_files(
            vault,
            [Path(name) for name in args.files],
            about_someone_else=args.about_someone_else,
            dry_run=session.dry_run,
            recognize=not args.no_ocr,
            ask=_whose if here else None,
            describe=_described if here and describe is None else describe,
            progress=(lambda _name, read, total: report(read, total)) if report else None,
        )
    data = {
        "documents": [shapes.summary(item) for item in done.documents],
        "duplicates": [{"file": item.file, "document": item.document} for item in done.duplicates],
        "skipped": [{"file": item.file, "why": item.why} for item in done.skipped],
        "warnings": done.warnings,
    }
    session.give(data, lambda: render.summaries(done.documents, session.width))
    _tell(session, done)
    return 0 if done.documents or done.duplicates else 1


def _tell(session: Session, done: ImportReport) -> None:
    for item in done.skipped:
        session.say(
            _("Not read: {file}: {why}").format(file=render.clean(item.file), why=render.clean(translated(item.why)))
        )
    for warning in done.warnings:
        file, _colon, fact = warning.partition(": ")
        session.say(_("Note: {text}").format(text=render.clean(f"{file}: {translated(fact)}")))
    new, old = len(done.documents), len(done.duplicates)
    session.say(
        ngettext("{n} document was added", "{n} documents were added", new).format(n=new)
        + ", "
        + ngettext("{n} was there already.", "{n} were there already.", old).format(n=old)
    )
    if done.id:
        session.say(_("To take this back: elpis import --undo {id}").format(id=done.id[:8]))


def _whose(question: Question) -> bool:
    """Asked at the terminal: nothing about somebody else comes in unseen."""
    subject = question.subject
    named = " ".join(filter(None, (subject.given, subject.family, subject.birth))) if subject is not None else ""
    return asking.agrees(
        _("{file}: {why}. {named} Take it all the same?").format(
            file=render.clean(question.file), why=render.clean(translated(question.why)), named=render.clean(named)
        )
    )


def _as_named(_name: str) -> Mapping[str, str]:
    return {}


def _described(name: str) -> Mapping[str, str] | None:
    """What a file of no known format is, asked at the terminal."""
    if not asking.agrees(_("{file}: the format is not known. Keep it as it is?").format(file=render.clean(name))):
        return None
    return {
        "title": asking.line(_("Its title (nothing: the file's name): ")),
        "date": asking.line(_("Its date, as 2024-03-15 (nothing: unknown): ")),
        "author": asking.line(_("Who wrote it (nothing: unknown): ")),
    }


def _survey(session: Session) -> int:
    """What a folder would give, file by file, without a vault."""
    if not session.dry_run:
        raise UsageError(_("--report only looks: add --dry-run."))
    from vault.survey import survey

    args = session.args
    with progress(_("Reading")) as report:
        outcomes, found = survey(
            [Path(name) for name in args.files],
            recognize=not args.no_ocr,
            progress=(lambda _name, read, total: report(read, total)) if report else None,
        )
    table = found.table()
    if args.out:
        files.write_private(Path(args.out), [table.encode() + b"\n"])
    rows = {kind: dict(row) for kind, row in found.rows.items()}
    listed = [
        {"file": item.file, "format": item.format, "outcome": item.how, "why": item.why or None} for item in outcomes
    ]
    session.give({"formats": rows, "files": listed}, "" if args.out else table)
    for item in found.refused:
        session.say(_("Not read: {file}: {why}").format(file=render.clean(item.file), why=translated(item.why)))
    return 0 if outcomes else 1


def _undo(session: Session) -> int:
    from vault.undo import undo_import

    with session.vault() as vault:
        planned = undo_import(vault, session.args.undo, dry_run=True)
        if not session.dry_run and planned.removed:
            count = len(planned.removed)
            session.confirm(
                planned.id[:8],
                ngettext(
                    "This takes {n} document out of the vault, with its files.",
                    "This takes {n} documents out of the vault, with their files.",
                    count,
                ).format(n=count),
            )
            planned = undo_import(vault, planned.id)
    session.give(_undone(planned), lambda: "\n".join(render.clean(title) for _id, title in planned.removed))
    for kept in planned.kept:
        session.say(_("{title} stays: {why}").format(title=render.clean(kept.title), why=translated(kept.why)))
    return 0 if planned.removed else 1


def _undone(done: Undone) -> dict[str, Any]:
    return {
        "import": done.id,
        "time": rfc3339(done.time),
        "removed": [{"id": document_id, "title": title} for document_id, title in done.removed],
        "kept": [{"id": item.document, "title": item.title, "why": item.why} for item in done.kept],
    }


VERBS = {"import": Verb(_arguments, _import, writes=True)}
