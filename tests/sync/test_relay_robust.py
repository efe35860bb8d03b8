"""Whatever arrives, the relay answers with a number from 400 to 499, goes on, and never keeps half of anything."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync import wire
from sync.client import RelayClient, RelayRefused, Token
from sync.relay.app import CALLS, Relay
from sync.relay.log import Log
from tests.sync.conftest import ROOT, RunningRelay

ADDRESS = wire.encode_b64(bytes(range(32)))
PATHS = sorted({path for _, path, _ in CALLS})
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def raw(url: str, data: bytes, *, patience: float = 5) -> bytes:
    """Sends bytes as they are; the answer, until the relay closes or has nothing more to say."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=patience) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
                if b"\r\n\r\n" in answer and b"connection: close" not in answer.lower():
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.just(ADDRESS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["owner", "tokens", "add", "remove", "size", "half", "reader", "watch", "seconds", "kind"])
            | st.text(max_size=10),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A running application without HTTP: ten thousand malformed requests a minute instead of a thousand."""
    loop = asyncio.new_event_loop()
    relay = Relay(tmp_path_factory.mktemp("app") / "relay.db", Log(io.StringIO()))
    context = relay.lifespan()
    loop.run_until_complete(context.__aenter__())
    yield loop, relay
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS) | st.text(max_size=60).map(lambda text: "/" + text),
    address=st.just(ADDRESS) | st.text(max_size=50),
    query=st.binary(max_size=60) | st.sampled_from([b"after=1", b"after=-1", b"limit=0", b"upto=99999999999999999999"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"content-length", b"range", b"upload-offset", b"x"]),
            st.binary(max_size=60),
        ),
        max_size=5,
    ),
    authorized=st.booleans(),
    body=st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_malformed_requests_are_the_clients_fault(application, method, path, address, query, headers, authorized, body):  # type: ignore[no-untyped-def]
    loop, relay = application
    full = path.replace("{addr}", address)
    sent: list[dict[str, object]] = []
    if authorized:
        headers = [*headers, (b"authorization", b"Bearer " + ADDRESS.encode())]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": full,
        "raw_path": full.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "headers": headers,
        "root_path": "",
    }
    loop.run_until_complete(asyncio.wait_for(relay(scope, receive, send), 5))
    assert sent[0]["status"] < 500, (method, full)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.binary(max_size=80),
    headers=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=6),
    body=st.binary(max_size=200),
)
def test_malformed_bytes_on_the_wire(shared_relay: RunningRelay, line, headers, body) -> None:  # type: ignore[no-untyped-def]
    head = b"\r\n".join([b"POST /" + line + b" HTTP/1.1", *(name + b": " + value for name, value in headers)])
    answer = raw(shared_relay.url, head + b"\r\nConnection: close\r\n\r\n" + body, patience=0.3)
    assert status(answer) < 500
    assert shared_relay.process is not None
    assert shared_relay.process.poll() is None


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET /v1/" + b"x" * 2_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /v1/relay HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 16_400 + b"\r\n\r\n", 431),
        (b"GET /v1/relay HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 70 + b"\r\n", 431),
        (b"PUT /v1/mailboxes/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" % ADDRESS.encode(), 413),
        (b"PUT /v1/relay HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (b"BREW /v1/relay HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://other.example/v1/relay HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /v1/relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 200),
    ],
)
def test_limits_on_the_wire(shared_relay: RunningRelay, request_bytes: bytes, expected: int) -> None:
    assert status(raw(shared_relay.url, request_bytes)) == expected


def test_endless_head_is_cut_off(shared_relay: RunningRelay) -> None:
    address = urlsplit(shared_relay.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(b"GET /v1/relay HTTP/1.1\r\nHost: x\r\nA: ")
        sent = 0
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while sent < 4 << 20:
                connection.sendall(b"x" * 8_192)
                sent += 8_192
                time.sleep(0.001)


def test_body_over_its_limit_is_refused_before_it_is_whole(shared_relay: RunningRelay) -> None:
    head = f"POST /v1/mailboxes/{ADDRESS}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADDRESS}\r\n".encode()
    assert status(raw(shared_relay.url, head + b"Content-Length: 1048577\r\n\r\n")) == 413
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    assert status(raw(shared_relay.url, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)) == 413


def test_message_at_the_limit_and_over(shared_relay: RunningRelay) -> None:
    client, address, owner = shared_relay.client(), os.urandom(32), os.urandom(32)
    client.create_mailbox(address, owner)
    assert client.append(address, owner, bytes(wire.MESSAGE_BYTES)).index == 1
    for body, expected in ((bytes(wire.MESSAGE_BYTES + 1), 413), (b"", 400)):
        with pytest.raises(RelayRefused) as refused:
            client.append(address, owner, body)
        assert refused.value.status == expected


def test_slow_requests_are_cut_off(tmp_path: Path) -> None:
    """A head or body that does not come, with a deadline that a test can wait for."""
    script = "import sys; from pathlib import Path; from sync.relay import serve; serve.REQUEST_SECONDS = 1; "
    command = [sys.executable, "-c", script + "serve.serve(Path(sys.argv[1]), 0)", str(tmp_path / "relay.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().strip())
        try:
            for start in (
                b"",
                b"GET /v1/relay HTT",
                f"PUT /v1/mailboxes/{ADDRESS} HTTP/1.1\r\nContent-Length: 50\r\n\r\n{{".encode(),
            ):
                with socket.create_connection((address.hostname, address.port), timeout=8) as connection:
                    connection.sendall(start)
                    began = time.monotonic()
                    with contextlib.suppress(ConnectionResetError):
                        assert connection.recv(1_000) == b""
                    assert time.monotonic() - began < 5
        finally:
            process.terminate()


def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    """It asks for pages again and again and never reads one: its connection and its answers do not stay."""
    script = "import sys; from pathlib import Path; from sync.relay import serve; serve.REQUEST_SECONDS = 1; "
    command = [sys.executable, "-c", script + "serve.serve(Path(sys.argv[1]), 0)", str(tmp_path / "relay.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            with RelayClient(url) as client:
                client.create_mailbox(bytes(range(32)), b"o" * 32)
                for number in range(4):
                    client.append(bytes(range(32)), b"o" * 32, bytes([number]) * 1_000_000)
            token = wire.encode_b64(b"o" * 32)
            asked = f"GET /v1/mailboxes/{ADDRESS}/messages HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
            address, taken = urlsplit(url), 0
            with socket.create_connection((address.hostname, address.port), timeout=8) as connection:
                connection.sendall(asked.encode() * 10)
                time.sleep(4)
                with contextlib.suppress(ConnectionResetError, TimeoutError):
                    while chunk := connection.recv(1 << 20):
                        taken += len(chunk)
            assert taken < 40_000_000
        finally:
            process.terminate()


def full_disk() -> None:
    """Files of this process may not grow over 400 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


