"""spec/certificate.md, read a second time: authorities, their logs and bulletins, certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spec.reader.cbor import Check, blob, list_of, moment, shape, statement, text, whole
from spec.reader.primitives import blake2b, need_suite
from spec.reader.refusal import Refused, malformed
from spec.reader.statements import DAY, check_role, fold_name, read, read_card

AUTHORITY: Mapping[str, Check] = {"suite": whole(0, 255), "name": text(200), "sign": blob(32), "made": moment()}
CERTIFICATE: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "authority": blob(32),
    "id": text(100),
    "name": text(200),
    "role": text(60),
    "sign": blob(32),
    "box": blob(32),
    "from": moment(),
    "until": moment(),
}
HEAD: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "authority": blob(32),
    "size": whole(0),
    "root": blob(32),
    "time": moment(),
}
LOGGED: Mapping[str, Check] = {
    "certificate": blob(most=4224),
    "head": blob(most=640),
    "index": whole(0),
    "path": list_of(blob(32), 40),
}
REVOCATIONS: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "authority": blob(32),
    "number": whole(1),
    "made": moment(),
    "next": moment(),
    "entries": list_of(shape({"certificate": blob(32), "time": moment()}), 10_000),
}
BULLETIN: Mapping[str, Check] = {
    "authority": blob(most=2176),
    "list": blob(most=900_128),
    "head": blob(most=640),
    "start": whole(0),
    "peaks": list_of(blob(32), 63),
    "leaves": blob(most=3_200_000),
}
Fields = dict[str, Any]


@dataclass
class Known:
    """What a vault keeps of an authority."""

    key: bytes
    list: Fields
    list_data: bytes
    head: Fields
    start: int
    peaks: list[bytes]
    leaves: list[bytes]
    promised: list[Fields]


def contradiction(why: str) -> Refused:
    return Refused("authority-contradiction", why)


def leaf(data: bytes) -> bytes:
    return blake2b(b"\0" + data, "elpis-log")


def node(left: bytes, right: bytes) -> bytes:
    return blake2b(b"\1" + left + right, "elpis-log")


def root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return blake2b(b"", "elpis-log")
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:split]), root(leaves[split:]))


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 9162, 2.1.3.1."""
    if len(leaves) <= 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*path(leaves[:split], index), root(leaves[split:])]
    return [*path(leaves[split:], index - split), root(leaves[:split])]


def root_by_path(start: bytes, index: int, size: int, steps: Sequence[bytes]) -> bytes | None:
    """From the outside in: which half of the tree the leaf is in says where the last step goes."""
    if size == 1:
        return None if steps else start
    if not steps:
        return None
    split = 1 << (size - 1).bit_length() - 1
    left = index < split
    inner = root_by_path(start, index if left else index - split, split if left else size - split, steps[:-1])
    if inner is None:
        return None
    return node(inner, steps[-1]) if left else node(steps[-1], inner)


def root_at(known: Known, size: int) -> bytes | None:
    """The root at an earlier size, from peaks and leaves: None when the extract does not reach so far."""
    if not known.start <= size <= known.start + len(known.leaves):
        return None
    trees = [(1 << bit, peak) for bit, peak in zip(reversed(bits(known.start)), known.peaks, strict=True)]
    for one in known.leaves[: size - known.start]:
        trees.append((1, one))
        while len(trees) > 1 and trees[-2][0] == trees[-1][0]:
            (width, left), (_, right) = trees[-2:]
            trees[-2:] = [(2 * width, node(left, right))]
    if not trees:
        return root([])
    found = trees[-1][1]
    for _, peak in reversed(trees[:-1]):
        found = node(peak, found)
    return found


def bits(number: int) -> list[int]:
    return [bit for bit in range(number.bit_length()) if number >> bit & 1]


def read_authority(data: bytes) -> Fields:
    authority = read("authority", AUTHORITY, 2048, data)
    need_suite(authority.fields["suite"])
    return authority.by(authority.fields["sign"]).fields


def _by(kind: str, fields: Mapping[str, Check], limit: int, data: bytes, key: bytes) -> Fields:
    told = read(kind, fields, limit, data)
    need_suite(told.fields["suite"])
    told.by(key)
    if told.fields["authority"] != key:
        raise Refused("bad-signature", "in another authority's name")
    return told.fields


def read_head(data: bytes, key: bytes) -> Fields:
    return _by("log-head", HEAD, 512, data, key)


