"""Codes to labels, packs to substances: offline lists that ship with Elpis (data/SOURCES.md names source and licence).

Every list is read on its first use. What no list knows stays the code or the label that the document itself gives.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Code systems (OID or URI) under which an ATC code, a French pack (CIP) or a French medicine (CIS) travels.
ATC_SYSTEMS = frozenset({
    "2.16.840.1.113883.6.73", "urn:oid:2.16.840.1.113883.6.73", "http://www.whocc.no/atc", "https://www.whocc.no/atc",
    "1.2.250.1.213.2.12.1",
})  # fmt: skip
_SALTS = frozenset({
    "base", "sodique", "sodium", "calcique", "calcium", "potassique", "magnesique", "chlorhydrate", "dichlorhydrate",
    "bromhydrate", "sulfate", "hydrogenosulfate", "mesilate", "maleate", "fumarate", "tartrate", "succinate",
    "besilate", "citrate", "acetate", "phosphate", "nitrate", "hydrochloride", "hydrobromide", "hemihydrate",
    "monohydrate", "dihydrate", "trihydrate", "anhydre", "anhydrous", "de", "d", "du", "tablet",
    "oral", "capsule",
})  # fmt: skip
_LISTS = (
    "JDV_J07_XdsTypeCode_CISIS.tsv", "JDV_J66_TypeCode_DMP.tsv", "JDV_J57_ClassCode_DMP_and_J06.tsv",
    "JDV_J08_XdsConfidentialityCode_CISIS.tsv", "class_of_type.tsv", "antithrombotics.tsv", "bdpm_2022-06.tsv.gz",
)  # fmt: skip
_ATC = re.compile(r"[A-Z]\d\d[A-Z]{2}\d\d|[A-Z]\d\d[A-Z]{0,2}")
_NOT_SYSTEMIC = re.compile(r"\b(gel|creme|pommade|emplatre|tissugel|collyre|cream|ointment|patch)\b")


@dataclass(frozen=True, slots=True)
class Antithrombotic:
    """A substance that matters before surgery. `effect` is "anticoagulant" or "antiplatelet"."""

    effect: str
    atc: str
    names: tuple[str, ...]  # folded: French, English, trade names
    substance_fr: str
    substance_en: str


def fold(text: str) -> str:
    """Lower case without accents or ligatures, runs of anything but letters and digits as one space."""
    text = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE").replace("ß", "ss")
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", bare.lower()))


def type_label(code: str, lang: str = "fr") -> str:
    """French label of a document type of the DMP (JDV_J66, JDV_J07), "" when unknown or in another language."""
    return _types().get(code, "") if lang.startswith("fr") else ""


def class_label(code: str, lang: str = "fr") -> str:
    """French label of a document class of the DMP, "" when unknown or in another language."""
    return _table("JDV_J57_ClassCode_DMP_and_J06.tsv").get(code, "") if lang.startswith("fr") else ""


def confidentiality_label(code: str, lang: str = "fr") -> str:
    """French label of a confidentiality code, "" when unknown or in another language."""
    return _table("JDV_J08_XdsConfidentialityCode_CISIS.tsv").get(code, "") if lang.startswith("fr") else ""


def class_of_type(type_code: str) -> str:
    """Class code of a document type, "" when it does not follow from the type."""
    return _table("class_of_type.tsv").get(type_code, "")


def substance_of_cip(code: str) -> str:
    """Active substances of a French pack (CIP13, CIP7) or medicine (CIS), "" when the list has no such code."""
    return _medicine(code)[1]


def substance_of_label(label: str) -> str:
    """The label's first word when it is the name of a substance ("BISOPROLOL 2,5 mg"), "" otherwise."""
    word = fold(label).partition(" ")[0]
    return word if word in _substance_words() else ""


def label_of_cip(code: str) -> str:
    """Name of a French pack (CIP13, CIP7) or medicine (CIS), "" when the list has no such code."""
    return _medicine(code)[0]


def antithrombotic(*names: str, atc: str = "") -> Antithrombotic | None:
    """The anticoagulant or antiplatelet that one of the names or the ATC code stands for; anticoagulants win.

    Skin preparations (heparin gel) do not count.
    """
    folded = [f" {fold(name)} " for name in names if name]
    if any(_NOT_SYSTEMIC.search(name) for name in folded):
        return None
    by_code = _by_atc(atc)
    if by_code is not None and by_code.effect == "anticoagulant":
        return by_code
    found = [drug for drug in _antithrombotics() if any(f" {name} " in text for text in folded for name in drug.names)]
    found.sort(key=lambda drug: drug.effect != "anticoagulant")
    return found[0] if found else by_code


