"""spec/recovery.md: SLIP-39 shares of a recovery kit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from shamir_mnemonic import shamir
from shamir_mnemonic.share import Share

from spec.vectors.writing import Vectors, fixed, flip

KIT = fixed("kit")
# From the test vectors of SLIP-39 itself, passphrase "TREZOR".
STANDARD = b"TREZOR"
ONE_OF_ONE = (
    "theory painting academic academic armed sweater year military elder discuss acne wildlife boring employer fused"
    " large satoshi bundle carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel lips brave"
    " detect luck"
)
TWO_OF_THREE = [
    "humidity disease academic always aluminum jewelry energy woman receiver strategy amuse duckling lying evidence"
    " network walnut tactics forget hairy rebound impulse brother survive clothes stadium mailman rival ocean reward"
    " venture always armed unwrap",
    "humidity disease academic agency actress jacket gross physics cylinder solution fake mortgage benefit public busy"
    " prepare sharp friar change work slow purchase ruler again tricycle involve viral wireless mixture anatomy desert"
    " cargo upgrade",
]
SHORT = (
    "duckling enlarge academic academic agency result length solution fridge kidney coal piece deal husband erode duke"
    " ajar critical decision keyboard"
)


@contextmanager
def drawn(name: str) -> Iterator[None]:
    """The library's random bytes, fixed: shares are otherwise others on every run."""
    numbers, before = count(), shamir.RANDOM_BYTES
    shamir.RANDOM_BYTES = lambda size: hashlib.shake_256(f"elpis shares/{name}/{next(numbers)}".encode()).digest(size)
    try:
        yield
    finally:
        shamir.RANDOM_BYTES = before


def shares(name: str, needed: int, of: int, *, secret: bytes = KIT, exponent: int = 0) -> list[str]:
    with drawn(name):
        return shamir.generate_mnemonics(1, [(needed, of)], secret, iteration_exponent=exponent)[0]


def grouped() -> list[str]:
    """Shares of one of two groups, either of which is enough: right in SLIP-39, never written by Elpis."""
    with drawn("grouped"):
        return shamir.generate_mnemonics(1, [(2, 3), (2, 3)], KIT, iteration_exponent=0)[0]


def other_word(text: str, at: int) -> str:
    words = text.split()
    words[at] = "zero" if words[at] != "zero" else "academic"
    return " ".join(words)


def make() -> list[Vectors]:
    vectors = Vectors("shares")
    three, five, other = shares("three", 2, 3), shares("five", 3, 5), shares("other", 2, 3)
    first = Share.from_mnemonic(three[0])
    changed = replace(first, value=flip(first.value, 5)).mnemonic()

    def valid(name: str, description: str, texts: list[str], of: str, needed: int) -> None:
        told = {"entropy": KIT, "set": Share.from_mnemonic(of).identifier, "needed": needed}
        vectors.valid(name, description, {"shares": texts, "passphrase": b""}, told)

    def refused(name: str, description: str, texts: list[str]) -> None:
        vectors.refused(name, description, "unlock-failed", {"shares": texts, "passphrase": b""})

    valid("2of3-first-second", "two of three shares", three[:2], three[0], 2)
    valid("2of3-third-first", "two others of them, in another order", [three[2], three[0]], three[0], 2)
    valid("2of3-all", "one more than needed", three, three[0], 2)
    valid("2of3-again", "one share twice, and another", [three[1], three[1], three[2]], three[0], 2)
    valid("3of5-odd", "three of five shares", [five[0], five[2], five[4]], five[0], 3)
    valid("3of5-last", "three others of them", five[2:], five[0], 3)
    valid("capitals", "in capitals", [text.upper() for text in three[:2]], three[0], 2)
    valid("exponent-1", "written by a program that stretches more", shares("slow", 2, 3, exponent=1)[1:],
          shares("slow", 2, 3, exponent=1)[0], 2)  # fmt: skip
    valid("exponent-4", "written by a program that stretches as much as a reader takes",
          shares("slowest", 2, 3, exponent=4)[:2], shares("slowest", 2, 3, exponent=4)[0], 2)  # fmt: skip
    valid("spaces", "with other white space", [f"\t{three[0].replace(' ', '  ')}\n", three[1]], three[0], 2)
    standard = {"set": Share.from_mnemonic(TWO_OF_THREE[0]).identifier, "needed": 2}
    secret = bytes.fromhex("c938b319067687e990e05e0da0ecce1278f75ff58d9853f19dcaeed5de104aae")
    vectors.valid("standard-2of3", "a test of SLIP-39 itself: basic sharing 2-of-3 (256 bits)",
                  {"shares": TWO_OF_THREE, "passphrase": STANDARD}, standard | {"entropy": secret})  # fmt: skip
    standard = {"set": Share.from_mnemonic(ONE_OF_ONE).identifier, "needed": 1}
    secret = bytes.fromhex("989baf9dcaad5b10ca33dfd8cc75e42477025dce88ae83e75a230086a0e00e92")
    vectors.valid("standard-1of1", "a test of SLIP-39 itself: without sharing (256 bits)",
                  {"shares": [ONE_OF_ONE], "passphrase": STANDARD}, standard | {"entropy": secret})  # fmt: skip

    refused("none", "no share", [])
    refused("one-of-two", "one share where two are needed", three[:1])
    refused("two-of-three", "two shares where three are needed", five[:2])
    refused("same-twice", "the same share twice", [three[0], three[0]])
    refused("other-set", "shares of two divisions of one kit", [three[0], other[1]])
    refused("other-threshold", "shares of which some say that two and some that three are enough",
            [three[0], replace(first, index=1, member_threshold=3).mnemonic()])  # fmt: skip
    refused("word-replaced", "one word replaced by another of the list", [other_word(three[0], 20), three[1]])
    words = three[0].split()
    refused("words-swapped", "two words swapped", [" ".join([*words[:7], words[8], words[7], *words[9:]]), three[1]])
    refused("not-a-word", "a word that is not on the list", [" ".join(["elpis", *words[1:]]), three[1]])
    refused("32-words", "one word missing", [" ".join(words[:-1]), three[1]])
    refused("34-words", "one word too many", [three[0] + " academic", three[1]])
    refused("digest", "a share with another value, its checksum right", [changed, three[1]])
    refused("padding", "padding that is not zeros, the checksum right", [_padded(first), three[1]])
    refused("exponent-5", "more stretching than a reader does", shares("slower", 2, 3, exponent=5)[:2])
    refused("groups", "shares of several groups", grouped()[:2])
    refused("128-bits", "a share of 128 bits", [SHORT])
    return [vectors]


def _padded(share: Share) -> str:
    """The same share with a bit of its padding set and the checksum made anew."""
    from shamir_mnemonic import rs1024, wordlist

    values = list(wordlist.mnemonic_to_indices(share.mnemonic()))[:-3]
    values[4] |= 1 << 9
    return wordlist.mnemonic_from_indices([*values, *rs1024.create_checksum(values, b"shamir_extendable")])
