"""Older versions of FHIR, told by what only they have: DSTU2 (2015) and STU3 (2017)."""

from __future__ import annotations

from vault.importers.fhir_types import Resource

# Resources and elements that later versions renamed, moved or dropped.
_DSTU2_TYPES = frozenset({"MedicationOrder", "MedicationPrescription", "DiagnosticOrder", "Conformance", "Alert"})
_STU3_TYPES = frozenset({"ProcedureRequest", "BodySite", "ReferralRequest", "DataElement", "EligibilityRequest"})
_DSTU2_FIELDS = {
    "Condition": ("patient", "dateRecorded", "dateAsserted"),
    "AllergyIntolerance": ("substance", "event"),
    "MedicationStatement": ("patient", "wasNotTaken", "wasNotGiven", "reasonNotTaken"),
    "Immunization": ("requester", "reported", "wasNotGiven"),
    "Observation": ("appliesDateTime", "appliesPeriod", "reliability"),
    "DiagnosticReport": ("requestDetail", "serviceCategory"),
    "Procedure": ("patient", "notPerformed"),
}
_STU3_FIELDS = {
    "MedicationStatement": ("taken", "reasonNotTaken"),
    "Immunization": ("notGiven", "vaccinationProtocol", "explanation"),
    "Procedure": ("notDone", "notDoneReason", "definition"),
    "Observation": ("comment",),
    "DocumentReference": ("indexed", "created", "class"),
    "Composition": ("class",),
    "Condition": ("context", "assertedDate"),
    "AllergyIntolerance": ("assertedDate",),
    "MedicationRequest": ("definition", "context"),
    "FamilyMemberHistory": ("notDone", "definition"),
}


def version_of(resource: Resource) -> str:
    """DSTU2 or STU3; "" for R4 and later and for whatever does not show its age."""
    kind = resource.get("resourceType", "")
    if kind in _DSTU2_TYPES or any(name in resource for name in _DSTU2_FIELDS.get(kind, ())):
        return "DSTU2"
    if kind in _STU3_TYPES or any(name in resource for name in _STU3_FIELDS.get(kind, ())):
        return "STU3"
    if isinstance(resource.get("clinicalStatus"), str):
        return "STU3" if "subject" in resource or kind == "AllergyIntolerance" else "DSTU2"
    return ""
