"""`inbox`, `contribute`, `deposit`: what others gave me access to, and what I bring to others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render, shapes
from tui.asking import UsageError
from tui.language import _, ngettext
from tui.session import Session, Verb

if TYPE_CHECKING:
    from sync.exchange import Exchange
    from sync.opened import OpenDocument
    from vault import Vault
    from vault.visiting import Visit


def own_document(vault: Vault, prefix: str) -> str | None:
    """The holder's own document under this id; None when there is none."""
    from vault.errors import NotFound

    try:
        return vault.find(prefix)
    except NotFound:
        return None


def open_granted(session: Session, vault: Vault, wanted: str, why: str) -> list[OpenDocument]:
    """Opens a granted document, or all those of a grant, at the relay: from then on the patient's trace shows it."""
    with session.exchange(vault) as exchange:
        return exchange.open_all(wanted, why)


def _inbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept", metavar="ID", help=_("take a deposit that waits into the vault"))
    parser.add_argument("--refuse", metavar="ID", help=_("refuse a deposit that waits"))


def _inbox(session: Session) -> int:
    args = session.args
    with session.vault() as vault:
        if args.refuse:
            vault.feeding.refuse(vault.feeding.find(args.refuse).id)
        if args.accept:
            vault.feeding.accept(vault.feeding.find(args.accept).id)
        reached = session.refresh(vault)
        if vault.people.relay() is None:
            session.say(_("No relay yet: `elpis sync --relay URL`."))
        visits, deposits, now = vault.visiting.grants(), vault.feeding.waiting(), vault.clock()
    data = {
        "grants": [shapes.visit(item) for item in visits],
        "deposits": [shapes.waiting(item) for item in deposits],
        "fetched": reached,
    }
    session.give(data, lambda: "\n".join(filter(None, (render.visits(visits, now), render.deposits(deposits)))))
    if not visits and not deposits:
        session.say(_("Nothing has come."))
    return 0


def _contribute_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=_("a document that you may edit, or its access"))
    parser.add_argument("file", metavar=_("FILE"), help=_("a report (CDA, FHIR, PDF), or a JSON list of entries"))
    parser.add_argument("--why", default="", metavar=_("TEXT"), help=_("why you open it: the patient will read this"))


def _contribute(session: Session) -> int:
    from vault.errors import RightMissing

    path = Path(session.args.file)
    entries, attached = _entries_of(path)
    with session.vault() as vault, session.exchange(vault) as exchange:
        visit, document_id = _one_document(exchange, session.args.id)
        if visit.right != "edit":
            raise RightMissing()
        if not session.dry_run:
            opened = exchange.open(f"{visit.id}/{document_id}", session.args.why)
            opened.add_entries([(kind, fields) for entry_id, kind, fields in entries if entry_id is None])
            for entry_id, kind, fields in entries:
                if entry_id is not None:
                    opened.set_entry(entry_id, kind, fields)
            if attached:
                opened.add_file(path, media_type=files.as_attachment(path).media_type, name=path.name)
            exchange.sync()
    data = {"document": document_id, "entries": len(entries), "attachment": attached, "dry_run": session.dry_run}
    text = ngettext("{n} entry went into the document.", "{n} entries went into the document.", len(entries))
    told = [text.format(n=len(entries))] if entries or not attached else []
    if attached:
        told.append(_("The file was attached: {name}").format(name=render.clean(path.name)))
    session.give(data, "\n".join(told))
    return 0


def _one_document(exchange: Exchange, wanted: str) -> tuple[Visit, str]:
    """(grant, document id). A grant of one document stands for it; of several, one must be named."""
    visit, document_id = exchange.find(wanted)
    if document_id is None and len(visit.document_ids) == 1:
        document_id = visit.document_ids[0]
    if document_id is None:
        ids = ", ".join(item[:8] for item in visit.document_ids)
        raise UsageError(_("This access is to several documents, say which: {ids}").format(ids=ids))
    return visit, document_id


def _entries_of(path: Path) -> tuple[list[tuple[str | None, str, dict[str, Any]]], bool]:
    """(entries, whether the file itself goes along): a JSON list holds entries alone, anything else is a report."""
    data = path.read_bytes()
    if data.lstrip()[:1] == b"[":
        return list(_listed(data)), False
    return [
        (None, entry.kind, dict(entry.fields)) for read in files.as_read(path) for entry in read.document.entries
    ], True


def _listed(data: bytes) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """[{"kind", "label", ...}], with "id" to change an entry that is there."""
    from vault.document import ENTRY_FIELDS, ENTRY_KINDS

    try:
        items = json.loads(data)
    except (ValueError, RecursionError) as failure:
        raise UsageError(_("The file is not JSON: {why}").format(why=failure)) from None
    for item in items:
        fields = {**item} if isinstance(item, dict) else {}
        entry_id, kind = fields.pop("id", None), fields.pop("kind", "")
        unknown = sorted(fields.keys() - set(ENTRY_FIELDS))
        if kind not in ENTRY_KINDS or unknown or not isinstance(entry_id, str | None):
            raise UsageError(
                _('Every entry is {{"kind", "label", ...}} with kinds and fields that Elpis knows. Not: {what}').format(
                    what=", ".join(unknown) or repr(kind)
                )
            )
        yield entry_id, kind, fields


def _deposit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar=_("CARD"), help=_("the card of the person, as a file"))
    parser.add_argument("files", nargs="+", metavar=_("FILE"), help=_("what is laid down"))
    parser.add_argument("--cert", metavar=_("FILE"), help=_("your certificate: it is filed without a question"))


def _deposit(session: Session) -> int:
    from sync.client import RelayUnreachable

    args = session.args
    card = files.read_small(Path(args.to))
    reads = [read for name in args.files for read in files.as_read(Path(name))]
    queued = False
    with session.vault() as vault, session.exchange(vault) as exchange:
        to = vault.people.read_card(card)
        if not session.dry_run:
            certificate = files.read_small(Path(args.cert)) if args.cert else None
            try:
                exchange.deposit(card, [(read.document, read.files) for read in reads], certificate)
            except RelayUnreachable:
                queued = True
                session.say(_("The relay cannot be reached: it waits here and goes at the next `elpis sync`."))
    name = render.clean(to.name)
    data = {
        "to": to.name,
        "documents": [read.document.title for read in reads],
        "queued": queued,
        "dry_run": session.dry_run,
    }
    text = ngettext("{n} document was laid down for {name}.", "{n} documents were laid down for {name}.", len(reads))
    session.give(data, text.format(n=len(reads), name=name))
    session.say(_("You cannot read it back."))
    return 0


VERBS = {
    "inbox": Verb(_inbox_arguments, _inbox),
    "contribute": Verb(_contribute_arguments, _contribute, writes=True),
    "deposit": Verb(_deposit_arguments, _deposit, writes=True),
}
