"""250 images of a vault whose write-ahead log was torn: each opens with all that was acknowledged, or says what it is.

Nothing is shown by halves, nothing crashes or hangs, and what opens can be written to again. The relay's are in
tests/sync/test_torn_relay.py.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.torn import HEADER, WHOLE, Image, Story, images
from vault import Attachment, Document, Entry, Vault
from vault.errors import RolledBack, StorageFailed
from vault.record import sha256_of

IMAGES = 250
FILE = b"scan " * 2000
State = dict[str, Document]


@dataclass
class Told:
    """What the writer was told is kept: the record and the head file after each commit."""

    folder: Path
    story: Story
    states: list[State]
    heads: list[bytes]
    ever: dict[str, list[Document]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for state in self.states:
            for name, document in state.items():
                if document not in self.ever.setdefault(name, []):
                    self.ever[name].append(document)


def record(vault: Vault) -> Told:
    """A life of some forty commits, watched."""
    log = vault.path / "vault.db-wal"
    main, ends = (vault.path / "vault.db").read_bytes(), [0]
    states = [read(vault)]
    heads = [(vault.path / "head").read_bytes()]

    def told() -> None:
        ends.append(log.stat().st_size)
        states.append(read(vault))
        heads.append((vault.path / "head").read_bytes())

    section = vault.section("medications")
    told()
    for number in range(11):
        file = FILE + bytes([number])
        attachment = Attachment(sha256_of(file), "text/plain", len(file))
        entries = (Entry("", "result", {"label": f"é {number}", "value": number}),)
        one = Document(title=f"document {number}", text="w " * 400, entries=entries, attachments=(attachment,))
        vault.add(one, {attachment.sha256: file})
        told()
        entry = vault.add_entry(section, "medication", {"label": f"m {number}", "dose": "before"})
        told()
        vault.amend_entry(section, entry, {"dose": "after", "note": f"n {number}"})
        told()
        if number % 4 == 0:
            vault.add_many([(Document(title=f"many {number}/{part}"), {}) for part in range(5)])
            told()
    assert (vault.path / "vault.db").read_bytes() == main, "a checkpoint came in between"
    return Told(vault.path, Story(main, log.read_bytes()[: ends[-1]], tuple(ends)), states, heads)


def read(vault: Vault) -> State:
    """Every document as one sees it; attachments are read to their end."""
    found = {}
    page = vault.list(limit=500)
    assert page.next is None
    for line in page.documents:
        found[line.id] = vault.read(line.id)
        for attachment in line.attachments:
            assert sum(map(len, vault.attachment(line.id, attachment.sha256))) == attachment.size
    return found


@pytest.fixture(scope="module")
def tellings(
    made: dict[str, tuple[Path, object]], tmp_path_factory: pytest.TempPathFactory, passphrase: str
) -> tuple[Told, Told, Told]:
    """A log over a fresh database; one written over an older log, whose frames lie behind it; somebody else's."""
    found = []
    for role in ("", "doctor"):
        path = tmp_path_factory.mktemp("torn") / "vault"
        shutil.copytree(made[role][0], path)
        with Vault.unlock(path, passphrase) as vault:
            found.append(record(vault))
            vault.store.row("PRAGMA wal_checkpoint(FULL)")
            found.append(again(vault, found[-1]))
    return found[0], found[1], found[2]


def again(vault: Vault, before: Told) -> Told:
    """The log begins anew over its own old frames, which stay behind its end."""
    log = vault.path / "vault.db-wal"
    main, size = (vault.path / "vault.db").read_bytes(), log.stat().st_size
    base = read(vault)
    assert base == before.states[-1]
    ends, states, heads = [0], [base], [(vault.path / "head").read_bytes()]
    for number in range(6):
        vault.add(Document(title=f"later {number}", text="z " * 300))
        valid = _valid(log.read_bytes())
        ends.append(valid)
        states.append(read(vault))
        heads.append((vault.path / "head").read_bytes())
    assert log.stat().st_size == size and ends[-1] < size
    assert (vault.path / "vault.db").read_bytes() == main
    return Told(vault.path, Story(main, log.read_bytes(), tuple(ends)), states, heads, dict(before.ever))


