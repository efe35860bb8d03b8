"""A document as the lines of a list: headings, entries by kind, both sides of a conflict, text, attachments.

Each line remembers what it stands for, so that Enter on it can amend the entry or open the attachment.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from tui.language import _
from tui.render import ENTRY_NAMES, clean, date, document_title, entry_line, size
from vault.document import Attachment, Conflict, Document, Entry

HEAD = Style(bold=True, underline=True)
ALERT = Style(bold=True)
PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    style: Style = PLAIN
    target: Entry | Attachment | None = None


def draw_line(line: Line, width: int) -> Text:
    return Text(line.text, line.style)


def document_lines(item: Document, width: int) -> list[Line]:
    """Conflicts first: whoever reads must see that a value is disputed before the value."""
    width = max(20, width)
    lines = [Line(document_title(item), HEAD)]
    facts = [date(item.date), clean(item.author)]
    if item.confidentiality not in ("", "N"):
        facts.append(_("confidential"))
    lines += _wrapped(" - ".join(filter(None, facts)), width)
    if item.conflicts:
        lines += [Line(""), Line(_("Written differently by two people:"), ALERT)]
        for conflict in item.conflicts:
            lines += _conflict(item, conflict, width)
    for kind, name in ENTRY_NAMES.items():
        entries = item.of_kind(kind)
        if entries:
            lines += [Line(""), Line(_(name), HEAD)]
            for entry in entries:
                sentence = entry_line(entry).rpartition("  [")[0]
                lines += _wrapped(sentence, width, "- ", target=entry, style=ALERT if entry.negated else PLAIN)
    if item.text:
        lines += [Line(""), *_paragraphs(item.text, width)]
    if item.attachments:
        lines += [Line(""), Line(_("Attachments"), HEAD)]
        for file in item.attachments:
            name = clean(file.name) or clean(file.media_type)
            lines.append(Line(f"- {name}  ({size(file.size)})", target=file))
    return lines


def _conflict(item: Document, conflict: Conflict, width: int) -> Iterator[Line]:
    entry = next((entry for entry in item.entries if entry.id == conflict.entry_id), None)
    where = " ".join(filter(None, (clean(entry.text("label")) if entry else "", field_name(conflict.field))))
    yield from _wrapped(f"! {where}", width, target=entry)
    for value, author, when in conflict.sides:
        side = _("“{value}” by {author}, {when}").format(
            value=clean(value), author=clean(author) or _("somebody"), when=date(when)
        )
        yield from _wrapped(side, width, "    ", target=entry)


def field_name(name: str) -> str:
    """A field of an entry or document in words."""
    names = {
        "label": _("name"), "dose": _("dose"), "start": _("since"), "end": _("until"), "substance": _("substance"),
        "status": _("status"), "value": _("value"), "unit": _("unit"), "range": _("usual range"), "note": _("note"),
        "title": _("title"), "date": _("date"), "author": _("author"), "text": _("text"), "reaction": _("reaction"),
        "severity": _("severity"),
    }  # fmt: skip
    return names.get(name) or clean(name)


def _paragraphs(text: str, width: int) -> Iterator[Line]:
    for paragraph in clean(text, lines=True).split("\n"):
        yield from _wrapped(paragraph, width) if paragraph.strip() else [Line("")]


def _wrapped(
    text: str, width: int, lead: str = "", *, target: Entry | Attachment | None = None, style: Style = PLAIN
) -> list[Line]:
    parts = textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead))
    return [Line(part, style, target) for part in parts]
