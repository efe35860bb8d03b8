"""HL7 v2 by its separators alone: messages, segments, fields, components, escape sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vault.errors import InputRefused

NULL = '""'  # said to be empty
MAX_MESSAGES = 5_000
MAX_SEGMENTS = 500_000
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=[^A-Za-z0-9\s]|$)")
_ESCAPE = re.compile(r"\\(F|S|T|R|E|H|N|\.br|\.sp\d*|\.[a-z]+[+-]?\d*|X[0-9A-Fa-f]+|Z[^\\]*|C[^\\]*|M[^\\]*)\\")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its segments in order, and the separators that its MSH declares."""

    segments: tuple[tuple[str, ...], ...]
    component: str
    repetition: str
    escape: str
    subcomponent: str

    def all(self, *names: str) -> Iterator[tuple[str, ...]]:
        return (segment for segment in self.segments if segment[0] in names)

    def first(self, name: str) -> tuple[str, ...]:
        return next(self.all(name), (name,))

    def field(self, segment: tuple[str, ...], number: int) -> str:
        return segment[number] if number < len(segment) else ""

    def repetitions(self, segment: tuple[str, ...], number: int) -> list[str]:
        whole = self.field(segment, number)
        return whole.split(self.repetition) if whole else []

    def part(self, value: str, number: int) -> str:
        """Component `number` (from 1) of the first repetition, its first subcomponent, as text."""
        parts = value.split(self.repetition)[0].split(self.component)
        found = self.text(parts[number - 1].split(self.subcomponent)[0]) if number <= len(parts) else ""
        return "" if found == NULL else found

    def of(self, segment: tuple[str, ...], number: int, part: int = 1) -> str:
        return self.part(self.field(segment, number), part)

    def text(self, value: str) -> str:
        """A value with its escape sequences written out."""
        if "\\" not in value and self.escape not in value:
            return value
        return _ESCAPE.sub(self._escaped, value.replace(self.escape, "\\") if self.escape else value)

    def _escaped(self, match: re.Match[str]) -> str:
        code = match.group(1)
        plain = {
            "F": "|",
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": "\\",
            "H": "",
            "N": "",
        }
        if code in plain:
            return plain[code]
        if code.startswith("X"):
            packed = bytes.fromhex(code[1:] if len(code) % 2 else code[1:-1])
            return packed.decode("utf-8", "replace").replace("\r", "\n")
        return "\n" if code.startswith((".br", ".sp", ".ce")) else ""


def split(text: str) -> list[Message]:
    """Messages of a file or batch; a line that is no segment goes on with the one before."""
    messages: list[list[str]] = []
    count = 0
    for line in re.split(r"[\r\n\x0b\x1c]+", text.lstrip("\ufeff")):
        if line.startswith("MSH"):
            messages.append([line])
        elif messages and line.strip():
            count += 1
            if _SEGMENT.match(line):
                messages[-1].append(line)
            else:
                messages[-1][-1] += "\n" + line
    if len(messages) > MAX_MESSAGES or count > MAX_SEGMENTS:
        raise InputRefused("too many HL7 messages or segments in one file", limit=MAX_MESSAGES)
    return [_message(lines) for lines in messages if len(lines[0]) > 8]


def _message(lines: list[str]) -> Message:
    field = lines[0][3]
    declared = lines[0][4:].split(field)[0].ljust(4)
    segments = []
    for line in lines:
        parts = line.split(field)
        if parts[0] in ("FHS", "BHS", "BTS", "FTS"):
            continue
        # MSH-1 is the separator itself: field numbers count from there.
        segments.append((parts[0], field, *parts[1:]) if parts[0] == "MSH" else tuple(parts))
    return Message(tuple(segments), declared[0], declared[1], declared[2].strip(), declared[3].strip() or "&")


def by_patient(message: Message) -> list[Message]:
    """A message with a group of segments for each of several patients as a message for each of them."""
    starts = [index for index, segment in enumerate(message.segments) if segment[0] == "PID"]
    if len(starts) < 2:
        return [message]
    head = message.segments[: starts[0]]
    ends = [*starts[1:], len(message.segments)]
    return [
        replace(message, segments=(*head, *message.segments[start:end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def encode_message(message: Message) -> bytes:
    lines = ("|".join((s[0], *s[2:])) if s[0] == "MSH" else "|".join(s) for s in message.segments)
    return "\r".join(lines).encode()


def decode_text(data: bytes, warnings: list[str]) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.append("repaired: text was not UTF-8, read as Windows-1252")
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return data.decode("latin-1")
