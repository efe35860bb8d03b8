"""The relays that a vault talks to, each with the key that it must sign with."""

from __future__ import annotations

from collections.abc import Callable

from sync.client import RelayClient
from vault.people import People


class Relays:
    """One client for each (address, key). A key that a grant or a card states is used for that grant or card alone."""

    def __init__(self, people: People, factory: Callable[..., RelayClient]) -> None:
        self._people = people
        self._factory = factory
        self._clients: dict[tuple[str, bytes | None], RelayClient] = {}

    def client(self, url: str, key: bytes | None = None) -> RelayClient:
        """The client of a relay: with the key given, else the pinned one, which is pinned at first contact."""
        pinned = key or self._people.relay_key(url)
        known = self._clients.get((url, pinned))
        if known is not None:
            return known
        client = self._factory(url, verify_key=pinned)
        if pinned is None:
            pinned = client.about().verify_key
            self._people.pin_relay(url, pinned)
        self._clients[url, pinned] = client
        return client

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
