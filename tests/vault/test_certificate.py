"""spec/certificate.md: who an authority vouches for, for how long, and the roles that nothing is granted to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.persons import DAY, DOCTOR, HOLDER, NOW, OTHER, card_of, person
from vault.certificate import (
    AUTHORITY,
    CERTIFICATE,
    DENIED_ROLES,
    ROLES,
    certify,
    check_certificate,
    check_role,
    fold_role,
    issuer_of,
    make_authority,
    make_logged,
    read_authority,
    read_certificate,
)
from vault.errors import (
    BadSignature,
    Expired,
    InputRefused,
    Malformed,
    NotCertified,
    RoleDenied,
    SuiteRefused,
    WrongRecipient,
)
from vault.log import derive_leaf, derive_root, make_head
from vault.primitives import SigningKey
from vault.statement import make_statement

KEY, ELSE = SigningKey.from_seed(b"a" * 32), SigningKey.from_seed(b"b" * 32)
ORDER = read_authority(make_authority("Ordre", KEY, NOW))
CARD = card_of(DOCTOR)


def logged(statement: bytes, key: SigningKey = KEY) -> bytes:
    """A log that holds this certificate alone."""
    leaf = derive_leaf(statement)
    return make_logged(statement, make_head(key, 1, derive_root([leaf]), NOW), 0, [])


GOOD = logged(certify(KEY, CARD, unique_id="RPPS 1", role="Médecin", now=NOW, days=90))


def changed(key: SigningKey = KEY, **fields: Any) -> bytes:
    body = {
        "suite": 1, "authority": KEY.public, "id": "RPPS 1", "name": DOCTOR.name, "role": "doctor",
        "sign": DOCTOR.sign.public, "box": DOCTOR.box.public, "from": NOW, "until": NOW + DAY,
    }  # fmt: skip
    return logged(make_statement("certificate", CERTIFICATE, body | fields, key))


def test_a_certificate_vouches_for_a_card() -> None:
    read = read_certificate(GOOD, ORDER)
    check_certificate(read, CARD, NOW)
    assert (read.role, read.id, issuer_of(GOOD), len(read.hash)) == ("doctor", "RPPS 1", KEY.public, 32)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (changed(suite=2), SuiteRefused),
        (changed(authority=ELSE.public), NotCertified),
        (changed(key=ELSE), BadSignature),
        (changed(until=NOW), Malformed),
        (changed(until=NOW + 90 * DAY + 1), NotCertified),
    ],
)
def test_what_a_reader_refuses(data: bytes, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        read_certificate(data, ORDER)


@pytest.mark.parametrize("moment", [NOW - 1, NOW + 90 * DAY])
def test_outside_of_its_dates(moment: int) -> None:
    with pytest.raises(Expired):
        check_certificate(read_certificate(GOOD, ORDER), CARD, moment)


def test_for_these_keys_and_this_name_alone() -> None:
    read = read_certificate(GOOD, ORDER)
    with pytest.raises(WrongRecipient):
        check_certificate(read, card_of(OTHER), NOW)
    with pytest.raises(WrongRecipient):
        check_certificate(read_certificate(changed(name="Ndiaye Ava"), ORDER), CARD, NOW)
    check_certificate(read_certificate(changed(name=" NDIAYE   awa "), ORDER), CARD, NOW)


def test_an_authority_issues_nothing_without_an_id_or_for_too_long() -> None:
    for days, unique_id in ((0, "x"), (91, "x"), (30, "  ")):
        with pytest.raises(InputRefused):
            certify(KEY, CARD, unique_id=unique_id, role="doctor", now=NOW, days=days)


def test_an_authority_signs_its_own_key() -> None:
    body = {"suite": 1, "name": "Ordre", "sign": ELSE.public, "made": NOW}
    with pytest.raises(BadSignature):
        read_authority(make_statement("authority", AUTHORITY, body, KEY))
    with pytest.raises(SuiteRefused):
        read_authority(make_statement("authority", AUTHORITY, body | {"suite": 9}, KEY))


@pytest.mark.parametrize("role", DENIED_ROLES)
@pytest.mark.parametrize("dress", [str, str.upper, str.title, lambda r: r.replace("_", " - "), lambda r: f"  {r} "])
def test_a_payers_role_is_denied_however_it_is_spelt(role: str, dress: Any) -> None:
    with pytest.raises(RoleDenied) as caught:
        check_role(dress(role))
    assert caught.value.facts["payer"] is True


@pytest.mark.parametrize(("said", "meant"), [("Médecin", "doctor"), ("SAGE-FEMME", "midwife"), ("Infirmière", "nurse")])
def test_one_word_for_one_role(said: str, meant: str) -> None:
    assert check_role(said) == meant


@given(st.text(max_size=40))
def test_the_list_is_closed(role: str) -> None:
    if fold_role(role) in ROLES:
        assert check_role(role) in ROLES
    else:
        with pytest.raises(RoleDenied):
            check_role(role)


def test_names_are_not_roles() -> None:
    assert person("insurer").name == "insurer" and HOLDER.role == ""
