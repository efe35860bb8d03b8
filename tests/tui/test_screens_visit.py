"""A professional's screens: warnings before the end, a report added, a deposit sent; the holder's: taking it or not."""

from __future__ import annotations

import time
from pathlib import Path

from sync.exchange import Exchange
from tests.conftest import VaultFactory
from tests.tui.driving import Screens, inside, run
from tests.tui.test_screens_sharing import met, relay  # noqa: F401 - fixtures
from tui.language import set_language
from tui.screens.visit import VisitReader
from vault import Document, Vault
from vault.authority import Office
from vault.people import Person
from vault.primitives import SigningKey

Met = tuple[Vault, Vault, Person]


async def open_first(screens: Screens, purpose: str) -> VisitReader:
    await screens.see(purpose)
    await screens.press("enter")
    await screens.see("You sign it.")
    await screens.press("enter")
    await screens.until(lambda: isinstance(screens.app.screen, VisitReader) and "This access ends" in screens.text())
    reader = screens.app.screen
    assert isinstance(reader, VisitReader)
    return reader


def give(met: Met, right: str, *, seconds: int = 3600, purpose: str = "follow-up") -> str:  # noqa: F811
    holder, _, person = met
    section = holder.section("medications")
    holder.sharing.grant(person, [section], right=right, seconds=seconds, purpose=purpose)
    with Exchange(holder) as exchange:
        exchange.sync()
    return section


def forget_everybody(vault: Vault) -> None:
    vault.store.run("DELETE FROM person")


def warnings(screens: Screens) -> list[str]:
    """What is told about the end, of the notices on the screen."""
    return [str(notice.message) for notice in screens.app._notifications if "access ends in" in str(notice.message)]


async def pick(screens: Screens, path: Path) -> None:
    await screens.type("path", str(path))
    await screens.press("enter")


def test_ten_minutes_and_one_minute_before_the_end_are_told_once_each(met: Met) -> None:  # noqa: F811
    give(met, "read")

    async def story() -> None:
        async with inside(met[1]) as screens:
            reader = await open_first(screens, "follow-up")
            assert warnings(screens) == []
            reader._until = int(screens.app.now()) + 595
            reader._tick()
            reader._tick()
            await screens.until(lambda: ["9 min" in text for text in warnings(screens)] == [True])
            assert reader.query_one("#countdown").has_class("soon")
            reader._until = int(screens.app.now()) + 58
            reader._tick()
            reader._tick()
            await screens.until(lambda: ["9 min" in text for text in warnings(screens)] == [True, False])
            reader._until = int(screens.app.now()) - 1
            reader._tick()
            assert warnings(screens) == []
            assert "Bisoprolol" not in await screens.see("access ended")

    run(story)


def test_a_short_access_is_never_said_to_have_ten_minutes(met: Met) -> None:  # noqa: F811
    give(met, "read", seconds=55)

    async def story() -> None:
        async with inside(met[1]) as screens:
            await open_first(screens, "follow-up")
            await screens.until(lambda: bool(warnings(screens)))
            (warning,) = warnings(screens)
            assert "min" not in warning

    run(story)


def test_a_report_is_added_signed_and_reaches_the_patient(met: Met, tmp_path: Path) -> None:  # noqa: F811
    holder = met[0]
    section = give(met, "edit")
    report = tmp_path / "report.txt"
    report.write_text("an X-ray without findings")

    async def story() -> None:
        async with inside(met[1]) as screens:
            await open_first(screens, "follow-up")
            await screens.press("f")
            await screens.see("Which report?")
            await pick(screens, report)
            await screens.see("Signed and sent to the patient.", "report.txt")

    run(story)
    with Exchange(holder) as exchange:
        exchange.sync()
    (file,) = holder.read(section).attachments
    assert b"".join(holder.attachment(section, file.sha256)) == report.read_bytes()


def test_reading_alone_offers_no_way_to_write(met: Met) -> None:  # noqa: F811
    give(met, "read")

    async def story() -> None:
        async with inside(met[1]) as screens:
            await open_first(screens, "follow-up")
            assert "Add a report" not in await screens.see("Bisoprolol")
            await screens.press("f")
            await screens.see("for reading only")
            await screens.press("a")
            assert isinstance(screens.app.screen, VisitReader)

    run(story)


