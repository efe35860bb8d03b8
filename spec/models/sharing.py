"""Who can come to know a granted document: the grant, the card, the certificate, the relay's half, the release.

The patient (secret keys `sk_p`, `b_p`) grants document `doc` under key `dk` to doctor D (`sk_d`, `b_d`). An authority
`sk_a` certifies D and E as clinicians and Y as a payer. Y belongs to the adversary, who is the relay's network and,
where a scenario says so, the relay itself. E is a genuine clinician whom the adversary has bought.

Left out: the offline keeping of an opened key (it only moves "before the end" to a later hour), the counter and the
dates of certificates (vectors cover them), sizes and times, everything that D reads aloud.
"""

from __future__ import annotations

from spec.models.horn import ATTACK, SAFE, Scenario
from spec.models.knowledge import knowledge

ID, ROLE = "id_d", "clinician"
CERT = "sign(c_cert, cert({id}, {sign}, {box}, {role}), sk_a)"
# What the patient's device asks for before it seals to the box key P.
CHECKS = {
    "nothing": "now(P)",
    "any certificate": f"now({CERT.format(id='I', sign='V', box='P', role='R')})",
    "a role": f"now({CERT.format(id='I', sign='V', box='P', role=ROLE)})",
    "id and role": f"now({CERT.format(id=ID, sign='V', box='P', role=ROLE)})",
}
GRANTED = "seal(sign(c_package, package({p}, s1, rk), sk_p), {p})"


def world() -> tuple[str, ...]:
    """Certificates, public keys, and what the adversary owns from the start."""
    certificates = (
        CERT.format(id="id_d", sign="vk(sk_d)", box="pk(b_d)", role="clinician"),
        CERT.format(id="id_e", sign="vk(sk_e)", box="pk(b_e)", role="clinician"),
        CERT.format(id="id_y", sign="vk(sk_y)", box="pk(b_y)", role="payer"),
    )
    public = (
        "id_d",
        "id_e",
        "id_y",
        "clinician",
        "payer",
        "vk(sk_a)",
        "vk(sk_p)",
        "pk(b_p)",
        "vk(sk_d)",
        "pk(b_d)",
        "grant",
    )
    owned = ("sk_y", "b_y", "sk_e", "b_e")
    reading = [f"now(cert(X1, X2, X3, X4)) -> now(X{place})" for place in range(1, 5)]
    making = ["now(X1), now(X2), now(X3), now(X4) -> now(cert(X1, X2, X3, X4))"]
    package = ["T(package(X, Y, Z)) -> T(Y)", "T(package(X, Y, Z)) -> T(Z)", "T(X), T(Y), T(Z) -> T(package(X, Y, Z))"]
    request = ["T(request(X, Y, Z)) -> T(Y)", "T(X), T(Y), T(Z) -> T(request(X, Y, Z))"]
    both = [rule.replace("T(", f"{time}(") for time in ("now", "later") for rule in (*package, *request)]
    return (*knowledge(), *reading, *making, *both, *(f"now({term})" for term in (*certificates, *public, *owned)))


def mask(tag: str, s1: str = "s1", s2: str = "s2", number: str = "grant") -> str:
    """What the key of the item with this tag is masked with."""
    return f"kdf({s1}, pair(halftag({s2}, {tag}), {number}))"


def token(tag: str) -> str:
    """D's token to read the channel of that item; the relay is told its hash."""
    return f"kdf(s1, pair(halftag(s2, {tag}), c_read))"


def grant(check: str, *, safety: bool = False) -> tuple[str, ...]:
    """The patient's side. Masked keys and labels are given away: the model needs nothing from their being sealed."""
    sealed = (GRANTED.format(p="pk(b_d)"),) if safety else (f"{CHECKS[check]} -> now({GRANTED.format(p='P')})",)
    facts = tuple(f"now({rule})" if "->" not in rule else rule for rule in sealed)
    items = (("t1", "doc"), ("t2", "doc2"))
    return (
        *facts,
        *(f"now({tag})" for tag, _ in items),
        "now(c_read)",
        *(f"now(masked(dk_{document}, {mask(tag)}))" for tag, document in items),
        *(f"now(box({document}, dk_{document}))" for _, document in items),
        *(f"now(box(title_{document}, dk_{document}))" for _, document in items),
    )


