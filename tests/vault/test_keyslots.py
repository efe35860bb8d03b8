"""Keyslots: one uniform error for everything, the floor, the kit that repairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vault import RecoveryKit, primitives
from vault.errors import InputRefused, NoVault, UnlockFailed
from vault.keys import FILE, Keyslots, VaultKey, write_whole
from vault.passphrase import accept_new, make_passphrase, normal_form, wordlist

VAULT_ID = bytes(range(16))
KEY = VaultKey(bytes(range(32)))
PHRASE = "sept lampes vertes"


@pytest.fixture(autouse=True)
def quick_derivation(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A stand-in for Argon2id with its checks kept: what is tested here is everything around it."""
    asked: list[tuple[int, int]] = []

    def quick(size: int, phrase: bytes, salt: bytes, ops: int, memory: int, alg: int) -> bytes:
        asked.append((ops, memory))
        return primitives.hash32(phrase + salt + f"{ops} {memory}".encode())

    monkeypatch.setattr(primitives.sodium, "crypto_pwhash_alg", quick)
    cached = primitives.derive_passphrase_key
    # The session's cached derivation would answer in place of the stand-in.
    monkeypatch.setattr(primitives, "derive_passphrase_key", getattr(cached, "__wrapped__", cached))
    return asked


@pytest.fixture
def kit() -> RecoveryKit:
    return RecoveryKit(bytes(range(100, 132)))


@pytest.fixture
def slots(tmp_path: Path, kit: RecoveryKit) -> Keyslots:
    return Keyslots.create(tmp_path / "keyslots", VAULT_ID, KEY, PHRASE, kit)


def reason(path: Path, phrase: str) -> tuple[type, str, str, object]:
    """Everything that a failure lets out."""
    with pytest.raises(UnlockFailed) as caught:
        Keyslots.read(path).open_with_passphrase(phrase)
    return (type(caught.value), str(caught.value), caught.value.hint, tuple(caught.value.facts))


def test_both_slots_open_the_same_key(slots: Keyslots, kit: RecoveryKit) -> None:
    read = Keyslots.read(slots.path)
    assert read == slots
    assert read.open_with_passphrase(PHRASE).secret == KEY.secret
    assert read.open_with_kit(kit.entropy).secret == KEY.secret


def test_every_bit_flipped_in_every_keyslot_gives_one_uniform_error(slots: Keyslots) -> None:
    whole = slots.path.read_bytes()
    expected = reason(slots.path, "not the phrase")
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        slots.path.write_bytes(changed)
        assert reason(slots.path, PHRASE) == expected, bit


