"""The routes of extract, v1 and v2: deprecated, and gone from the hosted service since 2026-12-10 15:00 UTC."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_jobs.sandbox.faults import FIRECRAWL_TEXTS
from airflow_provider_jobs.sandbox.firecrawl_checks import common_issues, normal_url, url_issues
from airflow_provider_jobs.sandbox.firecrawl_guard import Guard, failure
from airflow_provider_jobs.sandbox.firecrawl_issues import (
    Issue,
    Refused,
    bad_request,
    too_big,
    type_name,
    typed,
    unknown_keys,
    wrong_type,
)
from airflow_provider_jobs.sandbox.firecrawl_page import page_part
from airflow_provider_jobs.sandbox.firecrawl_runs import Run
from airflow_provider_jobs.sandbox.pages import Fetcher
from airflow_provider_jobs.sandbox.replies import express, iso
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings
from airflow_provider_jobs.sandbox.world import World

KNOWN = {
    "urls": "any", "prompt": "any", "systemPrompt": "string", "schema": "any", "limit": "integer",
    "ignoreSitemap": "boolean", "includeSubdomains": "boolean", "allowExternalLinks": "boolean",
    "enableWebSearch": "boolean", "scrapeOptions": "any", "origin": "string", "integration": "string",
    "urlTrace": "boolean", "timeout": "integer", "agent": "object", "showSources": "boolean",
    "ignoreInvalidURLs": "boolean",
}  # fmt: skip
MOST_URLS = 10
LIFE = 6 * 3600
GONE_FROM = datetime.datetime(2026, 12, 10, 15, tzinfo=datetime.UTC).timestamp()
SDK = re.compile(r"-sdk\b")
REPLACEMENT = "/v2/scrape"


def check_extract(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> tuple[list[str], list[str]]:
    """The urls to read, and those that were left out because they are none."""
    known = KNOWN if settings.old else {**KNOWN, "webhook": "any", "threatProtection": "object"}
    issues: list[Issue] = unknown_keys(body, known, version, []) + typed(body, known, [])
    urls, prompt, schema = body.get("urls"), body.get("prompt"), body.get("schema")
    ignore = body.get("ignoreInvalidURLs", version == "v2") is True
    good: list[str] = []
    invalid: list[str] = []
    if urls is not None and not isinstance(urls, list):
        issues.append(wrong_type(["urls"], "array", type_name(urls)))
    elif urls and len(urls) > MOST_URLS and version == "v1":
        message = f"Maximum of {MOST_URLS} URLs allowed per request while in beta."
        issues.append(too_big(["urls"], "array", MOST_URLS, message))
    for place, given in enumerate(urls if isinstance(urls, list) else []):
        # A trailing wildcard asks for the whole site.
        plain = given.removesuffix("/*") if isinstance(given, str) else given
        problems = url_issues(plain, ["urls", place])
        if not problems:
            good.append(normal_url(plain))
        elif ignore and isinstance(given, str):
            invalid.append(given)
        else:
            issues += problems
    if prompt is not None and not isinstance(prompt, str):
        issues.append(wrong_type(["prompt"], "string", type_name(prompt)))
    if schema is not None and not isinstance(schema, dict):
        issues.append({"code": "custom", "message": "Invalid JSON schema.", "path": ["schema"]})
    issues += page_part(body, version, settings)[1] + common_issues(body, version, settings)
    if urls is None and not prompt and not issues:
        message = "Either 'urls' or 'prompt' must be provided."
        issues.append({"code": "custom", "message": message, "path": []})
    if issues:
        raise bad_request(issues, settings)
    if urls and not good:
        raise failure(400, "No valid URLs provided")
    return good, invalid


class ExtractRoutes:
    """Start and status of extractions; they cannot be cancelled."""

    def __init__(self, world: World, fetcher: Fetcher, guard: Guard) -> None:
        self._world, self._fetcher, self._guard = world, fetcher, guard

    def _check_gone(self) -> None:
        gone = self._world.firecrawl.extract_gone
        if self._world.clock.now() >= GONE_FROM if gone is None else gone:
            raise failure(410, FIRECRAWL_TEXTS[410])

    async def start(self, request: Request) -> Response:
        """POST /extract."""
        try:
            self._check_gone()
            return self._deprecated(request, "", await self._start(request), 200)
        except Refused as refused:
            return self._deprecated(request, "", refused.body, refused.status)

    async def _start(self, request: Request) -> dict[str, Any]:
        settings, version = self._world.firecrawl, str(request.path_params["version"])
        body = await self._guard.body(request)
        self._guard.check_credits(request.state.team, 1)
        urls, invalid = check_extract(body, version, settings)
        run = Run(
            self._world,
            self._fetcher,
            kind="extract",
            version=version,
            team=request.state.team,
            body=body,
            urls=urls,
            options=body.get("scrapeOptions"),
        )
        self._world.runs[run.id] = run
        told: dict[str, Any] = {"invalidURLs": invalid} if body.get("ignoreInvalidURLs") is True else {}
        inside = settings.old and not settings.with_database and not SDK.search(str(body.get("origin", "")))
        if not inside:
            return {"success": True, "id": run.id, **told, "urlTrace": []}
        run.hidden = True
        await run.wait(None)
        if run.state != "completed":
            raise failure(500, "Internal server error")
        return {"success": True, "data": run.answer, "extractId": run.id, **told, "urlTrace": []}

    async def status(self, request: Request) -> Response:
        """GET of an extraction."""
        try:
            self._check_gone()
            return self._deprecated(request, "/:jobId", self._status(request), 200)
        except Refused as refused:
            return self._deprecated(request, "/:jobId", refused.body, refused.status)

    def _status(self, request: Request) -> dict[str, Any]:
        settings = self._world.firecrawl
        self._guard.check_id(request)
        run: Run | None = self._world.runs.get(str(request.path_params["job_id"]))
        if run is None or run.kind != "extract" or not self._guard.owns(request, run) or self._lost(run):
            raise failure(404, "Extract job not found")
        state, data = run.state, run.answer
        if state == "completed" and run.result_gone:
            # In 2025 an end without its result read as work that goes on.
            state, data = ("processing", []) if settings.old else (state, [])
        answer: dict[str, Any] = {
            "success": state != "failed",
            "data": data if state == "completed" else [],
            "status": state,
        }
        if state == "failed":
            answer["error"] = self._error(run)
        answer["expiresAt"] = iso((run.ended or self._world.clock.now()) + LIFE, whole=True)
        if run.over and not settings.old:
            answer["creditsUsed"] = run.credits if settings.credits_used is None else settings.credits_used
        return answer

    def _lost(self, run: Run) -> bool:
        expired = run.ended is not None and self._world.clock.now() > run.ended + LIFE
        return run.hidden or run.record_gone or expired or self._guard.new_yet(run)

    def _error(self, run: Run) -> Any:
        """A text; in 2025 the model's error as it was, with the whole prompt and the page's text."""
        if not self._world.firecrawl.old:
            return run.error if isinstance(run.error, str) else json.dumps(run.error)
        if not isinstance(run.error, str):
            return run.error
        pages = " ".join(str(document.get("markdown")) for document in run.documents) or "page text " * 600
        quoted = {"model": "none", "messages": [{"role": "user", "content": f"{run.body.get('prompt')} {pages}"}]}
        calls = [{"name": "AI_APICallError", "requestBodyValues": quoted, "isRetryable": True} for _ in range(3)]
        return {"name": "AI_RetryError", "reason": "maxRetriesExceeded", "errors": calls, "message": run.error}

    def _deprecated(self, request: Request, tail: str, body: dict[str, Any], status: int) -> Response:
        if self._world.firecrawl.old:
            return express(body, status)
        text = f"/{request.path_params['version']}/extract{tail} is deprecated: use {REPLACEMENT} with a json format."
        reply = express({**body, "warnings": [text], "replacement": REPLACEMENT}, status)
        reply.headers["Deprecation"] = "true"
        reply.headers["Link"] = f'<{REPLACEMENT}>; rel="successor-version"'
        reply.headers["Warning"] = f'299 - "{text}"'
        return reply
