"""A holder and professionals who know each other, on one relay double and one clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable

from sync.exchange import Exchange
from tests.relay_double import DoubleRelay
from vault import Document, Vault
from vault.authority import Office
from vault.people import Person
from vault.primitives import BoxKey, SigningKey, make_key

START = 1_800_000_000
AUTHORITY_KEY = SigningKey.from_seed(b"authority of the tests, 32 bytes")


class Clock:
    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Parties:
    def __init__(self, make: Callable[..., Vault]) -> None:
        self.clock = Clock()
        self.relay = DoubleRelay(self.clock)
        self.office = Office.open("Ordre fictif", AUTHORITY_KEY, START)
        self._make = make
        self.holder = make(clock=self.clock)
        self.exchange = self.connect(self.holder)

    def connect(self, vault: Vault) -> Exchange:
        exchange = Exchange(vault, client_factory=self.relay.factory)
        exchange.set_relay(self.relay.url)
        exchange.sync()
        return exchange

    def professional(self, name: str = "Ndiaye Awa") -> tuple[Vault, Exchange, Person]:
        """Somebody with keys of their own, whom the holder knows and an authority vouches for."""
        vault = renewed(self._make("doctor", clock=self.clock), name)
        exchange = self.connect(vault)
        return vault, exchange, self.introduce(vault)

    def introduce(self, vault: Vault, role: str = "doctor") -> Person:
        card = vault.people.card()
        read = vault.people.read_card(card)
        now = int(self.clock())
        certificate = self.office.certify(read, unique_id=read.name[:50], role=role, now=now, days=30)
        return self.holder.people.add(card, certificate=certificate, authority=self.office.bulletin(now))

    def letter(self, title: str = "Lettre") -> str:
        return self.holder.add(Document(title=title, text="bonjour"))


def renewed(vault: Vault, name: str) -> Vault:
    """The vault with an identity and a device of its own: copies of one vault are one person otherwise."""
    vault.keyring.put("identity-sign", make_key())
    vault.keyring.put("identity-box", BoxKey.make().secret)
    vault.keyring.put("device-sign", make_key())
    vault.set_meta("name", name)
    vault.holder_name = name
    for cached in ("identity", "device_id", "people", "sharing", "visiting", "feeding"):
        vault.__dict__.pop(cached, None)
    return vault
