"""The routes of Firecrawl Agent: v2 of servers of 2026 only."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_jobs.sandbox.firecrawl_checks import (
    check_zdr,
    common_issues,
    normal_url,
    prompt_issues,
    url_issues,
)
from airflow_provider_jobs.sandbox.firecrawl_guard import Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_issues import (
    Issue,
    bad_request,
    type_name,
    typed,
    unknown_keys,
    wrong_type,
)
from airflow_provider_jobs.sandbox.firecrawl_jobs import DAY
from airflow_provider_jobs.sandbox.firecrawl_runs import Run
from airflow_provider_jobs.sandbox.pages import Fetcher
from airflow_provider_jobs.sandbox.replies import express, iso
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings
from airflow_provider_jobs.sandbox.world import World

KNOWN = {
    "prompt", "urls", "schema", "strictConstrainToURLs", "maxCredits", "model", "webhook", "integration", "origin",
}  # fmt: skip
NEWER = {"effort", "threadId", "mode", "location", "zeroDataRetention", "threatProtection", "auditMetadata"}
TYPES = {"strictConstrainToURLs": "boolean", "model": "string", "effort": "string", "threadId": "string"}
EVENTS = ["started", "action", "completed", "failed", "cancelled"]
NEEDED_CREDITS = 20
STEP_CREDITS = 5
MODEL = "spark-1-pro"
LISTED = 20
CANCELLED_TEXT = "The agent run was cancelled"


def check_agent(body: dict[str, Any], settings: FirecrawlSettings) -> list[str]:
    """The urls of a start; the body is refused as a whole for one field that is not known."""
    issues: list[Issue] = unknown_keys(body, KNOWN | (NEWER if settings.agent_newer else set()), "v2", [])
    urls, most = body.get("urls", []), body.get("maxCredits")
    if "prompt" not in body:
        issues.append(wrong_type(["prompt"], "string", "undefined"))
    issues += prompt_issues(body)
    if not isinstance(urls, list):
        issues.append(wrong_type(["urls"], "array", type_name(urls)))
        urls = []
    for place, given in enumerate(urls):
        issues += url_issues(given, ["urls", place])
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | float)):
        issues.append(wrong_type(["maxCredits"], "number", type_name(most)))
    issues += typed(body, TYPES, [])
    issues += common_issues(body, "v2", settings, EVENTS)
    if issues:
        raise bad_request(issues, settings)
    check_zdr(body, settings)
    return [normal_url(url) for url in urls]


class AgentRoutes:
    """Start, status, cancel and list of agent runs."""

    def __init__(self, world: World, fetcher: Fetcher, guard: Guard) -> None:
        self._world, self._fetcher, self._guard = world, fetcher, guard

    def _runs(self, request: Request) -> list[Run]:
        runs = [run for run in self._world.runs.values() if run.kind == "agent" and self._guard.owns(request, run)]
        return list(reversed(runs))

    def _find(self, request: Request) -> Run:
        self._guard.check_id(request)
        wanted = str(request.path_params["job_id"])
        found = next((run for run in self._runs(request) if run.id == wanted), None)
        if found is None or found.record_gone or self._guard.new_yet(found) or self._expired(found):
            raise failure(404, "Agent job not found")
        return found

    def _expired(self, run: Run) -> bool:
        # Documented as 24 h; the code did not look at it.
        return self._world.firecrawl.agent_expires and self._world.clock.now() > run.created + DAY

    async def start(self, request: Request) -> Response:
        """POST /agent."""
        body = await self._guard.body(request)
        self._guard.check_credits(request.state.team, NEEDED_CREDITS)
        urls = check_agent(body, self._world.firecrawl)
        thread = body.get("threadId")
        if thread is not None:
            self._check_thread(request, thread)
        run = Run(
            self._world,
            self._fetcher,
            kind="agent",
            version="v2",
            team=request.state.team,
            body={**body, "threadId": thread or str(uuid.uuid4())},
            urls=urls,
            step_credits=STEP_CREDITS,
            max_credits=body.get("maxCredits"),
        )
        self._world.runs[run.id] = run
        return express({"success": True, "id": run.id})

    def _check_thread(self, request: Request, thread: Any) -> None:
        busy = next((run for run in self._runs(request) if run.body["threadId"] == thread and not run.over), None)
        if busy is not None:
            refused = failure(409, "This thread has a run in progress")
            refused.body |= {"code": "thread_busy", "runId": busy.id}
            raise refused

    async def status(self, request: Request) -> Response:
        """GET of a run."""
        run, settings = self._find(request), self._world.firecrawl
        state = run.state
        answer: dict[str, Any] = {"success": True, "status": state}
        if state == "cancelled":
            answer |= {"status": settings.agent_cancelled, "error": CANCELLED_TEXT}
        elif state == "failed":
            answer["error"] = run.error
        elif state == "completed" and not run.result_gone:
            answer["data"] = run.answer
        if state == "failed" and settings.agent_newer:
            answer |= {"partial": run.partial} if run.partial is not None else {}
            answer |= {"stopReason": run.stop_reason} if run.stop_reason is not None else {}
        answer["model"] = run.body.get("model") or MODEL
        if settings.agent_newer:
            answer["threadId"] = run.body["threadId"]
        answer["expiresAt"] = iso(run.created + DAY)
        if run.over or run.credits:
            answer["creditsUsed"] = run.credits if settings.credits_used is None else settings.credits_used
        return express(answer)

    async def cancel(self, request: Request) -> Response:
        """DELETE of a run: no further step begins."""
        run = self._find(request)
        run.deletes += 1
        if run.cancelled_at is not None:
            raise failure(409, "Agent is already cancelled")
        if run.over:
            raise failure(409, "Agent already finished")
        # A cancel can be answered and lost.
        if run.deletes > self._world.firecrawl.cancel_ignored:
            run.cancel(by_delete=True)
        return express({"success": True})

    async def newest(self, request: Request) -> Response:
        """GET of the newest runs, the way to find an id that was lost."""
        runs = self._runs(request)
        before = request.query_params.get("before")
        if before is not None:
            if not before.isdigit():
                raise failure(400, "Invalid before timestamp.")
            runs = [run for run in runs if run.created * 1000 < int(before)]
        agents = [
            {
                "id": run.id,
                "createdAt": iso(run.created),
                "targetHint": run.input[0],
                "origin": run.body.get("origin", "api"),
                "settings": {"hidden": False, "starred": False},
                # The list has no word for a cancelled run.
                "status": "failed" if run.state == "cancelled" else run.state,
                "options": {name: run.body[name] for name in ("urls", "prompt", "schema") if name in run.body},
            }
            for run in runs[:LISTED]
        ]
        body: dict[str, Any] = {"success": True, "agents": agents}
        if len(agents) == LISTED:
            body["next"] = f"{self._guard.origin(request)}/v2/agent?before={int(runs[LISTED - 1].created * 1000)}"
        return express(body)
