"""Who is let in, and who learns the holder's keys, when two devices meet (spec/vault-channel.md, section 6).

`A` (device key `sk_a`) has the vault, `B` (`sk_b`, `b_b`, for this meeting `f_b` and `m_b`) is new. The adversary is
the relay of the meeting. It knows the code but for its secret, reads and writes every message, owns a device (`sk_e`),
and where a number is compared it may show B another code than A's. It can search: whoever knows a transcript finds a
nonce with which another transcript, otherwise known, has the same six digits (`find`).

`now(X)`: known before A took a hello; A takes the first one and shows its own after it. `later(X)`: from then on.
`took(H)`: A lets the device of hello H in. `joined(V, W)`: B makes its vault of W, which the owner of V signed.

Left out: luck (one try in a million), the time that a code lives, what a holder answers without looking, a snapshot
that is held back, whoever sees the screen while no secret is in the code.
"""

from __future__ import annotations

from spec.models.horn import ATTACK, SAFE, Scenario
from spec.models.knowledge import knowledge

OLD = "old(vk(sk_a), n_a)"
COMMIT = f"h({OLD})"
DEVICE_B = "device(vk(sk_b), pk(b_b), pk(f_b), kem(m_b))"
DEVICE_E = ("vk(sk_e)", "pk(b_e)", "pk(f_e)", "kem(m_e)")
A, E = "vk(sk_a)", "vk(sk_e)"
LET_IN, KEYS = f"admitted({E})", "later(holder)"
DECEIVED, MET = f"joined({E}, W)", f"joined({A}, holder)"
REPLAYED = f"joined({A}, stale)"


def hello_b(commit: str) -> str:
    """B draws its nonce after it read the code: a value that depends on the commitment in it."""
    return f"new({DEVICE_B}, n_b({commit}))"


def world() -> tuple[str, ...]:
    shapes = [
        *_tuple("device", 4),
        *_tuple("new", 2),
        *_tuple("old", 2),
        *_tuple("t", 3),
        *_tuple("welcome", 4),
        "T(X) -> T(h(X))",
        "T(X) -> T(kem(X))",
        "T(X) -> T(num(X))",
        "T(X), T(Y) -> T(find(X, Y))",
        "T(X), T(P), T(Q) -> T(hybrid(X, P, Q))",
        "T(hybrid(X, pk(Y), kem(Z))), T(Y), T(Z) -> T(X)",
    ]
    both = [rule.replace("T(", f"{time}(") for time in ("now", "later") for rule in shapes]
    owned = ("sk_e", "b_e", "f_e", "m_e", "n_e", "c_welcome", "fake", COMMIT)
    return (*knowledge(), *both, *(f"now({name})" for name in owned))


def _tuple(name: str, places: int) -> list[str]:
    """Whoever has all parts has it, and whoever has it has each part."""
    parts = [f"X{place}" for place in range(places)]
    whole = f"T({name}({', '.join(parts)}))"
    return [", ".join(f"T({part})" for part in parts) + f" -> {whole}", *(f"{whole} -> T({part})" for part in parts)]


def meeting(*, commitment: bool = True, old_first: bool = False) -> tuple[str, ...]:
    """Hellos go to and fro. Broken: B does not hold A's hello against the code; A shows its own before it took B's."""
    commit = "h(old(V, N))" if commitment else "C"
    read = f"later(old(V, N)) -> shown({commit}, {hello_b(commit)}, old(V, N))"
    return (
        *(f"{time}(C) -> {time}({hello_b('C')})" for time in ("now", "later")),
        f"now({OLD})" if old_first else f"now(new(D, N)) -> later({OLD})",
        read if commitment else f"later(C), {read}",
    )


