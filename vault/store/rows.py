"""Rows that travel between a holder's devices: which columns, what each may hold, and how two values of one row meet.

Normative text: spec/vault-channel.md, section 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vault.encoding import MAX_INT, Check, Shape, blob, integer, list_of, moment, one_of, optional, text
from vault.errors import Malformed, VerificationFailed
from vault.store.connection import Store

ZERO = bytes(32)
Values = dict[str, Any]
Part = Callable[[str], Any]
Join = Callable[[Values, Values], Values]
_LOG = 4 << 20  # what is kept of an authority's log
SETTINGS = ("name", "birth", "ins", "role", "language")


def _further(column: str, *order: str) -> Join:
    """The value whose state is further on holds, whole."""

    def join(here: Values, there: Values) -> Values:
        return here if order.index(here[column]) > order.index(there[column]) else there

    return join


def _met(here: Values, there: Values) -> Values:
    return there | {"met": max(here["met"], there["met"])}


def _accused(here: Values, there: Values) -> Values:
    """Evidence against an authority stays, whatever comes."""
    return there if here["first"] is None else there | {"first": here["first"], "second": here["second"]}


def _given(here: Values, there: Values) -> Values:
    """Over is over; a receipt is kept."""
    held = _further("state", "active", "ended", "revoked")(here, there)
    receipts = [value for value in (here["receipt"], there["receipt"]) if value is not None]
    return held | {"receipt": min(receipts, default=None)}


def _hex(size: int) -> Callable[[str], bytes]:
    """So many bytes, in the one spelling of them."""

    def read(part: str) -> bytes:
        if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", part):
            raise Malformed("a row's key is not one")
        return bytes.fromhex(part)

    return read


def _number(part: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,18}", part) or int(part) > MAX_INT:
        raise Malformed("a row's key is not one")
    return int(part)


def _sha256(part: str) -> str:
    return CHANNEL_KEY(part).hex()


def _text(part: str) -> str:
    return part


def _relay(here: Values, there: Values) -> Values:
    """A key is pinned for good. What is the home relay ceases to be it by another one that becomes it."""
    if here["verify_key"] != there["verify_key"]:
        raise VerificationFailed("a relay's key is another one than here")
    return there | {"home": max(here["home"], there["home"])}


CHANNEL_KEY = _hex(32)
CHANNEL = Shape("row channel", {"state": one_of("closing")})


@dataclass(frozen=True, slots=True)
class Kind:
    """A row: its table, the columns of its key and of its value, and columns that each device has for itself.

    `join`: how a value that must never go back meets another, (what is here, what came) to what holds.
    """

    table: str
    key: Mapping[str, Part]  # column -> what a part of the key means; Malformed when it is none
    columns: Mapping[str, Check]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    join: Join | None = None
    where: str = ""
    items: tuple[str, tuple[str, ...]] | None = None  # (table, columns) of rows that belong to it


_ITEM = Shape("item", {"position": integer(), "document": blob(16), "tag": blob(16), "title": text(1000)})
_VISIT_ITEM = Shape(
    "item",
    {
        "document": blob(16),
        "epoch": integer(1),
        "edition": blob(32),
        "tag": blob(16),
        "mailbox": blob(32),
        "masked": optional(blob(32)),
        "label": optional(blob(at_most=4096)),
    },
)
_STATES = ("waiting", "known", "refused", "filed")
KINDS: dict[str, Kind] = {
    "meta": Kind("meta", {"key": _text}, {"value": blob(at_most=2000)}),
    "relay": Kind("relay", {"url": _text}, {"verify_key": blob(32), "home": integer(0, 1)}, join=_relay),
    "authority": Kind(
        "authority",
        {"sign": _hex(32)},
        {
            "name": text(200),
            "data": blob(at_most=5000),
            "pinned": moment(),
            "list": blob(at_most=_LOG),
            "head": blob(at_most=5000),
            "start": integer(),
            "peaks": blob(at_most=5000),
            "leaves": blob(at_most=_LOG),
            "first": optional(blob(at_most=_LOG)),
            "second": optional(blob(at_most=_LOG)),
        },
        join=_accused,
    ),
    "person": Kind(
        "person",
        {"id": _hex(16)},
        {
            "name": text(200),
            "role": text(60),
            "card": blob(at_most=5000),
            "certificate": optional(blob(at_most=65_536)),
            "met": integer(0, 1),
            "added": moment(),
            "kem": optional(blob(at_most=2000)),
        },
        fixed={"used": 0},
        join=_met,
    ),
    "inbox": Kind(
        "mailbox",
        {"address": _hex(32)},
        {"relay": text(500), "owner": blob(32), "append": blob(32), "state": one_of("open", "closing")},
        fixed={"kind": "inbox", "epoch": 0, "count": 0, "chain": ZERO},
        join=_further("state", "open", "closing", "done"),
        where="kind = 'inbox'",
    ),
    "given": Kind(
        "given",
        {"number": _hex(32)},
        {
            "person": blob(16),
            "sign": blob(32),
            "box": blob(32),
            "hash": blob(32),
            "name": text(200),
            "role": text(60),
            "body": blob(at_most=420_000),
            "half": blob(32),
            "relay_half": optional(blob(32)),
            "reader": blob(32),
            "owner": blob(32),
            "relay": text(500),
            "right": one_of("read", "edit"),
            "purpose": text(500),
            "made": moment(),
            "until": moment(),
            "state": one_of("active", "ended", "revoked"),
            "ended": optional(moment()),
            "receipt": optional(blob(at_most=1000)),
            "items": list_of(_ITEM.check, at_most=1024),
        },
        fixed={"count": 0, "chain": ZERO, "counter": 0},
        join=_given,
        items=("given_item", ("position", "document", "tag", "title")),
    ),
    "tag": Kind("given_tag", {"number": _hex(32), "tag": _hex(16)}, {"document": blob(16)}),
    "opening": Kind(
        "opening",
        {"number": _hex(32), "position": _number},
        {
            "time": integer(),
            "entry": blob(at_most=20_000),
            "documents": blob(at_most=16_384),
            "why": text(4096),
            "state": one_of("unknown", "opened"),
            "detail": text(100),
        },
        join=_further("state", "unknown", "opened"),
    ),
    "visit": Kind(
        "visit",
        {"number": _hex(32)},
        {
            "issuer_sign": blob(32),
            "issuer_box": blob(32),
            "patient": text(200),
            "right": one_of("read", "edit"),
            "purpose": text(500),
            "not_before": moment(),
            "until": moment(),
            "offline": integer(),
            "relay": text(500),
            "relay_key": blob(32),
            "grant_hash": blob(32),
            "half": optional(blob(32)),
            "reader": optional(blob(32)),
            "state": one_of("open", "ended"),
            "received": moment(),
            "items": list_of(_VISIT_ITEM.check, at_most=1024),
        },
        fixed={"counter": 0},
        join=_further("state", "open", "ended"),
        items=("visit_item", ("document", "epoch", "edition", "tag", "mailbox", "masked", "label")),
    ),
    "deposit": Kind(
        "deposit",
        {"id": _hex(16)},
        {
            "sender": blob(16),
            "name": text(200),
            "role": text(60),
            "title": text(1000),
            "sealed": optional(blob(at_most=1 << 20)),
            "received": moment(),
            "state": one_of(*_STATES),
            "document": optional(blob(16)),
            "why": text(500),
        },
        join=lambda here, there: (
            here if _STATES.index(here["state"]) > max(1, _STATES.index(there["state"])) else there
        ),
    ),
    "blob": Kind(
        "blob",
        {"document": _hex(16), "sha256": _sha256},
        {"address": blob(32), "owner": blob(32), "token": blob(32), "relay": text(500)},
    ),
    "file": Kind(
        "home_file",
        {"sealed_sha256": _sha256},
        {"relay": text(500), "address": blob(32), "owner": blob(32), "token": blob(32), "size": integer()},
    ),
}


class Rows:
    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, name: str) -> Iterator[str]:
        """The key of every row of a kind that travels."""
        kind = KINDS[name]
        where = f"WHERE {kind.where}" if kind.where else ""
        columns = ", ".join(f'"{column}"' for column in kind.key)
        for row in self._store.rows(f"SELECT {columns} FROM {kind.table} {where}"):
            key = ":".join(value.hex() if isinstance(value, bytes) else str(value) for value in row)
            if name != "meta" or travels(key):
                yield key

    def read(self, name: str, key: str) -> Values | None:
        """The columns of a row that travel; None when there is no such row."""
        kind = KINDS[name]
        where, params = _where(kind, key)
        names = [column for column in kind.columns if column != "items"]
        columns = ", ".join(f'"{column}"' for column in names)
        only = f" AND {kind.where}" if kind.where else ""
        row = self._store.row(f"SELECT {columns} FROM {kind.table} WHERE {where}{only}", params)
        if row is None:
            return None
        values = dict(zip(names, row, strict=True))
        if name == "inbox" and values["state"] == "done":
            values["state"] = "closing"
        if name == "meta":
            values["value"] = _bytes(values["value"])
        if kind.items:
            table, of = kind.items
            found = self._store.rows(f"SELECT {', '.join(of)} FROM {table} WHERE {where} ORDER BY {of[0]}", params)
            values["items"] = [dict(zip(of, item, strict=True)) for item in found]
        return values

    def write(self, name: str, key: str, values: Values, *, shadowed: bool) -> bool:
        """The row as it came, or joined with what is here. `shadowed`: a value of this device is not in the log yet.

        Whether anything changed. VerificationFailed for one that contradicts what must not change.
        """
        kind = check_row(name, key, values)
        here = self.read(name, key)
        if here is None and kind.where and self._other(kind, key):
            raise Malformed("a row with the address of another mailbox", row=name)
        if here is not None:
            if kind.join is not None:
                values = kind.join(here, here | _joined(name, values) if shadowed else values)
            elif shadowed:
                return False
        if values == here:
            return False
        self._put(kind, key, values, fresh=here is None)
        return True

    def _other(self, kind: Kind, key: str) -> bool:
        """Whether the table has something else under this key."""
        where, params = _where(kind, key)
        return self._store.row(f"SELECT 1 FROM {kind.table} WHERE {where} AND NOT ({kind.where})", params) is not None

    def _put(self, kind: Kind, key: str, values: Values, *, fresh: bool) -> None:
        where, params = _where(kind, key)
        if kind.table == "relay" and values["home"]:
            self._store.run("UPDATE relay SET home = 0")
        names = [column for column in values if column != "items"]
        if fresh:
            given = {**dict(zip(kind.key, params, strict=True)), **kind.fixed, **{name: values[name] for name in names}}
            columns, marks = ", ".join(f'"{column}"' for column in given), ", ".join("?" * len(given))
            self._store.run(f"INSERT INTO {kind.table} ({columns}) VALUES ({marks})", tuple(given.values()))
        else:
            changes = ", ".join(f'"{name}" = ?' for name in names)
            self._store.run(
                f"UPDATE {kind.table} SET {changes} WHERE {where}", (*(values[name] for name in names), *params)
            )
        if kind.items:
            table, of = kind.items
            for item in values["items"]:
                columns, marks = ", ".join(("number", *of)), ", ".join("?" * (len(of) + 1))
                newer = "DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in of) if "epoch" in of else ""
                # The end wipes what could open; a device with a grant of an earlier version must not.
                held = "excluded.epoch >= epoch AND excluded.masked IS NOT NULL"
                clause = f"ON CONFLICT (number, document) {newer} WHERE {held if values['state'] == 'open' else 'true'}"
                self._store.run(
                    f"INSERT {'' if newer else 'OR IGNORE '}INTO {table} ({columns}) VALUES ({marks})"
                    f" {clause if newer else ''}",
                    (*params, *(item[column] for column in of)),
                )


def check_row(name: str, key: str, values: Mapping[str, Any]) -> Kind:
    """What a row of this name is. Malformed for another name, a key that is none, or other columns."""
    if name not in KINDS or (name == "meta" and not travels(key)):
        raise Malformed("no such row travels", row=name)
    kind = KINDS[name]
    _where(kind, key)
    Shape(f"row {name}", kind.columns).check(values)
    return kind


def closed_channel(key: str, values: Mapping[str, Any]) -> bytes:
    """The address of a document's channel that another device closed: the only row that stands in no table here."""
    CHANNEL.check(values)
    return CHANNEL_KEY(key)


def travels(key: str) -> bool:
    """Whether a setting of this name is the vault's and not the device's own."""
    return key in SETTINGS or (key.startswith("device:") and re.fullmatch("[0-9a-f]{32}", key[7:]) is not None)


def _joined(name: str, values: Values) -> Values:
    """Of a value that a later one of this device's shadows: the columns that count all the same."""
    kept = {
        "person": ("met",),
        "authority": ("first", "second"),
        "inbox": ("state",),
        "given": ("state", "ended", "relay_half", "receipt"),
        "opening": ("documents", "why", "state", "detail"),
    }
    kept |= {"visit": ("state", "half", "reader"), "deposit": ("state", "document", "sealed")}
    return {column: values[column] for column in kept.get(name, ())}


def _where(kind: Kind, key: str) -> tuple[str, tuple[Any, ...]]:
    parts = key.split(":", len(kind.key) - 1)
    if len(parts) != len(kind.key):
        raise Malformed("a row's key is not one", row=kind.table)
    params = tuple(read(part) for part, read in zip(parts, kind.key.values(), strict=True))
    return " AND ".join(f'"{column}" = ?' for column in kind.key), params


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
