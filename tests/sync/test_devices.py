"""Two and three devices of one holder: enrolment, convergence, removal, restored copies, recovery."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sync.exchange import Exchange
from sync.pairing import Guest, Host
from sync.report import Report
from tests.conftest import PASSPHRASE
from tests.household import Household, letter, seen
from vault import Document, RecoveryKit, Vault
from vault.checkup import check
from vault.encoding import encode
from vault.errors import InputRefused, NotFound, UnlockFailed, VerificationFailed
from vault.intake import import_files
from vault.opening import make_request
from vault.operation import encode_operation
from vault.primitives import make_id
from vault.store.rows import KINDS
from vault.undo import undo_import

FIXTURES = Path(__file__).parent.parent / "fixtures"
INS = "284047599900133"


@pytest.fixture
def household(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Household]:
    made = Household(vault_factory, tmp_path)
    yield made
    made.close()


def alike(household: Household) -> bool:
    first, *others = (seen(vault) for vault, _ in household.devices)
    for other in others:
        assert other == first
    return True


class Test_a_new_device:
    def test_gets_everything_that_was_there(self, household: Household) -> None:
        holder = household.holder
        section = holder.section("medications")
        entry = holder.add_entry(section, "medication", {"label": "BISOPROLOL"})
        holder.amend_entry(section, entry, {"dose": "2"})
        scan = letter(holder)
        attachment = holder.attach(scan, b"scan" * 5000, name="s.png", media_type="image/png")
        household.professional()
        phone, _ = household.add_device()
        household.settle(2)
        assert alike(household)
        assert b"".join(phone.attachment(scan, attachment.sha256)) == b"scan" * 5000
        assert [line.name for line in phone.devices.all()] == ["", "téléphone"]
        assert phone.people.card() == holder.people.card()

    def test_by_a_code_with_a_secret_nothing_is_compared(self, household: Household) -> None:
        letter(household.holder)
        household.add_device(secret=True)
        assert alike(household)

    def test_a_third_comes_later_by_the_second(self, household: Household) -> None:
        letter(household.holder, "avant")
        household.add_device("téléphone")
        letter(household.holder, "entre")
        household.settle(2)
        household.add_device("tablette", by=1)
        letter(household.devices[1][0], "après")
        household.settle()
        assert alike(household) and household.devices[2][0].count() == 3

    def test_one_device_alone_queues_nothing(self, household: Household) -> None:
        letter(household.holder)
        household.exchange.sync()
        for table in ("told", "dirty", "envelope", "edition", "home_file"):
            assert household.holder.store.row(f"SELECT count(*) FROM {table}") == (0,)

    def test_an_import_is_taken_back_only_while_one_device_has_it(self, household: Household) -> None:
        holder = household.holder
        import_files(holder, [FIXTURES / "pdf_own"])
        household.add_device()
        done = undo_import(holder)
        assert not done.removed and {item.why for item in done.kept} == {"your other devices have it"}
        with pytest.raises(InputRefused):
            holder.remove([holder.documents.ids()[0]])
        assert alike(household)

    def test_the_wrong_number_ends_the_meeting(self, household: Household) -> None:
        host = Host(household.holder, household.exchange, household.relay.factory)
        guest = Guest(host.begin().print(), "x", household.relay.factory)
        number = household._meet(host, guest)
        wrong = f"{(int(number) + 1) % 1_000_000:06d}"
        with pytest.raises(VerificationFailed):
            host.admit(wrong)
        with pytest.raises(NotFound):
            host.admit(number)
        assert len(household.holder.devices.all()) == 1

    def test_somebody_between_the_devices_shows_another_number(self, household: Household) -> None:
        """By name (issue 3): the relay puts its own hello in the place of the new device's."""
        host = Host(household.holder, household.exchange, household.relay.factory)
        code = host.begin().print()
        guest, thief = Guest(code, "phone", household.relay.factory), Guest(code, "thief", household.relay.factory)
        shown = household._meet(host, thief)
        with pytest.raises(VerificationFailed):
            guest.number(wait=0)
        assert guest._hello != thief._hello and len(shown) == 6

    def test_the_relay_of_the_meeting_learns_no_name_and_no_key(self, household: Household) -> None:
        host = Host(household.holder, household.exchange, household.relay.factory)
        code = host.begin()
        guest = Guest(code.print(), "téléphone de Zélie", household.relay.factory)
        household._meet(host, guest)
        stored = b"".join(entry.body for entry in household.relay.mailboxes[code.address].entries)
        side, vault = guest._side, household.holder
        told = ["téléphone de Zélie".encode(), side.sign.public, side.box.public, side.fresh.public, vault.vault_id]
        told.append(bytes.fromhex(vault.devices.all()[0].id))
        assert len(stored) > 1500 and not [one for one in told if one in stored]

    def test_whoever_has_not_read_the_code_is_not_heard(self, household: Household) -> None:
        host = Host(household.holder, household.exchange, household.relay.factory)
        code = host.begin()
        stranger = Guest(replace(code, key=bytes(32)).print(), "x", household.relay.factory)
        with stranger._client() as client:
            client.append(code.address, code.token, stranger._sealed)
        with pytest.raises(VerificationFailed):
            host.number()


