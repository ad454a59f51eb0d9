"""Firecrawl on the wire: batch scrape in API v1 and v2, as its documentation and its servers of 2025 and 2026 speak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    RequestRejectedError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import FAILED_LISTED, JobRef, JobSpec, JobState, JobStatus, StartedJob
from airflow_provider_jobs.services.base import (
    Flow,
    KindInfo,
    Purpose,
    Reply,
    Request,
    encode_json,
    items,
    number,
    whole,
)
from airflow_provider_jobs.services.errors import as_text, error_for, explain, is_page
from airflow_provider_jobs.services.firecrawl.options import check_body_options
from airflow_provider_jobs.services.firecrawl.pages import PageWalk

HOSTED = "https://api.firecrawl.dev"
VERSIONS = ("v1", "v2")
LARGEST_BODY = 10_000_000
"""Bytes of a start request; servers refuse more than 10 MB, some with an error that does not say so."""
ORIGIN = "airflow-provider-jobs"

_ROUTES: Mapping[str, str] = {"batch_scrape": "/batch/scrape", "crawl": "/crawl"}
_STATES: Mapping[str, JobState] = {
    "scraping": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
    "failed": JobState.FAILED,
}
# A cursor beyond any result: the answer then carries the counters and no document (where the server pages at all).
_LIGHT_LOOK: Mapping[str, str] = {"skip": "99999999", "limit": "1"}


def check_version(version: Any) -> str:
    """Return an API version.

    :raises InvalidInputError: there is no such version.
    """
    if version not in VERSIONS:
        raise InvalidInputError(f"api_version must be one of {', '.join(VERSIONS)}, not {version!r}")
    return str(version)


class FirecrawlService:
    """Requests and replies of Firecrawl."""

    name = "firecrawl"
    label = "Firecrawl"
    floor = 1.0
    kinds: Mapping[str, KindInfo] = {"batch_scrape": KindInfo(), "crawl": KindInfo()}

    def batch_scrape(self, urls: Any, *, api_version: str, options: Any = None, check_names: bool = True) -> JobSpec:
        """Return the batch scrape of some pages.

        :param urls: list of addresses; not deduplicated, because the service bills and answers each.
        :param options: further keys of the request body, in the service's own spelling.
        :raises InvalidInputError: the service would refuse this, or bill for nothing.
        """
        version = check_version(api_version)
        extra = self.check_batch_options(options, version=version, check_names=check_names)
        keep_invalid = extra.get("ignoreInvalidURLs") is True
        addresses = self.check_urls(urls, allow_invalid=keep_invalid)
        # The default differs between v1, v2 and builds of v2: always said.
        body = {"ignoreInvalidURLs": False, "origin": ORIGIN, **extra, "urls": addresses}
        size = len(encode_json(body))
        if size > LARGEST_BODY:
            raise InvalidInputError(
                f"the request would have {size:,} bytes for {len(addresses):,} urls, and Firecrawl takes at most "
                f"{LARGEST_BODY:,}; split the urls over several tasks"
            )
        return JobSpec(self.name, "batch_scrape", body, version, asked=len(addresses))

    @staticmethod
    def check_batch_options(options: Any, *, version: str | None, check_names: bool = True) -> dict[str, Any]:
        """Return the options of a batch scrape after checking them; see :func:`check_body_options`."""
        return check_body_options(
            options, operation="batch_scrape", version=version, by_argument=("urls",), check=check_names
        )

    @staticmethod
    def check_urls(urls: Any, *, allow_invalid: bool = False) -> list[str]:
        """Return a list of page addresses.

        :param allow_invalid: leave the verdict on each address to the service, as long as one may be good.
        :raises InvalidInputError: no list, an empty one, or an address that no server accepts.
        """
        if isinstance(urls, str | bytes | Mapping) or not isinstance(urls, Iterable):
            raise InvalidInputError('urls must be a list of addresses, such as ["https://example.com/a"]')
        addresses = list(urls)
        if not addresses:
            raise InvalidInputError("urls is empty: there is nothing to scrape")
        for place, url in enumerate(addresses):
            if not isinstance(url, str):
                raise InvalidInputError(f"urls[{place}] must be a string, not {type(url).__name__}")
        objections = [(place, _objection(url)) for place, url in enumerate(addresses)]
        bad = [f"urls[{place}] {objection}: {addresses[place]!r}" for place, objection in objections if objection]
        if bad and not allow_invalid:
            raise InvalidInputError(f"{bad[0]}; options={{'ignoreInvalidURLs': True}} leaves bad addresses out instead")
        if len(bad) == len(addresses):
            raise InvalidInputError(f"none of the urls is an address, so there is nothing to scrape: {bad[0]}")
        return addresses

    # --- start ------------------------------------------------------------------------------------------------

    def start(self, spec: JobSpec) -> Request:
        """Return the request that starts a job."""
        return Request("POST", f"/{spec.api_version}{_route(spec.kind)}", Purpose.START, json=spec.body)

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
        """Ask for a job's status, without its documents."""
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
        error = as_text(body.get("error")) or None
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
            warning=as_text(body.get("warning")) or None,
        )

    # --- cancel -----------------------------------------------------------------------------------------------

    def cancel(self, ref: JobRef) -> Request:
        """Return the request that cancels a job."""
        return Request("DELETE", self.job_path(ref), Purpose.CANCEL)

    def read_cancel(self, ref: JobRef, request: Request, reply: Reply) -> str | None:
        """Read the answer to a cancel, in its documented form (a message), the real one (a status), or an empty one.

        :returns: None when accepted, else why there is nothing left to cancel.
        """
        if reply.ok:
            return None
        if reply.status == 409 or (reply.status == 404 and not is_page(reply)):
            return explain(reply) or f"HTTP {reply.status}"
        raise error_for(self.label, request, reply)

    # --- results ----------------------------------------------------------------------------------------------

    def pages(self, ref: JobRef) -> PageWalk:
        """Return the walk over a finished job's documents."""
        return PageWalk(ref, self.job_path(ref))

    def page_errors(self, ref: JobRef) -> Flow[list[dict[str, str]] | None]:
        """Ask which pages could not be had: ``url``, ``error`` and where known ``code`` of each.

        :returns: None when this server cannot tell. The list is short-lived, so that is no failure of the job.
        """
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
            raise error_for(self.label, request, reply)

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
        return f"/{ref.api_version}{_route(ref.kind)}/{quote(ref.job_id, safe='')}"


def state_of(word: str) -> JobState:
    """Return what a status word of Firecrawl means."""
    return _STATES.get(word.strip().casefold(), JobState.UNKNOWN)


def _route(kind: str) -> str:
    try:
        return _ROUTES[kind]
    except KeyError:
        raise InvalidInputError(f"kind must be one of {', '.join(_ROUTES)} for Firecrawl, not {kind!r}") from None


def _objection(url: str) -> str | None:
    stripped = url.strip()
    if not stripped or any(character.isspace() for character in stripped):
        return "is not an address"
    scheme, separator, _ = stripped.partition("://")
    if separator and scheme.casefold() not in {"http", "https"}:
        return "must begin with http:// or https://"
    return None


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
