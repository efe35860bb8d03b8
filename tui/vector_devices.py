"""Vectors of a holder's devices: codes, hellos, welcomes, what the vault's channel carries; evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sync import evidence
from vault import enrolment, operation
from vault.errors import VerificationFailed
from vault.primitives import BoxKey, SigningKey

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]


def _same(written: bytes, read: bytes) -> None:
    if written != read:
        raise VerificationFailed("written again, this gives other bytes")


def _code(given: Given) -> dict[str, Any]:
    code = enrolment.read_code(given.text("text"))
    if code.print() != given.text("text"):
        raise VerificationFailed("written again, this gives another text")
    return {name: getattr(code, name) for name in ("relay", "relay_key", "address", "token", "commit", "key", "secret")}


def _hello(given: Given) -> dict[str, Any]:
    data, commit = given.blob("data"), given.blob("commit")
    if given.text("role") == "old":
        fields = enrolment.check_old(data, commit)
    else:
        fields = enrolment.check_new(data, commit, given.blob("secret") if "secret" in given else None)
    _same(enrolment.HELLO.encode(fields), data)
    return {name: fields[name] for name in ("vault", "sign", "box", "fresh", "kem", "nonce", "name")}


def _hello_box(given: Given) -> dict[str, Any]:
    code = enrolment.Code("", b"", given.blob("address"), b"", b"", given.blob("key"), None)
    return {"hello": code.open(given.blob("sealed"))}


def _meeting(given: Given) -> dict[str, Any]:
    commit = enrolment.derive_commit(given.blob("old"))
    transcript = enrolment.derive_transcript(commit, given.blob("new"), given.blob("old"))
    return {"commit": commit, "transcript": transcript, "number": enrolment.derive_number(transcript)}


def _welcome(given: Given) -> dict[str, Any]:
    secrets = {name: given.blob(name) for name in ("sign", "box", "fresh")}
    side = enrolment.Side(
        "new",
        None,
        SigningKey.from_seed(secrets["sign"]),
        BoxKey.from_secret(secrets["box"]),
        "",
        BoxKey.from_secret(secrets["fresh"], given.blob("seed")),
        bytes(32),
    )
    secret = given.blob("secret") if "secret" in given else None
    old = {"sign": given.blob("old_sign"), "vault": given.blob("vault")}
    read = enrolment.open_welcome(side, given.blob("sealed"), old, given.blob("transcript"), secret).fields
    names = ("identity_sign", "identity_box", "relay", "epoch", "count", "chain_at")
    return {name: read[name] for name in names} | {"channel": read["channel"]["address"]}


def _vault_body(given: Given) -> dict[str, Any]:
    operations, _ = operation.read_body(given.blob("data"), given.blobs("before"))
    if operations is None:
        return {"operations": None}
    if not given.blobs("before"):
        _same(operation.encode_bodies(operations)[0], given.blob("data"))
    return {"operations": [[kind, body] for kind, body in operations]}


def _operation(given: Given) -> dict[str, Any]:
    fields = operation.decode_operation(given.text("kind"), given.blob("data"))
    _same(operation.encode_operation(given.text("kind"), fields), given.blob("data"))
    return {"fields": sorted(fields)}


def _evidence(given: Given) -> dict[str, Any]:
    read = evidence.read_evidence(given.blob("data"))
    return {"key": read.relay_key, "address": read.first.address, "counts": [read.first.count, read.second.count]}


DEVICE_FORMATS: dict[str, Run] = {
    "device-code": _code,
    "device-hello": _hello,
    "hello-box": _hello_box,
    "device-meeting": _meeting,
    "welcome": _welcome,
    "vault-body": _vault_body,
    "vault-operation": _operation,
    "evidence": _evidence,
}
