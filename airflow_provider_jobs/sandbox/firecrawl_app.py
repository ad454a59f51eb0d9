"""The routes of the Firecrawl stand-in, v1 and v2."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox.firecrawl_account import AccountRoutes
from airflow_provider_jobs.sandbox.firecrawl_agent import AgentRoutes
from airflow_provider_jobs.sandbox.firecrawl_calls import CallRoutes
from airflow_provider_jobs.sandbox.firecrawl_checks import Start, check_batch, check_crawl
from airflow_provider_jobs.sandbox.firecrawl_crawl import Frontier, robots_of
from airflow_provider_jobs.sandbox.firecrawl_extract import ExtractRoutes
from airflow_provider_jobs.sandbox.firecrawl_guard import Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_issues import Refused
from airflow_provider_jobs.sandbox.firecrawl_jobs import END_STATES, FirecrawlJob, page_credits
from airflow_provider_jobs.sandbox.firecrawl_paging import page_of
from airflow_provider_jobs.sandbox.pages import Fetcher
from airflow_provider_jobs.sandbox.replies import express, express_404, iso, unknown_error
from airflow_provider_jobs.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]
SINCE_2026 = ("/agent", "/team/activity", "/team/queue-status")


class FirecrawlApp:
    """Answers as Firecrawl does; `build()` gives the application."""

    def __init__(self, world: World, fetcher: Fetcher) -> None:
        self._world = world
        self._fetcher = fetcher
        self._guard = Guard(world)
        self._agent = AgentRoutes(world, fetcher, self._guard)
        self._extract = ExtractRoutes(world, fetcher, self._guard)
        self._calls = CallRoutes(world, fetcher, self._guard)
        self._account = AccountRoutes(world, self._guard)

    # -- what comes before every route -------------------------------------------------------------

    def _endpoint(self, version: str, path: str, counter: str, handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            settings = self._world.firecrawl
            request.path_params["version"] = version
            if not self._has(version, path, request.method):
                return express_404(request.method, request.url.path)
            try:
                request.state.team = self._guard.team(request)
                counted = "status" if settings.old and counter == "account" else counter
                self._guard.limit_rate(counted, request.state.team)
                return await handler(request)
            except Refused as refused:
                return express(refused.body, refused.status)

        return endpoint

    def _has(self, version: str, path: str, method: str) -> bool:
        """Whether this generation of the server has the route."""
        settings = self._world.firecrawl
        if settings.old and version == "v2" and path == "/batch/scrape/{job_id}/errors":
            return False
        if path == "/scrape/{job_id}" and method == "DELETE":
            return settings.scrape_delete and version == "v1"
        if path == "/agent" and method == "GET":
            return not settings.old and settings.agent_newer
        return not (settings.old and (path.startswith(SINCE_2026) or path.endswith("/historical")))

    # -- starts ------------------------------------------------------------------------------------

    async def start_batch(self, request: Request) -> Response:
        """POST /batch/scrape."""
        version = str(request.path_params["version"])
        body = await self._guard.body(request)
        urls = body.get("urls")
        self._guard.check_credits(request.state.team, len(urls) if isinstance(urls, list) else 1)
        if version == "v1":
            self._guard.check_key(request)
        wanted = check_batch(body, version, self._world.firecrawl)
        job = self._appended(request, wanted)
        if job is None:
            job = self._new_job(request, "batch_scrape", wanted)
        answer = self._started(request, job, "batch/scrape")
        if wanted.invalid is not None:
            answer["invalidURLs"] = wanted.invalid
        return express(answer)

    async def start_crawl(self, request: Request) -> Response:
        """POST /crawl."""
        body = await self._guard.body(request)
        version = str(request.path_params["version"])
        settings, limit = self._world.firecrawl, body.get("limit")
        # With credits for a part of the pages, 2025 refuses a limit and lowers a missing one, 2026 the other way (F36).
        needed = max(1, limit) if settings.old and isinstance(limit, int) else 1
        self._guard.check_credits(request.state.team, needed)
        self._guard.check_key(request)
        wanted = check_crawl(body, version, settings)
        robots = await robots_of(self._fetcher, wanted.urls[0])
        job = self._new_job(request, "crawl", wanted)
        most = int(limit) if isinstance(limit, int | float) else 10_000
        if settings.credits is not None and settings.old == (limit is None):
            most = min(most, self._guard.credits_left())
        job.on_page = Frontier(job, body, robots, max(1, most)).page
        answer = self._started(request, job, "crawl")
        if version == "v2" and body.get("prompt"):
            # No language model here: what the prompt asks for adds nothing to what was given.
            given = {name: value for name, value in body.items() if name not in ("url", "prompt", "scrapeOptions")}
            answer |= {"promptGeneratedOptions": {}, "finalCrawlerOptions": given}
        return express(answer)

    def _new_job(self, request: Request, kind: str, wanted: Start) -> FirecrawlJob:
        world = self._world
        job = FirecrawlJob(
            world,
            self._fetcher,
            kind=kind,
            version=str(request.path_params["version"]),
            team=request.state.team,
            urls=wanted.urls,
            options=wanted.options,
            concurrency=min(wanted.max_concurrency or world.firecrawl.concurrency, world.firecrawl.concurrency),
        )
        job.crawl_options = wanted.crawl
        world.firecrawl_jobs[job.id] = job
        return job

    def _appended(self, request: Request, wanted: Start) -> FirecrawlJob | None:
        if wanted.append_to is None:
            return None
        job: FirecrawlJob | None = self._world.firecrawl_jobs.get(wanted.append_to)
        if job is None or not self._guard.owns(request, job):
            raise failure(404, "Job not found")
        job.append(wanted.urls)
        return job

    def _started(self, request: Request, job: FirecrawlJob, route: str) -> dict[str, Any]:
        address = f"{self._guard.origin(request)}/{request.path_params['version']}/{route}/{job.id}"
        return {"success": True, "id": job.id, "url": address}

    # -- one job -----------------------------------------------------------------------------------

    def _find(self, request: Request) -> FirecrawlJob | None:
        job = self._world.firecrawl_jobs.get(str(request.path_params["job_id"]))
        return None if job is None or self._guard.new_yet(job) else job

    async def status(self, request: Request) -> Response:
        """GET of a job: counters and documents."""
        settings = self._world.firecrawl
        self._guard.check_id(request)
        job = self._find(request)
        if job is None and settings.old and settings.with_database and settings.not_found_for == 0:
            raise Refused(500, unknown_error())
        if job is None or not self._guard.owns(request, job):
            raise failure(404, "Job not found")
        if job.expired:
            raise failure(404, "Job expired" if settings.old and settings.with_database else "Job not found")
        expires = iso(job.touch(), whole=True)
        if job.kickoff_failed:
            return express(_kickoff_failure(job, expires))
        query = request.query_params
        page = page_of(job, settings, query.get("skip"), query.get("limit"))
        state = job.state
        answer: dict[str, Any] = {
            "success": True,
            "status": state,
            "completed": job.completed_pages,
            "total": job.total,
            "creditsUsed": self._credits_used(job),
            "expiresAt": expires,
        }
        if request.path_params["version"] == "v2" and not settings.old:
            answer |= self._times(job, state)
        if page.next_query is not None:
            path = request.url.path.rstrip("/")
            answer["next"] = f"{self._guard.origin(request)}{path}{page.next_query}"
        answer["data"] = page.documents
        return express(answer)

    def _times(self, job: FirecrawlJob, state: str) -> dict[str, Any]:
        times: dict[str, Any] = {"createdAt": iso(job.created)}
        end = job.ended or self._world.clock.now()
        if state in END_STATES:
            times["completedAt"] = iso(end)
        times["duration"] = round(end - job.created, 3)
        if job.robots_blocked:
            times["warning"] = "Some pages were left out because the site's robots.txt asks for it"
        return times

    def _credits_used(self, job: FirecrawlJob) -> int:
        settings = self._world.firecrawl
        if settings.credits_used is not None:
            return settings.credits_used
        if settings.pagination == "C" and not job.done:
            return job.total
        return job.completed_pages * page_credits(job.options)

    async def cancel(self, request: Request) -> Response:
        """DELETE of a job."""
        settings = self._world.firecrawl
        self._guard.check_id(request, delete=True)
        job = self._find(request)
        if job is None or job.expired or job.record_gone:
            raise Refused(404, {"error": "Job not found"})
        if not self._guard.owns(request, job):
            hidden = not settings.old and request.path_params["version"] == "v2"
            raise Refused(404, {"error": "Job not found"}) if hidden else Refused(403, {"error": "Unauthorized"})
        job.deletes += 1
        if job.state in ("completed", "failed") and not settings.old:
            raise Refused(409, {"error": "Crawl is already completed"})
        # A cancel can be answered and lost (F12).
        if job.deletes > settings.cancel_ignored and job.cancelled_at is None:
            job.cancel(by_delete=True)
        if settings.cancel_reply == "message":
            return express({"success": True, "message": "Batch scrape job successfully cancelled."})
        if settings.cancel_reply == "empty":
            return Response(b"", 200, {"X-Powered-By": "Express"})
        return express({"status": "cancelled"})

    async def errors(self, request: Request) -> Response:
        """GET of the pages that failed."""
        settings = self._world.firecrawl
        self._guard.check_id(request)
        job = self._find(request)
        if job is None:
            raise failure(404, "Job not found")
        if not self._guard.owns(request, job):
            raise failure(403, "Forbidden")
        if job.expired:
            raise failure(404, "Job expired" if settings.with_database else "Job not found")
        return express({"errors": [item.as_dict() for item in job.errors], "robotsBlocked": job.robots_blocked})

    async def active(self, request: Request) -> Response:
        """GET of the crawls that are not over."""
        team = request.state.team if self._world.firecrawl.with_database else None
        crawls = [
            {
                "id": job.id,
                "teamId": "bypass" if team is None else f"team-{self._world.secret_index(job.team)}",
                "url": job.input[0],
                "created_at": iso(job.created),
                "options": job.crawl_options,
            }
            for job in self._world.firecrawl_jobs.values()
            if job.kind == "crawl" and job.state not in END_STATES and self._guard.owns(request, job)
        ]
        return express({"success": True, "crawls": crawls})

    # -- application -------------------------------------------------------------------------------

    def build(self) -> Starlette:
        """The application."""
        agent, account, calls = self._agent, self._account, self._calls
        shared: list[tuple[str, str, str, Handler]] = [
            ("POST", "/batch/scrape", "scrape", self.start_batch),
            ("POST", "/scrape", "scrape", calls.scrape),
            ("GET", "/scrape/{job_id}", "status", calls.scraped),
            ("DELETE", "/scrape/{job_id}", "status", calls.cancel),
            ("POST", "/map", "map", calls.map),
            ("POST", "/search", "search", calls.search),
            ("POST", "/crawl", "crawl", self.start_crawl),
            ("GET", "/crawl/active", "status", self.active),
            ("GET", "/crawl/ongoing", "status", self.active),
            ("POST", "/extract", "extract", self._extract.start),
            ("GET", "/extract/{job_id}", "extract_status", self._extract.status),
            ("GET", "/team/credit-usage", "account", account.credit_usage),
            ("GET", "/team/token-usage", "account", account.token_usage),
            ("GET", "/team/credit-usage/historical", "account", account.history),
            ("GET", "/team/token-usage/historical", "account", account.history),
            ("GET", "/team/queue-status", "account", account.queue_status),
            ("GET", "/concurrency-check", "status", account.concurrency),
        ]
        for path in ("/batch/scrape/{job_id}", "/crawl/{job_id}"):
            shared += [
                ("GET", path, "status", self.status),
                ("DELETE", path, "status", self.cancel),
                ("GET", path + "/errors", "status", self.errors),
            ]
        v2: list[tuple[str, str, str, Handler]] = [
            ("GET", "/team/activity", "account", account.activity),
            ("POST", "/agent", "extract", agent.start),
            ("GET", "/agent", "extract_status", agent.newest),
            ("GET", "/agent/{job_id}", "extract_status", agent.status),
            ("DELETE", "/agent/{job_id}", "extract_status", agent.cancel),
        ]
        routes = [
            Route(f"/{version}{path}", self._endpoint(version, path, counter, handler), methods=[method])
            for version, table in (("v1", shared), ("v2", [*shared, *v2]))
            for method, path, counter, handler in table
        ]
        app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        app.router.redirect_slashes = False
        return app


def _kickoff_failure(job: FirecrawlJob, expires: str) -> dict[str, Any]:
    return {
        "success": False,
        "error": job.failure,
        "status": "failed",
        "completed": 0,
        "total": 0,
        "creditsUsed": 0,
        "expiresAt": expires,
        "data": [],
    }


async def _no_route(request: Request, _: Exception) -> Response:
    return express_404(request.method, request.url.path)
