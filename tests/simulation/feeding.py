"""Establishments feed patients through crashes, repeats and days offline; nothing is lost, doubled or misdirected.

    python -m tests.simulation.feeding --establishments 943 --documents 20000 --vaults 5000

Real: each establishment's vault, roster, journal and queue; reading, deciding, sealing, MLLP over a socket, sending;
the relay, a process of its own. The process in which establishments feed is killed (SIGKILL) at random moments, and so
is the relay. Light: a patient is two key pairs and an inbox, read along the relay's signed chain and opened deposit by
deposit (`tests/simulation/test_feeding.py` runs the same with real vaults). Importers run without their worker.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sync.acknowledge import Answering
from sync.client import RelayClient, RelayUnreachable, Seen, Token, follow
from sync.exchange import Exchange
from sync.feeder import Feeder
from sync.mllp import END, START, Listener
from tests.establishment import Somebody, oru
from tests.parties import renewed
from vault import Vault
from vault.deposit import open_deposit
from vault.feed import Feed, Journal
from vault.identity import Identity, make_card
from vault.keys import Keyslots, VaultKey
from vault.patients import Roster
from vault.primitives import BoxKey, SigningKey, make_key
from vault.statement import open_statement

ROOT = Path(__file__).parents[2]
OLD = 1_700_000_000
PASSPHRASE = "sept lampes vertes au matin"


@dataclass(frozen=True)
class Item:
    """One thing that an establishment's software writes. `number` is the result that it states; -1 for what is about
    nobody, or about two people."""

    establishment: int
    patient: int
    number: int
    day: int
    by: str  # "file" or "mllp"
    name: str
    control: str
    time: str


@dataclass
class Plan:
    """Who is who, where, and what happens on which day."""

    folder: str
    relay: str
    key: str
    establishments: int
    offline: list[list[int]]  # for each day, who has no network
    items: list[dict[str, Any]] = field(default_factory=list)

    def place(self, establishment: int) -> Path:
        return Path(self.folder) / "establishments" / str(establishment)

    def write(self) -> Path:
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)))
        return path


@dataclass
class Outcome:
    """What was counted in the end."""

    documents: int
    found: int = 0
    lost: int = 0
    doubled: int = 0
    misdirected: int = 0
    messages: int = 0
    rejected: int = 0
    noise: int = 0
    repeats: int = 0
    kills: int = 0
    relay_kills: int = 0
    offline_days: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        return (
            self.found == self.documents == self.messages
            and not (self.lost or self.doubled or self.misdirected)
            and self.rejected == self.noise
        )


def somebody(index: int) -> Somebody:
    letters = "".join(chr(97 + index // 26**place % 26) for place in range(4))
    birth = f"{1930 + index % 80}-{index % 12 + 1:02}-{index % 28 + 1:02}"
    return Somebody(f"Nom{letters}", f"Prenom{letters[::-1]}", birth, f"2{index % 80 + 10:02}0275{index:08}")


class RelayProcess:
    """The real relay on one port, so that it comes back where it was."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._log = (folder / "relay.log").open("a")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "sync.relay", "--db", str(self._folder / "relay.db"), "--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT, env=environment
        )
        assert self._process.stdout is not None and self._process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def close(self) -> None:
        self.kill()
        self._log.close()


@dataclass(frozen=True)
class Reader:
    """A light patient: keys, and an inbox that is read along its chain."""

    identity: Identity
    inbox: bytes
    owner: bytes
    card: bytes

    @classmethod
    def make(cls, index: int, client: RelayClient, url: str) -> Reader:
        me = Identity(somebody(index).name, "", SigningKey.make(), BoxKey.make())
        inbox, owner, deposit = make_key(), make_key(), make_key()
        client.create_mailbox(inbox, owner, [Token(deposit, "append")])
        where = {"relay": url, "relay_key": client.verify_key, "inbox": inbox, "deposit": deposit}
        return cls(me, inbox, owner, make_card(me, now=int(time.time()), **where))  # type: ignore[arg-type]

    def values(self, client: RelayClient, ins: str) -> list[int]:
        """The numbers that this inbox's deposits state; every message must open, and be about its reader alone."""
        found, seen = [], Seen()
        while True:
            messages, checkpoint = client.messages(self.inbox, self.owner, seen.count)
            seen = follow(seen, messages, checkpoint)
            for message in messages:
                deposit = open_deposit(open_statement(self.identity.box, message.body), self.identity)
                (entry,) = deposit.state["entries"].values()
                (file,) = deposit.files
                found.append(int(entry["value"]) if ins.encode() in file["inline"] else -1)
            if seen.count >= checkpoint.count:
                return found


# What the establishments' software writes


