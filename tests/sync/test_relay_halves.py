"""The life of a half: released only after it is written down, never after its end, and gone from the disk."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sync import wire
from sync.client import RelayClient, RelayRefused, Seen, follow
from sync.relay import halves
from sync.relay.app import Relay
from sync.relay.http import Scope
from sync.relay.log import Log
from sync.relay.refusal import Refusal, StorageRefused
from sync.relay.safe import HalfSafe
from sync.relay.signing import HybridBox
from sync.relay.store import Half
from tests.sync.conftest import RunningRelay
from vault.errors import CannotOpen
from vault.hybrid import derive_public, make_fresh
from vault.opening import read_release
from vault.primitives import BoxKey, SigningKey, derive_key


class Grant:
    """A half at a relay, and the reader who may open it."""

    def __init__(self, seconds: int = 60, **terms: int) -> None:
        self.number, self.owner, self.half, self.tag = os.urandom(32), os.urandom(32), os.urandom(32), os.urandom(16)
        self.reader, self.fresh = SigningKey.make(), BoxKey.make()
        now = int(time.time())
        self.terms: dict[str, Any] = {"not_before": now - 5, "until": now + seconds, **terms}

    def put(self, client: RelayClient) -> wire.Receipt:
        return client.put_half(self.number, self.owner, self.half, self.reader.public, **self.terms)

    def request(self, counter: int, *, key: SigningKey | None = None, fresh: bytes = b"", kem: bytes = b"") -> bytes:
        sign, fresh = (key or self.reader).sign, fresh or self.fresh.public
        return wire.Opening.encode(self.number, counter, fresh, [self.tag], b"sealed why", sign, kem)

    def open(self, client: RelayClient, counter: int) -> wire.Checkpoint:
        checkpoint, sealed = client.open(self.number, self.request(counter))
        parts = wire.decode_release(self.fresh.open(sealed), self.number, counter)
        assert parts == {self.tag: derive_key(self.half, "elpis-half-tag", self.tag)}
        return checkpoint


def refusal(call: Callable[..., object], *arguments: object) -> tuple[int, str]:
    with pytest.raises(RelayRefused) as caught:
        call(*arguments)
    return caught.value.status, caught.value.reason


@pytest.fixture
def client(shared_relay: RunningRelay) -> RelayClient:
    return shared_relay.client()


def test_an_opening_is_released_and_traced(client: RelayClient) -> None:
    grant = Grant()
    assert grant.put(client).what == wire.HALF_HELD
    for counter in (1, 2, 9):
        checkpoint = grant.open(client, counter)
    messages, head = client.trace(grant.number, grant.owner)
    assert follow(Seen(), messages, head) == Seen(3, checkpoint.chain)
    assert [wire.Opening.decode(message.body).counter for message in messages] == [1, 2, 9]
    assert messages[0].body == grant.request(1)
    assert refusal(client.trace, grant.number, os.urandom(32)) == (403, "token")


def test_an_opening_in_suite_2_is_released_to_both_fresh_keys_and_traced_without_them(client: RelayClient) -> None:
    grant, fresh = Grant(), make_fresh()
    assert fresh.seed is not None
    grant.put(client)
    request = grant.request(1, fresh=fresh.public, kem=derive_public(fresh.seed))
    checkpoint, sealed = client.open(grant.number, request)
    halves = read_release(sealed, fresh, grant.number, 1, [grant.tag])
    assert halves == {grant.tag: derive_key(grant.half, "elpis-half-tag", grant.tag)}
    messages, head = client.trace(grant.number, grant.owner)
    assert head.chain == checkpoint.chain and [message.body for message in messages] == [request[: -wire.KEM]]
    for other in (
        replace(fresh, seed=os.urandom(64)),
        replace(fresh, secret=os.urandom(32)),
        replace(fresh, seed=None),
    ):
        with pytest.raises(CannotOpen):
            read_release(sealed, other, grant.number, 1, [grant.tag])
    assert client.open(grant.number, grant.request(2))[0].count == 2  # and the next one in suite 1


def test_a_key_of_suite_2_that_is_none_is_refused_and_not_traced(client: RelayClient) -> None:
    grant, kem = Grant(), derive_public(os.urandom(64))
    grant.put(client)
    for request in (
        grant.request(1, kem=b"\xff" * wire.KEM),
        grant.request(1, kem=kem, fresh=bytes(32)),
        grant.request(1, kem=kem)[: -wire.KEM] + derive_public(os.urandom(64)),
        grant.request(1, kem=kem)[: -wire.KEM],
    ):
        assert refusal(client.open, grant.number, request) == (400, "malformed")
    assert refusal(client.open, grant.number, grant.request(1, kem=kem, key=Grant().reader)) == (403, "signature")
    assert client.trace(grant.number, grant.owner)[1].count == 0


def test_put_is_idempotent_and_only_when_identical(client: RelayClient) -> None:
    grant = Grant()
    assert grant.put(client) == grant.put(client)
    for change in ("half", "owner"):
        other = Grant()
        other.__dict__.update(grant.__dict__)
        setattr(other, change, os.urandom(32))
        assert refusal(other.put, client) == (409, "exists")
    grant.terms["until"] += 1
    assert refusal(grant.put, client) == (409, "exists")


@pytest.mark.parametrize("terms", [{"until": 5}, {"until": 2**62}, {"not_before": int(time.time()) + 999}])
def test_dates_that_cannot_be_kept(client: RelayClient, terms: dict[str, int]) -> None:
    assert refusal(Grant(**terms).put, client) == (400, "dates")


def test_replayed_opening_is_refused(client: RelayClient) -> None:
    grant = Grant()
    grant.put(client)
    request = grant.request(5)
    client.open(grant.number, request)
    assert refusal(client.open, grant.number, request) == (409, "counter")
    assert refusal(client.open, grant.number, grant.request(4)) == (409, "counter")
    assert client.trace(grant.number, grant.owner)[1].count == 1


def test_opening_by_another_reader_is_refused_and_not_traced(client: RelayClient) -> None:
    grant, other = Grant(), Grant()
    grant.put(client)
    other.put(client)
    assert refusal(client.open, grant.number, grant.request(1, key=other.reader)) == (403, "signature")
    assert refusal(client.open, other.number, grant.request(1)) == (400, "malformed")
    changed = bytearray(grant.request(1))
    changed[100] ^= 1
    assert refusal(client.open, grant.number, bytes(changed)) == (403, "signature")
    assert client.trace(grant.number, grant.owner)[1].count == 0


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_low_order_fresh_key_is_refused_and_not_traced(client: RelayClient, point: bytes) -> None:
    grant = Grant()
    grant.put(client)
    assert refusal(client.open, grant.number, grant.request(1, fresh=point)) == (400, "malformed")
    assert client.trace(grant.number, grant.owner)[1].count == 0


def test_not_before(client: RelayClient) -> None:
    grant = Grant(not_before=int(time.time()) + 30)
    grant.put(client)
    assert refusal(client.open, grant.number, grant.request(1)) == (403, "not-yet")


def test_number_of_openings(client: RelayClient) -> None:
    grant = Grant(openings=2)
    grant.put(client)
    grant.open(client, 1)
    grant.open(client, 2)
    assert refusal(client.open, grant.number, grant.request(3)) == (429, "used-up")
    assert client.trace(grant.number, grant.owner)[1].count == 2


def test_revocation(client: RelayClient) -> None:
    grant = Grant()
    grant.put(client)
    grant.open(client, 1)
    assert refusal(client.destroy_half, grant.number, os.urandom(32)) == (403, "token")
    receipt = client.destroy_half(grant.number, grant.owner)
    assert receipt.what == wire.HALF_DESTROYED
    assert refusal(client.open, grant.number, grant.request(2)) == (410, "revoked")
    assert client.destroy_half(grant.number, grant.owner) == receipt
    assert refusal(grant.put, client) == (410, "revoked")
    assert client.trace(grant.number, grant.owner)[1].count == 1


def test_end_destroys_within_a_second(relay: RunningRelay) -> None:
    client, grant = relay.client(), Grant(2)
    grant.put(client)
    grant.open(client, 1)
    while time.time() < grant.terms["until"]:
        time.sleep(0.02)
    assert refusal(client.open, grant.number, grant.request(2)) == (410, "ended")
    time.sleep(max(0.0, grant.terms["until"] + 1 - time.time()))
    relay.kill()  # nothing is tidied up on the way out
    assert rows(relay.db) == 0


def rows(db: Path) -> int:
    safe = HalfSafe(db.with_name(db.name + ".halves"))
    try:
        return safe.count()
    finally:
        safe.close()


@pytest.mark.parametrize("how", ["revoked", "used up", "ended"])
def test_old_files_with_the_key_of_now_open_nothing_that_was_destroyed(relay: RunningRelay, how: str) -> None:
    """The relay's disk is copied while the half is held; later the key file is seized."""
    client = relay.client()
    doomed, kept = Grant(2 if how == "ended" else 60, **({"openings": 1} if how == "used up" else {})), Grant()
    kept.number = doomed.number[:1] + kept.number[1:]  # under the same storage key
    doomed.put(client)
    kept.put(client)
    seized = relay.db.parent / "seized"
    seized.mkdir()
    for name in ("relay.db.halves", "relay.db.halves-wal", "relay.db.halves-keys"):
        shutil.copy(relay.db.parent / name, seized)
    assert opened(seized, doomed) == doomed.half  # so that what follows is not vacuous
    if how == "revoked":
        client.destroy_half(doomed.number, doomed.owner)
    elif how == "used up":
        doomed.open(client, 1)
        time.sleep(0.3)
    else:
        time.sleep(max(0.0, doomed.terms["until"] + 1 - time.time()))
    kept.open(client, 1)
    shutil.copy(relay.db.parent / "relay.db.halves-keys", seized)
    assert opened(seized, doomed) is None
    relay.kill()
    for path in relay.db.parent.rglob("*"):
        assert not path.is_file() or doomed.half not in path.read_bytes()


