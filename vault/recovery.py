"""The recovery kit: 32 random bytes as 24 words (BIP 39) or as shares (SLIP-39).

It opens a keyslot and derives the root key. Normative: spec/keyslots.md, spec/recovery.md.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from vault import shares
from vault.errors import InputRefused, UnlockFailed
from vault.passphrase import wordlist
from vault.primitives import KEY, SigningKey, derive_key, hash32, make_key, need

WORDS = 24
MOST_WORDS = 28  # of somebody who copied a few too many; a share has 33
LANGUAGES = ("fr", "en")
_BITS = 11


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryKit:
    """The entropy of the kit. It is shown once and never stored: only its keyslot and the root public key are."""

    entropy: bytes

    @classmethod
    def make(cls) -> RecoveryKit:
        return cls(make_key())

    def words(self, language: str = "fr") -> list[str]:
        """The 24 words, in French ("fr") or English ("en"): both write the same kit."""
        listed = wordlist(language)
        number = int.from_bytes(self.entropy + _checksum(self.entropy))
        return [listed[number >> _BITS * place & 2047] for place in reversed(range(WORDS))]

    @classmethod
    def read(cls, *texts: str) -> RecoveryKit:
        """The kit of what people bring: the 24 words, or enough shares, numbered and commented as on their sheets."""
        blocks = [block for text in texts for block in _blocks(text)]
        words = [word for block in blocks for word in block]
        if len(words) <= MOST_WORDS:
            return cls.from_words(" ".join(words))
        brought = [part for block in blocks for part in _parts(block)]
        read = [shares.read_share([_bare(word) for word in part], place) for place, part in enumerate(brought, 1)]
        return cls(shares.combine(read))

    @classmethod
    def from_words(cls, text: str) -> RecoveryKit:
        """The kit that these words write; UnlockFailed when they write none. Accents and case do not matter."""
        typed = [_bare(word) for word in text.replace(",", " ").split()]
        for language in LANGUAGES:
            places = _places(language)
            if len(typed) == WORDS and all(word in places for word in typed):
                number = 0
                for word in typed:
                    number = number << _BITS | places[word]
                data = number.to_bytes(KEY + 1)
                if _checksum(data[:KEY]) == data[KEY:]:
                    return cls(data[:KEY])
        raise _not_words(typed)

    def divided(self, scheme: str) -> tuple[shares.Share, ...]:
        """This kit as shares, "2of3" or "3of5". Each call makes another set; every set gives the same kit."""
        if scheme not in shares.SCHEMES:
            raise InputRefused("a kit is divided as 2of3 or 3of5")
        return shares.divide(self.entropy, *shares.SCHEMES[scheme])

    def root_key(self) -> SigningKey:
        """Ed25519: signs the first roster and recoveries."""
        return SigningKey.from_seed(derive_key(need(self.entropy, KEY, "kit"), "elpis-root-seed"))

    def fingerprint(self) -> str:
        """16 hex characters of the root public key's hash, printed on the sheet: recognises a kit, opens nothing."""
        return hash32(self.root_key().public).hex()[:16]


def _not_words(typed: list[str]) -> UnlockFailed:
    """What can be told of words that are no kit, and never what they should be."""
    unknown = min(([at for at, word in enumerate(typed, 1) if word not in _places(language)] for language in LANGUAGES),
                  key=len)  # fmt: skip
    if typed and len(typed) != WORDS:
        message = f"{len(typed)} words are here, a recovery kit has {WORDS}"
    elif typed and unknown:
        message = f"word {unknown[0]} is not in the list of words"
    else:
        message = "these are not the words of a recovery kit"
    return UnlockFailed(message, hint="Nothing was changed. Check each of the 24 words.")


def _blocks(text: str) -> Iterator[list[str]]:
    """Words between empty lines and lines with #, without numbers in front of them."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        words = [] if line.lstrip().startswith("#") else line.replace(",", " ").split()
        block += [word for word in words if not word.rstrip(".)").isdigit()]
        if block and not words:
            yield block
            block = []


def _parts(block: list[str]) -> Iterator[list[str]]:
    """Shares that were written one behind the other."""
    step = shares.WORDS if len(block) % shares.WORDS == 0 else len(block)
    for start in range(0, len(block), step):
        yield block[start : start + step]


@cache
def _places(language: str) -> dict[str, int]:
    return {_bare(word): place for place, word in enumerate(wordlist(language))}


def _checksum(entropy: bytes) -> bytes:
    return hashlib.sha256(entropy).digest()[:1]


def _bare(word: str) -> str:
    """Lower case, no accents: still unique in both lists."""
    parts = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
