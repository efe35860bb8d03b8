"""What a device of the holder can try that is about to be removed, or was, with a changed program and all its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sync import wire
from sync.exchange import Report
from tests.household import Household, letter, seen
from tests.intruder import Intruder
from tests.relay_double import Log
from vault import Document, Vault
from vault.errors import BadSignature, TooLarge
from vault.histories import Histories
from vault.operation import NEXT, claim
from vault.primitives import SigningKey, make_id, make_key, pad, seal_to
from vault.replica import changes, make
from vault.roster import MAX_CHAIN, RESERVED, make_device, make_next, read_next
from vault.shape import to_state
from vault.store.mailboxes import ZERO, MailboxStore

Z, GREATEST = bytes(32), 2**63 - 1
HERE, ELSEWHERE = "http://relay.test", "http://elsewhere.test"
GRANT_ID, PERSON_ID, FILE_ID = "ab" * 32, "ab" * 16, "ab" * 32
PERSON = {
    "name": "a", "role": "doctor", "card": b"x", "certificate": None, "met": 0, "added": 1, "kem": None,
}  # fmt: skip
AUTHORITY = {
    "name": "a", "data": b"x", "pinned": 1, "list": b"x", "head": b"x", "start": 0, "peaks": b"x", "leaves": b"x",
    "first": None, "second": None,
}  # fmt: skip
GIVEN = {
    "person": bytes(16), "sign": Z, "box": Z, "hash": Z, "name": "x", "role": "doctor", "body": b"x", "half": Z,
    "relay_half": Z, "reader": Z, "owner": Z, "relay": HERE, "right": "read", "purpose": "", "made": 1,
    "until": 1_900_000_000, "state": "active", "ended": None, "receipt": None, "items": [],
}  # fmt: skip
DEPOSIT = {
    "sender": bytes(16), "name": "x", "role": "doctor", "title": "t", "sealed": b"x", "received": 1, "state": "known",
    "document": None, "why": "",
}  # fmt: skip
OPENING = {"time": GREATEST, "entry": b"x", "documents": b"x", "why": "", "state": "opened", "detail": ""}
FILE = {"relay": HERE, "address": Z, "owner": Z, "token": Z, "size": 5}
INBOX = {"relay": HERE, "owner": Z, "append": Z, "state": "open"}
# Each of these stopped every exchange, the list of people, the trace or a removal of whoever read it, for good.
ROWS: list[tuple[str, str, Mapping[str, Any]]] = [
    ("channel", "zz", {"state": "closing"}),
    ("person", PERSON_ID, PERSON),
    ("authority", "ab" * 32, AUTHORITY),
    ("given", GRANT_ID, GIVEN),
    ("given", "ab", GIVEN),
    ("deposit", PERSON_ID, DEPOSIT),
    ("deposit", PERSON_ID, DEPOSIT | {"sealed": None}),
    ("opening", f"{GRANT_ID}:{10**30}", OPENING),
    ("file", "zz", FILE),
    ("file", FILE_ID, FILE | {"relay": "gopher://x"}),
    ("inbox", "ab", INBOX),
    ("relay", "gopher://x", {"verify_key": Z, "home": 1}),
    ("relay", HERE, {"verify_key": Z, "home": 1}),
    ("meta", "device:x", {"value": b"x"}),
]


@pytest.fixture
def household(vault_factory: Callable[..., Vault], tmp_path: Path) -> Iterator[Household]:
    made = Household(vault_factory, tmp_path)
    yield made
    made.close()


@pytest.fixture
def intruder(household: Household) -> Intruder:
    """The second of three devices; only the first and the third are settled from here on."""
    household.add_device("intruder")
    household.add_device("phone")
    letter(household.holder)
    household.settle()
    return Intruder(household, household.devices.pop(1)[0])


def details(reports: list[Report], kind: str) -> list[str]:
    return [event.detail for report in reports for event in report.events if event.kind == kind]


def shown(vault: Vault) -> None:
    """Everything that reads rows."""
    vault.people.list(), vault.people.authorities(), vault.people.card()
    vault.sharing.grants(), vault.sharing.trace(), vault.feeding.all_fetches(), vault.devices.all()


def still_works(household: Household, intruder: Intruder) -> None:
    """The two others are shown everything, remove the intruder, write, and come to the same."""
    household.settle(2)
    for vault, _ in household.devices:
        shown(vault)
    first, phone = (vault for vault, _ in household.devices)
    first.devices.remove(intruder.device.hex())
    household.settle()
    letter(phone, "après")
    household.settle()
    assert not phone.devices.roster().has(intruder.device)
    assert seen(first) == seen(phone) and first.count() == phone.count() == 2


@pytest.mark.parametrize(("name", "key", "values"), ROWS, ids=[f"{row[0]}-{row[1][:6]}" for row in ROWS])
def test_row_that_is_none(household: Household, intruder: Intruder, name: str, key: str, values: Any) -> None:
    intruder.row(name, key, values)
    said = set(details(household.settle(1), "quarantined"))
    assert said and said <= {"malformed", "verification-failed"}
    still_works(household, intruder)


def test_opening_of_an_unknown_access(household: Household, intruder: Intruder) -> None:
    intruder.row("opening", f"{GRANT_ID}:1", OPENING)
    intruder.row("opening", f"{GRANT_ID}:2", OPENING | {"state": "unknown", "detail": "not-found"})
    still_works(household, intruder)


def test_opening_that_is_none_before_one_that_is_not_named_yet(household: Household, intruder: Intruder) -> None:
    _, _, person = household.professional()
    given = household.holder.sharing.grant(
        person, [letter(household.holder, "b")], right="read", purpose="", seconds=3600
    )
    household.settle()
    intruder.row("opening", f"{given.id}:1", OPENING)
    intruder.row("opening", f"{given.id}:2", OPENING | {"state": "unknown", "detail": "not-found"})
    household.settle()
    for vault, _ in household.devices:
        vault.sharing.journal.look_again()


def test_row_of_an_inbox_over_another_mailbox(household: Household, intruder: Intruder) -> None:
    """The vault's channel would get tokens that open nothing: nobody would hear anybody."""
    intruder.row("inbox", intruder.channel.address.hex(), INBOX | {"state": "closing"})
    assert details(household.settle(1), "quarantined") == ["malformed", "malformed"]
    still_works(household, intruder)


