"""The application: which screen is in front, the lock and its clock, the exchange in the background. No other business.

Variables that make Textual write screens or logs somewhere are taken out before it is imported; a crash says where it
happened and never shows a value.
"""

from __future__ import annotations

import os

# Screenshots, logs, a developer's console, planted keys, another driver.
for _name in [name for name in os.environ if name.startswith("TEXTUAL")]:
    del os.environ[_name]

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, work
from textual.app import App
from textual.binding import Binding, BindingType

from tui.crash import fault
from tui.language import _, set_language
from tui.messages import Changed, Fault, Synced, SyncFailed
from tui.screens.base import Dialog, HouseScreen, in_thread
from tui.screens.forms import Help, Palette
from tui.screens.unlock import Unlock
from tui.standing import Standing, event_words
from tui.watching import Watcher
from tui.widgets.bars import Key, TopLine
from tui.widgets.colours import DARK, LIGHT
from tui.wording import words
from vault.errors import VaultError, VaultLocked

if TYPE_CHECKING:
    from sync.exchange import Event
    from tui.handoff import Handoff
    from vault import Vault

AUTO_LOCK, WARNING = 300.0, 30.0  # seconds without a key
SYNC_EVERY = 300.0
SETTLED = 0.25  # seconds after a vault was opened until its exchange begins
ALARMING = {"quarantined", "relay-contradiction", "refused", "device-added", "device-restored", "recovery-used"}
ALARMING |= {"device-removed", "removed-here", "vault-closed"}
TOUCHES = (events.Key, events.MouseDown, events.MouseScrollDown, events.MouseScrollUp, events.Paste)


