"""Every limit of a format: the pages, the product and the second reader have the same, and the vectors show both sides.

A limit whose vector would be too large for the repository is tried here, on both, at the limit and one beyond it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from spec.reader import authorities, backup, cbor, chunks, devices, keyslots, patients, relay, rosters, rows, statements
from spec.reader.refusal import Refused
from spec.vectors import (
    make_backups,
    make_bodies,
    make_certificates,
    make_deposits,
    make_devices,
    make_envelopes,
    make_evidence,
    make_grants,
    make_home,
    make_openings,
    make_rosters,
    make_rows,
    people,
)
from spec.vectors.edges import put
from sync import envelope, evidence, wire
from vault import (
    backup as product_backup,
)
from vault import (
    bulletin,
    certificate,
    channel,
    chunk,
    deposit,
    enrolment,
    grant,
    identity,
    keys,
    log,
    masking,
    opening,
    operation,
    roster,
    statement,
)
from vault import (
    patients as product_patients,
)
from vault.encoding import Shape
from vault.errors import Malformed, VaultError
from vault.store import rows as product_rows

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec"


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.spec.seen"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# What a rule of the format itself keeps from an edge: no vector can be wrong, or right, in the length alone.
BOUND = {
    "authorities.BULLETIN.authority": "a statement is never longer than the limit of its type",
    "authorities.BULLETIN.head": "a statement is never longer than the limit of its type",
    "authorities.BULLETIN.peaks": "there are as many as `start` has bits, at most 63",
    "authorities.CERTIFICATE.from": "`until` comes after it",
    "authorities.CERTIFICATE.until": "it comes after `from`",
    "authorities.LOGGED.certificate": "a statement is never longer than the limit of its type",
    "authorities.LOGGED.head": "a statement is never longer than the limit of its type",
    "authorities.REVOCATIONS.made": "`next` comes after it",
    "authorities.REVOCATIONS.next": "it comes after `made`",
    "keyslots.FILE.slots.memory": "the ceiling comes before it, with the same answer",
    "keyslots.FILE.slots.ops": "the ceiling comes before it, with the same answer",
    "rosters.ROSTER.count": "it is one more than in the statement before",
    "patients.PATIENT.card": "a card is never longer than the limit of its type",
    "statements.DEPOSIT.card": "a card is never longer than the limit of its type",
    "statements.DEPOSIT.state.entries": "no entry has as many fields: replica.md",
    "statements.DEPOSIT.state.meta": "no document has as many fields: replica.md",
    "statements.GRANT.not_before": "`until` comes after it",
    "statements.OUTER.body": "each type has a lesser limit",
    "statements.OUTER.type": "no type is as long",
}

# name of the shape -> (the product's, the second reader's, fields that are right)
CHANNEL_CHANGES = channel.CHANGES, relay.BODIES["change"], make_bodies.CHANGES
CHANNEL_EDITION = channel.EDITION, relay.BODIES["edition"], make_bodies.EDITION
PACKAGE = make_grants.package_fields(b"grant")
RENEWAL = {
    "suite": 1, "recipient": bytes(32), "number": bytes(32), "items": make_grants.columns(make_grants.ITEMS),
    "keys": bytes(64), "labels": make_grants.LABELS,
}  # fmt: skip
REVOCATIONS = {
    "suite": 1, "authority": bytes(32), "number": 1, "made": 1, "next": 2,
    "entries": [{"certificate": bytes(32), "time": 1}],
}  # fmt: skip
BULLETIN = {
    "authority": b"", "list": b"", "head": b"", "start": 0, "peaks": [bytes(32)], "leaves": b"",
}  # fmt: skip
EVIDENCE = make_evidence.contradiction(0)
HEAD = {"suite": 1, "authority": bytes(32), "size": 0, "root": bytes(32), "time": 0}
LOGGED = {"certificate": b"", "head": b"", "index": 0, "path": [bytes(32)]}
AUTHORITY = {"suite": 1, "name": "", "sign": bytes(32), "made": 0}
DOCTOR_CARD = people.card_fields(people.DOCTOR, suite=2, kem=bytes(1184))
SLOT = {"kind": "kit", "id": bytes(16), "salt": bytes(16), "ops": 0, "memory": 0, "box": bytes(104)}
KEYSLOTS = {"suite": 1, "vault": bytes(16), "slots": [SLOT], "mac": bytes(32)}
OPERATION = {kind: (operation.SHAPES[kind], devices.OPERATIONS[kind]) for kind in operation.SHAPES}
CHANGES = make_devices.CHANGES | {"again": [bytes(32)]}
EDITION = make_devices.EDITION | {"heads": [bytes(32)], "channel": make_devices.PLACE}
SIGNED = {"relay": "", "checkpoints": [bytes(146)]}
WELCOME = enrolment.WELCOME, devices.WELCOME, make_devices.welcome_fields()
BUNDLE = operation.BUNDLE, devices.BUNDLE, {"ops": [{"kind": "end", "body": b""}]}

PATIENTS = (
    product_patients.PATIENTS, patients.PATIENTS,
    {"suite": 1, "patients": [make_home.patient(b"", "1")]},
)  # fmt: skip

Read = tuple[Shape, Mapping[str, Any], Mapping[str, Any]]
# (name in the reader, product and reader and good fields, where, how many)
LARGE: tuple[tuple[str, Read, str, int], ...] = (
    ("authorities.BULLETIN.leaves", (bulletin.BULLETIN, authorities.BULLETIN, BULLETIN), "leaves", 3_200_000),
    ("authorities.BULLETIN.list", (bulletin.BULLETIN, authorities.BULLETIN, BULLETIN), "list", 900_128),
    ("authorities.REVOCATIONS.entries",
     (bulletin.REVOCATIONS, authorities.REVOCATIONS, REVOCATIONS), "entries", 10_000),
    ("backup.MANIFEST.files", (product_backup.MANIFEST, backup.MANIFEST, make_backups.TOLD), "files", 1_000_000),
    ("devices.BODY.data", (operation.BODY, devices.BODY, {"part": 1, "parts": 1, "data": b""}), "data", 780_000),
    ("devices.BUNDLE.ops", BUNDLE, "ops", 1000),
    ("devices.BUNDLE.ops.body", BUNDLE, "ops.0.body", (8 << 20) + 1_000_000),
    ("devices.CHAIN", WELCOME, "chain", 4096),
    ("devices.CHAIN", (*OPERATION["roster"], {"chain": [b""]}), "chain.0", 40_000),
    ("devices.CLAIM.data", (*OPERATION["edition"], EDITION), "change.data", 8 << 20),
    ("devices.CLAIM.deps", (*OPERATION["edition"], put(EDITION, "change.deps", [bytes(32)])), "change.deps", 1000),
    ("devices.EVIDENCE.entries", (evidence.EVIDENCE, devices.EVIDENCE, EVIDENCE), "entries", 10_000),
    ("devices.OPERATIONS.changes.again", (*OPERATION["changes"], CHANGES), "again", 1000),
    ("devices.OPERATIONS.changes.items", (*OPERATION["changes"], CHANGES), "items", 1000),
    ("devices.OPERATIONS.edition.channel.writers", (*OPERATION["edition"], EDITION), "channel.writers", 256),
    ("devices.OPERATIONS.edition.heads", (*OPERATION["edition"], EDITION), "heads", 1000),
    ("devices.OPERATIONS.row.value", (*OPERATION["row"], make_devices.ROW), "value", 8 << 20),
    ("devices.OPERATIONS.signed.checkpoints", (*OPERATION["signed"], SIGNED), "checkpoints", 256),
    ("devices.WELCOME.senders", WELCOME, "senders", 1000),
    ("patients.PATIENTS.patients", PATIENTS, "patients", 100_000),
    ("relay.BODIES.change.changes", CHANNEL_CHANGES, "changes", 1000),
    ("relay.BODIES.change.changes.data", CHANNEL_CHANGES, "changes.0.data", 800_000),
    ("relay.BODIES.change.changes.deps",
     (*CHANNEL_CHANGES[:2], put(make_bodies.CHANGES, "changes.0.deps", [bytes(32)])), "changes.0.deps", 1000),
    ("relay.BODIES.edition.writers", CHANNEL_EDITION, "writers", 256),
    ("relay.INNER.body", (envelope.INNER, relay.INNER, make_envelopes.inner_fields()), "body", 800_000),
    ("relay.INNER.seen", (envelope.INNER, relay.INNER, make_envelopes.inner_fields()), "seen", 256),
    ("statements.DEPOSIT.files", (deposit.DEPOSIT, statements.DEPOSIT, make_deposits.deposit_fields()), "files", 200),
    ("statements.DEPOSIT.files.inline",
     (deposit.DEPOSIT, statements.DEPOSIT, make_deposits.deposit_fields()), "files.0.inline", 262_144),
    ("statements.GRANT.items.documents", (masking.ITEMS, statements.ITEMS, RENEWAL["items"]), "documents", 16 * 1024),
    ("statements.GRANT.items.editions", (masking.ITEMS, statements.ITEMS, RENEWAL["items"]), "editions", 32 * 1024),
    ("statements.GRANT.items.epochs", (masking.ITEMS, statements.ITEMS, RENEWAL["items"]), "epochs", 8 * 1024),
    ("statements.GRANT.items.mailboxes", (masking.ITEMS, statements.ITEMS, RENEWAL["items"]), "mailboxes", 32 * 1024),
    ("statements.GRANT.items.tags", (masking.ITEMS, statements.ITEMS, RENEWAL["items"]), "tags", 16 * 1024),
    ("statements.PACKAGE.grant", (grant.PACKAGE, statements.PACKAGE, PACKAGE), "grant", 120_128),
    ("statements.PACKAGE.keys", (grant.PACKAGE, statements.PACKAGE, PACKAGE), "keys", 32 * 1024),
    ("statements.PACKAGE.labels", (grant.PACKAGE, statements.PACKAGE, PACKAGE), "labels", 1024),
    ("statements.RENEWAL.keys", (grant.RENEWAL, statements.RENEWAL, RENEWAL), "keys", 32 * 1024),
    ("statements.RENEWAL.labels", (grant.RENEWAL, statements.RENEWAL, RENEWAL), "labels", 1024),
)  # fmt: skip


def test_every_limit_has_a_vector_on_both_sides_or_a_reason(seen: dict[str, Any]) -> None:
    """Taken at the limit, refused beyond it; of a length that is exact, another one refused."""
    larger = {name for name, *_ in LARGE}
    gaps = {name: gap for name, gap in seen["gaps"].items() if not name.startswith("rows.")}
    assert gaps.keys() - larger - BOUND.keys() - {"statements.DEPOSIT.state.entries"} == set(), gaps
    assert (larger | BOUND.keys()) - gaps.keys() == set(), "a reason that is none any more"


def fits(read: Read, fields: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the product's shape and the second reader's take this."""
    shape, checks, _ = read
    try:
        shape.check(fields)
        ours = True
    except Malformed:
        ours = False
    return ours, all(check(fields[name]) for name, check in checks.items())