def make_items(establishments: int, documents: int, vaults: int, days: int, chooser: random.Random) -> list[Item]:
    items = []
    for number in range(documents):
        establishment, day = number % establishments, chooser.randrange(days)
        patient = chooser.randrange(vaults)
        by = "mllp" if establishment % 4 == 0 else "file"
        one = Item(establishment, patient, number, day, by, f"{number}", f"C{number}", "20260101080000")
        items.append(one)
        if chooser.random() < 0.15:  # sent or written again, on this or a later day, with a new time in its header
            again = {"day": chooser.randrange(day, days), "name": f"{number}-again"}
            items.append(Item(**{**asdict(one), **again, "time": f"202601{chooser.randrange(2, 28):02}080000"}))
    for number in range(max(1, documents // 50)):
        establishment = chooser.randrange(establishments)
        names = {"name": f"noise-{number}", "control": f"N{number}", "time": "20260101080000"}
        items.append(Item(establishment, chooser.randrange(vaults), -1, chooser.randrange(days), "file", **names))
    return items


def data_of(item: Item) -> bytes:
    who = somebody(item.patient)
    message = oru(who, item.control, str(item.number), time=item.time)
    if item.number >= 0:
        return message
    # About somebody with this patient's number and another name, or about two people.
    if item.control[-1] in "02468":
        return message.replace(who.family.encode(), b"Autre").replace(who.given.encode(), b"Personne")
    return message + oru(somebody(item.patient + 1), item.control + "b")


def write_day(plan: Plan, items: Sequence[Item], day: int) -> None:
    for item in items:
        if item.day == day:
            path = plan.place(item.establishment) / item.by / f"{item.name}.hl7"
            path.write_bytes(data_of(item))
            os.utime(path, (OLD, OLD))


# The process in which establishments feed, one after the other


@contextmanager
def known_key(plan: Plan) -> Iterator[None]:
    """Vaults of the plan open without their passphrase: Argon2 is not what is simulated."""
    real = Keyslots.open_with_passphrase
    Keyslots.open_with_passphrase = lambda slots, phrase: VaultKey(bytes.fromhex(plan.key))  # type: ignore[method-assign]
    try:
        yield
    finally:
        Keyslots.open_with_passphrase = real  # type: ignore[method-assign]


@contextmanager
def opened(plan: Plan, establishment: int) -> Iterator[Vault]:
    with Vault.unlock(plan.place(establishment) / "vault", "-") as vault:
        yield vault


def offline_client(*_: object, **__: object) -> RelayClient:
    raise RelayUnreachable("no network today")


def feed_one(plan: Plan, establishment: int, *, online: bool) -> None:
    place = plan.place(establishment)
    with opened(plan, establishment) as vault:
        factory = RelayClient if online else offline_client
        with Exchange(vault, factory) as exchange, Feed(vault, place / "roster", limited=False) as feed:
            feeder = Feeder(feed, exchange)
            messages = sorted((place / "mllp").glob("*.hl7"))
            if messages:
                with Listener("127.0.0.1", 0, Answering(feed).answer) as listener:
                    send_all(messages, listener.port)
            feeder.once(place / "file", stop=threading.Event())


def send_all(messages: Sequence[Path], port: int) -> None:
    """A sender as they are: it sends until it reads AA, and then never again."""
    with socket.create_connection(("127.0.0.1", port), 30) as peer:
        for path in messages:
            peer.sendall(START + path.read_bytes() + END)
            answer = b""
            while not answer.endswith(END):
                piece = peer.recv(65536)
                if not piece:
                    raise EOFError
                answer += piece
            assert b"MSA|AA|" in answer, answer
            path.rename(path.with_suffix(".acknowledged"))


def work(path: Path, day: int) -> None:
    """Numbers of establishments come in, and go out when their day is done."""
    plan = Plan(**json.loads(path.read_text()))
    away = set(plan.offline[day]) if day < len(plan.offline) else set()
    os.write(1, b"ready\n")
    with known_key(plan):
        for line in sys.stdin:
            feed_one(plan, int(line), online=int(line) not in away)
            os.write(1, line.encode())


# The run


class Run:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.chooser = random.Random(options.seed)
        self.options = options
        self.folder = folder
        self.relay = RelayProcess(folder)
        days = options.days
        self.items = make_items(
            options.establishments, options.documents, options.vaults, days, random.Random(options.seed)
        )
        offline = [
            [e for e in range(options.establishments) if self.chooser.random() < 0.25] for _ in range(days - 1)
        ] + [[]]
        self.plan = Plan(str(folder), self.relay.url, "", options.establishments, offline)
        self.outcome = Outcome(options.documents)
        self.outcome.noise = sum(item.number < 0 for item in self.items)
        self.outcome.repeats = sum(item.name.endswith("again") for item in self.items)
        self.outcome.offline_days = sum(map(len, offline))
        self._started = time.monotonic()
        self._striking = threading.Lock()

    def lap(self, what: str) -> None:
        now = time.monotonic()
        self.outcome.seconds[what] = round(now - self._started, 1)
        self._started = now
        print(f"{what}: {self.outcome.seconds[what]} s", file=sys.stderr, flush=True)

    def settle(self, cards: Sequence[bytes]) -> None:
        """A vault for each establishment, and a roster of those whom it writes about."""
        template = self.folder / "template"
        vault, _kit = Vault.create(template, name="Modele", passphrase=PASSPHRASE, role="hospital")
        self.plan.key = vault._key.secret.hex()
        vault.lock()
        patients: dict[int, set[int]] = {}
        for item in self.items:
            patients.setdefault(item.establishment, set()).add(item.patient)
        with known_key(self.plan):
            for establishment in range(self.plan.establishments):
                self._found(template, establishment, cards, patients.get(establishment, set()))
        self.plan.write()

    def _found(self, template: Path, establishment: int, cards: Sequence[bytes], patients: set[int]) -> None:
        place = self.plan.place(establishment)
        for name in ("file", "mllp"):
            (place / name).mkdir(parents=True)
        shutil.copytree(template, place / "vault")
        with opened(self.plan, establishment) as copy:
            own = renewed(copy, f"Etablissement {establishment}")
            roster = Roster.open(own, place / "roster", new=True)
            for index in sorted(patients):
                who = somebody(index)
                roster.add(cards[index], [who.ins], name=who.name, birth=who.birth)
            roster.save()

    def day(self, day: int) -> None:
        """Everybody feeds; whoever is killed with the process starts over."""
        write_day(self.plan, self.items, day)
        with self._striking:
            pass  # the relay is there again
        left = list(range(self.plan.establishments))
        self.chooser.shuffle(left)
        while left:
            before = len(left)
            left = self._until_killed(day, left, kill=day < self.options.days)
            if len(left) == before and day == self.options.days:
                raise AssertionError("the last day does not end")

    def _until_killed(self, day: int, left: list[int], *, kill: bool) -> list[int]:
        command = [sys.executable, "-m", "tests.simulation.feeding", "--work", str(self.folder / "plan.json"), str(day)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            timer = threading.Timer(self.chooser.uniform(*self.options.life), self._strike, (process,))
            try:
                process.stdin.write("".join(f"{establishment}\n" for establishment in left))
                process.stdin.flush()
                process.stdin.close()
                done = set()
                assert process.stdout.readline() == "ready\n"
                if kill:
                    timer.start()
                for line in process.stdout:
                    if line.endswith("\n"):
                        done.add(int(line))
            except BrokenPipeError:
                pass
            finally:
                timer.cancel()
            code = process.wait()
        if code not in (0, -9):
            raise AssertionError(f"the feeding process ended with {code}")
        return [establishment for establishment in left if establishment not in done]

    def _strike(self, process: subprocess.Popen[str]) -> None:
        self.outcome.kills += 1
        process.kill()
        if self.chooser.random() < 0.2:
            with self._striking:
                self.outcome.relay_kills += 1
                self.relay.kill()
                time.sleep(0.5)
                self.relay.start()

    def judge(self, read: Iterator[tuple[int, list[int]]]) -> Outcome:
        """`read` gives each patient's index and the numbers that came to them."""
        wanted = {item.number: item.patient for item in self.items if item.number >= 0}
        counted: Counter[int] = Counter()
        for patient, numbers in read:
            for number in numbers:
                self.outcome.messages += 1
                counted[number] += 1
                self.outcome.misdirected += wanted.get(number) != patient
        self.outcome.found = sum(1 for number in wanted if counted[number])
        self.outcome.lost = sum(1 for number in wanted if not counted[number])
        self.outcome.doubled = sum(count - 1 for number, count in counted.items() if number in wanted)
        with known_key(self.plan):
            for establishment in range(self.plan.establishments):
                with opened(self.plan, establishment) as vault:
                    counts = Journal(vault).counts()
                    self.outcome.rejected += counts["rejected"]
                    assert not counts["queued"] and not counts["refused"]
        return self.outcome


def simulate(options: argparse.Namespace, folder: Path) -> Outcome:
    """The whole of it with light readers."""
    run = Run(folder, options)
    try:
        with RelayClient(run.relay.url) as client:
            readers = [Reader.make(index, client, run.relay.url) for index in range(options.vaults)]
            run.lap("inboxes")
            run.settle([reader.card for reader in readers])
            run.lap("establishments")
            for day in range(options.days + 1):  # the last one has nothing new, and nobody is killed
                run.day(day)
                run.lap(f"day {day + 1}")
        with RelayClient(run.relay.url) as client:
            outcome = run.judge(
                (index, reader.values(client, somebody(index).ins)) for index, reader in enumerate(readers)
            )
        run.lap("counting")
        return outcome
    finally:
        run.relay.close()


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.feeding", description=__doc__.splitlines()[0])
    parser.add_argument("--establishments", type=int, default=20)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--vaults", type=int, default=100)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--seed", type=int, default=943)
    parser.add_argument("--life", type=float, nargs=2, default=(0.5, 8.0), help="seconds until a process is killed")
    parser.add_argument("--work", nargs=2, metavar=("PLAN", "DAY"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of(sys.argv[1:])
    if options.work:
        work(Path(options.work[0]), int(options.work[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        outcome = simulate(options, Path(folder))
    print(json.dumps(asdict(outcome), indent=1))
    print("right" if outcome.right else "WRONG")
    return 0 if outcome.right else 1


if __name__ == "__main__":
    raise SystemExit(main())
