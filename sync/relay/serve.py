"""A relay as a process: uvicorn, httptools and uvloop, with deadlines that uvicorn does not have."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sync import wire
from sync.relay.app import Relay
from sync.relay.log import Log
from sync.relay.refusal import StorageRefused
from sync.relay.sqlite import SqliteStore

REQUEST_SECONDS = 30
BODY_RATE = 8_192  # bytes a second that a body must bring at the least, once those seconds are over
IDLE_SECONDS = 75
CONNECTIONS = 4_096


class Protocol(HttpToolsProtocol):
    """Refuses what arrives too slowly, is taken too slowly, or has too much before its body; see `Server.on_tick`."""

    deadline: float | None = None
    unread: float | None = None  # until when what was sent must be taken
    head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.deadline = self.loop.time() + REQUEST_SECONDS
        self.head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.head_bytes += len(data)
        super().data_received(data)
        # Reset to zero by on_headers_complete: what remains is a head without an end.
        if self.head_bytes > wire.HEADER_BYTES + wire.URL_BYTES + len(data) and self.transport is not None:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.deadline = self.loop.time() + REQUEST_SECONDS

    def on_headers_complete(self) -> None:
        self.head_bytes = -(1 << 62)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.deadline is not None:
            self.deadline += len(body) / BODY_RATE

    def pause_writing(self) -> None:
        """Nobody takes what is sent: it would keep a connection, and the file that is read, for ever."""
        super().pause_writing()
        self.unread = self.loop.time() + REQUEST_SECONDS

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread = None

    def late(self, now: float) -> bool:
        return any(end is not None and now > end for end in (self.deadline, self.unread))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.deadline = None
        self.head_bytes = 0


class Server(uvicorn.Server):
    """Prints where it listens; ends long polls at once when it is told to stop."""

    def __init__(self, config: uvicorn.Config, relay: Relay, url: str) -> None:
        super().__init__(config)
        self._relay = relay
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        # Requests make no cycles worth looking for every 700 objects; it would cost a tenth of the time.
        gc.set_threshold(20_000, 20, 50)
        print(self._url, flush=True)

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Protocol) and connection.late(now):
                    connection.transport.abort()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._relay.keeper.waiting.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal again at the end: a relay that was told to stop has not failed."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def check_database(db: Path) -> None:
    """OSError with a sentence when no relay can work on this file: better than a fault once it runs."""
    try:
        SqliteStore(db).close()
    except StorageRefused as refused:
        raise OSError(f"{db}: {refused.__cause__}") from refused


def serve(db: Path, port: int, host: str = "127.0.0.1") -> None:
    """Runs until SIGTERM or SIGINT. Prints its URL on one line when ready; port 0 takes a free one."""
    check_database(db)
    log = Log()
    relay = Relay(db, log)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2_048)
    config = uvicorn.Config(
        relay,
        http=Protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
        limit_concurrency=CONNECTIONS,
    )
    shown = f"[{host}]" if ":" in host else host
    Server(config, relay, f"http://{shown}:{listener.getsockname()[1]}").run(sockets=[listener])
