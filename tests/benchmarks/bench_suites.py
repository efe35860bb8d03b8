"""Suite 2 against suite 1: keys, sealing and opening of what travels to a person, and the size of it."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.harness import Row, paired, repeated
from tests.persons import NOW, person
from vault.hybrid import derive_public, derive_seed
from vault.identity import Identity, make_card, read_card
from vault.primitives import BoxKey
from vault.statement import open_statement, seal_statement


def main(quick: bool = False) -> list[Row]:
    rounds, batch = (2, 5) if quick else (9, 200)
    plain = person("Ndiaye Awa", "doctor")
    seed = derive_seed(plain.sign.seed)
    hybrid = Identity(plain.name, plain.role, plain.sign, BoxKey.from_secret(plain.box.secret, seed))
    public, kem = hybrid.box.public, derive_public(seed)
    statements = [make_card(who, now=NOW) for who in (plain, hybrid)]
    one, two = seal_statement(public, statements[0]), seal_statement(public, statements[1], kem)

    def times(action: object) -> object:
        return lambda: [action() for _ in range(batch)]  # type: ignore[operator]

    pairs = {
        "seal": (lambda: seal_statement(public, statements[1], kem), lambda: seal_statement(public, statements[0])),
        "open": (lambda: open_statement(hybrid.box, two), lambda: open_statement(plain.box, one)),
        "key": (lambda: derive_public(derive_seed(plain.sign.seed)), lambda: BoxKey.from_secret(plain.box.secret)),
        "read a card": (lambda: read_card(statements[1]), lambda: read_card(statements[0])),
    }
    rows = []
    for name, (second, first) in pairs.items():
        ratio = paired(times(second), times(first), rounds)  # type: ignore[arg-type]
        cost = sorted(repeated(times(second), rounds))[rounds // 2] / batch * 1e6  # type: ignore[arg-type]
        rows.append(Row(f"suite 2 against 1: {name}", ratio, detail=f"{cost:.0f} us in suite 2"))
    longer = len(two) - len(statements[1]) - (len(one) - len(statements[0]))
    rows.append(Row("suite 2: bytes more for each sealed message", longer, unit="B", detail="X25519 and ML-KEM-768"))
    rows.append(
        Row("suite 2: bytes of a card", len(statements[1]), unit="B", detail=f"{len(statements[0])} in suite 1")
    )
    clock = "import time; t = time.perf_counter()"
    code = f"{clock}; from vault.hybrid import _suite; _suite(); print(time.perf_counter() - t)"
    started = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(rounds)]
    rows.append(Row("suite 2: first use in a process", sorted(started)[rounds // 2] * 1e3, unit="ms"))
    return rows
