"""Small real servers for what the sandbox cannot do: they speak over sockets of their own and keep a record."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
PATIENCE = 10.0


@dataclass
class Asked:
    """One request as it arrived."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


def reply(status: int = 200, body: bytes | str = b"{}", headers: dict[str, str] | None = None) -> bytes:
    """A complete answer that leaves the connection open."""
    content = body.encode() if isinstance(body, str) else body
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + content


class Line:
    """One connection, seen from the server."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.open = True
        self.sent = 0
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.sent += len(data)

    def pour(self, piece: bytes, most: int) -> None:
        """Send a piece again and again until `most` bytes, counting what the socket took."""
        while self.sent < most:
            self.sent += self.sock.send(piece)

    def close(self, *, reset: bool = False) -> None:
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.open:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.open = False
        self.sock.close()

    def until_gone(self) -> None:
        """Wait until the client closes the connection."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def wait_for_bytes(self) -> bool:
        """Whether a further byte arrives; it stays to be read."""
        if not self._rest:
            self._rest = self.sock.recv(65536)
        return bool(self._rest)

    def read_request(self) -> Asked | None:
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get("content-length", "0"))
        while len(self._rest) < size:
            data = self.sock.recv(65536)
            if not data:
                return None
            self._rest += data
        body, self._rest = self._rest[:size], self._rest[size:]
        return Asked(self.number, method, target, headers, body)

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._rest:
            data = self.sock.recv(65536)
            if not data:
                return None
            if data[0] == 0x16:  # a greeting of TLS; servers answer as to any nonsense
                self.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return None
            self._rest += data
        found, _, self._rest = self._rest.partition(end)
        return found


class Listener:
    """Accepts connections on a loopback port, each in a thread of its own."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._listening = socket.create_server((LOOPBACK, port), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"
        self.lines: list[Line] = []
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> Any:
        self._start(self._accept)
        return self

    def close(self) -> None:
        """Take no further connection."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def __exit__(self, *_: object) -> None:
        self.close()
        for line in list(self.lines):
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
            line.sock.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.failures, self.failures

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            line = Line(sock, len(self.lines) + 1)
            self.lines.append(line)
            self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        try:
            if self.tls is not None:
                line.sock = self.tls.wrap_socket(line.sock, server_side=True)
            self.talk(line)
        except OSError:
            pass  # the other side went away, which is often what the test wants
        except BaseException as error:
            if not self._closing:
                self.failures.append(error)
        finally:
            line.close()

    def talk(self, line: Line) -> None:
        raise NotImplementedError


Answer = Callable[[Asked, Line], bytes | None]


class WireServer(Listener):
    """Answers each request with what a function returns; None means that the function did what it wanted itself."""

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        super().__init__(port, tls=tls)
        self.asked: list[Asked] = []
        self._answer = answer

    def talk(self, line: Line) -> None:
        while line.open and (asked := line.read_request()) is not None:
            self.asked.append(asked)
            answer = self._answer(asked, line)
            if answer is not None:
                line.send(answer)

    def count(self, method: str) -> int:
        return sum(asked.method == method for asked in self.asked)


class Relay(Listener):
    """Carries bytes to another address: the same server on a port that can be opened later."""

    def __init__(self, target: str, port: int = 0) -> None:
        super().__init__(port)
        self._target = (urlsplit(target).hostname, urlsplit(target).port)

    def talk(self, line: Line) -> None:
        with socket.create_connection(self._target, timeout=PATIENCE) as upstream:
            self._start(_pump, line.sock, upstream)
            _pump(upstream, line.sock)


@dataclass
class ForwardProxy:
    """A forward proxy: plain requests in absolute form, and CONNECT for the rest."""

    asked: list[Asked] = field(default_factory=list)
    only: str | None = None
    """Where everything is sent, whatever the client asked for; None: where it asked for."""

    def __enter__(self) -> ForwardProxy:
        self._listener = _ProxyListener(self)
        self._listener.__enter__()
        self.url = self._listener.url
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.__exit__(*exc)


class _ProxyListener(Listener):
    def __init__(self, proxy: ForwardProxy) -> None:
        super().__init__()
        self._proxy = proxy

    def talk(self, line: Line) -> None:
        asked = line.read_request()
        if asked is None:
            return
        self._proxy.asked.append(asked)
        address = asked.target if asked.method == "CONNECT" else urlsplit(asked.target).netloc
        host, _, port = (self._proxy.only or address).rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as upstream:
            if asked.method == "CONNECT":
                line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._start(_pump, line.sock, upstream)
            else:
                parts = urlsplit(asked.target)
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                headers = {k: v for k, v in asked.headers.items() if not k.startswith("proxy-")} | {
                    "connection": "close"
                }
                head = f"{asked.method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
                upstream.sendall(head.encode("latin-1") + b"\r\n" + asked.body)
            _pump(upstream, line.sock)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further one is neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(address)
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue never filled up")
        yield int(address[1])
