"""Sealed files: every size comes back, and nothing that was done to one does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault import Document, Vault
from vault.attachment import (
    BATCH,
    CHUNK,
    SEALED_CHUNK,
    WORTH_THREADS,
    SealedFile,
    Slice,
    hash_seal,
    open_file,
    seal_file,
    sealed_length,
)
from vault.errors import CannotOpen, InputRefused, StorageFailed, VerificationFailed
from vault.primitives import FileSealer, padme_length

KEY = bytes(range(32))
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, BATCH * CHUNK, BATCH * CHUNK + 1, WORTH_THREADS + 12_345)


def sealed(tmp_path: Path, data: bytes, name: str = "sealed", key: bytes = KEY) -> tuple[Path, SealedFile]:
    target = tmp_path / name
    return target, seal_file(data, target, key)


def opened(path: Path, made: SealedFile, key: bytes = KEY) -> bytes:
    return b"".join(open_file(path, key, made.size, sha256=made.sha256))


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path, made = sealed(tmp_path, data)
    assert opened(path, made) == data
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    file = path.read_bytes()
    chunks = [file[at : at + SEALED_CHUNK] for at in range(24, len(file), SEALED_CHUNK)]
    assert made.sealed_sha256 == hashlib.sha256(file[:24] + b"".join(chunk[-16:] for chunk in chunks)).hexdigest()
    assert hash_seal(path) == made.sealed_sha256
    assert made.sealed_size == path.stat().st_size == sealed_length(size)
    assert [file.name for file in tmp_path.iterdir()] == ["sealed"]


@settings(max_examples=50, deadline=None)
@given(size=st.integers(0, 300_000))
def test_the_sealed_size_tells_the_padded_size_only(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path, made = sealed(tmp_path_factory.mktemp("p"), bytes(size))
    assert path.stat().st_size == sealed_length(padme_length(size)) == made.sealed_size
    assert opened(path, made) == bytes(size)


def test_a_file_from_disk_reports_its_progress(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(WORTH_THREADS * 2))
    seen: list[tuple[int, int]] = []
    made = seal_file(source, tmp_path / "sealed", KEY, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (made.size, made.size)


@pytest.mark.parametrize("size", [0, 1, CHUNK, WORTH_THREADS * 2])
def test_a_file_inside_a_larger_one_is_sealed_from_its_place(tmp_path: Path, size: int) -> None:
    whole, data = tmp_path / "whole", os.urandom(size)
    whole.write_bytes(b"before" + data + b"behind")
    made = seal_file(Slice(whole, 6, size), tmp_path / "sealed", KEY)
    assert (made.size, made.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert opened(tmp_path / "sealed", made) == data


def test_a_larger_file_that_was_cut_leaves_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.write_bytes(b"before and a little")
    with pytest.raises(InputRefused):
        seal_file(Slice(whole, 6, 100), tmp_path / "sealed", KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def chunks_of(path: Path) -> tuple[bytes, list[bytes]]:
    data = path.read_bytes()
    body = data[FileSealer.HEADER :]
    return data[: FileSealer.HEADER], [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]


@pytest.mark.parametrize(
    "damage",
    ["dropped first", "dropped middle", "dropped last", "doubled", "swapped", "cut", "lengthened", "emptied", "header"],
)
@pytest.mark.parametrize("chunks", [4, WORTH_THREADS // CHUNK + 8])
def test_chunks_dropped_reordered_truncated(tmp_path: Path, damage: str, chunks: int) -> None:
    path, made = sealed(tmp_path, os.urandom(chunks * CHUNK))
    header, parts = chunks_of(path)
    changed = {
        "dropped first": parts[1:],
        "dropped middle": parts[:1] + parts[2:],
        "dropped last": parts[:-1],
        "doubled": parts[:2] + parts[1:],
        "swapped": [parts[1], parts[0], *parts[2:]],
        "cut": [*parts[:-1], parts[-1][:-1]],
        "lengthened": [*parts, b"\0"],
        "emptied": [],
        "header": parts,
    }[damage]
    if damage == "header":
        header = bytes(24)
    path.write_bytes(header + b"".join(changed))
    with pytest.raises(CannotOpen):
        opened(path, made)


def test_chunks_dropped_and_the_length_kept(tmp_path: Path) -> None:
    """The length check is not what holds: with the right length, the chunks themselves are refused."""
    path, made = sealed(tmp_path, os.urandom(4 * CHUNK))
    header, parts = chunks_of(path)
    for changed in ([parts[0], parts[2], parts[1], parts[3]], [parts[0], parts[0], *parts[2:]], [*parts[1:], parts[0]]):
        path.write_bytes(header + b"".join(changed))
        with pytest.raises(CannotOpen):
            opened(path, made)


def test_a_stream_that_goes_on_or_stops_elsewhere_than_its_metadata_says(tmp_path: Path) -> None:
    path, made = sealed(tmp_path, bytes(2 * CHUNK))
    sealer = FileSealer(KEY)
    early = [sealer.push(bytes(CHUNK), final=True), sealer.push(bytes(CHUNK), final=False)]
    path.write_bytes(sealer.header + b"".join(early))
    with pytest.raises(CannotOpen):
        opened(path, made)
    sealer = FileSealer(KEY)
    path.write_bytes(sealer.header + b"".join(sealer.push(bytes(CHUNK), final=False) for _ in range(2)))
    with pytest.raises(CannotOpen):
        opened(path, made)


def test_padding_that_is_not_zeros_is_refused(tmp_path: Path) -> None:
    size = 1_000_001
    path, made = sealed(tmp_path, bytes(size))
    padded = bytes(size) + b"\1" + bytes(padme_length(size) - size - 1)
    sealer = FileSealer(KEY)
    parts = [padded[at : at + CHUNK] for at in range(0, len(padded), CHUNK)]
    path.write_bytes(sealer.header + b"".join(sealer.push(p, final=p is parts[-1]) for p in parts))
    with pytest.raises(CannotOpen):
        opened(path, made)


def test_every_bit_of_a_small_file_counts(tmp_path: Path) -> None:
    path, made = sealed(tmp_path, b"ordonnance")
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(CannotOpen):
            opened(path, made)


def test_another_key_or_another_file_of_the_same_size_is_refused(tmp_path: Path) -> None:
    path, made = sealed(tmp_path, b"a" * 1000)
    with pytest.raises(CannotOpen):
        opened(path, made, bytes(32))
    other, _ = sealed(tmp_path, b"b" * 1000, "other")
    with pytest.raises(VerificationFailed):
        opened(other, made)


def test_every_pair_of_blobs_swapped(vault: Vault) -> None:
    document_id = vault.add(Document(title="x"))
    kept = [
        vault.attach(document_id, bytes([number]) * 5000, name=str(number), media_type="text/plain")
        for number in range(4)
    ]
    fields = vault.documents.flat(document_id)["attachments"]
    paths = {name: vault.sealed_path(fields[name]["sealed_sha256"]) for name in fields}
    whole = {name: path.read_bytes() for name, path in paths.items()}
    for one in kept:
        for other in kept:
            paths[one.sha256].write_bytes(whole[other.sha256])
            if one is other:
                assert b"".join(vault.attachment(document_id, one.sha256))[:1] == bytes([int(one.name)])
            else:
                with pytest.raises(VerificationFailed):
                    b"".join(vault.attachment(document_id, one.sha256))
        paths[one.sha256].write_bytes(whole[one.sha256])


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path, made = sealed(tmp_path, b"x")
    path.unlink()
    with pytest.raises(StorageFailed):
        opened(path, made)
    with pytest.raises(StorageFailed):
        seal_file(tmp_path / "nothing", tmp_path / "target", KEY)


def test_a_file_that_grows_while_it_is_read_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(8 * WORTH_THREADS))  # more than is read ahead
    grown = False

    def grow(done: int, total: int) -> None:
        nonlocal grown
        if not grown:
            grown = True
            with source.open("ab") as file:
                file.write(b"more")

    with pytest.raises(InputRefused):
        seal_file(source, tmp_path / "target", KEY, grow)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_reader_who_stops_early_leaves_no_thread(tmp_path: Path) -> None:
    import threading

    path, made = sealed(tmp_path, os.urandom(WORTH_THREADS * 4))
    reading = open_file(path, KEY, made.size, sha256=made.sha256)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == 1


SMALL_MEMORY = """
import resource, sys
from pathlib import Path
from vault.attachment import open_file, seal_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = seal_file(Path(sys.argv[1]), Path(sys.argv[2]), bytes(32))
for _ in open_file(Path(sys.argv[2]), bytes(32), made.size, sha256=made.sha256):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(128 << 20)
    done = subprocess.run(
        [sys.executable, "-c", SMALL_MEMORY, str(source), str(tmp_path / "sealed")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert int(done.stdout) < 40 << 10, "KiB"
