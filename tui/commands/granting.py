"""`grant`, `grants`, `revoke`, `trace`: the holder's word on who may see what, until when; and what came of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tui import render, shapes
from tui.asking import UsageError
from tui.language import _
from tui.session import Session, Verb, duration, moment, rfc3339

if TYPE_CHECKING:
    from vault import Vault

PRESETS = {
    "medications": ("medications",),
    "emergency": ("allergies", "medications", "conditions"),
    "profile": (
        "allergies", "medications", "conditions", "immunizations", "results", "vitals", "procedures", "family",
        "directives", "trusted", "contacts",
    ),
}  # fmt: skip


def _grant_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar=_("PERSON"), help=_("name or id of somebody known"))
    parser.add_argument("--document", action="append", default=[], metavar="ID", help=_("repeat for several"))
    parser.add_argument("--preset", choices=tuple(PRESETS), help=_("sections of the health profile"))
    parser.add_argument("--right", choices=("read", "edit"), default="read", help=_("what may be done"))
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--for", dest="seconds", type=duration, metavar=_("TIME"), help=_("24h, 7d, 30m, 5s"))
    end.add_argument("--until", type=moment, metavar=_("DATE"), help=_("a date, or date and time"))
    parser.add_argument("--purpose", required=True, metavar=_("TEXT"), help=_("why; both sides see it"))
    parser.add_argument(
        "--offline", type=duration, default=0, metavar=_("TIME"), help=_("may be kept open this long without network")
    )
    parser.add_argument("--openings", type=int, metavar="N", help=_("at most N openings"))


def _grant(session: Session) -> int:
    args = session.args
    with session.vault() as vault:
        person = vault.people.find(args.to)
        documents = [vault.find(prefix) for prefix in args.document]
        if args.preset:
            documents += [item.id for kind in PRESETS[args.preset] for item in vault.list(kind=kind, limit=1).documents]
        if not documents:
            raise UsageError(_("Say what may be seen: --document ID, or --preset."))
        ends: dict[str, Any] = {"until": args.until} if args.until else {"seconds": args.seconds}
        if session.dry_run:
            return _rehearse(session, vault, person, documents, ends)
        made = vault.sharing.grant(
            person,
            documents,
            right=args.right,
            purpose=args.purpose,
            offline=args.offline,
            openings=args.openings,
            **ends,
        )
        queued = _push(session, vault)
    session.give(
        {**shapes.grant(made), "purpose": made.purpose, "queued": queued},
        lambda: render.grants([made], vault.clock(), session.width),
    )
    return 0


def _rehearse(session: Session, vault: Vault, person: Any, documents: list[str], ends: dict[str, Any]) -> int:
    """Every check of a grant, and no grant."""
    vault.people.need_grantable(person)
    until = ends.get("until") or int(vault.clock()) + ends["seconds"]
    titles = [render.document_title(vault.read(document_id)) for document_id in documents]
    data = {
        "person": person.name,
        "documents": documents,
        "right": session.args.right,
        "until": rfc3339(until),
        "dry_run": True,
    }
    sentence = _("{name} would be able to see until {when}: {titles}")
    session.give(
        data,
        sentence.format(name=render.clean(person.name), when=render.instant(until), titles=", ".join(titles)),
    )
    return 0


def _push(session: Session, vault: Vault) -> bool:
    """Sends what waits, when a relay is known. True when it stays queued instead, which is said."""
    from sync.client import RelayUnreachable

    with session.exchange(vault) as exchange:
        try:
            if not exchange.sync().queued:
                return False
        except RelayUnreachable:
            pass
    session.say(_("The relay cannot be reached: it waits here and goes at the next `elpis sync`."))
    return True


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _grants(session: Session) -> int:
    with session.vault() as vault:
        vault.sharing.expire()
        given, now = vault.sharing.grants(), vault.clock()
    session.give([shapes.grant(item) for item in given], lambda: render.grants(given, now, session.width))
    if not given:
        session.say(_("No access was ever given."))
    return 0


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("grant", metavar=_("GRANT"), help=_("its id, or the beginning of it"))


def _revoke(session: Session) -> int:
    with session.vault() as vault:
        found = vault.sharing.find(session.args.grant)
        if session.dry_run:
            session.give({**shapes.grant(found), "dry_run": True}, _("This access would end now."))
            return 0
        name = render.clean(found.person)
        session.confirm(name, _("This ends the access of {name} now.").format(name=name))
        ended = vault.sharing.revoke(found.id)
        queued = _push(session, vault)
    session.give(
        {**shapes.grant(ended), "queued": queued},
        lambda: render.grants([ended], vault.clock(), session.width),
    )
    session.say(_("What was opened before may have been copied. Nothing written from now on can be read."))
    return 0


def _trace_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help=_("what is known here, without asking the relay"))


def _trace(session: Session) -> int:
    with session.vault() as vault:
        if not session.args.offline:
            session.refresh(vault)
        lines = vault.sharing.trace()
    session.give([shapes.trace_line(item) for item in lines], lambda: render.trace(lines, session.width))
    if not lines:
        session.say(_("Nobody was given access, and nobody looked."))
    return 0


VERBS = {
    "grant": Verb(_grant_arguments, _grant, writes=True),
    "grants": Verb(_nothing, _grants),
    "revoke": Verb(_revoke_arguments, _revoke, writes=True),
    "trace": Verb(_trace_arguments, _trace),
}