def opening(*, relay: str, release: str = "fresh") -> tuple[str, ...]:
    """The relay, and D, who opens the first item alone. `release`: the key that the half is sealed to."""
    if relay == "malicious":
        return ("now(s2)",)
    key = {"fresh": "pk(e_1)", "static": "pk(b_d)"}[release]
    opened = f"now({GRANTED.format(p='pk(b_d)')}) -> now(sign(c_opening, request(grant, {key}, t1), rk))"
    released = {
        "item": "now(sign(c_opening, request(grant, E, t1), rk)) -> now(seal(halftag(s2, t1), E))",
        "whole": "now(sign(c_opening, request(grant, E, t1), rk)) -> now(seal(s2, E))",
    }
    return (opened, released["whole" if relay == "whole half" else "item"])


def device(time: str, *, session: bool = False) -> tuple[str, ...]:
    """Everything that lies on D's device: keys, the grant with its half; during a session the fresh key too."""
    things = ["sk_d", "b_d", "s1", "rk"] + (["e_1"] if session else [])
    return tuple(f"{time}({thing})" for thing in things)


def renewal(tag: str = "t1_next") -> tuple[str, ...]:
    """The next epoch of the first document, masked under the same halves and a fresh tag (spec/grant.md)."""
    return (
        f"now({tag})",
        f"now(masked(dk_next, {mask(tag)}))",
        "now(box(doc_next, dk_next))",
    )


def opening_again() -> tuple[str, ...]:
    """D opens the next epoch as well: another request, another line in the trace, another half."""
    request = "sign(c_opening, request(grant, pk(e_1), t1_next), rk)"
    return (
        f"now({GRANTED.format(p='pk(b_d)')}) -> now({request})",
        f"now({request}) -> now(seal(halftag(s2, t1_next), pk(e_1)))",
    )


def together() -> tuple[str, ...]:
    """E, bought, was granted the first document as well, under halves of their own, and opened it. The two masked keys
    hold one channel key: their sum, in which it cancels, is given away too."""
    theirs = mask("t_e", "s1_e", "s2_e", "grant_e")
    return (
        "now(t_e)", "now(grant_e)", "now(s1_e)", "now(halftag(s2_e, t_e))",
        f"now(masked(dk_doc, {theirs}))",
        f"now(masked({mask('t1')}, {theirs}))",
    )  # fmt: skip


def secrecy(name: str, question: str, expected: str, *parts: tuple[str, ...], goal: str = "later(doc)") -> Scenario:
    rules = tuple(rule for part in (world(), *parts) for rule in part)
    return Scenario(name, question, rules, goal, expected)


BOUGHT = ("now(sk_a)",)
MALICIOUS = {"relay": "malicious"}


