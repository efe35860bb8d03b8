"""spec/grant.md: packages, renewals, halves, wraps: what a reader refuses, one failure at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.wire import derive_half_tag as relay_half_tag
from tests.persons import DAY, DOCTOR, HOLDER, NOW, OTHER, seed
from vault.encoding import Shape
from vault.errors import (
    BadSignature,
    CannotOpen,
    Expired,
    Malformed,
    RoleDenied,
    SuiteRefused,
    VaultError,
    WrongRecipient,
)
from vault.grant import (
    GRANT,
    MAX_ITEMS,
    MAX_SECONDS,
    MAX_TITLE,
    PACKAGE,
    RENEWAL,
    Body,
    Content,
    Item,
    derive_half_tag,
    derive_item_key,
    make_body,
    message_type,
    open_package,
    open_renewal,
    renewal_number,
    seal,
    seal_renewal,
    unwrap,
    wrap,
)
from vault.primitives import SigningKey
from vault.statement import make_statement, open_statement, seal_statement

S1, S2 = seed("S1"), seed("S2")
READER = SigningKey.from_seed(seed("reader"))


def item(name: str, **changes: Any) -> Item:
    fields = {
        "document": seed(f"{name} document")[:16], "epoch": 1, "edition": seed(f"{name} edition"),
        "tag": seed(f"{name} tag")[:16], "mailbox": seed(f"{name} mailbox"),
    }  # fmt: skip
    return Item(**(fields | changes))


ITEMS = [item("medications"), item("letter", epoch=3)]
CONTENTS = [
    Content(seed("key 1"), seed("read 1"), seed("append 1"), "Traitements", "medications"),
    Content(seed("key 2"), seed("read 2"), None, "Lettre", "clinical"),
]


def fields_of(**changes: Any) -> dict[str, Any]:
    fields = {
        "number": seed("number"), "issuer_sign": HOLDER.sign.public, "issuer_box": HOLDER.box.public,
        "issuer_name": HOLDER.name, "grantee_sign": DOCTOR.sign.public, "grantee_box": DOCTOR.box.public,
        "role": "doctor", "right": "edit", "purpose": "consultation", "made": NOW, "not_before": NOW,
        "until": NOW + DAY, "openings": None, "offline": 0, "relay": "https://relay.example",
        "relay_key": seed("relay"), "roster": bytes(32),
    }  # fmt: skip
    return fields | changes


def wraps_of(body: Body, items: list[Item] = ITEMS) -> list[bytes]:
    number = body.hash
    return [
        wrap(derive_item_key(S1, derive_half_tag(S2, i.tag), number, i.tag), content, number, i)
        for i, content in zip(items, CONTENTS, strict=False)
    ]


BODY = make_body(fields_of(), ITEMS)
WRAPS = wraps_of(BODY)


def statement(
    outer: dict[str, Any] | None = None,
    signer: SigningKey = HOLDER.sign,
    packer: SigningKey | None = None,
    **changes: Any,
) -> bytes:
    inner = {"suite": 1, "items": [i.fields() for i in ITEMS]} | fields_of() | changes
    package = {
        "suite": 1, "recipient": DOCTOR.box.public, "grant": make_statement("grant", GRANT, inner, signer), "half": S1,
        "reader": READER.seed, "wraps": WRAPS,
    } | (outer or {})  # fmt: skip
    return make_statement("package", PACKAGE, package, packer or signer)


def test_a_grant_travels_and_its_documents_open() -> None:
    sealed = seal(HOLDER, BODY, S1, READER.seed, WRAPS)
    data = open_statement(DOCTOR.box, sealed)
    assert message_type(data) == "package"
    package = open_package(data, DOCTOR, NOW)
    assert package.hash == BODY.hash and package.items == tuple(ITEMS) and package.reader == READER.seed
    for i, wrapped, content in zip(package.items, package.wraps, CONTENTS, strict=True):
        key = derive_item_key(package.half, relay_half_tag(S2, i.tag), package.hash, i.tag)
        assert unwrap(key, wrapped, package.hash, i) == content


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (statement(suite=2), SuiteRefused),
        (statement(outer={"suite": 3}), SuiteRefused),
        (statement(signer=OTHER.sign), BadSignature),
        (statement(packer=OTHER.sign), BadSignature),
        (statement(outer={"recipient": OTHER.box.public}), WrongRecipient),
        (statement(grantee_sign=OTHER.sign.public), WrongRecipient),
        (statement(grantee_box=OTHER.box.public), WrongRecipient),
        (statement(role="insurer"), RoleDenied),
        (statement(role="astrologer"), RoleDenied),
        (statement(until=NOW), Expired),
        (statement(not_before=NOW + DAY), Malformed),
        (statement(not_before=0, until=MAX_SECONDS + NOW), Malformed),
        (statement(outer={"wraps": WRAPS[:1]}), Malformed),
        (statement(items=[], outer={"wraps": []}), Malformed),
        (statement(items=[ITEMS[0].fields()] * 2), Malformed),
        (statement(items=[ITEMS[0].fields(), item("letter", tag=ITEMS[0].tag).fields()]), Malformed),
        (statement(items=[ITEMS[0].fields(), item("letter", mailbox=ITEMS[0].mailbox).fields()]), Malformed),
        (statement(outer={"grant": b"\xa0"}), Malformed),
    ],
)
def test_what_a_reader_of_packages_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        open_package(data, DOCTOR, NOW)


def test_a_grant_sealed_again_to_somebody_else_is_refused() -> None:
    data = open_statement(DOCTOR.box, seal(HOLDER, BODY, S1, READER.seed, WRAPS))
    again = open_statement(OTHER.box, seal_statement(OTHER.box.public, data))
    with pytest.raises(WrongRecipient):
        open_package(again, OTHER, NOW)


@pytest.mark.parametrize("role", ["insurer", "Mutuelle", "employer", "astrologer", ""])
def test_there_is_no_path_that_seals_to_a_payer(role: str) -> None:
    with pytest.raises(RoleDenied):
        seal(HOLDER, replace(BODY, role=role), S1, READER.seed, WRAPS)
    with pytest.raises(RoleDenied):
        seal_renewal(HOLDER, role, DOCTOR.box.public, seed("number"), ITEMS, WRAPS)
    with pytest.raises(RoleDenied):
        make_body(fields_of(role=role), ITEMS)


KEYS = [derive_item_key(S1, derive_half_tag(S2, i.tag), BODY.hash, i.tag) for i in ITEMS]


def test_wraps_cannot_be_swapped() -> None:
    for key, wrapped, i in (
        (KEYS[0], WRAPS[1], ITEMS[0]), (KEYS[1], WRAPS[0], ITEMS[1]), (KEYS[0], WRAPS[0], ITEMS[1]),
    ):  # fmt: skip
        with pytest.raises(CannotOpen):
            unwrap(key, wrapped, BODY.hash, i)


@pytest.mark.parametrize("change", [{"epoch": 2}, {"mailbox": seed("x")}, {"edition": seed("x")}, {"tag": bytes(16)}])
def test_a_wrap_is_bound_to_its_item(change: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen):
        unwrap(KEYS[0], WRAPS[0], BODY.hash, replace(ITEMS[0], **change))


def test_a_wrap_is_bound_to_its_grant_and_both_halves() -> None:
    with pytest.raises(CannotOpen):
        unwrap(KEYS[0], WRAPS[0], seed("another grant"), ITEMS[0])
    for half, released, number in (
        (seed("x"), derive_half_tag(S2, ITEMS[0].tag), BODY.hash),
        (S1, derive_half_tag(seed("x"), ITEMS[0].tag), BODY.hash),
        (S1, derive_half_tag(S2, ITEMS[1].tag), BODY.hash),
        (S1, derive_half_tag(S2, ITEMS[0].tag), seed("another grant")),
    ):
        with pytest.raises(CannotOpen):
            unwrap(derive_item_key(half, released, number, ITEMS[0].tag), WRAPS[0], BODY.hash, ITEMS[0])


@settings(max_examples=200)
@given(st.integers(0, len(WRAPS[0]) * 8 - 1))
def test_every_bit_of_a_wrap_gives_one_uniform_error(bit: int) -> None:
    flipped = bytearray(WRAPS[0])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen) as caught:
        unwrap(KEYS[0], bytes(flipped), BODY.hash, ITEMS[0])
    assert str(caught.value) == "cannot be opened"


def renewal(signer: SigningKey = HOLDER.sign, **changes: Any) -> bytes:
    fields = {
        "suite": 1, "recipient": DOCTOR.box.public, "number": seed("number"), "items": [i.fields() for i in ITEMS],
        "wraps": WRAPS,
    }  # fmt: skip
    return make_statement("renewal", RENEWAL, fields | changes, signer)


def test_a_renewal_travels() -> None:
    sealed = seal_renewal(HOLDER, "doctor", DOCTOR.box.public, seed("number"), ITEMS, WRAPS)
    data = open_statement(DOCTOR.box, sealed)
    assert (message_type(data), renewal_number(data)) == ("renewal", seed("number"))
    assert open_renewal(data, DOCTOR, HOLDER.sign.public).items == tuple(ITEMS)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (renewal(OTHER.sign), BadSignature),
        (renewal(suite=3), SuiteRefused),
        (renewal(recipient=OTHER.box.public), WrongRecipient),
        (renewal(wraps=[]), Malformed),
        (statement(), Malformed),
    ],
)
def test_what_a_reader_of_renewals_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        open_renewal(data, DOCTOR, HOLDER.sign.public)


def test_the_largest_grant_fits_one_message() -> None:
    items = [item(str(number)) for number in range(MAX_ITEMS)]
    fields = fields_of(issuer_name="\U0001f9ea" * 200, purpose="\U0001f9ea" * 500, role="other_professional")
    body = make_body(fields, items)
    content = Content(seed("k"), seed("r"), seed("a"), "x" * MAX_TITLE, "immunizations")
    wraps = [wrap(seed("key"), content, body.hash, i) for i in items]
    sealed = seal(HOLDER, body, S1, READER.seed, wraps)
    assert len(sealed) <= 1 << 20
    assert len(open_package(open_statement(DOCTOR.box, sealed), DOCTOR, NOW).items) == MAX_ITEMS


def test_every_shape_is_named() -> None:
    assert all(isinstance(shape, Shape) and shape.name for shape in (GRANT, PACKAGE, RENEWAL))
