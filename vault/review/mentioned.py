"""What a patient forgot to mention: what is recorded as taken, against what was said.

Names are compared as people say them: trade name or substance, with or without a strength, in French or English, with a
slip of the pen. What is said and not recorded is listed too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from vault.review.medications import Medication
from vault.terminology import antithrombotic, fold, substance_key, substance_of_label

_STRENGTH = re.compile(r"\d.*$")
_NO_NAME = frozenset({"mg", "g", "ml", "cp", "comprime", "comprimes", "gelule", "gelules", "sachet", "matin", "midi",
                      "soir", "tablet", "capsule", "le", "la", "un", "une", "du", "de", "et", "and", "mon", "ma", "my",
                      "pour", "for", "the", "oral", "solution", "injectable", "lp", "sr", "xr"})  # fmt: skip
# First words that many drugs share.
_SHARED = frozenset({"vitamine", "vitamin", "vit", "insuline", "insulin", "acide", "acid", "sodium", "potassium",
                     "calcium", "magnesium", "chlorure", "fer", "iron", "vaccin", "vaccine", "huile"})  # fmt: skip
_ALIKE = 0.84  # "previscam" for "previscan"; "bisoprolol" is not "metoprolol"
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Mentioned:
    """`forgotten` are taken and were not mentioned; `unknown` were mentioned and are not recorded as taken."""

    forgotten: tuple[Medication, ...]
    known: tuple[Medication, ...]
    unknown: tuple[str, ...]


def compare(said: Iterable[str], medications: Iterable[Medication]) -> Mentioned:
    """What is recorded as taken and was not said, and the other way round."""
    names = [name for name in said if fold(name)]
    taken = [item for item in medications if item.active and not item.negated]
    heard = [{at for at, name in enumerate(names) if is_mentioned(name, item)} for item in taken]
    found = set().union(*heard) if heard else set()
    return Mentioned(
        forgotten=tuple(item for item, places in zip(taken, heard, strict=True) if not places),
        known=tuple(item for item, places in zip(taken, heard, strict=True) if places),
        unknown=tuple(name for at, name in enumerate(names) if at not in found),
    )


def is_mentioned(name: str, item: Medication) -> bool:
    """Whether somebody who says `name` means this treatment."""
    said = substance_of_label(name)
    drug = antithrombotic(name)
    if drug is not None and (other := antithrombotic(item.label, item.substance)) is not None:
        return drug.atc == other.atc
    if said and item.substance and substance_key(said) == substance_key(item.substance):
        return True
    words = _words(name)
    return any(_names(words, _words(known)) for known in (item.label, *re.split(r"[;+/]", item.substance)))


def read_list(text: str) -> list[str]:
    """One treatment a line, or separated by commas or semicolons; lines with # are for people."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    # A comma between digits is a decimal.
    return [part.strip(" -*•\t") for line in lines for part in re.split(r";|,(?!\d)", line) if part.strip(" -*•\t")]


def _names(said: Sequence[str], known: Sequence[str]) -> bool:
    """Whether what was said holds the name: its first word, and the second when the first is shared by many drugs.

    A word further back ("vaccine", a maker's name) says nothing: a forgotten treatment must not hide behind it.
    """
    if not known:
        return False
    wanted = known[:2] if known[0] in _SHARED else known[:1]
    return all(any(_alike(one, word) for one in said) for word in wanted)


def _words(text: str) -> Sequence[str]:
    """The words that name a drug: those before the strength, without forms and times of day."""
    words = fold(_STRENGTH.sub("", text)).split() or fold(text).split()
    named = [word for word in words if word not in _NO_NAME and not word.isdigit()]
    if named and named[0] in _SHARED:
        return fold(text).split()[words.index(named[0]) :]  # "vitamine B12": its number is its name
    return [word for word in named if len(word) >= _LEAST] or named


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    if one[0] != other[0] or min(len(one), len(other)) < 6:
        return False
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE
