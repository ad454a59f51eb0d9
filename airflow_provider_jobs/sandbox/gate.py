"""What stands before each application: records the request, applies faults, sends the answer."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from typing import Any

from airflow_provider_jobs.sandbox import faults
from airflow_provider_jobs.sandbox.protocol import App, CutConnection, Message, Receive, Scope, Send, cut
from airflow_provider_jobs.sandbox.replies import Reply
from airflow_provider_jobs.sandbox.world import BODY_KEPT, Fault, Seen, World


class Gate:
    """One of the hosts."""

    def __init__(self, world: World, host: str, app: Any, *, recorded: bool = True) -> None:
        self._world = world
        self._host = host
        self._app: App = app
        self._recorded = recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body = await _whole_body(receive)
        if body is None:
            return
        seen = self._record(scope, body)
        fault = None
        if self._recorded:
            fault = self._world.faults.take(self._host, seen.method, seen.path)
        seen.fault = fault.name if fault else None
        try:
            reply = await self._answer(scope, body, fault)
        except CutConnection:
            await cut(scope, receive, reset=False)
            return
        if reply is None:
            await cut(scope, receive, reset=fault is not None and fault.name == "reset")
            return
        seen.status = reply.status
        await _send(reply, send, head=seen.method == "HEAD", fault=fault)

    def _record(self, scope: Scope, body: bytes) -> Seen:
        world = self._world
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        seen = Seen(
            n=len(world.requests) + 1,
            time=time.time(),
            host=self._host,
            method=scope["method"],
            path=raw_path.decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=body[:BODY_KEPT].decode("utf-8", "replace"),
            body_bytes=len(body),
        )
        if self._recorded:
            world.requests.append(seen)
        return seen

    async def _answer(self, scope: Scope, body: bytes, fault: Fault | None) -> Reply | None:
        """The answer to send; None for none at all."""
        if fault is None:
            return await self._run(scope, body)
        if fault.name == "reset":
            return None
        early = faults.early(self._world, fault, scope["method"], scope["path"])
        if early is not None:
            return early
        reply = await self._run(scope, body)
        if fault.name == "lost_reply":
            return None
        if fault.name == "slow":
            await asyncio.sleep(float(fault.params.get("seconds", 1)))
        elif fault.name == "server_error_after_start":
            status = int(fault.params.get("status", 500))
            return faults.plain_error(self._world, self._host, status, fault.params.get("text"))
        elif fault.name == "truncated_json":
            headers = [(name, value) for name, value in reply.headers if name != "content-length"]
            return Reply(reply.status, headers, reply.body[: max(1, len(reply.body) * 2 // 3)])
        elif fault.name in faults.REWRITES:
            return faults.rewrite(fault, reply)
        return reply

    async def _run(self, scope: Scope, body: bytes) -> Reply:
        """Let the application answer and keep the answer back."""
        reply = Reply(500)
        parts: list[bytes] = []
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]]
            else:
                parts.append(message.get("body", b""))

        inner = dict(scope)
        if len(scope["path"]) > 1 and scope["path"].endswith("/"):
            inner["path"] = scope["path"].rstrip("/") or "/"
        try:
            await self._app(inner, receive, send)
        except CutConnection:
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return Reply(500, [("Content-Type", "text/plain")], b"the stand-in itself failed; see its stderr")
        reply.body = b"".join(parts)
        return reply


async def _whole_body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(reply: Reply, send: Send, *, head: bool, fault: Fault | None) -> None:
    headers = [(name, value) for name, value in reply.headers if name.lower() != "content-length"]
    if reply.status not in (204, 304):
        headers.append(("Content-Length", str(len(reply.body))))
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    body = b"" if head else reply.body
    if fault is not None and fault.name == "slow_body" and body:
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        await asyncio.sleep(float(fault.params.get("seconds", 1)))
        body = body[half:]
    await send({"type": "http.response.body", "body": body, "more_body": False})
