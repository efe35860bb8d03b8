"""What the segments of an HL7 v2 message state: results, vaccinations, treatments, allergies, diagnoses, flags."""

from __future__ import annotations

from collections.abc import Iterator

from vault.importers.dates import from_hl7
from vault.importers.hl7v2_message import NULL, Message
from vault.importers.people import People
from vault.importers.reading import Builder, clean_text, person_name, says_nothing

FLAGS = "MetaDMPMSS"
_FLAG_NAMES = {"INVISIBLE_REP_LEGAUX": "INVISIBLE_REPRESENTANTS_LEGAUX"}
_CONFIDENTIALITY = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX")
_STAFF = frozenset({"FVP", "FOT", "VAB", "EMR"})
_NARRATIVE = frozenset({"TX", "FT"})


def read_facts(message: Message, out: Builder) -> list[str]:
    """Entries of the segments that state facts; lines of narrative text."""
    lines: list[str] = []
    people = People(french=_is_french(message))
    taken = ""
    for segment in message.segments:
        name = segment[0]
        if name == "OBR":
            taken = from_hl7(message.of(segment, 7)) or from_hl7(message.of(segment, 22))
            lines.append(message.of(segment, 4, 2))
        elif name == "OBX":
            lines += _observation(message, segment, taken, out)
        elif name == "NTE":
            lines += [message.text(part) for part in message.repetitions(segment, 3)]
        elif name == "RXA":
            _immunization(message, segment, out)
        elif name == "RXE":
            _medication(message, segment, out)
        elif name in ("AL1", "IAM"):
            _allergy(message, segment, out)
        elif name == "DG1":
            _diagnosis(message, segment, out)
        elif name == "NK1":
            _contact(message, segment, people, out)
    return [clean_text(line) for line in lines if line]


def _observation(message: Message, segment: tuple[str, ...], taken: str, out: Builder) -> list[str]:
    """A result, or lines of a report."""
    kind, status = message.of(segment, 2), message.of(segment, 11)
    if kind in ("ED", "RP") or message.of(segment, 3, 3) == FLAGS or message.of(segment, 3) in _CONFIDENTIALITY:
        return []
    code, label = message.of(segment, 3), message.of(segment, 3, 2)
    values = [_value(message, value, kind) for value in message.repetitions(segment, 5)]
    value = "; ".join(filter(None, values))
    if message.of(message.first("MSH"), 9) == "VXU" or kind in ("HD", "AD", "XPN", "XAD", "XTN", "CX", "EI"):
        out.not_understood("observation about the message, not about the patient")
        return []
    if kind in _NARRATIVE or (not code and not label):
        return values
    if status in ("X", "W", "D") or not (value or label):
        out.not_understood("withdrawn or empty observation")
        return []
    out.add("result", {
        "label": label or code, "code": code, "system": message.of(segment, 3, 3), "value": value,
        "unit": _unit(message, segment), "range": _range(message, segment),
        "interpretation": " ".join(filter(None, (message.part(item, 1) for item in message.repetitions(segment, 8)))),
        "start": from_hl7(message.of(segment, 14)) or taken,
        "status": "unknown" if status in ("P", "R", "S", "I") else "",
        "performer": message.of(segment, 23) or message.of(segment, 15, 2),
    })  # fmt: skip
    return []


def _unit(message: Message, segment: tuple[str, ...]) -> str:
    """The code, which is the unit; a number of the sender's own ("CD:289") is none where words stand beside it."""
    code, words = message.of(segment, 6), message.of(segment, 6, 2)
    return words if words and (not code or ":" in code) else code


def _range(message: Message, segment: tuple[str, ...]) -> str:
    """As written; some senders repeat its ends as components behind it."""
    written = message.of(segment, 7)
    ends = [part for number in (2, 3) if (part := message.of(segment, 7, number))]
    return written if written or not ends else " - ".join(ends)


def _value(message: Message, value: str, kind: str) -> str:
    parts = value.split(message.component)
    if kind == "SN":
        return "".join(message.text(part) for part in parts)
    if kind in ("CE", "CWE", "CNE", "CF"):
        return message.part(value, 2) or message.part(value, 9) or message.part(value, 1)
    if kind in ("DT", "TS", "DTM"):
        return from_hl7(message.part(value, 1)) or message.part(value, 1)
    if value == NULL:
        return ""
    return (
        message.text(value.replace(message.component, " ").strip()) if kind not in ("NM",) else message.part(value, 1)
    )


