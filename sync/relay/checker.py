"""The costly arithmetic of openings, in a helper process beside the event loop.

Threads do not serve here: libsodium lets go of the interpreter for tens of microseconds, and taking it back from a busy
event loop costs as much again. The helper sees signatures and public keys only; no half, no statement, no address. When
it dies, what it had not answered is computed here and a new one is started.

Request: 4 bytes of length, then records of a length (2) and reader 32 | digest 64 | signature 64 | fresh 32, in suite 2
followed by the ML-KEM key. Answer, for each: verdict 1 | length of the box 2 | box.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import subprocess
import sys
from collections import deque
from typing import NamedTuple

from sync.relay.refusal import Refusal
from sync.relay.signing import Box, HybridBox, check_reader
from sync.wire import Opening

CONTEXT = b"elpis/opening/1\0"
_ASK = 192
_BATCH = 1 << 16
_GOOD, _SIGNATURE, _MALFORMED = range(3)
_HEAD = 3  # of an answer


class _Question(NamedTuple):
    record: bytes
    future: asyncio.Future[Box | HybridBox]


def prepare(reader: bytes, digest: bytes, signature: bytes, fresh: bytes, kem: bytes) -> Box | HybridBox:
    """A box for the fresh keys, once the reader's signature is found good; Refusal otherwise."""
    check_reader(reader, CONTEXT + digest, signature)
    if not kem:
        return Box.make(fresh)
    from sync.relay.hybrid import make_box

    return make_box(kem, fresh)


def answer(record: bytes) -> bytes:
    """One record in, one out: the signature is valid and a box is ready, or which of them failed."""
    try:
        box = prepare(record[:32], record[32:96], record[96:160], record[160:_ASK], record[_ASK:])
    except Refusal as refusal:
        return bytes((_SIGNATURE if refusal.code == "signature" else _MALFORMED, 0, 0))
    data = b"".join(box)
    return bytes((_GOOD,)) + len(data).to_bytes(2, "big") + data


class Checker:
    """In the event loop's thread only. Questions of one moment travel together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fresh: list[_Question] = []
        self._asked: deque[_Question] = deque()
        self._unsent = b""
        self._partial = b""
        self._start()

    def prepare(self, reader: bytes, opening: Opening, kem: bytes) -> asyncio.Future[Box | HybridBox]:
        """A box for the fresh keys, once the reader's signature is found good; Refusal otherwise."""
        digest = hashlib.blake2b(opening.signed, digest_size=64).digest()
        future: asyncio.Future[Box | HybridBox] = self._loop.create_future()
        if not self._fresh:
            self._loop.call_soon(self._send)
        record = b"".join((reader, digest, opening.signature, opening.fresh, kem))
        self._fresh.append(_Question(record, future))
        return future

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._process.wait()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sync.relay.checker"], stdin=theirs.fileno(), stdout=theirs.fileno()
        )
        theirs.close()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)

    def _send(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._asked.extend(fresh)
        part: list[bytes] = []
        size = 0
        for question in fresh:
            part += (len(question.record).to_bytes(2, "big"), question.record)
            size += 2 + len(question.record)
            if size > _BATCH or question is fresh[-1]:
                self._unsent += b"".join((size.to_bytes(4, "big"), *part))
                part, size = [], 0
        self._flush()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._died()
            return
        if self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died()
            return
        self._partial += data
        at, end = 0, len(self._partial)
        while end - at >= _HEAD and end - at >= (
            size := _HEAD + int.from_bytes(self._partial[at + 1 : at + _HEAD], "big")
        ):
            self._deliver(self._asked.popleft(), self._partial[at : at + size])
            at += size
        self._partial = self._partial[at:]

    def _deliver(self, question: _Question, record: bytes) -> None:
        if question.future.done():
            return
        if record[0] == _GOOD:
            box = record[_HEAD:]
            hybrid = len(question.record) > _ASK
            question.future.set_result(HybridBox(box[:32], box[32:]) if hybrid else Box(box[:32], box[32:56], box[56:]))
        else:
            question.future.set_exception(Refusal("signature" if record[0] == _SIGNATURE else "malformed"))

    def _died(self) -> None:
        self.close()
        lost, self._asked = self._asked, deque()
        self._unsent = self._partial = b""
        self._start()
        for question in lost:
            self._deliver(question, answer(question.record))


def main() -> None:
    """Until the relay closes its end."""

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay = sys.stdin.buffer
    out = sys.stdout.buffer
    while len(head := relay.read(4)) == 4:
        data = relay.read(int.from_bytes(head, "big"))
        at = done = 0
        while at < len(data):
            start = at + 2
            at = start + int.from_bytes(data[at:start], "big")
            out.write(answer(data[start:at]))
            done += 1
            # A few at a time, so that the relay writes the first to disk while the last are computed.
            if done % 16 == 0 or at == len(data):
                out.flush()


if __name__ == "__main__":
    main()
