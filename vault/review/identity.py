"""Whether a file is about the vault's holder: names as people write them, birth dates as they are."""

from __future__ import annotations

import re
from itertools import starmap

from vault.document import Subject
from vault.errors import InputRefused
from vault.terminology import fold

_TITLES = frozenset(["dr", "mr", "mme", "mlle", "m", "mrs", "ms", "prof", "pr"])


INS = "ins"
INS_SYSTEMS = frozenset(
    {f"1.2.250.1.213.1.4.{end}" for end in (8, 9, 10, 11)} | {"asip-sante-ins-nir", "asip-sante-ins-nia"}
)
_INS = re.compile(r"[1-478][0-9]{4}([0-9]{2}|2[AB])[0-9]{8}")
_CORSICA = {"2A": "19", "2B": "18"}

Id = tuple[str, str]  # (system, number) in their normal form


def normal_id(system: str, number: str) -> Id:
    """The normal form of an identifier as a file states it."""
    system, number = system.strip().lower().removeprefix("urn:oid:"), "".join(number.split()).upper()
    if (system in INS_SYSTEMS or not system) and _INS.fullmatch(number):
        return INS, number
    return system, number


def check_ins(written: str) -> str:
    """An INS as its holder gives it, in its normal form: 13 characters and the key that follows from them."""
    number = "".join(written.split()).upper()
    if _INS.fullmatch(number):
        digits = number[:5] + _CORSICA.get(number[5:7], number[5:7]) + number[7:13]
        if 97 - int(digits) % 97 == int(number[13:]):
            return number
    raise InputRefused("this is no INS", hint="It has 15 characters: the number of the carte Vitale with its key.")


def same_person(subject: Subject, holder_name: str, holder_birth: str = "", holder_ins: str = "") -> tuple[bool, str]:
    """(whether it may be the holder, why not). Accents, case, hyphens, order, birth and used names do not matter.

    Different INS or birth dates are two people, whatever their names; one INS is one person, whatever the names.
    Without a birth date on one side the names must agree whole.
    """
    stated = {number for system, number in starmap(normal_id, subject.identifiers) if system == INS}
    if holder_ins and stated and holder_ins not in stated:
        return False, "the INS is another"
    births = subject.birth[:10], holder_birth[:10]
    both = min(len(births[0]), len(births[1]))
    if both >= 4 and births[0][:both] != births[1][:both]:
        return False, "the birth date is another"
    if holder_ins in stated:
        return True, ""
    holder = _words(holder_name)
    families = [words for name in (subject.family, *subject.other_names) if (words := _words(name))]
    given = _words(subject.given)
    if not families and not given:
        return True, ""
    if not holder:
        return False, "the holder has no name"
    sure = both == 10
    if any(_fits(family, given, holder, sure) for family in families or [set()]):
        return True, ""
    return False, "the name is another"


def contradict(one: Subject | None, other: Subject | None) -> bool:
    """Whether two statements of whom something is about cannot be about one person. Silence contradicts nothing."""
    if one is None or other is None:
        return False
    families = " ".join((other.family, *other.other_names))
    return not same_person(one, f"{other.given} {families}".strip() or f"{one.given} {one.family}", other.birth)[0]


def _fits(family: set[str], given: set[str], holder: set[str], sure: bool) -> bool:
    """`sure`: the birth date agrees in full, so that one part of a double name and one first name are enough."""
    rest = holder - family
    initials = {word[0] for word in given}
    first_names = (
        bool(rest & given) or not given or (sure and any(len(word) == 1 and word in initials for word in rest))
    )
    if sure:
        return bool(family & holder or not family) and (first_names or not rest)
    whole = family <= holder and first_names
    return whole and (holder <= family | given or family | given <= holder)


def _words(name: str) -> set[str]:
    return set(fold(name).split()) - _TITLES
