"""The costly arithmetic of openings, in a helper process beside the event loop.

Threads do not serve here: libsodium lets go of the interpreter for tens of microseconds, and taking it back from a busy
event loop costs as much again. The helper sees signatures and public keys only; no half, no statement, no address. When
it dies, what it had not answered is computed here and a new one is started.

Request: n x (reader 32 | digest 64 | signature 64 | fresh 32), after n in 4 bytes. Answer: n x (verdict 1 | box 88).
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
from sync.relay.signing import Box, check_reader

CONTEXT = b"elpis/opening/1\0"
_ASK = 192
_ANSWER = 89
_BATCH = 256
_GOOD, _SIGNATURE, _MALFORMED = range(3)


class _Question(NamedTuple):
    record: bytes
    future: asyncio.Future[Box]


def answer(record: bytes) -> bytes:
    """One record in, one out: the signature is valid and a box to the fresh key is ready, or which of them failed."""
    reader, digest, signature, fresh = record[:32], record[32:96], record[96:160], record[160:]
    try:
        check_reader(reader, CONTEXT + digest, signature)
        box = Box.make(fresh)
    except Refusal as refusal:
        return bytes((_SIGNATURE if refusal.code == "signature" else _MALFORMED,)) + bytes(_ANSWER - 1)
    return bytes((_GOOD,)) + b"".join(box)


class Checker:
    """In the event loop's thread only. Questions of one moment travel together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fresh: list[_Question] = []
        self._asked: deque[_Question] = deque()
        self._unsent = b""
        self._partial = b""
        self._start()

    def prepare(self, reader: bytes, signed: bytes, signature: bytes, fresh: bytes) -> asyncio.Future[Box]:
        """A box for the fresh key, once the reader's signature is found good; Refusal otherwise."""
        digest = hashlib.blake2b(signed, digest_size=64).digest()
        future: asyncio.Future[Box] = self._loop.create_future()
        if not self._fresh:
            self._loop.call_soon(self._send)
        self._fresh.append(_Question(b"".join((reader, digest, signature, fresh)), future))
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
        for start in range(0, len(fresh), _BATCH):
            part = fresh[start : start + _BATCH]
            self._unsent += len(part).to_bytes(4, "big") + b"".join(question.record for question in part)
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
        whole = len(self._partial) // _ANSWER * _ANSWER
        for at in range(0, whole, _ANSWER):
            self._deliver(self._asked.popleft(), self._partial[at : at + _ANSWER])
        self._partial = self._partial[whole:]

    def _deliver(self, question: _Question, record: bytes) -> None:
        if question.future.done():
            return
        if record[0] == _GOOD:
            question.future.set_result(Box(record[1:33], record[33:57], record[57:]))
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
        data = relay.read(int.from_bytes(head, "big") * _ASK)
        # A few at a time, so that the relay writes the first to disk while the last are computed.
        for start in range(0, len(data), _ASK * 16):
            part = data[start : start + _ASK * 16]
            out.write(b"".join(answer(part[at : at + _ASK]) for at in range(0, len(part), _ASK)))
            out.flush()


if __name__ == "__main__":
    main()
