"""Push and pull: the one conductor between a vault and its relays.

Everything to be said lies in the vault's outbox, so that a crash or days offline lose nothing; every call is idempotent,
so that it can be said again. Whatever comes back is followed along the relay's signed chain before anything of it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sync import envelope, wire
from sync.client import RelayClient, RelayRefused, RelayUnreachable, Seen, Token, Watch, follow
from sync.opened import OpenDocument
from sync.wire import Checkpoint, Message
from vault.document import Document
from vault.errors import (
    AccessEnded,
    ForeignChange,
    NotFound,
    RelayContradiction,
    Replayed,
    VaultError,
    VerificationFailed,
)
from vault.identity import Card
from vault.outbox import Outbox
from vault.statement import open_statement
from vault.store.grants import Given
from vault.store.mailboxes import Mailbox, Outgoing
from vault.vault import Vault
from vault.visiting import Visit

PAGE = 200
FOR_GOOD = frozenset({400, 403, 404, 409, 410, 413})  # a relay that answers so will answer so again
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: "grant-received", "renewed", "opened", "document-changed", "deposit-filed",
    "deposit-waiting", "quarantined", "access-ended", "relay-contradiction", "refused"."""

    kind: str
    person: str = ""
    document_id: str = ""
    title: str = ""
    time: int = 0
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What one exchange did. `unreachable`: relays that did not answer; what is for them stays queued."""

    pushed: int = 0
    pulled: int = 0
    queued: int = 0
    events: list[Event] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


class Exchange:
    def __init__(self, vault: Vault, client_factory: Callable[..., RelayClient] = RelayClient) -> None:
        self._vault = vault
        self._outbox = Outbox(vault)
        self._factory = client_factory
        self._clients: dict[str, RelayClient] = {}
        self._lock = threading.RLock()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The whole of it

    def set_relay(self, url: str) -> None:
        """Remember the relay that has this vault's inbox. Its key is pinned at first contact."""
        url = url.rstrip("/")
        client = self._client(url)
        self._vault.people.set_relay(url, client.about().verify_key)

    def sync(self, *, progress: Progress | None = None) -> Report:
        """Push what is queued, pull what is new. RelayUnreachable when this vault's own relay does not answer."""
        with self._lock:
            report = Report()
            for grant in self._vault.sharing.expire():
                report.events.append(Event("access-ended", grant.person, time=grant.until))
            self._vault.visiting.close_ended()
            self._push(report, progress)
            self._pull(report)
            self._file(report)
            self._push(report, progress)
            report.queued = self._outbox.queued()
            home = self._vault.people.relay()
            if home is not None and home[0] in report.unreachable:
                raise RelayUnreachable("the relay does not answer", hint="Nothing is lost: it goes with the next sync.")
            return report

    def push(self, *, progress: Progress | None = None) -> Report:
        """Only what is queued, without asking for news."""
        with self._lock:
            report = Report()
            self._push(report, progress)
            report.queued = self._outbox.queued()
            return report

    def watch(self, callback: Callable[[Report], None], stop: threading.Event, *, seconds: int = 25) -> None:
        """Wait for news and exchange it, until `stop`: for an open screen. A silent relay is asked again later."""
        pause = 1.0
        while not stop.is_set():
            try:
                watches = self._watches()
                home = self._vault.people.relay()
                if home is None or not watches:
                    stop.wait(2.0)
                    continue
                changed = self._client(home[0]).wait(watches[: wire.WATCHES], seconds)
                if stop.is_set():
                    return
                if changed or self._vault.sharing.expire() or self._vault.visiting.close_ended():
                    callback(self.sync())
                pause = 1.0
            except (RelayUnreachable, RelayRefused):
                stop.wait(pause)
                pause = min(pause * 2, 60.0)

    # What a professional opens

    def open(self, wanted: str, why: str = "") -> OpenDocument:
        """Open one granted document by its id; the relay's trace says so before anything can be read.

        AccessEnded when the grant is over; RelayUnreachable without a copy that the patient allowed to keep.
        """
        return self.open_all(wanted, why)[0]

    def open_all(self, wanted: str, why: str = "") -> list[OpenDocument]:
        """Open a granted document, or every document of a grant, in one opening."""
        with self._lock:
            visiting = self._vault.visiting
            visiting.close_ended()
            self._news()
            visit, document = visiting.find(wanted)
            session = visiting.begin(visit.id, [document] if document else [], why)
            client = self._client(session.visit.relay, session.visit.relay_key)
            try:
                _, sealed = client.open(session.visit.number, session.request)
            except RelayRefused as refusal:
                if refusal.status in (404, 410, 429):
                    visiting.end(visit.id)
                    raise AccessEnded("the grant is over", until=visit.until) from refusal
                raise
            except RelayUnreachable:
                kept = [visiting.kept(visit.id, item.document.hex()) for item in session.items]
                if not all(kept):
                    raise
                return [OpenDocument.kept(self, self._vault, unlocked) for unlocked in kept if unlocked]
            unlocked = visiting.finish(session, sealed)
            opened = [OpenDocument(self, self._vault, one) for one in unlocked]
            for one in opened:
                one.refresh()
            return opened

    def find(self, wanted: str) -> tuple[Visit, str | None]:
        """A grant received, or a document of one, by its id: what came to the inbox since is looked through too."""
        with self._lock:
            try:
                return self._vault.visiting.find(wanted)
            except NotFound:
                self._news()
                return self._vault.visiting.find(wanted)

    def read_channel(
        self, relay: str, key: bytes, mailbox: bytes, token: bytes, seen: Seen
    ) -> tuple[list[Message], Seen]:
        """Everything new in a mailbox, its chain followed. AccessEnded when the channel is closed to this reader."""
        client, found = self._client(relay, key), []
        while True:
            try:
                messages, checkpoint = client.messages(mailbox, token, seen.count, PAGE)
            except RelayRefused as refusal:
                if refusal.status in (403, 404, 410):
                    raise AccessEnded("this document is closed to you now") from refusal
                raise
            seen = follow(seen, messages, checkpoint)
            found += messages
            if seen.count >= checkpoint.count:
                return found, seen

    def fetch(self, relay: str, address: bytes, token: bytes, target: Path, progress: Progress | None = None) -> None:
        """A sealed file from a relay, resumed where it stopped."""
        self._client(relay, self._vault.people.relay_key(relay)).get_blob(address, token, target, progress)

    # Depositing

    def deposit(
        self,
        card: bytes,
        documents: Sequence[tuple[Document, Mapping[str, bytes | Path]]],
        certificate: bytes | None = None,
    ) -> list[str]:
        """Queue documents for somebody's inbox and send them. The unique ids; RelayUnreachable leaves them queued."""
        recipient: Card = self._vault.people.read_card(card)
        unique = [
            self._vault.feeding.deposit(recipient, document, files, certificate=certificate)
            for document, files in documents
        ]
        report = self.push()
        if report.unreachable:
            raise RelayUnreachable(
                "the relay does not answer", hint="The deposit is queued: it goes with the next sync."
            )
        return unique

    # Push

    def _push(self, report: Report, progress: Progress | None) -> None:
        self._outbox.collect()
        silent: set[str] = set()
        total = self._outbox.queued()
        last = -1
        while batch := [item for item in self._outbox.next(500) if item.relay not in silent]:
            if batch[0].id == last:
                break
            last = batch[0].id
            for item in batch:
                if item.relay in silent:
                    continue
                try:
                    self._say(item, report)
                except RelayUnreachable:
                    silent.add(item.relay)
                except RelayRefused as refusal:
                    if refusal.status not in FOR_GOOD:
                        silent.add(item.relay)
                        continue
                    self._outbox.sent(item.id)
                    report.events.append(Event("refused", detail=f"{item.verb}: {refusal.reason}"))
                if progress is not None:
                    progress(report.pushed, total)
        report.unreachable += sorted(silent - set(report.unreachable))

    def _say(self, item: Outgoing, report: Report) -> None:
        """Make one queued call, and forget it once the relay has answered."""
        client = self._client(item.relay)
        arguments, payload = item.arguments, item.payload or b""
        if item.verb == "seal":
            item = self._outbox.seal(item, envelope.seal)
            arguments, payload = item.arguments, item.payload or b""
        match item.verb:
            case "append":
                appended = client.append(item.address, arguments["token"], payload)
                self._outbox.expect(item.address, appended.checkpoint.count, appended.checkpoint.chain)
            case "create_mailbox":
                client.create_mailbox(item.address, arguments["owner"], _tokens(arguments["tokens"]))
            case "close_mailbox":
                client.close_mailbox(item.address, arguments["owner"], arguments["purge"])
            case "put_half":
                client.put_half(item.address, **arguments)
            case "destroy_half":
                receipt = client.destroy_half(item.address, arguments["owner"])
                self._vault.sharing.put_receipt(item.address, receipt.encode())
            case "put_blob":
                path = self._outbox.file_of(item)
                client.put_blob(item.address, arguments["owner"], _tokens(arguments["tokens"]), path)
            case "change_blob_tokens":
                added, removed = _tokens(arguments["add"]), arguments["remove"]
                client.change_tokens(item.address, arguments["owner"], add=added, remove=removed, room="blobs")
            case verb:
                raise NotFound(f"nothing is known about {verb!r} in the outbox")
        self._outbox.sent(item.id)
        report.pushed += 1

    # Pull

    def _news(self) -> None:
        """The inbox alone, before an opening: a renewal may lie there. A relay that is away is no reason to stop."""
        report = Report()
        for mailbox in self._outbox.mailboxes():
            if mailbox.kind == "inbox":
                try:
                    self._pull_mailbox(mailbox, report)
                except (RelayUnreachable, RelayRefused):
                    continue

    def _pull(self, report: Report) -> None:
        for mailbox in self._outbox.mailboxes():
            if mailbox.relay in report.unreachable:
                continue
            try:
                self._pull_mailbox(mailbox, report)
            except RelayUnreachable:
                report.unreachable.append(mailbox.relay)
            except RelayRefused as refusal:
                report.events.append(Event("refused", detail=f"{mailbox.kind}: {refusal.reason}"))
            except RelayContradiction as failure:
                self._outbox.contradiction(mailbox.address, failure)
                report.events.append(Event("relay-contradiction", detail=str(failure)))
        self._pull_traces(report)

    def _pull_mailbox(self, mailbox: Mailbox, report: Report) -> None:
        if mailbox.owner is None:
            return
        client = self._client(mailbox.relay)
        seen = Seen(mailbox.count, mailbox.chain)
        while True:
            messages, checkpoint = client.messages(mailbox.address, mailbox.owner, seen.count, PAGE)
            after = follow(seen, messages, checkpoint)
            self._take(mailbox, seen, messages, checkpoint, report)
            seen = after
            if seen.count >= checkpoint.count:
                break
        if mailbox.kind == "inbox" and seen.count > mailbox.count:
            client.trim(mailbox.address, mailbox.owner, seen.count)
        if mailbox.state == "closing":
            client.close_mailbox(mailbox.address, mailbox.owner, True)
            self._outbox.done(mailbox.address)

    def _take(
        self, mailbox: Mailbox, seen: Seen, messages: Sequence[Message], checkpoint: Checkpoint, report: Report
    ) -> None:
        chain = seen.chain
        for message in messages:
            chain = wire.extend_chain(chain, message.index, message.time, message.body_hash)
            self._outbox.check_link(mailbox.address, message.index, chain, checkpoint)
            # Taken, then passed: a crash between the two brings it again, and taking twice changes nothing.
            if not message.freed:
                self._take_message(mailbox, message, report)
            self._outbox.advance(mailbox.address, message.index, chain)
            report.pulled += 1

    def _take_message(self, mailbox: Mailbox, message: Message, report: Report) -> None:
        """One message; a bad one is kept as evidence and the exchange goes on."""
        try:
            if mailbox.kind == "inbox":
                report.events.append(self._inbox(message))
            elif mailbox.key is not None:
                inner = envelope.open(mailbox.key, mailbox.address, message.body)
                self._outbox.compare_seen(inner.seen, message.index)
                document = self._vault.sharing.apply(mailbox.address, inner)
                if document is not None:
                    author = self._outbox.writer_name(mailbox.address, inner.signer)
                    event = Event("document-changed", author, document.id, document.title, inner.time)
                    report.events.append(event)
        except RelayContradiction:
            raise
        except (VerificationFailed, ForeignChange, NotFound) as failure:
            if not isinstance(failure, Replayed):
                self._outbox.keep(mailbox.address, message.body, failure)
                report.events.append(Event("quarantined", detail=failure.code, time=message.time))

    def _inbox(self, message: Message) -> Event:
        statement = open_statement(self._vault.identity.box, message.body)
        kind = self._outbox.type_of(statement)
        if kind == "package":
            visit = self._vault.visiting.receive(statement)
            return Event("grant-received", visit.patient, visit.id, visit.purpose, message.time)
        if kind == "renewal":
            visit = self._vault.visiting.renew(statement)
            return Event("renewed", visit.patient, visit.id, visit.purpose, message.time)
        deposit_id, state, title = self._vault.feeding.receive(statement)
        return Event(
            "deposit-waiting" if state == "waiting" else "deposit-received", "", deposit_id, title, message.time
        )

    def _pull_traces(self, report: Report) -> None:
        for given in self._vault.sharing.to_trace():
            if given.relay in report.unreachable:
                continue
            try:
                self._pull_trace(given, report)
            except RelayUnreachable:
                report.unreachable.append(given.relay)
            except RelayRefused as refusal:
                report.events.append(Event("refused", given.name, detail=f"trace: {refusal.reason}"))
            except RelayContradiction as failure:
                self._outbox.contradiction(given.number, failure)
                report.events.append(Event("relay-contradiction", given.name, detail=str(failure)))

    def _pull_trace(self, given: Given, report: Report) -> None:
        client = self._client(given.relay)
        seen = Seen(given.count, given.chain)
        while True:
            entries, checkpoint = client.trace(given.number, given.owner, seen.count)
            after = follow(seen, entries, checkpoint)
            with self._vault.store.transaction():
                for entry in entries:
                    line = self._vault.sharing.take_opening(given.number, entry.index, entry.time, entry.body)
                    kind = "opened" if line.verified else "quarantined"
                    report.events.append(
                        Event(kind, given.name, line.document_id, line.document, entry.time, line.detail)
                    )
                    report.pulled += 1
                self._vault.sharing.advance_trace(given.number, after.count, after.chain)
            seen = after
            if seen.count >= checkpoint.count:
                return

    def _file(self, report: Report) -> None:
        """File the deposits of known people, and fetch what grantees attached."""
        feeding = self._vault.feeding
        for deposit_id in feeding.to_file():
            try:
                for want in feeding.fetches(deposit_id):
                    self.fetch(want.relay, want.address, want.token, want.target)
                document_id, document = feeding.file(deposit_id)
            except (RelayUnreachable, RelayRefused):
                continue
            except VaultError as failure:
                feeding.fail(deposit_id, failure)
                report.events.append(Event("quarantined", detail=failure.code))
                continue
            report.events.append(Event("deposit-filed", document.author, document_id, document.title))
        for attached in feeding.missing_files():
            try:
                self.fetch(attached.relay, attached.address, attached.token, attached.target)
                feeding.take_file(attached)
            except (RelayUnreachable, RelayRefused):
                continue
            except VaultError as failure:
                report.events.append(Event("quarantined", detail=failure.code))

    # Inside

    def _watches(self) -> list[Watch]:
        boxes = [
            Watch("mailbox", mailbox.address, mailbox.owner, mailbox.count)
            for mailbox in self._outbox.mailboxes()
            if mailbox.owner is not None and mailbox.state == "open"
        ]
        traces = [
            Watch("trace", g.number, g.owner, g.count) for g in self._vault.sharing.to_trace() if g.state == "active"
        ]
        return boxes + traces

    def _client(self, url: str, key: bytes | None = None) -> RelayClient:
        """The client of a relay, with the key pinned when it is known."""
        if url not in self._clients:
            pinned = key or self._vault.people.relay_key(url)
            client = self._factory(url, verify_key=pinned)
            if pinned is None:
                self._vault.people.pin_relay(url, client.about().verify_key)
            self._clients[url] = client
        return self._clients[url]


def _tokens(tokens: Sequence[Mapping[str, object]]) -> list[Token]:
    return [Token(**token) for token in tokens]  # type: ignore[arg-type]
