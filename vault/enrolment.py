"""Two devices of one holder meet: the code, hellos, the number that people compare, and what the new device is given.

Pure: nothing here knows a relay, and only `Newcomer.furnish` a store. Normative text: spec/vault-channel.md, section 6.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vault.encoding import Shape, blob, integer, list_of, one_of, optional, text
from vault.errors import BadSignature, Malformed, WrongRecipient
from vault.hybrid import PUBLIC, check_public, derive_public, make_fresh
from vault.identity import relay_url
from vault.operation import CHAIN
from vault.primitives import (
    HYBRID,
    KEY,
    SUITE,
    BoxKey,
    SigningKey,
    check_box_public,
    derive_key,
    hash32,
    make_key,
    make_random,
    need_suite,
    open_box,
    pad,
    same,
    seal_box,
    unpad,
)
from vault.roster import derive_device_id, read_chain
from vault.statement import make_statement, open_statement, read_statement, seal_statement
from vault.store.household import HouseholdStore
from vault.store.mailboxes import MailboxStore
from vault.store.people import PeopleStore

if TYPE_CHECKING:
    from vault.devices import Admission
    from vault.store.connection import Store

CODE_PREFIX = "elpis-device:"
SECRET = 16
CODE = Shape(
    "code",
    {
        "suite": integer(0, 255),
        "relay": relay_url(),
        "relay_key": blob(KEY),
        "address": blob(KEY),
        "token": blob(KEY),
        "commit": blob(KEY),
        "key": blob(KEY),
        "secret": optional(blob(SECRET)),
    },
    limit=2000,
)
HELLO = Shape(
    "hello",
    {
        "suite": integer(0, 255),
        "role": one_of("old", "new"),
        "vault": optional(blob(16)),
        "sign": blob(KEY),
        "box": blob(KEY),
        "fresh": blob(KEY),
        "kem": optional(blob(PUBLIC)),
        "nonce": blob(KEY),
        "name": text(60),
        "proof": optional(blob(KEY)),
    },
    limit=3000,
)
TOKENS = Shape("tokens", {"address": blob(KEY), "owner": blob(KEY), "append": blob(KEY), "key": blob(KEY)})
SENDER = Shape("sender", {"device": blob(16), "seq": integer(1), "head": blob(KEY)})
WELCOME = Shape(
    "welcome",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "transcript": blob(KEY),
        "proof": optional(blob(KEY)),
        "root": blob(KEY),
        "chain": CHAIN,
        "about": Shape("about", {"name": text(200), "birth": text(40), "role": text(60), "language": text(10)}).check,
        "identity_sign": blob(KEY),
        "identity_box": blob(KEY),
        "relay": relay_url(),
        "relay_key": blob(KEY),
        "epoch": integer(1),
        "count": integer(),
        "chain_at": blob(KEY),
        "channel": TOKENS.check,
        "snapshot": TOKENS.check,
        "senders": list_of(SENDER.check, at_most=1000),
    },
    limit=900_000,
)


@dataclass(frozen=True, slots=True, repr=False)
class Code:
    """What the new device reads from the old one's screen: where they meet, and what the old one is bound to."""

    relay: str
    relay_key: bytes
    address: bytes
    token: bytes
    commit: bytes
    key: bytes
    secret: bytes | None

    def seal(self, hello: bytes) -> bytes:
        """A hello as it travels: the relay of the meeting reads no name and no key in it."""
        return seal_box(self.key, "elpis-pair-hello", pad(hello), self._aad())

    def open(self, sealed: bytes) -> bytes:
        """The hello of whoever read this code; CannotOpen or Malformed."""
        return unpad(open_box(self.key, "elpis-pair-hello", sealed, self._aad()))

    def _aad(self) -> bytes:
        return bytes([SUITE]) + b"hello\0" + self.address

    def print(self) -> str:
        names = ("relay", "relay_key", "address", "token", "commit", "key", "secret")
        data = CODE.encode({"suite": SUITE, **{name: getattr(self, name) for name in names}})
        return CODE_PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_code(line: str) -> Code:
    """A code from the line of text that it is printed as. Malformed or SuiteRefused."""
    stripped = "".join(line.split())
    if not stripped.startswith(CODE_PREFIX):
        raise Malformed("not the code of a device")
    body = stripped[len(CODE_PREFIX) :]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as failure:
        raise Malformed("not the code of a device") from failure
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != body:
        raise Malformed("not the one spelling of this code")
    fields = CODE.decode(data)
    need_suite(fields.pop("suite"))
    return Code(**fields)


