"""The store: transactions, words, order in time, and what it says when the disk does not follow."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import PASSPHRASE
from vault import Attachment, Document, Entry, Vault
from vault.errors import InputRefused, NotFound, StorageFailed, VaultLocked
from vault.record import sha256_of
from vault.store import documents, searching, timeline, words
from vault.store.connection import Store, schema_files
from vault.store.grants import GrantStore
from vault.store.rows import Rows

KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "vault.db", KEY, create=True)
    yield made
    made.close()


def put(store: Store, name: str) -> None:
    store.run("INSERT INTO secret (name, value) VALUES (?, ?)", (name, b"x"))


def names(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT name FROM secret ORDER BY name")]


def attachment_of(data: bytes) -> Attachment:
    return Attachment(sha256_of(data), "text/plain", len(data), "a.txt")


def test_the_settings_are_the_measured_ones(store: Store) -> None:
    wanted = {
        "journal_mode": "wal", "synchronous": 2, "cache_size": -65536, "temp_store": 2, "foreign_keys": 1,
        "page_size": "4096",
    }  # fmt: skip
    assert {name: store.row(f"PRAGMA {name}")[0] for name in wanted} == wanted  # type: ignore[index]
    assert store.row("PRAGMA cipher_version") is not None
    assert store.row("PRAGMA user_version") == (len(schema_files()),)


def test_another_key_opens_nothing_and_says_nothing(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    put(store, "a")
    store.close()
    for key in (bytes(32), KEY[:-1] + b"\0"):
        with pytest.raises(StorageFailed):
            Store.open(store.path, key)
    with pytest.raises(StorageFailed):
        Store.open_plain(store.path)
    assert capfd.readouterr() == ("", "")
    again = Store.open(store.path, KEY)
    assert names(again) == ["a"]
    again.close()


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        Store.open(tmp_path / "nothing.db", KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction():
        put(store, "a")
        raise KeyError
    assert names(store) == []
    with store.transaction():
        put(store, "a")
        with store.transaction():
            put(store, "b")
    assert names(store) == ["a", "b"]


def test_a_failed_part_cannot_be_committed_by_the_whole(store: Store) -> None:
    with pytest.raises(StorageFailed), store.transaction():
        put(store, "a")
        try:
            with store.transaction():
                raise KeyError
        except KeyError:
            pass
    assert names(store) == []
    put(store, "b")
    assert names(store) == ["b"]


def test_foreign_errors_are_mapped(store: Store) -> None:
    put(store, "a")
    for sql in ("INSERT INTO secret VALUES ('a', 'x')", "SELECT nothing", "INSERT INTO nowhere VALUES (1)"):
        with pytest.raises(StorageFailed):
            store.run(sql)
    store.close()
    store.close()
    with pytest.raises(VaultLocked):
        names(store)


def test_a_reader_in_another_thread_waits_for_the_transaction(store: Store) -> None:
    seen: list[list[str]] = []
    inside = threading.Event()
    reader = threading.Thread(target=lambda: (inside.wait(5), seen.append(names(store))))
    reader.start()
    with store.transaction():
        put(store, "a")
        inside.set()
        reader.join(0.2)
        assert seen == []
        put(store, "b")
    reader.join(5)
    assert seen == [["a", "b"]]


def test_a_newer_vault_is_left_alone(store: Store, tmp_path: Path) -> None:
    put(store, "a")
    version = len(schema_files())
    store.rows(f"PRAGMA user_version = {version + 1}")
    store.close()
    with pytest.raises(StorageFailed, match="newer"):
        Store.open(store.path, KEY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vault.db"]


def test_every_earlier_schema_is_upgraded_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = schema_files()
    for version in range(1, len(files)):
        path = tmp_path / f"{version}.db"
        with monkeypatch.context() as patched:
            patched.setattr("vault.store.connection.schema_files", lambda version=version: files[:version])
            patched.setattr("vault.store.connection.schema_version", lambda version=version: version)
            old = Store.open(path, KEY, create=True)
            put(old, "kept")
            old.close()
        new = Store.open(path, KEY)
        assert names(new) == ["kept"]
        assert new.row("PRAGMA user_version") == (len(files),)
        new.close()
        copy = tmp_path / f"{version}.db.before-{len(files)}"
        with monkeypatch.context() as patched:
            patched.setattr("vault.store.connection.schema_files", lambda version=version: files[:version])
            patched.setattr("vault.store.connection.schema_version", lambda version=version: version)
            before = Store.open(copy, KEY)
            assert names(before) == ["kept"]
            before.close()


@pytest.mark.parametrize(("waits_for", "anew"), [("", []), ("aa", [(b"1",)]), ("bb", [])])
def test_grants_of_an_earlier_version_are_kept_and_owed_a_renewal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits_for: str, anew: list[tuple[bytes]]
) -> None:
    """What opened them is gone; the grants, who told whom and what is left to be done are not."""
    files, before = schema_files(), 10
    with monkeypatch.context() as patched:
        patched.setattr("vault.store.connection.schema_files", lambda: files[:before])
        patched.setattr("vault.store.connection.schema_version", lambda: before)
        old = Store.open(tmp_path / "v.db", KEY, create=True)
        old.run("INSERT INTO meta (key, value) VALUES ('telling', x'01')")
        for number, state in (("aa", "active"), ("bb", "ended")):
            columns = "number, person, sign, box, hash, name, role, body, half, reader, owner, relay, purpose, made"
            blobs = ", ".join([f"x'{number}'"] * 14)
            old.run(
                f'INSERT INTO given ({columns}, until, state, chain, "right") '
                f"VALUES ({blobs}, 9, '{state}', x'', 'read')"
            )
            old.run(f"INSERT INTO given_item VALUES (x'{number}', 0, x'{number * 16}', x'{number}', 'Lettre')")
        names_ = "number, issuer_sign, issuer_box, patient, purpose, relay, relay_key, grant_hash, half, reader"
        old.run(
            f'INSERT INTO visit ({names_}, "right", not_before, until, offline, received) '
            f"VALUES ({', '.join(['x' + chr(39) + 'cc' + chr(39)] * 10)}, 'edit', 0, 9, 0, 1)"
        )
        old.run("INSERT INTO visit_item VALUES (x'cc', x'dd', 4, x'01', x'02', x'03', x'77726170', 7)")
        if waits_for:
            old.run(
                "INSERT INTO outbox (relay, verb, address, arguments, belongs)"
                f" VALUES ('', 'append', x'00', x'a0', x'{waits_for}')"
            )
        old.run("DELETE FROM dirty")
        old.close()
    new = Store.open(tmp_path / "v.db", KEY)
    (item,) = GrantStore(new).visit_items(b"\xcc")
    assert (item.document, item.epoch, item.masked, item.label, item.opened) == (b"\xdd", 4, None, None, 7)
    assert new.rows("SELECT value FROM meta WHERE key = 'anew'") == anew
    assert new.rows("SELECT document, lost FROM owed") == [(b"\xaa" * 16, 1)]
    assert new.rows("SELECT name, key FROM dirty") == [("visit", "cc")]
    new.run("DELETE FROM dirty")
    new.run("UPDATE visit_item SET masked = x'00' WHERE number = x'cc'")
    assert new.rows("SELECT name, key FROM dirty") == [("visit", "cc")]
    new.close()


def test_a_grant_received_is_wiped_by_its_end_and_by_nothing_else(store: Store) -> None:
    """Another device that has it in the form of an earlier version, or in an earlier epoch, takes nothing away."""
    rows, number = Rows(store), b"\x0c" * 32
    item = {"document": bytes(16), "epoch": 4, "edition": bytes(32), "tag": bytes(16), "mailbox": bytes(32)}
    key = {"masked": bytes(32), "label": b"label"}
    held: dict[str, Any] = {
        "issuer_sign": bytes(32), "issuer_box": bytes(32), "patient": "Martin Léa", "right": "read", "purpose": "",
        "not_before": 0, "until": 9, "offline": 0, "relay": "https://relay.example", "relay_key": bytes(32),
        "grant_hash": bytes(32), "half": bytes(32), "reader": bytes(32), "state": "open", "received": 1,
        "items": [item | key],
    }  # fmt: skip
    assert rows.write("visit", number.hex(), held, shadowed=False)
    for other in (
        item | {"masked": None, "label": None},
        item | {"masked": None, "label": None, "epoch": 5},
        item | key | {"epoch": 3, "masked": b"\1" * 32},
    ):
        rows.write("visit", number.hex(), held | {"items": [other]}, shadowed=False)
        (kept,) = GrantStore(store).visit_items(number)
        assert (kept.epoch, kept.masked, kept.label) == (4, bytes(32), b"label")
    rows.write("visit", number.hex(), held | {"items": [item | key | {"epoch": 6}]}, shadowed=False)
    assert GrantStore(store).visit_items(number)[0].epoch == 6
    over = held | {"state": "ended", "half": None, "reader": None, "items": [item | {"masked": None, "label": None}]}
    rows.write("visit", number.hex(), over, shadowed=False)
    (kept,) = GrantStore(store).visit_items(number)
    assert (kept.masked, kept.label) == (None, None)


# --- words


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Œdème du cœur", "oedeme du coeur"),
        ("Ægyptus", "aegyptus"),
        ("ÉCHOGRAPHIE  abdominale, n°3", "echographie abdominale n 3"),
        ("l'aspirine 2,5mg", "l aspirine 2 5mg"),
        ("Straße Łódź", "strasse lodz"),
        ("e\u0301te\u0301", "ete"),
        ("_a__b_", "a b"),
        ("", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert words.fold(text) == folded
    assert words.fold(folded) == folded


@pytest.fixture
def library(vault: Vault) -> Vault:
    vault.add_many(
        (Document(title=title, date=date), {})
        for title, date in (
            ("Compte rendu de cardiologie : œdème aigu", "2021-03-01"),
            ("Échographie du cœur", "2023-05-01"),
            ("Ordonnance APIXABAN", "2022"),
            ("Échocardiographie", "2024-01-01"),
        )
    )
    return vault


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("echo", ["Échocardiographie", "Échographie du cœur"]),
        ("ECHOG", ["Échographie du cœur"]),
        ("coeur echo", ["Échographie du cœur"]),
        ("cœur", ["Échographie du cœur"]),
        ("oedeme", ["Compte rendu de cardiologie : œdème aigu"]),
        ("graphie", []),
        ("apixaban 2022", []),
        ("", []),
        ("   ", []),
        ("!?*", []),
    ],
)
def test_search_ignores_accents_and_finds_beginnings_newest_first(library: Vault, query: str, found: list[str]) -> None:
    assert [hit.summary.title for hit in library.search(query)] == found


def test_entries_and_text_are_searched_too(vault: Vault) -> None:
    section = vault.section("medications")
    vault.add_entry(section, "medication", {"label": "KARDÉGIC 75 mg", "substance": "acide acétylsalicylique"})
    document_id = vault.add(Document(title="CR", author="Dr Çelik", text="Patiente suivie pour un lupus."))
    assert [hit.summary.id for hit in vault.search("kardegic acety")] == [section]
    assert [hit.snippet for hit in vault.search("lupus")] == ["CR\nDr Çelik\nPatiente suivie pour un \x02lupus\x03."]
    assert [hit.summary.id for hit in vault.search("celik")] == [document_id]


def test_a_snippet_is_marked_in_the_original_spelling() -> None:
    assert words.excerpt("Un œdème", "oed") == "Un \x02œdème\x03"
    assert words.excerpt("Le CŒUR bat", "coeur") == "Le \x02CŒUR\x03 bat"
    assert words.excerpt("x" * 200 + " été " + "y" * 200, "ete").count("…") == 2
    assert words.excerpt("rien", "tout") == ""


@settings(max_examples=150, deadline=None)
@given(query=st.text(max_size=30))
@example('"')
@example("AND OR NOT NEAR")
@example("title:x* ^y -z (")
@example("x" * 5000)
@example("\x00é\ud7ff")
@example("𝒳 ٣ 漢字 ")
@example("َ")
def test_query_text_is_data(shared_library: Store, query: str) -> None:
    """Nothing that is typed is syntax: FTS5 takes every query that the folding makes."""
    asked = words.query(query)
    if asked:
        shared_library.rows("SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT 5", (asked,))
    words.excerpt(f"un {query} deux", query)


@pytest.fixture(scope="module")
def shared_library(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.open(tmp_path_factory.mktemp("library") / "vault.db", KEY, create=True)
    made.run("INSERT INTO search (rowid, words) VALUES (1, 'and or not near title x')")
    yield made
    made.close()


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40))
def test_every_word_of_a_text_finds_it(text: str) -> None:
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE s USING fts5 (w, detail = none, tokenize = 'ascii')")
    connection.execute("INSERT INTO s VALUES (?)", (words.fold(text),))
    for word in words.fold(text).split():
        assert connection.execute("SELECT count(*) FROM s WHERE s MATCH ?", (words.query(word),)).fetchone() == (1,)
    connection.close()


# --- time


def test_dates_sort_as_people_expect() -> None:
    added = 1_700_000_000  # 2023-11-14
    ordered = [
        "0001-01-01", "1899", "1970-01-01", "2019", "2019-05", "2019-05-01T08:00:00+02:00", "2019-05-01T06:30:00Z",
        "2019-05-02", "", "2024-02-30T00:00", "2031-12-01", "9999-12-31T23:59:59Z",
    ]  # fmt: skip
    places = [timeline.base_place(date, added) for date in ordered]
    unreadable = timeline.base_place("hier", added)
    assert unreadable == timeline.base_place("", added) == timeline.base_place("2024-02-30", added)
    assert places == sorted(places)
    assert places[0] >= 0 and places[-1] < 1 << 63


@settings(max_examples=200, deadline=None)
@given(date=st.text(max_size=25), added=st.integers(0, 4_000_000_000))
@example("0000-00-00", 0)
@example("0001-01-01T00:00:00+14:00", 0)
@example("9999-12-31T23:59:59-14:00", 0)
@example("2020-W01-1", 0)
def test_every_date_has_a_place(date: str, added: int) -> None:
    assert 0 <= timeline.base_place(date, added) < 1 << 63


def test_pages_hold_everything_once(vault: Vault) -> None:
    chooser = random.Random(3)
    dates = [f"20{chooser.randrange(30):02}-0{chooser.randrange(1, 10)}-11" for _ in range(230)] + ["", "2020", "x"] * 5
    vault.add_many((Document(title=str(number), date=date), {}) for number, date in enumerate(dates))
    seen: list[str] = []
    places: list[int] = []
    before = None
    while True:
        page = vault.list(before=before, limit=37)
        seen += [line.id for line in page.documents]
        places += [line.place for line in page.documents]
        if page.next is None:
            break
        before = page.next
    assert len(seen) == len(set(seen)) == len(dates)
    assert places == sorted(places, reverse=True)


def test_a_page_of_a_year_a_kind_a_type(vault: Vault) -> None:
    for date, code in (("2020-01-01T00:30:00+02:00", "11488-4"), ("2020-12-31T23:30:00-05:00", "x"), ("2021", "x")):
        vault.add(Document(title=date, date=date, type_code=code))
    vault.section("allergies")
    assert {line.date[:4] for line in vault.list(year="2020").documents} == {"2020"}
    assert len(vault.list(year="2020").documents) == 2
    assert [line.title for line in vault.list(type_code="x", year="2021").documents] == ["2021"]
    assert len(vault.list(kind="allergies").documents) == 1
    for year in ("abcd", "20", "0000", "99999"):
        assert vault.list(year=year).documents == ()


def test_ten_thousand_documents_of_one_second_keep_their_order(vault: Vault) -> None:
    ids = vault.add_many((Document(title=str(number), date="2020-01-01"), {}) for number in range(600))
    assert [line.id for line in vault.list(limit=600).documents] == ids[::-1]


def test_bulk_insert_is_what_one_by_one_is(vault: Vault) -> None:
    entry = Entry("a" * 32, "result", {"label": "Hémoglobine", "value": "13,2", "unit": "g/dL"})
    (document_id,) = vault.add_many([(Document(title="Bilan", entries=(entry,)), {})])
    other = vault.add(Document(title="Bilan", entries=(entry,)))
    assert vault.read(document_id) == vault.read(other).with_id(document_id)
    assert vault.list().documents[0].counts["results"] == 1


def test_late_changes_of_an_ended_epoch_stay_in_its_archive(vault: Vault) -> None:
    from vault.replica import edit, make

    section = vault.section("medications")
    old = vault.documents.replica(section)
    save, _ = make(vault.documents.flat(section), b"E" * 16)
    assert vault.documents.start_epoch(section, save, b"E" * 16) == 1
    assert vault.documents.replica_save(section, 0) == old.save
    late, _ = edit(old.save, b"L" * 16, [("set", ("meta", "title"), "late")])
    vault.documents.archive(section, 0, late)
    assert vault.documents.replica_save(section, 0) == late
    with pytest.raises(NotFound):
        vault.documents.replica_save(section, 7)
    vault.add_entry(section, "medication", {"label": "x"})
    assert vault.documents.epoch(section) == 1
    assert vault.store.row("SELECT count(*), max(author), max(epoch) FROM change") == (1, vault.holder_name, 1)


def test_a_replica_is_written_out_when_somebody_writes(vault: Vault) -> None:
    """Until then it is the one change that makes the state, and the same one whenever it is asked for."""
    from vault.replica import changes, flatten, make

    def kept(document_id: str) -> tuple[bytes, bytes]:
        (row,) = vault.store.rows(
            "SELECT save, actor FROM replica JOIN document ON document = number WHERE id = ?",
            (bytes.fromhex(document_id),),
        )
        return row

    fields = {"label": "Amlodipine", "negated": True, "value": "œ"}
    document = Document(title="Z", author="A", entries=(Entry("", "medication", fields),))
    section, large = vault.add(document), vault.add(Document(title="Long", text="x" * documents.LATER))
    save, actor = kept(section)
    assert save == actor and len(kept(large)[0]) > documents.ACTOR
    first = vault.documents.replica(section)
    assert first.save == make(vault.documents.flat(section), actor)[0] == vault.documents.replica_save(section, 0)
    assert flatten(first.save) == vault.documents.flat(section) and vault.untouched(section)
    # A copy that was put back writes under another actor: what was told of the first change stays true.
    vault.store.run("UPDATE replica SET actor = ?", (b"P" * 16,))
    assert vault.documents.replica(section) == documents.Replica(first.save, 0, b"P" * 16)
    vault.amend(section, {"title": "Y"})
    assert changes(vault.documents.replica(section).save)[0] == changes(first.save)[0]
    assert kept(section)[0] == vault.documents.replica(section).save

    other = vault.add(document)
    before = vault.documents.replica(other).save
    edition, _ = make(vault.documents.flat(other), b"E" * 16)
    vault.documents.start_epoch(other, edition, b"E" * 16)
    assert vault.documents.archived(other) == [(0, before)]


def test_a_part_of_a_transaction_fails_alone(vault: Vault) -> None:
    """Whatever was written in the part is gone, with its search row; the rest is committed."""
    with vault.batch() as batch:
        kept = batch.add(Document(title="Gardé"))
        with pytest.raises(InputRefused), batch.part():
            batch.add(Document(title="Perdu", attachments=(attachment_of(b"x"),)), {sha256_of(b"x"): b"x"})
            raise InputRefused("not this one")
        with batch.part():
            after = batch.add(Document(title="Après"))
    assert [item.id for item in vault.list().documents] == [after, kept]
    assert not vault.search("perdu")
    assert not list((vault.path / "attachments").iterdir())


def test_a_batch_that_fails_leaves_nothing(vault: Vault) -> None:
    with pytest.raises(KeyError), vault.batch() as batch:
        batch.add(Document(title="Un", attachments=(attachment_of(b"x"),)), {sha256_of(b"x"): b"x"})
        raise KeyError
    assert vault.count() == 0
    assert not list((vault.path / "attachments").iterdir())


def test_what_is_indexed_in_a_part_that_fails_is_indexed_again(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that waited from before the part were written in it, and taken back with it."""
    monkeypatch.setattr(searching, "MOST", 2)
    with vault.batch() as batch:
        batch.add(Document(title="Premier", date="2024-05-01"))
        with pytest.raises(InputRefused), batch.part():
            batch.add(Document(title="Perdu", date="2021-05-01"))
            batch.add(Document(title="Perdu encore", date="2022-05-01"))
            raise InputRefused("not this one")
        with batch.part():
            batch.add(Document(title="Dernier", date="2020-05-01"))
    found = {word: [hit.summary.title for hit in vault.search(word)] for word in ("premier", "perdu", "dernier")}
    assert found == {"premier": ["Premier"], "perdu": [], "dernier": ["Dernier"]}
    assert vault.store.row("SELECT count(*) FROM search") == (2,)


