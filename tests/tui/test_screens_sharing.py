"""Giving access, seeing it used, taking it back: both parties' screens on a real relay process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.conftest import VaultFactory
from tests.tui.driving import inside, run
from tui.language import set_language
from tui.screens.visit import VisitReader
from vault import Document, Entry, Vault
from vault.authority import Office
from vault.people import Person
from vault.primitives import SigningKey

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "sync.relay", "--db", str(tmp_path_factory.mktemp("relay") / "db"), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
    for thread in threading.enumerate():
        if thread.name.startswith("elpis-"):  # a wait at the relay that the end of the relay ends
            thread.join(timeout=5)


@pytest.fixture
def met(vault_factory: VaultFactory, relay: str) -> tuple[Vault, Vault, Person]:
    """A holder with treatments and a letter, a physician, certified and known to the holder; both know the relay."""
    set_language("en")
    holder, doctor = vault_factory(), vault_factory("doctor")
    for vault in (holder, doctor):
        vault.language = "en"
        with Exchange(vault) as exchange:
            exchange.set_relay(relay)
            exchange.sync()
    card = doctor.people.card()
    key, now = SigningKey.make(), int(time.time())
    office = Office.open("Order of Examples", key, now)
    certificate = office.certify(
        doctor.people.read_card(card), unique_id="10000000001", role="doctor", now=now, days=30
    )
    person = holder.people.add(card, certificate=certificate, authority=office.bulletin(now))
    holder.add(Document(title="Letter that is not granted", date="2026-01-02"))
    section = holder.section("medications")
    holder.add_entry(section, "medication", {"label": "Bisoprolol 2.5 mg"})
    return holder, doctor, person


def test_access_is_given_with_few_keys_and_revoked_with_one_sentence(met: tuple[Vault, Vault, Person]) -> None:
    holder, _doctor, person = met

    async def story() -> None:
        async with inside(holder) as screens:
            await screens.see("Letter that is not granted", "no access open")
            await screens.press("p")
            await screens.see("Who may look?", person.name, "doctor, certified")
            await screens.press("enter")
            await screens.see("My treatments", "without 1 other document")
            await screens.press("enter")
            await screens.see(f"{person.name} (doctor) may read", "24 hours")
            await screens.press("enter")
            await screens.see("1 access open (23 h 59 min)", "Access given")
            (grant,) = holder.sharing.grants()
            assert (grant.right, grant.purpose, grant.state) == ("read", "consultation", "active")
            assert 0 <= 24 * 3600 - (grant.until - grant.made) < 5
            await screens.press("j")
            await screens.see("Open now", "What happened", "granted")
            await screens.press("r")
            await screens.see("Revoke this access?", "may have been copied")
            await screens.press("enter")
            assert holder.sharing.grants()[0].state == "active"
            await screens.press("y")
            await screens.see("revoked", "no access open")
            assert holder.sharing.grants()[0].state == "revoked"

    run(story)


def test_somebody_who_cannot_be_granted_is_shown_with_the_reason(
    met: tuple[Vault, Vault, Person], tmp_path: Path
) -> None:
    holder, _doctor, person = met
    insurer = Vault.create(tmp_path / "insurer", name="Payeur Exemple", passphrase="a long phrase", role="insurer")[0]
    holder.people.add(insurer.people.card(), met=True)
    insurer.lock()

    async def story() -> None:
        async with inside(holder) as screens:
            await screens.press("p")
            text = await screens.see("Payeur Exemple", person.name, "never")
            index = [line for line in text.splitlines() if "Payeur" in line or person.name in line]
            await screens.press(*["down"] * next(n for n, line in enumerate(index) if "Payeur" in line))
            await screens.press("enter")
            await screens.see("a payer, insurer or employer: never", "Who may look?")

    run(story)


def test_a_grant_reaches_an_open_screen_is_read_amended_and_ends(met: tuple[Vault, Vault, Person]) -> None:
    holder, doctor, person = met
    section = holder.section("medications")

    async def story() -> None:
        with Exchange(holder) as exchange:
            async with inside(doctor) as screens:
                await screens.see("No patient has opened anything", "synchronised")
                grant = holder.sharing.grant(person, [section], right="edit", seconds=3600, purpose="follow-up")
                exchange.sync()
                sent = time.monotonic()
                await screens.see(holder.holder_name, "follow-up", "59 min")
                assert time.monotonic() - sent < 1.0
                await screens.press("enter")
                await screens.see("You sign it.", "follow-up")
                await screens.press("enter")
                await screens.see("Bisoprolol 2.5 mg", "This access ends in 59 min")
                await screens.press("a", "enter")
                await screens.type("label", "Ramipril 5 mg")
                await screens.press("f2")
                await screens.see("- Ramipril 5 mg", "Signed and sent")
                exchange.sync()
                labels = {entry.text("label") for entry in holder.read(section).entries}
                assert labels == {"Bisoprolol 2.5 mg", "Ramipril 5 mg"}
                assert any(line.state == "opened" and line.verified for line in holder.sharing.trace())
                holder.sharing.revoke(grant.id)
                exchange.sync()
                reader = screens.app.screen
                assert isinstance(reader, VisitReader)
                reader._follow()
                await screens.see("access ended")
                assert "Ramipril" not in screens.text() and "Bisoprolol" not in screens.text()

    run(story)


def test_at_the_end_the_content_goes_from_the_screen(met: tuple[Vault, Vault, Person]) -> None:
    holder, doctor, person = met
    section = holder.section("medications")
    holder.sharing.grant(person, [section], right="read", seconds=4, purpose="a short look")
    with Exchange(holder) as exchange:
        exchange.sync()

    async def story() -> None:
        async with inside(doctor) as screens:
            await screens.see("a short look")
            await screens.press("enter")
            await screens.see("You sign it.")
            await screens.press("enter")
            await screens.see("Bisoprolol 2.5 mg", "This access ends in")
            await screens.see("Access ended. What is still needed can be asked of the patient again.")
            assert "Bisoprolol" not in screens.text()
            await screens.press("escape")
            await screens.see("access ended")
            await screens.press("enter", "enter")
            await screens.see("This access has ended.")

    run(story)


def test_a_document_with_two_versions_names_both_authors() -> None:
    from tui.screens.lines import document_lines
    from vault import Conflict

    set_language("en")
    entry = Entry("a" * 32, "medication", {"label": "Bisoprolol", "dose": "one"})
    sides = (("one", "Martin Léa", "2026-11-20T08:00:00Z"), ("two", "Ndiaye Awa", "2026-11-21T09:30:00Z"))
    document = Document(title="Medications", entries=(entry,), conflicts=(Conflict(entry.id, "dose", sides),))
    lines = [line.text for line in document_lines(document, 76)]
    assert "! Bisoprolol dose" in lines
    assert any("“one” by Martin Léa, 20 November 2026" in line for line in lines)
    assert any("“two” by Ndiaye Awa, 21 November 2026" in line for line in lines)
    assert lines.index("! Bisoprolol dose") < next(n for n, line in enumerate(lines) if line.startswith("- Bisoprolol"))