def scenarios() -> list[Scenario]:
    right = grant("id and role")
    evil, honest = opening(relay="malicious"), opening(relay="honest")
    return [
        secrecy("no-check", "The payer runs the relay; the patient checks nothing.", ATTACK, grant("nothing"), evil),
        secrecy(
            "any-certificate", "... any certificate of the authority will do.", ATTACK, grant("any certificate"), evil
        ),
        secrecy("role-alone", "... the role is checked: a bought clinician is enough.", ATTACK, grant("a role"), evil),
        secrecy("id-and-role", "... id and role are checked.", SAFE, right, evil),
        secrecy("bad-authority", "... and the authority certifies what it is told.", ATTACK, right, evil, BOUGHT),
        secrecy(
            "safety-number",
            "... a bad authority, but both people compared the safety number.",
            SAFE,
            grant("id and role", safety=True),
            evil,
            BOUGHT,
        ),
        secrecy(
            "seized-after-static-release",
            "Honest relay; D's device seized after the end; halves sealed to D's own key.",
            ATTACK,
            right,
            opening(relay="honest", release="static"),
            device("later"),
        ),
        secrecy(
            "seized-after-fresh-release",
            "... halves sealed to a fresh key that is forgotten.",
            SAFE,
            right,
            honest,
            device("later"),
        ),
        secrecy("seized-before-end", "... the device seized before the end.", ATTACK, right, honest, device("now")),
        secrecy(
            "seized-after-key-kept",
            "... after the end, but the session's key was kept.",
            ATTACK,
            right,
            honest,
            device("later", session=True),
        ),
        secrecy(
            "seized-after-evil-relay",
            "... after the end, and the relay kept its half.",
            ATTACK,
            right,
            evil,
            device("later"),
        ),
        secrecy("relay-and-reader", "Relay and reader work together.", ATTACK, right, evil, device("now")),
        secrecy(
            "relay-and-bought-clinician",
            "Relay and a clinician who was granted nothing work together.",
            SAFE,
            right,
            evil,
            ("now(sk_e)", "now(b_e)"),
        ),
        secrecy(
            "other-item",
            "Two documents granted; D, dishonest, opened the first: the second stays closed.",
            SAFE,
            right,
            honest,
            device("now", session=True),
            goal="later(doc2)",
        ),
        secrecy(
            "other-item-whole-half",
            "... the relay releases its whole half instead of one item's.",
            ATTACK,
            right,
            opening(relay="whole half"),
            device("now", session=True),
            goal="later(doc2)",
        ),
        secrecy(
            "renewal-seized-after-end",
            "A renewal came before the end; everything seized after it.",
            SAFE,
            right,
            honest,
            renewal(),
            device("later"),
            goal="later(doc_next)",
        ),
        secrecy(
            "renewal-half-kept",
            "D, dishonest, kept the half of one opening: the renewal, under a fresh tag, stays closed.",
            SAFE,
            right,
            honest,
            renewal(),
            device("now", session=True),
            goal="later(doc_next)",
        ),
        secrecy(
            "renewal-same-tag",
            "... under the tag of the grant, it opens without another line in the trace.",
            ATTACK,
            right,
            honest,
            renewal("t1"),
            device("now", session=True),
            goal="later(doc_next)",
        ),
        secrecy(
            "renewal-opened-control",
            "... opened by another request, it is readable: the scenario is not empty.",
            ATTACK,
            right,
            honest,
            renewal(),
            opening_again(),
            device("now", session=True),
            goal="later(doc_next)",
        ),
        secrecy(
            "other-item-was-opened-control",
            "... the first document itself is open: the scenario is not empty.",
            ATTACK,
            right,
            honest,
            device("now", session=True),
            goal="later(doc)",
        ),
        secrecy(
            "title-unopened",
            "... of the second document not even the title is known.",
            SAFE,
            right,
            honest,
            device("now", session=True),
            goal="later(title_doc2)",
        ),
        secrecy(
            "token-unopened",
            "... nor the token to its channel.",
            SAFE,
            right,
            honest,
            device("now", session=True),
            goal=f"later({token('t2')})",
        ),
        secrecy(
            "token-opened-control",
            "... that of the first one is: the scenario is not empty.",
            ATTACK,
            right,
            honest,
            device("now", session=True),
            goal=f"later({token('t1')})",
        ),
        secrecy(
            "together-other-document",
            "E opened a document that D has as well, and both work together: D's other document stays closed.",
            SAFE,
            right,
            together(),
            device("now"),
            goal="later(doc2)",
        ),
        secrecy(
            "together-token",
            "... D's mask for the first one is known; D's token for it does not follow.",
            SAFE,
            right,
            together(),
            device("now"),
            goal=f"later({token('t1')})",
        ),
        secrecy(
            "together-next-epoch",
            "... nor does the next epoch, under a fresh tag.",
            SAFE,
            right,
            together(),
            renewal(),
            device("now"),
            goal="later(doc_next)",
        ),
        secrecy(
            "together-mask-used-twice",
            "... under the same tag one mask would hide two keys: no half is needed at all.",
            ATTACK,
            right,
            together(),
            renewal("t1"),
            device("now"),
            goal="later(doc_next)",
        ),
        secrecy(
            "together-control",
            "... the document that E opened is known: the scenario is not empty.",
            ATTACK,
            right,
            together(),
            device("now"),
            goal="later(doc)",
        ),
    ]
