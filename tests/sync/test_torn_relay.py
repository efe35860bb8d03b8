"""250 images of a relay whose write-ahead logs were torn: it starts with all that it acknowledged, or says why not.

Its chains are whole wherever they end, and what starts takes the next message. The vault's images are in
tests/vault/test_torn_wal.py.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from sync import wire
from sync.relay import halves, mailbox
from sync.relay.app import Relay
from sync.relay.keeper import Keeper
from sync.relay.log import Log
from sync.relay.refusal import Refusal, StorageRefused
from sync.relay.serve import check_database
from sync.relay.store import Store
from tests.torn import Image, Story, images

IMAGES = 250
BOXES = tuple(bytes([number]) * 32 for number in range(1, 4))
OWNER = b"o" * 32
T = TypeVar("T")


class BrokenChain(Exception):
    """What every client sees at once: SQLite's pages have no checksums, the chain of a mailbox is one."""


@dataclass
class Told:
    """What the relay acknowledged: the bodies of each mailbox, in order, and the halves, after each of its commits."""

    folder: Path
    file: str
    story: Story
    states: list[tuple[tuple[bytes, ...], ...]]
    halves: list[tuple[bytes, ...]]


def living(folder: Path, work: Callable[[Keeper], Awaitable[T]]) -> T:
    """A relay on this folder that does this much and stops."""

    async def life() -> T:
        relay = Relay(folder / "relay.db", Log(io.StringIO()))
        async with relay.lifespan():
            return await work(relay.keeper)

    check_database(folder / "relay.db")
    return asyncio.run(life())


async def append(keeper: Keeper, box: bytes, body: bytes) -> int:
    def rule(now: int) -> int:
        return mailbox.append(keeper.store, box, OWNER, body, wire.hash_body(body), now).number

    return int(await keeper.engine.submit(rule))


async def put_half(keeper: Keeper, grant: bytes) -> None:
    now = int(time.time())
    promise = halves.Promise(OWNER, grant[::-1], bytes(32), now - 1, now + 3600, None)
    await keeper.engine.submit(lambda now: halves.put(keeper.store, keeper.safe, grant, promise, now))


@pytest.fixture(scope="module", autouse=True)
def no_checker() -> Iterator[None]:
    """The process that checks openings' signatures touches no file; 500 starts of it would be most of this test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync.relay.keeper.Checker", lambda: SimpleNamespace(close=lambda: None))
        yield


@pytest.fixture(scope="module")
def tellings(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """Watched: the database with the mailboxes, and the one with the halves."""
    folder = tmp_path_factory.mktemp("torn") / "relay"
    folder.mkdir()

    async def begin(keeper: Keeper) -> None:
        for box in BOXES:
            await keeper.engine.submit(lambda now, box=box: mailbox.create(keeper.store, box, OWNER, (), now))
            await append(keeper, box, box + b"first")

    files = ("relay.db", "relay.db.halves")
    ends: dict[str, list[int]] = {file: [0] for file in files}
    states, held = [tuple((box + b"first",) for box in BOXES)], [()]
    halves_then: list[tuple[bytes, ...]] = [()]

    async def watched(keeper: Keeper) -> None:
        main = {file: (folder / file).read_bytes() for file in files}
        for number in range(40):
            box = number % len(BOXES)
            body = bytes([number]) * (200 if number % 7 else 30_000)
            await append(keeper, BOXES[box], body)
            before = states[-1]
            states.append((*before[:box], (*before[box], body), *before[box + 1 :]))
            held.append(held[-1])
            ends[files[0]].append((folder / f"{files[0]}-wal").stat().st_size)
            if number % 2:
                grant = os.urandom(32)
                await put_half(keeper, grant)
                states.append(states[-1])
                held.append((*held[-1], grant))
                halves_then.append((*halves_then[-1], grant))
                for file in files:
                    ends[file].append((folder / f"{file}-wal").stat().st_size)
        assert all((folder / file).read_bytes() == data for file, data in main.items()), "a checkpoint came in between"
        shutil.copytree(folder, folder.with_name("kept"))

    living(folder, begin)
    living(folder, watched)
    kept = folder.with_name("kept")
    stories = [
        Story((kept / file).read_bytes(), (kept / f"{file}-wal").read_bytes(), tuple(ends[file])) for file in files
    ]
    return [
        Told(kept, files[0], stories[0], states, held),
        Told(kept, files[1], stories[1], [states[-1]] * len(halves_then), halves_then),
    ]


def put(image: Image, told: Told, folder: Path) -> None:
    """The relay's folder, as after the damage."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(told.folder, folder)
    for end, data in (("", image.main), ("-wal", image.log), ("-shm", image.shm)):
        path = folder / f"{told.file}{end}"
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)


