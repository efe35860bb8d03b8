"""Replicas: everybody ends with the same document, nobody's writing is lost, no foreign change gets by unchecked."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault import chunk, replica
from vault.errors import ForeignChange, InputRefused, Malformed, NotFound, TooLarge
from vault.replica import Change, edit, flatten, make, merge
from vault.shape import check_state, to_document, to_state, weight

ENTRY, OTHER = "0" * 31 + "1", "0" * 31 + "2"
PATIENT, DOCTOR, NURSE = b"P" * 16, b"D" * 16, b"N" * 16
STATE = {
    "meta": {"kind": "medications", "title": "Traitements"},
    "entries": {
        ENTRY: {"kind": "medication", "label": "BISOPROLOL", "dose": "1/j", "negated": False},
        OTHER: {"kind": "medication", "label": "APIXABAN", "dose": "2/j"},
    },
    "attachments": {},
}


def base() -> tuple[bytes, Change]:
    return make(STATE, b"B" * 16)


def set_dose(save: bytes, actor: bytes, dose: str, entry: str = ENTRY) -> tuple[bytes, Change]:
    made, change = edit(save, actor, [("set", ("entries", entry, "dose"), dose)])
    assert change is not None
    return made, change


def test_a_document_survives_its_replica() -> None:
    save, change = base()
    assert flatten(save) == STATE
    assert change.data[8] == 1
    assert change.hash == hashlib.sha256(change.data[8:]).digest()
    assert to_state(to_document(STATE)) == STATE


def test_an_edition_opens_an_empty_replica() -> None:
    _, change = base()
    assert merge(b"", [change]).state == STATE


def test_a_long_text_travels_uncompressed() -> None:
    save, _ = base()
    _, change = edit(save, PATIENT, [("set", ("meta", "text"), "bonjour " * 5000)])
    assert change is not None
    assert len(change.data) > 40_000
    assert merge(save, [change]).state["meta"]["text"] == "bonjour " * 5000


def test_edits_that_change_nothing_make_no_change() -> None:
    save, _ = base()
    assert edit(save, PATIENT, [("set", ("meta", "title"), "Traitements"), ("delete", ("meta", "text"))]) == (
        save,
        None,
    )


def test_edits_of_two_people_both_survive() -> None:
    save, _ = base()
    mine, my_change = set_dose(save, PATIENT, "half")
    theirs, their_change = set_dose(save, DOCTOR, "double", OTHER)
    one, two = merge(mine, [their_change]), merge(theirs, [my_change])
    assert one.state == two.state
    assert (one.state["entries"][ENTRY]["dose"], one.state["entries"][OTHER]["dose"]) == ("half", "double")
    assert one.conflicts == ()


def test_a_conflict_shows_both_sides_with_their_authors_until_it_is_settled() -> None:
    save, _ = base()
    mine, my_change = set_dose(save, PATIENT, "half")
    _, their_change = set_dose(save, DOCTOR, "double")
    merged = merge(mine, [their_change])
    (clash,) = merged.conflicts
    assert clash.path == ("entries", ENTRY, "dose")
    assert {(side.value, side.actor, side.change) for side in clash.sides} == {
        ("half", PATIENT, my_change.hash),
        ("double", DOCTOR, their_change.hash),
    }
    assert clash.sides[0].value == merged.state["entries"][ENTRY]["dose"]
    elsewhere, _ = edit(merged.save, PATIENT, [("set", ("meta", "author"), "me")])
    assert replica.conflicts(elsewhere) == (clash,)
    settled, _ = set_dose(elsewhere, PATIENT, "one and a half")
    assert replica.conflicts(settled) == ()


def test_two_people_who_write_the_same_do_not_disagree() -> None:
    save, _ = base()
    mine, _ = set_dose(save, PATIENT, "half")
    _, change = set_dose(save, DOCTOR, "half")
    assert merge(mine, [change]).conflicts == ()


def test_an_amendment_brings_back_an_entry_removed_at_the_same_time() -> None:
    save, _ = base()
    mine, removal = edit(save, PATIENT, [("delete", ("entries", ENTRY))])
    assert ENTRY not in flatten(mine)["entries"]
    theirs, amendment = set_dose(save, DOCTOR, "double")
    assert removal is not None
    for merged in (merge(mine, [amendment]), merge(theirs, [removal])):
        assert merged.state["entries"][ENTRY] == {**STATE["entries"][ENTRY], "dose": "double"}


def test_a_removed_entry_is_gone_for_those_who_knew() -> None:
    save, _ = base()
    mine, change = set_dose(save, DOCTOR, "double")
    mine, removal = edit(merge(save, [change]).save, PATIENT, [("delete", ("entries", ENTRY))])
    assert removal is not None
    merged = merge(save, [removal, change])
    assert ENTRY not in merged.state["entries"]
    assert merged.conflicts == ()
    with pytest.raises(NotFound):
        set_dose(mine, PATIENT, "x")


def test_missing_dependencies_are_told_and_nothing_is_queued() -> None:
    save, _ = base()
    after_one, first = set_dose(save, DOCTOR, "1")
    _, second = set_dose(after_one, DOCTOR, "2")
    merged = merge(save, [second])
    assert (merged.applied, merged.missing, merged.waiting) == ((), (first.hash,), (second.hash,))
    assert merged.state == STATE
    assert merge(merged.save, [second, first]).applied == (first.hash, second.hash)
    assert merge(merged.save, [first]).state["entries"][ENTRY]["dose"] == "1"


def test_what_is_known_is_not_applied_again() -> None:
    save, first = base()
    made, change = set_dose(save, DOCTOR, "1")
    again = merge(made, [change, first])
    assert (again.applied, set(again.known), again.state) == ((), {change.hash, first.hash}, flatten(made))


VALUES = st.one_of(st.text("abé", max_size=5), st.integers(-(2**53) + 1, 2**53 - 1), st.booleans())
FIELDS = st.sampled_from(["label", "dose", "note", "value"])
EDITS = st.one_of(
    st.tuples(st.just("set"), st.tuples(st.just("entries"), st.sampled_from([ENTRY, OTHER]), FIELDS), VALUES),
    st.tuples(st.just("delete"), st.tuples(st.just("entries"), st.sampled_from([ENTRY, OTHER]), FIELDS)),
    st.tuples(st.just("delete"), st.tuples(st.just("entries"), st.sampled_from([ENTRY, OTHER]))),
    st.tuples(
        st.just("set"), st.tuples(st.just("meta"), st.sampled_from(["title", "author"])), st.text("xy", max_size=3)
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), EDITS),
        st.tuples(st.integers(0, 2), st.integers(0, 2)),  # the first takes what the second has
    ),
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_replicas_converge_whatever_the_order(steps: list, order: object) -> None:
    save, _ = base()
    saves = [save, save, save]
    actors = (PATIENT, DOCTOR, NURSE)
    for who, what in steps:
        if isinstance(what, int):
            saves[who] = merge(saves[who], replica.changes(saves[what])).save
            continue
        try:
            saves[who], _ = edit(saves[who], actors[who], [what])
        except NotFound:
            continue
    everything = [change for made in saves for change in replica.changes(made)]
    ends = []
    for made in saves:
        order.shuffle(everything)  # type: ignore[attr-defined]
        ends.append(merge(made, everything))
    assert ends[0].state == ends[1].state == ends[2].state
    assert ends[0].conflicts == ends[1].conflicts == ends[2].conflicts
    assert not any(end.missing or end.waiting for end in ends)
    for clash in ends[0].conflicts:
        assert len({(type(side.value), side.value) for side in clash.sides}) > 1
    check_state(ends[0].state)


@pytest.mark.parametrize(
    "item",
    [
        ("set", ("meta", "unknown"), "x"),
        ("set", ("meta", "title"), 5),
        ("set", ("meta", "title"), "x" * 1001),
        ("set", ("meta", "title"), 1.5),
        ("set", ("entries", "not an id", "label"), "x"),
        ("set", ("entries", "a" * 32), {"label": "no kind"}),
        ("set", ("entries", "a" * 32), {"kind": "nonsense"}),
        ("set", ("attachments", "a" * 64), {"media_type": "text/plain", "size": -1}),
        ("set", ("entries", ENTRY, "dose"), 1 << 53),
    ],
)
def test_a_local_edit_no_reader_would_understand_is_refused(item: tuple) -> None:
    save, _ = base()
    with pytest.raises((InputRefused, NotFound)):
        edit(save, PATIENT, [item])


def test_a_replica_has_bounds() -> None:
    save, _ = base()
    with pytest.raises(InputRefused):
        edit(save, PATIENT, [("set", ("meta", "text"), "x" * (chunk.MAX_CHUNK + 1))])
    with pytest.raises(InputRefused):
        make({**STATE, "entries": {f"{n:032x}": {"kind": "note"} for n in range(20_001)}}, PATIENT)


# --- hostile changes


def rebuilt(kind: int, content: bytes) -> bytes:
    """A chunk with a correct length and checksum round any content."""
    body = bytes([kind]) + replica._leb(len(content)) + content
    return chunk.MAGIC + hashlib.sha256(body).digest()[:4] + body


def content_of(data: bytes) -> bytes:
    at = 9
    while data[at] & 0x80:
        at += 1
    return data[at + 1 :]


def claim_of(data: bytes, like: Change) -> Change:
    return like._replace(hash=hashlib.sha256(data[8:]).digest(), data=data)


def test_every_bit_of_a_change_counts() -> None:
    save, _ = base()
    _, change = set_dose(save, DOCTOR, "double")
    for bit in range(len(change.data) * 8):
        data = bytearray(change.data)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ForeignChange) as caught:
            merge(save, [change._replace(data=bytes(data))])
        assert caught.value.facts["change"] == change.hash.hex()


@pytest.mark.parametrize(
    "lie",
    [{"hash": bytes(32)}, {"actor": NURSE}, {"seq": 2}, {"deps": ()}, {"deps": (bytes(32),)}, {"data": b""}],
    ids=str,
)
def test_a_claim_that_differs_from_its_change_is_refused(lie: dict) -> None:
    save, _ = base()
    _, change = set_dose(save, DOCTOR, "double")
    with pytest.raises(ForeignChange):
        merge(save, [change._replace(**lie)])


def test_a_compressed_change_is_refused() -> None:
    save, _ = base()
    _, change = edit(save, DOCTOR, [("set", ("meta", "text"), "x" * 5000)])
    assert change is not None
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = squeezer.compress(content_of(change.data)) + squeezer.flush()
    body = bytes([2]) + replica._leb(len(small)) + small
    compressed = chunk.MAGIC + change.data[4:8] + body
    for claim in (change._replace(data=compressed), claim_of(compressed, change), claim_of(rebuilt(2, small), change)):
        with pytest.raises(ForeignChange):
            merge(save, [claim])


def test_the_chunk_itself_says_whether_it_is_whole() -> None:
    """Without any claim to compare with: type, checksum, length and end."""
    _, change = base()
    content = content_of(change.data)
    assert chunk.read_header(rebuilt(1, content)).hash == change.hash
    wrong_checksum = change.data[:4] + bytes(4) + change.data[8:]
    for data in (rebuilt(0, content), rebuilt(2, content), wrong_checksum, rebuilt(1, content + b"\0"), b"", b"x" * 99):
        with pytest.raises(chunk.Malformed):
            chunk.read_header(data)
    with pytest.raises(chunk.TooLarge):
        chunk.read_header(change.data, limit=len(change.data) - 1)


def test_a_column_that_announces_more_than_the_chunk_could_hold_is_not_unrolled() -> None:
    _, change = base()
    header = chunk.read_header(change.data)
    million = header._replace(columns={0x42: b"\xc0\x84\x3d\x01", 0x15: b"\xc0\x84\x3d\x01x"})
    with pytest.raises(chunk.Malformed, match="more operations"):
        chunk.read_operations(million)


def test_what_automerge_drops_in_silence_is_not_taken_for_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    save, _ = base()
    _, change = set_dose(save, DOCTOR, "double")

    class Dropping:
        @staticmethod
        def decode(data: bytes) -> object:
            return real.decode(b"\x42\0\0\0\0")

    real = replica.Message
    monkeypatch.setattr(replica, "Message", Dropping)
    with pytest.raises(ForeignChange):
        merge(save, [change])


def test_nobody_writes_under_this_devices_actor() -> None:
    save, _ = base()
    mine, _ = set_dose(save, PATIENT, "mine")
    _, forged = set_dose(save, PATIENT, "forged")
    with pytest.raises(ForeignChange):
        merge(save, [forged], own=PATIENT)
    with pytest.raises(ForeignChange):
        merge(mine, [forged])


def test_equivocating_device_two_changes_under_one_number() -> None:
    save, _ = base()
    _, one = set_dose(save, DOCTOR, "one")
    _, two = set_dose(save, DOCTOR, "two")
    with pytest.raises(ForeignChange):
        merge(save, [one, two])
    with pytest.raises(ForeignChange):
        merge(merge(save, [one]).save, [two])


@pytest.mark.parametrize("start", [16, 2**31, 2**32 - 3])
def test_nobody_can_use_up_the_numbers_of_operations(start: int) -> None:
    """Operations are counted in 32 bits: after one near the end Automerge panics at the holder's next word."""
    save, _ = base()
    _, change = set_dose(save, DOCTOR, "one")
    honest = chunk.read_header(change.data)
    content = content_of(change.data)
    at = content.index(DOCTOR) + 16  # its number, then the first operation's
    assert (content[at], content[at + 1]) == (1, honest.start)
    skipping = rebuilt(1, content[: at + 1] + replica._leb(start) + content[at + 2 :])
    assert chunk.read_header(skipping).start == start
    with pytest.raises(ForeignChange, match="skip numbers"):
        merge(save, [claim_of(skipping, change)])
    assert merge(save, [change]).applied == (change.hash,)


