"""spec/grant.md: packages, renewals, halves, masked keys, labels: what a reader refuses, one failure at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.wire import derive_half_tag as relay_half_tag
from tests.persons import DAY, DOCTOR, HOLDER, NOW, OTHER, seed
from vault.encoding import Shape, encode
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
    MAX_SECONDS,
    PACKAGE,
    RENEWAL,
    make_body,
    message_type,
    open_package,
    open_renewal,
    renewal_number,
    seal,
    seal_renewal,
    terms,
)
from vault.masking import (
    APPEND,
    MAX_ITEMS,
    MAX_LABEL,
    MAX_TITLE,
    READ,
    Content,
    Item,
    columns,
    count_of,
    derive_half_tag,
    derive_half_tags,
    derive_tokens,
    make_tags,
    mask_keys,
    read_items,
    seal_label,
    unwrap,
    values,
)
from vault.primitives import SigningKey, derive_key, derive_keys
from vault.statement import make_statement, open_statement, seal_statement

S1, S2 = seed("S1"), seed("S2")
READER = SigningKey.from_seed(seed("reader"))


def item(name: str, **changes: Any) -> Item:
    fields = {
        "document": seed(f"{name} document")[:16], "epoch": 1, "edition": seed(f"{name} edition"),
        "tag": seed(f"{name} tag")[:16], "mailbox": seed(f"{name} mailbox"),
    }  # fmt: skip
    return Item(**(fields | changes))


def columns_of(items: list[Item]) -> dict[str, bytes]:
    return columns(
        [i.document for i in items], [i.epoch for i in items], [i.edition for i in items], [i.tag for i in items],
        [i.mailbox for i in items],
    )  # fmt: skip


ITEMS = [item("medications"), item("letter", epoch=3)]
COLUMNS = columns_of(ITEMS)
TAGS = [i.tag for i in ITEMS]
HALF_TAGS = derive_half_tags(S2, TAGS)
CHANNEL_KEYS = [seed("key 1"), seed("key 2")]
LABELS = [
    seal_label(key, i.document, i.epoch, i.edition, i.mailbox, title=title, kind=kind)
    for key, i, title, kind in zip(
        CHANNEL_KEYS, ITEMS, ("Traitements", "Lettre"), ("medications", "clinical"), strict=True
    )
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


BODY = make_body(fields_of(), COLUMNS)
KEYS = mask_keys(S1, HALF_TAGS, BODY.hash, TAGS, CHANNEL_KEYS)
MASKED = values(KEYS, 32)


def statement(
    outer: dict[str, Any] | None = None,
    signer: SigningKey = HOLDER.sign,
    packer: SigningKey | None = None,
    **changes: Any,
) -> bytes:
    inner = {"suite": 1, "items": COLUMNS} | fields_of() | changes
    package = {
        "suite": 1, "recipient": DOCTOR.box.public, "grant": make_statement("grant", GRANT, inner, signer), "half": S1,
        "reader": READER.seed, "keys": KEYS, "labels": LABELS,
    } | (outer or {})  # fmt: skip
    return make_statement("package", PACKAGE, package, packer or signer)


def test_a_grant_travels_and_its_documents_open() -> None:
    sealed = seal(HOLDER, BODY, S1, READER.seed, KEYS, LABELS)
    data = open_statement(DOCTOR.box, sealed)
    assert message_type(data) == "package"
    package = open_package(data, DOCTOR, NOW)
    assert package.hash == BODY.hash and package.items == tuple(ITEMS) and package.reader == READER.seed
    opened = []
    for i, masked, label in zip(package.items, package.keys, package.labels, strict=True):
        half_tag = relay_half_tag(S2, i.tag)
        opened.append(unwrap(package.half, half_tag, package.hash, i, masked, label, edit=i is package.items[0]))
    reads, appends = (derive_tokens(S1, label, HALF_TAGS, TAGS) for label in (READ, APPEND))
    assert opened == [
        Content(CHANNEL_KEYS[0], reads[0], appends[0], "Traitements", "medications"),
        Content(CHANNEL_KEYS[1], reads[1], None, "Lettre", "clinical"),
    ]
    assert opened[0].fields()["append"] == appends[0] and len({*reads, *appends}) == 4


def former(kind: str, fields: dict[str, Any]) -> bytes:
    """A statement whose body has wraps, as earlier versions made them."""
    body = encode({"suite": 1, "wraps": [b"wrap"]} | fields)
    return encode({"type": kind, "body": body, "sig": HOLDER.sign.sign(kind, body)})


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
        (statement(outer={"keys": KEYS[:32]}), Malformed),
        (statement(outer={"keys": KEYS[:-1]}), Malformed),
        (statement(outer={"labels": LABELS[:1]}), Malformed),
        (statement(items=columns_of([]), outer={"keys": b"", "labels": []}), Malformed),
        *((statement(items=COLUMNS | {name: column[:-1]}), Malformed) for name, column in COLUMNS.items()),
        (statement(items=columns_of([ITEMS[0], ITEMS[0]])), Malformed),
        (statement(items=columns_of([ITEMS[0], item("letter", document=ITEMS[0].document)])), Malformed),
        (statement(items=columns_of([ITEMS[0], item("letter", tag=ITEMS[0].tag)])), Malformed),
        (statement(items=columns_of([ITEMS[0], item("letter", mailbox=ITEMS[0].mailbox)])), Malformed),
        (statement(items=columns_of([item("medications", epoch=0), ITEMS[1]])), Malformed),
        (statement(items=columns_of([item("medications", epoch=1 << 63), ITEMS[1]])), Malformed),
        (statement(outer={"grant": b"\xa0"}), Malformed),
        (former("package", {"recipient": DOCTOR.box.public}), SuiteRefused),
        (former("renewal", {}), Malformed),
        (encode({"type": "package", "body": encode(1), "sig": bytes(64)}), Malformed),
        (encode({"type": "package", "body": encode({"suite": 1}), "sig": bytes(64)}), Malformed),
        (b"", Malformed),
    ],
)
def test_what_a_reader_of_packages_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        open_package(data, DOCTOR, NOW)


def test_a_grant_sealed_again_to_somebody_else_is_refused() -> None:
    data = open_statement(DOCTOR.box, seal(HOLDER, BODY, S1, READER.seed, KEYS, LABELS))
    again = open_statement(OTHER.box, seal_statement(OTHER.box.public, data))
    with pytest.raises(WrongRecipient):
        open_package(again, OTHER, NOW)


@pytest.mark.parametrize("role", ["insurer", "Mutuelle", "employer", "astrologer", ""])
def test_there_is_no_path_that_seals_to_a_payer(role: str) -> None:
    with pytest.raises(RoleDenied):
        seal(HOLDER, replace(BODY, role=role), S1, READER.seed, KEYS, LABELS)
    with pytest.raises(RoleDenied):
        seal_renewal(HOLDER, role, DOCTOR.box.public, seed("number"), COLUMNS, KEYS, LABELS)
    with pytest.raises(RoleDenied):
        make_body(fields_of(role=role), COLUMNS)


def opened(at: int = 0, **changes: Any) -> Content:
    given = {
        "half": S1, "half_tag": HALF_TAGS[at], "grant_hash": BODY.hash, "item": ITEMS[at], "masked": MASKED[at],
        "label": LABELS[at], "edit": True,
    }  # fmt: skip
    return unwrap(**(given | changes))


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (0, {"masked": MASKED[1]}), (1, {"masked": MASKED[0]}), (0, {"label": LABELS[1]}), (0, {"item": ITEMS[1]}),
        (1, {"masked": MASKED[0], "label": LABELS[0]}), (0, {"masked": CHANNEL_KEYS[0]}),
    ],
)  # fmt: skip
def test_keys_and_labels_cannot_be_moved(at: int, changes: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen):
        opened(at, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2}, {"mailbox": seed("x")}, {"edition": seed("x")}, {"tag": bytes(16)}, {"document": bytes(16)},
    ],
)  # fmt: skip
def test_a_key_and_its_label_are_bound_to_their_item(change: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen):
        opened(item=replace(ITEMS[0], **change))


@pytest.mark.parametrize(
    "changes",
    [
        {"half": seed("x")}, {"half_tag": derive_half_tag(seed("x"), TAGS[0])}, {"half_tag": HALF_TAGS[1]},
        {"half_tag": S2}, {"half_tag": bytes(32)}, {"grant_hash": seed("another grant")},
    ],
)  # fmt: skip
def test_a_masked_key_is_bound_to_its_grant_and_both_halves(changes: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen):
        opened(**changes)


@settings(max_examples=200)
@given(st.integers(0, (32 + len(LABELS[0])) * 8 - 1))
def test_every_bit_of_a_key_and_its_label_gives_one_uniform_error(bit: int) -> None:
    flipped = bytearray(MASKED[0] + LABELS[0])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen) as caught:
        opened(masked=bytes(flipped[:32]), label=bytes(flipped[32:]))
    assert str(caught.value) == "cannot be opened"


def test_a_key_is_masked_by_as_many_bytes_as_it_has() -> None:
    for keys in ([], CHANNEL_KEYS[:1], [*CHANNEL_KEYS, bytes(1)]):
        with pytest.raises(Malformed):
            mask_keys(S1, HALF_TAGS, BODY.hash, TAGS, keys)
    for masked in (MASKED[0][:31], MASKED[0] + b"\0", b""):
        with pytest.raises(Malformed):
            opened(masked=masked)


def test_tags_are_fresh_and_a_column_is_what_single_keys_are() -> None:
    tags = make_tags(1000)
    assert len({*tags, *make_tags(1000)}) == 2000 and {len(tag) for tag in tags} == {16}
    assert make_tags(0) == ()
    assert derive_half_tags(S2, tags) == [derive_half_tag(S2, tag) for tag in tags]
    contexts = [b"", b"context" * 40, b"other", b""]
    assert derive_keys(S1, READ, contexts) == [derive_key(S1, READ, context) for context in contexts]


@pytest.mark.parametrize(("secret", "label", "failure"), [
    (bytes(15), READ, Malformed), (bytes(65), READ, Malformed), (b"", READ, Malformed), (S1, "elpis-x", ValueError),
])  # fmt: skip
def test_many_derivations_refuse_what_one_does(secret: bytes, label: str, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        derive_keys(secret, label, [])
    with pytest.raises(failure):
        derive_key(secret, label)


def test_what_a_reader_refuses_is_never_written() -> None:
    short = COLUMNS | {"tags": TAGS[0]}
    attempts: list[Callable[[], object]] = [
        lambda: make_body(fields_of(), short),
        lambda: make_body(fields_of(), columns_of([])),
        lambda: make_body(fields_of(), columns_of([item(str(number)) for number in range(MAX_ITEMS + 1)])),
        lambda: seal(HOLDER, BODY, S1, READER.seed, KEYS[:32], LABELS),
        lambda: seal(HOLDER, BODY, S1, READER.seed, KEYS, LABELS[:1]),
        lambda: seal(HOLDER, BODY, S1, READER.seed, KEYS, [LABELS[0], bytes(MAX_LABEL + 1)]),
        lambda: seal(HOLDER, BODY, S1, READER.seed, KEYS, [LABELS[0], "x"]),  # type: ignore[list-item]
        lambda: seal_renewal(HOLDER, "doctor", DOCTOR.box.public, seed("number"), short, KEYS, LABELS),
        lambda: seal_renewal(HOLDER, "doctor", DOCTOR.box.public, seed("number"), COLUMNS, KEYS, []),
    ]
    for attempt in attempts:
        with pytest.raises(Malformed):
            attempt()


def test_columns_are_read_as_they_were_written() -> None:
    assert read_items(COLUMNS) == tuple(ITEMS) and count_of(COLUMNS) == 2
    assert read_items(columns_of([item("one", epoch=(1 << 63) - 1)]))[0].epoch == (1 << 63) - 1


def test_the_terms_of_a_grant_are_known_in_any_form() -> None:
    assert terms(make_body(fields_of(offline=60, openings=3), COLUMNS).data) == (60, 3)
    assert terms(encode(fields_of() | {"items": [{"document": bytes(16)}]})) == (0, None)


def renewal(signer: SigningKey = HOLDER.sign, **changes: Any) -> bytes:
    fields = {
        "suite": 1, "recipient": DOCTOR.box.public, "number": seed("number"), "items": COLUMNS, "keys": KEYS,
        "labels": LABELS,
    }  # fmt: skip
    return make_statement("renewal", RENEWAL, fields | changes, signer)


def test_a_renewal_travels() -> None:
    sealed = seal_renewal(HOLDER, "doctor", DOCTOR.box.public, seed("number"), COLUMNS, KEYS, LABELS)
    data = open_statement(DOCTOR.box, sealed)
    assert (message_type(data), renewal_number(data)) == ("renewal", seed("number"))
    assert open_renewal(data, DOCTOR, HOLDER.sign.public).items == tuple(ITEMS)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (renewal(OTHER.sign), BadSignature),
        (renewal(suite=3), SuiteRefused),
        (renewal(recipient=OTHER.box.public), WrongRecipient),
        (renewal(labels=[]), Malformed),
        (renewal(keys=b""), Malformed),
        (renewal(items=COLUMNS | {"epochs": bytes(8)}), Malformed),
        (former("renewal", {"recipient": DOCTOR.box.public}), SuiteRefused),
        (statement(), Malformed),
    ],
)
def test_what_a_reader_of_renewals_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        open_renewal(data, DOCTOR, HOLDER.sign.public)


def test_the_largest_grant_fits_one_message() -> None:
    items = [item(str(number)) for number in range(MAX_ITEMS)]
    fields = fields_of(issuer_name="\U0001f9ea" * 200, purpose="\U0001f9ea" * 500, role="other_professional")
    body = make_body(fields | {"relay": "https://" + "r" * 492}, columns_of(items))
    label = seal_label(seed("key"), bytes(16), 1, bytes(32), bytes(32), title="x" * MAX_TITLE, kind="\U0001f9ea" * 40)
    sealed = seal(HOLDER, body, S1, READER.seed, bytes(32 * MAX_ITEMS), [label] * MAX_ITEMS)
    assert len(sealed) <= 1 << 20
    assert len(open_package(open_statement(DOCTOR.box, sealed), DOCTOR, NOW).items) == MAX_ITEMS


def test_every_shape_is_named() -> None:
    assert all(isinstance(shape, Shape) and shape.name for shape in (GRANT, PACKAGE, RENEWAL))


@pytest.mark.parametrize("body", [encode([1]), encode({"offline": 0}), encode({"offline": -1, "openings": None})])
def test_the_terms_of_what_is_no_grant_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        terms(body)
