"""Whether a file is about the holder."""

from __future__ import annotations

import pytest

from vault.document import Subject
from vault.review.identity import same_person

ZELIE = Subject("EXEMPLE-VAULT", "ZÉLIE ANNE-LOUISE", "1984-04-12", (), ("D'ESSAI",))


@pytest.mark.parametrize(
    "holder",
    [
        "EXEMPLE-VAULT Zélie",
        "exemple vault zelie",
        "Zélie Exemple-Vault",
        "D'Essai Zélie",
        "d essai zelie",
        "Mme Exemple Vault Zelie",
        "Exemple-Vault Anne-Louise",
        "EXEMPLE-VAULT Zélie Anne-Louise",
    ],
)
def test_the_same_person(holder: str) -> None:
    assert same_person(ZELIE, holder, "1984-04-12") == (True, "")
    assert same_person(ZELIE, holder, "") == (True, "")


@pytest.mark.parametrize(
    ("holder", "birth", "why"),
    [
        ("EXEMPLE-VAULT Zélie", "1984-04-13", "birth"),
        ("EXEMPLE-VAULT Zélie", "1985", "birth"),
        ("MARTIN Zélie", "1984-04-12", "name"),
        ("EXEMPLE-VAULT Paul", "1984-04-12", "name"),
        ("EXEMPLE-VAULT Paul", "", "name"),
        ("Durand Léa", "", "name"),
    ],
)
def test_another_person(holder: str, birth: str, why: str) -> None:
    same, reason = same_person(ZELIE, holder, birth)
    assert not same
    assert why in reason


def test_part_of_a_name_needs_the_birth_date() -> None:
    double = Subject("Brönnimann-Bertholet", "Elisabeth", "1937-05-03")
    assert same_person(double, "Bronnimann Elisabeth", "1937-05-03")[0]
    assert not same_person(double, "Bronnimann Elisabeth", "")[0]
    assert not same_person(double, "Bertholet Marie", "1937-05-03")[0]


def test_a_file_with_a_birth_date_only() -> None:
    assert same_person(Subject(birth="1984-04-12"), "Martin Léa", "1984-04-12")[0]
    assert not same_person(Subject(birth="1984-04-12"), "Martin Léa", "1980-02-03")[0]
