"""What a vault still has to say to relays, and what it remembers of what they said: the rules behind an exchange."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vault.channel import MAX_CLAIMS, ZERO, encode_changes, own_sender_key
from vault.errors import CannotOpen, InputRefused, NotFound, RelayContradiction, VaultError
from vault.grant import message_type
from vault.primitives import hash32
from vault.replica import Change
from vault.store.grants import VisitItem, VisitRow
from vault.store.journal import JournalStore
from vault.store.mailboxes import Mailbox, MailboxStore, place_of
from vault.store.outbox import Draft, OutboxStore, Outgoing

if TYPE_CHECKING:
    from vault.vault import Vault


class Signed(Protocol):
    """A relay's signed word, whole, as evidence."""

    @property
    def count(self) -> int: ...
    @property
    def chain(self) -> bytes: ...
    def encode(self) -> bytes: ...


MAX_QUEUED = 100_000
MAX_BATCH = 400_000  # bytes of changes in one envelope, unless one alone is larger
CLOSED = (403, 404, 410)  # how a relay says that a channel is closed
Sealer = Callable[..., tuple[bytes, bytes]]
"""sync.envelope.seal, handed in: the vault does not know how an envelope is made."""


class Outbox:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._mailboxes = MailboxStore(vault.store)
        self._queue = OutboxStore(vault.store)
        self._journal = JournalStore(vault.store)

    def collect(self) -> None:
        """Queue the changes that this device made to documents with an open channel; the others need no envelope.

        Many changes of one document go into one envelope, up to its size.
        """
        documents, me = self._vault.documents, self._vault.identity.sign.public
        with self._store.transaction():
            waiting = []
            for document_id in documents.with_unpushed():
                channel = self._mailboxes.channel(bytes.fromhex(document_id))
                if channel is not None:
                    self._vault.sharing.publish(document_id, channel.relay)
                    waiting += documents.unpushed(document_id)
            for (document_id, epoch, author), made in groupby(waiting, key=lambda row: (row[0], row[1], row[3])):
                channel = self._mailboxes.channel(bytes.fromhex(document_id))
                if channel is not None and channel.epoch == epoch and channel.append is not None:
                    changes = [change for _, _, change, _ in made]
                    for actor in {change.actor for change in changes}:
                        self._mailboxes.put_actor(channel.address, actor, me)
                    named = "" if author == self._vault.holder_name else author
                    arguments = {"type": "change", "token": channel.append}
                    for batch in _batches(changes):
                        body = encode_changes(batch, named)
                        self._queue.queue(channel.relay, "seal", channel.address, arguments, body)
            documents.set_all_pushed()

    def first(self, silent: Collection[str], held: Collection[bytes]) -> Outgoing | None:
        """The next call: not for a silent relay, not about an address or for a grant that is held back."""
        return self._queue.first(silent, held)

    def queued(self) -> int:
        return self._queue.queued()

    def seal(self, item: Outgoing, sealer: Sealer) -> Outgoing:
        """Seal a queued body into its envelope, once: the bytes are kept before they are sent."""
        mailbox = self._mailboxes.mailbox(item.address)
        if mailbox is None or mailbox.key is None or mailbox.document is None:
            raise NotFound("the channel of a queued change is gone")
        me = self._vault.identity.sign
        device = self._vault.device_id
        own = own_sender_key(me.public, device)
        with self._store.transaction():
            seq, prev = self._mailboxes.sender(item.address, own) or (0, ZERO)
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
            self._queue.become(item.id, "append", arguments, data)
        return replace(item, verb="append", arguments=arguments, payload=data)

    def sent(self, item: Outgoing) -> None:
        """The relay answered: the call is forgotten, and what was only kept for it."""
        with self._store.transaction():
            self._queue.sent(item.id)
            if "draft" in item.arguments:
                self._queue.drop_draft(item.arguments["draft"])
            if item.verb == "append" and item.belongs is not None:
                self._journal.sent(item.belongs)
        if "file" in item.arguments:
            self.file_of(item).unlink(missing_ok=True)

    def refused(self, item: Outgoing, status: int) -> None:
        """The relay will never take it. What a grantee wrote into a channel that closed is written again later."""
        with self._store.transaction():
            self._queue.sent(item.id)
            if item.belongs is not None and item.verb in ("append", "put_blob"):
                self._journal.refused(item.belongs, str(status))
                if item.verb == "put_blob":
                    self._queue.take_back(item.belongs)  # a deposit does not go without its files
            if "draft" in item.arguments and status in CLOSED:
                self._queue.refuse_draft(item.arguments["draft"])
            elif "draft" in item.arguments:
                self._queue.drop_draft(item.arguments["draft"])
        if "file" in item.arguments:
            self.file_of(item).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove sealed files that were waiting for a call that is not queued any more, left behind by a crash."""
        folder = self._vault.path / "deposits"
        if not folder.is_dir():
            return
        wanted = self._queue.files() | {fetch.target.name for fetch in self._vault.feeding.all_fetches()}
        wanted |= {address.hex() for _, _, address, *_ in self._vault.telling.journal.files()}
        for left in folder.iterdir():
            if left.name not in wanted:
                left.unlink(missing_ok=True)

    def file_of(self, item: Outgoing) -> Path:
        """The sealed file that a put_blob sends."""
        if "file" in item.arguments:
            return self._vault.path / str(item.arguments["file"])
        return self._vault.sealed_path(str(item.arguments["sealed"]))

    def queue_change(self, visit: VisitRow, item: VisitItem, token: bytes, data: bytes, edits: str) -> None:
        """An envelope that is sealed already: a professional's, whose key is not kept. `edits` are kept until the relay
        has taken it."""
        if self._queue.queued() >= MAX_QUEUED:
            raise InputRefused("too much waits to be sent already", limit=MAX_QUEUED)
        draft = self._queue.add_draft(visit.number, item.document, item.epoch, edits)
        arguments = {"token": token, "relay_key": visit.relay_key, "issuer": visit.issuer_sign, "draft": draft}
        self._queue.queue(visit.relay, "append", item.mailbox, arguments, data)

    def queue_file(self, visit: VisitRow, address: bytes, arguments: Mapping[str, Any]) -> None:
        """A sealed file of a professional, for the relay of the grant."""
        self._queue.queue(visit.relay, "put_blob", address, {**arguments, "relay_key": visit.relay_key})

    def drafts(self, visit: VisitRow, item: VisitItem) -> list[Draft]:
        """What this device wrote into earlier epochs of a document and the relay did not take."""
        drafts = self._queue.drafts(visit.number, item.document)
        return [draft for draft in drafts if draft.refused and draft.epoch < item.epoch]

    def drop_draft(self, draft: Draft) -> None:
        self._queue.drop_draft(draft.id)

    # What relays said

    def mailboxes(self) -> list[Mailbox]:
        return self._mailboxes.to_pull()

    def place(self, item: Outgoing) -> bytes:
        """Under what is remembered of the mailbox that this call is about."""
        key = item.arguments.get("relay_key")
        return item.address if key is None else place_of(item.address, key, item.arguments.get("issuer", b""))

    def expect(self, address: bytes, checkpoint: Signed) -> None:
        """The relay signed this when it took a message: the pull must come to the same.

        Of a mailbox of somebody else, the newest signed word is kept: the chain to it was followed, or never will be.
        """
        self.check_tail(address, checkpoint)
        self._compare(address, checkpoint.count, checkpoint.chain, checkpoint)
        self._mailboxes.remember(address, checkpoint.count, checkpoint.chain, checkpoint.encode())
        if not self._mailboxes.knows(address):
            self._mailboxes.forget_links(address, checkpoint.count)

    def witness(self, address: bytes, checkpoint: Signed) -> None:
        """The relay signed this for another device of the holder, now or long ago."""
        if self._mailboxes.knows(address):
            self._compare(address, checkpoint.count, checkpoint.chain, checkpoint)
            self._mailboxes.remember(address, checkpoint.count, checkpoint.chain, checkpoint.encode())

    def note(self, address: bytes, count: int, checkpoint: Signed) -> None:
        """The relay's signed word for what was just read: what another device of the holder compares with."""
        if checkpoint.count == count and count:
            self._mailboxes.remember(address, count, checkpoint.chain, checkpoint.encode())

    def check_tail(self, address: bytes, checkpoint: Signed) -> None:
        """RelayContradiction when the relay took more than it now signs for: it withholds what it acknowledged."""
        known = self._mailboxes.signed_for(address)
        if known is not None and checkpoint.count < known[0]:
            both = known[1] + checkpoint.encode()
            raise RelayContradiction(
                "the relay signed a shorter history than before", reason="rollback", evidence=both.hex()
            )

    def with_signatures(self, address: bytes, failure: RelayContradiction, checkpoint: Signed) -> RelayContradiction:
        """The same failure with what the relay signed before and now, when it signed something before."""
        known = self._mailboxes.signed_for(address)
        if known is None or "evidence" in failure.facts:
            return failure
        evidence = (known[1] + checkpoint.encode()).hex()
        return RelayContradiction(str(failure), reason=failure.facts.get("reason", ""), evidence=evidence)

    def check_link(self, address: bytes, position: int, chain: bytes, checkpoint: Signed) -> None:
        """RelayContradiction when this vault knows another chain for this position."""
        self._compare(address, position, chain, checkpoint)

    def _compare(self, address: bytes, position: int, chain: bytes, checkpoint: Signed) -> None:
        known = self._mailboxes.link(address, position)
        if known is not None and known[0] != chain:
            both = known[1] + checkpoint.encode()
            raise RelayContradiction("two histories signed by one relay", reason="fork", evidence=both.hex())

    def followed(self, address: bytes, checkpoint: Signed) -> None:
        """The whole history was followed to what the relay signed: its word is kept."""
        if checkpoint.count:
            self._mailboxes.remember(address, checkpoint.count, checkpoint.chain, checkpoint.encode())

    def forget_links(self, address: bytes, checkpoint: Signed) -> None:
        """Of a granted document's channel the newest signed word is enough: the chain to it was followed."""
        self._mailboxes.forget_links(address, checkpoint.count)

    def compare_seen(self, mailbox: bytes, seen: Sequence[tuple[bytes, int, bytes]], position: int) -> None:
        """What another device saw of this mailbox before it wrote must be what this one sees.

        A mismatch is no proof: either the relay shows two histories, or the writer lies.
        """
        for address, count, chain in seen:
            if address != mailbox:
                continue
            known = self._mailboxes.link(address, count)
            if count >= position or (known is not None and known[0] != chain):
                raise RelayContradiction("a writer states another history of this channel", reason="seen")

    def advance(self, address: bytes, count: int, chain: bytes) -> None:
        self._mailboxes.advance(address, count, chain)

    def done(self, address: bytes) -> None:
        self._mailboxes.set_state(address, "done")

    def keep(self, address: bytes, envelope: bytes, failure: VaultError) -> None:
        """As evidence. What does not open with the channel's key proves nothing: its hash is enough.

        What a relay signed has room of its own: whoever may write in a mailbox must not crowd it out.
        """
        now, signed = int(self._vault.clock()), isinstance(failure, RelayContradiction) and not _is_word(failure)
        kept = hash32(envelope) if isinstance(failure, CannotOpen) else envelope
        for data in (kept, hash32(envelope)):
            if self._queue.keep_evidence(address, data, failure.code, str(failure)[:500], now, signed=signed):
                return

    def contradiction(self, address: bytes, failure: RelayContradiction) -> None:
        self.keep(address, bytes.fromhex(str(failure.facts.get("evidence", ""))), failure)

    def writer_name(self, address: bytes, signer: bytes) -> str:
        return self._mailboxes.writers(address).get(signer, ("", "", ""))[0]

    def type_of(self, statement: bytes) -> str:
        return message_type(statement)


def _is_word(failure: RelayContradiction) -> bool:
    """Whether it is what somebody says of a relay, and no signature of the relay's."""
    return failure.facts.get("reason") == "seen"


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """The changes in order, as many in one envelope as go into it."""
    batch: list[Change] = []
    size = 0
    for change in changes:
        cost = len(change.data) + 40 * len(change.deps) + 200
        if batch and (size + cost > MAX_BATCH or len(batch) >= MAX_CLAIMS):
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += cost
    if batch:
        yield batch
