"""spec/envelope.md: change envelopes."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import DOCTOR, HOLDER, NOW
from spec.vectors.writing import Vectors, fixed, flip
from vault.encoding import encode
from vault.primitives import SigningKey, hash32, pad, seal_box

KEY, CHANNEL, NONCE = fixed("document key"), fixed("channel"), fixed("envelope nonce", 24)
SEEN = [{"mailbox": CHANNEL, "count": 4, "chain": fixed("seen chain")}]


def inner_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "type": "change",
        "channel": CHANNEL,
        "document": fixed("document", 16),
        "epoch": 2,
        "device": fixed("device", 16),
        "signer": HOLDER.sign.public,
        "seq": 5,
        "prev": fixed("previous envelope"),
        "seen": SEEN,
        "roster": bytes(32),
        "time": NOW,
        "body": b"changes",
    }
    return fields | changes


def sealed(
    *,
    key: bytes = KEY,
    label: str = "elpis-env",
    aad: bytes = b"\1envelope\0" + CHANNEL,
    signer: SigningKey = HOLDER.sign,
    context: str = "env",
    padded: bool = True,
    outer: dict[str, Any] | None = None,
    **changes: Any,
) -> bytes:
    """An envelope with any part as a vector wants it."""
    inner = encode(inner_fields(**changes))
    data = encode({"inner": inner, "sig": signer.sign(context, inner)} | (outer or {}))
    return seal_box(key, label, pad(data) if padded else data, aad, nonce=NONCE)


def make() -> list[Vectors]:
    vectors = Vectors("envelope")

    def given(data: bytes, **changes: Any) -> dict[str, Any]:
        return {"key": KEY, "channel": CHANNEL, "data": data} | changes

    def output(**changes: Any) -> dict[str, Any]:
        fields = inner_fields(**changes)
        return {name: value for name, value in fields.items() if name != "suite"} | {"hash": hash32(encode(fields))}

    def valid(name: str, description: str, **changes: Any) -> None:
        vectors.valid(name, description, given(sealed(**changes), seed=HOLDER.sign.seed), output(**changes))

    valid("change", "a change that says what was seen")
    valid("first", "the first envelope of a device: nothing before it, nothing seen", seq=1, prev=bytes(32), seen=[])
    valid("edition", "an edition", type="edition", body=fixed("edition body", 700))
    valid("empty", "an empty body", body=b"")
    valid("vault", "of the vault's own channel", type="vault", document=bytes(16), epoch=1)

    def refused(name: str, description: str, failure: str, data: bytes, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(data, **changes))

    good = sealed()
    elsewhere = fixed("another channel")
    refused("other-mailbox", "put into another mailbox", "cannot-open", good, channel=elsewhere)
    refused("other-key", "another document's key", "cannot-open", good, key=fixed("another key"))
    refused("other-label", "a wrap in place of an envelope", "cannot-open", sealed(label="elpis-wrap"))
    refused(
        "aad-suite",
        "sealed under another suite's associated data",
        "cannot-open",
        sealed(aad=b"\2envelope\0" + CHANNEL),
    )
    refused("bit", "one bit changed", "cannot-open", flip(good, 80))
    refused("cut", "the last byte gone", "cannot-open", good[:-1])
    refused("nothing", "no byte at all", "cannot-open", b"")
    refused(
        "channel-inside",
        "sealed for this mailbox, signed for another: replayed by whoever has both keys",
        "replayed",
        sealed(channel=elsewhere),
    )
    refused("by-other", "signed by another key than it names", "bad-signature", sealed(signer=DOCTOR.sign))
    refused(
        "signer-replaced",
        "names another signer",
        "bad-signature",
        sealed(signer=HOLDER.sign, outer={"inner": encode(inner_fields(signer=DOCTOR.sign.public))}),
    )
    refused("other-context", "signed as a grant", "bad-signature", sealed(context="grant"))
    refused(
        "body-changed",
        "the body changed under the signature",
        "bad-signature",
        sealed(outer={"inner": encode(inner_fields(body=b"CHANGES"))}),
    )
    refused(
        "seq-changed",
        "the number changed under the signature",
        "bad-signature",
        sealed(outer={"inner": encode(inner_fields(seq=6))}),
    )
    refused("suite-2", "an unknown suite inside", "suite-refused", sealed(suite=2))
    refused("not-padded", "without padding", "malformed", sealed(padded=False))
    refused("type-unknown", "a type that does not exist", "malformed", sealed(type="grant"))
    refused("time-10000", "written in the year 10000", "malformed", sealed(time=253_402_300_800))
    refused("seq-0", "counts from zero", "malformed", sealed(seq=0))
    refused("epoch-0", "epoch 0, which never leaves its vault", "malformed", sealed(epoch=0))
    refused("document-15", "a document id of 15 bytes", "malformed", sealed(document=bytes(15)))
    refused("seen-chain-31", "a seen chain of 31 bytes", "malformed", sealed(seen=[SEEN[0] | {"chain": bytes(31)}]))
    refused("field-unknown", "one field more inside", "malformed", sealed(author="x"))
    refused("outer-unknown", "one field more outside", "malformed", sealed(outer={"author": "x"}))
    return [vectors]
