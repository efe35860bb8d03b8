"""The `elpis` command: reads the arguments, runs one verb, words what went wrong, returns the exit code.

Composition root. Only the module of the verb that was asked for is imported, so that a start stays cheap; the screens
are imported by `elpis open` alone.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from tui import language, wording
from tui.asking import UsageError
from tui.language import N_, _, ngettext
from tui.session import Session, Verb
from vault.errors import VaultError


class Entry(NamedTuple):
    """A verb in the list of verbs: where it is, and what it is for. `verbs` when it has verbs of its own."""

    name: str
    module: str
    help: str
    verbs: tuple[tuple[str, str], ...] = ()


VERBS = (
    Entry("open", "opening", N_("the screens (also without any verb)")),
    Entry("init", "making", N_("make a vault")),
    Entry("lock", "opening", N_("lock the vault that is open on the screen")),
    Entry("passphrase", "making", N_("change the passphrase")),
    Entry(
        "recovery",
        "recovering",
        N_("the recovery kit"),
        (
            ("make", N_("a recovery sheet to print, whole or divided among trusted people")),
            ("use", N_("open the vault with the 24 words, or with shares")),
            ("test", N_("rehearse: check that the words open it, and change nothing")),
        ),
    ),
    Entry(
        "backup",
        "backing",
        N_("copies of the vault that anyone may keep"),
        (
            ("make", N_("add the vault, as it is now, to a backup")),
            ("verify", N_("read a backup whole, without any vault")),
            ("restore", N_("a new vault from a backup, in the folder that --vault names")),
        ),
    ),
    Entry("close", "closing", N_("the end of a vault: export, then destroy it here and at relays")),
    Entry(
        "device",
        "devices",
        N_("your other devices"),
        (
            ("add", N_("take a new device in: shows a code")),
            ("join", N_("be that new device")),
            ("list", N_("which devices have this vault")),
            ("name", N_("how a device is called")),
            ("remove", N_("go on without a device")),
        ),
    ),
    Entry("import", "importing", N_("take in files: CDA, FHIR, PDF, whole folders")),
    Entry("add", "filing", N_("add a treatment, an allergy, a file ...")),
    Entry("amend", "filing", N_("change what stands in a document")),
    Entry("list", "reading", N_("documents, newest first")),
    Entry("show", "reading", N_("read a document, or open one that was granted")),
    Entry("search", "reading", N_("find documents by their words")),
    Entry("meds", "reading", N_("treatments, also as a list before surgery")),
    Entry("profile", "reviewing", N_("the health profile: each fact once, with its sources")),
    Entry("review", "reviewing", N_("contradictions, repeated examinations, what a patient forgot to mention")),
    Entry("export", "exporting", N_("a document, a file of it, the card, or the whole record")),
    Entry("card", "people", N_("your contact card")),
    Entry(
        "professional",
        "people",
        N_("people you may give access to"),
        (
            ("add", N_("add somebody by their card")),
            ("list", N_("who is known")),
            ("verify", N_("compare the safety number with somebody you meet")),
        ),
    ),
    Entry("grant", "granting", N_("give access, with an end")),
    Entry("grants", "granting", N_("accesses given")),
    Entry("revoke", "granting", N_("end an access now")),
    Entry("trace", "granting", N_("who looked at what, when, why")),
    Entry("inbox", "visiting", N_("what was granted to you or laid down for you")),
    Entry("contribute", "visiting", N_("add to a document that you may edit")),
    Entry("deposit", "visiting", N_("lay a file down for somebody, without any right to read")),
    Entry("feed", "feeding", N_("lay down everything that arrives, each document for the patient it is about")),
    Entry(
        "roster",
        "feeding",
        N_("whose vault is where, for feeding"),
        (
            ("add", N_("add a patient by their card")),
            ("list", N_("who is in it")),
            ("remove", N_("take a patient out")),
        ),
    ),
    Entry("sync", "exchanging", N_("send and fetch")),
    Entry("relay", "exchanging", N_("be a relay"), (("serve", N_("start a relay")),)),
    Entry("relay-view", "exchanging", N_("everything a relay can see")),
    Entry(
        "authority",
        "authority",
        N_("vouch for professionals"),
        (
            ("init", N_("make an authority")),
            ("certify", N_("certify the holder of a card")),
            ("renew", N_("the same certificate for some days more")),
            ("revoke", N_("withdraw certificates")),
            ("publish", N_("a fresh file for everybody")),
            ("log", N_("every certificate that was ever signed")),
            ("update", N_("take the newest file of an authority that you trust")),
            ("list", N_("the authorities that you trust")),
        ),
    ),
    Entry("verify", "checking", N_("check everything that can be checked")),
    Entry("inspect", "checking", N_("every field and size of a file of Elpis, never its content")),
    Entry("doctor", "checking", N_("find out what is wrong")),
    Entry("vectors", "checking", N_("check the test vectors of the specification")),
    Entry("demo", "checking", N_("the whole story on one machine")),
)
# Options before the verb that are followed by a value: the verb is not that value.
_WITH_VALUE = ("--vault", "--passphrase-file", "--passphrase-fd", "--language")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit code is one of those in wording.py."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # `elpis lock` ends screens, not a command that is at work
    try:
        language.set_language(_wanted_language(arguments))
        args = parser(arguments).parse_args(arguments)
        code = args.run(Session(args))
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse has said what was to say
        return leaving.code if isinstance(leaving.code, int) else wording.ERROR
    except BrokenPipeError:
        # Whoever read the answer has had enough; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return wording.OK
    except (VaultError, UsageError, OSError, KeyboardInterrupt) as failure:
        return _explain(failure)
    return int(code)


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for these arguments: the verb that is asked for, or all by name and help when that may be shown.

    A start that builds the parsers of all verbs takes a twentieth longer.
    """
    vars(argparse).update(_=_, ngettext=ngettext)  # the library's own sentences, in the same language
    asked = _asked(arguments)
    top = argparse.ArgumentParser(
        prog="elpis",
        description=_("A health vault that only its holder can open."),
        parents=[_options(top=True)],
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help=_("show program's version number and exit"))
    verbs = top.add_subparsers(title=_("verbs"), metavar=_("VERB"), dest="verb")
    shown = [entry for entry in VERBS if entry.name == asked]
    if not shown or {"-h", "--help"} & set(arguments[: arguments.index(asked)] if asked else ()):
        shown = list(VERBS)
    for entry in shown:
        if entry.name == asked:
            _fill(_add_parser(verbs, entry.name, entry.help), entry)
        else:
            verbs.add_parser(entry.name, help=_(entry.help))
    if asked is None:
        top.set_defaults(run=_module("opening")["open"].run)
    return top


