"""One way to use both transports: the same test asks requests and aiohttp."""

from __future__ import annotations

import asyncio
import asyncio.futures
from collections.abc import Callable
from typing import Any

from airflow_provider_jobs.services.base import Purpose, Reply, Request, Service
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.transport.asynchronous import shared_transport
from airflow_provider_jobs.transport.blocking import BlockingTransport
from airflow_provider_jobs.transport.credentials import Credentials
from airflow_provider_jobs.transport.endpoint import Endpoint

KEY = "fc-canary-4711-0815"
KINDS = ("requests", "aiohttp")


class ImpatientLoop(asyncio.SelectorEventLoop):
    """A real event loop that notes each `asyncio.sleep` and moves its clock instead of waiting."""

    def __init__(self, on_wait: Callable[[float], None]) -> None:
        self._ahead = 0.0
        self._on_wait = on_wait
        super().__init__()

    def time(self) -> float:
        return super().time() + self._ahead

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        if callback is asyncio.futures._set_result_unless_cancelled:
            assert delay < 1e6, f"asked to sleep {delay} seconds"
            self._on_wait(delay)
            self._ahead += delay
            delay = 0.0
        return super().call_later(delay, callback, *args, context=context)


class Carrier:
    """A transport of one of the two kinds, used from plain code.

    :param on_wait: told of each pause between two attempts, which is not waited for.
    """

    def __init__(
        self,
        kind: str,
        endpoint: Endpoint,
        service: Service | None = None,
        *,
        on_wait: Callable[[float], None] | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.kind = kind
        self.endpoint = endpoint
        self.service = service or FirecrawlService()
        self.credentials = credentials or Credentials(endpoint, self.service)
        self.waits: list[float] = []
        self._on_wait = on_wait

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self._on_wait is not None:
            self._on_wait(seconds)

    def __enter__(self) -> Carrier:
        if self.kind == "requests":
            self._blocking = BlockingTransport(self.endpoint, self.credentials, sleep=self._wait)
        else:
            self._runner = asyncio.Runner(loop_factory=lambda: ImpatientLoop(self._wait))
            self._runner.__enter__()
            self._sharing = shared_transport(self.endpoint, self.credentials)
            self._transport = self._runner.run(self._sharing.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        if self.kind == "requests":
            self._blocking.close()
        else:
            self._runner.run(self._sharing.__aexit__(None, None, None))
            self._runner.__exit__(None, None, None)

    def send(self, request: Request) -> Reply:
        if self.kind == "requests":
            return self._blocking.send(request)
        return self._runner.run(self._transport.send(request))

    def run(self, flow: Any) -> Any:
        if self.kind == "requests":
            return self._blocking.run(flow)
        return self._runner.run(self._transport.run(flow))


def endpoint(url: str, token: str | None = KEY, **more: Any) -> Endpoint:
    """An endpoint whose budget never holds a request back."""
    settings = {"conn_id": "c", "base_url": url, "token": token, "max_requests_per_minute": 1e9, **more}
    return Endpoint(**settings)


def read(path: str = "/v1/thing") -> Request:
    return Request("GET", path, Purpose.READ)


def poll(path: str = "/v1/thing") -> Request:
    return Request("GET", path, Purpose.POLL)


def cancel(path: str = "/v1/thing") -> Request:
    return Request("DELETE", path, Purpose.CANCEL)


def start(path: str = "/v1/batch/scrape") -> Request:
    return Request("POST", path, Purpose.START, json={"urls": ["http://127.0.0.1/"]})


ALL = {"start": start, "poll": poll, "read": read, "cancel": cancel}

__all__ = ["ALL", "KEY", "KINDS", "Carrier", "DatafinitiService", "FirecrawlService"]
