"""Fixtures of the command line and the screens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tui.commanding import Elpis, passphrase_file
from tui import language
from vault import RecoveryKit


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """English, and nothing of the person who runs the tests."""
    for name in ("ELPIS_VAULT", "ELPIS_LANG", "ELPIS_PASSPHRASE_COMMAND", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    language.set_language("en")
    yield
    language.set_language("en")


ElpisFactory = Callable[[str], Elpis]


@pytest.fixture
def elpis_of(
    made: dict[str, tuple[Path, RecoveryKit]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> ElpisFactory:
    """`elpis` on a copy of the holder's vault ("") or of the physician's ("doctor")."""

    def factory(role: str = "") -> Elpis:
        path = tmp_path / f"cli-{role or 'holder'}"
        if not path.exists():
            shutil.copytree(made[role][0], path)
        return Elpis(path, passphrase_file(tmp_path), capsys)

    return factory


@pytest.fixture
def elpis(elpis_of: ElpisFactory) -> Elpis:
    """`elpis --language en` on an empty vault of the holder."""
    return elpis_of("")
