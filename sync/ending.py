"""What relays hold of a vault that closes is destroyed there: halves, mailboxes and files, with what relays answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sync.client import RelayClient, RelayRefused, RelayUnreachable
from sync.exchange import Exchange
from sync.relays import Relays
from vault.closing import BLOB, CHANNEL, HALF, MAILBOX, Held, held
from vault.errors import VerificationFailed
from vault.vault import Vault

GONE = (404, 410)  # nothing there: as good as destroyed
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """One thing at a relay. `receipt` is the relay's signed word in hex; `left` says why it is still there."""

    what: str
    relay: str
    address: str
    receipt: str = ""
    left: str = ""


def end_all(
    vault: Vault, *, client_factory: Callable[..., RelayClient] = RelayClient, progress: Progress | None = None
) -> tuple[Ended, ...]:
    """Destroys everything that relays hold of this vault. A relay that is away is asked once, then left."""
    _tell_devices(vault, client_factory)
    relays, things = Relays(vault.people, client_factory), held(vault)
    away: set[str] = set()
    done = []
    try:
        for count, thing in enumerate(things):
            if progress is not None:
                progress(count, len(things))
            done.append(_end(relays, thing, away))
    finally:
        relays.close()
    return tuple(done)


def _tell_devices(vault: Vault, client_factory: Callable[..., RelayClient]) -> None:
    """The holder's other devices are told first, by the channel that ends last. A relay that is away tells nobody."""
    if vault.devices.say_end():
        with Exchange(vault, client_factory) as exchange, suppress(RelayUnreachable):
            exchange.push()


def _end(relays: Relays, thing: Held, away: set[str]) -> Ended:
    address = thing.address.hex()
    if thing.relay in away:
        return Ended(thing.what, thing.relay, address, left="unreachable")
    try:
        receipt = _say(relays.client(thing.relay), thing)
        return Ended(thing.what, thing.relay, address, receipt, left="other-devices" if thing.what == CHANNEL else "")
    except RelayUnreachable:
        away.add(thing.relay)
        return Ended(thing.what, thing.relay, address, left="unreachable")
    except RelayRefused as refusal:
        return Ended(
            thing.what, thing.relay, address, left="" if refusal.status in GONE else f"refused {refusal.status}"
        )
    except VerificationFailed as failure:
        return Ended(thing.what, thing.relay, address, left=failure.code)


def _say(client: RelayClient, thing: Held) -> str:
    if thing.what == HALF:
        return client.destroy_half(thing.address, thing.owner).encode().hex()
    if thing.what == MAILBOX:
        return client.close_mailbox(thing.address, thing.owner, purge=True).encode().hex()
    if thing.what == CHANNEL:
        return client.close_mailbox(thing.address, thing.owner, purge=False).encode().hex()
    if thing.what == BLOB:
        client.drop_blob(thing.address, thing.owner)
    return ""
