"""One person's part in the next epochs of some documents: fresh tags, tokens, and the keys masked for this person.

The same for somebody who joins (a package) and for somebody who stays (a renewal). Tags are drawn before an epoch
starts, because the relay is told the tokens when the channel is made; the keys are masked when it has started.
Normative text: spec/grant.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vault.epochs import Member, Started
from vault.masking import APPEND, READ, columns, derive_half_tags, derive_tokens, make_tags, mask_keys
from vault.primitives import make_key


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """`members`: this person in each of the documents, in their order."""

    documents: tuple[str, ...]
    half: bytes
    tags: tuple[bytes, ...]
    half_tags: Sequence[bytes]
    members: tuple[Member, ...]

    def items(self, started: Mapping[str, Started]) -> dict[str, bytes]:
        """The columns of the grant or renewal."""
        begun = [started[document] for document in self.documents]
        return columns(
            [one.document for one in begun],
            [one.epoch for one in begun],
            [one.edition for one in begun],
            self.tags,
            [one.mailbox for one in begun],
        )

    def keys(self, started: Mapping[str, Started], grant_hash: bytes) -> bytes:
        """The masked keys."""
        keys = [started[document].key for document in self.documents]
        return mask_keys(self.half, self.half_tags, grant_hash, self.tags, keys)

    def labels(self, started: Mapping[str, Started]) -> list[bytes]:
        return [started[document].label for document in self.documents]


def make_part(
    documents: Sequence[str],
    half: bytes,
    relay_half: bytes | None,
    *,
    sign: bytes,
    name: str,
    role: str,
    right: str,
    until: int,
) -> Part:
    """Fresh tags for each document. Without the relay's half nobody can open anything: tokens that nobody has."""
    tags = make_tags(len(documents))
    half_tags = derive_half_tags(relay_half or make_key(), tags)
    reads: Sequence[bytes] = derive_tokens(half, READ, half_tags, tags)
    appends: Sequence[bytes | None] = [None] * len(tags)
    if right == "edit":
        appends = derive_tokens(half, APPEND, half_tags, tags)
    members = tuple(
        Member(sign, name, role, right, until, read, append) for read, append in zip(reads, appends, strict=True)
    )
    return Part(tuple(documents), half, tags, half_tags, members)