class Test_together:
    def test_both_write_while_they_are_apart(self, household: Household) -> None:
        holder = household.holder
        section = holder.section("medications")
        entry = holder.add_entry(section, "medication", {"label": "BISOPROLOL", "dose": "1"})
        phone, _ = household.add_device()
        holder.amend_entry(section, entry, {"dose": "2"})
        phone.amend_entry(section, entry, {"dose": "3"})
        phone.add_entry(section, "medication", {"label": "ASPIRINE"})
        letter(holder, "du portable")
        letter(phone, "du téléphone")
        household.settle()
        assert alike(household)
        (conflict,) = holder.read(section).conflicts
        assert {side[0] for side in conflict.sides} == {"2", "3"}
        assert holder.count() == 3

    def test_the_number_that_tells_persons_apart_is_told(self, household: Household) -> None:
        phone, _ = household.add_device()
        household.holder.set_ins(INS)
        household.settle()
        assert phone.holder_ins == INS
        household.holder.set_ins("")
        household.settle()
        assert phone.holder_ins == ""

    def test_both_make_the_same_section(self, household: Household) -> None:
        phone, _ = household.add_device()
        for vault, label in ((household.holder, "A"), (phone, "B")):
            vault.add_entry(vault.section("allergies"), "allergy", {"label": label})
        household.settle()
        assert alike(household)
        (section,) = household.holder.list().documents
        assert {entry.text("label") for entry in household.holder.read(section.id).entries} == {"A", "B"}

    def test_three_make_the_same_section_and_go_on_writing(self, household: Household) -> None:
        """Editions that were passed over never stand in for the one that holds, whatever their numbers."""
        household.add_device()
        household.add_device("tablette")
        for turn in range(2):
            for vault, _ in household.devices:
                for kind in ("allergies", "conditions", "vitals"):
                    vault.add_entry(vault.section(kind), "allergy", {"label": f"{turn} {vault.device_id.hex()}"})
            household.settle()
        assert alike(household)
        assert {len(household.holder.read(line.id).entries) for line in household.holder.list().documents} == {6}

    def test_both_import_the_same_letter(self, household: Household) -> None:
        phone, _ = household.add_device()
        for vault in (household.holder, phone):
            vault.add(Document(title="Compte rendu", source_id="urn:1"))
        household.settle()
        assert alike(household) and phone.count() == 1

    def test_both_give_the_same_document(self, household: Household) -> None:
        section = household.holder.section("medications")
        household.holder.add_entry(section, "medication", {"label": "BISOPROLOL"})
        one_vault, one, first = household.professional("Ndiaye Awa")
        two_vault, two, second = household.professional("Petit Jean")
        phone, _ = household.add_device()
        household.settle(1)
        household.holder.sharing.grant(first, [section], right="edit", purpose="avis", seconds=9999)
        phone.sharing.grant(phone.people.find(second.id), [section], right="edit", purpose="avis", seconds=9999)
        phone.add_entry(section, "medication", {"label": "ASPIRINE"})
        household.settle(4)
        assert alike(household)
        for exchange in (one, two):
            exchange.sync()
            opened = exchange.open(section)
            assert {entry.text("label") for entry in opened.document.entries} >= {"BISOPROLOL", "ASPIRINE"}
            opened.set_entry(None, "medication", {"label": f"par {exchange is one}"})
        household.settle()
        assert alike(household) and len(phone.read(section).entries) == 4
        assert one_vault and two_vault

    def test_what_a_grantee_writes_reaches_every_device(self, household: Household) -> None:
        section = household.holder.section("medications")
        _, doctor, person = household.professional()
        phone, on_phone = household.add_device()
        household.holder.sharing.grant(person, [section], right="edit", purpose="avis", seconds=9999)
        household.settle(1)
        doctor.sync()
        doctor.open(section).set_entry(None, "medication", {"label": "du médecin"})
        doctor.sync()
        on_phone.sync()
        assert [entry.text("label") for entry in phone.read(section).entries] == ["du médecin"]
        household.settle()
        assert alike(household)

    def test_a_revocation_on_one_device_is_one_on_all(self, household: Household) -> None:
        document = letter(household.holder)
        _, _, person = household.professional()
        made = household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        phone, on_phone = household.add_device()
        phone.sharing.revoke(made.id)
        household.settle()
        assert alike(household)
        assert household.holder.sharing.grants()[0].state == "revoked"
        assert not household.holder.list().documents[0].shared
        assert on_phone.sync().events == []

    def test_the_trace_is_the_same_everywhere(self, household: Household) -> None:
        document = letter(household.holder)
        _, doctor, person = household.professional()
        household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        phone, _ = household.add_device()
        household.settle(1)
        doctor.sync()
        doctor.open(document, "consultation")
        household.settle()
        assert phone.sharing.trace() == household.holder.sharing.trace()
        assert [line.state for line in phone.sharing.trace()] == ["granted", "opened"]

    def test_an_opening_by_another_devices_renewal_is_proven_when_that_is_told(self, household: Household) -> None:
        """The renewal went out and was used before the device that gave it told the others of it."""
        document = letter(household.holder)
        phone, on_phone = household.add_device()
        household.settle()
        _, doctor, person = household.professional()
        _, _, other = household.professional("Petit Jean")
        household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        household.settle()
        household.holder.sharing.grant(other, [document], right="read", purpose="avis", seconds=9999)
        household.exchange._pusher.all(Report(), None)
        doctor.sync()
        doctor.open(document, "consultation")
        report = on_phone.sync()
        assert [line.state for line in phone.sharing.trace()] == ["granted", "unknown"]
        assert [line.detail for line in phone.sharing.trace()] == ["", "not-found"]
        assert "quarantined" not in {event.kind for event in report.events}
        household.exchange.sync()
        report = on_phone.sync()
        assert "opened" in {event.kind for event in report.events}
        household.settle()
        for vault in (household.holder, phone):
            assert [line.state for line in vault.sharing.trace()].count("opened") == 1
            assert "unknown" not in {line.state for line in vault.sharing.trace()}
            assert not [found.failed for found in check(vault) if found.failed]

    def test_a_row_that_changes_again_before_it_is_told_is_told_once(self, household: Household) -> None:
        """Two professionals of one authority, the same one again, the relay again: all before the next exchange."""
        phone, _ = household.add_device()
        household.settle()
        household.professional()
        household.professional("Petit Jean")
        doctor, on_doctor, _ = household.professional("Roux Ève")
        household.introduce(doctor)
        household.exchange.set_relay(household.relay.url)
        household.exchange.set_relay(household.relay.url)
        household.settle()
        assert alike(household) and len(phone.people.list()) == 3 and on_doctor

    @pytest.mark.parametrize(
        ("name", "key"),
        [("channel", "everything"), ("opening", f"{'0' * 64}:{10**20}"), ("file", "F" * 64)],
    )
    def test_a_row_under_a_key_that_is_none_stops_nobody(self, household: Household, name: str, key: str) -> None:
        """A stolen device could silence the vault's channel with one: what came behind it was never heard."""
        phone, on_phone = household.add_device()
        household.settle()
        values = dict.fromkeys(KINDS[name].columns, b"") if name in KINDS else {"state": "closing"}
        body = encode_operation("row", {"name": name, "key": key, "value": encode(values)})
        phone.telling.journal.tell(phone.telling.address, "row", body)
        on_phone.sync()
        phone.add(Document(title="after it"))
        on_phone.sync()
        events = [event.kind for event in household.exchange.sync().events]
        assert "quarantined" in events
        assert "after it" in {summary.title for summary in household.holder.list().documents}

    def test_a_relay_with_a_long_address_reaches_the_other_devices(self, household: Household) -> None:
        """An address has at most 500 characters, a row's key had 200: no row of this device was told any more."""
        phone, _ = household.add_device()
        household.settle()
        url = "https://" + "r" * 492
        household.holder.people.pin_relay(url, bytes(32))
        household.settle()
        assert phone.people.relay_key(url) == bytes(32)

    def test_what_one_device_proved_another_does_not_take_back(self, household: Household) -> None:
        document = letter(household.holder)
        _, doctor, person = household.professional()
        phone, on_phone = household.add_device()
        household.settle()
        household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        household.settle()
        doctor.sync()
        doctor.open(document, "consultation")
        household.exchange.sync()
        phone.store.run("DELETE FROM given_item")  # it cannot prove the opening
        phone.sharing.journal.take(*_trace_at(household, phone))
        on_phone.push()
        household.exchange.sync()
        assert [line.state for line in household.holder.sharing.trace()] == ["granted", "opened"]
        on_phone.sync()
        assert "unknown" not in {line.state for line in phone.sharing.trace()}