def _immunization(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 5), message.of(segment, 5, 2)
    out.add("immunization", {
        "label": label or code or "(-)", "code": code, "system": message.of(segment, 5, 3),
        "start": from_hl7(message.of(segment, 3)), "lot": message.of(segment, 15),
        "performer": message.of(segment, 10, 2), "status": "completed",
        "negated": message.of(segment, 20) in ("RE", "NA") or code == "998" or not (label or code),
        "note": message.of(segment, 18, 2),
    })  # fmt: skip


def _medication(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 2), message.of(segment, 2, 2)
    amount = " ".join(filter(None, (message.of(segment, 3), message.of(segment, 5, 2) or message.of(segment, 5))))
    instructions = message.of(segment, 7, 2) or message.of(segment, 7)
    timing = message.field(segment, 1).split(message.component)
    out.add("medication", {
        "label": label or code or "(-)", "code": code, "system": message.of(segment, 2, 3),
        "dose": " · ".join(filter(None, (amount, instructions))), "status": "unknown",
        "start": from_hl7(timing[3]) if len(timing) > 3 else "", "end": from_hl7(timing[4]) if len(timing) > 4 else "",
        "negated": not (label or code),
    })  # fmt: skip


def _allergy(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 3), message.of(segment, 3, 2)
    if label or code:
        out.add("allergy", {
            "label": label or code, "code": code, "system": message.of(segment, 3, 3),
            "severity": message.of(segment, 4, 2) or message.of(segment, 4), "reaction": message.of(segment, 5),
            "negated": says_nothing(label or code, code), "status": "unknown",
        })  # fmt: skip


def _diagnosis(message: Message, segment: tuple[str, ...], out: Builder) -> None:
    code, label = message.of(segment, 3), message.of(segment, 3, 2) or message.of(segment, 4)
    if label or code:
        out.add("condition", {
            "label": label or code, "code": code, "system": message.of(segment, 3, 3), "status": "unknown",
            "start": from_hl7(message.of(segment, 5)), "negated": says_nothing(label or code, code),
        })  # fmt: skip


def _contact(message: Message, segment: tuple[str, ...], people: People, out: Builder) -> None:
    """Next of kin. Registries of vaccinations put there who filled in the form: that is nobody of the patient's."""
    code, label = message.of(segment, 3), message.of(segment, 3, 2)
    kind, kind_label = message.of(segment, 7), message.of(segment, 7, 2)
    if code in _STAFF:
        return
    names = next(iter(message.repetitions(segment, 2)), "")
    name = person_name(message.part(names, 2), message.part(names, 1), message.part(names, 5))
    role = people.role(label or ("" if people.knows(code) else code), *(() if label else (code,)), kind)
    if kind_label and not people.knows(kind):
        role = ", ".join(filter(None, (role, kind_label)))
    numbers = [part for at in (5, 6) for part in message.repetitions(segment, at)]
    reached = [message.part(part, 1) or message.part(part, 4) or message.part(part, 12) for part in numbers]
    places = message.repetitions(segment, 4)[:1]
    whole = [" ".join(filter(None, (message.part(place, at) for at in (1, 2, 5, 3, 4)))) for place in places]
    people.add(out, name, role, [*reached, *whole], code, kind, ended=from_hl7(message.of(segment, 9)))


def _is_french(message: Message) -> bool:
    head = message.first("MSH")
    return message.of(head, 17) == "FRA" or message.of(head, 19).upper().startswith("FR")


def flags_of(message: Message) -> Iterator[tuple[str, str]]:
    """The confidentiality flags of the French profile: (name, Y or N)."""
    for segment in message.all("OBX"):
        name = message.of(segment, 3)
        yield _FLAG_NAMES.get(name, name), message.of(segment, 5)


def confidentiality_of(flags: set[str]) -> str:
    return " ".join(name for name in _CONFIDENTIALITY if name in flags)
