"""Epochs: a fresh replica, key and channel of a document whenever somebody joins or leaves its readers.

A live replica carries its whole history. So a grantee gets an *edition*: the document as it stands, flattened, as the
one change that opens a new channel. Nobody sees what was written, and perhaps deleted, before (spec/epoch.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vault.channel import Writer, encode_edition
from vault.errors import InputRefused
from vault.identity import Identity
from vault.primitives import make_id, make_key
from vault.replica import make
from vault.store.connection import Store
from vault.store.documents import Documents
from vault.store.mailboxes import MailboxStore


@dataclass(frozen=True, slots=True, repr=False)
class Member:
    """A grantee of the epoch. Tokens are made for this epoch and person; `append` is None for the right to read."""

    sign: bytes
    name: str
    role: str
    right: str
    until: int
    read: bytes
    append: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Started:
    """The new epoch of one document: what every member's wrap holds."""

    document: bytes
    epoch: int
    edition: bytes
    mailbox: bytes
    key: bytes
    title: str
    kind: str


def make_member(sign: bytes, name: str, role: str, right: str, until: int) -> Member:
    return Member(sign, name, role, right, until, make_key(), make_key() if right == "edit" else None)


class Epochs:
    def __init__(self, store: Store, documents: Documents, identity: Identity) -> None:
        self._store = store
        self._documents = documents
        self._mailboxes = MailboxStore(store)
        self._identity = identity

    def start(self, document_id: str, members: Sequence[Member], relay: str) -> Started:
        """Close the document's channel, if it has one, and open the next with `members`. One transaction."""
        document = bytes.fromhex(document_id)
        with self._store.transaction():
            self.close(document_id)
            shown = self._documents.state(document_id)
            state = self._documents.flat(document_id)
            self._publish_attachments(document, state["attachments"], relay)
            actor = make_id()
            save, change = make(state, actor)
            epoch = self._documents.start_epoch(document_id, save, actor)
            address, owner, append, key = make_key(), make_key(), make_key(), make_key()
            self._mailboxes.add(
                address, relay, "channel", owner=owner, append=append, key=key, document=document, epoch=epoch
            )
            tokens: list[dict[str, Any]] = [{"token": append, "right": "append", "until": None}]
            for member in members:
                tokens.append({"token": member.read, "right": "read", "until": member.until})
                if member.append is not None:
                    tokens.append({"token": member.append, "right": "append", "until": member.until})
            me = Writer(self._identity.sign.public, self._identity.name, self._identity.role, "edit")
            writers = [me, *(Writer(m.sign, m.name, m.role, m.right) for m in members)]
            for writer in writers:
                self._mailboxes.put_writer(address, writer.sign, writer.name, writer.role, writer.right)
            self._mailboxes.put_actor(address, actor, me.sign)
            self._mailboxes.queue(relay, "create_mailbox", address, {"owner": owner, "tokens": tokens})
            for body in encode_edition(change, writers):
                self._mailboxes.queue(relay, "seal", address, {"type": "edition", "token": append}, body)
        return Started(document, epoch, change.hash, address, key, shown.title, shown.kind)

    def close(self, document_id: str) -> None:
        """Close the document's channel at its relay; what lies in it unread is still fetched by the next sync."""
        old = self._mailboxes.channel(bytes.fromhex(document_id))
        if old is None or old.owner is None:
            return
        self._mailboxes.set_state(old.address, "closing")
        self._mailboxes.queue(
            old.relay, "close_mailbox", old.address, {"owner": old.owner, "purge": False}, urgent=True
        )

    def _publish_attachments(self, document: bytes, attachments: dict[str, dict[str, object]], relay: str) -> None:
        """Every attachment gets a place at the relay, and a reading token of this epoch; the former one ends."""
        for sha256, fields in attachments.items():
            known = self._mailboxes.blob(document, sha256)
            token = make_key()
            if known is not None and known[3] == relay:
                address, owner, old, _ = known
                arguments = {"owner": owner, "add": [{"token": token, "right": "read", "until": None}], "remove": [old]}
                self._mailboxes.queue(relay, "change_blob_tokens", address, arguments)
            else:
                if not fields.get("key"):
                    raise InputRefused("an attachment of this document has no key of its own", sha256=sha256)
                address, owner = make_key(), make_key()
                tokens = [{"token": token, "right": "read", "until": None}]
                arguments = {"owner": owner, "tokens": tokens, "document": document, "sha256": sha256}
                self._mailboxes.queue(relay, "put_blob", address, arguments)
            self._mailboxes.put_blob(document, sha256, address, owner, token, relay)
            fields["blob"], fields["blob_token"] = address.hex(), token.hex()
