"""A stage for each attack: a holder, a physician, and a relay that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stage import Stage
from vault import Vault


@pytest.fixture
def stage(vault_factory: Callable[..., Vault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("sync.client.BACKOFF", 0.001)
    made = Stage.set(vault_factory, tmp_path)
    yield made
    made.stack.close()
