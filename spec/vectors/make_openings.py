"""spec/opening.md: the request, the relay's release, the entry of the trace that the patient checks."""

from __future__ import annotations

from typing import Any

import nacl.bindings as sodium

from spec.vectors.make_grants import GRANT_HASH, ITEMS, NUMBER, READER, S2
from spec.vectors.people import DOCTOR, HOLDER, NOW, OTHER, signed
from spec.vectors.sealing import seal_hybrid
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed, seal_padded
from vault import hybrid, masking
from vault.primitives import BoxKey, SigningKey, hash32

FRESH = BoxKey.from_secret(fixed("fresh"))
SEED = fixed("fresh seed", hybrid.SEED)
KEM = hybrid.derive_public(SEED)
TAGS = [fields["tag"] for fields in ITEMS]
DOCUMENTS = [fields["document"] for fields in ITEMS]
OTHER_KEM = hybrid.derive_public(fixed("another fresh seed", hybrid.SEED))
COUNTER = 7


def statement_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "recipient": HOLDER.box.public,
        "grant": NUMBER,
        "grant_hash": GRANT_HASH,
        "counter": COUNTER,
        "fresh": FRESH.public,
        "documents": DOCUMENTS,
        "tags": TAGS,
        "name": DOCTOR.name,
        "why": "before the operation",
        "time": NOW,
        "device": fixed("doctor device", 16),
    }
    return fields | changes


def sealed_statement(signer: SigningKey = DOCTOR.sign, to: bytes = HOLDER.box.public, **changes: Any) -> bytes:
    return seal_padded(fixed("statement"), to, signed("opening-statement", statement_fields(**changes), signer))


def request(
    statement: bytes | None = None,
    *,
    suite: int = 1,
    counter: int = COUNTER,
    fresh: bytes = FRESH.public,
    kem_hash: bytes = b"",
    tags: list[bytes] = TAGS,
    count: int | None = None,
    length: int | None = None,
    signer: SigningKey = READER,
    context: str = "opening",
) -> bytes:
    """The fixed layout, with any field as a vector wants it."""
    statement = sealed_statement() if statement is None else statement
    head = bytes([suite]) + NUMBER + counter.to_bytes(8, "big") + fresh + kem_hash
    size = (len(statement) if length is None else length).to_bytes(4, "big")
    unsigned = head + bytes([len(tags) if count is None else count]) + b"".join(tags) + size + statement
    return unsigned + signer.sign(context, unsigned)


def seal_release(plain: bytes, info: bytes = hybrid.RELEASE, key: bytes = fixed("release key")) -> bytes:
    """As a relay answers in suite 2, with a key that is always the same."""
    box = seal_hybrid("release", KEM, FRESH.public, fixed("release key"), info)
    return box + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, bytes(24), key)


def make() -> list[Vectors]:
    return [_request("opening-request"), _request("relay-opening"), _release(), _entry()]


