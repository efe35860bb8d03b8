"""The relay's HTTP verbs, for a vault. The only file that imports the HTTP client, and only when a call is made.

Whatever a relay signs is verified here with the pinned key before it is returned. `Seen` and `follow` are what a vault
keeps of a mailbox to notice a fork, a rollback or a withheld tail. Normative text: spec/relay.md.

Thread-safe for what Elpis does with it: long polls run on their own connections beside every other call.
"""

from __future__ import annotations

import os
import secrets
import ssl
import threading
import time as clocks
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sync import wire
from sync.wire import Checkpoint, Message, Receipt, WireError, decode_b64, encode_b64, hash_token
from vault import primitives
from vault.errors import BadSignature, Malformed, RelayContradiction, StorageFailed, VaultError

if TYPE_CHECKING:
    import httpx2

ATTEMPTS = 4
BACKOFF = 0.15
PATIENCE = 30.0
ANSWER_BYTES = wire.PAGE_BYTES + wire.MESSAGE_BYTES + (64 << 10)
REFUSAL_BYTES = 64 << 10  # of what a relay says instead of a file
SLOWEST = 2_048  # bytes a second that an answer must bring at the least, once the time of a call is over
Progress = Callable[[int, int], None]


class RelayUnreachable(VaultError):
    """No answer. Nothing local is lost; the same call may be made again."""

    code: ClassVar[str] = "relay-unreachable"


class RelayRefused(VaultError):
    """The relay answered no. `status` is the HTTP status, `reason` the relay's own short code."""

    code: ClassVar[str] = "relay-refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the relay refused: {status} {reason}", status=status, reason=reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Token:
    """A capability to be given to somebody: `token` is the raw 32 bytes, `right` is "append" or "read"."""

    token: bytes = field(repr=False)
    right: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class RelayInfo:
    suite: int
    verify_key: bytes
    time: int
    limits: Mapping[str, int]
    software: str


@dataclass(frozen=True, slots=True)
class Appended:
    index: int
    checkpoint: Checkpoint
    repeated: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """Something to wait for: `kind` "mailbox" or "trace", more entries than `after`."""

    kind: str
    address: bytes
    token: bytes = field(repr=False)
    after: int


