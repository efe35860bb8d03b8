"""Push and pull: faults between any two steps, hostile relays and grantees, and that nothing written is lost."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sync import envelope, wire
from sync.client import RelayRefused, RelayUnreachable
from sync.evidence import read_evidence
from sync.exchange import Exchange, Report
from sync.opened import OpenDocument
from tests.parties import START, Clock, Parties, renewed
from vault import Document, Vault
from vault.authority import Office
from vault.errors import AccessEnded, NotFound, RightMissing, VerificationFailed
from vault.primitives import SigningKey
from vault.store.outbox import OutboxStore


@pytest.fixture
def parties(vault_factory: Callable[..., Vault]) -> Parties:
    return Parties(vault_factory)


def grant(
    parties: Parties, documents: list[str], name: str = "Ndiaye Awa", right: str = "edit", **changes: Any
) -> tuple[Vault, Exchange, str]:
    vault, exchange, person = parties.professional(name)
    made = parties.holder.sharing.grant(person, documents, right=right, purpose="avis", seconds=86_400, **changes)
    parties.exchange.sync()
    exchange.sync()
    return vault, exchange, made.id


def medications(parties: Parties) -> tuple[str, str]:
    section = parties.holder.section("medications")
    return section, parties.holder.add_entry(section, "medication", {"label": "BISOPROLOL", "dose": "1"})


def doses(document: Document) -> set[str]:
    shown = {entry.text("dose") for entry in document.entries}
    return shown | {str(side[0]) for conflict in document.conflicts for side in conflict.sides}


class Test_together:
    def test_two_people_edit_one_field_and_both_are_shown(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        opened.set_entry(entry, "medication", {"dose": "3"})
        parties.holder.amend_entry(section, entry, {"dose": "2"})
        parties.exchange.sync()
        (conflict,) = parties.holder.read(section).conflicts
        assert {side[:2] for side in conflict.sides} == {("3", "Ndiaye Awa"), ("2", "Martin Léa")}
        opened.refresh()
        assert opened.document.conflicts == parties.holder.read(section).conflicts

    def test_three_people_who_never_meet_at_once_end_with_one_document(self, parties: Parties) -> None:
        section, _ = medications(parties)
        _, first, _ = grant(parties, [section], "Ndiaye Awa")
        _, second, _ = grant(parties, [section], "Petit Jean")
        first.sync()
        one, two = first.open(section), second.open(section)
        one.set_entry(None, "medication", {"label": "A"})
        two.set_entry(None, "medication", {"label": "B"})
        parties.holder.add_entry(section, "medication", {"label": "C"})
        for _ in range(2):
            parties.exchange.sync()
            one.refresh()
            two.refresh()
        labels = {entry.text("label") for entry in parties.holder.read(section).entries}
        assert labels == {"BISOPROLOL", "A", "B", "C"}
        assert one.document.entries == two.document.entries == parties.holder.read(section).entries

    def test_many_changes_go_in_few_envelopes(self, parties: Parties) -> None:
        section, _ = medications(parties)
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        before = sum(len(log.entries) for log in parties.relay.mailboxes.values())
        for number in range(120):
            parties.holder.add_entry(section, "medication", {"label": str(number)})
        parties.exchange.sync()
        assert sum(len(log.entries) for log in parties.relay.mailboxes.values()) == before + 1
        opened.refresh()
        assert len(opened.document.entries) == 121

    def test_reading_is_not_writing(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, exchange, _ = grant(parties, [section], right="read")
        opened = exchange.open(section)
        with pytest.raises(RightMissing):
            opened.set_entry(entry, "medication", {"dose": "9"})
        with pytest.raises(RightMissing):
            opened.add_file(b"x", media_type="text/plain", name="x")

    def test_a_file_that_the_holder_attaches_later_is_there_too(self, parties: Parties) -> None:
        letter = parties.letter()
        _, exchange, _ = grant(parties, [letter])
        opened = exchange.open(letter)
        attachment = parties.holder.attach(letter, b"scan" * 1000, name="s.png", media_type="image/png")
        parties.exchange.sync()
        opened.refresh()
        assert b"".join(opened.attachment(attachment.sha256)) == b"scan" * 1000
        with pytest.raises(NotFound):
            list(opened.attachment("0" * 64))

    def test_a_contributed_file_outlives_its_grant(self, parties: Parties) -> None:
        letter = parties.letter()
        vault, exchange, grant_id = grant(parties, [letter])
        sha256 = exchange.open(letter).add_file(b"rapport" * 100, media_type="text/plain", name="r.txt")
        parties.holder.sharing.revoke(grant_id)
        parties.exchange.sync()
        assert b"".join(parties.holder.attachment(letter, sha256)) == b"rapport" * 100
        assert not list((vault.path / "deposits").iterdir())
        _, second, _ = grant(parties, [letter], "Petit Jean")
        assert b"".join(second.open(letter).attachment(sha256)) == b"rapport" * 100

    def test_who_left_reads_no_file_any_more(self, parties: Parties) -> None:
        letter = parties.letter()
        sha256 = parties.holder.attach(letter, b"scan" * 99, name="s", media_type="image/png").sha256
        _, exchange, grant_id = grant(parties, [letter])
        opened = exchange.open(letter)
        assert b"".join(opened.attachment(sha256)) == b"scan" * 99
        parties.holder.sharing.revoke(grant_id)
        parties.exchange.sync()
        with pytest.raises(AccessEnded):
            list(opened.attachment(sha256))


class Test_nothing_seen_before:
    def test_what_was_written_and_deleted_before_a_grant_appears_nowhere(self, parties: Parties) -> None:
        section, entry = medications(parties)
        parties.holder.amend_entry(section, entry, {"note": "SECRETWORD"})
        parties.holder.amend_entry(section, entry, {"note": None})
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        bodies = b"".join(
            envelope.open(opened._unlocked.content.key, opened._unlocked.item.mailbox, message.body).body
            for message in parties.relay.mailboxes[opened._unlocked.item.mailbox].entries
        )
        assert b"SECRETWORD" not in bodies + opened._channel.save and b"BISOPROLOL" in bodies
        assert "SECRETWORD" not in repr(opened.document)


class Test_late_changes:
    def test_a_change_that_the_relay_had_is_written_again_beside_the_newer_one(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, first, first_grant = grant(parties, [section], "Ndiaye Awa")
        _, second, _ = grant(parties, [section], "Petit Jean")
        first.sync()
        first.open(section).set_entry(entry, "medication", {"dose": "late"})
        parties.holder.amend_entry(section, entry, {"dose": "before"})
        parties.holder.sharing.revoke(first_grant)
        parties.holder.amend_entry(section, entry, {"dose": "after"})
        parties.exchange.sync()
        held = parties.holder.read(section)
        assert {"late", "after"} <= doses(held)
        assert any("Ndiaye Awa" in side for conflict in held.conflicts for side in conflict.sides)
        second.sync()
        shown = second.open(section).document
        assert doses(shown) == doses(held)
        assert any("Ndiaye Awa" in side for conflict in shown.conflicts for side in conflict.sides)

    def test_a_late_change_against_an_edition_is_a_conflict_too(self, parties: Parties) -> None:
        """The holder changed the field in the old epoch, unknown to the grantee: the edition carries the holder's."""
        section, entry = medications(parties)
        _, first, first_grant = grant(parties, [section], "Ndiaye Awa")
        grant(parties, [section], "Petit Jean")
        first.sync()
        first.open(section).set_entry(entry, "medication", {"dose": "late"})
        parties.holder.amend_entry(section, entry, {"dose": "held"})
        parties.holder.sharing.revoke(first_grant)
        parties.exchange.sync()
        (conflict,) = parties.holder.read(section).conflicts
        assert {side[:2] for side in conflict.sides} == {("late", "Ndiaye Awa"), ("held", "Martin Léa")}

    def test_two_late_changes_of_one_author_do_not_contradict_each_other(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, first, first_grant = grant(parties, [section], "Ndiaye Awa")
        grant(parties, [section], "Petit Jean")
        first.sync()
        opened = first.open(section)
        opened.set_entry(entry, "medication", {"dose": "one"})
        opened.set_entry(entry, "medication", {"dose": "two"})
        opened.set_entry(None, "medication", {"label": "NEW"})
        parties.holder.sharing.revoke(first_grant)
        parties.exchange.sync()
        held = parties.holder.read(section)
        assert doses(held) == {"two", ""} and not held.conflicts
        assert {item.text("label") for item in held.entries} == {"BISOPROLOL", "NEW"}

    def test_a_late_amendment_brings_a_removed_entry_back(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, first, first_grant = grant(parties, [section], "Ndiaye Awa")
        grant(parties, [section], "Petit Jean")
        first.sync()
        first.open(section).set_entry(entry, "medication", {"dose": "late"})
        parties.holder.remove_entry(section, entry)
        parties.holder.sharing.revoke(first_grant)
        parties.exchange.sync()
        (back,) = parties.holder.read(section).entries
        assert (back.text("label"), back.text("dose")) == ("BISOPROLOL", "late")

    def test_an_author_writes_again_what_the_relay_did_not_take(self, parties: Parties) -> None:
        section, entry = medications(parties)
        vault, first, _ = grant(parties, [section], "Ndiaye Awa")
        opened = first.open(section)
        parties.relay.down = True
        opened.set_entry(entry, "medication", {"dose": "unsent"})
        opened.set_entry(None, "medication", {"label": "NEW"})
        parties.relay.down = False
        grant(parties, [section], "Petit Jean")  # the epoch moves
        parties.holder.remove_entry(section, entry)
        parties.exchange.sync()
        first.sync()
        with pytest.raises(AccessEnded):
            opened.refresh()
        again = first.open(section)
        assert {item.text("label") for item in again.document.entries} == {"BISOPROLOL", "NEW"}
        parties.exchange.sync()
        assert doses(parties.holder.read(section)) == {"unsent", ""}
        assert vault.store.row("SELECT count(*) FROM draft") == (0,)
        assert OutboxStore(vault.store).queued() == 0

    def test_what_arrives_after_the_last_grant_ended_is_still_taken(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, first, grant_id = grant(parties, [section])
        first.open(section).set_entry(entry, "medication", {"dose": "late"})
        parties.holder.sharing.revoke(grant_id)
        parties.exchange.sync()
        assert doses(parties.holder.read(section)) == {"late"}


class Test_faults:
    def test_every_step_may_be_the_last_one(self, parties: Parties) -> None:
        """The connection breaks after any call; the next exchange says it again, and the end is the same."""
        letter = parties.letter()
        sha256 = parties.holder.attach(letter, b"x" * 500, name="x", media_type="text/plain").sha256
        vault, exchange, person = parties.professional()
        parties.holder.sharing.grant(person, [letter], right="edit", purpose="", seconds=86_400)
        left = [0]

        def break_after(verb: str, address: bytes) -> None:
            if left[0] == 0:
                raise RelayUnreachable("broken")
            left[0] -= 1

        parties.relay.before = break_after
        for calls in range(1, 40):
            left[0] = calls
            for one in (parties.exchange, exchange):
                try:
                    one.sync()
                except RelayUnreachable:
                    continue
        parties.relay.before = lambda verb, address: None
        parties.exchange.sync()
        exchange.sync()
        assert len(vault.visiting.grants()) == 1
        opened = exchange.open(letter)
        assert b"".join(opened.attachment(sha256)) == b"x" * 500
        inboxes = [log for log in parties.relay.mailboxes.values() if log.entries]
        assert all(len({entry.body for entry in log.entries}) == len(log.entries) for log in inboxes)

    def test_an_answer_that_was_lost_makes_no_second_entry(self, parties: Parties) -> None:
        section, _ = medications(parties)
        grant(parties, [section])
        client = type(parties.relay.factory(""))
        append, lost = client.append, []

        def append_and_lose(self: Any, addr: bytes, token: bytes, body: bytes) -> Any:
            made = append(self, addr, token, body)
            if not lost:
                lost.append(addr)
                raise RelayUnreachable("lost")
            return made

        client.append = append_and_lose  # type: ignore[method-assign]
        try:
            parties.holder.add_entry(section, "medication", {"label": "A"})
            with pytest.raises(RelayUnreachable):
                parties.exchange.sync()
            parties.exchange.sync()
        finally:
            client.append = append  # type: ignore[method-assign]
        assert len(parties.relay.mailboxes[lost[0]].entries) == 2

    @pytest.mark.parametrize("status", [400, 403, 413, 429, 500, 507])
    def test_one_refused_call_holds_up_nothing_else(self, parties: Parties, status: int) -> None:
        first, second = parties.letter("A"), parties.letter("B")
        vault, exchange, person = parties.professional()
        one = parties.holder.sharing.grant(person, [first], right="read", purpose="", seconds=60)
        parties.holder.sharing.grant(person, [second], right="read", purpose="", seconds=60)

        def refuse(verb: str, address: bytes) -> None:
            if verb == "put_half" and address.hex() == one.id:
                raise RelayRefused(status, "no")

        parties.relay.before = refuse
        report = parties.exchange.sync()
        parties.relay.before = lambda verb, address: None
        exchange.sync()
        temporary = status in (429, 500, 507)
        assert exchange.open(second).document.title == "B"
        assert report.queued == (2 if temporary else 0), "a half that waits keeps its package waiting"
        assert any(event.kind == "refused" for event in report.events) is not temporary
        assert len(vault.visiting.grants()) == (1 if temporary else 2)
        parties.exchange.sync()
        exchange.sync()
        assert len(vault.visiting.grants()) == 2

    def test_a_call_that_makes_no_sense_is_dropped(self, parties: Parties) -> None:
        outbox = OutboxStore(parties.holder.store)
        outbox.queue(parties.relay.url, "gossip", bytes(32), {})
        outbox.queue(parties.relay.url, "seal", bytes(32), {"type": "change", "token": bytes(32)}, b"")
        outbox.queue(parties.relay.url, "put_blob", bytes(32), {"owner": b"", "tokens": [], "sealed": "00" * 32})
        report = parties.exchange.sync()
        assert (report.queued, [event.kind for event in report.events]) == (0, ["refused"] * 3)

    @pytest.mark.parametrize("status", [403, 404, 410, 429, 500])
    def test_an_inbox_that_is_refused_leaves_the_rest_working(self, parties: Parties, status: int) -> None:
        section, entry = medications(parties)
        _, exchange, _ = grant(parties, [section])
        exchange.open(section).set_entry(entry, "medication", {"dose": "2"})
        inbox = parties.holder.people.read_card(parties.holder.people.card()).inbox

        def refuse(verb: str, address: bytes) -> None:
            if address == inbox or verb == "wait":
                raise RelayRefused(status, "no")

        parties.relay.before = refuse
        assert any(event.kind == "refused" for event in parties.exchange.sync().events)
        assert doses(parties.holder.read(section)) == {"2"}

    def test_a_silent_relay_loses_nothing(self, parties: Parties) -> None:
        letter = parties.letter()
        _, exchange, person = parties.professional()
        parties.relay.down = True
        parties.holder.sharing.grant(person, [letter], right="read", purpose="", seconds=60)
        with pytest.raises(RelayUnreachable):
            parties.exchange.sync()
        with pytest.raises(RelayUnreachable):
            exchange.deposit(parties.holder.people.card(), [(Document(title="R"), {})])
        parties.relay.down = False
        exchange.sync()
        assert {event.kind for event in parties.exchange.sync().events} == {"deposit-received", "deposit-filed"}
        assert exchange.sync().events[0].kind == "grant-received"

    def test_files_that_a_crash_left_behind_are_swept(self, parties: Parties) -> None:
        folder = parties.holder.path / "deposits"
        folder.mkdir(exist_ok=True)
        (folder / "stray").write_bytes(b"sealed")
        with Exchange(parties.holder, client_factory=parties.relay.factory) as fresh:
            fresh.sync()
        assert not (folder / "stray").exists()


class Test_a_hostile_relay:
    def test_news_are_asked_for_in_one_call(self, parties: Parties) -> None:
        for number in range(5):
            grant(parties, [parties.letter(str(number))], f"Doctor {number}")
        parties.exchange.sync()
        parties.relay.calls.clear()
        parties.exchange.sync()
        assert parties.relay.calls == ["wait"]

    def test_once_a_day_every_mailbox_is_read_whatever_the_relay_says(self, parties: Parties) -> None:
        grant(parties, [parties.letter()])
        parties.exchange.sync()
        parties.clock.now += 86_400
        parties.relay.calls.clear()
        parties.exchange.sync()
        assert parties.relay.calls.count("messages") == 2 or "wait" not in parties.relay.calls

    def test_a_replayed_opening_is_not_counted_as_another(self, parties: Parties) -> None:
        letter = parties.letter()
        _, exchange, grant_id = grant(parties, [letter])
        exchange.open(letter)
        log = parties.relay.traces[bytes.fromhex(grant_id)]
        parties.relay.add(log, wire.TRACE, bytes.fromhex(grant_id), log.entries[0].body)
        parties.exchange.sync()
        states = [(line.state, line.verified, line.detail) for line in parties.holder.sharing.trace()[1:]]
        assert states == [("opened", True, ""), ("unknown", False, "replayed")]

    def test_an_invented_opening_is_unknown(self, parties: Parties) -> None:
        letter = parties.letter()
        _, _, grant_id = grant(parties, [letter])
        parties.relay.add(
            parties.relay.traces[bytes.fromhex(grant_id)], wire.TRACE, bytes.fromhex(grant_id), b"x" * 300
        )
        assert any(event.kind == "quarantined" for event in parties.exchange.sync().events)
        assert parties.holder.sharing.trace()[-1].state == "unknown"

    def test_a_fork_is_caught_with_both_signatures(self, parties: Parties) -> None:
        section, _ = medications(parties)
        grant(parties, [section])
        parties.holder.add_entry(section, "medication", {"label": "A"})
        parties.exchange.push()
        mailbox = parties.exchange._outbox.mailboxes()[-1]
        log = parties.relay.mailboxes[mailbox.address]
        log.entries[-1] = replace(log.entries[-1], time=log.entries[-1].time + 1)
        log.chain[-1] = wire.extend_chain(
            log.chain[-2], len(log.entries), log.entries[-1].time, log.entries[-1].body_hash
        )
        events = parties.exchange.sync().events
        assert [event.kind for event in events] == ["relay-contradiction"]
        _, evidence, why, _, _ = OutboxStore(parties.holder.store).evidence()[0]
        assert why == "relay-contradiction" and read_evidence(evidence).first != read_evidence(evidence).second

    def test_a_rolled_back_mailbox_is_caught(self, parties: Parties) -> None:
        section, _ = medications(parties)
        grant(parties, [section])
        parties.exchange.sync()
        for log in parties.relay.mailboxes.values():
            del log.entries[:], log.chain[1:]
        parties.clock.now += 86_400
        assert "relay-contradiction" in {event.kind for event in parties.exchange.sync().events}

    def test_another_key_for_a_known_relay_is_refused(self, parties: Parties) -> None:
        parties.relay.key = SigningKey.make()
        parties.clock.now += 86_400
        assert {event.kind for event in parties.exchange.sync().events} == {"refused"}
        with pytest.raises(VerificationFailed):
            parties.exchange.set_relay(parties.relay.url)

    def test_a_key_stated_by_a_grant_is_used_for_that_grant_alone(self, parties: Parties) -> None:
        letter = parties.letter()
        vault, exchange, person = parties.professional()
        parties.holder.store.run("UPDATE relay SET verify_key = ?", (bytes(32),))
        made = parties.holder.sharing.grant(person, [letter], right="read", purpose="", seconds=60)
        parties.holder.store.run("UPDATE relay SET verify_key = ?", (parties.relay.key.public,))
        parties.exchange.sync()
        exchange.sync()
        with pytest.raises(VerificationFailed):
            exchange.open(made.id)
        assert vault.people.relay_key(parties.relay.url) == parties.relay.key.public
        assert not exchange.sync().events


class Test_a_hostile_grantee:
    def forged(self, opened: OpenDocument, **changes: Any) -> bytes:
        item, vault = opened._unlocked.item, opened._vault
        arguments: dict[str, Any] = {
            "kind": "change", "channel": item.mailbox, "document": item.document, "epoch": item.epoch,
            "device": bytes(16), "seq": 1, "prev": bytes(32), "seen": [], "roster": bytes(32), "time": START,
            "body": b"\xa0",
        } | changes  # fmt: skip
        return envelope.seal(opened._unlocked.content.key, vault.identity.sign, **arguments)[0]

    def put(self, parties: Parties, opened: OpenDocument, data: bytes) -> None:
        address = opened._unlocked.item.mailbox
        parties.relay.add(parties.relay.mailboxes[address], wire.MAILBOX, address, data)

    def test_a_lie_about_the_relay_is_told_and_silences_nobody(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        address = opened._unlocked.item.mailbox
        for seen in ([(address, 1, bytes(32))], [(address, 10**6, bytes(32))], [(bytes(32), 9, bytes(32))]):
            self.put(parties, opened, self.forged(opened, seen=seen, device=seen[0][1].to_bytes(16, "big")))
        opened.set_entry(entry, "medication", {"dose": "2"})
        events = parties.exchange.sync().events
        assert [event.person for event in events if event.kind == "relay-contradiction"] == ["Ndiaye Awa"] * 2
        assert doses(parties.holder.read(section)) == {"2"}
        opened.refresh()
        assert opened.document.title == parties.holder.read(section).title

    def test_junk_is_put_aside_and_fills_nothing(self, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
        section, entry = medications(parties)
        monkeypatch.setattr("vault.store.outbox.EVIDENCE_COUNT", 5)
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        for number in range(10):
            self.put(parties, opened, bytes([number]) * 5000)
        opened.set_entry(entry, "medication", {"dose": "2"})
        report = parties.exchange.sync()
        assert sum(event.kind == "quarantined" for event in report.events) == 10
        kept = OutboxStore(parties.holder.store).evidence()
        assert len(kept) == 5 and all(len(item[1]) == 32 for item in kept)
        assert doses(parties.holder.read(section)) == {"2"}

    def test_a_time_of_their_own_is_not_believed(self, parties: Parties) -> None:
        section, entry = medications(parties)
        vault, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        vault.clock = Clock(START + 10**9)
        opened._vault.clock = vault.clock
        opened.until = START + 10**10
        opened.set_entry(entry, "medication", {"dose": "2"})
        parties.holder.amend_entry(section, entry, {"dose": "3"})
        parties.exchange.sync()
        (conflict,) = parties.holder.read(section).conflicts
        assert {side[2][:4] for side in conflict.sides} == {"2027"}

    def test_an_envelope_moved_to_another_mailbox_is_refused(self, parties: Parties) -> None:
        section, _ = medications(parties)
        letter = parties.letter()
        _, exchange, made = grant(parties, [section, letter])
        one, two = exchange.open_all(made)
        self.put(parties, two, self.forged(one))
        assert any(event.detail == "cannot-open" for event in parties.exchange.sync().events)

    @pytest.mark.parametrize("blob", ["../../../etc/passwd", "zz", "aa" * 31, " " * 64])
    def test_a_file_with_a_false_address_breaks_no_exchange(self, parties: Parties, blob: str) -> None:
        letter = parties.letter()
        _, exchange, _ = grant(parties, [letter])
        opened = exchange.open(letter)
        fields = {
            "media_type": "x", "size": 1, "name": "x", "key": "00" * 32, "sealed_sha256": "00" * 32, "sealed_size": 1,
            "blob": blob, "blob_token": blob,
        }  # fmt: skip
        with pytest.raises(Exception, match="place at a relay"):
            opened.write([("set", ("attachments", "ab" * 32), fields)])
        assert not parties.exchange.sync().events or not parties.holder.read(letter).attachments

    def test_a_file_larger_than_stated_is_not_swallowed(self, parties: Parties) -> None:
        letter = parties.letter()
        _, exchange, _ = grant(parties, [letter])
        sha256 = exchange.open(letter).add_file(b"y" * 100, media_type="x", name="y")
        for address, (owner, tokens, data) in list(parties.relay.blobs.items()):
            parties.relay.blobs[address] = (owner, tokens, data + b"\0")
        assert any(event.kind == "quarantined" for event in parties.exchange.sync().events)
        with pytest.raises(Exception, match="missing"):
            list(parties.holder.attachment(letter, sha256))


def test_the_story_over_http(vault_factory: Callable[..., Vault], relay: Any) -> None:
    """Two vaults and the code's own relay process: grant, open, edit, trace, deposit, revoke."""
    holder, doctor = vault_factory(), renewed(vault_factory("doctor"), "Ndiaye Awa")
    key = SigningKey.make()
    with Exchange(holder) as mine, Exchange(doctor) as theirs:
        for exchange in (mine, theirs):
            exchange.set_relay(relay.url)
            exchange.sync()
        card = doctor.people.card()
        now = int(holder.clock())
        office = Office.open("Ordre", key, now)
        certificate = office.certify(doctor.people.read_card(card), unique_id="1", role="doctor", now=now, days=1)
        person = holder.people.add(card, certificate=certificate, authority=office.bulletin(now))
        letter = holder.add(Document(title="Lettre", text="bonjour"))
        sha256 = holder.attach(letter, b"scan" * 1000, name="s.png", media_type="image/png").sha256
        made = holder.sharing.grant(person, [letter], right="edit", purpose="avis", seconds=600)
        mine.sync()
        assert theirs.sync().events[0].kind == "grant-received"
        opened = theirs.open(letter, "voir")
        assert opened.document.title == "Lettre" and b"".join(opened.attachment(sha256)) == b"scan" * 1000
        opened.set_entry(None, "note", {"label": "vu"})
        assert {event.kind for event in mine.sync().events} == {"document-changed", "opened"}
        assert holder.read(letter).entries[0].text("label") == "vu"
        assert [line.state for line in holder.sharing.trace()] == ["granted", "opened"]
        theirs.deposit(holder.people.card(), [(Document(title="Résultat"), {})])
        assert "deposit-filed" in {event.kind for event in mine.sync().events}
        holder.sharing.revoke(made.id)
        mine.sync()
        with pytest.raises(AccessEnded):
            opened.refresh()
        with pytest.raises(AccessEnded):
            theirs.open(letter)
        assert holder.sharing.trace()[-1].verified, "the relay's receipt is there"
        assert not mine.sync().events
    assert json.dumps(hashlib.sha256(b"").hexdigest())


class Test_an_open_screen:
    def test_hears_of_news_without_asking(self, parties: Parties) -> None:
        section, entry = medications(parties)
        _, exchange, _ = grant(parties, [section])
        opened = exchange.open(section)
        parties.exchange.sync()
        heard: list[Report] = []
        stop = threading.Event()

        def listen(report: Report) -> None:
            heard.append(report)
            stop.set()

        opened.set_entry(entry, "medication", {"dose": "2"})
        parties.exchange.watch(listen, stop, seconds=1)
        assert {event.kind for event in heard[0].events} == {"document-changed"}

    def test_a_silent_or_false_relay_ends_no_watch(self, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
        grant(parties, [parties.letter()])
        stop, faults = threading.Event(), [RelayUnreachable("x"), RelayRefused(500, "x"), VerificationFailed("x")]
        waits: list[float] = []

        def fail(verb: str, address: bytes) -> None:
            if faults:
                raise faults.pop()
            stop.set()

        monkeypatch.setattr(stop, "wait", waits.append)
        parties.relay.before = fail
        parties.exchange.watch(lambda report: None, stop)
        assert waits == [1.0, 2.0, 4.0]

    def test_without_a_relay_it_waits(
        self, vault_factory: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stop = threading.Event()
        monkeypatch.setattr(stop, "wait", lambda seconds: stop.set())
        with Exchange(vault_factory()) as exchange:
            exchange.watch(lambda report: None, stop)

    def test_a_document_that_moved_is_opened_in_its_new_epoch(self, parties: Parties) -> None:
        """It closes after the inbox was read: the renewal is fetched and the document opened again."""
        section, _ = medications(parties)
        vault, exchange, _ = grant(parties, [section])
        moved = []

        def move(verb: str, address: bytes) -> None:
            if verb == "open" and not moved:
                moved.append(verb)
                grant(parties, [section], "Petit Jean")

        parties.relay.before = move
        assert exchange.open(section).document.kind == "medications"
        assert parties.relay.calls.count("open") == 2 and vault.visiting.grants()[0].state == "open"

    def test_a_grant_is_found_that_came_a_moment_ago(self, parties: Parties) -> None:
        letter = parties.letter()
        _, exchange, person = parties.professional()
        made = parties.holder.sharing.grant(person, [letter], right="read", purpose="", seconds=60)
        parties.exchange.sync()
        assert exchange.find(made.id[:8])[0].id == made.id
        with pytest.raises(NotFound):
            exchange.find("0" * 32)
