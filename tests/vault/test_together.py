"""Changes of one edition that are told one by one are sealed as one operation: the same bytes as if told together."""

from __future__ import annotations

from typing import Any

import pytest

from vault.operation import MAX_ITEMS, Together, decode_operation, encode_operation

ONE, OTHER = bytes(range(16)), bytes(range(16, 32))


def item(number: int) -> dict[str, Any]:
    change = {"actor": ONE, "seq": number + 1, "deps": [bytes(32)], "hash": number.to_bytes(32), "data": b"x" * number}
    return {"change": change, "author": "Martin Léa", "time": number, "own": True}


def told(document: bytes, *numbers: int, again: tuple[bytes, ...] = ()) -> tuple[str, bytes]:
    items = [item(number) for number in numbers]
    fields = {"document": document, "edition": bytes(32), "items": items, "again": list(again)}
    return "changes", encode_operation("changes", fields)


def together(*operations: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    made = Together()
    for operation in operations:
        made.add(*operation)
    assert len(made) == len(made.operations())
    return made.operations()


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25, MAX_ITEMS])
def test_of_one_edition_they_are_one(count: int) -> None:
    assert together(*(told(ONE, number) for number in range(count))) == [told(ONE, *range(count))]


def test_of_two_documents_they_are_two_in_the_order_of_the_first() -> None:
    made = together(told(OTHER, 0), told(ONE, 1), told(OTHER, 2), told(ONE, 3))
    assert made == [told(OTHER, 0, 2), told(ONE, 1, 3)]


def test_nothing_moves_across_another_operation() -> None:
    row = "row", encode_operation("row", {"name": "meta", "key": "name", "value": b""})
    late = told(ONE, again=(bytes(32),))
    for between in (row, late, told(ONE, 7, 8)):
        assert together(told(ONE, 0), told(ONE, 1), between, told(ONE, 2)) == [told(ONE, 0, 1), between, told(ONE, 2)]


def test_no_more_than_so_many() -> None:
    made = together(*(told(ONE, number) for number in range(2 * MAX_ITEMS + 1)))
    assert [len(decode_operation(*one)["items"]) for one in made] == [MAX_ITEMS, MAX_ITEMS, 1]
