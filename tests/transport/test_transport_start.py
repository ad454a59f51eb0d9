"""A start is sent again only when it surely did not happen (P3, F19, DF2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteJobsError,
    RequestRejectedError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import StartedJob
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.services.base import Request
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.transport.policy import started_uncertain
from tests.transport.carriers import Carrier, endpoint
from tests.transport.wire import Relay, WireServer, deaf_port, free_port, reply

Open = Callable[..., Carrier]
TOKEN = "sandbox-token"


class Start:
    """The start of a small job at one of the services."""

    def __init__(self, service: str, sandbox: Sandbox) -> None:
        self.name = service
        self.sandbox = sandbox
        self.url = str(sandbox.urls[service])
        self.service: Any = FirecrawlService() if service == "firecrawl" else DatafinitiService()
        if service == "firecrawl":
            self.spec = self.service.batch_scrape([f"{sandbox.urls['site']}/page1.html"], api_version="v1")
        else:
            self.spec = self.service.download("businesses", "country:US", 5)

    def __call__(self, carrier: Carrier) -> StartedJob:
        request: Request = self.service.start(self.spec)
        started: StartedJob = self.service.read_start(self.spec, request, carrier.send(request), sent_at=0.0)
        return started

    def endpoint(self, url: str | None = None, **more: Any) -> Any:
        return endpoint(url or self.url, token=TOKEN, **more)

    def posts(self) -> int:
        return len(self.sandbox.control.requests(host=self.name, method="POST"))

    def ids(self) -> list[str]:
        return [job["id"] for job in self.sandbox.control.jobs(self.name)]


@pytest.fixture(params=["firecrawl", "datafiniti"])
def start(request: pytest.FixtureRequest, sandbox: Sandbox) -> Start:
    return Start(request.param, sandbox)


def uncertain(error: RemoteJobsError) -> bool:
    """Whether this is told to the user as a start that may have happened."""
    return started_uncertain(error) or isinstance(error, UnexpectedReplyError)


# --- sent again -----------------------------------------------------------------------------------------------


def test_a_refused_connection_is_tried_again_until_the_server_is_there(start: Start, carrier: Open) -> None:
    port = free_port()
    servers: list[Relay] = []

    def second_wait_opens_the_server(_: float) -> None:
        if len(opened.waits) == 2:
            servers.append(Relay(start.url, port).__enter__())

    opened = carrier(start.endpoint(f"http://127.0.0.1:{port}"), start.service, on_wait=second_wait_opens_the_server)
    try:
        job = start(opened)
    finally:
        for server in servers:
            server.__exit__()
    assert len(opened.waits) == 2
    assert opened.waits[0] < opened.waits[1]
    assert start.ids() == [job.ref.job_id]


def test_a_connection_that_stays_refused_ends_as_surely_not_started(start: Start, carrier: Open) -> None:
    opened = carrier(start.endpoint(f"http://127.0.0.1:{free_port()}"), start.service)
    with pytest.raises(TransportError, match="refused") as caught:
        start(opened)
    assert not caught.value.sent
    assert not caught.value.permanent
    assert 1 <= len(opened.waits) <= 9


def test_an_unknown_host_ends_as_surely_not_started(start: Start, carrier: Open) -> None:
    opened = carrier(start.endpoint("http://no-such-host.invalid"), start.service)
    with pytest.raises(TransportError, match="unknown host name") as caught:
        start(opened)
    assert not caught.value.sent
    assert 1 <= len(opened.waits) <= 9


def test_a_connection_that_is_not_made_in_time_ends_as_surely_not_started(start: Start, carrier: Open) -> None:
    with deaf_port() as port:
        opened = carrier(start.endpoint(f"http://127.0.0.1:{port}", connect_timeout=0.05), start.service)
        with pytest.raises(TransportError, match="no connection") as caught:
            start(opened)
    assert not caught.value.sent
    assert 1 <= len(opened.waits) <= 9


@pytest.mark.pitfall("F18")
@pytest.mark.parametrize(
    ("fault", "told"),
    [("429_seconds", 17.0), ("429_date", 17.0), ("429_text", 17.0), ("429_bare", None)],
)
def test_too_many_requests_is_sent_again_after_the_wait_that_was_told(
    start: Start, carrier: Open, fault: str, told: float | None
) -> None:
    """F18: the wait may stand only in the text. Without any word, at most a minute."""
    if start.name == "datafiniti" and fault == "429_text":
        told = None  # its text names no wait
    start.sandbox.control.fault(start.name, fault, method="POST", times=2, seconds=17)
    opened = carrier(start.endpoint(), start.service)
    job = start(opened)
    assert start.posts() == 3
    assert start.ids() == [job.ref.job_id]
    assert len(opened.waits) == 2
    for waited in opened.waits:
        if told is None:
            assert 1 <= waited <= 75
        else:
            assert told - 1 <= waited <= (told + 1) * 1.25  # a date has whole seconds


@pytest.mark.pitfall("F18")
def test_the_waits_of_two_clients_differ(sandbox: Sandbox, carrier: Open) -> None:
    """F18: jitter, so that what was refused together does not come back together."""
    start = Start("firecrawl", sandbox)
    sandbox.control.fault("firecrawl", "429_seconds", method="POST", times=4, seconds=17)
    opened = carrier(start.endpoint(), start.service)
    start(opened)
    assert len(set(opened.waits)) > 1


def test_too_many_requests_for_ever_ends(start: Start, carrier: Open) -> None:
    start.sandbox.control.fault(start.name, "429_seconds", method="POST", times=None, seconds=1)
    opened = carrier(start.endpoint(), start.service)
    with pytest.raises(RateLimitedError) as caught:
        start(opened)
    assert caught.value.retry_after == 1.0
    assert not uncertain(caught.value)
    assert 2 <= start.posts() <= 10
    assert start.ids() == []


def test_a_wait_above_the_cap_is_not_waited_for(start: Start, carrier: Open) -> None:
    start.sandbox.control.fault(start.name, "429_seconds", method="POST", times=None, seconds=4000)
    opened = carrier(start.endpoint(), start.service)
    with pytest.raises(RateLimitedError) as caught:
        start(opened)
    assert caught.value.retry_after == 4000.0
    assert opened.waits == []
    assert start.posts() == 1


@pytest.mark.pitfall("F37")
@pytest.mark.parametrize("text", ["Queue limit reached: your team has 50001 jobs queued (limit: 50000).", ""])
def test_a_full_queue_is_not_tried_again(sandbox: Sandbox, carrier: Open, text: str) -> None:
    """F37: this 429 comes after the job was made, so that another start makes another job."""
    start = Start("firecrawl", sandbox)
    sandbox.control.fault("firecrawl", "429_bare", method="POST", times=1, text=text or None)
    opened = carrier(start.endpoint(), start.service)
    if text:
        with pytest.raises(RateLimitedError, match="Queue limit"):
            start(opened)
        assert start.posts() == 1
        assert opened.waits == []
    else:
        start(opened)  # the same answer without these words is the usual one
        assert start.posts() == 2


# --- never sent again -----------------------------------------------------------------------------------------

ACTED_UPON = {"lost_reply", "slow", "slow_body", "truncated_json", "server_error_after_start"}


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize(
    "fault",
    [
        "lost_reply",
        "reset",
        "slow",
        "slow_body",
        "server_error_after_start",
        "500",
        "502_html",
        "503",
        "504_empty",
        "truncated_json",
        "html_200",
    ],
)
def test_a_lost_answer_is_never_sent_again(start: Start, carrier: Open, fault: str) -> None:
    """F19, F21, DF2: the job may run and be billed."""
    params = {"seconds": 3} if fault.startswith("slow") else {}
    start.sandbox.control.fault(start.name, fault, method="POST", times=1, **params)
    opened = carrier(start.endpoint(read_timeout=0.5), start.service)
    with pytest.raises(RemoteJobsError) as caught:
        start(opened)
    assert uncertain(caught.value), repr(caught.value)
    assert opened.waits == []
    assert start.posts() == 1
    assert len(start.ids()) == (fault in ACTED_UPON)


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, "{}"),
        reply(200, '{"success": true}'),
        reply(200, '{"success": true, "id": null}'),
        reply(200, '{"success": true, "id": ""}'),
        reply(200, "[]"),
        reply(200, "null"),
        reply(200, ""),
        reply(204, ""),
        reply(200, "\xff\xfe"),
        reply(200, '{"records": [], "num_found": 0}'),
        reply(202, '{"status": "queued"}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_odd_answer_is_never_sent_again(start: Start, carrier: Open, answer: bytes) -> None:
    def close_after(_: Any, line: Any) -> None:
        line.send(answer)
        line.close()

    with WireServer(close_after) as server:
        opened = carrier(start.endpoint(server.url), start.service)
        with pytest.raises(RemoteJobsError) as caught:
            start(opened)
    assert uncertain(caught.value), repr(caught.value)
    assert opened.waits == []
    assert server.count("POST") == 1


@pytest.mark.pitfall("F39", "F43")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", AuthenticationError),
        ("402", PaymentRequiredError),
        ("403", PermissionDeniedError),
        ("409", RequestRejectedError),
        ("410", EndpointGoneError),
        ("413", RequestRejectedError),
        ("error_list", RequestRejectedError),
        ("error_object", RequestRejectedError),
        ("error_text", RequestRejectedError),
        ("error_empty", RequestRejectedError),
        ("html_404", RemoteJobsError),
        ("json_404", RemoteJobsError),
    ],
)
def test_a_refusal_is_definite(start: Start, carrier: Open, fault: str, error: type[RemoteJobsError]) -> None:
    """F39, DF16, DF17: final, whatever the shape of the body (F43, DF15)."""
    start.sandbox.control.fault(start.name, fault, method="POST", times=1)
    opened = carrier(start.endpoint(), start.service)
    with pytest.raises(error) as caught:
        start(opened)
    assert caught.value.permanent
    assert not uncertain(caught.value)
    assert len(str(caught.value)) < 1000
    assert start.posts() == 1
    assert start.ids() == []


def test_a_bad_token_may_come_as_400(sandbox: Sandbox, carrier: Open) -> None:
    """DF16."""
    start = Start("datafiniti", sandbox)
    sandbox.control.fault("datafiniti", "400_token", method="POST", times=1)
    with pytest.raises(AuthenticationError):
        start(carrier(start.endpoint(), start.service))
    assert start.posts() == 1


def test_errors_inside_a_success_are_a_refusal(sandbox: Sandbox, carrier: Open) -> None:
    start = Start("datafiniti", sandbox)
    sandbox.control.fault("datafiniti", "ok_with_errors", method="POST", times=1, text="no such view")
    with pytest.raises(RequestRejectedError, match="no such view"):
        start(carrier(start.endpoint(), start.service))
    assert start.posts() == 1


# --- connections ----------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F48")
def test_a_start_has_a_connection_of_its_own() -> None:
    """F48: a pooled connection may be closed by the server just now, which would leave the outcome open.

    Only worker processes start jobs, so this is about the transport that they use.
    """
    with WireServer(lambda asked, line: reply(200, '{"id": "1", "status": "scraping"}')) as server:
        from tests.transport.carriers import poll
        from tests.transport.carriers import start as start_request

        with Carrier("requests", endpoint(server.url)) as opened:
            for request in (poll(), poll(), start_request(), start_request(), poll()):
                opened.send(request)
    numbers = {asked.connection for asked in server.asked if asked.method == "POST"}
    others = {asked.connection for asked in server.asked if asked.method == "GET"}
    assert len(numbers) == 2
    assert not numbers & others
    assert len(others) == 1


def test_a_service_unavailable_start_says_what_the_service_said(sandbox: Sandbox, carrier: Open) -> None:
    start = Start("firecrawl", sandbox)
    sandbox.control.fault("firecrawl", "error_text", method="POST", status=503, text="maintenance until noon")
    with pytest.raises(ServiceUnavailableError, match="maintenance until noon") as caught:
        start(carrier(start.endpoint(), start.service))
    assert "POST /v1/batch/scrape" in str(caught.value)
