"""How things stand, for the permanent line: whose vault, the accesses that are open now, the last synchronisation; and
what an exchange has brought, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.language import _, ngettext
from tui.render import clean, instant, remaining

if TYPE_CHECKING:
    from sync.exchange import Event
    from vault import Vault

DAY = 86_400


class Standing:
    """Read in a thread now and then; put into words every second, from memory."""

    def __init__(self) -> None:
        self._ends: tuple[int, ...] = ()
        self._synced: int | None = None
        self._failed = False
        self._retired = ""

    def read(self, vault: Vault) -> None:
        """The ends of what is open: accesses given by a patient, accesses received by a professional."""
        self._retired = vault.devices.retired()
        if vault.role:
            self._ends = tuple(visit.until for visit in vault.visiting.grants() if visit.state == "open")
        else:
            self._ends = tuple(grant.until for grant in vault.sharing.grants() if grant.state == "active")

    def synced(self, at: int) -> None:
        self._synced, self._failed = at, False

    def failed(self) -> None:
        self._failed = True

    def words(self, vault: Vault | None, now: float) -> tuple[str, str]:
        """(left, right) of the line."""
        if vault is None:
            return "Elpis", ""
        if self._retired:
            told = _("this device was removed") if self._retired == "removed" else _("closed on another device")
            return f"Elpis · {clean(vault.holder_name)}", told
        return f"Elpis · {clean(vault.holder_name)}", f"{self._accesses(now)} · {self._exchange(now)}"

    def _accesses(self, now: float) -> str:
        ends = [end for end in self._ends if end > now]
        if not ends:
            return _("no access open")
        text = ngettext("{count} access open", "{count} accesses open", len(ends)).format(count=len(ends))
        return f"{text} ({remaining(min(ends) - now)})"

    def _exchange(self, now: float) -> str:
        if self._failed:
            return _("relay not reached")
        if self._synced is None:
            return _("not synchronised")
        when = instant(self._synced)
        return _("synchronised {when}").format(when=when.rpartition(", ")[2] if now - self._synced < DAY / 2 else when)


def event_words(event: Event) -> str:
    """What the exchange brought, in a sentence; empty for what needs no telling."""
    sentences = {
        "grant-received": _("{person} has opened something to you."),
        "opened": _("{person} has opened “{title}” (signed)."),
        "document-changed": _("{person} has written in “{title}”."),
        "deposit-filed": _("A document has arrived: “{title}”."),
        "deposit-waiting": _("A deposit waits for your word: “{title}”."),
        "quarantined": _("Something from outside was set aside: it breaks the rules."),
        "access-ended": _("The access of {person} has ended."),
        "relay-contradiction": _("The relay contradicts itself. Keep this vault as it is: it is proof."),
        "device-added": _("A new device has your vault: {person}. If it is not yours, remove it (key E)."),
        "device-restored": _("A copy of {person} was put back and goes on as a new device."),
        "device-removed": _("A device was removed: {person}."),
        "removed-here": _("Another of your devices has removed this one: nothing goes out or comes in any more."),
        "recovery-used": _(
            "The recovery kit was used: keys and inbox are new. If it was not you, look at your devices."
        ),
        "vault-closed": _("Your vault was closed on another device. Close it here too."),
    }
    if event.kind == "quarantined" and event.detail == "suite-refused":
        return _(
            "Something was set aside: another version of Elpis made it, or with a weaker protection. Ask for it anew."
        )
    return sentences.get(event.kind, "").format(person=event.person or _("somebody"), title=event.title)
