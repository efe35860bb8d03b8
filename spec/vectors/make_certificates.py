"""spec/certificate.md: authorities, certificates, roles."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import (
    AUTHORITY,
    AUTHORITY_KEY,
    DAY,
    DOCTOR,
    HOLDER,
    NOW,
    OTHER,
    OTHER_AUTHORITY,
    OTHER_AUTHORITY_KEY,
    card_fields,
    make_card,
    signed,
    without,
)
from spec.vectors.writing import Vectors
from vault import certificate
from vault.errors import RoleDenied
from vault.primitives import hash32

GRANTED = (
    *certificate.ROLES,
    "Doctor",
    " NURSE ",
    "other professional",
    "Other-Professional",
    *sorted(certificate.ALIASES),
)
DENIED = (
    *certificate.DENIED_ROLES, "Insurer", "COMPLEMENTARY INSURER", "complementary-insurer", "Assurance  ", "Ｐａｙｅｒ",
    "émployer", "", "patient", "doctor insurer", "doctor\u200b",
)  # fmt: skip


def make() -> list[Vectors]:
    return [_authority(), _certificate(), _role()]


def _authority() -> Vectors:
    vectors = Vectors("authority")
    fields = {"suite": 1, "name": "Order of Examples", "sign": AUTHORITY_KEY.public, "made": NOW}
    vectors.valid(
        "order", "an authority's public half", {"data": AUTHORITY}, {"name": fields["name"], "sign": fields["sign"]}
    )
    for name, description, failure, data in (
        ("signed-by-other", "signed by another key", "bad-signature", signed("authority", fields, OTHER_AUTHORITY_KEY)),
        ("a-card", "a card where an authority belongs", "malformed", make_card(DOCTOR)),
        ("suite-0", "an unknown suite", "suite-refused", signed("authority", fields | {"suite": 0}, AUTHORITY_KEY)),
        ("no-name", "a field less", "malformed", signed("authority", without(fields, "name"), AUTHORITY_KEY)),
    ):
        vectors.refused(name, description, failure, {"data": data})
    return vectors


def certificate_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "authority": AUTHORITY_KEY.public,
        "id": "10001234567",
        "name": DOCTOR.name,
        "role": "doctor",
        "sign": DOCTOR.sign.public,
        "box": DOCTOR.box.public,
        "from": NOW,
        "until": NOW + 90 * DAY,
    }
    return fields | changes


def _certificate() -> Vectors:
    vectors = Vectors("certificate")

    def given(data: bytes, **changes: Any) -> dict[str, Any]:
        return {"data": data, "authority": AUTHORITY, "card": make_card(DOCTOR), "now": NOW + DAY} | changes

    def certified(**changes: Any) -> bytes:
        return signed("certificate", certificate_fields(**changes), AUTHORITY_KEY)

    good = certified()
    told = {"id": "10001234567", "name": DOCTOR.name, "role": "doctor", "until": NOW + 90 * DAY, "hash": hash32(good)}
    vectors.valid("doctor", "a doctor's, 90 days", given(good, seed=AUTHORITY_KEY.seed), told)
    vectors.valid("first-second", "at its first second", given(good, now=NOW), told)
    vectors.valid("last-second", "at its last second", given(good, now=NOW + 90 * DAY - 1), told)
    respelt = signed("card", card_fields(DOCTOR, name="doctor  EXAMPLE"), DOCTOR.sign)
    vectors.valid("name-respelt", "the card spells the name in other case and spacing", given(good, card=respelt), told)

    def refused(name: str, description: str, failure: str, data: bytes = good, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(data, **changes))

    refused("other-authority", "by an authority that is not the pinned one", "not-certified", authority=OTHER_AUTHORITY)
    forged = signed("certificate", certificate_fields(), OTHER_AUTHORITY_KEY)
    refused("forged", "names the pinned authority, signed by another", "bad-signature", forged)
    refused(
        "self-signed",
        "signed by the professional",
        "bad-signature",
        signed("certificate", certificate_fields(), DOCTOR.sign),
    )
    refused("before", "one second before it starts", "expired", now=NOW - 1)
    refused("after", "at the second when it ends", "expired", now=NOW + 90 * DAY)
    refused("91-days", "valid for more than 90 days", "not-certified", certified(until=NOW + 90 * DAY + 1))
    refused("no-time", "ends when it starts", "malformed", certified(until=NOW))
    refused("other-sign", "for another signing key", "wrong-recipient", certified(sign=OTHER.sign.public))
    refused("other-box", "for another box key", "wrong-recipient", certified(box=OTHER.box.public))
    refused("other-name", "for another name", "wrong-recipient", certified(name="Doctor Exemple"))
    refused("other-card", "shown with somebody else's card", "wrong-recipient", card=make_card(OTHER))
    refused("insurer", "a payer's role, however well certified", "role-denied", certified(role="insurer"))
    refused("insurer-spelt", "a payer's role in other letters", "role-denied", certified(role="Complémentary  Insurer"))
    refused("patient", "a role that is not on the list", "role-denied", certified(role="patient"))
    refused("suite-2", "an unknown suite", "suite-refused", certified(suite=2))
    refused("id-number", "an id that is a number", "malformed", certified(id=10001234567))
    refused("field-unknown", "one field more", "malformed", certified(rights="all"))
    refused("a-card", "a card where a certificate belongs", "malformed", make_card(HOLDER))
    return vectors


def _role() -> Vectors:
    vectors = Vectors("role")
    for index, role in enumerate(GRANTED):
        vectors.valid(
            f"granted-{index:02d}",
            f"a role that may be granted to: {role!r}",
            {"role": role},
            {"role": certificate.check_role(role)},
        )
    for index, role in enumerate(DENIED):
        try:
            certificate.check_role(role)
        except RoleDenied:
            vectors.refused(f"denied-{index:02d}", f"never granted to: {role!r}", "role-denied", {"role": role})
        else:
            raise ValueError(f"the role {role!r} is not denied")
    return vectors
