"""Why the relay says no. The message is fixed per code: nothing of a request ever comes back in an answer."""

from __future__ import annotations

# code: (status, message). spec/relay.md lists the same.
REFUSALS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request is not what the specification says."),
    "dates": (400, "The dates of this half cannot be kept."),
    "token": (403, "No token here allows this."),
    "signature": (403, "The opening is not signed by this grant's reader."),
    "not-yet": (403, "The grant has not begun."),
    "unknown": (404, "There is nothing at this address."),
    "method": (405, "There is no such call."),
    "exists": (409, "Something else is at this address."),
    "counter": (409, "The counter is not greater than every earlier one."),
    "offset": (409, "The upload is at another offset."),
    "incomplete": (409, "The upload is not complete."),
    "closed": (410, "The mailbox is closed."),
    "ended": (410, "The grant has ended."),
    "revoked": (410, "The grant was revoked."),
    "too-large": (413, "The request is larger than the limit."),
    "full": (413, "The limit of entries or tokens is reached."),
    "url": (414, "The address line is longer than the limit."),
    "range": (416, "The range is not inside the blob."),
    "used-up": (429, "Every opening of this grant is used up."),
    "rate": (429, "Too many requests for this address."),
    "headers": (431, "The headers are larger than the limit."),
    "fault": (500, "The relay failed; nothing was acknowledged."),
    "storage": (507, "The relay's disk refused; nothing was acknowledged."),
}


class Refusal(Exception):
    """A rule says no. Raised before anything is written, so that a batch of others can go on."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.status, self.message = REFUSALS[code]


class StorageRefused(Exception):
    """The disk said no: full, read-only or broken. Everything of the batch is taken back."""