@dataclass(frozen=True, slots=True)
class Changed:
    kind: str
    address: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a vault remembers of a mailbox or trace it has read up to entry `count`."""

    count: int = 0
    chain: bytes = wire.START


def check_about(checkpoint: Checkpoint, kind: int, address: bytes) -> None:
    """BadSignature when a checkpoint is not about what was asked for: for that it is no signature."""
    if checkpoint.kind != kind or checkpoint.address != address:
        raise BadSignature("the relay's checkpoint is about something else")


def follow(seen: Seen, messages: Iterable[Message], checkpoint: Checkpoint) -> Seen:
    """The next Seen after one answer; RelayContradiction for a fork, a rollback, a gap or a withheld tail.

    An answer may be one page of several: until the checkpoint's count is reached, ask again from `Seen.count`.
    """
    count, chain = seen.count, seen.chain
    if checkpoint.count < count:
        raise RelayContradiction("the relay signed a shorter history than before", reason="rollback")
    for message in messages:
        if message.index != count + 1:
            raise RelayContradiction("the relay left entries out", reason="gap")
        count, chain = message.index, wire.extend_chain(chain, message.index, message.time, message.body_hash)
    if count > checkpoint.count:
        raise RelayContradiction("the relay sent more than it signed", reason="unsigned")
    if count == seen.count and count < checkpoint.count:
        raise RelayContradiction("the relay signed entries that it does not show", reason="withheld")
    if count == checkpoint.count and chain != checkpoint.chain:
        raise RelayContradiction("the relay signed another history", reason="fork")
    return Seen(count, chain)


def compare(seen: Seen, checkpoint: Checkpoint) -> None:
    """RelayContradiction when a checkpoint from elsewhere (a receipt, another device) contradicts what was read."""
    if checkpoint.count == seen.count and checkpoint.chain != seen.chain:
        raise RelayContradiction("two histories signed by one relay", reason="fork")


class RelayClient:
    """One relay. `verify_key` is the pinned Ed25519 key; None takes the key from the relay at the first call."""

    def __init__(self, url: str, *, verify_key: bytes | None = None, timeout: float = 10) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._key = verify_key
        self._pinned = verify_key is not None
        self._lock = threading.Lock()
        self._clients: dict[str, httpx2.Client] = {}

    def close(self) -> None:
        """Closes every connection; a long poll under way ends with RelayUnreachable."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def __enter__(self) -> RelayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def verify_key(self) -> bytes:
        """The relay's key: pinned, or learned from its first answer."""
        if self._key is None:
            self.about()
        if self._key is None:
            raise RelayContradiction("the relay shows no key")
        return self._key

    # about, mailboxes

    def about(self) -> RelayInfo:
        answer = _json(self._call("GET", "/relay"))
        with _shape():
            key = decode_b64(answer["verify_key"], 32)
            limits = {str(name): int(value) for name, value in dict(answer["limits"]).items()}
            info = RelayInfo(int(answer["suite"]), key, int(answer["time"]), limits, str(answer["software"])[:64])
        if self._key is None:
            self._key = key
        elif not primitives.same(self._key, key):
            raise RelayContradiction("this relay shows another key than before", reason="key")
        return info

    def create_mailbox(self, addr: bytes, owner: bytes, tokens: Sequence[Token] = ()) -> None:
        """Makes the mailbox; the same owner may repeat it."""
        body = {"owner": encode_b64(hash_token(owner)), "tokens": _tokens(tokens)}
        self._call("PUT", _path("mailboxes", addr), json=body)

    def change_tokens(
        self,
        addr: bytes,
        owner: bytes,
        *,
        add: Sequence[Token] = (),
        remove: Sequence[bytes] = (),
        room: str = "mailboxes",
    ) -> None:
        """Adds and removes tokens (raw) of a mailbox, or of a blob with room="blobs"."""
        body = {"add": _tokens(add), "remove": [encode_b64(hash_token(token)) for token in remove]}
        self._call("POST", _path(room, addr, "tokens"), owner, json=body)

    def append(self, addr: bytes, token: bytes, body: bytes) -> Appended:
        """The entry's index and the relay's checkpoint. The same bytes again give the same index."""
        answer = self._call("POST", _path("mailboxes", addr, "messages"), token, body=body)
        fields = _json(answer)
        with _shape():
            index, signed = int(fields["index"]), decode_b64(fields["checkpoint"])
        return Appended(index, self._checkpoint(signed, wire.MAILBOX, addr), answer.status == 200)

    def messages(
        self, addr: bytes, token: bytes, after: int = 0, limit: int = wire.PAGE_MESSAGES
    ) -> tuple[list[Message], Checkpoint]:
        """One page after entry `after`, and the signed state of the whole mailbox: hand both to `follow`."""
        return self._page(_path("mailboxes", addr, "messages"), wire.MAILBOX, addr, token, after, limit)

    def trim(self, addr: bytes, owner: bytes, upto: int) -> None:
        """Frees the bytes of entries up to `upto`; their hashes stay."""
        self._call("DELETE", _path("mailboxes", addr, "messages"), owner, params={"upto": upto})

    def close_mailbox(self, addr: bytes, owner: bytes, purge: bool = False) -> Receipt:
        """Closes for everybody but the owner; `purge` also frees all bytes."""
        answer = self._call("DELETE", _path("mailboxes", addr), owner, params={"purge": 1} if purge else {})
        return self._receipt(answer.body, wire.MAILBOX_CLOSED, addr)

    # blobs

    def put_blob(
        self, addr: bytes, owner: bytes, tokens: Sequence[Token], path: Path, progress: Progress | None = None
    ) -> None:
        """Sends a sealed file, going on where an earlier attempt stopped."""
        size = path.stat().st_size
        body = {"owner": encode_b64(hash_token(owner)), "tokens": _tokens(tokens), "size": size}
        self._call("PUT", _path("blobs", addr), json=body)
        offset = self._blob_offset(addr, owner)
        with path.open("rb") as source:
            while offset < size:
                source.seek(offset)
                headers = {wire.OFFSET_HEADER: str(offset)}
                chunk = source.read(wire.BLOB_CHUNK)
                try:
                    answer = self._call("PATCH", _path("blobs", addr), owner, body=chunk, headers=headers)
                    offset = _number(answer.headers.get(wire.OFFSET_HEADER.lower()))
                except RelayRefused as refusal:
                    # A repeated chunk whose first answer was lost: the relay knows how far it got.
                    if refusal.status != 409 or (now := self._blob_offset(addr, owner)) <= offset:
                        raise
                    offset = now
                if progress is not None:
                    progress(offset, size)

    def get_blob(self, addr: bytes, token: bytes, target: Path, progress: Progress | None = None) -> None:
        """Fetches a sealed file into `target`, going on after what is already there."""
        for attempt in range(ATTEMPTS):
            try:
                self._fetch(addr, token, target, progress)
                return
            except RelayUnreachable:
                if attempt + 1 == ATTEMPTS:
                    raise
                _pause(attempt)

    def drop_blob(self, addr: bytes, owner: bytes) -> None:
        self._call("DELETE", _path("blobs", addr), owner)

    # halves

    def put_half(
        self,
        grant: bytes,
        owner: bytes,
        half: bytes,
        reader: bytes,
        *,
        not_before: int,
        until: int,
        openings: int | None = None,
    ) -> Receipt:
        """Gives the relay its half of a grant's key; the receipt says that it is held."""
        body = {
            "owner": encode_b64(hash_token(owner)),
            "half": encode_b64(half),
            "reader": encode_b64(reader),
            "not_before": not_before,
            "until": until,
            "openings": openings,
        }
        answer = self._call("PUT", _path("halves", grant), json=body)
        return self._receipt(answer.body, wire.HALF_HELD, grant)

    def destroy_half(self, grant: bytes, owner: bytes) -> Receipt:
        """The receipt says that the half is gone; repeating gives the same receipt."""
        return self._receipt(self._call("DELETE", _path("halves", grant), owner).body, wire.HALF_DESTROYED, grant)

    def open(self, grant: bytes, request: bytes) -> tuple[Checkpoint, bytes]:
        """The trace's checkpoint and the box sealed to the request's fresh key. Never sent twice by itself."""
        answer = self._call("POST", _path("halves", grant, "openings"), body=request, repeat=False)
        checkpoint = self._checkpoint(answer.body[: wire.CHECKPOINT_BYTES], wire.TRACE, grant)
        return checkpoint, answer.body[wire.CHECKPOINT_BYTES :]

    def trace(
        self, grant: bytes, owner: bytes, after: int = 0, limit: int = wire.PAGE_MESSAGES
    ) -> tuple[list[Message], Checkpoint]:
        """The openings of a grant, each entry the exact request; hand both to `follow`."""
        return self._page(_path("halves", grant, "trace"), wire.TRACE, grant, owner, after, limit)

    # waiting

    def wait(self, watches: Sequence[Watch], seconds: int = 25) -> list[Changed]:
        """Returns as soon as one of the watched has more entries, or with nothing after `seconds`."""
        body = {
            "watch": [
                {"kind": w.kind, "address": encode_b64(w.address), "token": encode_b64(w.token), "after": w.after}
                for w in watches
            ],
            "seconds": seconds,
        }
        answer = _json(self._call("POST", "/wait", json=body, room="wait", timeout=seconds + self.timeout))
        with _shape():
            return [
                Changed(str(item["kind"]), decode_b64(item["address"], 32), int(item["count"]))
                for item in answer["changed"]
            ]

    # inside

    def _page(
        self, path: str, kind: int, addr: bytes, token: bytes, after: int, limit: int
    ) -> tuple[list[Message], Checkpoint]:
        answer = self._call("GET", path, token, params={"after": after, "limit": limit})
        with _shape():
            messages = wire.decode_frames(answer.body)
            signed = decode_b64(answer.headers.get(wire.CHECKPOINT_HEADER.lower()))
        return messages, self._checkpoint(signed, kind, addr)

    def _checkpoint(self, data: bytes, kind: int, addr: bytes) -> Checkpoint:
        with _shape():
            checkpoint = Checkpoint.decode(data)
        check_about(checkpoint, kind, addr)
        checkpoint.verify(self.verify_key, primitives.verify)
        return checkpoint

    def _receipt(self, data: bytes, what: int, addr: bytes) -> Receipt:
        with _shape():
            receipt = Receipt.decode(data)
        if receipt.what != what or receipt.address != addr:
            raise BadSignature("the relay's receipt is about something else")
        receipt.verify(self.verify_key, primitives.verify)
        return receipt

    def _blob_offset(self, addr: bytes, owner: bytes) -> int:
        return _number(self._call("HEAD", _path("blobs", addr), owner).headers.get(wire.OFFSET_HEADER.lower()))

    def _fetch(self, addr: bytes, token: bytes, target: Path, progress: Progress | None) -> None:
        import httpx2

        have = target.stat().st_size if target.exists() else 0
        headers = {**_bearer(token), "Range": f"bytes={have}-"}
        url = self.url + wire.BASE + _path("blobs", addr)
        try:
            with self._client("main").stream("GET", url, headers=headers) as answer:
                if answer.status_code == 416 and have:
                    return  # everything was there already
                if answer.status_code != 206:
                    raise _refusal(answer.status_code, self._body(answer, REFUSAL_BYTES, self.timeout))
                total = _number(answer.headers.get("content-range", "").rpartition("/")[2])
                # Sealed or not, what lies in a vault is nobody else's to see.
                with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as out:
                    began, came = clocks.monotonic(), 0
                    for chunk in answer.iter_raw():  # as it comes: what trickles must be seen to
                        have, came = have + len(chunk), came + len(chunk)
                        _need_pace(began, came, self.timeout)
                        if have > min(total, wire.BLOB_BYTES):
                            raise Malformed("the relay sent more than it said")
                        out.write(chunk)
                        if progress is not None:
                            progress(have, total)
                    out.flush()
                    os.fsync(out.fileno())
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as failure:
            raise _unreachable() from failure
        except OSError as failure:
            raise StorageFailed("the file could not be written", hint=str(failure.strerror or "")) from failure
        if have != total:
            raise _unreachable()

    def _client(self, room: str) -> httpx2.Client:
        import httpx2

        with self._lock:
            client = self._clients.get(room)
            if client is None:
                # trust_env=False: no proxy or credentials file decides where a vault's traffic goes.
                client = httpx2.Client(
                    timeout=self.timeout,
                    trust_env=False,
                    follow_redirects=False,
                    headers={"User-Agent": "elpis"},
                    # Reading every certificate authority takes longer than a call, and plain HTTP needs none: an
                    # empty context trusts nobody.
                    verify=True if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                )
                self._clients[room] = client
            return client

    def _call(
        self,
        method: str,
        path: str,
        token: bytes | None = None,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        params: Mapping[str, int] = {},
        room: str = "main",
        timeout: float | None = None,
        repeat: bool = True,
    ) -> Answer:
        """One call with retries. Every call but an opening may be repeated: the relay answers the same again."""
        import httpx2

        sent = {**headers, **(_bearer(token) if token is not None else {})}
        if body is not None:
            sent["Content-Type"] = wire.OCTETS
        waited = 0.0
        for attempt in range(ATTEMPTS):
            try:
                request = self._client(room).build_request(
                    method,
                    self.url + wire.BASE + path,
                    headers=sent,
                    params=dict(params) or None,
                    json=json,
                    content=body,
                    timeout=timeout or self.timeout,
                )
                answer = self._send(room, request, timeout or self.timeout)
            except httpx2.HTTPError as failure:
                fresh = isinstance(failure, httpx2.ConnectError | httpx2.ConnectTimeout)
                if attempt + 1 == ATTEMPTS or not (repeat or fresh):
                    raise _unreachable() from failure
                _pause(attempt)
                continue
            except (httpx2.InvalidURL, UnicodeError, RuntimeError) as failure:
                raise _unreachable() from failure  # not a URL, a name that no network has, or closed meanwhile
            if answer.status in (429, 503) and (delay := _delay(answer)) is not None and attempt + 1 < ATTEMPTS:
                waited += delay
                if waited <= PATIENCE:
                    clocks.sleep(delay)
                    continue
            if answer.status >= 400:
                raise _refusal(answer.status, answer.body)
            return answer
        raise _unreachable()

    def _send(self, room: str, request: httpx2.Request, timeout: float) -> Answer:
        answer = self._client(room).send(request, stream=True)
        try:
            body = self._body(answer, ANSWER_BYTES, timeout)
        finally:
            answer.close()
        return Answer(answer.status_code, answer.headers, body)

    def _body(self, answer: httpx2.Response, limit: int, timeout: float) -> bytes:
        body, began = bytearray(), clocks.monotonic()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > limit:
                raise Malformed("the relay's answer is too large")
            _need_pace(began, len(body), timeout)
        return bytes(body)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