def test_every_bit_flipped_in_the_kits_slot_gives_one_uniform_error(slots: Keyslots, kit: RecoveryKit) -> None:
    value = FILE.decode(slots.path.read_bytes())
    for name in ("id", "salt", "box"):
        for bit in range(len(value["slots"][1][name]) * 8):
            changed = bytearray(value["slots"][1][name])
            changed[bit // 8] ^= 1 << bit % 8
            damaged = {**value, "slots": [value["slots"][0], {**value["slots"][1], name: bytes(changed)}]}
            slots.path.write_bytes(FILE.encode(damaged))
            with pytest.raises(UnlockFailed):
                Keyslots.read(slots.path).open_with_kit(kit.entropy)


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_cut_or_longer_file_gives_the_same_error(slots: Keyslots, cut: int) -> None:
    whole = slots.path.read_bytes()
    expected = reason(slots.path, "not the phrase")
    for damaged in (whole[:cut], whole + b"\0", whole * 40):
        slots.path.write_bytes(damaged)
        assert reason(slots.path, PHRASE) == expected


@pytest.mark.parametrize(
    ("ops", "memory"), [(2, 256 << 20), (3, 64 << 20), (0, 0), (3, 3 << 30), (11, 256 << 20), (1 << 16, 1 << 40)]
)
def test_kdf_parameters_below_the_floor_or_over_the_ceiling_are_never_hashed(
    slots: Keyslots, quick_derivation: list[tuple[int, int]], ops: int, memory: int
) -> None:
    expected = reason(slots.path, "not the phrase")
    weak = replace(slots, slots=(replace(slots.slots[0], ops=ops, memory=memory), slots.slots[1]))
    weak.with_mac(KEY).write()
    quick_derivation.clear()
    assert reason(slots.path, PHRASE) == expected
    assert quick_derivation == []


def test_a_slot_of_another_vault_is_refused(slots: Keyslots, kit: RecoveryKit, tmp_path: Path) -> None:
    other = Keyslots.create(tmp_path / "other", bytes(16), VaultKey(bytes(32)), PHRASE, kit)
    replace(slots, slots=(other.slots[0], slots.slots[1])).with_mac(KEY).write()
    with pytest.raises(UnlockFailed):
        Keyslots.read(slots.path).open_with_passphrase(PHRASE)


def test_slots_swapped_removed_or_doubled_are_refused(slots: Keyslots) -> None:
    one, two = slots.slots
    for arranged in ((two, one), (one,), (two,), (one, one), (one, two, two), ()):
        replace(slots, slots=arranged).write()
        with pytest.raises(UnlockFailed):
            Keyslots.read(slots.path).open_with_passphrase(PHRASE)


def test_a_slot_under_the_label_of_the_other_kind_is_refused(slots: Keyslots, kit: RecoveryKit) -> None:
    one, two = slots.slots
    replace(slots, slots=(replace(two, kind="passphrase"), replace(one, kind="kit"))).with_mac(KEY).write()
    with pytest.raises(UnlockFailed):
        Keyslots.read(slots.path).open_with_kit(kit.entropy)


def test_the_kit_repairs_a_file_whose_passphrase_slot_is_damaged(slots: Keyslots, kit: RecoveryKit) -> None:
    broken = replace(slots.slots[0], box=bytes(len(slots.slots[0].box)))
    replace(slots, slots=(broken, slots.slots[1])).write()
    read = Keyslots.read(slots.path)
    read.with_passphrase(read.open_with_kit(kit.entropy), "une phrase neuve").write()
    assert Keyslots.read(slots.path).open_with_passphrase("une phrase neuve").secret == KEY.secret


def test_a_sensitive_slot_stays_sensitive(tmp_path: Path, kit: RecoveryKit) -> None:
    slots = Keyslots.create(tmp_path / "keyslots", VAULT_ID, KEY, PHRASE, kit, sensitive=True)
    assert (slots.slots[0].ops, slots.slots[0].memory) == (4, 1 << 30)
    assert slots.with_passphrase(KEY, "une autre").slots[0].memory == 1 << 30


def test_an_unknown_suite_is_refused(slots: Keyslots) -> None:
    value = FILE.decode(slots.path.read_bytes())
    slots.path.write_bytes(FILE.encode({**value, "suite": 2}))
    with pytest.raises(UnlockFailed):
        Keyslots.read(slots.path)


def test_no_file_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(NoVault):
        Keyslots.read(tmp_path / "keyslots")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"one")
    write_whole(tmp_path / "f", b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"two")]


def test_the_kits_words_are_those_of_bip39() -> None:
    from mnemonic import Mnemonic

    for name, language in (("french", "fr"), ("english", "en")):
        kit = RecoveryKit.make()
        official = Mnemonic(name).to_mnemonic(kit.entropy)
        assert [normal_form(word) for word in official.split()] == kit.words(language)
        assert RecoveryKit.from_words(official) == kit
        assert RecoveryKit.from_words(",  ".join(kit.words(language)).upper()) == kit


def test_known_words_of_bip39() -> None:
    """The reference vectors of BIP 39 for 256 bits of zeros and of ones."""
    assert RecoveryKit(bytes(32)).words("en") == ["abandon"] * 23 + ["art"]
    assert RecoveryKit(b"\xff" * 32).words("en") == ["zoo"] * 23 + ["vote"]


@pytest.mark.parametrize("words", ["", "abandon " * 24, "abandon " * 23, "abandon " * 23 + "art art", "x " * 24])
def test_words_that_are_no_kit_are_refused(words: str) -> None:
    with pytest.raises(UnlockFailed):
        RecoveryKit.from_words(words)


def test_accents_do_not_tell_french_words_apart() -> None:
    kit = RecoveryKit(bytes(range(32)))
    bare = normal_form(" ".join(kit.words("fr"))).translate(str.maketrans("éèêàâîôûç", "eeeaaiouc"))
    assert RecoveryKit.from_words(bare) == kit
    for language in ("fr", "en"):
        assert len(set(wordlist(language))) == 2048


def test_the_root_key_follows_from_the_kit_alone(kit: RecoveryKit) -> None:
    assert kit.root_key().public == RecoveryKit(kit.entropy).root_key().public
    assert kit.root_key().public != RecoveryKit(bytes(32)).root_key().public
    assert len(kit.fingerprint()) == 16


def test_a_new_passphrase_is_long_enough_and_offered_ones_are() -> None:
    for refused in ("", "1234567", "       a       ", "x" * 1025):
        with pytest.raises(InputRefused):
            accept_new(refused)
    assert accept_new("12345678") == "12345678"
    for language in ("fr", "en"):
        offered = make_passphrase(language)
        assert accept_new(offered) == offered
        assert len(offered.split()) == 6
