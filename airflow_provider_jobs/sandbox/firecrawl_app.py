"""The routes of the Firecrawl stand-in, v1 and v2."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox.firecrawl_checks import Refused, Start, check_batch, check_crawl
from airflow_provider_jobs.sandbox.firecrawl_crawl import Frontier, robots_of
from airflow_provider_jobs.sandbox.firecrawl_guard import Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_jobs import DAY, END_STATES, FirecrawlJob
from airflow_provider_jobs.sandbox.firecrawl_paging import page_of
from airflow_provider_jobs.sandbox.pages import Fetcher, PageFailed
from airflow_provider_jobs.sandbox.replies import express, express_404, iso, unknown_error
from airflow_provider_jobs.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]


class FirecrawlApp:
    """Answers as Firecrawl does; `build()` gives the application."""

    def __init__(self, world: World, fetcher: Fetcher) -> None:
        self._world = world
        self._fetcher = fetcher
        self._guard = Guard(world)

    # -- what comes before every route -------------------------------------------------------------

    def _guarded(self, counter: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                request.state.team = self._guard.team(request)
                self._guard.limit_rate(counter, request.state.team)
                return await handler(request)
            except Refused as refused:
                return express(refused.body, refused.status)

        return guarded

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
        limit = body.get("limit")
        self._guard.check_credits(request.state.team, max(1, limit) if isinstance(limit, int) else 1)
        self._guard.check_key(request)
        wanted = check_crawl(body, version, self._world.firecrawl)
        robots = await robots_of(self._fetcher, wanted.urls[0])
        job = self._new_job(request, "crawl", wanted)
        most = int(limit) if isinstance(limit, int | float) else 10_000
        if self._world.firecrawl.credits is not None:
            most = min(most, self._guard.credits_left())
        job.on_page = Frontier(job, body, robots, max(1, most)).page
        return express(self._started(request, job, "crawl"))

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
        if job is None or not self._owns(request, job):
            raise failure(404, "Job not found")
        job.append(wanted.urls)
        return job

    def _started(self, request: Request, job: FirecrawlJob, route: str) -> dict[str, Any]:
        address = f"{self._guard.origin(request)}/{request.path_params['version']}/{route}/{job.id}"
        return {"success": True, "id": job.id, "url": address}

    async def scrape(self, request: Request) -> Response:
        """POST /scrape."""
        body = await self._guard.body(request)
        self._guard.check_credits(request.state.team, 1)
        options = {name: value for name, value in body.items() if name != "url"}
        version = str(request.path_params["version"])
        wanted = check_batch({"urls": [body.get("url", "")], **options}, version, self._world.firecrawl)
        try:
            document, _ = await self._fetcher.document(wanted.urls[0], wanted.options)
        except PageFailed as error:
            status = 408 if error.code == "SCRAPE_TIMEOUT" else 500
            return express({"success": False, "code": error.code, "error": str(error)}, status)
        return express({"success": True, "data": document})

    # -- one job -----------------------------------------------------------------------------------

    def _owns(self, request: Request, job: FirecrawlJob) -> bool:
        return not self._world.firecrawl.with_database or job.team == request.state.team

    def _find(self, request: Request) -> FirecrawlJob | None:
        job = self._world.firecrawl_jobs.get(str(request.path_params["job_id"]))
        if job is not None and self._world.clock.now() < job.created + self._world.firecrawl.not_found_for:
            return None
        return job

    def _check_id(self, request: Request, *, delete: bool = False) -> None:
        settings = self._world.firecrawl
        if settings.old or (delete and request.path_params["version"] == "v1"):
            return
        try:
            uuid.UUID(str(request.path_params["job_id"]))
        except ValueError:
            text = "Invalid job ID format. Job ID must be a valid UUID."
            raise failure(400, text) from None

    async def status(self, request: Request) -> Response:
        """GET of a job: counters and documents."""
        settings = self._world.firecrawl
        self._check_id(request)
        job = self._find(request)
        if job is None and settings.old and settings.with_database and settings.not_found_for == 0:
            raise Refused(500, unknown_error())
        if job is None or not self._owns(request, job):
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
        return times

    def _credits_used(self, job: FirecrawlJob) -> int:
        settings = self._world.firecrawl
        if settings.credits_used is not None:
            return settings.credits_used
        if settings.pagination == "C" and not job.done:
            return job.total
        return job.completed_pages * (5 if job.with_json else 1)

    async def cancel(self, request: Request) -> Response:
        """DELETE of a job."""
        settings = self._world.firecrawl
        self._check_id(request, delete=True)
        job = self._find(request)
        if job is None or job.expired or job.record_gone:
            raise Refused(404, {"error": "Job not found"})
        if not self._owns(request, job):
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
        if settings.old and request.path_params["version"] == "v2" and "/batch/" in request.url.path:
            return express_404(request.method, request.url.path)
        self._check_id(request)
        job = self._find(request)
        if job is None:
            raise failure(404, "Job not found")
        if not self._owns(request, job):
            raise failure(403, "Forbidden")
        if job.expired:
            raise failure(404, "Job expired" if settings.with_database else "Job not found")
        return express({"errors": [item.as_dict() for item in job.errors], "robotsBlocked": job.robots_blocked})

    # -- account -----------------------------------------------------------------------------------

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
            if job.kind == "crawl" and job.state not in END_STATES and self._owns(request, job)
        ]
        return express({"success": True, "crawls": crawls})

    async def credit_usage(self, request: Request) -> Response:
        """GET of the credits that are left."""
        left = self._guard.credits_left()
        if request.path_params["version"] == "v1":
            return express({"success": True, "data": {"remaining_credits": left}})
        data: dict[str, Any] = {"remainingCredits": left}
        if not self._world.firecrawl.old:
            data |= {"planCredits": 100_000, "billingPeriodStart": None, "billingPeriodEnd": None}
        return express({"success": True, "data": data})

    async def queue_status(self, request: Request) -> Response:
        """GET of the pages that wait and are in work."""
        settings = self._world.firecrawl
        if settings.old:
            return express_404(request.method, request.url.path)
        jobs = [job for job in self._world.firecrawl_jobs.values() if self._owns(request, job)]
        active = sum(job.in_flight for job in jobs)
        waiting = sum(len(job.pending) for job in jobs)
        ends = [job.ended for job in jobs if job.ended is not None and job.state == "completed"]
        return express(
            {
                "success": True,
                "jobsInQueue": active + waiting,
                "activeJobsInQueue": active,
                "waitingJobsInQueue": waiting,
                "maxConcurrency": settings.concurrency,
                "mostRecentSuccess": iso(max(ends)) if ends else None,
            }
        )

    async def activity(self, request: Request) -> Response:
        """GET of what was started in the last 24 h, newest first; the way to find an id that was lost."""
        settings = self._world.firecrawl
        if settings.old or request.path_params["version"] == "v1":
            return express_404(request.method, request.url.path)
        query = request.query_params
        since = self._world.clock.now() - DAY
        found = [
            {
                "id": job.id,
                "endpoint": job.kind,
                "api_version": job.version,
                "created_at": iso(job.created),
                "target": job.input[0] if job.input else None,
            }
            for job in reversed(self._world.firecrawl_jobs.values())
            if job.created >= since and self._owns(request, job) and query.get("endpoint") in (None, job.kind)
        ]
        start = int(query.get("cursor") or 0)
        end = start + min(100, max(1, int(query.get("limit") or 50)))
        more = end < len(found)
        body = {"success": True, "data": found[start:end], "cursor": str(end) if more else None, "has_more": more}
        return express(body)

    async def concurrency(self, request: Request) -> Response:
        """GET of the concurrency in use."""
        settings = self._world.firecrawl
        if settings.old and not settings.with_database:
            raise Refused(500, unknown_error())
        jobs = [job for job in self._world.firecrawl_jobs.values() if self._owns(request, job)]
        active = sum(job.in_flight for job in jobs)
        return express({"success": True, "concurrency": active, "maxConcurrency": settings.concurrency})

    # -- application -------------------------------------------------------------------------------

    def build(self) -> Starlette:
        """The application."""
        routes = []

        def add(path: str, method: str, counter: str, handler: Handler) -> None:
            for version in ("v1", "v2"):
                guarded = _for_version(version, self._guarded(counter, handler))
                routes.append(Route(f"/{version}{path}", guarded, methods=[method]))

        add("/batch/scrape", "POST", "scrape", self.start_batch)
        add("/scrape", "POST", "scrape", self.scrape)
        add("/crawl", "POST", "crawl", self.start_crawl)
        add("/crawl/active", "GET", "status", self.active)
        add("/crawl/ongoing", "GET", "status", self.active)
        for path in ("/batch/scrape", "/crawl"):
            add(path + "/{job_id}", "GET", "status", self.status)
            add(path + "/{job_id}", "DELETE", "status", self.cancel)
            add(path + "/{job_id}/errors", "GET", "status", self.errors)
        add("/team/credit-usage", "GET", "account", self.credit_usage)
        add("/team/queue-status", "GET", "account", self.queue_status)
        add("/team/activity", "GET", "account", self.activity)
        add("/concurrency-check", "GET", "account", self.concurrency)
        app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        app.router.redirect_slashes = False
        return app


def _for_version(version: str, handler: Handler) -> Handler:
    async def endpoint(request: Request) -> Response:
        request.path_params["version"] = version
        return await handler(request)

    return endpoint


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
