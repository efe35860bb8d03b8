"""Three devices of one patient, and somebody who was given access, through seeded lives: apart for weeks, crashes,
a device that is stolen and removed, one that is put back from a copy, recovery kits old and new on any device whether
it has met the others or not, a relay that forks.

`python -m tests.simulation.household --seed 17` prints a schedule as it happens; `--seeds 1..60` runs many, on `--jobs`
processes, and prints the seeds that fail. What runs is the product's own code over the relay of
`tests/simulation/relay.py`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from sync import envelope
from sync.evidence import read_evidence
from sync.exchange import Exchange
from sync.pairing import Guest, Host
from sync.report import Event
from tests.household import seen
from tests.simulation.ledger import Ledger, Written, words
from tests.simulation.relay import URL, Crash, Faults, Line, Relay
from tests.simulation.running import MEMORY, Outcome, many, start
from tests.simulation.schedule import CALL_FAULTS
from tests.simulation.world import DAY, PASSPHRASE, REFUSED, START, Broken, Clock, Seat, Shared, determined, visible
from tests.simulation.world import in_place as words_in
from vault import Document, Vault, primitives
from vault.authority import Office
from vault.devices import Devices
from vault.errors import AccessEnded, VerificationFailed
from vault.primitives import BoxKey, SigningKey, make_key
from vault.replica import conflicts

DEVICES = ("D1", "D2", "D3")
SECTIONS = ("allergies", "conditions", "medications")
PROFILES = ("apart", "crash", "shared", "stolen", "restored", "recovered", "forked", "mixed")
ACTS = {"letter": 4, "entry": 7, "amend": 6, "title": 2, "sync": 16, "push": 2, "restart": 1, "wait": 4}
MORE = {
    "shared": {"grant": 4, "revoke": 2, "open": 6, "write": 6},
    "stolen": {"steal": 2, "grant": 2},
    "restored": {"picture": 3, "restore": 3, "grant": 2},
    "recovered": {"recover": 2, "grant": 2},
    "forked": {"fork": 3, "join": 3},
}  # fmt: skip
MORE["mixed"] = {act: weight for name in PROFILES[2:6] for act, weight in MORE[name].items()}
ROUNDS = 14
LIST = tuple[str, int, int]


class Template:
    """Three devices that were introduced to each other, and a physician whom they know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        primitives.derive_passphrase_key = lru_cache(maxsize=None)(primitives.derive_passphrase_key)
        self.quarantine = Shared()
        clock = Clock()
        self.relay = Relay(clock)
        with determined(0, clock):
            self._make(clock)

    def _make(self, clock: Clock) -> None:
        holder, self.kit = Vault.create(self.folder / "D1", name="Martin Léa", passphrase=PASSPHRASE, clock=clock)
        holder.lock()
        shutil.copytree(self.folder / "D1", self.folder / "A")
        vaults = {}
        for name in ("D1", "A"):
            vault = vaults[name] = Vault.unlock(self.folder / name, PASSPHRASE, clock=clock)
            if name == "A":
                for secret in ("identity-sign", "device-sign"):
                    vault.keyring.put(secret, make_key())
                vault.keyring.put("identity-box", BoxKey.make().secret)
                vault.set_meta("name", "Ndiaye Awa")
                vault.set_meta("role", "doctor")
                vault.holder_name, vault.role = "Ndiaye Awa", "doctor"
            exchange = Exchange(vault, client_factory=Line(name, self.relay).factory)
            exchange.set_relay(URL)
            exchange.sync()
        office, card = Office.open("Ordre fictif", SigningKey.make(), START), vaults["A"].people.card()
        read = vaults["A"].people.read_card(card)
        certificate = office.certify(read, unique_id="A", role="doctor", now=START, days=90)
        self.person = vaults["D1"].people.add(card, certificate=certificate, authority=office.bulletin(START)).id
        for name in DEVICES[1:]:
            vaults[name] = self._admit(vaults["D1"], name, clock)
        for _ in range(2):
            for name in DEVICES:
                Exchange(vaults[name], client_factory=Line(name, self.relay).factory).sync()
        for vault in vaults.values():
            vault.lock()

    def _admit(self, old: Vault, name: str, clock: Clock) -> Vault:
        factory = Line(name, self.relay).factory
        host = Host(old, Exchange(old, client_factory=factory), factory)
        guest = Guest(host.begin(secret=True).print(), name, factory)
        with guest._client() as client:
            client.append(guest._code.address, guest._code.token, guest._sealed)
        host.number()
        guest.number(wait=0)
        host.admit(None)
        vault = guest.join(self.folder / name, guest.welcome(wait=0), PASSPHRASE, clock=clock)
        Exchange(vault, client_factory=factory).sync()
        return vault

    def close(self) -> None:
        self.quarantine.end()


