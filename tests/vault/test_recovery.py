"""The recovery kit in words and in shares: what is typed wrong is named, and never put right."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from vault import RecoveryKit, Vault
from vault.errors import InputRefused, UnlockFailed
from vault.shares import SCHEMES, Share, combine, places, read_share

KIT = RecoveryKit(bytes(range(100, 132)))


def refusal(*texts: str) -> str:
    with pytest.raises(UnlockFailed) as caught:
        RecoveryKit.read(*texts)
    assert caught.value.hint.startswith("Nothing was changed.")
    return str(caught.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_enough_shares_give_the_kit_and_fewer_do_not(scheme: str) -> None:
    needed, count = SCHEMES[scheme]
    shares = KIT.divided(scheme)
    assert [share.number for share in shares] == list(range(1, count + 1))
    for chosen in itertools.combinations(shares, needed):
        assert RecoveryKit.read(*(share.text for share in chosen)) == KIT
    assert RecoveryKit.read("\n\n".join(share.text for share in shares)) == KIT
    for chosen in itertools.combinations(shares, needed - 1):
        if len(chosen) > 1 or needed == 2:
            assert "needed" in refusal(*(share.text for share in chosen))


def test_each_division_is_another_set() -> None:
    one, two = KIT.divided("2of3"), KIT.divided("2of3")
    assert {share.set_id for share in one} != {share.set_id for share in two}
    assert "different kits" in refusal(one[0].text, two[1].text)
    assert KIT.entropy.hex() not in " ".join(map(repr, one)) and one[0].text not in repr(one[0])


def test_a_wrong_word_is_named_by_its_place_and_never_the_right_one() -> None:
    share, other = KIT.divided("2of3")[:2]
    listed, chance = list(places()), random.Random(7)
    for place in range(33):
        words = share.text.split()
        right, words[place] = words[place], chance.choice([word for word in listed if word != words[place]])
        told = refusal(other.text, " ".join(words))
        assert told == f"share 2: word {place + 1} is not the one that was printed"
        words[place] = "elpisque"
        assert refusal(other.text, " ".join(words)) == f"share 2: word {place + 1} is not in the list of words"
        assert right not in told.split()


def test_several_wrong_words_are_found() -> None:
    share, other = KIT.divided("2of3")[:2]
    words = share.text.split()
    words[4], words[5], words[6] = "academic", "acid", "zero"
    assert "not as printed" in refusal(" ".join(words), other.text)
    assert refusal(" ".join(share.text.split()[:-1]), other.text) == "share 1 has 32 words, not 33"


@pytest.mark.parametrize("language", ["fr", "en"])
def test_words_typed_wrong_are_named_by_their_place(language: str) -> None:
    words = KIT.words(language)
    assert RecoveryKit.read(" ".join(f"{place}. {word}" for place, word in enumerate(words, 1))) == KIT
    assert refusal(" ".join(words[:-1])) == "23 words are here, a recovery kit has 24"
    assert refusal(" ".join([*words[:9], "elpisque", *words[10:]])) == "word 10 is not in the list of words"
    assert refusal(" ".join([words[1], words[0], *words[2:]])) == "these are not the words of a recovery kit"
    assert "words of a recovery kit" in refusal("")


def test_a_kit_is_divided_in_two_ways_only() -> None:
    with pytest.raises(InputRefused):
        KIT.divided("1of3")


def test_shares_that_do_not_fit_together_are_refused() -> None:
    """Right checksums, one set number: only the proof inside tells."""
    from dataclasses import replace as changed

    from shamir_mnemonic.share import Share as Raw

    one, two = KIT.divided("2of3")[:2]
    raw = Raw.from_mnemonic(one.text)
    wrong = changed(raw, value=bytes([raw.value[0] ^ 1]) + raw.value[1:]).mnemonic()
    assert refusal(wrong, two.text) == "these shares do not fit together"
    with pytest.raises(UnlockFailed):
        combine([])
    assert isinstance(read_share(one.text.upper().split()), Share)


def test_shares_open_a_vault(vault: Vault, passphrase: str) -> None:
    shares: list[Share] = []
    vault.replace_kit(passphrase, lambda kit: shares.extend(kit.divided("3of5")))
    path = vault.path
    vault.lock()
    with pytest.raises(UnlockFailed):
        Vault.recover(path, shares[0].text + "\n\n" + shares[1].text, "une autre phrase")
    Vault.recover(path, "\n\n".join(share.text for share in shares[2:]), "une autre phrase").lock()
    Vault.unlock(path, "une autre phrase").lock()


def test_a_kit_that_could_not_be_delivered_replaces_nothing(
    vault: Vault, passphrase: str, made: dict[str, tuple[Path, RecoveryKit]]
) -> None:
    def full(_kit: RecoveryKit) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        vault.replace_kit(passphrase, full)
    path = vault.path
    vault.lock()
    Vault.recover(path, " ".join(made[""][1].words()), "une autre phrase").lock()