def comparison(kind: str = "number") -> tuple[str, ...]:
    """A's holder types what B shows. The number of two transcripts is the same when they are one, and when the
    adversary, who chose one nonce last, could search for it. Kinds that are broken: nobody compares; the number is of
    the nonces; A, which took a hello, reads it from the relay once more to compare."""
    agreed = "agreed(C, H, old(V, N))"
    if kind == "nobody":
        return ("now(new(D, N)) -> took(new(D, N))", f"shown(C, H, old(V, N)) -> {agreed}")
    if kind == "nonces":  # the keys travel beside the hellos: the number says nothing about them
        match = f"shown({COMMIT}, new(D, N), {OLD}), now(new(G, N))"
        return (f"{match} -> took(new(G, N))", f"{match} -> agreed({COMMIT}, new(D, N), {OLD})")
    new_last = f"new(G, find(num(t(C, H, old(V, N))), pair(G, pair({COMMIT}, {OLD}))))"
    old_last = f"old(V, find(num(t({COMMIT}, new(G, N), {OLD})), pair(V, H)))"
    read = "later" if kind == "read again" else "now"
    return (
        f"{read}(H), shown({COMMIT}, H, {OLD}) -> took(H)",
        f"{read}(H), shown({COMMIT}, H, {OLD}) -> agreed({COMMIT}, H, {OLD})",
        f"{read}({new_last}), shown(C, H, old(V, N)) -> took({new_last})",
        f"{read}({new_last}), shown(C, H, old(V, N)) -> {agreed}",
        f"{read}(new(G, N)), shown(C, H, {old_last}) -> took(new(G, N))",
        f"{read}(new(G, N)), shown(C, H, {old_last}) -> agreed(C, H, {old_last})",
    )


def secret(*, over_hello: bool = True) -> tuple[str, ...]:
    """B reads A's own code from A's screen, with 128 bits in it; nothing is compared."""
    proof = f"kdf(s, pair({COMMIT}, {{}}))" if over_hello else f"kdf(s, {COMMIT})"
    mine = hello_b(COMMIT)
    return (
        f"now({mine})",
        f"now({proof.format(mine)})",
        f"now(new(D, N)), now({proof.format('new(D, N)')}) -> took(new(D, N))",
        f"took(H) -> later({OLD})",
        f"later({OLD}) -> agreed({COMMIT}, {mine}, {OLD})",
    )


def welcome(bound: str = "all", *, suite: int = 2, with_secret: bool = False) -> tuple[str, ...]:
    """A hands over; B takes what fits. `bound`: which of recipient, transcript and roster B looks at."""
    transcript = f"t({COMMIT}, new(device(S, X, F, M), N), {OLD})"
    said = f"sign(c_welcome, welcome(F, {transcript}, S, holder), sk_a)"
    content = f"pair({said}, kdf(s, {transcript}))" if with_secret else said
    sealed = f"hybrid({content}, F, M)" if suite == 2 else f"seal({content}, F)"
    places = {
        "all": "pk(f_b), t(C, H, old(vk(K), N)), vk(sk_b)",
        "no transcript": "pk(f_b), Z, vk(sk_b)",
        "nothing": "X, Z, S",
    }
    taken = f"sign(c_welcome, welcome({places[bound]}, W), K)"
    taken = f"pair({taken}, kdf(s, t(C, H, old(vk(K), N))))" if with_secret else taken
    opened = f"hybrid({taken}, pk(f_b), kem(m_b))" if suite == 2 else f"seal({taken}, pk(f_b))"
    return (
        "took(new(device(S, X, F, M), N)) -> admitted(S)",
        f"took(new(device(S, X, F, M), N)) -> later({sealed})",
        f"agreed(C, H, old(vk(K), N)), later({opened}) -> joined(vk(K), W)",
    )


def scenario(name: str, question: str, expected: str, goal: str, *parts: tuple[str, ...]) -> Scenario:
    return Scenario(name, question, tuple(rule for part in (world(), *parts) for rule in part), goal, expected)


# A device that A let in once, and that was stolen and removed: its welcome, signed by A, is the adversary's.
STOLEN = ("now(sign(c_welcome, welcome(pk(f_s), t_s, vk(sk_s), stale), sk_a))", "now(f_s)", "now(sk_s)")
BROKEN_X25519 = ("later(pk(X)) -> later(X)",)
SECRET_KNOWN = ("now(s)",)
CODE_KNOWN = ("now(k)",)
BOXED = (f"now(box(pair({hello_b(COMMIT)}, name_b), k))", f"now(box(pair({OLD}, vault), k))")