def opened(folder: Path, grant: Grant) -> bytes | None:
    """What a thief gets out of a copy of the files, with every key in the key file."""
    from sync.relay.signing import open_half

    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("relay.db.halves", "relay.db.halves-wal"):
        shutil.copy(folder / name, copy)
    import sqlite3

    db = sqlite3.connect(copy / "relay.db.halves")
    row = db.execute("SELECT box FROM half WHERE grant = ?", (grant.number,)).fetchone()
    db.close()
    keys = (folder / "relay.db.halves-keys").read_bytes()
    halves_found = (open_half(keys[at + 8 : at + 40], grant.number, row[0]) for at in range(0, len(keys), 40))
    return next((half for half in halves_found if half is not None), None)


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Relay]:
    """The application without HTTP, for faults between two of its steps."""
    relay = Relay(folder / "relay.db", Log(io.StringIO()))
    async with relay.lifespan():
        yield relay


async def post(relay: Relay, method: str, path: str, body: bytes = b"", owner: bytes = b"") -> tuple[int, bytes]:
    headers = [(b"content-length", b"%d" % len(body))]
    if owner:
        headers.append((b"authorization", b"Bearer " + wire.encode_b64(owner).encode()))
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await relay(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def store_half(relay: Relay, grant: Grant) -> asyncio.Future[Any]:
    keeper = relay.keeper
    terms = (wire.hash_token(grant.owner), grant.half, grant.reader.public)
    promise = halves.Promise(*terms, grant.terms["not_before"], grant.terms["until"], None)
    return keeper.engine.submit(lambda now: halves.put(keeper.store, keeper.safe, grant.number, promise, now))


def test_release_after_the_end(tmp_path: Path) -> None:
    """The end falls between the check and the sending: the opening stands in the trace and nothing leaves."""

    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, keeper = Grant(), relay.keeper
            await store_half(relay, grant)
            path = f"/v1/halves/{wire.encode_b64(grant.number)}"
            status, body = await post(relay, "POST", path + "/openings", grant.request(1))
            assert status == 200
            assert grant.fresh.open(body[wire.CHECKPOINT_BYTES :])
            commit = keeper.store.commit

            def slow_commit() -> None:
                commit()
                keeper.clock._source = lambda: grant.terms["until"] + 0.0  # the fault: time passes here

            keeper.store.commit = slow_commit  # type: ignore[method-assign]
            status, body = await post(relay, "POST", path + "/openings", grant.request(2))
            assert status == 410
            assert b"ended" in body
            with pytest.raises(Exception, match="cannot be opened"):
                grant.fresh.open(body[wire.CHECKPOINT_BYTES :])
            assert len(body) < 100
            status, page = await post(relay, "GET", path + "/trace", owner=grant.owner)
            assert [wire.Opening.decode(entry.body).counter for entry in wire.decode_frames(page)] == [1, 2]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "counter", "now", "code"),
    [
        ({}, 8, 50, ""),
        ({}, 8, 100, "ended"),
        ({}, 8, 9, "not-yet"),
        ({}, 7, 50, "counter"),
        ({"ended": 20, "reason": "revoked"}, 8, 50, "revoked"),
        ({"ended": 20, "reason": "used-up"}, 8, 50, "used-up"),
    ],
)
def test_the_check_before_a_release(changes: dict[str, Any], counter: int, now: int, code: str) -> None:
    """By itself, without the sweeper and the second look that would also stop it."""
    half = Half(1, b"g" * 32, b"o" * 32, b"r" * 32, 10, 100, None, 1, 7, 4, None, "")._replace(**changes)
    if not code:
        assert halves.check(half, counter, now) == half
        return
    with pytest.raises(Refusal, match=code):
        halves.check(half, counter, now)


