"""The one way in which the reader says no: a failure class of `spec/README.md`."""

from __future__ import annotations


class Refused(Exception):
    """`code` is the failure class that vectors name; `why` is for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def malformed(why: str) -> Refused:
    return Refused("malformed", why)


def need(value: bytes, length: int, what: str) -> bytes:
    """The value, or a refusal when it is not exactly `length` bytes."""
    if len(value) != length:
        raise malformed(f"{what} is {len(value)} bytes, not {length}")
    return value
