"""spec/epoch.md: what late changes did, and what of it is written again into the current epoch."""

from __future__ import annotations

from typing import Any

from spec.vectors.writing import Vectors, fixed
from tui.vector_formats import FORMATS
from tui.vectors import Given

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32
FILE = fixed("late file").hex()
DOSE, NOTE = ["entries", ONE, "dose"], ["entries", ONE, "note"]
ATTACHED: dict[str, Any] = {
    "media_type": "text/plain", "name": "x.txt", "size": 1, "key": "0" * 64, "sealed_sha256": "1" * 64,
    "sealed_size": 99, "blob": "", "blob_token": "",
}  # fmt: skip


def medication(**fields: Any) -> dict[str, Any]:
    return {"kind": "medication", "label": "BISOPROLOL", "dose": "1"} | fields


def state(*, meta: dict[str, Any] | None = None, files: dict[str, Any] | None = None, **entries: Any) -> dict[str, Any]:
    """Entries are named one, two, three; without any there is the first."""
    names = {"one": ONE, "two": TWO, "three": THREE}
    told = {names[name]: fields for name, fields in (entries or {"one": medication()}).items() if fields is not None}
    return {
        "meta": {"kind": "medications", "title": "Medications"} | (meta or {}),
        "entries": told,
        "attachments": files or {},
    }


def make() -> list[Vectors]:
    return [_effect(), _again(), _draft()]


def _told(vectors: Vectors, name: str, description: str, given: dict[str, Any]) -> None:
    vectors.valid(name, description, given, FORMATS[vectors.format](Given(given)))


def side(value: Any, *, late: bool) -> dict[str, Any]:
    return {"value": value, "late": late}


def _effect() -> Vectors:
    vectors = Vectors("late-effect")
    before = state()
    won = [side("3", late=True), side("2", late=False)]
    lost = [side("3", late=False), side("2", late=True)]
    for name, description, was, after, conflicts in (
        ("field", "a field amended", before, state(one=medication(dose="2")), []),
        ("field-new", "a field that was not there", before, state(one=medication(note="with food")), []),
        ("field-gone", "a field removed", before, state(one={"kind": "medication", "label": "BISOPROLOL"}), []),
        ("field-null", "a field set to null", before, state(one=medication(dose=None)), []),
        ("field-true", "a number turned into true", state(one=medication(negated=1)),
         state(one=medication(negated=True)), []),
        ("entry-new", "an entry made", before, state(one=medication(), two=medication(label="ASPIRIN")), []),
        ("entry-gone", "an entry removed", before, state(one=None), []),
        ("title", "a title amended, an author added", before,
         state(meta={"title": "Treatments", "author": "Doctor Example"}), []),
        ("title-gone", "a field of the document removed", state(meta={"author": "x"}), before, []),
        ("file", "a file attached", before, state(files={FILE: ATTACHED}), []),
        ("file-gone", "a file taken away", state(files={FILE: ATTACHED}), before, []),
        ("several", "two entries amended, a third made", state(one=medication(), two=medication()),
         state(one=medication(dose="2"), two=medication(note="n"), three=medication()), []),
        ("nothing", "changes that change nothing any more", before, before, []),
        ("won", "the late side is shown: the field is contested", before, state(one=medication(dose="3")),
         [{"path": DOSE, "sides": won}]),
        ("lost", "the other side is shown: the late one counts as what was done", state(one=medication(dose="3")),
         state(one=medication(dose="3")), [{"path": DOSE, "sides": lost}]),
        ("lost-and-differs", "the shown side came with them, from somebody else", before,
         state(one=medication(dose="3")), [{"path": DOSE, "sides": lost}]),
        ("both-late", "two sides, both of them late: nobody else is contested", before,
         state(one=medication(dose="3")),
         [{"path": DOSE, "sides": [side("3", late=True), side("2", late=True)]}]),
        ("neither-late", "a conflict of others", before, before,
         [{"path": DOSE, "sides": [side("1", late=False), side("2", late=False)]}]),
        ("three-sides", "of three sides two are late: the one that is shown first counts", before,
         state(one=medication(dose="4")),
         [{"path": DOSE, "sides": [side("4", late=False), side("3", late=True), side("2", late=True)]}]),
        ("kind", "a conflict about the kind is none about a field", before, before,
         [{"path": ["entries", ONE, "kind"], "sides": [side("medication", late=False), side("note", late=True)]}]),
    ):  # fmt: skip
        _told(vectors, name, description, {"before": was, "after": after, "conflicts": conflicts})
    return vectors