def _trace_at(household: Household, vault: Vault) -> tuple[bytes, list[tuple[int, int, bytes]], int, bytes]:
    """What the relay recorded of the one grant, as an exchange hands it to the journal."""
    (given,) = vault.sharing.journal.to_follow()
    with household.relay.factory(household.relay.url) as client:
        entries, checkpoint = client.trace(given.number, given.owner, 0)
    return given.number, [(one.index, one.time, one.body) for one in entries], checkpoint.count, checkpoint.chain


def lost(household: Household, number: int) -> tuple[Vault, Exchange]:
    """A device in other hands: it does not take part in `settle` any more."""
    return household.devices.pop(number)


def test_a_made_up_tag_beside_a_true_one_hides_no_opening(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed program names a tag that nobody gave, as if another device's renewal were still to be told."""
    document = letter(household.holder)
    household.add_device()
    household.settle()
    doctor, exchange, person = household.professional()
    grant = household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
    household.settle()
    exchange.sync()

    def more(*args: Any, **options: Any) -> bytes:
        both = {name: [*options[name], make_id()] for name in ("documents", "tags")}
        return make_request(*args, **options | both)

    monkeypatch.setattr("vault.visiting.make_request", more)
    session = doctor.visiting.begin(grant.id, [document], "")
    household.relay.factory(household.relay.url, verify_key=household.relay.key.public).open(
        session.visit.number, session.request
    )
    (event,) = (event for event in household.exchange.sync().events if event.kind == "quarantined")
    assert (event.document_id, event.detail) == (document, "not-found")
    line = household.holder.sharing.trace()[-1]
    assert (line.state, line.document_id, line.verified) == ("unknown", document, False)


class Test_removal:
    def test_a_removed_device_reads_and_writes_nothing_afterwards(self, household: Household) -> None:
        document = letter(household.holder)
        _, doctor, person = household.professional()
        household.holder.sharing.grant(person, [document], right="edit", purpose="avis", seconds=9999)
        thief, on_thief = household.add_device("volé")
        tablet, _ = household.add_device("tablette")
        household.settle()
        household.holder.devices.remove(thief.device_id.hex())
        thief_pair = lost(household, 1)
        thief.amend(document, {"title": "du voleur, avant de savoir"})
        household.settle()
        on_thief.sync()
        assert not thief.telling.active
        household.holder.amend(document, {"text": "après"})
        thief.amend(document, {"title": "du voleur"})
        letter(household.holder, "nouveau")
        household.settle()
        doctor.sync()
        for _ in range(2):
            report = on_thief.sync()
        assert alike(household)
        assert thief.read(document).text == "bonjour" and thief.count() == 1
        assert "voleur" not in tablet.read(document).title
        assert doctor.open(document).document.text == "après"
        assert report and thief_pair

    def test_removal_beats_concurrent_acts_of_the_removed_device(self, household: Household) -> None:
        """By name (issue 3): the stolen device removes the others and takes in one of its own at the same time."""
        thief, on_thief = household.add_device("volé")
        tablet, _ = household.add_device("tablette")
        household.settle()
        household.holder.devices.remove(thief.device_id.hex())
        lost(household, 1)
        thief.devices.remove(household.holder.device_id.hex())
        on_thief.push()
        household.settle(4)
        letter(household.holder, "suite")
        household.settle(2)
        assert alike(household)
        assert [line.name for line in tablet.devices.all()] == ["", "tablette"]
        assert tablet.count() == 1
        for _ in range(3):
            on_thief.sync()
        assert thief.count() == 0

    def test_what_waited_on_another_device_is_told_after_the_turn(self, household: Household) -> None:
        old, _ = household.add_device("vieux")
        tablet, _ = household.add_device("tablette")
        household.settle()
        letter(tablet, "écrit hors ligne")
        household.holder.devices.remove(old.device_id.hex())
        lost(household, 1)
        household.exchange.sync()
        household.settle()
        assert alike(household) and household.holder.count() == 1

    def test_a_device_that_hears_of_its_removal_renews_no_access(self, household: Household) -> None:
        """It owes an epoch of a section that both made alike, and hears in the same exchange that it was removed."""
        _, doctor, person = household.professional()
        old, on_old = household.add_device("vieux")
        household.settle()
        for vault in (household.holder, old):
            vault.add_entry(vault.section("allergies"), "allergy", {"label": f"{vault is old}"})
        (line,) = household.holder.list().documents
        household.holder.sharing.grant(person, [line.id], right="read", purpose="avis", seconds=9999)
        household.exchange.push()
        household.holder.devices.remove(old.device_id.hex())
        household.exchange.push()
        theirs = [grant.id for grant in old.sharing.grants()]
        report = on_old.sync()
        assert old.devices.retired() == "removed" and "removed-here" in {event.kind for event in report.events}
        assert theirs == [] and old.telling.journal.owed() == [(bytes.fromhex(line.id), True)]
        lost(household, 1)
        household.settle()
        doctor.sync()
        shown = doctor.open(line.id).document
        assert [entry.text("label") for entry in shown.entries] == ["False"]

    def test_what_was_written_while_removed_comes_along_when_that_does_not_hold(self, household: Household) -> None:
        """Seed 717: a section that the holder's device has made meanwhile stayed two."""
        first = household.holder
        thief, on_thief = household.add_device("volé")
        tablet, on_tablet = household.add_device("tablette")
        household.settle()
        thief.devices.remove(tablet.device_id.hex())
        on_thief.push()
        on_tablet.sync()
        assert tablet.devices.retired() == "removed"
        first.devices.remove(thief.device_id.hex())
        lost(household, 1)
        for vault in (first, tablet):
            vault.add_entry(vault.section("allergies"), "allergy", {"label": f"{vault is first}"})
        household.settle(5)
        assert alike(household)
        (line,) = first.list().documents
        assert {entry.text("label") for entry in tablet.read(line.id).entries} == {"True", "False"}

    def test_words_for_an_earlier_channel_that_takes_nothing_any_more_are_told_in_the_last(
        self, household: Household
    ) -> None:
        """Whoever was removed has the token of the old channel and closes it."""
        old, _ = household.add_device("vieux")
        household.settle()
        section = household.holder.section("allergies")
        household.holder.add_entry(section, "allergy", {"label": "avant"})
        former = household.holder.telling.address
        household.holder.devices.remove(old.device_id.hex())
        lost(household, 1)
        with household.relay.factory(household.relay.url) as client:
            client.close_mailbox(former, old.telling.channel().owner, False)  # type: ignore[union-attr, arg-type]
        household.exchange.sync()
        household.holder.add_entry(section, "allergy", {"label": "après"})
        household.exchange.sync()
        assert not household.holder.telling.journal.unsealed(household.holder.telling.address, 1)[0]
        household.add_device("neu")
        household.settle()
        assert alike(household)

    def test_the_kit_takes_a_device_back_that_a_thief_removed(
        self, household: Household, made: dict[str, tuple[Path, RecoveryKit]]
    ) -> None:
        """What the others wrote since, who followed the thief's turn, comes along."""
        first, kit = household.holder, made[""][1]
        thief, on_thief = household.add_device("volé")
        tablet, _ = household.add_device("tablette")
        document = letter(first)
        household.settle()
        thief.devices.remove(first.device_id.hex())
        on_thief.push()
        lost(household, 1)
        household.settle(2)
        assert first.devices.retired() == "removed" and not tablet.devices.retired()
        tablet.amend(document, {"text": "sur la tablette"})
        first.amend(document, {"title": "hors du cercle"})
        household.settle(2)
        assert first.read(document).text == "bonjour"
        first.devices.recovered(kit)
        household.settle(4)
        assert alike(household)
        assert (first.read(document).title, tablet.read(document).text) == ("hors du cercle", "sur la tablette")
        first.devices.remove(thief.device_id.hex())
        letter(first, "sans le voleur")
        household.settle(4)
        for _ in range(2):
            on_thief.sync()
        assert alike(household) and tablet.count() == 2 and thief.count() == 1
        assert [line.name for line in tablet.devices.all()] == ["tablette", ""]

    def test_the_kit_removes_a_thief_that_is_the_older_device(
        self, household: Household, made: dict[str, tuple[Path, RecoveryKit]]
    ) -> None:
        """The holder's first device is stolen; it removes the others at the same time, and again when it has read."""
        thief, on_thief = household.holder, household.exchange
        tablet, _ = household.add_device("tablette")
        phone, _ = household.add_device("téléphone")
        document = letter(tablet)
        household.settle()
        lost(household, 0)
        thief.devices.remove(tablet.device_id.hex())
        on_thief.push()
        tablet.amend(document, {"text": "après le vol"})
        household.settle(2)
        assert tablet.devices.retired() == "removed"
        tablet.devices.remove(thief.device_id.hex(), made[""][1])
        household.settle(3)
        on_thief.sync()
        with pytest.raises(InputRefused):
            thief.devices.remove(phone.device_id.hex())
        assert thief.devices.retired() == "removed"
        household.settle(3)
        assert alike(household)
        assert [line.name for line in phone.devices.all()] == ["tablette", "téléphone"]
        assert phone.read(document).text == "après le vol" and thief.read(document).text == "bonjour"

    def test_a_kit_that_was_replaced_takes_no_removed_device_back(
        self, household: Household, made: dict[str, tuple[Path, RecoveryKit]]
    ) -> None:
        first, kit = household.holder, made[""][1]
        tablet, _ = household.add_device("tablette")
        household.settle()
        tablet.replace_kit(PASSPHRASE)
        household.settle()
        tablet.devices.remove(first.device_id.hex())
        household.settle()
        before = first.devices.chain()
        with pytest.raises(InputRefused):
            first.devices.recovered(kit)
        assert first.devices.chain() == before and first.devices.retired() == "removed"

    def turned_twice(self, household: Household) -> tuple[Vault, Exchange, Vault]:
        """The stolen device removes the holder's first and is heard first; then comes the turn that holds. Returns
        (the third device, which followed the thief, its exchange, the first)."""
        thief, on_thief = household.add_device("volé")
        tablet, on_tablet = household.add_device("tablette")
        household.settle()
        household.holder.devices.remove(thief.device_id.hex())
        thief.devices.remove(household.holder.device_id.hex())
        on_thief.push()
        lost(household, 1)
        on_tablet.sync()
        assert not tablet.devices.roster().has(household.holder.device_id)
        return tablet, on_tablet, household.holder

    def test_an_epoch_started_in_a_channel_that_lost_holds_after_the_return(self, household: Household) -> None:
        """It was told without its parent, and passed over by everybody else."""
        document = letter(household.holder)
        _, _, person = household.professional()
        tablet, on_tablet, first = self.turned_twice(household)
        person = next(one for one in tablet.people.list() if one.id == person.id)
        for text in ("un", "deux"):
            tablet.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
            tablet.amend(document, {"text": text})
        on_tablet.sync()
        started = tablet.telling.current(document)
        assert tablet.documents.epoch(document) > 1
        household.settle(5)
        assert alike(household)
        assert first.read(document).text == "deux"
        known = {first.telling.edition_at(document, epoch) for epoch, _ in first.documents.archived(document)}
        assert started in {*known, first.telling.current(document)}

    def test_epochs_started_at_once_in_the_channel_that_lost_and_the_one_that_holds(self, household: Household) -> None:
        document = letter(household.holder)
        _, _, person = household.professional()
        tablet, on_tablet, first = self.turned_twice(household)
        theirs = next(one for one in tablet.people.list() if one.id == person.id)
        tablet.sharing.grant(theirs, [document], right="read", purpose="avis", seconds=9999)
        tablet.amend(document, {"text": "sur la tablette"})
        on_tablet.sync()
        first.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        first.amend(document, {"title": "sur le premier"})
        household.settle(5)
        assert alike(household)
        shown = first.read(document)
        assert (shown.title, shown.text) == ("sur le premier", "sur la tablette")

    def test_what_was_told_between_two_turns_reaches_those_who_followed_the_first(self, household: Household) -> None:
        """They pass over it, and its writer had read it back."""
        document = letter(household.holder)
        _, _, person = household.professional()
        household.settle()
        thief, on_thief = household.add_device("volé")
        tablet, on_tablet = household.add_device("tablette")
        household.settle()
        first = household.holder
        new = letter(first, "entre les deux")
        first.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        first.amend(document, {"text": "entre les deux"})
        first.devices.remove(thief.device_id.hex())
        thief.devices.remove(first.device_id.hex())
        on_thief.push()
        lost(household, 1)
        on_tablet.sync()
        household.settle(5)
        assert alike(household)
        assert tablet.read(new).title == "entre les deux" == tablet.read(document).text

    def test_the_inbox_and_the_accesses_are_new(self, household: Household) -> None:
        document = letter(household.holder)
        household.professional()
        person = household.holder.people.list()[0]
        before = household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        card = household.holder.people.card()
        old, _ = household.add_device("vieux")
        household.settle()
        household.holder.devices.remove(old.device_id.hex())
        lost(household, 1)
        household.settle()
        states = {grant.id: grant.state for grant in household.holder.sharing.grants()}
        assert states.pop(before.id) == "revoked" and list(states.values()) == ["active"]
        assert household.holder.people.read_card(household.holder.people.card()).inbox != (
            household.holder.people.read_card(card).inbox
        )


class Test_a_copy_put_back:
    def put_back(self, household: Household, number: int, copy: Path) -> None:
        """The folder of a device as it was when `copy` was made."""
        household.devices[number][0].lock()
        again = Vault.unlock(copy, PASSPHRASE, clock=household.clock, accept_older=True)
        household.devices[number] = again, Exchange(again, client_factory=household.relay.factory)
        household._opened.append(again)

    def copied(self, vault: Vault, to: Path) -> Path:
        vault.store.row("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(vault.path, to)
        return to

    def test_is_another_device_and_the_others_notice(self, household: Household, tmp_path: Path) -> None:
        document = letter(household.holder)
        phone, _ = household.add_device()
        household.settle()
        copy = self.copied(phone, tmp_path / "copy")
        phone.amend(document, {"title": "écrit après la copie"})
        household.settle()
        before = phone.device_id
        self.put_back(household, 1, copy)
        again = household.devices[1][0]
        again.amend(document, {"text": "écrit sur la copie"})
        reports = household.settle(4)
        assert alike(household)
        assert again.device_id != before
        assert again.read(document).title == "écrit après la copie"
        assert household.holder.read(document).text == "écrit sur la copie"
        kinds = {(event.kind, event.person) for report in reports for event in report.events}
        assert ("device-restored", "téléphone") in kinds and "quarantined" not in {kind for kind, _ in kinds}
        assert len(again.devices.all()) == 3

    def test_two_put_back_at_once_hear_each_other_after_one_statement_gave_way(
        self, household: Household, tmp_path: Path
    ) -> None:
        """What the device whose statement gave way had under way counts for nothing, and stopped its chain for good."""
        document = letter(household.holder)
        phone, _ = household.add_device()
        household.add_device("tablette")
        household.settle()
        copies = [self.copied(vault, tmp_path / f"copy-{n}") for n, vault in enumerate((household.holder, phone))]
        for number, copy in enumerate(copies):
            self.put_back(household, number, copy)
        household.settle(2, only=[1, 2])
        household.devices[1][0].amend(document, {"text": "en chemin"})
        household.devices[0][1].sync()  # its statement holds, and comes into the log before what the other says now
        household.devices[1][1].push()
        household.settle(4)
        assert alike(household)
        assert household.devices[0][0].read(document).text == "en chemin"

    def test_whom_a_device_let_in_goes_on_after_its_statement_gave_way(
        self, household: Household, tmp_path: Path
    ) -> None:
        """What the new device told while it was in no roster is told again, and heard."""
        document = letter(household.holder)
        household.add_device()
        household.settle()
        copy = self.copied(household.holder, tmp_path / "copy")
        self.put_back(household, 0, copy)
        tablet, on_tablet = household.add_device("tablette", by=1)
        household.settle(2, only=[1, 2])
        household.devices[0][1].sync()  # its statement holds: nobody let the tablet in
        tablet.amend(document, {"text": "entre-temps"})
        on_tablet.push()
        on_tablet.sync()
        household.settle(4)
        assert alike(household)
        assert household.devices[0][0].read(document).text == "entre-temps"

    def test_by_the_kit_it_is_another_device_too(self, household: Household, made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        copy = self.copied(household.holder, tmp_path / "copy")
        words = " ".join(made[""][1].words())
        again = Vault.recover(copy, words, "une autre phrase", clock=household.clock, accept_older=True)
        household._opened.append(again)
        assert [line.this for line in again.devices.all()] == [True]
        assert again.device_id != household.holder.device_id

    def test_alone_it_takes_its_own_place(self, household: Household, tmp_path: Path) -> None:
        document = letter(household.holder)
        copy = self.copied(household.holder, tmp_path / "copy")
        before = household.holder.device_id
        self.put_back(household, 0, copy)
        again = household.devices[0][0]
        (line,) = again.devices.all()
        assert line.this and line.restored_from == before.hex() and line.id != before.hex()
        assert again.read(document).text == "bonjour"


def keys(vault: Vault) -> set[object]:
    """What a turn makes anew."""
    inbox = vault.people.read_card(vault.people.card()).inbox
    return {vault.device_id, vault.telling.address, inbox, vault.meta_bytes("root"), vault.keyring.need("device-box")}


class Test_recovery:
    def test_rotates_every_key_and_tells_every_device(self, vault_factory, made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        household = Household(vault_factory, tmp_path)
        kit = made[""][1]
        document = letter(household.holder)
        _, doctor, person = household.professional()
        household.holder.sharing.grant(person, [document], right="read", purpose="avis", seconds=9999)
        phone, _ = household.add_device()
        household.settle()
        holder = household.holder
        before, grant, identity = keys(holder), holder.sharing.grants()[0].id, holder.people.fingerprint()
        holder.lock()
        holder = Vault.recover(holder.path, " ".join(kit.words()), "une autre phrase", clock=household.clock)
        household.holder = holder
        household._opened.append(holder)
        household.devices[0] = holder, Exchange(holder, client_factory=household.relay.factory)
        fresh = holder.devices.recovered(kit)
        reports = household.settle(4)
        assert alike(household)
        assert not keys(holder) & before
        assert [one.id for one in holder.sharing.grants() if one.state == "active"] not in ([], [grant])
        assert holder.people.fingerprint() == identity
        assert phone.meta_bytes("root") == holder.meta_bytes("root") == fresh.root_key().public
        assert "recovery-used" in {event.kind for report in reports for event in report.events}
        phone.amend(document, {"title": "suite"})
        household.settle()
        doctor.sync()
        assert doctor.open(document).document.title == "suite"
        holder.lock()
        with pytest.raises(UnlockFailed):
            Vault.recover(holder.path, " ".join(kit.words()), "encore une autre phrase")
        household.close()
