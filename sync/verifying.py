"""What relays signed and chained, computed again: from what this vault kept, and from a relay's own database.

Nothing here asks a relay. Normative text: spec/relay.md, spec/opening.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sync import wire
from sync.wire import Checkpoint, Opening, Receipt, WireError
from vault.checkup import Check
from vault.errors import InputRefused, VerificationFailed
from vault.primitives import verify
from vault.store.grants import Given, GrantStore
from vault.store.mailboxes import MailboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

Failures = list[tuple[str, str]]
Links = dict[int, bytes]
_STRIDE = 131_072  # entry numbers of one log in a relay's database


def check_relays(vault: Vault) -> tuple[Check, ...]:
    """Chains of traces and mailboxes, the relays' signed checkpoints of them, and their receipts."""
    grants, mailboxes = GrantStore(vault.store), MailboxStore(vault.store)
    traces = {given.number: _trace_links(grants, given) for given in grants.all_given()}
    chains: Failures = [
        (given.number.hex(), "the chain of this trace is broken")
        for given in grants.all_given()
        if traces[given.number].get(given.count) != given.chain
    ]
    boxes = vault.store.rows("SELECT address, count, chain FROM mailbox WHERE count > 0")
    for address, count, chain in boxes:
        links = mailboxes.links(address)
        if links.get(count, (b"", b""))[0] != chain or set(range(1, count + 1)) - links.keys():
            chains.append((address.hex(), "the chain of this mailbox is broken"))
    return (
        Check("chains", len(traces) + len(boxes), tuple(chains)),
        _check_checkpoints(vault, mailboxes, traces),
        _check_receipts(vault, grants),
    )


def checkpoints(vault: Vault, key: bytes) -> list[Checkpoint]:
    """Everything that the relay with this key signed to this vault about the length of a mailbox or trace."""
    signed = vault.store.rows("SELECT signed FROM link WHERE signed IS NOT NULL")
    found = []
    for (data,) in signed:
        try:
            checkpoint = Checkpoint.decode(data)
            checkpoint.verify(key, verify)
        except (WireError, VerificationFailed):
            continue  # another relay's; whether it is valid under that one's key is checked by `check_relays`
        found.append(checkpoint)
    return found


def check_database(path: Path, signed: Sequence[Checkpoint] = ()) -> tuple[Check, ...]:
    """A relay's database from outside: every chain, every opening's signature, and what the relay signed to a vault."""
    try:
        source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return _check_database(source, signed)
        finally:
            source.close()
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as failure:
        raise InputRefused("this file is no relay's database") from failure


def _check_database(source: sqlite3.Connection, signed: Sequence[Checkpoint]) -> tuple[Check, ...]:
    readers = dict(source.execute("SELECT address, reader FROM half").fetchall())
    chains: Failures = []
    openings: Failures = []
    known: dict[tuple[int, bytes], Links] = {}
    wanted = {(checkpoint.kind, checkpoint.address) for checkpoint in signed}
    count = opened = 0
    for log, kind, address, length, chain in source.execute("SELECT id, kind, address, length, chain FROM log"):
        count += 1
        entries = source.execute(
            "SELECT id - ?1, time, hash, body FROM entry WHERE id > ?1 AND id < ?1 + ?2 ORDER BY id",
            (log * _STRIDE, _STRIDE),
        )
        counter = 0
        links: Links = {0: wire.START}
        for number, time, digest, body in _followed(entries, links, address, chains):
            if kind == wire.TRACE and body is not None:
                opened += 1
                counter = _check_opening(body, address, readers.get(address, b""), counter, number, openings)
            del time, digest
        if (len(links) - 1, links[len(links) - 1]) != (length, chain):
            chains.append((address.hex(), "the chain does not end where the relay says"))
        if (kind, address) in wanted:
            known[kind, address] = links
    broken = tuple(
        (checkpoint.address.hex(), f"the relay signed another history up to entry {checkpoint.count}")
        for checkpoint in signed
        if known.get((checkpoint.kind, checkpoint.address), {}).get(checkpoint.count) != checkpoint.chain
    )
    return (
        Check("chains", count, tuple(chains)),
        Check("openings", opened, tuple(openings)),
        Check("checkpoints", len(signed), broken),
    )


