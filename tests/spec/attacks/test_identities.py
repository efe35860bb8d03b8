"""Somebody else's keys, roles, certificates and signatures, where a person's own belong."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from spec.vectors.people import DAY, DOCTOR, HOLDER, NOW, card_fields, signed
from sync import wire
from tests.stage import Stage, details
from vault import (
    Document,
    bulletin,
    certificate,
    deposit,
    enrolment,
    grant,
    log,
    masking,
    opening,
    primitives,
    roster,
    statement,
)
from vault.authority import Office
from vault.certificate import ALIASES, AUTHORITY, CERTIFICATE, DENIED_ROLES, LOGGED, make_authority, make_logged
from vault.encoding import Shape
from vault.errors import (
    AuthorityContradiction,
    BadKey,
    BadSignature,
    CannotOpen,
    Expired,
    InputRefused,
    Malformed,
    NotCertified,
    RoleDenied,
    SuiteRefused,
    VerificationFailed,
    WrongRecipient,
)
from vault.identity import CARD, CARD_HYBRID, Card, Identity, make_card, read_card
from vault.people import Person
from vault.primitives import BoxKey, SigningKey, make_id, make_key, seal_to, verify
from vault.statement import TYPES, make_statement, read_statement

ORDER = SigningKey.from_seed(b"an order of the attack tests, 32")
# Every X25519 point whose shared secret is the same for everybody (RFC 7748, section 6.1), also in encodings over p.
LOW_ORDER = [
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
    )
]


def somebody(name: str, role: str = "doctor") -> Identity:
    return Identity(name, role, SigningKey.make(), BoxKey.make())


def card_like(stage: Stage, name: str, **changes: Any) -> tuple[Identity, bytes]:
    """A card with the physician's inbox and a given name, for keys of somebody else."""
    false = somebody(name)
    true = stage.person.card
    inbox = {"relay": true.relay, "relay_key": true.relay_key, "inbox": true.inbox, "deposit": true.deposit}
    return false, make_card(false, now=true.made + 1, **{**inbox, **changes})


def certified(stage: Stage, card: Card, role: str = "doctor", *, now: int | None = None, days: int = 30) -> bytes:
    moment = int(stage.holder.clock()) if now is None else now
    return office(stage).certify(card, unique_id="ID-1", role=role, now=moment, days=days)


def office(stage: Stage) -> Office:
    """The authority of this stage, with its books."""
    if not hasattr(stage, "office"):
        stage.office = Office.open("Ordre", ORDER, 1)  # type: ignore[attr-defined]
    return stage.office  # type: ignore[attr-defined, no-any-return]


def signed_again(data: bytes, signer: SigningKey, **changes: Any) -> bytes:
    """The certificate in this file with other fields, in a log that holds it."""
    told = read_statement("certificate", CERTIFICATE, LOGGED.decode(data)["certificate"]).fields
    made = make_statement("certificate", CERTIFICATE, {**told, **changes}, signer)
    now = log.read_head(LOGGED.decode(data)["head"], ORDER.public).time
    return make_logged(made, log.make_head(ORDER, 1, log.derive_leaf(made), now), 0, [])


def refused(stage: Stage, person: Person, failure: type[VerificationFailed]) -> None:
    """Nothing is granted, and nothing is queued that could be sent."""
    document = stage.letter()
    before = stage.holder.store.row("SELECT count(*), max(id) FROM outbox")
    with pytest.raises(failure):
        stage.holder.sharing.grant(person, [document], right="read", purpose="x", seconds=60)
    assert stage.holder.store.row("SELECT count(*), max(id) FROM outbox") == before
    assert stage.holder.sharing.grants() == ()


def pin(stage: Stage) -> None:
    stage.holder.people.pin_authority(office(stage).bulletin(int(stage.holder.clock())))


# Swapped recipient key


def test_swapped_recipient_key(stage: Stage) -> None:
    """The relay serves a card with the physician's name, the certificate beside it, and keys of its own."""
    pin(stage)
    true = read_card(stage.physician.people.card())
    _, false = card_like(stage, true.name)
    with pytest.raises(WrongRecipient):
        stage.holder.people.add(false, certificate=certified(stage, true))
    impostor = stage.holder.people.add(false)
    refused(stage, impostor, NotCertified)
    assert stage.holder.people.safety_number(impostor) != stage.physician.people.safety_number(
        replace(impostor, card=read_card(stage.holder.people.card()))
    )
    theirs = replace(impostor, card=read_card(stage.holder.people.card()))
    assert stage.holder.people.safety_number(stage.person) == stage.physician.people.safety_number(theirs)


