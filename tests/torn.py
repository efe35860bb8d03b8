"""Images of a SQLite database whose log was torn: by a power cut, a lying disk, or a hand that copied files.

A `Story` is a database as it lay at one moment, with the size of its log after each commit. From it come `Image`s, each
with the number of commits that must still be there: those whose last byte lies before the damage.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

HEADER, FRAME, PAGE = 32, 24, 4096
WHOLE = FRAME + PAGE


@dataclass(frozen=True)
class Story:
    """`ends[n]`: how long the log was when commit n had been acknowledged; `ends[0]` is 0, before the first."""

    main: bytes
    log: bytes
    ends: tuple[int, ...]

    def reached(self, size: int) -> int:
        """How many commits lie whole in the first `size` bytes of the log."""
        return bisect_right(self.ends, size) - 1

    @property
    def last(self) -> int:
        return len(self.ends) - 1


@dataclass(frozen=True)
class Image:
    """`reached` commits are there; None when the database itself is damaged and anything may be refused."""

    what: str
    main: bytes
    log: bytes | None
    reached: int | None
    shm: bytes | None = None


def images(story: Story, count: int, seed: int, others: list[tuple[str, Story]]) -> Iterator[Image]:
    """So many, of every kind in turn. `others` are older states of the same database, and databases of others."""
    rng = Random(seed)
    kinds = (_cut_header, _cut_frame_header, _cut_page, _cut_frame, _zeroed, _flipped, _flipped, _shared, _main)
    for number in range(count):
        if others and number % (len(kinds) + 1) == len(kinds):
            what, other = others[number // len(kinds) % len(others)]
            yield Image(what, story.main, other.log, None)
        else:
            yield kinds[number % (len(kinds) + bool(others))](rng, story)


def _frame(rng: Random, story: Story) -> int:
    """Where some frame begins; every other time one of the last ten."""
    frames = (story.ends[-1] - HEADER) // WHOLE
    return HEADER + WHOLE * rng.randrange(max(0, frames - 10) if rng.random() < 0.5 else 0, frames)


def _cut(what: str, story: Story, at: int) -> Image:
    return Image(f"{what}, at {at}", story.main, story.log[:at], story.reached(at))


def _cut_header(rng: Random, story: Story) -> Image:
    return _cut("cut inside the header", story, rng.randrange(HEADER))


def _cut_frame_header(rng: Random, story: Story) -> Image:
    return _cut("cut inside a frame's header", story, _frame(rng, story) + rng.randrange(1, FRAME))


def _cut_page(rng: Random, story: Story) -> Image:
    return _cut("cut inside a page", story, _frame(rng, story) + FRAME + rng.randrange(PAGE))


def _cut_frame(rng: Random, story: Story) -> Image:
    return _cut("cut between two frames", story, _frame(rng, story))


def _zeroed(rng: Random, story: Story) -> Image:
    at = _frame(rng, story) + rng.randrange(WHOLE)
    log = story.log[:at] + bytes(len(story.log) - at)
    return Image(f"zeroed from {at}", story.main, log, story.reached(at))


def _flipped(rng: Random, story: Story) -> Image:
    """One to three bits; what is behind the first frame that they hit does not count any more."""
    log, first = bytearray(story.log), story.ends[-1]
    for _ in range(rng.choice((1, 1, 3))):
        begin = _frame(rng, story)
        at = begin + rng.choice((rng.randrange(FRAME), rng.randrange(WHOLE)))
        log[at] ^= 1 << rng.randrange(8)
        first = min(first, begin)
    return Image(f"bits flipped from the frame at {first}", story.main, bytes(log), story.reached(first))


def _shared(rng: Random, story: Story) -> Image:
    """The log is whole; its index, which a crash leaves behind, is of another time."""
    shm = rng.choice((b"", b"\xff" * 32_768, bytes(32_768), rng.randbytes(40_000), rng.randbytes(100)))
    at = rng.choice((len(story.log), _frame(rng, story)))
    return Image(f"another index, cut at {at}", story.main, story.log[:at], story.reached(at), shm)


def _main(rng: Random, story: Story) -> Image:
    """The database itself is cut or changed."""
    log = rng.choice((story.log, story.log[: _frame(rng, story)], None))
    at = rng.choice((0, rng.randrange(100), rng.randrange(len(story.main)), len(story.main) - rng.randrange(PAGE)))
    if rng.random() < 0.5:
        return Image(f"the database cut at {at}", story.main[:at], log, None)
    main = bytearray(story.main)
    for _ in range(rng.choice((1, 8))):
        main[rng.randrange(len(main))] ^= 1 << rng.randrange(8)
    return Image("bits flipped in the database", bytes(main), log, None)
