"""Vectors about people: keyslots, recovery words, attachments, cards, certificates, grants, openings, deposits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vault import (
    attachment,
    backup,
    bulletin,
    certificate,
    chunk,
    deposit,
    grant,
    hybrid,
    identity,
    keys,
    log,
    masking,
    opening,
    roster,
    shares,
    statement,
)
from vault.encoding import Shape
from vault.errors import VerificationFailed
from vault.histories import Histories
from vault.passphrase import normal_form
from vault.primitives import NONCE, BoxKey, SigningKey, derive_key
from vault.recovery import RecoveryKit

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]


def person(given: Given) -> identity.Identity:
    """Whose secrets a vector gives: `sign` is a seed, `box` an X25519 secret."""
    sign = SigningKey.from_seed(given.blob("sign"))
    box = BoxKey.from_secret(given.blob("box"), hybrid.derive_seed(sign.seed))
    return identity.Identity(given.text("name"), "", sign, box)


def written_again(kind: str, shape: Shape, data: bytes, seed: bytes) -> None:
    """Ed25519 is deterministic: the signer makes the very same statement from the same fields."""
    read = statement.read_statement(kind, shape, data)
    if statement.make_statement(kind, shape, read.fields, SigningKey.from_seed(seed)) != data:
        raise VerificationFailed("written again, this gives other bytes")


def _card(given: Given) -> dict[str, Any]:
    data = given.blob("data")
    card = identity.read_card(data)
    if "seed" in given:
        written_again("card", identity.CARDS[card.suite], data, given.blob("seed"))
    names = ("suite", "name", "role", "sign", "box", "relay", "relay_key", "inbox", "deposit", "made", "id")
    return {name: getattr(card, name) for name in names} | {"kem": card.kem_hash}


def _card_text(given: Given) -> dict[str, Any]:
    return {"data": identity.read_card(given.text("text").encode()).data}


def _safety_number(given: Given) -> dict[str, Any]:
    mine = given.blob("my_sign"), given.blob("my_box")
    theirs = given.blob("their_sign"), given.blob("their_box")
    if identity.derive_safety_number(theirs, mine) != identity.derive_safety_number(mine, theirs):
        raise VerificationFailed("the two people see two numbers")
    return {"number": identity.derive_safety_number(mine, theirs)}


def _authority(given: Given) -> dict[str, Any]:
    read = certificate.read_authority(given.blob("data"))
    return {"name": read.name, "sign": read.sign}


def _certificate(given: Given) -> dict[str, Any]:
    standing, card, now = _standing(given), identity.read_card(given.blob("card")), given.number("now")
    read = certificate.read_certificate(given.blob("data"), standing.authority)
    if "seed" in given:
        written_again("certificate", certificate.CERTIFICATE, read.statement, given.blob("seed"))
        written_again("log-head", log.HEAD, read.head.data, given.blob("seed"))
    standing.witness(read)
    standing.need_not_revoked(read)
    certificate.check_certificate(read, card, now)
    standing.need_fresh(now)
    role = certificate.check_role(read.role)
    return {"id": read.id, "name": read.name, "role": role, "until": read.until, "hash": read.hash}


def _standing(given: Given) -> bulletin.Standing:
    """What a vault keeps after taking these bulletins, and certificates with their heads, one after the other."""
    first, *others = given.blobs("bulletins")
    standing = bulletin.read_bulletin(first)
    for logged in given.blobs("certificates") if "certificates" in given else []:
        standing = standing.witness(certificate.read_certificate(logged, standing.authority))
    for data in others:
        standing = standing.take(bulletin.read_bulletin(data))
    return standing


def _bulletin(given: Given) -> dict[str, Any]:
    standing = _standing(given)
    if "seed" in given:
        seed, read = given.blob("seed"), bulletin.read_bulletin(given.blobs("bulletins")[-1])
        written_again("revocations", bulletin.REVOCATIONS, read.revocations.data, seed)
        written_again("log-head", log.HEAD, read.head.data, seed)
        made = bulletin.make_bulletin(read.authority.data, read.revocations.data, read.head.data, read.extract)
        if made != given.blobs("bulletins")[-1]:
            raise VerificationFailed("written again, this gives other bytes")
    listed, head = standing.revocations, standing.head
    return {
        "number": listed.number,
        "next": listed.next,
        "revoked": sorted(listed.entries),
        "size": head.size,
        "root": head.root,
        "promised": [one.size for one in standing.promised],
    }


def _log(given: Given) -> dict[str, Any]:
    leaves = [log.derive_leaf(entry) for entry in given.blobs("entries")]
    return {"root": log.derive_root(leaves), "paths": [log.make_path(leaves, at) for at in range(len(leaves))]}


def _role(given: Given) -> dict[str, Any]:
    return {"role": certificate.check_role(given.text("role"))}


def _grant(given: Given) -> dict[str, Any]:
    me = person(given.given("grantee"))
    read = grant.open_package(statement.open_statement(me.box, given.blob("sealed")), me, given.number("now"))
    if "seed" in given:
        written_again(
            "package", grant.PACKAGE, statement.open_statement(me.box, given.blob("sealed")), given.blob("seed")
        )
    names = ("number", "right", "purpose", "until", "openings", "offline")
    told = {name: read.fields[name] for name in names}
    documents = [item.document for item in read.items]
    return told | {"hash": read.hash, "half": read.half, "reader": read.reader, "documents": documents}


def _renewal(given: Given) -> dict[str, Any]:
    me = person(given.given("grantee"))
    read = grant.open_renewal(statement.open_statement(me.box, given.blob("sealed")), me, given.blob("issuer"))
    known = {item.document: item for item in (_item(one) for one in given.many("known"))}
    grant.check_renewal(read, known)
    return {"number": read.number, "epochs": [item.epoch for item in read.items]}


def _half_tag(given: Given) -> dict[str, Any]:
    return {"half_tag": masking.derive_half_tag(given.blob("half"), given.blob("tag"))}


def _wrap(given: Given) -> dict[str, Any]:
    item, edit = _item(given.given("item")), given.text("right") == "edit"
    half, half_tag, grant_hash = given.blob("half"), given.blob("half_tag"), given.blob("grant_hash")
    masked, label = given.blob("masked"), given.blob("label")
    return masking.unwrap(half, half_tag, grant_hash, item, masked, label, edit=edit).fields()


def _item(fields: Given) -> masking.Item:
    blobs = {name: fields.blob(name) for name in ("document", "edition", "tag", "mailbox")}
    return masking.Item(epoch=fields.number("epoch"), **blobs)


def _opening_request(given: Given) -> dict[str, Any]:
    read = opening.read_request(given.blob("data"), given.blob("reader"))
    return {name: getattr(read, name) for name in ("grant", "counter", "fresh", "kem_hash", "tags", "statement")}


def _release(given: Given) -> dict[str, Any]:
    fresh = BoxKey.from_secret(given.blob("fresh"), given.blob("seed") if "seed" in given else None)
    number, counter = given.blob("grant"), given.number("counter")
    return {"halves": opening.read_release(given.blob("sealed"), fresh, number, counter, given.blobs("tags"))}


def _opening_entry(given: Given) -> dict[str, Any]:
    opened = opening.verify_opening(
        given.blob("entry"),
        reader=given.blob("reader"),
        grantee=given.blob("grantee"),
        me=BoxKey.from_secret(given.blob("box")),
        number=given.blob("grant"),
        grant_hash=given.blob("grant_hash"),
        items=given.pairs("items"),
        after=given.number("after"),
    )
    return {"name": opened.name, "why": opened.why, "time": opened.time, "documents": opened.documents}


def _deposit(given: Given) -> dict[str, Any]:
    me = person(given.given("recipient"))
    read = deposit.open_deposit(statement.open_statement(me.box, given.blob("sealed")), me)
    sender = {"sender": read.sender.name, "sender_id": read.sender.id}
    return sender | {"unique": read.unique, "made": read.made, "state": dict(read.state), "files": len(read.files)}


def _keyslots(given: Given) -> dict[str, Any]:
    """The product reads a file; a vector is its content, so it is written to a place that is gone afterwards."""
    with TemporaryDirectory(prefix="elpis-vector-") as folder:
        path = Path(folder, "keyslots")
        path.write_bytes(given.blob("file"))
        slots = keys.Keyslots.read(path)
    if "kit" in given:
        return {"key": slots.open_with_kit(given.blob("kit")).secret}
    return {"key": slots.open_with_passphrase(normal_form(given.text("passphrase"))).secret}


def _attachment(given: Given) -> dict[str, Any]:
    with TemporaryDirectory(prefix="elpis-vector-") as folder:
        path = Path(folder, "sealed")
        path.write_bytes(given.blob("file"))
        plain, size = hashlib.sha256(), 0
        pieces = attachment.open_file(path, given.blob("key"), given.number("size"), sha256=given.text("sha256"))
        for piece in pieces:
            plain.update(piece)
            size += len(piece)
    return {"size": size, "sha256": plain.hexdigest()}


def _change(given: Given) -> dict[str, Any]:
    header = chunk.read_header(given.blob("data"))
    operations = []
    for made in chunk.read_operations(header):
        target = [] if made.target == chunk.ROOT else list(made.target)
        replaced = [list(item) for item in made.replaces]
        operations.append([made.id[0], target, made.key, made.action, made.value, replaced])
    told = {name: getattr(header, name) for name in ("hash", "actor", "seq", "start", "deps")}
    return told | {"operations": operations}


def _roster(given: Given) -> dict[str, Any]:
    data = given.blob("data")
    read = roster.read_first(data, given.blob("root"), given.blob("vault"))
    if "seed" in given:
        written_again("roster", roster.ROSTER, data, given.blob("seed"))
    return {"head": roster.derive_head(data), "devices": [device.id for device in read.devices]}


def _roster_chain(given: Given) -> dict[str, Any]:
    last = roster.read_chain(given.blobs("statements"), given.blob("root"), given.blob("vault"))[-1]
    told = {name: getattr(last, name) for name in ("head", "count", "epoch", "min_suite", "root")}
    return told | {"devices": [device.id for device in last.devices]}


def _roster_choice(given: Given) -> dict[str, Any]:
    histories = Histories(given.blob("root"), given.blob("vault"))
    histories.add(given.blobs("ours"))
    with suppress(VerificationFailed):
        histories.add(given.blobs("theirs"))
    return {"head": roster.derive_head(histories.held()[-1])}


def _roster_histories(given: Given) -> dict[str, Any]:
    histories = Histories(given.blob("root"), given.blob("vault"))
    for name in ("first", "second", "third"):
        histories.add(given.blobs(name))
    return {"head": roster.derive_head(histories.held()[-1])}


def _recovery_words(given: Given) -> dict[str, Any]:
    kit = RecoveryKit.from_words(given.text("words"))
    return {
        "entropy": kit.entropy,
        "root": kit.root_key().public,
        "fingerprint": kit.fingerprint(),
        "fr": " ".join(kit.words("fr")),
        "en": " ".join(kit.words("en")),
    }


def _shares(given: Given) -> dict[str, Any]:
    read = [shares.read_share(str(text).split()) for text in given.items("shares")]
    entropy = shares.combine(read, given.blob("passphrase"))
    return {"entropy": entropy, "set": read[0].set_id, "needed": read[0].needed}


def _backup(given: Given) -> dict[str, Any]:
    key = derive_key(given.blob("key"), "elpis-backup")
    data, name = given.blob("data"), given.blob("name").hex()
    copy = backup.open_manifest(key, given.blob("vault"), name, data)
    if backup.seal_manifest(key, copy, nonce=data[:NONCE]) != data:
        raise VerificationFailed("written again, this gives other bytes")
    told = {"made": copy.made, "documents": copy.documents, "key": copy.key, "size": copy.size, "sha256": copy.sha256}
    return told | {"files": [name + sha256 for name, sha256 in copy.files]}


PEOPLE_FORMATS: dict[str, Run] = {
    "keyslots": _keyslots,
    "recovery-words": _recovery_words,
    "shares": _shares,
    "attachment": _attachment,
    "backup": _backup,
    "change": _change,
    "roster": _roster,
    "roster-chain": _roster_chain,
    "roster-choice": _roster_choice,
    "roster-histories": _roster_histories,
    "card": _card,
    "card-text": _card_text,
    "safety-number": _safety_number,
    "authority": _authority,
    "log": _log,
    "bulletin": _bulletin,
    "certificate": _certificate,
    "role": _role,
    "grant": _grant,
    "renewal": _renewal,
    "half-tag": _half_tag,
    "wrap": _wrap,
    "opening-request": _opening_request,
    "release": _release,
    "opening-entry": _opening_entry,
    "deposit": _deposit,
}