def test_a_savepoint_of_its_own_is_a_transaction(vault: Vault) -> None:
    with pytest.raises(KeyError), vault.store.savepoint():
        vault.set_meta("probe", "x")
        raise KeyError
    assert vault.meta("probe") == ""
    with vault.store.savepoint():
        vault.set_meta("probe", "y")
    assert vault.meta("probe") == "y"


def test_a_failed_part_does_not_poison_the_transaction_but_a_failed_inner_transaction_does(vault: Vault) -> None:
    with vault.store.transaction():
        vault.set_meta("outer", "1")
        with pytest.raises(KeyError), vault.store.savepoint(), vault.store.transaction():
            vault.set_meta("inner", "1")
            raise KeyError
    assert (vault.meta("outer"), vault.meta("inner")) == ("1", "")
    inner = pytest.raises(KeyError)
    with pytest.raises(StorageFailed), vault.store.transaction(), inner, vault.store.transaction():
        raise KeyError


@pytest.fixture
def shelf(vault: Vault) -> Vault:
    vault.add_many(
        (Document(title=title, date=date, author=author, type_code=kind, text="bilan sanguin"), {})
        for title, date, author, kind in (
            ("A", "2024-03-15T23:30:00-05:00", "Dr Élodie Martin-Dupont", "11502-2"),
            ("B", "2024-03-15", "Dr Paul Œuvrard", "11502-2"),
            ("C", "2024-03", "Dr Paul Œuvrard", "34112-3"),
            ("D", "2023-12-31T23:59:59+02:00", "Laboratoire Dupont", "11502-2"),
            ("E", "", "Dr Paul Œuvrard", "34112-3"),
        )
    )
    return vault


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ({}, "EABCD"),
        ({"type_code": "11502-2"}, "ABD"),
        ({"author": "dupont"}, "AD"),
        ({"author": "elodie dup"}, "A"),
        ({"author": "oeuv"}, "EBC"),
        ({"since": "2024"}, "ABC"),
        ({"until": "2023"}, "D"),
        ({"since": "2024-03-15", "until": "2024-03-15"}, "AB"),
        ({"since": "2024-03", "until": "2024-03"}, "ABC"),
        ({"since": "2023-12-31", "until": "2023-12-31", "author": "labo", "type_code": "11502-2"}, "D"),
        ({"until": "2024-03-14"}, "CD"),
        ({"author": "nobody"}, ""),
        ({"type_code": "x"}, ""),
    ],
)
@pytest.mark.parametrize("asked", ["bil", ""])
def test_search_is_narrowed(shelf: Vault, wanted: dict[str, str], titles: str, asked: str) -> None:
    found = shelf.search(asked, **wanted)
    assert "".join(hit.summary.title for hit in found) == (titles if asked or wanted else "")
    assert not shelf.search("absent", **wanted)


