"""The record at a glance: facts once, measurements drawn, questions, and what a patient forgot."""

from __future__ import annotations

import pytest

from tests.tui.driving import inside, run
from tui.language import set_language
from tui.plot import bars, plot
from tui.screens.glance import Glance
from tui.screens.reader import Reader
from vault import Document, Entry, Vault
from vault.review.profile import Point, Series

HOSTILE = "Poids\x1b[31m\x1b]0;owned\x07"


@pytest.fixture(autouse=True)
def english(vault: Vault) -> None:
    set_language("en")
    vault.language = "en"


def entry(number: int, kind: str, label: str, **fields: str | bool) -> Entry:
    return Entry(f"{number:032x}", kind, {"label": label, **fields})


def fill(vault: Vault) -> None:
    weights = [
        entry(9 + day, "vital", HOSTILE, value=f"{70 + day}", unit="kg", start=f"2024-01-{1 + day:02}")
        for day in range(9)
    ]
    vault.add(
        Document(
            title="Lettre A",
            date="2024-01-01",
            entries=(
                entry(1, "allergy", "Pénicilline"),
                entry(2, "medication", "RAMIPRIL 5 mg", status="active"),
                entry(3, "immunization", "REPEVAX", start="2012-03-01"),
                entry(4, "trusted_person", "Mme Exemple", performer="fille", value="01 02 03 04 05"),
                entry(5, "result", "Scanner thoracique", value="normal", start="2024-01-01"),
                *weights,
            ),
        )
    )
    vault.add(
        Document(
            title="Lettre B",
            date="2024-01-03",
            entries=(
                entry(1, "allergy", "pénicilline", negated=True),
                entry(5, "result", "Scanner thoracique", value="normal", start="2024-01-03"),
            ),
        )
    )


def test_everything_is_there_once_and_enter_goes_on(vault: Vault) -> None:
    fill(vault)

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Lettre A")
            await screens.press("g")
            shown = await screens.see("Worth a question", "affirmed here, denied there")
            assert isinstance(screens.app.screen, Glance) and "\x1b" not in shown
            await screens.press("end", "up")
            shown = await screens.see("Mme Exemple, fille, 01 02 03 04 05", "Immunizations", "Tetanus", "▁", "█")
            await screens.press("enter")
            await screens.see("│", "└", "1 January 2024", "78", "⠉" if "⠉" in screens.text() else "│")
            await screens.press("escape", "home", "down", "down", "enter")
            await screens.until(lambda: isinstance(screens.app.screen, Reader))

    run(story)


def test_what_was_forgotten_and_what_was_done_lately(vault: Vault) -> None:
    fill(vault)
    vault.clock = lambda: 1_704_672_000.0  # 8 January 2024

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.press("g")
            await screens.see("Worth a question")
            await screens.press("m")
            await screens.type("asked", "doliprane, tisane")
            await screens.press("enter")
            await screens.see("Taken, and not mentioned", "RAMIPRIL", "tisane")
            await screens.press("escape", "e")
            await screens.type("asked", "scanner thoracique")
            await screens.press("enter")
            await screens.see("Done lately", "Scanner thoracique, 3 January 2024")

    run(story)


def series(*values: str) -> Series:
    points = tuple(Point(f"2024-01-{day:02}", value, None) for day, value in enumerate(values, 1))
    return Series("vital", "X", "u", points=points)


def test_a_plot_goes_from_the_lowest_to_the_highest() -> None:
    rising = plot(series("1", "2", "3,5"), 40, 4)
    assert rising[0].startswith("3.5 │") and rising[3].startswith("  1 │")
    assert rising[0].rstrip()[-1] != "│" and rising[3][5] != " "
    assert rising[-1].split() == ["1", "January", "2024", "3", "January", "2024"]
    assert max(map(len, rising)) <= 40
    assert bars(series("1", "2", "3")) == "▁▅█" and bars(series("5", "5", "5")) == "▄▄▄"


def test_what_cannot_be_drawn_is_not() -> None:
    assert plot(series("1"), 40) == [] and plot(series("positif", "négatif"), 40) == []
    assert bars(series("1", "2")) == ""
    assert plot(series("140/80", "120/70"), 40)[0].startswith("140 │")
