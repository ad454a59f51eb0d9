"""Firecrawl's work that ends in one answer: agent runs, extractions and scrapes of one page."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_jobs.sandbox.pages import Document, Fetcher, PageFailed, synthetic_document
from airflow_provider_jobs.sandbox.world import World

RUNNING = {"agent": "processing", "extract": "processing", "scrape": "scraping"}
CREDIT_LIMIT = "credit_limit_reached"
NOT_READ = "None of the pages could be read"
FILLER = "Filler. "


@dataclass
class Call:
    """A map or search: it answers at once and leaves nothing but a line among the activity."""

    kind: str
    version: str
    team: str | None
    input: list[str]
    created: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Run:
    """One agent run, extraction or scrape. It reads its urls one by one: each of them is a step."""

    def __init__(
        self,
        world: World,
        fetcher: Fetcher,
        *,
        kind: str,
        version: str,
        team: str | None,
        body: dict[str, Any],
        urls: list[str],
        options: dict[str, Any] | None = None,
        step_credits: int = 1,
        max_credits: float | None = None,
    ) -> None:
        settings = world.firecrawl
        self.id = str(uuid.uuid4())
        self.kind, self.version, self.team = kind, version, team
        self.body = body
        self.input = list(urls) or [str(body.get("prompt") or "")]
        self.created = world.clock.now()
        self.ended: float | None = None
        self.in_work = 0
        self.documents: list[Document] = []
        self.problem: PageFailed | None = None
        self.error: Any = None
        self.stop_reason: str | None = None
        self.partial: Any = None
        self.answer: Any = None
        self.credits = 0
        self.cancelled_at: float | None = None
        self.cancelled_by_delete = False
        self.deletes = 0
        self.result_gone = self.record_gone = False
        # An extraction that a server of 2025 runs inside the POST has no record to ask for.
        self.hidden = False
        # A scrape that goes on after its 408 waits for the same request.
        self.unclaimed = False
        self._world, self._fetcher = world, fetcher
        self._steps: list[str | None] = list(urls) or [None]
        self._done_steps = 0
        self._options = options or {}
        self._step_credits, self._max_credits = step_credits, max_credits
        self._hold_after = 0 if settings.hold else settings.hold_after
        self._rush = self._failed = False
        self._task = world.spawn(self._run())

    @property
    def state(self) -> str:
        """`completed`, `failed`, `cancelled`, or the service's word for work that goes on."""
        now, settings = self._world.clock.now(), self._world.firecrawl
        running = settings.raw_status or RUNNING[self.kind]
        if self.ended is None:
            return running
        if self.cancelled_at is not None:
            late = self.cancelled_by_delete and now < self.cancelled_at + settings.cancel_delay
            return running if late else "cancelled"
        if self._failed:
            return "failed"
        return running if now < self.ended + settings.end_delay else "completed"

    @property
    def over(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ("completed", "failed", "cancelled")

    @property
    def page(self) -> Document | None:
        """The document of the first page that was read."""
        return self.documents[0] if self.documents else None

    # -- work --------------------------------------------------------------------------------------

    def _held(self) -> bool:
        return self._hold_after is not None and self._done_steps >= self._hold_after and not self._rush

    def _stopped(self) -> bool:
        return self.cancelled_at is not None or self._failed

    async def _run(self) -> None:
        for url in self._steps:
            while self._held() and not self._stopped():
                await self._world.clock.moved()
            if self._stopped():
                break
            if self._max_credits is not None and self.credits + self._step_credits > self._max_credits:
                self.fail("The credit limit of the run was reached", CREDIT_LIMIT, self._data() or None)
                return
            self.in_work = 1
            await self._step(url)
            self.in_work = 0
            self._done_steps += 1
        while self._held() and not self._stopped():
            await self._world.clock.moved()
        if self._failed:
            return
        if self.cancelled_at is None:
            if self._steps[0] is not None and not self.documents:
                self.error, self._failed = NOT_READ, True
            elif self.answer is None:
                self.answer = self._data()
        self.ended = self._world.clock.now()
        self._world.clock.wake()

    async def _step(self, url: str | None) -> None:
        """Read one page; what has begun is finished and billed."""
        settings = self._world.firecrawl
        await self._world.clock.sleep(settings.page_seconds, lambda: self._rush or self._failed)
        if self._failed:
            return
        try:
            if url is not None:
                document = await self._document(url)
                if self.kind == "scrape":
                    document["metadata"]["scrapeId"] = self.id
                self.documents.append(document)
        except PageFailed as problem:
            self.problem = problem
            return
        except Exception as problem:
            # A page that breaks the conversion must not leave the run going for ever.
            self.problem = PageFailed("UNKNOWN_ERROR", repr(problem)[:200])
            return
        self.credits += self._step_credits

    async def _document(self, url: str) -> Document:
        if self._world.firecrawl.synthetic:
            return synthetic_document(url)
        return (await self._fetcher.document(url, self._options))[0]

    def _data(self) -> Any:
        """No language model here: properties that the first page's metadata knows are filled, others are null."""
        metadata: dict[str, Any] = self.documents[0]["metadata"] if self.documents else {}
        schema = self.body.get("schema")
        names = schema.get("properties") if isinstance(schema, dict) else None
        if isinstance(names, dict):
            data = {name: metadata.get(name) for name in names}
        elif self._steps[0] is None:
            data = {"answer": f"Invented answer to: {self.body.get('prompt')}"}
        else:
            pages = [document["metadata"] for document in self.documents]
            data = {"pages": [{"url": item["sourceURL"], "title": item.get("title")} for item in pages]}
        missing = (self._world.firecrawl.content_bytes or 0) - len(json.dumps(data))
        if missing > 0:
            data["filler"] = (FILLER * (missing // len(FILLER) + 1))[:missing]
        return data

    # -- what the control API and the service do to it -----------------------------------------------

    def cancel(self, *, by_delete: bool) -> None:
        """Let the step in work end and begin no other."""
        if self.cancelled_at is None and self.ended is None:
            self.cancelled_at = self._world.clock.now()
            self.cancelled_by_delete = by_delete
            if not self.in_work:
                self.ended = self.cancelled_at
            self._world.clock.wake()

    def fail(self, error: Any, stop_reason: str | None = None, partial: Any = None) -> None:
        """End as failed; the error may be an object, as servers of 2025 send it."""
        self.error, self.stop_reason, self.partial = error, stop_reason, partial
        self._failed, self.cancelled_at = True, None
        self.ended = self._world.clock.now()
        self._world.clock.wake()

    async def finish(self, answer: Any = None) -> None:
        """Do all that is left at once, with this answer instead of the usual one."""
        if answer is not None:
            self.answer = answer
        self._rush = True
        self._world.clock.wake()
        await asyncio.wait({self._task}, timeout=30)

    async def wait(self, seconds: float | None) -> bool:
        """Whether the work ends within this time; without one it is waited for."""
        await asyncio.wait({self._task}, timeout=seconds)
        return self.ended is not None

    def expire_results(self) -> None:
        """Lose the answer while the end is still known."""
        self.result_gone = True

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
            "completed": self._done_steps,
            "total": len(self._steps),
            "in_work": self.in_work,
            "credits": self.credits,
            "team": self._world.secret_index(self.team),
            "input": self.input,
        }
