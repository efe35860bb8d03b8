"""The record on the screen: pages on demand, search, reading, amending; what came from outside is only ever text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.tui.driving import inside, run
from tui.language import set_language
from tui.screens.reader import Reader
from tui.widgets.rows import PAGE, VirtualList
from vault import Document, Entry, Vault

HOSTILE = "Hello\x1b[31m\x1b]0;owned\x07 [bold red]not red[/] \u202egnp.exe\x9b2J"


@pytest.fixture(autouse=True)
def english(vault: Vault) -> None:
    set_language("en")
    vault.language = "en"


def test_only_the_pages_that_are_looked_at_are_read(vault: Vault) -> None:
    vault.add_many((Document(title=f"Letter number {number:04}", date="2024-01-01"), {}) for number in range(1300))
    asked: list[object] = []
    real = vault.list
    vault.list = lambda **options: asked.append(options.get("before")) or real(**options)  # type: ignore[method-assign,func-returns-value]

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Letter number 1299")
            rows = screens.app.screen.query_one("#documents", VirtualList)
            await screens.until(lambda: rows.count == 1300)
            assert len(asked) == 1
            await screens.press("end")
            await screens.see("Letter number 0000")
            assert len(rows._pages) <= 3 and rows.virtual_size.height == 1300
            await screens.press("home")
            await screens.see("Letter number 1299")

    run(story)
    assert PAGE == 500


def test_search_finds_as_one_types_and_escape_gives_the_record_back(vault: Vault) -> None:
    vault.add(Document(title="Échographie du genou", author="Dr Exemple"))
    vault.add(Document(title="Lettre de sortie"))

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("Lettre de sortie")
            await screens.press("slash")
            await screens.type("search", "echo gen")
            await screens.until(lambda: "Lettre de sortie" not in screens.text())
            await screens.see("Échographie")
            await screens.type("search", "nothing like it")
            await screens.see("Nothing found for these words.")
            await screens.press("escape")
            await screens.see("Lettre de sortie", "Échographie du genou")

    run(story)


def test_an_entry_is_added_read_and_amended(vault: Vault) -> None:
    async def story() -> None:
        async with inside(vault) as screens:
            await screens.press("a")
            await screens.see("What do you want to add?")
            await screens.press("enter")
            await screens.see("What", "Active substance")
            await screens.press(*"Bisoprolol", "space", *"2.5", "space", *"mg")
            await screens.type("start", "05/2019")
            await screens.press("f2")
            await screens.see("Medications")
            await screens.press("enter")
            await screens.see("- Bisoprolol 2.5 mg, since May 2019")
            await screens.press("end", "enter")
            await screens.type("dose", "one in the morning")
            await screens.press("f2")
            await screens.see("Bisoprolol 2.5 mg, one in the morning, since May 2019")
            (summary,) = vault.list().documents
            (entry,) = vault.read(summary.id).entries
            assert entry.fields == {"label": "Bisoprolol 2.5 mg", "start": "2019-05", "dose": "one in the morning"}

    run(story)


def test_what_came_from_outside_is_only_text(vault: Vault) -> None:
    document = Document(
        title=HOSTILE, author=HOSTILE, text=f"First\n{HOSTILE}", entries=(Entry("", "allergy", {"label": HOSTILE}),)
    )
    vault.add(document)

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("[bold red]not red[/]")
            await screens.press("enter")
            text = await screens.see("Allergies", "[bold red]not red[/]")
            assert isinstance(screens.app.screen, Reader)
            assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(text)
            assert "owned" not in text

    run(story)


def test_files_are_taken_in_and_an_unreadable_one_is_named(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.xyz").write_bytes(b"\x00\x01\x02" * 50)

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.press("i")
            await screens.type("path", f"{folder}/")
            await screens.see("broken.xyz")
            await screens.press("enter")
            await screens.see("Not read: broken.xyz")
            assert vault.count() == 0

    run(story)


def test_an_attachment_is_saved_where_the_person_says(vault: Vault, tmp_path: Path) -> None:
    document_id = vault.add(Document(title="With a file"))
    vault.attach(document_id, b"the original", name="../../scan.txt", media_type="text/plain")

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("With a file")
            await screens.press("enter")
            await screens.see("Attachments")
            await screens.press("end", "enter")
            await screens.see("Save a copy")
            await screens.press("down", "enter")
            await screens.type("path", str(tmp_path / "copy.txt"))
            await screens.press("enter")
            await screens.see("Saved:")

    run(story)
    assert (tmp_path / "copy.txt").read_bytes() == b"the original"
    assert (tmp_path / "copy.txt").stat().st_mode & 0o077 == 0


def test_a_key_costs_the_same_at_ten_rows_and_at_a_million() -> None:
    from rich.text import Text
    from textual.app import App, ComposeResult

    class Bare(App[None]):
        def compose(self) -> ComposeResult:
            yield VirtualList[int](lambda row, width: Text(str(row)), id="rows")

    async def cost(count: int) -> float:
        async with Bare().run_test(size=(80, 24)) as pilot:
            rows = pilot.app.query_one("#rows", VirtualList)
            rows.show(range(count))
            rows.focus()
            await pilot.pause()
            start = time.perf_counter()
            rows.action_edge(1)
            for line in range(24):
                rows.render_line(line)
            rows.action_edge(0)
            return time.perf_counter() - start

    costs: dict[int, float] = {}

    async def story() -> None:
        for count in (10, 1_000_000):
            costs[count] = min([await cost(count) for _ in range(3)])

    run(story)
    assert costs[1_000_000] < 5 * costs[10] + 0.005


def test_a_letter_is_a_key_as_the_last_line_shows_it_and_as_it_is_typed(vault: Vault) -> None:
    """The line of keys shows capitals, and somebody may have them locked."""

    async def story() -> None:
        async with inside(vault) as screens:
            for key in ("x", "X"):
                await screens.press(key)
                await screens.see("What do you want to export?")
                await screens.press("escape")
                await screens.until(lambda: "What do you want to export?" not in screens.text())

    run(story)


def test_a_day_is_shown_whole_in_its_column(vault: Vault) -> None:
    vault.add(Document(title="Lettre", date="2025-09-30T10:15:00+02:00"))
    vault.add(Document(title="Ancienne", date="2019"))

    async def story() -> None:
        async with inside(vault) as screens:
            await screens.see("30 September 2025  ")
            await screens.see("2019  ")
            assert "10:15" not in screens.text()

    run(story)


@pytest.mark.parametrize(("asked", "seen"), [(None, "Chercher"), ("en", "Search")])
def test_the_language_of_the_command_line_comes_before_that_of_the_vault(
    vault: Vault, asked: str | None, seen: str
) -> None:
    vault.language = "fr"

    async def story() -> None:
        async with inside(vault, language=asked) as screens:
            await screens.see(seen)

    run(story)
