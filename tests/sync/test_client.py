"""The client trusts nothing: a relay that lies is caught, one that is away or talks nonsense is named as such."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sync import client as module
from sync import wire
from sync.client import RelayClient, RelayRefused, RelayUnreachable, Seen, compare, follow
from sync.wire import Checkpoint, Message
from tests.sync.conftest import RunningRelay
from vault.errors import BadSignature, Malformed, RelayContradiction, VaultError
from vault.primitives import SigningKey

ADDRESS, TOKEN = b"a" * 32, b"t" * 32
KEY = SigningKey.from_seed(bytes(32))


def history(*bodies: bytes, time: int = 5) -> tuple[list[Message], Checkpoint]:
    """What an honest relay would send and sign."""
    chain, messages = wire.START, []
    for index, body in enumerate(bodies, 1):
        messages.append(Message(index, time, body, wire.hash_body(body)))
        chain = wire.extend_chain(chain, index, time, wire.hash_body(body))
    return messages, signed(len(bodies), chain, time)


def signed(count: int, chain: bytes, at: int = 5, kind: int = wire.MAILBOX, key: SigningKey = KEY) -> Checkpoint:
    part = wire.unsigned_checkpoint(kind, ADDRESS, count, chain, at)
    return Checkpoint.decode(part + key.sign("checkpoint", part))


def reason(call: Callable[..., object], *arguments: object) -> object:
    with pytest.raises(RelayContradiction) as caught:
        call(*arguments)
    return caught.value.facts["reason"]


def test_honest_history_is_followed_page_by_page() -> None:
    messages, checkpoint = history(b"one", b"two", b"three")
    seen = follow(Seen(), messages[:2], checkpoint)
    assert seen.count == 2
    assert follow(seen, messages[2:], checkpoint) == Seen(3, checkpoint.chain)
    assert follow(Seen(3, checkpoint.chain), [], checkpoint).count == 3


def test_forked_relay_is_caught() -> None:
    messages, checkpoint = history(b"one", b"two")
    _, other = history(b"one", b"TWO")
    assert reason(follow, Seen(), messages, other) == "fork"
    seen = follow(Seen(), messages, checkpoint)
    assert reason(follow, seen, [], other) == "fork"
    assert reason(compare, seen, other) == "fork"
    compare(seen, checkpoint)
    longer, forked = history(b"one", b"TWO", b"three")
    assert reason(follow, seen, longer[2:], forked) == "fork"


def test_rolled_back_relay_is_caught() -> None:
    messages, checkpoint = history(b"one", b"two")
    _, earlier = history(b"one")
    assert reason(follow, follow(Seen(), messages, checkpoint), [], earlier) == "rollback"


def test_withheld_tail_is_caught() -> None:
    messages, checkpoint = history(b"one", b"two", b"three")
    seen = follow(Seen(), messages[:2], checkpoint)
    assert reason(follow, seen, [], checkpoint) == "withheld"


def test_left_out_doubled_and_reordered_entries_are_caught() -> None:
    messages, checkpoint = history(b"one", b"two", b"three")
    for wrong in (messages[1:], [messages[0], messages[2]], [*messages[:1], *messages], messages[::-1]):
        assert reason(follow, Seen(), wrong, checkpoint) == "gap"


def test_changed_time_is_caught() -> None:
    messages, checkpoint = history(b"one")
    later = [Message(1, 6, b"one", wire.hash_body(b"one"))]
    assert reason(follow, Seen(), later, checkpoint) == "fork"
    assert follow(Seen(), messages, checkpoint)


def test_more_than_was_signed_is_caught() -> None:
    messages, _ = history(b"one", b"two")
    _, short = history(b"one")
    assert reason(follow, Seen(), messages, short) == "unsigned"


class Lie(http.server.BaseHTTPRequestHandler):
    """Answers every call with what the test wants."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(self.path)
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_: object) -> None:
        return None


@contextmanager
def lying(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[RelayClient, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Lie,), {"answers": list(answers), "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with RelayClient(f"http://127.0.0.1:{server.server_port}", verify_key=KEY.public, timeout=2) as client:
                yield client, asked
        finally:
            server.shutdown()
            thread.join()


def page(checkpoint: Checkpoint, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    return 200, {wire.CHECKPOINT_HEADER: wire.encode_b64(checkpoint.encode())}, body


def test_checkpoint_of_another_key_kind_or_mailbox_is_refused() -> None:
    other = SigningKey.make()
    for checkpoint in (signed(0, wire.START, key=other), signed(0, wire.START, kind=wire.TRACE)):
        with lying(page(checkpoint)) as (client, _), pytest.raises(BadSignature):
            client.messages(ADDRESS, TOKEN)
    with lying(page(signed(0, wire.START))) as (client, _):
        assert client.messages(ADDRESS, TOKEN)[0] == []
        with pytest.raises(BadSignature):
            client.messages(b"b" * 32, TOKEN)


def test_another_relay_key_is_a_contradiction(relay: RunningRelay) -> None:
    client = relay.client(verify_key=SigningKey.make().public)
    assert reason(client.about) == "key"
    with pytest.raises(BadSignature):
        client.create_mailbox(ADDRESS, TOKEN)
        client.append(ADDRESS, TOKEN, b"x")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, {}, b"[]"),
        (200, {}, b'{"index":"x","checkpoint":5}'),
        (200, {}, b'{"index":1}'),
        (200, {}, b'{"index":1,"checkpoint":"AAAA"}'),
        (201, {wire.CHECKPOINT_HEADER: "!"}, b"garbage"),
    ],
)
def test_nonsense_is_malformed(answer: tuple[int, dict[str, str], bytes]) -> None:
    with lying(answer) as (client, _):
        for call in (client.append, client.messages):
            with pytest.raises(Malformed):
                call(ADDRESS, TOKEN, b"x") if call == client.append else call(ADDRESS, TOKEN)
        with pytest.raises(Malformed):
            client.destroy_half(ADDRESS, TOKEN)
        with pytest.raises(Malformed):
            client.about()


