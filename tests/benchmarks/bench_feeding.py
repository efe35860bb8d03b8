"""Feeding against the sum of what it cannot do without: reading the message, one signature, one sealed box, one commit;
and sending it against the bare append of the same bytes to the same relay.

The primitives get as many bytes as a deposit of this message has; the commit writes them to a store of the same kind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from sync.acknowledge import Answering
from sync.client import RelayClient, Token
from sync.exchange import Exchange
from tests.benchmarks.bench_relay import server
from tests.benchmarks.harness import Row, paired, timed
from tests.establishment import LEA, oru, roster_of
from tests.persons import person
from vault import Vault
from vault.feed import Feed
from vault.identity import make_card
from vault.importers import read_file
from vault.primitives import SEAL_OVERHEAD, BoxKey, SigningKey, make_key, make_random, seal_to
from vault.store.connection import Store
from vault.store.outbox import OutboxStore

LIMIT = 2.5
SENT_LIMIT = 2.5
PASSPHRASE = "sept lampes vertes au matin"


def main(quick: bool) -> Iterator[Row]:
    messages, rounds = (20, 3) if quick else (200, 7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vault, _kit = Vault.create(folder / "vault", name="Banc", passphrase=PASSPHRASE, role="hospital")
        with (
            vault,
            server("-m", "sync.relay", "--db", str(folder / "relay.db"), "--port", "0") as relay,
            RelayClient(relay.url) as client,
        ):
            inbox, token = make_key(), make_key()
            client.create_mailbox(inbox, make_key(), [Token(token, "append")])
            where = {"relay": relay.url, "relay_key": client.verify_key, "inbox": inbox, "deposit": token}
            card = make_card(person(LEA.name), now=1_800_000_000, **where)  # type: ignore[arg-type]
            roster = roster_of(vault, folder / "roster", (LEA, card))
            baseline = Baseline(folder / "bare.db", vault, roster)
            for limited in (False, True):
                with Feed(vault, roster, limited=limited) as feed:
                    yield queueing(feed, baseline, messages, rounds, limited=limited)
            with Feed(vault, roster, limited=False) as feed:
                yield sending(vault, feed, client, (inbox, token), baseline.size, messages, rounds)


class Baseline:
    """Each primitive once, on the bytes of a real deposit."""

    def __init__(self, path: Path, vault: Vault, roster: Path) -> None:
        with Feed(vault, roster, limited=False) as feed:
            assert b"|AA|" in Answering(feed).answer(oru(LEA, "first"))
        row = vault.store.row("SELECT length(payload) FROM outbox")
        assert row is not None
        self.size = int(row[0])
        self._body = bytes(self.size - SEAL_OVERHEAD)
        self._key, self._box = SigningKey.make(), BoxKey.make()
        self._store = Store.open(path, make_key(), create=True)
        self._queue = OutboxStore(self._store)
        self._numbers = count()

    def once(self) -> None:
        assert read_file(oru(LEA, f"B{next(self._numbers)}"), "message.hl7")
        self._key.sign("deposit", self._body)
        sealed = seal_to(self._box.public, self._body)
        self._queue.queue("http://relay.test", "append", make_key(), {"token": self._box.public}, sealed)


def queueing(feed: Feed, baseline: Baseline, messages: int, rounds: int, *, limited: bool) -> Row:
    """A message until it may be acknowledged."""
    numbers, answering = count(), Answering(feed)

    def act() -> None:
        for number in (next(numbers) for _ in range(messages)):
            assert b"|AA|" in answering.answer(oru(LEA, f"{limited}-{number}", str(number)))

    def bare() -> None:
        for _ in range(messages):
            baseline.once()

    ratio = paired(act, bare, rounds)
    rate, least = messages / timed(act), messages / timed(bare)
    where = "read in the worker" if limited else "read in this process"
    detail = f"{rate:.0f} deposits/s on disk, primitives {least:.0f}/s"
    return Row(f"feeding, {where} / primitives", ratio, LIMIT, "lower", detail)


def sending(
    vault: Vault, feed: Feed, client: RelayClient, where: tuple[bytes, bytes], size: int, messages: int, rounds: int
) -> Row:
    """A deposit in the queue until the relay has it and the journal says so."""
    numbers, answering = count(), Answering(feed)
    with Exchange(vault) as exchange:
        exchange.push()

        def fill() -> None:
            for number in (next(numbers) for _ in range(messages)):
                assert b"|AA|" in answering.answer(oru(LEA, f"S-{number}", str(number)))

        ratios, rate = [], 0.0
        for _ in range(rounds):
            fill()
            took = timed(exchange.push)
            least = timed(lambda: [client.append(*where, make_random(size)) for _ in range(messages)])
            ratios.append(took / least)
            rate = messages / took
    ratio = sorted(ratios)[len(ratios) // 2]
    return Row("feeding, sent / bare append", ratio, SENT_LIMIT, "lower", f"{rate:.0f} deposits/s sent, one by one")
