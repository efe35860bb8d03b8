"""A recovery kit divided among trusted people: SLIP-39 shares, so many of which give it back. Only importer of
shamir_mnemonic. Normative: spec/recovery.md.

Fewer shares than needed tell nothing about the kit. Each share carries a checksum that finds up to three wrong words,
and the number of its set, so that shares of two kits are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from vault.errors import InputRefused, UnlockFailed
from vault.primitives import KEY, need

SCHEMES = {"2of3": (2, 3), "3of5": (3, 5)}
WORDS = 33  # of a share of 256 bits
MAX_EXPONENT = 4  # 160 000 passes: what other programs write; more would only keep a reader busy
_BITS = 10
_GENERATOR = (
    0xE0E040, 0x1C1C080, 0x3838100, 0x7070200, 0xE0E0009, 0x1C0C2412, 0x38086C24, 0x3090FC48, 0x21B1F890, 0x3F3F120,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """One share as its words say it. `set_id` is the same in every share of one division."""

    set_id: int
    number: int  # counts from 1
    needed: int
    text: str = field(repr=False)


def divide(entropy: bytes, needed: int, count: int) -> tuple[Share, ...]:
    """`count` shares of a kit, any `needed` of which give it back."""
    from shamir_mnemonic import generate_mnemonics

    if (needed, count) not in SCHEMES.values():
        raise InputRefused("a kit is divided as 2of3 or 3of5")
    # The kit is 256 random bits: a slow hash over no passphrase would protect nothing, so the exponent is 0.
    made = generate_mnemonics(1, [(needed, count)], need(entropy, KEY, "kit"), iteration_exponent=0)[0]
    return tuple(read_share(text.split()) for text in made)


def combine(shares: Sequence[Share], passphrase: bytes = b"") -> bytes:
    """The kit's entropy. UnlockFailed says what is missing: too few shares, or shares of different kits.

    Elpis divides without a passphrase; the argument is for the tests of the standard.
    """
    from shamir_mnemonic import MnemonicError, combine_mnemonics

    distinct = {share.number: share for share in shares}
    if len({share.set_id for share in shares}) > 1 or len({share.needed for share in shares}) > 1:
        raise _refused(
            "these shares are of different kits",
            "Nothing was changed. Each sheet names its set: bring shares of one set.",
        )
    needed = shares[0].needed if shares else 2
    if len(distinct) < needed:
        raise UnlockFailed(
            f"{len(distinct)} different shares are here, {needed} are needed",
            hint="Nothing was changed. Bring more shares of the same set.",
            here=len(distinct),
            needed=needed,
        )
    try:
        return bytes(combine_mnemonics([share.text for share in list(distinct.values())[:needed]], passphrase))
    except MnemonicError as failure:
        raise _refused(
            "these shares do not fit together", "Nothing was changed. Each sheet names its set and its number."
        ) from failure


def read_share(words: Sequence[str], place: int = 1) -> Share:
    """The share that these words write; UnlockFailed names the word that is wrong by its position."""
    from shamir_mnemonic.share import Share as Raw
    from shamir_mnemonic.utils import MnemonicError

    typed = [word.lower() for word in words]
    if len(typed) != WORDS:
        raise _refused(
            f"share {place} has {len(typed)} words, not {WORDS}",
            "Nothing was changed. A share is copied whole, word by word.",
        )
    unknown = [at for at, word in enumerate(typed, 1) if word not in places()]
    if unknown:
        raise _refused(f"share {place}: word {unknown[0]} is not in the list of words", _LOOK)
    try:
        raw = Raw.from_mnemonic(" ".join(typed))
    except MnemonicError as failure:
        at = _misread([places()[word] for word in typed])
        if at:
            raise _refused(f"share {place}: word {at} is not the one that was printed", _LOOK) from failure
        raise _refused(f"share {place}: several words, or their order, are not as printed", _LOOK) from failure
    if raw.group_count != 1 or len(raw.value) != KEY or raw.iteration_exponent > MAX_EXPONENT:
        raise _refused(
            f"share {place} is not of a recovery kit of Elpis",
            "Nothing was changed. Other programs write such shares too.",
        )
    return Share(raw.identifier, raw.index + 1, raw.member_threshold, " ".join(typed))


@cache
def places() -> dict[str, int]:
    """The 1024 words of SLIP-39 with their numbers."""
    from shamir_mnemonic.wordlist import WORD_INDEX_MAP

    return dict(WORD_INDEX_MAP)


def _misread(values: Sequence[int]) -> int:
    """The position, from 1, of the one word whose replacement would make the checksum right; 0 when there is none.

    The code keeps any two shares at least four words apart: one wrong word has one place. The right word is not named:
    whoever holds no sheet must not be helped to write one.
    """
    # The checksum is linear: a wrong word adds the remainder of its difference, moved on by the words behind it.
    # The prefix is one of two, by a bit of the second word, which may be the wrong one.
    for prefix in (b"shamir_extendable", b"shamir"):
        wrong = _polymod([*prefix, *values]) ^ 1
        for at in range(len(values)):
            behind = len(values) - 1 - at
            if any(_remainder(difference, behind) == wrong for difference in range(1, 1 << _BITS)):
                return at + 1
    return 0


def _polymod(values: Sequence[int], start: int = 1) -> int:
    """RS1024 of SLIP-39."""
    remainder = start
    for value in values:
        remainder = _moved(remainder) ^ value
    return remainder


def _moved(remainder: int) -> int:
    top = remainder >> 20
    remainder = (remainder & 0xFFFFF) << _BITS
    for bit in range(_BITS):
        remainder ^= _GENERATOR[bit] if top >> bit & 1 else 0
    return remainder


def _remainder(difference: int, behind: int) -> int:
    """What a difference in one word adds to the checksum, with `behind` words after it."""
    total = 0
    for bit in range(_BITS):
        if difference >> bit & 1:
            total ^= _bit_remainder(bit, behind)
    return total


@cache
def _bit_remainder(bit: int, behind: int) -> int:
    return _polymod([1 << bit] + [0] * behind, start=0)


def _refused(message: str, hint: str) -> UnlockFailed:
    return UnlockFailed(message, hint=hint)


_LOOK = "Nothing was changed. Compare it with the sheet, letter by letter."
