"""Whose a file is: what of it is the holder's, and what nobody but the holder can decide. Nothing is ever mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vault.document import Read, Subject
from vault.review.identity import same_person

NOBODY = "names nobody: taken for the holder's"
HINT = "Check whose it is. It can be imported all the same when you say so."


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose vault it is."""

    name: str
    birth: str = ""
    ins: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A document that may be somebody else's: `why` it is asked, `subject` whom the file names, if anybody."""

    file: str
    title: str
    why: str
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is "" for the holder's own. `nameless`: the file does not say whose it is."""

    read: Read
    why: str = ""
    nameless: bool = False


def sort_out(reads: Sequence[Read], holder: Holder) -> list[Verdict]:
    """What there is to be said about each document of one file.

    What names nobody is taken for the holder's, unless the same file also names somebody else.
    """
    verdicts = [_verdict(read, holder) for read in reads]
    if not any(verdict.why for verdict in verdicts):
        return verdicts
    doubt = "names nobody, in a file that also names somebody else"
    return [Verdict(verdict.read, doubt) if verdict.nameless else verdict for verdict in verdicts]


def _verdict(read: Read, holder: Holder) -> Verdict:
    subject = read.subject
    if read.several:
        return Verdict(read, "names more than one patient")
    if subject is None or not (subject.family or subject.given or subject.birth or subject.identifiers):
        return Verdict(read, nameless=True)
    same, why = same_person(subject, holder.name, holder.birth, holder.ins)
    if not same:
        return Verdict(read, f"about somebody else than the holder of this vault ({why})")
    return Verdict(read, nameless=not (subject.family or subject.given or subject.birth or holder.ins))


__all__ = ["HINT", "NOBODY", "Holder", "Question", "Verdict", "sort_out"]