def of(fields: Any, path: str) -> Any:
    for part in path.split("."):
        fields = fields[int(part) if part.isdigit() else part]
    return fields


def filled(good: Mapping[str, Any], path: str, count: int) -> dict[str, Any]:
    """So many bytes, characters or items of what is there."""
    here = of(good, path)
    value: Any = here[:1] * count if isinstance(here, list) else "x" * count if isinstance(here, str) else bytes(count)
    return put(good, path, value)


@pytest.mark.parametrize(("name", "read", "path", "limit"), LARGE, ids=[f"{name} {path}" for name, _, path, _ in LARGE])
def test_a_large_limit_is_one_for_both(name: str, read: Read, path: str, limit: int) -> None:
    good = read[2]
    assert fits(read, good) == (True, True)
    assert fits(read, filled(good, path, limit)) == (True, True)
    assert fits(read, filled(good, path, limit + 1)) == (False, False)


def test_entries_of_a_deposit(seen: dict[str, Any]) -> None:
    state = make_deposits.STATE
    entries = {f"{number:032x}": {"kind": "note"} for number in range(10_001)}
    read = deposit.STATE, statements.STATE, state
    assert fits(read, state | {"entries": entries}) == (False, False)
    entries.popitem()
    assert fits(read, state | {"entries": entries}) == (True, True)


