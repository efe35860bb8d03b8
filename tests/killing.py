"""kill -9 of real processes, cheaply: one interpreter loads the product once, and each victim is a fork of it.

ELPIS_KILLS says how many processes die in all (20 unless told); `share` gives each test its part. A victim does real
work on real files until SIGKILL comes, and writes a line after each thing that it was told is kept.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from sync.client import RelayClient

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("ELPIS_KILLS", "20"))

# In percent of KILLS. The first four make up the whole; what runs over is on top.
SHARES = {"vault": 35, "import": 10, "exchange": 30, "relay": 25, "backup": 5, "feeding": 3}

# The nursery: reads a request, forks, and in the child runs the script as if it were a program of its own. It never
# uses what it loads, so that a child starts with nothing but code: no connection, no thread, no random state.
_NURSERY = """
import json, os, signal, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
exec(sys.argv[2])
scripts = {}
channel.send(b"ready")
while True:
    data, out, _, _ = socket.recv_fds(channel, 1 << 20, 1)
    if not data:
        break
    ask = json.loads(data)
    if "reap" in ask:
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(ask["reap"], 0)[1])).encode())
        continue
    if ask["script"] not in scripts:
        scripts[ask["script"]] = compile(ask["script"], "<victim>", "exec")
    child = os.fork()
    if child == 0:
        channel.close()
        os.dup2(out[0], 1)
        os.close(out[0])
        sys.argv[1:] = ask["arguments"]
        exec(scripts[ask["script"]], {"__name__": "__main__"})
        os._exit(0)
    os.close(out[0])
    channel.send(str(child).encode())
"""


def share(of: str) -> int:
    """How many processes this test kills; at least two."""
    return max(2, KILLS * SHARES[of] // 100)


class Victim:
    """A process at work."""

    def __init__(self, nursery: Nursery, pid: int, out: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._out = os.fdopen(out, "rb")
        self._told: list[list[Any]] = []

    def line(self) -> str:
        return self._out.readline().decode()

    def until(self, what: str) -> None:
        """Waits for such a line."""
        while not self._told or self._told[-1][0] != what:
            self._told.append(json.loads(self.line()))

    def kill(self) -> list[list[Any]]:
        """SIGKILL; what it was told is kept, before it died. A line that was cut short was not told."""
        os.kill(self.pid, signal.SIGKILL)
        ended = self._nursery.ask({"reap": self.pid})
        assert ended == -signal.SIGKILL, f"it had ended by itself: {ended}"
        self._nursery.killed += 1
        with self._out as out:
            lines = out.read().splitlines(keepends=True)
        return self._told + [json.loads(line) for line in lines if line.endswith(b"\n")]


class KilledRelay:
    """A relay that dies and comes again, its own process each time. `url` changes when it is started on port 0."""

    LOADS = "import json, sys; from pathlib import Path; from sync.relay.serve import serve"
    SCRIPT = f"{LOADS}; serve(Path(sys.argv[1]), int(sys.argv[2]))"

    def __init__(self, nursery: Nursery, db: Path) -> None:
        self.db = db
        self.url = ""
        self._nursery = nursery
        self._victim: Victim | None = None
        self._clients: list[RelayClient] = []

    def start(self, port: int = 0) -> KilledRelay:
        self._victim = self._nursery.victim(self.SCRIPT, self.db, port, ready=False)
        self.url = self._victim.line().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.url
        return self

    def again(self) -> None:
        """At the same address, when it died."""
        if self._victim is None:
            self.start(int(self.url.rpartition(":")[2]))

    def client(self, **options: object) -> RelayClient:
        self._clients.append(RelayClient(self.url, **options))  # type: ignore[arg-type]
        return self._clients[-1]

    def kill(self) -> None:
        assert self._victim is not None
        victim, self._victim = self._victim, None
        victim.kill()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self._victim is not None:
            self.kill()


class Nursery:
    """Gives victims. `loads` is what they all import. `killed` counts those that died as they had to."""

    def __init__(self, loads: str) -> None:
        self.killed = 0
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", _NURSERY, str(theirs.fileno()), loads]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environment)
        assert self._channel.recv(16) == b"ready"

    def victim(self, script: str, *arguments: object, ready: bool = True) -> Victim:
        read, write = os.pipe()
        try:
            pid = self.ask({"script": script, "arguments": [str(one) for one in arguments]}, write)
        finally:
            os.close(write)
        victim = Victim(self, pid, read)
        if ready:
            victim.until("ready")
        return victim

    def ask(self, question: dict[str, object], *descriptors: int) -> int:
        socket.send_fds(self._channel, [json.dumps(question).encode()], descriptors)
        return int(self._channel.recv(32))

    def close(self) -> None:
        self._channel.close()
        self._process.wait()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
