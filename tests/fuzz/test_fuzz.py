"""A short run of every target: what ELPIS_FUZZ leaves beside the hostile changes of test_crdt.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec.vectors.people import DOCTOR, HOLDER, NOW
from sync import envelope
from tests.fuzz import runner
from tests.fuzz.runner import Finding, once, random_of, run, run_all
from tests.fuzz.targets import TARGETS, Target
from vault import certificate, chunk, deposit, grant, identity, opening, roster
from vault.errors import Malformed, VaultError

READERS: dict[str, Callable[[bytes], object]] = {
    "authority": certificate.read_authority,
    "card": identity.read_card,
    "change": lambda data: chunk.read_operations(chunk.read_header(data)),
    "deposit": lambda data: deposit.open_deposit(data, HOLDER),
    "envelope": lambda data: envelope.open(bytes(32), bytes(32), data),
    "package": lambda data: grant.open_package(data, DOCTOR, NOW),
    "renewal": lambda data: grant.open_renewal(data, DOCTOR, HOLDER.sign.public),
    "request": lambda data: opening.read_request(data, HOLDER.sign.public),
    "roster": lambda data: roster.read_first(data, HOLDER.sign.public, bytes(16)),
    "sealed": HOLDER.box.open,
}
EXECUTIONS = runner.EXECUTIONS * (100 - runner.CRDT_SHARE) // 100


@pytest.mark.timeout(120 + EXECUTIONS // 1000)
def test_no_input_does_more_than_be_refused() -> None:
    findings: list[Finding] = []
    tallies = list(run_all(EXECUTIONS, seed=1, findings=findings))
    assert not findings, "\n".join(map(str, findings))
    assert sum(tally.executions for tally in tallies) >= 0.99 * EXECUTIONS
    assert len(tallies) >= 12 and all(tally.executions for tally in tallies)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=400))
def test_bytes_that_nobody_made_are_refused(name: str, data: bytes) -> None:
    """No structure at all: every reader refuses it in the vault's own words."""
    with pytest.raises(VaultError):
        READERS[name](data)


def test_a_seed_replays_exactly() -> None:
    for name, target in TARGETS.items():
        for at in range(3):
            assert target.make(random_of(target, 7, at)) == target.make(random_of(target, 7, at)), name


def test_readers_are_reached() -> None:
    """Signed again after they were changed, some statements are taken: otherwise only signatures would be fuzzed."""
    for name in ("card", "authority", "package", "renewal", "deposit", "roster", "entry", "release", "chunk", "shapes"):
        assert run(TARGETS[name], 3, 150, []).taken, name


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda data: {}["x"], "KeyError"),
        (lambda data: sum(range(3_000_000)), " s for one input"),
        (lambda data: (_ for _ in ()).throw(Malformed("fine")), ""),
        (lambda data: None, ""),
    ],
)  # fmt: skip
def test_the_runner_sees_what_must_not_happen(act: object, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.runner.SECONDS", 0.01)
    _, _, wrong = once(Target("broken", 1, lambda rng: b"", act), 0, 0)  # type: ignore[arg-type]
    assert expected in wrong and bool(expected) == bool(wrong)
