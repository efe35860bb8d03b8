"""The recovery sheet: the words of a kit or of one share on A4 with a QR code, or as text.

Nothing of the vault is on it, not even whose it is: the holder writes a name on it by hand, or does not. Normative:
spec/recovery.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import IO, Any

COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page: a whole kit when `count` is 0, otherwise share `number` of `count`, of which `needed` are enough."""

    words: tuple[str, ...] = field(repr=False)
    fingerprint: str
    number: int = 0
    count: int = 0
    needed: int = 0
    set_id: int = 0


_TEXT: dict[str, dict[str, Any]] = {
    "fr": {
        "title": "Elpis : feuille de secours",
        "part": "Elpis : part de secours {number} sur {count}",
        "made": "Faite le {day}",
        "name": "Nom (à la main, si vous voulez) : ..............................................",
        "fingerprint": "Empreinte du secours : {code}",
        "set": "Jeu n° {set_id}, part {number} sur {count} : {needed} parts de ce jeu suffisent.",
        "whole": "Qui détient ces 24 mots ouvre le coffre. Gardez-les sur papier, loin de l’appareil.",
        "one": "Seule, cette part n’ouvre et n’apprend rien. Avec {others} autre(s) du même jeu, elle ouvre le coffre.",
        "words": "Les mots, dans l’ordre",
        "how": "Comment s’en servir",
        "steps": (
            "Sur un appareil où se trouve le coffre (ou sa sauvegarde restaurée), lancez : elpis recovery use",
            "Tapez les mots dans l’ordre. Majuscules et accents n’ont pas d’importance.",
            "Choisissez une nouvelle phrase de passe. L’ancienne n’ouvre alors plus rien.",
            "Pour répéter sans rien changer : elpis recovery test. L’empreinte doit être celle de cette feuille.",
        ),
        "gather": "Réunissez {needed} parts du jeu n° {set_id}, puis tapez-les l’une après l’autre.",
        "lost": "Sans la phrase de passe et sans ce secours, personne ne peut ouvrir le coffre : tout ce qu’il contient"
        " est perdu. Il n’existe aucune autre copie, nulle part.",
        "alone": "Ces mots n’ouvrent qu’un coffre que vous avez encore : gardez une sauvegarde (elpis backup make).",
        "qr": "Le code contient les mêmes mots. Ne le photographiez pas : les photos partent souvent ailleurs.",
        "foot": "Imprimez cette feuille, puis supprimez le fichier.",
        "page": "page {n}",
    },
    "en": {
        "title": "Elpis: recovery sheet",
        "part": "Elpis: recovery share {number} of {count}",
        "made": "Made on {day}",
        "name": "Name (by hand, if you like): ..............................................",
        "fingerprint": "Fingerprint of the kit: {code}",
        "set": "Set no. {set_id}, share {number} of {count}: {needed} shares of this set are enough.",
        "whole": "Whoever has these 24 words opens the vault. Keep them on paper, away from the device.",
        "one": "Alone, this share opens and tells nothing. With {others} other(s) of its set it opens the vault.",
        "words": "The words, in order",
        "how": "How to use it",
        "steps": (
            "On a device that has the vault (or its restored backup), run: elpis recovery use",
            "Type the words in order. Capitals and accents do not matter.",
            "Choose a new passphrase. The old one opens nothing any more.",
            "To rehearse without changing anything: elpis recovery test. The fingerprint it shows must be this one.",
        ),
        "gather": "Bring {needed} shares of set no. {set_id} together, and type them one after the other.",
        "lost": "Without the passphrase and without this kit nobody can open the vault: everything in it is lost."
        " There is no other copy, anywhere.",
        "alone": "These words open only a vault that you still have: keep a backup too (elpis backup make).",
        "qr": "The code holds the same words. Do not photograph it: photographs often travel.",
        "foot": "Print this sheet, then delete the file.",
        "page": "page {n}",
    },
}  # fmt: skip
_MONTHS = {
    "fr": ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
           "décembre"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
}  # fmt: skip


def as_pdf(target: IO[bytes], sheets: Sequence[Sheet], *, language: str, made: date) -> None:
    """One A4 page a sheet: shares are handed out page by page."""
    from vault.exporters import paper

    text = _TEXT[_language(language)]
    pieces: list[paper.Piece] = []
    for sheet in sheets:
        if pieces:
            pieces.append(paper.page_break())
        facts = [paper.line(fact) for fact in _facts(sheet, language, made)]
        left = [*facts, paper.space(2), paper.line(text["name"]), paper.space(3)]
        left += [paper.line(_told(sheet, text), bold=True), paper.space(2), paper.line(text["qr"], small=True)]
        pieces += paper.title(_title(sheet, text))
        pieces.append(paper.beside(left, paper.qr(" ".join(sheet.words), 62 if sheet.count else 56), 0.36))
        pieces.append(paper.heading(text["words"]))
        pieces.append(paper.numbered(sheet.words, 3 if sheet.count else 4))
        pieces.append(paper.heading(text["how"]))
        pieces.append(paper.steps(_steps(sheet, text)))
        pieces.append(paper.space(3))
        pieces.append(paper.warning(text["lost"]))
        pieces.append(paper.line(text["alone"]))
    paper.write(target, text["title"], pieces, text["foot"], text["page"], language=_language(language))


def as_text(sheets: Sequence[Sheet], *, language: str, made: date) -> str:
    """The same as text: lines with # are for the reader, the others are the words in order."""
    text = _TEXT[_language(language)]
    pages = []
    for sheet in sheets:
        told = [_title(sheet, text), *_facts(sheet, language, made), _told(sheet, text), text["lost"]]
        told += [f"{number}. {step}" for number, step in enumerate(_steps(sheet, text), 1)]
        lines = [f"# {line}" for line in told]
        for start in range(0, len(sheet.words), COLUMNS):
            lines.append(" ".join(sheet.words[start : start + COLUMNS]))
        pages.append("\n".join(lines) + "\n")
    return "\n".join(pages)


def day_in_words(day: date, language: str) -> str:
    """A date with its month in letters."""
    name = _MONTHS[_language(language)][day.month - 1]
    return f"{'1er' if day.day == 1 and _language(language) == 'fr' else day.day} {name} {day.year}"


def _facts(sheet: Sheet, language: str, made: date) -> list[str]:
    text = _TEXT[_language(language)]
    day = day_in_words(made, language)
    facts = [text["made"].format(day=day), text["fingerprint"].format(code=sheet.fingerprint)]
    return [*facts, _filled(text["set"], sheet)] if sheet.count else facts


def _title(sheet: Sheet, text: dict[str, Any]) -> str:
    return _filled(text["part" if sheet.count else "title"], sheet)


def _told(sheet: Sheet, text: dict[str, Any]) -> str:
    return _filled(text["one" if sheet.count else "whole"], sheet)


def _steps(sheet: Sheet, text: dict[str, Any]) -> list[str]:
    listed = list(text["steps"])
    return [_filled(text["gather"], sheet), *listed] if sheet.count else listed


def _filled(template: str, sheet: Sheet) -> str:
    return template.format(
        number=sheet.number, count=sheet.count, needed=sheet.needed, set_id=sheet.set_id, others=sheet.needed - 1
    )


def _language(language: str) -> str:
    return language if language in _TEXT else "en"
