"""spec/opening.md: request, release, and what the patient verifies."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.relay.hybrid import make_box
from sync.wire import OPENING_BYTES, STATEMENT_BYTES, Opening, derive_half_tag, encode_release
from tests.persons import DOCTOR, HOLDER, NOW, OTHER, seed
from vault.errors import (
    BadSignature,
    CannotOpen,
    Malformed,
    NotFound,
    Replayed,
    SuiteRefused,
    VaultError,
    VerificationFailed,
    WrongRecipient,
)
from vault.hybrid import PUBLIC, derive_public, make_fresh
from vault.identity import Identity
from vault.opening import MAX_TAGS, STATEMENT, cut, make_request, read_release, read_request, verify_opening
from vault.primitives import BoxKey, SigningKey, hash32, seal_to
from vault.statement import make_statement, seal_statement

READER, FRESH = SigningKey.from_seed(seed("reader")), BoxKey.from_secret(seed("fresh"))
NUMBER, HASH, HALF = seed("number"), seed("grant hash"), seed("S2")
DOCUMENTS = [seed(f"document {n}")[:16] for n in range(2)]
TAGS = [seed(f"tag {n}")[:16] for n in range(2)]
ITEMS = dict(zip(TAGS, DOCUMENTS, strict=True))


def request_of(me: Identity = DOCTOR, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "issuer_box": HOLDER.box.public, "number": NUMBER, "grant_hash": HASH, "reader": READER, "counter": 7,
        "fresh": FRESH, "documents": DOCUMENTS, "tags": TAGS, "why": "consultation", "device": bytes(16), "now": NOW,
    }  # fmt: skip
    return make_request(me, **(arguments | changes))


ENTRY = request_of()


def verified(entry: bytes, after: int = 0, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "reader": READER.public, "grantee": DOCTOR.sign.public, "me": HOLDER.box, "number": NUMBER, "grant_hash": HASH,
        "items": ITEMS,
    }  # fmt: skip
    return verify_opening(entry, after=after, **(arguments | changes))


def resigned(entry: bytes, key: SigningKey = READER) -> bytes:
    return entry[:-64] + key.sign("opening", entry[:-64])


def stated(signer: SigningKey = DOCTOR.sign, to: bytes = HOLDER.box.public, **changes: Any) -> bytes:
    """A request whose statement differs from what the request itself says."""
    fields = {
        "suite": 1, "recipient": HOLDER.box.public, "grant": NUMBER, "grant_hash": HASH, "counter": 7,
        "fresh": FRESH.public, "documents": DOCUMENTS, "tags": TAGS, "name": "N", "why": "w", "time": NOW,
        "device": bytes(16),
    } | changes  # fmt: skip
    statement = seal_statement(to, make_statement("opening-statement", STATEMENT, fields, signer))
    head = struct.pack(">B32sQ32sB", 1, NUMBER, 7, FRESH.public, 2) + b"".join(TAGS)
    unsigned = head + struct.pack(">I", len(statement)) + statement
    return unsigned + READER.sign("opening", unsigned)


def test_an_opening_is_proven() -> None:
    opened = verified(ENTRY)
    assert (opened.why, opened.documents, opened.counter) == ("consultation", tuple(DOCUMENTS), 7)
    assert Opening.decode(ENTRY).tags == read_request(ENTRY, READER.public).tags == tuple(TAGS)


@pytest.mark.parametrize(
    ("entry", "failure"),
    [
        (b"", Malformed),
        (ENTRY[:-1], Malformed),
        (ENTRY + b"\0", Malformed),
        (b"\3" + ENTRY[1:], SuiteRefused),
        (b"\2" + ENTRY[1:], Malformed),
        (resigned(ENTRY, OTHER.sign), BadSignature),
        (resigned(ENTRY[:73] + b"\0" + ENTRY[74:]), Malformed),
        (resigned(ENTRY[:73] + b"\xff" + ENTRY[74:]), Malformed),
        (resigned(ENTRY[:73] + b"\x40" + ENTRY[74:]), Malformed),
        (resigned(ENTRY[:74] + TAGS[0] + TAGS[0] + ENTRY[106:]), Malformed),
        (resigned(ENTRY[:33] + bytes(8) + ENTRY[41:]), Malformed),
        (resigned(ENTRY[:33] + b"\xff" * 8 + ENTRY[41:]), Malformed),
        (resigned(ENTRY[:106] + b"\xff\xff\xff\xff" + ENTRY[110:]), Malformed),
        (resigned(ENTRY[:33] + struct.pack(">Q", 8) + ENTRY[41:]), VerificationFailed),
        (resigned(ENTRY[:1] + seed("another grant") + ENTRY[33:]), VerificationFailed),
        (resigned(ENTRY[:41] + seed("another key") + ENTRY[73:]), VerificationFailed),
        (resigned(ENTRY[:74] + TAGS[1] + TAGS[0] + ENTRY[106:]), VerificationFailed),
        (request_of(OTHER), BadSignature),
        (stated(to=OTHER.box.public), CannotOpen),
        (stated(suite=2), SuiteRefused),
        (stated(recipient=OTHER.box.public), WrongRecipient),
        (stated(grant_hash=seed("x")), VerificationFailed),
        (stated(counter=8), VerificationFailed),
        (stated(documents=DOCUMENTS[::-1]), BadSignature),
        (stated(documents=DOCUMENTS[:1]), BadSignature),
        (stated(signer=OTHER.sign), BadSignature),
    ],
)
def test_what_is_not_proven_is_unknown(entry: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(VaultError) as caught:
        verified(entry)
    assert type(caught.value) is failure


def test_one_signature_proves_one_opening() -> None:
    assert verified(ENTRY, after=6).counter == 7
    for after in (7, 8):
        with pytest.raises(Replayed):
            verified(ENTRY, after=after)


def test_a_tag_of_another_grant_proves_nothing() -> None:
    with pytest.raises(NotFound):
        verified(ENTRY, items={TAGS[0]: DOCUMENTS[0]})


@settings(max_examples=150)
@given(st.integers(0, len(ENTRY) * 8 - 1))
def test_every_flipped_bit_of_an_entry_is_noticed(bit: int) -> None:
    flipped = bytearray(ENTRY)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        verified(bytes(flipped))


def test_the_largest_opening_fits() -> None:
    documents = [seed(f"d{n}")[:16] for n in range(MAX_TAGS)]
    tags = [seed(f"t{n}")[:16] for n in range(MAX_TAGS)]
    me = Identity("\U0001f9ea" * 200, "doctor", DOCTOR.sign, DOCTOR.box)
    entry = request_of(me, documents=documents, tags=tags, why="é" * 500, counter=2**63 - 1, now=253_402_300_799)
    assert len(entry) <= OPENING_BYTES and len(read_request(entry, READER.public).statement) <= STATEMENT_BYTES
    assert verified(entry, items=dict(zip(tags, documents, strict=True))).why == "é" * 250


@given(st.text(), st.integers(0, 50))
def test_words_are_cut_between_characters(words: str, most: int) -> None:
    short = cut(words, most) if words.isascii() else cut(words.encode(errors="ignore").decode(), most)
    assert len(short.encode()) <= most and words.encode(errors="ignore").decode().startswith(short)


PLAIN = encode_release(NUMBER, 7, HALF, TAGS)


def test_a_release_gives_the_halves_that_were_asked_for() -> None:
    halves = read_release(seal_to(FRESH.public, PLAIN), FRESH, NUMBER, 7, TAGS)
    assert halves == {tag: derive_half_tag(HALF, tag) for tag in TAGS}


@pytest.mark.parametrize(
    ("plain", "failure"),
    [
        (PLAIN[:40], Malformed),
        (seed("x") + PLAIN[32:], WrongRecipient),
        (PLAIN[:32] + struct.pack(">Q", 8) + PLAIN[40:], WrongRecipient),
        (PLAIN[:40] + b"\1" + PLAIN[41:], Malformed),
        (PLAIN[:-1], Malformed),
        (PLAIN + b"\0", Malformed),
        (encode_release(NUMBER, 7, HALF, [TAGS[0], TAGS[0]]), Malformed),
        (encode_release(NUMBER, 7, HALF, [TAGS[0], bytes(16)]), Malformed),
        (encode_release(NUMBER, 7, HALF, TAGS[:1]), Malformed),
    ],
)
def test_what_a_reader_of_releases_refuses(plain: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        read_release(seal_to(FRESH.public, plain), FRESH, NUMBER, 7, TAGS)


def test_a_request_in_suite_2_carries_the_key_that_it_is_signed_for() -> None:
    fresh = make_fresh()
    assert fresh.seed is not None
    body = request_of(fresh=fresh)
    entry, kem = body[:-PUBLIC], body[-PUBLIC:]
    assert kem == derive_public(fresh.seed) and len(entry) == len(ENTRY) + 32
    assert read_request(entry, READER.public).kem_hash == hash32(kem) and verified(entry).counter == 7
    assert Opening.receive(body) == (Opening.decode(entry), kem)
    sealed = make_box(kem, fresh.public).seal(PLAIN)
    assert set(read_release(sealed, fresh, NUMBER, 7, TAGS)) == set(TAGS)
    for fallen in (seal_to(fresh.public, PLAIN), make_box(kem, FRESH.public).seal(PLAIN), sealed[:-1], b""):
        with pytest.raises(CannotOpen):
            read_release(fallen, fresh, NUMBER, 7, TAGS)


def test_a_release_is_for_the_fresh_key_alone() -> None:
    with pytest.raises(CannotOpen):
        read_release(seal_to(DOCTOR.box.public, PLAIN), FRESH, NUMBER, 7, TAGS)
