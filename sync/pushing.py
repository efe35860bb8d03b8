"""Push: what the vault's outbox holds is said to its relays, in order, and forgotten once they answered.

One relay that is away, or one call that is refused, holds up nothing but what depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from sync import envelope
from sync.client import RelayClient, RelayRefused, RelayUnreachable, Token
from sync.relays import Relays
from sync.report import Event, Report
from vault.errors import InputRefused, NotFound, RelayContradiction, VerificationFailed
from vault.outbox import Outbox
from vault.store.outbox import Outgoing
from vault.vault import Vault

FOR_GOOD = frozenset({400, 403, 404, 409, 410, 413})  # a relay that answers so will answer so again
ENDINGS = frozenset({"destroy_half", "close_mailbox"})  # nothing there to end: that is as good as ended
PATIENCE = 3  # refusals of one relay that may pass; after them it is left alone until the next exchange
Progress = Callable[[int, int], None]


class Push:
    def __init__(self, vault: Vault, outbox: Outbox, relays: Relays) -> None:
        self._vault = vault
        self._outbox = outbox
        self._relays = relays

    def all(self, report: Report, progress: Progress | None = None) -> None:
        """Everything that is queued. The first call is looked up anew each time: an end may have come before it."""
        self._outbox.collect()
        total = self._outbox.queued()
        silent: set[str] = set()
        held: set[bytes] = set()
        patience: Counter[str] = Counter()
        while (item := self._outbox.first(silent, held)) is not None:
            try:
                self._say(item)
                report.pushed += 1
            except RelayUnreachable:
                silent.add(item.relay)
            except RelayRefused as refusal:
                if refusal.status in FOR_GOOD:
                    self._give_up(item, refusal.status, refusal.reason, report)
                    continue
                held |= {item.address} | ({item.belongs} if item.belongs else set())
                patience[item.relay] += 1
                if patience[item.relay] >= PATIENCE:
                    silent.add(item.relay)
            except RelayContradiction as failure:
                self._outbox.contradiction(self._outbox.place(item), failure)
                report.events.append(Event("relay-contradiction", detail=str(failure)))
                silent.add(item.relay)
            except (NotFound, InputRefused, VerificationFailed) as failure:
                self._give_up(item, 0, failure.code, report)
            if progress is not None:
                progress(report.pushed, total)
        for relay in sorted(silent):
            report.silent(relay)

    def _give_up(self, item: Outgoing, status: int, why: str, report: Report) -> None:
        """It can never be said: forgotten, and told, so that what comes behind it is not held up."""
        self._outbox.refused(item, status)
        if item.verb not in ENDINGS or status not in (404, 410):
            report.events.append(Event("refused", detail=f"{item.verb}: {why}"))

    def _say(self, item: Outgoing) -> None:
        """Make one queued call, and forget it once the relay has answered."""
        client = self._relays.client(item.relay, item.arguments.get("relay_key"))
        if item.verb == "seal":
            item = self._outbox.seal(item, envelope.seal)
        self._call(client, item)
        self._outbox.sent(item)

    def _call(self, client: RelayClient, item: Outgoing) -> None:
        arguments = item.arguments
        match item.verb:
            case "append":
                appended = client.append(item.address, arguments["token"], item.payload or b"")
                self._outbox.expect(self._outbox.place(item), appended.checkpoint)
            case "create_mailbox":
                client.create_mailbox(item.address, arguments["owner"], _tokens(arguments["tokens"]))
            case "close_mailbox":
                client.close_mailbox(item.address, arguments["owner"], arguments["purge"])
            case "put_half":
                client.put_half(item.address, **arguments)
            case "destroy_half":
                receipt = client.destroy_half(item.address, arguments["owner"])
                self._vault.sharing.journal.put_receipt(item.address, receipt.encode())
            case "put_blob":
                path = self._outbox.file_of(item)
                if not path.is_file():
                    raise NotFound("the file of a queued call is gone")
                client.put_blob(item.address, arguments["owner"], _tokens(arguments["tokens"]), path)
            case "change_blob_tokens":
                added, removed = _tokens(arguments["add"]), arguments["remove"]
                client.change_tokens(item.address, arguments["owner"], add=added, remove=removed, room="blobs")
            case verb:
                raise NotFound(f"nothing is known about {verb!r} in the outbox")


def _tokens(tokens: Sequence[Mapping[str, object]]) -> list[Token]:
    return [Token(**token) for token in tokens]  # type: ignore[arg-type]
