"""Crawls: what stands in no counter, and limits that are lowered without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import JobFailedError, JobTimeoutError
from airflow_provider_jobs.jobs.model import JobState
from airflow_provider_jobs.operators.firecrawl import FirecrawlCrawlOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.pitfalls.conftest import Task
from tests.transport.wire import Asked, WireServer, reply

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
SERVERS = pytest.mark.parametrize("server", ["2025", "2026"])
NO_CREDITS = "The account has no credits left"


@pytest.fixture
def crawl(task: Any, sandbox: Sandbox) -> Any:
    """Return a function that makes a task of the crawl: `crawl(limit=5).run()`."""

    def make(url: str | None = None, **arguments: Any) -> Task:
        start = url or f"{sandbox.urls['site']}/index.html"
        made: Task = task(FirecrawlCrawlOperator(task_id="job", url=start, **arguments))
        return made

    return make


def body(call: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call["body"])
    return found


@pytest.mark.pitfall("F35")
@VERSIONS
@SERVERS
def test_pages_that_robots_txt_forbids_are_listed(
    sandbox: Sandbox, crawl: Any, raw: Any, tmp_path: Path, version: str, server: str
) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    options = {"includePaths": ["^/index", "^/about", "^/private"]}
    value = crawl(limit=9, api_version=version, options=options, output_path=str(tmp_path / "out")).run()
    told = raw("GET", f"/{version}/crawl/{value['job_id']}").json()
    assert (told["status"], told["completed"], told["total"]) == ("completed", 2, 2), "they stand in no counter"
    assert (value["records"], value["failed"], value["missing"]) == (2, 1, 0)
    (entry,) = map(json.loads, (tmp_path / "out" / "_failed.jsonl").read_text().splitlines())
    assert entry["url"] == f"{sandbox.urls['site']}/private/secret.html"
    assert "robots.txt" in entry["error"]
    with pytest.raises(AirflowFailException, match=r"2 delivered, 1 failed.*robots\.txt"):
        crawl(limit=9, api_version=version, options=options, max_failed=0).run()


@pytest.mark.pitfall("F36")
@VERSIONS
def test_a_limit_is_always_sent(sandbox: Sandbox, crawl: Any, raw: Any, sent: Any, version: str) -> None:
    """Left out, servers of 2025 lower it to what the account can pay; sent, they tell."""
    settings = {"server": "2025", "credits": 3}
    sandbox.control.settings(firecrawl=settings)
    unsaid = raw("POST", f"/{version}/crawl", json={"url": f"{sandbox.urls['site']}/index.html"})
    job_id = unsaid.json()["id"]
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == "completed")
    assert sandbox.control.job(job_id)["completed"] == 3, "lowered, and completed"
    sandbox.control.reset()
    sandbox.control.settings(firecrawl=settings)
    with pytest.raises(AirflowFailException, match="Insufficient credits"):
        crawl(api_version=version).run()
    assert crawl(api_version=version, limit="2").run()["records"] == 2
    assert [body(call)["limit"] for call in sent("POST")] == [10_000, 2]


@pytest.mark.pitfall("F36")
@VERSIONS
@pytest.mark.parametrize("credits", [3, None])
def test_a_limit_that_was_lowered_to_what_the_account_can_pay(
    sandbox: Sandbox, crawl: Any, raw: Any, capfd: pytest.CaptureFixture[str], version: str, credits: int | None
) -> None:
    """Servers of 2026 do that to a limit that was sent, as long as anything is left."""
    sandbox.control.settings(firecrawl={"credits": credits})
    value = crawl(api_version=version, limit=5).run()
    assert (value["state"], value["records"], value["total"]) == ("succeeded", credits or 5, credits or 5)
    assert (NO_CREDITS in capfd.readouterr().out) == (credits is not None)


@pytest.mark.pitfall("F36")
@pytest.mark.parametrize(("left", "warned"), [(0, True), (0.5, True), (500, False), (None, False)])
@VERSIONS
def test_a_crawl_that_is_shorter_than_its_limit(
    connect: Any, crawl: Any, capfd: pytest.CaptureFixture[str], left: float | None, warned: bool, version: str
) -> None:
    """Only an account without credits is a reason to think that more could have come."""
    documents = [{"metadata": {"scrapeId": str(number)}} for number in range(3)]
    status = {"success": True, "status": "completed", "completed": 3, "total": 3, "creditsUsed": 3, "data": documents}
    usage = {"v1": {"remaining_credits": left}, "v2": {"remainingCredits": left}}[version]

    def answer(asked: Asked, _: Any) -> bytes:
        if asked.method == "POST":
            return reply(200, '{"success": true, "id": "abc"}')
        if asked.target.startswith(f"/{version}/team/credit-usage"):
            return reply(200, json.dumps({"success": True, "data": usage}))
        return reply(200, json.dumps({"errors": []} if asked.target.endswith("/errors") else status))

    with WireServer(answer) as server:
        connect(server.url)
        assert crawl("https://example.com/", limit=10, api_version=version).run()["records"] == 3
        assert (NO_CREDITS in capfd.readouterr().out) == warned
        assert crawl("https://example.com/", limit=3, api_version=version).run()["records"] == 3
        assert NO_CREDITS not in capfd.readouterr().out


@pytest.mark.pitfall("F28")
def test_a_total_that_grows(sandbox: Sandbox, hook: Any) -> None:
    """A crawl finds its pages as it goes: nothing can be told from the total."""
    sandbox.control.settings(firecrawl={"concurrency": 1, "page_seconds": 60.0})
    job = hook.start_crawl(f"{sandbox.urls['site']}/index.html", limit=4)
    told: list[Any] = []

    def sleep(_: float) -> None:
        done = len(told)
        sandbox.control.advance(60)
        sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["completed"] >= done)

    status = hook.wait(job, on_status=told.append, sleep=sleep)
    assert (status.state, status.completed, status.total) == (JobState.SUCCEEDED, 4, 4)
    totals = [look.total for look in told]
    assert totals[0] < totals[1], totals


@pytest.mark.pitfall("F13")
@VERSIONS
def test_a_crawl_that_never_began(sandbox: Sandbox, crawl: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"kickoff_failure": True})
    with pytest.raises(JobFailedError, match=r"crawl .* ended as failed.*Failed to start the job"):
        crawl(api_version=version).run()


@pytest.mark.pitfall("F12", "F30")
@VERSIONS
def test_a_stuck_crawl_is_cancelled_until_it_is(sandbox: Sandbox, crawl: Any, sent: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "cancel_ignored": 1})
    with pytest.raises(JobTimeoutError, match="was not over"):
        crawl(limit=5, job_timeout=1.2, api_version=version).run()
    (job,) = sandbox.control.jobs()
    assert job["state"] == "cancelled"
    assert [call["path"] for call in sent("DELETE")] == [f"/{version}/crawl/{job['id']}"] * 2


@pytest.mark.pitfall("F3", "F7")
def test_a_crawl_on_a_server_that_repeats_its_first_document(sandbox: Sandbox, crawl: Any) -> None:
    """Nobody knows how many pages a crawl should have; the job's own count tells."""
    sandbox.control.settings(firecrawl={"pagination": "A", "server": "2025", "content_bytes": 3000, "page_bytes": 4000})
    with pytest.raises(AirflowFailException, match=r"1 delivered, \d failed, 7 missing"):
        crawl(limit=8).run()


@pytest.mark.pitfall("F6")
@pytest.mark.parametrize("count", [True, False])
def test_error_pages_of_a_site_count_as_failed_if_asked_for(sandbox: Sandbox, crawl: Any, count: bool) -> None:
    """They are delivered all the same."""
    value = crawl(f"{sandbox.urls['site']}/error/404.html", limit=2, count_http_errors=count).run()
    assert (value["records"], value["failed"], value["missing"]) == (1, int(count), 0)
    assert [document["metadata"]["statusCode"] for document in value["data"]] == [404]


@pytest.mark.pitfall("F26")
@VERSIONS
def test_the_client_of_a_crawl_is_named_in_origin(crawl: Any, sent: Any, version: str) -> None:
    crawl(limit=1, api_version=version).run()
    told = body(sent("POST")[0])
    assert (told["origin"], "integration" in told) == ("airflow-provider-jobs", False)
