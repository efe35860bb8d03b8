"""A device of the holder whose program is changed: it keeps every key that it had, and appends what it likes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sync import envelope, wire
from tests.household import Household
from vault import Vault
from vault.encoding import encode
from vault.operation import NOWHERE, encode_bodies, encode_row
from vault.primitives import SigningKey
from vault.store.mailboxes import ZERO, MailboxStore

Seen = Sequence[tuple[bytes, int, bytes]]


class Intruder:
    """Speaks with the keys of `vault`, into the channel that it had when this was made."""

    def __init__(self, household: Household, vault: Vault) -> None:
        channel = vault.telling.channel()
        assert channel is not None and channel.key is not None
        self.household, self.vault, self.channel, self.key = household, vault, channel, channel.key
        self.sign = SigningKey.from_seed(vault.keyring.need("device-sign"))
        self.device = vault.device_id
        known = MailboxStore(vault.store).senders(channel.address).get(self.device)
        self.seq, self.prev = known or (0, ZERO)

    def tell(self, *operations: tuple[str, Mapping[str, Any]], seen: Seen = ()) -> None:
        """One envelope (or its parts) with these operations."""
        self.send(encode_bodies((kind, encode(dict(fields))) for kind, fields in operations), seen=seen)

    def send(self, bodies: Iterable[bytes], *, seen: Seen = ()) -> None:
        for body in bodies:
            self.seq += 1
            data, self.prev = envelope.seal(
                self.key,
                self.sign,
                kind="vault",
                channel=self.channel.address,
                document=NOWHERE,
                epoch=self.channel.epoch,
                device=self.device,
                seq=self.seq,
                prev=self.prev,
                seen=seen,
                roster=bytes(32),
                time=int(self.household.clock()),
                body=body,
            )
            relay = self.household.relay
            relay.add(relay.mailboxes[self.channel.address], wire.MAILBOX, self.channel.address, data)

    def row(self, name: str, key: str, values: Mapping[str, Any]) -> None:
        self.tell(("row", {"name": name, "key": key, "value": encode_row(values)}))