def _request(kind: str) -> Vectors:
    """The holder's reading and the relay's: the same bytes and answers, but for an unknown suite, and the ML-KEM key
    that travels behind a request of suite 2 to the relay alone."""
    vectors = Vectors(kind)
    relay = kind == "relay-opening"
    good, hashed = request(), hash32(KEM)
    behind = KEM if relay else b""
    hybrid_good = request(suite=2, kem_hash=hashed)
    unknown_suite = "malformed" if relay else "suite-refused"

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "reader": READER.public}

    told = {"grant": NUMBER, "counter": COUNTER, "fresh": FRESH.public, "kem_hash": None, "tags": TAGS}
    told["statement"] = sealed_statement()
    vectors.valid("two-items", "two items of one grant", given(good), told)
    vectors.valid(
        "no-statement", "an empty statement: the relay cannot tell", given(request(b"")), told | {"statement": b""}
    )
    for name, description, failure, data in (
        ("suite-3", "an unknown suite", unknown_suite, request(suite=3)),
        ("suite-2-no-hash", "suite 2 in the layout of suite 1", "malformed", request(suite=2) + behind),
        ("suite-1-hash", "suite 1 in the layout of suite 2", "malformed", request(kem_hash=hashed)),
        (
            "suite-2-hash-changed",
            "the hash replaced on the way, with the key behind it" if relay else "the hash replaced on the way",
            "bad-signature",
            hybrid_good[:73] + hash32(OTHER_KEM) + hybrid_good[105:] + (OTHER_KEM if relay else b""),
        ),
        ("by-other", "signed by another reader key", "bad-signature", request(signer=DOCTOR.sign)),
        ("other-context", "signed as a card", "bad-signature", request(context="card")),
        ("counter-changed", "the counter raised on the way", "bad-signature", flip(good, 40, 3)),
        ("fresh-changed", "the fresh key replaced on the way", "bad-signature", flip(good, 41)),
        ("tag-changed", "a tag replaced on the way", "bad-signature", flip(good, 75)),
        ("statement-changed", "the statement replaced on the way", "bad-signature", flip(good, 120)),
        ("no-tags", "no item at all", "malformed", request(tags=[])),
        ("65-tags", "65 items", "malformed", request(tags=[fixed(f"tag {n}", 16) for n in range(65)])),
        ("count-high", "says one tag more than it has", "malformed", request(count=3)),
        ("count-low", "says one tag less than it has", "malformed", request(count=1)),
        ("length-high", "says a statement one byte longer", "malformed", request(length=len(sealed_statement()) + 1)),
        ("statement-4097", "a statement over its limit", "malformed", request(bytes(4097))),
        ("trailing", "one byte more", "malformed", good + b"\0"),
        ("cut", "the last byte gone", "malformed", good[:-1]),
        ("head-only", "nothing after the head", "malformed", good[:74]),
        ("nothing", "no byte at all", "malformed", b""),
    ):
        vectors.refused(name, description, failure, given(data))
    vectors.valid(
        "suite-2", "two items, to be answered in suite 2", given(hybrid_good + behind), told | {"kem_hash": hashed}
    )
    if relay:
        vectors.refused("kem-missing", "no key behind a request of suite 2", "malformed", given(hybrid_good))
        vectors.refused("kem-other", "another key than signed for", "malformed", given(hybrid_good + OTHER_KEM))
        vectors.refused("kem-short", "the key cut", "malformed", given(hybrid_good + KEM[:-1]))
    else:
        vectors.refused("kem-behind", "a key that the trace does not keep", "malformed", given(hybrid_good + KEM))
    vectors.refused("tag-twice", "one tag twice", "malformed", given(request(tags=[TAGS[0], TAGS[0]])))
    vectors.refused("counter-2-63", "a counter over 2^63 - 1", "malformed", given(request(counter=2**63)))
    return vectors


def _release() -> Vectors:
    vectors = Vectors("release")
    halves = [(tag, masking.derive_half_tag(S2, tag)) for tag in TAGS]

    def sealed(
        pairs: list[tuple[bytes, bytes]], number: bytes = NUMBER, counter: int = COUNTER, count: int | None = None
    ) -> bytes:
        plain = number + counter.to_bytes(8, "big") + bytes([len(pairs) if count is None else count])
        return seal_fixed(fixed("release"), FRESH.public, plain + b"".join(tag + half for tag, half in pairs))

    def given(data: bytes, **changes: Any) -> dict[str, Any]:
        return {"sealed": data, "fresh": FRESH.secret, "grant": NUMBER, "counter": COUNTER, "tags": TAGS} | changes

    told = {"halves": {tag.hex(): half for tag, half in halves}}
    vectors.valid("two-items", "the halves of two items", given(sealed(halves)), told)
    vectors.valid("other-order", "in another order than asked for", given(sealed(halves[::-1])), told)
    for name, description, failure, data in (
        (
            "other-grant",
            "the answer to another grant",
            "wrong-recipient",
            sealed(halves, number=fixed("another number")),
        ),
        ("other-counter", "an answer given before", "wrong-recipient", sealed(halves, counter=COUNTER - 1)),
        ("one-missing", "the half of one item alone", "malformed", sealed(halves[:1])),
        ("count-high", "says three halves", "malformed", sealed(halves, count=3)),
        ("other-tag", "the half of another item", "malformed", sealed([halves[0], (fixed("tag", 16), halves[1][1])])),
        ("twice", "one half twice", "malformed", sealed([halves[0], halves[0]])),
        ("short", "cut inside of its head", "malformed", seal_fixed(fixed("release"), FRESH.public, NUMBER)),
        ("bit", "one bit changed", "cannot-open", flip(sealed(halves), -1)),
    ):
        vectors.refused(name, description, failure, given(data))
    plain = NUMBER + COUNTER.to_bytes(8, "big") + bytes([len(halves)]) + b"".join(tag + half for tag, half in halves)

    both = seal_release(plain)
    other = fixed("another fresh seed", hybrid.SEED)
    vectors.valid("suite-2", "the halves of two items in suite 2", given(both, seed=SEED), told)
    for name, description, data in (
        ("suite-2-other-kem", "opened with another ML-KEM key", given(both, seed=other)),
        ("suite-2-other-fresh", "opened with another X25519 key", given(both, seed=SEED, fresh=DOCTOR.box.secret)),
        ("suite-2-in-1", "answered in suite 1 when asked in suite 2", given(sealed(halves), seed=SEED)),
        ("suite-1-in-2", "answered in suite 2 when asked in suite 1", given(both)),
        ("suite-2-key-bit", "one bit of the sealed key", given(flip(both, 1130), seed=SEED)),
        ("suite-2-bit", "one bit of the release", given(flip(both, -20), seed=SEED)),
        ("suite-2-cut", "the release without its last byte", given(both[:-1], seed=SEED)),
        ("suite-2-no-release", "a key and nothing under it", given(both[:1168], seed=SEED)),
        ("suite-2-person", "sealed as a statement is", given(seal_release(plain, hybrid.INFO), seed=SEED)),
        ("suite-2-key", "under another key", given(seal_release(plain, key=fixed("another key")), seed=SEED)),
    ):
        vectors.refused(name, description, "cannot-open", data)
    late = given(seal_release(NUMBER + (COUNTER - 1).to_bytes(8, "big") + plain[40:]), seed=SEED)
    vectors.refused("suite-2-other-counter", "an answer given before, in suite 2", "wrong-recipient", late)
    static = given(sealed(halves), fresh=DOCTOR.box.secret)
    vectors.refused("identity-key", "recorded, and tried with the professional's own key", "cannot-open", static)
    return vectors


