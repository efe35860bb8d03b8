"""The holder's devices: who they are, adding one, removing one, what a restored copy and a used recovery kit change.

Normative text: spec/roster.md and spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.errors import CannotOpen, InputRefused, NotFound
from vault.heard import Heard
from vault.hearing import Hearing
from vault.membership import BEHIND, Membership
from vault.operation import encode_operation, seal_next
from vault.primitives import BoxKey, SigningKey, make_key
from vault.record import RETIRED
from vault.roster import Device, derive_device_id, derive_head, make_device, make_next
from vault.store.mailboxes import Mailbox

if TYPE_CHECKING:
    from vault.recovery import RecoveryKit

ANEW = "anew"  # a setting: accesses are still to be given anew after a turn
DOUBTFUL = "doubtful"  # a setting: accesses that a device gave which was removed before they came
NAME = 60


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


class Devices(Membership):
    """What the holder does with them."""

    # Who they are

    def joined(self) -> bool:
        """Whether another device made this vault and handed it over: no kit opens this folder then."""
        first = self._rosters(self.chain())[0].devices[0].id
        return first not in {device for device, _ in self._selves()}

    def all(self) -> tuple[DeviceLine, ...]:
        me = self._vault.device_id
        return tuple(self._line(device, me) for device in self.roster().devices)

    def _line(self, device: Device, me: bytes) -> DeviceLine:
        name, _, before = self._vault.meta(f"device:{device.id.hex()}").partition("\n")
        return DeviceLine(device.id.hex(), name, device.added, device.id == me, before)

    def set_name(self, name: str, device_id: bytes | None = None, *, restored_from: bytes = b"") -> None:
        of = (device_id or self._vault.device_id).hex()
        plain = " ".join(name.split())[:NAME]
        self._vault.set_meta(f"device:{of}", plain + (f"\n{restored_from.hex()}" if restored_from else ""))

    def outranks(self, device_id: str) -> bool:
        """Whether that device stands before this one: in other hands, it could undo its removal by this one."""
        order = [device.id.hex() for device in self.roster().devices]
        return self._vault.device_id.hex() in order[order.index(device_id) :]

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
                self._begin()
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

    def remove(self, device_id: str, kit: RecoveryKit | None = None) -> None:
        """From now on this device is none of the holder's: the vault goes to its next epoch without it.

        With the kit its root signs the removal, which holds against whatever the device signs, its own removal of this
        one included. InputRefused for a kit that was replaced, or used elsewhere since this device was removed.
        """
        root = kit.root_key() if kit else None
        if root is None:
            self._need_part()
        chain, returns = self._before_removal(root)
        roster, wanted = self._rosters(chain)[-1], bytes.fromhex(device_id)
        if not roster.has(wanted):
            raise NotFound("no such device", wanted=device_id)
        if wanted == self._vault.device_id:
            raise InputRefused("this is the device that you are using", hint="remove it from another one")
        if root is not None and root.public != roster.root:
            raise InputRefused("this recovery kit was replaced by another one", hint="Use the newest kit.")
        with self._store.transaction():
            self._follow_on(chain)
            statement = make_next(roster, root or self._key(), remove=[wanted], now=self._now())
            self._turn(statement, returns=returns)
            if self._histories().held() != self.chain():
                raise InputRefused(
                    "an older device removed this one at the same time",
                    hint="With the recovery kit at hand it holds: elpis device remove DEVICE --kit FILE.",
                )
        self.settle()
        Hearing(self._vault).rescue(wanted)

    def _turn(self, statement: bytes, *, introduces: bool = False, returns: bool = False) -> None:
        """The vault's next epoch: a new channel for those who stay, a new inbox, tokens and accesses. `introduces`:
        this device is in no statement before it. `returns`: it was removed, and tells in the last log that it knows.
        """
        telling = self._vault.telling
        with self._store.transaction():
            self._begin()
            self._say(statement)
            if returns and (path := self._logs.lead(self.chain())):
                telling.move_to(path[-1])
            if (channel := telling.channel()) is not None:
                roster = self.roster()
                address = self._make_channel(channel.relay, roster.epoch)  # where the others look for it
                following = self._need(address)
                boxes = [self._box(device, following) for device in roster.devices]
                if introduces:
                    self._introduce()
                telling.tell("turn", {"chain": self.chain(), "epoch": roster.epoch, "boxes": boxes})
                self._logs.add(derive_head(statement), address)
                self._logs.lead(self.chain())
                telling.move_to(address)  # nothing that comes after this may be told where the others still read
                for sealed, relay, file, owner, old, _ in self._journal.files():
                    token = make_key()
                    fresh = {"token": token, "right": "read", "until": None}
                    arguments = {"owner": owner, "add": [fresh], "remove": [old]}
                    self._outbox.queue(relay, "change_blob_tokens", file, arguments)
                    self._journal.set_file_token(sealed, token)
                if returns:
                    telling.tell_anew(address)
                    self._vault.set_meta(BEHIND, "1")  # what others told since counts from now on
            self._vault.people.renew_inbox()
            self._vault.set_meta(ANEW, "1")

    def settle(self) -> None:
        """What other devices' epochs and a turn left to do. A crash only puts it off until the next exchange."""
        if self._vault.telling.active and self._logs.count_statements() > len(self.chain()):
            while self._do_again():
                pass
        for document, lost in self._journal.owed():
            with self._store.transaction():
                if self._vault.sharing.reconcile(document.hex(), lost=lost):
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
        fields = {"epoch": channel.epoch, **_tokens(channel)}
        return seal_next(device.id, device.box, self._vault.vault_id, fields)

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

    # What was done in a history that gave way

    def _lost_acts(self) -> tuple[list[Device], list[bytes], int]:
        """(devices that this one added, ids that it removed, the least suite) in statements that do not hold."""
        signs = {key.public for key in self._keys()}
        added: list[Device] = []
        removed: list[bytes] = []
        least = 0
        for roster, before in self._histories().others(self.chain()):
            if self._is_mine(roster.head, signs):
                added += [one for one in roster.devices if not before.has(one.id)]
                removed += [one.id for one in before.devices if not roster.has(one.id)]
                least = max(least, roster.min_suite)
        unique = {one.id: one for one in added if one.id not in removed}  # two histories may bring one device
        return list(unique.values()), removed, least

    def _is_mine(self, head: bytes, signs: Collection[bytes]) -> bool:
        """Whether this device made a statement: under a key of its own, or of the kit that brought it in."""
        roster = self._histories().roster(head)
        before = self._histories().before(head)
        brought = {device.sign for device in roster.devices} - {device.sign for device in before.devices}
        return roster.signer in signs or not brought.isdisjoint(signs)

    def _do_again(self) -> bool:
        """What this device did in a history that does not hold is done in the one that does, once its log is read: one
        statement of it. Whether there was something to do.

        Each is one thing: new keys of this device, others who come, others who leave. A single device that leaves and a
        single one that comes would read as one with new keys.
        """
        roster, channel = self.roster(), self._vault.telling.channel()
        key = self._key_in(roster)
        if (
            key is None
            or channel is None
            or channel.epoch != roster.epoch
            or self.retired()
            or self._vault.meta(BEHIND)
        ):
            return False
        added, removed, least = self._lost_acts()
        coming = [one for one in added if not roster.has(one.id) and one.id not in roster.gone]
        # Who has new keys in a history that gave way is the former one in this.
        former = [one for gone in removed if not roster.has(gone) for one in self._histories().former(gone)]
        leaving = [one for one in dict.fromkeys([*removed, *former]) if roster.has(one)]
        if unknown := not roster.has(self._vault.device_id):
            # A copy that was put back while its place was lost is in no statement of its own.
            coming, leaving = [self._this()], [one for one in leaving if one == derive_device_id(key.public)]
        elif coming:
            leaving = []
        if not coming and not leaving and least <= roster.min_suite:
            return False
        if key.public in self._histories().struck(roster.head):
            return False
        statement = make_next(roster, key, add=coming, remove=leaving, min_suite=least, now=self._now())
        if leaving:
            self._turn(statement, introduces=unknown)
            return True
        with self._store.transaction():
            self._say(statement)
            if unknown:
                self._introduce()
            else:
                self._vault.telling.tell("roster", {"chain": self.chain()})
        return True

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
        """After the kit opened this vault: new device keys, a new kit and root, a new epoch; every device is told.

        InputRefused on a device that was removed since the kit was replaced, or used elsewhere.
        """
        root = kit.root_key()
        chain, returns = self._before_removal(root)
        roster = self._rosters(chain)[-1]
        by = root if root.public == roster.root else self._key_in(roster) or self._key()
        old, name = self._vault.device_id, self.name(self._vault.device_id)
        with self._store.transaction():
            self._follow_on(chain)
            fresh = self._vault.renew_kit(deliver)
            device = self._new_keys()
            leaving = [old] if roster.has(old) else []
            self.set_name(name, device.id)
            root = fresh.root_key()
            statement = make_next(
                roster, by, add=[device], remove=leaving, root=root.public, new_epoch=True, now=self._now()
            )
            self._turn(statement, introduces=True, returns=returns)
        self.settle()
        return fresh

    def _before_removal(self, root: SigningKey | None) -> tuple[list[bytes], bool]:
        """(the chain to go on from, whether this device was removed): up to where it was still in it and this root
        vouched, for what the root signs there holds against what removed it."""
        chain = self.chain()
        if root is None or self.retired() != "removed":
            return chain, False
        rosters = self._rosters(chain)
        last = next((one for one in reversed(rosters[:-1]) if self._key_in(one) is not None), None)
        if last is None or last.root != root.public or rosters[last.count].signer == root.public:
            raise InputRefused(
                "this kit cannot take a removed device back", hint="Add it anew from another device: elpis device add."
            )
        return chain[: last.count], True

    def _follow_on(self, chain: Sequence[bytes]) -> None:
        """What this device says next follows this chain, and it takes part."""
        self._journal.put_chain(chain)
        self._vault.set_meta("roster", chain[-1])
        self._vault.set_meta(RETIRED, "")

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
        if not self.roster().has(self._vault.device_id):
            raise InputRefused("the new keys of this device are not told yet", hint="run `elpis sync`, then try again")

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
        chain = self.chain()
        self._logs.keep(self._histories().add([*chain, statement], holding=derive_head(chain[-1])))
        self._journal.put_chain([*self.chain(), statement])
        self._vault.set_meta("roster", statement)
        self._vault.set_meta("root", self.roster().root)


def _tokens(mailbox: Mailbox) -> dict[str, bytes]:
    found = {name: getattr(mailbox, name) for name in ("address", "owner", "append", "key")}
    if not all(found.values()):
        raise CannotOpen("a mailbox of this vault without its tokens")
    return found
