"""An establishment's roster of patients: whose vault is where, and how to tell whose document something is.

A wrong vault is worse than none: whoever is not met by a number *and* a name that agree is nobody. The roster is one
sealed file that only the establishment's vault opens. Normative text: spec/feeding.md, sections 1 and 2.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vault.document import Read, Subject
from vault.encoding import Check, Shape, blob, encode, integer, list_of, moment, text
from vault.errors import InputRefused, Malformed, NotFound, StorageFailed
from vault.identity import Card, read_card
from vault.keys import sync_folder
from vault.primitives import SUITE, hash32, need_suite, open_box, seal_box
from vault.review.identity import INS, Id, normal_id, same_person

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_FILE = 128 << 20
MAX_PATIENTS = 100_000
LABEL = "elpis-patients"


def _some_text(at_most: int) -> Check:
    inner = text(at_most)

    def check(value: Any, where: str) -> None:
        inner(value, where)
        if not value:
            raise Malformed(f"{where}: empty")

    return check


_ID = Shape("id", {"system": text(200), "number": _some_text(200)})
_PATIENT = Shape(
    "patient",
    {
        "card": blob(at_most=4300),
        "ids": list_of(_ID.check, at_most=20),
        "name": _some_text(200),
        "birth": text(10),
        "added": moment(),
    },
)
PATIENTS = Shape(
    "patients",
    {"suite": integer(0, 255), "patients": list_of(_PATIENT.check, at_most=MAX_PATIENTS)},
    limit=MAX_FILE,
)


def read_patients(key: bytes, vault_id: bytes, data: bytes) -> tuple[Patient, ...]:
    """The patients in a roster's file. CannotOpen, Malformed, SuiteRefused, or as a card reads."""
    fields = PATIENTS.decode(open_box(key, LABEL, data, _aad(vault_id)))
    need_suite(fields["suite"])
    patients = tuple(map(_patient, fields["patients"]))
    if len({patient.card.id for patient in patients}) != len(patients):
        raise Malformed("a patient stands twice in this roster")
    return patients


