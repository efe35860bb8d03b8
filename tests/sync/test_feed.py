"""A folder into the vaults of patients: once, to the right one, through crashes, repeats and a relay that is away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.client import RelayRefused
from sync.exchange import Exchange
from sync.feeder import Feeder
from tests.establishment import LEA, PAUL, Somebody, card_of, oru, roster_of
from tests.parties import Parties
from vault import Vault
from vault import feed as feeds
from vault.errors import StorageFailed
from vault.feed import Feed, Journal, Taken
from vault.patients import Roster

OLD = 1_700_000_000


@dataclass
class Place:
    """An establishment, one patient with a vault of her own, and a folder."""

    parties: Parties
    vault: Vault
    exchange: Exchange
    folder: Path
    roster: Path
    told: list[Taken]

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (OLD, OLD))
        return path

    def feed(self, **options: object) -> Feed:
        return Feed(self.vault, self.roster, limited=False, told=self.told.append, **options)  # type: ignore[arg-type]

    def once(self, **options: object) -> dict[str, int]:
        with self.feed() as feed:
            done, report = Feeder(feed, self.exchange).once(self.folder, stop=threading.Event(), **options)  # type: ignore[arg-type]
        return {**done.outcomes, "documents": done.documents, "moved": done.moved, "queued": report.queued}

    def sent(self) -> int:
        """Messages in the patient's inbox."""
        inbox = self.vault.people.read_card(self.parties.holder.people.card()).inbox
        assert inbox is not None
        return len(self.parties.relay.mailboxes[inbox].entries)

    def filed(self) -> list[str]:
        """What the patient's vault holds after a sync: values of the results."""
        self.parties.exchange.sync()
        page = self.parties.holder.list()
        documents = [self.parties.holder.read(line.id) for line in page.documents]
        return sorted(entry.text("value") for document in documents for entry in document.entries)


@pytest.fixture
def place(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Place]:
    parties = Parties(vault_factory)
    vault, exchange, _person = parties.professional("Laboratoire du Port")
    folder = tmp_path / "out"
    folder.mkdir()
    roster = roster_of(vault, tmp_path / "roster", (LEA, parties.holder.people.card()), (PAUL, card_of(PAUL)))
    yield Place(parties, vault, exchange, folder, roster, [])
    exchange.close()


def test_what_arrives_is_laid_down_once(place: Place) -> None:
    place.write("a.hl7", oru(LEA, "1", "5.4"))
    place.write("deep/b.hl7", oru(LEA, "2", "6.1"))
    assert place.once() == {"taken": 2, "documents": 2, "moved": 0, "queued": 0}
    assert place.once() == {"documents": 0, "moved": 0, "queued": 0}
    place.write("copy of a.hl7", oru(LEA, "1", "5.4"))
    place.write("a.hl7", oru(LEA, "1", "5.4") + b"\r")  # the same with another ending
    assert place.once() == {"repeated": 2, "documents": 0, "moved": 0, "queued": 0}
    assert place.sent() == 2 and place.filed() == ["5.4", "6.1"]
    assert Journal(place.vault).counts() == {"queued": 0, "sent": 2, "refused": 0, "rejected": 0}


def test_a_message_written_again_with_another_time_is_the_same(place: Place) -> None:
    place.write("a.hl7", oru(LEA, "1"))
    place.write("b.hl7", oru(LEA, "1", time="20260103090000"))
    place.write("c.hl7", oru(LEA, "1", "7.7", time="20260103090000"))
    assert place.once()["documents"] == 2
    assert place.filed() == ["5.4", "7.7"]


def test_a_correction_under_the_same_number_is_laid_down_too(place: Place) -> None:
    place.write("a.hl7", oru(LEA, "1", "5.4"))
    place.once()
    place.write("a.hl7", oru(LEA, "1", "4.5"))
    place.write("again.hl7", oru(LEA, "1", "4.5") + b"\r\r")
    assert place.once()["documents"] == 1
    assert place.filed() == ["4.5", "5.4"]


