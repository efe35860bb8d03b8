"""`add`, `amend`: what goes into the vault by its holder's hand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render, shapes
from tui.asking import UsageError
from tui.language import _
from tui.progress import progress
from tui.session import Session, Verb

if TYPE_CHECKING:
    from vault import Vault

HOLDER = "holder"
META = ("title", "type_code", "class_code", "date", "author", "confidentiality", "text")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from vault.document import ENTRY_FIELDS, SECTION_ENTRY

    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--kind", choices=tuple(SECTION_ENTRY), help=_("a fact of the health profile"))
    what.add_argument("--file", metavar=_("FILE"), help=_("any file, kept as it is"))
    for field in ENTRY_FIELDS:
        option = f"--{field.replace('_', '-')}"
        if field == "negated":
            parser.add_argument(option, action="store_true", default=None, help=_("it is NOT so: no such allergy ..."))
        else:
            parser.add_argument(option, metavar=_("TEXT"))
    for field in ("title", "type-code", "class-code", "date"):
        parser.add_argument(f"--{field}", default="", metavar=_("TEXT"), help=_("with --file"))


def _add(session: Session) -> int:
    from vault.document import ENTRY_FIELDS, SECTION_ENTRY

    args = session.args
    if args.file:
        return _add_file(session)
    fields = {name: getattr(args, name) for name in ENTRY_FIELDS if getattr(args, name) is not None}
    if not any(fields.get(name) for name in ("label", "code", "substance")):
        raise UsageError(_("Say what it is: --label TEXT."))
    kind = SECTION_ENTRY[args.kind]
    with session.vault() as vault:
        if session.dry_run:
            session.give({"kind": kind, **fields, "dry_run": True}, _("It would be added."))
            return 0
        document_id = vault.section(args.kind)
        entry_id = vault.add_entry(document_id, kind, fields)
    session.give(
        {"document": document_id, "entry": entry_id, "kind": kind},
        _("Added: {document} {entry}").format(document=document_id, entry=entry_id),
    )
    return 0


def _add_file(session: Session) -> int:
    args = session.args
    facts = {"type_code": args.type_code, "class_code": args.class_code, "date": args.date, "author": args.author or ""}
    document, content = files.as_document(Path(args.file), args.title, **facts)
    with session.vault() as vault:
        known = vault.find_source(document.source_id)
        if known is None and not session.dry_run:
            with progress(_("Sealing")) as report:
                known = vault.add(document, content, progress=report)
    data = {**shapes.summary(document), "id": known or "", "dry_run": session.dry_run}
    session.give(data, _("It would be added.") if session.dry_run else _("Added: {id}").format(id=known))
    return 0


def _amend_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "document", metavar=_("DOCUMENT"), help=_("its id, or the beginning of it; the word holder for your INS")
    )
    parser.add_argument("entry", nargs="?", metavar=_("ENTRY"), help=_("the id of an entry in it"))
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar=_("FIELD=VALUE"),
        help=_("new values; an empty value takes the field away"),
    )
    how.add_argument("--remove", action="store_true", help=_("take the entry away"))


def _amend(session: Session) -> int:
    args = session.args
    if args.remove and not args.entry:
        raise UsageError(_("--remove takes an entry away: say which."))
    if args.document == HOLDER:
        return _amend_holder(session)
    changes = _changes(args.set or [], entry=bool(args.entry))
    with session.vault() as vault:
        document_id = vault.find(args.document)
        entry = _entry(vault, document_id, args.entry) if args.entry else None
        if args.remove and entry is not None and not session.dry_run:
            name = render.clean(entry.text("label")) or entry.id[:8]
            session.confirm(name, _("This takes the entry {name!r} away.").format(name=name))
        if not session.dry_run:
            if entry is None:
                vault.amend(document_id, changes)
            elif args.remove:
                vault.remove_entry(document_id, entry.id)
            else:
                vault.amend_entry(document_id, entry.id, changes)
    data = {"document": document_id, "entry": entry.id if entry else None, "changes": changes, "removed": args.remove}
    session.give({**data, "dry_run": session.dry_run}, _("It would be done.") if session.dry_run else _("Done."))
    return 0


def _amend_holder(session: Session) -> int:
    """The holder's INS, with which whatever comes in is compared."""
    from vault.review.identity import check_ins

    args = session.args
    field, equals, value = args.set[0].partition("=") if args.set and len(args.set) == 1 else ("", "", "")
    if args.entry or field != "ins" or not equals:
        raise UsageError(_("Of the holder only the INS is amended: --set ins=NUMBER."))
    number = check_ins(value) if value.strip() else ""
    with session.vault() as vault:
        if not session.dry_run:
            vault.set_ins(number)
    data = {"holder": True, "changes": {"ins": number or None}, "dry_run": session.dry_run}
    session.give(data, _("It would be done.") if session.dry_run else _("Done."))
    return 0


def _changes(pairs: list[str], *, entry: bool) -> dict[str, Any]:
    from vault.document import ENTRY_FIELDS

    allowed = ENTRY_FIELDS if entry else META
    changes: dict[str, Any] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals or field not in allowed:
            raise UsageError(
                _("{pair!r} is not FIELD=VALUE with one of: {fields}").format(pair=pair, fields=", ".join(allowed))
            )
        changes[field] = (value == "true" or None) if field == "negated" else value or None
    return changes


def _entry(vault: Vault, document_id: str, prefix: str) -> Any:
    from vault.errors import NotFound

    found = [entry for entry in vault.read(document_id).entries if entry.id.startswith(prefix.lower())]
    if len(found) != 1:
        raise NotFound(prefix)
    return found[0]


VERBS = {
    "add": Verb(_add_arguments, _add, writes=True),
    "amend": Verb(_amend_arguments, _amend, writes=True),
}
