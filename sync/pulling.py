"""Pull: what lies in this vault's mailboxes and traces, followed along the relay's signed chain, then taken.

Taken first, passed afterwards: a crash between the two brings a message again, and taking it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sync import envelope, wire
from sync.client import RelayRefused, RelayUnreachable, Seen, Watch, follow
from sync.devices import Household
from sync.relays import Relays
from sync.report import Event, Report
from sync.wire import Checkpoint, Message
from vault.errors import ForeignChange, InputRefused, NotFound, RelayContradiction, Replayed, VerificationFailed
from vault.outbox import CLOSED, Outbox
from vault.statement import open_statement
from vault.store.grants import Given
from vault.store.mailboxes import Mailbox
from vault.trace import UNNAMED, TraceLine
from vault.vault import Vault

PAGE = 200
# A relay could leave something out of its unsigned answer about what is new: once a day each mailbox is read itself.
WHOLE_EVERY = 86_400
HOME = ("vault", "snapshot")  # the mailboxes of the holder's devices among themselves


class Pull:
    def __init__(self, vault: Vault, outbox: Outbox, relays: Relays, household: Household) -> None:
        self._vault = vault
        self._outbox = outbox
        self._relays = relays
        self._household = household

    def all(self, report: Report) -> None:
        now = int(self._vault.clock())
        last = int(self._vault.meta("pulled") or 0)
        whole = not last <= now < last + WHOLE_EVERY
        self.home(report)
        if self._vault.devices.retired():
            return  # it heard so just now: whatever else comes is for those who stay
        mailboxes = [
            box for box in self._outbox.mailboxes() if box.relay not in report.unreachable and box.kind not in HOME
        ]
        traces = [given for given in self._vault.sharing.journal.to_follow() if given.relay not in report.unreachable]
        news = None if whole else self._news(mailboxes, traces, report)
        for mailbox in mailboxes:
            if news is None or mailbox.address in news or mailbox.state == "closing":
                self._mailbox(mailbox, report)
        for given in traces:
            if news is None or given.number in news:
                self._trace(given, report)
        self._opened(self._vault.sharing.journal.look_again(), report)
        if whole and not report.unreachable:
            self._vault.set_meta("pulled", str(now))

    def home(self, report: Report) -> None:
        """What the holder's other devices told: a snapshot whole before the channel, and each channel that a turn
        leads to. From there this device learns of inboxes and documents' channels too."""
        read: set[bytes] = set()
        while True:
            read.difference_update(self._vault.devices.rewind())
            boxes = [box for box in self._outbox.mailboxes() if box.kind in HOME and box.address not in read]
            order = {log: number for number, log in enumerate(self._vault.devices.path())}
            boxes.sort(key=lambda box: (box.kind != "snapshot", order.get(box.address, len(order))))
            if not boxes or (boxes[0].kind == "vault" and self._vault.meta("snapshot")):
                return
            read.add(boxes[0].address)
            self._mailbox(boxes[0], report)
            if boxes[0].relay in report.unreachable:
                return
            self._household.caught_up(boxes[0])

    def inbox(self) -> Report:
        """The inbox alone, before an opening: a renewal may lie there. A relay that is away is no reason to stop."""
        report = Report()
        for mailbox in self._outbox.mailboxes():
            if mailbox.kind == "inbox":
                self._mailbox(mailbox, report)
        return report

    def watches(self) -> list[Watch]:
        """What an open screen waits for."""
        return _watches(self._outbox.mailboxes(), self._vault.sharing.journal.to_follow())

    def _news(self, mailboxes: Sequence[Mailbox], traces: Sequence[Given], report: Report) -> set[bytes] | None:
        """Addresses of what has grown, in a few calls; None when a relay does not say."""
        news: set[bytes] = set()
        relays = dict.fromkeys([box.relay for box in mailboxes] + [given.relay for given in traces])
        for relay in relays:
            watches = _watches([b for b in mailboxes if b.relay == relay], [g for g in traces if g.relay == relay])
            try:
                client = self._relays.client(relay)
                for start in range(0, len(watches), wire.WATCHES):
                    news |= {changed.address for changed in client.wait(watches[start : start + wire.WATCHES], 0)}
            except RelayUnreachable:
                report.silent(relay)
            except (RelayRefused, VerificationFailed):
                return None
        return news

    def _mailbox(self, mailbox: Mailbox, report: Report) -> None:
        if mailbox.relay in report.unreachable:
            return
        try:
            self._read(mailbox, report)
        except RelayUnreachable:
            report.silent(mailbox.relay)
        except RelayRefused as refusal:
            if mailbox.state == "closing" and refusal.status in CLOSED:
                self._outbox.done(mailbox.address)
                return
            report.events.append(Event("refused", detail=f"{mailbox.kind}: {refusal.reason}"))
        except RelayContradiction as failure:
            self._household.accuse(mailbox, failure, report)
        except VerificationFailed as failure:
            report.events.append(Event("refused", detail=f"{mailbox.kind}: {failure.code}"))

    def _read(self, mailbox: Mailbox, report: Report) -> None:
        if mailbox.owner is None:
            return
        client = self._relays.client(mailbox.relay)
        seen = Seen(mailbox.count, mailbox.chain)
        while True:
            messages, checkpoint = client.messages(mailbox.address, mailbox.owner, seen.count, PAGE)
            self._outbox.check_tail(mailbox.address, checkpoint)
            try:
                after = follow(seen, messages, checkpoint)
            except RelayContradiction as failure:
                raise self._outbox.with_signatures(mailbox.address, failure, checkpoint) from failure
            self._take(mailbox, seen, messages, checkpoint, report)
            self._outbox.note(mailbox.address, after.count, checkpoint)
            seen = after
            if seen.count >= checkpoint.count:
                self._outbox.followed(mailbox.address, checkpoint)
                break
        if mailbox.kind == "inbox" and seen.count > mailbox.count:
            client.trim(mailbox.address, mailbox.owner, seen.count)
        if mailbox.state == "closing" and (mailbox.kind != "vault" or self._vault.devices.is_over(mailbox.address)):
            # Devices that are away still have to read what lies in the vault's own channel.
            client.close_mailbox(mailbox.address, mailbox.owner, mailbox.kind != "vault")
            self._outbox.done(mailbox.address)

    def _take(
        self, mailbox: Mailbox, seen: Seen, messages: Sequence[Message], checkpoint: Checkpoint, report: Report
    ) -> None:
        chain = seen.chain
        for message in messages:
            chain = wire.extend_chain(chain, message.index, message.time, message.body_hash)
            self._outbox.check_link(mailbox.address, message.index, chain, checkpoint)
            if not message.freed:
                self._message(mailbox, message, report)
            self._outbox.advance(mailbox.address, message.index, chain)
            report.pulled += 1

    def _message(self, mailbox: Mailbox, message: Message, report: Report) -> None:
        """One message; a bad one is kept as evidence and the exchange goes on."""
        try:
            if mailbox.kind == "inbox":
                report.events.append(self._inbox(message))
            elif mailbox.kind in HOME:
                self._household.take(mailbox, message, report)
            else:
                self._envelope(mailbox, message, report)
        except Replayed:
            return
        except (VerificationFailed, ForeignChange, NotFound, InputRefused) as failure:
            self._outbox.keep(mailbox.address, message.body, failure)
            report.events.append(Event("quarantined", detail=failure.code, time=message.time))

    def _envelope(self, mailbox: Mailbox, message: Message, report: Report) -> None:
        if mailbox.key is None:
            return
        inner = envelope.open(mailbox.key, mailbox.address, message.body)
        author = self._outbox.writer_name(mailbox.address, inner.signer)
        try:
            self._outbox.compare_seen(mailbox.address, inner.seen, message.index)
        except RelayContradiction as failure:
            # The writer may lie: that must not keep the writer, or anybody else, from being heard.
            self._outbox.keep(mailbox.address, message.body, failure)
            report.events.append(Event("relay-contradiction", author, detail=str(failure), time=message.time))
        inner = replace(inner, time=min(inner.time, message.time, int(self._vault.clock())))
        document = self._vault.sharing.apply(mailbox.address, inner)
        if document is not None:
            report.events.append(Event("document-changed", author, document.id, document.title, inner.time))

    def _inbox(self, message: Message) -> Event:
        statement = open_statement(self._vault.identity.box, message.body, self._vault.devices.roster().min_suite)
        kind = self._outbox.type_of(statement)
        if kind == "package":
            visit = self._vault.visiting.receive(statement)
            return Event("grant-received", visit.patient, visit.id, visit.purpose, message.time)
        if kind == "renewal":
            visit = self._vault.visiting.renew(statement)
            return Event("renewed", visit.patient, visit.id, visit.purpose, message.time)
        deposit_id, state, title = self._vault.feeding.receive(statement)
        kind = "deposit-waiting" if state == "waiting" else "deposit-received"
        return Event(kind, "", deposit_id, title, message.time)

    def _trace(self, given: Given, report: Report) -> None:
        if given.relay in report.unreachable:
            return
        try:
            self._read_trace(given, report)
        except RelayUnreachable:
            report.silent(given.relay)
        except RelayRefused as refusal:
            # A grant that ended before it was ever sent has no trace.
            if given.state == "active" or refusal.status != 404:
                report.events.append(Event("refused", given.name, detail=f"trace: {refusal.reason}"))
        except RelayContradiction as failure:
            self._outbox.contradiction(given.number, failure)
            report.events.append(Event("relay-contradiction", given.name, detail=str(failure)))
        except VerificationFailed as failure:
            report.events.append(Event("refused", given.name, detail=f"trace: {failure.code}"))

    def _read_trace(self, given: Given, report: Report) -> None:
        client = self._relays.client(given.relay)
        seen = Seen(given.count, given.chain)
        while True:
            entries, checkpoint = client.trace(given.number, given.owner, seen.count)
            self._outbox.check_tail(given.number, checkpoint)
            seen = follow(seen, entries, checkpoint)
            kept = [(entry.index, entry.time, entry.body) for entry in entries]
            self._opened(self._vault.sharing.journal.take(given.number, kept, seen.count, seen.chain), report)
            report.pulled += len(entries)
            if seen.count >= checkpoint.count:
                self._outbox.followed(given.number, checkpoint)
                return

    def _opened(self, lines: Sequence[TraceLine], report: Report) -> None:
        for line in lines:
            if line.detail == UNNAMED and not line.document_id and self._vault.telling.active:
                continue  # of another device's renewal that is not told yet: it is looked at again
            kind = "opened" if line.verified else "quarantined"
            report.events.append(Event(kind, line.person, line.document_id, line.document, line.time, line.detail))


def _watches(mailboxes: Sequence[Mailbox], traces: Sequence[Given]) -> list[Watch]:
    boxes = [
        Watch("mailbox", box.address, box.owner, box.count)
        for box in mailboxes
        if box.owner is not None and box.state == "open"
    ]
    return boxes + [Watch("trace", given.number, given.owner, given.count) for given in traces]
