"""What a vault still has to say to relays, and what it remembers of what they said. The rules behind sync/exchange.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vault.channel import ZERO, encode_changes, own_sender_key
from vault.errors import NotFound, RelayContradiction, VaultError
from vault.grant import message_type
from vault.store.mailboxes import Mailbox, MailboxStore, Outgoing

if TYPE_CHECKING:
    from vault.vault import Vault


class Signed(Protocol):
    """A relay's signed word, whole, as evidence."""

    def encode(self) -> bytes: ...


Sealer = Callable[..., tuple[bytes, bytes]]
"""sync.envelope.seal, handed in: the vault does not know how an envelope is made."""


class Outbox:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._mailboxes = MailboxStore(vault.store)

    def collect(self) -> None:
        """Queue the changes that this device made to documents with an open channel; the others need no envelope."""
        with self._store.transaction():
            for document_id, epoch, change in self._vault.documents.unpushed():
                channel = self._mailboxes.channel(bytes.fromhex(document_id))
                if channel is not None and channel.epoch == epoch and channel.append is not None:
                    arguments = {"type": "change", "token": channel.append}
                    self._mailboxes.queue(channel.relay, "seal", channel.address, arguments, encode_changes([change]))
                self._vault.documents.set_pushed(change.hash)

    def next(self, limit: int) -> list[Outgoing]:
        return self._mailboxes.outgoing(limit)

    def queued(self) -> int:
        return self._mailboxes.queued()

    def seal(self, item: Outgoing, sealer: Sealer) -> Outgoing:
        """Seal a queued body into its envelope, once: the bytes are kept before they are sent."""
        mailbox = self._mailboxes.mailbox(item.address)
        if mailbox is None or mailbox.key is None or mailbox.document is None:
            raise NotFound("the channel of a queued change is gone")
        me = self._vault.identity.sign
        device = self._vault.device_id
        own = own_sender_key(me.public, device)
        with self._store.transaction():
            seq, prev = self._mailboxes.senders(item.address).get(own, (0, ZERO))
            data, head = sealer(
                mailbox.key,
                me,
                kind=item.arguments["type"],
                channel=item.address,
                document=mailbox.document,
                epoch=mailbox.epoch,
                device=device,
                seq=seq + 1,
                prev=prev,
                seen=[(mailbox.address, mailbox.count, mailbox.chain)],
                roster=self._vault.roster_head,
                time=int(self._vault.clock()),
                body=item.payload or b"",
            )
            self._mailboxes.put_sender(item.address, own, seq + 1, head)
            arguments = {"token": item.arguments["token"]}
            self._mailboxes.become(item.id, "append", arguments, data)
        return Outgoing(item.id, item.relay, "append", item.address, arguments, data)

    def sent(self, outgoing_id: int) -> None:
        self._mailboxes.sent(outgoing_id)

    def file_of(self, item: Outgoing) -> Path:
        """The sealed file that a put_blob sends."""
        if "file" in item.arguments:
            return self._vault.path / str(item.arguments["file"])
        state = self._vault.documents.flat(item.arguments["document"].hex())
        fields = state["attachments"].get(item.arguments["sha256"])
        if fields is None:
            raise NotFound("the attachment of a queued file is gone")
        return self._vault.sealed_path(fields["sealed_sha256"])

    def queue_change(self, relay: str, address: bytes, token: bytes, data: bytes) -> None:
        """An envelope that is sealed already: a professional's, whose key is not kept."""
        self._mailboxes.queue(relay, "append", address, {"token": token}, data)

    # What relays said

    def mailboxes(self) -> list[Mailbox]:
        return self._mailboxes.to_pull()

    def expect(self, address: bytes, count: int, chain: bytes) -> None:
        """The relay signed this of an own mailbox when it took a message: the pull must come to the same."""
        if self._mailboxes.mailbox(address) is not None:
            known = self._mailboxes.link(address, count)
            if known is not None and known != chain:
                raise RelayContradiction("two histories signed by one relay", reason="fork")
            self._mailboxes.remember(address, count, chain)

    def check_link(self, address: bytes, position: int, chain: bytes, checkpoint: Signed) -> None:
        """RelayContradiction when the relay signed another chain for this position before."""
        known = self._mailboxes.link(address, position)
        if known is not None and known != chain:
            raise RelayContradiction(
                "two histories signed by one relay", reason="fork", evidence=checkpoint.encode().hex()
            )

    def compare_seen(self, seen: Sequence[tuple[bytes, int, bytes]], position: int) -> None:
        """What another device saw of this mailbox before it wrote must be what this one sees."""
        for address, count, chain in seen:
            if count >= position:
                raise RelayContradiction("the relay shows others a longer history", reason="withheld")
            known = self._mailboxes.link(address, count)
            if known is not None and known != chain:
                raise RelayContradiction("the relay shows others another history", reason="fork")

    def advance(self, address: bytes, count: int, chain: bytes) -> None:
        self._mailboxes.advance(address, count, chain)

    def done(self, address: bytes) -> None:
        self._mailboxes.set_state(address, "done")

    def keep(self, address: bytes, envelope: bytes, failure: VaultError) -> None:
        now = int(self._vault.clock())
        self._mailboxes.keep_evidence(address, envelope, failure.code, str(failure), now)

    def contradiction(self, address: bytes, failure: RelayContradiction) -> None:
        evidence = bytes.fromhex(str(failure.facts.get("evidence", "")))
        self.keep(address, evidence, failure)

    def writer_name(self, address: bytes, signer: bytes) -> str:
        return self._mailboxes.writers(address).get(signer, ("", "", ""))[0]

    def type_of(self, statement: bytes) -> str:
        return message_type(statement)
