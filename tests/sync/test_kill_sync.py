"""kill -9 while files are imported, and while two vaults exchange through a relay that dies too.

Nothing acknowledged is lost, nothing is there twice or by halves, and the exchange goes on. How many processes die,
tests/killing.py says. The victims write a line after each thing that they were told is kept.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.killing import ROOT, KilledRelay, Nursery, share
from tests.vault.test_crash import consistent
from vault import Vault
from vault.intake import import_files

FILE = ROOT / "tests" / "fixtures" / "cda_fr_own" / "N3_VSM.xml"
IMPORTS, EXCHANGES = share("import"), -(-share("exchange") // 3)
FILES = 40 + 2 * IMPORTS

LOADS = f"""
{KilledRelay.LOADS}
import automerge, itertools, json, lxml.etree, os, sqlcipher3, sys, time
import sync.client, sync.exchange, vault.importers.cda, vault.intake, vault.vault
"""
OPEN = """
import itertools, json, os, sys, time
from pathlib import Path
from vault import Vault
from vault.errors import VaultError
from vault.keys import Keyslots, VaultKey

path, key, rest = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3:]
Keyslots.open_with_passphrase = lambda self, phrase: VaultKey(key)  # Argon2 is not what dies here
say = lambda *what: os.write(1, (json.dumps(what) + "\\n").encode())
vault = Vault.unlock(path, "-", wait=10)
"""
IMPORT = """
from vault.intake import import_files
say("ready")
for file in sorted(Path(rest[0]).iterdir()):
    report = import_files(vault, [file], about_someone_else=True, limited=False)
    say("imported", file.name, [d.id for d in report.documents] + [d.document for d in report.duplicates])
say("done")
while True:  # everything is there: what is left to die in is the looking for it
    import_files(vault, sorted(Path(rest[0]).iterdir()), about_someone_else=True, limited=False)
"""
HOLDER = """
import sync.client
from sync.exchange import Exchange
sync.client.BACKOFF = 0.01
section, name = rest[0], rest[1]
exchange = Exchange(vault)
say("ready")
for number in itertools.count():
    label = f"holder {name}/{number}"
    entry = vault.add_entry(section, "medication", {"label": label, "dose": "before"})
    say("wrote", label)
    if number % 3 == 2:
        vault.amend_entry(section, entry, {"dose": "after"})
        say("amended", label)
    try:
        exchange.sync()
        say("synced", number)
    except VaultError:
        time.sleep(0.02)
"""
PHYSICIAN = """
import sync.client
from sync.exchange import Exchange
sync.client.BACKOFF = 0.01
section, name = rest[0], rest[1]
exchange = Exchange(vault)
say("ready")
opened = None
for number in itertools.count():
    try:
        if opened is None:
            opened = exchange.open(section, "kill")
            say("opened")
        label = f"physician {name}/{number}"
        opened.set_entry(None, "medication", {"label": label})
        say("wrote", label)
        opened.refresh()
    except VaultError:
        time.sleep(0.02)
