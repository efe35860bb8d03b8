"""What a grant holds of each document: the document's key, masked for one person, and a label that the key opens.

    half_tag = KDF(S2, tag)                                 the relay's part, released at an opening
    masked   = channel key XOR KDF(S1, half_tag | grant_hash | tag)
    label    = box(channel key, title and kind)             one for everybody who has the document
    tokens   = KDF(S1, half_tag | tag)                      known to the relay by their hashes

A tag is drawn for one person and one epoch, so each mask is used once; the label's box commits to its key, so another
key than the document's is noticed. Everything is done a column at a time: a grant may be of a thousand documents.
Normative text: spec/grant.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.encoding import MAX_INT, Check, Shape, blob, optional, text
from vault.errors import Malformed
from vault.primitives import (
    BOX_OVERHEAD,
    KEY,
    SUITE,
    derive_key,
    derive_keys,
    make_random,
    open_box,
    seal_box,
)

TAG = 16
MAX_ITEMS = 1024
MAX_TITLE = 400  # bytes of a title in a label: with this, a grant of MAX_ITEMS documents always fits one message
READ, APPEND = "elpis-token-read", "elpis-token-add"
WIDTHS = {"documents": 16, "epochs": 8, "editions": KEY, "tags": TAG, "mailboxes": KEY}

ITEMS = Shape("items", {name: blob(at_most=width * MAX_ITEMS) for name, width in WIDTHS.items()})
# What nobody may know before an opening.
LABEL = Shape("label", {"title": text(500), "kind": text(40)}, limit=2048)
MAX_LABEL = LABEL.limit + BOX_OVERHEAD
# An opened document's key, tokens and label, where a patient allowed to keep them (visiting.py).
CONTENT = Shape(
    "content",
    {"key": blob(KEY), "read": blob(KEY), "append": optional(blob(KEY)), "title": text(500), "kind": text(40)},
    limit=4096,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One document of a grant. `edition`: the change that the grantee must find first in the channel."""

    document: bytes
    epoch: int
    edition: bytes
    tag: bytes
    mailbox: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """What opening an item reveals. `append` is None for the right to read."""

    key: bytes
    read: bytes
    append: bytes | None
    title: str
    kind: str

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in CONTENT.fields}


# Columns


def columns(
    documents: Iterable[bytes],
    epochs: Sequence[int],
    editions: Iterable[bytes],
    tags: Iterable[bytes],
    mailboxes: Iterable[bytes],
) -> dict[str, bytes]:
    """The items of a grant as they are encoded."""
    return {
        "documents": b"".join(documents),
        "epochs": struct.pack(f">{len(epochs)}Q", *epochs),
        "editions": b"".join(editions),
        "tags": b"".join(tags),
        "mailboxes": b"".join(mailboxes),
    }


def count_of(fields: Mapping[str, bytes]) -> int:
    """How many items stand in the columns. Malformed unless each has so many whole values, one at the least."""
    count = len(fields["documents"]) // WIDTHS["documents"]
    if count < 1 or any(len(fields[name]) != count * width for name, width in WIDTHS.items()):
        raise Malformed("the columns of a grant are not of one length, at least one item")
    return count