def hostile(write: object) -> tuple[bytes, Change]:
    """A change made with Automerge itself, by a device that does not keep to the rules."""
    save, _ = base()
    document = replica.Document.load(save)
    document.set_actor(DOCTOR)
    before = document.get_heads()
    with document.transaction() as transaction:
        write(transaction)  # type: ignore[operator]
    return save, replica._change(document.get_changes(before)[0])


def part(transaction: object, name: str) -> bytes:
    return transaction.get(replica.ROOT, name)[1]  # type: ignore[attr-defined, no-any-return]


S = replica.ScalarType
HOSTILE = {
    "float": lambda t: t.put(part(t, "meta"), "title", S.F64, 1.5),
    "bytes": lambda t: t.put(part(t, "meta"), "title", S.Bytes, b"x"),
    "unsigned": lambda t: t.put(part(t, "meta"), "title", S.Uint, 5),
    "list": lambda t: t.put_object(part(t, "meta"), "title", replica.ObjType.List),
    "text object": lambda t: t.put_object(part(t, "meta"), "title", replica.ObjType.Text),
    "list element": lambda t: t.insert(t.put_object(part(t, "meta"), "x", replica.ObjType.List), 0, S.Int, 1),
    "root": lambda t: t.put(replica.ROOT, "meta", S.Str, "gone"),
    "root removed": lambda t: t.delete(replica.ROOT, "entries"),
    "unknown field": lambda t: t.put(part(t, "meta"), "unknown", S.Str, "x"),
    "wrong type": lambda t: t.put(part(t, "meta"), "title", S.Int, 1),
    "other kind": lambda t: t.put(part(t, "meta"), "kind", S.Str, "clinical"),
    "entry is text": lambda t: t.put(part(t, "entries"), "a" * 32, S.Str, "x"),
    "nested": lambda t: t.put_object(t.put_object(part(t, "entries"), "a" * 32, replica.ObjType.Map), "kind",
                                     replica.ObjType.Map),
    "long key": lambda t: t.put(part(t, "meta"), "k" * 65, S.Str, "x"),
    "long title": lambda t: t.put(part(t, "meta"), "title", S.Str, "x" * 1001),
    "great number": lambda t: t.put(part(t, "meta"), "title", S.Int, 1 << 60),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_change_that_elpis_does_not_write_is_refused(name: str) -> None:
    save, change = hostile(HOSTILE[name])
    with pytest.raises(ForeignChange):
        merge(save, [change])


def test_crdt_panic_a_counter_is_refused_before_automerge() -> None:
    """Automerge panics when it reads one; here an ordinary number is relabelled as a counter."""
    save, change = hostile(lambda t: t.put(part(t, "meta"), "title", S.Int, 5))
    content = content_of(change.data)
    assert content.count(b"\x14") == 1
    with pytest.raises(ForeignChange):
        merge(save, [claim_of(rebuilt(1, content.replace(b"\x14", b"\x18")), change)])


def test_an_edition_is_read_as_strictly_as_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first change of a replica may build its root; everything else about operations holds for it too."""
    state = {"meta": {"kind": "medications"}, "entries": {ENTRY: {"kind": "medication", "negated": True}}}
    _, change = make({**state, "attachments": {}}, DOCTOR)
    content = content_of(change.data)
    applied: list[object] = []
    monkeypatch.setattr(replica, "_apply", lambda *given: applied.append(given))
    for at in range(60, len(content)):
        for value in (b"\x08", b"\x18", b"\xc0\x84\x3d"):  # a counter's kind, a list's action, a million repetitions
            data = rebuilt(1, content[:at] + value + content[at + 1 :])
            try:
                chunk.read_operations(chunk.read_header(data))
            except (Malformed, TooLarge):
                with pytest.raises(ForeignChange):
                    merge(b"", [claim_of(data, change)])
    assert not applied


def test_crdt_bomb_more_operations_than_bytes_is_refused_before_automerge() -> None:
    """A run-length column can announce a million operations in a hundred bytes."""
    save, change = hostile(lambda t: t.put(part(t, "meta"), "title", S.Str, "x"))
    content = content_of(change.data)
    for at in range(60, len(content)):
        for run in (b"\xc0\x84\x3d", b"\xff\xff\xff\x7f"):
            bomb = claim_of(rebuilt(1, content[:at] + run + content[at + 1 :]), change)
            with pytest.raises(ForeignChange):
                merge(save, [bomb])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_a_stranger_does_to_a_change_is_refused_or_harmless(data: st.DataObject) -> None:
    """Mutations with a repaired checksum reach the parser; it answers with ForeignChange, or what follows is sound."""
    _, change = hostile(lambda t: t.put(part(t, "meta"), "title", S.Str, "x"))
    content = bytearray(content_of(change.data))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    chunk_of = rebuilt(1, bytes(content))
    try:
        header = chunk.read_header(chunk_of)
        operations = chunk.read_operations(header)
    except chunk.Malformed:
        return
    assert len(operations) <= len(chunk_of)
    assert all(operation.action in (0, 1, 3) for operation in operations)


def test_reading_a_change_says_what_automerge_does() -> None:
    save, _ = base()
    _, change = edit(
        save,
        DOCTOR,
        [
            ("set", ("entries", ENTRY, "dose"), "é" * 300),
            ("set", ("entries", ENTRY, "dose_number"), -(2**40)),
            ("set", ("entries", "a" * 32), {"kind": "note", "note": "x", "negated": True}),
            ("delete", ("entries", OTHER)),
        ],
    )
    assert change is not None
    header = chunk.read_header(change.data)
    assert (header.hash, header.actor, header.seq, header.deps) == (change.hash, DOCTOR, 1, change.deps)
    operations = chunk.read_operations(header)
    written = {(operation.key, operation.value) for operation in operations if operation.action == chunk.PUT}
    assert {("dose", "é" * 300), ("dose_number", -(2**40)), ("note", "x"), ("negated", True)} <= written
    assert [operation.key for operation in operations if operation.action == chunk.MAKE_MAP] == ["a" * 32]


@pytest.mark.parametrize("words", ["", "x" * 5000, "\u00e9\u4e2d\U0001f642" * 40])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_weight_of_a_state_is_never_less_than_its_first_change(words: str, count: int) -> None:
    fields = {
        "kind": "result",
        "label": words,
        "value": 2**53 - 1,
        "negated": True,
        "note": None,
        "unit": "",
        "code": "c",
    }
    attachment = {
        "media_type": "a", "size": 2**53 - 1, "name": words[:300], "key": "0" * 64, "sealed_sha256": "1" * 64,
        "sealed_size": 0, "blob": "", "blob_token": "",
    }  # fmt: skip
    state = {
        "meta": {"kind": "clinical", "title": words[:1000]},
        "entries": {f"{number:032x}": dict(fields) for number in range(count)},
        "attachments": {f"{number:064x}": dict(attachment) for number in range(min(count, 256))},
    }
    _, change = make(state, b"\x07" * 16)
    assert len(change.data) <= weight(state) <= 2 * len(change.data) + 1_500
