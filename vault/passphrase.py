"""The passphrase: one normal form, and a generated phrase to offer. Normative: spec/keyslots.md."""

from __future__ import annotations

import unicodedata

from vault.errors import InputRefused

MIN_CHARACTERS = 8
MAX_CHARACTERS = 1024
OFFERED_WORDS = 6  # of a list of 2048: 66 bits, behind Argon2id

LANGUAGES = {"fr": "french", "en": "english"}


def normal_form(passphrase: str) -> str:
    """NFKC without spaces around: two keyboards and two systems give the same bytes for the same phrase."""
    return unicodedata.normalize("NFKC", passphrase).strip()


def accept_new(passphrase: str) -> str:
    """The normal form of a new passphrase; InputRefused when it is too short or too long."""
    normal = normal_form(passphrase)
    if len(normal) < MIN_CHARACTERS:
        raise InputRefused(
            f"a passphrase has at least {MIN_CHARACTERS} characters",
            hint="Several words that mean something only to you are easy to keep.",
            minimum=MIN_CHARACTERS,
        )
    if len(normal) > MAX_CHARACTERS:
        raise InputRefused(f"a passphrase has at most {MAX_CHARACTERS} characters", maximum=MAX_CHARACTERS)
    return normal


def make_passphrase(language: str = "fr", words: int = OFFERED_WORDS) -> str:
    """A random phrase to offer, in words of the holder's language."""
    listed = wordlist(language)
    import secrets

    return " ".join(secrets.choice(listed) for _ in range(words))


def wordlist(language: str) -> list[str]:
    """The 2048 words of BIP 39 in French ("fr") or English ("en"), NFC."""
    from mnemonic import Mnemonic

    name = LANGUAGES.get(language, LANGUAGES["en"])
    return [unicodedata.normalize("NFC", word) for word in Mnemonic(name).wordlist]
