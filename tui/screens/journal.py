"""The journal: the accesses that are open, then everything that happened; revoking is here.

It never says more than a signature proves: "opened (signed)" is the professional's own statement, "unknown" is a
release that nobody signed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.language import _
from tui.messages import Changed
from tui.render import RIGHTS, STATES, clean, fit, instant, remaining, role
from tui.screens.base import HouseScreen, in_thread
from tui.screens.forms import Confirm
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList
from vault.sharing import Grant, TraceLine

WHEN = 24


@dataclass(frozen=True, slots=True)
class Head:
    """A line between the two parts."""

    text: str


class Journal(HouseScreen[None]):
    """Open accesses on top with their exact countdown, then the trace, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("r,R", "revoke", show=False),
        Binding("s,S", "app.sync", show=False),
    ]

    def body(self) -> ComposeResult:
        yield VirtualList[Grant | TraceLine | Head](
            self._draw, id="journal", empty=_("Nothing happened yet: nobody was given access.")
        )
        yield Plain(id="detail")

    def on_mount(self) -> None:
        super().on_mount()
        self._rows.focus()
        self._read()
        self.set_interval(1.0, self._rows.refresh)

    @property
    def _rows(self) -> VirtualList[Grant | TraceLine | Head]:
        return self.query_one("#journal", VirtualList)

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key("R", _("Revoke this access"), "revoke"),
            Key("S", _("Synchronise"), "app.sync"),
            Key("L", _("Lock"), "app.lock"),
        ]

    def help_text(self) -> str:
        return _(
            "Who could look, who did, when and why. “Opened (signed)” is signed by the professional; “unknown”"
            " means that the relay let a key go and nobody signed for it. R ends an access at once; what was"
            " opened before may have been copied."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            grants = await in_thread(vault.sharing.grants)
            trace = await in_thread(vault.sharing.trace)
            now = vault.clock()
            active = [grant for grant in grants if grant.state == "active" and grant.until > now]
            rows: list[Grant | TraceLine | Head] = []
            if active:
                rows += [Head(_("Open now")), *sorted(active, key=lambda grant: grant.until)]
            if trace:
                rows += [Head(_("What happened")), *reversed(trace)]
            first = not self._rows.count
            self._rows.show(rows, keep_pointer=not first)
            if first and len(rows) > 1:
                self._rows.point(1)

    def on_changed(self, event: Changed) -> None:
        self._read()

    def action_leave(self) -> None:
        self.dismiss(None)

    def _draw(self, row: Grant | TraceLine | Head, width: int) -> Text:
        if isinstance(row, Head):
            return Text(row.text, Style(bold=True, underline=True))
        if isinstance(row, Grant):
            left = remaining(row.until - self.house.now())
            facts = f"{fit(row.person, 20)}  {fit(', '.join(row.titles), width - 63)}  "
            return Text(facts + f"{fit(_(RIGHTS.get(row.right, row.right)), 23)}  {left:>13} ")
        rest = width - WHEN - 18 - 4
        facts = f"{fit(instant(row.time), WHEN)}  {fit(state_words(row), 18)}  "
        return Text(facts + fit(f"{clean(row.person)} · {clean(row.document)}", rest))

    @on(VirtualList.Moved)
    def _tell(self, event: VirtualList.Moved) -> None:
        self.query_one("#detail", Plain).say(self._sentence(event.row))

    def _sentence(self, row: Grant | TraceLine | Head | None) -> str:
        if row is None or isinstance(row, Head):
            return ""
        who = f"{clean(row.person)} ({role(row.role)})"
        if isinstance(row, Grant):
            what = ", ".join(clean(title) for title in row.titles)
            return _("{who}: {right} “{what}”, until {end}. Purpose: {purpose}.").format(
                who=who, right=_(RIGHTS.get(row.right, row.right)), what=what, end=instant(row.until),
                purpose=clean(row.purpose) or _("not said"),
            )  # fmt: skip
        sentence = _("{who}: {state}, “{what}”, {when}. Purpose: {purpose}.").format(
            who=who, state=state_words(row), what=clean(row.document), when=instant(row.time),
            purpose=clean(row.purpose) or _("not said"),
        )  # fmt: skip
        if not row.verified and row.state in ("revoked", "ended"):
            sentence += " " + _("The relay has not confirmed yet that its half of the key is destroyed.")
        elif not row.verified:
            sentence += " " + _("NOT VERIFIED: no signature proves who opened it.")
        return sentence

    @work
    async def action_revoke(self) -> None:
        row = self._rows.row
        if not isinstance(row, Grant):
            self.house.tell_text(_("Put the pointer on an open access first."))
            return
        vault, grant = self.house.opened, row
        question = _(
            "{who} will not be able to open “{what}” any more. What was opened before may have been copied:"
            " nobody can make a person forget."
        ).format(who=clean(grant.person), what=", ".join(clean(title) for title in grant.titles))
        if await self.app.push_screen_wait(Confirm(_("Revoke this access?"), question, _("Revoke"))):
            with self.telling():
                await in_thread(lambda: vault.sharing.revoke(grant.id))
                self.house.changed()
                self.house.sync()
                self.house.tell_text(_("Revoked. The relay is being told."))


def state_words(line: TraceLine) -> str:
    return _(STATES.get(line.state, "unknown"))
