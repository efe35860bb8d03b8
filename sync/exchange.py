"""Push and pull: the one conductor between a vault and its relays.

Everything to be said lies in the vault's outbox, so that a crash or days offline lose nothing; every call is
idempotent, so that it can be said again. Whatever comes back is followed along the relay's signed chain before
anything of it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sync import wire
from sync.client import RelayClient, RelayRefused, RelayUnreachable, Seen, follow
from sync.devices import Household
from sync.opened import OpenDocument
from sync.pulling import PAGE, Pull
from sync.pushing import FOR_GOOD, Progress, Push
from sync.relays import Relays
from sync.report import Event, Report
from sync.wire import Checkpoint, Message
from vault.document import Document
from vault.errors import AccessEnded, NotFound, RelayContradiction, TooLarge, VerificationFailed
from vault.feeding import Fetch
from vault.identity import Card
from vault.opening import MAX_TAGS
from vault.outbox import CLOSED, Outbox
from vault.store.grants import VisitRow
from vault.store.mailboxes import place_of
from vault.vault import Vault
from vault.visiting import Session, Unlocked, Visit

__all__ = ["Event", "Exchange", "OpenDocument", "Report"]
MAX_FETCH = 4 << 30  # of one file that comes from somebody else


class Exchange:
    """`caught` is called at once with each contradiction of a relay that is met outside of `sync`, whose report
    tells its own."""

    def __init__(
        self,
        vault: Vault,
        client_factory: Callable[..., RelayClient] = RelayClient,
        *,
        caught: Callable[[Event], None] | None = None,
    ) -> None:
        self._vault = vault
        self._outbox = Outbox(vault)
        self._relays = Relays(vault.people, client_factory)
        self._pusher = Push(vault, self._outbox, self._relays)
        self._household = Household(vault, self._outbox, self._relays)
        self._puller = Pull(vault, self._outbox, self._relays, self._household)
        self._swept = False
        self._caught = caught
        self.lock = threading.RLock()

    def close(self) -> None:
        self._relays.close()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The whole of it

    def set_relay(self, url: str) -> None:
        """Remember the relay that has this vault's inbox. Its key is pinned at first contact."""
        url = url.rstrip("/")
        self._vault.people.set_relay(url, self._relays.client(url).about().verify_key)

    def sync(self, *, progress: Progress | None = None) -> Report:
        """Push what is queued, pull what is new. RelayUnreachable when this vault's own relay does not answer."""
        with self.lock:
            report = Report()
            if retired := self._vault.devices.retired():
                return self._retired(report, retired)
            for grant in self._vault.sharing.expire():
                report.events.append(Event("access-ended", grant.person, time=grant.until))
            self._vault.visiting.close_ended()
            self.sweep()
            self._vault.devices.settle()
            self._push(report, progress)
            self._puller.all(report)
            if not self._vault.devices.retired():
                self._file(report)
                self._household.fetch(report)
                self._vault.devices.settle()
                self._push(report, progress)
            report.queued = self._outbox.queued()
            home = self._vault.people.relay()
            if home is not None and home[0] in report.unreachable and not report.contradictions:
                raise RelayUnreachable("the relay does not answer", hint="Nothing is lost: it goes with the next sync.")
            return report

    def _retired(self, report: Report, why: str) -> Report:
        """A device that was removed, or whose vault was closed elsewhere, exchanges nothing: it only looks whether the
        removal still holds."""
        if why == "removed":
            self._puller.home(report)
        if not self._vault.devices.retired():
            return self.sync()
        report.events.append(Event("retired", detail=why))
        return report

    def push(self, *, progress: Progress | None = None) -> Report:
        """Only what is queued, without asking for news."""
        with self.lock:
            report = Report()
            if self._vault.devices.retired():
                return report
            self._push(report, progress)
            report.queued = self._outbox.queued()
            self._tell(report)
            return report

    def _tell(self, report: Report) -> None:
        if self._caught is not None:
            for event in report.contradictions:
                self._caught(event)

    def _push(self, report: Report, progress: Progress | None) -> None:
        self._pusher.all(report, progress)
        self._household.push(report)

    def watch(self, callback: Callable[[Report], None], stop: threading.Event, *, seconds: int = 25) -> None:
        """Wait for news and exchange it, until `stop`: for an open screen. A silent relay is asked again later."""
        pause = 1.0
        while not stop.is_set():
            try:
                watches = self._puller.watches()
                home = self._vault.people.relay()
                if home is None or not watches:
                    stop.wait(2.0)
                    continue
                changed = self._relays.client(home[0]).wait(watches[: wire.WATCHES], seconds)
                if stop.is_set():
                    return
                if changed or self._vault.sharing.expire() or self._vault.visiting.close_ended():
                    callback(self.sync())
                pause = 1.0
            except (RelayUnreachable, RelayRefused, VerificationFailed):
                stop.wait(pause)
                pause = min(pause * 2, 60.0)

    # What a professional opens

    def open(self, wanted: str, why: str = "") -> OpenDocument:
        """Open one granted document by its id, or GRANT/DOCUMENT; the relay's trace says so before anything is read.

        AccessEnded when the grant is over; RelayUnreachable without a copy that the patient allowed to keep.
        """
        return self.open_all(wanted, why)[0]

    def open_all(self, wanted: str, why: str = "") -> list[OpenDocument]:
        """Open a granted document, or every document of a grant: one opening for each 64 of them."""
        with self.lock:
            visiting = self._vault.visiting
            visiting.close_ended()
            self._tell(self._puller.inbox())
            self.push()  # what was written before must be in the channel before it is read
            visit, document = visiting.find(wanted)
            documents = [document] if document else list(visit.document_ids)
            opened: list[OpenDocument] = []
            try:
                for start in range(0, len(documents), MAX_TAGS):
                    opened += self._open(visit, documents[start : start + MAX_TAGS], why)
            except BaseException:
                for one in opened:
                    one.close()
                raise
            return opened

    def _open(self, visit: Visit, documents: Sequence[str], why: str, *, again: bool = True) -> list[OpenDocument]:
        session = self._vault.visiting.begin(visit.id, documents, why)
        try:
            unlocked = self._ask(session, visit)
        except RelayUnreachable:
            kept = [self._vault.visiting.kept(visit.id, document) for document in documents]
            if not all(kept):
                raise
            return [OpenDocument.kept(self, self._vault, one) for one in kept if one]
        opened = [OpenDocument(self, self._vault, one) for one in unlocked]
        try:
            for one in opened:
                one.refresh()
                one.write_again()
        except AccessEnded:
            # The document moved to another epoch between the inbox and the channel: the renewal is on its way.
            self._tell(self._puller.inbox())
            if not again or not any(self._vault.visiting.moved(one) for one in unlocked):
                raise
            return self._open(visit, documents, why, again=False)
        return opened

    def _ask(self, session: Session, visit: Visit) -> tuple[Unlocked, ...]:
        """The halves from the relay. When it says that the grant is over, everything that could open it is wiped."""
        client = self._relays.client(session.visit.relay, session.visit.relay_key)
        try:
            _, sealed = client.open(session.visit.number, session.request)
        except RelayRefused as refusal:
            if refusal.status == 410 or refusal.reason == "used-up":
                self._vault.visiting.end(visit.id)
            elif refusal.status != 404:
                raise
            raise AccessEnded("the grant is over", until=visit.until) from refusal
        return self._vault.visiting.finish(session, sealed)

    def find(self, wanted: str) -> tuple[Visit, str | None]:
        """A grant received, or a document of one, by its id: what came to the inbox since is looked through too."""
        with self.lock:
            try:
                return self._vault.visiting.find(wanted)
            except NotFound:
                self._tell(self._puller.inbox())
                return self._vault.visiting.find(wanted)

    def read_channel(self, visit: VisitRow, mailbox: bytes, token: bytes, seen: Seen) -> tuple[list[Message], Seen]:
        """Everything new in a mailbox, its chain followed. AccessEnded when the channel is closed to this reader."""
        client = self._relays.client(visit.relay, visit.relay_key)
        place = place_of(mailbox, visit.relay_key, visit.issuer_sign)
        found: list[Message] = []
        while True:
            try:
                messages, checkpoint = client.messages(mailbox, token, seen.count, PAGE)
            except RelayRefused as refusal:
                if refusal.status in CLOSED:
                    raise AccessEnded("this document is closed to you now") from refusal
                raise
            try:
                seen = self._follow(place, seen, messages, checkpoint)
            except RelayContradiction as failure:
                self._outbox.contradiction(place, failure)
                raise
            found += messages
            if seen.count >= checkpoint.count:
                self._outbox.followed(place, checkpoint)
                self._outbox.forget_links(place, checkpoint)
                return found, seen

    def _follow(self, place: bytes, seen: Seen, messages: Sequence[Message], checkpoint: Checkpoint) -> Seen:
        """As `follow`; and the relay may not contradict what it signed when this document was last open here."""
        self._outbox.check_tail(place, checkpoint)
        chain = seen.chain
        for message in messages:
            chain = wire.extend_chain(chain, message.index, message.time, message.body_hash)
            self._outbox.check_link(place, message.index, chain, checkpoint)
        return follow(seen, messages, checkpoint)

    def fetch(
        self,
        relay: str,
        address: bytes,
        token: bytes,
        target: Path,
        *,
        size: int,
        key: bytes | None = None,
        progress: Progress | None = None,
    ) -> None:
        """A sealed file of `size` bytes from a relay, resumed where it stopped. TooLarge when more comes."""
        if size > MAX_FETCH:
            raise TooLarge("a file from somebody else is too large", limit=MAX_FETCH)

        def watched(done: int, total: int) -> None:
            if total != size:
                raise VerificationFailed("the file at the relay does not have the size that was stated")
            if progress is not None:
                progress(done, total)

        self._relays.client(relay, key).get_blob(address, token, target, watched)

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
        if recipient.relay in self.push().unreachable:
            raise RelayUnreachable(
                "the relay does not answer", hint="The deposit is queued: it goes with the next sync."
            )
        return unique

    def _file(self, report: Report) -> None:
        """File the deposits of known people, and fetch what grantees attached."""
        feeding = self._vault.feeding
        for deposit_id in feeding.to_file():
            try:
                for want in feeding.fetches(deposit_id):
                    self._fetch(want)
                document_id, document = feeding.file(deposit_id)
            except RelayUnreachable:
                continue
            except RelayRefused as refusal:
                if refusal.status in FOR_GOOD:
                    feeding.fail(deposit_id, refusal)
                continue
            except (VerificationFailed, NotFound) as failure:
                feeding.fail(deposit_id, failure)
                report.events.append(Event("quarantined", detail=failure.code))
                continue
            report.events.append(Event("deposit-filed", document.author, document_id, document.title))
        for attached in feeding.missing_files():
            try:
                self._fetch(attached)
                feeding.take_file(attached)
            except (RelayUnreachable, RelayRefused):
                continue
            except VerificationFailed as failure:
                feeding.put_off(attached)
                report.events.append(Event("quarantined", detail=failure.code))

    def _fetch(self, want: Fetch) -> None:
        try:
            self.fetch(want.relay, want.address, want.token, want.target, size=want.fields["sealed_size"])
        except VerificationFailed:
            want.target.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Once in the life of a process: what a crash left behind."""
        if not self._swept:
            self._swept = True
            self._outbox.sweep()