def given(edits: list[Any], seen: list[Any], base: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"edits": edits, "seen": seen, "whole": {}, "base": base} | more


def _again() -> Vectors:
    vectors = Vectors("late-again")
    amended = [["set", DOSE, "2"]]
    whole = {ONE: medication(dose="2", note="n")}
    made = [["set", ["entries", TWO], medication(label="ASPIRIN")]]
    for name, description, edits, seen, base, more in (
        ("field", "onto what its author replaced", amended, ["1"], state(), {}),
        ("same", "the edition has it already", amended, ["1"], state(one=medication(dose="2")), {}),
        ("unseen", "the edition has a value that its author had not read", amended, ["1"],
         state(one=medication(dose="3")), {}),
        ("unseen-new", "a field that was new to its author has a value", amended, [None], state(), {}),
        ("unseen-true", "the edition has true where its author replaced 1", [["set", [*DOSE[:2], "negated"], False]],
         [1], state(one=medication(negated=True)), {}),
        ("gone-field", "the field is not there any more", amended, ["1"],
         state(one={"kind": "medication", "label": "BISOPROLOL"}), {}),
        ("contested", "somebody else had set it too", amended, ["1"], state(), {"contested": [DOSE]}),
        ("contested-gone", "somebody else had set it, and it is not there any more", amended, ["1"],
         state(one={"kind": "medication"}), {"contested": [DOSE]}),
        ("contested-and-unseen", "one value beside, once", amended, ["1"], state(one=medication(dose="3")),
         {"contested": [DOSE]}),
        ("removed", "the entry was removed meanwhile: it comes back whole",
         [*amended, ["set", NOTE, "n"]], ["1", None], state(one=None), {"whole": whole}),
        ("removed-field-gone", "a field removed of an entry that was: nothing", [["delete", DOSE]], ["1"],
         state(one=None), {"whole": whole}),
        ("delete-field", "a field removed", [["delete", DOSE]], ["1"], state(), {}),
        ("delete-field-unseen", "a field removed that somebody amended unseen: the value stays beside",
         [["delete", DOSE]], ["1"], state(one=medication(dose="3")), {}),
        ("delete-entry", "an entry removed", [["delete", ["entries", ONE]]], [medication()], state(), {}),
        ("delete-entry-unseen", "an entry removed that somebody amended unseen: it stays",
         [["delete", ["entries", ONE]]], [medication()], state(one=medication(dose="3")), {}),
        ("delete-entry-gone", "an entry removed that is not there", [["delete", ["entries", ONE]]], [medication()],
         state(one=None), {}),
        ("entry-new", "an entry made", made, [None], state(), {}),
        ("entry-made-twice", "made in an epoch between, too, with another label",
         made, [None], state(one=medication(), two=medication(label="ASPIRINE", note="n")), {}),
        ("entry-made-alike", "made in an epoch between, just so", made, [None],
         state(one=medication(), two=medication(label="ASPIRIN")), {}),
        ("title", "a title", [["set", ["meta", "title"], "Treatments"]], ["Medications"], state(), {}),
        ("title-unseen", "a title that somebody else replaced", [["set", ["meta", "title"], "Treatments"]],
         ["Medications"], state(meta={"title": "Drugs"}), {}),
        ("title-delete-gone", "a field removed that is not there", [["delete", ["meta", "author"]]], ["x"],
         state(), {}),
        ("title-delete-unseen", "a field of the document removed that somebody replaced",
         [["delete", ["meta", "author"]]], ["x"], state(meta={"author": "y"}), {}),
        ("file", "a file attached", [["set", ["attachments", FILE], ATTACHED]], [None], state(), {}),
        ("file-there", "a file that is attached already", [["set", ["attachments", FILE], ATTACHED]], [None],
         state(files={FILE: ATTACHED}), {}),
        ("file-renamed-gone", "a file renamed that was taken away",
         [["set", ["attachments", FILE, "name"], "y.txt"]], ["x.txt"], state(), {}),
        ("file-delete-unseen", "a file taken away that somebody renamed unseen: it stays",
         [["delete", ["attachments", FILE]]], [ATTACHED], state(files={FILE: ATTACHED | {"name": "y.txt"}}), {}),
        ("nothing", "nothing to be written", [], [], state(), {}),
    ):  # fmt: skip
        _told(vectors, name, description, given(edits, seen, base, **{"contested": [], **more}))
    return vectors