def test_swapped_box_key_under_the_right_signature_key(stage: Stage) -> None:
    """Half a card is somebody else's: the signature is over both keys."""
    true = read_card(stage.physician.people.card())
    told = read_statement("card", CARD_HYBRID, true.data)
    body = CARD_HYBRID.encode({**told.fields, "box": BoxKey.make().public})
    data = statement._outer(CARD_HYBRID).encode({"type": "card", "body": body, "sig": told.sig})
    with pytest.raises(BadSignature):
        stage.holder.people.add(data, met=True)


def test_swapped_key_in_a_renewed_certificate(stage: Stage) -> None:
    """An old certificate for other keys under an id that is known is not taken for the newer one."""
    pin(stage)
    now = int(stage.holder.clock())
    true, old = read_card(stage.physician.people.card()), read_card(card_like(stage, "Ndiaye Awa")[1])
    stage.holder.people.add(true.data, certificate=certified(stage, true, now=now))
    with pytest.raises(WrongRecipient):
        stage.holder.people.add(old.data, certificate=certified(stage, old, now=now - DAY))


def test_own_card_is_nobody_elses(stage: Stage) -> None:
    with pytest.raises(InputRefused):
        stage.holder.people.add(stage.holder.people.card(), met=True)


# Roles


@pytest.mark.parametrize("role", [*DENIED_ROLES, "Assureur", "  PAYER ", "é" + "assureur"[1:], "chef", ""])
def test_role_denied(stage: Stage, role: str) -> None:
    """A genuine certificate by a pinned authority, and the holder's own word that they met: still nothing."""
    pin(stage)
    _, data = card_like(stage, "Personne")
    card = read_card(data)
    person = stage.holder.people.add(data, certificate=certified(stage, card, role), met=True)
    refused(stage, person, RoleDenied)
    assert person.reason == "role-denied"


def test_role_denied_that_the_card_itself_states(stage: Stage) -> None:
    """Who says that he is a payer is one, whatever the certificate says."""
    pin(stage)
    payer = Identity("Personne", "mutuelle", SigningKey.make(), BoxKey.make())
    true = stage.person.card
    data = make_card(
        payer, relay=true.relay, relay_key=true.relay_key, inbox=true.inbox, deposit=true.deposit, now=true.made
    )
    person = stage.holder.people.add(data, certificate=certified(stage, read_card(data)), met=True)
    refused(stage, person, RoleDenied)


@pytest.mark.parametrize("role", [*DENIED_ROLES, "unknown"])
def test_role_denied_in_the_sealing_itself(role: str) -> None:
    """There is no path that seals to a payer: not the body, not the package, not the renewal."""
    from spec.vectors.make_grants import ITEMS, KEYS, LABELS, S1, columns, grant_fields

    items, keys = columns(ITEMS), b"".join(KEYS)
    fields = {name: value for name, value in grant_fields().items() if name not in ("suite", "items")}
    body = grant.make_body(fields, items)
    for attempt in (
        lambda: grant.make_body({**fields, "role": role}, items),
        lambda: grant.seal(HOLDER, replace(body, role=role), S1, bytes(32), keys, LABELS),
        lambda: grant.seal_renewal(HOLDER, role, DOCTOR.box.public, bytes(32), items, keys, LABELS),
    ):
        with pytest.raises(RoleDenied):
            attempt()


def test_role_spelled_otherwise() -> None:
    """Case, accents, spaces, hyphens and compatibility forms do not hide a payer."""
    for role in DENIED_ROLES:
        for spelled in (role.upper(), role.replace("_", "-"), f"  {role} ", unicodedata.normalize("NFD", role)):
            with pytest.raises(RoleDenied) as caught:
                certificate.refuse_payer(spelled)
            assert caught.value.facts["payer"]
        wide = "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in role)
        with pytest.raises(RoleDenied):
            certificate.check_role(wide)
    assert not set(ALIASES) & set(DENIED_ROLES) and not set(ALIASES.values()) & set(DENIED_ROLES)


