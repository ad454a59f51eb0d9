"""Starts and ends the servers of a sandbox, in a thread or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import uvicorn

from airflow_provider_jobs.sandbox import site, stranger
from airflow_provider_jobs.sandbox.client import ControlClient
from airflow_provider_jobs.sandbox.control import ControlApp
from airflow_provider_jobs.sandbox.datafiniti_app import DatafinitiApp
from airflow_provider_jobs.sandbox.firecrawl_app import FirecrawlApp
from airflow_provider_jobs.sandbox.gate import Gate
from airflow_provider_jobs.sandbox.pages import Fetcher
from airflow_provider_jobs.sandbox.protocol import CuttableProtocol, protocol_class
from airflow_provider_jobs.sandbox.world import World

ADDRESS = "127.0.0.1"
HOSTS = ("firecrawl", "datafiniti", "files", "site", "stranger", "control")
KEEP_ALIVE_SECONDS = 5


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the sandbox: there are six of them in one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(port: int) -> socket.socket:
    # asyncio sends small answers at once (TCP_NODELAY) only on sockets that name their protocol.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ADDRESS, port))
    except BaseException:
        sock.close()
        raise
    return sock


class Servers:
    """All hosts of one sandbox, inside a running event loop."""

    def __init__(self, ports: dict[str, int], page_seconds: float) -> None:
        unknown = set(ports) - set(HOSTS)
        if unknown:
            raise ValueError(f"unknown hosts {sorted(unknown)}; known are {list(HOSTS)}")
        self._ports = ports
        self._page_seconds = page_seconds

    async def run(self, ready: Callable[[dict[str, Any]], None], stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        world = World(self._page_seconds)
        fetcher = Fetcher()
        datafiniti = DatafinitiApp(world)
        apps: dict[str, Any] = {
            "firecrawl": FirecrawlApp(world, fetcher).build(),
            "datafiniti": datafiniti.build(),
            "files": datafiniti.build_files(),
            "site": site.build(),
            "stranger": stranger.build(),
            "control": ControlApp(world).build(),
        }
        sockets: list[socket.socket] = []
        try:
            for host in HOSTS:
                sockets.append(_listen(self._ports.get(host, 0)))
                world.urls[host] = f"http://{ADDRESS}:{sockets[-1].getsockname()[1]}"
            protocol = protocol_class()
            servers = [
                _Server(_config(Gate(world, host, app, recorded=host != "control"), protocol))
                for host, app in apps.items()
            ]
            pairs = zip(servers, sockets, strict=True)
            running = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in pairs]
            while not all(server.started for server in servers):  # noqa: ASYNC110 - uvicorn has a flag, no event
                await asyncio.sleep(0.002)
            ready({"stand_in": True, **world.urls})
            await stop.wait()
            await _stop(servers, running, protocol)
        finally:
            for sock in sockets:
                sock.close()
            await world.close()
            await fetcher.close()


def _config(app: Gate, protocol: type[CuttableProtocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


async def _stop(servers: list[_Server], running: list[asyncio.Task[None]], protocol: type[CuttableProtocol]) -> None:
    """End at once, whatever is still in work."""
    for server in servers:
        server.should_exit = server.force_exit = True
    for transport in list(protocol.open_transports):
        transport.abort()
    await asyncio.gather(*running)


class Sandbox:
    """The servers in a background thread, for tests: `with Sandbox() as sandbox: sandbox.urls["firecrawl"]`."""

    urls: dict[str, Any]
    control: ControlClient

    def __init__(self, *, page_seconds: float = 0.2, ports: dict[str, int] | None = None) -> None:
        self._servers = Servers(ports or {}, page_seconds)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None

    def start(self) -> Sandbox:
        """Start the servers and wait until they listen."""
        self._ready.clear()
        self._error = None
        self._thread = threading.Thread(target=self._run, name="airflow-provider-jobs-sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """End the servers."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        self._thread = self._loop = self._stop = None

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._servers.run(self._is_ready, self._stop)

    def _is_ready(self, urls: dict[str, Any]) -> None:
        self.urls = urls
        self.control = ControlClient(str(urls["control"]))
        self._ready.set()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
