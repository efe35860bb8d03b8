"""The health profile across documents: each fact once, with every document that states it.

A fact is joined with another only where both say the same: same name or code, both affirmed or both denied. What
differs stays apart; conflicts.py finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from vault.document import Entry, Value
from vault.review.medications import Medication, Source, active, medication_list
from vault.terminology import fold

Rows = Iterable[tuple[Source, Entry]]
_PLAIN_KINDS = (
    "allergy", "condition", "procedure", "family_history", "directive", "trusted_person", "contact", "device",
    "social_history",
)  # fmt: skip
_NUMBER = re.compile(r"[<>≤≥]?\s*(-?\d+(?:[.,]\d+)?)")

# What a vaccine protects against, by words of its folded name or by its ATC code. One vaccine may have several.
_DISEASES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("diphtheria", "Diphtérie", "Diphtheria", ("diphter", "diphther", "dtp", "dtap", "tdap", "dtcap", "revaxis",
     "repevax", "boostrixtetra", "infanrix", "hexyon", "vaxelis", "tetravac", "j07aj", "j07af", "j07ca")),
    ("tetanus", "Tétanos", "Tetanus", ("tetan", "dtp", "dtap", "tdap", "dtcap", "revaxis", "repevax", "boostrixtetra",
     "infanrix", "hexyon", "vaxelis", "tetravac", "j07am", "j07aj", "j07ca")),
    ("polio", "Poliomyélite", "Polio", ("polio", "dtp", "revaxis", "repevax", "boostrixtetra", "infanrix", "hexyon",
     "vaxelis", "tetravac", "imovax polio", "ipv", "opv", "j07bf", "j07ca")),
    ("pertussis", "Coqueluche", "Pertussis", ("coqueluche", "pertussis", "tdap", "dtap", "dtcap", "repevax",
     "boostrixtetra", "infanrix", "hexyon", "vaxelis", "tetravac", "j07aj", "j07ca")),
    ("measles", "Rougeole, oreillons, rubéole", "Measles, mumps, rubella", ("rougeole", "measles", "oreillon", "mumps",
     "rubeole", "rubella", "ror", "mmr", "priorix", "m m r", "j07bd", "j07be", "j07bj")),
    ("hepatitis-a", "Hépatite A", "Hepatitis A", ("hepatite a", "hepatitis a", "havrix", "avaxim", "vaqta", "twinrix",
     "j07bc02", "j07bc20")),
    ("hepatitis-b", "Hépatite B", "Hepatitis B", ("hepatite b", "hepatitis b", "engerix", "hbvaxpro", "twinrix",
     "infanrix hexa", "hexyon", "vaxelis", "j07bc01", "j07bc20")),
    ("influenza", "Grippe", "Influenza", ("grippe", "influenza", "vaxigrip", "influvac", "fluarix", "efluelda",
     "fluzone", "j07bb")),
    ("covid-19", "Covid-19", "COVID-19", ("covid", "sars cov", "comirnaty", "spikevax", "vaxzevria", "nuvaxovid",
     "j07bn")),
    ("pneumococcus", "Pneumocoque", "Pneumococcus", ("pneumo", "prevenar", "vaxneuvance", "prevnar", "j07al")),
    ("meningococcus", "Méningocoque", "Meningococcus", ("meningo", "menveo", "nimenrix", "bexsero", "trumenba",
     "menquadfi", "neisvac", "menjugate", "j07ah")),
    ("hpv", "Papillomavirus", "HPV", ("papilloma", "hpv", "gardasil", "cervarix", "j07bm")),
    ("zoster", "Zona", "Shingles", ("zona", "zoster", "shingles", "shingrix", "zostavax", "j07bk02", "j07bk03")),
    ("varicella", "Varicelle", "Chickenpox", ("varicel", "varilrix", "varivax", "chickenpox", "j07bk01")),
    ("hib", "Haemophilus influenzae b", "Haemophilus influenzae b", ("haemophilus", "hib", "infanrix", "hexyon",
     "vaxelis", "j07ag")),
    ("bcg", "Tuberculose", "Tuberculosis", ("bcg", "tubercul", "j07an")),
    ("yellow-fever", "Fièvre jaune", "Yellow fever", ("fievre jaune", "yellow fever", "stamaril", "j07bl")),
    ("rabies", "Rage", "Rabies", ("rage", "rabies", "rabipur", "j07bg")),
    ("rotavirus", "Rotavirus", "Rotavirus", ("rotavirus", "rotateq", "rotarix", "j07bh")),
    ("rsv", "Bronchiolite (VRS)", "RSV", ("vrs", "rsv", "syncytial", "abrysvo", "arexvy", "j07bx05")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `sources` are the ids of every document that states it, the newest first; `fields` are the newest's."""

    kind: str
    label: str
    code: str = ""
    system: str = ""
    start: str = ""
    end: str = ""
    active: bool = True
    negated: bool = False
    sources: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dose:
    """One vaccination. `diseases` are keys of `disease_name`, () when the vaccine is not known."""

    label: str
    day: str
    diseases: tuple[str, ...] = ()
    dose_number: str = ""
    lot: str = ""
    negated: bool = False
    sources: tuple[str, ...] = ()
    code: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value. `number` is None for what is not a number."""

    day: str
    value: str
    number: float | None
    interpretation: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one measurement in one unit, oldest first."""

    kind: str
    label: str
    unit: str
    code: str = ""
    system: str = ""
    range: str = ""
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    medications: tuple[Medication, ...]
    facts: Mapping[str, tuple[Fact, ...]]  # by kind
    vaccinations: tuple[Dose, ...]  # newest first
    series: tuple[Series, ...]

    def calendar(self) -> dict[str, tuple[Dose, ...]]:
        """Vaccinations by disease, each newest first; "" for vaccines that are not known."""
        found: dict[str, tuple[Dose, ...]] = {}
        for dose in self.vaccinations:
            for disease in (dose.diseases or ("",)) if not dose.negated else ():
                found[disease] = (*found.get(disease, ()), dose)
        order = [name for name, *_ in _DISEASES]
        return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] else len(order)))


