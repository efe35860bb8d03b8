"""`close`: the end of a vault. Export, then what relays hold, then the keys, then everything; and a certificate."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui import files, render
from tui.asking import UsageError
from tui.language import N_, _, ngettext
from tui.progress import progress
from tui.session import Session, Verb, rfc3339

if TYPE_CHECKING:
    from sync.ending import Ended
    from vault import Vault
    from vault.closing import Local, Seen

WHAT = {
    "half": N_("half of a key"),
    "mailbox": N_("mailbox"),
    "channel": N_("mailbox of your devices"),
    "blob": N_("sealed file"),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    first = parser.add_mutually_exclusive_group(required=True)
    first.add_argument("--export", metavar=_("FILE"), help=_("the whole record goes there first, as an archive"))
    first.add_argument("--no-export", action="store_true", help=_("destroy it without keeping anything"))
    parser.add_argument(
        "--certificate",
        required=True,
        metavar=_("FILE"),
        help=_("what was destroyed, and what cannot be (.txt or .json)"),
    )
    parser.add_argument(
        "--offline", action="store_true", help=_("go on when a relay is away: what it holds stays there, unreadable")
    )


def _close(session: Session) -> int:
    from vault import Vault, closing

    args = session.args
    certificate = Path(args.certificate)
    if certificate.suffix.lower() not in (".txt", ".json"):
        raise UsageError(_("--certificate ends with .txt or .json."))
    passphrase = session.passphrase()
    with Vault.unlock(session.path, passphrase) as vault:
        if session.dry_run:
            session.give({"vault": str(session.path), "relay": len(closing.held(vault)), "dry_run": True},
                         _("The vault would be destroyed."))  # fmt: skip
            return 0
        told: dict[str, Any] = {
            "vault": vault.vault_id.hex(), "holder": vault.holder_name, "documents": vault.count(),
            "time": rfc3339(vault.clock()),
        }  # fmt: skip
        # The file is made first: an end without its certificate could not be repeated.
        files.write_private(certificate, [])
        done = False
        try:
            if args.export:
                told["export"] = _exported(session, vault, Path(args.export))
            session.confirm(vault.holder_name, _warning())
            seen, ended = closing.seen(vault), _at_relays(session, vault)
            done = True
        finally:
            if not done:
                certificate.unlink(missing_ok=True)
    local = closing.shred(session.path)
    told |= _shape(local, ended, seen)
    _write(certificate, told)
    session.give({**told, "certificate": args.certificate}, _("The vault is destroyed. Certificate: {file}").format(
        file=args.certificate))  # fmt: skip
    session.say(_("Copies that others read, printed or saved before are not destroyed; nor are backups elsewhere."))
    return 0


def _warning() -> str:
    return "\n".join((
        _("This destroys the vault: its keys first, then everything in it. Nobody can undo it."),
        _("Accesses given end now, and what relays hold of it is destroyed there."),
        _("Backups and other devices keep their copies until you destroy them too."),
    ))  # fmt: skip


def _exported(session: Session, vault: Vault, out: Path) -> str:
    """The archive, read again before anything is destroyed."""
    import zipfile

    from tui.exports import to_file
    from vault.errors import VerificationFailed

    written = to_file(vault, "archive", out)
    with zipfile.ZipFile(out) as packed:
        broken = packed.testzip()
    if broken or (written is not None and written.damaged):
        raise VerificationFailed(
            "the export is not whole", hint="Nothing was destroyed. See `elpis verify`, or export again."
        )
    session.say(_("Written: {file}").format(file=out))
    return str(out)


def _at_relays(session: Session, vault: Vault) -> tuple[Ended, ...]:
    """Everything that relays hold, destroyed; RelayUnreachable before anything here is, unless --offline."""
    from sync.client import RelayUnreachable
    from sync.ending import end_all

    with progress(_("At the relay")) as report:
        ended = end_all(vault, progress=report)
    away = [item for item in ended if item.left == "unreachable"]
    if away and not session.args.offline:
        raise RelayUnreachable(
            "the relay does not answer",
            hint=_("The vault is still here. Try again, or add --offline to leave what the relay holds."),
        )
    return ended


def _shape(local: Local, ended: tuple[Ended, ...], seen: tuple[Seen, ...]) -> dict[str, Any]:
    return {
        "destroyed_here": {"keyslots": True, "files": local.files, "bytes": local.bytes},
        "destroyed_at_relays": [
            {"what": item.what, "relay": item.relay, "address": item.address, "receipt": item.receipt}
            for item in ended if not item.left
        ],
        "left_at_relays": [
            {"what": item.what, "relay": item.relay, "address": item.address, "why": item.left}
            for item in ended if item.left
        ],
        "cannot_be_destroyed": {
            "read_by": [
                {"person": item.person, "role": item.role, "document": item.document, "opened": item.opened}
                for item in seen
            ],
            "also": [_("backups, exports and prints made before"), _("copies on other devices of the holder"),
                     _("what a disk keeps of overwritten files, and what a relay keeps in its own backups")],
        },
    }  # fmt: skip


def _write(path: Path, told: dict[str, Any]) -> None:
    if path.suffix.lower() == ".json":
        data = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    else:
        data = _text(told)
    with path.open("wb") as target:
        target.write(data.encode("utf-8", "backslashreplace"))
        target.flush()
        os.fsync(target.fileno())


def _text(told: dict[str, Any]) -> str:
    here, gone, left = told["destroyed_here"], told["destroyed_at_relays"], told["left_at_relays"]
    files_here = ngettext("{n} file", "{n} files", here["files"]).format(n=here["files"])
    lines = [
        _("Certificate of the end of a vault"), "",
        _("Holder: {name}").format(name=render.clean(told["holder"])),
        _("Vault: {id}").format(id=told["vault"]), _("Time: {when}").format(when=told["time"]), "",
        _("Destroyed on this device"),
        "  - " + _("the keyslots, first: without them nothing of the vault can be opened, wherever a copy of it lies"),
        f"  - {files_here}, {render.size(here['bytes'])}",
    ]  # fmt: skip
    if gone:
        lines += ["", _("Destroyed at relays")]
        for item in gone:
            signed = _("receipt {data}").format(data=item["receipt"]) if item["receipt"] else _("no receipt is given")
            lines.append(f"  - {_(WHAT[item['what']])} {item['address'][:16]}, {render.clean(item['relay'])}: {signed}")
    if left:
        lines += ["", _("Left at relays: sealed, and without keys here")]
        for item in left:
            why = _("until your other devices have read that the vault is closed")
            why = why if item["why"] == "other-devices" else item["why"]
            lines.append(f"  - {_(WHAT[item['what']])} {item['address'][:16]}, {render.clean(item['relay'])}: {why}")
    lines += ["", _("What cannot be destroyed")]
    for item in told["cannot_be_destroyed"]["read_by"]:
        state = _("opened: may have been copied") if item["opened"] else _("was given access; no opening is proven")
        who = f"{render.clean(item['person'])} ({render.role(item['role'])})"
        lines.append(f"  - {who}, {render.clean(item['document'])}: {state}")
    lines += [f"  - {item}" for item in told["cannot_be_destroyed"]["also"]]
    return "\n".join(lines) + "\n"


VERBS = {"close": Verb(_arguments, _close, writes=True)}
