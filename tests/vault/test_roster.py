"""spec/roster.md: the first statement."""

from __future__ import annotations

from typing import Any

import pytest

from tests.persons import NOW, seed
from vault.errors import BadSignature, Malformed, SuiteRefused, VaultError
from vault.primitives import BoxKey, SigningKey
from vault.roster import FIRST, ROSTER, derive_device_id, derive_head, make_first, read_first
from vault.statement import make_statement

ROOT, DEVICE, BOX = SigningKey.from_seed(seed("root")), SigningKey.from_seed(seed("device")), BoxKey.make()
VAULT = bytes(range(16))
ENTRY = {"id": derive_device_id(DEVICE.public), "sign": DEVICE.public, "box": BOX.public, "added": NOW}
GOOD: dict[str, Any] = {
    "suite": 1, "min_suite": 1, "vault": VAULT, "prev": FIRST, "count": 1, "epoch": 1, "signer": ROOT.public,
    "devices": [ENTRY], "time": NOW,
}  # fmt: skip


def test_the_first_statement_names_the_device() -> None:
    data = make_first(ROOT, VAULT, DEVICE.public, BOX.public, NOW)
    assert read_first(data, ROOT.public, VAULT).fields["devices"] == [ENTRY]
    assert len(derive_head(data)) == 32 and derive_head(data) != derive_head(data + b"\0")


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"suite": 2}, SuiteRefused),
        ({"min_suite": 2}, SuiteRefused),
        ({"vault": bytes(16)}, Malformed),
        ({"prev": seed("x")}, Malformed),
        ({"count": 2}, Malformed),
        ({"signer": DEVICE.public}, Malformed),
        ({"devices": [ENTRY | {"id": bytes(16)}]}, Malformed),
        ({"devices": [ENTRY, ENTRY]}, Malformed),
    ],
)
def test_what_a_reader_refuses(change: dict[str, Any], failure: type[VaultError]) -> None:
    with pytest.raises(failure):
        read_first(make_statement("roster", ROSTER, GOOD | change, ROOT), ROOT.public, VAULT)


def test_nobody_but_the_root_signs_it() -> None:
    with pytest.raises(BadSignature):
        read_first(make_statement("roster", ROSTER, GOOD, DEVICE), ROOT.public, VAULT)
