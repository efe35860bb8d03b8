"""Contacts and persons of trust that a file names: relatives, carers, guardians, whom to call in an emergency.

A French document calls the person of trust NOK, what elsewhere is any next of kin; a health care proxy is one anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vault.importers.reading import clean

if TYPE_CHECKING:
    from vault.importers.reading import Builder

_EMERGENCY = ("à prévenir en cas d’urgence", "emergency contact")
# What somebody is to the holder, by HL7 role class, table 0131 and role code: (French, English).
_ROLES = {
    "ECON": _EMERGENCY, "C": _EMERGENCY, "EC": _EMERGENCY, "EP": _EMERGENCY, "EMERGENCY": _EMERGENCY,
    "NOK": ("proche", "next of kin"), "N": ("proche", "next of kin"), "NK": ("proche", "next of kin"),
    "CAREGIVER": ("aidant", "caregiver"), "GUARD": ("représentant légal", "guardian"),
    "GUAR": ("représentant légal", "guardian"), "GUADLTM": ("tuteur", "guardian ad litem"),
    "AGNT": ("mandataire", "agent"), "HPOWATT": ("mandataire de santé", "healthcare power of attorney"),
    "POWATT": ("mandataire", "power of attorney"), "MTH": ("mère", "mother"), "FTH": ("père", "father"),
    "SPS": ("conjoint", "spouse"), "WIFE": ("épouse", "wife"), "HUSB": ("époux", "husband"),
    "SPO": ("conjoint", "spouse"), "DOMPART": ("partenaire", "domestic partner"), "SIS": ("sœur", "sister"),
    "BRO": ("frère", "brother"), "SIB": ("frère ou sœur", "sibling"), "CHILD": ("enfant", "child"),
    "CHD": ("enfant", "child"), "DAU": ("fille", "daughter"), "SON": ("fils", "son"), "PRN": ("parent", "parent"),
    "PAR": ("parent", "parent"), "GRPRN": ("grand-parent", "grandparent"), "GRD": ("représentant légal", "guardian"),
    "FRND": ("ami", "friend"), "FND": ("ami", "friend"), "NBOR": ("voisin", "neighbour"),
}  # fmt: skip
_TRUST = re.compile(
    r"personne de confiance|health ?care (proxy|agent|power of attorney)|person of trust", re.IGNORECASE
)
_TRUSTED_CODES = frozenset({"HPOWATT"})
_ONESELF = frozenset({"SELF", "ONESELF", "SEL"})


class People:
    """Those whom one document names, each once."""

    def __init__(self, *, french: bool) -> None:
        self._french = french
        self._seen: set[tuple[str, str, str]] = set()

    def knows(self, code: str) -> bool:
        return code.upper() in _ROLES

    def role(self, label: str, *codes: str) -> str:
        """Words for what somebody is: the label of the source, then what its codes mean."""
        nearest = self._french and "NOK"  # not said: it is the person of trust, which the kind of the entry says
        named = [code for code in map(str.upper, codes) if code in _ROLES and code != nearest]
        known = [_ROLES[code][0 if self._french else 1] for code in named]
        words = [clean(label)] if label else []
        words += [word for word in known if word.casefold() not in label.casefold()] if label else known
        return ", ".join(dict.fromkeys(filter(None, words)))

    def add(self, out: Builder, name: str, role: str, reached: Iterable[str], *codes: str, ended: str = "") -> None:
        """One person, unless nameless or named before in the same role."""
        name = clean(name)
        given = {code.upper() for code in codes}
        trusted = bool(_TRUST.search(role)) or bool(_TRUSTED_CODES & given) or (self._french and "NOK" in given)
        kind = "trusted_person" if trusted else "contact"
        if not name or given & _ONESELF or (kind, name, role) in self._seen:
            return
        self._seen.add((kind, name, role))
        out.add(kind, {
            "label": name, "performer": role, "end": ended,
            "value": ", ".join(dict.fromkeys(filter(None, map(clean, reached)))),
        })  # fmt: skip


def telephone(value: str) -> str:
    """ "tel:+33-1" and "mailto:a@b" without the scheme; nothing of web addresses."""
    text = clean(value)
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in ("tel", "fax", "mailto", "email", "sms"):
        return rest.removeprefix("//").strip()
    return "" if text.lower().startswith(("http:", "https:")) else text


def joined(parts: Iterable[str]) -> Iterator[str]:
    """An address in one piece."""
    if text := " ".join(filter(None, map(clean, parts))):
        yield text
