"""A real relay: its own process, real HTTP on a free port, its database and log in a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.client import RelayClient

ROOT = Path(__file__).parents[2]


@dataclass
class RunningRelay:
    """`url` changes when it is started again on port 0."""

    db: Path
    log: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None
    clients: list[RelayClient] = field(default_factory=list)

    def start(self, *, limit: Callable[[], None] | None = None, port: int = 0) -> RunningRelay:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sync.relay", "--db", str(self.db), "--port", str(port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                preexec_fn=limit,
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.log.read_text()
        return self

    def client(self, **options: object) -> RelayClient:
        client = RelayClient(self.url, **options)  # type: ignore[arg-type]
        self.clients.append(client)
        return client

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.terminate()
        try:
            code = process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        return code

    def again(self) -> None:
        """At the same address, after it died."""
        if self.process is None:
            self.start(port=int(self.url.rpartition(":")[2]))

    def kill(self) -> None:
        """As a power cut for this process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RunningRelay]:
    running = RunningRelay(tmp_path / "relay.db", tmp_path / "relay.log").start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def idle_relay(tmp_path: Path) -> Iterator[RunningRelay]:
    """Not started yet."""
    running = RunningRelay(tmp_path / "relay.db", tmp_path / "relay.log")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def shared_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRelay]:
    """One for a whole module, for tests that only send to it."""
    folder = tmp_path_factory.mktemp("relay")
    running = RunningRelay(folder / "relay.db", folder / "relay.log").start()
    try:
        yield running
    finally:
        running.stop()