def test_home_relay_taken_away(household: Household, intruder: Intruder) -> None:
    """A removal without a home relay would turn the vault for nobody but the device that removes."""
    intruder.row("relay", HERE, {"verify_key": household.relay.key.public, "home": 0})
    household.settle()
    assert household.holder.people.relay() is not None
    still_works(household, intruder)


def test_home_relay_moved(household: Household, intruder: Intruder) -> None:
    """The next channel lies where the others look for it."""
    intruder.row("relay", ELSEWHERE, {"verify_key": household.relay.key.public, "home": 1})
    household.settle()
    household.holder.devices.remove(intruder.device.hex())
    household.settle()
    first, phone = (vault for vault, _ in household.devices)
    assert not phone.devices.roster().has(intruder.device)
    assert first.telling.address == phone.telling.address != intruder.channel.address
    assert [channel.relay for vault in (first, phone) if (channel := vault.telling.channel())] == [HERE, HERE]


def test_inbox_of_a_device_that_is_removed(household: Household, intruder: Intruder) -> None:
    """What others send after the removal is not delivered where it has the owner's token."""
    address, owner, append = make_key(), make_key(), make_key()
    household.relay.mailboxes[address] = Log(owner, {append: ("append", None)})
    intruder.row("inbox", address.hex(), {"relay": HERE, "owner": owner, "append": append, "state": "open"})
    household.settle()
    household.holder.devices.remove(intruder.device.hex())
    household.settle()
    for vault, _ in household.devices:
        card = vault.people.read_card(vault.people.card())
        assert card.inbox not in (None, address)
        assert len(MailboxStore(vault.store).open_inboxes()) == 1


