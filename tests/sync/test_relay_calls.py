"""Every call of spec/relay.md over real HTTP: what it answers, and when it says no."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from sync import wire
from sync.client import RelayClient, RelayRefused, Seen, Token, Watch, follow
from tests.sync.conftest import RunningRelay
from vault.primitives import BoxKey, SigningKey


@pytest.fixture
def client(shared_relay: RunningRelay) -> RelayClient:
    return shared_relay.client()


class Box:
    """A mailbox with one token of each right."""

    def __init__(self, client: RelayClient, **until: int) -> None:
        self.address, self.owner, self.append, self.read = (os.urandom(32) for _ in range(4))
        tokens = [Token(self.append, "append", until.get("append")), Token(self.read, "read", until.get("read"))]
        client.create_mailbox(self.address, self.owner, tokens)


def refusal(call: object, *arguments: object, **named: object) -> tuple[int, str]:
    with pytest.raises(RelayRefused) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value.status, caught.value.reason


def test_about(client: RelayClient) -> None:
    info = client.about()
    assert info.suite == 1
    assert info.limits == wire.limits()
    assert abs(info.time - time.time()) < 5


def test_mailbox_carries_messages_in_order(client: RelayClient) -> None:
    box = Box(client)
    bodies = [os.urandom(50 + number) for number in range(7)]
    for number, body in enumerate(bodies, 1):
        done = client.append(box.address, box.append, body)
        assert (done.index, done.checkpoint.count, done.repeated) == (number, number, False)
    messages, checkpoint = client.messages(box.address, box.read)
    assert [message.body for message in messages] == bodies
    assert follow(Seen(), messages, checkpoint) == Seen(7, checkpoint.chain)
    assert checkpoint.chain == done.checkpoint.chain


def test_pages_follow_each_other(client: RelayClient) -> None:
    box, seen = Box(client), Seen()
    for _ in range(5):
        client.append(box.address, box.append, os.urandom(20))
    while seen.count < 5:
        messages, checkpoint = client.messages(box.address, box.read, seen.count, 2)
        assert len(messages) <= 2
        seen = follow(seen, messages, checkpoint)
    assert client.messages(box.address, box.read, 5)[0] == []


def test_page_of_large_messages_is_limited_but_never_empty(client: RelayClient) -> None:
    box = Box(client)
    for _ in range(5):
        client.append(box.address, box.append, os.urandom(wire.MESSAGE_BYTES))
    messages, checkpoint = client.messages(box.address, box.read)
    assert len(messages) == 4
    assert checkpoint.count == 5
    assert len(client.messages(box.address, box.read, 4)[0]) == 1


def test_the_same_bytes_again_keep_their_index(client: RelayClient) -> None:
    box = Box(client)
    first, second = (client.append(box.address, box.append, body) for body in (b"one", b"two"))
    again = client.append(box.address, box.append, b"one")
    assert (again.index, again.repeated) == (first.index, True)
    assert again.checkpoint.count == second.index
    assert len(client.messages(box.address, box.read)[0]) == 2


def test_rights_are_separate(client: RelayClient) -> None:
    box, other = Box(client), Box(client)
    client.append(box.address, box.append, b"x")
    client.append(box.address, box.owner, b"y")
    assert refusal(client.append, box.address, box.read, b"x") == (403, "token")
    assert refusal(client.append, box.address, other.append, b"x") == (403, "token")
    assert refusal(client.messages, box.address, box.append) == (403, "token")
    assert refusal(client.trim, box.address, box.read, 1) == (403, "token")
    assert refusal(client.close_mailbox, box.address, box.append) == (403, "token")
    assert refusal(client.change_tokens, box.address, box.append) == (403, "token")
    assert refusal(client.messages, os.urandom(32), box.read) == (404, "unknown")
    assert len(client.messages(box.address, box.owner)[0]) == 2


def test_token_has_an_end(client: RelayClient) -> None:
    box = Box(client, read=int(time.time()) + 1)
    client.messages(box.address, box.read)
    time.sleep(1.2)
    assert refusal(client.messages, box.address, box.read) == (403, "token")


def test_tokens_change(client: RelayClient) -> None:
    box, fresh = Box(client), os.urandom(32)
    client.change_tokens(box.address, box.owner, add=[Token(fresh, "append")], remove=[box.append])
    client.append(box.address, fresh, b"x")
    assert refusal(client.append, box.address, box.append, b"y") == (403, "token")
    many = [Token(os.urandom(32), "read") for _ in range(wire.MAILBOX_TOKENS - 1)]
    assert refusal(client.change_tokens, box.address, box.owner, add=many) == (413, "full")
    client.change_tokens(box.address, box.owner, add=many[:-1])
    assert refusal(client.change_tokens, box.address, box.owner, add=[Token(os.urandom(32), "read")])[0] == 413


def test_mailbox_belongs_to_its_first_owner(client: RelayClient) -> None:
    box = Box(client)
    client.create_mailbox(box.address, box.owner)
    assert refusal(client.create_mailbox, box.address, os.urandom(32)) == (409, "exists")


def test_trim_frees_bytes_and_keeps_the_chain(client: RelayClient) -> None:
    box = Box(client)
    for body in (b"one", b"two", b"three"):
        client.append(box.address, box.append, body)
    client.trim(box.address, box.owner, 2)
    client.trim(box.address, box.owner, 1)
    messages, checkpoint = client.messages(box.address, box.read)
    assert [message.freed for message in messages] == [True, True, False]
    assert follow(Seen(), messages, checkpoint).count == 3
    assert client.append(box.address, box.append, b"one").repeated


def test_closed_mailbox(client: RelayClient) -> None:
    box = Box(client)
    client.append(box.address, box.append, b"one")
    receipt = client.close_mailbox(box.address, box.owner)
    assert refusal(client.append, box.address, box.append, b"two") == (410, "closed")
    assert refusal(client.messages, box.address, box.read) == (410, "closed")
    assert [message.body for message in client.messages(box.address, box.owner)[0]] == [b"one"]
    assert client.close_mailbox(box.address, box.owner, purge=True) == receipt
    assert [message.freed for message in client.messages(box.address, box.owner)[0]] == [True]


def test_blob_there_and_back(client: RelayClient, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(wire.BLOB_CHUNK + 12_345))
    address, owner, token = (os.urandom(32) for _ in range(3))
    seen: list[tuple[int, int]] = []
    client.put_blob(address, owner, [Token(token, "read")], source, lambda *at: seen.append(at))
    assert seen[-1] == (source.stat().st_size,) * 2
    client.get_blob(address, token, target)
    assert target.read_bytes() == source.read_bytes()
    client.put_blob(address, owner, [Token(token, "read")], source)  # nothing is left to send
    client.get_blob(address, token, target)  # nothing is left to fetch
    assert target.read_bytes() == source.read_bytes()
    assert refusal(client.get_blob, address, os.urandom(32), tmp_path / "x") == (403, "token")
    assert refusal(client.drop_blob, address, token) == (403, "token")
    client.drop_blob(address, owner)
    assert refusal(client.get_blob, address, token, tmp_path / "x") == (404, "unknown")


def test_blob_goes_on_where_it_stopped(client: RelayClient, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(300_000))
    address, owner, token = (os.urandom(32) for _ in range(3))
    part = tmp_path / "part"
    part.write_bytes(source.read_bytes()[:100_000])
    body = {"owner": wire.encode_b64(wire.hash_token(owner)), "tokens": [], "size": 300_000}
    path = f"/blobs/{wire.encode_b64(address)}"
    client._call("PUT", path, json=body)
    client._call("PATCH", path, owner, body=part.read_bytes(), headers={wire.OFFSET_HEADER: "0"})
    assert refusal(client.get_blob, address, owner, target) == (409, "incomplete")
    client.put_blob(address, owner, [], source)
    client.change_tokens(address, owner, add=[Token(token, "read")], room="blobs")
    target.write_bytes(source.read_bytes()[:250_000])
    client.get_blob(address, token, target)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", b"0123456789"),
        ("bytes=95-", b"56789"),
        ("bytes=-3", b"789"),
        ("bytes=90-500", b"0123456789"),
        ("bytes=100-", 416),
        ("bytes=5-4", 416),
        ("bytes=-0", 416),
        ("bytes=-", 400),
        ("bytes=0-1,3-4", 400),
        ("lines=0-1", 400),
    ],
)
def test_ranges(client: RelayClient, tmp_path: Path, header: str, expected: bytes | int) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"0123456789" * 10)
    address, owner = os.urandom(32), os.urandom(32)
    client.put_blob(address, owner, [], source)
    path = f"/blobs/{wire.encode_b64(address)}"
    if isinstance(expected, int):
        assert refusal(client._call, "GET", path, owner, headers={"Range": header})[0] == expected
    else:
        answer = client._call("GET", path, owner, headers={"Range": header})
        assert (answer.status, answer.body) == (206, expected)


def test_upload_at_another_offset_is_refused(client: RelayClient) -> None:
    address, owner = os.urandom(32), os.urandom(32)
    path = f"/blobs/{wire.encode_b64(address)}"
    body = {"owner": wire.encode_b64(wire.hash_token(owner)), "tokens": [], "size": 10}
    client._call("PUT", path, json=body)
    assert refusal(client._call, "PATCH", path, owner, body=b"x", headers={wire.OFFSET_HEADER: "5"}) == (409, "offset")
    assert refusal(client._call, "PATCH", path, owner, body=b"x") == (400, "malformed")
    assert refusal(client._call, "PATCH", path, owner, body=b"x" * 11, headers={wire.OFFSET_HEADER: "0"})[0] == 413
    assert refusal(client._call, "PUT", path, json={**body, "size": 11}) == (409, "exists")


def test_wait_ends_within_fifty_milliseconds_of_an_append(client: RelayClient, shared_relay: RunningRelay) -> None:
    box, writer = Box(client), shared_relay.client()
    writer.about()
    appended: list[float] = []

    def write() -> None:
        time.sleep(0.3)
        writer.append(box.address, box.append, b"news")
        appended.append(time.monotonic())

    thread = threading.Thread(target=write)
    thread.start()
    changed = client.wait([Watch("mailbox", box.address, box.read, 0)], 10)
    woken = time.monotonic()
    thread.join()
    assert [(item.kind, item.address, item.count) for item in changed] == [("mailbox", box.address, 1)]
    assert woken - appended[0] < 0.05


def test_wait_answers_at_once_when_there_is_more(client: RelayClient) -> None:
    box = Box(client)
    client.append(box.address, box.append, b"x")
    began = time.monotonic()
    assert client.wait([Watch("mailbox", box.address, box.read, 0)], 10)[0].count == 1
    assert time.monotonic() - began < 1
    assert client.wait([Watch("mailbox", box.address, box.read, 1)], 0) == []
    assert refusal(client.wait, [Watch("mailbox", box.address, box.append, 0)], 1) == (403, "token")
    assert refusal(client.wait, [Watch("mailbox", box.address, box.read, 0)] * 257, 1)[0] in (400, 413)


def test_wait_sees_an_opening(client: RelayClient, shared_relay: RunningRelay) -> None:
    grant, owner, reader = os.urandom(32), os.urandom(32), SigningKey.make()
    now = int(time.time())
    client.put_half(grant, owner, os.urandom(32), reader.public, not_before=now - 1, until=now + 60)
    request = wire.Opening.encode(grant, 1, BoxKey.make().public, [os.urandom(16)], b"why", reader.sign)
    timer = threading.Timer(0.2, lambda: shared_relay.client().open(grant, request))
    timer.start()
    changed = client.wait([Watch("trace", grant, owner, 0)], 10)
    timer.join()
    assert [(item.kind, item.count) for item in changed] == [("trace", 1)]


def test_stopping_ends_long_polls_at_once(relay: RunningRelay) -> None:
    client = relay.client()
    box = Box(client)
    results: list[object] = []
    watch = Watch("mailbox", box.address, box.read, 0)
    thread = threading.Thread(target=lambda: results.append(client.wait([watch], 30)))
    thread.start()
    time.sleep(0.5)
    assert relay.process is not None
    began = time.monotonic()
    relay.process.terminate()
    assert relay.process.wait(10) == 0
    assert time.monotonic() - began < 2
    thread.join(5)
    assert results == [[]]


def test_restart_keeps_everything(relay: RunningRelay) -> None:
    client = relay.client()
    box, key = Box(client), client.verify_key
    client.append(box.address, box.append, b"one")
    seen = follow(Seen(), *client.messages(box.address, box.read))
    relay.stop()
    relay.start()
    again = relay.client(verify_key=key)
    assert again.append(box.address, box.append, b"two").index == 2
    assert follow(seen, *again.messages(box.address, box.read, 1)).count == 2


def test_rate_of_one_address_is_limited(client: RelayClient) -> None:
    grant, reader = os.urandom(32), SigningKey.make()
    now = int(time.time())
    client.put_half(grant, os.urandom(32), os.urandom(32), reader.public, not_before=now, until=now + 60)
    request = wire.Opening.encode(grant, 1, BoxKey.make().public, [os.urandom(16)], b"", SigningKey.make().sign)
    path = f"/halves/{wire.encode_b64(grant)}/openings"
    statuses = set()
    for _ in range(wire.GRANT_BURST + 100):
        call = client._client("main").build_request("POST", client.url + "/v1" + path, content=request)
        answer = client._send("main", call, client.timeout)
        statuses.add(answer.status)
        if answer.status == 429:
            assert answer.headers["retry-after"] == "1"
            break
    assert statuses == {403, 429}
