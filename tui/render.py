"""Documents, treatments, grants and the trace as text that a person reads. Shared by the command line and the screens.

Whatever came from outside (names, titles, notes, codes) is data: `clean` takes out terminal escapes, control characters
and the marks that reorder text, before anything is laid out. Nothing here reads a file, a clock or a vault.
"""

from __future__ import annotations

import re
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tui.language import N_, _, language, ngettext

if TYPE_CHECKING:
    from vault.document import Conflict, Document, Entry

WIDTH = 80
_ESCAPE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)|[ -/]*[0-~])")
_JOINERS = "\u200c\u200d"  # needed to write Persian and several Indian scripts; they move nothing
_MONTHS = (
    N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"), N_("July"), N_("August"),
    N_("September"), N_("October"), N_("November"), N_("December"),
)  # fmt: skip
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d:\d\d)\S*)?)?)?")

SECTIONS = {
    "clinical": N_("document"),
    "medications": N_("treatments"),
    "allergies": N_("allergies"),
    "conditions": N_("conditions"),
    "immunizations": N_("immunizations"),
    "results": N_("results"),
    "vitals": N_("measurements"),
    "procedures": N_("procedures"),
    "family": N_("family history"),
    "directives": N_("directives"),
    "trusted": N_("person of trust"),
    "contacts": N_("contacts"),
}
ENTRY_NAMES = {
    "medication": N_("Treatments"),
    "allergy": N_("Allergies"),
    "condition": N_("Conditions"),
    "immunization": N_("Immunizations"),
    "result": N_("Results"),
    "vital": N_("Measurements"),
    "procedure": N_("Procedures"),
    "directive": N_("Directives"),
    "trusted_person": N_("Person of trust"),
    "contact": N_("Contacts"),
    "device": N_("Devices"),
    "family_history": N_("Family history"),
    "social_history": N_("Way of life"),
    "note": N_("Notes"),
}
RIGHTS = {"read": N_("read"), "edit": N_("read and edit")}
STATES = {
    "active": N_("open"),
    "open": N_("open"),
    "revoked": N_("revoked"),
    "ended": N_("ended"),
    "granted": N_("granted"),
    "opened": N_("opened (signed)"),
    "unknown": N_("unknown"),
}
FLAGS = {
    "anticoagulant": N_("ANTICOAGULANT"),
    "antiplatelet": N_("ANTIPLATELET"),
    "duplicate": N_("stated more than once"),
    "conflict": N_("two versions"),
}


def clean(text: object, *, lines: bool = False) -> str:
    """Text that can be put on a terminal. With `lines`, line breaks stay; otherwise everything is on one line."""
    source = _ESCAPE.sub("", "" if text is None else str(text)).replace("\r\n", "\n")
    kept = []
    for mark in source:
        if mark in "\n\t\r\x0b\x0c\x85\u2028\u2029":
            kept.append("\n" if lines and mark not in "\t" else " ")
        elif mark in _JOINERS or unicodedata.category(mark) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
            kept.append(mark)
    return "".join(kept).strip() if lines else " ".join("".join(kept).split())


def fit(text: object, width: int) -> str:
    """`text`, clean and on one line, in exactly `width` cells; an ellipsis says that something was left out."""
    shown = clean(text)
    if cells(shown) > width:
        while shown and cells(shown) > width - 1:
            shown = shown[:-1]
        shown += "…"
    return shown + " " * (width - cells(shown))


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return sum(
        0 if unicodedata.combining(mark) or mark in _JOINERS else 2 if unicodedata.east_asian_width(mark) in "WF" else 1
        for mark in text
    )


def date(value: str) -> str:
    """An RFC 3339 date or date-time, possibly partial, with the month in letters; what is no date is shown as it is."""
    found = _DATE.fullmatch(value.strip())
    if not found:
        return clean(value)
    year, month, day, clock = found.groups()
    if month is None or not 1 <= int(month) <= 12:
        return year if month is None else clean(value)
    name = _(_MONTHS[int(month) - 1])
    if day is None:
        return f"{name} {year}"
    number = "1er" if language() == "fr" and int(day) == 1 else str(int(day))
    return f"{number} {name} {year}" + (f", {clock}" if clock else "")


def day(value: str) -> str:
    """The same without the time of day, for a column."""
    return date(value[:10] if _DATE.fullmatch(value.strip()) else value)


def _on(value: str) -> str:
    """A date inside a sentence: French puts an article before a day, and none before a month or a year."""
    shown = date(value)
    return f"le {shown}" if language() == "fr" and _DATE.fullmatch(value) and len(value) >= 10 else shown


