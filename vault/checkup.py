"""Everything in an open vault that can be checked without a network: replicas, what is read from them, attachments.

The head was checked when the vault was opened, and every page of the database is authenticated as it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.errors import StorageFailed, VerificationFailed

if TYPE_CHECKING:
    from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked, how many of it, and what failed: (document id, failure class)."""

    what: str  # documents | attachments | trace
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
    """Openings whose signature did not hold when they came: the journal shows them as unknown."""
    lines = vault.sharing.trace()
    return Check(
        "trace", len(lines), tuple((line.document_id, line.state) for line in lines if line.state == "unknown")
    )
