"""spec/card.md: cards, their text, safety numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.persons import DOCTOR, HOLDER, INBOX, NOW, OTHER, seed
from vault.errors import BadKey, BadSignature, Malformed, SuiteRefused, VerificationFailed
from vault.identity import CARD, derive_safety_number, make_card, print_card, read_card
from vault.statement import make_statement

CARD_DATA = make_card(HOLDER, now=NOW, **INBOX)  # type: ignore[arg-type]


def changed(**fields: Any) -> bytes:
    body = {
        "suite": 1, "name": "X", "role": "", "sign": HOLDER.sign.public, "box": HOLDER.box.public, "made": NOW, **INBOX,
    }  # fmt: skip
    return make_statement("card", CARD, body | fields, HOLDER.sign)


def test_a_card_says_who_and_where() -> None:
    card = read_card(CARD_DATA)
    assert (card.name, card.relay, card.inbox) == ("Martin Léa", "https://relay.example", seed("inbox"))
    assert card.id == HOLDER.id and read_card(make_card(HOLDER, now=NOW)).relay == ""


def test_whoever_replaces_a_key_is_somebody_else() -> None:
    assert len({HOLDER.id, DOCTOR.id, read_card(make_card(OTHER, now=NOW)).id}) == 3


def test_the_printed_card_has_one_spelling() -> None:
    line = print_card(CARD_DATA)
    assert read_card(b"  " + line.encode() + b"\n").data == CARD_DATA
    for wrong in (line + "=", line[:-1] + "!", line.replace("-", "+").replace("_", "/"), line[:-1], "elpis-card:é"):
        if wrong != line:
            with pytest.raises(VerificationFailed):
                read_card(wrong.encode())


def test_unused_bits_make_no_second_spelling() -> None:
    data = make_card(DOCTOR, now=NOW)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    line = print_card(data)
    assert len(data) % 3, "this card's text ends inside of a letter"
    other = line[:-1] + alphabet[alphabet.index(line[-1]) + 1]
    with pytest.raises(Malformed):
        read_card(other.encode())


def test_a_card_of_low_order_is_refused() -> None:
    with pytest.raises(BadKey):
        read_card(changed(box=bytes(32)))


def test_a_card_signed_by_another_key_is_refused() -> None:
    with pytest.raises(BadSignature):
        read_card(changed(sign=OTHER.sign.public))


def test_another_suite_is_refused_before_the_signature() -> None:
    with pytest.raises(SuiteRefused):
        read_card(changed(suite=3, sign=OTHER.sign.public))


@pytest.mark.parametrize("missing", ["relay", "relay_key", "inbox", "deposit"])
def test_a_card_has_a_whole_inbox_or_none(missing: str) -> None:
    with pytest.raises(Malformed):
        read_card(changed(**{missing: None}))


@pytest.mark.parametrize(
    "relay", ["file:///etc/passwd", "https://a b", "https://é", "https://a/", "", "https://" + "a" * 500, "ftp://a"]
)
def test_a_relay_has_an_address_that_is_one(relay: str) -> None:
    with pytest.raises(Malformed):
        changed(relay=relay)


def test_a_time_that_no_calendar_shows_is_refused() -> None:
    with pytest.raises(Malformed):
        changed(made=253_402_300_800)


def test_both_people_see_one_number_over_all_four_keys() -> None:
    mine, theirs = (HOLDER.sign.public, HOLDER.box.public), (DOCTOR.sign.public, DOCTOR.box.public)
    number = derive_safety_number(mine, theirs)
    assert number == derive_safety_number(theirs, mine)
    assert [len(group) for group in number.split()] == [5] * 12
    for false in ((OTHER.sign.public, theirs[1]), (theirs[0], OTHER.box.public)):
        assert derive_safety_number(mine, false) != number
