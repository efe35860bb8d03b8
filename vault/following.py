"""The holder's device follows its channels: what grantees write is merged, and what came late is written again.

Normative text: spec/envelope.md, section "Taking", and spec/epoch.md, section "Late changes".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vault import late
from vault.channel import Channel, Incoming, Pending, Taken, Writer, own_sender_key, read_claim, sender_key, write_claim
from vault.document import Document
from vault.encoding import decode, encode
from vault.errors import ForeignChange, InputRefused, NotFound, VaultError
from vault.primitives import hash32, make_id
from vault.store.mailboxes import Mailbox, MailboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_CLAIM = 1 << 20


class Following:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._documents = vault.documents
        self._mailboxes = MailboxStore(vault.store)

    def apply(self, address: bytes, incoming: Incoming) -> Document | None:
        """Merge one opened envelope of a channel of this vault. None when it was this device's own, or changed nothing.

        A bad one raises ForeignChange, Replayed or another VerificationFailed: the caller keeps it as evidence.
        """
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is None or mailbox.document is None:
            raise NotFound("no such channel")
        if self._is_own(mailbox, incoming):
            return None
        document_id = mailbox.document.hex()
        with self._vault.store.transaction():
            before = self._documents.replica_save(document_id, mailbox.epoch)
            channel = self._channel(mailbox, before, self._documents.replica(document_id).actor, incoming)
            known, held = set(channel.actors), list(channel.pending)
            taken = channel.take(incoming, self._vault.quarantine.merge)
            self._remember(channel, incoming, channel.actors.keys() - known)
            if taken.refused is None and channel.pending != held:
                self._keep_pending(channel)
            refused = self._take_up(mailbox, document_id, before, taken) if taken.applied else taken.refused
        if refused is not None:
            raise refused
        return self._documents.state(document_id) if taken.applied else None

    def _is_own(self, mailbox: Mailbox, incoming: Incoming) -> bool:
        """Whether this device wrote it and knows that it did: a vault put back from a copy takes up what it forgot."""
        me, device = self._vault.identity.sign.public, self._vault.device_id
        if (incoming.device, incoming.signer) != (device, me):
            return False
        known = self._mailboxes.sender(mailbox.address, own_sender_key(me, device))
        return known is not None and incoming.seq <= known[0]

    def _take_up(self, mailbox: Mailbox, document_id: str, before: bytes, taken: Taken) -> VaultError | None:
        """What was applied, into the document. What came late and has no place in it is returned as a failure: whoever
        sent it must still be heard."""
        refused = None
        if self._documents.epoch(document_id) == mailbox.epoch:
            self._documents.applied(document_id, taken.merged, [(p.change, p.author, p.time) for p in taken.applied])
        else:
            self._documents.archive(document_id, mailbox.epoch, taken.merged.save)
            if self._vault.telling.late(document_id, mailbox.epoch, taken.applied):
                try:
                    self.write_again(document_id, before, taken)
                except (InputRefused, ForeignChange) as failure:
                    refused = failure
        self.want_files(document_id, mailbox.relay)
        return refused

    def write_again(self, document_id: str, before: bytes, taken: Taken) -> None:
        """Changes of an epoch that is over, on the edition of the current one, their author named."""
        what = late.effect(before, taken.merged, [p.change.hash for p in taken.applied])
        if not what.edits:
            return
        replica, written = self._documents.replica(document_id), taken.applied[-1]
        branch = self._branch(document_id, replica.actor)
        aside = make_id()
        again = late.write_again(replica.save, aside, branch, what)
        if again.beside is not None:
            # What the edition carries is the holder's word, as every value in it.
            author, moment = self._documents.written(what.contested[0][1]) if what.contested else ("", 0)
            author = author or self._vault.holder_name
            self._documents.record(document_id, replica.epoch, again.beside, author, moment or written.time)
            self._documents.name_actor(aside, author)
            self._claim(document_id, aside)
        if again.late is not None:
            self._documents.record(document_id, replica.epoch, again.late, written.author, written.time)
            self._documents.name_actor(branch, written.author)
        conflicts = again.merged.conflicts
        self._documents.write(document_id, again.state, again.save, conflicts)

    def _branch(self, document_id: str, own: bytes) -> bytes:
        """The actor under which late changes are written again in the current epoch, where this device writes as `own`.

        One for all of them, shared or not: each is made on what those before it did.
        """
        branch = hash32(b"late" + own)[:16]
        self._claim(document_id, branch)
        return branch

    def _claim(self, document_id: str, actor: bytes) -> None:
        """Nobody else may write under this actor in the document's channel."""
        channel = self._mailboxes.channel(bytes.fromhex(document_id))
        if channel is not None:
            self._mailboxes.put_actor(channel.address, actor, self._vault.identity.sign.public)

    def want_files(self, document_id: str, relay: str) -> None:
        """Files that lie at the relay alone are fetched with the next exchange."""
        for sha256, fields in self._documents.flat(document_id)["attachments"].items():
            if fields.get("blob") and not self._vault.sealed_path(fields["sealed_sha256"]).exists():
                self._mailboxes.want(bytes.fromhex(document_id), sha256, relay)

    def _channel(self, mailbox: Mailbox, save: bytes, own: bytes, incoming: Incoming) -> Channel:
        """The channel as this envelope finds it: of the chains of devices its own alone. A writer may name as many
        devices as there are envelopes."""
        address, sender = mailbox.address, sender_key(incoming)
        chain = self._mailboxes.sender(address, sender)
        pending = [
            Pending(read_claim(decode(claim, limit=MAX_CLAIM)), author, time)
            for claim, author, time in self._mailboxes.pending(address)
        ]
        writers = {sign: Writer(sign, *fields) for sign, fields in self._mailboxes.writers(address).items()}
        return Channel(
            mailbox=address,
            document=mailbox.document or b"",
            epoch=mailbox.epoch,
            issuer=self._vault.identity.sign.public,
            save=save,
            writers=writers,
            senders={} if chain is None else {sender: chain},
            actors=self._mailboxes.actors(address),
            pending=pending,
            own=own,
        )

    def _remember(self, channel: Channel, incoming: Incoming, actors: Iterable[bytes]) -> None:
        sender = sender_key(incoming)
        self._mailboxes.put_sender(channel.mailbox, sender, *channel.senders[sender])
        for actor in actors:
            self._mailboxes.put_actor(channel.mailbox, actor, channel.actors[actor])

    def _keep_pending(self, channel: Channel) -> None:
        claims = [(p.change.hash, encode(write_claim(p.change)), p.author, p.time) for p in channel.pending]
        self._mailboxes.set_pending(channel.mailbox, claims)
