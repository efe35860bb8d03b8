"""What went wrong, in a sentence, with the next step and the exit code. No logic: one table, read by its `code`.

A hint that came with the error is the better next step: it knows what was tried.

Errors are told apart by their `code` alone, so that nothing has to be imported to word an error that nobody raised.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.language import N_, _

OK, ERROR, USAGE, UNREACHABLE, LOCKED = 0, 1, 2, 3, 4
NO_VAULT, BUSY, WRONG_PASSPHRASE, ENDED, NOT_VERIFIED, PROBLEMS, INTERRUPTED = 10, 11, 12, 13, 14, 15, 130


@dataclass(frozen=True, slots=True)
class Worded:
    """`sentence` says what happened, `detail` which thing it was about, `step` what was not lost and what to do."""

    sentence: str
    step: str
    exit_code: int
    detail: str = ""


# code -> (what happened, what was not lost and what to do next, exit code)
_TABLE: dict[str, tuple[str, str, int]] = {
    "error": (N_("Something went wrong."), N_("Nothing was changed."), ERROR),
    "usage": (N_("The command is not complete."), N_("Add --help to see how it is used."), USAGE),
    "no-vault": (
        N_("There is no vault here."),
        N_("Make one with `elpis init`, or say where it is with --vault or ELPIS_VAULT."),
        NO_VAULT,
    ),
    "vault-exists": (
        N_("There is a vault here already."),
        N_("It was left as it is. Choose another folder with --vault."),
        ERROR,
    ),
    "vault-busy": (
        N_("Another Elpis has this vault open."),
        N_("Close it, or run `elpis lock`, and try again."),
        BUSY,
    ),
    "vault-locked": (
        N_("The vault is locked, and there is nobody here to ask for the passphrase."),
        N_("Give it with --passphrase-file, --passphrase-fd or ELPIS_PASSPHRASE_COMMAND."),
        LOCKED,
    ),
    "unlock-failed": (
        N_("The vault does not open with this passphrase."),
        N_("Nothing was changed. Try again, or use the recovery kit: `elpis recovery use`."),
        WRONG_PASSPHRASE,
    ),
    "storage-failed": (
        N_("The disk refused."),
        N_("What was there before is still there. See `elpis doctor`."),
        ERROR,
    ),
    "not-found": (N_("Nothing was found under this name."), N_("See `elpis list`, `elpis grants`."), ERROR),
    "right-missing": (
        N_("This access does not allow it."),
        N_("Ask the patient for the right to edit, or make a deposit."),
        ERROR,
    ),
    "access-ended": (
        N_("This access has ended."),
        N_("What is still needed can be asked of the patient again."),
        ENDED,
    ),
    "input-refused": (N_("Elpis does not take this."), N_("Nothing of it was kept."), ERROR),
    "wrong-subject": (
        N_("This file is about somebody else."),
        N_("Nothing of it was kept. If it belongs here, add --about-someone-else."),
        ERROR,
    ),
    "foreign-change": (
        N_("A change from outside was set aside: it breaks the rules."),
        N_("The vault goes on without it; it is kept as evidence."),
        ERROR,
    ),
    "verification-failed": (
        N_("A check failed: this is not what it claims to be."),
        N_("It was not used. Nothing was changed."),
        NOT_VERIFIED,
    ),
    "malformed": (N_("This is not in the form that Elpis reads."), N_("It was not used."), NOT_VERIFIED),
    "too-large": (N_("This is larger than Elpis accepts."), N_("It was not read."), NOT_VERIFIED),
    "suite-refused": (
        N_("This was made by another version, or with a weaker protection."),
        N_("It was not used. Check that both sides run a current Elpis."),
        NOT_VERIFIED,
    ),
    "bad-signature": (N_("A signature does not hold."), N_("It was not used. Nothing was changed."), NOT_VERIFIED),
    "cannot-open": (
        N_("This cannot be opened: it is not for this key, or it was changed."),
        N_("Nothing was changed."),
        NOT_VERIFIED,
    ),
    "bad-key": (N_("This key is not usable."), N_("It was not used. Ask for the card again."), NOT_VERIFIED),
    "below-floor": (
        N_("The keyslots ask for a weaker protection than Elpis allows."),
        N_("They may have been changed by somebody. Use your own copy of the vault."),
        NOT_VERIFIED,
    ),
    "wrong-recipient": (N_("This was meant for somebody else."), N_("It was not used."), NOT_VERIFIED),
    "replayed": (N_("This was seen before, or is out of its order."), N_("It was not used twice."), NOT_VERIFIED),
    "expired": (N_("This is outside of its dates."), N_("Ask for a new one."), NOT_VERIFIED),
    "role-denied": (
        N_("Nothing is ever opened to a payer, an insurer or an employer."),
        N_("Nothing was sent. There is no setting that changes this."),
        NOT_VERIFIED,
    ),
    "not-certified": (
        N_("Nobody that you trust vouches for this person."),
        N_(
            "Nothing was sent. Add the certificate (--cert, --authority), or meet and compare the safety number:"
            " `elpis professional verify`."
        ),
        NOT_VERIFIED,
    ),
    "rolled-back": (
        N_("This is older than what was seen before."),
        N_("Somebody may have put an old copy back. `elpis doctor` says how to go on."),
        NOT_VERIFIED,
    ),
    "relay-contradiction": (
        N_("The relay has signed two different histories, or is not the one it was."),
        N_("Nothing was lost. Keep the vault as it is: the contradiction is proof."),
        NOT_VERIFIED,
    ),
    "authority-contradiction": (
        N_("The authority has signed two different histories: its key is stolen, or it lies."),
        N_("Its certificates count no more here. Both statements are kept as proof. Compare safety numbers instead."),
        NOT_VERIFIED,
    ),
    "relay-unreachable": (
        N_("The relay cannot be reached."),
        N_("Nothing was lost: what waits will be sent at the next `elpis sync`."),
        UNREACHABLE,
    ),
    "relay-refused": (N_("The relay refused."), N_("Nothing was lost. Try again, or see `elpis doctor`."), ERROR),
    "interrupted": (N_("Interrupted."), N_("What was finished before is kept; nothing is half done."), INTERRUPTED),
    "file-refused": (N_("The system refused to read or write a file."), "", ERROR),
    "problems": (N_("Problems were found."), "", PROBLEMS),
}

# What the library that reads the command line says, so that the catalogues hold it too.
ARGUMENTS = (
    N_("usage: "), N_("positional arguments"), N_("options"), N_("show this help message and exit"),
    N_("the following arguments are required: %s"), N_("%(prog)s: error: %(message)s\n"),
    N_("expected one argument"), N_("expected at least one argument"), N_("expected at most one argument"),
    N_("unrecognized arguments: %s"), N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("invalid %(type)s value: %(value)r"), N_("not allowed with argument %s"),
    N_("one of the arguments %s is required"), N_("argument %(argument_name)s: %(message)s"),
    N_("ignored explicit argument %r"), N_("unknown parser %(parser_name)r (choices: %(choices)s)"),
    N_("show program's version number and exit"),
)  # fmt: skip


def words(error: BaseException) -> Worded:
    """The sentence, next step and exit code for an error of the vault, the relay's client or the system."""
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        code = _system_code(error)
    from tui.details import translated

    told, detail, hint = of_code(code), str(error), getattr(error, "hint", "")
    step = translated(hint) if hint else told.step
    return Worded(told.sentence, step, told.exit_code, "" if detail == code else translated(detail))


