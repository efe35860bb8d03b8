"""`verify`, `doctor`, `vectors`, `demo`: whether everything is as it should be, and the story that shows it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tui import doctor, files, render, wording
from tui.asking import UsageError
from tui.doctor import Finding
from tui.language import _, ngettext
from tui.progress import progress
from tui.session import Session, Verb, rfc3339

if TYPE_CHECKING:
    from vault.checkup import Check

MARKS = {"ok": " ", "problem": "!", "skipped": "-"}


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evidence", metavar=_("FILE"), help=_("check evidence against a relay; needs no vault and no passphrase")
    )
    parser.add_argument(
        "--save-evidence", metavar=_("DIR"), help=_("write the evidence that this vault keeps into this folder")
    )
    parser.add_argument("--relay-db", metavar=_("FILE"), help=_("check a relay's database instead of the vault"))
    parser.add_argument(
        "--relay-key", metavar=_("KEY"), help=_("and compare it with what the relay with this key signed to the vault")
    )


def _verify(session: Session) -> int:
    """Everything that can be checked: opening the vault checked the head, the rest is read here."""
    from sync.verifying import check_relays
    from vault.checkup import check

    if session.args.relay_db:
        return _verify_database(session)
    if session.args.evidence:
        return _check_evidence(session)
    if session.args.save_evidence:
        return _save_evidence(session)

    with session.vault() as vault, progress(_("Checking")) as report:
        checks = (*check(vault, report), *check_relays(vault))
    failed = sum(len(item.failed) for item in checks)
    data = {
        "ok": not failed,
        "checks": [{"what": "head", "count": 1, "failed": []}]
        + [
            {"what": item.what, "count": item.count, "failed": [{"document": d, "why": why} for d, why in item.failed]}
            for item in checks
        ],
    }
    session.give(data, "\n".join([_("The head is the newest one seen here."), *_told(checks)]))
    if failed:
        session.say(ngettext("{n} thing is not what it claims to be.", "{n} things are not.", failed).format(n=failed))
    else:
        session.say(_("Everything that can be checked was checked, and holds."))
    return wording.NOT_VERIFIED if failed else wording.OK


def _told(checks: Sequence[Check]) -> list[str]:
    names = {
        "documents": _("documents are what their history says"),
        "attachments": _("files, each chunk authentic"),
        "trace": _("openings, signed by whoever opened"),
        "chains": _("histories of relays, link by link"),
        "checkpoints": _("signed words of relays, none contradicts what was followed"),
        "receipts": _("receipts of relays for keys destroyed"),
        "openings": _("openings, signed by the reader of their grant"),
    }
    lines = []
    for item in checks:
        lines.append(f"{item.count - len(item.failed):>7}  {names[item.what]}")
        lines += [f"      !  {found[:8]}  {render.clean(why)}" for found, why in item.failed]
    return lines


def _verify_database(session: Session) -> int:
    """A relay's database from outside; with the relay's key, also against what it signed to this vault."""
    from sync.verifying import check_database, checkpoints
    from sync.wire import WireError, decode_b64

    signed = []
    if session.args.relay_key:
        try:
            key = decode_b64(session.args.relay_key, 32)
        except WireError:
            raise UsageError(_("A relay's key is 43 letters and digits, as the relay shows it.")) from None
        with session.vault() as vault:
            signed = checkpoints(vault, key)
    checks = check_database(Path(session.args.relay_db), signed)
    failed = sum(len(item.failed) for item in checks)
    found = [
        {"what": item.what, "count": item.count, "failed": [{"address": a, "why": why} for a, why in item.failed]}
        for item in checks
    ]
    session.give({"ok": not failed, "checks": found}, "\n".join(_told(checks)))
    if failed:
        session.say(_("This relay's books do not hold: keep the file, it is evidence."))
    else:
        session.say(_("Every chain of this relay holds."))
    return wording.NOT_VERIFIED if failed else wording.OK


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=_("FILE"), help=_("any file of Elpis"))


def _inspect(session: Session) -> int:
    from sync.inspection import inspect_file

    found = inspect_file(Path(session.args.file))
    data = {"kind": found.kind, "size": found.size, "fields": [asdict(field) for field in found.fields]}
    lines = [f"{found.kind}, {found.size} B"]
    for field in found.fields:
        lines.append(
            f"{'  ' * field.depth}{render.clean(field.name)}  {field.type}  {field.size} B  {field.shown}".rstrip()
        )
    session.give(data, "\n".join(lines))
    return wording.OK


def _check_evidence(session: Session) -> int:
    """Two signatures of one relay that cannot both be true; anybody can check it."""
    from sync.evidence import MAX_FILE, read_evidence

    read = read_evidence(files.read_small(Path(session.args.evidence), MAX_FILE))
    data = {
        "proven": True,
        "relay": read.relay,
        "relay_key": read.relay_key.hex(),
        "counts": [read.first.count, read.second.count],
        "signed": [rfc3339(read.first.time), rfc3339(read.second.time)],
    }
    told = _("The relay with the key {key} signed two different histories of one mailbox: {first}, and {second}.")
    times = render.instant(read.first.time), render.instant(read.second.time)
    session.give(data, told.format(key=read.relay_key.hex(), first=times[0], second=times[1]))
    session.say(_("Both cannot be true. Whether this is the key of the relay that you mean, you have to know."))
    return wording.OK


def _save_evidence(session: Session) -> int:
    from sync.evidence import read_evidence
    from vault.errors import VerificationFailed

    folder = Path(session.args.save_evidence)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with session.vault() as vault:
        for number, data in enumerate(vault.evidence(), 1):
            try:
                read_evidence(data)
            except VerificationFailed:
                continue
            path = folder / f"relay-{number}.evidence"
            path.write_bytes(data)
            written.append(str(path))
    session.give({"written": written}, "\n".join(written))
    if not written:
        session.say(_("This vault keeps no proof against a relay."))
    return wording.OK


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept-older",
        action="store_true",
        help=_("you put a copy of this vault back on purpose: go on with it"),
    )


def _doctor(session: Session) -> int:
    path = session.path
    findings = list(doctor.program())
    if (path / "keyslots").exists():
        inside, joined = _inside(session)
        findings += [*doctor.folder(path), *doctor.keyslots(path, joined), *doctor.disk(path), *inside]
    elif (path / "vault.db").exists():
        lost = _("The file `keyslots` of this vault is missing: put it back from a copy. Nothing else opens it.")
        findings += [*doctor.folder(path), Finding("keyslots", "problem", lost), *doctor.disk(path)]
    else:
        findings.append(Finding("folder", "skipped", _("There is no vault here yet: {path}").format(path=path)))
    problems = sum(item.state == "problem" for item in findings)
    session.give(
        {"ok": not problems, "findings": [asdict(item) for item in findings]},
        lambda: "\n".join(f"{MARKS[item.state]} {render.fit(item.section, 9)} {item.told}" for item in findings),
    )
    session.say(
        ngettext("{n} problem was found.", "{n} problems were found.", problems).format(n=problems)
        if problems
        else _("No problem was found.")
    )
    return wording.PROBLEMS if problems else wording.OK


def _inside(session: Session) -> tuple[list[Finding], bool | None]:
    """What can only be seen in an open vault, and whether another device filled it; skipped when there is no passphrase
    to be had."""
    from vault import Vault
    from vault.errors import RolledBack, VaultBusy, VaultError, VaultLocked

    try:
        passphrase = session.passphrase()
        if session.args.accept_older:
            session.confirm(
                str(session.path.name), _("The vault goes on from this older copy. What came later is lost.")
            )
        with Vault.unlock(session.path, passphrase, accept_older=session.args.accept_older) as vault:
            home, joined = vault.people.relay(), vault.devices.joined()
    except VaultLocked:
        return [Finding("head", "skipped", _("Not opened: no passphrase was given."))], None
    except VaultBusy as failure:
        return [Finding("head", "skipped", wording.sentence(failure))], None
    except RolledBack as failure:
        step = _("If you put this copy back on purpose: `elpis doctor --accept-older`.")
        return [Finding("head", "problem", f"{wording.sentence(failure)} {step}")], None
    except VaultError as failure:
        return [Finding("head", "problem", wording.sentence(failure))], None
    found = [Finding("head", "ok", _("The vault opens, and is the newest one seen here."))]
    if home is None:
        return [*found, Finding("relay", "skipped", _("No relay yet."))], joined
    return [*found, *doctor.relay(*home)], joined


def _vectors_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", required=True, metavar=_("DIR"), help=_("the folder of the vectors"))


def _vectors(session: Session) -> int:
    from tui.vectors import check_folder

    outcomes = list(check_folder(Path(session.args.check)))
    wrong = [item for item in outcomes if not item.passed]
    data = {"count": len(outcomes), "failed": [asdict(item) for item in wrong]}
    session.give(data, "\n".join(f"! {item.format}  {item.id}: {render.clean(item.found)}" for item in wrong))
    session.say(_("{good} of {all} vectors hold.").format(good=len(outcomes) - len(wrong), all=len(outcomes)))
    return wording.NOT_VERIFIED if wrong else wording.OK


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", metavar=_("DIR"), help=_("leave everything in this folder to be looked at"))


def _demo(session: Session) -> int:
    from tui.demo import run

    return int(run(session.args))


VERBS = {
    "verify": Verb(_verify_arguments, _verify),
    "inspect": Verb(_inspect_arguments, _inspect),
    "doctor": Verb(_doctor_arguments, _doctor),
    "vectors": Verb(_vectors_arguments, _vectors),
    "demo": Verb(_demo_arguments, _demo),
}
