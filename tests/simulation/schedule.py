"""What happens in one run: steps drawn from a seed before anything runs, so that one seed is one schedule for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass

PROFILES = ("network", "crash", "clock", "hostile")
HOLDER = {
    "document": 4, "entry": 6, "amend": 5, "remove": 2, "title": 3, "attach": 2, "grant": 7, "revoke": 3,
    "sync": 14, "accept": 2, "refuse": 1, "restart": 1,
}  # fmt: skip
GRANTEE = {
    "open": 9, "refresh": 3, "add": 6, "amend": 5, "erase": 2, "retitle": 3, "file": 2, "close": 2, "sync": 6,
    "deposit": 1, "restart": 1, "hold": 2,
}  # fmt: skip
LABORATORY = {"deposit": 5, "sync": 4, "restart": 1}
HOSTILE = {
    "fork": 3, "join": 3, "remember": 3, "rollback": 3, "withhold": 3, "gap": 2, "forge": 3, "garbage": 1,
    "repeat": 2, "move": 1, "key": 1, "deaf": 2, "keep-halves": 1, "alter": 2, "reopen": 2,
}  # fmt: skip
SEATS = {"H": 10, "A": 6, "B": 5, "C": 3, "L": 2}
CALL_FAULTS = ("drop", "lose", "late", "twice")


@dataclass(frozen=True, slots=True)
class Step:
    """`a`, `b`, `c` choose among what there is when the step runs. `faults`: (call or commit, which, how, delay)."""

    seat: str
    act: str
    a: int
    b: int
    c: int
    faults: tuple[tuple[str, int, str, int], ...] = ()

    def __str__(self) -> str:
        wrong = "".join(f"  {what} {at}: {how}{f' +{delay}' if delay else ''}" for what, at, how, delay in self.faults)
        return f"{self.seat} {self.act:<9} {self.a:>3} {self.b:>3} {self.c:>3}{wrong}"


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    profile: str
    steps: tuple[Step, ...]


def draw(seed: int) -> Schedule:
    chance = random.Random(seed)
    profile = chance.choices(PROFILES, (3, 3, 2, 3))[0]
    # A world in which nothing is shared tells little: every run begins with a grant or two.
    steps = [Step("H", "document", *_numbers(chance)) for _ in range(chance.randint(1, 3))]
    known = []
    for _ in range(chance.randint(1, 2)):
        granting = Step("H", "grant", *_numbers(chance))
        known.append("ABC"[granting.a % 3])
        steps += [granting, Step("H", "sync", 0, 0, 0)]
    length = chance.randint(20, 50)
    while len(steps) < length:
        steps += _scene(chance, profile, known * 4 + ["A", "B", "C"])
    return Schedule(seed, profile, tuple(steps))


def _scene(chance: random.Random, profile: str, people: list[str]) -> list[Step]:
    """A few steps that belong together, so that what needs several of them comes about often enough."""
    kind = chance.random()
    if kind < 0.05:
        return [Step("-", "time", *_numbers(chance))]
    if profile == "clock" and kind < 0.17:
        return [Step(_of(chance, SEATS), "skew", *_numbers(chance))]
    if profile == "hostile" and kind < 0.35:
        return [Step(chance.choice([*people, "H", "H", "H", "H"]), _of(chance, HOSTILE), *_numbers(chance))]
    if kind < 0.55:  # somebody opens and writes
        seat, acts = chance.choice(people), ("add", "add", "amend", "amend", "erase", "retitle", "file", "refresh")
        opened = [_step(chance, profile, seat, "open")]
        return opened + [_step(chance, profile, seat, chance.choice(acts)) for _ in range(chance.randint(1, 4))]
    if kind < 0.62:  # a document moves to its next epoch while somebody has it open and writes
        seat = chance.choice(people)
        acts = ("add", "amend", "retitle", "erase", "file")
        return [
            _step(chance, profile, seat, "open"),
            *(_step(chance, profile, seat, "add") for _ in range(chance.randint(0, 1))),
            _step(chance, profile, "H", chance.choice(("grant", "grant", "revoke"))),
            _step(chance, profile, "H", "sync"),
            *(_step(chance, profile, seat, chance.choice(acts)) for _ in range(chance.randint(1, 2))),
        ]
    if kind < 0.74:  # the holder writes and exchanges
        acts = ("entry", "amend", "title", "remove", "attach")
        wrote = [_step(chance, profile, "H", chance.choice(acts)) for _ in range(chance.randint(1, 3))]
        return [*wrote, _step(chance, profile, "H", "sync")]
    seat = chance.choice(people) if chance.random() < 0.5 else _of(chance, SEATS)
    acts = HOLDER if seat == "H" else LABORATORY if seat == "L" else GRANTEE
    return [_step(chance, profile, seat, _of(chance, acts))]


def _step(chance: random.Random, profile: str, seat: str, act: str) -> Step:
    return Step(seat, act, *_numbers(chance), _faults(chance, profile))


def _numbers(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(100), chance.randrange(100), chance.randrange(100)


def _faults(chance: random.Random, profile: str) -> tuple[tuple[str, int, str, int], ...]:
    faults = []
    if chance.random() < 0.25:
        for _ in range(chance.randint(1, 2)):
            faults.append(("call", chance.randint(1, 8), chance.choice(CALL_FAULTS), chance.randint(0, 25)))
    if profile in ("crash", "clock") and chance.random() < 0.15:
        how = chance.choice(("crash", "crash-after"))
        faults.append((chance.choice(("call", "commit")), chance.randint(1, 9), how, 0))
    return tuple(faults)


def _of(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
