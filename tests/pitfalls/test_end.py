"""How jobs end, what they count, and what their documents look like."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobTimeoutError,
    ServiceUnavailableError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.model import JobRef, JobState, StartedJob
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import FIRECRAWL_KEY
from tests.transport.wire import Asked, WireServer, reply

NO_JOB = "00000000-0000-4000-8000-000000000000"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# --- what a completed job holds -----------------------------------------------------------------------------------


@pytest.mark.pitfall("F5")
def test_a_completed_job_without_some_pages(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, tmp_path: Path
) -> None:
    bad = [f"{sandbox.urls['site']}/drop/{number}.html" for number in (1, 2)]
    value = scrape([*pages(1), *bad], output_path=str(tmp_path / "out")).run()
    told = raw("GET", f"/v1/batch/scrape/{value['job_id']}").json()
    assert (told["status"], told["completed"], told["total"]) == ("completed", 1, 1), "no hint there"
    assert (value["records"], value["failed"], value["missing"]) == (1, 2, 0)
    assert {entry["url"] for entry in lines(tmp_path / "out" / "_failed.jsonl")} == set(bad)
    with pytest.raises(AirflowFailException, match=r"1 delivered, 2 failed.*max_failed=1\b.*/drop/"):
        scrape([*pages(1), *bad], max_failed=1).run()


@pytest.mark.pitfall("F5")
def test_a_completed_job_without_any_page(sandbox: Sandbox, scrape: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"nothing was delivered: 0 delivered, 2 failed.*/drop/"):
        scrape([f"{sandbox.urls['site']}/drop/{number}.html" for number in (1, 2)]).run()
    (job,) = sandbox.control.jobs()
    assert (job["state"], job["completed"], job["total"]) == ("completed", 0, 0)


@pytest.mark.pitfall("F6")
def test_error_pages_of_a_site_are_documents(sandbox: Sandbox, scrape: Any, pages: Any) -> None:
    urls = [*pages(1), *(f"{sandbox.urls['site']}/error/{status}.html" for status in (404, 500))]
    value = scrape(urls).run()
    assert (value["records"], value["failed"], value["missing"], value["credits_used"]) == (3, 0, 0, 3)
    found = {document["metadata"]["sourceURL"]: document["metadata"]["statusCode"] for document in value["data"]}
    assert found == dict(zip(urls, (200, 404, 500), strict=True))


@pytest.mark.pitfall("F45", "F44", "F8")
def test_documents_of_any_form_are_delivered_as_they_come(connect: Any, scrape: Any) -> None:
    documents: list[Any] = [
        {},
        {"markdown": None, "metadata": None},
        {"links": [], "metadata": {"title": ["one", "two"], "sourceURL": "https://example.com/"}},
        {"html": "x", "metadata": {"scrapeId": ["a", "list"], "statusCode": "200"}},
        {"json": {"deep": [1, {"x": None}]}, "metadata": {"scrapeId": 7}, "brandNew": {"a": 1}},
        {"metadata": ["no", "object"]},
    ]
    status = {
        "success": True,
        "status": "completed",
        "completed": 6,
        "total": 6,
        "brandNew": [1],
        "model": "unheard-of",
    }
    failed = {"errors": [{"url": "https://example.com/b", "code": "SCRAPE_BRAND_NEW", "error": {"message": "why"}}]}

    def answer(asked: Asked, _: Any) -> bytes:
        if asked.method == "POST":
            return reply(200, '{"success": true, "id": "abc", "brandNew": 1}')
        told = failed if asked.target.endswith("/errors") else {**status, "data": documents}
        return reply(200, json.dumps(told))

    with WireServer(answer) as server:
        connect(server.url)
        value = scrape([f"https://example.com/{number}" for number in range(7)]).run()
    assert value["data"] == documents
    assert (value["records"], value["failed"], value["missing"]) == (6, 1, 0)


@pytest.mark.pitfall("F45")
def test_documents_without_markdown(scrape: Any, pages: Any) -> None:
    value = scrape(pages(1), options={"formats": ["links"]}).run()
    assert ["markdown" in document for document in value["data"]] == [False]


@pytest.mark.pitfall("F32")
def test_a_large_result_goes_into_files_and_not_into_the_return_value(
    sandbox: Sandbox, scrape: Any, pages: Any, tmp_path: Path
) -> None:
    sandbox.control.settings(firecrawl={"content_bytes": 600_000, "page_bytes": 1_000_000})
    with pytest.raises(AirflowFailException, match="set output_path and clear the task"):
        scrape(pages(1, 2, 3)).run()
    value = scrape(pages(1, 2, 3), output_path=str(tmp_path / "out")).run()
    assert (value["records"], value["missing"], "data" in value) == (3, 0, False)
    assert len(json.dumps(value)) < 2000
    documents = [document for place in value["output"] for document in lines(Path(place.removeprefix("file://")))]
    assert [len(document["markdown"]) >= 600_000 for document in documents] == [True] * 3


# --- pages that failed ----------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F34")
def test_the_list_of_failed_pages_where_v2_has_no_route_for_it(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, sent: Any
) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    value = scrape([*pages(1), f"{sandbox.urls['site']}/drop/1.html"], api_version="v2").run()
    missing = raw("GET", f"/v2/batch/scrape/{value['job_id']}/errors")
    assert (missing.status_code, missing.headers["content-type"].startswith("text/html")) == (404, True)
    assert (value["records"], value["failed"], value["missing"]) == (1, 1, 0)
    assert [call["path"] for call in sent("GET", "/errors")][:-1] == [
        f"/v2/batch/scrape/{value['job_id']}/errors",
        f"/v2/crawl/{value['job_id']}/errors",
    ]


@pytest.mark.pitfall("F34")
@pytest.mark.parametrize("fault", ["json_404", "html_404", "403", "error_empty"])
def test_a_job_does_without_the_list_of_failed_pages(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, fault: str
) -> None:
    sandbox.control.fault("firecrawl", fault, method="GET", path_contains="/errors", times=None)
    assert scrape(pages(1, 2)).run()["records"] == 2
    assert 1 <= len(sent("GET", "/errors")) <= 2
    # What is not listed is missing all the same.
    with pytest.raises(AirflowFailException, match="1 delivered, 0 failed, 1 missing"):
        scrape([*pages(1), f"{sandbox.urls['site']}/drop/1.html"]).run()


@pytest.mark.pitfall("F34")
def test_the_list_of_failed_pages_is_read_once_and_not_carried_along(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any
) -> None:
    bad = [f"{sandbox.urls['site']}/drop/{number}.html" for number in range(200)]
    value = scrape([*pages(1), *bad]).run()
    assert (value["records"], value["failed"]) == (1, 200)
    assert len(sent("GET", "/errors")) == 1
    assert "/drop/" not in json.dumps(value)


@pytest.mark.pitfall("F31")
def test_pages_that_ran_out_of_time_are_listed_as_such(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, tmp_path: Path
) -> None:
    """The limit is the user's: none is set in their place, because waiting in the queue counts against it."""
    slow = f"{sandbox.urls['site']}/slow/1.html?ms=5000"
    value = scrape([*pages(1), slow], options={"timeout": 1000}, output_path=str(tmp_path / "out")).run()
    assert (value["records"], value["failed"]) == (1, 1)
    (entry,) = lines(tmp_path / "out" / "_failed.jsonl")
    assert (entry["url"], entry["code"]) == (slow, "SCRAPE_TIMEOUT")
    scrape(pages(1)).run()
    assert ["timeout" in json.loads(call["body"]) for call in sent("POST")] == [True, False]


