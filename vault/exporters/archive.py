"""A whole record as one zip that outlives Elpis: original files, FHIR summary, an index for any browser, checksums.

`record.json` holds everything once more in Elpis' own words, so that importing the archive gives the same record.
Nothing in `index.html` is fetched or executed; names from outside are data. Written as a stream. Normative:
spec/export.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from html import escape
from typing import IO, Any
from urllib.parse import quote

from vault.document import Attachment, Document, Entry
from vault.errors import VaultError
from vault.exporters.ips import Holder, bundle
from vault.importers.reading import clean, safe_name
from vault.review.profile import Profile, profile

Content = Callable[[Document, Attachment], Iterator[bytes]]
FORMAT = "elpis_export"
STORED = 32 << 20  # what is longer goes in as it is: whoever reads the archive stores it from there
HEADER = (
    "kind",
    "title",
    "type_code",
    "class_code",
    "date",
    "author",
    "confidentiality",
    "language",
    "source_id",
    "text",
)
# What a browser shows without executing anything; the rest is offered as a download.
_SHOWN = ("application/pdf", "image/png", "image/jpeg", "text/plain")
_WORDS = {
    "fr": {
        "title": "Dossier de santé de {name}", "born": "né(e) le {day}", "made": "Exporté par Elpis le {day}",
        "unchecked": "Non vérifié par un professionnel.", "documents": "Documents", "date": "Date", "what": "Titre",
        "author": "Auteur", "files": "Fichiers", "medication": "Traitements en cours", "allergy": "Allergies",
        "condition": "Problèmes de santé", "immunization": "Vaccinations", "none": "Rien n’est noté.",
        "no": "NON : ", "damaged": "Ces fichiers étaient abîmés et manquent :",
        "about": "Les fichiers d’origine sont dans « documents », une synthèse pour d’autres logiciels (FHIR IPS) dans"
        " « ips.json », les empreintes dans « checksums.sha256 ». Ce dossier n’est pas chiffré : gardez-le en lieu"
        " sûr.",
    },
    "en": {
        "title": "Health record of {name}", "born": "born on {day}", "made": "Exported by Elpis on {day}",
        "unchecked": "Not checked by a professional.", "documents": "Documents", "date": "Date", "what": "Title",
        "author": "Author", "files": "Files", "medication": "Treatments taken now", "allergy": "Allergies",
        "condition": "Conditions", "immunization": "Immunizations", "none": "Nothing is recorded.",
        "no": "NO: ", "damaged": "These files were damaged and are missing:",
        "about": "Original files are in “documents”, a summary for other programs (FHIR IPS) in “ips.json”, checksums"
        " in “checksums.sha256”. This archive is not encrypted: keep it in a safe place.",
    },
}  # fmt: skip
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid #ccc}.denied{font-weight:bold}.note{color:#444}"
)


@dataclass
class Written:
    """What became of an export. `damaged` are (title, file name) of what could not be read from the vault."""

    documents: int = 0
    files: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _State:
    zip: zipfile.ZipFile
    stamp: tuple[int, int, int, int, int, int]
    sums: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # SHA-256 of a file -> path
    records: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[Document, Entry]] = field(default_factory=list)
    written: Written = field(default_factory=Written)


def write(
    target: IO[bytes], holder: Holder, documents: Iterable[Document], content: Content, *, made: int, language: str
) -> Written:
    """The archive into `target`, document by document. `made` in seconds since 1970."""
    moment = datetime.fromtimestamp(made, UTC)
    stamp = (max(1980, moment.year), moment.month, moment.day, moment.hour, moment.minute, moment.second)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        state = _State(archive, stamp)
        for number, document in enumerate(documents, 1):
            _document(state, number, document, content)
        made_of = profile(state.rows, on=moment.date())
        told = {
            FORMAT: 1, "made": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "holder": {"name": holder.name, "birth": holder.birth}, "documents": state.records,
        }  # fmt: skip
        _put(state, "record.json", json.dumps(told, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
        _put(state, "ips.json", bundle(holder, made_of, made=made, language=language))
        _put(state, "index.html", _index(holder, state, made_of, moment.date(), language).encode("utf-8", "replace"))
        sums = "".join(f"{digest}  {path}\n" for path, digest in sorted(state.sums.items()))
        _put(state, "checksums.sha256", sums.encode())
    return state.written


def _document(state: _State, number: int, document: Document, content: Content) -> None:
    folder = f"documents/{number:04d}_{_slug(document.title or document.kind)}"
    files = []
    for place, item in enumerate(document.attachments, 1):
        path = state.places.get(item.sha256)
        if path is None:
            path = f"{folder}/{place:02d}_{_file_name(item)}"
            if not _stream(state, path, content(document, item), item):
                state.written.damaged.append((document.title, item.name))
                path = ""
            state.places[item.sha256] = path
        files.append(
            {"sha256": item.sha256, "media_type": item.media_type, "size": item.size, "name": item.name, "path": path}
        )
    state.written.documents += 1
    state.rows += [(document, entry) for entry in document.entries]
    state.records.append(
        {
            "id": document.id,
            **{name: getattr(document, name) for name in HEADER},
            "entries": [
                {"id": entry.id, "kind": entry.kind, "fields": dict(entry.fields)} for entry in document.entries
            ],
            "attachments": files,
        }
    )


def _stream(state: _State, path: str, pieces: Iterator[bytes], item: Attachment) -> bool:
    """Whether the file went in whole. What is damaged stays in the archive as far as it could be read, unnamed."""
    digest = hashlib.sha256()
    info = _info(state, path)
    if item.size > STORED:
        info.compress_type = zipfile.ZIP_STORED
    with state.zip.open(info, "w", force_zip64=True) as member:
        try:
            for piece in pieces:
                digest.update(piece)
                member.write(piece)
        except VaultError:
            return False
    if digest.hexdigest() != item.sha256:
        return False
    state.sums[path] = item.sha256
    state.written.files += 1
    return True


def _put(state: _State, path: str, data: bytes) -> None:
    state.zip.writestr(_info(state, path), data)
    if path != "checksums.sha256":
        state.sums[path] = hashlib.sha256(data).hexdigest()


def _info(state: _State, path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, state.stamp)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _index(holder: Holder, state: _State, made: Profile, day: date, language: str) -> str:
    """One page: no script, no style from elsewhere, nothing fetched."""
    words = _WORDS.get(language, _WORDS["en"])
    title = words["title"].format(name=_html(holder.name))
    born = words["born"].format(day=_html(holder.birth)) if holder.birth else ""
    parts = [
        "<!doctype html>", f'<html lang="{language if language in _WORDS else "en"}"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
        '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>", f"<h1>{title}</h1>",
        f'<p class="note">{" · ".join(filter(None, (born, words["made"].format(day=day.isoformat()))))}</p>',
        f"<p><strong>{words['unchecked']}</strong></p>", f'<p class="note">{words["about"]}</p>',
    ]  # fmt: skip
    if state.written.damaged:
        parts.append(f"<p><strong>{words['damaged']}</strong></p>")
        parts.append(_listed(f"{_html(name)} ({_html(of)})" for of, name in state.written.damaged))
    taken = [_medication_line(item) for item in made.medications if item.active]
    for kind, lines in (
        ("medication", taken),
        ("allergy", [_fact_line(fact, words) for fact in made.facts["allergy"]]),
        ("condition", [_fact_line(fact, words) for fact in made.facts["condition"] if fact.active or fact.negated]),
        ("immunization", [f"{_html(dose.label)}, {_html(dose.day)}" for dose in made.vaccinations if not dose.negated]),
    ):
        parts += [f"<h2>{words[kind]}</h2>", _listed(lines) if lines else f"<p>{words['none']}</p>"]
    parts += [f"<h2>{words['documents']}</h2>", _table(state, words), "</body></html>\n"]
    return "\n".join(parts)


def _table(state: _State, words: Mapping[str, str]) -> str:
    head = "".join(f"<th>{words[name]}</th>" for name in ("date", "what", "author", "files"))
    rows = []
    for record in sorted(state.records, key=lambda record: str(record["date"]), reverse=True):
        links = "<br>".join(_link(file) for file in record["attachments"] if file["path"])
        title = _html(record["title"]) or _html(record["kind"])
        cells = (_html(record["date"][:10]), title, _html(record["author"]), links)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _link(file: Mapping[str, Any]) -> str:
    # A page or a drawing from outside may hold a script: it is saved, not opened.
    how = "" if file["media_type"] in _SHOWN else " download"
    return (
        f'<a href="{escape(quote(file["path"]))}" rel="noreferrer"{how}>{_html(file["name"]) or file["sha256"][:8]}</a>'
    )


def _medication_line(item: Any) -> str:
    flags = "".join(f"<strong>[{_html(flag.upper())}]</strong> " for flag in item.flags if flag.startswith("anti"))
    return flags + ", ".join(filter(None, (_html(item.label), _html(item.dose), _html(item.start[:10]))))


def _fact_line(fact: Any, words: Mapping[str, str]) -> str:
    text = ", ".join(filter(None, (_html(fact.label), _html(fact.fields.get("reaction")), _html(fact.start[:10]))))
    return f'<span class="denied">{words["no"]}</span>{text}' if fact.negated else text


def _listed(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


def _html(value: object) -> str:
    return escape(clean(value))


def _slug(text: str) -> str:
    """Letters and digits of a title, for a folder on any system."""
    return (
        re.sub(r"[^\w]+", "-", clean(text, 60), flags=re.UNICODE).strip("-_").encode("ascii", "ignore").decode() or "x"
    )


def _file_name(item: Attachment) -> str:
    """The file's own name without what any system forbids; its ending stays."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", safe_name(item.name)).strip(". ")
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:80]}{dot}{ending[:10]}" if dot else name[:80] or f"file-{item.sha256[:8]}"
