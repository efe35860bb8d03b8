"""What the relay must not know: proved by what it imports, logs, answers and stores."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sync import wire
from sync.client import RelayClient, RelayRefused, Token
from sync.relay.view import relay_view
from tests.sync.conftest import ROOT, RunningRelay
from vault.primitives import BoxKey, SigningKey

BLOCKED = ("vault", "tui", "automerge", "sqlcipher3", "cbor2", "textual", "httpx2", "httpx", "rich")
LOG_FIELDS = {"time", "method", "route", "status", "ms", "bytes"}

WITHOUT_THE_PATIENT = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r} or name in ("sync.client", "sync.exchange", "sync.envelope"):
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
import sync.relay.serve, sync.relay.view, sync.relay.checker, sync.relay.__main__
from pathlib import Path
from sync.relay.serve import serve
serve(Path(sys.argv[1]), 0)
"""


def test_relay_runs_without_anything_of_the_patient(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_THE_PATIENT, str(tmp_path / "relay.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        assert url.startswith("http://"), process.communicate(timeout=5)[1]
        with RelayClient(url) as client:
            client.create_mailbox(os.urandom(32), os.urandom(32))
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_only_one_file_of_the_relay_imports_nacl() -> None:
    importers = {
        path.name
        for path in (ROOT / "sync" / "relay").rglob("*.py")
        if re.search(r"^\s*(import|from) nacl", path.read_text(), re.MULTILINE)
    }
    assert importers == {"signing.py"}


def use_everything(client: RelayClient, folder: Path) -> tuple[list[bytes], list[bytes]]:
    """(what a relay may store: addresses, public keys; what it may not: tokens, halves in the clear)."""
    box, owner, token, grant, half, blob = (os.urandom(32) for _ in range(6))
    reader, now = SigningKey.make(), int(time.time())
    client.create_mailbox(box, owner, [Token(token, "append")])
    client.append(box, token, os.urandom(300))
    client.messages(box, owner)
    client.put_half(grant, owner, half, reader.public, not_before=now, until=now + 600)
    request = wire.Opening.encode(grant, 1, BoxKey.make().public, [os.urandom(16)], os.urandom(200), reader.sign)
    client.open(grant, request)
    client.trace(grant, owner)
    file = folder / "sealed"
    file.write_bytes(os.urandom(5_000))
    client.put_blob(blob, owner, [Token(token, "read")], file)
    client.get_blob(blob, token, folder / "back")
    for call in (client.append, client.append):
        with pytest.raises(RelayRefused):
            call(os.urandom(32), token, b"x")
    return [box, grant, blob], [owner, token, half]


def spellings(secret: bytes) -> list[bytes]:
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), wire.encode_b64(secret).encode()]


def test_log_has_only_the_allowed_fields_and_none_of_the_values(relay: RunningRelay, tmp_path: Path) -> None:
    client = relay.client()
    known, secret = use_everything(client, tmp_path)
    canary = "Canary-Name"
    for path in (f"/{canary}", f"/v1/mailboxes/{canary}?{canary}={canary}"):
        with pytest.raises(RelayRefused):
            client._call("GET", path, os.urandom(32), headers={"X-Name": canary})
    relay.stop()
    text = relay.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) > 10
    assert all(line.keys() == LOG_FIELDS for line in lines)
    assert {line["route"] for line in lines} <= routes() | {"other"}
    assert canary not in text
    assert "127.0.0.1" not in text
    for value in known + secret:
        assert not any(spelling in text.encode() for spelling in spellings(value))


def routes() -> set[str]:
    from sync.relay.app import CALLS

    return {path for _, path, _ in CALLS}


def test_tokens_and_halves_are_nowhere_on_the_disk(relay: RunningRelay, tmp_path: Path) -> None:
    known, secret = use_everything(relay.client(), tmp_path)
    relay.kill()
    files = [path for path in tmp_path.rglob("relay*") if path.is_file()] + list(
        (tmp_path / "relay.db.blobs").iterdir()
    )
    everything = b"".join(path.read_bytes() for path in files)
    assert known[0] in everything  # so that the search is not vacuous
    for value in secret:
        assert not any(spelling in everything for spelling in spellings(value))


def test_nothing_else_lies_on_the_disk(relay: RunningRelay, tmp_path: Path) -> None:
    use_everything(relay.client(), tmp_path)
    names = {re.sub(r"-(wal|shm)$", "", path.name) for path in tmp_path.iterdir()} - {"sealed", "back", "relay.log"}
    assert names == {"relay.db", "relay.db.blobs", "relay.db.halves", "relay.db.halves-keys", "relay.db.key"}
    for path in tmp_path.glob("relay.db*"):
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_answers_bring_nothing_of_the_request_back(shared_relay: RunningRelay) -> None:
    client, canary = shared_relay.client(), "CanaryValue"
    token = os.urandom(32)
    for method, path, body in (
        ("GET", f"/{canary}", None),
        ("GET", f"/mailboxes/{canary}/messages", None),
        ("PUT", f"/mailboxes/{wire.encode_b64(token)}", {"owner": canary, canary: 1}),
        ("PATCH", f"/relay/{canary}", None),
        ("POST", "/wait", {"watch": [canary], "seconds": canary}),
    ):
        request = client._client("main").build_request(
            method, client.url + "/v1" + path, json=body, headers={"Authorization": "Bearer " + canary}
        )
        answer = client._send("main", request, client.timeout)
        assert 400 <= answer.status < 500
        assert json.loads(answer.body).keys() == {"code", "message"}
        whole = answer.body + repr(dict(answer.headers)).encode()
        assert canary.encode() not in whole
        assert wire.encode_b64(token).encode() not in whole
        assert "server" not in answer.headers


def test_relay_view_lists_every_table(relay: RunningRelay, tmp_path: Path) -> None:
    use_everything(relay.client(), tmp_path)
    view = relay_view(relay.db)
    assert view["unlisted_tables"] == []
    assert view["tables"]["log"]["mailboxes"] == 1
    assert view["tables"]["log"]["traces"] == 1
    assert view["tables"]["entry"]["rows"] == 2
    assert view["tables"]["token"]["rows"] == 2
    assert view["tables"]["half"]["held"] == 1
    assert view["halves_file"]["rows"] == 1
    assert view["blob_files"] == {"holds": "the sealed files, under random names", "files": 1, "bytes": 5_000}
    assert json.loads(json.dumps(view)) == view