def profile(rows: Rows, *, on: date) -> Profile:
    """Everything that the entries state, as of a day."""
    ordered = sorted(rows, key=lambda row: row[0].date, reverse=True)
    return Profile(
        medications=medication_list(ordered, on=on),
        facts={kind: _facts(ordered, kind, on) for kind in _PLAIN_KINDS},
        vaccinations=_vaccinations(ordered),
        series=_series(ordered),
    )


def disease_name(key: str, language: str) -> str:
    """In words, "" for no disease."""
    for name, french, english, _ in _DISEASES:
        if name == key:
            return french if language == "fr" else english
    return ""


def diseases_of(label: str, code: str = "") -> tuple[str, ...]:
    """What a vaccine protects against, as far as its name or ATC code tells."""
    text, atc = f" {fold(label)} ", fold(code)
    found = []
    for key, _french, _english, words in _DISEASES:
        if any(f" {word}" in text or (word.startswith("j07") and atc.startswith(word)) for word in words):
            found.append(key)
    if "haemophilus" in text and "influenza" in found:  # a bacterium of that name, not the flu
        found.remove("influenza")
    return tuple(found)


def same_fact(left: Entry, right: Entry) -> bool:
    """Whether two entries speak of one thing: one name, or one code in one system."""
    return bool(set(keys_of(left)) & set(keys_of(right)))


def keys_of(entry: Entry) -> tuple[str, ...]:
    """What names the thing that an entry is about."""
    keys = []
    if label := fold(entry.text("label")):
        keys.append(label)
    if entry.text("code") and entry.text("system"):
        keys.append(f"{entry.text('system').removeprefix('urn:oid:')}|{entry.text('code')}")
    return tuple(keys)