def test_a_deposit_leaves_from_the_screen_and_is_taken_or_refused(
    met: Met,  # noqa: F811
    tmp_path: Path,
    vault_factory: VaultFactory,
) -> None:
    holder, doctor, _ = met
    forget_everybody(holder)  # nobody is known: what comes must wait
    card, letter, other = tmp_path / "patient.card", tmp_path / "Kidney results.txt", tmp_path / "Advertisement.txt"
    with Exchange(holder) as exchange:
        exchange.sync()
    card.write_bytes(holder.people.card())
    letter.write_text("creatinine 68")
    other.write_text("buy this")

    async def send() -> None:
        async with inside(doctor) as screens:
            await screens.see("No patient has opened anything")
            for file in (letter, other):
                await screens.press("d")
                await screens.see("Choose the patient's card")
                await pick(screens, card)
                await screens.see("Which document?")
                await pick(screens, file)
                await screens.see("Send this deposit?", "You will not be able")
                await screens.press("y")
                await screens.see("The deposit is on its way.")
                screens.app.clear_notifications()

    async def settle() -> None:
        async with inside(holder) as screens:
            await screens.until(lambda: len(holder.feeding.waiting()) == 2)
            await screens.press("d")
            text = await screens.see("Kidney results", "Advertisement", doctor.holder_name)
            lines = [line for line in text.splitlines() if "Kidney" in line or "Advert" in line]
            first_is_results = "Kidney" in lines[0]
            await screens.press("x" if not first_is_results else "enter")
            await screens.see("No authority vouches")
            await screens.press("escape")
            assert len(holder.feeding.waiting()) == 2
            for key in ("enter", "x") if first_is_results else ("x", "enter"):
                await screens.press(key)
                await screens.see("Take this deposit?" if key == "enter" else "Refuse this deposit?")
                left = len(holder.feeding.waiting())
                await screens.press("y")
                await screens.until(lambda left=left: len(holder.feeding.waiting()) == left - 1)  # type: ignore[misc]
            await screens.see("Nothing waits.")
            await screens.until(lambda: holder.count() >= 3)
            titles = {summary.title for summary in holder.list().documents}
            assert "Kidney results" in titles and "Advertisement" not in titles

    run(send)
    run(settle)


def test_a_person_is_added_from_a_card_and_a_certificate(met: Met, tmp_path: Path) -> None:  # noqa: F811
    holder, doctor, _ = met
    forget_everybody(holder)
    now = int(time.time())
    office = Office.open("Order of Examples", SigningKey.make(), now)
    files = {name: tmp_path / name for name in ("card", "certificate", "authority", "own.card")}
    files["card"].write_bytes(doctor.people.card())
    card = doctor.people.read_card(doctor.people.card())
    files["certificate"].write_bytes(office.certify(card, unique_id="1", role="doctor", now=now, days=30))
    files["authority"].write_bytes(office.bulletin(now))

    async def story() -> None:
        async with inside(holder) as screens:
            await screens.press("c")
            await screens.see("N adds somebody")
            await screens.press("n")
            await screens.see("Which card?")
            await pick(screens, files["card"])
            await screens.see(doctor.holder_name, "How do you know")
            await screens.press("enter")
            await screens.see("Which certificate?")
            await pick(screens, files["certificate"])
            await screens.until(lambda: "Which certificate?" not in screens.text())
            if "Choose the file" in screens.text():
                await screens.press("y")
            await screens.see("Which file of the authority?")
            await pick(screens, files["authority"])
            await screens.see(doctor.holder_name, "doctor, certified")
            await screens.press("k")
            await screens.see("Safety number", "It is the same")
            await screens.press("y")
            await screens.see("number compared")
            await screens.press("c")
            await screens.see("Save my card", "nobody reads anything", "QR code")
            await pick(screens, files["own.card"])
            await screens.see("Saved:")

    run(story)
    assert doctor.people.read_card(files["own.card"].read_bytes()).name == holder.holder_name


def test_two_versions_of_a_field_are_shown_with_both_authors_and_settled(met: Met) -> None:  # noqa: F811
    holder, doctor, _ = met
    section = give(met, "edit")
    (entry,) = holder.read(section).entries
    with Exchange(holder) as mine, Exchange(doctor) as theirs:
        theirs.sync()
        opened = theirs.open(section)
        holder.amend_entry(section, entry.id, {"dose": "one in the morning"})
        opened.set_entry(entry.id, "medication", {"dose": "two in the morning"})
        theirs.sync()
        mine.sync()
    assert len(holder.read(section).conflicts) == 1

    async def story() -> None:
        async with inside(holder) as screens:
            await screens.press("enter")
            text = await screens.see("Written differently by two people:")
            assert f"“one in the morning” by {holder.holder_name}" in text
            assert f"“two in the morning” by {doctor.holder_name}" in text
            await screens.press("end", "enter")
            await screens.type("dose", "two in the evening")
            await screens.press("f2")
            await screens.see("two in the evening")
            await screens.until(lambda: "Written differently" not in screens.text())
            assert not holder.read(section).conflicts

    run(story)


def test_a_revocation_that_the_relay_confirmed_is_no_more_in_doubt(met: Met) -> None:  # noqa: F811
    holder, _, _ = met
    give(met, "read")
    doubt = "The relay has not confirmed yet"

    async def story() -> None:
        async with inside(holder) as screens:
            await screens.press("j")
            await screens.see("Open now", "granted")
            await screens.press("r")
            await screens.see("Revoke this access?")
            await screens.press("y")
            await screens.see("revoked")
            await screens.until(lambda: holder.sharing.trace()[-1].verified)
            await screens.press("home")
            await screens.until(lambda: doubt not in screens.text())

    run(story)


def test_the_record_is_used_without_any_relay(vault: Vault) -> None:
    set_language("en")
    vault.language = "en"
    vault.add(Document(title="Letter at home"))

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Letter at home", "not synchronised")
            await screens.press("s")
            await screens.see("Which relay?")
            await screens.type("url", "http://127.0.0.1:9")
            await screens.press("enter")
            await screens.see("The relay cannot be reached")
            await screens.see("Letter at home")

    run(story)