def test_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES", 1_000)
    with lying((200, {}, bytes(5_000))) as (client, _), pytest.raises(Malformed):
        client.messages(ADDRESS, TOKEN)


def test_refusal_keeps_only_a_plain_code() -> None:
    for body, expected in (
        (b'{"code":"token"}', "token"),
        (b'{"code":"\\u001b[31mred"}', "unknown"),
        (b"<html>", "unknown"),
    ):
        with lying((403, {}, body)) as (client, _), pytest.raises(RelayRefused) as caught:
            client.about()
        assert (caught.value.status, caught.value.reason) == (403, expected)
        assert isinstance(caught.value, VaultError)


def test_patience_with_a_relay_that_asks_for_it() -> None:
    busy = (429, {"Retry-After": "0"}, b'{"code":"rate"}')
    with lying(busy, busy, page(signed(0, wire.START))) as (client, asked):
        client.messages(ADDRESS, TOKEN)
        assert len(asked) == 3
    with lying((429, {}, b'{"code":"used-up"}')) as (client, asked):
        with pytest.raises(RelayRefused):
            client.open(ADDRESS, b"x")
        assert len(asked) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF", 0.001)


@pytest.mark.usefixtures("quick")
def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://", "nonsense", "ftp://127.0.0.1"):
        with RelayClient(url, timeout=1) as client, pytest.raises(RelayUnreachable):
            client.about()


class Dropper(threading.Thread):
    """Accepts, reads and hangs up."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.taken = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            with connection:
                connection.recv(65_536)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join()


@pytest.mark.usefixtures("quick")
def test_an_opening_is_never_sent_twice_by_itself() -> None:
    dropper = Dropper()
    dropper.start()
    try:
        with RelayClient(f"http://127.0.0.1:{dropper.listener.getsockname()[1]}", verify_key=KEY.public) as client:
            with pytest.raises(RelayUnreachable):
                client.open(ADDRESS, b"x")
            assert dropper.taken == 1
            with pytest.raises(RelayUnreachable):
                client.append(ADDRESS, TOKEN, b"x")
            assert dropper.taken == 1 + module.ATTEMPTS
    finally:
        dropper.stop()


def test_wrong_lengths_never_leave() -> None:
    with RelayClient("http://127.0.0.1:1", verify_key=KEY.public) as client:
        for address, token in ((b"short", TOKEN), (ADDRESS, b"short")):
            with pytest.raises(Malformed):
                client.append(address, token, b"x")


def test_closing_ends_a_long_poll(relay: RunningRelay) -> None:
    client, owner = relay.client(), os.urandom(32)
    client.create_mailbox(ADDRESS, owner)
    ended: list[object] = []

    def poll() -> None:
        try:
            ended.append(client.wait([module.Watch("mailbox", ADDRESS, owner, 0)], 25))
        except RelayUnreachable as failure:
            ended.append(failure)

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.4)
    assert client.append(ADDRESS, owner, b"x").index == 1  # another call beside the long poll
    thread.join(5)
    assert ended
    assert not thread.is_alive()


@pytest.mark.parametrize("url", ["http://[::1", "http://two..dots", "http://" + "a" * 300, "http://host:99999"])
def test_an_address_that_no_network_has_is_a_relay_that_does_not_answer(url: str, tmp_path: Path) -> None:
    """Whoever writes a card or a grant chooses it: it must not hold up what goes to others."""
    with RelayClient(url, verify_key=KEY.public, timeout=1) as client:
        with pytest.raises(RelayUnreachable):
            client.append(ADDRESS, TOKEN, b"x")
        with pytest.raises(RelayUnreachable):
            client.get_blob(ADDRESS, TOKEN, tmp_path / "file")


@pytest.mark.parametrize(
    "body", [b'{"index":Infinity}', b'{"index":1e999}', b"[" * 90_000, b'{"index":' + b"[" * 90_000]
)
@pytest.mark.parametrize("status", [201, 400])
def test_json_without_a_shape_is_malformed(status: int, body: bytes) -> None:
    with lying((status, {}, body)) as (client, _), pytest.raises((Malformed, RelayRefused)):
        client.append(ADDRESS, TOKEN, b"x")


def test_a_file_of_which_nothing_came_is_not_there_already(tmp_path: Path) -> None:
    with lying((416, {}, b"")) as (client, _), pytest.raises(RelayRefused):
        client.get_blob(ADDRESS, TOKEN, tmp_path / "file")


def test_what_a_relay_says_instead_of_a_file_has_a_limit(tmp_path: Path) -> None:
    with lying((404, {}, bytes(module.REFUSAL_BYTES + 1))) as (client, _), pytest.raises(Malformed):
        client.get_blob(ADDRESS, TOKEN, tmp_path / "file")


def test_an_answer_that_trickles_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each byte within the time of a call, the whole of it never."""

    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", "1000")
            self.send_header("Content-Range", "bytes 0-999/1000")
            self.end_headers()
            with suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        with RelayClient(f"http://127.0.0.1:{server.server_port}", verify_key=KEY.public, timeout=0.5) as client:
            began = time.monotonic()
            with pytest.raises(RelayUnreachable):
                client.messages(ADDRESS, TOKEN)
            with pytest.raises(RelayUnreachable):
                client.get_blob(ADDRESS, TOKEN, tmp_path / "file")
            took = time.monotonic() - began
        server.shutdown()
    assert took < 4
