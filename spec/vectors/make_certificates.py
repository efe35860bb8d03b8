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
from spec.vectors.writing import Vectors, fixed
from vault import certificate, log
from vault.encoding import encode
from vault.errors import RoleDenied
from vault.primitives import SigningKey, hash32

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
    return [_authority(), _log(), _bulletin(), _certificate(), _role()]


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


# A log with other people's certificates around the one in question: their statements need not be readable here.
BEFORE, AFTER = [fixed(f"certificate {n}", 200) for n in range(5)], [fixed("certificate 6", 200)]
SECOND: dict[str, Any] = {"number": 2, "made": NOW + DAY, "next": NOW + 9 * DAY}
OTHER_PUBLIC = OTHER_AUTHORITY_KEY.public


def leaves_of(certificate_data: bytes) -> list[bytes]:
    return [log.derive_leaf(entry) for entry in (*BEFORE, certificate_data, *AFTER)]


def head(
    leaves: list[bytes], key: SigningKey = AUTHORITY_KEY, signer: SigningKey | None = None, **changes: Any
) -> bytes:
    fields = {
        "suite": 1, "authority": key.public, "size": len(leaves), "root": log.derive_root(leaves), "time": NOW,
    }  # fmt: skip
    return signed("log-head", fields | changes, signer or key)


def logged(data: bytes, **changes: Any) -> bytes:
    """The file of a certificate: in the log, with its proof."""
    leaves, index = leaves_of(data), len(BEFORE)
    fields = {"certificate": data, "head": head(leaves), "index": index, "path": log.make_path(leaves, index)}
    return encode(fields | changes)


def revocations(signer: SigningKey = AUTHORITY_KEY, **changes: Any) -> bytes:
    fields = {
        "suite": 1, "authority": AUTHORITY_KEY.public, "number": 1, "made": NOW, "next": NOW + 30 * DAY, "entries": [],
    }  # fmt: skip
    return signed("revocations", fields | changes, signer)


def bulletin(leaves: list[bytes], start: int = 0, /, **changes: Any) -> bytes:
    extract = log.make_extract(leaves, start)
    fields = {
        "authority": AUTHORITY,
        "list": revocations(),
        "head": head(leaves),
        "start": start,
        "peaks": list(extract.peaks),
        "leaves": b"".join(extract.leaves),
    }
    return encode(fields | changes)


def _log() -> Vectors:
    vectors = Vectors("log")
    for count in (0, 1, 2, 3, 5, 8, 13):
        entries = [b"entry %d" % n for n in range(count)]
        leaves = [log.derive_leaf(entry) for entry in entries]
        output = {"root": log.derive_root(leaves), "paths": [log.make_path(leaves, at) for at in range(count)]}
        about = f"a log of {count}: its root and every proof of inclusion"
        vectors.valid(f"{count:02d}", about, {"entries": entries}, output)
    return vectors