_NO_SHAPE = (WireError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


class _shape:
    """Maps whatever a malformed answer raises into the vault's tree."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if isinstance(failure, _NO_SHAPE):
            raise Malformed("the relay's answer is not what the specification says") from failure


def _json(answer: Answer) -> Any:
    import json

    with _shape():
        return json.loads(answer.body)


def _number(text: str | None) -> int:
    with _shape():
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 19:
            raise WireError("not a number")
        return int(text)


def _tokens(tokens: Sequence[Token]) -> list[dict[str, object]]:
    return [{"token": encode_b64(hash_token(t.token)), "right": t.right, "until": t.until} for t in tokens]


def _path(room: str, addr: bytes, *rest: str) -> str:
    return "/".join(("", room, encode_b64(primitives.need(addr, wire.ADDRESS, "relay address")), *rest))


def _bearer(token: bytes) -> dict[str, str]:
    return {"Authorization": "Bearer " + encode_b64(primitives.need(token, wire.TOKEN, "relay token"))}


def _refusal(status: int, body: bytes) -> RelayRefused:
    import json

    try:
        reason = str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError, RecursionError):
        reason = "unknown"
    # A relay's words end up on a screen: only a short plain code is kept of them.
    clean = reason.isascii() and reason.replace("-", "").isalnum() and len(reason) <= 40
    return RelayRefused(status, reason if clean else "unknown")


def _unreachable() -> RelayUnreachable:
    return RelayUnreachable("the relay does not answer", hint="nothing is lost; the next sync tries again")


def _need_pace(began: float, came: int, timeout: float) -> None:
    """RelayUnreachable for a relay that lets an answer trickle: whoever waits for it holds up everything else."""
    if clocks.monotonic() - began > timeout + came / SLOWEST:
        raise _unreachable()


def _delay(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 5.0) if text.isascii() and text.isdigit() else None


def _pause(attempt: int) -> None:
    # Jitter, so that many clients of a relay that restarted do not come back at the same instant.
    clocks.sleep(BACKOFF * 2**attempt * (0.5 + secrets.randbelow(1_000) / 1_000))