ROW = re.compile(r"`(\w+)` (?:(bytes|text|int)(?:\(([^)]*)\))?|(time)|(as below)|((?:`\w+`(?: or )?)+))(\?)?")


def in_notation(kind: str, limits: str) -> tuple[Any, Any]:
    """(a value at the limit, one beyond it) of a type as encoding.md writes them."""
    if kind == "time":
        return 253_402_300_799, 253_402_300_800
    if kind == "int":
        return (int(limits.partition("..")[2]), int(limits.partition("..")[2]) + 1) if limits else (2**63 - 1, -1)
    size = int(limits.removeprefix(".."))
    one: Any = "x" if kind == "text" else b"x"
    return one * size, one * (size + 1)


@pytest.mark.parametrize("name", sorted(rows.ROWS))
def test_the_columns_of_a_row_are_those_of_its_page(name: str) -> None:
    """Names, types and limits, large ones included, for product and second reader."""
    table = page("vault-channel.md").split("| name | key | columns |")[1]
    (line,) = re.findall(rf"^\| `{name}` \| .* \| (`.*) \|$", table, flags=re.MULTILINE)
    product = product_rows.CHANNEL.fields if name == "channel" else product_rows.KINDS[name].columns
    told = {found[1]: found for found in ROW.finditer(line)}
    assert told.keys() == product.keys() == rows.ROWS[name].keys()
    for column, found in told.items():
        kind = found[2] or found[4]
        items = make_rows.ROWS[name][1].get("items", [])
        good, bad = in_notation(kind, found[3] or "") if kind else (items * 1024, items * 1025)
        if found[6]:
            words = re.findall(r"`(\w+)`", found[6])
            good, bad = words[-1], "x"
        for value, taken in ((good, True), (bad, False), *([(None, True)] if found[7] else [])):
            assert bool(rows.ROWS[name][column](value)) == taken, (name, column, value)
            with nullcontext() if taken else pytest.raises(Malformed):
                product[column](value, column)


