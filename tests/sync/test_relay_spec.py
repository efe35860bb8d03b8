"""The page, the OpenAPI file and the code name the same calls, limits and refusals."""

from __future__ import annotations

import re

from sync import wire
from sync.relay.app import CALLS
from sync.relay.refusal import REFUSALS
from tests.sync.conftest import ROOT

PAGE = (ROOT / "spec" / "relay.md").read_text("utf-8")
OPENAPI = (ROOT / "spec" / "relay.openapi.yaml").read_text("utf-8")
HANDLED = {(method, path) for method, path, _ in CALLS}


def test_every_call_has_its_heading_and_no_heading_is_without_a_call() -> None:
    headings = re.findall(r"^### (GET|HEAD|PUT|POST|PATCH|DELETE) (/[^?\s]+)", PAGE, re.MULTILINE)
    assert set(headings) == HANDLED
    assert len(headings) == len(HANDLED)


def test_openapi_names_the_same_calls() -> None:
    found, path = set(), ""
    for line in OPENAPI.splitlines():
        if match := re.fullmatch(r"  (/\S+):", line):
            path = match[1]
        elif match := re.fullmatch(r"    (get|head|put|post|patch|delete):", line):
            found.add((match[1].upper(), path))
    assert found == HANDLED


def test_openapi_references_exist() -> None:
    defined = set(re.findall(r"^    (\w+):", OPENAPI.partition("\ncomponents:")[2], re.MULTILINE))
    assert set(re.findall(r"'#/components/\w+/(\w+)'", OPENAPI)) <= defined


def test_every_limit_is_on_the_page_with_its_value() -> None:
    plain = PAGE.replace(" ", "").replace("\n", " ")
    for name, value in wire.limits().items():
        assert f"`{name}`" in PAGE, name
        assert str(value) in plain, name


def test_every_refusal_is_on_the_page_with_its_status() -> None:
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE))
    written = {code: int(status) for status, codes in rows.items() for code in re.findall(r"`([a-z-]+)`", codes)}
    assert written == {code: status for code, (status, _) in REFUSALS.items()}