def _fill(sub: argparse.ArgumentParser, entry: Entry) -> None:
    verbs = _module(entry.module)
    if not entry.verbs:
        _configure(sub, verbs[entry.name])
        return
    inner = sub.add_subparsers(title=_("verbs"), metavar=_("VERB"), required=True, dest="inner_verb")
    for name, text in entry.verbs:
        _configure(_add_parser(inner, name, text), verbs[f"{entry.name} {name}"])


def _add_parser(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = verbs.add_parser(
        name, help=_(text), description=_(text), parents=[_options()], allow_abbrev=False
    )
    return sub


def _configure(sub: argparse.ArgumentParser, verb: Verb) -> None:
    if verb.writes:
        sub.add_argument("--dry-run", action="store_true", help=_("say what would be done, change nothing"))
    verb.configure(sub)
    sub.set_defaults(run=verb.run)


def _options(*, top: bool = False) -> argparse.ArgumentParser:
    """The options that every verb takes, before it and after it. A default below would undo what stands before."""
    options = argparse.ArgumentParser(add_help=False, argument_default=None if top else argparse.SUPPRESS)
    group = options.add_argument_group(_("for every verb"))
    group.add_argument("--vault", metavar=_("DIR"), help=_("the folder of the vault (or ELPIS_VAULT)"))
    group.add_argument("--passphrase-file", metavar=_("FILE"), help=_("its first line is the passphrase"))
    group.add_argument("--passphrase-fd", metavar=_("N"), type=int, help=_("the same from an open file descriptor"))
    group.add_argument("--language", choices=language.LANGUAGES, help=_("speak French or English (or ELPIS_LANG)"))
    absent = False if top else argparse.SUPPRESS
    group.add_argument("--json", action="store_true", default=absent, help=_("answer in JSON"))
    group.add_argument("--yes", action="store_true", default=absent, help=_("do not ask for a typed name"))
    return options


def _asked(arguments: Sequence[str]) -> str | None:
    """The verb: the first argument that is neither an option nor the value of one."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _WITH_VALUE:
            skip = True
        elif not argument.startswith("-"):
            return argument
    return None


def _wanted_language(arguments: Sequence[str]) -> str:
    """--language wherever it stands, before anything is parsed: the help itself is in that language."""
    for index, argument in enumerate(arguments):
        value = argument.partition("=")[2] if argument.startswith("--language=") else ""
        if argument == "--language":
            value = "".join(arguments[index + 1 : index + 2])
        if value in language.LANGUAGES:
            return value
    return language.choose_language()


def _module(name: str) -> dict[str, Verb]:
    verbs: dict[str, Verb] = importlib.import_module(f"tui.commands.{name}").VERBS
    return verbs


class _Version(argparse.Action):
    """--version, which looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> None:
        print(f"elpis {version()}")
        parser.exit()


def version() -> str:
    """The version that is installed."""
    from importlib import metadata

    try:
        return metadata.version("elpis-vault")
    except metadata.PackageNotFoundError:
        return _("(not installed)")


def _explain(failure: BaseException) -> int:
    worded = wording.words(failure)
    sentence = str(failure) if isinstance(failure, UsageError) else wording.sentence(failure)
    print("\n".join(filter(None, (f"elpis: {sentence}", worded.step))), file=sys.stderr)
    return worded.exit_code


if __name__ == "__main__":
    sys.exit(main())