class ElpisApp(App[int]):
    """One vault, one person in front of it."""

    CSS_PATH = Path(__file__).with_name("styles.tcss")
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", show=False, priority=True),
        Binding("ctrl+p", "palette", show=False, priority=True),
        Binding("ctrl+l", "lock", show=False, priority=True),
        Binding("ctrl+q", "quit", show=False, priority=True),
    ]

    def __init__(
        self, path: Path, *, language: str | None = None, auto_lock: float = AUTO_LOCK, warning: float = WARNING
    ) -> None:
        """`language`: what the person asked for on the command line, before what the vault says."""
        super().__init__()
        self._language = language
        self.animation_level = "none"
        self.path = path
        self.vault: Vault | None = None
        self._handoff: Handoff | None = None
        self._watcher: Watcher | None = None
        self._standing = Standing()
        self._auto_lock, self._warning = auto_lock, warning
        self._touched = time.monotonic()
        self._alarm = ""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)
        self.set_interval(SYNC_EVERY, self.sync)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.action_lock)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit)
        self._show_door()

    # The door

    def _show_door(self) -> None:
        lies = {name for name in ("keyslots", "vault.db", "making") if (self.path / name).exists()}
        if "keyslots" in lies or lies == {"vault.db"}:  # a vault that lost its keyslots is no place for a new one
            self.push_screen(Unlock(self.path), self.enter)
        else:
            from tui.screens.first_run import FirstRun

            self.push_screen(FirstRun(self.path), self.enter)

    def enter(self, vault: Vault | None) -> None:
        """The vault is open: its language, its home screen, its exchange in the background."""
        if vault is None:
            self.exit(0)
            return
        self.vault = vault
        self._touched = time.monotonic()
        if wanted := self._language or vault.language:
            set_language(wanted)
        if vault.role:
            from tui.screens.patients import Patients

            self.push_screen(Patients())
        else:
            from tui.screens.timeline import Timeline

            self.push_screen(Timeline())
        self._watcher = Watcher(vault, self._from_exchange, lambda error: self.post_message(SyncFailed(error)))
        # The first page is painted before the network's libraries are read in beside it.
        self.set_timer(SETTLED, self._watcher.start)
        self.set_timer(SETTLED, self._count_accesses)

    def action_lock(self) -> None:
        """Every screen goes first, then the vault closes in a thread: a long write must not keep a screen in place."""
        vault, self.vault = self.vault, None
        if vault is None:
            return
        self._let_go()
        self._alarm = ""
        self.clear_notifications()  # they name people and documents
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self._show_door()
        threading.Thread(target=vault.lock, name="elpis-lock").start()

    def _let_go(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self.workers.cancel_all()
        if self._handoff is not None:
            self._handoff.wipe()
        self._standing = Standing()

    def close(self) -> None:
        """After the last screen: nothing stays open and no copy stays behind."""
        vault, self.vault = self.vault, None
        self._let_go()
        if vault is not None:
            vault.lock()

    # What screens ask of the house

    @property
    def opened(self) -> Vault:
        """The vault, for screens that exist only while it is open."""
        if self.vault is None:
            raise VaultLocked("the vault is locked")
        return self.vault

    def need_watcher(self) -> Watcher:
        if self._watcher is None:
            raise VaultLocked("the vault is locked")
        return self._watcher

    @property
    def handoff(self) -> Handoff:
        if self._handoff is None:
            from tui.handoff import Handoff

            self._handoff = Handoff()
        return self._handoff

    def now(self) -> float:
        return self.vault.clock() if self.vault is not None else time.time()

    def sync(self) -> None:
        if self._watcher is not None:
            self._watcher.sync()

    def changed(self) -> None:
        """Something was written: every screen that shows it looks again."""
        for screen in self.screen_stack:
            screen.post_message(Changed())
        self._count_accesses()

    def tell(self, error: BaseException) -> None:
        """An error as its sentence, and the next step when it is not a command to type."""
        worded = words(error)
        step = "" if "`" in worded.step or "--" in worded.step else worded.step
        self.tell_text(" ".join(filter(None, (worded.sentence, step))), bad=True)

    def tell_text(self, text: str, *, bad: bool = False) -> None:
        self.notify(text, severity="warning" if bad else "information", timeout=8 if bad else 4, markup=False)

    # What the exchange says

    def _from_exchange(self, happened: Sequence[Event], at: int, sent: bool) -> None:
        self.post_message(Synced(happened, at, sent))

    def on_synced(self, message: Synced) -> None:
        self._standing.synced(message.at)
        for event in message.events:
            if text := event_words(event):
                self.tell_text(text, bad=event.kind in ALARMING)
        if message.events or message.sent:
            self.changed()
        self.refresh_top_line()

    def on_sync_failed(self, message: SyncFailed) -> None:
        self._standing.failed()
        self.tell(message.error)
        self.refresh_top_line()

    # The permanent line and the clock

    @work(exclusive=True, group="accesses")
    async def _count_accesses(self) -> None:
        vault = self.vault
        if vault is not None:
            try:
                await in_thread(lambda: self._standing.read(vault))
            except VaultError:
                return
            self.refresh_top_line()

    def refresh_top_line(self) -> None:
        for line in self.screen.query(TopLine):
            line.say(*self._standing.words(self.vault, self.now()))
            line.alarm(self._alarm)

    def _tick(self) -> None:
        if self.vault is None:
            return
        left = self._auto_lock - (time.monotonic() - self._touched)
        if left <= 0:
            self.action_lock()
            return
        alarm = _("Locks in {seconds} s: press any key").format(seconds=int(left)) if left <= self._warning else ""
        if alarm and not self._alarm:
            self.bell()
            if self.screen.is_modal:
                self.tell_text(alarm, bad=True)
        self._alarm = alarm
        self.refresh_top_line()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, TOUCHES):
            self._touched = time.monotonic()
        await super().on_event(event)

    # Keys that work everywhere

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, HouseScreen | Dialog) and not isinstance(screen, Help):
            self.push_screen(Help(screen.help_text(), screen.all_keys()))

    @work
    async def action_palette(self) -> None:
        screen = self.screen
        if not isinstance(screen, HouseScreen):
            return
        general = [
            Key("F1", _("Help"), "app.help"), Key("", _("Light or dark colours"), "app.colours"),
            Key("^L", _("Lock"), "app.lock"), Key("^Q", _("Leave Elpis"), "app.quit"),
        ]  # fmt: skip
        known = {key.label for key in general}
        own = [key for key in screen.offers() if key.label not in known]
        action = await self.push_screen_wait(Palette([*own, *general]))
        if action:
            await screen.run_action(action)

    def action_colours(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    @work
    async def action_sync(self) -> None:
        from tui.screens.relay import need_relay

        screen = self.screen
        if isinstance(screen, HouseScreen) and self._watcher is not None and await need_relay(screen):
            self.tell_text(_("Synchronising."))
            self.sync()

    def action_help_quit(self) -> None:
        self.tell_text(_("Ctrl+Q leaves Elpis."))

    # A fault of the program

    def thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        """For `threading.excepthook`: a traceback in the middle of a screen helps nobody."""
        self.post_message(Fault(failed.exc_value or RuntimeError()))

    def on_fault(self, message: Fault) -> None:
        raise message.error

    def _handle_exception(self, error: Exception) -> None:
        """What was still under way when the lock took the vault away ends with VaultLocked: that is no fault."""
        cause = getattr(error, "error", error)
        if not (isinstance(cause, VaultLocked) and self.vault is None):
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Textual would print every frame with its local variables: a passphrase can be among them."""
        error = self._exception or sys.exc_info()[1] or RuntimeError()
        if not self._exit_renderables:
            self._exit_renderables.append(Text(fault(error)))
        self._return_code = 1
        self._close_messages_no_wait()

    def panic(self, *renderables: object) -> None:
        """An error that would draw itself is told in the same few lines."""
        self._fatal_error()


def run(path: Path, language: str | None) -> int:
    """The screens, until the person leaves. The exit code: 0, or 1 after a fault."""
    if language:
        set_language(language)
    app = ElpisApp(path, language=language)
    threading.excepthook = app.thread_failed
    try:
        app.run()
    except Exception as error:  # noqa: BLE001 - the last door: what escaped the application may carry values in its message
        sys.stderr.write(fault(error) + "\n")
        return 1
    finally:
        app.close()
    return app.return_code or 0
