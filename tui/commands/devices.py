"""`device`: the holder's devices. Adding one, joining from the new one, who they are, removing one."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from tui import asking, render, shapes
from tui.asking import UsageError
from tui.language import _
from tui.machine import machine_name
from tui.session import Session, Verb
from tui.sheets import brought

if TYPE_CHECKING:
    from sync.pairing import Host

WAIT = 600


def _wait_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=int, default=WAIT, metavar="N", help=_("seconds to wait for the other device (default 600)")
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--confirm", metavar=_("NUMBER"), help=_("the number that the new device shows"))
    parser.add_argument(
        "--secret", action="store_true", help=_("a code that nobody but the new device may see: nothing is compared")
    )
    _wait_argument(parser)


def _add(session: Session) -> int:
    """A code, then the number to compare, then everything is handed over."""
    from sync.pairing import Host

    with session.vault() as vault, session.exchange(vault) as exchange:
        host = Host(vault, exchange)
        if session.args.confirm:
            return _admit(session, host, session.args.confirm)
        if not vault.devices.name(vault.device_id):
            vault.devices.set_name(machine_name())
        code = host.begin(secret=session.args.secret)
        _show_code(session, code.print())
        number = host.number(wait=session.args.wait)
        if not number:
            raise UsageError(_("No device came. Begin again: `elpis device add`."))
        if session.args.secret:
            return _admit(session, host, None)
        if asking.at_terminal():
            return _admit(session, host, asking.line(_("The number that the new device shows: ")))
        _give_line(session, {"waiting": True}, "")
        session.say(_("Compare: `elpis device add --confirm NUMBER` with the number that the new device shows."))
    return 0


def _admit(session: Session, host: Host, number: str | None) -> int:
    name = host.admit(number)
    told = _("The device is in: {name}. It fetches everything by itself.")
    _give_line(session, {"added": name}, told.format(name=render.clean(name) or _("without a name")))
    return 0


def _show_code(session: Session, code: str) -> None:
    _give_line(session, {"code": code}, code)
    if not session.json and sys.stdout.isatty():
        import segno

        segno.make(code, error="l", micro=False).terminal(out=sys.stdout, border=2, compact=True)
    session.say(_("On the new device: `elpis device join CODE --vault FOLDER`. The code holds for an hour."))


def _join_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar=_("CODE"), help=_("the code that the other device shows"))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("how this device is called"))
    _wait_argument(parser)


def _join(session: Session) -> int:
    """A vault for this device, filled from the other."""
    from sync.pairing import Guest
    from vault.errors import VaultExists

    if (session.path / "keyslots").exists():
        raise VaultExists(str(session.path))
    passphrase = session.passphrase(new=True)
    guest = Guest(session.args.code, session.args.name or machine_name())
    number = guest.number(wait=session.args.wait)
    if guest.must_compare:
        _compare(session, number)
    newcomer = guest.welcome(wait=session.args.wait)
    with guest.join(session.path, newcomer, passphrase) as vault, session.exchange(vault) as exchange:
        exchange.sync()
        done = {"vault": str(session.path), "name": vault.holder_name, "documents": vault.count()}
        _give_line(session, done, _("This device has the vault now: {path}").format(path=session.path))
    return 0


def _compare(session: Session, number: str) -> None:
    shown = f"{number[:3]} {number[3:]}"
    _give_line(session, {"number": number}, _("The number of this meeting: {number}").format(number=shown))
    session.say(_("Type it on the other device. Go on here only when that device has taken it."))
    if not session.args.yes:
        if not asking.at_terminal():
            raise UsageError(_("Nobody is here to confirm: add --yes."))
        if not asking.agrees(_("Did the other device take this number?")):
            raise UsageError(_("Nothing was done. Begin again on the other device."))


def _list(session: Session) -> int:
    with session.vault() as vault:
        devices = vault.devices.all()
        session.give([shapes.device(item) for item in devices], lambda: render.devices(devices))
        if retired := render.retirement(vault.devices.retired()):
            session.say(retired)
    return 0


def _list_arguments(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _name_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar=_("DEVICE"), help=_("its name, or the beginning of its id"))
    parser.add_argument("name", metavar=_("NAME"), help=_("how it is called from now on, on all devices"))


def _name(session: Session) -> int:
    with session.vault() as vault:
        device = vault.devices.find(session.args.device)
        vault.devices.set_name(
            session.args.name, bytes.fromhex(device.id), restored_from=bytes.fromhex(device.restored_from)
        )
        line = vault.devices.find(device.id)
        session.give(shapes.device(line), lambda: render.devices([line]))
    return 0


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar=_("DEVICE"), help=_("its name, or the beginning of its id"))
    parser.add_argument(
        "--kit", metavar=_("FILE"), nargs="+", action="extend",
        help=_("with the recovery kit: the device cannot undo its removal, and one that it has removed comes back"),
    )  # fmt: skip


def _remove(session: Session) -> int:
    """The vault goes on without it: new keys, a new inbox, accesses given anew."""
    from vault import RecoveryKit

    with session.vault() as vault:
        session.refresh(vault)
        device = vault.devices.find(session.args.device)
        name = render.clean(device.name) or device.id[:8]
        told = {"removed": device.id, "name": device.name, "dry_run": session.dry_run}
        if session.dry_run:
            session.give(told, _("This device would be removed: {name}").format(name=name))
            return 0
        session.confirm(name, render.removal(vault.devices.outranks(device.id)))
        kit = RecoveryKit.read(*brought(session)) if session.args.kit else None
        vault.devices.remove(device.id, kit)
        sent = session.refresh(vault)
        session.give({**told, "sent": sent}, _("Removed: {name}").format(name=name))
        session.say(_("Your card has changed: give it again to whoever lays documents down for you."))
    return 0


def _suite_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-least", type=int, choices=(1, 2), metavar="N", help=_("seal and take nothing in a lesser one, for good")
    )


def _suite(session: Session) -> int:
    """The least suite in which something is sealed by this vault or taken from its inbox; it never falls."""
    with session.vault() as vault:
        before, wanted = vault.devices.roster().min_suite, session.args.at_least or 0
        if wanted > before and not session.dry_run:
            session.confirm(
                str(wanted),
                _("Who runs an older Elpis, without ML-KEM, gets and lays down nothing here any more."),
            )
            vault.devices.require_suite(wanted)
            session.refresh(vault)
        now = max(before, wanted)
        told = _("Nothing is sealed or taken below suite {suite}.").format(suite=now)
        session.give({"min_suite": now, "raised": now > before, "dry_run": session.dry_run}, told)
    return 0


def _give_line(session: Session, data: object, text: str) -> None:
    """One step of several: with --json one line each, at once."""
    if session.json:
        text = json.dumps(data, ensure_ascii=sys.stdout.isatty())
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


VERBS = {
    "device add": Verb(_add_arguments, _add),
    "device join": Verb(_join_arguments, _join),
    "device list": Verb(_list_arguments, _list),
    "device name": Verb(_name_arguments, _name),
    "device remove": Verb(_remove_arguments, _remove, writes=True),
    "device suite": Verb(_suite_arguments, _suite, writes=True),
}
