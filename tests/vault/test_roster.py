"""spec/roster.md: the first statement, what follows, which of two histories holds. Refusals stand in the vectors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.persons import NOW, seed
from vault.errors import BadSignature, InputRefused, Malformed, TooLarge, VerificationFailed
from vault.histories import Histories
from vault.primitives import BoxKey, SigningKey
from vault.roster import (
    MAX_CHAIN,
    Device,
    derive_head,
    make_device,
    make_first,
    make_next,
    read_chain,
    read_first,
    read_next,
)

ROOT = SigningKey.from_seed(seed("root"))
KEYS = {name: SigningKey.from_seed(seed(name)) for name in ("laptop", "phone", "tablet", "watch", "desk")}
VAULT = bytes(range(16))


def device(name: str) -> Device:
    return make_device(KEYS[name].public, BoxKey.from_secret(seed(f"{name} box")).public, NOW)


FIRST = make_first(ROOT, VAULT, KEYS["laptop"].public, BoxKey.from_secret(seed("laptop box")).public, NOW)


def grown(*names: str, by: str = "laptop") -> list[bytes]:
    chain = [FIRST]
    for name in names:
        chain.append(then(chain, by, add=name))
    return chain


def then(chain: Sequence[bytes], by: str, *, add: str = "", remove: str = "") -> bytes:
    key = ROOT if by == "root" else KEYS[by]
    joining = [device(add)] if add else []
    leaving = [device(remove).id] if remove else []
    return make_next(last(chain), key, add=joining, remove=leaving, now=NOW)


def last(chain: Sequence[bytes]):  # type: ignore[no-untyped-def]
    return read_chain(chain, ROOT.public, VAULT)[-1]


def held(ours: Sequence[bytes], theirs: Sequence[bytes]) -> Sequence[bytes]:
    known = Histories(ROOT.public, VAULT)
    known.add(ours)
    with suppress(VerificationFailed):
        known.add(theirs)
    return known.held()


def test_what_holds_does_not_depend_on_the_order_in_which_histories_come() -> None:
    """Three that each remove the next: two by two there is no winner, and every device comes to the same all the
    same."""
    before = grown("phone", "tablet")
    circle = [("laptop", "phone"), ("phone", "tablet"), ("tablet", "laptop")]
    chains = [[*before, then(before, by, remove=other)] for by, other in circle]
    chains.append([*chains[1], then(chains[1], "phone", add="watch")])
    winners = set()
    for order in itertools.permutations(chains):
        known = Histories(ROOT.public, VAULT)
        for chain in order:
            known.add(chain)
        winners.add(derive_head(known.held()[-1]))
        assert not known.add(chains[0])
    assert winners == {derive_head(chains[2][-1])}


def test_a_history_without_what_does_not_count() -> None:
    before = grown("phone")
    chain = [*before, then(before, "laptop", add="tablet")]
    known = Histories(ROOT.public, VAULT)
    known.add([*chain, then(chain, "phone", add="watch")])
    assert known.held({derive_head(chain[-1])}) == before


def test_the_first_statement_names_the_device() -> None:
    read = read_first(FIRST, ROOT.public, VAULT)
    assert [one.id for one in read.devices] == [device("laptop").id]
    assert read.head == derive_head(FIRST) != derive_head(FIRST + b"\0")


def test_nobody_but_the_root_signs_the_first() -> None:
    with pytest.raises(BadSignature):
        read_first(FIRST, KEYS["laptop"].public, VAULT)


def test_a_removal_starts_the_next_epoch_and_who_left_signs_nothing() -> None:
    chain = grown("phone", "tablet")
    chain.append(then(chain, "phone", remove="laptop"))
    assert last(chain).epoch == 2 and not last(chain).has(device("laptop").id)
    with pytest.raises(BadSignature):
        then(chain, "laptop", add="watch")
    with pytest.raises(Malformed):
        then(chain, "phone", add="laptop")


def test_a_writer_makes_nothing_that_no_reader_takes() -> None:
    with pytest.raises(InputRefused):
        then(grown(), "laptop", remove="laptop")
    with pytest.raises(TooLarge):
        read_chain([FIRST] * (MAX_CHAIN + 1), ROOT.public, VAULT)
    with pytest.raises(Malformed):
        read_chain([], ROOT.public, VAULT)


def test_a_device_that_is_there_is_not_added_again() -> None:
    chain = grown("phone")
    assert len(read_next(then(chain, "laptop", add="phone"), last(chain)).devices) == 2


def test_removal_beats_what_the_removed_device_does_meanwhile() -> None:
    """By name (issue 3): the phone, removed by the laptop, adds the thief's tablet and removes the laptop."""
    chain = grown("phone")
    removal = [*chain, then(chain, "laptop", remove="phone")]
    theft = [*chain, then(chain, "phone", add="watch")]
    theft.append(then(theft, "phone", remove="laptop"))
    assert held(removal, theft) == held(theft, removal) == removal


def test_the_root_settles_a_tie() -> None:
    chain = grown("phone")
    first = [*chain, then(chain, "laptop", remove="phone")]
    second = [*chain, then(chain, "phone", remove="laptop")]
    assert held(first, second) == held(second, first) == first
    word = [*chain, then(chain, "root", remove="laptop")]
    assert held(first, word) == held(word, first) == word


ACTS = st.tuples(
    st.sampled_from(["laptop", "phone", "tablet", "root"]),
    st.sampled_from(["add", "remove"]),
    st.sampled_from(sorted(KEYS)),
)


def branch(base: list[bytes], acts: Sequence[tuple[str, str, str]]) -> list[bytes]:
    """The base with those acts that can be done at all."""
    chain = list(base)
    for by, what, whom in acts:
        try:
            chain.append(then(chain, by, **{what: whom}))
        except (BadSignature, Malformed, InputRefused):
            continue
    return chain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(ACTS, max_size=3), min_size=2, max_size=2))
def test_two_devices_come_to_the_same_choice(branches: list[list[tuple[str, str, str]]]) -> None:
    """Whoever shows which chain first: the choice is one, and choosing again changes nothing."""
    base = grown("phone", "tablet")
    ours, theirs = (branch(base, acts) for acts in branches)
    chosen = held(ours, theirs)
    assert derive_head(chosen[-1]) == derive_head(held(theirs, ours)[-1])
    for one, other in itertools.product((ours, theirs, chosen), repeat=2):
        assert held(one, other) in (ours, theirs)
    assert held(chosen, ours) == held(chosen, theirs) == chosen
