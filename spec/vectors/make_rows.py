"""spec/vault-channel.md, section 5: rows that travel between a holder's devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spec.vectors.edges import GREATEST, Edge, Edges, at_edge, at_most, exact, text, time, whole
from spec.vectors.make_edges import KEY, accepted, refused_beyond
from spec.vectors.people import NOW
from spec.vectors.writing import Vectors, fixed
from vault.encoding import encode

ID = exact(16)
A, B = fixed("row key").hex(), fixed("row id", 16).hex()
PLACE: dict[str, Any] = {
    "relay": "https://relay.example", "address": fixed("address"), "owner": fixed("owner"), "token": fixed("token"),
}  # fmt: skip
AT: Edges = {"relay": text(500), "address": KEY, "owner": KEY, "token": KEY}
OPTIONAL = Edge(None, None, exact(32).beyond)


# name -> (key, columns that are right, edges)
ROWS: dict[str, tuple[str, dict[str, Any], Edges]] = {
    "meta": ("name", {"value": b"Holder Example"}, {"value": at_most(2000)}),
    "relay": ("https://relay.example", {"verify_key": fixed("relay key"), "home": 1},
              {"verify_key": KEY, "home": whole(0, 1)}),
    "authority": (A, {"name": "Order of Examples", "data": b"data", "pinned": NOW, "list": b"", "head": b"", "start": 0,
                      "peaks": b"", "leaves": b"", "first": None, "second": None},
                  {"name": text(200), "data": at_most(5000), "pinned": time(), "head": at_most(5000), "start": whole(),
                   "peaks": at_most(5000)}),
    "person": (B, {"name": "Doctor Example", "role": "doctor", "card": b"card", "certificate": None, "met": 0,
                   "added": NOW, "kem": None},
               {"name": text(200), "role": text(60), "card": at_most(5000), "met": whole(0, 1), "added": time(),
                "kem": at_most(2000)}),
    "inbox": (A, {"relay": "https://relay.example", "owner": fixed("owner"), "append": fixed("append"),
                  "state": "open"}, {"relay": text(500), "owner": KEY, "append": KEY}),
    "channel": (A, {"state": "closing"}, {}),
    "given": (A, {"person": bytes(16), "sign": bytes(32), "box": bytes(32), "hash": bytes(32), "name": "Doctor",
                  "role": "doctor", "body": b"body", "half": bytes(32), "relay_half": None, "reader": bytes(32),
                  "owner": bytes(32), "relay": "https://relay.example", "right": "read", "purpose": "", "made": NOW,
                  "until": NOW, "state": "active", "ended": None, "receipt": None,
                  "items": [{"position": 0, "document": bytes(16), "tag": bytes(16), "title": "Letter"}]},
              {"person": ID, "sign": KEY, "box": KEY, "hash": KEY, "name": text(200), "role": text(60), "half": KEY,
               "relay_half": OPTIONAL, "reader": KEY, "owner": KEY, "relay": text(500), "purpose": text(500),
               "made": time(), "until": time(), "ended": time(), "receipt": at_most(1000), "items.0.position": whole(),
               "items.0.document": ID, "items.0.tag": ID, "items.0.title": text(1000)}),
    "tag": (f"{A}:{B}", {"document": bytes(16)}, {"document": ID}),
    "opening": (f"{A}:7", {"time": NOW, "entry": b"entry", "documents": b"", "why": "", "state": "unknown",
                           "detail": "not-found"},
                {"time": whole(), "why": text(4096), "detail": text(100)}),
    "visit": (A, {"issuer_sign": bytes(32), "issuer_box": bytes(32), "patient": "Holder", "right": "edit",
                  "purpose": "", "not_before": NOW, "until": NOW, "offline": 0, "relay": "https://relay.example",
                  "relay_key": bytes(32), "grant_hash": bytes(32), "half": None, "reader": None, "state": "open",
                  "received": NOW, "items": [{"document": bytes(16), "epoch": 1, "edition": bytes(32),
                                              "tag": bytes(16), "mailbox": bytes(32), "masked": None, "label": None}]},
              {"issuer_sign": KEY, "issuer_box": KEY, "patient": text(200), "purpose": text(500), "not_before": time(),
               "until": time(), "offline": whole(), "relay": text(500), "relay_key": KEY, "grant_hash": KEY,
               "half": OPTIONAL, "reader": OPTIONAL, "received": time(), "items.0.document": ID,
               "items.0.epoch": whole(1), "items.0.edition": KEY, "items.0.tag": ID, "items.0.mailbox": KEY,
               "items.0.masked": OPTIONAL, "items.0.label": at_most(4096)}),
    "deposit": (B, {"sender": bytes(16), "name": "Doctor", "role": "", "title": "", "sealed": None, "received": NOW,
                    "state": "waiting", "document": None, "why": ""},
                {"sender": ID, "name": text(200), "role": text(60), "title": text(1000), "received": time(),
                 "document": Edge(None, None, ID.beyond), "why": text(500)}),
    "blob": (f"{B}:{A}", PLACE, AT),
    "file": (A, PLACE | {"size": 1}, {**AT, "size": whole()}),
}  # fmt: skip


def make() -> list[Vectors]:
    vectors = Vectors("vault-row")
    for name, (key, fields, edges) in ROWS.items():

        def given(told: Mapping[str, Any], name: str = name, key: str = key) -> dict[str, Any]:
            return {"name": name, "key": key, "value": encode(dict(told))}

        made: list[dict[str, Any]] = []
        for edge in ("", "-greatest", "-least"):
            told = at_edge(fields, edges, greatest=edge == "-greatest") if edge else fields
            if told not in made:
                accepted(vectors, f"{name}{edge}", "a row, its columns as they are" if not edge else
                         f"every column at its {edge[1:]}", given(told))  # fmt: skip
            made.append(told)
        refused_beyond(vectors, fields, edges, given, prefix=f"{name}-")
        vectors.refused(f"{name}-column-more", "one column more", "malformed", given(fields | {"x": 1}))
        if "state" in fields:
            vectors.refused(f"{name}-state", "a state that does not exist", "malformed", given(fields | {"state": "x"}))

    def row(name: str, key: str) -> dict[str, Any]:
        return {"name": name, "key": key, "value": encode(ROWS[name][1])}

    accepted(vectors, "meta-device", "how a device is called", row("meta", f"device:{B}"))
    accepted(vectors, "opening-first", "the first line of a trace", row("opening", f"{A}:0"))
    accepted(vectors, "opening-last", "the last line that there could be", row("opening", f"{A}:{GREATEST}"))
    for name, description, told in (
        ("name-unknown", "a row that does not exist", row("meta", "name") | {"name": "secret"}),
        ("meta-own", "a setting that is each device's own", row("meta", "telling")),
        ("meta-device-short", "a device's id of 15 bytes", row("meta", f"device:{B[2:]}")),
        ("channel-key", "a channel under a key that is no address", row("channel", "everything")),
        ("channel-open", "a channel that opens again", row("channel", A) | {"value": encode({"state": "open"})}),
        ("key-capitals", "an address in capitals", row("inbox", A.upper())),
        ("key-space", "an address with a space", row("inbox", f"{A[:2]} {A[2:]}")),
        ("key-short", "an address of 31 bytes", row("inbox", A[2:])),
        ("key-empty", "no key", row("given", "")),
        ("key-half", "a tag without its grant", row("tag", B)),
        ("key-more", "a key of three parts", row("tag", f"{A}:{B}:{B}")),
        ("key-sha-capitals", "a hash in capitals", row("file", A.upper())),
        ("position-zeros", "a position with a zero before it", row("opening", f"{A}:07")),
        ("position-plus", "a position with its sign", row("opening", f"{A}:+7")),
        ("position-over", "a position over 2^63 - 1", row("opening", f"{A}:{GREATEST + 1}")),
        ("position-none", "no position", row("opening", f"{A}:")),
        ("value-list", "a value that is a list", row("meta", "name") | {"value": encode([])}),
        ("value-cut", "a value that is cut", row("meta", "name") | {"value": encode(ROWS["meta"][1])[:-1]}),
    ):
        vectors.refused(name, description, "malformed", told)
    return [vectors]
