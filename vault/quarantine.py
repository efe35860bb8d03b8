"""Foreign input is parsed in a worker: a process of its own with little memory, little time and no way out.

A hostile change can make Automerge panic, inflate to gigabytes or run for minutes. In here that costs one worker,
which is killed and started again; the vault goes on. The worker has no key, no file, no network: once it has loaded its
code it may not open another descriptor. Nothing that it answers is trusted beyond its shape.
Normative: spec/replica.md.
"""

from __future__ import annotations

import gc
import io
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from vault.errors import ForeignChange, VaultError

if TYPE_CHECKING:
    from vault.replica import Change, Merged

MEMORY = 768 << 20
SECONDS = 1.8  # with ending the worker, no input takes two
START_SECONDS = 20.0
MAX_ANSWER = 64 << 20
GARBAGE = 20_000  # containers made before a worker looks for circles among them: one merge makes a few hundred
_PIECE = 65536
OUTSIDE = 1 << 20  # the most that is asked for at once of a file outside; more than this is not copied to be sent
_SIZE = struct.Struct(">I")
_START = "import sys; room, *sys.path[:] = sys.argv[1:]; from vault.quarantine import serve; serve(room)"
MERGING = "vault.merging"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode

Parts = Sequence[bytes]
Task = Callable[[Any, list[bytes]], tuple[Any, Parts]]
Course = Callable[[Any, Any], Iterator[tuple[Any, Parts]]]


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
        from vault.merging import pack, read_merged

        answer, parts = self.run("merge", None, pack(save, claims, own))
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

    def stream(
        self, task: str, value: object, source: BinaryIO, *, seconds: float
    ) -> Iterator[tuple[Any, list[bytes]]]:
        """The answers of a course, one by one, to a file that is too large to be handed over.

        The worker asks for pieces of it and gets nothing else. It may take its usual time for each answer and each
        piece, and is waited for `seconds` in all. Whoever stops listening ends the worker.
        """
        with self._lock:
            done = False
            try:
                for kind, answer, parts in self._course(task, value, source, seconds):
                    done = kind != "part"
                    if kind == "refused":
                        raise ForeignChange(str(answer.get("why", ""))[:500])
                    if not done:
                        yield answer, parts
            except (OSError, EOFError, ValueError, TypeError, struct.error) as failure:
                raise ForeignChange("input from outside broke the worker and was put aside", task=task) from failure
            finally:
                if not done:
                    self._end()

    def _course(
        self, task: str, value: object, source: BinaryIO, seconds: float
    ) -> Iterator[tuple[str, Any, list[bytes]]]:
        channel = self._socket or self._start()
        _send(channel, task, {"size": source.seek(0, os.SEEK_END), "value": value}, ())
        kind, end = "", time.monotonic() + seconds
        while kind not in ("done", "refused"):
            now = time.monotonic()
            if now > end:
                raise TimeoutError
            kind, answer, parts = _read_frame(channel, self._limit, min(end, now + self._seconds))
            if kind == "want":
                offset, size = answer
                source.seek(max(0, int(offset)))
                _send(channel, "piece", None, (source.read(min(OUTSIDE, max(0, int(size)))),))
                continue
            if kind not in ("part", "done", "refused") or (kind == "refused" and not isinstance(answer, dict)):
                raise ValueError("not an answer")
            left = end - time.monotonic()
            yield kind, answer, parts
            end = time.monotonic() + left  # whoever listens takes time of their own
            if kind == "part":
                _send(channel, "more", None, ())

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
        _send(channel, task, value, parts)
        kind, answer, returned = _read_frame(channel, self._limit, time.monotonic() + self._seconds)
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

    module = import_module(room)
    tasks: Mapping[str, Task] = module.TASKS
    courses: Mapping[str, Course] = getattr(module, "COURSES", {})
    limit = int(os.environ.get("ELPIS_WORKER_LIMIT", MAX_ANSWER))
    channel = socket.socket(fileno=0)
    _confine(int(os.environ.get("ELPIS_WORKER_MEMORY", MEMORY)))
    gc.freeze()  # what was loaded stays: no collection looks through it again
    gc.set_threshold(GARBAGE)
    channel.sendall(b"+")
    with suppress(EOFError, OSError):
        while True:
            name, value, parts = _read_frame(channel, limit)
            try:
                if name in courses:
                    for answer, returned in courses[name](value["value"], _Outside(channel, limit, value["size"])):
                        _send(channel, "part", answer, returned)
                        _read_frame(channel, limit)
                    answer, returned = None, ()
                else:
                    answer, returned = tasks[name](value, parts)
                _send(channel, "done", answer, returned)
            except VaultError as failure:
                why = {"why": str(failure), "change": str(failure.facts.get("change", ""))}
                _send(channel, "refused", why, ())
            except BaseException:  # noqa: BLE001 - nothing that hostile input raises may be lived with
                # Automerge's panic is no Exception, and after one its memory is not to be trusted: this process ends.
                os._exit(3)


