"""What a simulated world knows and no party does: who wrote which word when, who was allowed to see it, who was told.

Every word that is written is unique, so that each can be found again wherever it went.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WORD = re.compile(rb"w\d{5}z")


def words(value: Any) -> set[str]:
    data = value if isinstance(value, bytes) else json.dumps(value, default=str).encode()
    return {found.decode() for found in WORD.findall(data)}


@dataclass(slots=True)
class Written:
    """One word, or one removal (`word` is ""). `saw`: the words in that place that its writer knew of."""

    word: str
    seat: str
    document: str
    step: int
    saw: set[str]
    grant: str = ""
    epoch: int = 0
    done: bool = False
    forged: bool = False
    deposit: bool = False


@dataclass(slots=True)
class Granted:
    id: str
    seat: str
    documents: tuple[str, ...]
    right: str
    made: int
    ended: int | None = None
    epochs: dict[str, int] = field(default_factory=dict)  # of each document, when it ended
    allowed: dict[str, set[str]] = field(default_factory=dict)
    past: dict[str, set[str]] = field(default_factory=dict)  # what the holder's history held when it was made


class Ledger:
    def __init__(self) -> None:
        self.written: list[Written] = []
        self.by_word: dict[str, Written] = {}
        self.grants: dict[str, Granted] = {}
        self.held: dict[str, dict[bytes, tuple[bytes, str]]] = {}  # seat -> mailbox -> (key, document)
        self.files: dict[str, bytes] = {}
        self.refused: set[str] = set()
        self.step = 0

    def write(self, seat: str, document: str, saw: Iterable[str], **more: Any) -> Written:
        """A new word, before it is written: after a crash it may be there or not."""
        word = f"w{len(self.written):05d}z"
        made = Written(word, seat, document, self.step, set(saw), **more)
        self.written.append(made)
        self.by_word[word] = made
        for grant in self.grants.values():
            if grant.ended is None and document in grant.allowed:
                grant.allowed[document].add(word)
        return made

    def remove(self, seat: str, document: str, saw: Iterable[str]) -> Written:
        made = Written("", seat, document, self.step, set(saw))
        self.written.append(made)
        return made

    def see(self, document: str, seen: set[str]) -> None:
        """The holder's record shows these words of this document: whoever has it now may see them."""
        for grant in self.grants.values():
            if grant.ended is None and document in grant.allowed:
                grant.allowed[document] |= seen

    def may_see(self, seat: str, document: str) -> set[str]:
        """Every word of a document that this seat was ever allowed to see.

        What somebody else wrote into the same epoch without knowing yet that this one had left cannot be kept from
        this one: it was sealed under the key that both had. What somebody else wrote before and the holder's device
        did not have yet is written again when it comes, word by word.
        """
        allowed = {made.word for made in self.written if made.seat == seat}
        for grant in self.grants.values():
            if grant.seat == seat and document in grant.allowed:
                allowed |= grant.allowed[document]
                others = [made for made in self.written if made.document == document and made.seat not in ("H", seat)]
                allowed |= {made.word for made in others if self._unaware(made, grant)}
        return allowed

    def _unaware(self, made: Written, grant: Granted) -> bool:
        if made.step < grant.made:
            return made.word not in grant.past[made.document]
        return grant.ended is not None and made.epoch <= grant.epochs.get(made.document, 0)

    def superseded(self) -> set[str]:
        """Words that somebody replaced or removed knowing of them."""
        return {word for made in self.written for word in made.saw}