def _followed(
    entries: Iterable[tuple[int, int, bytes, bytes | None]], links: Links, address: bytes, failures: Failures
) -> Iterator[tuple[int, int, bytes, bytes | None]]:
    """The entries, each linked to the one before; what does not fit is a failure and the chain goes on."""
    last = 0
    for number, time, digest, body in entries:
        if number != len(links):
            failures.append((address.hex(), f"entry {len(links)} is missing"))
            return
        if body is not None and wire.hash_body(body) != digest:
            failures.append((address.hex(), f"entry {number} was changed"))
        if time < last:
            failures.append((address.hex(), f"entry {number} is older than the one before"))
        last = time
        links[number] = wire.extend_chain(links[number - 1], number, time, digest)
        yield number, time, digest, body


def _check_opening(body: bytes, grant: bytes, reader: bytes, counter: int, number: int, failures: Failures) -> int:
    """The counter that the next opening must exceed."""
    try:
        opening = Opening.decode(body)
        verify(reader, "opening", opening.signed, opening.signature)
    except (WireError, VerificationFailed):
        failures.append((grant.hex(), f"opening {number} is not signed by the grant's reader"))
        return counter
    if opening.grant != grant or opening.counter <= counter:
        failures.append((grant.hex(), f"opening {number} was repeated or moved"))
    return max(counter, opening.counter)


def _trace_links(grants: GrantStore, given: Given) -> Links:
    links: Links = {0: wire.START}
    for position, time, entry in grants.entries(given.number):
        if position != len(links):
            break
        links[position] = wire.extend_chain(links[position - 1], position, time, wire.hash_body(entry))
    return links


def _check_checkpoints(vault: Vault, mailboxes: MailboxStore, traces: dict[bytes, Links]) -> Check:
    """Each signed word, against the chain that was followed and the key of its relay."""
    keys = _relay_keys(vault)
    failed: Failures = []
    rows = vault.store.rows("SELECT mailbox, position, chain, signed FROM link WHERE signed IS NOT NULL")
    for place, position, chain, signed in rows:
        address = place[-wire.ADDRESS :]
        computed = traces[place].get(position) if place in traces else chain
        # Of a mailbox of somebody else the key of its relay stands before the address.
        key = place[-2 * wire.ADDRESS : -wire.ADDRESS] if len(place) > wire.ADDRESS else keys.get(place, b"")
        if key != b"" and not _holds(signed, key, (address, position, computed)):
            failed.append((address.hex(), "the relay's signed word does not fit what was followed"))
    return Check("checkpoints", len(rows), tuple(failed))


def _holds(signed: bytes, key: bytes | None, expected: tuple[bytes, int, bytes | None]) -> bool:
    try:
        checkpoint = Checkpoint.decode(signed)
        checkpoint.verify(key or b"", verify)
    except (WireError, VerificationFailed):
        return False
    return (checkpoint.address, checkpoint.count, checkpoint.chain) == expected


def _relay_keys(vault: Vault) -> dict[bytes, bytes | None]:
    """address -> the key with which its relay must sign."""
    keys: dict[bytes, bytes | None] = {}
    for table, address in (("mailbox", "address"), ("given", "number")):
        for found, relay in vault.store.rows(f"SELECT {address}, relay FROM {table}"):  # noqa: S608 - constants
            keys[found] = vault.people.relay_key(relay)
    return keys


def _check_receipts(vault: Vault, grants: GrantStore) -> Check:
    """Where the relay signed that it destroyed its half."""
    failed: Failures = []
    count = 0
    for given in grants.all_given():
        if given.receipt is None:
            continue
        count += 1
        try:
            receipt = Receipt.decode(given.receipt)
            receipt.verify(vault.people.relay_key(given.relay) or b"", verify)
            fits = (receipt.what, receipt.address) == (wire.HALF_DESTROYED, given.number)
        except (WireError, VerificationFailed):
            fits = False
        if not fits:
            failed.append((given.number.hex(), "the relay's receipt does not hold"))
    return Check("receipts", count, tuple(failed))