@pytest.mark.pitfall("F31", "F30")
def test_a_job_whose_pages_wait_for_hours_is_waited_for(sandbox: Sandbox, hook: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"concurrency": 1, "page_seconds": 12 * 3600.0})
    job = hook.start_batch_scrape(pages(1, 2, 3, 4))
    told: list[Any] = []

    def sleep(_: float) -> None:
        done = len(told)
        sandbox.control.advance(12 * 3600)
        sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["completed"] >= done)

    status = hook.wait(job, on_status=told.append, sleep=sleep)
    assert (status.state, status.completed) == (JobState.SUCCEEDED, 4)
    assert [look.state for look in told[:-1]] == [JobState.RUNNING] * 4


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F9")
@pytest.mark.parametrize("flip", ["cancelled by a DELETE", "running again"])
def test_a_success_stays_one(sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, flip: str) -> None:
    """The job reads differently between its end and the delivery."""
    sandbox.control.settings(firecrawl={"server": "2025" if "DELETE" in flip else "2026", "hold": True})
    task = scrape(pages(1, 2, 3), deferrable=True)
    job_id = task.defer()
    sandbox.control.act(job_id, "finish")
    event = task.event()
    if "DELETE" in flip:
        assert raw("DELETE", f"/v1/batch/scrape/{job_id}").status_code == 200
    else:
        sandbox.control.act(job_id, "append", urls=[f"{sandbox.urls['site']}/slow/1.html?ms=30000"])
    now = raw("GET", f"/v1/batch/scrape/{job_id}").json()["status"]
    assert now == ("cancelled" if "DELETE" in flip else "scraping")
    value = task.resume(event)
    assert (value["state"], value["records"], value["missing"]) == ("succeeded", 3, 0)