def test_a_chain_of_statements_is_read_up_to_its_length() -> None:
    for count, failure in ((4096, "malformed"), (4097, "too-large")):
        with pytest.raises(VaultError) as ours:
            roster.read_chain([b""] * count, bytes(32), bytes(16))
        with pytest.raises(Refused) as theirs:
            rosters.read_all([b""] * count, bytes(32), bytes(16))
        assert (ours.value.code, theirs.value.code) == (failure, failure)


def test_an_envelope_is_opened_up_to_its_size() -> None:
    for size, failure in ((1 << 20, "cannot-open"), ((1 << 20) + 1, "too-large")):
        with pytest.raises(VaultError) as ours:
            envelope.open(bytes(32), bytes(32), bytes(size))
        with pytest.raises(Refused) as theirs:
            relay.read_envelope(bytes(32), bytes(32), bytes(size))
        assert (ours.value.code, theirs.value.code) == (failure, failure)


def test_a_change_is_read_up_to_its_size() -> None:
    for size, failure in ((768 << 10, "malformed"), ((768 << 10) + 1, "too-large")):
        with pytest.raises(VaultError) as ours:
            chunk.read_header(bytes(size))
        with pytest.raises(Refused) as theirs:
            chunks.read_chunk(bytes(size))
        assert (ours.value.code, theirs.value.code) == (failure, failure)


def test_a_page_holds_messages_up_to_their_size() -> None:
    for size, taken in ((1 << 20, True), ((1 << 20) + 1, False)):
        page_of_one = (1).to_bytes(8) + bytes(8) + size.to_bytes(4) + bytes(size)
        for read, refusal in ((wire.decode_frames, wire.WireError), (relay.read_page, Refused)):
            with nullcontext() if taken else pytest.raises(refusal):
                read(page_of_one)


SIZES = {
    "authorities.AUTHORITY": certificate.AUTHORITY,
    "authorities.BULLETIN": bulletin.BULLETIN,
    "authorities.CERTIFICATE": certificate.CERTIFICATE,
    "authorities.HEAD": log.HEAD,
    "authorities.LOGGED": certificate.LOGGED,
    "authorities.REVOCATIONS": bulletin.REVOCATIONS,
    "backup.MANIFEST": product_backup.MANIFEST,
    "devices.BODY": operation.BODY,
    "devices.BUNDLE": operation.BUNDLE,
    "devices.CODE": enrolment.CODE,
    "devices.EVIDENCE": evidence.EVIDENCE,
    "devices.HELLO": enrolment.HELLO,
    "devices.NEXT": operation.NEXT,
    "devices.WELCOME": enrolment.WELCOME,
    "keyslots.FILE": keys.FILE,
    "patients.PATIENTS": product_patients.PATIENTS,
    "relay.INNER": envelope.INNER,
    "rosters.ROSTER": roster.ROSTER,
    "statements.CARD": identity.CARD,
    "statements.DEPOSIT": deposit.DEPOSIT,
    "statements.GRANT": grant.GRANT,
    "statements.LABEL": masking.LABEL,
    "statements.OPENING": opening.STATEMENT,
    "statements.PACKAGE": grant.PACKAGE,
    "statements.RENEWAL": grant.RENEWAL,
}