class House:
    """One run."""

    def __init__(self, template: Template, folder: Path, profile: str) -> None:
        self.profile = profile
        self.quarantine, self.person, self.kits = template.quarantine, template.person, [template.kit]
        self.folder = folder
        self.clock = Clock(START + DAY)
        self.ledger = Ledger()
        self.relay = Relay(self.clock)
        self.relay.books = template.relay.books.copy()
        self.relay.clock.now()
        self.events: list[tuple[str, Event]] = []
        self.seats: dict[str, Seat] = {}
        self.stolen = self.remover = ""  # `remover`: who removed the stolen device, "" when that may be forgotten
        self.pictures: dict[str, int] = {}
        for name in (*DEVICES, "A"):
            shutil.copytree(template.folder / name, folder / name)
            self.seats[name] = Seat(self, name, folder / name)  # type: ignore[arg-type]

    def close(self) -> None:
        for seat in self.seats.values():
            seat.sleep()

    def own(self) -> list[Seat]:
        """The devices that are in the patient's hands."""
        return [self.seats[name] for name in DEVICES if name != self.stolen]

    # Steps

    def do(self, step: LIST, faults: Faults) -> str:
        act, a, b = step
        self.ledger.step += 1
        self.clock.now += 60
        if act == "wait":
            self.clock.now += (a % 4 + 1) ** 3 * DAY // 3  # hours to weeks
            return "time"
        seat = self.seats["A" if act in ("open", "write") else DEVICES[a % 3]]
        seat.line.faults = faults
        try:
            return f"{seat.name} {getattr(self, '_' + act)(seat, b) or 'done'}"
        except Crash as crash:
            seat.line.faults = Faults()
            seat.sleep()
            seat.wake()
            return f"{seat.name} crash ({crash})"
        except (*REFUSED, VerificationFailed) as failure:
            return f"{seat.name} {type(failure).__name__}: {failure}"
        finally:
            seat.line.faults = Faults()

    def _written(self, seat: Seat, document: str, saw: Iterable[str] = ()) -> Written:
        return self.ledger.write(seat.name, document, saw)

    def _letter(self, seat: Seat, b: int) -> None:
        made = self._written(seat, "")
        data = f"file {made.word} ".encode() * 20
        made.document = seat.vault.add(Document(title="Lettre", text=made.word))
        if b % 3 == 0:
            seat.vault.attach(made.document, data, name="lettre.txt", media_type="text/plain")
        made.done = True

    def _entry(self, seat: Seat, b: int) -> None:
        document = seat.vault.section(SECTIONS[b % 3])
        made = self._written(seat, document)
        seat.vault.add_entry(document, "allergy", {"label": made.word})
        made.done = True

    def _amend(self, seat: Seat, b: int) -> str:
        places = [
            (document_id, entry)
            for document_id in sorted(seat.vault.documents.ids())
            for entry in seat.vault.read(document_id).entries
        ]
        if not places:
            return "nothing"
        document_id, entry = places[b % len(places)]
        made = self._written(seat, document_id, words_in(seat.vault.read(document_id), entry, "label"))
        seat.vault.amend_entry(document_id, entry.id, {"label": made.word})
        made.done = True
        return ""

    def _title(self, seat: Seat, b: int) -> str:
        ids = sorted(seat.vault.documents.ids())
        if not ids:
            return "nothing"
        document_id = ids[b % len(ids)]
        made = self._written(seat, document_id, words_in(seat.vault.read(document_id), None, "title"))
        seat.vault.amend(document_id, {"title": made.word})
        made.done = True
        return ""

    def _sync(self, seat: Seat, b: int) -> str:
        report = seat.exchange.sync()
        self.events += [(seat.name, event) for event in report.events]
        return f"{report.pushed} {report.pulled} {[event.kind for event in report.events]}"

    def _push(self, seat: Seat, b: int) -> None:
        seat.exchange.push()

    def _restart(self, seat: Seat, b: int) -> None:
        seat.sleep()
        seat.wake()

    # Sharing

    def _grant(self, seat: Seat, b: int) -> str:
        ids = sorted(seat.vault.documents.ids())
        if not ids:
            return "nothing"
        person = seat.vault.people.get(bytes.fromhex(self.person))
        assert person is not None
        seat.vault.sharing.grant(person, [ids[b % len(ids)]], right="edit", purpose="avis", seconds=60 * DAY)
        return ids[b % len(ids)][:8]

    def _revoke(self, seat: Seat, b: int) -> str:
        active = sorted(grant.id for grant in seat.vault.sharing.grants() if grant.state == "active")
        if not active:
            return "nothing"
        seat.vault.sharing.revoke(active[b % len(active)])
        return active[b % len(active)][:8]

    def _open(self, seat: Seat, b: int) -> str:
        self._sync(seat, b)
        visits = sorted(visit.id for visit in seat.vault.visiting.grants() if visit.state == "open")
        if not visits:
            return "nothing"
        for opened in seat.exchange.open_all(visits[b % len(visits)], "visite"):
            seat.open[opened.id] = opened
        return f"{len(seat.open)} open"

    def _write(self, seat: Seat, b: int) -> str:
        if not seat.open:
            return "nothing"
        ids = sorted(seat.open)
        opened = seat.open[ids[b % len(ids)]]
        made = self._written(seat, opened.id)
        opened.set_entry(None, "allergy", {"label": made.word})
        made.done = True
        return opened.id[:8]

    # What happens to devices

    def _steal(self, seat: Seat, b: int) -> str:
        """One device removes another, which is in other hands from now on and acts at the same time."""
        if self.stolen:
            return "nothing"
        victim = self.seats[DEVICES[(DEVICES.index(seat.name) + 1 + b % 2) % 3]]
        if victim.vault.devices.retired() or seat.vault.devices.retired():
            return "nothing"
        if not seat.vault.devices.roster().has(victim.vault.device_id):
            return "nothing"  # it has other keys since, of which this device has not heard
        self.stolen, self.remover = victim.name, ""
        try:
            seat.vault.devices.remove(victim.vault.device_id.hex())
        except REFUSED:
            self.stolen = ""
            raise
        self.remover = seat.name
        if b % 4 < 2:
            other = next(one for one in self.own() if one is not seat)
            victim.vault.devices.remove(other.vault.device_id.hex())
        return f"removes {victim.name}"

    def _picture(self, seat: Seat, b: int) -> None:
        seat.sleep()
        shutil.rmtree(self.folder / f"{seat.name}.copy", ignore_errors=True)
        shutil.copytree(seat.path, self.folder / f"{seat.name}.copy")
        self.pictures[seat.name] = self.ledger.step
        seat.wake()

    def _restore(self, seat: Seat, b: int) -> str:
        """The copy goes on in the place of the device. What it had not sent since is gone, as its holder knows; so is
        what it sent into a log that came not to count (spec/vault-channel.md, 11), which only "mixed" makes."""
        if seat.name not in self.pictures:
            return "nothing"
        taken = self._taken(self.seats.values()) if self.profile != "mixed" else set()
        for made in self.ledger.written:
            if made.seat == seat.name and made.step >= self.pictures[seat.name] and made.word not in taken:
                made.forged = True  # never left the device
        if self.remover == seat.name:
            self.remover = ""
        seat.sleep()
        shutil.rmtree(seat.path)
        shutil.copytree(self.folder / f"{seat.name}.copy", seat.path)
        Vault.unlock(seat.path, PASSPHRASE, clock=seat.clock, accept_older=True).lock()
        seat.wake()
        return "from its copy"

    def _recover(self, seat: Seat, b: int) -> str:
        """A kit, old or new, on any device, whatever it knows of other uses. Whoever stole a device has no kit. A copy
        from before is a device that the kit took out of the roster: it would have to be enrolled anew."""
        if seat.name == self.stolen:
            return "nothing"
        self.pictures.pop(seat.name, None)
        seat.vault.devices.recovered(self.kits[-1 - b % len(self.kits) if b % 3 == 0 else -1], self.kits.append)
        return ""

    def _fork(self, seat: Seat, b: int) -> None:
        self.relay.branches[seat.name] = self.relay.of(seat.name).copy()

    def _join(self, seat: Seat, b: int) -> None:
        self.relay.branches.pop(seat.name, None)

    # What must hold

    def _taken(self, seats: Iterable[Seat]) -> set[str]:
        """Every word in a message that the relay ever took, of the mailboxes that somebody at these seats knows."""
        found: set[str] = set()
        keys: dict[bytes, bytes] = {}
        for seat in seats:
            for address, key in seat.vault.store.rows("SELECT address, key FROM mailbox WHERE key IS NOT NULL"):
                keys[address] = key
        for address, body in self.relay.accepted:
            if address in keys:
                found |= words(envelope.open(keys[address], address, body).body)
        return found

    def settle(self) -> None:
        """The network heals, and the patient's devices exchange until nothing moves."""
        self.relay.branches.clear()
        self.relay.calls += 1000
        self.relay.deliver_late()
        for seat in self.seats.values():
            for opened in seat.open.values():
                opened.close()
            seat.open.clear()
        for turn in range(ROUNDS):
            moved = 0
            for seat in (*self.own(), self.seats["A"]):
                report = seat.exchange.sync()
                self.events += [(seat.name, event) for event in report.events]
                moved += report.pushed + report.pulled
            if turn == 3:
                self._look()
            elif not moved and turn > 3:
                return
        raise Broken("exchanges of everybody never come to rest")

    def _look(self) -> None:
        """The reader opens what there is: what waits there in an epoch that is over is written again."""
        for visit in self.seats["A"].vault.visiting.grants():
            if visit.state == "open":
                with suppress(*REFUSED):
                    for opened in self.seats["A"].exchange.open_all(visit.id, "visite"):
                        opened.close()

    def check(self) -> None:
        if self.profile == "forked":
            self._check_fork()
            return
        self.settle()
        if self.stolen and (not self.remover or any(seat.vault.devices.retired() for seat in self.own())):
            self._remove_again()
        if told := [(name, event.detail) for name, event in self.events if event.kind == "relay-contradiction"]:
            raise Broken(f"an honest relay was accused: {told[:3]}")
        told = [(name, event.detail) for name, event in self.events if event.kind == "quarantined"]
        if told and self.profile in ("apart", "crash", "shared"):
            raise Broken(f"something of an honest device was set aside: {told[:5]}")
        self._check_alike()
        self._check_lost()
        self._check_reader()
        if self.stolen:
            self._check_removed()

    def _remove_again(self) -> None:
        """A crash or a copy put back may have undone the removal: the holder sees the device in the list. Or it removed
        one of the others, whose kit was used at the same time: the words of an earlier sheet take that one back."""
        thief = self.seats[self.stolen].vault.devices
        first, *others = sorted((seat.vault.devices for seat in self.own()), key=lambda one: not one.retired())
        for devices in (first, *others):
            if devices.retired() or any(devices.is_self(one.id) for one in devices.roster().devices):
                theirs = [one.id for one in devices.roster().devices if thief.is_self(one.id)]
                for one in theirs:
                    self._remove_somehow(devices, one.hex())
                if theirs:
                    self.settle()
                return

    def _remove_somehow(self, devices: Devices, device: str) -> None:
        """By this device, or with a kit when an older one removed it at the same time."""
        for kit in (None, *reversed(self.kits)):
            with suppress(*REFUSED):
                devices.remove(device, kit)
                return

    def _check_alike(self) -> None:
        first, *others = self.own()
        expected = seen(first.vault)
        for seat in self.own():
            if retired := seat.vault.devices.retired():
                raise Broken(f"{seat.name} is {retired}")
        for seat in others:
            here = seen(seat.vault)
            for part, value in expected.items():
                if here[part] != value:
                    raise Broken(f"{first.name} and {seat.name} differ in {part}: {_difference(value, here[part])}")

    def _check_lost(self) -> None:
        vault = self.own()[0].vault
        there = {word for document_id in vault.documents.ids() for word in visible(vault.read(document_id))}
        beside = {
            word
            for (save,) in vault.store.rows("SELECT save FROM replica_archive")
            for clash in conflicts(save)
            for side in clash.sides
            for word in words(side.value)
        }
        taken, heard = self._taken(self.seats.values()), self._taken(self.own())
        # What a crash let happen all the same replaced what it had read, too.
        wrote = [made for made in self.ledger.written if made.done or made.word in taken]
        gone = {word for made in wrote for word in made.saw} | beside
        for made in self.ledger.written:
            if not made.done or made.forged or made.seat == self.stolen or made.word in there | gone:
                continue
            if made.seat == "A" and made.word not in heard:
                continue  # never left the device of somebody whose access ended, or was written for the thief alone
            raise Broken(f"{made.word} of {made.seat} in {made.document[:8]} is lost")

    def _check_reader(self) -> None:
        """A reader sees what the holder's devices show. A stolen device may have ended one at the relay."""
        vault, seat = self.own()[0].vault, self.seats["A"]
        for grant in vault.sharing.grants():
            if grant.state == "active":
                with suppress(*(AccessEnded,) if self.stolen else ()):
                    for opened in seat.exchange.open_all(grant.id, "am Ende"):
                        theirs, ours = visible(opened.document), visible(vault.read(opened.id))
                        opened.close()
                        if theirs != ours:
                            raise Broken(f"of {opened.id[:8]} the reader sees {theirs - ours}, not {ours - theirs}")

    def _check_removed(self) -> None:
        """What is written after the removal is settled does not reach the removed device, nor the other way round."""
        thief, (first, *others) = self.seats[self.stolen], self.own()
        if {line.id for line in first.vault.devices.all()} & {thief.vault.device_id.hex()}:
            raise Broken(f"{thief.name} was removed and is a device still")
        secret, theirs = self._written(first, ""), self._written(thief, "")
        first.vault.add(Document(title=secret.word))
        with suppress(*REFUSED, VerificationFailed):
            thief.vault.add(Document(title=theirs.word))
        for _ in range(3):
            for seat in (*self.own(), thief):
                with suppress(*REFUSED, VerificationFailed):
                    seat.exchange.sync()
        shown = {seat.name: set(_titles(seat.vault)) for seat in self.seats.values()}
        if secret.word in shown[thief.name]:
            raise Broken(f"{thief.name} was removed and reads on")
        for seat in (first, *others):
            if theirs.word in shown[seat.name] or secret.word not in shown[seat.name]:
                raise Broken(f"after the removal {seat.name} shows {shown[seat.name] & {theirs.word, secret.word}}")

    def _check_fork(self) -> None:
        """Two histories of the vault's channel: whoever exchanges with both afterwards says so, with proof."""
        contradicted = self._contradicted()
        with suppress(Broken):
            self.settle()
        told = [event for _, event in self.events if event.kind == "relay-contradiction"]
        if contradicted and not told:
            raise Broken("two histories were shown and nobody noticed")
        if told and not contradicted and not any(event.detail for event in told):
            raise Broken("an honest relay was accused")
        for seat in self.own():
            for data in seat.vault.evidence():
                with suppress(VerificationFailed):
                    if read_evidence(data).relay_key != self.relay.signer.public:
                        raise Broken("evidence against another relay")
            shown = {
                word for document_id in seat.vault.documents.ids() for word in visible(seat.vault.read(document_id))
            }
            if strange := shown - set(self.ledger.by_word):
                raise Broken(f"{seat.name} shows {strange}, which nobody wrote")

    def _contradicted(self) -> bool:
        """Whether two devices followed the vault's channel along two chains."""
        found: dict[tuple[bytes, int], set[bytes]] = {}
        for seat in self.own():
            address = seat.vault.telling.address
            rows = seat.vault.store.rows("SELECT position, chain FROM link WHERE mailbox = ?", (address,))
            for position, chain in rows:
                found.setdefault((address, position), set()).add(chain)
        return any(len(chains) > 1 for chains in found.values())


