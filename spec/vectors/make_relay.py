"""spec/relay.md: what a relay signs, how it chains, what a client makes of a page; addresses and tokens."""

from __future__ import annotations

import base64
import struct
from typing import Any

from spec.vectors.people import NOW, OTHER, RELAY_KEY
from spec.vectors.writing import Vectors, fixed, flip
from sync import wire
from vault.primitives import SigningKey

MAILBOX = fixed("relay mailbox")
BODIES = [b"first", fixed("second body", 40), b"third"]
ENTRIES = [(index, NOW + index, body) for index, body in enumerate(BODIES, start=1)]
GREATEST = 2**63 - 1


def chain_of(entries: list[tuple[int, int, bytes]], start: bytes = wire.START) -> list[bytes]:
    links = [start]
    for index, time, body in entries:
        links.append(wire.extend_chain(links[-1], index, time, wire.hash_body(body)))
    return links


LINKS = chain_of(ENTRIES)


def checkpoint(
    count: int = 3,
    chain: bytes = LINKS[3],
    *,
    kind: int = 1,
    suite: int = 1,
    time: int = NOW + 9,
    context: str = "checkpoint",
    signer: SigningKey = RELAY_KEY,
) -> bytes:
    head = struct.pack(">BB32sQ32sQ", suite, kind, MAILBOX, count, chain, time)
    return head + signer.sign(context, head)


def page(entries: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(wire.encode_frame(index, time, body, wire.hash_body(body)) for index, time, body in entries)


def make() -> list[Vectors]:
    return [_chain(), _checkpoint(), _receipt(), _page(), _history(), _token(), _address()]


def _chain() -> Vectors:
    vectors = Vectors("chain")
    told = [{"time": time, "body": body} for _, time, body in ENTRIES]
    vectors.valid("three", "three entries from the first on", {"entries": told}, {"links": LINKS[1:]})
    vectors.valid("none", "an empty mailbox", {"entries": []}, {"links": []})
    later = [told[0], told[1] | {"time": NOW + 5}, told[2]]
    links = chain_of([ENTRIES[0], (2, NOW + 5, BODIES[1]), ENTRIES[2]])
    vectors.valid(
        "other-time", "another time gives another chain from there on", {"entries": later}, {"links": links[1:]}
    )
    return vectors


def _checkpoint() -> Vectors:
    vectors = Vectors("checkpoint")
    good = checkpoint()

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "key": RELAY_KEY.public}

    told = {"kind": 1, "address": MAILBOX, "count": 3, "chain": LINKS[3], "time": NOW + 9}
    vectors.valid("mailbox", "of a mailbox", given(good), told)
    vectors.valid("trace", "of a trace", given(checkpoint(kind=2)), told | {"kind": 2})
    vectors.valid(
        "empty", "of an empty mailbox", given(checkpoint(0, bytes(32))), told | {"count": 0, "chain": bytes(32)}
    )
    for name, description, failure, data in (
        ("by-other", "signed by another relay", "bad-signature", checkpoint(signer=OTHER.sign)),
        ("other-context", "signed as a receipt", "bad-signature", checkpoint(context="receipt")),
        ("count-changed", "the count changed", "bad-signature", flip(good, 41)),
        ("chain-changed", "the chain changed", "bad-signature", flip(good, 50)),
        ("address-changed", "moved to another mailbox", "bad-signature", flip(good, 2)),
        ("time-changed", "the time changed", "bad-signature", flip(good, 81)),
        ("suite-2", "an unknown suite", "malformed", checkpoint(suite=2)),
        ("kind-3", "a kind that does not exist", "malformed", checkpoint(kind=3)),
        ("count-over", "a count over 2^63 - 1", "malformed", checkpoint(GREATEST + 1)),
        ("cut", "145 bytes", "malformed", good[:-1]),
        ("trailing", "147 bytes", "malformed", good + b"\0"),
    ):
        vectors.refused(name, description, failure, given(data))
    return vectors


def _receipt() -> Vectors:
    vectors = Vectors("receipt")

    def receipt(what: int = 2, *, suite: int = 1, context: str = "receipt", signer: SigningKey = RELAY_KEY) -> bytes:
        head = struct.pack(">BB32sQ", suite, what, MAILBOX, NOW)
        return head + signer.sign(context, head)

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "key": RELAY_KEY.public}

    for name, what in (("half-held", 1), ("half-destroyed", 2), ("mailbox-closed", 3)):
        vectors.valid(
            name, f"receipt number {what}", given(receipt(what)), {"what": what, "address": MAILBOX, "time": NOW}
        )
    for name, description, failure, data in (
        ("by-other", "signed by another relay", "bad-signature", receipt(signer=OTHER.sign)),
        ("other-context", "signed as a checkpoint", "bad-signature", receipt(context="checkpoint")),
        ("what-changed", "held turned into mailbox closed", "bad-signature", flip(receipt(1), 1, 1)),
        ("what-0", "a receipt for nothing", "malformed", receipt(0)),
        ("suite-0", "an unknown suite", "malformed", receipt(suite=0)),
        ("cut", "105 bytes", "malformed", receipt()[:-1]),
    ):
        vectors.refused(name, description, failure, given(data))
    return vectors


