"""spec/statement.md: one signature, one purpose; sealed messages padded and for one person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.persons import DOCTOR, HOLDER, OTHER
from vault.encoding import Shape, encode, integer, text
from vault.errors import BadSignature, CannotOpen, Malformed, TooLarge, VerificationFailed
from vault.primitives import pad, seal_to
from vault.statement import (
    OVERHEAD,
    TYPES,
    make_statement,
    open_statement,
    read_statement,
    seal_statement,
    type_of,
)

SHAPE = Shape("card", {"name": text(200), "suite": integer(0, 255)}, limit=400)
MADE = make_statement("card", SHAPE, {"name": "Léa", "suite": 1}, HOLDER.sign)


def test_a_statement_is_read_by_its_signer() -> None:
    assert read_statement("card", SHAPE, MADE).by(HOLDER.sign.public).fields == {"name": "Léa", "suite": 1}
    assert type_of(MADE, 1000) == "card"
    with pytest.raises(BadSignature):
        read_statement("card", SHAPE, MADE).by(OTHER.sign.public)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "card"])
def test_a_signature_is_valid_under_one_type_only(kind: str) -> None:
    with pytest.raises(Malformed):
        read_statement(kind, SHAPE, MADE)
    body = SHAPE.encode({"name": "Léa", "suite": 1})
    moved = encode({"type": kind, "body": body, "sig": HOLDER.sign.sign("card", body)})
    with pytest.raises(BadSignature):
        read_statement(kind, SHAPE, moved).by(HOLDER.sign.public)


@given(st.integers(0, len(MADE) * 8 - 1))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    flipped = bytearray(MADE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        read_statement("card", SHAPE, bytes(flipped)).by(HOLDER.sign.public)


def test_sizes_are_looked_at_before_anything_is_decoded() -> None:
    with pytest.raises(TooLarge):
        read_statement("card", SHAPE, b"\xff" * (SHAPE.limit + OVERHEAD + 1))
    long = Shape("card", {"name": text(2000), "suite": integer(0, 255)}, limit=2000)
    with pytest.raises(TooLarge):
        read_statement("card", SHAPE, make_statement("card", long, {"name": "x" * 390, "suite": 1}, HOLDER.sign))
    with pytest.raises(TooLarge):
        SHAPE.encode({"name": "é" * 200, "suite": 1})


def test_the_largest_body_fits_its_statement() -> None:
    for kind in TYPES:
        shape = Shape(kind, {"t": text(600)}, limit=515)
        data = make_statement(kind, shape, {"t": "x" * 509}, HOLDER.sign)
        assert read_statement(kind, shape, data).by(HOLDER.sign.public).fields["t"] == "x" * 509


def test_a_sealed_statement_is_for_one_person_and_says_little_by_its_length() -> None:
    assert open_statement(DOCTOR.box, seal_statement(DOCTOR.box.public, MADE)) == MADE
    with pytest.raises(CannotOpen):
        open_statement(OTHER.box, seal_statement(DOCTOR.box.public, MADE))
    lengths = {len(seal_statement(DOCTOR.box.public, bytes(size))) for size in range(1000, 1050)}
    assert len(lengths) <= 3


@pytest.mark.parametrize("wrong", [MADE, pad(MADE) + b"\0", pad(MADE)[:-1], b""])
def test_padding_has_one_form(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        open_statement(DOCTOR.box, b"\1" + seal_to(DOCTOR.box.public, wrong))
