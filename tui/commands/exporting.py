"""`export`: one document or file, the card, or the whole record in a form that others read."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tui import files, render, shapes, wording
from tui.asking import UsageError
from tui.language import N_, _, language, ngettext
from tui.session import Session, Verb

if TYPE_CHECKING:
    from vault import Attachment, Document, Vault
    from vault.exporters.archive import Written
    from vault.review.profile import Fact

WHOLE = {
    "archive": N_("everything in one zip: original files, summary, an index for any browser"),
    "ips": N_("the summary for other programs (FHIR)"),
    "xdm": N_("the files with their metadata for health software (IHE XDM)"),
    "summary": N_("the summary on paper (PDF)"),
    "preop": N_("treatments before surgery on one page (PDF)"),
}


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


def to_file(vault: Vault, what: str, path: Path) -> Written | None:
    """Writes one of WHOLE into a new private file: whole, or none at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    done = False
    try:
        with open(descriptor, "wb") as target:
            written = _WRITERS[what](vault, target)
            target.flush()
            os.fsync(target.fileno())
        done = True
    finally:
        if not done:
            path.unlink(missing_ok=True)
    return written


def _archive(vault: Vault, target: IO[bytes]) -> Written:
    from vault.exporters import archive

    made = int(vault.clock())
    return archive.write(target, _holder(vault), _documents(vault), _content(vault), made=made, language=language())


def _xdm(vault: Vault, target: IO[bytes]) -> Written:
    from vault.exporters import xdm

    made = int(vault.clock())
    return xdm.write(target, _holder(vault), _documents(vault), _content(vault), made=made, language=language())


def _ips(vault: Vault, target: IO[bytes]) -> None:
    from vault.exporters.ips import bundle

    target.write(bundle(_holder(vault), _profile(vault), made=int(vault.clock()), language=language()))


def _summary(vault: Vault, target: IO[bytes]) -> None:
    from vault.exporters.printed import Contact, summary

    profile = _profile(vault)
    named = [*profile.facts["trusted_person"], *profile.facts["contact"]]
    contacts = [Contact(fact.label, _reached(fact)) for fact in named if not fact.negated]
    contacts += [Contact(person.name, render.role(person.role)) for person in vault.people.list()]
    summary(target, _page(vault), profile, contacts)


def _reached(fact: Fact) -> str:
    """Who somebody is to the holder, and how they are reached."""
    known = [_("person of trust")] if fact.kind == "trusted_person" else []
    return ", ".join([*known, *(str(fact.fields[name]) for name in ("performer", "value") if fact.fields.get(name))])


def _preop(vault: Vault, target: IO[bytes]) -> None:
    from vault.exporters.printed import preoperative
    from vault.review.medications import preoperative_list

    day = date.fromtimestamp(vault.clock())
    preoperative(target, _page(vault), preoperative_list(vault.entries("medication"), on=day))


_WRITERS: dict[str, Callable[[Any, IO[bytes]], Written | None]] = {
    "archive": _archive, "ips": _ips, "xdm": _xdm, "summary": _summary, "preop": _preop,
}  # fmt: skip


def _holder(vault: Vault) -> Any:
    from vault.exporters.ips import Holder

    return Holder(vault.holder_name, vault.holder_birth)


def _profile(vault: Vault) -> Any:
    from tui.overview import gather
    from vault.review.profile import profile

    return profile(gather(vault), on=date.fromtimestamp(vault.clock()))


def _page(vault: Vault) -> Any:
    from vault.exporters.printed import Page

    titles = {summary.id: summary.title for summary, _entry in vault.entries("medication")}
    return Page(_holder(vault), date.fromtimestamp(vault.clock()), language(), titles)


def _documents(vault: Vault) -> Iterator[Document]:
    """Every document, page by page: the vault may hold more than memory does."""
    before = None
    while True:
        page = vault.list(before=before)
        for summary in page.documents:
            yield vault.read(summary.id)
        if page.next is None:
            return
        before = page.next


def _content(vault: Vault) -> Callable[[Document, Attachment], Iterator[bytes]]:
    return lambda document, attachment: vault.attachment(document.id, attachment.sha256)


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
