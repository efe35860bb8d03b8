"""One holder with several devices on one relay double and one clock, introduced to each other as people would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sync.exchange import Exchange, Report
from sync.pairing import Guest, Host
from tests.conftest import PASSPHRASE
from tests.parties import Parties
from vault import Document, Vault

Seen = dict[str, object]


class Household(Parties):
    def __init__(self, make: Callable[..., Vault], folder: Path) -> None:
        super().__init__(make)
        self._folder = folder
        self._opened: list[Vault] = []
        self.devices: list[tuple[Vault, Exchange]] = [(self.holder, self.exchange)]

    def add_device(self, name: str = "téléphone", *, by: int = 0, secret: bool = False) -> tuple[Vault, Exchange]:
        """A new device, taken in by device number `by`."""
        vault, exchange = self.devices[by]
        host = Host(vault, exchange, self.relay.factory)
        guest = Guest(host.begin(secret=secret).print(), name, self.relay.factory)
        guest_number = self._meet(host, guest)
        host.admit(None if secret else guest_number)
        path = self._folder / f"device-{len(self._opened)}"
        joined = guest.join(path, guest.welcome(wait=0), PASSPHRASE, clock=self.clock)
        pair = joined, Exchange(joined, client_factory=self.relay.factory)
        self.devices.append(pair)
        self._opened.append(joined)
        pair[1].sync()
        return pair

    def _meet(self, host: Host, guest: Guest) -> str:
        """The three messages, as two processes would send them: the guest says hello, the host answers."""
        with guest._client() as client:
            client.append(guest._code.address, guest._code.token, guest._sealed)
        shown = host.number()
        assert guest.number(wait=0) == shown and len(shown) == 6
        return shown

    def settle(self, rounds: int = 3, *, only: list[int] | None = None) -> list[Report]:
        """Everybody exchanges until nothing is left to tell."""
        reports = []
        for _ in range(rounds):
            for number, (_, exchange) in enumerate(self.devices):
                if only is None or number in only:
                    reports.append(exchange.sync())
        return reports

    def close(self) -> None:
        for vault in self._opened:
            vault.lock()


def seen(vault: Vault) -> Seen:
    """Everything that a person sees of a vault's documents, people and accesses, comparable between devices."""
    documents = {}
    for document_id in vault.documents.ids():
        document = vault.read(document_id)
        conflicts = {(c.entry_id, c.field, tuple(sorted(str(side[0]) for side in c.sides))) for c in document.conflicts}
        entries = {entry.id: (entry.kind, tuple(sorted(entry.fields.items()))) for entry in document.entries}
        meta = (document.title, document.kind, document.text, document.date, document.source_id)
        attached = {file.sha256: file.name for file in document.attachments}
        documents[document_id] = (meta, entries, attached, conflicts, vault.documents.epoch(document_id))
    return {
        "documents": documents,
        "people": {(person.id, person.name, person.met, person.certified) for person in vault.people.list()},
        "grants": {(grant.id, grant.state, grant.person, grant.documents) for grant in vault.sharing.grants()},
        "card": {
            box[0] for box in vault.store.rows("SELECT address FROM mailbox WHERE kind = 'inbox' AND state = 'open'")
        },
        "settings": (vault.holder_name, vault.language),
        "devices": {(line.id, line.name) for line in vault.devices.all()},
    }


def letter(vault: Vault, title: str = "Lettre") -> str:
    return vault.add(Document(title=title, text="bonjour"))