def judge(image: Image, told: Told, folder: Path) -> str:
    """ "started", or what refused it."""
    put(image, told, folder)
    try:
        living(folder, lambda keeper: look(keeper, image, told))
        living(folder, written_after)
    except (StorageRefused, OSError, BrokenChain) as failure:
        assert image.reached is None, f"{image.what}: {failure!r}"
        return type(failure).__name__
    return "started"


async def look(keeper: Keeper, image: Image, told: Told) -> None:
    shown = tuple([await keeper.read(lambda store, box=box: bodies(store, box)) for box in BOXES])
    grants = told.halves[-1]
    have = await keeper.engine.submit(lambda _: tuple(grant for grant in grants if keeper.safe.get(grant)))
    if image.reached is not None:
        assert shown == told.states[image.reached], image.what
        assert have == told.halves[image.reached], image.what
    else:
        for box, whole in zip(shown, told.states[-1], strict=True):
            assert box == whole[: len(box)], f"{image.what}: half a mailbox"
    for grant in have:
        assert keeper.safe.get(grant) == grant[::-1]
    for grant in set(grants) - set(have):
        # The grant is unknown or its half is not: never a fault, never other bytes.
        with pytest.raises(Refusal):
            await keeper.engine.submit(lambda _, g=grant: opened(keeper, g))
    for box in BOXES if image.reached is not None else ():
        await append(keeper, box, b"written after")


def opened(keeper: Keeper, grant: bytes) -> None:
    request = wire.Opening(grant, 1, bytes(32), None, (bytes(16),), b"", bytes(64), b"an opening")
    halves.release(keeper.store, keeper.safe, request, int(time.time()))


def bodies(store: Store, box: bytes) -> tuple[bytes, ...]:
    """Everything in a mailbox, with its chain computed again."""
    log = store.log(wire.MAILBOX, box)
    if log is None:
        return ()
    chain, found = wire.START, []
    for entry in store.entries(log.id, 0, 1000, 64 << 20):
        assert entry.body is not None
        chain = wire.extend_chain(chain, entry.number, entry.time, wire.hash_body(entry.body))
        found.append(entry.body)
    if (log.length, log.chain) != (len(found), chain):
        raise BrokenChain
    return tuple(found)


async def written_after(keeper: Keeper) -> None:
    """What was written after the damage is there after one more start."""
    for box in BOXES:
        if await keeper.read(lambda store, box=box: store.log(wire.MAILBOX, box)) is not None:
            await append(keeper, box, b"written after")
            assert (await keeper.read(lambda store, box=box: bodies(store, box)))[-1] == b"written after"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("which", [0, 1])
def test_a_torn_log_loses_nothing_acknowledged(which: int, tellings: list[Told], tmp_path: Path) -> None:
    told = tellings[which]
    others = [("the log of the other database", tellings[1 - which].story)]
    outcomes: Counter[str] = Counter()
    for image in images(told.story, IMAGES // 2, which, others):
        outcomes[judge(image, told, tmp_path / "relay")] += 1
    assert outcomes.total() == IMAGES // 2
    assert outcomes["started"] > IMAGES // 4 and len(outcomes) > 1, outcomes
