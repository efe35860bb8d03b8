"""MLLP release 1: HL7 messages over TCP, each between 0x0B and 0x1C 0x0D, each answered before the next is read.

Only framing and bounds: what is said to a message is somebody else's matter. Normative: spec/feeding.md, section 5.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vault.errors import StorageFailed

START, END = b"\x0b", b"\x1c\x0d"
MESSAGE_BYTES = 32 << 20
ALL_BYTES = 128 << 20
CONNECTIONS = 64
MESSAGE_SECONDS, MESSAGE_RATE = 30.0, 8_192  # and a second more for each so many bytes
SILENCE_SECONDS = 600.0
ANSWER_SECONDS = 30.0
NOISE_BYTES = 4_096
PORT = 2575
_CHUNK = 1 << 16

Answer = Callable[[bytes], bytes]


class _Ended(Exception):
    """This connection is over."""


class Listener:
    """Listens in a thread of its own. `answer` is called for one message at a time, in another."""

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._where = host, port
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._work = ThreadPoolExecutor(1, "mllp-answer")
        self._thread = threading.Thread(target=self._run, name="mllp")
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self.port = port

    def __enter__(self) -> Listener:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise StorageFailed(f"this address cannot be listened on: {self._failure.strerror}") from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        """No new message. The one that is being decided is decided to the end; its sender will ask again."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._work.shutdown()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        try:
            server = await asyncio.start_server(self._connected, *self._where, limit=_CHUNK)
        except OSError as failure:
            self._failure = failure
            return
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()
        await asyncio.sleep(0)  # whoever was let in at the last moment is known now
        while self._connections:
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        try:
            if len(self._connections) <= CONNECTIONS:
                await _Peer(self, reader, writer).talk()
        except (_Ended, OSError, TimeoutError, asyncio.CancelledError):
            pass  # nothing that was not answered was promised
        finally:
            # What cannot be sent at once is not waited for: a peer that reads nothing holds nothing open.
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            if task is not None:
                self._connections.discard(task)

    def room(self, more: int) -> None:
        """Room for bytes of a message that is being received; _Ended when all of it is taken."""
        if self._bytes + more > ALL_BYTES:
            raise _Ended
        self._bytes += more

    def free(self, bytes_: int) -> None:
        self._bytes -= bytes_

    async def answer(self, message: bytes) -> bytes:
        """Shielded: what is being decided is decided to the end, whether or not its sender is still there."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._work, self._answer, message))


class _Peer:
    """One connection."""

    def __init__(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._left = b""  # what came after the end of the last message

    async def talk(self) -> None:
        while (message := await self._message()) is not None:
            try:
                answer = await self._listener.answer(message)
            finally:
                self._listener.free(len(message))
            self._writer.write(START + answer + END)
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._writer.drain()

    async def _message(self) -> bytes | None:
        """The next message; None when the peer has said all. Its bytes are counted until they are freed."""
        held = 0
        try:
            data = await self._beginning()
            if data is None:
                return None
            self._listener.room(len(data))
            pieces, held, tail = [data], len(data), data
            loop = asyncio.get_running_loop()
            deadline = loop.time() + MESSAGE_SECONDS
            while (at := tail.find(END)) < 0:
                if held > MESSAGE_BYTES:
                    raise _Ended
                async with asyncio.timeout_at(deadline + held / MESSAGE_RATE):
                    chunk = await self._reader.read(_CHUNK)
                if not chunk:
                    raise _Ended
                self._listener.room(len(chunk))
                held += len(chunk)
                # The end may lie across two pieces: the last byte of the one before is looked at again.
                tail = pieces[-1][-1:] + chunk
                pieces.append(chunk)
            whole = b"".join(pieces)
            at += len(whole) - len(tail)
            message, self._left = whole[:at], whole[at + len(END) :]
            self._listener.free(held - len(message))
            held = 0
            return message
        finally:
            self._listener.free(held)

    async def _beginning(self) -> bytes | None:
        """What has come of a message, from its first byte on."""
        noise, data = 0, self._left
        self._left = b""
        while True:
            before, mark, after = data.partition(START)
            if mark:
                return after
            noise += len(before)
            if noise > NOISE_BYTES:
                raise _Ended
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await self._reader.read(_CHUNK)
            if not data:
                return None