class Nobody(InputRefused):
    """Nothing can be laid down: `why` is one of the reasons of spec/feeding.md."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(detail or why, why=why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Patient:
    """Somebody whose vault is known. `ids` are in their normal form."""

    card: Card
    ids: tuple[Id, ...]
    name: str
    birth: str
    added: int


def given_id(words: str) -> Id:
    """The normal form of an identifier as a person gives it: an INS, SYSTEM|NUMBER, or a number."""
    system, mark, number = words.rpartition("|")
    found = normal_id(system if mark else "", number)
    if not found[1]:
        raise InputRefused("an identifier of a patient is an INS, a number, or SYSTEM|NUMBER")
    return found


class Roster:
    """The patients of one file. Saved whole, in one step."""

    def __init__(self, vault: Vault, path: Path, patients: Iterable[Patient] = ()) -> None:
        self._vault = vault
        self.path = path
        self._patients = {patient.card.id: patient for patient in patients}
        self._strong: dict[Id, set[bytes]] = {}
        self._weak: dict[str, set[bytes]] = {}
        for patient in self._patients.values():
            self._index(patient)

    @classmethod
    def open(cls, vault: Vault, path: Path, *, new: bool = False) -> Roster:
        """The roster in this file; an empty one when there is none and `new` allows it. CannotOpen, Malformed."""
        try:
            data = path.read_bytes() if path.stat().st_size <= MAX_FILE + 1024 else b""
        except FileNotFoundError as failure:
            if new:
                return cls(vault, path)
            raise NotFound("no roster of patients in this file", wanted=str(path)) from failure
        return cls(vault, path, read_patients(vault.derive(LABEL), vault.vault_id, data))

    def __len__(self) -> int:
        return len(self._patients)

    def list(self) -> tuple[Patient, ...]:
        return tuple(self._patients.values())

    @property
    def fingerprint(self) -> bytes:
        """Another one as soon as anything in it is another."""
        return hash32(encode([_plain(patient) for patient in self._patients.values()]))[:16]

    def add(self, card: bytes, ids: Sequence[str], *, name: str = "", birth: str = "") -> Patient:
        """Remember a patient, or more about one. InputRefused when the card is not one to lay documents down with."""
        read = read_card(card)
        if read.inbox is None:
            raise InputRefused("this card has no inbox", hint="ask for a new card, made after a first sync")
        if read.role:
            raise InputRefused("this is the card of a professional, not of a patient")
        known = self._patients.get(read.id)
        if known is not None and known.card.made > read.made:
            raise InputRefused("a newer card of this person is in the roster already")
        name = name.strip() or (known.name if known else read.name)
        birth = birth.strip() or (known.birth if known else "")
        if not same_person(Subject(family=name), read.name)[0] and not same_person(Subject(family=read.name), name)[0]:
            raise InputRefused("this card is somebody else's: the name is another", hint="Check whose card it is.")
        wanted = tuple(dict.fromkeys([*(known.ids if known else ()), *map(given_id, ids)]))
        if not wanted:
            raise InputRefused("an identifier of a patient is an INS, a number, or SYSTEM|NUMBER")
        self._refuse_others(read.id, wanted)
        patient = Patient(read, wanted, name, birth, int(self._vault.clock()))
        PATIENTS.check({"suite": SUITE, "patients": [_plain(patient)]})
        if known is None and len(self) >= MAX_PATIENTS:
            raise InputRefused("a roster has no room for more patients", limit=MAX_PATIENTS)
        self._patients[read.id] = patient
        self._index(patient)
        return patient

    def remove(self, wanted: str) -> Patient:
        """Forget the patient with this identifier."""
        found = self._by_id(given_id(wanted))
        if len(found) != 1:
            raise NotFound(f"{len(found)} patients have the identifier {wanted!r}", wanted=wanted)
        patient = self._patients.pop(found.pop())
        for index in (*self._strong.values(), *self._weak.values()):
            index.discard(patient.card.id)
        return patient

    def save(self) -> None:
        """Replace the file: whoever reads it sees the old roster or the new one."""
        fields = {"suite": SUITE, "patients": [_plain(patient) for patient in self._patients.values()]}
        sealed = seal_box(self._vault.derive(LABEL), LABEL, PATIENTS.encode(fields), _aad(self._vault.vault_id))
        draft = self.path.with_name(f".{self.path.name}.new")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.path)
            sync_folder(self.path.parent)
        except OSError as failure:
            raise StorageFailed("the roster cannot be written") from failure

    # Whose document it is

    def owner(self, reads: Sequence[Read]) -> Patient:
        """The one patient whom all documents of a file are about. Nobody says why there is none."""
        if any(read.several for read in reads):
            raise Nobody("two-people")
        owners = {patient.card.id: patient for read in reads for patient in [self._owner(read.subject)]}
        if len(owners) != 1:
            raise Nobody("two-people" if owners else "unreadable")
        return next(iter(owners.values()))

    def _owner(self, subject: Subject | None) -> Patient:
        if subject is None or not (subject.family or subject.given):
            raise Nobody("no-name")
        ids = {normal_id(system, number) for system, number in subject.identifiers if number.strip()}
        if not ids:
            raise Nobody("no-number")
        strong = {person for found in ids for person in self._strong.get(found, ())}
        weak = {person for system, number in ids if system != INS for person in self._weak.get(number, ())}
        if not strong and not weak:
            raise Nobody("nobody")
        if len(strong) > 1:
            raise Nobody("ambiguous")
        agreeing = [person for person in strong | weak if _agrees(self._patients[person], subject, ids)]
        if not agreeing:
            raise Nobody("mismatch")
        if len(agreeing) > 1:
            raise Nobody("ambiguous")
        if strong and strong != set(agreeing):
            raise Nobody("mismatch")  # the sure number is of one person, and the name of another
        return self._patients[agreeing[0]]

    # Inside

    def _index(self, patient: Patient) -> None:
        for system, number in patient.ids:
            if system:
                self._strong.setdefault((system, number), set()).add(patient.card.id)
            else:
                self._weak.setdefault(number, set()).add(patient.card.id)

    def _by_id(self, wanted: Id) -> set[bytes]:
        return set(self._strong.get(wanted, ()) if wanted[0] else self._weak.get(wanted[1], ()))

    def _refuse_others(self, person: bytes, ids: Iterable[Id]) -> None:
        if any(self._by_id(wanted) - {person} for wanted in ids):
            raise InputRefused("somebody else in the roster has this identifier", hint="Check whose number it is.")


def _agrees(patient: Patient, subject: Subject, ids: set[Id]) -> bool:
    """Nothing that both state differs: name, birth date, INS."""
    mine, theirs = ({number for system, number in some if system == INS} for some in (patient.ids, ids))
    if mine and theirs and not mine & theirs:
        return False
    return same_person(subject, patient.name, patient.birth)[0]


def _plain(patient: Patient) -> dict[str, Any]:
    return {
        "card": patient.card.data,
        "ids": [{"system": system, "number": number} for system, number in patient.ids],
        "name": patient.name,
        "birth": patient.birth,
        "added": patient.added,
    }


def _patient(fields: Mapping[str, Any]) -> Patient:
    ids = tuple((item["system"], item["number"]) for item in fields["ids"])
    if not ids:
        raise Malformed("a patient without an identifier")
    return Patient(read_card(fields["card"]), ids, fields["name"], fields["birth"], fields["added"])


def _aad(vault_id: bytes) -> bytes:
    return encode(["patients", SUITE, vault_id])


__all__ = ["INS", "Nobody", "Patient", "Roster", "given_id", "normal_id"]