def test_narrowing_never_loses_what_is_far_behind(vault: Vault) -> None:
    """The author asked for stands in every text, and wrote one old document."""
    vault.add_many(
        (Document(title=f"{number}", date=f"2020-01-{1 + number % 28:02}", author="Autre", text="vu par Rare"), {})
        for number in range(300)
    )
    old = vault.add(Document(title="vieux", date="1999-05-05", author="Rare"))
    assert [hit.summary.id for hit in vault.search("", author="rare", limit=3)] == [old]
    assert [hit.summary.id for hit in vault.search("vu", author="rare", limit=3)] == []


@pytest.mark.parametrize("date", ["15/03/2024", "2024-13", "20240315", "2024-03-15T10:00", "2024-02-30", "0000"])
def test_a_search_by_what_is_no_day_is_refused(vault: Vault, date: str) -> None:
    with pytest.raises(InputRefused):
        vault.search("x", since=date)


def test_an_index_of_an_older_vault_is_filled_again(shelf: Vault) -> None:
    """As the upgrade leaves it: marked, and holding less than it should."""
    path = shelf.path
    with shelf.store.transaction():
        shelf.store.run("INSERT INTO search (search) VALUES ('delete-all')")
        shelf.set_meta("index-again", b"\x01")
    assert not shelf.search("bil")
    shelf.lock()
    with Vault.unlock(path, PASSPHRASE) as again:
        assert "".join(hit.summary.title for hit in again.search("bil", author="dupont")) == "AD"
        assert not again.meta("index-again")


