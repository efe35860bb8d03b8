"""Reading one document of one's own record: entries, conflicts, attachments; amending, adding, giving access."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.files import as_attachment, write_private
from tui.handoff import file_name
from tui.language import _
from tui.messages import Changed
from tui.render import clean
from tui.screens.base import HouseScreen, in_thread
from tui.screens.entries import ChooseKind, EntryForm
from tui.screens.files import ChooseFile, SaveAs
from tui.screens.forms import Choice, Confirm, Option
from tui.screens.grant import give_access
from tui.screens.journal import Journal
from tui.screens.lines import Line, document_lines, draw_line
from tui.widgets.bars import Key
from tui.widgets.rows import POINTER, VirtualList
from vault import Attachment, Document, Entry


class DocumentScreen(HouseScreen[None]):
    """What every reader does: the lines of a document, wrapped to the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None

    def body(self) -> ComposeResult:
        yield VirtualList[Line](draw_line, id="lines", empty=_("One moment."))

    @property
    def _lines(self) -> VirtualList[Line]:
        return self.query_one("#lines", VirtualList)

    def on_mount(self) -> None:
        super().on_mount()
        self._lines.focus()

    def on_resize(self, event: events.Resize) -> None:
        self._show(self._document)

    def _show(self, document: Document | None) -> None:
        self._document = document
        if document is not None:
            width = self._lines.scrollable_content_region.width - len(POINTER) - 1
            self._lines.show(document_lines(document, width), keep_pointer=True)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_choose(self) -> None:
        self._lines.action_choose()


class Reader(DocumentScreen):
    """A document of the holder."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a,A", "add", show=False),
        Binding("f,F", "attach", show=False),
        Binding("x,X", "remove", show=False),
        Binding("p,P", "grant", show=False),
        Binding("j,J", "journal", show=False),
    ]

    def __init__(self, document_id: str) -> None:
        super().__init__()
        self._document_id = document_id

    def on_mount(self) -> None:
        super().on_mount()
        self._read()

    def offers(self) -> list[Key]:
        return [
            Key(_("Esc"), _("Back"), "leave"),
            Key(_("Enter"), _("Amend or open"), "choose"),
            Key("A", _("Add"), "add"),
            Key("P", _("Give access"), "grant"),
            Key("X", _("Take away"), "remove"),
            Key("F", _("Attach a file"), "attach"),
            Key("J", _("Journal"), "journal"),
            Key("L", _("Lock"), "app.lock"),
        ]

    def help_text(self) -> str:
        return _(
            "Enter on an entry amends it; Enter on an attachment opens or saves it. When two people wrote a field"
            " differently, both versions are shown with their authors: amend the entry to settle it."
        )

    @work(exclusive=True)
    async def _read(self) -> None:
        vault = self.house.opened
        with self.telling():
            self._show(await in_thread(lambda: vault.read(self._document_id)))

    def on_changed(self, event: Changed) -> None:
        self._read()

    def action_accesses(self) -> None:
        self.action_journal()

    def action_journal(self) -> None:
        self.app.push_screen(Journal())

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        target = event.row.target
        if isinstance(target, Entry):
            self._amend(target)
        elif isinstance(target, Attachment):
            self._open(target)

    @work
    async def _amend(self, entry: Entry) -> None:
        vault = self.house.opened
        changes = await self.app.push_screen_wait(EntryForm(entry.kind, entry))
        if changes:
            with self.telling():
                await in_thread(lambda: vault.amend_entry(self._document_id, entry.id, changes))
                self.house.changed()

    @work
    async def _open(self, file: Attachment) -> None:
        vault = self.house.opened
        await hand_over(self, file, lambda: vault.attachment(self._document_id, file.sha256))

    @work
    async def action_add(self) -> None:
        vault = self.house.opened
        kind = await self.app.push_screen_wait(ChooseKind())
        fields = await self.app.push_screen_wait(EntryForm(kind)) if kind else None
        if kind and fields:
            with self.telling():
                await in_thread(lambda: vault.add_entry(self._document_id, kind, fields))
                self.house.changed()

    @work
    async def action_attach(self) -> None:
        vault = self.house.opened
        path = await self.app.push_screen_wait(ChooseFile(_("Which file?")))
        if path is not None:
            with self.telling():
                facts = await in_thread(lambda: as_attachment(path))
                await in_thread(
                    lambda: vault.attach(self._document_id, path, name=facts.name, media_type=facts.media_type)
                )  # fmt: skip
                self.house.changed()

    @work
    async def action_remove(self) -> None:
        vault, line = self.house.opened, self._lines.row
        if line is None or not isinstance(line.target, Entry):
            self.house.tell_text(_("Put the pointer on an entry first."))
            return
        entry = line.target
        name = clean(entry.text("label"))
        question = _("“{name}” is taken out of this document. Those who have access see it go.").format(name=name)
        if await self.app.push_screen_wait(Confirm(_("Take an entry away"), question, _("Take away"))):
            with self.telling():
                await in_thread(lambda: vault.remove_entry(self._document_id, entry.id))
                self.house.changed()

    @work
    async def action_grant(self) -> None:
        await give_access(self, self._document_id)


async def hand_over(
    screen: HouseScreen[None], file: Attachment, chunks: Callable[[], Iterable[bytes]], *, may_save: bool = True
) -> None:
    """Opens an attachment with another program, or saves it."""
    options = [Option("open", _("Open with another program"), _("the copy is wiped when Elpis locks"))]
    if may_save:
        options.append(Option("save", _("Save a copy"), _("outside of the vault, not protected")))
    how = await screen.app.push_screen_wait(Choice(clean(file.name) or clean(file.media_type), options))
    handoff = screen.house.handoff
    with screen.telling():
        if how == "open":
            await in_thread(lambda: handoff.open_with(chunks(), file.media_type))
        elif how == "save":
            path = await screen.app.push_screen_wait(SaveAs(_("Save a copy"), file_name(file.name, file.media_type)))
            if path is not None:
                await in_thread(lambda: write_private(path, chunks()))
                screen.house.tell_text(_("Saved: {path}").format(path=path))
