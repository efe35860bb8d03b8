"""Which roster holds on this device, which logs count by it, and who this device is in them.

Whatever history another device shows is taken in here; what the holder does with devices stands in devices.py.
Composition over the pure rules of roster.py. Normative text: spec/roster.md, section 4, and spec/vault-channel.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vault.errors import Malformed, NotFound, VerificationFailed
from vault.heard import Heard
from vault.histories import Histories
from vault.logs import Logs
from vault.operation import encode_operation, open_next
from vault.primitives import KEY, BoxKey, SigningKey
from vault.record import RETIRED
from vault.roster import ROSTER, Device, Roster, derive_device_id, derive_head, make_device, read_chain
from vault.statement import read_statement
from vault.store.household import HouseholdStore
from vault.store.mailboxes import Mailbox, MailboxStore
from vault.store.outbox import OutboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

LEFT = "left:"  # a setting for each channel that a turn ended: since when
READ_ON = 90 * 86_400  # seconds in which a turn that holds against the first one may still come into its log
BEHIND = "behind"  # a setting: this copy was put back and has to read the log before it tells anything


class Membership:
    """What this device knows of the roster, and follows."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._journal = HouseholdStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._outbox = OutboxStore(vault.store)
        self._logs = Logs(vault.store)
        self._read: Roster | None = None
        self._known: Histories | None = None
        self._speakers: dict[bytes, tuple[int, dict[bytes, Device]]] = {}  # log -> (statements known, devices)

    # What holds

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

    def anchor(self) -> bytes:
        """The root that signed the first statement: what every other chain must begin with."""
        root: bytes = read_statement("roster", ROSTER, self.chain()[0]).fields["root"]
        return root

    def retired(self) -> str:
        """Why this device takes no part any more: "removed", or "closed" with the whole vault; "" when it does."""
        return self._vault.meta(RETIRED)

    def name(self, device_id: bytes) -> str:
        return self._vault.meta(f"device:{device_id.hex()}").partition("\n")[0]

    # Other histories

    def _histories(self) -> Histories:
        """Every history that this device was shown. What is in memory and not in the store was never read."""
        if self._known is None or len(self._known) != self._logs.count_statements():
            self._known = Histories(self.anchor(), self._vault.vault_id)
            for data, before in self._logs.statements():
                self._known.restore(data, before)
            self._logs.keep(self._known.add(self.chain()))
        return self._known

    def consider(self, mailbox: Mailbox, chain: Sequence[bytes]) -> list[Heard]:
        """Another device's roster, as it came in this log: among all histories the one that holds is taken."""
        self._begin()
        histories, current = self._histories(), self._vault.telling.address
        try:
            fresh = histories.add(chain, holding=derive_head(self.chain()[-1]))
        except VerificationFailed:
            return []
        if not fresh:
            return []
        self._logs.keep(fresh)
        heard = self._take(histories.held())
        if mailbox.address != current and self._vault.telling.active:
            self._vault.telling.tell("roster", {"chain": list(chain)})  # who does not read that log hears it too
        if self.chain()[: len(chain)] != list(chain) and mailbox.kind == "vault" and mailbox.address != current:
            self._journal.tell(mailbox.address, "roster", encode_operation("roster", {"chain": self.chain()}))
        return heard

    def _take(self, held: Sequence[bytes]) -> list[Heard]:
        """The chain that holds now."""
        before = self.roster()
        if list(held) == self.chain():
            return []
        self._journal.put_chain(held)
        self._vault.set_meta("roster", held[-1])
        roster = self.roster()
        self._vault.set_meta("root", roster.root)
        if self.retired() != "closed":
            me = self._vault.device_id
            here = roster.has(me) or (me not in roster.gone and any(roster.has(one) for one, _ in self._selves()))
            self._vault.set_meta(RETIRED, "" if here else "removed")
        self._follow()
        used = [Heard("recovery-used")] if roster.root != before.root else []
        return [
            *used,
            *(self._heard("device-added", one) for one in roster.devices if not before.has(one.id)),
            *(self._heard("device-removed", one) for one in before.devices if not roster.has(one.id)),
        ]

    def _begin(self) -> None:
        """The log that the vault has belongs to the epoch of its roster."""
        current = self._vault.telling.channel()
        if current is not None and not self._logs.all():
            self._logs.begin(self._rosters(self.chain()), current)

    def _heard(self, kind: str, device: Device) -> Heard:
        if kind == "device-removed" and device.id == self._vault.device_id and self.retired():
            kind = "removed-here"
        return Heard(kind, self.name(device.id), detail=device.id.hex())

    # Logs

    def take_turn(self, mailbox: Mailbox, fields: Mapping[str, Any]) -> list[Heard]:
        """A turn in its place of a log, whichever history it belongs to: what holds follows from all that is known."""
        heard = self.consider(mailbox, fields["chain"])
        head = derive_head(fields["chain"][-1])
        if self._histories().knows(head):
            if self._histories().roster(head).epoch != fields["epoch"]:
                raise Malformed("a turn to another epoch than the one of its roster")
            if self._logs.of(head) is None:
                self._open_box(mailbox, fields, head)
            if (following := self._logs.of(head)) is not None:
                self._logs.turn(mailbox.address, following, mailbox.count + 1)
            self._follow()
        return heard

    def _open_box(self, mailbox: Mailbox, fields: Mapping[str, Any], head: bytes) -> None:
        """The log that this turn leads to, when this device is in the roster there."""
        roster = self._histories().roster(head)
        sealed = {box["device"]: box["sealed"] for box in fields["boxes"]}
        for device, key in self._selves():
            if roster.has(device) and device in sealed:
                tokens = open_next(key, sealed[device], self._vault.vault_id, device)
                if tokens["epoch"] != roster.epoch or self._mailboxes.knows(tokens["address"]):
                    raise Malformed("a box of another epoch, or with the address of another mailbox")
                given = {name: tokens[name] for name in ("owner", "append", "key")}
                self._mailboxes.add(tokens["address"], mailbox.relay, "vault", epoch=tokens["epoch"], **given)
                self._logs.add(head, tokens["address"])
                return
        if any(roster.has(device) for device, _ in self._selves()):
            raise Malformed("a turn without a box for this device")

    def _follow(self) -> None:
        """What is told goes into the last log of the history that holds; a device that is not in it tells nobody."""
        path = self._logs.lead([] if self.retired() else self.chain())
        current = self._vault.telling.address
        if self.retired():
            if current and self.retired() == "removed":
                self._journal.retell_acts(current, current)
                self._vault.telling.move_to(b"")
        elif path and path[-1] != current:
            self._go_to(path[-1], current, forward=current in path)
        for address in self._logs.all():
            if address != self._vault.telling.address:
                self._leave(address)

    def _go_to(self, following: bytes, current: bytes, *, forward: bool) -> None:
        """From here on the vault's channel is another one."""
        if forward:
            self._journal.retell(current, following)
        else:
            self._journal.retell_acts(current, following)
            self._vault.telling.tell_anew(following)
            self._vault.set_meta(BEHIND, "1")  # what was told there meanwhile is newer
        self._mailboxes.set_state(following, "open")
        self._vault.set_meta(f"{LEFT}{following.hex()}", "")
        self._vault.telling.move_to(following)

    def counts(self, mailbox: Mailbox) -> bool:
        """Whether more than the roster counts in this log now."""
        return not self.retired() and (mailbox.kind != "vault" or self._logs.counts(mailbox.address))

    def rewind(self) -> list[bytes]:
        """Logs that are read again from where they were left, because another history holds."""
        with self._store.transaction():
            return self._logs.rewind([device for device, _ in self._selves()])

    def path(self) -> list[bytes]:
        return self._logs.path()

    def _leave(self, address: bytes) -> None:
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is not None and mailbox.state == "open":
            self._mailboxes.set_state(address, "closing")
            self._vault.set_meta(f"{LEFT}{address.hex()}", str(self._now()))

    def is_over(self, address: bytes) -> bool:
        """Whether nothing that counts can come into a former channel any more."""
        since = self._vault.meta(f"{LEFT}{address.hex()}")
        here = address == self._vault.telling.address
        return not here and (not since or self._now() > int(since) + READ_ON)

    # Who speaks, and who this device is

    def speaks_for(self, chain: Sequence[bytes], device: bytes, sign: bytes) -> bool:
        """Whether a history that is known ends with a roster that this device is in."""
        head = derive_head(chain[-1])
        if not self._histories().knows(head):
            return False
        there = self._histories().roster(head).device(device)
        return there is not None and there.sign == sign

    def in_log(self, mailbox: Mailbox, device: bytes) -> Device | None:
        """A device that speaks in this log: one of its epoch, or one that a history which follows from there brought,
        for it introduces itself before. Up to the turn that holds the log counts, whoever of them spoke."""
        began = self._logs.began(mailbox.address)
        if began is None:
            return self.roster().device(device)
        histories = self._histories()
        known = self._speakers.get(mailbox.address)
        if known is None or known[0] != len(histories):
            known = self._speakers[mailbox.address] = len(histories), histories.devices_from(began)
        # Where nothing but the roster counts any more, whoever is in it may speak of it.
        return known[1].get(device) or (None if self.counts(mailbox) else self.roster().device(device))

    def was(self, device: bytes) -> bool:
        """Whether this device had that id before it got new keys."""
        return device != self._vault.device_id and self.is_self(device)

    def is_self(self, device: bytes) -> bool:
        """Whether this device has that id, or had it before it got new keys."""
        return any(device == one for one, _ in self._selves())

    def _this(self) -> Device:
        """This device, as a roster names it."""
        box = BoxKey.from_secret(self._vault.keyring.need("device-box"))
        return make_device(self._key().public, box.public, self._now())

    def _selves(self) -> list[tuple[bytes, BoxKey]]:
        """The device that this is, and those that it was before copies were put back or kits used, newest first."""
        boxes = [BoxKey.from_secret(secret) for secret in self._secrets("device-box")]
        return [(derive_device_id(sign.public), box) for sign, box in zip(self._keys(), boxes, strict=True)]

    # Inside

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
