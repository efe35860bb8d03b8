"""A document as one small Automerge replica. The only file that imports automerge. Normative: spec/replica.md.

The root holds three maps: `meta`, `entries`, `attachments`. An entry is a map; it lives as long as it has a `kind`, and
whoever writes into an entry writes its `kind` again: an amendment made while somebody else removed the entry brings it
back, whole. Text is plain strings, never counters. Foreign changes reach `merge` only inside the limited worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from automerge.core import ROOT, Document, Message, ObjType, ScalarType, SyncState

from vault import chunk
from vault.chunk import MAX_CHUNK, MAX_FIRST
from vault.clash import Clash, Path, clashes, doubled
from vault.errors import ForeignChange, InputRefused, NotFound, StorageFailed, VerificationFailed
from vault.shape import MAX_TEXT, MAX_WHOLE, PARTS, check_state, is_text, weight

State = dict[str, dict[str, Any]]
Edit = tuple[str, Path, Any] | tuple[str, Path]
MAX_HISTORY = 10_000  # changes in one epoch; a new epoch starts with one
REMEMBERED = 64  # operations of one change, for when conflicts are looked for; larger ones are read again
_SCALARS: dict[type, ScalarType] = {
    str: ScalarType.Str,
    bool: ScalarType.Boolean,
    int: ScalarType.Int,
    type(None): ScalarType.Null,
}


class Change(NamedTuple):
    """One change as it travels: `data` is always an uncompressed chunk, the rest is what it claims to be."""

    hash: bytes
    actor: bytes
    seq: int
    deps: tuple[bytes, ...]
    data: bytes


class Merged(NamedTuple):
    """What came of foreign changes. Those in `waiting` need `missing` first; the caller keeps them."""

    save: bytes
    state: State
    conflicts: tuple[Clash, ...] = ()
    applied: tuple[bytes, ...] = ()
    known: tuple[bytes, ...] = ()
    missing: tuple[bytes, ...] = ()
    waiting: tuple[bytes, ...] = ()


def make(state: Mapping[str, Mapping[str, Any]], actor: bytes, *, checked: bool = False) -> tuple[bytes, Change]:
    """A fresh replica of this state in one change: a new document, or the edition of a new epoch.

    `checked` says that `check_state` was passed already.
    """
    if not checked:
        check_state(state)
    document = Document(actor)
    with document.transaction() as transaction:
        put, put_object = transaction.put, transaction.put_object
        for part in PARTS:
            made = put_object(ROOT, part, ObjType.Map)
            for key, value in state[part].items():
                if type(value) is dict or isinstance(value, Mapping):
                    inner = put_object(made, key, ObjType.Map)
                    for name, scalar in value.items():
                        put(inner, name, _SCALARS.get(type(scalar)) or _scalar(scalar), scalar)
                else:
                    put(made, key, _scalar(value), value)
    change = _change(document.get_changes([])[0])
    if len(change.data) > MAX_FIRST:
        raise InputRefused("this document is too large for one record", limit=MAX_FIRST)
    return document.save(), change


def need_room(state: Mapping[str, Mapping[str, Any]]) -> None:
    """InputRefused when no epoch could start with this state: whoever may write would keep an access from ending."""
    if weight(state) > MAX_FIRST:
        make(state, bytes(chunk.ACTOR), checked=True)


def edit(save: bytes, actor: bytes, edits: Sequence[Edit]) -> tuple[bytes, Change | None]:
    """The edits as one change of `actor`; None when they change nothing."""
    document = _load(save)
    document.set_actor(actor)
    before = document.get_heads()
    double = _doubled_fields(document)
    with document.transaction() as transaction:
        touched: set[str] = set()
        for item in edits:
            if fields := double.pop(item[1][:2], None):
                _unite(transaction, item[1], fields)
            _apply_edit(transaction, item, touched)
    changes = document.get_changes(before)
    if not changes:
        return save, None
    change = _change(changes[0])
    if len(change.data) > MAX_CHUNK:
        raise InputRefused("this change is too large", limit=MAX_CHUNK)
    state = _flatten(document)
    check_state(state)
    if weight(state) > MAX_FIRST and weight(state) > weight(flatten(save)):  # it can always be made smaller
        need_room(state)
    return document.save(), change


def flatten(save: bytes) -> State:
    """The live state: no history, no removed entries, of a conflict the side that is shown."""
    return _flatten(_load(save))


def changes(save: bytes) -> tuple[Change, ...]:
    """Every change of the replica, oldest first."""
    return tuple(_change(made) for made in _load(save).get_changes([]))


def first_hash(save: bytes) -> bytes:
    """The change that a replica began with names it: its edition."""
    return bytes(_load(save).get_changes([])[0].hash)


def heads(save: bytes) -> tuple[bytes, ...]:
    """The changes that no other change knows: together they stand for all of the replica."""
    return tuple(sorted(bytes(head) for head in _load(save).get_heads()))


def back_to(save: bytes, to: Sequence[bytes]) -> tuple[bytes, tuple[Change, ...]]:
    """(the replica as it was at these heads, every change that it did not hold then, oldest first).

    Heads that the replica does not know are passed over; the first change is always held.
    """
    every = {change.hash: change for change in changes(save)}
    first = next(iter(every))
    held, open_ends = {first}, [head for head in to if head in every]
    while open_ends:
        name = open_ends.pop()
        if name not in held:
            held.add(name)
            open_ends += every[name].deps
    base = merge(b"", [every[first]])
    inside = [change for name, change in every.items() if name in held and name != first]
    if inside:
        base = merge(base.save, inside)
    return base.save, tuple(change for name, change in every.items() if name not in held)


def conflicts(save: bytes) -> tuple[Clash, ...]:
    """Every field that two people wrote without knowing of each other and that nobody settled since."""
    document = _load(save)
    return clashes(document.get_changes([]), _flatten(document))


def merge(save: bytes, claims: Sequence[Change], *, own: bytes = b"") -> Merged:
    """The replica with these changes. ForeignChange, naming the first bad one, when one is not acceptable.

    `own` is this device's actor: nobody else may write under it. `save` may be empty: the first change is then an
    edition.
    """
    return Live(save).take(claims, own=own)


class Live:
    """A replica in memory. After a refusal it is not to be used again: it may hold what was refused."""

    def __init__(self, save: bytes) -> None:
        self._document = _load(save) if save else Document()
        self._first = not save
        self._kind = _kind(self._document) if save else None
        self._numbers: dict[bytes, int] = {}  # the last number of each actor
        self._hashes: set[bytes] = set()
        self._last: list[bytes] | None = []  # of a history in which each change knew the one before; else None
        self.operations = 0
        self._top = 0  # the greatest number of an operation
        self._read: dict[bytes, Sequence[chunk.Operation]] = {}  # operations of the small changes that came to it
        for made in self._document.get_changes([]):
            self._count(made.hash, made.actor_id, made.seq, made.deps)
            self._top = self.operations = max(self.operations, made.max_op)

    def _count(self, name: bytes, actor: bytes, seq: int, deps: Sequence[bytes]) -> None:
        self._hashes.add(name)
        self._numbers[actor] = max(self._numbers.get(actor, 0), seq)
        self._last = [name] if self._last is not None and list(deps) == self._last else None

    def take(self, claims: Sequence[Change], *, own: bytes = b"") -> Merged:
        """`merge`, of this replica."""
        known = tuple([claim.hash for claim in claims if claim.hash in self._hashes])
        fresh = [claim for claim in claims if claim.hash not in self._hashes] if known else claims
        numbers = {}
        for claim in fresh:
            numbers[claim.hash], read = _check_claim(claim, own, first=self._first)
            self.operations += len(read)
            if len(read) <= REMEMBERED:
                self._read[claim.hash] = read
        ready, waiting, missing = _in_order(fresh, self._hashes)
        for claim in ready:
            if claim.seq != self._numbers.get(claim.actor, 0) + 1:
                raise _refused(claim, "its number was used before or skips one")
            if numbers[claim.hash][0] > self._top + 1:
                raise _refused(claim, "its operations skip numbers")  # nobody could write after the greatest there is
            self._top = max(self._top, numbers[claim.hash][1])
            self._count(*claim[:4])
        if len(self._hashes) > MAX_HISTORY:
            raise ForeignChange("this epoch holds as many changes as it may", limit=MAX_HISTORY)
        _apply(self._document, ready)
        state = _checked(self._document, ready)
        if self._kind not in (None, state["meta"]["kind"]):
            raise _refused(ready[-1], "it makes another kind of document of this one")
        found = clashes(self._document.get_changes([]), state, self._read) if self._last is None else ()
        self._first, self._kind = False, state["meta"]["kind"]
        names = tuple([claim.hash for claim in ready])
        return Merged(self._document.save(), state, found, names, known, missing, tuple([c.hash for c in waiting]))


def _check_claim(claim: Change, own: bytes, *, first: bool) -> tuple[tuple[int, int], Sequence[chunk.Operation]]:
    """(the numbers of its first and last operation, its operations).

    The chunk is what the envelope says, and nothing but what Elpis writes.
    """
    try:
        header = chunk.read_header(claim.data, limit=MAX_FIRST if first else MAX_CHUNK)
        same = claim.hash == header.hash and claim.actor == header.actor and claim.seq == header.seq
        if not same or (claim.deps != header.deps and set(claim.deps) != set(header.deps)):
            raise _refused(claim, "it is not what its envelope says")
        if own and claim.actor == own:
            raise _refused(claim, "it claims to be written on this device")
        operations = chunk.read_operations(header)
        if not first and chunk.ROOT in [operation.target for operation in operations]:
            raise _refused(claim, "it rebuilds the document")
        return (header.start, header.start + len(operations) - 1), operations
    except VerificationFailed as failure:
        raise _refused(claim, str(failure)) from failure


def _in_order(
    claims: Sequence[Change], held: set[bytes]
) -> tuple[Sequence[Change], Sequence[Change], tuple[bytes, ...]]:
    """(those whose dependencies are all here, in order; the others; the hashes that nobody has)."""
    if len(claims) == 1 and held.issuperset(claims[0].deps):
        return claims, (), ()
    offered = {claim.hash: claim for claim in claims}
    present = set(held)
    if len({(claim.actor, claim.seq) for claim in offered.values()}) != len(offered):
        raise ForeignChange("two different changes claim one author and number")
    ready: list[Change] = []
    waiting = list(offered.values())
    progress = True
    while progress and waiting:
        progress = False
        still = []
        for claim in waiting:
            if all(dependency in present for dependency in claim.deps):
                ready.append(claim)
                present.add(claim.hash)
                progress = True
            else:
                still.append(claim)
        waiting = still
    missing = {dependency for claim in waiting for dependency in claim.deps} - present - offered.keys()
    return ready, waiting, tuple(sorted(missing))


def _apply(document: Document, ready: Sequence[Change]) -> None:
    """Raw changes in a hand-made sync message: about 20 us each, whatever the size of the replica.

    Automerge drops what it does not like in silence, so the heads are compared with what they must be.
    """
    if not ready:
        return
    heads = set(document.get_heads())
    for claim in ready:
        heads.difference_update(claim.deps)
        heads.add(claim.hash)
    parts = [b"\x42\0\0\0", _leb(len(ready))]
    for claim in ready:
        parts += (_leb(len(claim.data)), claim.data)
    try:
        document.receive_sync_message(SyncState(), Message.decode(b"".join(parts)))
    except ValueError as failure:
        raise _refused(ready[0], "it cannot be applied") from failure
    if set(document.get_heads()) != heads:
        raise _refused(ready[0], "it was not taken up")


def _checked(document: Document, ready: Sequence[Change]) -> State:
    try:
        state = _flatten(document)
        check_state(state)
        if ready:
            need_room(state)
    except (InputRefused, VerificationFailed) as failure:
        last = ready[-1].hash.hex() if ready else ""
        raise ForeignChange(f"the document would no longer be readable: {failure}", change=last) from failure
    return state


def _flatten(document: Document) -> State:
    state: State = {}
    for part in PARTS:
        found = document.get(ROOT, part)
        if found is None or found[0] != ObjType.Map:
            raise InputRefused("the record has lost one of its parts")
        flat = _map(document, found[1])
        if part == "entries":
            flat = {key: value for key, value in flat.items() if not isinstance(value, dict) or "kind" in value}
        state[part] = flat
    return state


def _kind(document: Any) -> Any:
    return document.get(document.get(ROOT, "meta")[1], "kind")[0][1]


def _map(document: Document, place: bytes, depth: int = 0) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, (value, inner) in zip(document.keys(place), document.values(place), strict=True):
        if isinstance(value, tuple):
            flat[key] = value[1]
        elif depth == 0:
            flat[key] = _map(document, inner, depth + 1)
        else:
            raise InputRefused("the record is nested deeper than it may be")
    return flat


def _apply_edit(transaction: Any, item: Edit, touched: set[str]) -> None:
    path, deletes, value = item[1], item[0] == "delete", item[2] if len(item) == 3 else None
    if item[0] not in ("set", "delete") or len(path) not in (2, 3) or path[0] not in PARTS:
        raise ValueError(f"not an edit: {item[0]} {path}")
    part = transaction.get(ROOT, path[0])[1]
    if path[0] == "meta":
        _write(transaction, part, path[1], value, deletes=deletes)
        return
    inner = transaction.get(part, path[1])
    if deletes and inner is None:
        raise NotFound("no such entry or attachment in this document")
    if deletes and path[0] == "attachments" and len(path) == 2:
        transaction.delete(part, path[1])
        return
    if deletes and len(path) == 2:
        _write(transaction, inner[1], "kind", None, deletes=True)
        return
    place = inner[1] if inner else transaction.put_object(part, path[1], ObjType.Map)
    for name, scalar in ((path[2], value),) if len(path) == 3 else dict(value or {}).items():
        _write(transaction, place, name, scalar, deletes=deletes)
    if path[0] == "entries" and (inner is None or path[1] not in touched):
        _renew(transaction, place, fresh=inner is None)
        touched.add(path[1])


def _doubled_fields(document: Document) -> dict[Path, Any]:
    """What is shown of each entry and attachment that two people made at the same time; mostly there is none."""
    paths = doubled(document.get_changes([]))
    state = _flatten(document) if paths else {}
    return {path: state[path[0]].get(path[1]) for path in paths}


def _unite(transaction: Any, path: Path, fields: Mapping[str, Any]) -> None:
    """Two people made this entry at the same time: what is shown of it becomes the one entry, and that is amended."""
    place = transaction.put_object(transaction.get(ROOT, path[0])[1], path[1], ObjType.Map)
    for name, value in fields.items():
        _write(transaction, place, name, value)


def _renew(transaction: Any, place: bytes, *, fresh: bool) -> None:
    """Writes the entry's kind again, so that a removal made at the same time does not win over this edit."""
    kind = transaction.get(place, "kind")
    if kind is None:
        raise NotFound("no such entry in this document")
    if not fresh:
        transaction.delete(place, "kind")  # putting the same value alone would write nothing
        transaction.put(place, "kind", ScalarType.Str, kind[0][1])


def _write(transaction: Any, place: bytes, name: str, value: object, *, deletes: bool = False) -> None:
    if not deletes:
        transaction.put(place, name, _scalar(value), value)
    elif transaction.get(place, name) is not None:
        transaction.delete(place, name)


def _scalar(value: object) -> ScalarType:
    kind = _SCALARS.get(type(value))
    if kind is None or (isinstance(value, int) and abs(value) > MAX_WHOLE):
        raise InputRefused("a field is text, a whole number, true, false or nothing")
    if isinstance(value, str) and not is_text(value, MAX_TEXT):
        raise InputRefused("a field is too long or not text")
    return kind


def _load(save: bytes) -> Document:
    try:
        return Document.load(save)
    except ValueError as failure:
        raise StorageFailed("a document's replica cannot be read") from failure


def _change(made: Any) -> Change:
    # `raw_bytes` is the uncompressed chunk, `bytes` may be the compressed one, which nobody accepts.
    return Change(bytes(made.hash), bytes(made.actor_id), int(made.seq), tuple(made.deps), bytes(made.raw_bytes))


def _leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _refused(claim: Change, why: str) -> ForeignChange:
    return ForeignChange(f"a change from outside is not acceptable: {why}", change=claim.hash.hex())
