"""The vault's channel at its relay: what this device tells is sealed and sent, what others told is opened and heard.

Normative text: spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync import envelope
from sync.client import RelayRefused, RelayUnreachable
from sync.evidence import prove
from sync.relays import Relays
from sync.report import Event, Report
from sync.wire import BLOB_BYTES, Checkpoint, Message, WireError
from vault.attachment import hash_seal
from vault.channel import ZERO
from vault.errors import BadSignature, NotFound, RelayContradiction, VaultError, VerificationFailed
from vault.heard import Heard
from vault.hearing import Hearing
from vault.keys import sync_folder
from vault.operation import MAX_BUNDLE, MAX_OPS, NOWHERE, encode_bodies, encode_operation
from vault.outbox import CLOSED, Outbox
from vault.primitives import SigningKey, verify
from vault.store.mailboxes import Mailbox, MailboxStore
from vault.vault import Vault

MAX_SEEN = 256


class Household:
    """The holder's devices among themselves."""

    def __init__(self, vault: Vault, outbox: Outbox, relays: Relays) -> None:
        self._vault = vault
        self._outbox = outbox
        self._relays = relays
        self._mailboxes = MailboxStore(vault.store)
        self._journal = vault.telling.journal
        self._hearing = Hearing(vault)

    # Telling

    def push(self, report: Report) -> None:
        """Send everything that is to be told. What a relay does not take now stays for the next time."""
        self._vault.telling.collect()
        for address in self._journal.open_mailboxes():
            mailbox = self._mailboxes.mailbox(address)
            if mailbox is None or mailbox.relay in report.unreachable or self._must_read_first(mailbox):
                continue
            try:
                self._push(mailbox, report)
            except RelayUnreachable:
                report.silent(mailbox.relay)
            except RelayRefused as refusal:
                if refusal.status in CLOSED:
                    self._closed(address)
                else:
                    report.events.append(Event("refused", detail=f"{mailbox.kind}: {refusal.reason}"))
            except RelayContradiction as failure:
                self._outbox.contradiction(address, failure)
                report.events.append(Event("relay-contradiction", detail=str(failure)))
            except VerificationFailed as failure:  # it waits: the next exchange sends the same bytes again
                report.events.append(Event("refused", detail=f"{mailbox.kind}: {failure.code}"))

    def _must_read_first(self, mailbox: Mailbox) -> bool:
        """A copy that was put back tells nothing before it has read what it missed, nor does a device whose place in
        the roster was lost with a history, or whose words in an earlier log may still have to be told again."""
        if mailbox.kind != "vault":
            return False
        if self._vault.meta("behind") or not self._vault.devices.roster().has(self._vault.device_id):
            return True  # nobody would hear it before its act is done again
        return mailbox.address == self._vault.telling.address and self._journal.waiting_elsewhere(mailbox.address)

    def _closed(self, address: bytes) -> None:
        """Nothing goes into this log any more. Of the current one a turn is on its way, after which everything is told
        again; what waits for an earlier one goes into the current one now."""
        current = self._vault.telling.address
        if current and address != current:
            with self._vault.store.transaction():
                self._journal.retell_words(address, current)

    def caught_up(self, mailbox: Mailbox) -> None:
        if mailbox.address == self._vault.telling.address and self._vault.meta("behind"):
            self._vault.set_meta("behind", "")

    def _push(self, mailbox: Mailbox, report: Report) -> None:
        client = self._relays.client(mailbox.relay)
        while True:
            waiting = self._journal.unsent(mailbox.address) or self._seal(mailbox)
            if waiting is None:
                return
            seq, data = waiting
            appended = client.append(mailbox.address, mailbox.append or b"", data)
            self._outbox.expect(mailbox.address, appended.checkpoint)
            with self._vault.store.transaction():
                self._journal.sent(mailbox.address, seq)
                if mailbox.kind == "snapshot":
                    self._journal.read_back(mailbox.address, seq)  # nobody else writes there: it is as good as read
            report.pushed += 1

    def _seal(self, mailbox: Mailbox) -> tuple[int, bytes] | None:
        """The next operations in their envelopes, kept before they are sent. None when nothing waits."""
        operations, last = self._journal.unsealed(mailbox.address, MAX_BUNDLE)
        if not operations or mailbox.key is None:
            return None
        sign = SigningKey.from_seed(self._vault.keyring.need("device-sign"))
        device = self._vault.device_id
        sealed: list[tuple[int, bytes]] = []
        with self._vault.store.transaction():
            seq, prev = self._mailboxes.senders(mailbox.address).get(device, (0, ZERO))
            seen = self._seen()
            if mailbox.kind == "vault" and operations[0][0] not in ("roster", "turn") and len(operations) < MAX_OPS:
                operations.append(self._signed(mailbox))
            for body in encode_bodies(operations):
                seq += 1
                data, prev = envelope.seal(
                    mailbox.key,
                    sign,
                    kind="vault",
                    channel=mailbox.address,
                    document=NOWHERE,
                    epoch=mailbox.epoch,
                    device=device,
                    seq=seq,
                    prev=prev,
                    seen=seen,
                    roster=self._vault.roster_head,
                    time=int(self._vault.clock()),
                    body=body,
                )
                sealed.append((seq, data))
            self._mailboxes.put_sender(mailbox.address, device, seq, prev)
            self._journal.put_envelopes(mailbox.address, sealed, last)
        return sealed[0]

    def _seen(self) -> Sequence[tuple[bytes, int, bytes]]:
        """What this device last saw of each of the vault's mailboxes."""
        boxes = [box for box in self._outbox.mailboxes() if box.count and box.kind != "snapshot"]
        return [(box.address, box.count, box.chain) for box in boxes[:MAX_SEEN]]

    def _signed(self, mailbox: Mailbox) -> tuple[str, bytes]:
        """The newest word of the relay for each mailbox: two devices that were shown two histories find out."""
        boxes = [box for box in self._outbox.mailboxes() if box.relay == mailbox.relay][:MAX_SEEN]
        signed = [self._mailboxes.signed_for(box.address) for box in boxes]
        checkpoints = [found[1] for found in signed if found is not None]
        return "signed", encode_operation("signed", {"relay": mailbox.relay, "checkpoints": checkpoints})

    # Hearing

    def take(self, mailbox: Mailbox, message: Message, report: Report) -> None:
        """One envelope of the vault's channel or of a snapshot."""
        if mailbox.key is None:
            return
        inner = envelope.open(mailbox.key, mailbox.address, message.body)
        heard, refused = self._hearing.take(mailbox.address, inner)  # raises for what no device of this vault says
        name = self._vault.devices.name(inner.device)
        for seen in inner.seen:
            if not self._mailboxes.knows(seen[0]):
                continue  # nothing to compare it with, and nothing to keep for it
            try:
                position = message.index if seen[0] == mailbox.address else 1 << 62
                self._outbox.compare_seen(seen[0], [seen], position)
            except RelayContradiction as failure:
                self._outbox.keep(seen[0], message.body, failure)
                report.events.append(Event("relay-contradiction", name, detail=str(failure), time=message.time))
        for one in refused:
            self._keep(mailbox, message, one, report)
        if mailbox.kind == "vault":
            report.events += _events([one for one in heard if one.kind != "signed"], message.time)
        self.compare([bytes.fromhex(one.detail) for one in heard if one.kind == "signed"], report)

    def _keep(self, mailbox: Mailbox, message: Message, failure: VaultError, report: Report) -> None:
        self._outbox.keep(mailbox.address, message.body, failure)
        report.events.append(Event("quarantined", detail=failure.code, time=message.time))

    # What relays signed

    def accuse(self, mailbox: Mailbox, failure: RelayContradiction, report: Report) -> None:
        """The relay contradicts itself: kept with what proves it to anybody, when two of its signatures do."""
        proof = prove(self._relays, mailbox, bytes.fromhex(str(failure.facts.get("evidence", ""))))
        if proof is None:
            self._outbox.contradiction(mailbox.address, failure)
        else:
            self._outbox.keep(mailbox.address, proof, failure)
        detail = "proven" if proof is not None else str(failure)
        report.events.append(Event("relay-contradiction", detail=detail))

    def compare(self, sent: Sequence[bytes], report: Report) -> None:
        """What relays signed for another device of the holder, against what they signed for this one."""
        for data in sent:
            try:
                checkpoint = Checkpoint.decode(data)
            except WireError:
                continue
            mailbox = self._mailboxes.mailbox(checkpoint.address)
            key = self._vault.people.relay_key(mailbox.relay) if mailbox else None
            if mailbox is None or key is None:
                continue
            try:
                checkpoint.verify(key, verify)
                self._outbox.witness(checkpoint.address, checkpoint)
            except BadSignature:
                continue  # a device that lies about a relay proves nothing
            except RelayContradiction as failure:
                self.accuse(mailbox, failure, report)

    # Files

    def fetch(self, report: Report) -> None:
        """Files that another device put at the relay and that are not here."""
        for sealed, relay, address, _, token, size in self._journal.files():
            target = self._vault.sealed_path(sealed)
            if target.exists() or relay in report.unreachable or size > BLOB_BYTES:
                continue
            folder = self._vault.path / "deposits"
            folder.mkdir(mode=0o700, exist_ok=True)
            draft = folder / address.hex()
            try:
                self._fetch(relay, address, token, draft, size)
                if hash_seal(draft) != sealed:
                    draft.unlink(missing_ok=True)
                    report.events.append(Event("quarantined", detail="verification-failed"))
                    continue
                draft.rename(target)
                sync_folder(target.parent)
            except RelayUnreachable:
                report.silent(relay)
            except (RelayRefused, NotFound):
                continue  # not put there yet by the device that has it: the next exchange asks again
            except VerificationFailed as failure:
                report.events.append(Event("quarantined", detail=failure.code))

    def _fetch(self, relay: str, address: bytes, token: bytes, target: Path, size: int) -> None:
        def watched(done: int, total: int) -> None:
            if total != size:
                raise NotFound("the file at the relay does not have the size that was stated")

        self._relays.client(relay).get_blob(address, token, target, watched)


def _events(heard: Sequence[Heard], time: int) -> list[Event]:
    """Each thing once, however many changes it was."""
    unique = dict.fromkeys(heard)
    return [Event(one.kind, one.person, one.document_id, one.title, time, one.detail) for one in unique]
