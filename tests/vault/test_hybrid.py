"""Suite 2: sealing to a person under two key agreements; who gets it, and that nobody gets less than before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec.vectors.kem import encapsulate
from tests.parties import START, Parties
from tests.persons import DOCTOR, INBOX, NOW, card_of, person
from vault import Document, Vault
from vault.errors import BadKey, CannotOpen, Malformed, SuiteRefused
from vault.hybrid import OVERHEAD, PUBLIC, check_public, derive_public, derive_seed, open_hybrid, seal_hybrid
from vault.identity import Identity, make_card, print_card, read_card
from vault.primitives import HYBRID, SUITE, BoxKey
from vault.statement import open_statement, seal_statement


def hybrid_person(name: str = "Ndiaye Awa", role: str = "doctor") -> Identity:
    plain = person(name, role)
    return replace(plain, box=BoxKey.from_secret(plain.box.secret, derive_seed(plain.sign.seed)))


WHO = hybrid_person()
SEED = derive_seed(WHO.sign.seed)
KEM = derive_public(SEED)
WHOLE, SHORT = (make_card(WHO, now=NOW, short=short, **INBOX) for short in (False, True))  # type: ignore[arg-type]
SEALED = seal_hybrid(KEM, WHO.box.public, b"for one person")


def test_only_both_secrets_together_open() -> None:
    assert open_hybrid(SEED, WHO.box.secret, SEALED) == b"for one person"
    assert len(SEALED) == OVERHEAD + len(b"for one person") and len(KEM) == PUBLIC
    other = hybrid_person("Petit Jean")
    for seed, secret in (
        (derive_seed(other.sign.seed), WHO.box.secret),
        (SEED, other.box.secret),
        (derive_seed(WHO.box.secret), WHO.box.secret),
    ):
        with pytest.raises(CannotOpen):
            open_hybrid(seed, secret, SEALED)


@settings(max_examples=200)
@given(st.integers(0, len(SEALED) * 8 - 1))
def test_every_bit_gives_one_uniform_error(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen) as caught:
        open_hybrid(SEED, WHO.box.secret, bytes(flipped))
    assert str(caught.value) == "cannot be opened"


def test_keys_that_are_none() -> None:
    for public, box, failure in (
        (b"\xff" * PUBLIC, WHO.box.public, BadKey),
        (KEM, bytes(32), BadKey),
        (KEM[:-1], WHO.box.public, Malformed),
        (KEM, WHO.box.public[:-1], Malformed),
    ):
        with pytest.raises(failure):
            seal_hybrid(public, box, b"x")
    with pytest.raises(BadKey):
        check_public(b"\xff" * PUBLIC)
    with pytest.raises(Malformed):
        open_hybrid(SEED[:-1], WHO.box.secret, SEALED)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@settings(max_examples=10, deadline=None)
def test_an_encapsulation_written_from_the_standard_is_the_librarys(signing: bytes, seed: bytes) -> None:
    """The vectors' own ML-KEM and the library's agree on the secret: neither is wrong alone."""
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    secret, ciphertext = encapsulate(derive_public(derive_seed(signing)), seed)
    assert MLKEM768PrivateKey.from_seed_bytes(derive_seed(signing)).decapsulate(ciphertext) == secret


def test_the_suite_before_the_box_is_the_one_that_was_signed() -> None:
    plain = make_card(DOCTOR, now=NOW)
    assert open_statement(WHO.box, seal_statement(WHO.box.public, plain)) == plain
    assert open_statement(WHO.box, seal_statement(WHO.box.public, WHOLE, KEM)) == WHOLE
    for sealed, failure in (
        (seal_statement(WHO.box.public, plain, KEM), SuiteRefused),
        (seal_statement(WHO.box.public, WHOLE), SuiteRefused),
        (b"\3" + seal_statement(WHO.box.public, plain)[1:], SuiteRefused),
        (b"\2" + seal_statement(WHO.box.public, plain)[1:], CannotOpen),
        (b"\1" + seal_statement(WHO.box.public, WHOLE, KEM)[1:], CannotOpen),
        (b"", CannotOpen),
    ):
        with pytest.raises(failure):
            open_statement(WHO.box, sealed)
    with pytest.raises(CannotOpen):
        open_statement(DOCTOR.box, seal_statement(DOCTOR.box.public, WHOLE, KEM))  # no key for suite 2


def test_a_card_carries_the_key_and_a_short_one_its_hash() -> None:
    whole, short, plain = read_card(WHOLE), read_card(SHORT), card_of(DOCTOR)
    assert (whole.suite, short.suite, plain.suite) == (HYBRID, HYBRID, SUITE)
    assert whole.need_kem() == KEM and plain.need_kem() is None
    assert whole.kem_hash == short.kem_hash and whole.id == short.id
    with pytest.raises(SuiteRefused):
        short.need_kem()
    assert len(print_card(SHORT)) < 800 < 2000 < len(print_card(WHOLE)) < 2953, "a QR code of version 40 holds 2953"


def test_what_a_vault_seals_is_of_suite_2_and_arrives(vault_factory: object) -> None:
    parties = Parties(vault_factory)  # type: ignore[arg-type]
    _, exchange, doctor = parties.professional()
    _, _, second = parties.professional("Petit Jean")
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=600)
    parties.holder.sharing.grant(second, [letter], right="read", purpose="", seconds=600)
    exchange.deposit(parties.holder.people.card(), [(Document(title="R"), {})])
    rows = parties.holder.store.rows("SELECT payload FROM outbox WHERE verb = 'append'")
    assert [row[0][0] for row in rows] == [HYBRID] * 3, "two packages and a renewal"
    parties.exchange.sync()
    exchange.sync()
    assert exchange.open(letter).document.title == "Lettre"
    assert {summary.title for summary in parties.holder.list().documents} == {"Lettre", "R"}


def test_who_has_no_key_for_suite_2_gets_suite_1(vault_factory: object) -> None:
    parties = Parties(vault_factory)  # type: ignore[arg-type]
    vault, exchange, _ = parties.professional()
    parties.holder.store.run("DELETE FROM person")
    old = replace(vault.identity, box=BoxKey.from_secret(vault.identity.box.secret))
    vault.__dict__["identity"] = old
    vault.__dict__.pop("people")
    doctor = parties.introduce(vault)
    assert doctor.card.suite == SUITE
    letter = parties.letter()
    parties.holder.sharing.grant(doctor, [letter], right="read", purpose="", seconds=600)
    parties.exchange.sync()
    exchange.sync()
    assert exchange.open(letter).document.title == "Lettre"


@pytest.fixture
def holder(vault_factory: object) -> Vault:
    return vault_factory(clock=lambda: START)  # type: ignore[operator, no-any-return]


def test_a_persons_suite_never_falls(holder: Vault) -> None:
    plain = person(WHO.name, WHO.role)
    old, new = make_card(plain, now=NOW - 1), make_card(plain, now=NOW + 1)
    holder.people.add(old, met=True)
    assert holder.people.find("Ndiaye").card.suite == SUITE
    holder.people.add(WHOLE)
    assert holder.people.find("Ndiaye").card.need_kem() == KEM
    for lesser in (new, make_card(plain, now=NOW)):
        with pytest.raises(SuiteRefused) as caught:
            holder.people.add(lesser)
        assert caught.value.facts == {"suite": SUITE, "minimum": HYBRID}
    assert holder.people.add(old).card.data == WHOLE, "an old card changes nothing"
    with pytest.raises(SuiteRefused):
        holder.people.key_for(read_card(old))
    with pytest.raises(SuiteRefused):
        holder.feeding.deposit(read_card(make_card(plain, now=NOW - 1, **INBOX)), Document(title="x"), {})  # type: ignore[arg-type]


def test_a_short_card_alone_seals_nothing_and_takes_nothing_away(holder: Vault) -> None:
    holder.people.set_relay("https://relay.example", b"k" * 32)
    known = holder.people.add(SHORT, met=True)
    assert known.reason == "suite-refused"
    document = holder.add(Document(title="Lettre"))
    with pytest.raises(SuiteRefused):
        holder.sharing.grant(known, [document], right="read", purpose="", seconds=60)
    with pytest.raises(SuiteRefused):
        holder.feeding.deposit(read_card(SHORT), Document(title="x"), {})
    assert holder.sharing.grants() == ()
    holder.people.add(WHOLE)
    newer = make_card(WHO, now=NOW + 9, short=True, **INBOX)  # type: ignore[arg-type]
    both = holder.people.add(newer)
    assert (both.card.data, both.card.need_kem()) == (newer, KEM)
    assert holder.people.key_for(read_card(newer)) == KEM
    other = Identity(WHO.name, WHO.role, WHO.sign, BoxKey.from_secret(WHO.box.secret, derive_seed(b"x" * 32)))
    changed = holder.people.add(make_card(other, now=NOW + 10, short=True, **INBOX))  # type: ignore[arg-type]
    with pytest.raises(SuiteRefused):
        changed.card.need_kem()


def test_nothing_is_imported_before_it_is_needed() -> None:
    """A list of documents, a lock, a relay: none of them pays for a second library."""
    rooms = "tui.cli, vault.vault, vault.sharing, vault.people, sync.exchange, sync.relay.app"
    code = f"import sys, {rooms}; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
