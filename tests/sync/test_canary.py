"""What a payer who owns the relay could find: names, titles, codes and values of 50 documents, in every encoding.

Searched are the relay's database, write-ahead log, halves, keys, blobs and log, everything that went over the wire, and
core dump of the relay's process while all of it is loaded.
"""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from sync.exchange import Exchange
from tests.programs import need
from tui.demo import payer
from tui.demo.wiretap import Wiretap
from vault import Vault
from vault.document import Attachment, Document, Entry

DOCUMENTS = 50


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = tmp_path / "relay"
    folder.mkdir()
    command = [sys.executable, "-m", "tui.cli", "relay", "serve", "--db", str(folder / "relay.db"), "--port", "0"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_nothing_of_fifty_documents_reaches_the_relay(
    vault_factory: Callable[..., Vault], relay: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = relay
    tap = Wiretap(url)
    before = core_dump(process.pid, tmp_path)  # what stands in any Python process, before anybody has said a word
    holder, physician = vault_factory(), vault_factory("doctor")
    with Exchange(holder) as mine, Exchange(physician) as theirs:
        for exchange in (mine, theirs):
            exchange.set_relay(tap.url)
            exchange.sync()
        ids = [holder.add(*invented(number)) for number in range(DOCUMENTS)]
        person = holder.people.add(physician.people.card(), met=True)
        grant = holder.sharing.grant(person, ids, right="edit", purpose="Motif-canari de consultation", seconds=3600)
        mine.sync()
        theirs.sync()
        opened = theirs.open_all(grant.id, "Raison-canari")
        assert len(opened) == DOCUMENTS
        opened[0].set_entry(None, "medication", {"label": "Traitement-canari ajouté"})
        opened[1].add_file(b"Fichier-canari " * 1000, media_type="text/plain", name="rapport-canari.txt")
        theirs.deposit(holder.people.card(), [invented(DOCUMENTS)])
        mine.sync()
        dump = core_dump(process.pid, tmp_path)
    words = payer.words_of(holder) | {"Motif-canari", "Raison-canari", "Traitement-canari", "Fichier-canari", "canari"}
    keys = payer.keys_of(holder) | {f"professional {what}": key for what, key in payer.keys_of(physician).items()}
    places = payer.files_of(tmp_path / "relay") | {"wire": tap.captured, "core dump": dump}
    tap.close()
    words -= {leak.what for leak in payer.search(words, {}, {"core dump": before}).found}
    result = payer.search(words, keys, places)
    assert result.needles > 6 * DOCUMENTS
    assert any(place.endswith("relay.db") for place in places)
    assert len(tap.captured) > 100_000
    assert result.found == ()


SPELLED = {
    "plain": b"..Motif-canari..",
    "utf-16-le": "Motif-canari".encode("utf-16-le"),
    "utf-16-be": "MOTIF-CANARI".encode("utf-16-be"),
    "hex": b"x" + b"Motif-canari".hex().encode(),
    "base64": base64.b64encode(b"?Motif-canari!"),
    "base64url": base64.urlsafe_b64encode(b"??Motif-canari!"),
    "zlib": zlib.compress(b"... Motif-canari ..."),
    "gzip": gzip.compress(b"... Motif-canari ..."),
}


@pytest.mark.parametrize("encoding", SPELLED)
def test_the_search_finds_what_is_there(encoding: str) -> None:
    assert payer.search(["Motif-canari"], {}, {"place": b"\0\x01" + SPELLED[encoding] + b"\xff"}).found


def test_the_search_finds_a_key() -> None:
    key = bytes(range(32))
    assert payer.search([], {"key": key}, {"place": b"abc" + key}).found
    assert payer.search([], {"key": key}, {"place": key.hex().encode()}).found


def invented(number: int) -> tuple[Document, dict[str, bytes]]:
    """A document full of words that stand nowhere else, with a file."""
    data = f"Contenu-canari numéro {number} ".encode() * 200
    name = sha256(data).hexdigest()
    entries = (
        Entry(
            "", "medication", {"label": f"Médicament-canari-{number}", "code": f"340093{number:07}", "dose": "½ à jeun"}
        ),
        Entry(
            "", "result", {"label": f"Analyse-canari-{number}", "value": f"{number},{number:04}", "unit": "mmol/canari"}
        ),
    )
    document = Document(
        title=f"Titre-canari n° {number}",
        type_code=f"11502-{number}",
        class_code="canari-class",
        date=f"2025-01-{number % 28 + 1:02}",
        author=f"Docteur Canari-{number} ÉTÉ",
        source_id=f"cda:1.2.250.1.999^CANARI-{number}",
        text=f"Texte-canari de la page {number}, œdème.",
        entries=entries,
        attachments=(Attachment(name, "text/plain", len(data), f"canari-{number}.txt"),),
    )
    return document, {name: data}


def core_dump(pid: int, folder: Path) -> bytes:
    """The memory of a running process, as gdb's gcore writes it."""
    need("gcore")
    subprocess.run(["gcore", "-o", str(folder / "core"), str(pid)], capture_output=True, check=True, timeout=120)
    for _ in range(50):
        for found in folder.glob("core.*"):
            dump = found.read_bytes()
            found.unlink()
            return dump
        time.sleep(0.1)
    raise AssertionError("gcore wrote no dump")