def test_what_is_about_nobody_goes_nowhere(place: Place) -> None:
    stranger = Somebody("Roux", "Zoé", "1990-01-01", "290017512345678")
    place.write("stranger.hl7", oru(stranger, "1"))
    place.write("two.hl7", oru(LEA, "2") + oru(PAUL, "3"))
    place.write("wrong.hl7", oru(LEA, "4").replace(b"Martin", b"Durand").replace(b"1980", b"1981"))
    place.write("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    place.write("torn.xml", b"<ClinicalDocument xmlns='urn:hl7-org:v3'><a>")
    place.write("empty.hl7", b"")
    place.write("good.hl7", oru(LEA, "5"))
    done = place.once()
    assert (done["taken"], done["rejected"]) == (1, 6)
    why = {Path(item.source).name: item.why for item in Journal(place.vault).rejected()}
    assert why == {
        "stranger.hl7": "nobody", "two.hl7": "two-people", "wrong.hl7": "mismatch", "picture.png": "no-name",
        "torn.xml": why["torn.xml"], "empty.hl7": "unreadable",
    }  # fmt: skip
    assert why["torn.xml"] in ("unreadable", "no-name")
    assert place.filed() == ["5.4"] and sum(len(log.entries) for log in place.parties.relay.mailboxes.values()) == 1
    assert {path.name for path in place.folder.iterdir()} == {*why, "good.hl7"}, "nothing is ever deleted"


def test_who_is_added_later_gets_what_was_rejected(place: Place) -> None:
    place.write("a.hl7", oru(LEA, "1"))
    roster = Roster.open(place.vault, place.roster)
    roster.remove(LEA.ins)
    roster.save()
    assert place.once()["rejected"] == 1
    assert place.once() == {"documents": 0, "moved": 0, "queued": 0}, "rejected once is rejected"
    with place.feed() as feed:
        roster_of(place.vault, place.roster, (LEA, place.parties.holder.people.card()))
        feed.refresh()
        assert feed.folder(place.folder).documents == 1
    assert Journal(place.vault).rejected() == ()


def test_unfinished_hidden_and_linked_files_are_left_alone(place: Place, tmp_path: Path) -> None:
    for name in ("a.hl7.part", "b.TMP", ".c.hl7", ".d/e.hl7", "f.hl7~"):
        place.write(name, oru(LEA, name))
    (place.folder / "link.hl7").symlink_to(place.write("../elsewhere.hl7", oru(LEA, "9")))
    os.mkfifo(place.folder / "pipe.hl7")
    assert place.once() == {"documents": 0, "moved": 0, "queued": 0}


def test_a_file_that_is_still_written_waits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.write("a.hl7", oru(LEA, "1")[:-30])
    os.utime(path)
    with place.feed() as feed:
        assert feed.folder(place.folder).waiting == 1
        path.write_bytes(oru(LEA, "1"))
        os.utime(path, (OLD, OLD))
        real = feeds.read_whole

        def written_to(name: Path, stat: os.stat_result) -> bytes | None:
            path.write_bytes(oru(LEA, "1") + b"OBX|2|NM|1^A^L||1|g|||||F\r")
            return real(name, stat)

        monkeypatch.setattr(feeds, "read_whole", written_to)
        assert feed.folder(place.folder).waiting == 1, "it changed between being found and being read"
        monkeypatch.setattr(feeds, "read_whole", real)
        os.utime(path, (OLD * 2, OLD * 2))
        assert feed.folder(place.folder).waiting == 1, "a time in the future: wait from now on"
        monkeypatch.setattr(feeds, "SETTLED", 0.0)
        assert feed.folder(place.folder).documents == 1


def test_a_relay_that_is_away_loses_nothing(place: Place) -> None:
    place.parties.relay.down = True
    place.write("a.hl7", oru(LEA, "1"))
    assert place.once()["queued"] == 1
    place.write("b.hl7", oru(LEA, "2", "6.1"))
    assert place.once()["queued"] == 2
    place.parties.relay.down = False
    assert place.once()["queued"] == 0
    assert place.sent() == 2 and place.filed() == ["5.4", "6.1"]


def test_the_answer_of_the_relay_is_lost(place: Place) -> None:
    """It took the message and its answer did not come: the same bytes again are the same message."""
    relay, appended = place.parties.relay, []

    def cut(verb: str, address: bytes) -> None:
        if verb == "append" and len(appended) < 3:
            appended.append(address)
            raise RelayRefused(507, "storage")

    relay.before = cut
    place.write("a.hl7", oru(LEA, "1"))
    for _ in range(5):
        place.once()
    assert len(appended) == 3 and place.sent() == 1


@pytest.mark.parametrize("moment", ["deposit", "put_document", "put_file", "commit"])
def test_a_crash_before_the_commit_leaves_nothing_half_done(
    place: Place, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal and the queue know of a document together, or neither does."""
    place.write("a.hl7", oru(LEA, "1"))
    place.write("b.hl7", oru(LEA, "2", "6.1"))

    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as broken:
        if moment == "deposit":
            broken.setattr(type(place.vault.feeding), "deposit", crash)
        elif moment == "commit":
            broken.setattr(place.vault.store, "before_commit", crash)
        else:
            broken.setattr(feeds.JournalStore, moment, crash)
        with place.feed() as feed, pytest.raises(Crash):
            feed.folder(place.folder)
    assert Journal(place.vault).counts()["queued"] == 0
    assert place.vault.store.row("SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM fed)") == (0,)
    place.once()
    assert place.sent() == 2 and place.filed() == ["5.4", "6.1"]


def test_a_crash_between_queue_and_journal_would_be_seen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the journal outside of the transaction, a crash lays a document down twice."""
    place.write("a.hl7", oru(LEA, "1"))

    class Crash(BaseException):
        pass

    def committed_apart(store: object, *_: object) -> None:
        place.vault.store._connection.execute("COMMIT")
        place.vault.store._connection.execute("BEGIN IMMEDIATE")
        raise Crash

    monkeypatch.setattr(feeds.JournalStore, "add", lambda *_: None)
    monkeypatch.setattr(feeds.JournalStore, "put_document", committed_apart)
    with place.feed() as feed, pytest.raises(Crash):
        feed.folder(place.folder)
    monkeypatch.undo()
    place.once()
    assert place.sent() == 2


def test_files_move_when_the_relay_has_them(place: Place, tmp_path: Path) -> None:
    done = tmp_path / "out" / "done"
    done.mkdir()
    place.write("a.hl7", oru(LEA, "1"))
    place.write("bad.hl7", b"MSH|")
    place.parties.relay.down = True
    assert place.once(move_to=done)["moved"] == 0
    assert (place.folder / "a.hl7").exists()
    place.parties.relay.down = False
    assert place.once(move_to=done)["moved"] == 1
    assert not (place.folder / "a.hl7").exists() and (done / "a.hl7").exists() and (place.folder / "bad.hl7").exists()
    place.write("a.hl7", oru(LEA, "2", "6.1"))
    assert place.once(move_to=done)["moved"] == 1
    assert (done / "a.hl7").read_bytes() == oru(LEA, "1"), "nothing is written over"
    assert (done / "a (2).hl7").read_bytes() == oru(LEA, "2", "6.1")
    assert place.filed() == ["5.4", "6.1"]


def test_an_inbox_that_was_closed_is_told_and_tried_with_a_new_card(place: Place) -> None:
    place.write("a.hl7", oru(LEA, "1"))
    place.parties.relay.before = lambda verb, address: _refuse(verb)
    place.once()
    (refused,) = Journal(place.vault).rejected()
    assert (refused.state, refused.why, refused.detail) == ("refused", "refused", "410")
    place.parties.relay.before = lambda verb, address: None
    assert place.once()["documents"] == 0, "the same card would be refused again"
    place.parties.clock.now += 60
    roster_of(place.vault, place.roster, (LEA, place.parties.holder.people.card()))
    assert place.once()["documents"] == 1
    assert place.filed() == ["5.4"] and Journal(place.vault).rejected() == ()


def _refuse(verb: str) -> None:
    if verb == "append":
        raise RelayRefused(410, "closed")


def test_large_files_go_before_the_deposit_that_names_them(place: Place) -> None:
    import base64

    packed = base64.b64encode(os.urandom(400_000)).decode()
    place.write("a.hl7", oru(LEA, "1", body=f"OBX|2|ED|X^Image^L||^image^dicom^Base64^{packed}||||||F"))
    relay, refused = place.parties.relay, []

    def busy(verb: str, address: bytes) -> None:
        if verb == "put_blob" and not refused:
            refused.append(verb)
            raise RelayRefused(507, "storage")

    relay.before = busy
    assert place.once()["queued"] == 3, "the deposit does not overtake its files"
    assert place.sent() == 0
    assert place.once()["queued"] == 0
    assert place.filed() == ["5.4"]
    held = {item.name: item.size for line in place.parties.holder.list().documents for item in line.attachments}
    assert held["Image.dcm"] == 400_000


def test_many_results_leave_less_room_for_files_inside(place: Place) -> None:
    """What does not fit into one deposit beside its results goes as a file of its own."""
    import base64

    name = "Glucose " * 12
    results = "\r".join(f"OBX|{n}|NM|14771-0^{name}{n}^LN||{n}.5|mmol/L|3.9-5.5|N|||F" for n in range(2, 2200))
    files = [base64.b64encode(os.urandom(250_000)).decode() for _ in range(2)]
    packed = "\r".join(f"OBX|1|ED|X^X^L||^image^dicom^Base64^{file}||||||F" for file in files)
    place.write("a.hl7", oru(LEA, "1", body=f"{results}\r{packed}"))
    assert place.once() == {"taken": 1, "documents": 1, "moved": 0, "queued": 0}
    assert len(place.filed()) == 2199


def test_a_deposit_does_not_go_without_a_file_that_a_relay_refuses(place: Place) -> None:
    import base64

    packed = base64.b64encode(os.urandom(400_000)).decode()
    place.write("a.hl7", oru(LEA, "1", body=f"OBX|2|ED|X^Image^L||^image^dicom^Base64^{packed}||||||F"))

    def full(verb: str, address: bytes) -> None:
        if verb == "put_blob":
            raise RelayRefused(413, "too-large")

    place.parties.relay.before = full
    assert place.once()["queued"] == 0
    assert place.sent() == 0
    assert [item.detail for item in Journal(place.vault).rejected()] == ["413"]


def test_no_room_is_no_rejection(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("a.hl7", oru(LEA, "1"))
    monkeypatch.setattr(feeds, "ROOM", feeds.MAX_QUEUED)
    with place.feed() as feed, pytest.raises(StorageFailed):
        feed.folder(place.folder)
    assert Journal(place.vault).rejected() == ()
    monkeypatch.undo()
    assert place.once()["documents"] == 1


def test_a_message_is_kept_until_relays_have_all_of_it(place: Place) -> None:
    def kept() -> int:
        row = place.vault.store.row("SELECT count(*) FROM fed WHERE body IS NOT NULL")
        return int(row[0]) if row else -1

    with place.feed() as feed:
        assert feed.message(bytes(32), oru(LEA, "1"), "mllp:x").documents == 1
    place.parties.relay.before = lambda verb, address: _refuse(verb)
    assert kept() == 1
    place.exchange.push()
    assert kept() == 1 and place.sent() == 0, "refused: it is wanted again"
    place.parties.relay.before = lambda verb, address: None
    roster_of(place.vault, place.roster, (PAUL, card_of(PAUL)))
    Journal(place.vault).again()
    place.feed().__exit__(None, None, None)
    place.exchange.push()
    assert kept() == 0 and place.filed() == ["5.4"]


def test_again_looks_at_everything_again(place: Place) -> None:
    place.write("a.hl7", b"MSH|")
    assert place.once()["rejected"] == 1
    assert place.once().get("rejected") is None
    assert Journal(place.vault).again() == 1
    assert place.once()["rejected"] == 1


def test_a_feeder_says_when_there_is_no_room_and_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("a.hl7", oru(LEA, "1"))
    monkeypatch.setattr("sync.feeder.EVERY", 0.05)
    stop, said = threading.Event(), []

    def paused(failure: StorageFailed) -> None:
        said.append(str(failure))
        monkeypatch.setattr(feeds, "ROOM", 1_000)

    monkeypatch.setattr(feeds, "ROOM", feeds.MAX_QUEUED)
    threading.Timer(3, stop.set).start()
    with place.feed() as feed:
        Feeder(feed, place.exchange).run(place.folder, stop=stop, paused=paused)
    assert said == ["too much waits to be sent already"] and place.sent() == 1


def test_what_ends_the_sending_ends_the_feeding(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(place.exchange, "push", broken)
    with place.feed() as feed, pytest.raises(ZeroDivisionError):
        Feeder(feed, place.exchange).run(place.folder, stop=threading.Event())


def test_a_feeder_goes_on_until_it_is_told(place: Place) -> None:
    stop = threading.Event()
    with place.feed() as feed:
        feeder = Feeder(feed, place.exchange)
        running = threading.Thread(target=feeder.run, args=(place.folder,), kwargs={"stop": stop})
        running.start()
        try:
            place.write("a.hl7", oru(LEA, "1"))
            for _ in range(200):
                if place.sent() or stop.wait(0.05):
                    break
        finally:
            stop.set()
            running.join(10)
    assert not running.is_alive() and place.sent() == 1