def _page() -> Vectors:
    vectors = Vectors("page")
    good = page(ENTRIES)
    told = [[index, time, body, wire.hash_body(body)] for index, time, body in ENTRIES]
    vectors.valid("three", "three entries", {"data": good}, {"entries": told})
    vectors.valid("none", "nothing new", {"data": b""}, {"entries": []})
    digest = wire.hash_body(BODIES[0])
    freed = wire.encode_frame(1, NOW + 1, None, digest) + page(ENTRIES[1:])
    vectors.valid(
        "freed",
        "the first entry freed: its hash stays",
        {"data": freed},
        {"entries": [[1, NOW + 1, b"", digest], *told[1:]]},
    )
    for name, description, data in (
        ("cut-head", "cut inside of an entry's head", good[:10]),
        ("cut-body", "cut inside of an entry", good[:-1]),
        ("cut-freed", "a freed entry without its whole hash", wire.encode_frame(1, NOW, None, digest)[:-1]),
        ("empty-entry", "an entry of no bytes", struct.pack(">QQI", 1, NOW, 0)),
        ("oversized", "an entry that says 1 MiB and one byte", struct.pack(">QQI", 1, NOW, (1 << 20) + 1)),
        ("index-over", "an index over 2^63 - 1", struct.pack(">QQI", GREATEST + 1, NOW, 1) + b"x"),
    ):
        vectors.refused(name, description, "malformed", {"data": data})
    return vectors


def _history() -> Vectors:
    vectors = Vectors("history")

    def given(entries: list[tuple[int, int, bytes]], signed: bytes, count: int = 0) -> dict[str, Any]:
        return {
            "data": page(entries),
            "checkpoint": signed,
            "key": RELAY_KEY.public,
            "count": count,
            "chain": LINKS[count],
        }

    whole = {"count": 3, "chain": LINKS[3]}
    vectors.valid("from-start", "everything from the first entry", given(ENTRIES, checkpoint()), whole)
    vectors.valid("from-middle", "what came after the first entry", given(ENTRIES[1:], checkpoint(), 1), whole)
    vectors.valid("nothing-new", "nothing new", given([], checkpoint(), 3), whole)
    part = {"count": 2, "chain": LINKS[2]}
    vectors.valid("first-page", "one page of two: the rest is asked for next", given(ENTRIES[:2], checkpoint()), part)
    other = [ENTRIES[0], (2, NOW + 2, b"another body"), ENTRIES[2]]
    forked = chain_of(other)[3]
    for name, description, data in (
        ("rollback", "a shorter history than was seen", given([], checkpoint(2, LINKS[2]), 3)),
        ("fork", "another body than was signed", given(other, checkpoint())),
        (
            "fork-signed",
            "signed, but another history than was seen before",
            given([ENTRIES[2]], checkpoint(3, forked), 2),
        ),
        ("fork-nothing-new", "nothing new, and another history signed", given([], checkpoint(3, forked), 3)),
        ("time-changed", "another time than was signed", given([*ENTRIES[:2], (3, NOW, BODIES[2])], checkpoint())),
        ("gap", "an entry left out", given([ENTRIES[0], ENTRIES[2]], checkpoint())),
        ("order", "two entries swapped", given([ENTRIES[1], ENTRIES[0], ENTRIES[2]], checkpoint())),
        ("repeated", "an entry shown again", given([ENTRIES[0]], checkpoint(), 1)),
        ("withheld", "entries signed, none shown", given([], checkpoint(), 1)),
        ("unsigned", "more shown than signed", given(ENTRIES, checkpoint(2, LINKS[2]))),
    ):
        vectors.refused(name, description, "relay-contradiction", data)
    vectors.refused(
        "by-other", "signed by another relay", "bad-signature", given(ENTRIES, checkpoint(signer=OTHER.sign))
    )
    return vectors


def _token() -> Vectors:
    vectors = Vectors("token")
    token = fixed("capability")
    vectors.valid("capability", "what a relay keeps of a token", {"token": token}, {"hash": wire.hash_token(token)})
    return vectors


def _address() -> Vectors:
    vectors = Vectors("address")
    # Bytes whose spelling has both letters in which base64url differs from base64.
    data = b"\xfb\xff" + fixed("address", 30)
    good = wire.encode_b64(data)
    vectors.valid("32-bytes", "an address in a path", {"text": good, "length": 32}, {"data": data})
    vectors.valid("none", "no byte", {"text": "", "length": 0}, {"data": b""})
    for name, description, text, length in (
        ("padded", "with padding", good + "=", 32),
        ("plain-alphabet", "in plain base64", base64.b64encode(data).decode().rstrip("="), 32),
        ("spare-bits", "with the unused last bits set", good[:-1] + chr(ord(good[-1]) + 1), 32),
        ("space", "with a space", good[:10] + " " + good[10:], 32),
        ("accent", "with a letter outside of ASCII", "é" + good[1:], 32),
        ("length", "of another length", wire.encode_b64(data[:31]), 32),
    ):
        vectors.refused(name, description, "malformed", {"text": text, "length": length})
    return vectors
