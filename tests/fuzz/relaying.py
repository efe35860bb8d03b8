"""Targets that need a relay: its handlers under changed requests, and the vault's client under changed answers."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import sync.client
from sync.client import RelayClient, Token, Watch
from sync.wire import Opening
from tests.fuzz.mutator import mutate, mutate_text
from tests.hostile_relay import URL, Call, HostileRelay, Reply
from vault.primitives import BoxKey, SigningKey

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD")
STATUSES = (200, 200, 200, 201, 204, 206, 301, 400, 403, 404, 409, 410, 416, 500)
Ask = Callable[[RelayClient], object]


@dataclass
class Room:
    """A relay that has something in every room, the calls that put it there, and their answers."""

    relay: HostileRelay
    client: RelayClient
    calls: list[Call]
    replies: dict[tuple[str, str], Reply]
    asks: dict[str, Ask]


@cache
def room() -> Room:
    folder = Path(tempfile.mkdtemp(prefix="elpis-fuzz-"))
    sync.client.BACKOFF = 0.0
    relay = HostileRelay(folder / "relay")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(relay.close)
    client = relay.factory("somebody")(URL)
    key, reader, fresh = SigningKey.make(), SigningKey.make(), BoxKey.make()
    box, blob, grant, owner, token = (key.sign("env", bytes([n]))[:32] for n in range(5))
    now = int(time.time())
    source = folder / "file"
    source.write_bytes(b"sealed" * 100)
    counters = iter(range(2, 1 << 40))

    def opening() -> bytes:
        return Opening.encode(grant, next(counters), fresh.public, [bytes(16)], b"why", reader.sign)

    def fetch(client: RelayClient) -> None:
        target = folder / "fetched"
        target.unlink(missing_ok=True)
        client.get_blob(blob, token, target)

    asks: dict[str, Ask] = {
        "about": lambda client: client.about(),
        "create": lambda client: client.create_mailbox(box, owner, [Token(token, "append")]),
        "append": lambda client: client.append(box, token, b"sealed bytes"),
        "messages": lambda client: client.messages(box, owner, 0, 10),
        "trim": lambda client: client.trim(box, owner, 0),
        "tokens": lambda client: client.change_tokens(box, owner, add=[Token(os.urandom(32), "read")], remove=[]),
        "half": lambda client: client.put_half(
            grant, owner, bytes(32), reader.public, not_before=now - 1, until=now + 10**6
        ),
        "open": lambda client: client.open(grant, opening()),
        "trace": lambda client: client.trace(grant, owner),
        "wait": lambda client: client.wait([Watch("mailbox", box, owner, 0)], 0),
        "put-blob": lambda client: client.put_blob(blob, owner, [Token(token, "read")], source),
        "get-blob": fetch,
        "destroy": lambda client: client.destroy_half(bytes(32), owner),
    }
    for name, ask in asks.items():
        if name != "destroy":
            ask(client)
    calls = [call for call, _ in relay.calls]
    replies = {(call.method, call.path): reply for call, reply in relay.calls}
    relay.calls.clear()
    return Room(relay, client, calls, replies, asks)


def make_call(rng: Random) -> Call:
    """A valid request with one part of it changed."""
    call = rng.choice(room().calls)
    how = rng.randrange(6)
    if how == 0:
        return replace(call, body=mutate(rng, call.body, [other.body for other in room().calls]))
    if how == 1:
        path = mutate_text(rng, call.path)
        return replace(call, path="/" + "".join(c for c in path if "!" <= c <= "~" and c not in "?#").lstrip("/"))
    if how == 2:
        query = mutate_text(rng, call.query or "after=0&limit=10")
        return replace(call, query="".join(c for c in query if "!" <= c <= "~"))
    if how == 3:
        return replace(call, method=rng.choice(METHODS))
    if how == 4:
        headers = [(name, mutate(rng, value, [value])) for name, value in call.headers]
        return replace(call, headers=tuple(rng.sample(headers, rng.randrange(len(headers) + 1))))
    return replace(call, body=_json(rng, call.body))


def _json(rng: Random, body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        return b'{"owner": []}'
    key = rng.choice(list(value))
    value[key] = rng.choice((None, -1, 2**64, 1e400, "", "x", [], [None], {}, [{}], True, "A" * 43, [["a"] * 70]))
    return json.dumps(value).encode()


def run_call(call: Call) -> None:
    """Whatever is sent, the answer is never a fault of the relay."""
    room().relay.calls.clear()
    reply = room().relay.honest(call)
    assert reply.status != 500, reply.body


def make_answer(rng: Random) -> tuple[str, int]:
    return rng.choice(list(room().asks)), rng.randrange(2**60)


def run_answer(given: tuple[str, int]) -> None:
    """Whatever a relay answers, the client raises in the vault's tree."""
    name, seed = given
    rng, relay = Random(seed), room().relay

    def twist(call: Call, honest: Callable[[Call], Reply]) -> Reply:
        reply = room().replies.get((call.method, call.path), Reply(404))
        headers = [(key, mutate(rng, value, [value]) if rng.random() < 0.3 else value) for key, value in reply.headers]
        kept = tuple(header for header in headers if header[0] != b"content-length" and _plain(header[1]))
        status = rng.choice(STATUSES) if rng.random() < 0.2 else reply.status
        body = mutate(rng, reply.body, [b"{}", b'{"code":[]}', b"\xff" * 200]) if rng.random() < 0.9 else reply.body
        return Reply(status, kept, body)

    relay.calls.clear()
    relay.twist = twist
    try:
        room().asks[name](room().client)
    finally:
        relay.twist = lambda call, honest: honest(call)


def _plain(value: bytes) -> bool:
    """What an HTTP library would hand on at all."""
    return all(32 <= byte < 127 for byte in value)