def test_both_read_within_the_same_size(seen: dict[str, Any]) -> None:
    sizes = {name: size for name, size in seen["sizes"].items() if name != "statements.OUTER"}
    assert sizes == {name: shape.limit for name, shape in SIZES.items()}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_what_is_over_its_size_is_too_large_before_it_is_read(name: str) -> None:
    shape = SIZES[name]
    for size, failure in ((shape.limit, "malformed"), (shape.limit + 1, "too-large")):
        with pytest.raises(VaultError) as ours:
            shape.decode(bytes(size))
        with pytest.raises(Refused) as theirs:
            cbor.decode(bytes(size), shape.limit)
        assert (ours.value.code, theirs.value.code) == (failure, failure)


def test_the_sizes_of_statements_are_those_of_their_page() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| [\w.-]+ \| .+ \| ([\d ]+) \|$", page("statement.md"), flags=re.MULTILINE)
    told = {kind: int(size.replace(" ", "")) for kind, size in rows}
    shapes = {shape.name: shape.limit for shape in SIZES.values() if shape.name in statement.TYPES}
    assert told == shapes


def test_the_size_of_a_body_is_the_same_wherever_it_stands() -> None:
    """In the section of its type and in the table of all of them."""
    shapes = {shape.name: shape.limit for shape in SIZES.values()}
    told = {}
    for file in SPEC.glob("*.md"):
        found = re.findall(
            rf"statement of\s+type `([a-z-]+)`[^|#]*?Body,\s+at\s+most\s+{NUMBER} bytes", file.read_text("utf-8")
        )
        told.update({kind: number(size) for kind, size in found})
    assert told == {kind: shapes[kind] for kind in statement.TYPES if kind != "welcome"}


def page(name: str) -> str:
    return (SPEC / name).read_text(encoding="utf-8")


# page -> the shapes whose fields its tables list, in their order
TABLES: dict[str, tuple[Read | None, ...]] = {
    "card.md": ((identity.CARD_HYBRID, statements.CARD | {"kem": statements.key_or_hash}, DOCTOR_CARD),),
    "certificate.md": (
        (certificate.AUTHORITY, authorities.AUTHORITY, AUTHORITY),
        (certificate.CERTIFICATE, authorities.CERTIFICATE, make_certificates.certificate_fields()),
        (certificate.LOGGED, authorities.LOGGED, LOGGED),
        (bulletin.REVOCATIONS, authorities.REVOCATIONS, REVOCATIONS),
        (bulletin.BULLETIN, authorities.BULLETIN, BULLETIN),
    ),
    "grant.md": (
        (grant.GRANT, statements.GRANT, make_grants.grant_fields()),
        None,
        (masking.LABEL, statements.LABEL, {"title": "", "kind": ""}),
        (grant.PACKAGE, statements.PACKAGE, PACKAGE),
        (grant.RENEWAL, statements.RENEWAL, RENEWAL),
    ),
    "opening.md": ((opening.STATEMENT, statements.OPENING, make_openings.statement_fields()),),
    "deposit.md": (
        (deposit.DEPOSIT, statements.DEPOSIT, make_deposits.deposit_fields()),
        (deposit.FILE, statements.FILE, make_deposits.FILE | make_deposits.OUTSIDE),
    ),
    "envelope.md": (
        (envelope.INNER, relay.INNER, make_envelopes.inner_fields()),
        CHANNEL_EDITION,
    ),
    "roster.md": ((roster.ROSTER, rosters.ROSTER, make_rosters.roster_fields()),),
    "evidence.md": ((evidence.EVIDENCE, devices.EVIDENCE, EVIDENCE),),
    "backup.md": ((product_backup.MANIFEST, backup.MANIFEST, make_backups.TOLD),),
    "feeding.md": (PATIENTS,),
    "keyslots.md": ((keys.FILE, keyslots.FILE, KEYSLOTS), (keys._SLOT_SHAPE, keyslots.SLOT, SLOT)),
}
NUMBER = r"((?:\d[\d ]*\d|\d)(?:\^\d+)?(?: - 1)?)"


