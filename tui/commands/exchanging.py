"""`sync`, `relay`, `relay-view`: sending and fetching; being a relay; and everything that a relay can see."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui import render, shapes
from tui.asking import UsageError
from tui.language import _
from tui.progress import progress
from tui.session import Session, Verb


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--relay", metavar="URL", help=_("the relay to use from now on"))


def _sync(session: Session) -> int:
    with session.vault() as vault, session.exchange(vault) as exchange, progress(_("Sending and fetching")) as report:
        if session.args.relay:
            exchange.set_relay(session.args.relay)
        elif vault.people.relay() is None:
            raise UsageError(_("Say which relay: --relay URL. It is remembered."))
        done = exchange.sync(progress=report)
    data = {
        "pushed": done.pushed,
        "pulled": done.pulled,
        "queued": done.queued,
        "events": [shapes.event(item) for item in done.events],
    }
    session.give(data, lambda: render.events(done.events))
    session.say(_("Sent: {sent}. Fetched: {fetched}.").format(sent=done.pushed, fetched=done.pulled))
    if done.queued:
        session.say(_("A relay of somebody else did not answer: {n} wait here.").format(n=done.queued))
    return 0


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", required=True, metavar=_("FILE"), help=_("the database; the rest lies beside it"))
    parser.add_argument("--port", type=int, default=8080, metavar="N", help=_("0 takes a free one"))
    parser.add_argument("--host", default="127.0.0.1", metavar=_("ADDRESS"), help=_("the address to listen on"))


def _serve(session: Session) -> int:
    from sync.relay.serve import serve

    if not 0 <= session.args.port <= 65535:
        raise UsageError(_("A port is a number from 0 to 65535."))
    serve(Path(session.args.db), session.args.port, session.args.host)
    return 0


def _view_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", required=True, metavar=_("FILE"), help=_("the database of a relay"))


def _view(session: Session) -> int:
    import sqlite3

    from sync.relay.view import relay_view
    from vault.errors import InputRefused, NotFound

    db = Path(session.args.db)
    if not db.is_file():
        raise NotFound(str(db))
    try:
        seen = relay_view(db)
    except sqlite3.Error as failure:
        hint = _("Nothing was changed. Name the database of a relay.")
        raise InputRefused(f"{db}: {failure}", hint=hint) from failure
    session.give(seen, lambda: render.nested(seen))
    return 0


VERBS = {
    "sync": Verb(_sync_arguments, _sync),
    "relay serve": Verb(_serve_arguments, _serve),
    "relay-view": Verb(_view_arguments, _view),
}
