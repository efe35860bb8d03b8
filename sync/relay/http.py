"""Requests and answers, straight on ASGI: every limit is checked before any work is done."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from sync import wire
from sync.relay.log import Log
from sync.relay.refusal import REFUSALS, Refusal, StorageRefused
from sync.wire import WireError, decode_b64

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_OCTETS = (b"content-type", wire.OCTETS.encode())
_NO_STORE = (b"cache-control", b"no-store")
_CLOSE = (b"connection", b"close")


JSON = (_JSON, _NO_STORE)


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Reply(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncIterator[bytes] | None = None
    gate: Callable[[], None] | None = None
    """Asked at the last moment before anything is sent; its Refusal is sent instead."""


def octets(body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> Reply:
    return Reply(status, body, (_OCTETS, _NO_STORE, *headers))


def as_json(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode(), JSON)


def refused(code: str) -> Reply:
    status, message = REFUSALS[code]
    reply = as_json({"code": code, "message": message}, status)
    if code == "rate":
        reply = reply._replace(headers=(*reply.headers, (b"retry-after", b"1")))
    # The rest of a refused body is not read: the connection cannot be used again.
    return reply._replace(headers=(*reply.headers, _CLOSE)) if status in (413, 414, 431) else reply


class Call:
    """One request."""

    __slots__ = ("_headers", "receive", "received", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.received = 0
        self._headers: dict[bytes, bytes] | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers

    def address(self, name: str = "addr") -> bytes:
        return decode_b64(self.scope["path_params"][name], wire.ADDRESS)

    def token(self) -> bytes:
        """The hash of the bearer token; Refusal when there is none that can be one."""
        value = self.headers.get(b"authorization", b"")
        if not value.startswith(b"Bearer "):
            raise Refusal("token")
        try:
            return wire.hash_token(decode_b64(value[7:].decode("latin-1"), wire.TOKEN))
        except WireError:
            raise Refusal("token") from None

    def number(self, header: str) -> int:
        return _whole(self.headers.get(header.lower().encode(), b"").decode("latin-1"))

    def query(self, **defaults: int | None) -> dict[str, int]:
        """The whole numbers of the query; a default of None makes one compulsory. Anything else is malformed."""
        found: dict[str, int] = {}
        text = self.scope["query_string"].decode("latin-1")
        for part in text.split("&") if text else ():
            name, _, value = part.partition("=")
            if name not in defaults or name in found:
                raise Refusal("malformed")
            found[name] = _whole(value)
        for name, default in defaults.items():
            if name not in found:
                if default is None:
                    raise Refusal("malformed")
                found[name] = default
        return found

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it arrives; Refusal as soon as it is known to be over `limit`."""
        length = self.headers.get(b"content-length")
        if length is not None and _whole(length.decode("latin-1")) > limit:
            raise Refusal("too-large")
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            self.received += len(chunk)
            if self.received > limit:
                raise Refusal("too-large")
            yield chunk

    async def body(self, limit: int) -> bytes:
        length = self.headers.get(b"content-length")
        if length is None or not length.isdigit() or len(length) > 7:
            return b"".join([chunk async for chunk in self.chunks(limit)])
        if int(length) > limit:
            raise Refusal("too-large")
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body: bytes = message["body"]
        if message["more_body"]:
            body += b"".join([chunk async for chunk in self.chunks(limit)])
        return body

    async def json(self, **fields: Callable[[Any], Any]) -> dict[str, Any]:
        """An object with exactly these fields, each read by its function; whatever that raises is malformed."""
        data = await self.body(wire.JSON_BYTES)
        try:
            value = json.loads(data)
            if not isinstance(value, dict) or value.keys() != fields.keys():
                raise Refusal("malformed")
            return {name: read(value[name]) for name, read in fields.items()}
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refusal("malformed") from None


def whole(value: object) -> int:
    """A whole number from 0 to 2^63-1, from JSON."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= wire.MAX_INT:
        raise WireError("not a whole number")
    return value


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > wire.MAX_INT:
        raise Refusal("malformed")
    return int(text)


Handler = Callable[[Call], Awaitable[Reply]]


class Endpoint:
    """An ASGI application for one route: limits, handler, answer, one line of log."""

    def __init__(self, template: str, handler: Handler, log: Log) -> None:
        self.template = template
        self._handler = handler
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = Call(scope, receive)
        fault: BaseException | None = None
        try:
            check_limits(scope)
            reply = await self._handler(call)
        except Refusal as refusal:
            reply = refused(refusal.code)
        except WireError:
            reply = refused("malformed")
        except StorageRefused:
            reply = refused("storage")
        except Disconnected:
            self._log.line(scope["method"], self.template, 499, began, 0)
            return
        except Exception as failure:  # noqa: BLE001 - the last line of defence: no request may show a trace to its sender
            reply, fault = refused("fault"), failure
        status, sent = await answer(reply, scope, send)
        self._log.line(scope["method"], self.template, status, began, sent, fault)


def check_limits(scope: Scope) -> None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > wire.URL_BYTES:
        raise Refusal("url")
    headers = scope["headers"]
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if len(headers) > wire.HEADER_COUNT or size > wire.HEADER_BYTES:
        raise Refusal("headers")


async def answer(reply: Reply, scope: Scope, send: Send) -> tuple[int, int]:
    """(status, bytes) of what was really sent."""
    if reply.gate is not None:
        try:
            reply.gate()
        except Refusal as refusal:
            reply = refused(refusal.code)
    status, body, headers, stream, _ = reply
    if stream is None and status != 204 and scope["method"] != "HEAD":
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if stream is None:
        await send({"type": "http.response.body", "body": body})
        return status, len(body)
    sent = 0
    async for chunk in stream:
        sent += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return status, sent