def number(told: str) -> int:
    base, _, rest = told.replace(" ", "").partition("^")
    power, _, less = rest.partition("-")
    return int(base) ** int(power or 1) - int(less or 0)


def edges_of(told: str, key: str, good: Any) -> Iterator[tuple[Any, bool]]:
    """(a value, whether a field of this type takes it)."""
    if found := re.match(rf"bytes, {NUMBER}(?!\d| or)", told):
        size = number(found[1])
        yield from ((bytes(size - 1), False), (bytes(size), True), (bytes(size + 1), False))
    elif found := re.match(rf"(bytes|text), at most {NUMBER}", told):
        most = number(found[2])
        one: Any = b"x" if found[1] == "bytes" else "x"
        yield from ((one * most, True), (one * (most + 1), False))
    elif found := re.match(rf"integers? (?:from )?{NUMBER}(?: to {NUMBER})?$|integers? {NUMBER} to {NUMBER}", told):
        low, most = (number(one) if one else 2**63 - 1 for one in (found[1] or found[3], found[2] or found[4]))
        yield from ((low - 1, False), (low, True), (most, True), (most + 1, False))
    elif told == "integer":
        yield from ((-1, False), (0, True), (2**63 - 1, True), (2**63, False))
    elif told == "time":
        yield from ((-1, False), (0, True), (253_402_300_799, True), (253_402_300_800, False))
    elif found := re.match(rf"list of (?:at most |0 to )?{NUMBER}|list of n", told):
        most = number(found[1]) if found[1] else 1024
        yield from ((good[:1] * most, True), (good[:1] * (most + 1), False))
    elif found := re.fullmatch(r"`\"(\w+)\"`(?:, `\"(\w+)\"`)*,? or `\"(\w+)\"`", told):
        yield from ((word, True) for word in re.findall(r"\w+", told) if word != "or")
        yield "x", False
    if "null" in told:
        yield None, True


# Types that say more than a length: vectors alone show what they take.
WORDS = (
    "address as in card.md", "map of columns", "text or null", "map, at most 900 000 bytes", "claim",
    "bytes, 1184 or 32", "bytes, n x 32", "as in a package", "map, see below",
)  # fmt: skip


def table_rows() -> Iterator[tuple[str, str, Read, str, str]]:
    for name, shapes in TABLES.items():
        tables = re.findall(r"^\| key \| type \|.*\n\|---.*\n((?:\|.*\n)+)", page(name), flags=re.MULTILINE)
        assert len(tables) == len(shapes), name
        for table, read in zip(tables, shapes, strict=True):
            if read is None:
                continue
            for line in table.splitlines():
                fields, told = (part.strip() for part in line.strip("|").split(" | ")[:2])
                for key in re.findall(r"`(\w+)`", fields):
                    yield name, read[0].name, read, key, told


ROWS = list(table_rows())


@pytest.mark.parametrize(
    ("name", "shape", "read", "key", "told"), ROWS, ids=[" ".join(row[:2] + row[3:4]) for row in ROWS]
)
def test_a_field_is_what_its_page_says(name: str, shape: str, read: Read, key: str, told: str) -> None:
    product, checks, good = read
    cases = list(edges_of(told, key, good.get(key)))
    assert cases or told.startswith(WORDS), f"{name}: {told} is not understood"
    for value, taken in cases:
        assert bool(checks[key](value)) == taken, (name, key, told)
        try:
            product.fields[key](value, key)
            assert taken, (name, key, told)
        except Malformed:
            assert not taken, (name, key, told)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_lists_every_field(name: str) -> None:
    for read in TABLES[name]:
        if read is not None:
            listed = {row[3] for row in ROWS if row[0] == name and row[2] is read}
            assert listed == read[0].fields.keys() == read[1].keys(), read[0].name