def _titles(vault: Vault) -> set[str]:
    return {line.title for line in vault.list().documents}


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, dict):
        keys = [key for key in {*one, *other} if one.get(key) != other.get(key)]
        return str([(key, one.get(key), other.get(key)) for key in keys[:1]])[:700]
    if isinstance(one, set):
        return f"{one - other} | {other - one}"[:700]
    return f"{one} | {other}"[:700]


# Runs


def draw(seed: int, profile: str = "") -> tuple[str, list[tuple[LIST, Faults]]]:
    chance = random.Random(seed)
    profile = profile or PROFILES[seed % len(PROFILES)]
    weights = {**ACTS, **MORE.get(profile, {})}
    steps = []
    for _ in range(chance.randint(25, 60)):
        act = chance.choices(list(weights), list(weights.values()))[0]
        faults = Faults()
        if act in ("sync", "push") and profile != "forked" and chance.random() < 0.3:
            faults.calls[chance.randint(1, 8)] = (chance.choice(CALL_FAULTS), chance.randint(0, 25))
        if profile in ("crash", "mixed") and chance.random() < 0.25:
            how = chance.choice(("crash", "crash-after"))
            if chance.random() < 0.5:
                faults.calls[chance.randint(1, 8)] = (how, 0)
            else:
                faults.commits[chance.randint(1, 6)] = how
        steps.append(((act, chance.randint(0, 999), chance.randint(0, 999)), faults))
    return profile, steps


