"""The record as an International Patient Summary: one FHIR R4 document bundle. Pure: entries in, JSON out.

What Elpis holds is given as it is: labels as text, codes where their system has a URI, denials as denials. Nothing is
coded that the sources did not code, and nothing is called complete.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from vault.importers.reading import clean
from vault.review.medications import Medication
from vault.review.profile import Dose, Fact, Profile, Series

Resource = dict[str, Any]
_DAY = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_MOMENT = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
)
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_CODE = re.compile(r"[^\s]+(\s[^\s]+)*")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_EXACT = "\ue000"  # marks a number on its way through json; taken out of every text from outside
MAX_POINTS = 20  # of one series: a summary is no archive

# Section: (LOINC code, title in English, title in French).
_SECTIONS = {
    "medications": ("10160-0", "Medication summary", "Traitements"),
    "allergies": ("48765-2", "Allergies and intolerances", "Allergies et intolérances"),
    "problems": ("11450-4", "Problem list", "Problèmes de santé"),
    "immunizations": ("11369-6", "Immunizations", "Vaccinations"),
    "procedures": ("47519-4", "Procedures", "Interventions"),
    "devices": ("46264-8", "Medical devices", "Dispositifs médicaux"),
    "results": ("30954-2", "Results", "Résultats"),
    "vitals": ("8716-3", "Vital signs", "Mesures"),
    "social": ("29762-2", "Social history", "Mode de vie"),
    "family": ("10157-6", "Family history", "Antécédents familiaux"),
    "directives": ("42348-3", "Advance directives", "Directives"),
}
_WORDS = {
    "en": {"title": "Patient summary", "none": "Nothing is recorded.", "no": "NO: ", "since": "since"},
    "fr": {"title": "Synthèse du patient", "none": "Rien n’est noté.", "no": "NON : ", "since": "depuis"},
}


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose record it is."""

    name: str
    birth: str = ""


def bundle(holder: Holder, profile: Profile, *, made: int, language: str) -> bytes:
    """The bundle as UTF-8 JSON. `made` in seconds since 1970."""
    text = json.dumps(_Maker(holder, made, language).bundle(profile), ensure_ascii=False, indent=1)
    # Numbers stay as they were written: 5.40 is not 5.4, and the json module has no way to say so.
    return re.sub(f'"{_EXACT}({_DECIMAL.pattern})"', r"\1", text).encode()