def edition(document: bytes, epoch: int, parent: bytes | None) -> tuple[bytes, tuple[str, dict[str, Any]]]:
    first = changes(make(to_state(Document(title="x", text="t")), make_id())[0])[0]
    fields = {"document": document, "epoch": epoch, "parent": parent, "heads": [], "change": claim(first), "added": 1}
    return first.hash, ("edition", {**fields, "author": "x", "channel": None, "current": True})


@pytest.mark.parametrize("epoch", [GREATEST, 1 << 62, 1 << 45, 0])
def test_epoch_that_leaves_no_room(household: Household, intruder: Intruder, epoch: int) -> None:
    """The number of the next epoch would not go into the store, or two would have one number."""
    (document,) = household.holder.documents.ids()
    before = household.holder.telling.current(document)
    intruder.tell(edition(bytes.fromhex(document), epoch, before)[1])
    intruder.tell(edition(make_id(), max(epoch, 1 << 57), None)[1])
    assert set(details(household.settle(1), "quarantined")) == {"malformed"}
    assert household.holder.telling.current(document) == before
    still_works(household, intruder)


def turn(intruder: Intruder, *, epoch: int = 0, address: bytes = b"", told: int = 0) -> tuple[str, dict[str, Any]]:
    """A turn by the intruder that removes nobody, and whose boxes say what they are told to."""
    roster = intruder.vault.devices.roster()
    statement = make_next(roster, intruder.sign, new_epoch=True, now=1)
    boxes = []
    for device in roster.devices:
        fields = {name: make_key() for name in ("owner", "append", "key")}
        fields |= {"vault": roster.vault, "device": device.id, "epoch": epoch or roster.epoch + 1}
        sealed = seal_to(device.box, pad(NEXT.encode({**fields, "address": address or make_key()})))
        boxes.append({"device": device.id, "sealed": sealed})
    chain = [*intruder.vault.devices.chain(), statement]
    return "turn", {"chain": chain, "epoch": told or roster.epoch + 1, "boxes": boxes}


@pytest.mark.parametrize("lie", ["channel", "inbox", "epoch", "told"])
def test_turn_into_a_mailbox_that_is_none_of_its_own(household: Household, intruder: Intruder, lie: str) -> None:
    inbox = household.holder.people.read_card(household.holder.people.card()).inbox
    lies: dict[str, dict[str, Any]] = {
        "channel": {"address": intruder.channel.address}, "inbox": {"address": inbox}, "epoch": {"epoch": 99},
        "told": {"told": 99},
    }  # fmt: skip
    intruder.tell(turn(intruder, **lies[lie]))
    assert details(household.settle(1), "quarantined") == ["malformed", "malformed"]
    still_works(household, intruder)


def test_lies_about_a_relay_by_nobody(household: Household, intruder: Intruder) -> None:
    """Whoever was removed still has the old channel's key. That accuses no relay, and keeps no megabytes."""
    household.holder.devices.remove(intruder.device.hex())
    household.settle()
    address = household.holder.telling.address
    intruder.sign, intruder.device, intruder.seq, intruder.prev = SigningKey.make(), make_id(), 0, ZERO
    lies = [(make_key(), 0, make_key()) for _ in range(200)] + [(address, 1, make_key())]
    intruder.tell(("signed", {"relay": "", "checkpoints": []}), seen=lies)
    reports = household.settle(1)
    assert details(reports, "relay-contradiction") == []
    assert details(reports, "quarantined") == ["bad-signature", "bad-signature"]


def test_lies_of_a_device_about_mailboxes_that_nobody_has(household: Household, intruder: Intruder) -> None:
    lies = [(make_key(), 0, make_key()) for _ in range(200)]
    intruder.tell(("signed", {"relay": "", "checkpoints": []}), seen=lies)
    assert details(household.settle(1), "relay-contradiction") == []
    assert household.holder.store.row("SELECT count(*) FROM evidence") == (0,)


