"""A patient's document on a professional's screen: for the time that was given, and not a second longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.files import as_attachment
from tui.language import _
from tui.messages import Changed
from tui.render import RIGHTS, clean, document_title, remaining
from tui.screens.base import in_thread
from tui.screens.entries import ChooseKind, EntryForm
from tui.screens.files import ChooseFile
from tui.screens.reader import DocumentScreen, hand_over
from tui.widgets.bars import Key
from tui.widgets.plain import Plain
from tui.widgets.rows import VirtualList
from vault.document import Attachment, Entry
from vault.errors import AccessEnded, VaultError

if TYPE_CHECKING:
    from sync.opened import OpenDocument

WARNINGS = (600, 60)  # seconds before the end
FOLLOW_EVERY = 10.0  # seconds between looks at what others wrote


class VisitReader(DocumentScreen):
    """Reads, and with the right to edit adds. At the end the content is taken away and the screen says so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a,A", "add", show=False),
        Binding("f,F", "add_file", show=False),
    ]

    def __init__(self, opened: OpenDocument, patient: str) -> None:
        super().__init__()
        self._opened: OpenDocument | None = opened
        self._patient, self._until, self._right = patient, opened.until, opened.right
        self._title = document_title(opened.document)
        self._warned = 0  # how many of WARNINGS were given

    def body(self) -> ComposeResult:
        yield Plain(id="countdown")
        yield from super().body()

    def on_mount(self) -> None:
        super().on_mount()
        self._refresh()
        self._tick()
        self.set_interval(1.0, self._tick)
        self.set_interval(FOLLOW_EVERY, self._follow)

    def offers(self) -> list[Key]:
        keys = [Key(_("Esc"), _("Back"), "leave")]
        if self._opened is not None and self._right == "edit":
            keys += [
                Key(_("Enter"), _("Amend or open"), "choose"),
                Key("A", _("Add an entry"), "add"),
                Key("F", _("Add a report (file)"), "add_file"),
            ]
        return [*keys, Key("L", _("Lock"), "app.lock")]

    def help_text(self) -> str:
        return _(
            "The line above says how long this access still lasts. At its end the document goes from this screen"
            " and from this computer. What you add is signed with your name and reaches the patient."
        )

    def _refresh(self) -> None:
        if self._opened is None:
            return
        try:
            self._show(self._opened.document)
        except AccessEnded:
            self.end()

    def _tick(self) -> None:
        if self._opened is None:
            return
        left = self._until - self.house.now()
        if left <= 0:
            self.end()
            return
        line = _("{name}: {right}. This access ends in {left}.").format(
            name=clean(self._patient), right=_(RIGHTS.get(self._right, self._right)), left=remaining(left)
        )
        countdown = self.query_one("#countdown", Plain)
        countdown.say(line)
        countdown.set_class(left <= WARNINGS[0], "soon")
        due = [seconds for seconds in WARNINGS if left <= seconds]
        if len(due) > self._warned:
            self._warned = len(due)
            # What is really left: a document opened two minutes before the end has never had ten.
            self.house.tell_text(_("This access ends in {left}.").format(left=remaining(min(left, due[-1]))), bad=True)

    def end(self) -> None:
        """The content goes from the screen and from memory that this screen holds; the vault wipes the rest."""
        if self._opened is not None:
            self._opened.close()
        self._opened = self._document = None
        self.house.handoff.wipe()
        self.house.clear_notifications()  # "ends in 1 min" is over, and what others wrote is not to be named any more
        self._lines.show((), empty=_("Access ended. What is still needed can be asked of the patient again."))
        self.query_one("#countdown", Plain).say(_("{name}: access ended.").format(name=clean(self._patient)))
        self.show_keys()
        self._close()

    @work
    async def _close(self) -> None:
        vault = self.house.opened
        with self.telling():
            await in_thread(vault.visiting.close_ended)
            self.house.changed()

    def on_changed(self, event: Changed) -> None:
        self._follow()

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        """What the patient or others have written since; and whether it is over before its time."""
        opened = self._opened
        if opened is None:
            return
        try:
            if await in_thread(opened.refresh) and self._opened is not None:
                self._refresh()
        except AccessEnded:
            self.end()
        except VaultError:
            return  # a relay that is away changes nothing on the screen: the countdown goes on

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        target = event.row.target
        if isinstance(target, Attachment):
            self._hand_over(target)
        elif isinstance(target, Entry) and self._right == "edit":
            self._edit(target.kind, target)

    @work
    async def _hand_over(self, file: Attachment) -> None:
        opened = self._opened
        if opened is not None:
            await hand_over(self, file, lambda: opened.attachment(file.sha256), may_save=False)

    @work
    async def action_add(self) -> None:
        if not self._may_edit():
            return
        kind = await self.app.push_screen_wait(ChooseKind())
        if kind:
            self._edit(kind, None)

    @work
    async def _edit(self, kind: str, entry: Entry | None) -> None:
        fields = await self.app.push_screen_wait(EntryForm(kind, entry))
        opened = self._opened
        if not fields or opened is None:
            return
        with self.telling():
            await in_thread(lambda: opened.set_entry(entry.id if entry else None, kind, dict(fields)))
            self._sent()

    @work
    async def action_add_file(self) -> None:
        if not self._may_edit():
            return
        path = await self.app.push_screen_wait(ChooseFile(_("Which report?"), suffixes=()))
        opened = self._opened
        if path is None or opened is None:
            return
        with self.telling():
            facts = await in_thread(lambda: as_attachment(path))
            await in_thread(lambda: opened.add_file(path, media_type=facts.media_type, name=facts.name))
            self._sent()

    def _may_edit(self) -> bool:
        if self._opened is None:
            return False
        if self._right != "edit":
            self.house.tell_text(_("This access is for reading only."), bad=True)
        return self._right == "edit"

    def _sent(self) -> None:
        self._refresh()
        self.house.sync()
        self.house.tell_text(_("Signed and sent to the patient."))