def _facts(ordered: Rows, kind: str, on: date) -> tuple[Fact, ...]:
    found: list[tuple[set[str], Fact]] = []
    for source, entry in ordered:
        if entry.kind != kind:
            continue
        keys, goes_on = set(keys_of(entry)), active(entry, on)
        place = next((at for at, (known, fact) in enumerate(found)
                      if known & keys and (fact.negated, fact.active) == (entry.negated, goes_on)), None)  # fmt: skip
        if place is None:
            found.append((keys, _fact(source, entry, goes_on)))
        else:
            known, fact = found[place]
            found[place] = (known | keys, _joined(fact, source, entry))
    facts = [fact for _, fact in found]
    return tuple(sorted(facts, key=lambda fact: (fact.negated, not fact.active, fold(fact.label), fact.start)))


def _fact(source: Source, entry: Entry, goes_on: bool) -> Fact:
    return Fact(
        kind=entry.kind, label=entry.text("label"), code=entry.text("code"), system=entry.text("system"),
        start=entry.text("start"), end=entry.text("end"), active=goes_on, negated=entry.negated,
        sources=(source.id,), fields=dict(entry.fields),
    )  # fmt: skip


def _joined(fact: Fact, source: Source, entry: Entry) -> Fact:
    from dataclasses import replace

    starts = [start for start in (fact.start, entry.text("start")) if start]
    more = {name: value for name, value in entry.fields.items() if name not in fact.fields}
    return replace(
        fact, start=min(starts, default=""), fields={**more, **fact.fields},
        sources=tuple(dict.fromkeys((*fact.sources, source.id))),
    )  # fmt: skip


def _vaccinations(ordered: Rows) -> tuple[Dose, ...]:
    found: dict[tuple[object, ...], Dose] = {}
    for source, entry in ordered:
        if entry.kind != "immunization":
            continue
        label, day = entry.text("label"), entry.text("start")[:10]
        diseases = diseases_of(label, entry.text("code"))
        key = (diseases or fold(label), day, entry.negated)
        known = found.get(key)
        sources = tuple(dict.fromkeys((*(known.sources if known else ()), source.id)))
        found[key] = Dose(
            label=known.label if known else label, day=day, diseases=diseases,
            dose_number=(known.dose_number if known else "") or entry.text("dose_number"),
            lot=(known.lot if known else "") or entry.text("lot"), negated=entry.negated, sources=sources,
            code=known.code if known else entry.text("code"), system=known.system if known else entry.text("system"),
        )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda dose: (dose.day, dose.label), reverse=True))


def _series(ordered: Rows) -> tuple[Series, ...]:
    points: dict[tuple[str, str, str], dict[tuple[str, str], Point]] = {}
    heads: dict[tuple[str, str, str], Series] = {}
    for source, entry in ordered:
        if entry.kind not in ("vital", "result") or entry.negated or not entry.text("value"):
            continue
        code = entry.text("code")
        key = (entry.kind, code or fold(entry.text("label")), entry.text("unit"))
        if key not in heads:
            heads[key] = Series(
                entry.kind, entry.text("label"), entry.text("unit"), code, entry.text("system"), entry.text("range")
            )
        value, day = entry.text("value"), entry.text("start") or source.date
        number = _NUMBER.fullmatch(value.strip())
        measured = float(number.group(1).replace(",", ".")) if number else None
        points.setdefault(key, {}).setdefault(
            (day, value), Point(day, value, measured, entry.text("interpretation"), source.id)
        )
    made = []
    for key, head in heads.items():
        listed = tuple(sorted(points[key].values(), key=lambda point: point.day))
        made.append(Series(head.kind, head.label, head.unit, head.code, head.system, head.range, listed))
    return tuple(sorted(made, key=lambda series: (series.kind, fold(series.label), series.unit)))
