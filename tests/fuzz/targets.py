"""What is fuzzed: each target makes an input and hands it to the product. What may be raised is in runner.py.

Signed and sealed things are signed and sealed again after they were changed, so that their readers are reached.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from spec.vectors import make_deposits, make_envelopes, make_grants, make_openings, make_rosters
from spec.vectors.people import AUTHORITY, AUTHORITY_KEY, DAY, DOCTOR, HOLDER, NOW, card_fields, signed
from spec.vectors.writing import fixed, seal_fixed
from sync import envelope, wire
from tests.fuzz import relaying
from tests.fuzz.mutator import mutate, mutate_text, mutate_tree
from tui.vector_formats import FORMATS
from tui.vectors import Given
from vault import (
    authority,
    certificate,
    channel,
    chunk,
    deposit,
    encoding,
    grant,
    identity,
    log,
    masking,
    opening,
    roster,
)
from vault.errors import Malformed
from vault.primitives import SUITE, BoxKey, hash32, pad, seal_box, unpad
from vault.shape import check_state, to_document

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
FIXTURES = Path(__file__).parents[1] / "fixtures"
Make = Callable[[Random], Any]


@dataclass(frozen=True)
class Target:
    """`share`: how many executions this target gets of each thousand; costly ones get few."""

    name: str
    share: int
    make: Make
    run: Callable[[Any], object]


# Vectors: one field of a valid or invalid vector is changed, and the product reads it as `elpis vectors --check` does.

# format -> (field that is changed, share)
FIELDS = {
    "encoding": ("data", 130), "padding": ("padded", 60), "page": ("data", 60), "address": ("text", 40),
    "checkpoint": ("data", 30), "receipt": ("data", 30), "history": ("data", 10), "relay-opening": ("data", 60),
    "opening-request": ("data", 60), "card": ("data", 40), "card-text": ("text", 20), "authority": ("data", 20),
    "certificate": ("data", 5), "bulletin": ("bulletins", 5),
    "roster": ("data", 20), "channel-body": ("data", 60), "change": ("data", 60),
    "stream": ("chunks", 20), "box": ("box", 20), "sealed": ("sealed", 10), "envelope": ("data", 20),
    "keyslots": ("file", 8), "attachment": ("file", 4), "recovery-words": ("words", 8), "role": ("role", 10),
    "release": ("sealed", 8), "opening-entry": ("entry", 8), "grant": ("sealed", 4), "renewal": ("sealed", 4),
    "deposit": ("sealed", 4),
}  # fmt: skip


@cache
def vectors(kind: str) -> list[dict[str, Any]]:
    read = [json.loads(path.read_bytes())["input"] for path in sorted((VECTORS / kind).glob("*.json"))]
    # Argon2 takes half a second; the kit's slot takes none.
    return [given for given in read if "passphrase" not in given and len(json.dumps(given)) < 60_000]


def vector(kind: str, field: str, share: int) -> Target:
    def change(rng: Random, value: Any, others: list[bytes]) -> Any:
        if isinstance(value, list):
            at = rng.randrange(len(value)) if value else 0
            return [change(rng, one, others) if place == at else one for place, one in enumerate(value)][::1]
        try:
            return mutate(rng, bytes.fromhex(value), others).hex()
        except ValueError:
            return mutate_text(rng, value)

    @cache
    def others() -> list[bytes]:
        return [bytes.fromhex(v) for g in vectors(kind) if isinstance(v := g[field], str) and _is_hex(v)] or [b"\0"]

    def make(rng: Random) -> dict[str, Any]:
        given = rng.choice(vectors(kind))
        return {**given, field: change(rng, given[field], others())}

    def run(given: dict[str, Any]) -> object:
        try:
            return FORMATS[kind](Given(given))
        except Exception as failure:
            if "gives other bytes" in str(failure):
                raise AssertionError("what was read is not the one encoding of its content") from failure
            raise

    return Target(f"vector-{kind}", share, make, run)


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True


# Statements: the body is changed as a tree and signed again by the right key.


def _body(rng: Random, fields: dict[str, Any]) -> dict[str, Any]:
    changed = mutate_tree(rng, fields)
    return changed if isinstance(changed, dict) else fields


def _statement(rng: Random, kind: str, fields: dict[str, Any], signer: Any) -> bytes:
    """Signed, mostly; now and then the outer bytes are changed too."""
    try:
        made = signed(kind, _body(rng, fields), signer)
    except Malformed:  # the mutated tree has no encoding at all: the bytes alone are changed
        made = mutate(rng, signed(kind, fields, signer), [b"\0"])
    return mutate(rng, made, [made]) if rng.random() < 0.1 else made


CERTIFICATE = {
    "suite": 1, "authority": AUTHORITY_KEY.public, "id": "ID", "name": DOCTOR.name, "role": "doctor",
    "sign": DOCTOR.sign.public, "box": DOCTOR.box.public, "from": NOW, "until": NOW + DAY,
}  # fmt: skip
ORDER = {"suite": 1, "name": "Order", "sign": AUTHORITY_KEY.public, "made": NOW}


def _package(rng: Random) -> bytes:
    inner = signed("grant", make_grants.grant_fields(), HOLDER.sign)
    if rng.random() < 0.5:
        inner = _statement(rng, "grant", make_grants.grant_fields(), HOLDER.sign)
        return signed("package", make_grants.package_fields(inner), HOLDER.sign)
    return _statement(rng, "package", make_grants.package_fields(inner), HOLDER.sign)


RENEWAL = {
    "suite": 1, "recipient": DOCTOR.box.public, "number": make_grants.NUMBER, "keys": b"".join(make_grants.KEYS),
    "items": make_grants.columns(make_grants.ITEMS), "labels": make_grants.LABELS,
}  # fmt: skip


def _certificate(rng: Random) -> bytes:
    """The only one of its log."""
    made = _statement(rng, "certificate", CERTIFICATE, AUTHORITY_KEY)[: authority.MAX_STATEMENT]
    head = log.make_head(AUTHORITY_KEY, 1, log.derive_root([log.derive_leaf(made)]), NOW)
    return certificate.make_logged(made, head, 0, [])


def _run_certificate(data: bytes) -> None:
    read = certificate.read_certificate(data, certificate.read_authority(AUTHORITY))
    card = identity.read_card(signed("card", card_fields(DOCTOR), DOCTOR.sign))
    certificate.check_certificate(read, card, NOW)
    certificate.check_role(read.role)


def _label(rng: Random) -> bytes:
    """What the holder says of a document, under its key."""
    try:
        return make_grants.seal_label(
            make_grants.ITEMS[0], make_grants.CHANNEL_KEYS[0], _body(rng, make_grants.TOLD[0])
        )
    except Malformed:
        return mutate(rng, make_grants.LABELS[0], make_grants.LABELS)


def _run_label(label: bytes) -> None:
    item = masking.Item(**make_grants.ITEMS[0])
    half_tag, masked = make_grants.half_tag(make_grants.ITEMS[0]), make_grants.KEYS[0]
    masking.unwrap(make_grants.S1, half_tag, make_grants.GRANT_HASH, item, masked, label, edit=True)


def _run_renewal(data: bytes) -> None:
    grant.open_renewal(data, DOCTOR, HOLDER.sign.public)


def _run_roster(data: bytes) -> None:
    roster.read_first(data, make_rosters.ROOT.public, make_rosters.VAULT)


def _next_roster() -> dict[str, Any]:
    return make_rosters.roster_fields(prev=hash32(make_rosters.FIRST), count=2)


def _run_next_roster(data: bytes) -> None:
    roster.read_next(data, roster.read_first(make_rosters.FIRST, make_rosters.ROOT.public, make_rosters.VAULT))


def _run_deposit(data: bytes) -> None:
    read = deposit.open_deposit(data, HOLDER)
    check_state(read.state)
    to_document({**read.state, "attachments": {}})


def _entry(rng: Random) -> bytes:
    told = _statement(rng, "opening-statement", make_openings.statement_fields(), DOCTOR.sign)
    padded = pad(told) if rng.random() < 0.9 else mutate(rng, pad(told), [told])
    sealed = bytes([SUITE]) + seal_fixed(fixed("fuzz"), HOLDER.box.public, padded)
    return make_openings.request(sealed[: opening.MAX_STATEMENT])


def _run_entry(entry: bytes) -> None:
    items = dict(zip(make_openings.TAGS, make_openings.DOCUMENTS, strict=True))
    opening.verify_opening(
        entry, reader=make_openings.READER.public, grantee=DOCTOR.sign.public, me=HOLDER.box,
        number=make_grants.NUMBER, grant_hash=make_grants.GRANT_HASH, items=items,
    )  # fmt: skip


def _request(rng: Random) -> bytes:
    """The fixed layout, changed and signed again."""
    suite = {"suite": 2, "kem_hash": hash32(make_openings.KEM)} if rng.random() < 0.5 else {}
    unsigned = mutate(rng, make_openings.request(b"statement", **suite)[:-64], [b"\0" * 64])  # type: ignore[arg-type]
    return unsigned + make_openings.READER.sign("opening", unsigned)


def _run_request(data: bytes) -> None:
    """Two readers of one layout, the patient's and the relay's, take the same requests."""
    taken = []
    for read in (lambda: opening.read_request(data, make_openings.READER.public), lambda: wire.Opening.decode(data)):
        try:
            read()
            taken.append(True)
        except (Malformed, wire.WireError, opening.VerificationFailed):
            taken.append(False)
    # The relay refuses no counter of zero: its own rule, "over every earlier one", does.
    assert taken[0] <= taken[1], data.hex()


def _release(rng: Random) -> bytes:
    plain = wire.encode_release(make_grants.NUMBER, make_openings.COUNTER, make_grants.S2, make_openings.TAGS)
    return seal_fixed(fixed("fuzz"), make_openings.FRESH.public, mutate(rng, plain, [plain]))


def _hybrid_release(rng: Random) -> bytes:
    plain = wire.encode_release(make_grants.NUMBER, make_openings.COUNTER, make_grants.S2, make_openings.TAGS)
    sealed = make_openings.seal_release(mutate(rng, plain, [plain]))
    return sealed if rng.random() < 0.5 else mutate(rng, sealed, [sealed])


def _run_release(sealed: bytes) -> None:
    _read_release(sealed, make_openings.FRESH)


def _run_hybrid_release(sealed: bytes) -> None:
    _read_release(sealed, replace(make_openings.FRESH, seed=make_openings.SEED))


def _read_release(sealed: bytes, fresh: BoxKey) -> None:
    opening.read_release(sealed, fresh, make_grants.NUMBER, make_openings.COUNTER, make_openings.TAGS)


# Envelopes: the inner map or the body is changed, signed and sealed again; the body is read on.


def _envelope(rng: Random) -> bytes:
    fields = make_envelopes.inner_fields(body=rng.choice(_bodies()))
    if rng.random() < 0.4:
        fields["body"] = mutate(rng, fields["body"], _bodies())
    else:
        fields = _body(rng, fields)
    try:
        inner = encoding.encode(fields)
    except Malformed:
        inner = mutate(rng, encoding.encode(make_envelopes.inner_fields()), [b"\0"])
    outer = encoding.encode({"inner": inner, "sig": HOLDER.sign.sign("env", inner)})
    aad = b"\1envelope\0" + make_envelopes.CHANNEL
    return seal_box(make_envelopes.KEY, "elpis-env", pad(outer), aad, nonce=make_envelopes.NONCE)


@cache
def _bodies() -> list[bytes]:
    return [bytes.fromhex(given["data"]) for given in vectors("channel-body")]


def _run_envelope(data: bytes) -> None:
    read = envelope.open(make_envelopes.KEY, make_envelopes.CHANNEL, data)
    shape = channel.EDITION if read.type == "edition" else channel.CHANGES
    fields = shape.decode(read.body)
    for claim in fields.get("changes", [fields.get("change")]):
        header = chunk.read_header(channel.read_claim(claim).data)
        chunk.read_operations(header)


def _chunk(rng: Random) -> bytes:
    """A change whose columns were changed, with the right length, checksum and hash."""
    contents = _contents()
    content = mutate(rng, rng.choice(contents), contents)
    body = bytes([1]) + _leb(len(content)) + content
    return chunk.MAGIC + hashlib.sha256(body).digest()[:4] + body


@cache
def _contents() -> list[bytes]:
    found = []
    for given in vectors("change"):
        data = bytes.fromhex(given["data"])
        at = 9
        while at < len(data) and data[at] & 0x80:
            at += 1
        found.append(data[at + 1 :])
    return found


def _leb(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _run_chunk(data: bytes) -> None:
    operations = chunk.read_operations(chunk.read_header(data))
    assert len(operations) <= len(data), "more operations than bytes"


def _tree(rng: Random) -> bytes:
    """A deterministic encoding of a changed value: what is left to refuse is its shape."""
    value = mutate_tree(rng, rng.choice(TREES))
    try:
        return encoding.encode(value)
    except Malformed:
        return b"\xa0"


TREES: list[dict[str, Any]] = [
    make_grants.grant_fields(), make_deposits.deposit_fields(), make_envelopes.inner_fields(),
    make_rosters.roster_fields(), make_openings.statement_fields(), card_fields(DOCTOR), CERTIFICATE, RENEWAL,
]  # fmt: skip
SHAPES = (
    grant.GRANT, deposit.DEPOSIT, envelope.INNER, roster.ROSTER, opening.STATEMENT, identity.CARD,
    certificate.CERTIFICATE, grant.RENEWAL, channel.EDITION, channel.CHANGES,
)  # fmt: skip


def _run_shapes(data: bytes) -> None:
    assert encoding.encode(encoding.decode(data, limit=1 << 20)) == data
    for shape in SHAPES:
        try:
            taken = shape.decode(data)
        except encoding.Malformed:
            continue
        except encoding.TooLarge:
            continue
        assert shape.encode(taken) == data


# Files that people bring.

NAMES = {
    "cda": ("cda_fr_own/N3_VSM.xml", "cda_fr_own/N3_VAC.xml", "cda_fr_own/N3_CR-BIO.xml"),
    "fhir": ("fhir_r4_hl7_examples/*.json", "ips_hl7/Bundle-bundle-minimal.json"),
    "hl7v2": ("hl7v2_*/*.hl7",),
    "pdf": ("pdf_own/*.pdf",),
    "zip": ("xdm_own/*.zip", "xdm_nist/*.zip"),
    "dicom": ("dicom_pydicom/*.dcm",),
}
WORDS = tuple(
    b'<!ENTITY a \'b\'> &a; nullFlavor="UNK" negationInd="true" </ <a> <![CDATA[ ]]> { } [ null '
    b"1e999 NaN \\u0000 \\ud800 resourceType MSH| OBX| ^ ~ \\X0D\\ 20251399".split()
)
FILES = {"cda": 1, "fhir": 2, "hl7v2": 2, "pdf": 1, "zip": 1, "dicom": 1}


@cache
def files(kind: str) -> list[tuple[str, bytes]]:
    found = [path for pattern in NAMES[kind] for path in sorted(FIXTURES.glob(pattern))]
    assert found, kind
    return [(path.name, path.read_bytes()) for path in found if path.stat().st_size < 300_000]


def brought(kind: str, share: int) -> Target:
    def make(rng: Random) -> tuple[str, bytes]:
        name, data = rng.choice(files(kind))
        changed = bytearray(mutate(rng, data, [data], limit=1 << 20))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(changed) + 1)
            changed[at:at] = rng.choice(WORDS)
        return name, bytes(changed)

    def run(given: tuple[str, bytes]) -> None:
        from vault.importers import read_file

        for read in read_file(given[1], given[0]):
            check_state({**_plain_state(read.document), "attachments": {}})

    return Target(f"file-{kind}", share, make, run)


def _plain_state(document: Any) -> dict[str, Any]:
    from dataclasses import replace

    from vault.shape import to_state

    entries = tuple(replace(entry, id=entry.id or f"{number:032x}") for number, entry in enumerate(document.entries))
    return to_state(replace(document, entries=entries, attachments=()))


def _sniff(rng: Random) -> tuple[str, bytes]:
    name, data = rng.choice([file for kind in NAMES for file in files(kind)])
    return name, mutate(rng, data[:2000], [data[:512]])


def _run_sniff(given: tuple[str, bytes]) -> None:
    from vault.importers import format_of

    assert format_of(given[1], given[0])


# What the command line is given.


def _period(rng: Random) -> str:
    return mutate_text(rng, rng.choice(("24h", "5s", "2026-11-21T10:00:00Z", "90d", "2026-02-30", "1w", "0m", "-3h")))


def _run_period(text: str) -> None:
    """As argparse calls them: these three mean a usage error."""
    from tui import session

    for read in (session.duration, session.moment):
        try:
            read(text)
        except (ArgumentTypeError, TypeError, ValueError):
            continue


def _inspected(rng: Random) -> bytes:
    files_ = _vector_files(rng.choice(list(FIELDS)))
    data = rng.choice(files_)
    return mutate(rng, data, [data])


@cache
def _place() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="elpis-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "vector.json"


def _run_inspected(data: bytes) -> None:
    from tui.vectors import check_file

    _place().write_bytes(data)
    check_file(_place())


@cache
def _vector_files(kind: str) -> list[bytes]:
    read = [path.read_bytes() for path in sorted((VECTORS / kind).glob("*.json"))]
    return [data for data in read if len(data) < 20_000 and b"passphrase" not in data]


def _run_padding(data: bytes) -> None:
    assert pad(unpad(data)) == data


def _by(kind: str, fields: Callable[[], dict[str, Any]], signer: Any) -> Make:
    return lambda rng: _statement(rng, kind, fields(), signer)


def _all() -> Sequence[Target]:
    card = _by("card", lambda: card_fields(DOCTOR), DOCTOR.sign)
    return [
        *(vector(kind, field, share) for kind, (field, share) in FIELDS.items()),
        Target("shapes", 15, _tree, _run_shapes),
        Target("chunk", 50, _chunk, _run_chunk),
        Target("envelope", 10, _envelope, _run_envelope),
        Target("request", 20, _request, _run_request),
        Target("release", 10, _release, _run_release),
        Target("release-hybrid", 2, _hybrid_release, _run_hybrid_release),
        Target("entry", 6, _entry, _run_entry),
        Target("card", 10, card, identity.read_card),
        Target("authority", 10, _by("authority", lambda: ORDER, AUTHORITY_KEY), certificate.read_authority),
        Target("certificate", 4, _certificate, _run_certificate),
        Target("package", 6, _package, lambda data: grant.open_package(data, DOCTOR, NOW)),
        Target("label", 2, _label, _run_label),
        Target("renewal", 6, _by("renewal", lambda: RENEWAL, HOLDER.sign), _run_renewal),
        Target("deposit", 4, _by("deposit", make_deposits.deposit_fields, DOCTOR.sign), _run_deposit),
        Target("roster", 10, _by("roster", make_rosters.roster_fields, make_rosters.ROOT), _run_roster),
        Target("roster-next", 8, _by("roster", _next_roster, make_rosters.ROOT), _run_next_roster),
        Target("type-of", 20, card, grant.message_type),
        Target("sniff", 30, _sniff, _run_sniff),
        Target("period", 20, _period, _run_period),
        Target("inspect", 10, _inspected, _run_inspected),
        Target("relay-call", 8, relaying.make_call, relaying.run_call),
        Target("relay-answer", 8, relaying.make_answer, relaying.run_answer),
        *(brought(kind, share) for kind, share in FILES.items()),
    ]


TARGETS = {target.name: target for target in _all()}