def scenarios() -> list[Scenario]:
    return [*_numbers(), *_welcomes(), *_secrets(), *_reading()]


def _numbers() -> list[Scenario]:
    right = (meeting(), comparison(), welcome())
    uncommitted = (meeting(commitment=False), comparison(), welcome())
    early = (meeting(old_first=True), comparison(), welcome())
    again = (meeting(), comparison("read again"), welcome())
    nobody = (meeting(), comparison("nobody"), welcome())
    nonces = (meeting(), comparison("nonces"), welcome())
    return [
        scenario("number-keys", "The relay stands between, and learns the holder's keys.", SAFE, KEYS, *right),
        scenario("number-let-in", "... or has its own device let in.", SAFE, LET_IN, *right),
        scenario("number-deceived", "... or makes B a device of the relay's vault.", SAFE, DECEIVED, *right),
        scenario("number-control", "The devices meet: the scenario is not empty.", ATTACK, MET, *right),
        scenario("no-commitment", "B does not hold A's hello against the code.", ATTACK, KEYS, *uncommitted),
        scenario("no-commitment-deceived", "... B becomes a device of the relay's.", ATTACK, DECEIVED, *uncommitted),
        scenario("old-hello-first", "A shows its hello before it took B's.", ATTACK, LET_IN, *early),
        scenario("hello-read-again", "A asks the relay for B's hello once more to compare.", ATTACK, LET_IN, *again),
        scenario("nobody-compares", "Nobody compares the number.", ATTACK, LET_IN, *nobody),
        scenario("nobody-compares-keys", "... the relay has every key.", ATTACK, KEYS, *nobody),
        scenario("hello-without-keys", "The number is of the nonces alone.", ATTACK, LET_IN, *nonces),
    ]


def _welcomes() -> list[Scenario]:
    compared = (meeting(), comparison())
    unsuited = (*compared, welcome(suite=1), BROKEN_X25519)
    return [
        scenario("welcome-replayed", "A welcome of another meeting.", SAFE, REPLAYED, *compared, welcome(), STOLEN),
        scenario(
            "welcome-no-transcript", "... it names recipient and device, and no transcript.", SAFE, REPLAYED,
            *compared, welcome("no transcript"), STOLEN,
        ),
        scenario("welcome-unbound", "... it names nothing.", ATTACK, REPLAYED, *compared, welcome("nothing"), STOLEN),
        scenario(
            "welcome-recorded", "All is recorded, and X25519 is broken later.", SAFE, KEYS,
            *compared, welcome(), BROKEN_X25519,
        ),
        scenario("welcome-recorded-suite-1", "... the welcome was sealed in suite 1.", ATTACK, KEYS, *unsuited),
    ]  # fmt: skip


def _secrets() -> list[Scenario]:
    right = (secret(), welcome(with_secret=True))
    loose = (secret(over_hello=False), welcome(with_secret=True))
    return [
        scenario("qr-keys", "A secret in the code, nothing compared: the holder's keys.", SAFE, KEYS, *right),
        scenario("qr-let-in", "... the relay's device is let in.", SAFE, LET_IN, *right),
        scenario("qr-deceived", "... B becomes a device of the relay's vault.", SAFE, DECEIVED, *right),
        scenario("qr-control", "The devices meet: the scenario is not empty.", ATTACK, MET, *right),
        scenario("qr-secret-known", "The relay saw the code.", ATTACK, LET_IN, *right, SECRET_KNOWN),
        scenario("qr-secret-known-deceived", "... B is still no device of its.", SAFE, DECEIVED, *right, SECRET_KNOWN),
        scenario("qr-proof-without-hello", "The proof is not over the hello.", ATTACK, LET_IN, *loose),
    ]


def _reading() -> list[Scenario]:
    return [
        scenario("hello-unread", "The relay, which did not see the code, reads a name.", SAFE, "now(name_b)", BOXED),
        scenario("hello-unread-vault", "... the vault's id.", SAFE, "now(vault)", BOXED),
        scenario("hello-code-known", "... it saw the code.", ATTACK, "now(name_b)", BOXED, CODE_KNOWN),
    ]
