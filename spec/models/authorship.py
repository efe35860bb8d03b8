"""Whose word something is: deposits and write-backs.

`accepted(V, M)`: the patient's device files M as written by the owner of signing key V. The goal of each scenario is an
acceptance that did not happen on the other side.

Left out: numbers and hashes that order a device's envelopes (vectors and tests cover replays and gaps), quarantine of
changes that do not parse, what a holder decides about unknown depositors.
"""

from __future__ import annotations

from spec.models.horn import ATTACK, SAFE, Scenario
from spec.models.knowledge import knowledge

PEOPLE = ("vk(sk_p)", "pk(b_p)", "vk(sk_l)", "pk(b_l)", "vk(sk_d)", "pk(b_d)", "vk(sk_r)")
# Y is a patient of the laboratory too, and belongs to the adversary. R may read, and has been bought.
OWNED = ("sk_y", "b_y", "sk_r", "b_r", "forged")


def world() -> tuple[str, ...]:
    shapes = (
        "T(deposit(X, Y)) -> T(Y)",
        "T(X), T(Y) -> T(deposit(X, Y))",
        "T(env(X, Y)) -> T(Y)",
        "T(X), T(Y) -> T(env(X, Y))",
    )
    both = [rule.replace("T(", f"{time}(") for time in ("now", "later") for rule in shapes]
    return (*knowledge(), *both, *(f"now({term})" for term in (*PEOPLE, *OWNED)))


def deposits(*, names_recipient: bool = True, card_from_relay: bool = False) -> tuple[str, ...]:
    """The laboratory puts `result` into the patient's inbox and `result_y` into Y's."""
    recipient = "P" if card_from_relay else "pk(b_p)"
    body = f"deposit({recipient}, result)"
    sealed = f"now(seal(sign(c_deposit, {body}, sk_l), {recipient}))"
    theirs = "now(seal(sign(c_deposit, deposit(pk(b_y), result_y), sk_l), pk(b_y)))"
    named = "pk(b_p)" if names_recipient else "N"
    return (
        f"now(P) -> {sealed}" if card_from_relay else sealed,
        theirs,
        f"now(seal(sign(c_deposit, deposit({named}, M), S), pk(b_p))) -> accepted(vk(S), M)",
    )


def changes(*, right_checked: bool = True, channel_signed: bool = True, contexts: bool = True) -> tuple[str, ...]:
    """D edits document 1 (key `dk1`, known to R, who may read) and document 2; both lie at the relay.

    D also signs statements whose words the adversary chose: the reason of an opening.
    """
    channel = {1: "ch1", 2: "ch2"} if channel_signed else {1: "nowhere", 2: "nowhere"}
    context = "c_env" if contexts else "c_statement"
    writers = ("writer(vk(sk_d))", "writer(vk(sk_p))") + (() if right_checked else ("writer(vk(sk_r))",))
    return (
        "now(ch1)",
        "now(ch2)",
        "now(nowhere)",
        "now(dk1)",
        "now(dk2)",
        f"now(box(sign({context}, env({channel[1]}, edit1), sk_d), dk1))",
        f"now(box(sign({context}, env({channel[2]}, edit2), sk_d), dk2))",
        "now(M) -> now(sign(c_statement, M, sk_d))",
        *writers,
        f"now(box(sign({context}, env({channel[1]}, M), S), dk1)), writer(vk(S)) -> accepted(vk(S), M)",
    )


def scenario(name: str, question: str, expected: str, goal: str, *parts: tuple[str, ...]) -> Scenario:
    rules = tuple(rule for part in (world(), *parts) for rule in part)
    return Scenario(name, question, rules, goal, expected)


def scenarios() -> list[Scenario]:
    seized = ("later(sk_l)", "later(b_l)")
    by_lab, by_doctor = "accepted(vk(sk_l), {})", "accepted(vk(sk_d), {})"
    return [
        scenario("deposit-secret", "The relay reads a deposit.", SAFE, "later(result)", deposits()),
        scenario(
            "deposit-sender-seized",
            "... and the laboratory's keys are seized later.",
            SAFE,
            "later(result)",
            deposits(),
            seized,
        ),
        scenario(
            "deposit-false-card",
            "... the laboratory took the card from the relay.",
            ATTACK,
            "later(result)",
            deposits(card_from_relay=True),
        ),
        scenario(
            "deposit-forged", "A result that the laboratory never made.", SAFE, by_lab.format("forged"), deposits()
        ),
        scenario(
            "deposit-resealed", "Y's result, sealed again to the patient.", SAFE, by_lab.format("result_y"), deposits()
        ),
        scenario(
            "deposit-resealed-no-recipient",
            "... the recipient is not named under the signature.",
            ATTACK,
            by_lab.format("result_y"),
            deposits(names_recipient=False),
        ),
        scenario(
            "deposit-arrives-control",
            "A true result is filed: the scenario is not empty.",
            ATTACK,
            by_lab.format("result"),
            deposits(),
        ),
        scenario(
            "change-forged",
            "A reader who has the document's key writes in D's name.",
            SAFE,
            by_doctor.format("forged"),
            changes(),
        ),
        scenario(
            "change-by-reader",
            "... in the own name, with the right to read alone.",
            SAFE,
            "accepted(vk(sk_r), forged)",
            changes(),
        ),
        scenario(
            "change-by-reader-no-right",
            "... and nobody checks the right.",
            ATTACK,
            "accepted(vk(sk_r), forged)",
            changes(right_checked=False),
        ),
        scenario(
            "change-moved", "D's edit of document 2, moved into document 1.", SAFE, by_doctor.format("edit2"), changes()
        ),
        scenario(
            "change-moved-no-channel",
            "... the channel is not under the signature.",
            ATTACK,
            by_doctor.format("edit2"),
            changes(channel_signed=False),
        ),
        scenario(
            "change-from-statement",
            "All signatures in one context: a statement becomes a change.",
            ATTACK,
            by_doctor.format("forged"),
            changes(contexts=False),
        ),
        scenario(
            "change-arrives-control",
            "D's own edit is accepted: the scenario is not empty.",
            ATTACK,
            by_doctor.format("edit1"),
            changes(),
        ),
    ]
