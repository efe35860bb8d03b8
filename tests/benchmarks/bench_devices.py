"""Two devices of one person that were apart and meet, against the sum of what that cannot do without.

That sum: the changes joined as they travel, each bundle encoded, sealed, opened and decoded strictly once; each change
read strictly; each document's run merged once with what was written on the other side, saved, read out, and all of it
on disk in one commit.

The relay is the double of the tests: what is measured is the vault's and the exchange's own work, not HTTP.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row, repeated, timed
from tests.household import Household, seen
from vault import Document, Vault, chunk, replica
from vault.operation import (
    Together,
    claim,
    decode_operation,
    encode_bodies,
    encode_operation,
    read_body,
    read_claim,
)
from vault.primitives import SigningKey, make_id, open_box, seal_box, verify
from vault.replica import Change, edit, make
from vault.store.connection import Store

LENGTH = 100  # changes of one document
ACTOR, KEY = b"A" * 16, b"k" * 32
PASSPHRASE = "sept lampes vertes au matin"


def main(quick: bool = False) -> list[Row]:
    few, many = (100, 300) if quick else (1000, 10_000)
    with tempfile.TemporaryDirectory(prefix="elpis-bench-") as folder:
        floors, costs = [_floor(Path(folder), LENGTH * 10)], {}
        for count in (few, many):
            costs[count] = _meet(Path(folder) / str(count), count)
            floors.append(_floor(Path(folder), LENGTH * 10))  # in turns: what else the machine does falls on both sides
    floor = median(floors) / (LENGTH * 10)
    cost = costs[many] / (2 * many)
    return [
        Row(
            f"two devices merge {many} changes each / sum of primitives", cost / floor, 3.0,
            detail=f"{cost * 1e6:.0f} us a change, primitives {floor * 1e6:.0f} us, {costs[many]:.1f} s in all",
        ),
        Row(f"merge of a change of another device, {many} against {few}", cost / (costs[few] / (2 * few)), 1.5),
    ]  # fmt: skip


def _meet(folder: Path, count: int) -> float:
    """Seconds in which two devices with `count` changes each come to the same."""

    def make_vault(role: str = "", **options: object) -> Vault:
        vault, _ = Vault.create(folder / "first", name="Martin Léa", passphrase=PASSPHRASE, role=role)
        vault.clock = options["clock"]  # type: ignore[assignment]
        return vault

    folder.mkdir()
    home = Household(make_vault, folder)
    home.add_device()
    documents = [home.holder.add(Document(title="Lettre")) for _ in range(count // LENGTH)]
    home.settle(2)
    for name, (vault, _) in zip("ab", home.devices, strict=True):
        for number in range(count):
            vault.add_entry(documents[number % len(documents)], "note", {"label": f"{name} {number}"})
    spent = timed(lambda: home.settle(2))
    first, second = (seen(vault) for vault, _ in home.devices)
    entries = sum(len(vault.read(document).entries) for vault, _ in home.devices for document in documents)
    if first != second or entries != 4 * count:
        raise ValueError(f"{entries} of {4 * count} entries arrived")
    home.holder.lock()
    home.close()
    return spent


def _floor(folder: Path, count: int) -> float:
    """Seconds of the primitives that bring `count` changes to another device, joined as they are there."""
    state = {"meta": {"kind": "clinical", "title": "Lettre"}, "entries": {}, "attachments": {}}
    saves, runs = [], []
    for _ in range(count // LENGTH):
        save, _ = make(state, ACTOR)
        own, _ = _write(save, b"B" * 16, "b")
        saves.append(own)
        runs.append(_write(save, ACTOR, "a")[1])
    together = Together()
    for turn in zip(*runs, strict=True):  # in the order in which they are written: a document after the other
        for number, change in enumerate(turn):
            item = {"change": claim(change), "author": "Martin Léa", "time": 0, "own": True}
            fields = {"document": number.to_bytes(16), "edition": bytes(32), "items": [item], "again": []}
            together.add("changes", encode_operation("changes", fields))
    operations, sign = together.operations(), SigningKey.make()
    store = Store.open(folder / f"{make_id().hex()}.db", KEY, create=True)
    store.run("CREATE TABLE measured (data BLOB, hash BLOB PRIMARY KEY) WITHOUT ROWID")
    seconds = median(repeated(lambda: _carry(operations, saves, sign, store), 5))
    store.close()
    return seconds


def _write(save: bytes, actor: bytes, name: str) -> tuple[bytes, list[Change]]:
    run = []
    for place in range(LENGTH):
        path = ("entries", make_id().hex())
        save, change = edit(save, actor, [("set", path, {"kind": "note", "label": f"{name} {place}"})])
        run += [change] if change else []
    return save, run


def _carry(operations: list[tuple[str, bytes]], saves: list[bytes], sign: SigningKey, store: Store) -> None:
    """One bundle, there and back through its envelopes; each change read strictly, and each document's run merged by
    Automerge with what was written here, saved and read out; a row for each change and two for each document."""
    heard: list[tuple[str, bytes]] = []
    before: list[bytes] = []
    for body in encode_bodies(operations):
        sealed, signature = seal_box(KEY, "elpis-env", body, b""), sign.sign("envelope", body)
        verify(sign.public, "envelope", body, signature)
        whole, part = read_body(open_box(KEY, "elpis-env", sealed, b""), before)
        before.append(part)
        heard += whole or []
    runs: dict[bytes, list[Change]] = {}
    for one in heard:
        fields = decode_operation(*one)
        runs.setdefault(fields["document"], []).extend(read_claim(item["change"]) for item in fields["items"])
    rows: list[tuple[bytes, bytes]] = []
    for number, run in runs.items():
        for change in run:
            chunk.read_operations(chunk.read_header(change.data))
            rows.append((change.data, make_id()))  # kept anew at each round
        document = replica.Document.load(saves[int.from_bytes(number)])
        replica._apply(document, run)
        state = json.dumps(replica._flatten(document)).encode()
        rows += [(document.save(), make_id()), (state, make_id())]
    store.run_many("INSERT INTO measured VALUES (?, ?)", rows)
