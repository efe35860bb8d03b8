"""When a medicine is to be taken, in words: the events of CDA and FHIR timings, and "as needed"."""

from __future__ import annotations

AS_NEEDED = "si besoin (as needed)"
_EVENTS = {
    "HS": "au coucher", "WAKE": "au réveil", "C": "aux repas", "CM": "au petit-déjeuner", "CD": "au déjeuner",
    "CV": "au dîner", "AC": "avant les repas", "ACM": "avant le petit-déjeuner", "ACD": "avant le déjeuner",
    "ACV": "avant le dîner", "PC": "après les repas", "PCM": "après le petit-déjeuner", "PCD": "après le déjeuner",
    "PCV": "après le dîner", "IC": "entre les repas", "ICM": "entre le petit-déjeuner et le déjeuner",
    "ICD": "entre le déjeuner et le dîner", "ICV": "entre le dîner et le coucher", "MORN": "le matin",
    "NOON": "à midi", "AFT": "l’après-midi", "EVE": "le soir", "NIGHT": "la nuit",
}  # fmt: skip


def event(code: str) -> str:
    """ "au coucher (HS)"; the code itself when it is not known."""
    return f"{_EVENTS[code]} ({code})" if code in _EVENTS else code