def test_start_destroys_what_a_crash_left_over(tmp_path: Path) -> None:
    """A half whose grant ended, or was never written, while the relay died."""
    safe = HalfSafe(tmp_path / "relay.db.halves")
    safe.put(b"x" * 32, b"h" * 32)
    safe.commit()
    safe.close()

    async def story() -> int:
        async with in_process(tmp_path) as relay:
            return relay.keeper.safe.count()

    assert asyncio.run(story()) == 0


def test_revocation_between_commit_and_sending(tmp_path: Path) -> None:
    """An opening is written down and held up (the fault); the half is destroyed meanwhile: nothing leaves."""

    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, keeper = Grant(), relay.keeper
            await store_half(relay, grant)
            path = f"/v1/halves/{wire.encode_b64(grant.number)}"
            submit, committed, go_on = keeper.engine.submit, asyncio.Event(), asyncio.Event()

            def held_up(*arguments: Any, **named: Any) -> Any:
                async def wait() -> Any:
                    result = await submit(*arguments, **named)
                    committed.set()
                    await go_on.wait()
                    return result

                return wait()

            keeper.engine.submit = held_up  # type: ignore[method-assign]
            opening = asyncio.create_task(post(relay, "POST", path + "/openings", grant.request(1)))
            await committed.wait()
            keeper.engine.submit = submit  # type: ignore[method-assign]
            assert (await post(relay, "DELETE", path, owner=grant.owner))[0] == 200
            go_on.set()
            status, body = await opening
            assert (status, b"revoked" in body, len(body) < 100) == (410, True, True)

    asyncio.run(story())


