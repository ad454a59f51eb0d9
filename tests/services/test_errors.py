"""From an answer without success to an error: class by status, text from whatever came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import PageTimeoutError, RemoteJobsError, ServiceUnavailableError
from airflow_provider_jobs.jobs.model import JobSpec, JobStatus
from airflow_provider_jobs.services.base import Purpose, Reply, Request
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.errors import as_text, error_for, explain, told_wait
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from tests.services.driving import BATCH, DOWNLOAD, answer, page, talk

GET = Request("GET", "/v1/x", Purpose.POLL)
KEYS = st.sampled_from(
    ["error", "errors", "message", "details", "code", "status", "success", "id", "_id", "results", "data", "total",
     "completed", "creditsUsed", "num_records", "total_cost", "records", "invalidURLs", "robotsBlocked", "keys", "path",
     "field", "reason", "url", "warning", "token"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
BODIES = ANYTHING.map(json.dumps) | st.text() | st.binary()


def reply_of(status: int, body: Any) -> Reply:
    return Reply(status, {}, body.encode("utf-8", errors="replace") if isinstance(body, str) else body)


@pytest.mark.parametrize("service", [FirecrawlService(), DatafinitiService()], ids=["firecrawl", "datafiniti"])
@given(status=st.integers(min_value=300, max_value=599), body=BODIES)
def test_any_body_without_success_becomes_one_of_our_errors(service: Any, status: int, body: Any) -> None:
    """F43, F44, DF15: error bodies may be anything at all."""
    with pytest.raises(RemoteJobsError) as caught:
        service.check_error(GET, reply_of(status, body))
    text = str(caught.value)
    assert f"HTTP {status}" in text
    assert len(text.splitlines()) == 1
    assert len(text) < 1000


@given(body=BODIES)
def test_any_success_is_read_or_refused_by_name(body: Any) -> None:
    """F44, DF6, DF15, DF21: a parser either understands an answer or raises an error of ours."""
    firecrawl, datafiniti, reply = FirecrawlService(), DatafinitiService(), reply_of(200, body)
    spec = JobSpec("firecrawl", "batch_scrape", {}, "v1", 1)
    download = JobSpec("datafiniti", "download", {"data_type": "people", "body": {}}, "v4", 1)
    walk = firecrawl.pages(BATCH)
    page_request = walk.request()
    assert page_request is not None
    for read in (
        lambda: firecrawl.read_status(GET, reply),
        lambda: firecrawl.read_start(spec, GET, reply, sent_at=0.0),
        lambda: firecrawl.read_cancel(BATCH, GET, reply),
        lambda: talk(firecrawl.page_errors(BATCH), reply),
        lambda: talk(firecrawl.account("v1"), reply),
        lambda: walk.read(page_request, reply),
        lambda: datafiniti.read_status(GET, reply),
        lambda: datafiniti.read_start(download, GET, reply, sent_at=0.0),
        lambda: datafiniti.read_cancel(DOWNLOAD, GET, reply),
        lambda: talk(datafiniti.listing(), reply),
        lambda: talk(datafiniti.account(), reply),
        lambda: datafiniti.read_login(reply),
    ):
        try:
            found: Any = read()
        except RemoteJobsError as error:
            assert str(error)
        else:
            if isinstance(found, JobStatus):
                json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"errors": ["one", "two"]}, "one; two"),
        ({"errors": [{"message": "one"}, {"error": "two"}, None, ""]}, "one; two"),
        ({"errors": {"message": "one"}}, "one"),
        ({"errors": "one"}, "one"),
        ({"errors": [], "message": "one"}, "one"),
        ({"errors": []}, ""),
        ({"error": "one"}, "one"),
        ({"error": {"message": "one"}}, "one"),
        ({"error": "Bad Request", "message": "one", "details": [{"field": "email", "message": "two"}]},
         "Bad Request; one; email: two"),
        ({"error": "one", "message": "one"}, "one"),
        ({"error": "one", "code": "SCRAPE_TIMEOUT"}, "one; [SCRAPE_TIMEOUT]"),
        ({"error": "one", "code": 400}, "one"),
        ({"error": "Bad Request", "details": [{"keys": ["foo"], "path": [], "message": "Unrecognized key"}]},
         "Bad Request; foo: Unrecognized key"),
        ({"error": "Bad Request", "details": [{"path": ["urls", 1], "message": "Invalid url"}]},
         "Bad Request; urls.1: Invalid url"),
        ({"error": "one", "details": {"state": "processing_continues"}}, "one"),
        ({"error": "one", "details": 5}, "one"),
        ({"error": "one", "details": "two"}, "one"),
        ({"error": "one", "details": [{"keys": 3, "message": "two"}]}, "one; two"),
        ("plain text", "plain text"),
        ("{ Unauthorized }", "{ Unauthorized }"),
        ("two\n lines", "two lines"),
        (None, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_explain(body: Any, text: str) -> None:
    """DF15: errors as a list, an object, a text or nothing, in both families."""
    assert explain(answer(400, body)) == text


def test_explain_a_page() -> None:
    """F15, DF15: a proxy's page without its markup, and without the title that says it twice."""
    assert explain(page(502, "Bad <b>gateway</b>")) == "Bad gateway"
    assert (
        explain(answer(403, "<Error><Code>AccessDenied</Code></Error>", headers={"content-type": "application/xml"}))
        == "AccessDenied"
    )


