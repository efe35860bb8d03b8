"""What an exchange tells: counts, events, and which relays did not answer."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: "grant-received", "renewed", "opened", "document-changed", "deposit-filed",
    "deposit-received", "deposit-waiting", "quarantined", "access-ended", "relay-contradiction", "refused"."""

    kind: str
    person: str = ""
    document_id: str = ""
    title: str = ""
    time: int = 0
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What one exchange did. `unreachable`: relays that did not answer; what is for them stays queued."""

    pushed: int = 0
    pulled: int = 0
    queued: int = 0
    events: list[Event] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    @property
    def contradictions(self) -> list[Event]:
        """What a relay was caught at: told, whatever else went wrong."""
        return [event for event in self.events if event.kind == "relay-contradiction"]

    def silent(self, relay: str) -> None:
        if relay not in self.unreachable:
            self.unreachable.append(relay)