def test_revocation_among_openings(tmp_path: Path) -> None:
    """The receipt of destruction and releases of the same grant: after the receipt nothing leaves."""

    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, keeper = Grant(), relay.keeper
            await store_half(relay, grant)
            path = f"/v1/halves/{wire.encode_b64(grant.number)}"
            order: list[str] = []

            async def opening(counter: int) -> None:
                status, _ = await post(relay, "POST", path + "/openings", grant.request(counter))
                order.append(f"opening {status}")

            async def revoke() -> None:
                status, _ = await post(relay, "DELETE", path, owner=grant.owner)
                order.append(f"revoked {status}")

            await asyncio.gather(*(opening(counter) for counter in range(1, 30)), revoke())
            await asyncio.gather(*(opening(counter) for counter in range(30, 40)))
            after = order[order.index("revoked 200") :]
            assert "opening 200" not in after
            assert keeper.gates == {}
            assert keeper.safe.get(grant.number) is None

    asyncio.run(story())


class Race:
    """Threads that open one grant until they are refused, and what they saw."""

    def __init__(self, relay: RunningRelay, grant: Grant) -> None:
        self.grant = grant
        self.released: list[int] = []
        self.late: list[int] = []
        self.receipt_at: float | None = None
        self._counters = iter(range(1, 1_000))
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._read, args=(relay.client(),)) for _ in range(4)]

    def _read(self, client: RelayClient) -> None:
        while True:
            with self._lock:
                counter = next(self._counters)
            began = time.monotonic()
            try:
                client.open(self.grant.number, self.grant.request(counter))
            except RelayRefused as refused:
                if refused.reason == "counter":
                    continue
                return
            self.released.append(counter)
            if self.receipt_at is not None and began > self.receipt_at:
                self.late.append(counter)


def test_a_revoke_racing_releases(relay: RunningRelay) -> None:
    """No release arrives that was asked for after the receipt, and every release is traced, none after it."""
    for _ in range(5):
        grant, setup = Grant(), relay.client()
        grant.put(setup)
        race = Race(relay, grant)
        for thread in race.threads:
            thread.start()
        while len(race.released) < 5:
            time.sleep(0.01)
        receipt = setup.destroy_half(grant.number, grant.owner)
        race.receipt_at = time.monotonic()
        for thread in race.threads:
            thread.join()
        messages, checkpoint = setup.trace(grant.number, grant.owner)
        follow(Seen(), messages, checkpoint)
        assert not race.late
        assert set(race.released) <= {wire.Opening.decode(message.body).counter for message in messages}
        assert all(message.time <= receipt.time for message in messages)


