"""The store against the same library without a key; search and timeline as the vault grows; unlock without Argon2."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import Row, percentile, repeated, timed
from vault import Vault, primitives
from vault.replica import make
from vault.store.connection import Store
from vault.store.documents import Documents
from vault.store.searching import Wanted

KEY = bytes(range(32))
ACTOR = b"B" * 16
WORDS = [
    "patient",
    "consultation",
    "traitement",
    "bilan",
    "contrôle",
    "tension",
    "artérielle",
    "examen",
    "clinique",
    "normal",
    "suivi",
    "douleur",
    "thorax",
    "échographie",
    "cœur",
    "œdème",
    "membre",
    "inférieur",
    "prescription",
    "bisoprolol",
    "apixaban",
    "lévothyroxine",
    "glycémie",
    "hémoglobine",
    "créatinine",
    "radiographie",
    "épaule",
    "genou",
    "chirurgie",
    "anesthésie",
    "allergie",
    "pénicilline",
    "vaccination",
    "rappel",
    "grippe",
]
QUERIES = ("patient", "p", "co", "bilan contrôle", "oedeme", "coeur patient", "bisoprolol", "n123", "hemo", "absent")


def states(count: int) -> Iterator[dict[str, dict]]:
    """Documents of a long life: text of some 60 words, two entries, dates over forty years."""
    chooser = random.Random(11)
    for number in range(count):
        words = chooser.choices(WORDS, k=60)
        meta = {
            "kind": "clinical", "title": f"{words[0].capitalize()} n{number}",
            "type_code": "34112-3" if number % 20 == 0 else "11488-4",
            "class_code": "11", "author": f"Dr {words[1]}", "confidentiality": "N",
            "text": " ".join(["patient", *words]),
            "date": f"{1985 + chooser.randrange(40)}-{1 + chooser.randrange(12):02}-{1 + chooser.randrange(28):02}",
        }  # fmt: skip
        entries = {
            f"{number:016x}{part:016x}": {"kind": "result", "label": words[part + 2], "value": "13,2", "unit": "g/dL"}
            for part in range(2)
        }
        yield {"meta": meta, "entries": entries, "attachments": {}}


def fill(store: Store, first: int, made: list[dict]) -> None:
    save, _ = make(made[0], ACTOR)
    documents = Documents(store)
    for start in range(0, len(made), 500):
        with store.transaction(), documents.index.together():
            for number, state in enumerate(made[start : start + 500], first + start):
                documents.add(f"{number:032x}", state, save, ACTOR, 1_700_000_000)


def opened(folder: Path, name: str, *, plain: bool, create: bool) -> Store:
    path = folder / f"{name}.db"
    return Store.open_plain(path, create=create) if plain else Store.open(path, KEY, create=create)


def inserted(folder: Path, made: list[dict], rounds: int) -> Row:
    """Each round fills two new stores, one after the other."""
    ratios = []
    for number in range(rounds):
        seconds = {}
        for plain in (False, True) if number % 2 else (True, False):
            store = opened(folder, f"insert-{number}-{plain}", plain=plain, create=True)
            seconds[plain] = timed(lambda store=store: fill(store, 0, made))  # type: ignore[misc]
            store.close()
        ratios.append(seconds[False] / seconds[True])
    rate = len(made) / seconds[False]
    return Row("store: bulk insert, encrypted / plain", median(ratios), 1.6, detail=f"{rate:.0f} documents/s encrypted")


def read(folder: Path, made: list[dict], rounds: int) -> Iterable[Row]:
    stores = {plain: opened(folder, f"read-{plain}", plain=plain, create=True) for plain in (True, False)}
    for store in stores.values():
        fill(store, 0, made)
    chooser = random.Random(5)
    ids = [f"{chooser.randrange(len(made)):032x}" for _ in range(min(2000, len(made)))]

    def points_and_search(store: Store) -> None:
        documents = Documents(store)
        for document_id in ids:
            documents.state(document_id)
        for query in QUERIES:
            documents.search(query, 50)

    for store in stores.values():
        points_and_search(store)
    ratios = []
    for number in range(rounds):
        seconds = {
            plain: timed(lambda plain=plain: points_and_search(stores[plain]))  # type: ignore[misc]
            for plain in ((False, True) if number % 2 else (True, False))
        }
        ratios.append(seconds[False] / seconds[True])
    yield Row("store: warm point reads + search, encrypted / plain", median(ratios), 1.1)
    for store in stores.values():
        store.close()
    yield from scan(folder, rounds)


def scan(folder: Path, rounds: int) -> Iterable[Row]:
    """Every document through a fresh connection: nothing is in the cache, every page is decrypted."""

    def every_document(store: Store) -> None:
        for _ in Documents(store).states():
            pass

    def pages_only(store: Store) -> None:
        store.row("SELECT sum(length(state)), (SELECT sum(length(save)) FROM replica) FROM content")

    for name, act, limit in (("of every document", every_document, 2.0), ("of bare pages in SQL", pages_only, None)):
        ratios = []
        for number in range(rounds):
            seconds = {}
            for plain in (False, True) if number % 2 else (True, False):
                store = opened(folder, f"read-{plain}", plain=plain, create=False)
                seconds[plain] = timed(lambda store=store, act=act: act(store))  # type: ignore[misc]
                store.close()
            ratios.append(seconds[False] / seconds[True])
        yield Row(f"store: scan {name} from disk, encrypted / plain", median(ratios), limit)


def grown(folder: Path, sizes: tuple[int, ...]) -> Iterable[Row]:
    """One store that grows: the search and the page must not."""
    store = opened(folder, "grown", plain=False, create=True)
    documents = Documents(store)
    have = 0
    first_page = 0.0
    every = list(states(sizes[-1]))
    for size in sizes:
        fill(store, have, every[have:size])
        have = size
        seconds = []
        for query in QUERIES:
            seconds += repeated(lambda query=query: documents.search(query, 50), 20)  # type: ignore[misc]
        slowest = max((timed(lambda query=query: documents.search(query, 50)), query) for query in QUERIES)[1]  # type: ignore[misc]
        yield Row(
            f"search p95 at {size:,} documents", percentile(seconds, 0.95) * 1e3, 50, unit="ms",
            detail=f"slowest query {slowest!r}; p50 {percentile(seconds, 0.5) * 1e3:.2f} ms",
        )  # fmt: skip
        narrowed = [
            Wanted(type_code="34112-3"), Wanted(since="2005-03", until="2006-02"), Wanted(author="patient"),
            Wanted("34112-3", "1990", "2000", "bilan"),
        ]  # fmt: skip
        seconds = []
        for query in QUERIES:
            for wanted in narrowed:
                seconds += repeated(lambda query=query, wanted=wanted: documents.search(query, 50, wanted), 5)  # type: ignore[misc]
        yield Row(
            f"search by type, dates, author: p95 at {size:,}", percentile(seconds, 0.95) * 1e3, 50, unit="ms",
            detail=f"p50 {percentile(seconds, 0.5) * 1e3:.2f} ms",
        )  # fmt: skip
        middle = documents.page(kind="", type_code="", year="2005", before=None, limit=1)[0].place

        def page_there(middle: int = middle) -> None:
            if len(documents.page(kind="", type_code="", year="", before=middle, limit=100)) != 100:
                raise RuntimeError("the page in the middle is not full: pages of two lengths are not compared")

        page = median(repeated(page_there, 50))
        first_page = first_page or page
        yield Row(
            f"timeline page in the middle of {size:,}, against {sizes[0]:,}", page / first_page, 1.5,
            detail=f"{page * 1e3:.2f} ms for 100 lines",
        )  # fmt: skip
    store.close()


def unlocked(folder: Path, rounds: int) -> Row:
    """Everything that unlock does besides Argon2id, on a vault with documents in it."""
    vault, _ = Vault.create(folder / "vault", name="Martin Léa", passphrase="sept lampes vertes")
    made = list(states(500))
    fill(vault.store, 0, made)
    vault.lock()
    real = primitives.derive_passphrase_key
    known: dict[tuple[object, ...], bytes] = {}

    def remembered(*asked: object) -> bytes:
        if asked not in known:
            known[asked] = real(*asked)  # type: ignore[arg-type]
        return known[asked]

    primitives.derive_passphrase_key = remembered  # type: ignore[assignment]
    try:
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            opened_vault = Vault.unlock(folder / "vault", "sept lampes vertes")
            seconds.append(time.perf_counter() - start)
            opened_vault.lock()
    finally:
        primitives.derive_passphrase_key = real
    return Row("unlock, over the key derivation", median(seconds[1:]) * 1e3, 5, unit="ms")


def main(quick: bool) -> Iterable[Row]:
    rounds, count = (1, 300) if quick else (7, 5_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield unlocked(folder, 3 if quick else 25)
        made = list(states(count))
        yield inserted(folder, made, rounds)
        yield from read(folder, made, rounds)
        yield from grown(folder, (300, 900) if quick else (1_000, 10_000, 100_000))
