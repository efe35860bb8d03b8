"""`feed`, `roster`: an establishment lays down what its software writes, in the vaults of its patients."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tui import files, render
from tui.asking import UsageError
from tui.language import N_, _, ngettext
from tui.session import Session, Verb, rfc3339
from tui.wording import sentence

if TYPE_CHECKING:
    from sync.feeder import Feeder
    from vault import Vault
    from vault.feed import Taken
    from vault.patients import Patient

LOOPBACK = "127.0.0.1"
# Why something was rejected, as people read it (spec/feeding.md, section 2).
REASONS = {
    "nobody": N_("nobody in the roster has this number"),
    "no-name": N_("it does not name its patient"),
    "no-number": N_("it has no number of its patient"),
    "mismatch": N_("the number is one person's and the name, birth date or INS another's"),
    "ambiguous": N_("several people in the roster fit"),
    "two-people": N_("it is about several people"),
    "unreadable": N_("it cannot be read"),
    "too-large": N_("it is larger than a deposit may be"),
    "refused": N_("the relay will never take it: ask the patient for a new card"),
}


def _feed_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar=_("DIR"), help=_("the folder to watch"))
    parser.add_argument("--to", metavar="ROSTER", help=_("the roster of patients"))
    parser.add_argument("--once", action="store_true", help=_("take what is there, send it, and end"))
    parser.add_argument("--move-to", metavar=_("DIR"), help=_("where files go once relays have all of them"))
    parser.add_argument("--journal", metavar=_("FILE"), help=_("add a line of JSON to this file for everything taken"))
    parser.add_argument("--mllp", metavar=_("[HOST:]PORT"), type=_address, help=_("answer HL7 v2 messages there"))
    parser.add_argument("--cert", metavar=_("FILE"), help=_("your certificate: it is filed without a question"))
    parser.add_argument("--again", action="store_true", help=_("look again at everything that was rejected"))


def _feed(session: Session) -> int:
    args = session.args
    folder = Path(args.folder).resolve() if args.folder else None
    move_to = Path(args.move_to).resolve() if args.move_to else None
    if folder is None and args.mllp is None:
        return _report(session)
    if not args.to:
        raise UsageError(_("Say who your patients are: --to ROSTER (`elpis roster add`)."))
    if args.once and args.mllp:
        raise UsageError(_("A listener does not end by itself: --once and --mllp do not go together."))
    for given in filter(None, (folder, move_to)):
        if not given.is_dir():
            raise UsageError(_("This is not a folder: {path}").format(path=render.clean(str(given))))
    if folder is not None and move_to == folder:
        raise UsageError(_("--move-to must be another folder."))
    return _run(session, folder, move_to)


def _run(session: Session, folder: Path | None, move_to: Path | None) -> int:
    from sync.feeder import Feeder
    from vault.feed import Feed, Journal

    args = session.args
    certificate = files.read_small(Path(args.cert)) if args.cert else None
    with contextlib.ExitStack() as stack:
        vault = stack.enter_context(session.vault())
        if args.again:
            Journal(vault).again()
        told = _teller(session, stack.enter_context(_journal(args.journal)))
        feed = stack.enter_context(Feed(vault, Path(args.to), certificate=certificate, told=told))
        feeder = Feeder(feed, stack.enter_context(session.exchange(vault)))
        stop = stack.enter_context(_until_told())
        if args.once:
            return _once(session, feeder, folder, move_to, stop)
        if args.mllp:
            stack.enter_context(_listening(session, feed, *args.mllp))
        session.say(_("Feeding. Ctrl+C ends it; nothing that was taken is lost."))
        feeder.run(folder, move_to=move_to, stop=stop, paused=lambda failure: session.say(sentence(failure)))
    return 0


def _once(session: Session, feeder: Feeder, folder: Path | None, move_to: Path | None, stop: threading.Event) -> int:
    done, report = feeder.once(folder, move_to=move_to, stop=stop)
    data = {
        "taken": done.outcomes["taken"],
        "repeated": done.outcomes["repeated"],
        "rejected": done.outcomes["rejected"],
        "documents": done.documents,
        "moved": done.moved,
        "queued": report.queued,
    }
    text = ngettext("{n} document was laid down.", "{n} documents were laid down.", done.documents)
    session.give(data, text.format(n=done.documents))
    if report.queued:
        session.say(_("A relay cannot be reached: {n} wait here and go next time.").format(n=report.queued))
    if done.outcomes["rejected"]:
        n = done.outcomes["rejected"]
        text = ngettext("{n} file was rejected, see `elpis feed`.", "{n} files were rejected, see `elpis feed`.", n)
        session.say(text.format(n=n))
    return 0


@contextlib.contextmanager
def _listening(session: Session, feed: Any, host: str, port: int) -> Iterator[None]:
    from sync.acknowledge import Answering
    from sync.mllp import Listener

    with Listener(host, port, Answering(feed).answer) as listener:
        session.say(_("Listening on {address}.").format(address=f"{host}:{listener.port}"))
        if host not in (LOOPBACK, "::1", "localhost"):
            session.say(_("MLLP has no encryption: whoever reaches this port can lay documents down in your name."))
        yield


def _report(session: Session) -> int:
    from vault.feed import Journal

    with session.vault() as vault:
        journal = Journal(vault)
        again = journal.again() if session.args.again else 0
        counts, rejected = journal.counts(), journal.rejected()
    data = {**counts, "list": [_line(taken) for taken in rejected]}
    session.give(data, lambda: "\n".join(map(_shown, rejected)))
    session.say(
        _("Sent: {sent}. Waiting: {queued}. Rejected: {rejected}. Refused by a relay: {refused}.").format(**counts)
    )
    if again:
        session.say(_("They are looked at again by the next `elpis feed DIR --to ROSTER`."))
    return 0


def _line(taken: Taken) -> dict[str, Any]:
    return {
        "time": rfc3339(taken.time),
        "source": taken.source,
        "state": taken.state,
        "why": taken.why,
        "detail": taken.detail,
        "documents": taken.documents,
    }


def _shown(taken: Taken) -> str:
    why = _(REASONS.get(taken.why, taken.why))
    detail = f" ({render.clean(taken.detail)})" if taken.detail else ""
    return f"{render.clean(taken.source)}: {why}{detail}"


def _teller(session: Session, journal: TextIO | None) -> Callable[[Taken], None]:
    def told(taken: Taken) -> None:
        if journal is not None:
            journal.write(json.dumps(_line(taken), ensure_ascii=False) + "\n")
            journal.flush()
        if taken.state == "rejected":
            session.say(_shown(taken))

    return told


@contextlib.contextmanager
def _journal(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with files.append_private(Path(path)) as journal:
        yield journal


@contextlib.contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl+C set: what is at work ends well."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _address(text: str) -> tuple[str, int]:
    """[HOST:]PORT; this machine alone without a host."""
    host, _mark, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise argparse.ArgumentTypeError(_("{text!r} is not [HOST:]PORT").format(text=text))
    return host.strip("[]") or LOOPBACK, int(port)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roster", metavar="ROSTER", help=_("the file of the roster; it is made when there is none"))
    parser.add_argument("card", metavar=_("CARD"), help=_("the patient's card, as a file"))
    parser.add_argument(
        "--patient", metavar="ID", action="append", required=True,
        help=_("an INS, a number of yours, or SYSTEM|NUMBER; several times for several"),
    )  # fmt: skip
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("as your files name the patient"))
    parser.add_argument("--birth", metavar=_("DATE"), type=_birth, help=_("the patient's birth date, as in 1980-02-03"))


def _birth(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as failure:
        raise argparse.ArgumentTypeError(_("{text!r} is not a date: 2026-12-31").format(text=text)) from failure


def _add(session: Session) -> int:
    from vault.patients import Roster

    args = session.args
    card = files.read_small(Path(args.card))
    with session.vault() as vault:
        roster = Roster.open(vault, Path(args.roster), new=True)
        patient = roster.add(card, args.patient, name=args.name, birth=args.birth or "")
        if not session.dry_run:
            roster.save()
        data = _patient(vault, patient)
    session.give(data, lambda: _patient_line(data))
    if not patient.birth:
        session.say(_("Without a birth date the names must agree whole: --birth makes it surer."))
    return 0


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roster", metavar="ROSTER", help=_("the file of the roster"))


def _list(session: Session) -> int:
    from vault.patients import Roster

    with session.vault() as vault:
        data = [_patient(vault, patient) for patient in Roster.open(vault, Path(session.args.roster)).list()]
    session.give(data, lambda: "\n".join(map(_patient_line, data)))
    return 0


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roster", metavar="ROSTER", help=_("the file of the roster"))
    parser.add_argument("--patient", metavar="ID", required=True, help=_("one of the patient's identifiers"))


def _remove(session: Session) -> int:
    from vault.patients import Roster

    with session.vault() as vault:
        roster = Roster.open(vault, Path(session.args.roster))
        patient = roster.remove(session.args.patient)
        if not session.dry_run:
            roster.save()
        data = _patient(vault, patient)
    session.give(data, lambda: _patient_line(data))
    return 0


def _patient(vault: Vault, patient: Patient) -> dict[str, Any]:
    return {
        "id": patient.card.id.hex(),
        "name": patient.name,
        "birth": patient.birth,
        "identifiers": [{"system": system, "number": number} for system, number in patient.ids],
        "relay": patient.card.relay,
    }


def _patient_line(data: dict[str, Any]) -> str:
    ids = ", ".join(f"{item['system']}|{item['number']}".lstrip("|") for item in data["identifiers"])
    return "  ".join(render.clean(word) for word in (data["id"][:8], data["name"], data["birth"], ids) if word)


VERBS = {
    "feed": Verb(_feed_arguments, _feed),
    "roster add": Verb(_add_arguments, _add, writes=True),
    "roster list": Verb(_list_arguments, _list),
    "roster remove": Verb(_remove_arguments, _remove, writes=True),
}
