"""A start through the hook: one job or a clear word that there may be one (P3, F19, DF2)."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    PaymentRequiredError,
    RateLimitedError,
    RequestRejectedError,
    StartUncertainError,
    TransportError,
)
from airflow_provider_jobs.sandbox import Sandbox
from tests.transport.wire import WireServer, free_port, reply

LOST = ["lost_reply", "reset", "slow", "500", "502_html", "503", "504_empty", "truncated_json", "html_200"]


@pytest.fixture(params=["firecrawl", "datafiniti"])
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hook(request: pytest.FixtureRequest, service: str) -> Any:
    return request.getfixturevalue(service)


def spec(hook: Any, sandbox: Sandbox) -> Any:
    if hook.conn_type == "firecrawl":
        return hook.service.batch_scrape([f"{sandbox.urls['site']}/page1.html"], api_version="v1")
    return hook.service.download("businesses", "country:US", 3)


def posts(sandbox: Sandbox, service: str) -> int:
    return len(sandbox.control.requests(host=service, method="POST"))


def test_one_start_is_one_job(sandbox: Sandbox, hook: Any, service: str) -> None:
    before = time.time()
    made = hook()
    job = made.start(spec(made, sandbox))
    assert [found["id"] for found in sandbox.control.jobs(service)] == [job.ref.job_id]
    assert posts(sandbox, service) == 1
    assert before <= job.started_at <= time.time()


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", LOST)
def test_an_uncertain_start_names_time_connection_and_request(
    sandbox: Sandbox, hook: Any, service: str, fault: str
) -> None:
    sandbox.control.fault(service, fault, method="POST", times=1, seconds=2)
    made = hook(timeout=0.4)
    waits: list[float] = []
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    with pytest.raises(StartUncertainError) as caught:
        made.start(spec(made, sandbox), sleep=waits.append)
    text = str(caught.value)
    found = re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", text)
    assert found
    assert before <= dt.datetime.fromisoformat(found[0]) <= dt.datetime.now(dt.UTC)
    assert f"connection {made.conn_id}" in text
    assert ("POST /v1/batch/scrape" if service == "firecrawl" else "POST /v4/businesses/search") in text
    assert "may be running and billed" in text
    assert caught.value.permanent
    assert posts(sandbox, service) == 1
    assert waits == []


@pytest.mark.parametrize("body", ["{}", '{"success": true}', '{"records": [], "num_found": 3}', "[]", '{"id": true}'])
def test_a_success_without_an_id_is_uncertain_and_names_the_request(
    sandbox: Sandbox, hook: Any, service: str, body: str
) -> None:
    with WireServer(lambda asked, line: reply(200, body)) as server:
        made = hook(host=server.url)
        with pytest.raises(StartUncertainError) as caught:
            made.start(spec(made, sandbox), sleep=lambda _: None)
    assert ("POST /v1/batch/scrape" if service == "firecrawl" else "POST /v4/businesses/search") in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(
    ("fault", "error"),
    [("402", PaymentRequiredError), ("409", RequestRejectedError), ("error_list", RequestRejectedError)],
)
def test_a_refused_start_is_not_uncertain(
    sandbox: Sandbox, hook: Any, service: str, fault: str, error: type[Exception]
) -> None:
    sandbox.control.fault(service, fault, method="POST", times=None)
    made = hook()
    with pytest.raises(error):
        made.start(spec(made, sandbox), sleep=lambda _: None)
    assert posts(sandbox, service) == 1


def test_too_many_requests_waits_as_told_and_starts_once(sandbox: Sandbox, hook: Any, service: str) -> None:
    sandbox.control.fault(service, "429_seconds", method="POST", times=2, seconds=7)
    waits: list[float] = []
    made = hook()
    job = made.start(spec(made, sandbox), sleep=waits.append)
    assert [found["id"] for found in sandbox.control.jobs(service)] == [job.ref.job_id]
    assert [7.0 <= waited <= 8.75 for waited in waits] == [True, True]


@pytest.mark.pitfall("F37")
def test_a_full_queue_says_so(sandbox: Sandbox, firecrawl: Any) -> None:
    """F37: an empty job may be left; it is not made twice."""
    text = "Queue limit reached: your team has 50001 jobs queued (limit: 50000)."
    sandbox.control.fault("firecrawl", "429_bare", method="POST", times=None, text=text)
    made = firecrawl()
    with pytest.raises(RateLimitedError, match="Queue limit"):
        made.start(spec(made, sandbox), sleep=lambda _: None)
    assert posts(sandbox, "firecrawl") == 1


def test_nobody_there_is_not_uncertain(sandbox: Sandbox, hook: Any) -> None:
    made = hook(host=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TransportError, match="refused"):
        made.start(spec(made, sandbox), sleep=lambda _: None)


def test_a_sleep_that_raises_ends_the_start(sandbox: Sandbox, hook: Any, service: str) -> None:
    class Killed(Exception):
        pass

    def killed(_: float) -> None:
        raise Killed

    sandbox.control.fault(service, "429_seconds", method="POST", times=None, seconds=7)
    made = hook()
    with pytest.raises(Killed):
        made.start(spec(made, sandbox), sleep=killed)
    assert posts(sandbox, service) == 1


@pytest.mark.pitfall("F24")
def test_bad_input_sends_nothing(sandbox: Sandbox, firecrawl: Any, datafiniti: Any) -> None:
    """P8, F24, DF1: before anything is billed."""
    for attempt in (
        lambda: firecrawl().start_batch_scrape([]),
        lambda: firecrawl().start_batch_scrape("https://example.com/"),
        lambda: firecrawl().start_batch_scrape(["https://example.com/"], options={"fromats": ["markdown"]}),
        lambda: datafiniti().start_download("businesses", "country:US"),
        lambda: datafiniti().start_download("business", "country:US", 5),
        lambda: datafiniti().start_download("businesses", "", 5),
        lambda: datafiniti().start_download("businesses", "country:US", 0),
    ):
        with pytest.raises(InvalidInputError):
            attempt()
    assert sandbox.control.requests() == []
