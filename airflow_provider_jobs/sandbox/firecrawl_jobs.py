"""Firecrawl jobs: pages are fetched one by one, and a cancel lets those in work end."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_jobs.sandbox.pages import Document, Fetcher, PageFailed, synthetic_document
from airflow_provider_jobs.sandbox.replies import iso
from airflow_provider_jobs.sandbox.world import World

DAY = 24 * 3600
CANCELLED_TEXT = "(Internal server error) - Parent crawl/batch scrape was cancelled"
END_STATES = {"completed", "cancelled", "failed"}


@dataclass
class PageError:
    """A page that is in no result."""

    at: float
    url: str
    code: str
    error: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def as_dict(self) -> dict[str, Any]:
        """As the errors route shows it."""
        return {"id": self.id, "timestamp": iso(self.at), "url": self.url, "code": self.code, "error": self.error}


@dataclass
class Result:
    """The document of one page; without a document when the server dropped it but counted the page."""

    at: float
    document: Document | None


class FirecrawlJob:
    """One batch scrape or crawl."""

    def __init__(
        self,
        world: World,
        fetcher: Fetcher,
        *,
        kind: str,
        version: str,
        team: str | None,
        urls: list[str],
        options: dict[str, Any],
        concurrency: int,
    ) -> None:
        settings = world.firecrawl
        self.id = str(uuid.uuid4())
        self.kind, self.version, self.team = kind, version, team
        self.input = list(urls)
        self.options = options
        self.pending = deque(urls)
        self.in_flight = 0
        self.results: list[Result] = []
        self.errors: list[PageError] = []
        self.robots_blocked: list[str] = []
        self.created = self.last_seen = world.clock.now()
        self.ended: float | None = None
        self.done = False
        self.cancelled_at: float | None = None
        self.cancelled_by_delete = False
        self.deletes = 0
        self.crawl_options: dict[str, Any] = {}
        self.failure: str | None = None
        self.record_gone = False
        self.rush = False
        self.kickoff_failed = settings.kickoff_failure
        self.hold_after = 0 if settings.hold else settings.hold_after
        self.on_page: Callable[[str, Document, Any], None] | None = None
        self.completed_pages = 0
        self._world, self._fetcher = world, fetcher
        self._concurrency = max(1, concurrency)
        self._taken = 0
        self._task: asyncio.Task[None] | None = None
        if self.kickoff_failed:
            self.failure, self.done, self.ended = "Failed to start the job", True, self.created
            self.pending.clear()
        else:
            self.start()

    def start(self) -> None:
        """Work on what is pending."""
        self.done, self.ended = False, None
        if not self.pending:
            self._end()
        elif self._task is None or self._task.done():
            self._task = self._world.spawn(self._run())

    @property
    def total(self) -> int:
        """Pages that are done or still to do; failed ones are not counted."""
        return self.completed_pages + self.in_flight + len(self.pending)

    @property
    def state(self) -> str:
        """The raw word of the service."""
        if self.failure is not None:
            return "failed"
        if self.record_gone:
            return "completed"
        if self.cancelled_at is not None:
            shown_from = self.cancelled_at + self._world.firecrawl.cancel_delay
            if not self.cancelled_by_delete or self._world.clock.now() >= shown_from:
                return "cancelled"
            return self._world.firecrawl.raw_status or "scraping"
        # The end can be noticed late, with all pages done (F29).
        if self.done and self._world.clock.now() >= (self.ended or 0) + self._world.firecrawl.end_delay:
            return "completed"
        return self._world.firecrawl.raw_status or "scraping"

    async def _run(self) -> None:
        workers = min(self._concurrency, 64)
        while not self.done:
            await asyncio.gather(*(self._worker() for _ in range(workers)))
            if self.cancelled_at is not None or not self.pending:
                self._end()

    def _held(self) -> bool:
        return self.hold_after is not None and self._taken >= self.hold_after and not self.rush

    async def _worker(self) -> None:
        while True:
            while self._held() and self.cancelled_at is None and self.failure is None:
                await self._world.clock.moved()
            if self.cancelled_at is not None or self.failure is not None:
                return
            if not self.pending:
                if self.in_flight == 0 or self.kind == "batch_scrape":
                    return
                # A page in work may still bring new links to a crawl.
                await asyncio.sleep(0.005)
                continue
            url = self.pending.popleft()
            self.in_flight += 1
            self._taken += 1
            try:
                await self._page(url)
            finally:
                self.in_flight -= 1

    async def _page(self, url: str) -> None:
        settings = self._world.firecrawl
        await self._world.clock.sleep(settings.page_seconds, lambda: self.rush or self.failure is not None)
        try:
            if settings.synthetic:
                await asyncio.sleep(0)
                document, page = synthetic_document(url), None
            else:
                document, page = await self._fetcher.document(url, self.options)
        except PageFailed as error:
            self.errors.append(PageError(self._world.clock.now(), url, error.code, str(error)))
            return
        except Exception as error:
            # A page that breaks the conversion must not leave the job running for ever.
            self.errors.append(PageError(self._world.clock.now(), url, "UNKNOWN_ERROR", repr(error)[:200]))
            return
        if self.failure is not None:
            return
        self.results.append(Result(self._world.clock.now(), document))
        self.completed_pages += 1
        if self.on_page is not None:
            self.on_page(url, document, page)

    def _end(self) -> None:
        """Nothing is in work any more."""
        if self.cancelled_at is not None:
            if self._stuck():
                self.done = True
                return
            now = self._world.clock.now()
            self.errors += [PageError(now, url, "UNKNOWN_ERROR", CANCELLED_TEXT) for url in self.pending]
            self.pending.clear()
        self.done = True
        if self.ended is None:
            self.ended = self._world.clock.now()
        if self._world.firecrawl.old and not self._world.firecrawl.with_database:
            drop_old_results(self._world)

    def _stuck(self) -> bool:
        """A held job has no worker; in 2025 nothing else took the waiting pages from the queue."""
        return self.hold_after is not None and not self.rush and self._world.firecrawl.old

    def cancel(self, *, by_delete: bool) -> None:
        """Let the pages in work end and take no more."""
        self.cancelled_at = self._world.clock.now()
        self.cancelled_by_delete = by_delete
        if self.done:
            return
        self.ended = self.cancelled_at
        if self.in_flight == 0:
            self._end()
        self._world.clock.wake()

    def fail(self, text: str) -> None:
        """End as failed."""
        self.failure = text
        self.pending.clear()
        self.done, self.ended = True, self._world.clock.now()
        self._world.clock.wake()

    async def finish(self) -> None:
        """Do all that is left at once."""
        self.rush = True
        self._world.clock.wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=30)

    def append(self, urls: list[str]) -> None:
        """Go on with more pages; a completed job becomes a running one again."""
        self.input += urls
        self.pending.extend(urls)
        if self.done:
            self.start()

    def expire_results(self) -> None:
        """Lose all documents while everything is still counted."""
        for result in self.results:
            result.document = None

    def touch(self) -> float:
        """Renew the record, as each GET does; answers when it expires."""
        now = self._world.clock.now()
        if self.record_gone:
            return now
        self.last_seen = now
        return now + DAY

    @property
    def expired(self) -> bool:
        """Whether the record has not been asked for in 24 h."""
        if not self.done:
            return False
        ended = self.ended or self.created
        base = ended if self.record_gone else max(ended, self.last_seen)
        return self._world.clock.now() > base + DAY

    def as_dict(self) -> dict[str, Any]:
        """As the control API lists it."""
        return {
            "id": self.id,
            "service": "firecrawl",
            "kind": self.kind,
            "api_version": self.version,
            "state": self.state,
            "started_at": self.created,
            "ended_at": self.ended,
            "deletes": self.deletes,
            "cancelled_by_delete": self.cancelled_by_delete,
            "completed": self.completed_pages,
            "total": self.total,
            "in_work": self.in_flight,
            "team": self._world.secret_index(self.team),
            "input": self.input,
        }


def page_credits(options: dict[str, Any]) -> int:
    """What a page costs: more when a model reads it."""
    formats = options.get("formats") or []
    read = any(item == "json" or (isinstance(item, dict) and item.get("type") == "json") for item in formats)
    return 5 if read else 1


def drop_old_results(world: World) -> None:
    """Without a database, page results older than an hour go when any job finishes (F33)."""
    limit = world.clock.now() - 3600
    for job in world.firecrawl_jobs.values():
        for item in job.results:
            if item.at < limit:
                item.document = None
        job.errors = [item for item in job.errors if item.at >= limit]