def test_full_disk_is_507_and_loses_nothing(idle_relay: RunningRelay) -> None:
    client = idle_relay.start(limit=full_disk).client()
    address, owner = os.urandom(32), os.urandom(32)
    client.create_mailbox(address, owner)
    acknowledged: list[bytes] = []
    with pytest.raises(RelayRefused) as refused:
        for _ in range(50):
            body = os.urandom(30_000)
            client.append(address, owner, body)
            acknowledged.append(body)
    assert (refused.value.status, refused.value.reason) == (507, "storage")
    assert [message.body for message in client.messages(address, owner)[0]] == acknowledged
    idle_relay.stop()
    again = idle_relay.start().client()  # on a disk with room
    assert [message.body for message in again.messages(address, owner)[0]] == acknowledged
    assert again.append(address, owner, b"more").index == len(acknowledged) + 1


def test_full_disk_and_blobs(idle_relay: RunningRelay, tmp_path: Path) -> None:
    client = idle_relay.start(limit=full_disk).client()
    source = tmp_path / "in"
    source.write_bytes(os.urandom(600_000))
    address, owner = os.urandom(32), os.urandom(32)
    with pytest.raises(RelayRefused) as refused:
        client.put_blob(address, owner, [Token(owner, "read")], source)
    assert refused.value.status == 507
    idle_relay.stop()
    again: RelayClient = idle_relay.start().client()
    again.put_blob(address, owner, [], source)
    again.get_blob(address, owner, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
