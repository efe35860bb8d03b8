"""What a person carries on paper: the summary of a record, and the treatments before surgery on one page.

Anticoagulants come first and in words. Every page says that no professional has checked it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO

from vault.exporters import paper
from vault.exporters.ips import Holder
from vault.exporters.sheet import day_in_words
from vault.importers.reading import clean
from vault.review.medications import ANTICOAGULANT, ANTIPLATELET, CONFLICT, DUPLICATE, Medication, rank
from vault.review.profile import Dose, Fact, Profile, disease_name
from vault.terminology import antithrombotic

MOST_PREOP = 24  # rows that fit on the one page of a list before surgery
_TEXT = {
    "fr": {
        "summary": "Synthèse de santé", "preop": "Traitements avant une opération", "born": "né(e) le {day}",
        "printed": "Imprimé le {day}", "unchecked": "Non vérifié par un professionnel.",
        "source": "D’après les documents du dossier et ce que la personne y a noté.",
        "allergies": "Allergies", "treatments": "Traitements en cours", "conditions": "Problèmes de santé",
        "immunizations": "Vaccinations", "contacts": "Contacts", "directives": "Directives et volontés",
        "none": "Rien n’est noté : cela ne veut pas dire qu’il n’y en a pas.", "no": "NON : {what}",
        "what": "Traitement", "substance": "Substance", "dose": "Dose", "since": "Depuis", "from": "Source",
        "reaction": "Réaction", "disease": "Contre", "dates": "Dates", "allergy": "Allergie", "condition": "Problème",
        "anticoagulant": "ANTICOAGULANT", "antiplatelet": "ANTIAGRÉGANT", "conflict": "deux versions : à vérifier",
        "prescribed": "prescrit", "duplicate": "noté plusieurs fois",
        "other": "Autre vaccin", "person": "Personne", "role": "Rôle",
        "alert": "Anticoagulant ou antiagrégant en cours : {names}. Ne pas arrêter sans avis médical.",
        "noalert": "Aucun anticoagulant ni antiagrégant n’est noté parmi les traitements en cours.",
        "more": "Il y en a {n} de plus : voir la synthèse.", "page": "page {n}", "foot": "Elpis · {name} · {day}",
        "nodate": "date inconnue", "holder": "noté par la personne",
    },
    "en": {
        "summary": "Health summary", "preop": "Treatments before surgery", "born": "born on {day}",
        "printed": "Printed on {day}", "unchecked": "Not checked by a professional.",
        "source": "From the documents of the record and what the person wrote in it.",
        "allergies": "Allergies", "treatments": "Treatments taken now", "conditions": "Conditions",
        "immunizations": "Immunizations", "contacts": "Contacts", "directives": "Directives and wishes",
        "none": "Nothing is recorded: that does not mean that there is nothing.", "no": "NO: {what}",
        "what": "Treatment", "substance": "Substance", "dose": "Dose", "since": "Since", "from": "Source",
        "reaction": "Reaction", "disease": "Against", "dates": "Dates", "allergy": "Allergy", "condition": "Condition",
        "anticoagulant": "ANTICOAGULANT", "antiplatelet": "ANTIPLATELET", "conflict": "two versions: to be checked",
        "prescribed": "prescribed", "duplicate": "stated more than once",
        "other": "Other vaccine", "person": "Person", "role": "Role",
        "alert": "Anticoagulant or antiplatelet taken now: {names}. Not to be stopped without medical advice.",
        "noalert": "No anticoagulant and no antiplatelet is recorded among the treatments taken now.",
        "more": "There are {n} more: see the summary.", "page": "page {n}", "foot": "Elpis · {name} · {day}",
        "nodate": "date unknown", "holder": "written by the person",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call. `role` in words."""

    name: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What every printed page needs to know. `titles` are those of documents by id, for the sources."""

    holder: Holder
    on: date
    language: str
    titles: dict[str, str]


def summary(target: IO[bytes], page: Page, profile: Profile, contacts: Sequence[Contact] = ()) -> None:
    """The summary, on as many A4 pages as it takes."""
    text = _text(page)
    taken = _taken(profile.medications)
    pieces = _head(page, text["summary"])
    pieces += [paper.heading(text["allergies"]), *_allergies(profile.facts["allergy"], page)]
    pieces += [paper.heading(text["treatments"]), _alert(taken, text), *_treatments(taken, page, sources=False)]
    conditions = [fact for fact in profile.facts["condition"] if fact.active or fact.negated]
    pieces += [paper.heading(text["conditions"]), *_conditions(conditions, page)]
    pieces += [paper.heading(text["immunizations"]), *_vaccinations(profile, page)]
    if directives := profile.facts["directive"]:
        pieces += [paper.heading(text["directives"]), *(paper.line(_said(fact, text)) for fact in directives)]
    if contacts:
        lines = [[contact.name, contact.role] for contact in contacts]
        pieces += [paper.heading(text["contacts"]), paper.rows([text["person"], text["role"]], lines, (3, 2))]
    _write(target, text["summary"], pieces, page)


def preoperative(target: IO[bytes], page: Page, medications: Sequence[Medication]) -> None:
    """The treatments that matter before surgery, on one A4 page: anticoagulants first, in words."""
    text = _text(page)
    taken = _taken(medications)
    # As many rows as fit: long names and doses take more lines. What is left out is counted, and stands in the summary.
    for most in range(min(len(taken), MOST_PREOP), -1, -1):
        pieces = [*_head(page, text["preop"]), _alert(taken, text), paper.space(3)]
        pieces += _treatments(taken[:most], page, sources=True)
        if len(taken) > most:
            pieces.append(paper.line(text["more"].format(n=len(taken) - most), bold=True))
        made = io.BytesIO()
        if _write(made, text["preop"], pieces, page) == 1:
            break
    target.write(made.getvalue())


def _head(page: Page, title: str) -> list[paper.Piece]:
    text = _text(page)
    born = text["born"].format(day=_day(page.holder.birth, page)) if page.holder.birth else ""
    below = " · ".join(filter(None, (born, text["printed"].format(day=day_in_words(page.on, page.language)))))
    told = [paper.line(text["unchecked"], bold=True), paper.line(text["source"], small=True)]
    return [
        *paper.title(f"{title}{' : ' if page.language == 'fr' else ': '}{_short(page.holder.name, 60)}", below),
        *told,
    ]


def _alert(taken: Sequence[Medication], text: dict[str, str]) -> paper.Piece:
    names = [_short(item.label, 40) for item in taken if rank(item) < 2]
    if names:
        return paper.warning(text["alert"].format(names=", ".join(dict.fromkeys(names[:8]))))
    return paper.line(text["noalert"], small=True)


def _treatments(taken: Sequence[Medication], page: Page, *, sources: bool) -> list[paper.Piece]:
    text = _text(page)
    if not taken:
        return [paper.line(text["none"])]
    lines = []
    for item in taken:
        flags = [text[flag] for flag in (ANTICOAGULANT, ANTIPLATELET) if flag in item.flags]
        notes = [text[flag] for flag in (CONFLICT, DUPLICATE) if flag in item.flags][:1]
        name = " ".join(filter(None, (*(f"[{flag}]" for flag in flags), _short(item.label or item.substance, 110))))
        notes += [text["prescribed"]] if item.prescribed else []
        name += f" ({', '.join(notes)})" if notes else ""
        cells = [
            paper.BOLD + name if flags else name,
            _short(_substance(item, page), 70),
            _short(item.dose, 140),
            _day(item.start, page),
        ]
        if sources:
            cells.append(_short(page.titles.get(item.source_document, ""), 60) or text["holder"])
        lines.append(cells)
    head = [text["what"], text["substance"], text["dose"], text["since"], *([text["from"]] if sources else [])]
    return [paper.rows(head, lines, (5, 3, 4, 2.6, 3) if sources else (5, 3, 4, 2.6))]


def _substance(item: Medication, page: Page) -> str:
    drug = None if item.substance else antithrombotic(item.label)
    if drug is None:
        return item.substance
    return drug.substance_fr if page.language == "fr" else drug.substance_en


def _allergies(facts: Sequence[Fact], page: Page) -> list[paper.Piece]:
    text = _text(page)
    if not facts:
        return [paper.line(text["none"])]
    lines = []
    for fact in facts:
        signs = ", ".join(filter(None, (str(fact.fields.get(name) or "") for name in ("reaction", "severity"))))
        label = _said(fact, text)
        lines.append([label if fact.negated else paper.BOLD + label, _short(signs, 150), _day(fact.start, page)])
    return [paper.rows([text["allergy"], text["reaction"], text["since"]], lines, (5, 5, 2.6))]


def _conditions(facts: Sequence[Fact], page: Page) -> list[paper.Piece]:
    text = _text(page)
    if not facts:
        return [paper.line(text["none"])]
    lines = [[_said(fact, text), _day(fact.start, page)] for fact in facts]
    return [paper.rows([text["condition"], text["since"]], lines, (10, 2.6))]


def _vaccinations(profile: Profile, page: Page) -> list[paper.Piece]:
    text = _text(page)
    calendar = profile.calendar()
    if not calendar:
        return [paper.line(text["none"])]
    lines = []
    for key, doses in calendar.items():
        if key:
            lines.append([disease_name(key, page.language), _days(doses, page)])
        else:
            lines += [[f"{text['other']}: {_short(dose.label, 80)}", _days([dose], page)] for dose in doses]
    return [paper.rows([text["disease"], text["dates"]], lines, (5, 8))]


def _days(doses: Sequence[Dose], page: Page) -> str:
    return ", ".join(_day(dose.day, page) or _text(page)["nodate"] for dose in doses[:8])


def _said(fact: Fact, text: dict[str, str]) -> str:
    label = _short(fact.label or fact.code, 150)
    return text["no"].format(what=label) if fact.negated else label


def _taken(medications: Sequence[Medication]) -> list[Medication]:
    taken = [item for item in medications if item.active and not item.negated]
    return sorted(taken, key=rank)


def _day(value: str, page: Page) -> str:
    """A date with its month in letters; what is no whole date as it is."""
    try:
        return day_in_words(date.fromisoformat(value[:10]), page.language)
    except ValueError:
        return _short(value, 20)


def _short(text: str, most: int) -> str:
    one = clean(text)
    return one if len(one) <= most else one[: most - 1] + "…"


def _text(page: Page) -> dict[str, str]:
    return _TEXT.get(page.language, _TEXT["en"])


def _write(target: IO[bytes], title: str, pieces: list[paper.Piece], page: Page) -> int:
    text = _text(page)
    foot = text["foot"].format(name=_short(page.holder.name, 60), day=day_in_words(page.on, page.language))
    return paper.write(target, title, pieces, f"{foot} · {text['unchecked']}", text["page"], language=page.language)
