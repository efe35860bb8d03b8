"""A relay's appends and openings against a null endpoint on the same stack, loaded by wrk, in turns.

The null endpoint is an ordinary Starlette route that takes the same request body and answers as many bytes. It runs in
its own process on the same uvicorn, httptools and uvloop. Ratios are of requests a second, the median of the rounds.
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

from sync import wire
from sync.client import RelayClient, Token
from tests.benchmarks.harness import Row, present
from vault.primitives import BoxKey, SigningKey

CONNECTIONS = 64
MESSAGE = 1_024
STATEMENT = 3_584
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

ANSWER = bytes(int(sys.argv[1]))
listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
config = uvicorn.Config(
    Starlette(routes=[Route("/v1/null/{addr}/messages", null, methods=["POST"])]),
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


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """A process that prints its URL."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(10)


def load(url: str, script: str, seconds: float, folder: Path) -> tuple[float, float]:
    """(requests a second, p99 in ms) under 64 connections; wrong when any answer was not the expected one."""
    lua = folder / "load.lua"
    lua.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(lua), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "status " in out or "Non-2xx" in out or "Socket errors" in out:
        raise AssertionError(out[:500])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
    return rate, float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


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

    def sign(self, count: int, target: Path) -> tuple[int, int]:
        """Writes `count` requests, each followed by its path; (length of a request, length of a path)."""
        tag, statement = os.urandom(16), os.urandom(STATEMENT)
        with target.open("wb") as out:
            for number in range(count):
                grant, key = self.keys[number % len(self.keys)]
                self.counter += number % len(self.keys) == 0
                body = wire.Opening.encode(grant, self.counter, self.fresh, [tag], statement, key.sign)
                path = f"/v1/halves/{wire.encode_b64(grant)}/openings".encode()
                out.write(body + path)
        return len(body), len(path)


def main(quick: bool = False) -> Iterable[Row]:
    if not present("wrk"):
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server("-m", "sync.relay", "--db", str(folder / "relay.db"), "--port", "0") as url:
            return [*appends(url, folder, quick), *openings(url, folder, quick)]


def appends(url: str, folder: Path, quick: bool) -> list[Row]:
    seconds, rounds = (1, 1) if quick else (4, 5)
    boxes = folder / "boxes"
    with RelayClient(url) as client:
        make_boxes(client, 100 if quick else 400, boxes)
    ratios, slowest, rates = [], [], []
    with server("-c", NULL, "222") as null:
        for number in range(rounds + 1):
            values = {"boxes": boxes, "size": MESSAGE, "round": number, "target": ""}
            rate, p99 = load(url, APPEND_LUA % values, seconds, folder)
            nothing, _ = load(null, APPEND_LUA % {**values, "target": "/v1/null/x/messages"}, seconds, folder)
            if number or quick:
                ratios.append(rate / nothing)
                slowest.append(p99)
                rates.append((rate, nothing))
    detail = "append {:.0f}/s, null {:.0f}/s, 1 kB, 64 connections".format(*rates[len(rates) // 2])
    return [
        Row("relay append / null endpoint", median(ratios), 0.6, "higher", detail),
        Row("relay append p99", median(slowest), 30, unit="ms"),
    ]


def openings(url: str, folder: Path, quick: bool) -> list[Row]:
    seconds, rounds = (1, 1) if quick else (4, 5)
    ratios, slowest, rates = [], [], []
    with RelayClient(url) as client, server("-c", NULL, "283") as null:
        readers = Readers(client, 500 if quick else 1_500)
        for number in range(rounds + 1):
            script = folder / f"openings{number}"
            size, path = readers.sign(12_000 * seconds, script)
            values = {"openings": script, "size": size, "path": path, "target": ""}
            rate, p99 = load(url, OPEN_LUA % values, seconds, folder)
            nothing, _ = load(null, OPEN_LUA % {**values, "target": "/v1/null/x/messages"}, seconds, folder)
            script.unlink()
            if number or quick:
                ratios.append(rate / nothing)
                slowest.append(p99)
                rates.append((rate, nothing))
    detail = "opening {:.0f}/s, null {:.0f}/s, 4 kB, 64 connections".format(*rates[len(rates) // 2])
    return [
        Row("relay opening / null endpoint", median(ratios), 0.8, "higher", detail),
        Row("relay opening p99", median(slowest), 30, unit="ms"),
    ]
