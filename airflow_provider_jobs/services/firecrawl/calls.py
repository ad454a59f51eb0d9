"""Firecrawl's calls: scrape, map and search answer at once, are billed, and have no job to wait for or to cancel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_jobs.exceptions import (
    PageTimeoutError,
    RateLimitedError,
    RequestRejectedError,
    ServiceError,
    TransportError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import JobSpec
from airflow_provider_jobs.services.base import (
    Flow,
    Pause,
    Purpose,
    Reply,
    Request,
    decode_json,
    encode_json,
    items,
    number,
    snippet,
)
from airflow_provider_jobs.services.errors import as_text, error_for, explain, told_wait
from airflow_provider_jobs.services.firecrawl.inputs import ORIGIN, FirecrawlInputs, spec_of
from airflow_provider_jobs.services.firecrawl.kinds import check_version

CALLS: Mapping[str, str] = {"scrape": "/scrape", "map": "/map", "search": "/search"}
"""Calls by kind, and their addresses below the API version."""
DEFAULT_TIMEOUT = 60.0
"""Seconds that a call may take when its body names no ``timeout``: the longest default that the service documents."""
MARGIN = 30.0
"""Seconds by which our read timeout lies above the call's own, which does not count everything."""
JOINS = 20
"""How often a scrape that goes on beyond its timeout is joined again."""
LONGEST_JOIN = 60.0
_TRANSIENT_CODES = frozenset({"UNKNOWN_ERROR", "SCRAPE_TIMEOUT", "MAP_TIMEOUT"})
"""Any other code in an answer to a call is a verdict on the page: asking again does not change it."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call has brought.

    :param records: each as JSON: the document of a scrape, the links of a map, the results of a search.
    :param job_id: the id under which the service knows a scrape, or None.
    :param credits_used: credits billed, or None where the service does not say.
    :param warning: what the service wants to be read.
    """

    records: list[bytes]
    job_id: str | None = None
    credits_used: float | None = None
    warning: str | None = None


class _Metadata(msgspec.Struct):
    scrapeId: Any = None
    creditsUsed: Any = None