def _draft() -> Vectors:
    vectors = Vectors("late-draft")
    made = ["set", ["entries", TWO], medication(label="ASPIRIN")]
    field = ["entries", TWO, "dose"]
    whole = {TWO: medication(label="ASPIRIN", dose="2")}
    for name, description, edits, seen, base, more in (
        ("field", "onto what the author replaced", [["set", DOSE, "2"]], ["1"], state(), {}),
        ("field-unseen", "somebody else wrote another value", [["set", DOSE, "2"]], ["1"],
         state(one=medication(dose="3")), {}),
        ("field-same", "what the relay took after all", [["set", DOSE, "2"]], ["1"],
         state(one=medication(dose="2")), {}),
        ("field-gone", "somebody else removed the value", [["set", DOSE, "2"]], ["1"],
         state(one={"kind": "medication"}), {}),
        ("field-twice", "written twice: what the author wrote first is nobody else's",
         [["set", DOSE, "2"], ["set", DOSE, "4"]], ["1", "2"], state(), {}),
        ("field-twice-unseen", "written twice, and by somebody else", [["set", DOSE, "2"], ["set", DOSE, "4"]],
         ["1", "2"], state(one=medication(dose="3")), {}),
        ("entry-new", "an entry made, and amended", [made, ["set", field, "2"]], [None, "1"], state(),
         {"known": [ONE], "whole": whole}),
        ("entry-taken", "an entry whose making the relay took: it is not made twice", [made, ["set", field, "2"]],
         [None, "1"], state(one=medication(), two=medication(label="ASPIRIN")), {"known": [ONE, TWO], "whole": whole}),
        ("entry-taken-and-removed", "... and that somebody removed since: its amendment brings it back",
         [made, ["set", field, "2"]], [None, "1"], state(), {"known": [ONE, TWO], "whole": whole}),
        ("entry-made-and-removed", "an entry made and removed again: it is not made",
         [made, ["delete", ["entries", TWO]]], [None, medication(label="ASPIRIN")], state(),
         {"whole": {TWO: medication(label="ASPIRIN")}}),
        ("entry-amended-and-removed", "an entry amended and removed by its author, and by somebody else before",
         [["set", DOSE, "2"], ["delete", ["entries", ONE]]], ["1", medication(dose="2")], state(one=None),
         {"whole": {ONE: medication(dose="2")}}),
        ("entry-removed", "an entry removed", [["delete", ["entries", ONE]]], [medication()], state(), {}),
        ("entry-removed-unseen", "an entry removed that somebody amended unseen: it stays",
         [["delete", ["entries", ONE]]], [medication()], state(one=medication(note="n")), {}),
        ("entry-removed-after-all", "an entry amended, then removed, by its author",
         [["set", DOSE, "2"], ["delete", ["entries", ONE]]], ["1", medication(dose="2")], state(), {}),
        ("title-made-and-removed", "an author of the document written and removed again",
         [["set", ["meta", "author"], "x"], ["delete", ["meta", "author"]]], [None, "x"], state(), {}),
        ("file", "a file attached", [["set", ["attachments", FILE], ATTACHED]], [None], state(), {}),
        ("removed", "the entry was removed meanwhile: it comes back whole, once",
         [["set", DOSE, "2"], ["set", NOTE, "n"]], ["1", None], state(one=None),
         {"whole": {ONE: medication(dose="2", note="n")}}),
    ):  # fmt: skip
        _told(vectors, name, description, given(edits, seen, base, **{"known": [ONE], **more}))
    return vectors
