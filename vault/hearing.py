"""Hearing: what another device of the holder told is taken in, in the order of the log, the same everywhere.

Normative text: spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vault.believing import believe
from vault.channel import Incoming, Pending, Taken
from vault.errors import (
    BadSignature,
    ForeignChange,
    InputRefused,
    Malformed,
    NotFound,
    Replayed,
    VaultError,
    VerificationFailed,
)
from vault.following import Following
from vault.heard import Heard
from vault.operation import MAX_FIRST_EPOCH, MAX_STEP, NOWHERE, decode_operation, decode_row, read_body, read_claim
from vault.primitives import make_id, same
from vault.replica import Change, Merged, back_to, changes, conflicts, flatten, merge
from vault.store.household import ACTS
from vault.store.mailboxes import ZERO, Mailbox, MailboxStore
from vault.store.rows import check_row, closed_channel

if TYPE_CHECKING:
    from vault.roster import Roster
    from vault.vault import Vault

MAX_ARCHIVE = 1 << 31  # numbers that a first edition which lost gets in the archive


class Hearing:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._documents = vault.documents
        self._telling = vault.telling
        self._journal = vault.telling.journal
        self._mailboxes = MailboxStore(vault.store)
        self._following = Following(vault)

    def take(self, address: bytes, incoming: Incoming) -> tuple[list[Heard], list[VaultError]]:
        """(what happened, what was refused) of one opened envelope of the vault's channel or of a snapshot.

        What has no place raises ForeignChange, Replayed or BadSignature, and nothing changes.
        """
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is None:
            raise NotFound("no such channel")
        self._check_place(mailbox, incoming)
        introduced = self._introduce(mailbox, incoming)
        self._check_device(mailbox, incoming)
        if incoming.device == self._vault.device_id:
            return self._own(mailbox, incoming), []
        if self._vault.devices.was(incoming.device) and self._told_before(mailbox, incoming):
            return [], []
        self._check_order(mailbox, incoming)
        before = self._journal.parts(address, incoming.device)
        heard: list[Heard] = []
        refused: list[VaultError] = []
        operations, data = None, b""
        try:
            operations, data = read_body(incoming.body, before)
        except (ForeignChange, VerificationFailed) as failure:
            self._journal.drop_parts(address, incoming.device)
            refused.append(failure)
        if operations is not None:
            heard, refused = self._apply_all(mailbox, incoming, operations)
        heard = introduced + heard
        with self._vault.store.transaction():
            if operations is None and not refused:
                self._journal.put_part(address, incoming.device, len(before) + 1, data)
            else:
                self._journal.drop_parts(address, incoming.device)
            self._mailboxes.put_sender(address, incoming.device, incoming.seq, incoming.hash)
        return heard, refused

    def _check_place(self, mailbox: Mailbox, incoming: Incoming) -> None:
        if (incoming.type, incoming.document, incoming.epoch) != ("vault", NOWHERE, mailbox.epoch):
            raise ForeignChange("this envelope does not belong into the vault's channel")

    def _introduce(self, mailbox: Mailbox, incoming: Incoming) -> list[Heard]:
        """A device that is not known yet brings the roster that it is in: a copy that was put back, a used kit, another
        history. Whether it counts or not, where its turn leads is known from then on."""
        if self._vault.devices.roster().has(incoming.device):
            return []
        try:
            operations, _ = read_body(incoming.body, [])
            for kind, body in operations or []:
                if kind in ("roster", "turn"):
                    devices, fields = self._vault.devices, decode_operation(kind, body)
                    before = devices.roster()
                    with self._vault.store.transaction():
                        heard = devices.consider(mailbox, fields["chain"])
                        if kind == "turn" and devices.speaks_for(fields["chain"], incoming.device, incoming.signer):
                            heard += devices.take_turn(mailbox, fields)
                    return self._as_restored(heard, incoming, before)
        except (ForeignChange, VerificationFailed):
            pass  # whatever it is, it is signed by nobody
        return []

    def _as_restored(self, heard: list[Heard], incoming: Incoming, before: Roster) -> list[Heard]:
        """Nobody let this device in but the one that it was."""
        signer = self._vault.devices.roster().signer
        was = next((self._vault.devices.name(one.id) for one in before.devices if one.sign == signer), "")
        return [
            replace(one, kind="device-restored", person=was) if one.detail == incoming.device.hex() else one
            for one in heard
        ]

    def _check_device(self, mailbox: Mailbox, incoming: Incoming) -> None:
        device = self._vault.devices.in_log(mailbox, incoming.device)
        if device is None:
            self._counts_for_nothing(mailbox.address, incoming)
        if device is None or not same(device.sign, incoming.signer):
            raise BadSignature("who signed this is no device of this vault")

    def _counts_for_nothing(self, address: bytes, incoming: Incoming) -> None:
        """At this place of the log its device is in no roster. When one has it again, its chain begins anew behind
        this envelope, and what lay in it is told again."""
        with self._vault.store.transaction():
            if incoming.device == self._vault.device_id:
                self._journal.unseal(address)
            elif (known := self._mailboxes.senders(address).get(incoming.device)) is not None:
                self._mailboxes.put_sender(address, incoming.device, max(known[0], incoming.seq), ZERO)
                self._journal.drop_parts(address, incoming.device)

    def _check_order(self, mailbox: Mailbox, incoming: Incoming) -> None:
        known = self._mailboxes.senders(mailbox.address).get(incoming.device)
        if known is None:
            return  # what it wrote before it was in the roster counts for nothing, and is not missed
        seq, head = known
        if incoming.seq <= seq:
            raise Replayed("this envelope was taken before")
        if head != ZERO and (incoming.seq != seq + 1 or incoming.prev != head):
            raise ForeignChange("an envelope of this device is missing before this one")

    def _own(self, mailbox: Mailbox, incoming: Incoming) -> list[Heard]:
        """This device's own envelope, in its place of the log: from here on it counts for everybody."""
        heard: list[Heard] = []
        left = not self._vault.devices.counts(mailbox)
        with self._vault.store.transaction():
            if not left and not self._journal.sealed_as(mailbox.address, incoming.seq):
                self._told_before(mailbox, incoming)  # a log that is read once more
            for told in self._journal.read_back(mailbox.address, incoming.seq):
                if told.kind == "turn":
                    heard += self._turn(mailbox, decode_operation(told.kind, told.body))
                elif left and told.kind not in ACTS:
                    self._telling.tell_on(told)
                elif told.kind == "edition":
                    self._own_edition(mailbox, decode_operation(told.kind, told.body))
        return heard

    def _told_before(self, mailbox: Mailbox, incoming: Incoming) -> bool:
        """Whether this is an envelope that this device sealed under the name that it had before; then its editions
        have their place here, as they have for everybody."""
        seq, _ = self._mailboxes.senders(mailbox.address).get(incoming.device, (0, ZERO))
        if incoming.seq > seq:
            return False
        before = self._journal.parts(mailbox.address, incoming.device)
        operations, data = read_body(incoming.body, before)
        with self._vault.store.transaction():
            if operations is None:
                self._journal.put_part(mailbox.address, incoming.device, len(before) + 1, data)
                return True
            self._journal.drop_parts(mailbox.address, incoming.device)
            for kind, body in operations:
                if kind == "edition":
                    self._own_edition(mailbox, decode_operation(kind, body))
        return True

    def _own_edition(self, mailbox: Mailbox, fields: Mapping[str, Any]) -> None:
        document, edition = fields["document"], fields["change"]["hash"]
        known = {item.hash: item for item in self._journal.editions(document)}
        waiting = edition in known and known[edition].place is None
        if waiting and self._telling.holding(document.hex()) == fields["parent"]:
            self._journal.place_edition(document, edition, mailbox.address)

    def _apply_all(
        self, mailbox: Mailbox, incoming: Incoming, operations: Sequence[tuple[str, bytes]]
    ) -> tuple[list[Heard], list[VaultError]]:
        """All operations in one transaction when all are acceptable; otherwise each by itself."""
        if not self._vault.devices.counts(mailbox):
            operations = [item for item in operations if item[0] in ("roster", "turn")]
        known = (VerificationFailed, ForeignChange, InputRefused, NotFound)
        try:
            with self._vault.store.transaction():
                return [item for one in _joined(operations) for item in self._apply(mailbox, incoming, *one)], []
        except known:
            pass
        heard: list[Heard] = []
        refused: list[VaultError] = []
        for one in operations:
            try:
                with self._vault.store.transaction():
                    heard += self._apply(mailbox, incoming, one[0], decode_operation(*one))
            except known as failure:
                refused.append(failure)
        return heard, refused

    def _apply(self, mailbox: Mailbox, incoming: Incoming, kind: str, fields: Mapping[str, Any]) -> list[Heard]:
        match kind:
            case "row":
                return list(self._row(incoming, fields))
            case "edition":
                return self._edition(mailbox, incoming, fields)
            case "changes":
                return self._changes(incoming, fields)
            case "roster":
                return self._vault.devices.consider(mailbox, fields["chain"])
            case "turn":
                return self._turn(mailbox, fields)
            case "signed":
                return [Heard("signed", detail=checkpoint.hex()) for checkpoint in fields["checkpoints"]]
            case "end" if mailbox.kind == "snapshot":
                self._mailboxes.set_state(mailbox.address, "closing")
                self._vault.set_meta("snapshot", "")
            case "end":
                return self._vault.devices.closed()
        return []

    # Rows

    def _row(self, incoming: Incoming, fields: Mapping[str, Any]) -> Iterator[Heard]:
        name, key, values = fields["name"], fields["key"], decode_row(fields["value"])
        known = self._journal.is_dirty(name, key)
        if name == "channel":
            self._channel_closed(closed_channel(key, values))
        else:
            check_row(name, key, values)
            believe(name, key, values, self._vault.identity)
            shadowed = self._journal.speaks_of(f"{name} {key}")
            taken_back = shadowed and bool(self._vault.meta("behind"))
            if taken_back:
                self._journal.take_back(f"{name} {key}")  # a copy that was put back: what the log has is newer
                shadowed = False
            changed = self._telling.rows.write(name, key, values, shadowed=shadowed)
            if changed and name == "meta":
                self._vault.read_settings()
            if changed and name == "given" and values["state"] != "active":
                yield Heard("access-ended", values["name"])
            if changed and name == "given" and values["state"] == "active" and self._is_leaving(incoming.device):
                self._vault.devices.doubt(key)
            if taken_back and self._telling.rows.read(name, key) != values:
                self._journal.soil(name, key)  # but for what must not go back
                return
        if not known:
            self._journal.clean(name, key)

    def _is_leaving(self, device: bytes) -> bool:
        """Whether this device removed that one, and the log has not come to that yet."""
        return device in self._vault.devices.roster().gone and not self._vault.devices.was(device)

    def _channel_closed(self, address: bytes) -> None:
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is None or mailbox.document is None or mailbox.state != "open":
            return
        self._mailboxes.set_state(address, "closing")
        if self._mailboxes.channel(mailbox.document) is None and self._documents.exists(mailbox.document.hex()):
            self._documents.set_shared(mailbox.document.hex(), False)

    # Editions

    def _edition(self, mailbox: Mailbox, incoming: Incoming, fields: Mapping[str, Any]) -> list[Heard]:
        document, change = fields["document"], read_claim(fields["change"])
        document_id = document.hex()
        if fields["parent"] is None and fields["epoch"] > MAX_FIRST_EPOCH:
            raise Malformed("the number of an edition is none")
        if not self._documents.exists(document_id):
            if not fields["current"] or (fields["parent"] is not None and mailbox.kind == "vault"):
                raise ForeignChange("an edition of a document that is not known")
            self._bring(mailbox, incoming, fields, change)
            return [] if mailbox.kind == "snapshot" else [self._changed(document_id, fields["author"])]
        known = {item.hash: item for item in self._journal.editions(document)}
        here = known.get(change.hash)
        if change.hash in self._telling.line(document_id) or (here is not None and here.place is not None):
            self._own_edition(mailbox, fields)  # told by another, or by the one that this device was
            return []
        if not fields["current"]:
            with suppress(NotFound):
                self._epoch_of(document_id, change.hash)
                return []
            self._telling.know(document, self._telling.current(document_id))
            with self._telling.quiet():
                save = self._vault.quarantine.merge(b"", [change]).save
                self._documents.put_archive(document_id, fields["epoch"], save)
            self._journal.add_edition(document, change.hash, fields["epoch"], 0, incoming.device)
            return []
        if fields["parent"] != self._telling.holding(document_id):
            if here is None and self._vault.devices.was(incoming.device):
                self._forgotten(mailbox, fields, change)
            else:
                self._journal.pass_over(document, change.hash, incoming.device, mailbox.address)
            return []
        if fields["parent"] is not None:
            step = fields["epoch"] - self._epoch_of(document_id, fields["parent"])
            if not 0 < step <= MAX_STEP:
                raise Malformed("the number of an edition does not follow from its parent's")
        self._journal.forget_edition(document, change.hash)  # it lost in a log that does not count
        self._adopt(mailbox, incoming, fields, change)
        return [self._changed(document_id, fields["author"])]

    def _bring(self, mailbox: Mailbox, incoming: Incoming, fields: Mapping[str, Any], change: Change) -> None:
        """A document that this device has not."""
        document, epoch = fields["document"], fields["epoch"]
        merged = self._vault.quarantine.merge(b"", [change])
        with self._telling.quiet():
            self._documents.add(document.hex(), merged.state, merged.save, make_id(), fields["added"], epoch=epoch)
            self._documents.name_actor(change.actor, fields["author"])
        place = 1 if mailbox.kind == "snapshot" else None
        self._journal.add_edition(document, change.hash, epoch, place, incoming.device)
        self._journal.place_edition(document, change.hash, mailbox.address)
        self._open_channel(fields, change.actor)

    def _open_channel(self, fields: Mapping[str, Any], actor: bytes) -> None:
        document, place = fields["document"], fields["channel"]
        if place is None:
            return
        names = ("relay", "owner", "append", "key")
        given = {name: place[name] for name in names[1:]}
        self._mailboxes.add(
            place["address"], place["relay"], "channel", document=document, epoch=fields["epoch"], **given
        )
        writers = ((w["sign"], w["name"], w["role"], w["right"]) for w in place["writers"])
        self._mailboxes.put_writers(place["address"], writers)
        self._mailboxes.put_actor(place["address"], actor, self._vault.identity.sign.public)
        self._documents.set_shared(document.hex(), True)

    def _adopt(self, mailbox: Mailbox, incoming: Incoming, fields: Mapping[str, Any], change: Change) -> None:
        """Another device started the epoch that holds. What is not in it is written again by whose duty it is."""
        document = fields["document"]
        document_id, me = document.hex(), self._vault.device_id
        merged = self._vault.quarantine.merge(b"", [change])
        editions = self._journal.editions(document)
        line = self._telling.line(document_id)
        lost = [item for item in editions if item.place is None and item.device == me and item.hash in line]
        left = self._left_behind(document_id, fields, incoming.device, [item.epoch for item in lost])
        open_channel = self._mailboxes.channel(document)
        if lost:
            self._vault.sharing.close_channel(document_id)
        elif open_channel is not None:
            self._mailboxes.set_state(open_channel.address, "closing")
        with self._telling.quiet():
            # Two first editions of one document: the one that lost gets a number of its own in the archive.
            moved = MAX_ARCHIVE + self._documents.last_epoch(document_id)
            self._documents.renumber(document_id, fields["epoch"], moved)
            lost = [replace(item, epoch=moved) if item.epoch == fields["epoch"] else item for item in lost]
            self._documents.start_epoch(document_id, merged.save, make_id(), to=fields["epoch"])
            self._documents.write(document_id, merged.state, merged.save)
            self._documents.name_actor(change.actor, fields["author"])
        for item in lost:
            self._journal.lose_edition(document, item.hash, item.epoch, mailbox.address)
        if all(item.lost for item in editions) and fields["parent"] is not None:
            self._journal.add_edition(document, fields["parent"], self._epoch_of(document_id, fields["parent"]), 0, me)
        started = {"parent": fields["parent"], "heads": fields["heads"]}
        self._journal.add_edition(document, change.hash, fields["epoch"], None, incoming.device, **started)
        self._journal.place_edition(document, change.hash, mailbox.address)
        self._open_channel(fields, change.actor)
        again: list[bytes] = []
        for before, taken in left:
            self._following.write_again(document_id, before, taken)
            again += [item.change.hash for item in taken.applied]
        if again:
            self._telling.again(document_id, again)
        self._journal.owe(document, lost=bool(lost))

    def _forgotten(self, mailbox: Mailbox, fields: Mapping[str, Any], change: Change) -> None:
        """An edition that this device started and that lost, of which it does not know since it was put back from a
        copy: nobody else writes again what is in it."""
        document, me = fields["document"], self._vault.device_id
        document_id = document.hex()
        epoch = MAX_ARCHIVE + self._documents.last_epoch(document_id)
        save = self._vault.quarantine.merge(b"", [change]).save
        self._documents.put_archive(document_id, epoch, save)
        self._journal.add_edition(document, change.hash, epoch, None, me)
        self._journal.lose_edition(document, change.hash, epoch, mailbox.address)
        before, after = back_to(save, [])
        for base, taken in self._taken(before, after, after):
            self._following.write_again(document_id, base, taken)

    def _left_behind(
        self, document_id: str, fields: Mapping[str, Any], starter: bytes, lost: Sequence[int]
    ) -> list[tuple[bytes, Taken]]:
        """What this device has to write again on the edition: (the replica before, what came after)."""
        found: list[tuple[bytes, Taken]] = []
        if fields["parent"] is not None:
            save = self._documents.replica_save(document_id, self._epoch_of(document_id, fields["parent"]))
            before, after = back_to(save, fields["heads"])
            self._journal.written_again(bytes.fromhex(document_id), [made.hash for made in changes(before)])
            mine = []
            for change in after:
                # A grantee's: who started the edition.
                device = self._now_called(self._journal.teller(change.hash) or starter)
                if device == self._vault.device_id:
                    mine.append(change)
                else:
                    author = self._documents.written(change.hash)[0]
                    self._telling.keep_late(document_id, fields["parent"], change.hash, author, device)
            found += self._taken(before, after, mine)
        for epoch in lost:
            before, after = back_to(self._documents.replica_save(document_id, epoch), [])
            found += self._taken(before, after, after)
        return found

    def _taken(self, before: bytes, after: Sequence[Change], mine: Sequence[Change]) -> list[tuple[bytes, Taken]]:
        """The changes of `mine`, with what they build on, by author: each author's are written again in his name."""
        by_author: dict[str, list[Change]] = {}
        for change in mine:
            author = self._documents.written(change.hash)[0] or self._vault.holder_name
            by_author.setdefault(author, []).append(change)
        found = []
        every = {change.hash: change for change in after}
        for author, theirs in by_author.items():
            needed = _with_dependencies(theirs, every)
            whole = merge(before, needed)
            merged = Merged(whole.save, flatten(whole.save), conflicts(whole.save), whole.applied)
            pending = tuple(Pending(change, author, self._documents.written(change.hash)[1]) for change in theirs)
            found.append((before, Taken(merged, pending)))
        return found

    def _epoch_of(self, document_id: str, edition: bytes) -> int:
        """The number of an edition here; NotFound when it is not known."""
        known = {item.hash: item.epoch for item in self._journal.editions(bytes.fromhex(document_id)) if not item.lost}
        if edition in known:
            return known[edition]
        epochs = [self._documents.epoch(document_id), *(epoch for epoch, _ in self._documents.archived(document_id))]
        for epoch in epochs:
            if self._telling.edition_at(document_id, epoch) == edition:
                return epoch
        raise NotFound("an edition that is not known")

    # Changes

    def _changes(self, incoming: Incoming, fields: Mapping[str, Any]) -> list[Heard]:
        document, edition = fields["document"], fields["edition"]
        document_id = document.hex()
        if not self._documents.exists(document_id):
            raise ForeignChange("changes of a document that is not known")
        self._journal.written_again(document, fields["again"])
        items = [(Pending(read_claim(i["change"]), i["author"], i["time"]), i["own"]) for i in fields["items"]]
        if not items:
            return []
        lost = next((known for known in self._journal.editions(document) if known.hash == edition and known.lost), None)
        if lost is not None and not (lost.epoch >= 0 and self._vault.devices.was(incoming.device)):
            return []  # whoever wrote them writes them again
        try:
            epoch = lost.epoch if lost is not None else self._epoch_of(document_id, edition)
        except NotFound as failure:
            raise ForeignChange("changes of an edition that is not known") from failure
        self._journal.put_teller([item.change.hash for item, own in items if own], incoming.device)
        save = self._documents.replica_save(document_id, epoch)
        current = self._documents.replica(document_id)
        actor = current.actor if epoch == current.epoch else b""
        merged = self._vault.quarantine.merge(save, [item.change for item, _ in items], own=actor)
        if merged.waiting:
            raise ForeignChange("what a change builds on did not come before it")
        applied = [(item, own) for item, own in items if item.change.hash in set(merged.applied)]
        if not applied:
            return []
        if epoch == current.epoch:
            with self._telling.quiet():
                told = [(item.change, item.author, item.time) for item, _ in applied]
                self._documents.applied(document_id, merged, told)
            self._following.want_files(document_id, self._home())
            return [self._changed(document_id, applied[-1][0].author)]
        self._documents.archive(document_id, epoch, merged.save)
        self._late(incoming, document_id, edition, save, merged, applied)
        return []

    def _late(
        self,
        incoming: Incoming,
        document_id: str,
        edition: bytes,
        before: bytes,
        merged: Merged,
        applied: Sequence[tuple[Pending, bool]],
    ) -> None:
        """Changes of an epoch that is over: their device writes them again, a grantee's whoever started what is now."""
        duty = self._telling.duty(document_id)
        ours = []
        for item, own in applied:
            device = self._now_called(incoming.device if own else duty)
            if device == self._vault.device_id:
                ours.append(item)
            else:
                self._telling.keep_late(document_id, edition, item.change.hash, item.author, device)
        if ours:
            self._following.write_again(document_id, before, Taken(merged, tuple(ours)))
            self._telling.again(document_id, [item.change.hash for item in ours])

    def _now_called(self, device: bytes) -> bytes:
        """What this device wrote and owed before a copy of it was put back is its own under its new name."""
        return self._vault.device_id if self._vault.devices.was(device) else device

    def rescue(self, device: bytes) -> None:
        """Write again, in their authors' names, the late changes that were the duty of a device that left."""
        for item in self._journal.late_of(device):
            document_id = item.document.hex()
            with self._vault.store.transaction():
                save = self._documents.replica_save(document_id, self._epoch_of(document_id, item.edition))
                before, after = _without(save, item.hash)
                for base, taken in self._taken(before, after, [c for c in after if c.hash == item.hash]):
                    self._following.write_again(document_id, base, taken)
                self._telling.again(document_id, [item.hash])

    # The roster

    def _turn(self, mailbox: Mailbox, fields: Mapping[str, Any]) -> list[Heard]:
        return self._vault.devices.take_turn(mailbox, fields)

    def _changed(self, document_id: str, author: str) -> Heard:
        title = str(self._documents.flat(document_id)["meta"].get("title", ""))
        return Heard("document-changed", author, document_id, title)

    def _home(self) -> str:
        home = self._vault.people.relay()
        return home[0] if home else ""


def _joined(operations: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The operations, decoded; of those that bring changes one after the other, the ones of a document together."""
    run: dict[tuple[bytes, bytes], dict[str, Any]] = {}
    for kind, body in operations:
        fields = decode_operation(kind, body)
        if kind == "changes" and not fields["again"]:
            known = run.setdefault((fields["document"], fields["edition"]), {**fields, "items": []})
            known["items"] += fields["items"]
            continue
        yield from (("changes", together) for together in run.values())
        run.clear()
        yield kind, fields
    yield from (("changes", together) for together in run.values())


def _with_dependencies(changes: Sequence[Change], every: Mapping[bytes, Change]) -> list[Change]:
    needed: set[bytes] = set()
    ends = [change.hash for change in changes]
    while ends:
        name = ends.pop()
        if name in every and name not in needed:
            needed.add(name)
            ends += every[name].deps
    return [change for name, change in every.items() if name in needed]


def _without(save: bytes, change: bytes) -> tuple[bytes, tuple[Change, ...]]:
    """The replica as it was before a change, and the change with what came after it."""
    deps = next((made.deps for made in changes(save) if made.hash == change), ())
    return back_to(save, deps)
