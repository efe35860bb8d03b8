"""The formal models of `spec/models`: each scenario gives the verdict that the text says, the broken ones included."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spec.models import authorship, enrolment, horn, sharing, spin
from tests.programs import need

SUBJECTS = (sharing.scenarios(), authorship.scenarios(), enrolment.scenarios())
SCENARIOS = [scenario for scenarios in SUBJECTS for scenario in scenarios]
TEXT = (Path(horn.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_spass(scenario: horn.Scenario) -> None:
    assert horn.decide(scenario, need("spass")) == scenario.expected


@pytest.mark.parametrize("run", spin.runs(), ids=lambda run: run.name)
def test_spin(run: spin.Run) -> None:
    need("spin")
    need("gcc")
    assert spin.check(run) == run.expected


def test_no_proof_without_a_verdict() -> None:
    """A prover that says nothing, or runs out of time, has proved nothing."""
    with pytest.raises(RuntimeError, match="no verdict"):
        horn.decide(SCENARIOS[0], "true")


def test_a_name_has_one_number_of_arguments() -> None:
    with pytest.raises(ValueError, match="with 1 and with 2"):
        horn.to_dfg(horn.Scenario("typing-error", "?", ("p(f(a))", "p(f(a, a))"), "p(a)", horn.SAFE))


def test_every_question_has_a_broken_variant() -> None:
    for scenarios in SUBJECTS:
        assert {scenario.expected for scenario in scenarios} == {horn.ATTACK, horn.SAFE}
    for model in ("half_key", "revoke", "removal"):
        source = (Path(horn.__file__).parent / f"{model}.pml").read_text(encoding="utf-8")
        variants = {run.variant for run in spin.runs() if run.model == model and run.variant}
        assert variants == _variants(source)


def _variants(source: str) -> set[str]:
    return {name for pair in re.findall(r"#ifn?def (\w+)|defined\((\w+)\)", source) for name in pair if name}


def test_the_text_names_every_scenario() -> None:
    for name in [scenario.name for scenario in SCENARIOS] + [run.variant for run in spin.runs()]:
        assert name in TEXT, f"spec/models/README.md does not say what {name} is"