# Certificates


def test_expired_certificate(stage: Stage) -> None:
    pin(stage)
    now = int(stage.holder.clock())
    _, data = card_like(stage, "Personne")
    card = read_card(data)
    for made in (now - 30 * DAY, now + 60):
        with pytest.raises(Expired):
            stage.holder.people.add(data, certificate=certified(stage, card, now=made))
    person = stage.holder.people.add(data, certificate=certified(stage, card, now=now, days=1))
    clock = stage.holder.clock
    stage.holder.people._clock = lambda: clock() + DAY
    refused(stage, person, Expired)


def test_wrong_name_certificate(stage: Stage) -> None:
    pin(stage)
    identity_, data = card_like(stage, "Personne")
    card = read_card(data)
    other = read_card(make_card(replace(identity_, name="Quelqu'un d'autre"), now=1))
    with pytest.raises(WrongRecipient):
        stage.holder.people.add(data, certificate=certified(stage, other))
    assert (other.sign, other.box) == (card.sign, card.box)


def test_certificate_of_an_authority_that_nobody_pinned(stage: Stage) -> None:
    _, data = card_like(stage, "Personne")
    with pytest.raises(NotCertified):
        stage.holder.people.add(data, certificate=certified(stage, read_card(data)))
    pin(stage)
    forged = SigningKey.make()
    false = signed_again(certified(stage, read_card(data)), forged)
    with pytest.raises(BadSignature):
        stage.holder.people.add(data, certificate=false)


def test_certificate_for_longer_than_allowed(stage: Stage) -> None:
    pin(stage)
    _, data = card_like(stage, "Personne")
    now = int(stage.holder.clock())
    long = signed_again(certified(stage, read_card(data)), ORDER, **{"from": now, "until": now + 90 * DAY + 1})
    with pytest.raises(NotCertified) as caught:
        stage.holder.people.add(data, certificate=long)
    assert caught.value.facts["reason"] == "too-long"


def test_revoked_certificate(stage: Stage) -> None:
    """Withdrawn by its authority: by way of the next file, and for people who met as well."""
    pin(stage)
    _, data = card_like(stage, "Personne")
    file, now = certified(stage, read_card(data)), int(stage.holder.clock())
    person = stage.holder.people.add(data, certificate=file, met=True)
    assert not person.reason
    office(stage).revoke(file, now=now)
    stage.holder.people.update_authority(office(stage).bulletin(now))
    refused(stage, person, NotCertified)
    assert stage.holder.people.find(person.id).detail == "revoked"


def test_revocation_list_withheld(stage: Stage) -> None:
    """Whoever keeps the next file back, so that nobody hears of a revocation, keeps every certificate back."""
    pin(stage)
    _, data = card_like(stage, "Personne")
    person = stage.holder.people.add(data, certificate=certified(stage, read_card(data), days=90))
    clock = stage.holder.clock
    stage.holder.people._clock = lambda: clock() + 30 * DAY
    refused(stage, person, NotCertified)
    assert stage.holder.people.find(person.id).detail == "list-too-old"


def test_certificate_beside_the_log(stage: Stage) -> None:
    """The authority's key, stolen, certifies without its log: refused at once, or caught by the next file."""
    pin(stage)
    for name in ("Une", "Deux"):
        certified(stage, read_card(card_like(stage, name)[1]))
    _, data = card_like(stage, "Personne")
    good = certified(stage, read_card(data))
    beside = LOGGED.encode({**LOGGED.decode(signed_again(good, ORDER)), "head": LOGGED.decode(good)["head"]})
    with pytest.raises(NotCertified) as caught:
        stage.holder.people.add(data, certificate=beside)
    assert caught.value.facts["reason"] == "not-logged"
    person = stage.holder.people.add(data, certificate=signed_again(good, ORDER))
    with pytest.raises(AuthorityContradiction):
        stage.holder.people.update_authority(office(stage).bulletin(int(stage.holder.clock())))
    refused(stage, person, NotCertified)
    assert stage.holder.people.find(person.id).detail == "contradiction"


