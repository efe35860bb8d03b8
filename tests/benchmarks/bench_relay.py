"""A relay's appends and openings against a null endpoint on the same stack, loaded by wrk, in turns.

The null endpoint is an ordinary Starlette route that takes the same request body and answers as many bytes. It runs in
its own process on the same uvicorn, httptools and uvloop. Ratios are of requests a second, the median of the rounds.

An opening is also measured against a second null endpoint: the same route, which does the operations of libsodium that
the protocol asks of a relay for each opening (the reader's signature verified, a sealed box for the fresh key, a
checkpoint signed) and nothing else. They alone take longer than a null request, so that this endpoint, shown in a row
of its own, is the most that any relay on this stack could answer in one process.

Processor time for each request, of the relay with its helper, is shown too: it says the same on a busy machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sync import wire
from sync.client import RelayClient, Token
from tests.benchmarks.harness import Row, cpu_seconds, present
from vault.hybrid import derive_public
from vault.primitives import BoxKey, SigningKey

CONNECTIONS = 64
NOWHERE = "/v1/null/x/messages"
ARITHMETIC = "endpoint that only verifies, seals and signs"
MESSAGE = 1_024
STATEMENT = 3_584
HYBRID_MORE = 1_168 + 16 - 48  # bytes of a release in suite 2 over one in suite 1
ROOT = Path(__file__).parents[2]

NULL = """
import sys, socket, uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

async def null(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/octet-stream")

async def arithmetic(request: Request) -> Response:
    body = await request.body()
    opening, kem = Opening.receive(body)
    digest = blake2b(opening.signed, digest_size=64).digest()
    box = prepare(READERS[opening.grant], digest, opening.signature, opening.fresh, kem).seal(RELEASE)
    signer.checkpoint(2, opening.grant, opening.counter, START, 1_700_000_000)
    return Response(ANSWER[: len(ANSWER) - len(box)] + box, media_type="application/octet-stream")

ANSWER, handler = bytes(int(sys.argv[1])), null
if len(sys.argv) > 2:
    from hashlib import blake2b
    from sync.relay.checker import prepare
    from sync.relay.signing import Signer
    from sync.wire import START, Opening
    pairs = open(sys.argv[2], "rb").read()
    READERS = {pairs[at : at + 32]: pairs[at + 32 : at + 64] for at in range(0, len(pairs), 64)}
    RELEASE, signer, handler = bytes(32 + 8 + 1 + 48), Signer(bytes(32)), arithmetic
listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
config = uvicorn.Config(
    Starlette(routes=[Route("/v1/null/{addr}/messages", handler, methods=["POST"])]),
    http="httptools", loop="uvloop", ws="none", log_config=None, access_log=False, lifespan="off",
    server_header=False, date_header=False,
)
print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listener])
"""

# Unique bodies: what differs is in front, so that no two messages are the same.
APPEND_LUA = """
local target = "%(target)s"
local boxes, count, round = {}, 0, "%(round)s"
for line in io.lines("%(boxes)s") do
  local path, token = line:match("(%%S+) (%%S+)")
  table.insert(boxes, {path, {["Authorization"] = "Bearer " .. token}})