def _valid(log: bytes) -> int:
    """Where the frames of this log's own generation end: they carry the salts of its header."""
    at, salts = HEADER, log[16:24]
    while log[at + 8 : at + 16] == salts:
        at += WHOLE
    return at


def put(image: Image, head: bytes, told: Told, folder: Path) -> Path:
    """The vault's folder, as after the damage."""
    for name, data in (("", image.main), ("-wal", image.log), ("-shm", image.shm)):
        path = folder / f"vault.db{name}"
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
    (folder / "head").write_bytes(head)
    return folder


def judge(image: Image, told: Told, head: int, folder: Path, phrase: str) -> str:
    """How it went: "open", or the class that refused it."""
    put(image, told.heads[head], told, folder)
    outcome = "open"
    try:
        vault = Vault.unlock(folder, phrase)
    except RolledBack as refused:
        assert image.reached is None or head > image.reached, f"{image.what}: refused though nothing is missing"
        outcome = refused.code
        try:
            vault = Vault.unlock(folder, phrase, accept_older=True)
        except StorageFailed as failure:
            assert image.reached is None, image.what
            return failure.code
    except StorageFailed as failure:
        assert image.reached is None, f"{image.what}: {failure}"
        return failure.code
    with vault:
        if image.reached is None:
            return outcome if damaged(vault, told) else StorageFailed.code
        assert outcome != "open" or head <= image.reached, f"{image.what}: what is missing was not noticed"
        assert read(vault) == told.states[image.reached], image.what
        fresh = write(vault)
    with Vault.unlock(folder, phrase) as vault:
        assert vault.read(fresh).text == "whole"
        assert vault.store.row("PRAGMA integrity_check") == ("ok",)
    return outcome


def write(vault: Vault) -> str:
    return vault.add(Document(title="written after", text="whole"))


def damaged(vault: Vault, told: Told) -> bool:
    """Each document is whole, as it once was, or StorageFailed; what is written is whole too, or refused."""
    try:
        found = read(vault)
        fresh = write(vault)
        assert vault.read(fresh).text == "whole"
    except StorageFailed:
        return False
    for name, document in found.items():
        assert document in told.ever[name], "half a document"
    return True


@pytest.mark.timeout(180)
@pytest.mark.parametrize("which", [0, 1])
def test_a_torn_log_loses_nothing_acknowledged(
    which: int, tellings: tuple[Told, Told, Told], tmp_path: Path, passphrase: str
) -> None:
    told = tellings[which]
    others = [("another vault's log", tellings[2].story)]
    if which == 1:
        others.append(("the log of an older state", tellings[0].story))
    folder = tmp_path / "vault"
    shutil.copytree(told.folder, folder)
    rng, outcomes = Random(which), Counter()
    for image in images(told.story, IMAGES // 2, which, others):
        reached = told.story.last if image.reached is None else image.reached
        head = rng.choice((reached, max(0, reached - 1), told.story.last))
        outcomes[judge(image, told, head, folder, passphrase)] += 1
    assert outcomes.total() == IMAGES // 2 and len(outcomes) == 3


def test_an_emptied_database_is_no_older_vault(vault: Vault, passphrase: str) -> None:
    """Nothing is left to accept: the answer is damage, and nothing is written over what a rescue might still find."""
    vault.lock()
    (vault.path / "vault.db").write_bytes(b"")
    for accept_older in (False, True):
        with pytest.raises(StorageFailed):
            Vault.unlock(vault.path, passphrase, accept_older=accept_older)
    assert (vault.path / "vault.db").read_bytes() == b""


def test_an_older_copy_that_is_damaged_is_not_accepted(vault: Vault, passphrase: str) -> None:
    """A page that no page of the timeline is read from: only a look at the whole finds it."""
    vault.add_many([(Document(title=f"one {number}", text="w" * 3000), {}) for number in range(40)])
    vault.lock()
    data = bytearray((vault.path / "vault.db").read_bytes())
    data[len(data) // 2] ^= 1
    (vault.path / "vault.db").write_bytes(data)
    with pytest.raises(StorageFailed, match="damaged"):
        Vault.unlock(vault.path, passphrase, accept_older=True)
