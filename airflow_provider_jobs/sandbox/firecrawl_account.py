"""The routes about the account of Firecrawl: credits, queue, recent activity."""

from __future__ import annotations

import datetime
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_jobs.sandbox.firecrawl_guard import MANY, Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_issues import Refused
from airflow_provider_jobs.sandbox.firecrawl_jobs import DAY
from airflow_provider_jobs.sandbox.replies import express, iso, unknown_error
from airflow_provider_jobs.sandbox.world import World

PLAN = 100_000
# Credits and tokens are one purse: a credit is worth so many tokens.
TOKENS = 15
MOST_LISTED = 100
ENDPOINTS = {
    "scrape", "crawl", "batch_scrape", "search", "extract", "llmstxt", "deep_research", "map", "agent", "browser",
    "interact",
}  # fmt: skip


class AccountRoutes:
    """What a team has left, and what it did."""

    def __init__(self, world: World, guard: Guard) -> None:
        self._world, self._guard = world, guard

    def _usage(self, request: Request, left: dict[str, int], plan: dict[str, int]) -> Response:
        """What is left, and since 2026 the plan and its period; v1 in snake_case, v2 in camelCase."""
        settings = self._world.firecrawl
        if settings.no_usage:
            raise failure(404, "Could not find credit usage information")
        data: dict[str, Any] = dict(left)
        if not settings.old:
            data |= {**plan, "billingPeriodStart": None, "billingPeriodEnd": None}
        if request.path_params["version"] == "v1":
            data = {_snake(name): value for name, value in data.items()}
        return express({"success": True, "data": data})

    async def credit_usage(self, request: Request) -> Response:
        """GET of the credits that are left."""
        return self._usage(request, {"remainingCredits": self._guard.credits_left()}, {"planCredits": PLAN})

    async def token_usage(self, request: Request) -> Response:
        """GET of the tokens that are left to extracts."""
        left = self._guard.credits_left()
        tokens = MANY if left == MANY else left * TOKENS
        return self._usage(request, {"remainingTokens": tokens}, {"planTokens": PLAN * TOKENS})

    async def history(self, request: Request) -> Response:
        """GET of what was used, by month; this stand-in knows the current one only."""
        name = "totalTokens" if "/token-usage/" in request.url.path else "totalCredits"
        used = self._guard.credits_used() * (TOKENS if name == "totalTokens" else 1)
        now = datetime.datetime.fromtimestamp(self._world.clock.now(), datetime.UTC)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        period = {"startDate": iso(month.timestamp()), "endDate": None, name: used}
        return express({"success": True, "periods": [period]})

    async def queue_status(self, request: Request) -> Response:
        """GET of the pages that wait and are in work."""
        settings = self._world.firecrawl
        jobs = [job for job in self._world.firecrawl_jobs.values() if self._guard.owns(request, job)]
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
        query = request.query_params
        wanted, limit, cursor = query.get("endpoint"), query.get("limit", "50"), query.get("cursor")
        if wanted is not None and wanted not in ENDPOINTS:
            raise _bad("endpoint", "Invalid enum value")
        if not limit.isdigit() or not 1 <= int(limit) <= MOST_LISTED:
            raise _bad("limit", f"limit is a number from 1 to {MOST_LISTED}")
        world, since = self._world, self._world.clock.now() - DAY
        everything = [*world.firecrawl_jobs.values(), *world.runs.values(), *world.calls]
        found = [
            {
                "id": item.id,
                "endpoint": item.kind,
                "api_version": item.version,
                "created_at": iso(item.created),
                "target": item.input[0] if item.input else None,
            }
            for item in sorted(everything, key=lambda item: item.created, reverse=True)
            if item.created >= since and self._guard.owns(request, item) and wanted in (None, item.kind)
        ]
        places = {item["id"]: place for place, item in enumerate(found)}
        if cursor is not None and cursor not in places:
            raise _bad("cursor", "Invalid cursor")
        start = 0 if cursor is None else places[cursor] + 1
        page = found[start : start + int(limit)]
        more = start + len(page) < len(found)
        body = {"success": True, "data": page, "cursor": page[-1]["id"] if more else None, "has_more": more}
        return express(body)

    async def concurrency(self, request: Request) -> Response:
        """GET of the concurrency in use."""
        settings = self._world.firecrawl
        if settings.old and not settings.with_database:
            raise Refused(500, unknown_error())
        jobs = [job for job in self._world.firecrawl_jobs.values() if self._guard.owns(request, job)]
        active = sum(job.in_flight for job in jobs)
        return express({"success": True, "concurrency": active, "maxConcurrency": settings.concurrency})


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter.group().lower()}", name)


def _bad(name: str, message: str) -> Refused:
    issue = {"code": "custom", "message": message, "path": [name]}
    return Refused(400, {"success": False, "code": "BAD_REQUEST", "error": "Bad Request", "details": [issue]})
