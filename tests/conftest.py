"""Fixtures that several rooms share. Argon2 is paid once a session: vaults are copies of one that was made before."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vault import RecoveryKit, Vault, primitives

PASSPHRASE = "sept lampes vertes au matin"
HOLDER, BIRTH = "Martin Léa", "1980-02-03"
PHYSICIAN = "Ndiaye Awa"

VaultFactory = Callable[..., Vault]


@pytest.fixture(scope="session", autouse=True)
def argon_once() -> Iterator[None]:
    """The real Argon2id, each derivation computed once."""
    real = primitives.derive_passphrase_key
    primitives.derive_passphrase_key = functools.lru_cache(maxsize=None)(real)
    yield
    primitives.derive_passphrase_key = real


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, RecoveryKit]]:
    """A closed vault of a holder (role "") and one of a physician (role "doctor"), with their recovery kits."""
    folder = tmp_path_factory.mktemp("made")
    closed = {}
    for role, name, birth in (("", HOLDER, BIRTH), ("doctor", PHYSICIAN, "")):
        path = folder / (role or "holder")
        vault, kit = Vault.create(path, name=name, birth=birth, passphrase=PASSPHRASE, role=role)
        vault.lock()
        closed[role] = (path, kit)
    return closed


@pytest.fixture
def vault_factory(made: dict[str, tuple[Path, RecoveryKit]], tmp_path: Path) -> Iterator[VaultFactory]:
    """Opens a fresh copy of the holder's vault, or of the physician's with role="doctor"; all are locked at the end.

    Copies have one vault id, one identity and one set of keys: two *different* people are a holder and a physician.
    """
    opened: list[Vault] = []
    numbers = itertools.count(1)

    def factory(role: str = "", **options: object) -> Vault:
        path = tmp_path / f"vault-{role or 'holder'}-{next(numbers)}"
        shutil.copytree(made[role][0], path)
        opened.append(Vault.unlock(path, PASSPHRASE, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield factory
    for vault in opened:
        vault.lock()


@pytest.fixture
def vault(vault_factory: VaultFactory) -> Vault:
    """An open, empty vault of the holder."""
    return vault_factory()


@pytest.fixture
def professional(vault_factory: VaultFactory) -> Vault:
    """An open, empty vault of a physician."""
    return vault_factory("doctor")


@pytest.fixture(scope="session")
def passphrase() -> str:
    """What opens every vault of `vault_factory`."""
    return PASSPHRASE
