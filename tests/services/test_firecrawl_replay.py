"""Every recorded Firecrawl answer through the parser that would read it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState
from airflow_provider_jobs.services.base import Purpose
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from tests.recorded import Exchange, exchanges, one
from tests.services.driving import answer, talk

SERVICE = FirecrawlService()
JOB = re.compile(r"/(v[12])/(batch/scrape|crawl)/([^/]+)/?")
KINDS = {"batch/scrape": "batch_scrape", "crawl": "crawl"}
STATES = {
    "scraping": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
    "failed": JobState.FAILED,
}

# What an error means, from the contract's table of HTTP errors; a 404 as a page is another thing than a 404 as JSON.
CLASSES: dict[int, type[RemoteJobsError]] = {
    400: errors.RequestRejectedError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.JobNotFoundError,
    408: errors.ServiceUnavailableError,
    409: errors.RequestRejectedError,
    429: errors.RateLimitedError,
    500: errors.ServiceUnavailableError,
}
FINAL = {400, 401, 402, 403, 404, 409}


def parser(exchange: Exchange) -> str:
    """Which parser reads this answer."""
    path = exchange.path
    job = JOB.fullmatch(path) and not path.endswith(("/active", "/ongoing"))
    if exchange.method == "POST":
        return "start" if re.fullmatch(r"/v[12]/(batch/scrape|crawl)", path) else "call"
    if exchange.method == "DELETE":
        return "cancel" if job else "call"
    if path.endswith("/errors"):
        return "errors"
    if path.endswith(("/team/credit-usage", "/team/queue-status")):
        return "account"
    return "status" if job else "call"


def of(*names: str) -> list[Any]:
    """The recorded answers of these parsers as test parameters."""
    return [pytest.param(found, id=str(found)) for found in exchanges("firecrawl") if parser(found) in names]


def spec_of(exchange: Exchange) -> JobSpec:
    version, kind = exchange.path.strip("/").split("/", 1)
    sent = exchange.sent if isinstance(exchange.sent, dict) else {}
    urls = sent.get("urls")
    return JobSpec("firecrawl", KINDS[kind], sent, version, len(urls) if isinstance(urls, list) else None)


def ref_of(exchange: Exchange) -> JobRef:
    match = JOB.match(exchange.path)
    assert match
    return JobRef("firecrawl", KINDS[match[2]], match[3], match[1])


def means(error: RemoteJobsError, exchange: Exchange) -> None:
    """Check the class and the text of the error that a recorded answer became."""
    html = "html" in exchange.headers["content-type"]
    expected = errors.RouteNotFoundError if html else CLASSES[exchange.status]
    assert type(error) is expected
    assert isinstance(error, errors.ServiceError)
    assert error.status == exchange.status
    assert error.permanent is (exchange.status in FINAL)
    text = str(error)
    assert text.startswith(f"Firecrawl answered HTTP {exchange.status} to {exchange.method} {exchange.path}: ")
    assert "\n" not in text
    assert len(text) < 800
    if html:
        assert f"Cannot {exchange.method} {exchange.path}" in text
        assert "API version" in text
        assert "<" not in text
        return
    for detail in exchange.body.get("details", ()):
        assert detail["message"] in text
    if exchange.body["error"] != "Bad Request":
        assert " ".join(exchange.body["error"].split())[:300] in text


def test_every_recorded_answer_has_its_parser() -> None:
    counts = {name: len(of(name)) for name in ("start", "status", "cancel", "errors", "account", "call")}
    assert counts == {"start": 81, "status": 156, "cancel": 20, "errors": 16, "account": 4, "call": 36}
    assert sum(counts.values()) == len(exchanges("firecrawl"))


@pytest.mark.parametrize("recorded", of("start"))
def test_start(recorded: Exchange) -> None:
    """F22: `invalidURLs` stand in the answer to the start only; ids are kept, the address is not."""
    spec, request = spec_of(recorded), recorded.request(Purpose.START)
    if recorded.status != 200:
        with pytest.raises(RemoteJobsError) as caught:
            SERVICE.read_start(spec, request, recorded.reply, sent_at=5.0)
        means(caught.value, recorded)
        return
    started = SERVICE.read_start(spec, request, recorded.reply, sent_at=5.0)
    assert started.ref == JobRef("firecrawl", spec.kind, recorded.body["id"], recorded.path[1:3])
    assert (started.started_at, started.asked) == (5.0, spec.asked)
    assert list(started.refused_names) == recorded.body.get("invalidURLs", [])
    assert started.refused == len(started.refused_names)
    assert "127.0.0.1" not in str(started.ref)


@pytest.mark.parametrize("recorded", of("status"))
def test_status(recorded: Exchange) -> None:
    """F28, F29: the status alone says whether a job is over; counters are shown as they come."""
    request = recorded.request()
    if recorded.status != 200:
        with pytest.raises(RemoteJobsError) as caught:
            SERVICE.read_status(request, recorded.reply)
        means(caught.value, recorded)
        return
    body, status = recorded.body, SERVICE.read_status(request, recorded.reply)
    assert (status.state, status.raw_status) == (STATES[body["status"]], body["status"])
    assert (status.completed, status.total) == (body["completed"], body["total"])
    assert status.credits_used == body.get("creditsUsed")
    assert (status.error, status.warning, status.links) == (None, None, ())


@pytest.mark.parametrize("recorded", of("status"))
def test_look_sends_one_small_request_and_reads_the_answer(recorded: Exchange) -> None:
    """F32: a poll asks for no document and reads nothing from `data` on."""
    if recorded.status != 200:
        with pytest.raises(RemoteJobsError):
            talk(SERVICE.look(ref_of(recorded)), recorded.reply)
        return
    # What a transport hands over that stops reading at "data".
    beginning = recorded.text[: recorded.text.index('"data"') + 20]
    light = talk(SERVICE.look(ref_of(recorded)), answer(200, beginning, cut=True))
    assert light == SERVICE.read_status(recorded.request(), recorded.reply)


@pytest.mark.parametrize("recorded", of("cancel"))
def test_cancel(recorded: Exchange) -> None:
    """F10, F13: answers to DELETE have no `success`; a job that is not known is nothing to cancel."""
    ref, request = ref_of(recorded), recorded.request(Purpose.CANCEL)
    assert SERVICE.cancel(ref).path == recorded.path
    if recorded.status == 200:
        assert SERVICE.read_cancel(ref, request, recorded.reply) is None
    elif recorded.status == 404:
        assert SERVICE.read_cancel(ref, request, recorded.reply) == "Job not found"
    else:
        with pytest.raises(errors.PermissionDeniedError, match=r"HTTP 403 to DELETE .*Unauthorized"):
            SERVICE.read_cancel(ref, request, recorded.reply)


@pytest.mark.parametrize("recorded", of("errors"))
def test_page_errors(recorded: Exchange) -> None:
    """F34, F35: the list has no `success`, and pages that robots.txt forbids stand in no counter."""
    ref = ref_of(recorded)
    if recorded.status != 200:
        # A page instead of JSON means that the route is missing, and the crawl's route is tried.
        more = [recorded.reply] if "html" in recorded.headers["content-type"] else []
        assert talk(SERVICE.page_errors(ref), recorded.reply, *more) is None
        return
    found = talk(SERVICE.page_errors(ref), recorded.reply)
    body = recorded.body
    named = [(entry["url"], entry["error"], entry.get("code")) for entry in body["errors"]]
    blocked = [(url, "blocked by the site's robots.txt", "ROBOTS_BLOCKED") for url in body["robotsBlocked"]]
    assert [(entry["url"], entry["error"], entry.get("code")) for entry in found] == named + blocked


@pytest.mark.parametrize("recorded", of("account"))
def test_account(recorded: Exchange) -> None:
    """A server of 2025 has no queue-status (a page as 404), so the credits are asked for."""
    missing = one("firecrawl", "14", "queue-status v1")
    flow = SERVICE.account("v1")
    if recorded == missing:
        credits_left = one("firecrawl", "14", "credit usage")
        assert talk(flow, missing.reply, credits_left.reply) == "99999999 credits left"
    else:
        left = recorded.body["data"]["remaining_credits"]
        assert talk(flow, missing.reply, recorded.reply) == f"{left} credits left"


@pytest.mark.parametrize("recorded", of("call"))
def test_errors_of_all_other_routes(recorded: Exchange) -> None:
    """Routes that this package does not call yet: what their errors mean, and that success raises nothing."""
    request = recorded.request(Purpose.READ)
    if recorded.status == 200:
        SERVICE.check_error(request, recorded.reply)
        assert recorded.reply.object(request) == recorded.body
        return
    with pytest.raises(RemoteJobsError) as caught:
        SERVICE.check_error(request, recorded.reply)
    means(caught.value, recorded)


def test_a_failed_job_inside_http_200_with_an_object_as_error() -> None:
    """F43: an error of several KB that holds prompt and page becomes a short text."""
    recorded = next(found for found in exchanges("firecrawl") if "AI_RetryError" in found.text)
    status = SERVICE.read_status(recorded.request(), recorded.reply)
    assert status.state is JobState.FAILED
    assert status.error == "maxRetriesExceeded"


def test_a_rate_limit_tells_the_wait_in_its_text() -> None:
    """F18: no header says how long to wait, only the text does."""
    recorded = one("firecrawl", "12", "status request 5 of a team with 4 crawlStatus requests a minute")
    assert "retry-after" not in recorded.headers
    with pytest.raises(errors.RateLimitedError) as caught:
        SERVICE.read_status(recorded.request(), recorded.reply)
    assert caught.value.retry_after == 58.0
