"""A relay in hostile hands: the product's own relay and client, with somebody between them who holds the relay's key.

The honest relay runs in this process on its own database, the vault speaks its own HTTP client; only the socket is left
out. `twist` sees every call and may change, drop, repeat or invent what comes back. `keep`, `put_back` and `fork` copy
the relay's disk, `show` serves a mailbox or trace as any list of entries, chained and signed like a true one.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from sync import wire
from sync.client import RelayClient
from sync.relay.app import Relay
from sync.relay.log import Log
from sync.relay.signing import Signer
from sync.wire import Message, decode_b64, encode_b64

URL = "http://relay.test"


@dataclass(frozen=True)
class Call:
    """One request of `who`. `path` without /v1."""

    who: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def room(self) -> str:
        """ "messages", "tokens", "openings", "trace", or the first word of the path."""
        parts = self.path.strip("/").split("/")
        return parts[2] if len(parts) == 3 else parts[0]

    @property
    def address(self) -> bytes:
        return decode_b64(self.path.strip("/").split("/")[1])


@dataclass(frozen=True)
class Reply:
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


Honest = Callable[[Call], Reply]
Twist = Callable[[Call, Honest], Reply]


class Silence(Exception):
    """Raised by a twist: the connection breaks before an answer."""


@dataclass
class World:
    """One history: a relay on a folder of its own."""

    folder: Path
    relay: Relay
    life: AbstractAsyncContextManager[None]


@dataclass
class HostileRelay:
    folder: Path
    twist: Twist = lambda call, honest: honest(call)
    calls: list[tuple[Call, Reply]] = field(default_factory=list)
    serves: dict[str, int] = field(default_factory=dict)  # who -> number of the world, 0 unless said

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._shown: dict[bytes, list[tuple[int, bytes]]] = {}
        self._worlds = [self._open(self.folder / "world-0")]

    def close(self) -> None:
        for world in self._worlds:
            self._shut(world)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def factory(self, who: str) -> Callable[..., RelayClient]:
        """For Exchange(vault, client_factory=...)."""

        def make(url: str, *, verify_key: bytes | None = None, timeout: float = 10) -> RelayClient:
            return HostileClient(self, who, url, verify_key)

        return make

    @property
    def signer(self) -> Signer:
        return self._worlds[0].relay.keeper.signer

    # Histories

    def keep(self) -> Path:
        """A copy of the disk as it is now."""
        world = self._worlds[0]
        copy = self.folder / f"kept-{len(list(self.folder.iterdir()))}"
        self._shut(world)
        shutil.copytree(world.folder, copy)
        self._worlds[0] = self._open(world.folder)
        return copy

    def put_back(self, copy: Path) -> None:
        """The relay goes on from an older disk."""
        world = self._worlds[0]
        self._shut(world)
        shutil.rmtree(world.folder)
        shutil.copytree(copy, world.folder)
        self._worlds[0] = self._open(world.folder)

    def fork(self, who: str) -> None:
        """From now on `who` lives in a history of their own."""
        target = self.folder / f"world-{len(self._worlds)}"
        shutil.copytree(self.keep(), target)
        self._worlds.append(self._open(target))
        self.serves[who] = len(self._worlds) - 1

    def entries(self, address: bytes, kind: int = wire.MAILBOX, world: int = 0) -> list[tuple[int, bytes]]:
        """(time, bytes) of everything in a mailbox or trace."""

        def question(store: Any) -> list[tuple[int, bytes]]:
            log = store.log(kind, address)
            held = store.entries(log.id, 0, 1000, 64 << 20)
            return [(entry.time, entry.body) for entry in held if entry.body is not None]

        return self._run(self._worlds[world].relay.keeper.read(question))

    def show(self, address: bytes, entries: Sequence[tuple[int, bytes]] | None) -> None:
        """Serve this mailbox or trace as these entries to everybody; None: as it is."""
        if entries is None:
            self._shown.pop(address, None)
        else:
            self._shown[address] = list(entries)

    def page(self, kind: int, address: bytes, entries: Sequence[tuple[int, bytes]], after: int = 0) -> Reply:
        """A page as a relay signs it, of any entries."""
        chain, frames = wire.START, b""
        for index, (time, body) in enumerate(entries, 1):
            body_hash = wire.hash_body(body)
            chain = wire.extend_chain(chain, index, time, body_hash)
            if index > after:
                frames += wire.encode_frame(index, time, body, body_hash)
        newest = entries[-1][0] if entries else 0
        return self.signed(kind, address, len(entries), chain, newest, frames)

    def signed(self, kind: int, address: bytes, count: int, chain: bytes, time: int, frames: bytes) -> Reply:
        checkpoint = self.signer.checkpoint(kind, address, count, chain, time)
        return Reply(200, ((wire.CHECKPOINT_HEADER.lower().encode(), encode_b64(checkpoint).encode()),), frames)

    # Inside

    def answer(self, call: Call) -> Reply:
        reply = self.twist(call, self.honest)
        self.calls.append((call, reply))
        return reply

    def honest(self, call: Call) -> Reply:
        if call.method == "GET" and call.room in ("messages", "trace") and call.address in self._shown:
            kind = wire.MAILBOX if call.room == "messages" else wire.TRACE
            after = int(dict(part.split("=") for part in call.query.split("&") if part).get("after", 0))
            return self.page(kind, call.address, self._shown[call.address], after)
        if call.room == "wait" and self._shown:
            return Reply(503)  # what is shown is not in the store: let it be read itself
        return self._run(self._asked(self._worlds[self.serves.get(call.who, 0)].relay, call))

    async def _asked(self, relay: Relay, call: Call) -> Reply:
        sent: list[dict[str, Any]] = []
        asked = [{"type": "http.request", "body": call.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            # Nobody stays for a long poll: it is answered as it stands.
            return asked.pop() if asked else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        path = wire.BASE + call.path
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": call.method, "path": path,
            "raw_path": path.encode(), "query_string": call.query.encode(), "headers": list(call.headers),
            "scheme": "http", "server": ("relay.test", 80), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        await relay(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Reply(sent[0]["status"], tuple(sent[0]["headers"]), body)

    def _open(self, folder: Path) -> World:
        folder.mkdir(parents=True, exist_ok=True)

        async def start() -> World:
            relay = Relay(folder / "relay.db", Log(io.StringIO()))
            life = relay.lifespan()
            await life.__aenter__()
            return World(folder, relay, life)

        return self._run(start())

    def _shut(self, world: World) -> None:
        async def stop() -> None:
            await world.life.__aexit__(None, None, None)

        self._run(stop())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


class HostileClient(RelayClient):
    """The product's client, whose connection ends at the hostile relay."""

    def __init__(self, relay: HostileRelay, who: str, url: str, key: bytes | None) -> None:
        super().__init__(url, verify_key=key)
        self._wire = _Wire(relay, who)

    def _client(self, room: str) -> httpx2.Client:
        with self._lock:
            if room not in self._clients:
                self._clients[room] = httpx2.Client(transport=self._wire, trust_env=False)
            return self._clients[room]