def _bulletin() -> Vectors:
    vectors = Vectors("bulletin")
    some, more = ([log.derive_leaf(b"entry %d" % n) for n in range(count)] for count in (5, 9))
    other = [log.derive_leaf(b"other"), *more[1:]]
    revoked = [{"certificate": one, "time": NOW} for one in sorted((fixed("revoked 1"), fixed("revoked 2")))]
    second = revocations(**SECOND, entries=revoked)

    def given(*bulletins: bytes, **changes: Any) -> dict[str, Any]:
        return {"bulletins": list(bulletins)} | changes

    def told(leaves: list[bytes], number: int = 1, **changes: Any) -> dict[str, Any]:
        listed = [entry["certificate"] for entry in revoked] if number == 2 else []
        until = SECOND["next"] if number == 2 else NOW + 30 * DAY
        base = {"number": number, "next": until, "revoked": listed, "size": len(leaves)}
        return base | {"root": log.derive_root(leaves), "promised": []} | changes

    seed = {"seed": AUTHORITY_KEY.seed}
    statement = signed("certificate", certificate_fields(), AUTHORITY_KEY)
    held, whole = logged(statement), leaves_of(statement)
    known = whole[: len(BEFORE)]
    ahead: dict[str, Any] = {"certificates": [held]}
    for name, description, bulletins, more_given, output in (
        ("first", "an authority's file", [bulletin(some)], seed, told(some)),
        ("empty", "before anybody was certified", [bulletin([])], seed, told([])),
        ("extract", "a log that is not given whole", [bulletin(more, 7)], seed, told(more)),
        (
            "grown",
            "more certificates, two of them revoked",
            [bulletin(some), bulletin(more, list=second)],
            seed,
            told(more, 2),
        ),
        (
            "grown-extract",
            "a newer file that reaches back far enough",
            [bulletin(some), bulletin(more, 5, list=second)],
            seed,
            told(more, 2),
        ),
        (
            "older",
            "an older file after a newer one changes nothing",
            [bulletin(more, list=second), bulletin(some)],
            {},
            told(more, 2),
        ),
        (
            "promised",
            "a certificate that is newer than the file",
            [bulletin(known)],
            ahead,
            told(known, promised=[len(whole)]),
        ),
        (
            "promise-kept",
            "... and the next file holds it",
            [bulletin(known), bulletin(whole, list=second)],
            ahead,
            told(whole, 2),
        ),
    ):
        vectors.valid(name, description, given(*bulletins, **more_given), output)

    def refused(name: str, description: str, failure: str, *bulletins: bytes, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(*bulletins, **changes))

    broken = bulletin([*known, *(log.derive_leaf(b"x%d" % n) for n in range(4))], list=second)
    shorter = bulletin(some, list=second, head=head(some, time=NOW + DAY))
    earlier = bulletin(more, list=second, head=head(more, time=NOW - DAY))
    for name, description, before, after, changes in (
        (
            "promise-broken",
            "a certificate came with a head that the next file does not hold",
            bulletin(known),
            broken,
            ahead,
        ),
        ("fork", "a newer file of another history", bulletin(some), bulletin(other, list=second), {}),
        ("fork-same-size", "the same size, another root", bulletin(more), bulletin(other, list=second), {}),
        ("shrunk", "later, and shorter", bulletin(more), shorter, {}),
        ("grown-earlier", "longer, and earlier", bulletin(some), earlier, {}),
        ("two-lists", "two lists of one number", bulletin(some), bulletin(some, list=revocations(entries=revoked)), {}),
    ):
        refused(name, description, "authority-contradiction", before, after, **changes)
    far = bulletin(more, 7, list=second)
    refused("no-overlap", "a newer file that does not reach back", "not-certified", bulletin(some), far)
    for name, description, failure, changes in (
        ("authority-forged", "an authority that did not sign itself", "bad-signature", {"authority": _false()}),
        ("list-forged", "a list by another key", "bad-signature", {"list": revocations(OTHER_AUTHORITY_KEY)}),
        ("list-other", "another authority's list", "bad-signature", {"list": _of_other_list()}),
        (
            "list-named-other",
            "a list in another's name",
            "bad-signature",
            {"list": revocations(authority=OTHER_PUBLIC)},
        ),
        ("list-suite-2", "a list of an unknown suite", "suite-refused", {"list": revocations(suite=2)}),
        ("list-number-0", "a list without a number", "malformed", {"list": revocations(number=0)}),
        ("list-no-time", "a list that ends when it starts", "malformed", {"list": revocations(next=NOW)}),
        ("list-31-days", "for more than 30 days", "not-certified", {"list": revocations(next=NOW + 30 * DAY + 1)}),
        ("list-order", "entries in another order", "malformed", {"list": revocations(entries=revoked[::-1])}),
        ("list-twice", "one certificate twice", "malformed", {"list": revocations(entries=revoked[:1] * 2)}),
        ("list-a-head", "a head where the list belongs", "malformed", {"list": head(some)}),
        ("head-forged", "a head by another key", "bad-signature", {"head": head(some, signer=OTHER_AUTHORITY_KEY)}),
        ("head-named-other", "a head in another's name", "bad-signature", {"head": head(some, authority=OTHER_PUBLIC)}),
        ("head-suite-2", "a head of an unknown suite", "suite-refused", {"head": head(some, suite=2)}),
        ("root-other", "a root that no leaves give", "verification-failed", {"head": head(some, root=fixed("root"))}),
        ("leaf-changed", "one leaf changed", "verification-failed", {"leaves": b"".join(other[:5])}),
        ("leaf-missing", "one leaf less than the head says", "malformed", {"leaves": b"".join(some[:4])}),
        ("leaf-cut", "a leaf that is cut", "malformed", {"leaves": b"".join(some)[:-1]}),
        ("peak-extra", "a peak before the first leaf", "malformed", {"peaks": [fixed("peak")]}),
        ("field-unknown", "one field more", "malformed", {"name": "Order"}),
    ):
        refused(name, description, failure, bulletin(some, **changes))
    refused("peak-missing", "one peak less than there are trees", "malformed", bulletin(more, 7, peaks=[]))
    refused("start-other", "another start", "malformed", bulletin(more, 7, start=8))
    refused("trailing", "one byte more", "malformed", bulletin(some) + b"\0")
    return vectors


def _false() -> bytes:
    fields = {"suite": 1, "name": "Order of Examples", "sign": AUTHORITY_KEY.public, "made": NOW}
    return signed("authority", fields, OTHER_AUTHORITY_KEY)