def test_what_an_earlier_version_remembered_of_granted_channels_moves_to_their_issuer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it remembered of its own mailboxes stays, also where a grant names one."""
    files = schema_files()
    with monkeypatch.context() as patched:
        patched.setattr("vault.store.connection.schema_files", lambda: files[:13])
        patched.setattr("vault.store.connection.schema_version", lambda: 13)
        old = Store.open(tmp_path / "v.db", KEY, create=True)
        old.run(
            "INSERT INTO visit (number, issuer_sign, issuer_box, patient, purpose, relay, relay_key, grant_hash,"
            ' "right", not_before, until, offline, received) VALUES'
            " (x'01', x'00aa', x'', '', '', '', x'00bb', x'', 'edit', 0, 9, 0, 1)"
        )
        for document, mailbox in ((b"d", b"\x00channel"), (b"e", b"inbox")):
            old.run(
                "INSERT INTO visit_item (number, document, epoch, edition, tag, mailbox)"
                " VALUES (x'01', ?, 1, x'', x'', ?)",
                (document, mailbox),
            )
        old.run("INSERT INTO mailbox (address, relay, kind, chain) VALUES (?, '', 'inbox', x'')", (b"inbox",))
        for mailbox in (b"\x00channel", b"inbox"):
            old.run("INSERT INTO link VALUES (?, 7, x'c0', x'50')", (mailbox,))
            old.run("INSERT INTO sender VALUES (?, x'de', 3, x'ad')", (mailbox,))
        old.close()
    new = Store.open(tmp_path / "v.db", KEY)
    place = b"\x00\xaa\x00\xbb\x00channel"
    for table in ("link", "sender"):
        held = {row[0] for row in new.rows(f"SELECT mailbox FROM {table}")}
        assert {place, b"inbox"} <= held and b"\x00channel" not in held
    assert new.rows("SELECT position, chain, signed FROM link WHERE mailbox = ?", (place,)) == [(7, b"\xc0", b"\x50")]
    new.close()
