"""Grants, openings, traces and the exchange of changes, each against the sum of what it cannot do without.

That sum: signatures, boxes and key derivations; for an opening also the strict decoding of what came.

The relay is the double of the tests: what is measured is the vault's and the exchange's own work, not HTTP.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row, paired, repeated, timed
from tests.parties import Parties
from tests.persons import DOCTOR, HOLDER, NOW, person, seed
from vault import Vault, replica
from vault.encoding import decode, encode
from vault.grant import make_body, open_package, seal
from vault.hybrid import check_public, derive_public, derive_seed
from vault.identity import make_card, read_card
from vault.masking import (
    APPEND,
    READ,
    Item,
    columns,
    derive_half_tag,
    derive_half_tags,
    derive_tokens,
    make_tags,
    mask_keys,
    seal_label,
    unwrap,
)
from vault.opening import make_request, verify_opening
from vault.people import Person
from vault.primitives import (
    BoxKey,
    SigningKey,
    derive_key,
    hash32,
    make_id,
    make_key,
    open_box,
    seal_box,
    seal_to,
    verify,
)
from vault.statement import open_statement, seal_statement

S1, S2, READER = seed("S1"), seed("S2"), SigningKey.from_seed(seed("reader"))
GRANTEE = replace(DOCTOR, box=BoxKey.from_secret(DOCTOR.box.secret, seed("kem") + seed("kem again")))
KEM = derive_public(seed("kem") + seed("kem again"))
TITLE, KIND = "Compte rendu d'hospitalisation", "clinical"


def main(quick: bool = False) -> list[Row]:
    documents, people = (50, 3) if quick else (1000, 20)
    openings = (50, 200) if quick else (10_000, 100_000)
    few, many = (100, 300) if quick else (1000, 10_000)
    rounds = 1 if quick else 5
    rows = [*_grants(documents, people, rounds), *_trace(*openings)]
    with tempfile.TemporaryDirectory(prefix="elpis-bench-") as folder, _parties(Path(folder)) as make:
        rows += _rotation(make, (2, 4) if quick else (5, 20), 3 if quick else 15)
        rows += _giving(make, (20, 40) if quick else (200, 1000), 1 if quick else 5)
        return [*rows, *_exchange(make, few, many)]


def _items(count: int) -> list[Item]:
    return [Item(make_id(), 1, make_key(), make_id(), make_key()) for _ in range(count)]


def _fields() -> dict[str, object]:
    return {
        "number": seed("number"), "issuer_sign": HOLDER.sign.public, "issuer_box": HOLDER.box.public,
        "issuer_name": HOLDER.name, "grantee_sign": DOCTOR.sign.public, "grantee_box": DOCTOR.box.public,
        "role": "doctor", "right": "edit", "purpose": "consultation", "made": NOW, "not_before": NOW,
        "until": NOW + 86_400, "openings": None, "offline": 0, "relay": "https://relay.example",
        "relay_key": seed("relay"), "roster": bytes(32),
    }  # fmt: skip


def _labels(items: list[Item], keys: list[bytes]) -> list[bytes]:
    """Once for everybody."""
    return [
        seal_label(key, i.document, i.epoch, i.edition, i.mailbox, title=TITLE, kind=KIND)
        for key, i in zip(keys, items, strict=True)
    ]


def _seal_one(items: list[Item], keys: list[bytes], labels: list[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    """Everything for one person: tags, tokens, columns, masked keys, both statements. (sealed, tags)"""
    tags = make_tags(len(items))
    half_tags = derive_half_tags(S2, tags)
    for label in (READ, APPEND):
        derive_tokens(S1, label, half_tags, tags)
    told = columns(
        [i.document for i in items], [i.epoch for i in items], [i.edition for i in items], tags,
        [i.mailbox for i in items],
    )  # fmt: skip
    body = make_body(_fields(), told)
    masked = mask_keys(S1, half_tags, body.hash, tags, keys)
    return seal(HOLDER, body, S1, READER.seed, masked, labels, KEM), tags


def _grants(documents: int, people: int, rounds: int) -> list[Row]:
    items, keys = _items(documents), [make_key() for _ in range(documents)]
    plain, aad, grant_hash, number = encode({"kind": KIND, "title": TITLE}), bytes(92), bytes(32), bytes(16)
    sealed, tags = _seal_one(items, keys, _labels(items, keys))

    def sealing() -> None:
        labels = _labels(items, keys)
        for _ in range(people):
            _seal_one(items, keys, labels)

    def sealing_primitives() -> None:
        """A label for each document; for each document and person four derivations; for each person two hashes and
        signatures, and the sealing."""
        for key in keys:
            seal_box(key, "elpis-wrap", plain, aad)
        inner = bytes(108 * documents)
        for _ in range(people):
            for tag in tags:
                half_tag = derive_key(S2, "elpis-half-tag", tag)
                derive_key(S1, READ, half_tag + tag)
                derive_key(S1, APPEND, half_tag + tag)
                derive_key(S1, "elpis-grant-key", half_tag + grant_hash + number)
            hash32(inner)
            HOLDER.sign.sign("grant", inner)
            HOLDER.sign.sign("package", sealed)
            seal_statement(DOCTOR.box.public, sealed, KEM)

    halves = {tag: derive_half_tag(S2, tag) for tag in tags}
    boxes = [(key, seal_box(key, "elpis-wrap", plain, aad)) for key in keys]

    def opening() -> None:
        _open(sealed, halves)

    def opening_primitives() -> None:
        outer = decode(decode(open_statement(GRANTEE.box, sealed), limit=1 << 20)["body"], limit=1 << 20)
        inner = decode(outer["grant"], limit=1 << 20)
        decode(inner["body"], limit=1 << 20)
        hash32(inner["body"])
        for _ in ("grant", "package"):
            verify(HOLDER.sign.public, "grant", inner["body"], inner["sig"])
        for tag, (key, box) in zip(tags, boxes, strict=True):
            derive_key(S1, "elpis-grant-key", halves[tag] + grant_hash + tag)
            decode(open_box(key, "elpis-wrap", box, aad), limit=2048)
            derive_key(S1, READ, halves[tag] + tag)
            derive_key(S1, APPEND, halves[tag] + tag)

    seconds, busy = median(repeated(sealing, rounds)), median(_processor(sealing) for _ in range(rounds))
    return [
        Row(
            f"seal a grant of {documents} documents to {people} people / what it needs",
            paired(sealing, sealing_primitives, rounds), 3.0, detail=f"{seconds:.3f} s",
        ),
        # It waits for nothing: on a machine that does nothing else, this is how long it takes.
        Row(f"seal a grant of {documents} documents to {people} people, processor time", busy, 0.15, unit="s"),
        Row(
            f"open a grant of {documents} documents / what it needs", paired(opening, opening_primitives, rounds), 3.0,
            detail=f"{timed(opening) * 1e3:.0f} ms",
        ),
    ]  # fmt: skip


def _processor(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _open(sealed: bytes, halves: dict[bytes, bytes]) -> None:
    package = open_package(open_statement(GRANTEE.box, sealed), GRANTEE, NOW)
    for item, masked, label in zip(package.items, package.keys, package.labels, strict=True):
        unwrap(package.half, halves[item.tag], package.hash, item, masked, label, edit=True)


def _trace(few: int, many: int) -> list[Row]:
    document, tag = make_id(), make_id()
    entries = [
        make_request(
            DOCTOR, issuer_box=HOLDER.box.public, number=seed("n"), grant_hash=seed("h"), reader=READER,
            counter=number, fresh=BoxKey(b"", make_key()), documents=[document], tags=[tag], why="consultation",
            device=make_id(), now=NOW,
        )
        for number in range(1, min(few, 500) + 1)
    ]  # fmt: skip
    box, signature = seal_to(HOLDER.box.public, bytes(600)), READER.sign("opening", bytes(800))

    def verifying(count: int) -> float:
        start = time.perf_counter()
        for number in range(count):
            verify_opening(
                entries[number % len(entries)], reader=READER.public, grantee=DOCTOR.sign.public, me=HOLDER.box,
                number=seed_n, grant_hash=seed_h, items={tag: document},
            )  # fmt: skip
        return time.perf_counter() - start

    def primitives(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            verify(READER.public, "opening", bytes(800), signature)
            HOLDER.box.open(box)
            verify(READER.public, "opening", bytes(800), signature)
        return time.perf_counter() - start

    seed_n, seed_h = seed("n"), seed("h")
    verifying(few)
    # In tenths of the whole, in turns: what else the machine does falls on both sides alike.
    turns = [(verifying(many // 10), primitives(many // 10)) for _ in range(10)]
    each_of_few = median(verifying(few) for _ in range(3)) / few
    spent = sum(ours for ours, _ in turns)
    return [
        Row(
            f"verify a trace of {many} openings / what it needs", median(ours / bare for ours, bare in turns), 3.0,
            detail=f"{spent:.2f} s",
        ),
        Row(f"verify each of {many} openings, against {few}", spent / many / each_of_few, 1.5),
    ]  # fmt: skip


def _rotation(make: Callable[[], Parties], sizes: tuple[int, ...], rounds: int) -> list[Row]:
    """The next epoch of a document that several people have: its edition, and a renewal for each of them."""
    parties = make()
    holder, document = parties.holder, parties.letter()
    holder.store.run("CREATE TABLE measured (sealed BLOB)")

    def rotating() -> None:
        holder.sharing.reconcile(document, lost=True)

    each: list[float] = []
    for people in sizes:
        while len(holder.people.list()) < people:
            _give(parties, document, f"Exemple {len(holder.people.list())}")
        ratio = paired(rotating, _rotating_primitives(holder, document, people), rounds)
        each.append(median(repeated(rotating, rounds)) / people)
    detail = f"{each[-1] * sizes[-1] * 1e3:.1f} ms"
    return [
        Row(f"next epoch for {sizes[-1]} people / what it needs", ratio, 3.0, detail=detail),
        Row(f"next epoch for each of {sizes[-1]} people, against {sizes[0]}", each[-1] / each[0], 1.5),
    ]


def _rotating_primitives(holder: Vault, document: str, people: int) -> Callable[[], None]:
    """One replica of one change, one label sealed; for each person a card verified, four keys derived, a renewal signed
    and sealed in suite 2; all of it on disk in one commit."""
    state, actor, plain, aad = holder.documents.flat(document), make_id(), bytes(60), bytes(92)
    card, sign = bytes(1_600), holder.identity.sign
    signature = sign.sign("card", card)

    def primitives() -> None:
        replica.make(state, actor)
        label = seal_box(S1, "elpis-wrap", plain, aad)
        with holder.store.transaction():
            for _ in range(people):
                verify(sign.public, "card", card, signature)
                check_public(KEM)
                half_tag = derive_key(S2, "elpis-half-tag", actor)
                for purpose in (READ, APPEND, "elpis-grant-key"):
                    derive_key(S1, purpose, half_tag + actor)
                renewal = label + bytes(400)
                sealed = seal_statement(DOCTOR.box.public, sign.sign("renewal", renewal) + renewal, KEM)
                holder.store.run("INSERT INTO measured VALUES (?)", (sealed,))

    return primitives


def _giving(make: Callable[[], Parties], sizes: tuple[int, ...], rounds: int) -> list[Row]:
    """A grant of many documents to one more person, through the vault and into its outbox: three people have them."""
    ratios, each = [], []
    for count in sizes:
        parties = make()
        documents = [parties.letter(str(number)) for number in range(count)]
        people = [_meet(parties, f"Exemple {number}") for number in range(4)]
        parties.holder.store.run("CREATE TABLE measured (sealed BLOB)")
        for known in people[:3]:
            parties.holder.sharing.grant(known, documents, right="edit", purpose="", seconds=86_400)

        def giving(parties: Parties = parties, last: Person = people[3], documents: list[str] = documents) -> None:
            given = parties.holder.sharing.grant(last, documents, right="edit", purpose="", seconds=86_400)
            parties.holder.sharing.revoke(given.id)

        ratios.append(paired(giving, _giving_primitives(parties.holder, documents, 3), rounds))
        each.append(median(repeated(giving, rounds)) / count)
    detail = f"{each[0] * 1e3:.2f} ms for each document"
    return [
        Row(f"give and take back {sizes[0]} documents / what it needs", ratios[0], 3.0, detail=detail),
        Row(f"give and take back each of {sizes[1]} documents, against {sizes[0]}", each[1] / each[0], 1.5),
    ]


def _giving_primitives(holder: Vault, documents: list[str], people: int) -> Callable[[], None]:
    """Twice, because an end is an epoch too: for each document its state read, one replica of one change, one label,
    four keys for each person; on disk both replicas, channel, actor, writers, tags, what closes the channel before, and
    three queued calls, encoded; for each person a statement of two hundred bytes a document, signed and sealed."""
    actor, plain, aad, sign, row = make_id(), bytes(60), bytes(92), holder.identity.sign, bytes(80)
    insert = "INSERT INTO measured VALUES (?)"

    def primitives() -> None:
        for members in (people + 1, people):
            token = {"token": S1, "right": "append", "until": NOW}
            writer = {"sign": S1, "name": HOLDER.name, "role": "doctor", "right": "edit"}
            with holder.store.transaction():
                for document in documents:
                    save, change = replica.make(holder.documents.flat(document), actor)
                    seal_box(S1, "elpis-wrap", plain, aad)
                    for _ in range(members):
                        half_tag = derive_key(S2, "elpis-half-tag", actor)
                        for purpose in (READ, APPEND, "elpis-grant-key"):
                            derive_key(S1, purpose, half_tag + actor)
                    calls = [
                        encode({"owner": S1, "tokens": [token] * (2 * members + 1)}),
                        encode({"change": {"data": change.data, "hash": S1}, "writers": [writer] * (members + 1)}),
                        encode({"owner": S1, "purge": False}),
                    ]
                    for written in (save, save, row, row, row, *calls):
                        holder.store.run(insert, (written,))
                    holder.store.run_many(insert, [(row,)] * (members + 1))
                for _ in range(members):
                    statement = bytes(200 * len(documents))
                    sealed = seal_statement(DOCTOR.box.public, sign.sign("renewal", statement) + statement, KEM)
                    holder.store.run(insert, (sealed,))
                    holder.store.run_many(insert, [(row,)] * len(documents))

    return primitives


def _give(parties: Parties, document: str, name: str) -> None:
    known = _meet(parties, name)
    parties.holder.sharing.grant(known, [document], right="edit", purpose="", seconds=86_400)


def _meet(parties: Parties, name: str) -> Person:
    """Somebody who has a card and no vault."""
    now = int(parties.clock())
    where = {"relay": parties.relay.url, "relay_key": parties.relay.key.public, "inbox": seed(f"{name} in")}
    who = person(name, "doctor")
    who = replace(who, box=BoxKey.from_secret(who.box.secret, derive_seed(who.sign.seed)))
    card = make_card(who, now=now, deposit=seed(f"{name} deposit"), **where)  # type: ignore[arg-type]
    certificate = parties.office.certify(read_card(card), unique_id=name, role="doctor", now=now, days=30)
    return parties.holder.people.add(card, certificate=certificate, authority=parties.office.bulletin(now))


@contextmanager
def _parties(folder: Path) -> Iterator[Callable[[], Parties]]:
    """New vaults, each created once for a round."""
    opened: list[Vault] = []

    def make(role: str = "", **options: object) -> Vault:
        path = folder / str(len(opened))
        vault, _ = Vault.create(path, name="Martin Léa", passphrase="sept lampes vertes au matin", role=role)
        vault.clock = options["clock"]  # type: ignore[assignment]
        opened.append(vault)
        return vault

    yield lambda: Parties(make)
    for vault in opened:
        vault.lock()


def _exchange(make: Callable[[], Parties], few: int, many: int) -> list[Row]:
    """Changes in documents of a hundred each, from the holder's outbox into the grantee's open documents."""
    costs = {}
    for count in (few, many):
        parties = make()
        documents = [parties.letter() for _ in range(max(1, count // 100))]
        _, exchange, person = parties.professional()
        parties.holder.sharing.grant(person, documents, right="edit", purpose="", seconds=86_400)
        parties.exchange.sync()
        exchange.sync()
        opened = [one for document in documents for one in exchange.open_all(document)]
        for number in range(count):
            parties.holder.add_entry(documents[number % len(documents)], "note", {"label": str(number)})
        push = timed(parties.exchange.sync)
        pull = timed(lambda opened=opened: [one.refresh() for one in opened])  # type: ignore[misc]
        held = sum(len(one.document.entries) for one in opened)
        if held != count:
            raise ValueError(f"{held} of {count} changes arrived")
        costs[count] = (push / count, pull / count)
        exchange.close()
    (push_few, pull_few), (push_many, pull_many) = costs[few], costs[many]
    return [
        Row(
            f"push of a change, {many} against {few}", push_many / push_few, 1.5,
            detail=f"{push_many * 1e6:.0f} us each",
        ),
        Row(
            f"pull and merge of a change, {many} against {few}", pull_many / pull_few, 1.5,
            detail=f"{pull_many * 1e6:.0f} us each",
        ),
    ]  # fmt: skip
