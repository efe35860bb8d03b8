"""What somebody who knows some things can make of them: the perfect cryptography that every scenario shares.

`now(X)`: the adversary knows X before the grant ends. `later(X)`: knows X afterwards, with everything known before.
Left out: what real cryptography can lose (weak randomness, side channels, broken primitives), lengths, timing, numbers
of messages. A random value is a constant: two runs of one person use the same one, which only helps the adversary.
XOR is an operation with two sides: that sums of sums can be sorted anew is left out, and what that could give here is
put into a scenario by hand (sharing.py, `together`).
"""

from __future__ import annotations

_RULES = (
    "K(X), K(Y) -> K(pair(X, Y))",
    "K(pair(X, Y)) -> K(X)",
    "K(pair(X, Y)) -> K(Y)",
    # public halves of keys
    "K(X) -> K(pk(X))",
    "K(X) -> K(vk(X))",
    # sealed to a person: anybody seals, the owner of the key opens
    "K(X), K(P) -> K(seal(X, P))",
    "K(seal(X, pk(Y))), K(Y) -> K(X)",
    # signed in a context: hides nothing, and only the key makes one
    "K(C), K(X), K(Y) -> K(sign(C, X, Y))",
    "K(sign(C, X, Y)) -> K(X)",
    # a box under a key
    "K(X), K(Y) -> K(box(X, Y))",
    "K(box(X, Y)), K(Y) -> K(X)",
    # a one-time pad: with the sum, either gives the other
    "K(X), K(Y) -> K(masked(X, Y))",
    "K(masked(X, Y)), K(X) -> K(Y)",
    "K(masked(X, Y)), K(Y) -> K(X)",
    # keys from keys; the relay's half for one item
    "K(X), K(Y) -> K(kdf(X, Y))",
    "K(X), K(Y) -> K(halftag(X, Y))",
)

CONTEXTS = ("c_card", "c_cert", "c_package", "c_opening", "c_statement", "c_deposit", "c_env")


def knowledge() -> tuple[str, ...]:
    """The rules at both times, what is known at the start, and that nobody forgets."""
    made = [rule.replace("K(", f"{time}(") for time in ("now", "later") for rule in _RULES]
    return (*made, "now(X) -> later(X)", *(f"now({name})" for name in CONTEXTS))