def _of_other_list() -> bytes:
    return revocations(OTHER_AUTHORITY_KEY, authority=OTHER_PUBLIC)


def _file(data: bytes, **changes: Any) -> dict[str, Any]:
    """What a vector is given when the file around the certificate is another one."""
    return {"data": logged(data, **changes)}


def _certificate() -> Vectors:
    vectors = Vectors("certificate")

    def given(statement: bytes, **changes: Any) -> dict[str, Any]:
        """The certificate in its log, and a file of the authority that covers it."""
        told = {"data": logged(statement), "bulletins": [bulletin(leaves_of(statement))], "card": make_card(DOCTOR)}
        return told | {"now": NOW + DAY} | changes

    def certified(**changes: Any) -> bytes:
        return signed("certificate", certificate_fields(**changes), AUTHORITY_KEY)

    good = certified()
    told = {"id": "10001234567", "name": DOCTOR.name, "role": "doctor", "until": NOW + 90 * DAY, "hash": hash32(good)}
    whole = bulletin(leaves_of(good))
    fresh = revocations(number=9, made=NOW + 80 * DAY, next=NOW + 99 * DAY)
    late = {"bulletins": [whole, bulletin(leaves_of(good), list=fresh)]}
    vectors.valid("doctor", "a doctor's, 90 days", given(good, seed=AUTHORITY_KEY.seed), told)
    vectors.valid("first-second", "at its first second", given(good, now=NOW), told)
    vectors.valid("last-second", "at its last second", given(good, now=NOW + 90 * DAY - 1, **late), told)
    respelt = signed("card", card_fields(DOCTOR, name="doctor  EXAMPLE"), DOCTOR.sign)
    vectors.valid("name-respelt", "the card spells the name in other case and spacing", given(good, card=respelt), told)
    before = [bulletin(leaves_of(good)[: len(BEFORE)])]
    vectors.valid("newer", "logged after the newest file that is known", given(good, bulletins=before), told)
    someone = [{"certificate": fixed("somebody"), "time": NOW}]
    listed = [bulletin(leaves_of(good), list=revocations(entries=someone))]
    vectors.valid("other-revoked", "somebody else's is revoked", given(good, bulletins=listed), told)

    def refused(name: str, description: str, failure: str, statement: bytes = good, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(statement, **changes))

    order = {"authority": OTHER_AUTHORITY, "list": _of_other_list(), "head": head([], OTHER_AUTHORITY_KEY)}
    refused("other-authority", "not by the pinned authority", "not-certified", bulletins=[bulletin([], **order)])
    forged = signed("certificate", certificate_fields(), OTHER_AUTHORITY_KEY)
    refused("forged", "names the pinned authority, signed by another", "bad-signature", forged)
    by_doctor = signed("certificate", certificate_fields(), DOCTOR.sign)
    refused("self-signed", "signed by the professional", "bad-signature", by_doctor)
    withdrawn = revocations(entries=[{"certificate": hash32(good), "time": NOW}])
    gone = [bulletin(leaves_of(good), list=withdrawn)]
    refused("revoked", "withdrawn by its authority", "not-certified", bulletins=gone)
    refused("list-too-old", "at the second when the list ends", "not-certified", now=NOW + 30 * DAY)
    plain = leaves_of(b"another certificate")
    path, theirs = log.make_path(leaves_of(good), 5), {"head": head(plain), "path": log.make_path(plain, 5)}
    for name, description, changes in (
        ("not-logged", "with the proof of another certificate", theirs),
        ("index-other", "at another place", {"index": 4}),
        ("index-beyond", "at a place beyond the log", {"index": 7}),
        ("path-short", "a proof without its last step", {"path": path[:-1]}),
        ("path-long", "a proof with a step more", {"path": [*path, path[0]]}),
        ("path-swapped", "a proof in another order", {"path": path[::-1]}),
    ):
        refused(name, description, "not-certified", **_file(good, **changes))
    by_other, newer = head(leaves_of(good), signer=OTHER_AUTHORITY_KEY), head(leaves_of(good), suite=2)
    refused("head-forged", "a head by another key", "bad-signature", **_file(good, head=by_other))
    refused("head-suite-2", "a head of an unknown suite", "suite-refused", **_file(good, head=newer))
    refused("plain", "a certificate without its place in the log", "malformed", data=good)
    refused("fork", "its log is not the one that is known", "authority-contradiction", bulletins=[bulletin(plain)])
    refused("before", "one second before it starts", "expired", now=NOW - 1)
    refused("after", "at the second when it ends", "expired", now=NOW + 90 * DAY, **late)
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
