"""A new device: the two devices meet in a temporary mailbox at the relay of the one that is there.

The old device shows a code; both show a number that their holder compares; then the old one hands everything over.
Normative text: spec/vault-channel.md, section 6.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sync.client import RelayClient, RelayRefused, Seen, Token, Watch, follow
from sync.exchange import Exchange
from vault import enrolment
from vault.enrolment import Code, Newcomer, Side
from vault.errors import InputRefused, NotFound, VerificationFailed
from vault.primitives import BoxKey, SigningKey, make_key, same
from vault.vault import Vault

PENDING = "pairing"  # in the keyring: the meeting that the old device has begun
LIFETIME = 3600
REFUSED = b"refused"
WAIT = 25


@dataclass(frozen=True, slots=True, repr=False)
class Meeting:
    """What the old device remembers of a meeting between its steps. `taken`: the new device's hello, once one came."""

    code: Code
    owner: bytes
    side: Side
    begun: int
    taken: bytes = b""

    def read(self) -> dict[str, Any]:
        return enrolment.check_new(self.taken, self.code.commit, self.code.secret)

    def transcript(self) -> bytes:
        return enrolment.derive_transcript(self.code.commit, self.taken, self.side.hello())


class Host:
    """The old device's part: `begin`, then `number` once the new one came, then `admit` with what the holder typed."""

    def __init__(
        self, vault: Vault, exchange: Exchange, client_factory: Callable[..., RelayClient] = RelayClient
    ) -> None:
        self._vault = vault
        self._exchange = exchange
        self._factory = client_factory

    def begin(self, *, secret: bool = False) -> Code:
        """A new meeting in place of any other. InputRefused without a relay."""
        home = self._vault.people.relay()
        if home is None:
            raise InputRefused("no relay is remembered yet", hint="run `elpis sync --relay URL` once")
        side = self._side(BoxKey.make(), make_key())
        address, owner = make_key(), make_key()
        key = enrolment.make_secret() if secret else None
        code = Code(home[0], home[1], address, owner, enrolment.derive_commit(side.hello()), make_key(), key)
        with self._client(code) as client:
            client.create_mailbox(address, owner, [Token(owner, "append")])
        self._remember(Meeting(code, owner, side, int(self._vault.clock())))
        return code

    def number(self, *, wait: float = 0) -> str:
        """The number to compare, once the new device came within `wait` seconds; "" when nobody came. The first one
        who comes is the one: a second hello is another device's."""
        meeting = self._meeting()
        with self._client(meeting.code) as client:
            messages = _messages(client, meeting.code, 1, wait)
            if not messages:
                return ""
            if not meeting.taken:
                meeting = replace(meeting, taken=meeting.code.open(messages[0]))
                meeting.read()
                # Before the own hello leaves: whoever has seen that one could search for one that fits the number.
                self._remember(meeting)
            if len(messages) == 1:
                client.append(meeting.code.address, meeting.owner, meeting.code.seal(meeting.side.hello()))
            return enrolment.derive_number(meeting.transcript())

    def admit(self, number: str | None) -> str:
        """Hand everything over, when the number is the one that was typed; its new device's name. With a secret in the
        code there is nothing to type. VerificationFailed ends the meeting."""
        meeting = self._meeting()
        with self._client(meeting.code) as client:
            if not meeting.taken:
                raise NotFound("no device has come yet")
            new, transcript = meeting.read(), meeting.transcript()
            typed = "".join((number or "").split())
            if meeting.code.secret is None and not same(typed.encode(), enrolment.derive_number(transcript).encode()):
                self._forget(client, meeting)
                raise VerificationFailed("the number is not the same: somebody may stand between the devices")
            self._exchange.sync()
            self._exchange.sync()  # what was sent is read back: the snapshot stands where the log stands
            admission = self._vault.devices.admit(new["sign"], new["box"], new["name"])
            welcome = enrolment.seal_welcome(
                meeting.side, new, transcript, meeting.code.secret, self._given(meeting.code), admission
            )
            client.append(meeting.code.address, meeting.owner, welcome)
        self._vault.keyring.drop(PENDING)
        self._exchange.push()
        return str(new["name"])

    def _given(self, code: Code) -> dict[str, object]:
        vault, me = self._vault, self._vault.identity
        about = {name: vault.meta(name) for name in ("name", "birth", "role", "language")}
        first = vault.devices.anchor()
        return {
            "root": first,
            "about": about,
            "identity_sign": me.sign.seed,
            "identity_box": me.box.secret,
            "relay": code.relay,
            "relay_key": code.relay_key,
        }

    def _side(self, fresh: BoxKey, nonce: bytes) -> Side:
        keyring, vault = self._vault.keyring, self._vault
        sign, box = SigningKey.from_seed(keyring.need("device-sign")), BoxKey.from_secret(keyring.need("device-box"))
        return Side("old", vault.vault_id, sign, box, "", fresh, nonce)  # its name comes with the snapshot, sealed

    def _remember(self, meeting: Meeting) -> None:
        kept = {
            "code": meeting.code.print(),
            "owner": meeting.owner.hex(),
            "fresh": meeting.side.fresh.secret.hex(),
            "nonce": meeting.side.nonce.hex(),
            "begun": meeting.begun,
            "taken": meeting.taken.hex(),
        }
        self._vault.keyring.put(PENDING, json.dumps(kept).encode())

    def _meeting(self) -> Meeting:
        data = self._vault.keyring.get(PENDING)
        if data is None:
            raise NotFound("no device is being added", hint="`elpis device add` shows a code")
        kept = json.loads(data)
        if int(self._vault.clock()) > kept["begun"] + LIFETIME:
            self._vault.keyring.drop(PENDING)
            raise NotFound("the code is too old", hint="`elpis device add` shows another one")
        side = self._side(BoxKey.from_secret(bytes.fromhex(kept["fresh"])), bytes.fromhex(kept["nonce"]))
        owner, taken = bytes.fromhex(kept["owner"]), bytes.fromhex(kept.get("taken", ""))
        return Meeting(enrolment.read_code(kept["code"]), owner, side, kept["begun"], taken)

    def _forget(self, client: RelayClient, meeting: Meeting) -> None:
        """The meeting is over: the other side reads that nothing is handed over."""
        self._vault.keyring.drop(PENDING)
        client.append(meeting.code.address, meeting.owner, REFUSED)
        client.close_mailbox(meeting.code.address, meeting.owner, False)

    def _client(self, code: Code) -> RelayClient:
        return self._factory(code.relay, verify_key=code.relay_key)


