"""Runs SPIN on the models of this folder: every claim as specified, every broken variant against what it breaks."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spec.models.horn import ATTACK, SAFE

HERE = Path(__file__).parent
# Claims that are checked on a smaller life of their own: the number that the model calls CONTENT.
CONTENT = {"kept": 1, "newest": 2, "early": 3, "settles": 3}


@dataclass(frozen=True, slots=True)
class Run:
    """One claim of one model, as specified or in a broken variant."""

    model: str
    claim: str
    variant: str
    expected: str

    @property
    def name(self) -> str:
        return f"{self.model}-{self.claim}-{self.variant or 'specified'}"


def runs() -> list[Run]:
    claims = {
        "half_key": ("logged", "durable", "notlate", "gone"),
        "revoke": ("ended", "seen", "fresh", "done"),
        "removal": ("same", "removed", "kept", "early", "newest", "settles"),
    }
    broken = {
        "half_key": {
            "RELEASE_FIRST": "logged",
            "CHECK_THEN_ACT": "notlate",
            "NO_SYNC": "durable",
            "CLOCK_BACK": "notlate",
            "NO_SWEEP": "gone",
        },
        "revoke": {"RECEIPT_EARLY": "ended", "CACHED_ANSWER": "ended", "TRACE_LATE": "seen", "EPOCH_LATE": "fresh"},
        "removal": {
            "FIRST_COME": "same",
            "NO_REMOVAL_RULE": "removed",
            "NO_ROOT_RULE": "removed",
            "NOT_TO_END": "newest",
            "FORGET_BEHIND": "kept",
            "STAY_BEHIND": "early",
            "BETWEEN": "newest",
            "THIRD": "newest",
            "ONE_EAR": "same",
        },
    }
    kept = [Run(model, claim, "", SAFE) for model in claims for claim in claims[model]]
    return kept + [Run(model, claim, variant, ATTACK) for model in broken for variant, claim in broken[model].items()]


def check(run: Run) -> str:
    """SAFE when the claim holds on every interleaving, ATTACK when SPIN shows one on which it does not.

    What must happen some day is checked on fair schedules; `settles` is that no process waits for ever.
    RuntimeError when there is no verdict: never a proof.
    """
    liveness = run.claim in ("gone", "done")
    claim = ["-noclaim"] if run.claim == "settles" else ["-N", run.claim]
    with tempfile.TemporaryDirectory(prefix="elpis-spin-") as folder:
        shutil.copy(HERE / f"{run.model}.pml", folder)
        variant = [f"-DCONTENT={CONTENT.get(run.claim, 0)}", *([f"-D{run.variant}"] if run.variant else [])]
        _call(["spin", *variant, "-a", f"{run.model}.pml"], folder)
        _call(["gcc", "-O1", "-w", "-o", "pan", "pan.c", *([] if liveness else ["-DSAFETY"])], folder)
        mode = ["-a", "-f"] if liveness else []
        report = _call(["./pan", *mode, "-m100000", *claim], folder)
    if "errors: 0" in report and "search depth too small" not in report:
        return SAFE
    if "errors: 1" in report:
        return ATTACK
    raise RuntimeError(f"{run.name}: no verdict\n{report[-800:]}")


def _call(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0 and command[0] != "./pan":
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-400:]}{done.stderr[-400:]}")
    return done.stdout
