"""The holder's devices: who they are, taking a new one in by a code and a number, going on without one; being one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.details import translated
from tui.files import write_private
from tui.language import _
from tui.machine import machine_name
from tui.messages import Changed
from tui.render import clean, fit, instant, removal, retirement
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.files import SaveAs
from tui.screens.forms import Confirm, Form, Working
from tui.screens.relay import need_relay
from tui.widgets.bars import Key
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList
from vault.errors import NotFound, VaultError, VerificationFailed

if TYPE_CHECKING:
    from sync.pairing import Guest, Host
    from vault import Vault
    from vault.devices import DeviceLine

R = TypeVar("R")
LOOK = 10.0  # seconds of one wait at the relay: leaving the dialog ends with it


def told_of(failure: VaultError) -> str:
    """What it was, beginning as a sentence does."""
    told = translated(str(failure))
    return told[:1].upper() + told[1:]


def device_name(device: DeviceLine) -> str:
    return clean(device.name) or _("without a name")


class DevicesScreen(HouseScreen[None]):
    """Each device of the holder on a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("n,N", "add", show=False),
        Binding("r,R", "remove", show=False),
        Binding("s,S", "app.sync", show=False),
    ]

    def body(self) -> ComposeResult:
        yield VirtualList[Any](self._draw, id="devices")
        yield Plain(id="note", classes="dim")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#devices", VirtualList).focus()
        self._read()

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key("N", _("Add a device"), "add"),
            Key("R", _("Remove this device"), "remove"),
            Key("S", _("Synchronise"), "app.sync"),
        ]

    def help_text(self) -> str:
        return _(
            "Each of your devices has the whole record; what you write on one reaches the others, also after weeks."
            " A device that is lost or given away is removed here: it reads nothing new. What it has read it keeps."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            devices = await in_thread(vault.devices.all)
            retired = await in_thread(vault.devices.retired)
            self.query_one("#devices", VirtualList).show(devices, keep_pointer=True)
            self.query_one("#note", Plain).say(retirement(retired).replace("`", ""))

    def on_changed(self, event: Changed) -> None:
        self._read()

    def _draw(self, device: DeviceLine, width: int) -> Text:
        marks = [_("this device")] if device.this else []
        marks += [_("a copy put back")] if device.restored_from else []
        line = Text(fit(device_name(device), 28) + "  ")
        since = _("since {when}").format(when=instant(device.added))
        return line.append(fit(" · ".join([since, *marks]), max(0, width - 30)))

    def action_leave(self) -> None:
        self.dismiss(None)

    @work
    async def action_add(self) -> None:
        if await need_relay(self):
            with self.telling():
                await add_device(self)

    @work
    async def action_remove(self) -> None:
        device = self.query_one("#devices", VirtualList).row
        if device is None:
            return
        vault = self.house.opened
        if device.this:
            self.house.tell_text(_("This is the device that you are using: remove it from another one."), bad=True)
            return
        text = removal(vault.devices.outranks(device.id))
        text += "\n" + _("Your card changes: give it again to whoever lays documents down for you.")
        title = _("Remove {name}?").format(name=device_name(device))
        if await self.app.push_screen_wait(Confirm(title, text, _("Remove it"))):
            with self.telling():
                await in_thread(lambda: vault.devices.remove(device.id))
                self.house.changed()
                self.house.sync()
                self.house.tell_text(_("Removed: {name}").format(name=device_name(device)))


async def add_device(screen: HouseScreen[Any]) -> None:
    """The code, then the number that the new device shows, then everything is handed over; from a screen's worker."""
    from sync.pairing import Host

    vault, exchange = screen.house.opened, screen.house.need_watcher().exchange
    if not vault.devices.name(vault.device_id):
        await in_thread(lambda: vault.devices.set_name(machine_name()))
    host = Host(vault, exchange)
    code = await in_thread(host.begin)
    if not await screen.app.push_screen_wait(ShowCode(host, code.print())):
        return
    typed = await screen.app.push_screen_wait(AskNumber())
    if typed is None:
        return
    working = Working(_("Everything is handed over. This takes a moment for a large record."))
    screen.app.push_screen(working)
    try:
        name = await in_thread(lambda: host.admit(typed))
    except VerificationFailed:
        told = _("The number is not the same: somebody may stand between the devices. Nothing was handed over.")
        screen.house.tell_text(told, bad=True)
        return
    finally:
        working.dismiss(None)
    screen.house.changed()
    told = _("The device is in: {name}. It fetches everything by itself.")
    screen.house.tell_text(told.format(name=clean(name) or _("without a name")))


class ShowCode(Dialog[bool]):
    """The code, until the new device has come. It is no secret: the number that follows is what people compare."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c,C", "copy", show=False), Binding("f3", "write", show=False)]

    def __init__(self, host: Host, code: str) -> None:
        super().__init__()
        self._host, self._code = host, code

    def title_text(self) -> str:
        return _("A new device")

    def body(self) -> ComposeResult:
        yield Plain(
            _(
                "On the new device choose “I have a vault on another device” and give it this code, in any way you"
                " like. It is no secret and holds for an hour. As a QR code: `elpis device add`, in a terminal."
            )
        )
        yield Plain(Text(self._code), id="code", classes="gap")
        yield Plain(_("Waiting for the new device."), classes="dim gap")

    def on_mount(self) -> None:
        super().on_mount()
        self._wait()

    def offers(self) -> list[Key]:
        return [
            Key("C", _("Copy"), "copy"),
            Key("F3", _("Into a file"), "write"),
            Key(_("Esc"), _("Back"), "leave"),
        ]

    @work(exclusive=True)
    async def _wait(self) -> None:
        with self.telling():
            while not await in_thread(lambda: self._host.number(wait=LOOK)):
                if not self.is_attached:
                    return
            self.dismiss(True)
            return
        self.dismiss(None)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._code)
        self.house.tell_text(_("Copied, if your terminal allows it."))

    @work
    async def action_write(self) -> None:
        path: Path | None = await self.app.push_screen_wait(SaveAs(_("The code in a file"), "elpis-device.txt"))
        if path is not None:
            with self.telling():
                await in_thread(lambda: write_private(path, [self._code.encode() + b"\n"]))
                self.house.tell_text(_("Saved: {path}").format(path=path))


class AskNumber(Form[str]):
    """The six digits that the new device shows."""

    def title_text(self) -> str:
        return _("The number of the new device")

    def body(self) -> ComposeResult:
        yield Plain(
            _(
                "The new device shows six digits. Read them there yourself and type them here: a wrong number means"
                " that somebody stands between the two."
            ),
            classes="below",
        )
        yield Field(_("Number"), id="number", hint="000 000")

    def action_submit(self) -> None:
        number = "".join(self.value("number").split())
        if len(number) != 6 or not number.isdecimal():
            self.house.tell_text(_("Six digits are needed."), bad=True)
        else:
            self.dismiss(number)


# The other side: this device is the new one


class AskCode(Form[tuple[str, str]]):
    """(code, name of this device)."""

    def title_text(self) -> str:
        return _("From another device")

    def body(self) -> ComposeResult:
        yield Plain(_("On your other device press E, then N: it shows a code."), classes="below")
        yield Field(_("Code"), id="code", hint="elpis-device:…")
        yield Field(_("Name of this device"), id="name", value=machine_name())

    def action_submit(self) -> None:
        if not self.value("code"):
            self.house.tell_text(_("A code is needed."), bad=True)
        else:
            self.dismiss((self.value("code"), self.value("name")))


async def join_vault(screen: HouseScreen[Any], path: Path, code: str, name: str, passphrase: str) -> Vault | None:
    """A vault for this device, filled from the other one; from a screen's worker. None when it was left or refused."""
    try:
        return await _join_vault(screen, path, code, name, passphrase)
    except (VerificationFailed, NotFound) as failure:
        screen.house.tell_text(f"{told_of(failure)}. {_('Begin again with a new code.')}", bad=True)
        return None


async def _join_vault(screen: HouseScreen[Any], path: Path, code: str, name: str, passphrase: str) -> Vault | None:
    from sync.exchange import Exchange
    from sync.pairing import Guest

    guest = await in_thread(lambda: Guest(code, name))
    number = await _waiting(screen, _("Waiting for the other device."), lambda: guest.number(wait=LOOK * 3))
    if guest.must_compare and not await _compared(screen, guest, number):
        return None
    newcomer = await _waiting(screen, _("The other device hands over."), lambda: guest.welcome(wait=LOOK * 3))

    def join() -> Vault:
        vault = guest.join(path, newcomer, passphrase)
        with Exchange(vault) as exchange:
            exchange.sync()
        return vault

    return await _waiting(screen, _("Your record is being fetched."), join)


async def _compared(screen: HouseScreen[Any], guest: Guest, number: str) -> bool:
    text = _("Type this number on the other device. Go on here only when that device has taken it.")
    figure = f"    {number[:3]} {number[3:]}"
    asked = Confirm(_("The number of this meeting"), text, _("It has taken it"), figure=figure)
    agreed: bool | None = await screen.app.push_screen_wait(asked)
    return bool(agreed)


async def _waiting(screen: HouseScreen[Any], text: str, work: Callable[[], R]) -> R:
    working = Working(text)
    screen.app.push_screen(working)
    try:
        return await in_thread(work)
    finally:
        working.dismiss(None)
