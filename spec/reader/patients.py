"""spec/feeding.md, section 1, read a second time: an establishment's roster of patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spec.reader.cbor import Check, blob, list_of, moment, shape, statement, text, whole
from spec.reader.encoder import encode
from spec.reader.primitives import derive, need_suite, open_box
from spec.reader.refusal import malformed
from spec.reader.statements import read_card


def some(most: int) -> Check:
    inner = text(most)
    return lambda value: inner(value) and value != ""


ID: Mapping[str, Check] = {"system": text(200), "number": some(200)}
PATIENT: Mapping[str, Check] = {
    "card": blob(most=4300),
    "ids": list_of(shape(ID), 20),
    "name": some(200),
    "birth": text(10),
    "added": moment(),
}
PATIENTS: Mapping[str, Check] = {"suite": whole(0, 255), "patients": list_of(shape(PATIENT), 100_000)}


def read_patients(vault_key: bytes, vault: bytes, data: bytes) -> dict[str, Any]:
    key = derive(vault_key, "elpis-patients")
    plain = open_box(key, "elpis-patients", data, encode(["patients", 1, vault]))
    told = statement(plain, 128 << 20, PATIENTS)
    need_suite(told["suite"])
    found = []
    for patient in told["patients"]:
        if not patient["ids"]:
            raise malformed("a patient without a number")
        found.append({"person": read_card(patient["card"])["id"], "name": patient["name"], "ids": patient["ids"]})
    if len({one["person"] for one in found}) != len(found):
        raise malformed("a patient twice")
    return {"patients": found}