@pytest.mark.pitfall("F9")
def test_a_cancelled_job_stays_one(sandbox: Sandbox, scrape: Any, pages: Any, raw: Any) -> None:
    sandbox.control.settings(firecrawl={"hold_after": 1})
    task = scrape(pages(1, 2, 3), deferrable=True)
    job_id = task.defer()
    sandbox.control.act(job_id, "cancel")
    event = task.event()
    sandbox.control.act(job_id, "lose_record")
    assert raw("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "completed"
    with pytest.raises(JobCancelledError, match="ended as cancelled"):
        task.resume(event)


@pytest.mark.pitfall("F11")
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_cancel_does_not_wait_for_the_counters(
    sandbox: Sandbox, scrape: Any, hook: Any, pages: Any, raw: Any, server: str
) -> None:
    """Pages in work go on and are billed; those that nobody works on are never done."""
    sandbox.control.settings(firecrawl={"server": server, "hold_after": 2, "page_seconds": 3600.0})
    job = hook.start_batch_scrape(pages(1, 2, 3, 4, 5))
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["in_work"] == 2)
    outcome = hook.cancel(job.ref, pauses=(0.05,) * 6)
    assert (outcome.status.state, outcome.status.completed) == (JobState.CANCELLED, 0)
    assert (outcome.status.total or 0) > 0
    sandbox.control.advance(3600)
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["completed"] == 2)
    later = hook.look(job.ref)
    assert (later.state, later.completed) == (JobState.CANCELLED, 2)
    assert (later.total == 5) == (server == "2025")


@pytest.mark.pitfall("F14", "F12")
def test_a_job_that_is_not_known_yet_is_cancelled(sandbox: Sandbox, hook: Any, pages: Any, raw: Any) -> None:
    """For a while, "not found" does not mean that there is nothing to cancel."""
    sandbox.control.settings(firecrawl={"not_found_for": 1.2, "hold": True})
    job = hook.start_batch_scrape(pages(1))
    assert [raw(method, f"/v1/batch/scrape/{job.ref.job_id}").status_code for method in ("GET", "DELETE")] == [404] * 2
    outcome = hook.cancel(job.ref, started_at=job.started_at)
    assert (outcome.status.state, outcome.was_over) == (JobState.CANCELLED, False)
    assert sandbox.control.job(job.ref.job_id)["cancelled_by_delete"]


@pytest.mark.pitfall("F13")
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failure_inside_http_200(sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, deferrable: bool) -> None:
    sandbox.control.settings(firecrawl={"kickoff_failure": True})
    with pytest.raises(JobFailedError, match=r"ended as failed.*Failed to start the job"):
        scrape(pages(1), deferrable=deferrable).run()
    (job,) = sandbox.control.jobs()
    told = raw("GET", f"/v1/batch/scrape/{job['id']}")
    assert (told.status_code, told.json()["success"]) == (200, False)


@pytest.mark.pitfall("F15")
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_an_expired_job_is_not_found_and_that_is_final(
    sandbox: Sandbox, hook: Any, pages: Any, over: Any, server: str
) -> None:
    sandbox.control.settings(firecrawl={"server": server, "keys": [FIRECRAWL_KEY]})
    job = hook.start_batch_scrape(pages(1))
    over(job.ref.job_id)
    sandbox.control.advance(25 * 3600)
    with pytest.raises(JobNotFoundError, match=job.ref.job_id) as caught:
        hook.wait(StartedJob(job.ref, time.time() - 25 * 3600), sleep=_no_sleep)
    assert caught.value.permanent


