"""The vectors of `spec/vectors`: the product gives what they say, their makers give the same bytes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec.vectors import check, make
from spec.vectors.two_keys import opens_under
from spec.vectors.writing import HERE
from tui.vectors import check_file, check_folder
from vault import errors, primitives
from vault.errors import InputRefused, VaultError

FORMATS = sorted(folder.name for folder in HERE.iterdir() if any(folder.glob("*.json")))
REMEDY = "run: python -m spec.vectors.make"


def vectors(folder: Path = HERE) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(folder.rglob("*.json")):
        yield file, json.loads(file.read_bytes())


def failure_classes() -> set[str]:
    kinds = [VaultError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return {kind.code for kind in kinds}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_product_agrees(kind: str) -> None:
    failed = [outcome for outcome in check_folder(HERE / kind) if not outcome.passed]
    assert not failed, "\n".join(f"{outcome.id}: {outcome.found}" for outcome in failed)


def test_makers_give_the_same_bytes_again(tmp_path: Path) -> None:
    count = make.write_all(tmp_path)
    made = {file.relative_to(tmp_path): file.read_bytes() for file, _ in vectors(tmp_path)}
    kept = {file.relative_to(HERE): file.read_bytes() for file, _ in vectors()}
    assert len(made) == count
    changed = sorted(str(name) for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    assert not changed, f"{REMEDY}: {changed}"


def test_every_vector_says_one_thing() -> None:
    classes = failure_classes()
    seen = set()
    for file, vector in vectors():
        assert list(vector) == ["id", "format", "description", "input", "expected"], file
        assert vector["id"] == f"{file.parent.name}/{file.stem}" and vector["format"] == file.parent.name
        assert len(vector["expected"]) == 1 and vector["description"]
        failure = vector["expected"].get("failure")
        assert failure is None or failure in classes, f"{file}: no failure class {failure}"
        given = json.dumps([vector["format"], vector["input"]], sort_keys=True)
        assert given not in seen, f"{file}: another vector has this input"
        seen.add(given)
    assert len(seen) >= 200


def test_every_format_has_what_is_taken_and_what_is_refused() -> None:
    never_refused = {"hash", "log", "padme-length", "half-tag", "chain", "token", "safety-number", "device-meeting"}
    never_refused |= {"late-effect", "late-again", "late-draft"}
    for kind in FORMATS:
        expected = [set(vector["expected"]) for _, vector in vectors(HERE / kind)]
        assert {"output"} in expected, f"{kind} takes nothing"
        assert ({"failure"} in expected) == (kind not in never_refused), f"{kind} refuses nothing"


def test_the_ciphertext_for_two_keys_is_one() -> None:
    """Otherwise its refusal would prove nothing: the bare cipher opens it under both keys, to two texts."""
    texts = set()
    for name in ("two-keys-first", "two-keys-second"):
        given = json.loads((HERE / "box" / f"{name}.json").read_bytes())["input"]
        box, key = bytes.fromhex(given["box"]), bytes.fromhex(given["key"])
        nonce, ciphertext = box[:24], box[56:]
        texts.add(opens_under(ciphertext, nonce, primitives.derive_key(key, given["label"], nonce)))
    assert len(texts) == 2


def test_a_wrong_vector_fails(tmp_path: Path) -> None:
    source = json.loads((HERE / "box" / "text.json").read_bytes())
    file = tmp_path / "changed.json"
    for change in (
        {"expected": {"failure": "cannot-open"}},
        {"expected": {"output": {"plaintext": ""}}},
        {"format": "no-such-format"},
    ):
        file.write_text(json.dumps(source | change))
        assert not check_file(file).passed
    refused = json.loads((HERE / "box" / "other-key.json").read_bytes())
    file.write_text(json.dumps(refused | {"expected": {"failure": "malformed"}}))
    assert not check_file(file).passed
    file.write_text(json.dumps(refused | {"expected": {"output": {"plaintext": ""}}}))
    assert not check_file(file).passed


def test_a_folder_without_vectors_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        list(check_folder(tmp_path))
    (tmp_path / "broken.json").write_text("[]")
    with pytest.raises(InputRefused):
        list(check_folder(tmp_path))


def test_the_command_counts_and_names_what_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = json.loads((HERE / "suite" / "1-1.json").read_bytes())
    (tmp_path / "good.json").write_text(json.dumps(source))
    assert check.main(tmp_path) == 0
    assert "1 of 1" in capsys.readouterr().out
    (tmp_path / "wrong.json").write_text(json.dumps(source | {"id": "suite/wrong", "expected": {"failure": "expired"}}))
    assert check.main(tmp_path) == 1
    assert "FAILED suite/wrong" in capsys.readouterr().out


def test_every_failure_class_of_the_tree_is_unique() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VaultError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
