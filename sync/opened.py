"""A granted document while a professional has it open: read, follow, write back. In memory only, unless the patient
allowed an offline visit; gone when this object is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sync import envelope, wire
from sync.client import RelayRefused, RelayUnreachable, Seen
from sync.wire import Message
from vault.attachment import hash_seal, open_file, seal_file
from vault.channel import ZERO, encode_changes, own_sender_key
from vault.document import Conflict, Document, Value
from vault.errors import (
    AccessEnded,
    ForeignChange,
    NotFound,
    RelayContradiction,
    Replayed,
    RightMissing,
    VerificationFailed,
)
from vault.late import Draft, draft_again, replaced, touched
from vault.outbox import Outbox
from vault.primitives import make_id, make_key
from vault.replica import Change, Edit, conflicts, edit, flatten
from vault.shape import to_document
from vault.store.mailboxes import MailboxStore, place_of
from vault.visiting import Unlocked

if TYPE_CHECKING:
    from sync.exchange import Exchange
    from vault.vault import Vault


class OpenDocument:
    """One opened document. `id` and `visit_id` are hex; `until` in seconds since 1970; `right` is read or edit."""

    def __init__(self, exchange: Exchange, vault: Vault, unlocked: Unlocked) -> None:
        self._exchange = exchange
        self._vault = vault
        self._unlocked = unlocked
        self._actor = make_id()
        self._channel = replace(vault.visiting.channel(unlocked), own=self._actor)
        self._seen = Seen()
        self._links = [ZERO]  # the channel's chain at every position
        self._names: dict[bytes, tuple[str, int]] = {}
        self._outbox = Outbox(vault)
        self._mailboxes = MailboxStore(vault.store)
        self._place = place_of(unlocked.item.mailbox, unlocked.visit.relay_key, unlocked.visit.issuer_sign)
        self._since = (vault.clock(), monotonic())
        self.id = unlocked.item.document.hex()
        self.visit_id = unlocked.visit.number.hex()
        self.patient = unlocked.visit.patient
        self.right = unlocked.visit.right
        self.until = unlocked.visit.until
        self.offline = False

    @classmethod
    def kept(cls, exchange: Exchange, vault: Vault, unlocked: Unlocked) -> OpenDocument:
        """From the copy that the patient allowed to keep."""
        opened = cls(exchange, vault, unlocked)
        opened._channel.save = unlocked.replica
        opened.offline = True
        return opened

    @property
    def document(self) -> Document:
        """As it stands now, with conflicts. AccessEnded past the end."""
        self._still_open()
        document = to_document(flatten(self._channel.save), self.id)
        clashes = tuple(
            Conflict(
                clash.path[1] if clash.path[0] == "entries" else "",
                clash.path[-1],
                tuple((side.value, *self._who(side.actor, side.change)) for side in clash.sides),
            )
            for clash in conflicts(self._channel.save)
        )
        return replace(document, conflicts=clashes)

    def refresh(self) -> bool:
        """Take what is new in the channel; whether anything was. AccessEnded when it is closed to this reader."""
        with self._exchange.lock:
            self._still_open()
            if self.offline:
                self._go_online()
            unlocked = self._unlocked
            item, content, visit = unlocked.item, unlocked.content, unlocked.visit
            messages, seen = self._exchange.read_channel(visit, item.mailbox, content.read, self._seen)
            opening = not self._channel.save
            changed = False
            for message in messages:
                link = wire.extend_chain(self._links[-1], message.index, message.time, message.body_hash)
                with suppress(Replayed):
                    changed |= self._take(message)
                self._links.append(link)
            self._seen = seen
            if not self._channel.save:
                raise VerificationFailed("the document's edition is not in its channel")
            if opening:
                self._vault.visiting.keep(unlocked, self._channel.save)
            elif changed:
                self._vault.visiting.rewrite_kept(unlocked, self._channel.save)
            return changed

    def _go_online(self) -> None:
        """From a kept copy to the channel itself; what was written meanwhile must be in it first."""
        if self._unlocked.visit.relay in self._exchange.push().unreachable:
            raise RelayUnreachable("the relay does not answer", hint="The copy kept on this device is shown.")
        self._actor = make_id()  # what was written under the former one comes back from the channel
        self._channel = replace(self._vault.visiting.channel(self._unlocked), own=self._actor)
        self._seen, self._links, self.offline = Seen(), [ZERO], False

    def write_again(self) -> None:
        """What this device wrote into an earlier epoch and the relay did not take, into this one.

        It is written on the edition: what others wrote in this epoch meanwhile stands beside it as a conflict.
        """
        with self._exchange.lock:
            drafts = self._outbox.drafts(self._unlocked.visit, self._unlocked.item)
            kept = [json.loads(draft.edits) for draft in drafts]
            edits: list[Edit] = [(op, tuple(path), *value) for one in kept for op, path, *value in one["edits"]]
            seen = [value for one in kept for value in one["seen"]]
            whole = {entry_id: fields for one in kept for entry_id, fields in one["whole"].items()}
            with self._vault.store.transaction():
                if edits and self.right == "edit":
                    draft_edits = Draft(tuple(edits), tuple(seen), whole)
                    save, made = draft_again(self._channel.save, make_id(), make_id(), draft_edits)
                    if made:
                        self._send(save, made, edits, seen)
                for draft in drafts:
                    self._outbox.drop_draft(draft)
            self._exchange.push()

    def set_entry(self, entry_id: str | None, kind: str, fields: dict[str, Value]) -> str:
        """Add an entry (`entry_id` None) or amend one; its id. RightMissing without the right to edit."""
        edits: list[Edit] = []
        if entry_id is None:
            entry_id = make_id().hex()
            values = {"kind": kind, **{name: value for name, value in fields.items() if value is not None}}
            edits.append(("set", ("entries", entry_id), values))
        else:
            if entry_id not in flatten(self._channel.save)["entries"]:
                raise NotFound("no such entry in this document")
            for name, value in fields.items():
                path = ("entries", entry_id, name)
                edits.append(("delete", path) if value is None else ("set", path, value))
        self.write(edits)
        return entry_id

    def add_entries(self, entries: list[tuple[str, dict[str, Value]]]) -> list[str]:
        """Several new entries (kind, fields) as one change; their ids."""
        ids = [make_id().hex() for _ in entries]
        self.write(
            [
                ("set", ("entries", entry_id), {"kind": kind, **{n: v for n, v in fields.items() if v is not None}})
                for entry_id, (kind, fields) in zip(ids, entries, strict=True)
            ]
        )
        return ids

    def add_file(self, source: Path | bytes, *, media_type: str, name: str) -> str:
        """Attach a file to the document; its SHA-256. It lies sealed at the relay until the patient fetches it."""
        self._need_edit()
        self._still_open()
        folder = self._folder()
        address, owner, token, key = make_key(), make_key(), make_key(), make_key()
        sealed = seal_file(source, folder / address.hex(), key)
        tokens = [{"token": token, "right": "read", "until": None}]
        arguments = {"owner": owner, "tokens": tokens, "file": f"deposits/{address.hex()}"}
        self._outbox.queue_file(self._unlocked.visit, address, arguments)
        fields = {
            "media_type": media_type, "size": sealed.size, "name": name, "key": key.hex(),
            "sealed_sha256": sealed.sealed_sha256, "sealed_size": sealed.sealed_size,
            "blob": address.hex(), "blob_token": token.hex(),
        }  # fmt: skip
        self.write([("set", ("attachments", sealed.sha256), fields)])
        return sealed.sha256

    def write(self, edits: list[Edit]) -> None:
        """One change: sealed at once (the key is not kept), queued, sent when the relay answers."""
        with self._exchange.lock:
            self._need_edit()
            self._still_open()
            if self._write(edits):
                self._exchange.push()

    def _write(self, edits: list[Edit]) -> bool:
        """Seal and queue one change; whether the edits changed anything."""
        save, change = edit(self._channel.save, self._actor, edits)
        if change is None:
            return False
        self._send(save, [change], edits, replaced(edits, flatten(self._channel.save)))
        return True

    def _send(self, save: bytes, made: list[Change], edits: list[Edit], seen: list[Any]) -> None:
        """Changes in one envelope. `edits` and what they replaced are kept until the relay has taken it."""
        me, device, now = self._vault.identity.sign, self._vault.device_id, int(self._vault.clock())
        item, content, own = self._unlocked.item, self._unlocked.content, own_sender_key(me.public, device)
        if content.append is None:
            raise RightMissing("this grant is for reading")
        kept = json.dumps({"edits": edits, "seen": seen, "whole": touched(edits, flatten(save))}, ensure_ascii=False)
        with self._vault.store.transaction():
            stored = self._mailboxes.sender(self._place, own) or (0, ZERO)
            seq, prev = max(stored, self._channel.senders.get(own, (0, ZERO)))
            data, head = envelope.seal(
                content.key,
                me,
                kind="change",
                channel=item.mailbox,
                document=item.document,
                epoch=item.epoch,
                device=device,
                seq=seq + 1,
                prev=prev,
                seen=[(item.mailbox, self._seen.count, self._seen.chain)],
                roster=self._vault.roster_head,
                time=now,
                body=encode_changes(made),
            )
            self._mailboxes.put_sender(self._place, own, seq + 1, head)
            self._outbox.queue_change(self._unlocked.visit, item, content.append, data, kept)
            self._vault.visiting.rewrite_kept(self._unlocked, save)
        self._channel.save = save
        self._channel.senders[own] = (seq + 1, head)
        for change in made:
            self._channel.actors[change.actor] = me.public
            self._names[change.hash] = (self._vault.identity.name, now)

    def attachment(self, sha256: str) -> Iterator[bytes]:
        """The file's bytes, fetched sealed, opened chunk by chunk; the sealed copy is removed afterwards."""
        self._still_open()
        fields = flatten(self._channel.save)["attachments"].get(sha256)
        if fields is None or not fields.get("blob") or not fields.get("blob_token"):
            raise NotFound("this document has no such attachment, or it is not at the relay yet")
        visit = self._unlocked.visit
        address, token = bytes.fromhex(fields["blob"]), bytes.fromhex(fields["blob_token"])
        target = self._folder() / f"{make_id().hex()}.visit"
        try:
            self._exchange.fetch(visit.relay, address, token, target, size=fields["sealed_size"], key=visit.relay_key)
            if hash_seal(target) != fields["sealed_sha256"]:
                raise VerificationFailed("the file at the relay is not the one that the document names")
            yield from open_file(target, bytes.fromhex(fields["key"]), fields["size"], sha256=sha256)
        except RelayRefused as refusal:
            raise AccessEnded("this file is closed to you now") from refusal
        finally:
            target.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the key and the content."""
        self._channel.save = b""
        self._names.clear()

    def _take(self, message: Message) -> bool:
        """Whether the document changed. What is not acceptable is kept as evidence, and the rest goes on."""
        mailbox = self._unlocked.item.mailbox
        try:
            inner = envelope.open(self._unlocked.content.key, mailbox, message.body)
            inner = replace(inner, time=min(inner.time, message.time, int(self._vault.clock())))
            self._check_seen(inner, message)
            taken = self._channel.take(inner, self._vault.quarantine.merge)
        except Replayed:
            raise
        except (VerificationFailed, ForeignChange) as failure:
            self._outbox.keep(self._place, message.body, failure)
            return False
        if taken.refused is not None:
            self._outbox.keep(self._place, message.body, taken.refused)
        for applied in taken.applied:
            self._names[applied.change.hash] = (applied.author, applied.time)
        return bool(taken.applied)

    def _check_seen(self, inner: envelope.Inner, message: Message) -> None:
        """What the writer saw of this channel is what this reader sees; a mismatch is kept as evidence."""
        for address, count, chain in inner.seen:
            if address == inner.channel and (count >= message.index or self._links[count] != chain):
                failure = RelayContradiction("a writer states another history of this channel", reason="seen")
                self._outbox.keep(self._place, message.body, failure)

    def _who(self, actor: bytes, change: bytes) -> tuple[str, str]:
        name, moment = self._names.get(change, ("", 0))
        signer = self._channel.actors.get(actor)
        if not name and signer in self._channel.writers:
            name = self._channel.writers[signer].name
        return name, datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""

    def _need_edit(self) -> None:
        if self.right != "edit":
            raise RightMissing("this grant is for reading")

    def _folder(self) -> Path:
        folder = self._vault.path / "deposits"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _still_open(self) -> None:
        opened, then = self._since
        # A clock that is turned back while the document is open prolongs nothing.
        if max(self._vault.clock(), opened + monotonic() - then) >= self.until:
            self.close()
            self._vault.visiting.close_ended()
            raise AccessEnded("this grant is over", until=self.until)
        if not self._vault.visiting.is_open(self._unlocked.visit.number):
            self.close()
            raise AccessEnded("this grant is over", until=self.until)
        if not self._channel.save and self._seen.count:
            raise AccessEnded("this document was closed", until=self.until)
