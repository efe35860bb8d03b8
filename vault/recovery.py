"""The recovery kit: 32 random bytes as 24 words (BIP 39). It opens a keyslot and derives the root key.

Normative: spec/keyslots.md.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass

from vault.errors import UnlockFailed
from vault.passphrase import wordlist
from vault.primitives import KEY, SigningKey, derive_key, hash32, make_key, need

WORDS = 24
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
    def from_words(cls, text: str) -> RecoveryKit:
        """The kit that these words write; UnlockFailed when they write none. Accents and case do not matter."""
        typed = [_bare(word) for word in text.replace(",", " ").split()]
        for language in ("fr", "en"):
            places = {_bare(word): place for place, word in enumerate(wordlist(language))}
            if len(typed) == WORDS and all(word in places for word in typed):
                number = 0
                for word in typed:
                    number = number << _BITS | places[word]
                data = number.to_bytes(KEY + 1)
                if _checksum(data[:KEY]) == data[KEY:]:
                    return cls(data[:KEY])
        raise UnlockFailed(
            "these are not the words of a recovery kit", hint="Nothing was changed. Check each of the 24 words."
        )

    def root_key(self) -> SigningKey:
        """Ed25519: signs the first roster and recoveries."""
        return SigningKey.from_seed(derive_key(need(self.entropy, KEY, "kit"), "elpis-root-seed"))

    def fingerprint(self) -> str:
        """16 hex characters of the root public key's hash, printed on the sheet: recognises a kit, opens nothing."""
        return hash32(self.root_key().public).hex()[:16]


def _checksum(entropy: bytes) -> bytes:
    return hashlib.sha256(entropy).digest()[:1]


def _bare(word: str) -> str:
    """Lower case, no accents: still unique in both lists."""
    parts = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
