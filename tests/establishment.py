"""An establishment of the tests: people with numbers, the messages its software writes, their roster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.persons import person
from vault import Vault
from vault.identity import make_card
from vault.patients import Roster

SYSTEM = "1.2.250.1.213.1.4.10"  # INS of test identities
OWN = "1.2.3.4"


@dataclass(frozen=True)
class Somebody:
    """A person who does not exist, with a test INS and a number at the establishment."""

    family: str
    given: str
    birth: str
    ins: str
    number: str = ""

    @property
    def name(self) -> str:
        return f"{self.family} {self.given}"


LEA = Somebody("Martin", "Léa", "1980-02-03", "280027512345678", "P-100")
PAUL = Somebody("Petit", "Paul", "1951-11-30", "151117598765432", "P-200")


def pid(who: Somebody, *, ins: bool = True, number: bool = False) -> str:
    ids = [f"{who.ins}^^^ASIP-SANTE-INS-NIR&{SYSTEM}&ISO^INS"] * ins + [f"{who.number}^^^LABO&{OWN}&ISO^PI"] * number
    return f"PID|||{'~'.join(ids)}||{who.family}^{who.given}^^^^^L||{who.birth.replace('-', '')}|F"


def oru(
    who: Somebody, control: str, value: str = "5.4", *, time: str = "20260101080000", body: str = "", person: str = ""
) -> bytes:
    """A result over one message. `body` are further segments, `person` another PID."""
    lines = [
        f"MSH|^~\\&|SIL|LABO|ELPIS|PATIENT|{time}||ORU^R01^ORU_R01|{control}|P|2.5|||||FRA|UNICODE UTF-8",
        person or pid(who),
        "OBR|1||F1|11502-2^CR d'examens biologiques^LN|||20260101070000",
        f"OBX|1|NM|14771-0^Glucose à jeun^LN||{value}|mmol/L|3.9-5.5|N|||F",
    ]
    return "\r".join([*lines, *filter(None, [body])]).encode() + b"\r"


def card_of(who: Somebody) -> bytes:
    """A card with an inbox at a relay that nobody asks."""
    me = person(who.name)
    where = {"relay": "http://relay.test", "relay_key": bytes(32), "inbox": me.id * 2, "deposit": bytes(32)}
    return make_card(me, now=1_800_000_000, **where)


def roster_of(vault: Vault, path: Path, *people: tuple[Somebody, bytes]) -> Path:
    roster = Roster.open(vault, path, new=True)
    for who, card in people:
        roster.add(card, [who.ins], name=who.name, birth=who.birth)
    roster.save()
    return path
