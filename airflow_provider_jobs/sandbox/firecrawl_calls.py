"""Firecrawl's calls, which answer with their result: scrape, map and search; and the page of a scrape by its id."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_jobs.sandbox.firecrawl_checks import check_scrape
from airflow_provider_jobs.sandbox.firecrawl_find import addresses_of, check_map, check_search, found_by
from airflow_provider_jobs.sandbox.firecrawl_guard import Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_issues import Refused
from airflow_provider_jobs.sandbox.firecrawl_jobs import DAY, page_credits
from airflow_provider_jobs.sandbox.firecrawl_runs import Call, Run
from airflow_provider_jobs.sandbox.pages import ALL_FAILED, Document, Fetcher, PageFailed
from airflow_provider_jobs.sandbox.replies import express, unknown_error
from airflow_provider_jobs.sandbox.world import World

SECONDS = {"v1": 30.0, "v2": 60.0}
LONGEST = 300_000
RETRY_AFTER = 1
TIMED_OUT = "Scrape timed out"
CONTINUES = "The scrape goes on: the same request joins it"


class CallRoutes:
    """Scrape, map and search."""

    def __init__(self, world: World, fetcher: Fetcher, guard: Guard) -> None:
        self._world, self._fetcher, self._guard = world, fetcher, guard

    # -- scrape ------------------------------------------------------------------------------------

    async def scrape(self, request: Request) -> Response:
        """POST /scrape: one page, waited for."""
        body = await self._guard.body(request)
        self._guard.check_credits(request.state.team, 1)
        settings, version = self._world.firecrawl, str(request.path_params["version"])
        wanted = check_scrape(body, version, settings)
        continues = settings.scrape_continues and not settings.old
        run = self._joined(request, body) if continues else None
        if run is None:
            run = Run(
                self._world,
                self._fetcher,
                kind="scrape",
                version=version,
                team=request.state.team,
                body=body,
                urls=wanted.urls,
                options={**wanted.options, "timeout": LONGEST} if continues else wanted.options,
                step_credits=page_credits(wanted.options),
            )
            self._world.runs[run.id] = run
        run.unclaimed = False
        seconds = _seconds(body, version)
        if not await run.wait(seconds) and continues:
            run.unclaimed = True
            details = {"state": "processing_continues", "retryAfterSeconds": RETRY_AFTER}
            told = {"success": False, "code": "SCRAPE_TIMEOUT", "error": CONTINUES, "details": details}
            return express(told, 408)
        if run.ended is None:
            run.problem = PageFailed("SCRAPE_TIMEOUT", TIMED_OUT)
            run.fail(TIMED_OUT)
        return self._scraped(run)

    def _joined(self, request: Request, body: dict[str, Any]) -> Run | None:
        """The scrape that an earlier, equal request has not waited for to the end."""
        for run in self._world.runs.values():
            same = run.kind == "scrape" and run.unclaimed and run.body == body
            if same and run.version == request.path_params["version"] and run.team == request.state.team:
                found: Run = run
                return found
        return None

    def _scraped(self, run: Run) -> Response:
        if run.page is not None and run.state != "failed":
            return express({"success": True, "data": run.page})
        old = self._world.firecrawl.old
        if run.cancelled_at is not None:
            problem = PageFailed("UNKNOWN_ERROR" if old else "SCRAPE_JOB_CANCELLED", "The scrape was cancelled")
        else:
            problem = run.problem or PageFailed("SCRAPE_ALL_ENGINES_FAILED", str(run.error or ALL_FAILED))
        status = {"SCRAPE_TIMEOUT": 408, "SCRAPE_DNS_RESOLUTION_ERROR": 500 if old else 200}.get(problem.code, 500)
        return express({"success": False, "code": problem.code, "error": str(problem)}, status)

    def _page(self, request: Request) -> tuple[Run | None, Document | None]:
        """The scrape of this id and its page; pages of batch scrapes and crawls have such ids, too."""
        wanted = str(request.path_params["job_id"])
        since = self._world.clock.now() - DAY
        for run in self._world.runs.values():
            if run.id == wanted and run.kind == "scrape" and run.created >= since:
                return (run, run.page) if self._allowed(request, run) else (None, None)
        for job in self._world.firecrawl_jobs.values():
            for result in job.results:
                known = result.document is not None and result.document["metadata"]["scrapeId"] == wanted
                if known and result.at >= since and self._allowed(request, job):
                    return None, result.document
        return None, None

    def _allowed(self, request: Request, job: Any) -> bool:
        if not self._guard.owns(request, job):
            raise failure(403, "You are not allowed to access this resource.")
        return True

    async def scraped(self, request: Request) -> Response:
        """GET of one page by its scrapeId."""
        settings = self._world.firecrawl
        if settings.old and not settings.with_database:
            raise Refused(500, unknown_error())
        self._guard.check_id(request)
        _, document = self._page(request)
        if document is None:
            raise failure(404, "Job not found.")
        return express({"success": True, "data": document})

    async def cancel(self, request: Request) -> Response:
        """DELETE of a scrape, which one page of the documentation has and no server that was read."""
        run, document = self._page(request)
        if run is None and document is None:
            raise Refused(404, {"error": "Job not found"})
        if run is not None:
            run.deletes += 1
            run.cancel(by_delete=True)
        return express({"status": "cancelled"})

    # -- map and search ----------------------------------------------------------------------------

    async def map(self, request: Request) -> Response:
        """POST /map: the addresses of a site, which are those that its page links to."""
        body, version = await self._begin(request)
        wanted = check_map(body, version, self._world.firecrawl)
        seconds = _seconds(body, version)
        self._called(request, "map", wanted.url)
        await self._work("MAP_TIMEOUT", "Map timed out", seconds)
        try:
            page = await self._fetcher.get(wanted.url, {"timeout": seconds * 1000})
        except PageFailed as problem:
            if problem.code == "SCRAPE_TIMEOUT":
                raise _timed_out("MAP_TIMEOUT", "Map timed out") from None
            return express({"success": True, "links": [wanted.url] if version == "v1" else [{"url": wanted.url}]})
        soup = BeautifulSoup(page.text, "html.parser")
        links = addresses_of(soup, page, wanted)
        return express({"success": True, "links": [link["url"] for link in links] if version == "v1" else links})

    async def search(self, request: Request) -> Response:
        """POST /search: articles of the sandbox's own website whose title has a word of the query."""
        body, version = await self._begin(request)
        wanted = check_search(body, version, self._world.firecrawl)
        self._called(request, "search", wanted.query)
        await self._work("SCRAPE_TIMEOUT", TIMED_OUT, _seconds(body, "v2"))
        found = found_by(wanted, str(self._world.urls["site"]))
        if wanted.page_options:
            for result in found:
                result |= await self._read(result["url"], wanted.page_options)
        told: dict[str, Any] = {} if found else {"warning": "No search results found"}
        if version == "v1":
            return express({"success": True, "data": found, **told})
        data = {source: found if source == "web" else [] for source in wanted.sources}
        return express({"success": True, "data": data, **told})

    async def _read(self, url: str, options: dict[str, Any]) -> Document:
        try:
            return (await self._fetcher.document(url, options))[0]
        except PageFailed as problem:
            return {"metadata": {"sourceURL": url, "statusCode": 500, "error": str(problem)}}

    async def _begin(self, request: Request) -> tuple[dict[str, Any], str]:
        body = await self._guard.body(request)
        self._guard.check_credits(request.state.team, 1)
        return body, str(request.path_params["version"])

    def _called(self, request: Request, kind: str, target: str) -> None:
        version, now = str(request.path_params["version"]), self._world.clock.now()
        self._world.calls.append(Call(kind, version, request.state.team, [target], now))

    async def _work(self, code: str, text: str, seconds: float) -> None:
        needed = self._world.firecrawl.page_seconds
        await self._world.clock.sleep(min(needed, seconds))
        if needed > seconds:
            raise _timed_out(code, text)


def _timed_out(code: str, text: str) -> Refused:
    return Refused(408, {"success": False, "code": code, "error": text})


def _seconds(body: dict[str, Any], version: str) -> float:
    given = body.get("timeout")
    return SECONDS[version] if given is None else float(given) / 1000
