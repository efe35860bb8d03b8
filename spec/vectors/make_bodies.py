"""spec/envelope.md: the bodies of changes and editions, as their own encoding; what a chunk holds is in `change`."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import DOCTOR, HOLDER, without
from spec.vectors.writing import Vectors, fixed
from vault.encoding import encode

CLAIM: dict[str, Any] = {
    "actor": fixed("claim actor", 16),
    "seq": 1,
    "deps": [],
    "hash": fixed("claim hash"),
    "data": b"chunk",
}
WRITERS: list[dict[str, Any]] = [
    {"sign": HOLDER.sign.public, "name": HOLDER.name, "role": "", "right": "edit"},
    {"sign": DOCTOR.sign.public, "name": DOCTOR.name, "role": "doctor", "right": "read"},
]
CHANGES: dict[str, Any] = {"author": "", "changes": [CLAIM, CLAIM | {"seq": 2, "deps": [CLAIM["hash"]]}]}
EDITION: dict[str, Any] = {"change": CLAIM, "writers": WRITERS, "part": 1, "parts": 1}


def make() -> list[Vectors]:
    vectors = Vectors("channel-body")

    def valid(name: str, description: str, kind: str, told: dict[str, Any]) -> None:
        vectors.valid(name, description, {"type": kind, "data": encode(told)}, told)

    def refused(name: str, description: str, kind: str, told: dict[str, Any]) -> None:
        vectors.refused(name, description, "malformed", {"type": kind, "data": encode(told)})

    valid("changes", "two changes, the second on the first", "change", CHANGES)
    valid(
        "late-changes", "changes that the holder writes again for somebody", "change", CHANGES | {"author": DOCTOR.name}
    )
    valid("no-changes", "no change at all", "change", CHANGES | {"changes": []})
    valid("edition", "an edition in one part", "edition", EDITION)
    valid("edition-part", "the second of three parts", "edition", EDITION | {"part": 2, "parts": 3})
    refused("edition-as-change", "an edition in an envelope for changes", "change", EDITION)
    refused("change-as-edition", "changes in an envelope for an edition", "edition", CHANGES)
    refused("late-author-201", "an author of 201 characters", "change", CHANGES | {"author": "x" * 201})
    refused("late-author-null", "no author, said with null instead of empty text", "change", CHANGES | {"author": None})
    refused("no-author", "changes without the field for their author", "change", without(CHANGES, "author"))
    refused("claim-list", "a change that is a list", "change", CHANGES | {"changes": [[]]})
    refused("claim-seq-0", "a change that counts from zero", "change", CHANGES | {"changes": [CLAIM | {"seq": 0}]})
    refused(
        "claim-hash-31",
        "a change with a hash of 31 bytes",
        "change",
        CHANGES | {"changes": [CLAIM | {"hash": bytes(31)}]},
    )
    refused(
        "claim-dep-31", "a dependency of 31 bytes", "change", CHANGES | {"changes": [CLAIM | {"deps": [bytes(31)]}]}
    )
    refused("claim-actor-65", "an actor of 65 bytes", "change", CHANGES | {"changes": [CLAIM | {"actor": bytes(65)}]})
    refused("claim-field", "a change with one field more", "change", CHANGES | {"changes": [CLAIM | {"time": 1}]})
    refused("part-0", "part number zero", "edition", EDITION | {"part": 0})
    refused("parts-17", "more parts than are accepted", "edition", EDITION | {"parts": 17})
    refused(
        "right-own",
        "a writer with a right that does not exist",
        "edition",
        EDITION | {"writers": [WRITERS[0] | {"right": "own"}]},
    )
    refused(
        "writer-key-31",
        "a writer with a key of 31 bytes",
        "edition",
        EDITION | {"writers": [WRITERS[0] | {"sign": bytes(31)}]},
    )
    return [vectors]
