"""`list`, `show`, `search`, `meds`, `export`: what is in the vault, and one file out of it."""

from __future__ import annotations

import argparse
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from tui import render, shapes
from tui.asking import UsageError
from tui.language import _, ngettext
from tui.session import Session, Verb, rfc3339

if TYPE_CHECKING:
    pass

PAGE = 500


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", default="", help=_("only this kind: clinical, medications, allergies ..."))
    parser.add_argument("--year", default="", help=_("only documents of this year"))
    parser.add_argument("--type", default="", metavar=_("CODE"), help=_("only this type of document"))
    parser.add_argument("--limit", type=int, default=0, metavar="N", help=_("at most N documents"))


def _list(session: Session) -> int:
    args = session.args
    found: list[Any] = []
    with session.vault() as vault:
        before = None
        while True:
            wanted = min(PAGE, args.limit - len(found)) if args.limit else PAGE
            page = vault.list(kind=args.kind, before=before, limit=wanted, year=args.year, type_code=args.type)
            found += page.documents
            before = page.next
            if before is None or (args.limit and len(found) >= args.limit):
                break
    session.give([shapes.summary(item) for item in found], lambda: render.summaries(found, session.width))
    if not found:
        session.say(_("No document yet: `elpis import` or `elpis add`."))
    return 0


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar=_("WORD"), help=_("words or beginnings of words"))
    parser.add_argument("--type", default="", metavar=_("CODE"), help=_("only documents of this type"))
    parser.add_argument(
        "--from", dest="since", default="", metavar=_("DATE"), help=_("only documents of this day or later")
    )
    parser.add_argument(
        "--to", dest="until", default="", metavar=_("DATE"), help=_("only documents of this day or earlier")
    )
    parser.add_argument("--author", default="", metavar=_("NAME"), help=_("only what this person wrote"))
    parser.add_argument("--limit", type=int, default=50, metavar="N", help=_("at most N documents"))


def _search(session: Session) -> int:
    args = session.args
    if not (args.words or args.type or args.since or args.until or args.author):
        raise UsageError(_("Say which words, or --type, --from, --to, --author."))
    with session.vault() as vault:
        hits = vault.search(
            " ".join(args.words),
            limit=args.limit,
            type_code=args.type,
            since=args.since,
            until=args.until,
            author=args.author,
        )
    data = [{**shapes.summary(hit.summary), "snippet": re.sub("[\x02\x03]", "", hit.snippet)} for hit in hits]
    lines = []
    for hit in hits:
        lines.append(render.summaries([hit.summary], session.width))
        lines.append("          " + render.clean(hit.snippet.replace("\x02", "[").replace("\x03", "]")))
    session.give(data, "\n".join(lines))
    if not hits:
        session.say(_("Nothing has these words."))
    return 0


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=_("the document, or the access that was granted"))
    parser.add_argument("--why", default="", metavar=_("TEXT"), help=_("why you open it: the patient will read this"))


def _show(session: Session) -> int:
    """The holder's own document, or one that was granted: opening that leaves a trace."""
    from tui.commands import visiting

    with session.vault() as vault:
        own = visiting.own_document(vault, session.args.id)
        if own is not None:
            document = vault.read(own)
            session.give(shapes.document(document), lambda: render.document(document, session.width))
            return 0
        opened = visiting.open_granted(session, vault, session.args.id, session.args.why)
        shown = [
            {**shapes.document(item.document), "right": item.right, "until": rfc3339(item.until)} for item in opened
        ]
        session.give(
            shown[0] if len(shown) == 1 else shown,
            lambda: "\n\n".join(render.document(item.document, session.width) for item in opened),
        )
        session.say(_("You may see this until {when}.").format(when=render.instant(opened[0].until)))
    return 0


def _meds_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--on", type=date.fromisoformat, metavar=_("DATE"), help=_("as of this day, not today"))
    parser.add_argument("--preop", action="store_true", help=_("before surgery: what is taken, anticoagulants first"))
    parser.add_argument(
        "--adopt", action="store_true", help=_("copy what imported documents say into your own list, to be granted")
    )


def _meds(session: Session) -> int:
    from vault.adopting import adopt_treatments
    from vault.review import medications

    args = session.args
    with session.vault() as vault:
        day = args.on or date.fromtimestamp(vault.clock())
        if args.adopt:
            _section, copied = adopt_treatments(vault, on=day, dry_run=session.dry_run)
            session.say(_copied(len(copied), rehearsed=session.dry_run))
        listing = medications.preoperative_list if args.preop else medications.medication_list
        items = listing(vault.entries("medication"), on=day)
    session.give([shapes.medication(item) for item in items], lambda: render.medications(items, session.width))
    if items:
        session.say(_("Not checked by a professional."))
    else:
        session.say(_("No treatment is known."))
    return 0


def _copied(count: int, *, rehearsed: bool) -> str:
    if rehearsed:
        return ngettext(
            "{n} treatment would be copied into your list.", "{n} treatments would be copied into your list.", count
        ).format(n=count)
    return ngettext(
        "{n} treatment was copied into your list.", "{n} treatments were copied into your list.", count
    ).format(n=count)


VERBS = {
    "list": Verb(_list_arguments, _list),
    "search": Verb(_search_arguments, _search),
    "show": Verb(_show_arguments, _show),
    "meds": Verb(_meds_arguments, _meds, writes=True),
}