@dataclass(frozen=True, slots=True, repr=False)
class Side:
    """One device in a meeting: its long keys, and keys for this meeting alone."""

    role: str
    vault: bytes | None
    sign: SigningKey
    box: BoxKey
    name: str
    fresh: BoxKey = field(default_factory=make_fresh)
    nonce: bytes = field(default_factory=make_key)

    def hello(self, *, commit: bytes = b"", secret: bytes | None = None) -> bytes:
        """Its hello; with the proof that it read the code when there is a secret and it is the new one."""
        seed = self.fresh.seed if self.role == "new" else None  # nothing is sealed to the old one
        fields = {
            "suite": HYBRID,
            "role": self.role,
            "vault": self.vault,
            "sign": self.sign.public,
            "box": self.box.public,
            "fresh": self.fresh.public,
            "kem": derive_public(seed) if seed else None,
            "nonce": self.nonce,
            "name": self.name,
            "proof": None,
        }
        if secret is not None and self.role == "new":
            fields["proof"] = _hello_proof(secret, commit, fields)
        return HELLO.encode(fields)


def _hello_proof(secret: bytes, commit: bytes, fields: Mapping[str, Any]) -> bytes:
    return derive_key(secret, "elpis-pair-proof", commit + HELLO.encode({**fields, "proof": None}))


def derive_commit(hello: bytes) -> bytes:
    return hash32(hello, "elpis-pair")


def read_hello(data: bytes, role: str) -> dict[str, Any]:
    """Malformed, SuiteRefused or BadKey; a hello of the same side reflected is Malformed."""
    fields = HELLO.decode(data)
    need_suite(fields["suite"], known=(HYBRID,))
    if fields["role"] != role or (fields["kem"] is None) != (role == "old"):
        raise Malformed("not a hello of the other side")
    if fields["kem"] is not None:
        check_public(fields["kem"])
    check_box_public(fields["fresh"])
    check_box_public(fields["box"])
    return fields


def check_new(hello: bytes, commit: bytes, secret: bytes | None) -> dict[str, Any]:
    """The new device's hello, as the old one reads it. BadSignature without the proof that the code asks for."""
    fields = read_hello(hello, "new")
    if secret is not None and not same(fields["proof"] or b"", _hello_proof(secret, commit, fields)):
        raise BadSignature("this device did not read the code")
    return fields


def check_old(hello: bytes, commit: bytes) -> dict[str, Any]:
    """The old device's hello, as the new one reads it. BadSignature when it is not what the code is bound to."""
    if not same(derive_commit(hello), commit):
        raise BadSignature("this is not the device that showed the code")
    return read_hello(hello, "old")


def derive_transcript(commit: bytes, new: bytes, old: bytes) -> bytes:
    return hash32(commit + new + old, "elpis-pair")


def derive_number(transcript: bytes) -> str:
    """Six digits, the same on both screens unless somebody stands between them."""
    return f"{int.from_bytes(hash32(b'number' + transcript, 'elpis-pair')[:8], 'big') % 1_000_000:06d}"


def make_secret() -> bytes:
    return make_random(SECRET)


