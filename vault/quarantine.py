"""Foreign input is parsed in a worker: a process of its own with little memory, little time and no way out.

A hostile change can make Automerge panic, inflate to gigabytes or run for minutes. In here that costs one worker,
which is killed and started again; the vault goes on. The worker has no key, no file, no network: once it has loaded its
code it may not open another descriptor. Nothing that it answers is trusted beyond its shape.
Normative: spec/replica.md.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vault.errors import ForeignChange, VaultError

if TYPE_CHECKING:
    from vault.replica import Change, Merged

MEMORY = 768 << 20
SECONDS = 2.0
START_SECONDS = 20.0
MAX_ANSWER = 64 << 20
_HEAD = struct.Struct(">II")  # length of the JSON part, number of byte strings
_SIZE = struct.Struct(">I")
_START = "import sys; room, *sys.path[:] = sys.argv[1:]; from vault.quarantine import serve; serve(room)"
MERGING = "vault.merging"

Parts = Sequence[bytes]
Task = Callable[[Any, list[bytes]], tuple[Any, Parts]]


class Quarantine:
    """A worker, started when it is first needed. Threads take turns. `room` is the module that holds its TASKS."""

    def __init__(
        self, *, room: str = MERGING, seconds: float = SECONDS, memory: int = MEMORY, limit: int = MAX_ANSWER
    ) -> None:
        self._room = room
        self._seconds = seconds
        self._memory = memory
        self._limit = limit
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def merge(self, save: bytes, claims: Sequence[Change], *, own: bytes = b"") -> Merged:
        """`replica.merge`, out of harm's way. ForeignChange when it is refused, or kills its worker."""
        from vault.merging import read_merged

        head = [[claim.hash.hex(), claim.actor.hex(), claim.seq, [d.hex() for d in claim.deps]] for claim in claims]
        answer, parts = self.run("merge", [own.hex(), head], (save, *(claim.data for claim in claims)))
        return read_merged(answer, parts)

    def run(self, task: str, value: object, parts: Parts = ()) -> tuple[Any, list[bytes]]:
        """The task's answer: (JSON value, byte strings). ForeignChange when the input is refused or not survived."""
        with self._lock:
            try:
                kind, answer, returned = self._ask(task, value, parts)
            except (OSError, EOFError, ValueError, struct.error) as failure:
                self._end()
                why = "took too long" if isinstance(failure, TimeoutError) else "broke the worker"
                raise ForeignChange(f"input from outside {why} and was put aside", task=task) from failure
        if kind == "refused":
            raise ForeignChange(str(answer.get("why", ""))[:500], change=str(answer.get("change", ""))[:64])
        return answer, returned

    def close(self) -> None:
        with self._lock:
            self._end()

    def abort(self) -> None:
        """Ends what is going on, from another thread: whoever waits for it is told that it broke."""
        process = self._process
        if process is not None:
            process.kill()

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, task: str, value: object, parts: Parts) -> tuple[str, Any, list[bytes]]:
        channel = self._socket or self._start()
        channel.sendall(_frame([task, value], parts))
        read = _reader(channel, time.monotonic() + self._seconds)
        (kind, answer), returned = _read_frame(read, self._limit)
        if kind not in ("done", "refused") or (kind == "refused" and not isinstance(answer, dict)):
            raise ValueError("not an answer")
        return kind, answer, returned

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        paths = [os.path.abspath(path) for path in sys.path]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, self._room, *paths],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    "LC_ALL": "C.UTF-8",
                    "ELPIS_WORKER_MEMORY": str(self._memory),
                    "ELPIS_WORKER_LIMIT": str(self._limit),
                },
                close_fds=True,
                start_new_session=True,
            )
        self._socket = ours
        ours.settimeout(START_SECONDS)
        if ours.recv(1) != b"+":
            raise EOFError("the worker did not start")
        # Timeouts of the kernel's: Python's own would cost two more system calls for each of ours.
        ours.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, _timeval(self._seconds))
        return ours

    def _end(self) -> None:
        process, channel = self._process, self._socket
        self._process = self._socket = None
        if channel is not None:
            channel.close()
        if process is not None:
            process.kill()
            process.wait()


def serve(room: str) -> None:
    """The worker's life: loads its code, gives up everything else, answers until its socket closes."""
    from importlib import import_module

    tasks: Mapping[str, Task] = import_module(room).TASKS
    limit = int(os.environ.get("ELPIS_WORKER_LIMIT", MAX_ANSWER))
    channel = socket.socket(fileno=0)
    _confine(int(os.environ.get("ELPIS_WORKER_MEMORY", MEMORY)))
    gc.freeze()  # what was loaded stays: no collection looks through it again
    channel.sendall(b"+")
    read = _reader(channel)
    with suppress(EOFError, OSError):
        while True:
            (name, value), parts = _read_frame(read, limit)
            channel.sendall(_answer(tasks, name, value, parts))


def _answer(tasks: Mapping[str, Task], name: str, value: Any, parts: list[bytes]) -> bytes:
    try:
        answer, returned = tasks[name](value, parts)
    except VaultError as failure:
        return _frame(["refused", {"why": str(failure), "change": str(failure.facts.get("change", ""))}], ())
    except BaseException:  # noqa: BLE001 - nothing that hostile input raises may be lived with
        # Automerge's panic is no Exception, and after one its memory is not to be trusted: this process ends.
        os._exit(3)
    return _frame(["done", answer], returned)


def _confine(memory: int) -> None:
    """Limits that a process can only tighten. With no descriptor left to open there is no file and no network."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, 256)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(limit, (value, value))


def _frame(value: object, parts: Parts) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    pieces = [b"", _HEAD.pack(len(text), len(parts)), text]
    for part in parts:
        pieces += (_SIZE.pack(len(part)), part)
    body = b"".join(pieces)
    return _SIZE.pack(len(body)) + body


def _read_frame(read: Callable[[int], bytes], limit: int) -> tuple[Any, list[bytes]]:
    (size,) = _SIZE.unpack(read(_SIZE.size))
    if size > limit:
        raise ValueError("the answer is too long")
    body = read(size)
    length, count = _HEAD.unpack_from(body)
    at = _HEAD.size + length
    value = json.loads(body[_HEAD.size : at])
    parts = []
    for _ in range(count):
        (part,) = _SIZE.unpack_from(body, at)
        at += _SIZE.size
        if at + part > size:
            raise ValueError("the answer ends early")
        parts.append(body[at : at + part])
        at += part
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        raise ValueError("not an answer")
    return value, parts


def _reader(channel: socket.socket, deadline: float = math.inf) -> Callable[[int], bytes]:
    """Exact reads with few system calls; TimeoutError past the deadline, however slowly the bytes trickle in."""
    kept = b""

    def read(size: int) -> bytes:
        nonlocal kept
        pieces = [kept]
        have = len(kept)
        while have < size:
            if time.monotonic() > deadline:
                raise TimeoutError
            try:
                piece = channel.recv(max(65536, size - have))
            except BlockingIOError:
                raise TimeoutError from None
            if not piece:
                raise EOFError
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces) if len(pieces) > 1 else kept
        kept = data[size:]
        return data[:size]

    return read


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
