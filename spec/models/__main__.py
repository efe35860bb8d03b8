"""`python -m spec.models`: every scenario and claim with its verdict; exit code 1 if one is not as expected."""

from __future__ import annotations

import shutil

from spec.models import authorship, enrolment, sharing, spin
from spec.models.horn import decide


def main() -> int:
    missing = [program for program in ("SPASS", "spin", "gcc") if shutil.which(program) is None]
    if missing:
        print(f"missing: {', '.join(missing)} (Debian: apt install spass spin gcc)")
        return 1
    wrong = 0
    for scenario in (*sharing.scenarios(), *authorship.scenarios(), *enrolment.scenarios()):
        verdict = decide(scenario)
        wrong += verdict != scenario.expected
        mark = "" if verdict == scenario.expected else "  NOT AS EXPECTED"
        print(f"{verdict:7} {scenario.name:32} {scenario.question}{mark}")
    for run in spin.runs():
        verdict = spin.check(run)
        wrong += verdict != run.expected
        mark = "" if verdict == run.expected else "  NOT AS EXPECTED"
        print(f"{verdict:7} {run.model}/{run.claim:24} {run.variant or 'as specified'}{mark}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