def read_items(fields: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The items of columns. Malformed for an epoch that is none, and a document, tag or mailbox that stands twice."""
    epochs = struct.unpack(f">{count_of(fields)}Q", fields["epochs"])
    if min(epochs) < 1 or max(epochs) > MAX_INT:
        raise Malformed("an epoch is from 1 to 2^63 - 1")
    parts = {name: values(fields[name], width) for name, width in WIDTHS.items()}
    for name in ("tags", "documents", "mailboxes"):
        if len(set(parts[name])) != len(epochs):
            raise Malformed("an item stands twice in one grant")
    return tuple(map(Item, parts["documents"], epochs, parts["editions"], parts["tags"], parts["mailboxes"]))


def values(column: bytes, width: int) -> tuple[bytes, ...]:
    """The values of a column."""
    return tuple(column[at : at + width] for at in range(0, len(column), width))


# Keys


def make_tags(count: int) -> tuple[bytes, ...]:
    """Fresh tags for one person: nobody, and no epoch, ever has one of them again."""
    return values(make_random(count * TAG), TAG)


def derive_half_tag(half: bytes, tag: bytes) -> bytes:
    """The relay's half for one item. The relay computes the same from its S2."""
    return derive_key(half, "elpis-half-tag", tag)


def derive_half_tags(half: bytes, tags: Iterable[bytes]) -> list[bytes]:
    return derive_keys(half, "elpis-half-tag", tags)


def derive_tokens(half: bytes, label: str, half_tags: Iterable[bytes], tags: Iterable[bytes]) -> list[bytes]:
    """READ or APPEND tokens of one person, a document each."""
    return derive_keys(half, label, [half_tag + tag for half_tag, tag in zip(half_tags, tags, strict=True)])


def mask_keys(
    half: bytes, half_tags: Iterable[bytes], grant_hash: bytes, tags: Iterable[bytes], keys: Iterable[bytes]
) -> bytes:
    """The channel keys of a grant's items, masked for its person: a column."""
    contexts = [half_tag + grant_hash + tag for half_tag, tag in zip(half_tags, tags, strict=True)]
    return _xor(b"".join(keys), b"".join(derive_keys(half, "elpis-grant-key", contexts)))


def unmask_key(half: bytes, half_tag: bytes, grant_hash: bytes, tag: bytes, masked: bytes) -> bytes:
    """Some key: whether it is the document's, its label says (`unwrap`)."""
    return _xor(masked, derive_key(half, "elpis-grant-key", half_tag + grant_hash + tag))


def seal_label(
    key: bytes, document: bytes, epoch: int, edition: bytes, mailbox: bytes, *, title: str, kind: str
) -> bytes:
    """Once for a document and epoch, whoever has it: the same bytes in every grant and renewal."""
    told = LABEL.encode({"title": title, "kind": kind})
    return seal_box(key, "elpis-wrap", told, _label_aad(document, epoch, edition, mailbox))


def unwrap(
    half: bytes, half_tag: bytes, grant_hash: bytes, item: Item, masked: bytes, label: bytes, *, edit: bool
) -> Content:
    """The document's key, its label, and this person's tokens; the one to append for those who may `edit` alone.

    CannotOpen when a half, the grant, the item, the masked key or the label is another one.
    """
    key = unmask_key(half, half_tag, grant_hash, item.tag, masked)
    aad = _label_aad(item.document, item.epoch, item.edition, item.mailbox)
    told = LABEL.decode(open_box(key, "elpis-wrap", label, aad))
    place = half_tag + item.tag
    append = derive_key(half, APPEND, place) if edit else None
    return Content(key, derive_key(half, READ, place), append, told["title"], told["kind"])


def label_list() -> Check:
    """A list of labels; looked at as a whole, because a check of each costs more than what it checks."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) > MAX_ITEMS or not {bytes}.issuperset(map(type, value)):
            raise Malformed(f"{where}: not a list of at most {MAX_ITEMS} byte strings")
        if max(map(len, value), default=0) > MAX_LABEL:
            raise Malformed(f"{where}: a label of more than {MAX_LABEL} bytes")

    return check


def _label_aad(document: bytes, epoch: int, edition: bytes, mailbox: bytes) -> bytes:
    return bytes([SUITE]) + b"wrap\0" + document + epoch.to_bytes(8, "big") + edition + mailbox


def _xor(left: bytes, right: bytes) -> bytes:
    """Of two byte strings of one length. Malformed when they are not: a rest would stay in the clear."""
    if len(left) != len(right):
        raise Malformed("a key is masked by as many bytes as it has")
    mixed = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return mixed.to_bytes(len(left), "big")