def test_log_that_forks_or_shrinks(stage: Stage) -> None:
    """Two signed heads that are not of one history are kept as evidence, and end the trust in that authority."""
    now = int(stage.holder.clock())
    certified(stage, read_card(card_like(stage, "Une")[1]))
    pin(stage)
    second = Office.open("Ordre", ORDER, 1)
    second.bulletin(now)
    with pytest.raises(AuthorityContradiction) as caught:
        stage.holder.people.update_authority(second.bulletin(now + 1))
    evidence = caught.value.evidence
    heads = [log.read_head(data, ORDER.public) for data in (evidence.first, evidence.second)]
    assert sorted(head.size for head in heads) == [0, 1]
    assert stage.holder.people.authorities()[0].contradicted


# Grants


def test_resealed_grant(stage: Stage) -> None:
    """The physician opens the box and seals what was inside to somebody else: it names its recipient."""
    stage.grant(stage.letter(), received=False)
    (message,) = stage.relay.entries(read_card(stage.physician.people.card()).inbox or b"")
    inside = statement.open_statement(stage.physician.identity.box, message[1])
    target = read_card(stage.holder.people.card())
    sealed = statement.seal_statement(target.box, inside, target.kem)
    client = stage.relay.factory("physician")("http://relay.test")
    client.append(target.inbox or b"", target.deposit or b"", sealed)
    client.close()
    assert details(stage.pull(), "quarantined") == ["wrong-recipient"]
    assert stage.holder.visiting.grants() == ()


def test_resealed_grant_with_another_package_around_it() -> None:
    """The outer statement can be made anew by whoever holds the inner one; it must be by the same issuer."""
    from spec.vectors.make_grants import grant_fields, package_fields

    thief = somebody("Thief")
    inner = signed("grant", grant_fields(), HOLDER.sign)
    again = signed("package", package_fields(inner, recipient=thief.box.public), thief.sign)
    with pytest.raises(BadSignature):
        grant.open_package(again, thief, NOW)
    honest = signed("package", package_fields(inner, recipient=thief.box.public), HOLDER.sign)
    for reader in (thief, DOCTOR):  # the grant is not the thief's, the package is not the physician's
        with pytest.raises(WrongRecipient):
            grant.open_package(honest, reader, NOW)


def test_grant_received_twice(stage: Stage) -> None:
    stage.grant(stage.letter(), received=False)
    card = read_card(stage.physician.people.card())
    (message,) = stage.relay.entries(card.inbox or b"")
    stage.theirs.sync()
    inside = statement.open_statement(stage.physician.identity.box, message[1])
    client = stage.relay.factory("holder")("http://relay.test")
    client.append(card.inbox or b"", card.deposit or b"", statement.seal_statement(card.box, inside, card.kem))
    client.close()
    assert stage.pull(stage.theirs) == []
    assert len(stage.physician.visiting.grants()) == 1


