"""spec/vault-channel.md, section 5, read a second time: the rows that travel between a holder's devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spec.reader.cbor import Check, blob, list_of, moment, one_of, or_null, shape, statement, text, whole
from spec.reader.refusal import malformed

HEX16, HEX32 = "[0-9a-f]{32}", "[0-9a-f]{64}"
NUMBER = "(?:0|[1-9][0-9]*)"
LOG = 4 << 20
KEYS = {
    "meta": f"name|birth|ins|role|language|device:{HEX16}",
    "relay": ".*",
    "authority": HEX32,
    "person": HEX16,
    "inbox": HEX32,
    "channel": HEX32,
    "given": HEX32,
    "tag": f"{HEX32}:{HEX16}",
    "opening": f"{HEX32}:{NUMBER}",
    "visit": HEX32,
    "deposit": HEX16,
    "blob": f"{HEX16}:{HEX32}",
    "file": HEX32,
}
GIVEN_ITEM: Mapping[str, Check] = {
    "position": whole(), "document": blob(16), "tag": blob(16), "title": text(1000),
}  # fmt: skip
VISIT_ITEM: Mapping[str, Check] = {
    "document": blob(16), "epoch": whole(1), "edition": blob(32), "tag": blob(16), "mailbox": blob(32),
    "masked": or_null(blob(32)), "label": or_null(blob(most=4096)),
}  # fmt: skip
ROWS: Mapping[str, Mapping[str, Check]] = {
    "meta": {"value": blob(most=2000)},
    "relay": {"verify_key": blob(32), "home": whole(0, 1)},
    "authority": {
        "name": text(200), "data": blob(most=5000), "pinned": moment(), "list": blob(most=LOG),
        "head": blob(most=5000), "start": whole(), "peaks": blob(most=5000), "leaves": blob(most=LOG),
        "first": or_null(blob(most=LOG)), "second": or_null(blob(most=LOG)),
    },
    "person": {
        "name": text(200), "role": text(60), "card": blob(most=5000), "certificate": or_null(blob(most=65_536)),
        "met": whole(0, 1), "added": moment(), "kem": or_null(blob(most=2000)),
    },
    "inbox": {"relay": text(500), "owner": blob(32), "append": blob(32), "state": one_of("open", "closing")},
    "channel": {"state": one_of("closing")},
    "given": {
        "person": blob(16), "sign": blob(32), "box": blob(32), "hash": blob(32), "name": text(200), "role": text(60),
        "body": blob(most=420_000), "half": blob(32), "relay_half": or_null(blob(32)), "reader": blob(32),
        "owner": blob(32), "relay": text(500), "right": one_of("read", "edit"), "purpose": text(500),
        "made": moment(), "until": moment(), "state": one_of("active", "ended", "revoked"),
        "ended": or_null(moment()), "receipt": or_null(blob(most=1000)), "items": list_of(shape(GIVEN_ITEM), 1024),
    },
    "tag": {"document": blob(16)},
    "opening": {
        "time": whole(), "entry": blob(most=20_000), "documents": blob(most=16_384), "why": text(4096),
        "state": one_of("unknown", "opened"), "detail": text(100),
    },
    "visit": {
        "issuer_sign": blob(32), "issuer_box": blob(32), "patient": text(200), "right": one_of("read", "edit"),
        "purpose": text(500), "not_before": moment(), "until": moment(), "offline": whole(), "relay": text(500),
        "relay_key": blob(32), "grant_hash": blob(32), "half": or_null(blob(32)), "reader": or_null(blob(32)),
        "state": one_of("open", "ended"), "received": moment(), "items": list_of(shape(VISIT_ITEM), 1024),
    },
    "deposit": {
        "sender": blob(16), "name": text(200), "role": text(60), "title": text(1000),
        "sealed": or_null(blob(most=1 << 20)), "received": moment(),
        "state": one_of("waiting", "known", "refused", "filed"), "document": or_null(blob(16)), "why": text(500),
    },
    "blob": {"address": blob(32), "owner": blob(32), "token": blob(32), "relay": text(500)},
    "file": {"relay": text(500), "address": blob(32), "owner": blob(32), "token": blob(32), "size": whole()},
}  # fmt: skip


def read_row(name: str, key: str, value: bytes) -> dict[str, Any]:
    if name not in ROWS or not re.fullmatch(KEYS[name], key, re.DOTALL):
        raise malformed("no such row, or no key of it")
    position = key.rpartition(":")[2] if name == "opening" else "0"
    if int(position) > 2**63 - 1:
        raise malformed("a position that is none")
    return {"columns": sorted(statement(value, 8 << 20, ROWS[name]))}
