"""`elpis profile` and `elpis review`."""

from __future__ import annotations

from pathlib import Path

from tests.tui.commanding import Elpis


def fill(elpis: Elpis) -> None:
    elpis("add", "--kind", "medications", "--label", "PREVISCAN 20 mg", "--status", "active", "--dose", "1 le soir")
    elpis("add", "--kind", "medications", "--label", "Previscan 20", "--status", "active", "--dose", "1/2 le soir")
    elpis("add", "--kind", "medications", "--label", "RAMIPRIL 5 mg", "--status", "active")
    elpis("add", "--kind", "allergies", "--label", "Pénicilline", "--reaction", "\x1b[31mchoc")
    elpis("add", "--kind", "allergies", "--label", "pénicilline", "--negated")
    elpis("add", "--kind", "immunizations", "--label", "REPEVAX", "--start", "2012-03-01")
    elpis("add", "--kind", "vitals", "--label", "Poids", "--value", "70", "--unit", "kg", "--start", "2026-01-02")


def test_the_profile_in_words_and_as_json(elpis: Elpis) -> None:
    fill(elpis)
    told = elpis("profile", "--json").json
    assert {item["label"] for item in told["medications"]} == {"PREVISCAN 20 mg", "Previscan 20", "RAMIPRIL 5 mg"}
    assert [(item["disease"], item["dates"]) for item in told["calendar"]][1] == ("tetanus", ["2012-03-01"])
    assert told["series"][0]["points"][0]["value"] == "70"
    shown = elpis("profile", "--language", "fr")
    assert "Tétanos" in shown.out and "1er mars 2012" in shown.out and "[kg]: 70" in shown.out
    assert "\x1b" not in shown.out and "professionnel" in shown.err


def test_a_review_lists_what_is_worth_a_question(elpis: Elpis, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    said.write_text("previscan\naspirine\n", encoding="utf-8")
    assert "Nothing to ask" in elpis("review", "--language", "en").err
    fill(elpis)
    told = elpis("review", "--mentioned", said, "--exam", "poids", "--json").json
    assert [item["label"] for item in told["forgotten"]] == ["RAMIPRIL 5 mg"]
    assert told["not_recorded"] == ["aspirine"] and told["lately"] == []
    assert {item["what"] for item in told["contradictions"]} == {"doses", "stated"}
    shown = elpis("review", "--mentioned", said, "--language", "en").out
    assert "Taken, and not mentioned" in shown and "two doses of one treatment" in shown and "\x1b" not in shown