def of_code(code: str) -> Worded:
    """The same for a failure that is known by its class alone."""
    sentence, step, exit_code = _TABLE.get(code) or _TABLE["error"]
    return Worded(_(sentence), _(step), exit_code)


def why_not(code: str, detail: str) -> str:
    """Why nothing can be given to somebody: the class, or what is said more exactly about a certificate."""
    reasons = {
        "revoked": N_("The authority has revoked the certificate."),
        "not-logged": N_("The certificate is not in the log of its authority: it is not believed."),
        "list-too-old": N_(
            "What is known of the authority is too old. Get its newest file: `elpis authority update FILE`."
        ),
        "contradiction": N_("The authority contradicted itself, and counts no more."),
        "other-authority": N_("The authority that issued the certificate is not one that you trust."),
        "too-long": N_("The certificate wants to be believed for more than 90 days."),
    }
    return _(reasons[detail]) if detail in reasons else of_code(code).sentence


def sentence(error: BaseException) -> str:
    """What happened and to what, on one line, for a toast or the first line on stderr."""
    from tui.render import clean

    worded = words(error)
    return f"{worded.sentence} ({clean(worded.detail)})" if worded.detail else worded.sentence


def _system_code(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "file-refused" if isinstance(error, OSError) else "error"


def codes() -> tuple[str, ...]:
    """Every failure that has its words."""
    return tuple(_TABLE)
