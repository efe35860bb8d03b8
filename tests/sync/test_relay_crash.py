"""kill -9 at random moments: what was acknowledged is there, the chain goes on, the clock does not go back.

How often, tests/killing.py says.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync import wire
from sync.client import RelayClient, RelayRefused, RelayUnreachable, Seen, follow
from tests.killing import KilledRelay, Nursery, share
from vault.primitives import BoxKey, SigningKey

Page = Callable[[bytes, bytes, int], tuple[list[wire.Message], wire.Checkpoint]]
KILLS = share("relay")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[KilledRelay]:
    with Nursery(KilledRelay.LOADS) as nursery:
        running = KilledRelay(nursery, tmp_path / "relay.db").start()
        yield running
        running.close()
        assert nursery.killed == KILLS + 1


@pytest.mark.timeout(120 + 4 * KILLS)
def test_kill_loses_nothing_that_was_acknowledged(relay: KilledRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.client.BACKOFF", 0.001)
    setup = relay.client()
    key = setup.verify_key
    box, owner, grant, half = (os.urandom(32) for _ in range(4))
    reader, fresh = SigningKey.make(), BoxKey.make()
    now = int(time.time())
    setup.create_mailbox(box, owner)
    setup.put_half(grant, owner, half, reader.public, not_before=now - 1, until=now + 3_600)
    appended: dict[int, bytes] = {}
    opened: set[int] = set()
    recorded: set[int] = set()
    counters = iter(range(1, 1_000_000))
    chance = random.Random(1)
    seen_box = seen_trace = Seen()
    clock = 0

    for _ in range(KILLS):
        running = threading.Event()

        def append(client: RelayClient, running: threading.Event = running) -> None:
            while not running.is_set():
                body = os.urandom(200)
                try:
                    appended[client.append(box, owner, body).index] = body
                except RelayUnreachable:
                    return

        def release(client: RelayClient, running: threading.Event = running) -> None:
            while not running.is_set():
                counter = next(counters)
                request = wire.Opening.encode(grant, counter, fresh.public, [bytes(16)], b"", reader.sign)
                try:
                    client.open(grant, request)
                except RelayUnreachable:
                    return
                except RelayRefused as refused:
                    assert refused.reason == "rate"
                    return
                opened.add(counter)

        clients = [relay.client(verify_key=key) for _ in range(3)]
        for client in clients:
            client.append(box, owner, os.urandom(8))  # connected before the clock of chance starts
        jobs = ((append, clients[0]), (append, clients[1]), (release, clients[2]))
        threads = [threading.Thread(target=job, args=(client,)) for job, client in jobs]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.005, 0.12))
        relay.kill()
        running.set()
        for client in clients:
            client.close()
        for thread in threads:
            thread.join(20)
        relay.start()

        check = relay.client(verify_key=key)
        seen_box, bodies = read_all(seen_box, box, owner, check.messages)
        seen_trace, requests = read_all(seen_trace, grant, owner, check.trace)
        for index, body in bodies.items():
            assert appended.setdefault(index, body) == body
        assert max(appended, default=0) <= seen_box.count
        recorded.update(wire.Opening.decode(request).counter for request in requests.values())
        assert opened <= recorded
        assert check.about().time >= clock
        clock = check.about().time
    assert len(appended) > KILLS


def read_all(seen: Seen, address: bytes, owner: bytes, call: Page) -> tuple[Seen, dict[int, bytes]]:
    """Everything after `seen`, with the chain checked from there."""
    found: dict[int, bytes] = {}
    while True:
        messages, checkpoint = call(address, owner, seen.count)
        seen = follow(seen, messages, checkpoint)
        found.update({message.index: message.body for message in messages})
        if seen.count == checkpoint.count:
            return seen, found
