"""Everything that the servers of one sandbox share: time, requests, faults, settings and jobs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_jobs.sandbox.settings import DatafinitiSettings, FirecrawlSettings

BODY_KEPT = 64 * 1024


class Clock:
    """Wall clock that can be moved forward."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since the epoch, as the services see them."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock and wake everyone who sleeps on it."""
        self.offset += seconds
        self.wake()

    def wake(self) -> None:
        """Let sleepers look again whether they still have to sleep."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Sleep in the time of this clock, at most until somebody wakes it and it is enough."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0 and not enough():
            try:
                await asyncio.wait_for(self._moved.wait(), left)
            except TimeoutError:
                continue

    async def moved(self) -> None:
        """Wait until somebody moves or wakes the clock."""
        await self._moved.wait()


@dataclass
class Fault:
    """One switched-on fault."""

    id: int
    service: str
    name: str
    times: int | None = 1
    method: str | None = None
    path_contains: str | None = None
    skip: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    applied: int = 0
    seen: int = 0

    def matches(self, service: str, method: str, path: str) -> bool:
        """Whether the request is one that this fault is about."""
        return (
            self.service == service
            and (self.method is None or self.method.upper() == method)
            and (self.path_contains is None or self.path_contains in path)
        )

    def as_dict(self) -> dict[str, Any]:
        """As the control API shows it."""
        return {name: value for name, value in vars(self).items() if name != "seen"}


class FaultBook:
    """The faults that are switched on, oldest first."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, **wanted: Any) -> Fault:
        """Switch a fault on."""
        fault = Fault(id=next(self._ids), **wanted)
        self.faults.append(fault)
        return fault

    def take(self, service: str, method: str, path: str) -> Fault | None:
        """The fault to apply to this request, which is counted as applied."""
        for fault in self.faults:
            if not fault.matches(service, method, path):
                continue
            if fault.times is not None and fault.applied >= fault.times:
                continue
            fault.seen += 1
            if fault.seen <= fault.skip:
                continue
            fault.applied += 1
            return fault
        return None


@dataclass
class Seen:
    """One request that arrived."""

    n: int
    time: float
    host: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    body_bytes: int
    status: int | None = None
    fault: str | None = None


class RateWindow:
    """A fixed window of 60 s that starts at the first request; refused requests count too."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def hit(self, counter: str, now: float, limit: int | None) -> tuple[int, float] | None:
        """Count a request; `(consumed, reset time)` when it is refused."""
        if limit is None:
            return None
        start, count = self._windows.get(counter, (now, 0))
        if now >= start + 60:
            start, count = now, 0
        self._windows[counter] = (start, count + 1)
        return (count + 1, start + 60) if count + 1 > limit else None


class World:
    """The state of one sandbox."""

    def __init__(self, page_seconds: float) -> None:
        self._page_seconds = page_seconds
        self.clock = Clock()
        self.urls: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fresh()

    def _fresh(self) -> None:
        self.requests: list[Seen] = []
        self.faults = FaultBook()
        self.firecrawl = FirecrawlSettings(page_seconds=self._page_seconds)
        self.datafiniti = DatafinitiSettings()
        # The jobs know their world, hence no types of theirs here.
        self.firecrawl_jobs: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.calls: list[Any] = []
        self.downloads: dict[str, Any] = {}
        self.revoked: dict[str, set[str]] = {"firecrawl": set(), "datafiniti": set()}
        self.disabled: dict[str, set[str]] = {"firecrawl": set(), "datafiniti": set()}
        self.unpaid: dict[str, set[str]] = {"firecrawl": set(), "datafiniti": set()}
        self.issued: list[str] = []
        self.secrets: list[str] = []
        self.idempotency_keys: set[str] = set()
        self.rates = RateWindow()

    def reset(self) -> None:
        """Forget everything, as after a start; running jobs end."""
        for task in self._tasks:
            task.cancel()
        self.clock.offset = 0.0
        self._fresh()

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine in the background until the sandbox ends."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End all background work."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def secret_index(self, secret: str | None) -> int | None:
        """A number that stands for a key or token, so that listings need not repeat it."""
        if not secret:
            return None
        if secret not in self.secrets:
            self.secrets.append(secret)
        return self.secrets.index(secret)