"""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery(LOADS) as made:
        yield made


@pytest.fixture
def relay(nursery: Nursery, tmp_path: Path) -> Iterator[KilledRelay]:
    running = KilledRelay(nursery, tmp_path / "relay.db").start()
    yield running
    running.close()


def closed(vault: Vault) -> tuple[Path, bytes]:
    place = vault.path, vault._key.secret
    vault.lock()
    return place


@pytest.mark.timeout(120 + 5 * IMPORTS)
def test_kill_during_import(nursery: Nursery, vault: Vault, passphrase: str, tmp_path: Path) -> None:
    """Each file comes in whole or not at all, whenever its import dies; another import completes it."""
    chooser = random.Random(IMPORTS)
    source, whole = tmp_path / "files", FILE.read_text()
    source.mkdir()
    assert whole.count('extension="VAULT-4"') == 1
    for number in range(FILES):
        (source / f"{number:03}.xml").write_text(whole.replace("VAULT-4", f"VAULT-4.{number}"))
    place = closed(vault)
    told: dict[str, list[str]] = {}
    for turn in range(IMPORTS):
        victim = nursery.victim(OPEN + IMPORT, place[0], place[1].hex(), source)
        if turn == 0:
            victim.until("imported")
        time.sleep(chooser.uniform(0, 0.2))
        for what, *rest in victim.kill():
            if what == "imported":
                name, ids = str(rest[0]), list(rest[1])
                assert told.setdefault(name, ids) == ids, "the same file gave another document"
        if turn % 10 == 0 or turn == IMPORTS - 1:
            with Vault.unlock(place[0], passphrase) as opened:
                for ids in told.values():
                    assert [len(opened.read(document).entries) > 0 for document in ids] == [True]
                assert opened.count() <= FILES
                consistent(opened)
    assert nursery.killed == IMPORTS
    with Vault.unlock(place[0], passphrase) as opened:
        import_files(opened, [source], about_someone_else=True, limited=False)
        assert opened.count() == FILES
        assert import_files(opened, [source], about_someone_else=True, limited=False).documents == []
        opened.sweep()
        consistent(opened)


@pytest.mark.timeout(120 + 10 * EXCHANGES)
def test_kill_during_exchange(
    vault_factory: Callable[..., Vault],
    nursery: Nursery,
    relay: KilledRelay,
    passphrase: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Holder, physician and relay die at random moments of writing, pushing and pulling."""
    monkeypatch.setattr("sync.client.BACKOFF", 0.01)
    chooser = random.Random(EXCHANGES)
    holder, physician = vault_factory(), vault_factory("doctor")
    section = holder.section("medications")
    with Exchange(holder) as mine, Exchange(physician) as theirs:
        for exchange in (mine, theirs):
            exchange.set_relay(relay.url)
            exchange.sync()
        person = holder.people.add(physician.people.card(), met=True)
        holder.sharing.grant(person, [section], right="edit", purpose="soin", seconds=86_400)
        mine.sync()
        theirs.sync()
    places = closed(holder), closed(physician)
    told: list[list[object]] = []
    for turn in range(EXCHANGES):
        relay.again()
        pairs = zip((HOLDER, PHYSICIAN), places, strict=True)
        victims = [
            nursery.victim(OPEN + script, path, key.hex(), section, turn, ready=False) for script, (path, key) in pairs
        ]
        for victim in victims:
            # The first turn lasts, so that on a slow machine too everybody has done something.
            victim.until("ready" if turn else "wrote")
        order: list[Callable[[], object]] = [lambda v=v: told.extend(v.kill()) for v in victims]  # type: ignore[misc]
        order.append(relay.kill)
        chooser.shuffle(order)
        for kill in order:
            time.sleep(chooser.uniform(0, 0.25))
            kill()
    assert nursery.killed == 3 * EXCHANGES
    relay.again()
    with Vault.unlock(places[0][0], passphrase) as mine_, Vault.unlock(places[1][0], passphrase) as theirs_:
        judge(mine_, theirs_, section, told)


def judge(holder: Vault, physician: Vault, section: str, told: list[list[object]]) -> None:
    """Both have everything that was acknowledged, once, and neither saw anything that it had to put aside."""
    events = []
    with Exchange(holder) as mine, Exchange(physician) as theirs:
        for exchange in (theirs, mine, theirs, mine):
            exchange._vault.set_meta("pulled", "0")
            report = exchange.sync()
            assert report.queued == 0 and not report.unreachable
            events += [(event.kind, event.detail) for event in report.events]
        assert not [event for event in events if event[0] in ("quarantined", "relay-contradiction", "refused")]
        seen = theirs.open(section, "judge").document
    document = holder.read(section)
    labels = Counter(entry.text("label") for entry in document.entries)
    assert set(labels.values()) <= {1}
    doses = {entry.text("label"): entry.text("dose") for entry in document.entries}
    assert not {str(what[1]) for what in told if what[0] == "wrote"} - labels.keys()
    assert {doses[str(what[1])] for what in told if what[0] == "amended"} <= {"after"}
    assert {entry.text("label") for entry in seen.entries} == set(labels)
    opened = [line for line in holder.sharing.trace() if line.state not in ("granted", "ended")]
    assert all(line.verified and line.state == "opened" for line in opened)
    assert len(opened) >= sum(what[0] == "opened" for what in told)
    for who in ("holder", "physician"):
        assert any(what[0] == "wrote" and str(what[1]).startswith(who) for what in told), f"{who} never did anything"
    assert not holder.store.rows("SELECT 1 FROM evidence")
    for vault in (holder, physician):
        assert vault.store.row("PRAGMA integrity_check") == ("ok",)


def test_the_judge_would_see_a_loss(vault_factory: Callable[..., Vault], relay: KilledRelay) -> None:
    """Something acknowledged that is not there, or is there twice."""
    holder, physician = vault_factory(), vault_factory("doctor")
    section = holder.section("medications")
    with Exchange(holder) as mine, Exchange(physician) as theirs:
        for exchange in (mine, theirs):
            exchange.set_relay(relay.url)
            exchange.sync()
        person = holder.people.add(physician.people.card(), met=True)
        holder.sharing.grant(person, [section], right="edit", purpose="soin", seconds=86_400)
        mine.sync()
        theirs.sync()
        theirs.open(section).set_entry(None, "medication", {"label": "physician 0/0"})
    holder.add_entry(section, "medication", {"label": "holder 0/0"})
    told: list[list[object]] = [["wrote", "holder 0/0"], ["wrote", "physician 0/0"]]
    judge(holder, physician, section, told)
    with pytest.raises(AssertionError):
        judge(holder, physician, section, [*told, ["wrote", "holder 0/1"]])
    holder.add_entry(section, "medication", {"label": "holder 0/0"})
    with pytest.raises(AssertionError):
        judge(holder, physician, section, told)
