"""spec/epoch.md: when an epoch starts, what it forgets, and that no interleaving of people loses anything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.client import RelayUnreachable
from sync.opened import OpenDocument
from tests.parties import Parties
from vault import Vault
from vault.errors import AccessEnded, InputRefused
from vault.late import Draft, Late, draft_again, effect, effect_on, fitted, plan_again, write_again
from vault.replica import Edit, edit, flatten, make, merge


@pytest.fixture
def parties(vault_factory: Callable[..., Vault]) -> Parties:
    return Parties(vault_factory)


def test_an_epoch_starts_with_every_change_of_readers_and_only_then(parties: Parties) -> None:
    letter = parties.letter()
    _, _, first = parties.professional("Ndiaye Awa")
    _, _, second = parties.professional("Petit Jean")
    epochs = [parties.holder.documents.epoch(letter)]
    one = parties.holder.sharing.grant(first, [letter], right="read", purpose="", seconds=60)
    epochs.append(parties.holder.documents.epoch(letter))
    two = parties.holder.sharing.grant(second, [letter], right="read", purpose="", seconds=60)
    epochs.append(parties.holder.documents.epoch(letter))
    parties.holder.amend(letter, {"title": "X"})
    parties.holder.sharing.revoke(one.id)
    epochs.append(parties.holder.documents.epoch(letter))
    parties.holder.sharing.revoke(two.id)
    epochs.append(parties.holder.documents.epoch(letter))
    assert epochs == [0, 1, 2, 3, 3]


def test_every_epoch_has_its_own_key_mailbox_and_tokens(parties: Parties) -> None:
    letter = parties.letter()
    _, _, person = parties.professional()
    for _ in range(3):
        grant = parties.holder.sharing.grant(person, [letter], right="edit", purpose="", seconds=60)
        parties.exchange.sync()
        parties.holder.sharing.revoke(grant.id)
        parties.exchange.sync()
    rows = parties.holder.store.rows("SELECT address, owner, append, key FROM mailbox WHERE kind = 'channel'")
    secrets = [cell for row in rows for cell in row]
    assert len(rows) == 3 and len(set(secrets)) == len(secrets)
    assert {row[0] for row in parties.holder.store.rows("SELECT state FROM mailbox WHERE kind = 'channel'")} == {"done"}


def test_a_document_whose_file_is_missing_is_not_granted(parties: Parties) -> None:
    letter = parties.letter()
    parties.holder.attach(letter, b"x" * 100, name="x", media_type="text/plain")
    for path in (parties.holder.path / "attachments").iterdir():
        path.unlink()
    _, _, person = parties.professional()
    with pytest.raises(InputRefused):
        parties.holder.sharing.grant(person, [letter], right="read", purpose="", seconds=60)


def test_a_file_keeps_its_place_and_changes_its_token(parties: Parties) -> None:
    letter = parties.letter()
    parties.holder.attach(letter, b"x" * 100, name="x", media_type="text/plain")
    tokens = []
    for name in ("Ndiaye Awa", "Petit Jean"):
        _, exchange, person = parties.professional(name)
        parties.holder.sharing.grant(person, [letter], right="read", purpose="", seconds=60)
        parties.exchange.sync()
        exchange.sync()
        ((_, held, _),) = parties.relay.blobs.values()
        tokens.append(held)
    assert tokens[0].isdisjoint(tokens[1]) and all(len(held) == 1 for held in tokens)


ENTRY = "a" * 32
STATE = {
    "meta": {"kind": "medications"},
    "entries": {ENTRY: {"kind": "medication", "dose": "1"}},
    "attachments": {
        "b" * 64: {"media_type": "x", "size": 1, "key": "0" * 64, "sealed_sha256": "0" * 64, "sealed_size": 1}
    },
}
MINE, THEIRS, BRANCH = b"m" * 16, b"t" * 16, b"b" * 16
NEW = "c" * 32


def test_what_late_changes_did_includes_what_lost() -> None:
    save, _ = make(STATE, MINE)
    mine, _ = edit(save, MINE, [("set", ("entries", ENTRY, "dose"), "mine")])
    _, theirs = edit(save, THEIRS, [("set", ("entries", ENTRY, "dose"), "theirs")])
    assert theirs is not None
    merged = merge(mine, [theirs])
    late = effect(mine, merged, [theirs.hash])
    assert ("set", ("entries", ENTRY, "dose"), "theirs") in late.edits
    assert [path for path, _ in late.contested] == [("entries", ENTRY, "dose")]


def test_edits_are_fitted_to_what_is_there() -> None:
    whole = {ENTRY: {"kind": "medication", "dose": "2"}}
    gone = STATE | {"entries": {}, "attachments": {}}
    edits: list[Edit] = [
        ("delete", ("entries", ENTRY, "dose")), ("set", ("entries", ENTRY, "dose"), "2"),
        ("set", ("entries", ENTRY, "note"), "n"), ("set", ("attachments", "b" * 64, "name"), "x"),
        ("delete", ("attachments", "b" * 64)), ("delete", ("meta", "author")), ("set", ("meta", "title"), "T"),
    ]  # fmt: skip
    assert fitted(edits, whole, gone) == [("set", ("entries", ENTRY), whole[ENTRY]), ("set", ("meta", "title"), "T")]
    assert len(fitted(edits, whole, STATE | {"meta": {"author": "x"}})) == len(edits)
    assert fitted([("delete", ("entries", ENTRY))], whole, gone) == []


@pytest.mark.parametrize(
    ("edits", "seen"),
    [
        ([("set", ("entries", NEW), {"kind": "note"}), ("delete", ("entries", NEW))], [None, {"kind": "note"}]),
        ([("set", ("entries", NEW, "note"), "n"), ("delete", ("entries", NEW))], ["m", {"kind": "note"}]),
        ([("set", ("meta", "title"), "T"), ("delete", ("meta", "title"))], [None, "T"]),
    ],
)
def test_what_an_author_wrote_and_removed_again_stays_removed(edits: list[Edit], seen: list[Any]) -> None:
    """None of it had reached the relay when the epoch moved; the entry was not in the edition, or is no more."""
    save, _ = make(STATE, MINE)
    draft = Draft(tuple(edits), tuple(seen), {NEW: {"kind": "note", "note": "n"}})
    assert flatten(draft_again(save, THEIRS, BRANCH, draft)[0]) == flatten(save)


def test_an_entry_that_was_removed_and_made_again_has_what_was_written_last() -> None:
    path = ("entries", NEW)
    edits = [
        ("set", (*path, "note"), "1"), ("delete", path), ("set", path, {"kind": "note", "note": "2"}),
        ("set", (*path, "note"), "3"),
    ]  # fmt: skip
    assert fitted(edits, {NEW: {"kind": "note", "note": "1"}}, STATE)[1:] == edits[1:]


def test_one_is_not_true() -> None:
    """A field that somebody turned from a number into yes was changed."""
    before = STATE | {"entries": {ENTRY: {"kind": "result", "negated": 1}}}
    after = STATE | {"entries": {ENTRY: {"kind": "result", "negated": True}}}
    late = effect_on(before, after, (), set())
    assert late.edits == (("set", ("entries", ENTRY, "negated"), True),)
    plan = plan_again(late, STATE | {"entries": {ENTRY: {"kind": "result", "negated": True}}})
    assert plan.beside == ()
    other = Late((("set", ("entries", ENTRY, "negated"), False),), (1,), (), {})
    assert plan_again(other, after).beside == ((("entries", ENTRY, "negated"), True),)


def test_writing_again_what_is_there_already_writes_nothing() -> None:
    save, _ = make(STATE, MINE)
    again = write_again(save, MINE, BRANCH, Late((("set", ("entries", ENTRY, "dose"), "1"),), ("1",), (), {}))
    assert flatten(again.save)["entries"][ENTRY]["dose"] == "1"
    nothing = write_again(save, MINE, BRANCH, Late((("delete", ("entries", "c" * 32)),), (None,), (), {}))
    assert nothing.late is None and nothing.state == flatten(save)
    absent = Late(
        (("set", ("meta", "title"), "T"),),
        (None,),
        ((("meta", "author"), b""), (("entries", "c" * 32, "dose"), b"")),
        {},
    )
    assert write_again(save, MINE, BRANCH, absent).beside is None


STEPS = st.lists(
    st.sampled_from(["holder", "first", "second", "sync holder", "sync first", "sync second", "join", "down", "up"]),
    max_size=16,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_interleaving_converges_and_loses_nothing(vault_factory: Callable[..., Vault], steps: list[str]) -> None:
    """The holder and two grantees write and exchange when they like; the relay comes and goes, epochs move."""
    parties = Parties(vault_factory)
    section = parties.holder.section("medications")
    shared = parties.holder.add_entry(section, "medication", {"label": "shared", "dose": "0"})
    exchanges = {}
    for name in ("first", "second"):
        _, exchange, person = parties.professional(name)
        parties.holder.sharing.grant(person, [section], right="edit", purpose="", seconds=86_400)
        exchanges[name] = exchange
    parties.exchange.sync()
    opened: dict[str, OpenDocument] = {}
    written = {"shared"}

    def reopen(name: str) -> None:
        with suppress(RelayUnreachable, AccessEnded):
            exchanges[name].sync()
            opened[name] = exchanges[name].open(section)

    for number, step in enumerate(steps):
        label = f"{step} {number}"
        if step == "holder":
            parties.holder.add_entry(section, "medication", {"label": label})
            parties.holder.amend_entry(section, shared, {"dose": label})
            written.add(label)
        elif step in exchanges:
            if step not in opened:
                reopen(step)
            if step in opened:
                opened[step].set_entry(None, "medication", {"label": label})
                opened[step].set_entry(shared, "medication", {"dose": label})
                written.add(label)
        elif step == "sync holder":
            with suppress(RelayUnreachable):
                parties.exchange.sync()
        elif step.startswith("sync"):
            reopen(step.removeprefix("sync "))
        elif step == "join" and not parties.relay.down:
            _, _, person = parties.professional(f"joined {number}")
            parties.holder.sharing.grant(person, [section], right="read", purpose="", seconds=86_400)
        elif step in ("down", "up"):
            parties.relay.down = step == "down"
    parties.relay.down = False
    for _ in range(3):
        parties.exchange.sync()
        for name in exchanges:
            exchanges[name].sync()
            opened[name] = exchanges[name].open(section)
    parties.exchange.sync()
    held = parties.holder.read(section)
    assert {entry.text("label") for entry in held.entries} == written
    for session in opened.values():
        session.refresh()
        assert session.document.entries == held.entries
        assert [c.sides for c in session.document.conflicts] == [c.sides for c in held.conflicts]


def test_a_lost_file_holds_up_neither_an_exchange_nor_the_end_of_an_access(parties: Parties) -> None:
    letter = parties.letter()
    _, _, first = parties.professional()
    _, _, second = parties.professional("Petit Jean")
    grant = parties.holder.sharing.grant(first, [letter], right="read", purpose="x", seconds=3600)
    parties.holder.sharing.grant(second, [letter], right="read", purpose="x", seconds=3600)
    parties.exchange.sync()
    parties.holder.attach(letter, b"x" * 100, name="x", media_type="text/plain")
    for path in (parties.holder.path / "attachments").iterdir():
        path.unlink()
    parties.exchange.sync()
    assert parties.holder.sharing.revoke(grant.id).state == "revoked"
    assert parties.exchange.sync().queued == 0
