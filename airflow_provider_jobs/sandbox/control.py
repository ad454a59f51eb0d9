"""The control API: what was received, and switches that no client of the services has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox import faults
from airflow_provider_jobs.sandbox.datafiniti_jobs import Download
from airflow_provider_jobs.sandbox.firecrawl_jobs import FirecrawlJob
from airflow_provider_jobs.sandbox.firecrawl_runs import Run
from airflow_provider_jobs.sandbox.settings import UnknownSetting
from airflow_provider_jobs.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]
Job = FirecrawlJob | Run | Download
FAULT_HOSTS = {"firecrawl", "datafiniti", "files", "site", "stranger"}
TOKEN_ACTIONS = {"revoke", "add", "disable", "payment"}
NOTE = "A local stand-in for development and tests. It is neither Firecrawl nor Datafiniti."


class ControlApp:
    """Steers one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def root(self, request: Request) -> Response:
        """What this is."""
        return JSONResponse({"stand_in": True, "note": NOTE, "urls": self._world.urls})

    async def requests(self, request: Request) -> Response:
        """The requests received so far."""
        query = request.query_params
        host, method, part = query.get("host"), query.get("method"), query.get("path_contains")
        found = [
            asdict(seen)
            for seen in self._world.requests
            if (host is None or seen.host == host)
            and (method is None or seen.method == method.upper())
            and (part is None or part in seen.path)
        ]
        return JSONResponse(found)

    async def jobs(self, request: Request) -> Response:
        """The jobs started so far."""
        service = request.query_params.get("service")
        everything: list[Job] = [
            *self._world.firecrawl_jobs.values(),
            *self._world.runs.values(),
            *self._world.downloads.values(),
        ]
        listed = [job.as_dict() for job in sorted(everything, key=_start_of)]
        return JSONResponse([job for job in listed if service is None or job["service"] == service])

    def _job(self, request: Request) -> Job:
        job_id = str(request.path_params["job_id"])
        for place in (self._world.firecrawl_jobs, self._world.runs, self._world.downloads):
            if job_id in place:
                job: Job = place[job_id]
                return job
        raise HTTPException(404, f"no job {job_id}")

    async def job(self, request: Request) -> Response:
        """One job."""
        return JSONResponse(self._job(request).as_dict())

    async def act(self, request: Request) -> Response:
        """Do something to a job."""
        body = await _body(request)
        job = self._job(request)
        shown = job.as_dict()
        if isinstance(job, FirecrawlJob):
            await self._act_firecrawl(job, body)
        elif isinstance(job, Run):
            await self._act_run(job, body)
        else:
            self._act_download(job, body)
        if body.get("action") != "forget":
            shown = job.as_dict()
        return JSONResponse(shown)

    async def _act_firecrawl(self, job: FirecrawlJob, body: dict[str, Any]) -> None:
        action = body.get("action")
        if action == "finish":
            await job.finish()
        elif action == "fail":
            job.fail(str(body.get("error", "The job failed")))
        elif action == "cancel":
            job.cancel(by_delete=False)
        elif action == "forget":
            job.fail("forgotten")
            del self._world.firecrawl_jobs[job.id]
        elif action == "expire_results":
            job.expire_results()
        elif action == "append":
            job.append(list(body.get("urls") or job.input[:1]))
        elif action == "lose_record":
            # What is left after the short-lived record is gone reads completed, also when it was cancelled.
            job.record_gone = True
        else:
            raise HTTPException(400, f"unknown action {action!r}")

    async def _act_run(self, run: Run, body: dict[str, Any]) -> None:
        action = body.get("action")
        if action == "finish":
            await run.finish(body.get("data"))
        elif action == "fail":
            run.fail(body.get("error", "The job failed"), body.get("stop_reason"), body.get("partial"))
        elif action == "cancel":
            run.cancel(by_delete=False)
        elif action == "forget":
            run.fail("forgotten")
            del self._world.runs[run.id]
        elif action == "expire_results":
            run.expire_results()
        elif action == "lose_record":
            run.record_gone = True
        else:
            raise HTTPException(400, f"unknown action {action!r} for {run.kind}")

    def _act_download(self, job: Download, body: dict[str, Any]) -> None:
        action = body.get("action")
        if action == "finish":
            job.complete()
        elif action == "fail":
            job.fail()
        elif action == "cancel":
            job.cancel(by_delete=False)
        elif action == "forget":
            job.gone = True
        elif action == "expire_results":
            job.expire_results()
        else:
            raise HTTPException(400, f"unknown action {action!r} for a download")

    async def settings(self, request: Request) -> Response:
        """Change settings and show all."""
        body = await _body(request) if request.method == "POST" else {}
        firecrawl, datafiniti = self._world.firecrawl, self._world.datafiniti
        try:
            firecrawl.merge(body.get("firecrawl") or {})
            datafiniti.merge(body.get("datafiniti") or {})
        except UnknownSetting as error:
            raise HTTPException(400, str(error)) from None
        return JSONResponse({"firecrawl": firecrawl.as_dict(), "datafiniti": datafiniti.as_dict()})

    async def add_fault(self, request: Request) -> Response:
        """Switch a fault on."""
        body = await _body(request)
        if body.get("service") not in FAULT_HOSTS:
            raise HTTPException(400, f"service must be one of {sorted(FAULT_HOSTS)}")
        if body.get("name") not in faults.NAMES:
            raise HTTPException(400, f"name must be one of {sorted(faults.NAMES)}")
        known = ("service", "name", "times", "method", "path_contains", "skip", "params")
        fault = self._world.faults.add(**{name: body[name] for name in known if name in body})
        return JSONResponse({"id": fault.id})

    async def show_faults(self, request: Request) -> Response:
        """The faults, with how often each was applied."""
        return JSONResponse([fault.as_dict() for fault in self._world.faults.faults])

    async def clear_faults(self, request: Request) -> Response:
        """Switch all faults off."""
        self._world.faults.faults.clear()
        return JSONResponse({"cleared": True})

    async def reset(self, request: Request) -> Response:
        """Forget everything."""
        self._world.reset()
        return JSONResponse({"reset": True})

    async def clock(self, request: Request) -> Response:
        """Move the clock forward."""
        body = await _body(request)
        self._world.clock.advance(float(body.get("advance", 0)))
        return JSONResponse({"now": self._world.clock.now(), "offset": self._world.clock.offset})

    async def tokens(self, request: Request) -> Response:
        """Change what a key or token may do."""
        body = await _body(request)
        service, action, token = str(body.get("service")), body.get("action"), str(body.get("token"))
        if service not in self._world.revoked or action not in TOKEN_ACTIONS:
            raise HTTPException(400, f"service is firecrawl or datafiniti, action one of {sorted(TOKEN_ACTIONS)}")
        if action == "add":
            self._add_token(service, token)
        else:
            places = {"revoke": self._world.revoked, "disable": self._world.disabled, "payment": self._world.unpaid}
            places[str(action)][service].add(token)
        return JSONResponse({"done": True})

    def _add_token(self, service: str, token: str) -> None:
        for place in (self._world.revoked, self._world.disabled, self._world.unpaid):
            place[service].discard(token)
        if service == "datafiniti":
            if token not in self._world.datafiniti.tokens:
                self._world.datafiniti.tokens = [*self._world.datafiniti.tokens, token]
        elif self._world.firecrawl.keys is not None and token not in self._world.firecrawl.keys:
            self._world.firecrawl.keys = [*self._world.firecrawl.keys, token]

    def build(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self.root, methods=["GET"]),
            Route("/requests", self.requests, methods=["GET"]),
            Route("/jobs", self.jobs, methods=["GET"]),
            Route("/jobs/{job_id}", self.job, methods=["GET"]),
            Route("/jobs/{job_id}", self.act, methods=["POST"]),
            Route("/settings", self.settings, methods=["GET", "POST"]),
            Route("/faults", self.show_faults, methods=["GET"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/clock", self.clock, methods=["POST"]),
            Route("/tokens", self.tokens, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


def _start_of(job: Job) -> float:
    return job.started if isinstance(job, Download) else job.created


async def _refused(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse({"stand_in": True, "error": exc.detail}, exc.status_code)
