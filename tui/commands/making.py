"""`init`, `passphrase`: a vault, and the way into it that its holder keeps in mind."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tui import asking, files
from tui.asking import UsageError
from tui.language import _, language
from tui.machine import machine_name
from tui.session import Session, Verb
from tui.sheets import fill_sheet, sheet_text

if TYPE_CHECKING:
    from vault.recovery import RecoveryKit


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, metavar=_("NAME"), help=_("family and given name of the holder"))
    parser.add_argument("--birth", default="", metavar=_("DATE"), help=_("date of birth, YYYY-MM-DD"))
    parser.add_argument("--ins", default="", metavar=_("NUMBER"), help=_("INS: what is imported is compared with it"))
    parser.add_argument("--professional", action="store_true", help=_("the vault of a professional"))
    parser.add_argument("--role", default="", metavar="R", help=_("with --professional: doctor, laboratory ..."))
    parser.add_argument(
        "--recovery-out", metavar=_("FILE"), help=_("where the recovery kit is written; print it, then delete it")
    )
    parser.add_argument("--sensitive", action="store_true", help=_("make each try of a passphrase cost much more"))


def _init(session: Session) -> int:
    args = session.args
    _check_init(args)
    if session.dry_run:
        session.give({"vault": str(session.path), "dry_run": True}, _("A vault would be made here."))
        return 0
    from vault import Vault
    from vault.errors import VaultExists
    from vault.review.identity import check_ins

    if args.ins:
        check_ins(args.ins)
    if (session.path / "keyslots").exists():
        raise VaultExists(str(session.path))
    passphrase = session.passphrase(new=True)
    # The kit's file is made first: a vault whose kit could not be written would be a vault without a second way in.
    out = Path(args.recovery_out) if args.recovery_out else None
    if out:
        files.write_private(out, [])
    made = False
    try:
        vault, kit = Vault.create(
            session.path,
            name=args.name,
            birth=args.birth,
            passphrase=passphrase,
            role=args.role if args.professional else "",
            language=language(),
            sensitive=args.sensitive,
        )
        made = True
        vault.devices.set_name(machine_name())
        if args.ins:
            vault.set_ins(args.ins)
    finally:
        if out and not made:
            out.unlink(missing_ok=True)
    with vault:
        if out:
            fill_sheet(out, kit)
        else:
            _show_sheet(session, kit)
        session.give(
            {
                "vault": str(session.path),
                "id": vault.vault_id.hex(),
                "name": args.name,
                "recovery_file": args.recovery_out,
            },
            _("The vault is made: {path}").format(path=session.path),
        )
    if out:
        session.say(_("Recovery kit: {file}. Print it, keep the sheet, delete the file.").format(file=out))
    return 0


def _check_init(args: argparse.Namespace) -> None:
    if args.birth:
        try:
            date.fromisoformat(args.birth)
        except ValueError:
            raise UsageError(_("--birth is a date: YYYY-MM-DD.")) from None
    if not args.name.strip():
        raise UsageError(_("--name is empty."))
    if args.professional != bool(args.role):
        raise UsageError(_("--professional and --role go together."))
    if not args.recovery_out and not asking.at_terminal():
        raise UsageError(_("Nobody is here to copy the recovery kit: add --recovery-out FILE."))


def _show_sheet(session: Session, kit: RecoveryKit) -> None:
    session.say(sheet_text(kit))
    session.say(_("Copy the 24 words on paper now. Three of them are asked back."))
    while not asking.asked_back(kit.words(language())):
        session.say(sheet_text(kit))


def _passphrase_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--new-passphrase-file", metavar=_("FILE"), help=_("its first line is the new passphrase"))


def _passphrase(session: Session) -> int:
    from vault import Vault

    old = session.passphrase()
    with Vault.unlock(session.path, old) as vault:
        if session.dry_run:
            session.give({"changed": False, "dry_run": True}, _("The passphrase would be changed."))
            return 0
        vault.change_passphrase(old, _new_passphrase(session))
    session.give({"changed": True}, _("The passphrase is changed. The recovery kit is the same."))
    return 0


def _new_passphrase(session: Session) -> str:
    """From --new-passphrase-file or the terminal: --passphrase-file stands for the old one."""
    return asking.passphrase(session.args.new_passphrase_file, None, new=True, command=False)


VERBS = {
    "init": Verb(_init_arguments, _init, writes=True),
    "passphrase": Verb(_passphrase_arguments, _passphrase, writes=True),
}
