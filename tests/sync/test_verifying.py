"""`elpis verify` and `elpis inspect`: what was stored is computed again, and whoever changed it is found out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire
from sync.client import RelayClient, Seen, follow
from sync.inspection import inspect_bytes, inspect_file
from sync.verifying import check_database, check_relays
from tests.parties import Parties
from tests.persons import DOCTOR, INBOX, NOW
from tests.sync.conftest import RunningRelay
from vault import Vault
from vault.checkup import Check, check
from vault.enrolment import Code
from vault.errors import InputRefused
from vault.identity import make_card
from vault.primitives import SigningKey, make_key


@pytest.fixture
def opened(vault_factory: Callable[..., Vault]) -> Parties:
    """A record of which one document was opened twice and the access ended."""
    parties = Parties(vault_factory)
    letter = parties.letter()
    _, exchange, person = parties.professional()
    made = parties.holder.sharing.grant(person, [letter], right="edit", purpose="avis", seconds=3600)
    parties.exchange.sync()
    exchange.sync()
    exchange.open(letter).set_entry(None, "note", {"label": "avis"})
    exchange.open(letter)
    parties.exchange.sync()
    parties.holder.sharing.revoke(made.id)
    parties.exchange.sync()
    return parties


def failing(checks: tuple[Check, ...]) -> set[str]:
    return {item.what for item in checks if item.failed}


def everything(vault: Vault) -> tuple[Check, ...]:
    return (*check(vault), *check_relays(vault))


def test_what_was_stored_holds(opened: Parties) -> None:
    checks = {item.what: item for item in everything(opened.holder)}
    assert not failing(tuple(checks.values()))
    assert checks["trace"].count == 2 and checks["receipts"].count == 1
    assert checks["checkpoints"].count >= 2 and checks["chains"].count >= 2


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE opening SET time = time + 1 WHERE position = 1", {"chains", "checkpoints"}),
        ("DELETE FROM opening WHERE position = 2", {"chains", "checkpoints"}),
        ("UPDATE opening SET position = 3 - position WHERE 0; UPDATE opening SET entry = zeroblob(300)", {
            "chains", "checkpoints", "trace",
        }),
        ("UPDATE given SET chain = zeroblob(32)", {"chains"}),
        ("UPDATE given SET body = CAST(body || x'00' AS BLOB)", {"trace"}),
        ("UPDATE given SET receipt = zeroblob(106)", {"receipts"}),
        ("UPDATE opening SET state = 'unknown'", {"trace"}),
        ("UPDATE link SET signed = zeroblob(146) WHERE signed IS NOT NULL", {"checkpoints"}),
        ("UPDATE link SET chain = zeroblob(32)", {"chains", "checkpoints"}),
        ("UPDATE relay SET verify_key = zeroblob(32)", {"checkpoints", "receipts"}),
    ],
)  # fmt: skip
def test_what_was_changed_is_found(opened: Parties, change: str, found: set[str]) -> None:
    for statement in change.split("; "):
        opened.holder.store.run(statement)
    assert failing(everything(opened.holder)) == found


class Test_a_relay_s_database:
    @pytest.fixture
    def database(self, idle_relay: RunningRelay) -> tuple[Path, list[wire.Checkpoint]]:
        """With a mailbox of five entries of which two were freed; and what its relay signed of it."""
        idle_relay.start()
        client: RelayClient = idle_relay.client()
        address, owner, seen = make_key(), make_key(), Seen()
        client.create_mailbox(address, owner)
        for number in range(5):
            client.append(address, owner, b"entry %d" % number)
        messages, checkpoint = client.messages(address, owner)
        assert follow(seen, messages, checkpoint).count == 5
        client.trim(address, owner, 2)
        idle_relay.stop()
        return idle_relay.db, [checkpoint]

    def test_holds(self, database: tuple[Path, list[wire.Checkpoint]]) -> None:
        checks = check_database(*database)
        assert not failing(checks) and [item.count for item in checks] == [1, 0, 1]

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ("UPDATE entry SET time = time - 1 WHERE id % 131072 = 4", {"chains", "checkpoints"}),
            ("UPDATE entry SET body = x'00' WHERE id % 131072 = 4", {"chains"}),
            ("DELETE FROM entry WHERE id % 131072 = 3", {"chains", "checkpoints"}),
            ("DELETE FROM entry WHERE id % 131072 = 5", {"chains", "checkpoints"}),
            ("UPDATE log SET chain = zeroblob(32)", {"chains"}),
            ("DELETE FROM log", {"checkpoints"}),
        ],
    )
    def test_what_was_changed_is_found(
        self, database: tuple[Path, list[wire.Checkpoint]], change: str, found: set[str]
    ) -> None:
        with sqlite3.connect(database[0]) as source:
            source.execute(change)
        source.close()
        assert failing(check_database(*database)) == found

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.db"
        path.write_bytes(b"no database" * 100)
        with pytest.raises(InputRefused):
            check_database(path)


class Test_inspect:
    def test_a_card_shows_sizes_and_no_name(self) -> None:
        card = make_card(DOCTOR, now=NOW, **INBOX)
        found = inspect_bytes(card)
        assert found.kind == "card statement" and found.size == len(card)
        names = {field.name for field in found.fields}
        assert {"type", "body", "sig", "name", "role", "sign", "box"} <= names
        told = json.dumps([field.shown for field in found.fields])
        assert "Ndiaye" not in told and INBOX["deposit"].hex() not in told

    def test_keyslots_head_and_database_of_a_vault(self, vault: Vault) -> None:
        kinds = {name: inspect_file(vault.path / name) for name in ("keyslots", "head", "vault.db")}
        assert {field.name for field in kinds["keyslots"].fields} > {"ops", "memory"} or kinds["keyslots"].fields
        assert [field.size for field in kinds["head"].fields] == [1, 16, 8, 32, 32]
        assert kinds["vault.db"].kind == "sealed, or not of Elpis"

    def test_what_anybody_can_read_is_not_called_sealed(self) -> None:
        for data, kind in (
            (b"abandon ability\n", "readable text, not sealed"),
            (b'{"resourceType": "Bundle"}', "readable text, not sealed"),
            (b"%PDF-1.7\n\xff", "PDF file, not sealed"),
            (b"PK\x03\x04\xff\xff", "zip archive"),
        ):
            found = inspect_bytes(data)
            assert (found.kind, found.fields) == (kind, ())

    def test_a_device_s_code_shows_no_key(self) -> None:
        code = Code("http://relay.test", bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), bytes(range(16)))
        found = inspect_bytes(code.print().encode())
        assert found.kind == "code of a device, as text"
        assert {field.name for field in found.fields} >= {"secret", "commit"}
        assert [field.shown for field in found.fields if field.shown] == ["1"]  # the suite

    def test_a_log_of_an_authority_entry_by_entry(self) -> None:
        card = make_card(DOCTOR, now=NOW, **INBOX)
        entry = len(card).to_bytes(4) + card
        found = inspect_bytes(entry * 2)
        assert found.kind == "log of 2 statements"
        assert [field.type for field in found.fields if not field.depth] == ["CBOR", "CBOR"]
        assert inspect_bytes((entry * 2)[:-1]).kind == "sealed, or not of Elpis"

    def test_what_a_relay_signed(self) -> None:
        key = SigningKey.make()
        part = wire.unsigned_checkpoint(wire.TRACE, bytes(32), 7, bytes(32), NOW)
        shown = {field.name: field.shown for field in inspect_bytes(part + key.sign("checkpoint", part)).fields}
        assert (shown["kind"], shown["count"], shown["time"]) == ("trace", "7", str(NOW))
        part = wire.unsigned_receipt(wire.HALF_DESTROYED, bytes(32), NOW)
        assert inspect_bytes(part + key.sign("receipt", part)).kind == "receipt of a relay"

    def test_a_vector_and_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        vector = next(Path("spec/vectors").rglob("*.json"))
        assert inspect_file(vector).kind == "test vector"
        with pytest.raises(InputRefused):
            inspect_file(tmp_path / "none")

    @given(st.binary(max_size=400))
    def test_any_bytes_are_something(self, data: bytes) -> None:
        assert inspect_bytes(data).size == len(data)

    @given(st.integers(0, 400), st.integers(0, 255))
    def test_any_changed_card_is_something(self, at: int, value: int) -> None:
        card = bytearray(CARD)
        card[at % len(card)] = value
        assert inspect_bytes(bytes(card)).size == len(card)
        assert inspect_bytes(bytes(card[:at])).size == min(at, len(card))


CARD = make_card(DOCTOR, now=NOW, **INBOX)