def read_bulletin(data: bytes) -> Known:
    told = statement(data, 4 << 20, BULLETIN)
    key = read_authority(told["authority"])["sign"]
    listed = _by("revocations", REVOCATIONS, 900_000, told["list"], key)
    hashes = [entry["certificate"] for entry in listed["entries"]]
    if listed["next"] <= listed["made"] or hashes != sorted(set(hashes)):
        raise malformed("no time, or not in order")
    if listed["next"] - listed["made"] > 30 * DAY:
        raise Refused("not-certified", "a list for more than 30 days")
    head = read_head(told["head"], key)
    leaves = [told["leaves"][at : at + 32] for at in range(0, len(told["leaves"]), 32)]
    if len(told["peaks"]) != len(bits(told["start"])) or len(told["leaves"]) % 32:
        raise malformed("peaks or leaves")
    if told["start"] + len(leaves) != head["size"]:
        raise malformed("the extract does not end where the log does")
    known = Known(key, listed, told["list"], head, told["start"], told["peaks"], leaves, [])
    if root_at(known, head["size"]) != head["root"]:
        raise Refused("verification-failed", "the leaves do not give the root")
    return known


def compare(larger: Known, head: Fields) -> None:
    grown, later = head["size"] - larger.head["size"], head["time"] - larger.head["time"]
    if grown * later < 0:
        raise contradiction("the log became smaller")
    if grown > 0:
        return
    earlier = root_at(larger, head["size"])
    if earlier is None:
        raise Refused("not-certified", "the extract does not reach back")
    if earlier != head["root"]:
        raise contradiction("two histories")


def take(known: Known, new: Known) -> Known:
    if known.list["number"] == new.list["number"] and known.list_data != new.list_data:
        raise contradiction("two lists of one number")
    small, large = (known, new) if known.head["size"] <= new.head["size"] else (new, known)
    for head in (small.head, *known.promised):
        compare(large, head)
    newest = known if known.list["number"] >= new.list["number"] else new
    promised = [head for head in known.promised if head["size"] > large.head["size"]]
    return Known(known.key, newest.list, newest.list_data, large.head, large.start, large.peaks, large.leaves, promised)


def read_logged(data: bytes, key: bytes) -> tuple[Fields, Fields, int, bytes]:
    """(certificate, head, index, certificate statement)."""
    file = statement(data, 8192, LOGGED)
    certificate = read("certificate", CERTIFICATE, 4096, file["certificate"])
    told = certificate.fields
    need_suite(told["suite"])
    if told["authority"] != key:
        raise Refused("not-certified", "another authority")
    certificate.by(key)
    if told["until"] <= told["from"]:
        raise malformed("ends before it starts")
    if told["until"] - told["from"] > 90 * DAY:
        raise Refused("not-certified", "more than 90 days")
    head = read_head(file["head"], key)
    if not file["index"] < head["size"]:
        raise Refused("not-certified", "beyond the log")
    if root_by_path(leaf(file["certificate"]), file["index"], head["size"], file["path"]) != head["root"]:
        raise Refused("not-certified", "not in the log")
    return told, head, file["index"], file["certificate"]


def witness(known: Known, head: Fields, index: int, data: bytes) -> None:
    """The head of a certificate against what is kept; a larger one is kept."""
    if head["size"] > known.head["size"]:
        for other in (known.head, *known.promised):
            same = head["size"] == other["size"] and head["root"] != other["root"]
            if same or (head["size"] - other["size"]) * (head["time"] - other["time"]) < 0:
                raise contradiction("two histories")
        if head["size"] not in [other["size"] for other in known.promised]:
            known.promised.append(head)
        return
    if head["size"] >= known.start:
        compare(known, head)
    place = index - known.start
    if place < 0 or known.leaves[place : place + 1] != [leaf(data)]:
        raise Refused("not-certified", "not in the log that is known")


def keep(bulletins: Sequence[bytes], certificates: Sequence[bytes]) -> Known:
    known = read_bulletin(bulletins[0])
    for data in certificates:
        _, head, index, certificate = read_logged(data, known.key)
        witness(known, head, index, certificate)
    for data in bulletins[1:]:
        known = take(known, read_bulletin(data))
    return known


def read_certificate(data: bytes, bulletins: Sequence[bytes], card: bytes, now: int) -> Fields:
    known, owner = keep(bulletins, ()), read_card(card)
    told, head, index, certificate = read_logged(data, known.key)
    witness(known, head, index, certificate)
    digest = blake2b(certificate, "elpis-hash")
    if digest in [entry["certificate"] for entry in known.list["entries"]]:
        raise Refused("not-certified", "revoked")
    keys = (told["sign"], told["box"]) == (owner["sign"], owner["box"])
    if not keys or fold_name(told["name"]) != fold_name(owner["name"]):
        raise Refused("wrong-recipient", "for somebody else")
    if not told["from"] <= now < told["until"]:
        raise Refused("expired", "outside of its dates")
    if now >= known.list["next"]:
        raise Refused("not-certified", "the list is too old")
    role = check_role(told["role"])
    return {"id": told["id"], "name": told["name"], "role": role, "until": told["until"], "hash": digest}
