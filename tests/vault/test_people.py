"""Who is known, certified, met or denied; which card counts."""

from __future__ import annotations

import pytest

from tests.parties import AUTHORITY_KEY, START, Parties
from tests.persons import DAY, INBOX, person
from vault import Vault
from vault.authority import Office
from vault.errors import InputRefused, NotCertified, NotFound, RoleDenied, VerificationFailed, WrongRecipient
from vault.identity import Identity, make_card, read_card
from vault.primitives import SigningKey


def certificate_of(
    who: Identity, role: str = "doctor", now: int = START, unique_id: str = "RPPS 1", office: Office | None = None
) -> bytes:
    """By default the one certificate of a log that was empty when AUTHORITY was published."""
    office = office or Office.open("Ordre fictif", AUTHORITY_KEY, START)
    return office.certify(read_card(make_card(who, now=now)), unique_id=unique_id, role=role, now=now, days=30)


DOCTOR = person("Ndiaye Awa", "doctor")
AUTHORITY = Office.open("Ordre fictif", AUTHORITY_KEY, START).bulletin(START)


@pytest.fixture
def clock() -> list[int]:
    return [START]


@pytest.fixture
def holder(vault_factory: object, clock: list[int]) -> Vault:
    return vault_factory(clock=lambda: clock[0])  # type: ignore[operator, no-any-return]


def test_a_stranger_is_known_and_not_granted_to(holder: Vault) -> None:
    added = holder.people.add(make_card(DOCTOR, now=START))
    assert (added.certified, added.reason) == (False, "not-certified")
    with pytest.raises(NotCertified):
        holder.people.need_grantable(added)


def test_a_certificate_of_a_pinned_authority_makes_grantable(holder: Vault) -> None:
    added = holder.people.add(make_card(DOCTOR, now=START), certificate=certificate_of(DOCTOR), authority=AUTHORITY)
    assert (added.certified, added.reason, added.role) == (True, "", "doctor")
    assert holder.people.need_grantable(added) == "doctor"
    assert [authority.name for authority in holder.people.authorities()] == ["Ordre fictif"]


def test_an_authority_that_was_not_pinned_counts_for_nothing(holder: Vault) -> None:
    with pytest.raises(NotCertified):
        holder.people.add(make_card(DOCTOR, now=START), certificate=certificate_of(DOCTOR))
    assert holder.people.list() == ()


def test_a_certificate_that_does_not_fit_leaves_nothing_behind(holder: Vault) -> None:
    with pytest.raises(WrongRecipient):
        holder.people.add(
            make_card(person("Somebody"), now=START), certificate=certificate_of(DOCTOR), authority=AUTHORITY
        )
    assert holder.people.list() == () and holder.people.authorities() == ()


def test_a_payer_is_denied_by_card_and_by_certificate(holder: Vault) -> None:
    stated = holder.people.add(make_card(person("Assur", "insurer"), now=START), met=True)
    proven = person("Mutuelle")
    certified = holder.people.add(
        make_card(proven, now=START), certificate=certificate_of(proven, "mutuelle"), authority=AUTHORITY, met=True
    )
    for payer in (stated, certified):
        assert payer.reason == "role-denied"
        with pytest.raises(RoleDenied):
            holder.people.need_grantable(payer)


def test_who_was_met_needs_no_certificate_but_an_allowed_role(holder: Vault) -> None:
    met = holder.people.add(make_card(DOCTOR, now=START))
    holder.people.set_met(met.id)
    assert holder.people.need_grantable(holder.people.find(met.id)) == "doctor"
    odd = holder.people.add(make_card(person("Odd", "astrologer"), now=START), met=True)
    assert odd.reason == "role-denied"


def test_an_expired_certificate_is_no_longer_enough(holder: Vault, clock: list[int]) -> None:
    holder.people.add(make_card(DOCTOR, now=START), certificate=certificate_of(DOCTOR), authority=AUTHORITY)
    clock[0] += 31 * DAY
    later = holder.people.find("Ndiaye")
    assert (later.certified, later.reason) == (False, "expired")


def test_the_newer_card_counts(holder: Vault) -> None:
    new = make_card(DOCTOR, now=START, **INBOX)  # type: ignore[arg-type]
    holder.people.add(new)
    again = holder.people.add(make_card(DOCTOR, now=START - 1), met=True)
    assert again.card.data == new and again.met


def test_an_old_certificate_for_other_keys_is_not_taken_back(holder: Vault) -> None:
    office = Office.open("Ordre fictif", AUTHORITY_KEY, START)
    good = certificate_of(DOCTOR, office=office)
    holder.people.add(make_card(DOCTOR, now=START), certificate=good, authority=office.bulletin(START))
    false = Identity(DOCTOR.name, "doctor", person("x").sign, person("x").box)
    with pytest.raises(WrongRecipient):
        holder.people.add(make_card(false, now=START), certificate=certificate_of(false, office=office))
    holder.people.add(make_card(false, now=START), certificate=certificate_of(false, unique_id="2", office=office))


def test_a_false_authority_with_the_same_name_is_another(holder: Vault) -> None:
    false = Office.open("Ordre fictif", SigningKey.make(), START).bulletin(START)
    holder.people.pin_authority(false)
    with pytest.raises(NotCertified):
        holder.people.add(make_card(DOCTOR, now=START), certificate=certificate_of(DOCTOR))


def test_nobody_adds_themselves(holder: Vault) -> None:
    with pytest.raises(InputRefused):
        holder.people.add(holder.people.card())


def test_finding_names_one_person(holder: Vault) -> None:
    for name in ("Ndiaye Awa", "Ndiaye Omar"):
        holder.people.add(make_card(person(name, "doctor"), now=START))
    assert holder.people.find("ndiaye awa").name == "Ndiaye Awa"
    for wanted in ("Ndiaye", "nd", "", "Petit"):
        with pytest.raises(NotFound):
            holder.people.find(wanted)


def test_a_relay_that_changes_its_key_is_refused(holder: Vault) -> None:
    holder.people.set_relay("https://relay.example", b"k" * 32)
    with pytest.raises(VerificationFailed):
        holder.people.set_relay("https://relay.example", b"K" * 32)
    assert read_card(holder.people.card()).relay_key == b"k" * 32
    assert holder.people.card_text().startswith("elpis-card:")


def test_a_card_never_pins_a_relay(holder: Vault) -> None:
    holder.people.add(make_card(DOCTOR, now=START, **INBOX))  # type: ignore[arg-type]
    assert holder.people.relay_key("https://relay.example") is None


def test_both_sides_see_one_safety_number(vault_factory: object) -> None:
    parties = Parties(vault_factory)  # type: ignore[arg-type]
    doctor, _, known = parties.professional()
    me = doctor.people.add(parties.holder.people.card())
    assert parties.holder.people.safety_number(known) == doctor.people.safety_number(me)
