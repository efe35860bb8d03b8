"""Adding and amending one entry of the health profile: what kind, then the fields that make sense for it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.dates import read_date
from tui.language import N_, _
from tui.render import ENTRY_NAMES
from tui.screens.forms import Choice, Form, Option
from tui.widgets.field import Field
from tui.widgets.plain import Plain
from vault.document import SECTION_ENTRY, Entry, Value

LABELS = {
    "label": N_("What"), "substance": N_("Active substance"), "dose": N_("Dose, as prescribed"),
    "start": N_("Since"), "end": N_("Until"), "reaction": N_("Reaction"), "severity": N_("Severity"),
    "value": N_("Value"), "unit": N_("Unit"), "range": N_("Usual range"), "lot": N_("Lot number"),
    "note": N_("Note"),
}  # fmt: skip
FIELDS = {
    "medication": ("label", "substance", "dose", "start", "end", "note"),
    "allergy": ("label", "substance", "reaction", "severity", "start", "note"),
    "condition": ("label", "start", "end", "note"),
    "immunization": ("label", "start", "lot", "performer", "note"),
    "result": ("label", "value", "unit", "range", "start", "note"),
    "vital": ("label", "value", "unit", "start", "note"),
    "procedure": ("label", "start", "performer", "note"),
    "family_history": ("label", "performer", "start", "note"),
    "directive": ("label", "start", "note"),
    "trusted_person": ("label", "performer", "value", "note"),
    "contact": ("label", "performer", "value", "note"),
}
# Fields that are called otherwise in some kinds.
NAMED = {
    ("immunization", "performer"): N_("Given by"), ("procedure", "performer"): N_("Done by"),
    ("family_history", "performer"): N_("Who in the family"),
    ("trusted_person", "performer"): N_("Who they are to you"),
    ("contact", "performer"): N_("Who they are to you"), ("trusted_person", "value"): N_("Telephone, address"),
    ("contact", "value"): N_("Telephone, address"), ("trusted_person", "label"): N_("Name"),
    ("contact", "label"): N_("Name"),
}  # fmt: skip
OTHER = ("label", "value", "start", "end", "note")
DATES = ("start", "end")


class ChooseKind(Choice[str]):
    """Which kind of entry; returns the entry kind."""

    def __init__(self) -> None:
        kinds = [Option(kind, _(ENTRY_NAMES[kind])) for kind in SECTION_ENTRY.values()]
        super().__init__(_("What do you want to add?"), kinds)


class EntryForm(Form[Mapping[str, Value]]):
    """The changed fields only: None for one that was emptied. A new entry needs its label."""

    def __init__(self, kind: str, entry: Entry | None = None) -> None:
        super().__init__()
        self._kind, self._entry = kind, entry
        self._names = FIELDS.get(kind, OTHER)

    def title_text(self) -> str:
        name = _(ENTRY_NAMES.get(self._kind, self._kind))
        return _("{kind}: amend").format(kind=name) if self._entry else _("{kind}: add").format(kind=name)

    def body(self) -> ComposeResult:
        with VerticalScroll(id="fields", can_focus=False):
            for name in self._names:
                value = self._entry.text(name) if self._entry else ""
                hint = _("day/month/year, or only the year") if name in DATES else ""
                yield Field(_(NAMED.get((self._kind, name)) or LABELS[name]), id=name, value=value, hint=hint)
        if self._entry is not None and self._entry.text("author"):
            yield Plain(_("Stated by {author}").format(author=self._entry.text("author")), classes="dim")

    def action_submit(self) -> None:
        changes: dict[str, Value] = {}
        for name in self._names:
            typed: str | None = self.value(name)
            before = self._entry.text(name) if self._entry else ""
            if typed == before:
                continue
            if name in DATES:
                typed = read_date(typed or "")
                if typed is None:
                    self.house.tell_text(_("Type the date as day/month/year, for example 21/03/1958."), bad=True)
                    return
            changes[name] = typed or None
        if not self.value("label"):
            self.house.tell_text(_("Say what it is, in the first field."), bad=True)
            return
        self.dismiss(changes)
