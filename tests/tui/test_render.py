"""What people read: clean of what came from outside, dates in letters, nothing claimed that was not proved."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.report import Event
from tui import language, render
from tui.standing import event_words
from vault.document import Attachment, Conflict, Document, Entry


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    before = language.language()
    language.set_language("en")
    yield
    language.set_language(before)


HOSTILE = [
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b]0;title\x07after", "after"),
    ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1b[2J\x1b[Hgone", "gone"),
    ("\x9b31mC1", "31mC1"),
    ("a\x00b\x08c\x7f", "abc"),
    ("user\u202etxt.exe", "usertxt.exe"),
    ("\u2066hidden\u2069", "hidden"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("tag\U000e0041\U000e007f", "tag"),
    ("lone\udc80surrogate", "lonesurrogate"),
    ("two\r\nlines\tand\u2028more", "two lines and more"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("Amélie Œuvré", "Amélie Œuvré"),
]


@pytest.mark.parametrize(("text", "expected"), HOSTILE)
def test_clean(text: str, expected: str) -> None:
    assert render.clean(text) == expected


@given(st.text(st.characters(), max_size=60))
def test_clean_leaves_nothing_that_moves_a_terminal(text: str) -> None:
    for lines in (False, True):
        for mark in render.clean(text, lines=lines):
            assert (lines and mark == "\n") or mark in "\u200c\u200d" or unicodedata.category(mark)[0] != "C"


def test_clean_keeps_lines_when_asked() -> None:
    assert render.clean("one\r\ntwo\x1b[1A\n\nthree", lines=True) == "one\ntwo\n\nthree"


@given(st.text(max_size=40), st.integers(1, 30))
def test_fit_is_exact(text: str, width: int) -> None:
    assert render.cells(render.fit(text, width)) == width


@pytest.mark.parametrize(
    ("value", "in_english", "in_french"),
    [
        ("2019", "2019", "2019"),
        ("2019-05", "May 2019", "mai 2019"),
        ("2019-05-01", "1 May 2019", "1er mai 2019"),
        ("2026-11-21T14:05:09+01:00", "21 November 2026, 14:05", "21 novembre 2026, 14:05"),
        ("2026-13-45", "2026-13-45", "2026-13-45"),
        ("in spring\x1b[7m", "in spring", "in spring"),
        ("", "", ""),
    ],
)
def test_dates_have_their_month_in_letters(value: str, in_english: str, in_french: str) -> None:
    assert render.date(value) == in_english
    language.set_language("fr")
    assert render.date(value) == in_french


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (172_700, "1 d 23 h"),
        (86_400, "1 d"),
        (86_401, "1 d"),
        (3_660, "1 h 1 min"),
        (61, "1 min 1 s"),
        (5, "5 s"),
        (0, "0 s"),
        (-3, "0 s"),
    ],
)
def test_countdown(seconds: int, expected: str) -> None:
    assert render.remaining(seconds) == expected


def test_periods() -> None:
    assert render.period("2019-06-01", "") == "since 1 June 2019"
    assert render.period("2019", "2020-02") == "from 2019 to February 2020"
    language.set_language("fr")
    assert render.period("2019-06-01", "") == "depuis le 1er juin 2019"
    assert render.period("2005", "") == "depuis 2005" and render.period("2005-03", "") == "depuis mars 2005"
    assert render.period("2019", "2020-02") == "2019 – février 2020"


def test_countdown_in_french() -> None:
    language.set_language("fr")
    assert render.remaining(172_700) == "1 j 23 h"


def test_sizes() -> None:
    assert [render.size(n) for n in (0, 999, 1_500, 25_000_000, 3_000_000_000_000)] == [
        "0 B", "999 B", "1.5 kB", "25 MB", "3000 GB",
    ]  # fmt: skip


DOCUMENT = Document(
    id="ab" * 16,
    title="Discharge \x1b[5mletter",
    date="2026-03-02",
    author="Dr Noël",
    confidentiality="R",
    text="First paragraph.\n\nSecond.",
    entries=(
        Entry("01" * 16, "medication", {"label": "BISOPROLOL 2,5 mg", "dose": "1 a day", "start": "2019-05"}),
        Entry("02" * 16, "allergy", {"label": "Penicillin", "negated": True}),
        Entry("03" * 16, "result", {"label": "INR", "value": "2.4", "unit": "", "range": "2-3", "interpretation": "N"}),
    ),
    attachments=(Attachment("cd" * 32, "application/pdf", 12_345, "letter.pdf"),),
    conflicts=(Conflict("01" * 16, "dose", (("1 a day", "Dr Noël", "2026-03-02"), ("2 a day", "", "2026-03-03"))),),
)


def test_document() -> None:
    text = render.document(DOCUMENT)
    assert "\x1b" not in text
    assert "2 March 2026 - Dr Noël - confidential" in text
    assert "BISOPROLOL 2,5 mg, 1 a day, since May 2019  [01010101]" in text
    assert "NO: Penicillin" in text
    assert "INR, 2.4, usual 2-3, N" in text
    assert "First paragraph.\n\nSecond." in text
    assert "cdcdcdcd     12 kB  application/pdf  letter.pdf" in text


def test_a_conflict_names_both_authors_and_dates() -> None:
    conflict = "BISOPROLOL 2,5 mg dose: “1 a day” by Dr Noël, 2 March 2026; “2 a day” by somebody, 3 March 2026"
    text = render.document(DOCUMENT)
    assert conflict in text
    assert text.index(conflict) < text.index("Treatments")


def test_medications_say_the_danger_in_words_and_first() -> None:
    item = SimpleNamespace(
        label="PREVISCAN 20 mg", code="", system="", substance="fluindione", dose="3/4", start="2019", end="",
        active=True, source_document="", negated=False, flags=("anticoagulant", "conflict"),
        prescribed=False, ahead=False,
    )  # fmt: skip
    gone = SimpleNamespace(**{**vars(item), "label": "ASPIRIN", "active": False, "flags": (), "negated": True})
    ahead = SimpleNamespace(**{**vars(gone), "label": "RAMIPRIL", "negated": False, "prescribed": True, "ahead": True})
    assert render.medications([ahead]).endswith("since 2019, prescribed, not begun")
    text = render.medications([item, gone])
    assert text.startswith("[ANTICOAGULANT] [two versions] PREVISCAN 20 mg\n    fluindione, 3/4, since 2019\n")
    assert "NOT taken: ASPIRIN" in text and "no longer taken" in text


def test_the_journal_never_claims_more_than_was_verified() -> None:
    line = SimpleNamespace(
        time=1_790_000_000, person="Dr \x1b[1mA", role="doctor", document="Letter", document_id="ab", purpose="visit",
        state="opened", verified=False,
    )  # fmt: skip
    text = render.trace([line])
    assert "Dr A (doctor): opened (signed), NOT VERIFIED" in text and "Letter - visit" in text
    line.state, line.verified, line.person = "unknown", True, ""
    assert "somebody (doctor): unknown" in render.trace([line])
    line.state = "something new"
    assert ": unknown" in render.trace([line])


def test_grants_and_visits_count_down() -> None:
    grant = SimpleNamespace(
        id="f" * 64, person="Dr A", right="edit", state="active", until=1_000_000 + 90_000, titles=("List",),
        patient="P", document_ids=("ab" * 16,),
    )  # fmt: skip
    assert "Dr A  read and edit  open  1 d 1 h" in render.grants([grant], 1_000_000)
    grant.state = "open"
    assert "P  read and edit  open  1 d 1 h\n          abababab" in render.visits([grant], 1_000_000)
    grant.state = "ended"
    assert "ended" in render.visits([grant], 2_000_000)


def test_counts() -> None:
    assert render.counted({"medications": 2, "allergies": 1, "results": 0}) == "2 treatments, 1 allergy"


def test_what_another_version_made_is_asked_for_anew() -> None:
    """Nobody broke a rule: a grant of an earlier version only has to be given again."""
    broken, earlier = Event("quarantined", detail="malformed"), Event("quarantined", detail="suite-refused")
    for told in (render.events([earlier]), event_words(earlier)):
        assert "another version" in told and "breaks the rules" not in told
    for told in (render.events([broken]), event_words(broken)):
        assert "breaks the rules" in told
