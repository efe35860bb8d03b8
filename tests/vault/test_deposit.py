"""spec/deposit.md, the format: what a reader of deposits refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.persons import DOCTOR, HOLDER, INBOX, NOW, OTHER, seed
from vault.deposit import DEPOSIT, open_deposit, seal_deposit
from vault.errors import BadSignature, CannotOpen, Malformed, SuiteRefused, VaultError, WrongRecipient
from vault.identity import make_card
from vault.primitives import SigningKey
from vault.statement import make_statement, open_statement, seal_statement

CARD = make_card(DOCTOR, now=NOW, **INBOX)  # type: ignore[arg-type]
STATE: dict[str, Any] = {"meta": {"kind": "clinical", "title": "Bilan"}, "entries": {}, "attachments": {}}
FILE: dict[str, Any] = {
    "sha256": seed("file"), "inline": b"abc", "blob": None, "token": None, "key": None, "sealed_sha256": None,
    "sealed_size": 0, "media_type": "text/plain", "name": "a.txt", "size": 3,
}  # fmt: skip
BLOB = FILE | {
    "inline": None, "blob": seed("b"), "token": seed("t"), "key": seed("k"), "sealed_sha256": seed("s"),
    "sealed_size": 100,
}  # fmt: skip


def deposit(signer: SigningKey = DOCTOR.sign, **changes: Any) -> bytes:
    fields = {
        "suite": 1, "recipient": HOLDER.box.public, "card": CARD, "certificate": None, "authority": None,
        "unique": "lab:1", "made": NOW, "relay": "https://relay.example", "state": STATE, "files": [FILE],
    }  # fmt: skip
    return make_statement("deposit", DEPOSIT, fields | changes, signer)


def test_a_deposit_names_its_sender_and_holds_its_files() -> None:
    read = open_deposit(deposit(files=[FILE, BLOB | {"sha256": seed("other")}]), HOLDER)
    assert (read.sender.name, read.unique, len(read.files)) == ("Ndiaye Awa", "lab:1", 2)


def test_the_depositor_cannot_read_it_back() -> None:
    sealed = seal_deposit(
        DOCTOR, HOLDER.box.public, card=CARD, certificate=None, authority=None, unique="lab:1",
        relay="https://relay.example", state=STATE, files=[FILE], now=NOW,
    )  # fmt: skip
    assert open_deposit(open_statement(HOLDER.box, sealed), HOLDER).state == STATE
    with pytest.raises(CannotOpen):
        open_statement(DOCTOR.box, sealed)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (deposit(suite=3), SuiteRefused),
        (deposit(signer=OTHER.sign), BadSignature),
        (deposit(card=CARD[:-1]), Malformed),
        (deposit(recipient=OTHER.box.public), WrongRecipient),
        (deposit(files=[FILE | {"blob": seed("b")}]), Malformed),
        (deposit(files=[FILE | {"inline": None}]), Malformed),
        (deposit(files=[BLOB | {"inline": b"abc"}]), Malformed),
        (deposit(files=[BLOB | {"key": None}]), Malformed),
        (deposit(files=[FILE | {"size": 4}]), Malformed),
        (deposit(files=[FILE | {"sealed_size": 4}]), Malformed),
        (deposit(files=[FILE, FILE]), Malformed),
    ],
)
def test_what_a_reader_refuses(data: bytes, failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        open_deposit(data, HOLDER)


def test_a_deposit_sealed_again_to_somebody_else_is_refused() -> None:
    again = open_statement(OTHER.box, seal_statement(OTHER.box.public, deposit()))
    with pytest.raises(WrongRecipient):
        open_deposit(again, OTHER)
