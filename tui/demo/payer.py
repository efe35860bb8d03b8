"""The payer's view: everything a relay stored, logged and carried, searched for everything that a vault holds.

Every name, title, code, value and key is looked for as UTF-8 (and so inside CBOR and JSON), UTF-16 of both orders,
hex, base64 of the three alignments and both alphabets, percent-encoded, and once more in all that can be decompressed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from vault import Vault

SHORTEST = 5  # bytes; anything shorter stands in random bytes by chance
_MOST_DEFLATED, _MOST_INFLATED = 4 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A leak: what, how it was written, and where."""

    what: str
    encoding: str
    place: str


@dataclass(frozen=True, slots=True)
class Search:
    """How much was searched for, in how much, and what was found."""

    needles: int
    patterns: int
    places: int
    size: int
    found: tuple[Found, ...]


def words_of(vault: Vault) -> set[str]:
    """Every readable thing in a vault: names, titles, types, codes, authors, values, of its documents and people."""
    words = {vault.holder_name, vault.holder_birth, *vault.holder_name.split()}
    for document_id, _ in vault.documents.states():
        document = vault.read(document_id)
        words |= {document.title, document.type_code, document.author, document.source_id, document.id}
        words |= {line.strip() for line in document.text.splitlines()}
        for entry in document.entries:
            words |= {str(value) for value in entry.fields.values() if isinstance(value, str)} | {entry.id}
        for attachment in document.attachments:
            words |= {attachment.name, attachment.sha256}
    for person in vault.people.list():
        words |= {person.name, person.role, person.certificate_id, *person.name.split()}
    for grant in vault.sharing.grants():
        words |= {grant.purpose, *grant.titles}
    return {word for word in words if len(word.encode()) >= SHORTEST}


def keys_of(vault: Vault) -> dict[str, bytes]:
    """Every secret that a relay must never have. Its own halves and the addresses it gave out are not among them."""
    keys = {f"identity {part}": vault.keyring.need(f"identity-{part}") for part in ("sign", "box")}
    keys |= {f"device {part}": vault.keyring.need(f"device-{part}") for part in ("sign", "box")}
    keys["identity public"] = vault.identity.sign.public
    for number, row in enumerate(vault.store.rows("SELECT key FROM mailbox WHERE key IS NOT NULL")):
        keys[f"document key {number}"] = row[0]
    for number, row in enumerate(vault.store.rows("SELECT half FROM given")):
        keys[f"the patient's half {number}"] = row[0]
    for document_id, state in vault.documents.states():
        for sha256, fields in state["attachments"].items():
            keys[f"attachment key {document_id[:4]}/{sha256[:4]}"] = bytes.fromhex(fields["key"])
    return keys


def files_of(*folders: Path) -> dict[str, bytes]:
    """Every file below, by its path."""
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def search(words: Iterable[str], keys: Mapping[str, bytes], places: Mapping[str, bytes]) -> Search:
    """Look for every word and key in every place, in every encoding."""
    patterns = [(word, name, pattern) for word in sorted(set(words)) for name, pattern in _spellings(word)]
    patterns += [(what, name, pattern) for what, key in keys.items() for name, pattern in _raw_spellings(key)]
    everything = dict(places)
    for place, data in places.items():
        everything |= {f"{place} (inflated at {at})": inflated for at, inflated in _inflated(data)}
    found = tuple(leak for place, data in everything.items() for leak in _find(patterns, place, data))
    needles = len({what for what, _, _ in patterns})
    return Search(needles, len(patterns), len(everything), sum(map(len, everything.values())), found)


def _find(patterns: list[tuple[str, str, bytes]], place: str, data: bytes) -> Iterator[Found]:
    """All patterns in one pass over the data, however many there are."""
    from ahocorasick_rs import BytesAhoCorasick, Implementation

    if not patterns:
        return
    automaton = BytesAhoCorasick([pattern for _, _, pattern in patterns], implementation=Implementation.ContiguousNFA)
    for index in {match[0] for match in automaton.find_matches_as_indexes(data, overlapping=True)}:
        what, encoding, _ = patterns[index]
        yield Found(what, encoding, place)


def _spellings(word: str) -> Iterator[tuple[str, bytes]]:
    for form in dict.fromkeys((word, word.lower(), word.upper())):
        plain = form.encode()
        yield "UTF-8", plain
        yield "UTF-16-LE", form.encode("utf-16-le")
        yield "UTF-16-BE", form.encode("utf-16-be")
        if not form.isascii():
            yield "Latin-1", form.encode("latin-1", "replace")
            yield "percent", quote(form).encode()
            yield "JSON", form.encode("ascii", "backslashreplace")
    yield from _raw_spellings(word.encode(), plain=False)


def _raw_spellings(data: bytes, *, plain: bool = True) -> Iterator[tuple[str, bytes]]:
    if plain:
        yield "bytes", data
    yield "hex", data.hex().encode()
    yield "HEX", data.hex().upper().encode()
    for shift in range(3):
        # The characters that depend on what stands before and after are cut off.
        text = base64.b64encode(bytes(shift) + data)[(0, 2, 3)[shift] :].rstrip(b"=")
        core = text[: len(text) - (0, 1, 1)[(len(data) + shift) % 3]]
        if len(core) >= SHORTEST + 1:
            yield "base64", core
            yield "base64url", core.translate(bytes.maketrans(b"+/", b"-_"))


def _inflated(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What can be decompressed in there: zlib, gzip and zip members, wherever they begin."""
    marks = [(b"\x78\x01", 15), (b"\x78\x5e", 15), (b"\x78\x9c", 15), (b"\x78\xda", 15), (b"\x1f\x8b\x08", 31)]
    view = memoryview(data)
    for mark, bits in marks:
        at = data.find(mark)
        while at >= 0:
            try:
                inflated = zlib.decompressobj(bits).decompress(view[at : at + _MOST_DEFLATED], _MOST_INFLATED)
            except zlib.error:
                inflated = b""
            if len(inflated) >= SHORTEST:
                yield at, inflated
            at = data.find(mark, at + 1)


def as_json(result: Search) -> dict[str, Any]:
    return {
        "needles": result.needles,
        "patterns": result.patterns,
        "places": result.places,
        "bytes": result.size,
        "found": [{"what": item.what, "encoding": item.encoding, "place": item.place} for item in result.found],
    }
