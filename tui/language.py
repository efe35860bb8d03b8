"""The language that Elpis speaks to the person in front of it.

Source strings are English; `tui/locale` holds the catalogues. Every sentence for a person goes through `_` or
`ngettext` at the moment it is shown, never at import, so that the language can change once the vault is open and says
which it is.
"""

from __future__ import annotations

import gettext as _gettext
import os
from collections.abc import Mapping
from pathlib import Path

LANGUAGES = ("fr", "en")
FALLBACK = "en"
_LOCALE = Path(__file__).parent / "locale"

_language = ""
_catalogue: _gettext.NullTranslations = _gettext.NullTranslations()


def choose_language(environ: Mapping[str, str] = os.environ, vault_language: str = "") -> str:
    """ELPIS_LANG, then what the vault says, then the locale of the system; English when none of them is one of ours."""
    system = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    for wish in (environ.get("ELPIS_LANG", ""), vault_language, system):
        short = wish[:2].lower()
        if short in LANGUAGES and not wish[2:3].isalpha():
            return short
    return FALLBACK


def set_language(language: str) -> None:
    """Speak `language` from now on ("fr" or "en")."""
    global _language, _catalogue
    if language not in LANGUAGES:
        raise ValueError(f"no such language: {language!r}")
    if language != _language:
        _catalogue = _gettext.translation("elpis", _LOCALE, [language])
        _language = language


def language() -> str:
    """The language spoken now; chosen from the environment when nobody has set one."""
    if not _language:
        set_language(choose_language())
    return _language


def _(text: str) -> str:
    """`text` in the language spoken now."""
    if not _language:
        language()
    return _catalogue.gettext(text) if text else ""


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form that goes with `count`, in the language spoken now."""
    if not _language:
        language()
    return _catalogue.ngettext(singular, plural, count)


def N_(text: str) -> str:
    """Marks a string for the catalogues where it is a constant; `_` translates it where it is shown."""
    return text
