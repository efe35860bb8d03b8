"""A holder and a physician on one hostile relay: the ground of the attack tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sync import envelope
from sync.exchange import Exchange
from sync.opened import OpenDocument
from sync.report import Event, Report
from tests.hostile_relay import URL, HostileRelay
from vault import Document, Vault
from vault.channel import encode_changes
from vault.people import Person
from vault.primitives import make_id
from vault.replica import edit
from vault.sharing import Grant

ENTRY = {"label": "APIXABAN 5 mg", "dose": "1 le soir"}


@dataclass
class Stage:
    """Everybody has met: the physician may be granted to. `relay` is honest until a test twists it."""

    relay: HostileRelay
    holder: Vault
    physician: Vault
    mine: Exchange
    theirs: Exchange
    person: Person
    stack: ExitStack = field(repr=False)

    @classmethod
    def set(cls, make: Callable[..., Vault], folder: Path) -> Stage:
        stack = ExitStack()
        relay = HostileRelay(folder / "relay")
        stack.callback(relay.close)
        holder, physician = make(), make("doctor")
        mine = stack.enter_context(Exchange(holder, client_factory=relay.factory("holder")))
        theirs = stack.enter_context(Exchange(physician, client_factory=relay.factory("physician")))
        for exchange in (mine, theirs):
            exchange.set_relay(URL)
            exchange.sync()
        person = holder.people.add(physician.people.card(), met=True)
        return cls(relay, holder, physician, mine, theirs, person, stack)

    def section(self) -> str:
        """The holder's list of medications, with one."""
        section = self.holder.section("medications")
        self.holder.add_entry(section, "medication", dict(ENTRY))
        return section

    def letter(self, title: str = "Lettre") -> str:
        return self.holder.add(Document(title=title, text="bonjour"))

    def grant(self, *documents: str, right: str = "edit", seconds: int = 3600, received: bool = True) -> Grant:
        """Given and sent."""
        made = self.holder.sharing.grant(self.person, documents, right=right, purpose="soin", seconds=seconds)
        self.mine.sync()
        if received:
            self.theirs.sync()
        return made

    def shared(self, right: str = "edit") -> tuple[str, Grant, OpenDocument]:
        """A shared list of medications, opened by the physician."""
        section = self.section()
        grant = self.grant(section, right=right)
        return section, grant, self.theirs.open(section)

    def channel(self, opened: OpenDocument) -> bytes:
        """The address of the mailbox that an opened document is followed in."""
        return opened._unlocked.item.mailbox

    def pull(self, exchange: Exchange | None = None) -> list[Event]:
        """What comes in when everything is read, whatever the relay says about news."""
        exchange = exchange or self.mine
        exchange._vault.set_meta("pulled", "0")
        return exchange.sync().events

    def labels(self, section: str) -> list[str]:
        return sorted(entry.text("label") for entry in self.holder.read(section).entries)

    def forge(
        self, opened: OpenDocument, label: str, *, actor: bytes = b"", author: str = "", **changed: object
    ) -> tuple[bytes, bytes]:
        """(envelope, its hash): what the physician's device could seal with its keys, in order or not."""
        item, content, vault = opened._unlocked.item, opened._unlocked.content, self.physician
        added = ("set", ("entries", make_id().hex()), {"kind": "medication", "label": label})
        _, change = edit(opened._channel.save, actor or make_id(), [added])
        assert change is not None
        fields: dict[str, object] = {
            "kind": "change", "channel": item.mailbox, "document": item.document, "epoch": item.epoch,
            "device": vault.device_id, "seq": 1, "prev": bytes(32), "seen": [], "roster": vault.roster_head,
            "time": int(vault.clock()), "body": encode_changes([change], author),
        }  # fmt: skip
        fields |= changed
        signer = fields.pop("signer", vault.identity.sign)
        return envelope.seal(content.key, signer, **fields)  # type: ignore[arg-type]

    def send(self, opened: OpenDocument, *envelopes: bytes) -> None:
        """Into the channel, with the token that the physician has."""
        content, client = opened._unlocked.content, self.relay.factory("physician")(URL)
        for data in envelopes:
            client.append(self.channel(opened), content.append or content.read, data)
        client.close()


def kinds(events: Report | list[Event]) -> list[str]:
    return [event.kind for event in (events.events if isinstance(events, Report) else events)]


def details(events: list[Event], kind: str) -> list[str]:
    return [event.detail for event in events if event.kind == kind]