class _Outside(io.RawIOBase):
    """In the worker: a file that stays outside, read piece by piece through the socket."""

    def __init__(self, channel: socket.socket, limit: int, size: int) -> None:
        self._channel, self._limit, self._size = channel, limit, size
        self._at = 0
        self._piece, self._from = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence, 0))
        return self._at

    def alive(self) -> None:
        """Tells that work goes on, where nothing is asked for in a long time."""
        self._ask(0)

    def _ask(self, size: int) -> bytes:
        _send(self._channel, "want", [self._at, size], ())
        _, _, (piece,) = _read_frame(self._channel, self._limit)
        return piece

    def read(self, size: int = -1) -> bytes:
        found = []
        while size:
            place = self._at - self._from
            if not 0 <= place < len(self._piece):
                self._piece = self._ask(OUTSIDE)
                self._from, place = self._at, 0
                if not self._piece:
                    break
            some = self._piece[place : len(self._piece) if size < 0 else place + size]
            found.append(some)
            self._at += len(some)
            size -= len(some) if size > 0 else 0
        return b"".join(found)


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


def _send(channel: socket.socket, name: str, value: object, parts: Parts) -> None:
    """A frame: length of the rest | n | n lengths | name | JSON, empty for null | byte strings."""
    every = (name.encode(), b"" if value is None else _encode(value).encode(), *parts)
    count = len(every)
    sizes = [len(part) for part in every]
    head = struct.pack(f">II{count}I", 4 + 4 * count + sum(sizes), count, *sizes)
    if sum(sizes) <= OUTSIDE:
        channel.sendall(b"".join((head, *every)))
        return
    channel.sendall(head)
    for part in every:
        channel.sendall(part)


def _read_frame(channel: socket.socket, limit: int, deadline: float = math.inf) -> tuple[str, Any, list[bytes]]:
    body = _receive(channel, limit, deadline)
    (count,) = _SIZE.unpack_from(body, _SIZE.size)
    sizes = struct.unpack_from(f">{count}I", body, 2 * _SIZE.size)
    at = 2 * _SIZE.size + 4 * count
    parts = []
    for size in sizes:
        parts.append(body[at : at + size])
        at += size
    if at != len(body) or count < 2:
        raise ValueError("the answer does not have the length that it announces")
    name, text = parts[:2]
    return name.decode(), _decode(text.decode()) if text else None, parts[2:]


def _receive(channel: socket.socket, limit: int, deadline: float) -> bytes:
    """One frame and nothing behind it; TimeoutError past the deadline, however slowly the bytes trickle in."""
    body = _piece(channel, _PIECE)
    while len(body) < _SIZE.size:
        body += _piece(channel, _PIECE, deadline)
    wanted = _SIZE.size + _SIZE.unpack_from(body)[0]
    if wanted > limit:
        raise ValueError("the answer is too long")
    if len(body) < wanted:
        pieces, have = [body], len(body)
        while have < wanted:
            pieces.append(_piece(channel, max(_PIECE, wanted - have), deadline))
            have += len(pieces[-1])
        body = b"".join(pieces)
    if len(body) != wanted:
        raise ValueError("something follows the answer")
    return body


def _piece(channel: socket.socket, size: int, deadline: float = math.inf) -> bytes:
    if time.monotonic() > deadline:
        raise TimeoutError
    try:
        piece = channel.recv(size)
    except BlockingIOError:
        raise TimeoutError from None
    if not piece:
        raise EOFError
    return piece


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