def anticoagulant(text: str, atc: str = "") -> bool:
    """Whether a label or substance (or an ATC code) is an anticoagulant: VKA, heparin, direct inhibitor."""
    drug = antithrombotic(text, atc=atc or text.strip())
    return drug is not None and drug.effect == "anticoagulant"


def substance_key(substance: str) -> str:
    """One key for one set of active substances, whatever salt, order or language ("" when there is none)."""
    keys = {_one_key(part) for part in re.split(r"[;+/]", substance)}
    keys.discard("")
    # "TRAMADOL; CHLORHYDRATE DE TRAMADOL" is one substance written twice: the list keeps both spellings.
    return "+".join(sorted(keys))


def is_atc(code: str) -> bool:
    return _ATC.fullmatch(code) is not None


def warm() -> None:
    """Reads the files of every list now, for a process that can open none later; what is in them, when asked."""
    for name in _LISTS:
        _file(name)


def _one_key(part: str) -> str:
    words = [word for word in fold(re.sub(r"\(([^)]*)\)", r" \1 ", part)).split() if word not in _SALTS]
    name = f" {' '.join(sorted(words))} "
    for drug in _antithrombotics():
        if any(all(f" {word} " in name for word in known.split()) for known in drug.names):
            return fold(drug.substance_en)
    return re.sub(r"(e|um)$", "", name.strip()) if name.strip() else ""


def _by_atc(atc: str) -> Antithrombotic | None:
    if not is_atc(atc) or not atc.startswith("B01"):
        # Aspirin as a pain killer thins the blood no less.
        return _by_atc("B01AC06") if atc == "N02BA01" else None
    for drug in _antithrombotics():
        if drug.atc == atc:
            return drug
    return Antithrombotic("antiplatelet" if atc.startswith("B01AC") else "anticoagulant", atc, (), "", "")


@cache
def _antithrombotics() -> tuple[Antithrombotic, ...]:
    drugs = []
    for row in _rows("antithrombotics.tsv"):
        names = (fold(row["substance_fr"]), fold(row["substance_en"]), *map(fold, row["trade_names"].split()))
        drugs.append(Antithrombotic(row["effect"], row["atc"], names, row["substance_fr"], row["substance_en"]))
    return tuple(drugs)


@cache
def _types() -> dict[str, str]:
    return _table("JDV_J07_XdsTypeCode_CISIS.tsv") | _table("JDV_J66_TypeCode_DMP.tsv")


@cache
def _table(name: str) -> dict[str, str]:
    """First column to last column."""
    return {(cells := list(row.values()))[0]: cells[-1] for row in _rows(name)}


def _rows(name: str) -> Iterator[dict[str, str]]:
    return iter(csv.DictReader(io.StringIO(_file(name).decode()), delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def _file(name: str) -> bytes:
    return (Path(__file__).parent / "data" / name).read_bytes()


def _medicine(code: str) -> tuple[str, str]:
    code = code.strip().replace(" ", "")
    if not code.isdigit() or len(code) not in (7, 8, 13):
        return "", ""
    return _bdpm().get(code[5:12] if len(code) == 13 and code.startswith("34009") else code, ("", ""))


@cache
def _substance_words() -> frozenset[str]:
    """Substances of one word, folded."""
    names = {part.strip() for _, substances in _bdpm().values() for part in substances.split(";")}
    folded = (" ".join(word for word in fold(name).split() if word not in _SALTS) for name in names)
    return frozenset(name for name in folded if name and " " not in name and len(name) > 4)


@cache
def _bdpm() -> dict[str, tuple[str, str]]:
    """CIS (8 digits) and CIP7 (the significant digits of a CIP13) to (label, substances)."""
    found: dict[str, tuple[str, str]] = {}
    for line in gzip.decompress(_file("bdpm_2022-06.tsv.gz")).decode().splitlines()[1:]:
        cis, label, substances, packs = line.split("\t")
        found[cis] = medicine = (label.strip(), substances.strip())
        for pack in packs.split():
            found[pack[5:12]] = medicine
    return found
