"""Two histories signed by one relay, as a file that proves it to anybody. Normative text: spec/evidence.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync import wire
from sync.client import RelayRefused, RelayUnreachable
from sync.relays import Relays
from sync.wire import CHECKPOINT_BYTES, Checkpoint, Message, WireError
from vault.encoding import Shape, blob, integer, list_of, moment, text
from vault.errors import Malformed, VerificationFailed
from vault.primitives import KEY, SUITE, need_suite, verify
from vault.store.mailboxes import Mailbox

MAX_ENTRIES = 10_000
MAX_FILE = 1 << 20
PAGE = 1000
ENTRY = Shape("entry", {"time": moment(), "hash": blob(KEY)})
EVIDENCE = Shape(
    "evidence",
    {
        "suite": integer(0, 255),
        "relay": text(500),
        "key": blob(KEY),
        "first": blob(CHECKPOINT_BYTES),
        "second": blob(CHECKPOINT_BYTES),
        "chain": blob(KEY),
        "entries": list_of(ENTRY.check, at_most=MAX_ENTRIES),
    },
    limit=MAX_FILE,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proven contradiction: what one relay signed about one mailbox at two times."""

    relay: str
    relay_key: bytes
    first: Checkpoint
    second: Checkpoint


def read_evidence(data: bytes) -> Evidence:
    """Malformed, TooLarge, SuiteRefused, BadSignature; VerificationFailed when both signatures can be true."""
    fields = EVIDENCE.decode(data)
    need_suite(fields["suite"])
    try:
        first, second = Checkpoint.decode(fields["first"]), Checkpoint.decode(fields["second"])
    except WireError as failure:
        raise Malformed("not the checkpoints of a relay") from failure
    for checkpoint in (first, second):
        checkpoint.verify(fields["key"], verify)
    about = [(checkpoint.kind, checkpoint.address) for checkpoint in (first, second)]
    if about[0] != about[1] or len(fields["entries"]) != second.count - first.count:
        raise Malformed("the checkpoints and entries are not of one mailbox, or do not join")
    chain = fields["chain"]
    for count, entry in enumerate(fields["entries"], first.count + 1):
        chain = wire.extend_chain(chain, count, entry["time"], entry["hash"])
    if chain != second.chain:
        raise VerificationFailed("the entries do not lead to what the relay signed")
    if fields["chain"] == first.chain:
        raise VerificationFailed("both signatures can be true: this is no contradiction")
    return Evidence(fields["relay"], fields["key"], first, second)


def make_evidence(
    relay: str, key: bytes, first: bytes, second: bytes, chain: bytes, entries: Sequence[tuple[int, bytes]]
) -> bytes:
    """The file, when it proves what it should; VerificationFailed or Malformed otherwise."""
    data = EVIDENCE.encode(
        {
            "suite": SUITE,
            "relay": relay,
            "key": key,
            "first": first,
            "second": second,
            "chain": chain,
            "entries": [{"time": time, "hash": body_hash} for time, body_hash in entries],
        }
    )
    read_evidence(data)
    return data


def prove(relays: Relays, mailbox: Mailbox, both: bytes) -> bytes | None:
    """Evidence from two checkpoints of a mailbox, with what lies between them as the relay shows it now; None when it
    does not prove anything."""
    signed = [both[at : at + CHECKPOINT_BYTES] for at in range(0, len(both), CHECKPOINT_BYTES)]
    if len(signed) != 2 or mailbox.owner is None:
        return None
    try:
        first, second = sorted(signed, key=lambda data: Checkpoint.decode(data).count)
        client = relays.client(mailbox.relay)
        before, after = Checkpoint.decode(first), Checkpoint.decode(second)
        if before.count == after.count:
            return make_evidence(mailbox.relay, client.verify_key, first, second, after.chain, [])
        if after.count > MAX_ENTRIES:
            return None
        entries: list[Message] = []
        while len(entries) < after.count:
            page, _ = client.messages(mailbox.address, mailbox.owner, len(entries), PAGE)
            if not page:
                return None
            entries += page
        chain, at = wire.START, wire.START
        for entry in entries[: before.count]:
            at = chain = wire.extend_chain(chain, entry.index, entry.time, entry.body_hash)
        between = [(entry.time, entry.body_hash) for entry in entries[before.count : after.count]]
        return make_evidence(mailbox.relay, client.verify_key, first, second, at, between)
    except (WireError, RelayRefused, RelayUnreachable, VerificationFailed):
        return None
