"""Reads, looks and cancels: what is repeated, how often, after how long, and with which time limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    RateLimitedError,
    RemoteJobsError,
    ServiceUnavailableError,
    TransportError,
)
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.services.base import Purpose, Request
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.transport.blocking import BlockingTransport
from airflow_provider_jobs.transport.credentials import Credentials
from airflow_provider_jobs.transport.endpoint import Login
from tests.transport.carriers import ALL, Carrier, cancel, endpoint, poll, read, start
from tests.transport.wire import Line, WireServer, deaf_port, free_port, reply

Open = Callable[..., Carrier]
STATUS = "/v1/team/queue-status"
REPEATED = (
    "429_seconds",
    "429_date",
    "429_text",
    "429_bare",
    "500",
    "502_html",
    "503",
    "504_empty",
    "lost_reply",
    "reset",
)


def received(sandbox: Sandbox) -> int:
    return len(sandbox.control.requests(host="firecrawl"))


# --- what is repeated -----------------------------------------------------------------------------------------


@pytest.mark.pitfall("F17", "F18")
@pytest.mark.parametrize("fault", [*REPEATED, "slow", "slow_body"])
def test_a_read_outlasts_faults_of_the_moment(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    """F17, F18."""
    sandbox.control.fault("firecrawl", fault, times=2, seconds=1)
    opened = carrier(endpoint(sandbox.urls["firecrawl"], read_timeout=0.3))
    assert opened.send(read(STATUS)).status == 200
    assert received(sandbox) >= 3
    assert len(opened.waits) == 2
    assert all(0.0 < waited <= 75.0 for waited in opened.waits)


@pytest.mark.pitfall("F12", "F18")
@pytest.mark.parametrize("fault", REPEATED)
def test_a_cancel_outlasts_faults_of_the_moment(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    """F12, F18: a cancel can be refused because of polling."""
    sandbox.control.fault("firecrawl", fault, times=2, seconds=1, method="DELETE")
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    answer = opened.send(cancel("/v1/batch/scrape/00000000-0000-4000-8000-000000000000"))
    assert answer.status == 404
    assert len(opened.waits) == 2


@pytest.mark.parametrize("purpose", ["read", "cancel"])
@pytest.mark.parametrize("fault", ["500", "429_seconds", "lost_reply"])
def test_repeating_is_bounded(sandbox: Sandbox, carrier: Open, purpose: str, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, times=None, seconds=1)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises(RemoteJobsError) as caught:
        opened.send(ALL[purpose](STATUS))
    assert not caught.value.permanent
    assert 2 <= received(sandbox) <= 10
    assert sum(opened.waits) < 120


def test_pauses_grow(sandbox: Sandbox, carrier: Open) -> None:
    sandbox.control.fault("firecrawl", "500", times=None)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises(ServiceUnavailableError):
        opened.send(read(STATUS))
    assert len(opened.waits) >= 3
    assert all(later > earlier for earlier, later in zip(opened.waits, opened.waits[1:], strict=False))


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize("purpose", ["read", "cancel", "poll"])
@pytest.mark.parametrize("fault", ["401", "402", "403", "409", "410", "413", "json_404", "html_404", "error_object"])
def test_permanent_refusals_are_asked_once(sandbox: Sandbox, carrier: Open, purpose: str, fault: str) -> None:
    """F39."""
    sandbox.control.fault("firecrawl", fault, times=None)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    answer = opened.send(ALL[purpose](STATUS))
    with pytest.raises(RemoteJobsError) as caught:
        FirecrawlService().check_error(read(STATUS), answer)
    assert caught.value.permanent
    assert received(sandbox) == 1
    assert opened.waits == []


@pytest.mark.parametrize("fault", ["500", "503", "502_html", "429_seconds", "429_bare"])
def test_a_look_that_is_refused_is_not_repeated(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    """The wait itself is patient; what the service asked for reaches it."""
    sandbox.control.fault("firecrawl", fault, times=None, seconds=9)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises((ServiceUnavailableError, RateLimitedError)) as caught:
        opened.send(poll(STATUS))
    assert received(sandbox) == 1
    assert opened.waits == []
    if fault == "429_seconds":
        assert caught.value.retry_after == 9.0


@pytest.mark.pitfall("F17", "F48")
@pytest.mark.parametrize("fault", ["lost_reply", "reset"])
def test_a_look_that_is_lost_is_repeated_once_and_at_once(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    """F17, F48."""
    sandbox.control.fault("firecrawl", fault, times=1)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    assert opened.send(poll(STATUS)).status == 200
    assert received(sandbox) == 2
    assert sum(opened.waits) == 0.0


@pytest.mark.parametrize("fault", ["lost_reply", "reset"])
def test_a_look_that_stays_lost_is_repeated_only_once(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, times=None)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises(TransportError, match="closed before the answer"):
        opened.send(poll(STATUS))
    assert received(sandbox) == 2
    assert sum(opened.waits) == 0.0


def test_a_look_at_a_server_that_is_gone_is_brief(carrier: Open) -> None:
    opened = carrier(endpoint(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(TransportError, match="refused") as caught:
        opened.send(poll())
    assert not caught.value.permanent
    assert sum(opened.waits) == 0.0


@pytest.mark.parametrize("told", [4000, 86400])
@pytest.mark.parametrize("purpose", ["read", "cancel"])
def test_a_wait_above_the_cap_is_an_error_and_not_slept(
    sandbox: Sandbox, carrier: Open, purpose: str, told: int
) -> None:
    sandbox.control.fault("firecrawl", "429_seconds", times=None, seconds=told)
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises(RateLimitedError) as caught:
        opened.send(ALL[purpose](STATUS))
    assert caught.value.retry_after == told
    assert received(sandbox) == 1
    assert opened.waits == []


@pytest.mark.parametrize("header", ["inf", "1e400", "-5", "nan", "", "soon", "Mon, 99 Foo 2026 99:99:99 GMT", "1e9"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_odd_wait_neither_breaks_nor_hangs(carrier: Open, header: str, status: int) -> None:
    answers = iter([reply(status, "{}", {"Retry-After": header})])
    with WireServer(lambda asked, line: next(answers, reply(200))) as server:
        opened = carrier(endpoint(server.url))
        try:
            opened.send(read())
        except (RateLimitedError, ServiceUnavailableError):
            opened.send(read())  # the next request of the connection must not wait for ever either
    assert all(0.0 <= waited <= 150.0 for waited in opened.waits), opened.waits


def test_a_date_in_the_past_means_now(carrier: Open) -> None:
    answers = iter([reply(429, "{}", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})])
    with WireServer(lambda asked, line: next(answers, reply(200))) as server:
        opened = carrier(endpoint(server.url))
        assert opened.send(read()).status == 200
    assert sum(opened.waits) <= 1.0


def test_a_date_is_measured_by_the_clock_of_the_server(carrier: Open) -> None:
    """Its clock may differ from ours by hours."""
    headers = {"Date": "Mon, 01 Jan 2018 10:00:00 GMT", "Retry-After": "Mon, 01 Jan 2018 10:00:20 GMT"}
    answers = iter([reply(429, "{}", headers)])
    with WireServer(lambda asked, line: next(answers, reply(200))) as server:
        opened = carrier(endpoint(server.url))
        assert opened.send(read()).status == 200
    assert len(opened.waits) == 1
    assert 20.0 <= opened.waits[0] <= 25.0


# --- connections that the server closes -----------------------------------------------------------------------


@pytest.mark.pitfall("F48")
@pytest.mark.parametrize("purpose", ["poll", "read", "cancel"])
def test_a_connection_closed_while_idle_is_no_error(carrier: Open, purpose: str) -> None:
    """F48: the server closes the idle connection and says nothing of it."""

    def once(_: Any, line: Line) -> None:
        line.send(reply())
        line.close()

    with WireServer(once) as server:
        opened = carrier(endpoint(server.url))
        for _ in range(4):
            assert opened.send(ALL[purpose]()).status == 200
    assert len(server.asked) == 4


@pytest.mark.pitfall("F48")
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("purpose", ["poll", "read", "cancel"])
def test_a_connection_closed_at_the_next_request_is_no_error(carrier: Open, purpose: str, how: str) -> None:
    """F48: the closing crosses the request on its way."""

    def once(_: Any, line: Line) -> None:
        line.send(reply())
        if line.wait_for_bytes():
            line.close(reset=how == "reset")

    with WireServer(once) as server:
        opened = carrier(endpoint(server.url))
        for _ in range(3):
            assert opened.send(ALL[purpose]()).status == 200
    assert len(server.asked) == 3


def test_one_connection_serves_many_looks(carrier: Open) -> None:
    with WireServer(lambda asked, line: reply()) as server:
        opened = carrier(endpoint(server.url))
        for _ in range(5):
            opened.send(poll())
    assert len(server.lines) == 1


def test_a_refusal_leaves_the_connection_usable(carrier: Open) -> None:
    answers = iter([reply(404, "x" * 50_000), reply(200)])
    with WireServer(lambda asked, line: next(answers)) as server:
        opened = carrier(endpoint(server.url))
        assert opened.send(poll()).status == 404
        assert opened.send(poll()).status == 200


# --- time limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["poll", "read", "cancel"])
def test_a_server_that_takes_no_connection_is_given_up(carrier: Open, purpose: str) -> None:
    with deaf_port() as port:
        opened = carrier(endpoint(f"http://127.0.0.1:{port}", connect_timeout=0.05))
        begun = time.monotonic()
        with pytest.raises(TransportError, match="no connection") as caught:
            opened.send(ALL[purpose]())
        assert time.monotonic() - begun < 5
    assert not caught.value.sent


@pytest.mark.parametrize("purpose", ["poll", "read", "cancel"])
@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 500 O\r\nContent-Length: 10\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "no body", "half an error"],
)
def test_a_server_that_falls_silent_is_given_up(carrier: Open, purpose: str, beginning: bytes) -> None:
    def silent(_: Any, line: Line) -> None:
        line.send(beginning)
        line.until_gone()

    with WireServer(silent) as server:
        opened = carrier(endpoint(server.url, read_timeout=0.06))
        begun = time.monotonic()
        with pytest.raises(TransportError, match="timed out") as caught:
            opened.send(ALL[purpose]())
        assert time.monotonic() - begun < 5
    assert caught.value.sent
    assert not caught.value.permanent


@pytest.mark.parametrize(("of_the_connection", "of_the_request"), [(0.1, 20.0), (20.0, 0.1)])
def test_the_longer_read_timeout_counts(carrier: Open, of_the_connection: float, of_the_request: float) -> None:
    """A request may need more time than others; a connection that allows more keeps its word."""

    def late(_: Any, line: Line) -> bytes:
        gone.wait(0.5)
        return reply()

    gone = threading.Event()
    with WireServer(late) as server:
        opened = carrier(endpoint(server.url, read_timeout=of_the_connection))
        assert opened.send(Request("GET", "/", Purpose.POLL, read_timeout=of_the_request)).status == 200
    assert len(server.asked) == 1


def test_a_slow_body_is_no_timeout_while_bytes_come(carrier: Open) -> None:
    """The read timeout counts silence, not the length of an answer."""

    def drip(_: Any, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for letter in b'{"a": 1}':
            time.sleep(0.1)  # the pace is what this is about
            line.send(bytes([letter]))

    with WireServer(drip) as server:
        opened = carrier(endpoint(server.url, read_timeout=0.5))
        assert opened.send(read()).json() == {"a": 1}


# --- what a caller may set ------------------------------------------------------------------------------------


def test_attempts_and_time_can_be_limited(sandbox: Sandbox) -> None:
    """For the few seconds that a killed task has."""
    settings = endpoint(sandbox.urls["firecrawl"])
    waits: list[float] = []
    sandbox.control.fault("firecrawl", "500", times=None)
    credentials = Credentials(settings, FirecrawlService())
    one = BlockingTransport(settings, credentials, attempts=1, sleep=waits.append)
    with one, pytest.raises(ServiceUnavailableError):
        one.send(cancel())
    assert received(sandbox) == 1
    with (
        BlockingTransport(
            settings, Credentials(settings, FirecrawlService()), attempts=4, time_limit=0.6, sleep=waits.append
        ) as few,
        pytest.raises(ServiceUnavailableError),
    ):
        few.send(cancel())
    assert received(sandbox) == 5
    assert len(waits) == 3
    assert max(waits) <= 0.6


def test_nothing_is_sent_when_the_time_is_over(sandbox: Sandbox) -> None:
    settings = endpoint(sandbox.urls["firecrawl"])
    with (
        BlockingTransport(settings, Credentials(settings, FirecrawlService()), time_limit=0.0) as late,
        pytest.raises(TransportError, match="not sent, the time for it is over") as caught,
    ):
        late.send(cancel())
    assert not caught.value.sent
    assert received(sandbox) == 0


def test_a_sleep_that_raises_ends_the_wait(sandbox: Sandbox) -> None:
    """How a killed task gets out."""

    class Killed(Exception):
        pass

    def killed(_: float) -> None:
        raise Killed

    settings = endpoint(sandbox.urls["firecrawl"])
    sandbox.control.fault("firecrawl", "500", times=None)
    transport = BlockingTransport(settings, Credentials(settings, FirecrawlService()), sleep=killed)
    with transport, pytest.raises(Killed):
        transport.send(read(STATUS))
    assert received(sandbox) == 1


# --- the same on the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", ["plain", "a/b", "a?b", "a#b", "a b", "ä", "a%2Fb", "a+b", "a&b=c"])
def test_an_odd_id_stays_one_part_of_the_path(carrier: Open, job_id: str) -> None:
    """DF5: ids are quoted. Both transports send the same."""
    from urllib.parse import unquote

    from airflow_provider_jobs.jobs.model import JobRef

    ref = JobRef("firecrawl", "batch_scrape", job_id, "v1")
    with WireServer(lambda asked, line: reply()) as server:
        opened = carrier(endpoint(server.url))
        opened.send(FirecrawlService().cancel(ref))
    sent = server.asked[0].target
    before, _, last = sent.rpartition("/")
    assert before == "/v1/batch/scrape"
    assert "?" not in last
    assert unquote(last) == job_id


def test_query_and_body_arrive_as_given(carrier: Open) -> None:
    body = {"urls": ["http://x/ä?q=1&r=ü"], "n": 1.5, "deep": {"list": [None, True]}}
    request = Request("POST", "/v2/x", Purpose.READ, query={"skip": "1", "a": "b c&d"}, json=body)
    with WireServer(lambda asked, line: reply()) as server:
        opened = carrier(endpoint(server.url + "/prefix"))
        opened.send(request)
    asked = server.asked[0]
    import json
    from urllib.parse import parse_qs, urlsplit

    assert urlsplit(asked.target).path == "/prefix/v2/x"
    assert parse_qs(urlsplit(asked.target).query) == {"skip": ["1"], "a": ["b c&d"]}
    assert json.loads(asked.body) == body
    assert asked.headers["content-type"] == "application/json"
    assert "json" in asked.headers["accept"]


def test_answers_read_alike(carrier: Open) -> None:
    import gzip

    packed = gzip.compress(b'{"packed": true}')
    answers = iter(
        [
            reply(200, '{"plain": true}', {"X-Name": "Value"}),
            reply(200, packed, {"Content-Encoding": "gzip"}),
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n',
            reply(404, "<pre>Cannot GET</pre>", {"Content-Type": "text/html"}),
        ]
    )
    with WireServer(lambda asked, line: next(answers)) as server:
        opened = carrier(endpoint(server.url))
        first = opened.send(read())
        assert first.json() == {"plain": True}
        assert first.headers["x-name"] == "Value"
        assert opened.send(read()).json() == {"packed": True}
        assert opened.send(read()).json() == {"a": 1}
        last = opened.send(read())
    assert (last.status, last.text) == (404, "<pre>Cannot GET</pre>")


# --- a request that needs a login first -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["500", "503", "429_seconds", "lost_reply", "reset"])
def test_a_login_that_fails_for_a_moment_is_tried_again(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    sandbox.control.fault("datafiniti", fault, times=1, path_contains="/auth", seconds=1)
    login = Login("user@example.com", "secret")
    opened = carrier(endpoint(sandbox.urls["datafiniti"], token=None, login=login), DatafinitiService())
    assert opened.send(read("/v4/account")).status == 200


@pytest.mark.parametrize("fault", ["500", "503", "lost_reply", "reset"])
def test_a_start_that_waits_for_a_login_was_not_sent(sandbox: Sandbox, carrier: Open, fault: str) -> None:
    """DF2."""
    sandbox.control.fault("datafiniti", fault, times=None, path_contains="/auth")
    login = Login("user@example.com", "secret")
    opened = carrier(endpoint(sandbox.urls["datafiniti"], token=None, login=login), DatafinitiService())
    with pytest.raises(TransportError, match="/v4/auth") as caught:
        opened.send(start("/v4/businesses/search"))
    assert not caught.value.sent
    assert not caught.value.permanent
    assert sandbox.control.requests(host="datafiniti", path_contains="/search") == []
