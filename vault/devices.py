"""The holder's devices: who they are, adding one, removing one, what a restored copy and a used recovery kit change.

Composition over the pure rules of roster.py. Normative text: spec/roster.md and spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.chunk import MAX_FIRST
from vault.encoding import Shape
from vault.errors import CannotOpen, InputRefused, Malformed, NotFound, VerificationFailed
from vault.hearing import Heard, Hearing
from vault.operation import CHAIN, NEXT, decode_operation, encode_operation
from vault.primitives import KEY, BoxKey, SigningKey, make_key, pad, seal_to, unpad
from vault.roster import (
    ROSTER,
    Device,
    Roster,
    choose,
    derive_device_id,
    derive_head,
    make_device,
    make_next,
    read_chain,
)
from vault.statement import read_statement
from vault.store.household import HouseholdStore
from vault.store.mailboxes import Mailbox, MailboxStore
from vault.store.outbox import OutboxStore

if TYPE_CHECKING:
    from vault.recovery import RecoveryKit
    from vault.vault import Vault

ANEW = "anew"  # a setting: accesses are still to be given anew after a turn
RETIRED = "retired"  # a setting: "removed", or "closed" by the holder with the whole vault on another device
DOUBTFUL = "doubtful"  # a setting: accesses that a device gave which was removed before they came
TURNED = "turned"  # a setting: head of the statement that the channel was made for
PASSED = "passed"  # a setting: the channel in which a turn came that does not hold against one of this device
LEFT = "left:"  # a setting for each channel that a turn ended: since when
READ_ON = 90 * 86_400  # seconds in which a turn that holds against the first one may still come into its log
BEHIND = "behind"  # a setting: this copy was put back and has to read the log before it tells anything
NAME = 60
# A setting "heard": the last chain that did not hold.
HEARD = Shape("heard", {"chain": CHAIN}, limit=MAX_FIRST)


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """A device as people see it. `restored_from`: the device that it was before a copy was put back, or ""."""

    id: str
    name: str
    added: int
    this: bool
    restored_from: str


@dataclass(frozen=True, slots=True, repr=False)
class Admission:
    """What a new device is given: the roster with it, the channel and where in it, and the mailbox of the snapshot."""

    chain: tuple[bytes, ...]
    epoch: int
    count: int
    chain_at: bytes
    channel: Mapping[str, bytes]
    snapshot: Mapping[str, bytes]
    senders: tuple[Mapping[str, Any], ...]


class Devices:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._journal = HouseholdStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._outbox = OutboxStore(vault.store)
        self._read: Roster | None = None

    # Who they are

    def chain(self) -> list[bytes]:
        return self._journal.chain()

    def roster(self) -> Roster:
        """The newest statement, its whole chain checked."""
        if self._read is None or self._read.head != self._vault.roster_head:
            self._read = self._rosters(self.chain())[-1]
        return self._read

    def _rosters(self, chain: Sequence[bytes]) -> tuple[Roster, ...]:
        if not chain:
            raise Malformed("this vault has no roster")
        return read_chain(chain, self.anchor(), self._vault.vault_id)

    def retired(self) -> str:
        """Why this device takes no part any more: "removed", or "closed" with the whole vault; "" when it does."""
        return self._vault.meta(RETIRED)

    def anchor(self) -> bytes:
        """The root that signed the first statement: what every other chain must begin with."""
        root: bytes = read_statement("roster", ROSTER, self.chain()[0]).fields["root"]
        return root

    def all(self) -> tuple[DeviceLine, ...]:
        me = self._vault.device_id
        return tuple(self._line(device, me) for device in self.roster().devices)

    def _line(self, device: Device, me: bytes) -> DeviceLine:
        name, _, before = self._vault.meta(f"device:{device.id.hex()}").partition("\n")
        return DeviceLine(device.id.hex(), name, device.added, device.id == me, before)

    def name(self, device_id: bytes) -> str:
        return self._vault.meta(f"device:{device_id.hex()}").partition("\n")[0]

    def set_name(self, name: str, device_id: bytes | None = None, *, restored_from: bytes = b"") -> None:
        of = (device_id or self._vault.device_id).hex()
        plain = " ".join(name.split())[:NAME]
        self._vault.set_meta(f"device:{of}", plain + (f"\n{restored_from.hex()}" if restored_from else ""))

    def find(self, prefix: str) -> DeviceLine:
        """By name or by the beginning of its id."""
        low = prefix.strip().casefold()
        fitting = [one for one in self.all() if one.name.casefold() == low and low]
        fitting = fitting or [one for one in self.all() if len(low) >= 4 and one.id.startswith(low)]
        if len(fitting) != 1:
            raise NotFound(f"{len(fitting)} devices fit {prefix!r}", wanted=prefix, count=len(fitting))
        return fitting[0]

    # Adding one

    def admit(self, sign: bytes, box: bytes, name: str) -> Admission:
        """Take a device in, and queue everything for it. InputRefused without a relay, or while something waits here:
        what is handed over must be in the log."""
        home = self._vault.people.relay()
        if home is None:
            raise InputRefused("no relay is remembered yet", hint="run `elpis sync --relay URL` once")
        self._need_part()
        device = make_device(sign, box, self._now())
        with self._store.transaction():
            telling = self._vault.telling
            if not telling.active:
                telling.move_to(self._make_channel(home[0], self.roster().epoch))
            elif self._journal.waiting(telling.address) or self._vault.meta(BEHIND):
                raise InputRefused("something of this device is not sent yet", hint="run `elpis sync`, then try again")
            self._say(make_next(self.roster(), self._key(), add=[device], now=self._now()))
            self.set_name(name, device.id)
            telling.collect()  # its name first: that is how the others report it
            telling.tell("roster", {"chain": self.chain()})
            channel = telling.channel()
            if channel is None:
                raise NotFound("the vault's channel is gone")
            snapshot = self._snapshot(home[0], channel.epoch)
            known = self._mailboxes.senders(channel.address).items()
            return Admission(
                chain=tuple(self.chain()),
                epoch=channel.epoch,
                count=channel.count,
                chain_at=channel.chain,
                channel=_tokens(channel),
                snapshot=_tokens(snapshot),
                senders=tuple({"device": sender, "seq": seq, "head": head} for sender, (seq, head) in known),
            )

    def _make_channel(self, relay: str, epoch: int, *, snapshot: bool = False) -> bytes:
        address, owner, append, key = make_key(), make_key(), make_key(), make_key()
        kind = "snapshot" if snapshot else "vault"
        self._mailboxes.add(address, relay, kind, owner=owner, append=append, key=key, epoch=epoch)
        tokens = [{"token": append, "right": "append", "until": None}]
        self._outbox.queue(relay, "create_mailbox", address, {"owner": owner, "tokens": tokens})
        return address

    def _snapshot(self, relay: str, epoch: int) -> Mailbox:
        """Everything, into a mailbox of its own."""
        address = self._make_channel(relay, epoch, snapshot=True)
        self._mailboxes.set_state(address, "sending")
        telling = self._vault.telling
        for document_id in self._vault.documents.ids():
            telling.files_of(document_id)
        telling.everything_into(address)
        telling.tell("end", {}, mailbox=address)
        return self._need(address)

    # Removing one, and other turns

    def remove(self, device_id: str) -> None:
        """From now on this device is none of the holder's: the vault goes to its next epoch without it."""
        self._need_part()
        wanted = bytes.fromhex(device_id)
        if not self.roster().has(wanted):
            raise NotFound("no such device", wanted=device_id)
        if wanted == self._vault.device_id:
            raise InputRefused("this is the device that you are using", hint="remove it from another one")
        self._turn(make_next(self.roster(), self._key(), remove=[wanted], now=self._now()))
        self.settle()
        Hearing(self._vault).rescue(wanted)

    def _turn(self, statement: bytes, *, introduces: bool = False) -> None:
        """The vault's next epoch: a new channel for those who stay, a new inbox, tokens and accesses. `introduces`:
        this device is in no statement before it."""
        home = self._vault.people.relay()
        telling = self._vault.telling
        with self._store.transaction():
            self._say(statement)
            if home is None:
                return
            if telling.active:
                roster = self.roster()
                address = self._make_channel(home[0], roster.epoch)
                following = self._need(address)
                boxes = [self._box(device, following) for device in roster.devices]
                if introduces:
                    self._introduce()
                telling.tell("turn", {"chain": self.chain(), "epoch": roster.epoch, "boxes": boxes})
                self._vault.set_meta(TURNED, derive_head(statement))
                telling.move_to(address)  # nothing that comes after this may be told where the others still read
                for sealed, relay, file, owner, old, _ in self._journal.files():
                    token = make_key()
                    fresh = {"token": token, "right": "read", "until": None}
                    arguments = {"owner": owner, "add": [fresh], "remove": [old]}
                    self._outbox.queue(relay, "change_blob_tokens", file, arguments)
                    self._journal.set_file_token(sealed, token)
            self._vault.people.renew_inbox()
            self._vault.set_meta(ANEW, "1")

    def settle(self) -> None:
        """What other devices' epochs and a turn left to do. A crash only puts it off until the next exchange."""
        for document, lost in self._journal.owed():
            with self._store.transaction():
                self._vault.sharing.reconcile(document.hex(), lost=lost)
                self._journal.paid(document)
        if self._vault.meta(ANEW):
            self._vault.sharing.give_anew()
            self._vault.set_meta(ANEW, "")
        for number in self._vault.meta(DOUBTFUL).split():
            with suppress(InputRefused, NotFound):  # it ended by itself
                self._vault.sharing.revoke(number)
        if self._vault.meta(DOUBTFUL):
            self._vault.set_meta(DOUBTFUL, "")

    def doubt(self, number: str) -> None:
        """An access that a device gave which this one has removed already: it ends with the next exchange."""
        self._vault.set_meta(DOUBTFUL, f"{self._vault.meta(DOUBTFUL)} {number}")

    def _box(self, device: Device, channel: Mailbox) -> dict[str, Any]:
        fields = {"vault": self._vault.vault_id, "device": device.id, "epoch": channel.epoch, **_tokens(channel)}
        return {"device": device.id, "sealed": seal_to(device.box, pad(NEXT.encode(fields)))}

    def take_turn(self, mailbox: Mailbox, fields: Mapping[str, Any]) -> list[Heard]:
        """A turn in its place of the log. Nothing happens when another chain holds; a removed device stops here."""
        heard = self.consider(fields["chain"])
        if self.chain()[: len(fields["chain"])] != fields["chain"]:
            self._pass(mailbox, fields["chain"])
            return heard
        mine = [(one, box) for one, box in self._selves() if self.roster().has(one)]
        if not mine:
            self._stop(mailbox)
            return heard
        current = self._vault.telling.channel()
        if current is not None and current.epoch > fields["epoch"] and self._on_chain():
            return heard
        sealed = {box["device"]: box["sealed"] for box in fields["boxes"]}
        for device, box in mine:
            if device in sealed:
                tokens = NEXT.decode(unpad(box.open(sealed[device])))
                if (tokens["vault"], tokens["device"]) != (self._vault.vault_id, device):
                    raise VerificationFailed("this box was made for another device")
                self._go_to(mailbox, tokens, derive_head(fields["chain"][-1]))
                return heard
        raise Malformed("a turn without a box for this device")

    def _pass(self, mailbox: Mailbox, chain: Sequence[bytes]) -> None:
        """A turn that will not hold against this device's, but does for everybody else until that one's place."""
        waiting = self._journal.own_act(mailbox.address)
        if waiting is not None and waiting.kind == "turn":
            before = decode_operation(waiting.kind, waiting.body)["chain"][:-1]
            if list(choose(before, chain, self.anchor(), self._vault.vault_id)) == list(chain):
                self._vault.set_meta(PASSED, mailbox.address)

    def is_left(self, mailbox: Mailbox) -> bool:
        """Whether a turn came into this log: nothing but the roster counts in it any more."""
        return mailbox.state == "closing" or self._vault.meta_bytes(PASSED) == mailbox.address

    def in_log(self, mailbox: bytes, device: bytes) -> Device | None:
        """A device by the roster as it is in the log: what this one did itself counts from its own place there on."""
        waiting = self._journal.own_act(mailbox)
        if waiting is not None:
            chain, ours = decode_operation(waiting.kind, waiting.body)["chain"], self.chain()
            if 1 < len(chain) <= len(ours) and ours[: len(chain)] == chain:
                there = self._in_log(ours[: len(chain) - 1]).device(device)
                return there or self.roster().device(device)
        return self.roster().device(device)

    def _in_log(self, before: list[bytes]) -> Roster:
        """The roster after `before` and what others did to it since, which does not hold against this device's act."""
        heard = HEARD.decode(data)["chain"] if (data := self._vault.meta_bytes("heard")) else before
        return self._rosters(choose(before, heard, self.anchor(), self._vault.vault_id))[-1]

    def was(self, device: bytes) -> bool:
        """Whether this device had that id before it got new keys."""
        return device != self._vault.device_id and any(device == one for one, _ in self._selves())

    def _selves(self) -> list[tuple[bytes, BoxKey]]:
        """The device that this is, and those that it was before copies were put back or kits used, newest first."""
        boxes = [BoxKey.from_secret(secret) for secret in self._secrets("device-box")]
        return [(derive_device_id(sign.public), box) for sign, box in zip(self._keys(), boxes, strict=True)]

    def _on_chain(self) -> bool:
        """Whether the channel that this device is in belongs to the chain that holds."""
        head = self._vault.meta_bytes(TURNED)
        return not head or any(derive_head(statement) == head for statement in self.chain())

    def _go_to(self, mailbox: Mailbox, tokens: Mapping[str, Any], head: bytes) -> None:
        """From here on the vault's channel is the next one."""
        telling, current = self._vault.telling, self._vault.telling.address
        given = {name: tokens[name] for name in ("owner", "append", "key")}
        self._mailboxes.add(tokens["address"], mailbox.relay, "vault", epoch=tokens["epoch"], **given)
        self._leave(mailbox.address)
        self._vault.set_meta(TURNED, head)
        self._journal.retell(mailbox.address, tokens["address"])
        if tokens["address"] == current:
            return
        if current != mailbox.address:
            # It had gone to a channel whose turn lost, or stopped for one: what was told there is told anew.
            self._leave(current)
            self._journal.forget(current)
            self._journal.take_out(mailbox.epoch, self._vault.device_id)
            telling.everything_into(tokens["address"], again=True)
            self._vault.set_meta(BEHIND, "1")  # what was told there meanwhile is newer
        telling.move_to(tokens["address"])

    def _leave(self, address: bytes) -> None:
        self._mailboxes.set_state(address, "closing")
        if address and not self._vault.meta(f"{LEFT}{address.hex()}"):
            self._vault.set_meta(f"{LEFT}{address.hex()}", str(self._now()))

    def is_over(self, address: bytes) -> bool:
        """Whether nothing that counts can come into a former channel any more."""
        since = self._vault.meta(f"{LEFT}{address.hex()}")
        return not since or self._now() > int(since) + READ_ON

    def _stop(self, mailbox: Mailbox) -> None:
        """This device was removed: it keeps what it has and tells nobody. It reads this log on: the turn that removed
        it may be the one that does not hold."""
        self._journal.forget(mailbox.address)
        self._vault.telling.move_to(b"")

    # The end of the whole vault

    def say_end(self) -> bool:
        """Queue the last word to the other devices: the holder closes the vault. False when there are none."""
        if not self._vault.telling.active or len(self.roster().devices) < 2:
            return False
        self._vault.telling.tell("end", {})
        return True

    def closed(self) -> list[Heard]:
        """Another device closed the vault: this one keeps its copy until it is closed too, and exchanges nothing."""
        with self._store.transaction():
            self._vault.set_meta(RETIRED, "closed")
            self._vault.telling.move_to(b"")
        return [Heard("vault-closed")]

    # Other chains

    def consider(self, chain: Sequence[bytes]) -> list[Heard]:
        """Another device's roster. When it holds, it is taken; what this device did in a chain that does not hold is
        done again."""
        ours = self.chain()
        held = list(choose(ours, chain, self.anchor(), self._vault.vault_id))
        if held == ours:
            if ours[: len(chain)] != list(chain):
                self._vault.set_meta("heard", HEARD.encode({"chain": list(chain)}))
            return []
        before, roster = self.roster(), read_chain(held, self.anchor(), self._vault.vault_id)[-1]
        lost = self._own_acts(ours, held)
        if self.retired() != "closed":
            here = any(roster.has(one) for one, _ in self._selves())
            self._vault.set_meta(RETIRED, "" if here else "removed")
        self._journal.put_chain(held)
        self._vault.set_meta("roster", held[-1])
        self._vault.set_meta("root", roster.root)
        self._do_again(roster, *lost, before.min_suite)
        used = [Heard("recovery-used")] if roster.root != before.root else []
        return [
            *used,
            *(self._heard("device-added", one) for one in roster.devices if not before.has(one.id)),
            *(self._heard("device-removed", one) for one in before.devices if not roster.has(one.id)),
        ]

    def _heard(self, kind: str, device: Device) -> Heard:
        if kind == "device-removed" and device.id == self._vault.device_id and self.retired():
            kind = "removed-here"
        return Heard(kind, self.name(device.id), detail=device.id.hex())

    def _own_acts(self, ours: Sequence[bytes], held: Sequence[bytes]) -> tuple[list[Device], list[bytes]]:
        """(devices that this one added, ids that it removed) in statements that do not hold."""
        signs = {key.public for key in self._keys()}
        rosters = self._rosters(ours)
        added: list[Device] = []
        removed: list[bytes] = []
        for at in range(1, len(ours)):
            if at < len(held) and held[at] == ours[at]:
                continue
            if rosters[at].signer in signs:
                added += [one for one in rosters[at].devices if not rosters[at - 1].has(one.id)]
                removed += [one.id for one in rosters[at - 1].devices if not rosters[at].has(one.id)]
        return [one for one in added if one.id not in removed], removed

    def _do_again(self, roster: Roster, added: Iterable[Device], removed: Iterable[bytes], min_suite: int) -> None:
        key = self._key_in(roster)
        if key is None:
            return
        coming = [one for one in added if not roster.has(one.id) and one.id not in roster.gone]
        leaving = [one for one in removed if roster.has(one)]
        if coming or leaving or min_suite > roster.min_suite:
            statement = make_next(roster, key, add=coming, remove=leaving, min_suite=min_suite, now=self._now())
            unknown = not roster.has(self._vault.device_id)
            if leaving:
                self._turn(statement, introduces=unknown)
                return
            self._say(statement)
            if unknown and self._vault.telling.active:
                self._introduce()
            else:
                self._vault.telling.tell("roster", {"chain": self.chain()})

    # A copy that was put back, a recovery kit that was used

    def put_back(self) -> None:
        """This copy may have gone on elsewhere: it is another device from now on, and says so in the roster."""
        old = self._key()
        roster = self.roster()
        if not roster.has(derive_device_id(old.public)):
            self._new_keys()  # it was removed meanwhile, or never in it: nobody would listen
            return
        with self._store.transaction():
            name = self.name(derive_device_id(old.public))
            device = self._new_keys()
            alone = len(roster.devices) == 1
            leaving = [derive_device_id(old.public)] if alone else []
            self._say(make_next(roster, old, add=[device], remove=leaving, now=self._now()))
            self.set_name(name, device.id, restored_from=derive_device_id(old.public))
            if self._vault.telling.active:
                self._vault.set_meta(BEHIND, "1")
                self._introduce()

    def recovered(self, kit: RecoveryKit, deliver: Callable[[RecoveryKit], object] | None = None) -> RecoveryKit:
        """After the kit opened this vault: new device keys, a new kit and root, a new epoch; every device is told."""
        root, roster = kit.root_key(), self.roster()
        by = root if root.public == roster.root else self._key()
        old, name = self._vault.device_id, self.name(self._vault.device_id)
        with self._store.transaction():
            fresh = self._vault.renew_kit(deliver)
            device = self._new_keys()
            leaving = [old] if roster.has(old) else []
            self.set_name(name, device.id)
            self._vault.set_meta(RETIRED, "")
            root = fresh.root_key()
            statement = make_next(
                roster, by, add=[device], remove=leaving, root=root.public, new_epoch=True, now=self._now()
            )
            self._turn(statement, introduces=True)
        self.settle()
        return fresh

    def new_root(self, root: bytes) -> None:
        """Another recovery kit: its root vouches from now on."""
        self._say(make_next(self.roster(), self._key(), root=root, now=self._now()))
        self._vault.telling.tell("roster", {"chain": self.chain()})

    def require_suite(self, suite: int) -> None:
        """From now on nothing is sealed by this vault, or taken from its inbox, in a lesser suite; never taken back.

        InputRefused while an active access goes to somebody who has less.
        """
        self._need_part()
        for grant in self._vault.sharing.grants():
            card = self._vault.people.card_of(bytes.fromhex(grant.person_id)) if grant.state == "active" else None
            if card is not None and card.suite < suite:
                raise InputRefused("an access goes to somebody with a lesser suite", person=grant.person)
        if suite > self.roster().min_suite:
            with self._store.transaction():
                self._say(make_next(self.roster(), self._key(), min_suite=suite, now=self._now()))
                self._vault.telling.tell("roster", {"chain": self.chain()})

    # Inside

    def _need_part(self) -> None:
        if self.retired():
            raise InputRefused("this device takes no part any more", hint="Another of your devices decides that now.")

    def _introduce(self) -> None:
        """With new keys this device is somebody else: wherever something waits, its roster comes first, and what the
        former one sealed is sealed again."""
        for address in {*self._journal.told_mailboxes(), self._vault.telling.address}:
            self._journal.unseal(address)
            self._journal.tell_first(address, "roster", encode_operation("roster", {"chain": self.chain()}))

    def _new_keys(self) -> Device:
        """Keys of a new device, in place of the old ones; what was sealed to the old box can still be opened."""
        keyring, sign, box = self._vault.keyring, SigningKey.make(), BoxKey.make()
        self._journal.take_over(self._vault.device_id, derive_device_id(sign.public))
        for name in ("device-sign", "device-box"):
            keyring.put(f"{name}-before", b"".join(self._secrets(name)))
        keyring.put("device-sign", sign.seed)
        keyring.put("device-box", box.secret)
        return make_device(sign.public, box.public, self._now())

    def _say(self, statement: bytes) -> None:
        """Our next statement."""
        self._journal.put_chain([*self.chain(), statement])
        self._vault.set_meta("roster", statement)
        self._vault.set_meta("root", self.roster().root)

    def _key(self) -> SigningKey:
        return SigningKey.from_seed(self._vault.keyring.need("device-sign"))

    def _keys(self) -> list[SigningKey]:
        """This device's key, and those of the devices that it was, newest first."""
        return [SigningKey.from_seed(seed) for seed in self._secrets("device-sign")]

    def _secrets(self, name: str) -> list[bytes]:
        before = self._vault.keyring.get(f"{name}-before") or b""
        return [self._vault.keyring.need(name), *(before[at : at + KEY] for at in range(0, len(before), KEY))]

    def _key_in(self, roster: Roster) -> SigningKey | None:
        signs = {device.sign for device in roster.devices}
        return next((key for key in self._keys() if key.public in signs), None)

    def _need(self, address: bytes) -> Mailbox:
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is None:
            raise NotFound("no such mailbox")
        return mailbox

    def _now(self) -> int:
        return int(self._vault.clock())


def _tokens(mailbox: Mailbox) -> dict[str, bytes]:
    found = {name: getattr(mailbox, name) for name in ("address", "owner", "append", "key")}
    if not all(found.values()):
        raise CannotOpen("a mailbox of this vault without its tokens")
    return found