def test_evidence_crowded_out(household: Household) -> None:
    """Whoever may write into a mailbox fills its room; what the relay signs against itself is still kept."""
    holder = household.holder
    card = holder.people.read_card(holder.people.card())
    assert card.inbox is not None
    log = household.relay.mailboxes[card.inbox]
    for number in range(250):
        household.relay.add(log, wire.MAILBOX, card.inbox, b"junk %d" % number)
    household.exchange.sync()
    assert holder.store.row("SELECT count(*) FROM evidence") == (200,)
    log.entries.pop(), log.chain.pop()
    household.relay.add(log, wire.MAILBOX, card.inbox, b"another")
    household.exchange.sync()
    household.relay.add(log, wire.MAILBOX, card.inbox, b"one more")
    assert details([household.exchange.sync()], "relay-contradiction")
    assert holder.evidence() != []


@pytest.mark.parametrize("verb", ["append", "get_blob", "messages"])
def test_relay_that_signs_nothing(household: Household, intruder: Intruder, verb: str) -> None:
    """An answer that does not verify ends no exchange, and nothing is lost by it."""
    intruder.row("file", FILE_ID, FILE)
    household.settle()

    def before(called: str, address: bytes) -> None:
        if called == verb:
            raise BadSignature("not a valid checkpoint signature")

    letter(household.holder, "b")
    household.relay.before = before
    household.settle(1)
    household.relay.before = lambda called, address: None
    household.settle(2)
    assert seen(household.holder) == seen(household.devices[1][0])


def test_roster_filled_up_to_stay(household: Household, intruder: Intruder) -> None:
    """The last places are for removals: whoever fills all others is removed all the same."""
    roster, chain = household.holder.devices.roster(), list(household.holder.devices.chain())
    while len(chain) < MAX_CHAIN - RESERVED:
        chain.append(make_next(roster, intruder.sign, now=len(chain)))
        roster = read_next(chain[-1], roster)
    with pytest.raises(TooLarge):
        make_next(roster, intruder.sign, now=1)
    with pytest.raises(TooLarge):
        added = make_device(SigningKey.make().public, Z, 1)
        make_next(roster, intruder.sign, add=[added], remove=[intruder.device], now=1)
    intruder.tell(("roster", {"chain": chain}))
    still_works(household, intruder)
    assert len(household.holder.devices.chain()) == MAX_CHAIN - RESERVED + 1


def test_histories_filled_up_by_a_removed_device(
    household: Household, intruder: Intruder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may sign as many branches as it likes from where it still was a device: what holds goes on."""
    monkeypatch.setattr("vault.histories.MAX_STATEMENTS", 40)
    roster, chain = household.holder.devices.roster(), household.holder.devices.chain()
    household.holder.devices.remove(intruder.device.hex())
    household.settle()
    forks = [[*chain, make_next(roster, intruder.sign, new_epoch=True, now=number)] for number in range(60)]
    intruder.tell(*(("roster", {"chain": fork}) for fork in forks))
    household.settle()
    first, phone = (vault for vault, _ in household.devices)
    assert len(first.devices._histories()) == 40
    assert not first.devices.roster().has(intruder.device)
    household.add_device("tablette")
    household.settle()
    assert len(phone.devices.all()) == len(first.devices.all()) == 3


def test_branches_cost_no_more_than_there_are(household: Household, intruder: Intruder) -> None:
    """A branch at each statement of a long chain: each is compared by its ends, never walked along."""
    first = household.holder
    roster, chain = first.devices.roster(), list(first.devices.chain())
    known = Histories(first.devices.anchor(), first.vault_id)
    for number in range(200):
        known.add([*chain, make_next(roster, intruder.sign, new_epoch=True, now=number)])
        chain.append(make_next(roster, intruder.sign, now=number))
        roster = read_next(chain[-1], roster)
    known.add(chain)
    asked = 0
    rosters = known._read

    class Counting(dict[bytes, Any]):
        def __getitem__(self, head: bytes) -> Any:
            nonlocal asked
            asked += 1
            return super().__getitem__(head)

    known._read = Counting(rosters)
    known.held()
    assert asked < 20 * len(known)
