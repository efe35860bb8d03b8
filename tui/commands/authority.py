"""`authority`: an order of physicians or a health agency vouches for id, name, role and keys, offline."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tui import files, render
from tui.commands.people import AUTHORITY_FILE, authority_file
from tui.language import _
from tui.session import Session, Verb, rfc3339

KEY_FILE = "authority.key"


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar=_("DIR"), help=_("a folder for its key and its public file"))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("what it is called"))


def _init(session: Session) -> int:
    """The key stays in DIR/authority.key; DIR/authority.pub is for everybody."""
    from vault.certificate import make_authority
    from vault.primitives import SigningKey

    folder = Path(session.args.dir)
    name = session.args.name or folder.resolve().name
    data = {"dir": str(folder), "name": name, "dry_run": session.dry_run}
    if not session.dry_run:
        key = SigningKey.make()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_private(folder / KEY_FILE, [key.seed])
        files.write_private(folder / AUTHORITY_FILE, [make_authority(name, key, int(time.time()))])
        (folder / AUTHORITY_FILE).chmod(0o644)
    session.give(data, _("Authority {name}: keep {key} secret, give {public} to everybody.").format(
        name=render.clean(name), key=folder / KEY_FILE, public=folder / AUTHORITY_FILE
    ))  # fmt: skip
    return 0


def _certify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar=_("DIR"), help=_("the folder of the authority"))
    parser.add_argument("card", metavar=_("CARD"), help=_("the card of the person, as a file"))
    parser.add_argument("--id", required=True, metavar="ID", help=_("the unique number of the person"))
    parser.add_argument("--role", required=True, metavar="R", help=_("doctor, laboratory ..."))
    parser.add_argument("--days", type=int, default=90, metavar="N", help=_("valid for N days, 90 at most"))
    parser.add_argument("--out", required=True, metavar=_("FILE"), help=_("where the certificate goes"))


def _certify(session: Session) -> int:
    from vault.certificate import certify, read_authority, read_certificate
    from vault.identity import read_card
    from vault.primitives import SigningKey

    args = session.args
    folder = Path(args.dir)
    card = read_card(files.read_small(Path(args.card)))
    key = SigningKey.from_seed(files.read_small(folder / KEY_FILE))
    now = int(time.time())
    certificate = certify(key, card, unique_id=args.id, role=args.role, now=now, days=args.days)
    read = read_certificate(certificate, read_authority(files.read_small(authority_file(folder))))
    if not session.dry_run:
        Path(args.out).write_bytes(certificate)
    data = {
        "id": read.id,
        "name": read.name,
        "role": read.role,
        "until": rfc3339(read.until),
        "file": args.out,
        "dry_run": session.dry_run,
    }
    sentence = _("{name} is certified as {role} until {when}.")
    session.give(
        data,
        sentence.format(name=render.clean(read.name), role=render.role(read.role), when=render.instant(read.until)),
    )
    return 0


VERBS = {
    "authority init": Verb(_init_arguments, _init, writes=True),
    "authority certify": Verb(_certify_arguments, _certify, writes=True),
}
