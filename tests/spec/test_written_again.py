"""Every valid vector of the formats that have no writer in `elpis vectors` is written again, byte for byte.

Signatures by the same seeds, boxes under the nonces that they carry, streams under their header, changes from nothing
but their operations. What is sealed to a person draws a fresh key, so there the statement inside is compared; that the
makers seal it to the same bytes again, tests/spec/test_vectors.py shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import nacl.bindings as sodium
import pytest

from spec.vectors import make_openings
from spec.vectors.make_grants import READER
from spec.vectors.people import DOCTOR, HOLDER, OTHER
from spec.vectors.writing import HERE
from sync import wire
from tests.fuzz.changes import replicas, signed, unsigned
from vault import chunk, deposit, grant, keys, opening, primitives, replica, statement
from vault.attachment import SEALED_CHUNK, open_file
from vault.chunk import ROOT, Header, Operation
from vault.encoding import Shape
from vault.hybrid import derive_seed
from vault.identity import Identity
from vault.keys import FILE, Keyslots, VaultKey
from vault.primitives import BoxKey, SigningKey

SIGNERS = {key.public: key for key in (HOLDER.sign, DOCTOR.sign, OTHER.sign, READER)}
Given = dict[str, Any]


def blob(given: Given, name: str) -> bytes:
    return bytes.fromhex(given[name])


def valid(kind: str) -> list[tuple[str, Given, Given]]:
    """(name, input, output) of the vectors that are taken."""
    read = [(path.stem, json.loads(path.read_bytes())) for path in sorted((HERE / kind).glob("*.json"))]
    return [(name, one["input"], one["expected"]["output"]) for name, one in read if "output" in one["expected"]]


def me(given: Given) -> Identity:
    sign = SigningKey.from_seed(blob(given, "sign"))
    return Identity(given["name"], "", sign, BoxKey.from_secret(blob(given, "box"), derive_seed(sign.seed)))


def again(kind: str, shape: Shape, data: bytes, signer: SigningKey) -> tuple[bytes, bytes]:
    fields = statement.read_statement(kind, shape, data).fields
    return statement.make_statement(kind, shape, fields, signer), data


def of_deposit(given: Given, _: Given) -> tuple[bytes, bytes]:
    person = me(given["recipient"])
    data = statement.open_statement(person.box, blob(given, "sealed"))
    return again("deposit", deposit.DEPOSIT, data, SIGNERS[deposit.open_deposit(data, person).sender.sign])


def of_renewal(given: Given, _: Given) -> tuple[bytes, bytes]:
    data = statement.open_statement(me(given["grantee"]).box, blob(given, "sealed"))
    return again("renewal", grant.RENEWAL, data, SIGNERS[blob(given, "issuer")])


def of_request(given: Given, _: Given) -> tuple[bytes, bytes]:
    read = opening.read_request(blob(given, "data"), blob(given, "reader"))
    signer = SIGNERS[blob(given, "reader")].sign
    kem = make_openings.KEM if read.kem_hash else b""  # it travels behind what is kept
    made = wire.Opening.encode(read.grant, read.counter, read.fresh, list(read.tags), read.statement, signer, kem)
    return made, blob(given, "data") + kem


def of_entry(given: Given, _: Given) -> tuple[bytes, bytes]:
    """The request around it, and the statement inside it."""
    request = {"data": given["entry"], "reader": given["reader"]}
    written, entry = of_request(request, {})
    sealed = opening.read_request(blob(given, "entry"), blob(given, "reader")).statement
    inner = statement.open_statement(BoxKey.from_secret(blob(given, "box")), sealed)
    second = again("opening-statement", opening.STATEMENT, inner, SIGNERS[blob(given, "grantee")])
    return written + second[0], entry + second[1]


def of_keyslots(given: Given, told: Given, folder: Path) -> tuple[bytes, bytes]:
    """The file from its fields, the MAC from the vault key, the slot that was opened from the key of that slot."""
    path, key = folder / "keyslots", VaultKey(blob(told, "key"))
    path.write_bytes(blob(given, "file"))
    slots = Keyslots.read(path)
    kind = keys.KIT if "kit" in given else keys.PASSPHRASE
    for slot in slots.slots:
        if slot.kind == kind:
            from_kit = blob(given, "kit") if kind == keys.KIT else b""
            secret = from_kit or keys._passphrase_key(slot, given["passphrase"])
            try:
                primitives.open_box(secret, keys.LABEL[kind], slot.box, slot.aad(slots.vault_id))
            except primitives.CannotOpen:
                continue
            aad = slot.aad(slots.vault_id)
            made = primitives.seal_box(secret, keys.LABEL[kind], key.secret, aad, nonce=slot.box[: primitives.NONCE])
            assert made == slot.box
    # A kit repairs a file whose MAC was changed: there the MAC alone may differ.
    repaired = slots.with_mac(key)
    if FILE.decode(path.read_bytes())["mac"] != repaired.mac:
        assert kind == keys.KIT
        repaired = slots
    repaired.write()
    return path.read_bytes(), blob(given, "file")


def of_attachment(given: Given, told: Given, folder: Path) -> tuple[bytes, bytes]:
    data = blob(given, "file")
    (folder / "sealed").write_bytes(data)
    size, sha256, key = given["size"], given["sha256"], blob(given, "key")
    plain = b"".join(open_file(folder / "sealed", key, size, sha256=sha256))
    padded = plain + bytes(primitives.padme_length(size) - size)
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    # The state that a writer had who drew this header.
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, data[:24], key)
    size = SEALED_CHUNK - 17
    pieces = [padded[at : at + size] for at in range(0, len(padded), size)] or [b""]
    made = data[:24]
    for number, piece in enumerate(pieces, 1):
        tag = 3 if number == len(pieces) else 0
        made += sodium.crypto_secretstream_xchacha20poly1305_push(state, piece, None, tag)
    return made, data


def of_change(given: Given, _: Given) -> tuple[bytes, bytes]:
    data = blob(given, "data")
    header = chunk.read_header(data)
    operations = chunk.read_operations(header)
    return write_change(header, operations), data


def write_change(header: Header, operations: list[Operation]) -> bytes:
    """A chunk from what it says: the columns as spec/replica.md has them, each run as long as it can be."""
    number = {actor: at for at, actor in enumerate(header.actors)}
    targets = [(None, None) if op.target == ROOT else (number[op.target[1]], op.target[0]) for op in operations]
    replaced = [identity for op in operations for identity in op.replaces]
    values = [written_value(op.value) for op in operations]
    counters = [counter for counter, _ in replaced]
    steps = [now - before for before, now in zip([0, *counters], counters, strict=False)]
    columns = {
        0x01: runs((actor for actor, _ in targets), unsigned),
        0x02: runs((counter for _, counter in targets), unsigned),
        0x15: runs((op.key for op in operations), lambda key: unsigned(len(key.encode())) + key.encode()),
        0x34: unsigned(len(operations)),
        0x42: runs((op.action for op in operations), unsigned),
        0x56: runs((len(value) << 4 | kind for kind, value in values), unsigned),
        0x57: b"".join(value for _, value in values),
        0x70: runs((len(op.replaces) for op in operations), unsigned),
        0x71: runs((number[actor] for _, actor in replaced), unsigned),
        0x73: runs(steps, signed),
    }
    columns = {name: column for name, column in columns.items() if column}
    pieces = [unsigned(len(header.deps)), *header.deps, unsigned(len(header.actor)), header.actor]
    pieces += [unsigned(header.seq), unsigned(header.start), signed(0), unsigned(0), unsigned(len(header.actors) - 1)]
    pieces += [unsigned(len(actor)) + actor for actor in header.actors[1:]]
    pieces += [unsigned(len(columns))]
    pieces += [unsigned(name) + unsigned(len(column)) for name, column in columns.items()]
    content = b"".join([*pieces, *columns.values()])
    body = bytes([1]) + unsigned(len(content)) + content
    return chunk.MAGIC + sodium.crypto_hash_sha256(body)[:4] + body


def written_value(value: object) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 6, value.encode()
    if value is None or isinstance(value, bool):
        return {None: 0, False: 1, True: 2}[value], b""
    assert isinstance(value, int)
    return 4, signed(value)


def runs(values: Iterable[Any], write: Callable[[Any], bytes]) -> bytes:
    """Two and more of a value are a run, nulls are one of their own, single values stand together as they are."""
    out, alone = b"", []
    groups = [(value, len(list(group))) for value, group in groupby(values)]
    if all(value is None for value, _ in groups):
        return b""

    def flush() -> bytes:
        written = signed(-len(alone)) + b"".join(map(write, alone)) if alone else b""
        alone.clear()
        return written

    for value, count in groups:
        if value is not None and count == 1:
            alone.append(value)
        else:
            out += flush() + (b"\0" + unsigned(count) if value is None else signed(count) + write(value))
    return out + flush()


PLAIN = {
    "deposit": of_deposit, "renewal": of_renewal, "opening-request": of_request, "opening-entry": of_entry,
    "change": of_change,
}  # fmt: skip
ON_DISK = {"keyslots": of_keyslots, "attachment": of_attachment}
# Automerge leaves a column of nulls out; a reader takes it all the same, as spec/replica.md says.
NOT_WRITTEN = {("change", "nulls")}


@pytest.mark.parametrize(
    ("kind", "name", "given", "told"),
    [(kind, *one) for kind in (*PLAIN, *ON_DISK) for one in valid(kind) if (kind, one[0]) not in NOT_WRITTEN],
)
def test_a_valid_vector_is_written_again(kind: str, name: str, given: Given, told: Given, tmp_path: Path) -> None:
    made, read = PLAIN[kind](given, told) if kind in PLAIN else ON_DISK[kind](given, told, tmp_path)
    assert made == read, f"{kind}/{name}"


def test_the_writer_of_changes_writes_what_automerge_writes() -> None:
    for save, good in replicas():
        for change in (*good, *replica.changes(save)):
            header = chunk.read_header(change.data)
            assert write_change(header, chunk.read_operations(header)) == change.data
