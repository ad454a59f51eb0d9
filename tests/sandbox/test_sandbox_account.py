"""What the stand-in says about the account: credits, tokens, queue and activity."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_jobs.sandbox import Sandbox

SNAKE = {"plan_credits", "billing_period_start", "billing_period_end"}


def test_credit_usage(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    data = firecrawl("GET", "/v1/team/credit-usage").json()["data"]
    assert set(data) == {"remaining_credits", *SNAKE}
    sandbox.control.settings(firecrawl={"credits": 100})
    firecrawl("POST", "/v2/scrape", {"url": pages(1)[0], "formats": ["markdown", {"type": "json", "prompt": "x"}]})
    firecrawl("POST", "/v2/search", {"query": "tides"})
    data = firecrawl("GET", "/v2/team/credit-usage").json()["data"]
    assert (data["remainingCredits"], data["planCredits"]) == (94, 100_000)
    (period,) = firecrawl("GET", "/v2/team/credit-usage/historical").json()["periods"]
    assert period["totalCredits"] == 6


def test_token_usage(sandbox: Sandbox, firecrawl: Any) -> None:
    assert firecrawl("GET", "/v1/team/token-usage").json()["data"]["remaining_tokens"] == 99_999_999
    sandbox.control.settings(firecrawl={"credits": 10})
    data = firecrawl("GET", "/v2/team/token-usage").json()["data"]
    assert (data["remainingTokens"], data["planTokens"]) == (150, 1_500_000)
    (period,) = firecrawl("GET", "/v1/team/token-usage/historical").json()["periods"]
    assert period["totalTokens"] == 0


def test_a_server_of_2025(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert firecrawl("GET", "/v1/team/credit-usage").text == '{"success":true,"data":{"remaining_credits":99999999}}'
    assert firecrawl("GET", "/v1/team/token-usage").text == '{"success":true,"data":{"remaining_tokens":99999999}}'
    for path in ("/v1/team/queue-status", "/v2/team/credit-usage/historical", "/v2/team/activity"):
        assert f"Cannot GET {path}" in firecrawl("GET", path).text
    assert firecrawl("GET", "/v1/concurrency-check").status_code == 500
    # One counter for polls and for the account.
    sandbox.control.settings(firecrawl={"rate_limit": 1})
    firecrawl("GET", "/v1/crawl/active")
    assert firecrawl("GET", "/v1/team/credit-usage").status_code == 429


@pytest.mark.parametrize("path", ["credit-usage", "token-usage"])
def test_usage_that_is_not_known(sandbox: Sandbox, firecrawl: Any, path: str) -> None:
    sandbox.control.settings(firecrawl={"no_usage": True})
    reply = firecrawl("GET", f"/v2/team/{path}")
    assert (reply.status_code, reply.json()["success"]) == (404, False)


def test_queue_and_concurrency(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    idle = firecrawl("GET", "/v1/team/queue-status").json()
    assert (idle["jobsInQueue"], idle["mostRecentSuccess"]) == (0, None)
    sandbox.control.settings(firecrawl={"hold": True})
    start(pages(1, 2, 3), until=None)
    queue = firecrawl("GET", "/v2/team/queue-status").json()
    assert queue == {
        "success": True,
        "jobsInQueue": 3,
        "activeJobsInQueue": 0,
        "waitingJobsInQueue": 3,
        "maxConcurrency": 8,
        "mostRecentSuccess": None,
    }
    assert firecrawl("GET", "/v1/concurrency-check").json() == {"success": True, "concurrency": 0, "maxConcurrency": 8}


def test_activity_lists_every_kind(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    (url,) = pages(1)
    started = [
        ("batch_scrape", "/v1/batch/scrape", {"urls": [url]}),
        ("crawl", "/v2/crawl", {"url": url, "limit": 1}),
        ("scrape", "/v1/scrape", {"url": url}),
        ("map", "/v2/map", {"url": url}),
        ("search", "/v1/search", {"query": "tides"}),
        ("agent", "/v2/agent", {"prompt": "Who?"}),
        ("extract", "/v2/extract", {"urls": [url]}),
    ]
    ids = [firecrawl("POST", path, body).json().get("id") for _, path, body in started]
    listed = list(reversed(firecrawl("GET", "/v2/team/activity").json()["data"]))
    assert [(item["endpoint"], item["api_version"]) for item in listed] == [
        (kind, path[1:3]) for kind, path, _ in started
    ]
    assert [item["target"] for item in listed] == [url, url, url, url, "tides", "Who?", url]
    assert [item["id"] for item, known in zip(listed, ids, strict=True) if known] == [known for known in ids if known]
    assert all(list(item) == ["id", "endpoint", "api_version", "created_at", "target"] for item in listed)
    for kind, _, _ in started:
        (only,) = firecrawl("GET", f"/v2/team/activity?endpoint={kind}").json()["data"]
        assert only["endpoint"] == kind
    sandbox.control.advance(25 * 3600)
    assert firecrawl("GET", "/v2/team/activity").json() == {
        "success": True,
        "data": [],
        "cursor": None,
        "has_more": False,
    }


def test_activity_by_pages(firecrawl: Any, start: Any, pages: Any) -> None:
    jobs = [start(pages(number), until=None) for number in range(5)]
    seen, cursor = [], ""
    for _ in range(3):
        body = firecrawl("GET", f"/v2/team/activity?limit=2{cursor}").json()
        seen += [item["id"] for item in body["data"]]
        cursor = f"&cursor={body['cursor']}"
        # What is started meanwhile does not move the pages.
        start(pages(9), until=None)
    assert seen == list(reversed(jobs))
    assert (body["has_more"], body["cursor"]) == (False, None)
    for _ in range(50):
        start(pages(1), until=None)
    assert len(firecrawl("GET", "/v2/team/activity").json()["data"]) == 50
    for wrong in ("limit=101", "limit=0", "limit=many", "endpoint=download", "cursor=elsewhere"):
        assert firecrawl("GET", f"/v2/team/activity?{wrong}").status_code == 400
