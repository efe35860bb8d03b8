"""An authority's log: the tree of RFC 9162, proofs, extracts, and two histories told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import AuthorityContradiction, BadSignature, Malformed, NotCertified, SuiteRefused
from vault.log import (
    HEAD,
    Head,
    check_path,
    compare,
    compare_unknown,
    derive_leaf,
    derive_node,
    derive_root,
    make_extract,
    make_head,
    make_path,
    need_peaks,
    read_head,
)
from vault.primitives import SigningKey, hash32
from vault.statement import make_statement

KEY, ELSE = SigningKey.from_seed(b"a" * 32), SigningKey.from_seed(b"b" * 32)
LEAVES = [derive_leaf(b"%d" % n) for n in range(40)]


def by_the_book(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else hash32(b"", "elpis-log")
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return derive_node(by_the_book(leaves[:split]), by_the_book(leaves[split:]))


def head(leaves: list[bytes], time: int = 5, key: SigningKey = KEY) -> Head:
    return read_head(make_head(key, len(leaves), derive_root(leaves), time), key.public)


@given(st.integers(0, 40), st.integers(0, 40))
def test_every_extract_gives_every_root_from_where_it_begins(size: int, start: int) -> None:
    extract = make_extract(LEAVES[:size], min(start, size))
    need_peaks(extract.start, extract.peaks)
    assert extract.roots(range(41)) == {n: by_the_book(LEAVES[:n]) for n in range(extract.start, size + 1)}


@given(st.integers(1, 40), st.data())
def test_a_path_proves_one_leaf_at_one_place(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    signed, path = head(LEAVES[:size]), make_path(LEAVES[:size], index)
    check_path(LEAVES[index], index, path, signed)
    other = data.draw(st.integers(-1, size + 1).filter(lambda n: n != index))
    for leaf, place, steps in (
        (LEAVES[index], other, path),
        (derive_leaf(b"x"), index, path),
        (LEAVES[index], index, [*path, path[0] if path else LEAVES[0]]),
        (LEAVES[index], index, path[:-1] if path else [LEAVES[0]]),
    ):
        with pytest.raises(NotCertified):
            check_path(leaf, place, steps, signed)


def test_one_history_is_taken() -> None:
    extract = make_extract(LEAVES[:20], 9)
    compare(extract, head(LEAVES[:20]), [head(LEAVES[:n], n // 4) for n in (9, 12, 19, 20)])
    compare_unknown(head(LEAVES[:3], 1), head(LEAVES[:4], 1))


@pytest.mark.parametrize(
    "other",
    [head([derive_leaf(b"x"), *LEAVES[1:12]], 1), head([*LEAVES[:19], derive_leaf(b"x")]), head(LEAVES[:12], 6),
     head(LEAVES[:21], 4)],
)  # fmt: skip
def test_two_histories_are_two_signatures(other: Head) -> None:
    ours = head(LEAVES[:20])
    with pytest.raises(AuthorityContradiction) as caught:
        compare(make_extract(LEAVES[:20], 0), ours, [other])
    evidence = caught.value.evidence
    assert {evidence.first, evidence.second} == {ours.data, other.data} and evidence.authority == KEY.public


def test_what_cannot_be_compared_is_not_believed() -> None:
    with pytest.raises(NotCertified) as caught:
        compare(make_extract(LEAVES[:20], 9), head(LEAVES[:20]), [head(LEAVES[:8], 1)])
    assert caught.value.facts["reason"] == "no-overlap"
    for one, two in ((head(LEAVES[:3]), head(LEAVES[1:4])), (head(LEAVES[:3], 2), head(LEAVES[:4], 1))):
        with pytest.raises(AuthorityContradiction):
            compare_unknown(one, two)


def test_a_head_is_its_authoritys() -> None:
    fields = {"suite": 1, "authority": KEY.public, "size": 0, "root": bytes(32), "time": 0}
    for body, signer, failure in (
        (fields, ELSE, BadSignature),
        (fields | {"authority": ELSE.public}, KEY, BadSignature),
        (fields | {"suite": 2}, KEY, SuiteRefused),
    ):
        with pytest.raises(failure):
            read_head(make_statement("log-head", HEAD, body, signer), KEY.public)
    with pytest.raises(Malformed):
        need_peaks(5, LEAVES[:3])