def test_an_error_nested_beyond_reason_is_still_an_error() -> None:
    """F43."""
    nested: Any = "deep"
    for _ in range(500):
        nested = [nested]
    assert len(as_text(nested)) <= 400
    with pytest.raises(RemoteJobsError, match="HTTP 500"):
        FirecrawlService().check_error(GET, answer(500, {"error": nested}))


@given(ANYTHING)
def test_as_text_is_short_and_on_one_line(value: Any) -> None:
    """F43."""
    assert len(as_text(value)) <= 400
    assert len(as_text(value).splitlines()) <= 1


DATE = {"date": "Sun, 22 Nov 2026 13:57:22 GMT"}


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "12"}, None, 12.0),
        ({"retry-after": " 1.5 "}, None, 1.5),
        ({"retry-after": "0"}, None, 0.0),
        ({"retry-after": "-3"}, None, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:58:20 GMT", **DATE}, None, 58.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:50:00 GMT", **DATE}, None, 0.0),
        ({"retry-after": "Sunday, 22-Nov-26 13:58:20 GMT", **DATE}, None, 58.0),
        ({}, {"error": "please retry after 58s, resets at Sun"}, 58.0),
        ({}, {"error": "Please Retry After 3 s"}, 3.0),
        ({"retry-after": "7"}, {"error": "please retry after 58s"}, 7.0),
        ({}, {"error": "slow down"}, None),
        ({}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "soon"}, {"error": "retry after 9s"}, 9.0),
        ({"retry-after": "inf"}, None, None),
        ({"retry-after": "nan"}, None, None),
    ],
)
def test_told_wait(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    """F18: the wait stands in a header as seconds or date, or only in the text; nonsense is no wait."""
    assert told_wait(answer(429, body, headers=headers)) == seconds


def test_a_date_without_the_server_s_clock_is_counted_from_ours() -> None:
    """F18."""
    assert told_wait(answer(429, None, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0.0
    wait = told_wait(answer(503, None, headers={"retry-after": "Fri, 21 Oct 2089 07:28:00 GMT"}))
    assert wait is not None
    assert wait > 365 * 86400


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_faults_of_the_moment_carry_the_wait(status: int) -> None:
    """F18."""
    error = error_for("Firecrawl", GET, answer(status, None, headers={"retry-after": "9"}))
    assert getattr(error, "retry_after", None) == 9.0
    assert not error.permanent


@pytest.mark.parametrize(
    ("body", "is_definite"),
    [
        (b'{"success":false,"code":"SCRAPE_TIMEOUT","error":"Scrape timed out"}', True),
        (b"<html>408</html>", False),
        (b"", False),
    ],
)
def test_a_timeout_of_a_page_is_told_from_that_of_a_proxy(body: bytes, is_definite: bool) -> None:
    """The service's own is an answer; a proxy may have passed the call on."""
    request = Request("POST", "/v1/scrape", Purpose.START)
    with pytest.raises(ServiceUnavailableError) as caught:
        FirecrawlService().check_error(request, Reply(408, {}, body))
    assert isinstance(caught.value, PageTimeoutError) is is_definite
