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
    assert any(chosen == one[: len(chosen)] for one in (ours, theirs))
    known = Histories(ROOT.public, VAULT)
    for chain in (chosen, ours, theirs, chosen):
        known.add(chain)
    assert known.held() == chosen


def test_a_removed_device_gains_nothing_by_a_branch_that_lost() -> None:
    """The tablet, removed by the laptop, takes up what the phone did meanwhile and removes the laptop there."""
    chain = grown("phone", "tablet")
    removal = [*chain, then(chain, "laptop", remove="tablet")]
    beside = [*chain, then(chain, "phone", add="watch")]
    theft = [*beside, then(beside, "tablet", remove="laptop")]
    assert held(removal, theft) == held(theft, removal) == removal
    senior = [*chain, then(chain, "laptop", add="watch")]
    removal = [*chain, then(chain, "phone", remove="tablet")]
    theft = [*senior, then(senior, "tablet", remove="phone")]
    assert held(removal, theft) == held(theft, removal) == senior


def done_again(known: Histories, name: str) -> bool:
    """What a device does with its statements that do not hold (spec/roster.md, section 4). Whether it did anything."""
    chain = known.held()
    roster, key = last(chain), KEYS[name]
    if not roster.has(device(name).id):
        return False
    lost = [(one, before) for one, before in known.others(chain) if one.signer == key.public]
    removed = {one.id for roster, before in lost for one in before.devices if not roster.has(one.id)}
    added = {one.id: one for roster, before in lost for one in roster.devices if not before.has(one.id)}
    coming = [one for one in added.values() if not {one.id} & (removed | roster.gone) and not roster.has(one.id)]
    leaving = [one for one in removed if roster.has(one)]
    if coming or leaving:
        known.add([*chain, make_next(roster, key, add=coming, remove=leaving, now=NOW)])
    return bool(coming or leaving)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_thief_signs_the_removal_by_a_senior_device_comes_to_hold(data: st.DataObject) -> None:
    """Honest devices act apart and do again what was lost; the stolen one adds statements wherever it may, at any
    time, in every branch that it ever knew."""
    order = ("laptop", "phone", "tablet")
    thief = data.draw(st.sampled_from(order[1:]))
    base = grown(*order[1:])
    known = Histories(ROOT.public, VAULT)
    known.add(base)
    honest = [name for name in order if name != thief]
    remover = data.draw(st.sampled_from(honest[: order.index(thief)]))
    for name in honest:
        acts = [(name, "add", data.draw(st.sampled_from(["watch", "desk"])))] * data.draw(st.integers(0, 1))
        acts += [(name, "remove", thief)] if name == remover else []
        known.add(branch(base, acts))

    def steal() -> None:
        branches = [known.chain(one) for one in known.heads() if known.roster(one).has(device(thief).id)]
        target = data.draw(st.sampled_from(branches))
        act = data.draw(st.tuples(st.sampled_from(["add", "remove"]), st.sampled_from(sorted(KEYS))))
        known.add(branch(target, [(thief, *act)]))

    for _ in range(data.draw(st.integers(1, 6))):
        steal()
        for name in honest:
            done_again(known, name)
    for _ in range(12):
        if not [name for name in honest if done_again(known, name)]:
            break
    else:
        raise AssertionError("they do it again for ever")
    roster = last(known.held())
    assert not roster.has(device(thief).id)
    assert all(roster.has(device(name).id) for name in order[: order.index(thief)])
