"""The patient's house: offline, synchronous, no network, no screen.

The front door: names are loaded on first use, so that a worker process or `--help` does not pay for the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vault.document import Attachment, Conflict, Document, Entry, Subject
    from vault.errors import VaultError
    from vault.record import Hit, Page, Summary
    from vault.recovery import RecoveryKit
    from vault.vault import Vault

__all__ = [
    "Attachment",
    "Conflict",
    "Document",
    "Entry",
    "Hit",
    "Page",
    "Progress",
    "RecoveryKit",
    "Subject",
    "Summary",
    "Vault",
    "VaultError",
]

_ROOMS = {
    "Attachment": "document",
    "Conflict": "document",
    "Document": "document",
    "Entry": "document",
    "Hit": "record",
    "Page": "record",
    "Progress": "attachment",
    "RecoveryKit": "recovery",
    "Subject": "document",
    "Summary": "record",
    "Vault": "vault",
    "VaultError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(f"vault.{_ROOMS[name]}"), name)
