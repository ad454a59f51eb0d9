"""Firecrawl's jobs on the wire, in API v1 and v2, as its documentation and its servers of 2025 and 2026 speak."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from airflow_provider_jobs.exceptions import (
    EndpointGoneError,
    InvalidInputError,
    NotCancellableError,
    RemoteJobsError,
    RequestRejectedError,
    RouteNotFoundError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.finding import Listing
from airflow_provider_jobs.jobs.model import FAILED_LISTED, JobRef, JobSpec, JobState, JobStatus, StartedJob
from airflow_provider_jobs.services.base import (
    Flow,
    KindInfo,
    Purpose,
    Reply,
    Request,
    decode_json,
    items,
    number,
    snippet,
    whole,
)
from airflow_provider_jobs.services.errors import as_text, error_for, explain, is_page
from airflow_provider_jobs.services.firecrawl import listing
from airflow_provider_jobs.services.firecrawl.calls import CALLS, call_error
from airflow_provider_jobs.services.firecrawl.inputs import NAME, FirecrawlInputs
from airflow_provider_jobs.services.firecrawl.kinds import EXTRACT_SUCCESSOR, KINDS, check_cancellable, route_of
from airflow_provider_jobs.services.firecrawl.pages import PageWalk

HOSTED = "https://api.firecrawl.dev"
EXTRACT_START_TIME = 300.0
"""Seconds that the start of an extract may take: self-hosted servers of 2025 do the work before they answer."""

_STATES: Mapping[str, JobState] = {
    "scraping": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
    "failed": JobState.FAILED,
    "processing": JobState.RUNNING,
}
# A cursor beyond any result: the answer then carries the counters and no document (where the server pages at all).
_LIGHT_LOOK: Mapping[str, str] = {"skip": "99999999", "limit": "1"}


_NOTHING = frozenset({b"", b"null", b"[]", b"{}"})
LONGEST_NOTHING = 100
"""Bytes of JSON above which a value is something, however much space is in it."""


class _Value(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"")
    partial: msgspec.Raw = msgspec.Raw(b"")


class FirecrawlService(FirecrawlInputs):
    """Requests and replies of Firecrawl."""

    name = NAME
    label = "Firecrawl"
    floor = 1.0
    kinds: Mapping[str, KindInfo] = KINDS
    calls: Collection[str] = frozenset(CALLS)

    # --- start ------------------------------------------------------------------------------------------------

    def start(self, spec: JobSpec) -> Request:
        """Return the request that starts a job."""
        patience = EXTRACT_START_TIME if spec.kind == "extract" else None
        path = f"/{spec.api_version}{route_of(spec.kind)}"
        return Request("POST", path, Purpose.START, json=spec.body, read_timeout=patience)

    def read_start(self, spec: JobSpec, request: Request, reply: Reply, *, sent_at: float) -> StartedJob:
        """Read the answer to a start.

        :raises RequestRejectedError: success was claimed, but the body is an error.
        :raises UnexpectedReplyError: the answer holds no id.
        """
        self.check_error(request, reply)
        body = reply.object(request)
        job_id = body.get("id")
        if not isinstance(job_id, str | int) or isinstance(job_id, bool) or not str(job_id):
            if body.get("success") is False or body.get("error"):
                raise RequestRejectedError(f"Firecrawl refused {request}: {explain(reply)}", status=reply.status)
            raise UnexpectedReplyError(f"Firecrawl answered {request} without an id")
        invalid = body.get("invalidURLs")
        refused = [str(url) for url in invalid] if isinstance(invalid, list) else []
        ref = JobRef(self.name, spec.kind, str(job_id), spec.api_version)
        return StartedJob(ref, sent_at, spec.asked, len(refused), tuple(refused[:FAILED_LISTED]))

    # --- look -------------------------------------------------------------------------------------------------

    def look(self, ref: JobRef) -> Flow[JobStatus]:
        """Ask for a job's status, without its documents where there may be many."""
        if not KINDS[ref.kind].paged:
            # The status holds the whole result, one value; there is no way to ask for less.
            request = Request("GET", self.job_path(ref), Purpose.POLL)
            reply = yield request
            return self.read_status(request, reply)
        request = Request("GET", self.job_path(ref), Purpose.POLL, query=_LIGHT_LOOK, stop_at="data")
        reply = yield request
        if reply.status == 400 and ("skip" in reply.text or "limit" in reply.text):
            # Neither parameter is documented: a server may stop to accept them.
            request = Request("GET", self.job_path(ref), Purpose.POLL, stop_at="data")
            reply = yield request
        if reply.cut and "status" not in reply.object(request):
            # The documents stand before the status here.
            request = Request("GET", self.job_path(ref), Purpose.POLL)
            reply = yield request
        return self.read_status(request, reply)

    def read_status(self, request: Request, reply: Reply) -> JobStatus:
        """Read the answer to a look.

        :raises ServiceError: the service answered with an error.
        :raises UnexpectedReplyError: the answer is no status.
        """
        self.check_error(request, reply)
        body = reply.object(request)
        raw = body.get("status")
        error = as_text(body.get("error")) or as_text(body.get("stopReason")) or None
        if body.get("success") is False:
            state = JobState.FAILED
        elif isinstance(raw, str):
            state = state_of(raw)
        else:
            raise UnexpectedReplyError(f"Firecrawl answered {request} without a status")
        return JobStatus(
            state=state,
            raw_status=raw if isinstance(raw, str) else None,
            completed=whole(body.get("completed")),
            total=whole(body.get("total")),
            # -1 is the service's word for "unknown".
            credits_used=number(body.get("creditsUsed")),
            error=error,
            warning=as_text(body.get("warning") or body.get("warnings")) or None,
        )

    # --- cancel -----------------------------------------------------------------------------------------------

    def cancel(self, ref: JobRef) -> Request:
        """Return the request that cancels a job.

        :raises NotCancellableError: there is none for this kind.
        """
        check_cancellable(ref.kind)
        return Request("DELETE", self.job_path(ref), Purpose.CANCEL)

    def read_cancel(self, ref: JobRef, request: Request, reply: Reply) -> str | None:
        """Read the answer to a cancel, in its documented form (a message), the real one (a status), or an empty one.

        :returns: None when accepted, else why there is nothing left to cancel.
        :raises NotCancellableError: the server does not offer it. The documentation shows how to cancel a single
            scrape, and no server that was read has that address.
        """
        if reply.ok:
            return None
        if reply.status == 409 or (reply.status == 404 and not is_page(reply)):
            return explain(reply) or f"HTTP {reply.status}"
        error = self._error(request, reply)
        if ref.kind == "scrape" and isinstance(error, RouteNotFoundError):
            raise NotCancellableError(
                f"this server cannot cancel a single scrape, it does not know {request}; the scrape runs to its end"
            )
        raise error

    # --- results ----------------------------------------------------------------------------------------------

    def pages(self, ref: JobRef) -> PageWalk:
        """Return the walk over a finished job's documents.

        :raises InvalidInputError: the result of this kind is one value, see :meth:`value`.
        """
        if not KINDS[ref.kind].paged:
            raise InvalidInputError(f"the result of {ref} is one value, not a list of documents")
        return PageWalk(ref, self.job_path(ref))

    def value(self, ref: JobRef) -> Flow[bytes | None]:
        """Ask for the one value that an agent or an extract has found, as JSON.

        :returns: None when there is none. Of a run that ended early, what it has so far, where the service tells.
        """
        request = Request("GET", self.job_path(ref), Purpose.READ)
        reply = yield request
        self.check_error(request, reply)
        try:
            found = decode_json(reply.body, type=_Value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnexpectedReplyError(f"{request} was answered without a result: {snippet(reply.text)!r}") from None
        for raw in (found.data, found.partial):
            content = bytes(raw).strip()
            if len(content) > LONGEST_NOTHING or b"".join(content.split()) not in _NOTHING:
                return content
        return None

    def page_errors(self, ref: JobRef) -> Flow[list[dict[str, str]] | None]:
        """Ask which pages could not be had: ``url``, ``error`` and where known ``code`` of each.

        :returns: None when this server cannot tell. The list is short-lived, so that is no failure of the job.
        """
        if not KINDS[ref.kind].paged:
            return []
        paths = [f"{self.job_path(ref)}/errors"]
        if ref.kind == "batch_scrape":
            # v2 servers of 2025 lack the batch route; crawls and batches share one controller.
            paths.append(f"/{ref.api_version}/crawl/{quote(ref.job_id, safe='')}/errors")
        for path in paths:
            request = Request("GET", path, Purpose.READ)
            reply = yield request
            if reply.ok:
                return _read_page_errors(reply.object(request))
            if reply.status != 404 or not is_page(reply):
                return None
        return None

    # --- list -------------------------------------------------------------------------------------------------

    def mark(self, spec: JobSpec) -> str | None:
        """Return what the lists show of a job; see :func:`listing.mark`."""
        return listing.mark(spec)

    def list_jobs(
        self, kind: str | None, api_version: str | None, *, since: float, clock: Callable[[], float]
    ) -> Flow[Listing]:
        """Ask for the jobs that were started since then; see :mod:`listing`."""
        return listing.list_jobs(self.label, kind, api_version, since=since, clock=clock)

    # --- account ----------------------------------------------------------------------------------------------

    def account(self, api_version: str) -> Flow[str]:
        """Ask something that costs nothing and needs the key, for a test of the connection."""
        request = Request("GET", f"/{api_version}/team/queue-status", Purpose.READ)
        reply = yield request
        if reply.ok:
            body = reply.object(request)
            waiting, limit = body.get("jobsInQueue"), body.get("maxConcurrency")
            return f"{waiting} pages queued, {limit} at a time"
        if reply.status == 404:
            request = Request("GET", f"/{api_version}/team/credit-usage", Purpose.READ)
            reply = yield request
            if reply.ok:
                data = reply.object(request).get("data")
                data = data if isinstance(data, Mapping) else {}
                left = data.get("remaining_credits", data.get("remainingCredits"))
                return f"{left} credits left"
        self.check_error(request, reply)
        raise UnexpectedReplyError(f"Firecrawl answered {request} with HTTP {reply.status}")

    # --- common -----------------------------------------------------------------------------------------------

    def check_error(self, request: Request, reply: Reply) -> None:
        """Raise the error that a reply without success means."""
        if not reply.ok:
            raise self._error(request, reply)

    def _error(self, request: Request, reply: Reply) -> RemoteJobsError:
        error = call_error(request, reply) or error_for(self.label, request, reply)
        if isinstance(error, EndpointGoneError) and "/extract" in request.path:
            return EndpointGoneError(f"{error}. {EXTRACT_SUCCESSOR}", status=reply.status)
        return error

    def refuses_key(self, reply: Reply) -> bool:
        """Whether an answer says that the key is not accepted."""
        return reply.status == 401

    def login(self, email: str, password: str) -> Request:
        """Firecrawl has keys only.

        :raises InvalidInputError: always.
        """
        raise InvalidInputError("Firecrawl has no login; put the API key into Password")

    def read_login(self, reply: Reply) -> str:
        """Firecrawl has keys only.

        :raises InvalidInputError: always.
        """
        raise InvalidInputError("Firecrawl has no login; put the API key into Password")

    def job_path(self, ref: JobRef) -> str:
        """Return the job's own address below the base URL."""
        return f"/{ref.api_version}{route_of(ref.kind)}/{quote(ref.job_id, safe='')}"


def state_of(word: str) -> JobState:
    """Return what a status word of Firecrawl means."""
    return _STATES.get(word.strip().casefold(), JobState.UNKNOWN)


def _read_page_errors(body: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    for item in items(body.get("errors")):
        if isinstance(item, Mapping):
            entry = {"url": str(item.get("url", "")), "error": as_text(item.get("error"))}
            if item.get("code"):
                entry["code"] = str(item["code"])
            found.append(entry)
    found.extend(
        {"url": str(url), "error": "blocked by the site's robots.txt", "code": "ROBOTS_BLOCKED"}
        for url in items(body.get("robotsBlocked"))
    )
    return found
