"""Epochs: a fresh replica, key and channel of a document whenever somebody joins or leaves its readers.

A live replica carries its whole history. So a grantee gets an *edition*: the document as it stands, flattened, as the
one change that opens a new channel. Nobody sees what was written, and perhaps deleted, before (spec/epoch.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.channel import Writer, encode_edition
from vault.errors import InputRefused
from vault.masking import MAX_TITLE, seal_label
from vault.opening import cut
from vault.primitives import make_id, make_key
from vault.replica import Edit, make, need_room
from vault.store.mailboxes import MailboxStore
from vault.store.outbox import OutboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_TOKENS = 64  # of one mailbox, as every relay limits them


@dataclass(frozen=True, slots=True, repr=False)
class Member:
    """A grantee of the epoch. Tokens are of this epoch and person; `append` is None for the right to read."""

    sign: bytes
    name: str
    role: str
    right: str
    until: int
    read: bytes
    append: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Started:
    """The new epoch of one document: its key, and what every member is told of it."""

    document: bytes
    epoch: int
    edition: bytes
    mailbox: bytes
    key: bytes
    title: str
    label: bytes


class Epochs:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._documents = vault.documents
        self._mailboxes = MailboxStore(vault.store)
        self._outbox = OutboxStore(vault.store)

    def start(self, document_id: str, members: Sequence[Member], relay: str, *, need_files: bool = False) -> Started:
        """Close the document's channel, if it has one, and open the next with `members`. One transaction.

        With `need_files`, InputRefused when a file of the document is lost. An end or an exchange never needs them.
        """
        document, me = bytes.fromhex(document_id), self._vault.identity
        address, owner, append, key = make_key(), make_key(), make_key(), make_key()
        tokens = _tokens(append, members)
        with self._store.transaction():
            self.close_channel(document)
            state = self._documents.flat(document_id)
            if need_files and (lost := self._lost_file(state["attachments"])):
                raise InputRefused("a file of this document is missing here", sha256=lost)
            self._publish(document, state["attachments"], relay)
            actor, telling = make_id(), self._vault.telling
            save, change = make(state, actor)
            parent = None if telling.alone else self._documents.replica(document_id).save
            number = None if parent is None else telling.next_epoch(document_id)
            epoch = self._documents.start_epoch(document_id, save, actor, to=number)
            if state["attachments"]:
                self._documents.write(document_id, state, save)  # their places at the relay changed
            self._documents.set_shared(document_id, True)
            self._mailboxes.add(
                address, relay, "channel", owner=owner, append=append, key=key, document=document, epoch=epoch
            )
            writers = _writers(Writer(me.sign.public, me.name, me.role, "edit"), members)
            self._mailboxes.put_writers(address, ((w.sign, w.name, w.role, w.right) for w in writers))
            self._mailboxes.put_actor(address, actor, me.sign.public)
            self._outbox.queue(relay, "create_mailbox", address, {"owner": owner, "tokens": tokens})
            for body in encode_edition(change, writers):
                self._outbox.queue(relay, "seal", address, {"type": "edition", "token": append}, body)
            if parent is not None:
                telling.started(document_id, change, parent)
        title, kind = state["meta"].get("title", ""), state["meta"].get("kind", "")
        label = seal_label(key, document, epoch, change.hash, address, title=cut(title, MAX_TITLE), kind=kind)
        return Started(document, epoch, change.hash, address, key, title, label)

    def can_start(self, document_id: str) -> bool:
        """Whether the document, as it stands, fits an edition."""
        try:
            need_room(self._documents.flat(document_id))
        except InputRefused:
            return False
        return True

    def close(self, document_id: str) -> None:
        """Nobody has the document any more: its channel closes, and no token opens its files at the relay."""
        document = bytes.fromhex(document_id)
        with self._store.transaction():
            self.close_channel(document)
            for address, owner, token, relay in self._mailboxes.blobs(document):
                arguments = {"owner": owner, "add": [], "remove": [token]}
                self._outbox.queue(relay, "change_blob_tokens", address, arguments)
            self._documents.set_shared(document_id, False)

    def publish(self, document_id: str, relay: str) -> None:
        """Give files that the holder attached to a shared document their place at the relay."""
        state = self._documents.flat(document_id)
        unpublished = {
            sha256: fields
            for sha256, fields in state["attachments"].items()
            if not fields.get("blob") and not self._lost_file({sha256: fields})
        }
        if not unpublished:
            return
        with self._store.transaction():
            self._publish(bytes.fromhex(document_id), unpublished, relay)
            edits: list[Edit] = [
                ("set", ("attachments", sha256, name), fields[name])
                for sha256, fields in unpublished.items()
                for name in ("blob", "blob_token")
            ]
            self._vault.edit(document_id, edits)

    def close_channel(self, document: bytes) -> None:
        """Close the channel at its relay; what lies in it unread is still fetched by the next sync."""
        old = self._mailboxes.channel(document)
        if old is None or old.owner is None:
            return
        self._mailboxes.set_state(old.address, "closing")
        self._outbox.take_back_from(old.address)
        self._outbox.queue(old.relay, "close_mailbox", old.address, {"owner": old.owner, "purge": False}, urgent=True)

    def _lost_file(self, attachments: Mapping[str, dict[str, Any]]) -> str | None:
        """A file that is neither here nor at a relay. It holds up neither an exchange nor the end of an access."""
        for sha256, fields in attachments.items():
            if not fields.get("blob") and not self._vault.sealed_path(fields["sealed_sha256"]).exists():
                return sha256
        return None

    def _publish(self, document: bytes, attachments: Mapping[str, dict[str, Any]], relay: str) -> None:
        """Every file gets a place at the relay and a reading token of this epoch; the former token ends.

        A file that a grantee contributed and that is not here yet keeps the place that the grantee gave it.
        """
        for sha256, fields in attachments.items():
            known = self._mailboxes.blob(document, sha256)
            token = make_key()
            if known is not None and known[3] == relay:
                address, owner, old, _ = known
                arguments = {"owner": owner, "add": [_reading(token)], "remove": [old]}
                self._outbox.queue(relay, "change_blob_tokens", address, arguments)
            elif not self._vault.sealed_path(fields["sealed_sha256"]).exists():
                continue
            else:
                address, owner = make_key(), make_key()
                arguments = {"owner": owner, "tokens": [_reading(token)], "sealed": fields["sealed_sha256"]}
                self._outbox.queue(relay, "put_blob", address, arguments)
            self._mailboxes.put_blob(document, sha256, address, owner, token, relay)
            fields["blob"], fields["blob_token"] = address.hex(), token.hex()


def _reading(token: bytes) -> dict[str, Any]:
    return {"token": token, "right": "read", "until": None}


def _tokens(append: bytes, members: Sequence[Member]) -> list[dict[str, Any]]:
    """What the channel's mailbox may be opened with. InputRefused for more people than a mailbox has tokens for."""
    tokens: list[dict[str, Any]] = [{"token": append, "right": "append", "until": None}]
    for member in members:
        tokens.append({"token": member.read, "right": "read", "until": member.until})
        if member.append is not None:
            tokens.append({"token": member.append, "right": "append", "until": member.until})
    if len(tokens) > MAX_TOKENS:
        raise InputRefused("too many people have this document at once", limit=MAX_TOKENS)
    return tokens


def _writers(me: Writer, members: Sequence[Member]) -> list[Writer]:
    """The holder and the members, each person once: with two grants, the greater right counts."""
    writers = {me.sign: me}
    for member in members:
        known = writers.get(member.sign)
        if known is None or known.right == "read":
            writers[member.sign] = Writer(member.sign, member.name, member.role, member.right)
    return list(writers.values())
