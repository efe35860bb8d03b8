"""`recovery`: the second way into a vault. Its sheet, its rehearsal, its use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui import asking, files
from tui.asking import UsageError
from tui.language import _
from tui.session import Session, Verb
from tui.sheets import brought, fill_sheet

if TYPE_CHECKING:
    from vault.recovery import RecoveryKit
    from vault.vault import Vault

SCHEMES = ("2of3", "3of5")


def _kit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kit", metavar=_("FILE"), nargs="+", action="extend", help=_("the file of the recovery kit, or of each share")
    )


def _make_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar=_("FILE"), help=_("where the sheet goes: FILE.pdf or FILE.txt"))
    parser.add_argument(
        "--shares", choices=SCHEMES, help=_("divided among trusted people: 2 of 3, or 3 of 5, open the vault together")
    )
    parser.add_argument(
        "--kit", metavar=_("FILE"), nargs="+", action="extend",
        help=_("print the kit that you have once more, or divide it; without this a new kit takes its place"),
    )  # fmt: skip


def _make(session: Session) -> int:
    args = session.args
    out = Path(args.out)
    if out.suffix.lower() not in (".pdf", ".txt"):
        raise UsageError(_("--out ends with .pdf or .txt."))
    scheme = args.shares or ""
    told = {"file": args.out, "shares": args.shares, "new": not args.kit, "dry_run": session.dry_run}
    if session.dry_run:
        session.give(told, _("A recovery sheet would be written."))
        return 0
    # An empty file first: a new kit that could not be written would shut its holder out.
    files.write_private(out, [])
    done = False
    try:
        kit = _again(session, out, scheme) if args.kit else _replaced(session, out, scheme)
        done = True
    finally:
        if not done:
            out.unlink(missing_ok=True)
    session.give({**told, "fingerprint": kit.fingerprint()}, _("Written: {file}").format(file=args.out))
    session.say(_("Fingerprint: {code}").format(code=kit.fingerprint()))
    session.say(_("Print it, keep the paper away from the device, delete the file."))
    session.say(_lost())
    return 0


def _again(session: Session, out: Path, scheme: str) -> RecoveryKit:
    """The kit that the holder has, on a new sheet; the vault is not touched."""
    kit = _checked(session)
    fill_sheet(out, kit, scheme)
    return kit


def _replaced(session: Session, out: Path, scheme: str) -> RecoveryKit:
    from vault import Vault

    passphrase = session.passphrase()
    with Vault.unlock(session.path, passphrase) as vault:
        warning = _("A new recovery kit takes the place of the old one, whose sheet then opens nothing any more.")
        session.confirm(vault.holder_name, f"{warning}\n{_lost()}")
        return vault.replace_kit(passphrase, lambda kit: fill_sheet(out, kit, scheme))


def _lost() -> str:
    return _(
        "Without the passphrase and without this kit nobody can open the vault: everything in it is lost. There is no"
        " other copy, anywhere."
    )


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    _kit_arguments(parser)
    parser.add_argument(
        "--recovery-out", metavar=_("FILE"), help=_("make a new kit here (.pdf or .txt) and new keys; the old kit ends")
    )
    parser.add_argument("--new-passphrase-file", metavar=_("FILE"), help=_("its first line is the new passphrase"))


def _use(session: Session) -> int:
    from vault import Vault

    words = "\n\n".join(brought(session))
    file = session.args.new_passphrase_file or session.args.passphrase_file
    new = asking.passphrase(file, session.args.passphrase_fd, new=True)
    out = Path(session.args.recovery_out) if session.args.recovery_out else None
    with Vault.recover(session.path, words, new) as vault:
        told = {"vault": str(session.path), "id": vault.vault_id.hex(), "recovered": True}
        if out is not None:
            _rotate(session, vault, words, out)
            told["recovery_file"] = str(out)
        session.give(told, _("The vault is open again, with the new passphrase. The old one opens nothing any more."))
    if out is None:
        session.say(_("If somebody else may have seen the kit or the device: use it with --recovery-out."))
    else:
        session.say(_("Keys, inbox and accesses are new, and your other devices are told. Your card has changed."))
    return 0


def _rotate(session: Session, vault: Vault, words: str, out: Path) -> None:
    """Everything that whoever had the device or the old kit could still use is made anew."""
    from vault.recovery import RecoveryKit

    files.write_private(out, [])
    done = False
    try:
        vault.devices.recovered(RecoveryKit.read(words), lambda kit: fill_sheet(out, kit))
        done = True
    finally:
        if not done:
            out.unlink(missing_ok=True)
    session.refresh(vault)


def _test(session: Session) -> int:
    """Whether the kit opens this vault; nothing is changed."""
    kit = _checked(session)
    session.give(
        {"opens": True, "fingerprint": kit.fingerprint()},
        _("This kit opens the vault. Fingerprint: {code}").format(code=kit.fingerprint()),
    )
    return 0


def _checked(session: Session) -> RecoveryKit:
    """The kit that was brought; UnlockFailed when it does not open this vault."""
    from vault.keys import Keyslots
    from vault.recovery import RecoveryKit

    slots = Keyslots.read(session.path / "keyslots")
    kit = RecoveryKit.read(*brought(session))
    slots.open_with_kit(kit.entropy)
    return kit


VERBS = {
    "recovery make": Verb(_make_arguments, _make, writes=True),
    "recovery use": Verb(_use_arguments, _use),
    "recovery test": Verb(_kit_arguments, _test),
}
