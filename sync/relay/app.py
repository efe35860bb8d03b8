"""The relay's calls, one handler each, in the order of spec/relay.md."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync import wire
from sync.relay import blobs, halves, mailbox, shapes, trace
from sync.relay.http import (
    JSON,
    Call,
    Endpoint,
    Receive,
    Reply,
    Scope,
    Send,
    as_json,
    check_limits,
    octets,
    refused,
    whole,
)
from sync.relay.keeper import Gate, Keeper
from sync.relay.log import Log
from sync.relay.refusal import Refusal
from sync.relay.signing import Box, HybridBox
from sync.relay.store import BLOB, Blob, Store
from sync.relay.store import Log as Chain
from sync.wire import Opening, encode_b64

CALLS: tuple[tuple[str, str, str], ...] = (
    ("GET", "/v1/relay", "about"),
    ("PUT", "/v1/mailboxes/{addr}", "create_mailbox"),
    ("DELETE", "/v1/mailboxes/{addr}", "close_mailbox"),
    ("POST", "/v1/mailboxes/{addr}/tokens", "change_mailbox_tokens"),
    ("POST", "/v1/mailboxes/{addr}/messages", "append"),
    ("GET", "/v1/mailboxes/{addr}/messages", "messages"),
    ("DELETE", "/v1/mailboxes/{addr}/messages", "trim"),
    ("PUT", "/v1/blobs/{addr}", "create_blob"),
    ("PATCH", "/v1/blobs/{addr}", "upload"),
    ("HEAD", "/v1/blobs/{addr}", "upload_state"),
    ("GET", "/v1/blobs/{addr}", "download"),
    ("DELETE", "/v1/blobs/{addr}", "drop_blob"),
    ("POST", "/v1/blobs/{addr}/tokens", "change_blob_tokens"),
    ("PUT", "/v1/halves/{addr}", "put_half"),
    ("DELETE", "/v1/halves/{addr}", "destroy_half"),
    ("POST", "/v1/halves/{addr}/openings", "open"),
    ("GET", "/v1/halves/{addr}/trace", "trace"),
    ("POST", "/v1/wait", "wait"),
    ("GET", "/healthz", "health"),
)


class Handlers:
    """One method per call. `keeper` is there once the application has started."""

    keeper: Keeper

    async def about(self, call: Call) -> Reply:
        call.query()
        return as_json({
            "suite": wire.SUITE,
            "verify_key": encode_b64(self.keeper.signer.public),
            "time": self.keeper.clock.now(),
            "limits": wire.limits(),
            "software": "elpis",
        })  # fmt: skip

    async def health(self, call: Call) -> Reply:
        await self.keeper.read(lambda store: store.clock())
        return as_json({"ok": True})

    # mailboxes

    async def create_mailbox(self, call: Call) -> Reply:
        address = call.address()
        body = await call.json(owner=shapes.key, tokens=shapes.tokens)
        store = self.keeper.store
        new = await self.keeper.engine.submit(
            lambda now: mailbox.create(store, address, body["owner"], body["tokens"], now)
        )
        return as_json({}, 201 if new else 200)

    async def change_mailbox_tokens(self, call: Call) -> Reply:
        return await self._change_tokens(call, wire.MAILBOX)

    async def change_blob_tokens(self, call: Call) -> Reply:
        return await self._change_tokens(call, BLOB)

    async def _change_tokens(self, call: Call, kind: int) -> Reply:
        address, owner, store = call.address(), call.token(), self.keeper.store
        body = await call.json(add=shapes.tokens, remove=shapes.keys)
        await self.keeper.engine.submit(
            lambda _: mailbox.change_tokens(store, kind, address, owner, body["add"], body["remove"])
        )
        return Reply(204)

    async def append(self, call: Call) -> Reply:
        address, token, keeper = call.address(), call.token(), self.keeper
        keeper.mailbox_rate.take(address)
        body = await call.body(wire.MESSAGE_BYTES)
        if not body:
            raise Refusal("malformed")
        body_hash = wire.hash_body(body)

        def rule(now: int) -> mailbox.Appended:
            return mailbox.append(keeper.store, address, token, body, body_hash, now)

        def finish(done: mailbox.Appended) -> Reply:
            checkpoint = encode_b64(keeper.sign(done.head)).encode()
            body = b'{"index":%d,"checkpoint":"%b"}' % (done.number, checkpoint)
            return Reply(200 if done.repeated else 201, body, JSON)

        reply: Reply = await keeper.engine.submit(rule, size=len(body), finish=finish)
        keeper.waiting.wake(wire.MAILBOX, address)
        return reply

    async def messages(self, call: Call) -> Reply:
        address, token, now = call.address(), call.token(), self.keeper.clock.now()
        self.keeper.mailbox_rate.take(address)
        return await self._page(call, lambda store: mailbox.readable(store, address, token, now), now)

    async def _page(self, call: Call, find: Callable[[Store], Chain], now: int) -> Reply:
        query = call.query(after=0, limit=wire.PAGE_MESSAGES)
        if not 1 <= query["limit"] <= wire.PAGE_MESSAGES or query["after"] > wire.MAILBOX_MESSAGES:
            raise Refusal("malformed")
        page = await self.keeper.read(lambda store: trace.read(store, find(store), query["after"], query["limit"], now))
        checkpoint = encode_b64(self.keeper.sign(page.head)).encode()
        return octets(page.frames, (wire.CHECKPOINT_HEADER.lower().encode(), checkpoint))

    async def trim(self, call: Call) -> Reply:
        address, owner, store = call.address(), call.token(), self.keeper.store
        upto = call.query(upto=None)["upto"]
        await self.keeper.engine.submit(lambda _: mailbox.trim(store, address, owner, upto))
        return Reply(204)

    async def close_mailbox(self, call: Call) -> Reply:
        address, owner, keeper = call.address(), call.token(), self.keeper
        purge = call.query(purge=0)["purge"] != 0
        receipt: bytes = await keeper.engine.submit(
            lambda now: mailbox.close(keeper.store, address, owner, purge, now),
            finish=lambda time: keeper.signer.receipt(wire.MAILBOX_CLOSED, address, time),
        )
        return octets(receipt)

    # blobs

    async def create_blob(self, call: Call) -> Reply:
        address, store = call.address(), self.keeper.store
        body = await call.json(owner=shapes.key, tokens=shapes.tokens, size=shapes.positive)
        new = await self.keeper.engine.submit(
            lambda now: blobs.create(store, address, body["owner"], body["tokens"], body["size"], now)
        )
        return as_json({}, 201 if new else 200)

    async def upload(self, call: Call) -> Reply:
        address, owner, keeper = call.address(), call.token(), self.keeper
        start = call.number(wire.OFFSET_HEADER)
        blob = await keeper.read(lambda store: blobs.owned(store, address, owner))
        if start != blob.offset or address in keeper.uploads:
            raise Refusal("offset")
        keeper.uploads.add(address)
        try:
            end = await self._receive(call, blob)
            await keeper.engine.submit(lambda _: blobs.advance(keeper.store, address, owner, start, end))
        finally:
            keeper.uploads.discard(address)
        return Reply(204, headers=((wire.OFFSET_HEADER.lower().encode(), b"%d" % end),))

    async def _receive(self, call: Call, blob: Blob) -> int:
        folder = self.keeper.folder
        handle = await asyncio.to_thread(folder.open_at, blob.file, blob.offset)
        try:
            async for chunk in call.chunks(min(wire.BLOB_CHUNK, blob.size - blob.offset)):
                await asyncio.to_thread(folder.write, handle, chunk)
            await asyncio.to_thread(folder.sync, handle)
        finally:
            os.close(handle)
        return blob.offset + call.received

    async def upload_state(self, call: Call) -> Reply:
        address, owner = call.address(), call.token()
        blob = await self.keeper.read(lambda store: blobs.owned(store, address, owner))
        return Reply(
            200,
            headers=(
                (wire.OFFSET_HEADER.lower().encode(), b"%d" % blob.offset),
                (wire.LENGTH_HEADER.lower().encode(), b"%d" % blob.size),
                (b"cache-control", b"no-store"),
            ),
        )

    async def download(self, call: Call) -> Reply:
        address, token, now = call.address(), call.token(), self.keeper.clock.now()
        blob = await self.keeper.read(lambda store: blobs.readable(store, address, token, now))
        span = blobs.read_range(call.headers.get(b"range", b"").decode("latin-1"), blob.size)
        handle = self.keeper.folder.open_for_reading(blob.file)
        headers: tuple[tuple[bytes, bytes], ...] = (
            (b"content-type", wire.OCTETS.encode()),
            (b"accept-ranges", b"bytes"),
            (b"content-length", b"%d" % (span.end - span.start)),
        )
        if span.partial:
            headers += ((b"content-range", b"bytes %d-%d/%d" % (span.start, span.end - 1, blob.size)),)
        return Reply(206 if span.partial else 200, headers=headers, stream=self._send(handle, span))

    async def _send(self, handle: int, span: blobs.Span) -> AsyncIterator[bytes]:
        try:
            at = span.start
            while at < span.end:
                size = min(blobs.READ_BYTES, span.end - at)
                chunk = await asyncio.to_thread(self.keeper.folder.read, handle, at, size)
                at += len(chunk)
                yield chunk
        finally:
            os.close(handle)

    async def drop_blob(self, call: Call) -> Reply:
        address, owner, keeper = call.address(), call.token(), self.keeper
        file = await keeper.engine.submit(lambda _: blobs.drop(keeper.store, address, owner))
        await asyncio.to_thread(keeper.folder.remove, file)
        return Reply(204)

    # halves

    async def put_half(self, call: Call) -> Reply:
        grant, keeper = call.address(), self.keeper
        keeper.grant_rate.take(grant)
        body = await call.json(
            owner=shapes.key,
            half=shapes.key,
            reader=shapes.key,
            not_before=whole,
            until=whole,
            openings=shapes.openings,
        )
        promise = halves.Promise(**body)
        since, new = await keeper.engine.submit(lambda now: halves.put(keeper.store, keeper.safe, grant, promise, now))
        return octets(keeper.signer.receipt(wire.HALF_HELD, grant, since), status=201 if new else 200)

    async def destroy_half(self, call: Call) -> Reply:
        grant, owner, keeper = call.address(), call.token(), self.keeper

        def rule(now: int) -> int:
            time, there = halves.destroy(keeper.store, keeper.safe, grant, owner, now)
            if there:
                keeper.engine.doomed.append(grant)
            return time

        time = await keeper.engine.submit(rule)
        keeper.shut_gates(grant)
        return octets(keeper.signer.receipt(wire.HALF_DESTROYED, grant, time))

    async def open(self, call: Call) -> Reply:
        grant, keeper = call.address(), self.keeper
        keeper.grant_rate.take(grant)
        body = await call.body(wire.OPENING_BYTES)
        opening, kem = Opening.receive(body)
        if opening.grant != grant:
            raise Refusal("malformed")
        reader = keeper.reader_of(grant)
        box = await keeper.checker.prepare(reader, opening, kem)
        gate = Gate(keeper.clock)
        gates = keeper.gates.setdefault(grant, set())
        gates.add(gate)
        try:
            reply: Reply = await keeper.engine.submit(
                lambda now: self._release(opening, gate, now), finish=lambda done: self._seal(opening, box, done)
            )
        finally:
            gates.discard(gate)
            if not gates:
                keeper.gates.pop(grant, None)
        keeper.waiting.wake(wire.TRACE, grant)
        return reply._replace(gate=gate)

    def _release(self, opening: Opening, gate: Gate, now: int) -> halves.Release:
        keeper = self.keeper
        done = halves.release(keeper.store, keeper.safe, opening, now)
        gate.until = done.until
        if done.used_up:
            keeper.engine.doomed.append(opening.grant)
        return done

    def _seal(self, opening: Opening, box: Box | HybridBox, done: halves.Release) -> Reply:
        release = wire.encode_release(opening.grant, opening.counter, done.half, opening.tags)
        return octets(self.keeper.sign(done.head) + box.seal(release))

    async def trace(self, call: Call) -> Reply:
        grant, owner = call.address(), call.token()
        return await self._page(call, lambda store: halves.traced(store, grant, owner), self.keeper.clock.now())

    # waiting

    async def wait(self, call: Call) -> Reply:
        body = await call.json(watch=shapes.watches, seconds=shapes.seconds)
        watches: list[shapes.Watch] = body["watch"]
        keys = {(watch.kind, watch.address) for watch in watches}
        now, waiting = self.keeper.clock.now(), self.keeper.waiting
        event = waiting.watch(keys)
        try:
            changed = await self.keeper.read(lambda store: _changed(store, watches, now))
            if not changed and body["seconds"] and not waiting.stopping:
                await _until(event, call, body["seconds"])
                changed = await self.keeper.read(lambda store: _changed(store, watches, now))
        finally:
            waiting.leave(keys, event)
        return as_json({"changed": changed})


def _changed(store: Store, watches: list[shapes.Watch], now: int) -> list[dict[str, object]]:
    names = {kind: name for name, kind in wire.KINDS.items()}
    found: list[dict[str, object]] = []
    for kind, address, token, after in watches:
        if kind == wire.MAILBOX:
            log = mailbox.readable(store, address, token, now)
        else:
            log = halves.traced(store, address, token)
        if log.length > after:
            found.append({"kind": names[kind], "address": encode_b64(address), "count": log.length})
    return found


async def _until(event: asyncio.Event, call: Call, seconds: int) -> None:
    """Until something is appended, the time is over or the client has gone."""
    tasks: set[asyncio.Task[object]] = {
        asyncio.ensure_future(_as_task(event.wait())),
        asyncio.ensure_future(_as_task(call.receive())),
    }
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _as_task(awaitable: Awaitable[object]) -> object:
    return await awaitable


class Relay:
    """The application. The two calls that carry the load skip the router; everything else goes through Starlette."""

    def __init__(self, db: Path, log: Log) -> None:
        self._db = db
        self._log = log
        self.handlers = Handlers()
        made = {(method, path): Endpoint(path, getattr(self.handlers, name), log) for method, path, name in CALLS}
        self._append = made["POST", "/v1/mailboxes/{addr}/messages"]
        self._open = made["POST", "/v1/halves/{addr}/openings"]
        routes = [Route(path, endpoint, methods=[method]) for (method, path), endpoint in made.items()]
        self.starlette = Starlette(
            routes=_exact(routes),
            lifespan=self.lifespan,
            exception_handlers={HTTPException: self._no_route},
        )
        self.starlette.router.redirect_slashes = False

    @property
    def keeper(self) -> Keeper:
        return self.handlers.keeper

    @asynccontextmanager
    async def lifespan(self, _: Starlette | None = None) -> AsyncIterator[None]:
        self.handlers.keeper = Keeper(self._db, self._log)
        yield
        await self.handlers.keeper.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            parts = scope["path"].split("/")
            if len(parts) == 5 and parts[1] == "v1":
                hot = self._append if parts[2] == "mailboxes" and parts[4] == "messages" else None
                hot = self._open if parts[2] == "halves" and parts[4] == "openings" else hot
                if hot is not None:
                    scope["path_params"] = {"addr": parts[3]}
                    await hot(scope, receive, send)
                    return
        await self.starlette(scope, receive, send)

    async def _no_route(self, request: Request, failure: Exception) -> Response:
        try:
            check_limits(request.scope)
            status = failure.status_code if isinstance(failure, HTTPException) else 404
            reply = refused("method" if status == 405 else "unknown")
        except Refusal as refusal:
            reply = refused(refusal.code)
        self._log.line(request.method, "other", reply.status, time.perf_counter(), len(reply.body))
        return Response(reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers})


def _exact(routes: list[Route]) -> list[Route]:
    """Starlette adds HEAD to every GET; here HEAD is a call of its own."""
    for route in routes:
        if route.methods and "GET" in route.methods:
            route.methods.discard("HEAD")
    return routes