class _Head(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Answer(msgspec.Struct):
    success: Any = None
    data: msgspec.Raw = msgspec.Raw(b"")
    links: Any = None
    warning: Any = None
    creditsUsed: Any = None


class FirecrawlCalls(FirecrawlInputs):
    """Builds calls and reads their answers."""

    def scrape(self, url: Any, *, api_version: str, options: Any = None, check_names: bool = True) -> JobSpec:
        """Return the scrape of one page.

        :raises InvalidInputError: the service would refuse this.
        """
        return self._call("scrape", {"url": self.check_url(url)}, api_version, options, check_names)

    def map(self, url: Any, *, api_version: str, options: Any = None, check_names: bool = True) -> JobSpec:
        """Return the search for a site's addresses.

        :raises InvalidInputError: the service would refuse this.
        """
        return self._call("map", {"url": self.check_url(url)}, api_version, options, check_names)

    def search(self, query: Any, *, api_version: str, options: Any = None, check_names: bool = True) -> JobSpec:
        """Return a search of the web.

        :raises InvalidInputError: the service would refuse this.
        """
        return self._call("search", {"query": self.check_query(query)}, api_version, options, check_names)

    def _call(self, kind: str, asked: dict[str, Any], api_version: str, options: Any, check_names: bool) -> JobSpec:
        version = check_version(api_version)
        extra = self.check_options(kind, options, version=version, check_names=check_names)
        return spec_of(kind, {"origin": ORIGIN, **extra, **asked}, version)

    def request(self, spec: JobSpec) -> Request:
        """Return the request of a call; it is billed, so it counts as a start."""
        path = f"/{spec.api_version}{CALLS[spec.kind]}"
        return Request("POST", path, Purpose.START, json=spec.body, read_timeout=patience(spec.body))

    def carry_out(self, spec: JobSpec) -> Flow[CallResult]:
        """Make a call. A scrape that is not done in time, and goes on, is joined by the same request.

        :raises ServiceError: the service refused, or the page cannot be had.
        :raises UnexpectedReplyError: the answer is none, or a scrape that goes on could not be joined again.
        """
        request = self.request(spec)
        last: PageTimeoutError | None = None
        for _ in range(JOINS):
            try:
                reply = yield request
            except PageTimeoutError as error:
                if not error.goes_on:
                    raise
                last = error
                yield Pause(min(LONGEST_JOIN, error.retry_after or 1.0))
            except (TransportError, RateLimitedError) as error:
                if last is None:
                    raise
                # This request did not arrive, or was refused, but the one before it was carried out.
                raise UnexpectedReplyError(f"the scrape goes on, and could not be joined again: {error}") from error
            else:
                return self.read(spec, request, reply)
        assert last is not None
        raise last

    def read(self, spec: JobSpec, request: Request, reply: Reply) -> CallResult:
        """Read the answer to a call.

        :raises ServiceError: an error, also inside HTTP 200.
        :raises UnexpectedReplyError: the answer is none.
        """
        if not reply.ok:
            # What the service refuses was not carried out: it must not look like an answer that was lost.
            raise call_error(request, reply) or error_for("Firecrawl", request, reply)
        try:
            answer = decode_json(reply.body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnexpectedReplyError(
                f"{request} was answered with HTTP {reply.status}, but not with what its API promises: "
                f"{snippet(reply.text)!r}"
            ) from None
        if answer.success is False:
            raise RequestRejectedError(
                f"Firecrawl could not carry out {request}: {explain(reply)}", status=reply.status
            )
        warning = as_text(answer.warning) or None
        credits_used = number(answer.creditsUsed)
        if spec.kind == "map":
            if not isinstance(answer.links, list):
                raise UnexpectedReplyError(f"{request} was answered without links: {snippet(reply.text)!r}")
            return CallResult(list(map(_link, answer.links)), None, credits_used, warning)
        if spec.kind == "search":
            return CallResult(_found(request, reply, answer), None, credits_used, warning)
        document = bytes(answer.data)
        if not document.startswith(b"{"):
            raise UnexpectedReplyError(f"{request} was answered without a document: {snippet(reply.text)!r}")
        scrape_id, used = _head(document)
        return CallResult([document], scrape_id, used if credits_used is None else credits_used, warning)


def call_error(request: Request, reply: Reply) -> ServiceError | None:
    """Return the error that only an answer to a call can mean, or None for what every answer can.

    A page that was not there in time, or a verdict on the page that comes as a fault of the server.
    """
    if request.purpose is not Purpose.START or request.path[3:] not in CALLS.values():
        return None
    body = reply.json()
    if not isinstance(body, dict) or body.get("success") is not False:
        return None  # a proxy's word, which does not say what has become of the call
    fields: Mapping[str, Any] = body
    told = f"Firecrawl answered HTTP {reply.status} to {request}: {explain(reply)}"
    if reply.status == 408 and fields:
        # Not a proxy's word, which may have passed the request on.
        details = fields.get("details")
        details = details if isinstance(details, Mapping) else {}
        wait = number(details.get("retryAfterSeconds"))
        return PageTimeoutError(
            told, status=408, retry_after=told_wait(reply) if wait is None else wait,
            goes_on=details.get("state") == "processing_continues",
        )  # fmt: skip
    code = fields.get("code")
    if reply.status >= 500 and isinstance(code, str) and code not in _TRANSIENT_CODES:
        return RequestRejectedError(f"{told} (the page cannot be had)", status=reply.status)
    return None


def patience(body: Mapping[str, Any]) -> float:
    """Return the read timeout of a call, in seconds: above all that its body asks the service to wait for."""
    page = body.get("scrapeOptions")
    seconds = max(_longest(body), _longest(page) if isinstance(page, Mapping) else 0.0)
    return seconds + MARGIN


def _longest(options: Mapping[str, Any]) -> float:
    timeout = number(options.get("timeout"))
    waits = [options.get("waitFor")]
    waits += [action.get("milliseconds") for action in items(options.get("actions")) if isinstance(action, Mapping)]
    return (DEFAULT_TIMEOUT if timeout is None else timeout / 1000) + sum(number(ms) or 0 for ms in waits) / 1000


def _head(document: bytes) -> tuple[str | None, float | None]:
    try:
        metadata = msgspec.json.decode(document, type=_Head).metadata
    except (msgspec.DecodeError, RecursionError):
        return None, None
    identity = metadata.scrapeId
    return identity if isinstance(identity, str) and identity else None, number(metadata.creditsUsed)


def _link(link: Any) -> bytes:
    # v1 lists addresses, v2 objects with them: a record is an object in both.
    return encode_json({"url": link} if isinstance(link, str) else link)


def _found(request: Request, reply: Reply, answer: _Answer) -> list[bytes]:
    """Return the results of a search: a list in v1, lists by source in v2, which then stands in each record."""
    try:
        data = decode_json(bytes(answer.data) or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = None
    if isinstance(data, list):
        return [encode_json(record) for record in data]
    if not isinstance(data, dict):
        raise UnexpectedReplyError(f"{request} was answered without results: {snippet(reply.text)!r}")
    return [encode_json(record) for source in data for record in _of_source(source, data[source])]


def _of_source(source: str, records: Any) -> Iterable[Any]:
    return [{"source": source, **record} if isinstance(record, dict) else record for record in items(records)]
