"""spec/evidence.md: two signatures of one relay that cannot both be true."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import NOW, OTHER, RELAY_KEY
from spec.vectors.writing import Vectors, fixed, flip
from sync import wire
from vault.encoding import encode
from vault.primitives import SigningKey

ADDRESS = fixed("evidence mailbox")


def grown(names: list[str]) -> list[bytes]:
    """The chain of a mailbox with these messages, from its start."""
    links = [wire.START]
    for count, name in enumerate(names, 1):
        links.append(wire.extend_chain(links[-1], count, NOW + count, wire.hash_body(name.encode())))
    return links


def entries(names: list[str], after: int) -> list[dict[str, Any]]:
    return [
        {"time": NOW + count, "hash": wire.hash_body(name.encode())}
        for count, name in enumerate(names, 1)
        if count > after
    ]


def checkpoint(
    count: int, chain: bytes, *, key: SigningKey = RELAY_KEY, kind: int = 1, address: bytes = ADDRESS
) -> bytes:
    unsigned = wire.unsigned_checkpoint(kind, address, count, chain, NOW + 100 + count)
    return unsigned + key.sign("checkpoint", unsigned)


def contradiction(moment: int) -> dict[str, Any]:
    """Two histories, the second with an entry of this time after the first's last."""
    ours, theirs = grown(["a", "b", "c"]), grown(["a", "x", "c"])
    body_hash = wire.hash_body(b"d")
    second = checkpoint(4, wire.extend_chain(theirs[3], 4, moment, body_hash))
    return {
        "suite": 1,
        "relay": "https://relay.example",
        "key": RELAY_KEY.public,
        "first": checkpoint(3, ours[3]),
        "second": second,
        "chain": theirs[3],
        "entries": [{"time": moment, "hash": body_hash}],
    }


def make() -> list[Vectors]:
    vectors = Vectors("evidence")
    one, two = ["a", "b", "c"], ["a", "x", "c", "d"]
    ours, theirs = grown(one), grown(two)
    first, second = checkpoint(3, ours[3]), checkpoint(4, theirs[4])

    def fields(**changes: Any) -> dict[str, Any]:
        told: dict[str, Any] = {
            "suite": 1,
            "relay": "https://relay.example",
            "key": RELAY_KEY.public,
            "first": first,
            "second": second,
            "chain": theirs[3],
            "entries": entries(two, 3),
        }
        return told | changes

    def data(**changes: Any) -> dict[str, Any]:
        return {"data": encode(fields(**changes))}

    told = {"key": RELAY_KEY.public, "address": ADDRESS}
    vectors.valid("later", "a later history that has something else", data(), told | {"counts": [3, 4]})
    same = data(second=checkpoint(3, theirs[3]), entries=[])
    vectors.valid("same-count", "two histories of one length", same, told | {"counts": [3, 3]})
    trace = {"first": checkpoint(3, ours[3], kind=2), "second": checkpoint(4, theirs[4], kind=2)}
    vectors.valid("trace", "of a trace", data(**trace), told | {"counts": [3, 4]})
    honest = grown([*one, "d"])
    elsewhere = checkpoint(4, theirs[4], address=fixed("another mailbox"))
    for name, description, failure, given in (
        ("suite-2", "an unknown suite", "suite-refused", data(suite=2)),
        ("by-other", "signed by another relay", "bad-signature", data(second=checkpoint(4, theirs[4], key=OTHER.sign))),
        ("key-other", "with another relay's key", "bad-signature", data(key=OTHER.sign.public)),
        ("bit", "one bit of a signature changed", "bad-signature", data(first=flip(first, 100))),
        ("count-changed", "a count that was not signed", "bad-signature", data(first=flip(first, 41))),
        ("other-mailbox", "of two mailboxes", "malformed", data(second=elsewhere)),
        ("other-kind", "of a mailbox and a trace", "malformed", data(second=checkpoint(4, theirs[4], kind=2))),
        ("order", "the later one first", "malformed", data(first=second, second=first, entries=[])),
        ("entry-missing", "an entry that is missing", "malformed", data(entries=[])),
        ("entry-more", "an entry too many", "malformed", data(entries=entries(two, 2))),
        ("checkpoint-suite", "a checkpoint of another suite", "malformed", data(first=b"\2" + first[1:])),
        (
            "entries-other",
            "entries that lead elsewhere",
            "verification-failed",
            data(entries=[{"time": NOW, "hash": fixed("entry")}]),
        ),
        ("chain-other", "a chain that leads elsewhere", "verification-failed", data(chain=fixed("chain"))),
        (
            "no-contradiction",
            "one history, at two times",
            "verification-failed",
            data(second=checkpoint(4, honest[4]), chain=honest[3], entries=entries([*one, "d"], 3)),
        ),
        ("same-twice", "one signature, twice", "verification-failed", data(second=first, chain=ours[3], entries=[])),
        ("field-more", "one field more", "malformed", {"data": encode(fields() | {"x": 1})}),
        ("cut", "the last byte gone", "malformed", {"data": encode(fields())[:-1]}),
    ):
        vectors.refused(name, description, failure, given)
    return [vectors]