class Guest:
    """The new device's part: `number` to show, then `join` once the old device took it."""

    def __init__(self, code: str, name: str, client_factory: Callable[..., RelayClient] = RelayClient) -> None:
        self._code = enrolment.read_code(code)
        self._side = Side("new", None, SigningKey.make(), BoxKey.make(), " ".join(name.split())[:60])
        self._hello = self._side.hello(commit=self._code.commit, secret=self._code.secret)
        self._sealed = self._code.seal(self._hello)
        self._factory = client_factory
        self._old = b""

    @property
    def must_compare(self) -> bool:
        """Whether people compare a number; not when the code carried a secret."""
        return self._code.secret is None

    def number(self, *, wait: float) -> str:
        """Say hello and wait for the other's: the number to show. NotFound when nobody answers in time."""
        with self._client() as client:
            client.append(self._code.address, self._code.token, self._sealed)
            messages = _messages(client, self._code, 2, wait)
        if len(messages) < 2:
            raise NotFound("the other device does not answer", hint="run `elpis device add` there, and keep it open")
        if messages[0] != self._sealed:
            raise VerificationFailed("another device came first", hint="begin again with a new code")
        self._old = self._code.open(messages[1])
        enrolment.check_old(self._old, self._code.commit)
        return enrolment.derive_number(self._transcript())

    def welcome(self, *, wait: float) -> Newcomer:
        """What the old device hands over, once its holder has taken the number."""
        with self._client() as client:
            messages = _messages(client, self._code, 3, wait)
            if len(messages) < 3:
                raise NotFound("the other device has not taken the number", hint="begin again with a new code")
            if messages[2] == REFUSED:
                raise VerificationFailed("the other device did not take the number", hint="begin again with a new code")
            old = enrolment.check_old(self._old, self._code.commit)
            newcomer = enrolment.open_welcome(self._side, messages[2], old, self._transcript(), self._code.secret)
            client.close_mailbox(self._code.address, self._code.token, True)
        return newcomer

    def join(self, path: Path, newcomer: Newcomer, passphrase: str, **options: object) -> Vault:
        """The new device's own vault, empty until its first exchanges."""
        return Vault.join(path, newcomer, passphrase=passphrase, **options)  # type: ignore[arg-type]

    def _transcript(self) -> bytes:
        return enrolment.derive_transcript(self._code.commit, self._hello, self._old)

    def _client(self) -> RelayClient:
        return self._factory(self._code.relay, verify_key=self._code.relay_key)


def _messages(client: RelayClient, code: Code, count: int, wait: float) -> list[bytes]:
    """What lies in the meeting's mailbox, once there are `count` messages or the time is over."""
    end = time.monotonic() + wait
    while True:
        try:
            messages, checkpoint = client.messages(code.address, code.token)
        except RelayRefused as refusal:
            if refusal.status in (403, 404, 410):
                raise NotFound("this meeting is over", hint="`elpis device add` shows another code") from refusal
            raise
        follow(Seen(), messages, checkpoint)
        left = end - time.monotonic()
        if len(messages) >= count or left <= 0:
            return [message.body for message in messages]
        watch = Watch("mailbox", code.address, code.token, len(messages))
        client.wait([watch], max(1, min(WAIT, int(left))))