def test_every_bit_flipped_in_every_wrap_gives_one_uniform_error() -> None:
    """A masked key has no authenticator of its own: the label that it opens commits to it."""
    from spec.vectors.make_grants import GRANT_HASH, ITEMS, KEYS, LABELS, S1, S2

    answers = set()

    def refused(item: masking.Item, masked: bytes, label: bytes, *, grant_hash: bytes = GRANT_HASH) -> None:
        with pytest.raises(CannotOpen) as caught:
            masking.unwrap(S1, masking.derive_half_tag(S2, item.tag), grant_hash, item, masked, label, edit=True)
        answers.add((type(caught.value), str(caught.value), caught.value.__cause__))

    def flipped(data: bytes) -> Iterator[bytes]:
        for bit in range(len(data) * 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield bytes(changed)

    for fields, masked, label in zip(ITEMS, KEYS, LABELS, strict=True):
        item = masking.Item(**fields)
        half_tag = masking.derive_half_tag(S2, item.tag)
        assert masking.unwrap(S1, half_tag, GRANT_HASH, item, masked, label, edit=True).title
        for changed in flipped(masked):
            refused(item, changed, label)
        for changed in flipped(label):
            refused(item, masked, changed)
        for other in (
            replace(item, epoch=item.epoch + 1),
            replace(item, mailbox=make_key()),
            replace(item, edition=make_key()),
            replace(item, document=make_id()),
            replace(item, tag=make_id()),
        ):
            refused(other, masked, label)
        refused(item, masked, label, grant_hash=make_key())
        refused(item, masked, LABELS[1] if label == LABELS[0] else LABELS[0])
        refused(item, KEYS[1] if masked == KEYS[0] else KEYS[0], label)
    assert len(answers) == 1


def test_whoever_opened_a_document_learns_one_mask_and_nothing_else() -> None:
    """Two people who work together: the channel key that one opened gives the other's mask for it, and no more."""
    s1, s2, grant_hash = make_key(), make_key(), make_key()
    tags, keys = masking.make_tags(3), [make_key() for _ in range(3)]
    half_tags = masking.derive_half_tags(s2, tags)
    column = masking.values(masking.mask_keys(s1, half_tags, grant_hash, tags, keys), 32)
    masks = [bytes(a ^ b for a, b in zip(*pair, strict=True)) for pair in zip(column, keys, strict=True)]
    tokens = [t for label in (masking.READ, masking.APPEND) for t in masking.derive_tokens(s1, label, half_tags, tags)]
    later = masking.make_tags(3)
    renewed = masking.mask_keys(s1, masking.derive_half_tags(s2, later), grant_hash, later, keys)
    known = [masks[0], s1, half_tags[0]]
    assert len({*masks, *tokens, *half_tags, *keys, *column, *masking.values(renewed, 32), *known}) == 3 * 7 + 1
    opened = bytes(a ^ b for a, b in zip(column[0], masks[0], strict=True))
    others = [bytes(a ^ b for a, b in zip(masked, masks[0], strict=True)) for masked in (*column[1:], renewed[:32])]
    assert opened == keys[0] and not {*others} & {*keys, *tokens, *half_tags}


# Signatures, rosters, suites, keys


def test_each_signature_under_every_other_context() -> None:
    contexts = [*TYPES, "env", "opening", "checkpoint", "receipt"]
    key, message = SigningKey.make(), b"the same bytes"
    signatures = {kind: key.sign(kind, message) for kind in contexts}
    assert len(set(signatures.values())) == len(contexts)
    for kind, other in itertools.permutations(contexts, 2):
        with pytest.raises(BadSignature):
            verify(key.public, other, message, signatures[kind])
    for kind in contexts:
        verify(key.public, kind, message, signatures[kind])


def test_a_statement_under_another_name() -> None:
    """Relabelled, a statement is no statement of that type: neither its shape nor its signature fit."""
    made = {"card": card_bytes(), "authority": make_authority("Ordre", ORDER, NOW), "roster": roster_bytes()}
    assert set(SHAPES) == set(TYPES)
    for kind, data in made.items():
        outer = Shape("statement", statement._FIELDS, 1 << 20).decode(data)
        for other, shape in SHAPES.items():
            if other == kind:
                continue
            relabelled = statement._outer(shape).encode({**outer, "type": other})
            with pytest.raises(VerificationFailed):
                read_statement(other, shape, relabelled).by(SIGNERS[kind])
    order = Shape("statement", statement._FIELDS, 1 << 20).decode(made["authority"])
    with pytest.raises(Malformed):
        certificate.read_authority(statement._outer(AUTHORITY).encode({**order, "type": "card"}))


def test_unsigned_roster_entry() -> None:
    """A device that the root key did not vouch for: added, signed by the device itself, or from another vault."""
    root, device, other = SigningKey.make(), SigningKey.make(), SigningKey.make()
    vault_id = make_id()
    first = roster.make_first(root, vault_id, device.public, BoxKey.make().public, NOW)
    assert roster.read_first(first, root.public, vault_id)
    fields = read_statement("roster", roster.ROSTER, first).fields
    added = {"id": roster.derive_device_id(other.public), "sign": other.public, "box": make_key(), "added": NOW}
    more = {**fields, "devices": [*fields["devices"], added]}
    body = roster.ROSTER.encode(more)
    unsigned = statement._outer(roster.ROSTER).encode(
        {"type": "roster", "body": body, "sig": read_statement("roster", roster.ROSTER, first).sig}
    )
    for data in (unsigned, make_statement("roster", roster.ROSTER, more, other)):
        with pytest.raises(BadSignature):
            roster.read_first(data, root.public, vault_id)
    own = make_statement("roster", roster.ROSTER, {**more, "signer": other.public}, other)
    with pytest.raises(BadSignature):
        roster.read_first(own, root.public, vault_id)
    with pytest.raises(VerificationFailed):
        roster.read_first(first, root.public, make_id())


def two_devices() -> tuple[SigningKey, SigningKey, SigningKey, roster.Roster]:
    """(root, first device, second device, the roster that has both)."""
    root, one, other = SigningKey.make(), SigningKey.make(), SigningKey.make()
    first = roster.read_first(
        roster.make_first(root, bytes(16), one.public, BoxKey.make().public, NOW), root.public, bytes(16)
    )
    added = roster.make_device(other.public, BoxKey.make().public, NOW)
    return root, one, other, roster.read_next(roster.make_next(first, one, add=[added], now=NOW), first)


def test_unsigned_roster_entry_later() -> None:
    """A statement that adds a device, by the device itself or by a stranger in the name of one that may."""
    _, one, _, before = two_devices()
    third = SigningKey.make()
    new = roster.make_device(third.public, BoxKey.make().public, NOW)
    honest = roster.make_next(before, one, add=[new], now=NOW)
    fields = read_statement("roster", roster.ROSTER, honest).fields
    for signer in (third.public, one.public):
        forged = make_statement("roster", roster.ROSTER, {**fields, "signer": signer}, third)
        with pytest.raises(BadSignature):
            roster.read_next(forged, before)
    with pytest.raises(VerificationFailed):
        roster.read_next(make_statement("roster", roster.ROSTER, {**fields, "prev": bytes(32)}, one), before)
    assert roster.read_next(honest, before).has(new.id)


def test_removed_device_comes_back() -> None:
    """Removal is for good: neither the device itself nor another one brings it back."""
    _, one, other, before = two_devices()
    gone = before.device(roster.derive_device_id(other.public))
    assert gone is not None
    after = roster.read_next(roster.make_next(before, one, remove=[gone.id], now=NOW), before)
    fields = read_statement("roster", roster.ROSTER, roster.make_next(after, one, new_epoch=True, now=NOW)).fields
    back = {**fields, "devices": [*fields["devices"], roster._entry(gone)]}
    with pytest.raises(Malformed):
        roster.read_next(make_statement("roster", roster.ROSTER, back, one), after)
    with pytest.raises(BadSignature):
        roster.read_next(make_statement("roster", roster.ROSTER, {**back, "signer": other.public}, other), after)


@pytest.mark.parametrize("suite", [0, 3, 255])
def test_unknown_or_lower_suite(suite: int) -> None:
    """Signed as it must be, under a suite that is not this one: there is nothing to negotiate."""
    from spec.vectors.make_grants import grant_fields, package_fields

    inner = signed("grant", grant_fields(), HOLDER.sign)
    odd = signed("grant", grant_fields(suite=suite), HOLDER.sign)
    root = SigningKey.make()
    first = roster.make_first(root, bytes(16), root.public, BoxKey.make().public, NOW)
    fields = read_statement("roster", roster.ROSTER, first).fields
    attempts: list[Callable[[], object]] = [
        lambda: read_card(signed("card", card_fields(DOCTOR, suite=suite), DOCTOR.sign)),
        lambda: grant.open_package(signed("package", package_fields(odd), HOLDER.sign), DOCTOR, NOW),
        lambda: grant.open_package(signed("package", package_fields(inner, suite=suite), HOLDER.sign), DOCTOR, NOW),
        lambda: certificate.read_authority(
            make_statement(
                "authority", AUTHORITY, {"suite": suite, "name": "x", "sign": ORDER.public, "made": 1}, ORDER
            )
        ),
        lambda: roster.read_first(
            make_statement("roster", roster.ROSTER, {**fields, "suite": suite}, root), root.public, bytes(16)
        ),
        lambda: primitives.need_suite(suite),
    ]
    for attempt in attempts:
        with pytest.raises(SuiteRefused):
            attempt()
    for decode, size in ((wire.Checkpoint.decode, wire.CHECKPOINT_BYTES), (wire.Receipt.decode, wire.RECEIPT_BYTES)):
        with pytest.raises(wire.WireError):
            decode(bytes([suite, 1]) + bytes(size - 2))


def test_downgrade_of_a_person(stage: Stage) -> None:
    """The owner's own signature on a card of suite 1, after one of suite 2: an old program, or a stolen key."""
    me = stage.physician.identity
    weak = replace(me, box=BoxKey.from_secret(me.box.secret))
    true = stage.person.card
    inbox = {"relay": true.relay, "relay_key": true.relay_key, "inbox": true.inbox, "deposit": true.deposit}
    for made in (true.made, true.made + 1):
        with pytest.raises(SuiteRefused):
            stage.holder.people.add(make_card(weak, now=made, **inbox))
    with pytest.raises(SuiteRefused):
        stage.mine.deposit(make_card(weak, now=true.made - 1, **inbox), [(Document(title="x"), {})])
    assert stage.holder.people.find(stage.person.id).card.kem == true.kem is not None


def test_downgrade_of_a_sealed_message(stage: Stage) -> None:
    """Sealed in another suite than its sender signed, by whoever could open it and seal it again."""
    stage.grant(stage.letter(), received=False)
    card = read_card(stage.physician.people.card())
    (message,) = stage.relay.entries(card.inbox or b"")
    inside = statement.open_statement(stage.physician.identity.box, message[1])
    assert message[1][0] == 2
    client = stage.relay.factory("holder")("http://relay.test")
    client.append(card.inbox or b"", card.deposit or b"", statement.seal_statement(card.box, inside))
    client.append(card.inbox or b"", card.deposit or b"", b"\x03" + message[1][1:])
    client.close()
    assert details(stage.pull(stage.theirs), "quarantined") == ["suite-refused"] * 2


def test_suite_below_the_rosters_minimum() -> None:
    """A vault that asks for more than this suite, or a later roster that asks for less than the one before."""
    root = SigningKey.make()
    first = roster.make_first(root, bytes(16), root.public, BoxKey.make().public, NOW)
    fields = read_statement("roster", roster.ROSTER, first).fields
    raised = make_statement("roster", roster.ROSTER, {**fields, "min_suite": 3}, root)
    with pytest.raises(SuiteRefused):
        roster.read_first(raised, root.public, bytes(16))
    before = replace(roster.read_first(first, root.public, bytes(16)), min_suite=2)
    lowered = {**fields, "prev": before.head, "count": 2}
    with pytest.raises(SuiteRefused):
        roster.read_next(make_statement("roster", roster.ROSTER, lowered, root), before)


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_low_order_keys(point: bytes) -> None:
    """A shared secret with such a key is known to everybody: nobody has it, nothing is sealed to it."""
    for attempt in (
        lambda: primitives.check_box_public(point),
        lambda: seal_to(point, b"x"),
        lambda: read_card(signed("card", card_fields(DOCTOR, box=point), DOCTOR.sign)),
    ):
        with pytest.raises(BadKey):
            attempt()


@pytest.mark.parametrize("point", [bytes([1]) + bytes(31), bytes(32), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_low_order_signature_keys(point: bytes) -> None:
    """The neutral element verifies nearly everything in a careless library."""
    for signature in (bytes(64), point + bytes(32), bytes([1]) + bytes(63)):
        with pytest.raises(BadSignature):
            verify(point, "card", b"anything", signature)


def test_signature_that_is_not_canonical() -> None:
    """S + L verifies as well in a careless library: two spellings of one signature."""
    order = 2**252 + 27742317777372353535851937790883648493
    key = SigningKey.make()
    signature = key.sign("card", b"message")
    shifted = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(BadSignature):
        verify(key.public, "card", b"message", shifted)


def card_bytes() -> bytes:
    return make_card(DOCTOR, now=NOW)


def roster_bytes() -> bytes:
    return roster.make_first(DOCTOR.sign, bytes(16), DOCTOR.sign.public, DOCTOR.box.public, NOW)


SIGNERS = {"card": DOCTOR.sign.public, "authority": ORDER.public, "roster": DOCTOR.sign.public}
SHAPES = {
    "card": CARD, "authority": AUTHORITY, "certificate": CERTIFICATE, "grant": grant.GRANT, "package": grant.PACKAGE,
    "renewal": grant.RENEWAL, "opening-statement": opening.STATEMENT, "deposit": deposit.DEPOSIT,
    "roster": roster.ROSTER, "log-head": log.HEAD, "revocations": bulletin.REVOCATIONS, "welcome": enrolment.WELCOME,
}  # fmt: skip