def test_clock_never_runs_backwards(tmp_path: Path) -> None:
    async def first() -> int:
        async with in_process(tmp_path) as relay:
            relay.keeper.clock._source = lambda: time.time() + 1_000
            await store_half(relay, Grant(5_000))
            return relay.keeper.clock.now()

    async def second() -> int:
        async with in_process(tmp_path) as relay:
            return relay.keeper.clock.now()

    assert asyncio.run(second()) <= time.time()
    later = asyncio.run(first())
    assert asyncio.run(second()) == later


class Fault(Exception):
    pass


@pytest.mark.parametrize("step", range(4))
def test_rotation_cut_at_every_step_loses_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The process dies before, between and after the writes of a rotation."""
    safe = HalfSafe(tmp_path / "x.halves")
    doomed, kept = b"g" * 32, b"g" + b"k" * 31
    safe.put(doomed, b"1" * 32)
    safe.put(kept, b"2" * 32)
    safe.commit()
    writes = 0
    really = HalfSafe._write

    def write(self: HalfSafe, *arguments: Any) -> None:
        nonlocal writes
        if writes * 2 == step:
            raise Fault
        really(self, *arguments)
        writes += 1
        if writes * 2 - 1 == step:
            raise Fault

    monkeypatch.setattr(HalfSafe, "_write", write)
    with pytest.raises(Fault):
        safe.destroy([doomed])
    monkeypatch.undo()
    safe.close()
    again = HalfSafe(tmp_path / "x.halves")
    assert again.get(kept) == b"2" * 32
    again.destroy([doomed])
    assert again.get(doomed) is None
    assert again.get(kept) == b"2" * 32
    keys = (tmp_path / "x.halves-keys").read_bytes()
    generations = [int.from_bytes(keys[at : at + 8], "big") for at in range(0, len(keys), 40)]
    assert sum(map(bool, generations)) == 256
    again.close()


def test_destruction_that_the_disk_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, keeper = Grant(), relay.keeper
            await store_half(relay, grant)
            path = f"/v1/halves/{wire.encode_b64(grant.number)}"

            def refuse(*_: object) -> None:
                raise StorageRefused

            monkeypatch.setattr(keeper.safe, "_rotate", refuse)
            status, _ = await post(relay, "DELETE", path, owner=grant.owner)
            assert status == 507
            assert (await post(relay, "POST", path + "/openings", grant.request(1)))[0] == 410
            monkeypatch.undo()
            status, _ = await post(relay, "DELETE", path, owner=grant.owner)
            assert status == 200
            assert keeper.safe.get(grant.number) is None

    asyncio.run(story())


def test_half_whose_grant_was_not_written_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, keeper = Grant(), relay.keeper

            def refuse() -> None:
                raise StorageRefused

            monkeypatch.setattr(keeper.store, "commit", refuse)
            with pytest.raises(StorageRefused):
                await store_half(relay, grant)
            assert keeper.safe.count() == 0
            monkeypatch.undo()
            await store_half(relay, grant)
            assert keeper.safe.get(grant.number) == grant.half

    asyncio.run(story())


def test_helper_that_dies_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant = Grant()
            await store_half(relay, grant)
            path = f"/v1/halves/{wire.encode_b64(grant.number)}/openings"
            for counter, kem in enumerate((b"", derive_public(os.urandom(64)), b""), 1):
                relay.keeper.checker._process.kill()
                status, _ = await post(relay, "POST", path, grant.request(counter, kem=kem))
                assert status == 200


def test_openings_of_one_moment_in_both_suites(tmp_path: Path) -> None:
    """More of them than one message to the helper takes."""

    async def story() -> None:
        async with in_process(tmp_path) as relay:
            grant, kem = Grant(), derive_public(os.urandom(64))
            await store_half(relay, grant)
            keeper, path = relay.keeper, f"/v1/halves/{wire.encode_b64(grant.number)}/openings"
            asked = [wire.Opening.receive(grant.request(n, kem=kem if n % 3 else b"")) for n in range(1, 151)]
            boxes = await asyncio.gather(*(keeper.checker.prepare(grant.reader.public, *one) for one in asked))
            assert [isinstance(box, HybridBox) for box in boxes] == [bool(key) for _, key in asked]
            status, _ = await post(relay, "POST", path, grant.request(200, kem=kem))
            assert status == 200

    asyncio.run(story())
