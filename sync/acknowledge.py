"""HL7 v2 acknowledgements in original mode: what is said to a sender, and that nothing else of a message comes back.

Tables 0008 (MSA-1) and 0357 (ERR-3) of HL7 v2. Normative text: spec/feeding.md, section 5.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from vault.errors import StorageFailed
from vault.feed import Feed, Taken
from vault.primitives import hash32, make_id

MESSAGES = {
    b"ORU": frozenset({b"R01", b"R30", b"R31", b"R32"}),
    b"MDM": frozenset({b"T02", b"T04", b"T06", b"T08", b"T10"}),
}
# Reason -> (MSA-1, ERR-3): what the sender is told when nothing was queued.
CODES = {
    "nobody": (b"AE", b"204"),
    "mismatch": (b"AE", b"204"),
    "ambiguous": (b"AE", b"204"),
    "no-name": (b"AE", b"101"),
    "no-number": (b"AE", b"101"),
    "no-control-id": (b"AE", b"101"),
    "two-people": (b"AE", b"207"),
    "unreadable": (b"AE", b"207"),
    "too-large": (b"AE", b"207"),
    "no-header": (b"AR", b"100"),
    "type": (b"AR", b"200"),
    "event": (b"AR", b"201"),
    "processing": (b"AR", b"202"),
    "version": (b"AR", b"203"),
    "later": (b"AR", b"207"),
}
NAMES = {
    b"100": b"Segment sequence error",
    b"101": b"Required field missing",
    b"200": b"Unsupported message type",
    b"201": b"Unsupported event code",
    b"202": b"Unsupported processing id",
    b"203": b"Unsupported version id",
    b"204": b"Unknown key identifier",
    b"207": b"Application internal error",
}
ECHO = 199  # bytes of MSH-10 that come back
_PLAIN = re.compile(rb"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of MSH that an answer needs, as they came; `rest` is everything after the segment."""

    separators: bytes
    fields: tuple[bytes, ...]
    rest: bytes

    def of(self, number: int) -> bytes:
        """MSH-`number`; b"" when there is none."""
        return self.fields[number - 1] if number <= len(self.fields) else b""

    def part(self, number: int, part: int) -> bytes:
        parts = self.of(number).split(self.separators[1:2])
        return parts[part - 1].strip() if part <= len(parts) else b""


NO_HEADER = Header(b"|^~\\&", (b"|", b"^~\\&"), b"")


def read_header(message: bytes) -> Header | None:
    """The MSH segment; None when the message does not begin with one whose separators can be used."""
    segment, _, rest = re.sub(rb"\r\n?|\n", b"\r", message.lstrip(b"\r\n\xef\xbb\xbf")).partition(b"\r")
    separators = segment[3:8]
    if not segment.startswith(b"MSH") or len(set(separators)) < 5 or re.search(rb"[^!-/:-@\[-`{-~]", separators):
        return None
    return Header(separators, (separators[:1], *segment[4:].split(separators[:1])), rest)


def content_of(header: Header) -> bytes:
    """What a message is known by: its sender, its control id and its body, whenever it was sent."""
    parts = (header.of(3), header.of(4), header.of(10), header.rest.strip(b"\r"))
    return hash32(b"".join(len(part).to_bytes(8, "big") + part for part in (b"mllp", *parts)))


def refusal_of(header: Header) -> str:
    """Why this header alone is refused; "" when it is not."""
    kind, event = header.part(9, 1), header.part(9, 2)
    if kind not in MESSAGES:
        return "type"
    if event not in MESSAGES[kind]:
        return "event"
    if header.part(11, 1) not in (b"P", b""):
        return "processing"
    if not header.part(12, 1).startswith(b"2."):
        return "version"
    return "" if header.of(10).strip() else "no-control-id"


def acknowledge(header: Header, why: str, now: float) -> bytes:
    """The answer: AA without a reason, else the code that belongs to it."""
    field, component = header.separators[:1], header.separators[1:2]
    code, condition = CODES.get(why, (b"AE", b"207")) if why else (b"AA", b"")

    def echo(number: int) -> bytes:
        value = header.of(number)[:ECHO]
        return value if _PLAIN.fullmatch(value) else b""

    kind = component.join((b"ACK", echo(9).split(component)[1], b"ACK")) if component in echo(9) else b"ACK"
    head = (
        b"MSH", header.separators[1:], echo(5), echo(6), echo(3), echo(4),
        time.strftime("%Y%m%d%H%M%S+0000", time.gmtime(now)).encode(), b"", kind,
        make_id().hex()[:20].encode(), echo(11) or b"P", echo(12) or b"2.5",
    )  # fmt: skip
    lines = [field.join(head), field.join((b"MSA", code, header.of(10)[:ECHO]))]
    if condition:
        coded = component.join((condition, NAMES[condition], b"HL70357"))
        lines.append(field.join((b"ERR", b"", b"", coded, b"E", b"", b"", why.encode())))
    return b"\r".join(lines) + b"\r"


class Answering:
    """Messages into a feed, and what is said about each. AA stands for a deposit that is queued and on disk."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def answer(self, message: bytes) -> bytes:
        header = read_header(message)
        if header is None:
            return acknowledge(NO_HEADER, "no-header", time.time())
        return acknowledge(header, refusal_of(header) or self._take(header, message), time.time())

    def _take(self, header: Header, message: bytes) -> str:
        source = b"^".join((header.of(4) or header.of(3), header.of(10)))[:ECHO]
        try:
            taken: Taken = self._feed.message(content_of(header), message, "mllp:" + source.decode("latin-1"))
        except StorageFailed:
            return "later"
        return taken.why if taken.state == "rejected" else ""
