"""A uvicorn protocol that lets the application cut the connection without an answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORT = "sandbox.transport"


class CutConnection(Exception):
    """Raised by an endpoint that wants the connection closed without an answer."""


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with the transport put into the scope."""

    open_transports: set[asyncio.Transport]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport, so that it can be cut."""
        super().connection_made(transport)
        self.open_transports.add(transport)
        inner: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = with_transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self.open_transports.discard(self.transport)
        super().connection_lost(exc)


def protocol_class() -> type[CuttableProtocol]:
    """A protocol class that keeps a list of its own of the open connections."""
    return type("SandboxProtocol", (CuttableProtocol,), {"open_transports": set()})


async def cut(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Close the connection with no further byte: with a reset, or as a normal end of the stream."""
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    sock: socket.socket | None = transport.get_extra_info("socket")
    if reset and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # uvicorn answers 500 for an application that returns before the loop told it of the closing.
    while (await receive())["type"] != "http.disconnect":
        pass