def _entry() -> Vectors:
    vectors = Vectors("opening-entry")
    items = {tag.hex(): document for tag, document in zip(TAGS, DOCUMENTS, strict=True)}

    def given(entry: bytes, **changes: Any) -> dict[str, Any]:
        told = {"entry": entry, "reader": READER.public, "grantee": DOCTOR.sign.public, "box": HOLDER.box.secret}
        return told | {"grant": NUMBER, "grant_hash": GRANT_HASH, "items": items, "after": COUNTER - 1} | changes

    told = {"name": DOCTOR.name, "why": "before the operation", "time": NOW, "documents": DOCUMENTS}
    vectors.valid("opened", "the professional signed what the relay recorded", given(request()), told)
    in_two = request(suite=2, kem_hash=hash32(KEM))
    vectors.valid("opened-suite-2", "the same, to be answered in suite 2", given(in_two), told)

    def refused(name: str, description: str, failure: str, entry: bytes, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(entry, **changes))

    refused("by-other", "stated by somebody else", "bad-signature", request(sealed_statement(OTHER.sign)))
    refused("request-by-other", "not signed by the grant's reader key", "bad-signature", request(signer=OTHER.sign))
    refused(
        "recipient-other",
        "stated to somebody else",
        "wrong-recipient",
        request(sealed_statement(recipient=OTHER.box.public)),
    )
    refused("sealed-to-other", "sealed to somebody else", "cannot-open", request(sealed_statement(to=OTHER.box.public)))
    refused("no-statement", "no statement", "cannot-open", request(b""))
    other = "verification-failed"
    refused("other-counter", "states another counter", other, request(sealed_statement(counter=COUNTER + 1)))
    refused("other-fresh", "states another fresh key", other, request(sealed_statement(fresh=OTHER.box.public)))
    refused("other-grant", "states another grant", other, request(sealed_statement(grant=fixed("another number"))))
    refused(
        "other-hash", "states another grant's hash", other, request(sealed_statement(grant_hash=fixed("another grant")))
    )
    fewer = sealed_statement(tags=TAGS[:1], documents=DOCUMENTS[:1])
    refused("fewer-tags", "states fewer items than were opened", other, request(fewer))
    swapped = sealed_statement(documents=DOCUMENTS[::-1])
    refused("documents-swapped", "names the documents in the wrong order", "bad-signature", request(swapped))
    refused(
        "document-missing", "names fewer documents", "bad-signature", request(sealed_statement(documents=DOCUMENTS[:1]))
    )
    known = given(request(), items={TAGS[0].hex(): DOCUMENTS[0]})
    vectors.refused("tag-unknown", "opens a tag that the grant is not known to have", "not-found", known)
    refused("suite-2", "a statement of an unknown suite", "suite-refused", request(sealed_statement(suite=2)))
    refused("counter-0", "counts from zero", "malformed", request(sealed_statement(counter=0), counter=0))
    vectors.refused(
        "replayed", "recorded before: one signature proves one opening", "replayed", given(request(), after=COUNTER)
    )
    bare = b"\1" + seal_fixed(
        fixed("statement"), HOLDER.box.public, signed("opening-statement", statement_fields(), DOCTOR.sign)
    )
    refused("not-padded", "a statement without padding", "malformed", request(bare))
    refused("time-10000", "stated in the year 10000", "malformed", request(sealed_statement(time=253_402_300_800)))
    refused("field-unknown", "one field more", "malformed", request(sealed_statement(place="x")))
    return vectors