class _Wire(httpx2.BaseTransport):
    def __init__(self, relay: HostileRelay, who: str) -> None:
        self._relay = relay
        self._who = who

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = tuple((name.lower(), value) for name, value in request.headers.raw)
        call = Call(
            self._who,
            request.method,
            request.url.path.removeprefix(wire.BASE),
            request.url.query.decode(),
            headers,
            request.read(),
        )
        try:
            reply = self._relay.answer(call)
        except Silence:
            raise httpx2.ReadError("the connection broke", request=request) from None
        return httpx2.Response(reply.status, headers=list(reply.headers), stream=httpx2.ByteStream(reply.body))


def drop(room: str, who: str = "") -> Twist:
    """No answer to these calls."""

    def twist(call: Call, honest: Honest) -> Reply:
        if call.room == room and who in ("", call.who):
            raise Silence
        return honest(call)

    return twist


def swap(one: bytes, other: bytes) -> Twist:
    """Whoever asks for one address gets the other's bytes, and the other way round."""
    paths = {encode_b64(one): encode_b64(other), encode_b64(other): encode_b64(one)}

    def twist(call: Call, honest: Honest) -> Reply:
        parts = call.path.split("/")
        if call.method == "GET" and parts[1] == "blobs":
            return honest(replace(call, path="/".join(paths.get(part, part) for part in parts)))
        return honest(call)

    return twist


def messages_of(reply: Reply) -> list[Message]:
    return wire.decode_frames(reply.body)
