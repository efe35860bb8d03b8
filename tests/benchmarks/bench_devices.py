"""Two devices of one person that were apart and meet, against the sum of what that cannot do without.

That sum, for each change: Automerge's own merge of a run, strict encoding and decoding, and sealing and opening of the
envelopes. The relay is the double of the tests: what is measured is the vault's and the exchange's own work, not HTTP.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.harness import Row, timed
from tests.household import Household, seen
from vault import Document, Vault, replica
from vault.operation import claim, decode_operation, encode_bodies, encode_operation, read_body, read_claim
from vault.primitives import SigningKey, open_box, seal_box, verify
from vault.replica import Change, edit, make

LENGTH = 100  # changes of one document
ACTOR, KEY = b"A" * 16, b"k" * 32
PASSPHRASE = "sept lampes vertes au matin"


def main(quick: bool = False) -> list[Row]:
    few, many = (100, 300) if quick else (1000, 10_000)
    with tempfile.TemporaryDirectory(prefix="elpis-bench-") as folder:
        costs = {count: _meet(Path(folder) / str(count), count) for count in (few, many)}
    floor = _floor(LENGTH * 10) / (LENGTH * 10)
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


def _floor(count: int) -> float:
    """Seconds of the primitives that bring `count` changes to another device."""
    runs = []
    for number in range(count // LENGTH):
        save, _ = make({"meta": {"kind": "clinical", "title": "Lettre"}, "entries": {}, "attachments": {}}, ACTOR)
        at, run = save, []
        for place in range(LENGTH):
            path = ("entries", f"{number * LENGTH + place:032x}")
            at, change = edit(at, ACTOR, [("set", path, {"kind": "note", "label": f"a {place}"})])
            run += [change] if change else []
        runs.append((save, run))
    sign = SigningKey.make()
    return timed(lambda: _carry(runs, sign))


def _carry(runs: list[tuple[bytes, list[Change]]], sign: SigningKey) -> None:
    told = []
    for _, run in runs:
        for change in run:
            item = {"change": claim(change), "author": "Martin Léa", "time": 0, "own": True}
            fields = {"document": bytes(16), "edition": bytes(32), "items": [item], "again": []}
            told.append(("changes", encode_operation("changes", fields)))
    heard = []
    for start in range(0, len(told), 1000):
        for body in encode_bodies(told[start : start + 1000]):
            sealed, signature = seal_box(KEY, "elpis-env", body, b""), sign.sign("envelope", body[:64])
            verify(sign.public, "envelope", body[:64], signature)
            operations, _ = read_body(open_box(KEY, "elpis-env", sealed, b""), [])
            heard += operations or []
    changes = [read_claim(decode_operation(*one)["items"][0]["change"]) for one in heard]
    for number, (save, run) in enumerate(runs):
        document = replica.Document.load(save)
        replica._apply(document, changes[number * LENGTH : number * LENGTH + len(run)])
        document.save()