def instant(seconds: float | None) -> str:
    """Seconds since 1970 as local date and time, month in letters; empty for none."""
    return "" if seconds is None else date(time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)))


def remaining(seconds: float) -> str:
    """An exact countdown in its two largest units: "1 d 23 h", "59 min 12 s"."""
    left = max(0, int(seconds))
    units = ((86_400, _("d")), (3_600, _("h")), (60, _("min")), (1, _("s")))
    parts: list[str] = []
    for index, (size, name) in enumerate(units):
        if left >= size or (size == 1 and not parts):
            parts.append(f"{left // size} {name}")
            if index + 1 < len(units) and left % size >= units[index + 1][0]:
                parts.append(f"{left % size // units[index + 1][0]} {units[index + 1][1]}")
            break
    return " ".join(parts)


def size(count: int) -> str:
    """Bytes in the largest unit that leaves at least 1."""
    amount, units = float(count), [_("GB"), _("MB"), _("kB"), _("B")]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop()
    unit = units[-1]
    text = f"{amount:.0f}" if amount >= 10 or amount == int(amount) else f"{amount:.1f}"
    return f"{text.replace('.', ',') if language() == 'fr' else text} {unit}"


def table(rows: Iterable[Sequence[object]], widths: Sequence[int]) -> str:
    """Rows in columns of fixed widths, two spaces between them; the last column ends where its text ends."""
    lines = ("  ".join(fit(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def summaries(documents: Iterable[Any], width: int = WIDTH) -> str:
    """The timeline: one line per document, id, date, title, author."""
    title = max(20, width - 8 - 18 - 18 - 6)
    return table(
        ((item.id[:8], date(item.date[:10]), document_title(item), item.author) for item in documents),
        (8, 18, title, 18),
    )


def document_title(item: Any) -> str:
    """The title, or the name of the section when it has none."""
    return clean(item.title) or _(SECTIONS.get(item.kind, item.kind)).capitalize()


def document(item: Document, width: int = WIDTH) -> str:
    """A whole document: heading, conflicts first, entries by kind, text, attachments."""
    blocks = [_heading(item)]
    if item.conflicts:
        blocks.append("\n".join([_("Written differently by two people:"), *map(_conflict_of(item), item.conflicts)]))
    for kind, name in ENTRY_NAMES.items():
        entries = item.of_kind(kind)
        if entries:
            blocks.append("\n".join([_(name), *(_wrapped(entry_line(entry), width, "  - ") for entry in entries)]))
    if item.text:
        paragraphs = clean(item.text, lines=True).split("\n")
        blocks.append("\n".join(textwrap.fill(part, width) if part else "" for part in paragraphs))
    if item.attachments:
        lines = [
            f"  {file.sha256[:8]}  {size(file.size):>8}  {clean(file.media_type)}  {clean(file.name)}".rstrip()
            for file in item.attachments
        ]
        blocks.append("\n".join([_("Attachments"), *lines]))
    return "\n\n".join(blocks)


def entry_line(entry: Entry) -> str:
    """One entry in one sentence: what, how much, since when, what was said about it."""
    what = clean(entry.text("label")) or clean(entry.text("substance")) or clean(entry.text("code"))
    if entry.negated:
        what = _("NO: {what}").format(what=what)
    value = " ".join(filter(None, (clean(entry.text("value")), clean(entry.text("unit")))))
    parts = [what, value, clean(entry.text("dose"))]
    if entry.text("range"):
        parts.append(_("usual {range}").format(range=clean(entry.text("range"))))
    parts += [clean(entry.text(name)) for name in ("interpretation", "reaction", "severity", "criticality", "lot")]
    parts.append(clean(entry.text("performer")))
    parts += [period(entry.text("start"), entry.text("end")), clean(entry.text("note"))]
    return ", ".join(filter(None, parts)) + f"  [{entry.id[:8]}]"


def period(start: str, end: str) -> str:
    if start and end:
        return _("from {start} to {end}").format(start=date(start), end=date(end))
    if start:
        return _("since {start}").format(start=_on(start))
    return _("until {end}").format(end=date(end)) if end else ""


def medications(items: Iterable[Any], width: int = WIDTH) -> str:
    """The treatments, one block each: flags first and in words, then what, dose, since when."""
    blocks = []
    for item in items:
        flags = " ".join(f"[{_(FLAGS[flag]) if flag in FLAGS else clean(flag)}]" for flag in item.flags)
        name = clean(item.label) or clean(item.substance) or clean(item.code)
        if item.negated:
            name = _("NOT taken: {what}").format(what=name)
        substance = clean(item.substance)
        facts = [
            substance if substance.lower() not in name.lower() else "",
            clean(item.dose),
            period(item.start or "", item.end or ""),
            _("prescribed") if item.prescribed else "",
            "" if item.active else _("not begun") if item.ahead else _("no longer taken"),
        ]
        head = " ".join(filter(None, (flags, name)))
        blocks.append("\n".join(filter(None, (head, _wrapped(", ".join(filter(None, facts)), width, "    ")))))
    return "\n".join(blocks)


def grants(items: Iterable[Any], now: float, width: int = WIDTH) -> str:
    """Accesses given: who, what right, how long still, which documents."""
    lines = []
    for item in items:
        left = remaining(item.until - now) if item.state == "active" else instant(item.until)
        state = _(STATES.get(item.state, "unknown"))
        lines.append(f"{item.id[:8]}  {clean(item.person)}  {_(RIGHTS.get(item.right, item.right))}  {state}  {left}")
        lines.append(_wrapped(", ".join(map(clean, item.titles)), width, "          "))
    return "\n".join(filter(None, lines))


def visits(items: Iterable[Any], now: float) -> str:
    """A professional's accesses: patient, right, time left, grant and document ids to open."""
    lines = []
    for item in items:
        left = remaining(item.until - now) if item.state == "open" else instant(item.until)
        state = _(STATES.get(item.state, "unknown"))
        lines.append(f"{item.id[:8]}  {clean(item.patient)}  {_(RIGHTS.get(item.right, item.right))}  {state}  {left}")
        lines += [f"          {document_id[:8]}" for document_id in item.document_ids]
    return "\n".join(lines)


def deposits(items: Iterable[Any]) -> str:
    """What was laid down by somebody unknown and waits for a word."""
    waits = _("waits for your word")
    return "\n".join(
        f"{item.id[:8]}  {instant(item.received)}  {clean(item.name)}: {clean(item.title)}  ({waits})" for item in items
    )


def events(items: Iterable[Any]) -> str:
    """What happened at the last exchange, one line each."""
    kinds = {
        "grant-received": _("{person} gives you access: {title}"),
        "renewed": _("{person} has changed who else has access: {title}"),
        "refused": _("a relay refused something"),
        "opened": _("{person} opened: {title}"),
        "document-changed": _("changed by {person}: {title}"),
        "deposit-filed": _("laid down by {person}: {title}"),
        "deposit-received": _("laid down: {title}"),
        "deposit-waiting": _("laid down, waits for your word: {title}"),
        "quarantined": _("set aside: it breaks the rules"),
        "access-ended": _("an access has ended: {title}"),
        "relay-contradiction": _("the relay showed two different histories, perhaps to hide something"),
        "device-added": _("a new device has your vault: {person}. If it is not yours: `elpis device remove`"),
        "device-restored": _("a copy of a device was put back and goes on as a new one: {person}"),
        "recovery-used": _(
            "the recovery kit was used: keys and inbox are new. If it was not you, look at your devices"
        ),
        "device-removed": _("a device was removed: {person}"),
        "removed-here": _("another of your devices has removed this one: nothing goes out or comes in any more"),
        "vault-closed": _("your vault was closed on another device: close it here too with `elpis close`"),
    }
    lines = []
    for item in items:
        told = kinds.get(item.kind, _("something else"))
        if item.kind == "relay-contradiction" and item.detail == "proven":
            told = _("the relay signed two different histories: proof is kept, see `elpis verify --evidence`")
        if item.kind == "quarantined" and item.detail == "suite-refused":
            told = _("set aside: made by another version of Elpis, or with a weaker protection. Ask for it anew")
        if item.kind == "retired":
            told = retirement(item.detail)
        nameless = _("without a name") if item.kind.startswith("device-") else _("somebody")
        told = told.format(person=clean(item.person) or nameless, title=clean(item.title))
        lines.append(f"{instant(item.time)}  {told}".rstrip(": "))
    return "\n".join(lines)


def nested(facts: Mapping[str, Any], indent: str = "") -> str:
    """Facts as they are, one a line, those inside others moved to the right."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{clean(name)}", nested(value, indent + "    ")]
        else:
            shown = ", ".join(map(clean, value)) if isinstance(value, list) else clean(value)
            lines.append(f"{indent}{clean(name)}: {shown}".rstrip())
    return "\n".join(filter(None, lines))


def trace(items: Iterable[Any], width: int = WIDTH) -> str:
    """The journal: when, who, what happened, which document, why. Never more than a signature proves."""
    lines = []
    for item in items:
        state = _(STATES.get(item.state, "unknown"))
        if not item.verified:
            state = _("{state}, NOT VERIFIED").format(state=state)
        who = " ".join(filter(None, (clean(item.person) or _("somebody"), f"({role(item.role)})" if item.role else "")))
        lines.append(f"{instant(item.time)}  {who}: {state}")
        about = " - ".join(filter(None, (clean(item.document), clean(item.purpose))))
        lines.append(_wrapped(about, width, "    "))
    return "\n".join(filter(None, lines))


def people(items: Iterable[Any]) -> str:
    """Known people: id, name, role, how sure one can be of who they are."""
    lines = []
    for item in items:
        sure = [_("certified") if item.certified else _("not certified")]
        sure.append(_("met") if item.met else _("never met"))
        lines.append(f"{item.id[:8]}  {clean(item.name)}  {role(item.role)}  ({', '.join(sure)})")
    return "\n".join(lines)


def devices(items: Iterable[Any]) -> str:
    """The holder's devices: id, name, since when, and what is special about each."""
    lines = []
    for item in items:
        marks = [_("this device")] if item.this else []
        marks += [_("a copy put back")] if item.restored_from else []
        name = clean(item.name) or _("without a name")
        lines.append(f"{item.id[:8]}  {name}  {instant(item.added)}  {', '.join(marks)}".rstrip())
    return "\n".join(lines)


def removal(outranks: bool) -> str:
    """What the removal of a device does not do. `outranks`: it stands before the one that removes it."""
    text = _("What this device has read it keeps. It gets nothing that is written from now on.")
    if outranks:
        text += " " + _(
            "It has been yours for longer than the one you use: in other hands it could undo this, unless your recovery"
            " kit says so too: elpis device remove DEVICE --kit FILE"
        )
    return text


def retirement(why: str) -> str:
    """What a device that takes no part any more says of itself; "" for one that does."""
    return {
        "removed": _("This device was removed. What is here stays readable; nothing goes out or comes in."),
        "closed": _("The vault was closed on another device. Close it here too: `elpis close`."),
    }.get(why, "")


def role(name: str) -> str:
    """A role in words."""
    names = {
        "doctor": _("doctor"), "dentist": _("dentist"), "pharmacist": _("pharmacist"), "nurse": _("nurse"),
        "midwife": _("midwife"), "physiotherapist": _("physiotherapist"), "biologist": _("biologist"),
        "laboratory": _("laboratory"), "hospital": _("hospital"), "caregiver": _("caregiver"),
        "other_professional": _("other professional"),
    }  # fmt: skip
    return names.get(name) or clean(name)


def counted(counts: Mapping[str, int]) -> str:
    """What a document holds: "2 treatments, 1 allergy"."""
    names = {
        "medications": ngettext("{n} treatment", "{n} treatments", counts.get("medications", 0)),
        "allergies": ngettext("{n} allergy", "{n} allergies", counts.get("allergies", 0)),
        "conditions": ngettext("{n} condition", "{n} conditions", counts.get("conditions", 0)),
        "immunizations": ngettext("{n} immunization", "{n} immunizations", counts.get("immunizations", 0)),
        "results": ngettext("{n} result", "{n} results", counts.get("results", 0)),
        "vitals": ngettext("{n} measurement", "{n} measurements", counts.get("vitals", 0)),
        "procedures": ngettext("{n} procedure", "{n} procedures", counts.get("procedures", 0)),
        "directives": ngettext("{n} directive", "{n} directives", counts.get("directives", 0)),
        "contacts": ngettext("{n} contact", "{n} contacts", counts.get("contacts", 0)),
    }
    return ", ".join(text.format(n=counts[name]) for name, text in names.items() if counts.get(name))


def _heading(item: Document) -> str:
    facts = [date(item.date), clean(item.author)]
    if item.confidentiality not in ("", "N"):
        facts.append(_("confidential"))
    lines = [document_title(item), " - ".join(filter(None, facts)), clean(item.id)]
    return "\n".join(filter(None, lines))


def _conflict_of(item: Document) -> Any:
    labels = {entry.id: clean(entry.text("label")) for entry in item.entries}

    def line(conflict: Conflict) -> str:
        where = " ".join(filter(None, (labels.get(conflict.entry_id, ""), clean(conflict.field))))
        sides = "; ".join(
            _("“{value}” by {author}, {when}").format(
                value=clean(value), author=clean(author) or _("somebody"), when=date(when)
            )
            for value, author, when in conflict.sides
        )
        return f"  ! {where}: {sides}"

    return line


def _wrapped(text: str, width: int, indent: str) -> str:
    if not text:
        return ""
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=" " * len(indent), break_long_words=False
    )