end
local filling = string.rep("x", %(size)d)
local me = 0
function setup(thread) thread:set("me", math.random(1e9)) end
function request()
  count = count + 1
  local box = boxes[count %% #boxes + 1]
  local head = string.format("%%s-%%d-%%d-", round, me, count)
  return wrk.format("POST", target == "" and box[1] or target, box[2], head .. filling:sub(#head + 1))
end
function response(status) if status ~= 201 and status ~= 200 then print("status " .. status) end end
"""

# Openings were signed before: one file per round, fixed-length records, each sent once.
OPEN_LUA = """
local target = "%(target)s"
local file = io.open("%(openings)s", "rb")
local size, spent = %(size)d, 0
function request()
  local body = file:read(size)
  if body == nil then spent = spent + 1; file:seek("set", 0); body = file:read(size) end
  local path = file:read(%(path)d)
  return wrk.format("POST", target == "" and path or target, nil, body)
end
function response(status) if status ~= 200 then print("status " .. status) end end
"""


class Served(NamedTuple):
    """A server at work: a process and its helpers."""

    url: str
    pid: int

    def seconds(self) -> float:
        """Processor time so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(cpu_seconds(pid) for pid in (self.pid, *map(int, children)))


class Load(NamedTuple):
    """What came of one load."""

    rate: float  # requests a second
    p99: float  # ms
    cost: float  # processor time of the server for one request, us


@contextmanager
def server(*arguments: str) -> Iterator[Served]:
    """A process that prints its URL."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield Served(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()
            process.wait(10)


def load(served: Served, script: str, seconds: float, folder: Path) -> Load:
    """64 connections for some seconds; wrong when any answer was not the expected one."""
    lua = folder / "load.lua"
    lua.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(lua), served.url]
    before = served.seconds()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = served.seconds() - before
    if "status " in out or "Non-2xx" in out or "Socket errors" in out:
        raise AssertionError(out[:500])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
    requests = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    return Load(rate, float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit], spent / requests * 1e6)


def make_boxes(client: RelayClient, count: int, target: Path) -> None:
    lines = []
    for _ in range(count):
        address, owner, token = (os.urandom(32) for _ in range(3))
        client.create_mailbox(address, owner, [Token(token, "append")])
        lines.append(f"/v1/mailboxes/{wire.encode_b64(address)}/messages {wire.encode_b64(token)}\n")
    target.write_text("".join(lines))


class Readers:
    """Grants with their reader keys, and the openings they sign."""

    def __init__(self, client: RelayClient, count: int) -> None:
        now = int(time.time())
        self.counter = 0
        self.fresh = BoxKey.make().public
        self.keys = [(os.urandom(32), SigningKey.make()) for _ in range(count)]
        for grant, key in self.keys:
            client.put_half(grant, os.urandom(32), os.urandom(32), key.public, not_before=now - 1, until=now + 86_400)

    def write_keys(self, target: Path) -> None:
        target.write_bytes(b"".join(grant + key.public for grant, key in self.keys))

    def sign(self, count: int, target: Path, kem: bytes = b"") -> tuple[int, int]:
        """Writes `count` requests, each followed by its path; (length of a request, length of a path)."""
        tag, statement = os.urandom(16), os.urandom(STATEMENT)
        with target.open("wb") as out:
            for number in range(count):
                grant, key = self.keys[number % len(self.keys)]
                self.counter += number % len(self.keys) == 0
                body = wire.Opening.encode(grant, self.counter, self.fresh, [tag], statement, key.sign, kem)
                path = f"/v1/halves/{wire.encode_b64(grant)}/openings".encode()
                out.write(body + path)
        return len(body), len(path)


def main(quick: bool = False) -> Iterable[Row]:
    if not present("wrk"):
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server("-m", "sync.relay", "--db", str(folder / "relay.db"), "--port", "0") as relay:
            return [
                *appends(relay, folder, quick),
                *openings(relay, folder, quick, "opening"),
                *openings(relay, folder, quick, "opening in suite 2", derive_public(os.urandom(64))),
            ]


def appends(relay: Served, folder: Path, quick: bool) -> list[Row]:
    seconds, rounds = (1, 1) if quick else (4, 5)
    boxes = folder / "boxes"
    with RelayClient(relay.url) as client:
        make_boxes(client, 100 if quick else 400, boxes)
    ours, nothing = [], []
    with server("-c", NULL, "222") as null:
        for number in range(rounds + 1):
            values = {"boxes": boxes, "size": MESSAGE, "round": number, "target": ""}
            ours.append(load(relay, APPEND_LUA % values, seconds, folder))
            nothing.append(load(null, APPEND_LUA % {**values, "target": NOWHERE}, seconds, folder))
    return [
        against("append", "1 kB", "null endpoint", ours, nothing, 0.6),
        Row("relay append p99", middle(ours).p99, 30, unit="ms"),
        cost("append", "null endpoint", ours, nothing),
    ]


def openings(relay: Served, folder: Path, quick: bool, act: str, kem: bytes = b"") -> list[Row]:
    answer = str(283 + (HYBRID_MORE if kem else 0))
    seconds, rounds = (1, 1) if quick else (4, 5)
    ours, nothing, least = [], [], []
    keys, script = folder / "keys", folder / "openings"
    with RelayClient(relay.url) as client:
        readers = Readers(client, 500 if quick else 1_500)
    readers.write_keys(keys)
    with server("-c", NULL, answer) as null, server("-c", NULL, answer, str(keys)) as arithmetic:
        for _ in range(rounds + 1):
            size, path = readers.sign(12_000 * seconds, script, kem)
            values = {"openings": script, "size": size, "path": path, "target": ""}
            ours.append(load(relay, OPEN_LUA % values, seconds, folder))
            nothing.append(load(null, OPEN_LUA % {**values, "target": NOWHERE}, seconds, folder))
            least.append(load(arithmetic, OPEN_LUA % {**values, "target": NOWHERE}, seconds, folder))
    return [
        against(act, f"{size} bytes", "null endpoint", ours, nothing, 0.8),
        against(act, f"{size} bytes", ARITHMETIC, ours, least, None),
        against(act, f"{size} bytes", "null endpoint", least, nothing, None, who=ARITHMETIC),
        Row(f"relay {act} p99", middle(ours).p99, 30, unit="ms"),
        cost(act, "null endpoint", ours, nothing),
        cost(act, ARITHMETIC, ours, least),
    ]


def middle(loads: list[Load]) -> Load:
    """The median of each figure; the first round is not counted where there are others."""
    counted = loads[1:] or loads
    return Load(*(median(figures) for figures in zip(*counted, strict=True)))


def against(
    act: str, size: str, name: str, ours: list[Load], theirs: list[Load], limit: float | None, *, who: str = ""
) -> Row:
    """Requests a second, of rounds that ran one after the other."""
    pairs = list(zip(ours, theirs, strict=True))
    ratio = median(mine.rate / other.rate for mine, other in pairs[1:] or pairs)
    detail = f"{middle(ours).rate:.0f}/s against {middle(theirs).rate:.0f}/s, {size}, {CONNECTIONS} connections"
    return Row(f"{who or f'relay {act}'} / {name}", ratio, limit, "higher", detail)


def cost(act: str, name: str, ours: list[Load], theirs: list[Load]) -> Row:
    mine, other = middle(ours).cost, middle(theirs).cost
    return Row(f"relay {act} / {name}, processor time", mine / other, detail=f"{mine:.0f} us against {other:.0f} us")
