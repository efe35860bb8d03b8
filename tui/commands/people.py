"""`card`, `professional`: who I am to others, and whom I may give access to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui import asking, files, render, shapes
from tui.language import _
from tui.session import Session, Verb

if TYPE_CHECKING:
    from vault import Vault
    from vault.people import Person


def _card_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar=_("FILE"), help=_("write the card to this file"))
    parser.add_argument("--text", action="store_true", help=_("print the card as one line of text"))


def _card(session: Session) -> int:
    with session.vault() as vault:
        if session.args.out:
            return write_card(session, vault, Path(session.args.out))
        fingerprint = vault.people.fingerprint()
        if session.json or session.args.text:
            text = vault.people.card_text()
            session.give({"card": text, "fingerprint": fingerprint, "name": vault.holder_name}, text)
            return 0
        _draw(vault.people.card_text(short=True))
        session.say(_("The code names your keys. To send you something, people need the card as a file: --out."))
        _talk(session, vault, fingerprint)
    return 0


def write_card(session: Session, vault: Vault, path: Path) -> int:
    """The card as a file for others. It holds nothing secret but the right to put deposits in."""
    path.write_bytes(vault.people.card())
    fingerprint = vault.people.fingerprint()
    session.give(
        {"file": str(path), "fingerprint": fingerprint, "name": vault.holder_name},
        _("Written: {file}").format(file=path),
    )
    _talk(session, vault, fingerprint)
    return 0


def _talk(session: Session, vault: Vault, fingerprint: str) -> None:
    session.say(_("Fingerprint: {code}").format(code=fingerprint))
    if vault.people.relay() is None:
        session.say(_("No relay yet, so nothing can be sent to this card: `elpis sync --relay URL`, then a new card."))


def _draw(text: str) -> None:
    """The card as a QR code, drawn in half blocks."""
    import sys

    import segno

    segno.make(text, error="l", micro=False).terminal(out=sys.stdout, border=2, compact=True)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("card", metavar=_("CARD"), help=_("the file of the card"))
    parser.add_argument("--cert", metavar=_("FILE"), help=_("a certificate of an authority"))
    parser.add_argument(
        "--authority", metavar=_("FILE"), help=_("the authority to trust from now on: its file or folder")
    )
    parser.add_argument("--met", action="store_true", help=_("you have met this person and compared the safety number"))


def _add(session: Session) -> int:
    args = session.args
    card = files.read_small(Path(args.card))
    certificate = files.read_small(Path(args.cert)) if args.cert else None
    authority = files.read_small(authority_file(Path(args.authority)), files.BULLETIN) if args.authority else None
    with session.vault() as vault:
        if session.dry_run:
            read = vault.people.read_card(card)
            data = {"name": read.name, "role": read.role, "dry_run": True}
            session.give(data, _("{name} would be added.").format(name=render.clean(read.name)))
            return 0
        person = vault.people.add(card, certificate=certificate, authority=authority, met=args.met)
        if not person.met and not session.json and asking.at_terminal():
            person = _compare(session, vault, person)
        number = vault.people.safety_number(person)
    session.give({**shapes.person(person), "safety_number": number}, lambda: render.people([person]))
    session.say(_("Safety number: {number}").format(number=number))
    if person.reason:
        from tui.wording import why_not

        session.say(_("No access can be given yet: {why}").format(why=why_not(person.reason, person.detail)))
    return 0


def authority_file(path: Path) -> Path:
    """An authority is named by its public file or by the folder that holds it."""
    from vault.authority import PUBLIC_FILE

    return path / PUBLIC_FILE if path.is_dir() else path


def _list_arguments(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _list(session: Session) -> int:
    with session.vault() as vault:
        known = vault.people.list()
    session.give([shapes.person(item) for item in known], lambda: render.people(known))
    if not known:
        session.say(_("Nobody yet: `elpis professional add CARD`."))
    return 0


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar=_("PERSON"), help=_("name or id"))
    parser.add_argument("--met", action="store_true", help=_("the numbers are the same: remember it"))


def _verify(session: Session) -> int:
    with session.vault() as vault:
        person = vault.people.find(session.args.person)
        number = vault.people.safety_number(person)
        if session.args.met and not session.dry_run:
            vault.people.set_met(person.id)
            person = vault.people.find(person.id)
        elif not session.json and asking.at_terminal() and not session.dry_run:
            person = _compare(session, vault, person)
    session.give({**shapes.person(person), "safety_number": number}, number)
    return 0


def _compare(session: Session, vault: Vault, person: Person) -> Person:
    """Asks whether both screens show one number; a yes is remembered."""
    session.say(_("Safety number with {name}:").format(name=render.clean(person.name)))
    session.say("    " + vault.people.safety_number(person))
    if asking.agrees(_("Are you together, and does the other screen show the same number?")):
        vault.people.set_met(person.id)
        return vault.people.find(person.id)
    return person


VERBS = {
    "card": Verb(_card_arguments, _card),
    "professional add": Verb(_add_arguments, _add, writes=True),
    "professional list": Verb(_list_arguments, _list),
    "professional verify": Verb(_verify_arguments, _verify, writes=True),
}