class Runner:
    """Runs of one process. `profile`: of every run; "" for the one that follows from its seed."""

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._folder = Path(tempfile.mkdtemp(prefix="elpis-household-", dir=MEMORY if MEMORY.is_dir() else None))
        self._template = Template(self._folder / "template")
        self._numbers = itertools.count()

    def close(self) -> None:
        self._template.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run_seed(self, seed: int) -> Outcome:
        return self.run(seed)

    def run(self, seed: int, say: Callable[[str], None] = lambda line: None) -> Outcome:
        profile, steps = draw(seed, self._profile)
        folder = self._folder / str(next(self._numbers))
        house = House(self._template, folder, profile)
        try:
            with determined(seed, house.clock):
                for number, (step, faults) in enumerate(steps, 1):
                    wrong = f"{faults.calls or ''}{faults.commits or ''}"
                    came = house.do(step, faults)
                    say(f"{number:>3}  {step[0]:<8} {wrong} -> {came}")
                house.check()
        except Exception as failure:
            where = "".join(traceback.format_exception(failure)[-14:])
            return Outcome(seed, profile, f"{type(failure).__name__}: {failure}", where)
        finally:
            with suppress(Exception):
                house.close()
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(seed, profile)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.household", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed and print its schedule")
    parser.add_argument("--seeds", metavar="A..B", help="run many seeds")
    parser.add_argument("--profile", choices=PROFILES, default="", help="what may happen, instead of the seed's own")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if chosen.seeds:
        return 1 if many(partial(Runner, chosen.profile), chosen.seeds, chosen.jobs) else 0
    runner = Runner(chosen.profile)
    try:
        outcome = runner.run(chosen.seed or 0, print)
        print(f"seed {outcome.seed}, {outcome.profile}: {outcome.where or 'holds'}")
        return 1 if outcome.failure else 0
    finally:
        runner.close()


if __name__ == "__main__":
    start(main, "tests.simulation.household")
