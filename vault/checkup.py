"""Everything in an open vault that can be checked without a network: replicas, what is read from them, attachments,
the openings' signatures. What relays signed is checked by sync.verifying.

The head was checked when the vault was opened, and every page of the database is authenticated as it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.errors import NotFound, StorageFailed, VerificationFailed
from vault.opening import verify_opening
from vault.primitives import hash32
from vault.store.grants import GrantStore

if TYPE_CHECKING:
    from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked, how many of it, and what failed: (document id, failure class)."""

    what: str  # documents | attachments | trace; of relays: chains | checkpoints | receipts | openings
    count: int
    failed: tuple[tuple[str, str], ...]


def check(vault: Vault, progress: Callable[[int, int], None] | None = None) -> tuple[Check, ...]:
    """Reads every replica and every attachment, and looks at the trace."""
    return (*_check_documents(vault, progress), _check_trace(vault))


def _check_documents(vault: Vault, progress: Callable[[int, int], None] | None) -> tuple[Check, Check]:
    from vault.replica import flatten

    documents, attachments, total = 0, 0, vault.count()
    stale: list[tuple[str, str]] = []
    damaged: list[tuple[str, str]] = []
    for document_id, state in vault.documents.states():
        documents += 1
        try:
            if flatten(vault.documents.replica(document_id).save) != state:
                stale.append((document_id, "not what its replica says"))
        except (StorageFailed, VerificationFailed) as failure:
            stale.append((document_id, failure.code))
        for sha256 in state["attachments"]:
            attachments += 1
            try:
                for _chunk in vault.attachment(document_id, sha256):
                    pass
            except (StorageFailed, VerificationFailed) as failure:
                damaged.append((document_id, failure.code))
        if progress is not None:
            progress(documents, total)
    return Check("documents", documents, tuple(stale)), Check("attachments", attachments, tuple(damaged))


def _check_trace(vault: Vault) -> Check:
    """Every opening's signatures once more, in the order of the trace; and each grant is the one that was given."""
    grants, failed, count = GrantStore(vault.store), [], 0
    shown = {(row.number, row.position): row.state for row in grants.openings()}
    for given in grants.all_given():
        counter, tags = 0, grants.documents_of_tags(given.number)
        if hash32(given.body) != given.hash:
            failed.append((given.number.hex(), "the grant was changed"))
        for position, _, entry in grants.entries(given.number):
            count += 1
            try:
                opened = verify_opening(
                    entry,
                    reader=given.reader,
                    grantee=given.sign,
                    me=vault.identity.box,
                    number=given.number,
                    grant_hash=given.hash,
                    items=tags,
                    after=counter,
                )
            except (VerificationFailed, NotFound) as failure:
                failed.append((given.number.hex(), f"opening {position}: {failure.code}"))
                continue
            counter = opened.counter
            if shown[given.number, position] != "opened":
                failed.append((given.number.hex(), f"opening {position} is shown as unknown"))
    return Check("trace", count, tuple(failed))