def seal_welcome(
    old: Side,
    new: Mapping[str, Any],
    transcript: bytes,
    secret: bytes | None,
    given: Mapping[str, Any],
    admission: Admission,
) -> bytes:
    """Everything that the new device needs, for it alone. `given`: about, identity and relay."""
    proof = derive_key(secret, "elpis-pair-proof", transcript) if secret is not None else None
    fields = {
        "suite": HYBRID,
        "recipient": new["fresh"],
        "transcript": transcript,
        "proof": proof,
        **given,
        "chain": list(admission.chain),
        "epoch": admission.epoch,
        "count": admission.count,
        "chain_at": admission.chain_at,
        "channel": dict(admission.channel),
        "snapshot": dict(admission.snapshot),
        "senders": [dict(sender) for sender in admission.senders],
    }
    return seal_statement(new["fresh"], make_statement("welcome", WELCOME, fields, old.sign), new["kem"])


@dataclass(frozen=True, slots=True, repr=False)
class Newcomer:
    """What a new device makes its vault from."""

    fields: Mapping[str, Any]
    side: Side

    @property
    def vault_id(self) -> bytes:
        return self.side.vault or b""

    def furnish(self, store: Store) -> None:
        """The settings and keys of the new vault; documents come with the snapshot."""
        fields, keys = self.fields, MailboxStore(store)
        secrets = {
            "device-sign": self.side.sign.seed,
            "device-box": self.side.box.secret,
            "identity-sign": fields["identity_sign"],
            "identity-box": fields["identity_box"],
        }
        settings = {name: value.encode() for name, value in fields["about"].items()}
        settings |= {
            "root": fields["root"],
            "roster": fields["chain"][-1],
            "telling": fields["channel"]["address"],
        }
        settings |= {"snapshot": fields["snapshot"]["address"]}  # until it is read whole
        with store.transaction():
            for name, secret in secrets.items():
                store.run("INSERT INTO secret (name, value) VALUES (?, ?)", (name, secret))
            HouseholdStore(store).put_chain(fields["chain"])
            PeopleStore(store).put_relay(fields["relay"], fields["relay_key"], home=True)
            for kind, place in (("vault", fields["channel"]), ("snapshot", fields["snapshot"])):
                tokens = {name: place[name] for name in ("owner", "append", "key")}
                keys.add(place["address"], fields["relay"], kind, epoch=fields["epoch"], **tokens)
            keys.advance(fields["channel"]["address"], fields["count"], fields["chain_at"])
            for sender in fields["senders"]:
                keys.put_sender(fields["channel"]["address"], sender["device"], sender["seq"], sender["head"])
            # Settings last: from the one that names the channel on, every row that is written would be told.
            for name, value in settings.items():
                store.run("INSERT INTO meta (key, value) VALUES (?, ?)", (name, value))
            store.run("DELETE FROM dirty")


def open_welcome(
    side: Side, sealed: bytes, old: Mapping[str, Any], transcript: bytes, secret: bytes | None
) -> Newcomer:
    """What the old device handed over. CannotOpen, BadSignature, WrongRecipient, Malformed or as a roster reads."""
    statement = read_statement("welcome", WELCOME, open_statement(side.fresh, sealed))
    fields = dict(statement.by(old["sign"]).fields)
    need_suite(fields["suite"], known=(HYBRID,))
    if fields["recipient"] != side.fresh.public or fields["transcript"] != transcript:
        raise WrongRecipient("this was handed to another device")
    if secret is not None:
        expected = derive_key(secret, "elpis-pair-proof", transcript)
        if not same(fields["proof"] or b"", expected):
            raise BadSignature("whoever handed this over did not show the code")
    if old["vault"] is None:
        raise Malformed("the old device names no vault")
    # The first statement's root: this device has no other word for it than the old one's, which was compared.
    roster = read_chain(fields["chain"], fields["root"], old["vault"])[-1]
    here = roster.device(derive_device_id(side.sign.public))
    if here is None or (here.sign, here.box) != (side.sign.public, side.box.public):
        raise Malformed("the roster does not have this device")
    if not roster.has(derive_device_id(old["sign"])):
        raise Malformed("the roster does not have the device that shows the code")
    return Newcomer(fields, Side("new", old["vault"], side.sign, side.box, side.name, side.fresh, side.nonce))
