"""`authority`: an order of physicians or a health agency vouches for id, name, role and keys, offline; and what a vault
knows of those that it trusts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render
from tui.commands.people import authority_file
from tui.language import _, ngettext
from tui.session import Session, Verb, rfc3339

if TYPE_CHECKING:
    from vault.authorities import KnownAuthority
    from vault.authority import Folder, Office


def _dir_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar=_("DIR"), help=_("the folder of the authority"))


def _folder(session: Session) -> Folder:
    from vault.authority import Folder

    return Folder(Path(session.args.dir), rehearse=session.dry_run)


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar=_("DIR"), help=_("a folder for its key, its log and its public file"))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("what it is called"))


def _init(session: Session) -> int:
    """The key stays in DIR/authority.key; DIR/authority.pub is for everybody."""
    from vault.authority import KEY_FILE, PUBLIC_FILE, Folder

    folder = Path(session.args.dir)
    name = session.args.name or folder.resolve().name
    data = {"dir": str(folder), "name": name, "dry_run": session.dry_run}
    if not session.dry_run:
        Folder.create(folder, name, int(time.time()))
    session.give(data, _("Authority {name}: keep {key} secret, give {public} to everybody.").format(
        name=render.clean(name), key=folder / KEY_FILE, public=folder / PUBLIC_FILE
    ))  # fmt: skip
    return 0


def _certify_arguments(parser: argparse.ArgumentParser) -> None:
    _dir_argument(parser)
    parser.add_argument("card", metavar=_("CARD"), help=_("the card of the person, as a file"))
    parser.add_argument("--id", required=True, metavar="ID", help=_("the unique number of the person"))
    parser.add_argument("--role", required=True, metavar="R", help=_("doctor, laboratory ..."))
    _days_and_out(parser)


def _days_and_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=90, metavar="N", help=_("valid for N days, 90 at most"))
    parser.add_argument("--out", required=True, metavar=_("FILE"), help=_("where the certificate goes"))


def _certify(session: Session) -> int:
    from vault.identity import read_card

    args = session.args
    card = read_card(files.read_small(Path(args.card)))

    def issue(office: Office, now: int) -> bytes:
        return office.certify(card, unique_id=args.id, role=args.role, now=now, days=args.days)

    return _issued(session, issue)


def _renew_arguments(parser: argparse.ArgumentParser) -> None:
    _dir_argument(parser)
    parser.add_argument("certificate", metavar=_("CERT"), help=_("a certificate of this authority, as a file"))
    _days_and_out(parser)


def _renew(session: Session) -> int:
    """The same id, name, role and keys, with new dates."""
    old = files.read_small(Path(session.args.certificate))

    def issue(office: Office, now: int) -> bytes:
        return office.renew(old, now=now, days=session.args.days)

    return _issued(session, issue)


def _issued(session: Session, issue: Callable[[Office, int], bytes]) -> int:
    """A certificate, logged before it leaves; the public file shows the log with it at once."""
    from vault.certificate import read_certificate

    now, office = int(time.time()), _folder(session)
    certificate = issue(office, now)
    read = read_certificate(certificate, office.authority)
    office.publish(now)
    if not session.dry_run:
        Path(session.args.out).write_bytes(certificate)
    data = {
        "id": read.id,
        "name": read.name,
        "role": read.role,
        "until": rfc3339(read.until),
        "index": read.index,
        "file": session.args.out,
        "dry_run": session.dry_run,
    }
    sentence = _("{name} is certified as {role} until {when}.")
    session.give(
        data,
        sentence.format(name=render.clean(read.name), role=render.role(read.role), when=render.instant(read.until)),
    )
    return 0


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    _dir_argument(parser)
    parser.add_argument(
        "what", metavar=_("CERT|ID"), help=_("a certificate's file, or the unique number of the person")
    )


def _revoke(session: Session) -> int:
    """Whoever takes the new public file grants nothing more on these certificates."""
    now, office, path = int(time.time()), _folder(session), Path(session.args.what)
    wanted: str | bytes = files.read_small(path) if path.is_file() else session.args.what
    revoked = office.revoke(wanted, now=now)
    office.publish(now)
    names = [render.clean(one.fields["name"]) for one in revoked]
    data = {"revoked": [{"id": one.fields["id"], "name": one.fields["name"]} for one in revoked]}
    session.give({**data, "dry_run": session.dry_run}, _("Revoked: {names}.").format(names=", ".join(names)))
    session.say(_("It counts where the new public file is: give it to everybody."))
    return 0


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    _dir_argument(parser)
    parser.add_argument(
        "--days", type=int, default=30, metavar="N", help=_("the next file comes within N days, 30 at most")
    )
    parser.add_argument("--out", metavar=_("FILE"), help=_("write a copy here"))


def _publish(session: Session) -> int:
    """A fresh list of what was revoked and a fresh head of the log, also when nothing has changed."""
    from vault.bulletin import read_bulletin

    office = _folder(session)
    data = office.publish(int(time.time()), session.args.days)
    if session.args.out and not session.dry_run:
        Path(session.args.out).write_bytes(data)
    read = read_bulletin(data)
    told = {
        "name": read.authority.name,
        "certificates": read.head.size,
        "revoked": len(read.revocations.entries),
        "until": rfc3339(read.revocations.next),
        "size": len(data),
        "dry_run": session.dry_run,
    }
    sentence = _("Published: {n} certificates, {revoked} revoked. The next file is due by {when}.")
    session.give(told, sentence.format(
        n=read.head.size, revoked=len(read.revocations.entries), when=render.instant(read.revocations.next)
    ))  # fmt: skip
    return 0


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar=_("LOG"), help=_("the folder of the authority, or its log file"))
    parser.add_argument("--authority", metavar=_("FILE"), help=_("the public file to check a log file against"))


def _log(session: Session) -> int:
    """Every certificate that was ever signed; the whole file is checked against the signed head."""
    from vault.authority import LOG_FILE, PUBLIC_FILE, read_log
    from vault.bulletin import read_bulletin

    given = Path(session.args.log)
    path = given / LOG_FILE if given.is_dir() else given
    public = Path(session.args.authority) if session.args.authority else path.with_name(PUBLIC_FILE)
    bulletin = read_bulletin(files.read_small(public, files.BULLETIN))
    rows = []
    for index, (one, revoked) in enumerate(read_log(path.read_bytes(), bulletin)):
        fields = one.fields
        rows.append({
            "index": index,
            "id": fields["id"],
            "name": fields["name"],
            "role": fields["role"],
            "from": rfc3339(fields["from"]),
            "until": rfc3339(fields["until"]),
            "revoked": rfc3339(revoked),
        })  # fmt: skip
    session.give(rows, lambda: "\n".join(_log_line(row) for row in rows))
    session.say(ngettext(
        "{n} certificate; the file is the one that the authority signed.",
        "{n} certificates; the file is the one that the authority signed.",
        len(rows),
    ).format(n=len(rows)))  # fmt: skip
    return 0


def _log_line(row: dict[str, Any]) -> str:
    withdrawn = "  " + _("revoked {when}").format(when=row["revoked"]) if row["revoked"] else ""
    words = (str(row["index"]), row["from"], row["until"], row["id"], row["name"], render.role(row["role"]))
    return "  ".join(render.clean(word) for word in words) + withdrawn


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=_("FILE"), help=_("the newest public file of an authority that you trust"))


def _update(session: Session) -> int:
    """Who was revoked since, and whether the log is still the one that this vault saw. By any way: it is signed."""
    data = files.read_small(authority_file(Path(session.args.file)), files.BULLETIN)
    with session.vault() as vault:
        if session.dry_run:
            from vault.bulletin import read_bulletin

            read = read_bulletin(data)
            session.give({"name": read.authority.name, "dry_run": True}, render.clean(read.authority.name))
            return 0
        known = vault.people.update_authority(data)
    session.give(_known(known), lambda: _known_line(known))
    return 0


def _list_arguments(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _list(session: Session) -> int:
    with session.vault() as vault:
        known = vault.people.authorities()
    session.give([_known(one) for one in known], lambda: "\n".join(_known_line(one) for one in known))
    if not known:
        session.say(_("None yet: `elpis professional add CARD --cert FILE --authority FILE`."))
    return 0


def _known(one: KnownAuthority) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "certificates": one.certificates,
        "revoked": one.revoked,
        "made": rfc3339(one.made),
        "until": rfc3339(one.until),
        "contradicted": one.contradicted,
    }


def _known_line(one: KnownAuthority) -> str:
    if one.contradicted:
        return _("{name}: it contradicted itself, and counts no more").format(name=render.clean(one.name))
    sentence = _("{name}: {n} certificates, {revoked} revoked; believed until {when}")
    return sentence.format(
        name=render.clean(one.name), n=one.certificates, revoked=one.revoked, when=render.instant(one.until)
    )


VERBS = {
    "authority init": Verb(_init_arguments, _init, writes=True),
    "authority certify": Verb(_certify_arguments, _certify, writes=True),
    "authority renew": Verb(_renew_arguments, _renew, writes=True),
    "authority revoke": Verb(_revoke_arguments, _revoke, writes=True),
    "authority publish": Verb(_publish_arguments, _publish, writes=True),
    "authority log": Verb(_log_arguments, _log),
    "authority update": Verb(_update_arguments, _update, writes=True),
    "authority list": Verb(_list_arguments, _list),
}
