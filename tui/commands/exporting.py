"""`export`: one document or file, the card, or the whole record in a form that others read."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render, shapes, wording
from tui.asking import UsageError
from tui.exports import WHOLE, to_file
from tui.language import _, ngettext
from tui.session import Session, Verb

if TYPE_CHECKING:
    from vault import Document, Vault


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar=_("ID|WORD"), help=_("a document, or one of: card, {words}").format(words=", ".join(WHOLE))
    )
    parser.add_argument(
        "--attachment", metavar="SHA256", help=_("this attachment of it (the beginning of its SHA-256 is enough)")
    )
    parser.add_argument("--out", metavar=_("FILE"), help=_("where to; without it, a document goes to stdout as JSON"))
    parser.epilog = "; ".join(f"{name}: {_(told)}" for name, told in WHOLE.items())


def _export(session: Session) -> int:
    from tui.commands import people

    args = session.args
    if args.what in ("card", *WHOLE) and not args.out:
        raise UsageError(_("Say where it goes: --out FILE."))
    with session.vault() as vault:
        if args.what == "card":
            return people.write_card(session, vault, Path(args.out))
        if args.what in WHOLE:
            return _whole(session, vault)
        document = vault.read(vault.find(args.what))
        if args.attachment is None:
            return _json(session, document)
        return _attachment(session, vault, document)


def _whole(session: Session, vault: Vault) -> int:
    out, what = session.args.out, session.args.what
    written = to_file(vault, what, Path(out))
    data: dict[str, Any] = {"file": out, "what": what}
    if written is not None:
        damaged = [{"document": title, "file": name} for title, name in written.damaged]
        data |= {"documents": written.documents, "files": written.files, "damaged": damaged}
    session.give(data, _("Written: {file}").format(file=out))
    session.say(_("It is not encrypted: keep it in a safe place."))
    if what in ("summary", "preop"):
        session.say(_("Not checked by a professional."))
    if written is None or not written.damaged:
        return 0
    told = ngettext("{n} file is damaged, and missing:", "{n} files are damaged, and missing:", len(written.damaged))
    session.say(told.format(n=len(written.damaged)))
    for title, name in written.damaged:
        session.say(f"  {render.clean(title)}: {render.clean(name)}")
    return wording.NOT_VERIFIED


def _json(session: Session, document: Document) -> int:
    if not session.args.out:
        session.give_json(shapes.document(document))
        return 0
    text = json.dumps(shapes.document(document), ensure_ascii=False, indent=1) + "\n"
    files.write_private(Path(session.args.out), [text.encode("utf-8", "backslashreplace")])
    data = {"file": session.args.out, "document": document.id}
    session.give(data, _("Written: {file}").format(file=session.args.out))
    return 0


def _attachment(session: Session, vault: Vault, document: Document) -> int:
    from vault.errors import NotFound

    wanted = session.args.attachment.lower()
    found = [file for file in document.attachments if file.sha256.startswith(wanted)]
    if len(found) != 1:
        raise NotFound(session.args.attachment)
    # The name came from outside: its last part alone, and never one that hides.
    name = os.path.basename(render.clean(found[0].name).replace("\\", "/")).lstrip(".")
    target = session.args.out or name or found[0].sha256
    files.write_private(Path(target), vault.attachment(document.id, found[0].sha256))
    session.give({"file": target, **shapes.attachment(found[0])}, _("Written: {file}").format(file=target))
    return 0


VERBS = {"export": Verb(_arguments, _export)}
