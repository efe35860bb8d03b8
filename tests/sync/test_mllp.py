"""HL7 over MLLP: what is answered to whom, and what a slow, huge or hostile peer can do. Real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync import mllp
from sync.acknowledge import CODES, Answering, acknowledge, content_of, read_header
from sync.mllp import END, START, Listener
from tests.establishment import LEA, PAUL, Somebody, card_of, oru, pid, roster_of
from vault import Vault
from vault import feed as feeds
from vault.errors import StorageFailed
from vault.feed import Feed, Journal
from vault.store.outbox import OutboxStore


@pytest.fixture
def feed(professional: Vault, tmp_path: Path) -> Iterator[Feed]:
    roster = roster_of(professional, tmp_path / "roster", (LEA, card_of(LEA)), (PAUL, card_of(PAUL)))
    with Feed(professional, roster, limited=False) as feed:
        yield feed


@pytest.fixture
def say(feed: Feed) -> Iterator[Callable[[bytes], dict[str, list[bytes]]]]:
    """Sends one message to a real listener; the segments of its answer."""
    with Listener("127.0.0.1", 0, Answering(feed).answer) as listener:

        def ask(message: bytes) -> dict[str, list[bytes]]:
            with socket.create_connection(("127.0.0.1", listener.port), 5) as peer:
                peer.sendall(START + message + END)
                return segments(receive(peer))

        yield ask


def receive(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(END):
        piece = peer.recv(65536)
        if not piece:
            raise EOFError
        data += piece
    assert data.startswith(START)
    return data[1:-2]


def segments(answer: bytes) -> dict[str, list[bytes]]:
    assert answer.endswith(b"\r")
    found = {line[:3].decode(): line.split(line[3:4]) for line in answer.split(b"\r")[:-1]}
    assert next(iter(found)) == "MSH" and found["MSH"][8].startswith(b"ACK")
    return found


def queued(vault: Vault) -> int:
    return OutboxStore(vault.store).queued()


def test_aa_after_the_deposit_is_on_disk(
    say: Callable[[bytes], dict[str, list[bytes]]], professional: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(professional.store, "after_commit", lambda: order.append("commit"))
    real = acknowledge
    monkeypatch.setattr("sync.acknowledge.acknowledge", lambda *a: order.append(f"say {a[1]}") or real(*a))
    answer = say(oru(LEA, "C-1"))
    assert answer["MSA"] == [b"MSA", b"AA", b"C-1"] and "ERR" not in answer
    assert answer["MSH"][2:6] == [b"ELPIS", b"PATIENT", b"SIL", b"LABO"]
    assert answer["MSH"][8] == b"ACK^R01^ACK" and answer["MSH"][10:12] == [b"P", b"2.5"]
    assert order[-1] == "say " and "commit" in order and queued(professional) == 1


def test_a_repeat_is_acknowledged_and_not_laid_down_again(
    say: Callable[[bytes], dict[str, list[bytes]]], professional: Vault
) -> None:
    for message in (oru(LEA, "1"), oru(LEA, "1"), oru(LEA, "1", time="20260102080000"), oru(LEA, "1") + b"\r"):
        assert say(message)["MSA"][1] == b"AA"
    assert queued(professional) == 1
    assert say(oru(LEA, "1", "9.9"))["MSA"][1] == b"AA"  # the same number over another content: both are kept
    assert say(oru(LEA, "2"))["MSA"][1] == b"AA"
    assert say(oru(PAUL, "1"))["MSA"][1] == b"AA"
    assert queued(professional) == 4


STRANGER = Somebody("Roux", "Zoé", "1990-01-01", "290017512345678")
GOOD = oru(LEA, "C-1")


@pytest.mark.parametrize(
    ("message", "code", "condition", "why"),
    [
        (oru(STRANGER, "C-1"), b"AE", b"204", b"nobody"),
        (GOOD.replace(b"19800203", b"19800204"), b"AE", b"204", b"mismatch"),
        (oru(LEA, "C-1", person="PID|||1^^^X||^"), b"AE", b"101", b"no-name"),
        (oru(LEA, "C-1", person="PID|||||Martin^Lea"), b"AE", b"101", b"no-number"),
        (oru(LEA, "C-1", body=pid(PAUL)), b"AE", b"207", b"two-people"),
        (GOOD.partition(b"\r")[0] + b"\r", b"AE", b"207", b"unreadable"),
        (GOOD.replace(b"|C-1|", b"||"), b"AE", b"101", b"no-control-id"),
        (GOOD.replace(b"ORU^R01^ORU_R01", b"ADT^A01"), b"AR", b"200", b"type"),
        (GOOD.replace(b"ORU^R01^ORU_R01", b""), b"AR", b"200", b"type"),
        (GOOD.replace(b"ORU^R01^ORU_R01", b"MDM^T01^MDM_T01"), b"AR", b"201", b"event"),
        (GOOD.replace(b"|P|2.5|", b"|T|2.5|"), b"AR", b"202", b"processing"),
        (GOOD.replace(b"|P|2.5|", b"|P|3.0|"), b"AR", b"203", b"version"),
        (b"", b"AR", b"100", b"no-header"),
        (b"\x00" * 100, b"AR", b"100", b"no-header"),
        (b"MSH|", b"AR", b"100", b"no-header"),
        (b"MSHAAAAAAA", b"AR", b"100", b"no-header"),
        (b"MSH|^^^^|A", b"AR", b"100", b"no-header"),
    ],
)
def test_what_is_not_taken_is_said_with_its_reason(
    say: Callable[[bytes], dict[str, list[bytes]]],
    professional: Vault,
    message: bytes,
    code: bytes,
    condition: bytes,
    why: bytes,
) -> None:
    answer = say(message)
    assert (answer["MSA"][1], answer["ERR"][3].split(b"^")[0], answer["ERR"][7]) == (code, condition, why)
    assert answer["MSA"][2] == (b"C-1" if b"|C-1|" in message else b"")
    assert queued(professional) == 0
    joined = b"|".join(field for line in answer.values() for field in line)
    assert not [word for word in (b"Martin", b"Roux", b"Petit", LEA.ins.encode(), b"1980") if word in joined]


def test_no_room_now_is_said_as_such(
    say: Callable[[bytes], dict[str, list[bytes]]], professional: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageFailed("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(type(professional.feeding), "deposit", full)
        answer = say(GOOD)
        assert (answer["MSA"][1], answer["ERR"][7]) == (b"AR", b"later")
    with monkeypatch.context() as broken:
        broken.setattr(feeds, "ROOM", feeds.MAX_QUEUED)
        assert say(GOOD)["ERR"][7] == b"later"
    assert queued(professional) == 0 and Journal(professional).rejected() == ()
    assert say(GOOD)["MSA"][1] == b"AA"


def test_a_rejected_message_may_come_again(
    say: Callable[[bytes], dict[str, list[bytes]]], feed: Feed, professional: Vault, tmp_path: Path
) -> None:
    assert say(oru(STRANGER, "1"))["MSA"][1] == b"AE"
    roster_of(professional, tmp_path / "roster", (STRANGER, card_of(STRANGER)))
    feed.refresh()
    assert say(oru(STRANGER, "1"))["MSA"][1] == b"AA"


def test_what_a_message_is_known_by() -> None:
    def content(message: bytes) -> bytes:
        header = read_header(message)
        assert header is not None
        return content_of(header)

    assert content(GOOD) == content(oru(LEA, "C-1", time="20270101000000")) == content(GOOD.replace(b"\r", b"\r\n"))
    others = (oru(LEA, "C-2"), oru(LEA, "C-1", "9"), oru(PAUL, "C-1"), GOOD.replace(b"|LABO|ELPIS", b"|OTHER|ELPIS"))
    assert len({content(message) for message in (GOOD, *others)}) == 5


def test_every_reason_has_its_code_and_its_page() -> None:
    page = Path("spec/feeding.md").read_text(encoding="utf-8")
    assert not [why for why in CODES if f"`{why}`" not in page]


def test_the_senders_own_separators(say: Callable[[bytes], dict[str, list[bytes]]]) -> None:
    message = GOOD.replace(b"|", b"#").replace(b"^~\\&", b"!*/+").replace(b"^", b"!").replace(b"&", b"+")
    answer = say(message)
    assert answer["MSA"] == [b"MSA", b"AA", b"C-1"] and answer["MSH"][1] == b"!*/+"


def test_a_header_from_outside_says_nothing_else() -> None:
    """Control characters, escapes and long values of a header do not come back, its control id aside."""
    header = read_header(
        b"MSH|^~\\&|\x1b[31mA|" + b"B" * 500 + b"|C\xff|D|x||ORU^R\x0801|" + b"9" * 500 + b"|P|2.5\rPID\r"
    )
    assert header is not None
    answer = acknowledge(header, "", 0)
    assert len(answer) < 800 and not set(answer) - set(range(32, 127)) - {13}
    assert b"|AA|" + b"9" * 199 + b"\r" in answer


# Framing and bounds


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], socket.socket]]:
    """A listener that answers with the length; opens connections to it."""
    peers: list[socket.socket] = []
    with Listener("127.0.0.1", 0, lambda message: str(len(message)).encode()) as listener:

        def connect() -> socket.socket:
            peers.append(socket.create_connection(("127.0.0.1", listener.port), 10))
            return peers[-1]

        yield connect
        for peer in peers:
            peer.close()


def ended(peer: socket.socket) -> bool:
    """Whether the listener has ended this connection."""
    peer.settimeout(10)
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True


def test_many_messages_on_one_connection_in_order(echo: Callable[[], socket.socket]) -> None:
    peer = echo()
    peer.sendall(b"noise" + b"".join(START + b"x" * size + END + b"\r\n" for size in range(1, 50)))
    assert [receive_one(peer) for _ in range(49)] == [str(size).encode() for size in range(1, 50)]


def receive_one(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(END):
        piece = peer.recv(1)
        if not piece:
            raise EOFError
        data += piece
    return data[1:-2]


def test_every_way_of_cutting_a_frame_into_pieces(echo: Callable[[], socket.socket]) -> None:
    frame = START + b"ab\x1ccd\x0be\x1c" + END
    peer = echo()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for cut in range(1, len(frame)):
        peer.sendall(frame[:cut])
        time.sleep(0.01)
        peer.sendall(frame[cut:])
        assert receive_one(peer) == b"8"


def test_a_large_message_fits_and_a_larger_one_ends_the_connection(
    echo: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp, "MESSAGE_BYTES", 1 << 20)
    peer = echo()
    peer.sendall(START + b"x" * (1 << 20) + END)
    assert receive_one(peer) == b"1048576"
    with pytest.raises(OSError):
        for _ in range(100):
            peer.sendall((START if not _ else b"") + b"x" * (1 << 20))
        raise ConnectionError if ended(peer) else AssertionError


def test_all_messages_together_have_a_bound_and_give_it_back(
    echo: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp, "ALL_BYTES", 1 << 20)
    for _ in range(4):
        first, second = echo(), echo()
        first.sendall(START + b"x" * 700_000)
        time.sleep(0.2)
        with pytest.raises(OSError):
            second.sendall(START + b"x" * 700_000)
            raise ConnectionError if ended(second) else AssertionError
        first.sendall(END)
        assert receive_one(first) == b"700000"
        first.sendall(START + b"x" * 500_000)
        first.close()  # in the middle of a message: what it held is free again


def test_noise_slowness_and_silence_end_a_connection(
    echo: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp, "MESSAGE_SECONDS", 0.3)
    monkeypatch.setattr(mllp, "SILENCE_SECONDS", 0.3)
    noisy, slow, silent = echo(), echo(), echo()
    noisy.sendall(b"GET / HTTP/1.1\r\n" * 300)
    slow.sendall(START + b"MSH|")
    started = time.monotonic()
    assert ended(noisy) and ended(slow) and ended(silent)
    assert time.monotonic() - started < 5


def test_a_trickle_does_not_go_on_for_ever(echo: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "MESSAGE_SECONDS", 0.5)
    peer = echo()
    peer.sendall(START)
    with pytest.raises(OSError):
        for _ in range(200):
            peer.sendall(b"x")
            time.sleep(0.02)


def test_a_peer_that_reads_no_answer_holds_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "ANSWER_SECONDS", 0.3)
    with (
        Listener("127.0.0.1", 0, lambda message: b"y" * (8 << 20)) as listener,
        socket.create_connection(("127.0.0.1", listener.port)) as peer,
    ):
        peer.sendall(START + b"x" + END)
        for held in (True, False):
            deadline = time.monotonic() + 5
            while bool(listener._connections) is not held:
                assert time.monotonic() < deadline
                time.sleep(0.02)


def test_one_more_connection_than_allowed(echo: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "CONNECTIONS", 3)
    peers = [echo() for _ in range(3)]
    for peer in peers:
        peer.sendall(START + b"x" + END)
        assert receive_one(peer) == b"1"
    assert ended(echo())
    peers[0].close()
    time.sleep(0.2)
    peer = echo()
    peer.sendall(START + b"x" + END)
    assert receive_one(peer) == b"1"


def test_stopping_decides_to_the_end(feed: Feed, professional: Vault) -> None:
    """A listener that is told to stop while a message is being decided: decided, not acknowledged, and sent again."""
    started, go = threading.Event(), threading.Event()

    def slowly(message: bytes) -> bytes:
        started.set()
        go.wait(5)
        return Answering(feed).answer(message)

    with Listener("127.0.0.1", 0, slowly) as listener:
        peer = socket.create_connection(("127.0.0.1", listener.port))
        peer.sendall(START + GOOD + END)
        assert started.wait(5)
        threading.Timer(0.2, go.set).start()
    assert ended(peer) and queued(professional) == 1
    peer.close()
    assert b"|AA|" in Answering(feed).answer(GOOD) and queued(professional) == 1


def test_an_address_that_is_taken(echo: Callable[[], socket.socket]) -> None:
    port = echo().getpeername()[1]
    with pytest.raises(StorageFailed), Listener("127.0.0.1", port, lambda message: b""):
        pass