class _Maker:
    def __init__(self, holder: Holder, made: int, language: str) -> None:
        self.language = language if language in _WORDS else "en"
        self.words = _WORDS[self.language]
        self.moment = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.holder = holder
        self.patient = self._url("patient", holder.name, holder.birth)
        self.resources: list[tuple[str, Resource]] = []

    def bundle(self, profile: Profile) -> Resource:
        sections = self._sections(profile)
        author = self._url("author", self.patient)
        composition = {
            "resourceType": "Composition", "status": "final", "language": self.language,
            "type": {"coding": [{"system": "http://loinc.org", "code": "60591-5"}]},
            "subject": {"reference": self.patient}, "date": self.moment, "author": [{"reference": author}],
            "title": self.words["title"], "section": sections,
        }  # fmt: skip
        device = {"resourceType": "Device", "deviceName": [{"name": "Elpis", "type": "user-friendly-name"}]}
        listed = [(self._url("composition", self.moment), composition), (self.patient, self._patient()),
                  (author, device), *self.resources]  # fmt: skip
        return {
            "resourceType": "Bundle", "type": "document", "timestamp": self.moment,
            "identifier": {"system": "urn:ietf:rfc:3986", "value": self._url("bundle", self.patient, self.moment)},
            "entry": [{"fullUrl": url, "resource": resource} for url, resource in listed],
        }  # fmt: skip

    def _patient(self) -> Resource:
        patient: Resource = {"resourceType": "Patient", "name": [{"text": _text(self.holder.name)}]}
        if _DAY.fullmatch(self.holder.birth[:10]):
            patient["birthDate"] = self.holder.birth[:10]
        return patient

    def _sections(self, profile: Profile) -> list[Resource]:
        facts = profile.facts
        listed: list[tuple[str, list[Any], Callable[[Any], Resource | None]]] = [
            ("medications", list(profile.medications), self._medication),
            ("allergies", list(facts.get("allergy", ())), self._allergy),
            ("problems", list(facts.get("condition", ())), self._condition),
            ("immunizations", list(profile.vaccinations), self._immunization),
            ("procedures", list(facts.get("procedure", ())), self._procedure),
            ("devices", list(facts.get("device", ())), lambda _: None),
            ("results", [item for item in profile.series if item.kind == "result"], self._nothing),
            ("vitals", [item for item in profile.series if item.kind == "vital"], self._nothing),
            ("social", list(facts.get("social_history", ())), lambda _: None),
            ("family", list(facts.get("family_history", ())), lambda _: None),
            ("directives", list(facts.get("directive", ())), lambda _: None),
        ]  # fmt: skip
        made = []
        for name, items, resource_of in listed:
            section = self._section(name, items, resource_of)
            if section is not None:
                made.append(section)
        return made

    def _section(self, name: str, items: list[Any], resource_of: Callable[[Any], Resource | None]) -> Resource | None:
        code, english, french = _SECTIONS[name]
        required = name in ("medications", "allergies", "problems")
        if not items and not required:
            return None
        entries = []
        for number, item in enumerate(items):
            made = self._observations(item) if isinstance(item, Series) else [resource_of(item)]
            for place, resource in enumerate(resource for resource in made if resource is not None):
                url = self._url(name, str(number), str(place), json.dumps(resource, sort_keys=True))
                self.resources.append((url, resource))
                entries.append({"reference": url})
        lines = [self._line(item) for item in items] or [self.words["none"]]
        rows = "".join(f"<li>{escape(_text(line))}</li>" for line in lines)
        section: Resource = {
            "title": french if self.language == "fr" else english,
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{rows}</ul></div>'},
        }
        if entries:
            section["entry"] = entries
        else:
            # Nothing recorded is not the same as nothing there: the reason says "unavailable", never "nil known".
            reason = {"system": _TERMINOLOGY + "list-empty-reason", "code": "unavailable"}
            section["emptyReason"] = {"coding": [reason]}
        return section

    def _line(self, item: Any) -> str:
        label = item.label or getattr(item, "code", "")
        if isinstance(item, Series):
            last = item.points[-1]
            return " ".join(filter(None, (f"{label}: {last.value}", item.unit, f"({last.day[:10]})")))
        denied = self.words["no"] if item.negated else ""
        day = item.day if isinstance(item, Dose) else item.start
        more = getattr(item, "dose", "")
        return denied + ", ".join(filter(None, (label, more, f"{self.words['since']} {day[:10]}" if day else "")))

    def _medication(self, item: Medication) -> Resource:
        status = "not-taken" if item.negated else "active" if item.active else "intended" if item.ahead else "completed"
        made: Resource = {
            "resourceType": "MedicationStatement", "status": status, "subject": {"reference": self.patient},
            "medicationCodeableConcept": _concept(item.label or item.substance, item.code, item.system),
        }  # fmt: skip
        made |= _period(item.start, item.end, "effective")
        if item.dose:
            made["dosage"] = [{"text": _text(item.dose)}]
        note = " · ".join(filter(None, (item.substance if item.label != item.substance else "", item.note)))
        return made | _note(note)

    def _allergy(self, item: Fact) -> Resource:
        made: Resource = {
            "resourceType": "AllergyIntolerance", "patient": {"reference": self.patient},
            "clinicalStatus": _coded("allergyintolerance-clinical", "active" if item.active else "resolved"),
            "verificationStatus": _coded("allergyintolerance-verification", "refuted" if item.negated else "confirmed"),
            "code": _concept(item.label, item.code, item.system),
        }  # fmt: skip
        if item.negated:
            made["clinicalStatus"] = _coded("allergyintolerance-clinical", "inactive")
        if criticality := _field(item, "criticality"):
            fits = criticality if criticality in ("low", "high", "unable-to-assess") else ""
            made |= {"criticality": fits} if fits else {}
        reaction: Resource = {}
        if signs := _field(item, "reaction"):
            reaction["manifestation"] = [{"text": _text(signs)}]
            severity = _field(item, "severity")
            if severity in ("mild", "moderate", "severe"):
                reaction["severity"] = severity
            made["reaction"] = [reaction]
        return made | _onset(item.start) | _note(_field(item, "note"))

    def _condition(self, item: Fact) -> Resource:
        made: Resource = {
            "resourceType": "Condition", "subject": {"reference": self.patient},
            "clinicalStatus": _coded("condition-clinical", "active" if item.active else "inactive"),
            "verificationStatus": _coded("condition-ver-status", "refuted" if item.negated else "confirmed"),
            "code": _concept(item.label, item.code, item.system),
        }  # fmt: skip
        if (end := _date(item.end)) and not item.active:
            made["abatementDateTime"] = end
        return made | _onset(item.start) | _note(_field(item, "note"))

    def _immunization(self, item: Dose) -> Resource:
        made: Resource = {
            "resourceType": "Immunization", "status": "not-done" if item.negated else "completed",
            "patient": {"reference": self.patient}, "vaccineCode": _concept(item.label, item.code, item.system),
        }  # fmt: skip
        day = _date(item.day)
        made |= {"occurrenceDateTime": day} if day else {"occurrenceString": "unknown"}
        if item.lot:
            made["lotNumber"] = _text(item.lot)
        if item.dose_number:
            made["protocolApplied"] = [{"doseNumberString": _text(item.dose_number)}]
        return made

    def _procedure(self, item: Fact) -> Resource:
        made: Resource = {
            "resourceType": "Procedure", "status": "not-done" if item.negated else "completed",
            "subject": {"reference": self.patient}, "code": _concept(item.label, item.code, item.system),
        }  # fmt: skip
        made |= _period(item.start, item.end, "performed")
        return made | _note(_field(item, "note"))

    def _nothing(self, _item: Any) -> None:
        """Series become observations, one for each value."""

    def _observations(self, series: Series) -> list[Resource | None]:
        category = "laboratory" if series.kind == "result" else "vital-signs"
        made: list[Resource | None] = []
        for point in series.points[-MAX_POINTS:]:
            resource: Resource = {
                "resourceType": "Observation", "status": "final", "subject": {"reference": self.patient},
                "category": [_coded("observation-category", category)],
                "code": _concept(series.label, series.code, series.system),
            }  # fmt: skip
            value = point.value.strip().replace(",", ".")
            if _DECIMAL.fullmatch(value):
                quantity: Resource = {"value": _EXACT + value}
                resource["valueQuantity"] = quantity | ({"unit": _text(series.unit)} if series.unit else {})
            else:
                resource["valueString"] = _text(" ".join(filter(None, (point.value, series.unit))))
            if day := _date(point.day):
                resource["effectiveDateTime"] = day
            if series.range:
                resource["referenceRange"] = [{"text": _text(series.range)}]
            if point.interpretation:
                resource["interpretation"] = [{"text": _text(point.interpretation)}]
            made.append(resource)
        return made

    def _url(self, *parts: str) -> str:
        digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16, person=b"elpis-ips").hexdigest()
        return f"urn:uuid:{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def _concept(label: str, code: str, system: str) -> Resource:
    made: Resource = {"text": _text(label or code or "?")}
    uri = f"urn:oid:{system}" if _OID.fullmatch(system) else system if re.fullmatch(r"[a-z]+:\S+", system) else ""
    if uri and _CODE.fullmatch(code):
        made["coding"] = [{"system": uri, "code": code}]
    return made


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": _TERMINOLOGY + system, "code": code}]}


def _date(value: str) -> str:
    """A FHIR dateTime, as precise as it is known; "" for what is none."""
    if _DAY.fullmatch(value) or _MOMENT.fullmatch(value):
        return value
    return value[:10] if _DAY.fullmatch(value[:10]) else ""


def _onset(start: str) -> Resource:
    day = _date(start)
    return {"onsetDateTime": day} if day else {}


def _period(start: str, end: str, name: str) -> Resource:
    first, last = _date(start), _date(end)
    if first and last and first[:10] <= last[:10]:
        return {f"{name}Period": {"start": first, "end": last}}
    if last and not first:
        return {f"{name}Period": {"end": last}}
    return {f"{name}Period": {"start": first}} if first and name == "effective" else (
        {f"{name}DateTime": first} if first else {})  # fmt: skip


def _note(text: str) -> Resource:
    return {"note": [{"text": _text(text)}]} if text.strip() else {}


def _field(item: Fact, name: str) -> str:
    fields: Mapping[str, Any] = item.fields
    return str(fields.get(name) or "")


def _text(value: str) -> str:
    return clean(value.replace(_EXACT, "")) or "?"
