"""Whose document something is: one patient by number and name, or nobody. A wrong vault is the worst answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.establishment import LEA, OWN, PAUL, SYSTEM, Somebody, card_of, oru, pid
from tests.persons import person
from vault import Vault
from vault.document import Document, Read, Subject
from vault.errors import CannotOpen, InputRefused, NotFound
from vault.identity import make_card
from vault.importers import read_file
from vault.patients import Nobody, Roster, given_id, normal_id


@pytest.fixture
def roster(professional: Vault, tmp_path: Path) -> Roster:
    roster = Roster.open(professional, tmp_path / "roster", new=True)
    for who in (LEA, PAUL):
        roster.add(card_of(who), [who.ins, who.number], name=who.name, birth=who.birth)
    return roster


def about(who: Somebody, *ids: tuple[str, str], **changed: str) -> Read:
    subject = Subject(who.family, who.given, who.birth, ids or ((SYSTEM, who.ins),))
    return Read(Document(title="x"), replace(subject, **changed))  # type: ignore[arg-type]


def why(roster: Roster, *reads: Read) -> str:
    with pytest.raises(Nobody) as caught:
        roster.owner(reads)
    return caught.value.why


def test_number_and_name_together_are_somebody(roster: Roster) -> None:
    assert roster.owner([about(LEA)]).name == LEA.name
    assert roster.owner([about(LEA, ("urn:oid:" + SYSTEM, " 2 80 02 75 123456 78 "))]).name == LEA.name
    assert roster.owner([about(LEA, family="MARTIN-DURAND")]).name == LEA.name  # birth date and given name agree
    assert roster.owner([about(PAUL, (OWN, PAUL.number))]).name == PAUL.name
    assert roster.owner([about(LEA), about(LEA, ("", LEA.number))]).name == LEA.name


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (Read(Document(), None), "no-name"),
        (about(LEA, family="", given=""), "no-name"),
        (Read(Document(), Subject(LEA.family, LEA.given, LEA.birth)), "no-number"),
        (about(LEA, (SYSTEM, "299999999999999")), "nobody"),
        (about(LEA, (SYSTEM, PAUL.ins)), "mismatch"),
        (about(LEA, birth="1980-02-04"), "mismatch"),
        (about(LEA, family="Durand", given="Zoé"), "mismatch"),
        (about(PAUL, (OWN, LEA.number)), "mismatch"),
        (about(LEA, (OWN, LEA.number), (SYSTEM, "280027512345679")), "mismatch"),  # her number, another's INS
        (about(LEA, (SYSTEM, LEA.ins), (SYSTEM, PAUL.ins)), "ambiguous"),
        (about(PAUL, (SYSTEM, LEA.ins), (OWN, PAUL.number)), "mismatch"),
        (replace(about(LEA), several=True), "two-people"),
    ],
)
def test_anything_less_is_nobody(roster: Roster, read: Read, reason: str) -> None:
    assert why(roster, read) == reason


def test_a_sure_number_outweighs_one_that_may_be_anybodys(roster: Roster) -> None:
    """The INS is Léa's; the name, and a number of nobody knows which system, are Zoé's."""
    zoe = Somebody("Roux", "Zoé", "1990-01-01", "", "P-300")
    roster.add(card_of(zoe), [zoe.number], name=zoe.name, birth=zoe.birth)
    assert roster.owner([about(zoe, (OWN, zoe.number))]).name == zoe.name
    assert why(roster, about(zoe, (OWN, zoe.number), (SYSTEM, LEA.ins))) == "mismatch"


def test_two_people_in_one_file_are_nobody(roster: Roster) -> None:
    assert why(roster, about(LEA), about(PAUL)) == "two-people"
    assert why(roster, about(LEA), Read(Document(), None)) == "no-name"
    assert why(roster) == "unreadable"


def test_a_message_about_two_people_is_two_documents(roster: Roster) -> None:
    """Two groups in one ORU: neither person's results stand in the other's document, nor in the file kept with it."""
    data = oru(LEA, "7", "5.4", body=f"{pid(PAUL)}\rOBR|1|||X\rOBX|1|NM|2345-7^Glucose^LN||99.9|mmol/L|||||F")
    first, second = read_file(data, "x.hl7")
    assert [entry.text("value") for entry in first.document.entries] == ["5.4"]
    assert [entry.text("value") for entry in second.document.entries] == ["99.9"]
    assert PAUL.family.encode() not in b"".join(first.files.values())
    assert LEA.family.encode() not in b"".join(second.files.values())
    assert why(roster, first, second) == "two-people"


def test_a_message_around_somebody_elses_document(roster: Roster) -> None:
    import base64

    cda = Path("tests/fixtures/cda_us_hl7/Transfer_Summary.xml").read_bytes()
    packed = base64.b64encode(cda).decode()
    message = oru(LEA, "8", body=f"OBX|2|ED|X^X^L||^application^xml^Base64^{packed}||||||F")
    assert why(roster, *read_file(message, "x.hl7")) == "two-people"


def test_a_document_that_names_two_patients(roster: Roster) -> None:
    text = Path("tests/fixtures/cda_us_hl7/Transfer_Summary.xml").read_text(encoding="utf-8")
    start, end = text.index("<recordTarget"), text.index("</recordTarget>") + len("</recordTarget>")
    other = text[start:end].replace("<given>", "<given>Another ").replace("<family>", "<family>Else ")
    (read,) = read_file((text[:end] + other + text[end:]).encode(), "x.xml")
    assert why(roster, read) == "two-people"


def test_normal_forms() -> None:
    assert normal_id("urn:oid:1.2.250.1.213.1.4.8", "2 80 02 2a 123456 78") == ("ins", "280022A12345678")
    assert normal_id("", LEA.ins) == ("ins", LEA.ins)
    assert normal_id("1.2.250.1.61", LEA.ins) == ("1.2.250.1.61", LEA.ins)  # an insured person's number is no INS
    assert given_id("LABO| p 100 ") == ("labo", "P100") and given_id("p-100") == ("", "P-100")
    with pytest.raises(InputRefused):
        given_id(" | ")


def test_a_roster_opens_with_its_vault_alone(roster: Roster, professional: Vault, vault: Vault, tmp_path: Path) -> None:
    roster.save()
    again = Roster.open(professional, roster.path)
    assert again.list() == roster.list() and again.fingerprint == roster.fingerprint
    data = roster.path.read_bytes()
    assert not [word for word in (b"Martin", LEA.ins.encode(), b"1980") if word in data]
    assert roster.path.stat().st_mode & 0o077 == 0
    with pytest.raises(CannotOpen):
        Roster.open(vault, roster.path)
    for at in (0, 40, len(data) // 2, len(data) - 1):
        roster.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(CannotOpen):
            Roster.open(professional, roster.path)
    with pytest.raises(NotFound):
        Roster.open(professional, tmp_path / "nothing")


def test_cards_that_are_not_a_patients(roster: Roster) -> None:
    zoe = person("Roux Zoé")
    where = {"relay": "http://relay.test", "relay_key": bytes(32), "inbox": bytes(32), "deposit": bytes(32)}
    with pytest.raises(InputRefused, match="no inbox"):
        roster.add(make_card(zoe, now=1), ["1"])
    with pytest.raises(InputRefused, match="professional"):
        roster.add(make_card(person("Assur", "insurer"), now=1, **where), ["1"])  # type: ignore[arg-type]
    card = make_card(zoe, now=5, **where)  # type: ignore[arg-type]
    with pytest.raises(InputRefused, match="somebody else's"):
        roster.add(card, ["1"], name="Petit Paul")
    with pytest.raises(InputRefused, match="somebody else in the roster"):
        roster.add(card, [LEA.ins])
    with pytest.raises(InputRefused, match="identifier"):
        roster.add(card, [])
    assert len(roster) == 2
    assert roster.add(card, ["1"]).name == "Roux Zoé"
    with pytest.raises(InputRefused, match="newer card"):
        roster.add(make_card(zoe, now=4, **where), ["1"])  # type: ignore[arg-type]
    assert roster.add(card, ["2"]).ids == (("", "1"), ("", "2"))
    assert roster.remove("2").name == "Roux Zoé" and len(roster) == 2
    with pytest.raises(NotFound):
        roster.remove("2")
