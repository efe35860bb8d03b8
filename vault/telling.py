"""Telling: what this device writes is queued for the holder's other devices, once there are any.

A vault with one device has no channel and queues nothing. Normative text: spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vault.operation import claim, decode_operation, encode_operation, encode_row
from vault.primitives import make_key, make_random
from vault.record import TELLING
from vault.replica import Change, changes, first_hash, heads
from vault.store.household import Edition, HouseholdStore, Late, Told
from vault.store.mailboxes import Mailbox, MailboxStore
from vault.store.outbox import OutboxStore
from vault.store.rows import KINDS, Rows

if TYPE_CHECKING:
    from vault.channel import Pending
    from vault.vault import Vault

Operation = tuple[str, bytes]


class Telling:
    """Listens to the vault's documents and rows; every operation is queued in the transaction of what it tells."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._documents = vault.documents
        self.journal = HouseholdStore(vault.store)
        self.rows = Rows(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._outbox = OutboxStore(vault.store)

    @property
    def active(self) -> bool:
        return bool(self.address)

    @property
    def address(self) -> bytes:
        """The vault's channel; b"" while there is none."""
        return self._vault.meta_bytes(TELLING)

    def channel(self) -> Mailbox | None:
        return self._mailboxes.mailbox(self.address) if self.active else None

    def listen(self) -> None:
        """From now on what is written is told, if there is somebody to tell, and known to be of this device: one that
        was removed may hear that this does not hold."""
        self._documents.listener = None if self.alone else self

    def move_to(self, address: bytes) -> None:
        self._vault.set_meta(TELLING, address)
        self.listen()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """What comes from another device is not told again. Only inside a transaction, which keeps others out."""
        listener, self._documents.listener = self._documents.listener, None
        try:
            yield
        finally:
            self._documents.listener = listener

    def tell(self, kind: str, fields: Mapping[str, Any], *, mailbox: bytes = b"") -> None:
        if mailbox or self.active:
            self.journal.tell(mailbox or self.address, kind, encode_operation(kind, fields))

    # Documents

    def added(self, document_id: str) -> None:
        """A new document: `Documents` calls it."""
        document = bytes.fromhex(document_id)
        replica = self._documents.replica(document_id)
        first = changes(replica.save)[0]
        self.journal.add_edition(document, first.hash, replica.epoch, None, self._vault.device_id)
        self.tell("edition", self._edition(document_id, first, epoch=replica.epoch))
        self.files_of(document_id)

    def changed(self, document_id: str, epoch: int, change: Change, author: str, time: int, *, own: bool) -> None:
        """A change of this device, or one that came through the document's channel: `Documents` calls it."""
        if own:
            self.journal.put_teller([change.hash], self._vault.device_id)
        item = {"change": claim(change), "author": author[:200], "time": time, "own": own}
        fields = {"document": bytes.fromhex(document_id), "edition": self.edition_at(document_id, epoch)}
        self.tell("changes", {**fields, "items": [item], "again": []})
        self.files_of(document_id)

    def again(self, document_id: str, hashes: Sequence[bytes]) -> None:
        """These late changes are written again: whoever kept them for that may forget them."""
        document = bytes.fromhex(document_id)
        for start in range(0, len(hashes), 1000):
            some = list(hashes[start : start + 1000])
            self.tell(
                "changes", {"document": document, "edition": self.current(document_id), "items": [], "again": some}
            )
        self.journal.written_again(document, hashes)

    def late(self, document_id: str, epoch: int, applied: Sequence[Pending]) -> bool:
        """Changes of grantees that came after their epoch was over: the others are told. Whether it is this device
        that writes them again, because it started the epoch that is now, or theirs, which lost and only it knows."""
        if not self.active:
            return True
        edition, known = self.edition_at(document_id, epoch), self.journal.editions(bytes.fromhex(document_id))
        if any(one.hash == edition and one.lost for one in known):
            return True
        duty = self.duty(document_id)
        for item in applied:
            self.changed(document_id, epoch, item.change, item.author, item.time, own=False)
            if duty != self._vault.device_id:
                self.keep_late(document_id, edition, item.change.hash, item.author, duty)
        return duty == self._vault.device_id

    def duty(self, document_id: str) -> bytes:
        """The device that started the current epoch of a document."""
        current = self.current(document_id)
        known = (
            edition.device for edition in self.journal.editions(bytes.fromhex(document_id)) if edition.hash == current
        )
        return next(known, self._vault.device_id)

    def keep_late(self, document_id: str, edition: bytes, change: bytes, author: str, device: bytes) -> None:
        self.journal.add_late(Late(bytes.fromhex(document_id), change, edition, device, author))

    def next_epoch(self, document_id: str) -> int:
        """The number of the epoch that starts now: one that no other device gives."""
        return self._documents.last_epoch(document_id) + 1 + int.from_bytes(make_random(4))

    def started(self, document_id: str, change: Change, parent: bytes) -> None:
        """A new epoch of a document began here, from the replica `parent`."""
        document = bytes.fromhex(document_id)
        before, epoch = first_hash(parent), self._documents.epoch(document_id)
        self.know(document, before)
        at = heads(parent)
        self.journal.add_edition(document, change.hash, epoch, None, self._vault.device_id, parent=before, heads=at)
        self.tell("edition", self._edition(document_id, change, epoch=epoch, parent=before, heads=at))

    @property
    def alone(self) -> bool:
        """No other device, and none that this one may hear of again: a removal may turn out not to hold."""
        return not self.active and not self._vault.devices.retired()

    def edition_at(self, document_id: str, epoch: int) -> bytes:
        """The edition of an epoch of a document."""
        document = bytes.fromhex(document_id)
        for known in self.journal.editions(document):
            if known.epoch == epoch:
                return known.hash
        return first_hash(self._documents.replica_save(document_id, epoch))

    def current(self, document_id: str) -> bytes:
        return self.edition_at(document_id, self._documents.epoch(document_id))

    def holding(self, document_id: str) -> bytes | None:
        """The edition that holds in the log; None for a document that the log does not know yet."""
        known = [edition for edition in self.journal.editions(bytes.fromhex(document_id)) if not edition.lost]
        placed = [edition for edition in known if edition.place is not None]
        if placed:
            return max(placed, key=lambda edition: (edition.place or 0, edition.epoch)).hash
        return None if known else self.current(document_id)

    def line(self, document_id: str) -> set[bytes]:
        """The current edition, and those before it that are in no log yet, each started from the one before."""
        known = {edition.hash: edition for edition in self.journal.editions(bytes.fromhex(document_id))}
        found = {self.current(document_id)}
        at: bytes | None = self.current(document_id)
        while at in known and known[at].place is None:
            at = known[at].parent
            if at in known and known[at].place is None:
                found.add(at)
        return found

    def know(self, document: bytes, edition: bytes) -> None:
        """A document from before there was anybody to tell: its edition holds."""
        if all(edition.lost for edition in self.journal.editions(document)):
            epoch = next(
                (epoch for epoch, save in self._documents.archived(document.hex()) if first_hash(save) == edition),
                self._documents.epoch(document.hex()),
            )
            self.journal.add_edition(document, edition, epoch, 0, self._vault.device_id)

    def _edition(
        self,
        document_id: str,
        change: Change,
        *,
        epoch: int,
        current: bool = True,
        parent: bytes | None = None,
        heads: Sequence[bytes] = (),
    ) -> dict[str, Any]:
        document = bytes.fromhex(document_id)
        return {
            "document": document,
            "epoch": epoch,
            "parent": parent,
            "heads": list(heads),
            "change": claim(change),
            "added": self._documents.added(document_id),
            "author": self._vault.holder_name[:200],
            "channel": self._place(document, epoch) if current else None,
            "current": current,
        }

    def _place(self, document: bytes, epoch: int) -> dict[str, Any] | None:
        channel = self._mailboxes.channel(document)
        if channel is None or channel.epoch != epoch or channel.owner is None:
            return None
        names = ("sign", "name", "role", "right")
        writers = [
            dict(zip(names, (sign, *fields), strict=True))
            for sign, fields in self._mailboxes.writers(channel.address).items()
        ]
        fields = {name: getattr(channel, name) for name in ("address", "relay", "owner", "append", "key")}
        return {**fields, "writers": writers}

    # Files

    def files_of(self, document_id: str) -> None:
        """Every file of a document gets a place at the relay for the holder's other devices."""
        attachments = self._documents.flat(document_id)["attachments"]
        home = self._vault.people.relay() if attachments else None
        if home is None:
            return
        for fields in attachments.values():
            sealed = str(fields["sealed_sha256"])
            path = self._vault.sealed_path(sealed)
            if self.journal.file(sealed) or not path.exists():
                continue
            address, owner, token = make_key(), make_key(), make_key()
            tokens = [{"token": token, "right": "read", "until": None}]
            arguments = {"owner": owner, "tokens": tokens, "sealed": sealed}
            self._outbox.queue(home[0], "put_blob", address, arguments)
            self.journal.put_file(sealed, home[0], address, owner, token, path.stat().st_size)

    # Rows

    def collect(self) -> None:
        """Queue the rows that changed; of many changes of one row, the last."""
        if not self.active:
            return
        with self._vault.store.transaction():
            for name, key in self.journal.dirty():
                self.journal.clean(name, key)
                row = self._row(name, key)
                if row is not None:
                    self.journal.tell(self.address, *row, row=f"{name} {key}")

    def _row(self, name: str, key: str) -> Operation | None:
        if name == "channel":
            mailbox = self._mailboxes.mailbox(bytes.fromhex(key))
            if mailbox is None or mailbox.state == "open":
                return None
            values: dict[str, Any] | None = {"state": "closing"}
        else:
            values = self.rows.read(name, key)
        if values is None:
            return None
        return "row", encode_operation("row", {"name": name, "key": key, "value": encode_row(values)})

    # Everything

    def everything_into(self, mailbox: bytes, *, again: bool = False) -> None:
        """The whole vault as operations: rows, then documents with every change of theirs. `again`: for devices that
        have most of it, and follow another log than the one in which it was told."""
        for name in KINDS:
            for key in list(self.rows.keys(name)):
                row = self._row(name, key)
                if row is not None:
                    self.journal.tell(mailbox, *row, row=f"{name} {key}" if again else None)
        for document_id in self._documents.ids():
            for operation in self._again(document_id) if again else self._whole(document_id):
                self.journal.tell(mailbox, *operation)

    def tell_anew(self, mailbox: bytes) -> None:
        """For those who follow another log: everything, whoever told it where it does not count."""
        for document_id in self._documents.ids():
            document = bytes.fromhex(document_id)
            nowhere = [edition.hash for edition in self.journal.editions(document) if edition.place is None]
            self.journal.take_over_unplaced(document, nowhere, self._vault.device_id)
        self.everything_into(mailbox, again=True)

    def tell_on(self, told: Told) -> None:
        """What was read back from a log in which it counts for nobody is told in the channel that is now, before what
        was written after it."""
        if not self.active:
            return
        fields = decode_operation(told.kind, told.body)
        row = f"{fields['name']} {fields['key']}" if told.kind == "row" else None
        self.journal.tell(self.address, told.kind, told.body, row=row, number=told.id)

    def _whole(self, document_id: str) -> Iterator[Operation]:
        replica = self._documents.replica(document_id)
        kept = self._documents.every_change(document_id)
        # The current one first: a reader needs a document before it can put anything into its archive.
        yield from self._replica(document_id, replica.epoch, replica.save, kept)
        for epoch, save in self._documents.archived(document_id):
            yield from self._replica(document_id, epoch, save, kept, current=False)

    def _again(self, document_id: str) -> Iterator[Operation]:
        """The edition that holds there, its ancestors, and what was started from it here, each from its parent."""
        replica = self._documents.replica(document_id)
        saves = {replica.epoch: replica.save, **dict(self._documents.archived(document_id))}
        kept = self._documents.every_change(document_id)
        known = self.journal.editions(bytes.fromhex(document_id))
        holding = self.holding(document_id)
        for edition in known:
            if edition.lost:
                saves.pop(edition.epoch, None)  # what was in it is written again
        waiting = {edition.epoch: edition for edition in known if edition.place is None and edition.epoch in saves}
        before = sorted(epoch for epoch in saves if epoch not in waiting)
        before.sort(key=lambda epoch: first_hash(saves[epoch]) != holding)
        for number, epoch in enumerate(before):
            yield from self._replica(document_id, epoch, saves[epoch], kept, current=not number)
        for epoch, edition in sorted(waiting.items()):
            yield from self._replica(document_id, epoch, saves[epoch], kept, edition=edition)

    def _replica(
        self,
        document_id: str,
        epoch: int,
        save: bytes,
        kept: Mapping[bytes, tuple[str, int]],
        *,
        current: bool = True,
        edition: Edition | None = None,
    ) -> Iterator[Operation]:
        first, *rest = changes(save)
        parent, at = (edition.parent, edition.heads) if edition else (None, ())
        fields = self._edition(document_id, first, epoch=epoch, current=current, parent=parent, heads=at)
        yield "edition", encode_operation("edition", fields)
        document = bytes.fromhex(document_id)
        for change in rest:
            author, time = kept.get(change.hash, (self._vault.holder_name, 0))
            item = {"change": claim(change), "author": author[:200], "time": time, "own": False}
            fields = {"document": document, "edition": first.hash, "items": [item], "again": []}
            yield "changes", encode_operation("changes", fields)