@pytest.mark.pitfall("F15")
def test_a_job_of_another_team_is_not_found(sandbox: Sandbox, hook: Any, connect: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": [FIRECRAWL_KEY, "fc-another"]})
    job = hook.start_batch_scrape(pages(1))
    connect(sandbox.urls["firecrawl"], password="fc-another")
    with pytest.raises(JobNotFoundError, match="Job not found"):
        FirecrawlHook().look(job.ref)


def _no_sleep(seconds: float) -> None:
    raise AssertionError(f"asked to wait {seconds} seconds")


@pytest.mark.pitfall("F16")
def test_a_500_for_an_unknown_id_is_bounded_and_names_it(sandbox: Sandbox, hook: Any, sent: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "keys": [FIRECRAWL_KEY]})
    ref = JobRef("firecrawl", "batch_scrape", NO_JOB, "v1")
    with pytest.raises(ServiceUnavailableError, match=NO_JOB):
        hook.look(ref)
    with pytest.raises(JobTimeoutError, match=NO_JOB):
        hook.wait(StartedJob(ref, time.time()), deadline=time.time() + 0.1, sleep=lambda _: time.sleep(0.02))
    assert 3 <= len(sent("GET")) <= 20
    # A cancel comes to its end: the DELETE says that there is no such job.
    outcome = hook.cancel(ref, pauses=(0.02,) * 3)
    assert (outcome.status, NO_JOB in outcome.note) == (None, True)


@pytest.mark.pitfall("F28")
def test_counters_that_are_unknown_decide_nothing(sandbox: Sandbox, scrape: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"credits_used": -1})
    value = scrape(pages(1, 2)).run()
    assert (value["credits_used"], value["records"], value["missing"]) == (None, 2, 0)


@pytest.mark.pitfall("F28", "F29")
def test_only_the_status_ends_a_job(sandbox: Sandbox, hook: Any, pages: Any, raw: Any) -> None:
    """All pages are done, and the end is noticed a while later."""
    sandbox.control.settings(firecrawl={"end_delay": 15.0})
    job = hook.start_batch_scrape(pages(1, 2))
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["completed"] == 2)
    told = raw("GET", f"/v1/batch/scrape/{job.ref.job_id}").json()
    assert (told["status"], told["completed"], told["total"]) == ("scraping", 2, 2)
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            sandbox.control.advance(15)

    assert hook.wait(job, sleep=sleep).state is JobState.SUCCEEDED
    assert len(naps) == 3


@pytest.mark.pitfall("F28")
def test_a_total_that_shrinks(sandbox: Sandbox, hook: Any, pages: Any) -> None:
    """A failed page is taken out of the total, so that progress can go backwards and end at nothing."""
    sandbox.control.settings(firecrawl={"hold": True})
    job = hook.start_batch_scrape([f"{sandbox.urls['site']}/drop/{number}.html" for number in (1, 2)])
    told: list[Any] = []

    def sleep(_: float) -> None:
        sandbox.control.act(job.ref.job_id, "finish")

    status = hook.wait(job, on_status=told.append, sleep=sleep)
    assert [(look.completed, look.total) for look in told] == [(0, 2), (0, 0)]
    assert status.describe()


@pytest.mark.pitfall("F30")
def test_a_job_that_is_stuck_is_cancelled_at_the_deadline(sandbox: Sandbox, scrape: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    with pytest.raises(JobTimeoutError, match="was not over"):
        scrape(pages(1), job_timeout=1.2).run()
    (job,) = sandbox.control.jobs()
    assert (job["state"], job["cancelled_by_delete"]) == ("cancelled", True)


@pytest.mark.pitfall("F43", "F13")
def test_an_error_that_quotes_a_whole_page_becomes_a_short_text(
    sandbox: Sandbox, scrape: Any, pages: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Inside HTTP 200, as an object of several KB."""
    params = {"text": "the model gave up", "status": 200}
    sandbox.control.fault("firecrawl", "error_object", method="GET", times=None, **params)
    with pytest.raises(JobFailedError, match="the model gave up") as caught:
        scrape(pages(1), job_timeout=20).run()
    assert len(str(caught.value)) < 800
    logged = capfd.readouterr().out
    assert "ended as failed" in str(caught.value)
    assert "is over: failed" in logged
    assert "page text " * 50 not in str(caught.value) + logged


@pytest.mark.pitfall("F44")
def test_a_status_that_nobody_knows_counts_as_running(
    sandbox: Sandbox, scrape: Any, pages: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.control.fault("firecrawl", "status_word", method="GET", times=2, word="archiving")
    assert scrape(pages(1)).run()["state"] == "succeeded"
    assert "a status that this version does not know" in capfd.readouterr().out
    assert sandbox.control.requests(method="DELETE") == []


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize("fault", ["401", "402", "403", "410", "413", "error_list", "html_404", "json_404"])
def test_a_refused_start_is_final(sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None)
    with pytest.raises(AirflowFailException):
        scrape(pages(1), retries=3).run()
    assert [call["method"] for call in sent()] == ["POST"]
