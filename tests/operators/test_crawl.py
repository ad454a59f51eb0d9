"""The crawl operator against the sandbox, without Airflow's services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    JobCancelledError,
    JobFailedError,
    JobKilledError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RequestRejectedError,
    ResultIncompleteError,
    RouteNotFoundError,
    StartUncertainError,
)
from airflow_provider_jobs.operators.firecrawl import FirecrawlCrawlOperator
from tests.conftest import FIRECRAWL_KEY
from tests.operators.conftest import Instance, bodies, killed_when, sent

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])

pytestmark = pytest.mark.usefixtures("firecrawl_default")


@pytest.fixture
def crawl(sandbox: Any) -> Any:
    def make(start: str = "/articles/1.html", **arguments: Any) -> FirecrawlCrawlOperator:
        url = f"{sandbox.urls['site']}{start}"
        return FirecrawlCrawlOperator(**{"task_id": "job", "url": url, "poll_interval": 1, "limit": 3, **arguments})

    return make


def failed_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "_failed.jsonl").read_text().splitlines()]


# -- the good case ---------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.usefixtures("quick")
def test_a_site_is_crawled(sandbox: Any, task: Instance, crawl: Any, version: str) -> None:
    summary = task.execute(crawl(api_version=version))
    (job,) = sandbox.control.jobs()
    urls = {f"{sandbox.urls['site']}/articles/{number}.html" for number in (1, 2, 3)}
    assert {record["metadata"]["sourceURL"] for record in summary.pop("data")} == urls
    assert summary == {
        "service": "firecrawl", "kind": "crawl", "job_id": job["id"], "state": "succeeded", "completed": 3, "total": 3,
        "records": 3, "failed": 0, "missing": 0, "credits_used": 3.0, "output": [],
    }  # fmt: skip
    assert task.pushed == {"job_id": job["id"], "api_version": version}
    assert task.closed == ["delivered"]
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {version}
    assert sent(sandbox, "DELETE") == []
    (body,) = bodies(sandbox, f"/{version}/crawl")
    assert body == {"origin": "airflow-provider-jobs", "url": f"{sandbox.urls['site']}/articles/1.html", "limit": 3}


@pytest.mark.usefixtures("quick")
@pytest.mark.pitfall("F36")
@pytest.mark.parametrize(("given", "sent_limit"), [(None, 10_000), (2, 2), ("2", 2), (" 7 ", 7)])
def test_a_limit_is_always_sent(sandbox: Any, task: Instance, crawl: Any, given: Any, sent_limit: int) -> None:
    task.execute(crawl("/page1.html", limit=given))
    (body,) = bodies(sandbox, "/crawl")
    assert body["limit"] == sent_limit


@pytest.mark.usefixtures("quick")
def test_options_are_part_of_the_body(sandbox: Any, task: Instance, crawl: Any) -> None:
    options = {"includePaths": ["^/articles/[12].html"], "scrapeOptions": {"formats": ["links"]}, "origin": "mine"}
    summary = task.execute(crawl(options=options, limit=9))
    assert len(summary["data"]) == 2
    assert all("links" in record and "markdown" not in record for record in summary["data"])
    assert bodies(sandbox, "/crawl")[0].items() >= options.items()


@pytest.mark.usefixtures("quick")
def test_into_a_folder(sandbox: Any, task: Instance, crawl: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    summary = task.execute(crawl(output_path=str(folder)))
    assert summary["records"] == 3
    assert [Path(name).name for name in summary["output"]] == ["part-00000.jsonl"]
    assert "data" not in summary
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", "part-00000.jsonl"]


def test_a_job_that_takes_its_time_is_waited_for(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"page_seconds": 0.5})
    summary = task.execute(crawl())
    assert (summary["state"], summary["records"]) == ("succeeded", 3)


# -- what could not be had -------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.usefixtures("quick")
@pytest.mark.pitfall("F5", "F35")
def test_pages_that_failed_or_are_blocked_are_listed_and_counted(
    sandbox: Any, task: Instance, crawl: Any, version: str, tmp_path: Path
) -> None:
    """The start page links to one that robots.txt forbids; a page whose connection breaks is in no document."""
    site = sandbox.urls["site"]
    options = {"includePaths": ["^/(index|private|articles/1.html)"], "crawlEntireDomain": True}
    sandbox.control.fault("site", "reset", path_contains="/articles/1.html", times=None)
    arguments = {"options": options, "limit": 50, "output_path": str(tmp_path), "max_failed": 2}
    summary = task.execute(crawl("/index.html", api_version=version, **arguments))
    assert (summary["records"], summary["failed"], summary["missing"]) == (1, 2, 0)
    found = {entry["url"]: entry for entry in failed_lines(tmp_path)}
    assert set(found) == {f"{site}/articles/1.html", f"{site}/private/secret.html"}
    assert found[f"{site}/private/secret.html"]["error"] == "blocked by the site's robots.txt"
    assert found[f"{site}/private/secret.html"]["code"] == "ROBOTS_BLOCKED"
    assert found[f"{site}/articles/1.html"]["code"] == "SCRAPE_ALL_ENGINES_FAILED"
    assert found[f"{site}/articles/1.html"]["error"]
    assert len(sent(sandbox, "GET", f"/{version}/crawl/{summary['job_id']}/errors")) == 1


@pytest.fixture
def half_broken(sandbox: Any) -> dict[str, Any]:
    """A crawl of four pages, of which one breaks: a quarter of what was found."""
    sandbox.control.fault("site", "reset", path_contains="/articles/3.html", times=None)
    return {
        "start": "/index.html",
        "limit": 50,
        "options": {"includePaths": ["^/(index|articles/[123].html)"], "crawlEntireDomain": True},
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("enough", [None, 1, 0.25, 1.0])
def test_max_failed_allows(task: Instance, crawl: Any, half_broken: Any, enough: Any) -> None:
    summary = task.execute(crawl(**half_broken, max_failed=enough))
    assert (summary["records"], summary["failed"], summary["missing"]) == (3, 1, 0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("most", "told"), [(0, "max_failed=0"), (0.24, "max_failed=0.24 of 4")])
def test_max_failed_is_exceeded(
    task: Instance, crawl: Any, half_broken: Any, most: Any, told: str, tmp_path: Path
) -> None:
    """What arrived is delivered first; then the task fails for good, and says where it is."""
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(crawl(**half_broken, max_failed=most, output_path=str(tmp_path)))
    assert isinstance(caught.value.__cause__, ResultIncompleteError)
    assert "3 delivered, 1 failed, 0 missing" in str(caught.value)
    assert "articles/3.html" in str(caught.value)
    assert len((tmp_path / "part-00000.jsonl").read_text().splitlines()) == 3
    assert task.closed == ["delivered"]


@pytest.mark.usefixtures("quick")
@pytest.mark.pitfall("F7")
def test_documents_that_the_server_lost_are_missing(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"drop_results": 1})
    with pytest.raises(AirflowFailException, match="not complete: 2 delivered, 0 failed, 1 missing"):
        task.execute(crawl())
    assert task.closed == ["delivered"]


@VERSIONS
@pytest.mark.usefixtures("quick")
@pytest.mark.pitfall("F6")
@pytest.mark.parametrize("count", [True, False])
def test_error_pages_of_the_site_are_data_that_may_count_as_failed(
    sandbox: Any, task: Instance, crawl: Any, version: str, count: bool, tmp_path: Path
) -> None:
    operator = crawl("/error/404.html", api_version=version, count_http_errors=count, output_path=str(tmp_path))
    summary = task.execute(operator)
    assert (summary["records"], summary["failed"], summary["missing"]) == (1, int(count), 0)
    if count:
        url = f"{sandbox.urls['site']}/error/404.html"
        assert failed_lines(tmp_path) == [{"url": url, "error": "the site answered HTTP 404", "code": "HTTP_404"}]
    else:
        assert not (tmp_path / "_failed.jsonl").exists()


@pytest.mark.usefixtures("quick")
def test_counted_error_pages_may_be_too_many(sandbox: Any, task: Instance, crawl: Any) -> None:
    with pytest.raises(AirflowFailException, match="1 delivered, 1 failed, 0 missing; that is more than max_failed=0"):
        task.execute(crawl("/error/500.html", count_http_errors=True, max_failed=0))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["html_404", "json_404", "403"])
@pytest.mark.pitfall("F34")
def test_without_the_list_of_failed_pages_the_rest_is_delivered(
    sandbox: Any, task: Instance, crawl: Any, fault: str, capsys: Any
) -> None:
    sandbox.control.fault("firecrawl", fault, path_contains="/errors", times=None)
    assert task.execute(crawl())["records"] == 3
    assert "cannot tell which pages failed" in capsys.readouterr().out


@VERSIONS
@pytest.mark.pitfall("F36")
@pytest.mark.parametrize("left", [0, 40])
def test_a_crawl_that_the_credits_may_have_cut_short_is_warned_of(
    sandbox: Any, task: Instance, crawl: Any, version: str, left: int, capsys: Any
) -> None:
    """Something else has spent the account's credits while the crawl ran."""
    sandbox.control.settings(firecrawl={"credits": 50, "hold": True})
    arguments = {"api_version": version, "limit": 9, "options": {"includePaths": ["articles/[12].html"]}}
    deferral = task.deferred(crawl(**arguments, deferrable=True))
    sandbox.control.act(task.pushed["job_id"], "finish")
    sandbox.control.settings(firecrawl={"credits": 2 + left})
    summary = task.resume(crawl(**arguments), deferral, task.fire(deferral))
    assert summary["records"] == 2
    assert ("The account has no credits left" in capsys.readouterr().out) is (left == 0)


# -- how a job can end -----------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.pitfall("F13")
def test_a_crawl_that_never_got_going(sandbox: Any, task: Instance, crawl: Any, version: str) -> None:
    """HTTP 200 with success:false and an end."""
    sandbox.control.settings(firecrawl={"kickoff_failure": True})
    with pytest.raises(JobFailedError, match="Failed to start the job") as caught:
        task.execute(crawl(api_version=version))
    (job,) = sandbox.control.jobs()
    assert f"firecrawl crawl {job['id']} ended as failed" in str(caught.value)
    assert task.closed == ["failed"]


@pytest.mark.parametrize(("action", "error"), [("fail", JobFailedError), ("cancel", JobCancelledError)])
@pytest.mark.parametrize("partial", [False, True])
def test_a_job_that_ends_badly(
    sandbox: Any, task: Instance, crawl: Any, action: str, error: type[Exception], partial: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    """P8: service, kind, id, state and what can be fetched still; with deliver_partial, that is delivered."""
    sandbox.control.settings(firecrawl={"hold_after": 1, "concurrency": 1})
    arguments = {"output_path": str(tmp_path / "out"), "deliver_partial": partial, "deferrable": True}
    deferral = task.deferred(crawl(**arguments))
    job_id = task.pushed["job_id"]
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 1)
    sandbox.control.act(job_id, action)
    with pytest.raises(error) as caught:
        task.resume(crawl(**arguments), deferral, task.fire(deferral))
    assert f"firecrawl crawl {job_id} ended as {'failed' if action == 'fail' else 'cancelled'}" in str(caught.value)
    delivered = (tmp_path / "out" / "part-00000.jsonl").exists()
    assert delivered is partial
    assert ("1 records were delivered to" if partial else "1 records can still be fetched") in str(caught.value)
    assert task.closed == ["failed" if action == "fail" else "cancelled"]
    assert sent(sandbox, "DELETE") == []


def test_a_job_that_is_not_over_in_time_is_cancelled(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    with pytest.raises(Exception, match="was not over"):
        task.execute(crawl(job_timeout=1))
    (job,) = sandbox.control.jobs()
    assert job["cancelled_by_delete"]
    assert task.closed == ["cancelled"]


@VERSIONS
def test_a_kill_cancels(sandbox: Any, task: Instance, crawl: Any, version: str) -> None:
    """P1."""
    sandbox.control.settings(firecrawl={"hold": True})
    operator = crawl(api_version=version)
    with (
        killed_when(operator, lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))),
        pytest.raises(JobKilledError),
    ):
        task.execute(operator)
    (job,) = sandbox.control.jobs()
    assert (job["state"], job["cancelled_by_delete"]) == ("cancelled", True)
    assert {seen["path"] for seen in sent(sandbox, "DELETE")} == {f"/{version}/crawl/{job['id']}"}
    assert task.closed == ["cancelled"]


def test_a_kill_leaves_what_shall_be_left(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    operator = crawl(cancel_on_kill=False)
    with (
        killed_when(operator, lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))),
        pytest.raises(JobKilledError),
    ):
        task.execute(operator)
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]


# -- retries and clears ----------------------------------------------------------------------------------------------


@VERSIONS
def test_a_retry_goes_on_with_the_job(sandbox: Any, task: Instance, crawl: Any, version: str) -> None:
    """P3: the worker died; its job runs on, and the next try takes it up, on the version that started it."""
    sandbox.control.settings(firecrawl={"hold": True})
    task.max_tries = 1
    task.deferred(crawl(api_version=version, deferrable=True))
    (job,) = sandbox.control.jobs()
    task.retry()
    deferral = task.deferred(crawl(api_version=version, deferrable=True))
    assert task.pushed["job_id"] == job["id"]
    sandbox.control.act(job["id"], "finish")
    summary = task.resume(crawl(api_version=version), deferral, task.fire(deferral))
    assert (summary["job_id"], summary["records"]) == (job["id"], 3)
    assert len(sent(sandbox, "POST")) == 1
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["delivered"]


def test_a_clear_ends_the_job_and_starts_anew(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    task.deferred(crawl(deferrable=True))
    task.clear()
    task.deferred(crawl(deferrable=True))
    first, second = sandbox.control.jobs()
    assert (first["cancelled_by_delete"], second["state"]) == (True, "scraping")
    assert task.closed == ["cancelled", None]


def test_another_site_is_another_job(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    task.max_tries = 1
    task.deferred(crawl(deferrable=True))
    task.retry()
    task.deferred(crawl("/articles/2.html", deferrable=True))
    first, second = sandbox.control.jobs()
    assert (first["cancelled_by_delete"], second["state"]) == (True, "scraping")


def test_handed_over(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    summary = task.execute(crawl(wait_for_completion=False))
    (job,) = sandbox.control.jobs()
    assert (summary["job_id"], summary["state"], summary["records"]) == (job["id"], "running", 0)
    assert task.closed == ["handed_over"]


# -- what the service says to a start --------------------------------------------------------------------------------

REFUSALS = [
    ("error_list", {"text": "Unrecognized key in body"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "no longer supported"),
    ("html_404", {}, RouteNotFoundError, "check the connection's host and the API version"),
    ("409", {}, RequestRejectedError, "Idempotency key already used"),
    ("410", {}, EndpointGoneError, "shut this endpoint down"),
    ("413", {}, RequestRejectedError, "too large"),
]


@VERSIONS
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "params", "error", "told"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_a_refused_start(
    sandbox: Any, task: Instance, crawl: Any, version: str, fault: str, params: Any, error: type[Exception], told: str
) -> None:
    """Final: no try is spent on it, and the record says that there is no job."""
    sandbox.control.fault("firecrawl", fault, method="POST", times=None, **params)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(crawl(api_version=version))
    assert isinstance(caught.value.__cause__, error)
    assert f"POST /{version}/crawl" in str(caught.value)
    assert FIRECRAWL_KEY not in str(caught.value) + repr(task.store)
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == ["not_started"]
    # A clear is enough to start it.
    sandbox.control.clear_faults()
    sandbox.control.settings(firecrawl={"hold": True})
    task.clear()
    task.deferred(crawl(api_version=version, deferrable=True))


def test_too_many_starts(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.fault("firecrawl", "429_text", method="POST", times=1, seconds=1)
    task.deferred(crawl(deferrable=True))
    assert len(sandbox.control.jobs()) == 1
    assert len(sent(sandbox, "POST")) == 2


@pytest.mark.pitfall("F37")
def test_a_full_queue(sandbox: Any, task: Instance, crawl: Any) -> None:
    """The refusal comes after the job was made, empty: it is not made twice, but Airflow may try later."""
    text = "Queue limit reached: your team has 50001 jobs queued (limit: 50000)."
    sandbox.control.fault("firecrawl", "429_bare", method="POST", times=None, text=text)
    with pytest.raises(RateLimitedError, match="Queue limit"):
        task.execute(crawl())
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == ["not_started"]


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", ["500", "502_html", "504_empty", "reset"])
def test_a_start_that_may_have_happened(
    sandbox: Any, task: Instance, crawl: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: no job is listed, so it fails for good; the next try does not start one either, a clear does."""
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01,))
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    task.max_tries = 1
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="clear the task to start a new one") as caught:
            task.execute(crawl())
        assert isinstance(caught.value.__cause__, StartUncertainError)
        task.retry()
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == [None]
    task.clear()
    task.deferred(crawl(deferrable=True))
    assert len(sandbox.control.jobs()) == 1
    assert task.closed == ["unknown", None]


@VERSIONS
@pytest.mark.pitfall("F19")
@pytest.mark.usefixtures("ledger_folder")
def test_a_start_whose_answer_was_lost_is_found_in_the_list(
    sandbox: Any, task: Instance, crawl: Any, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01, 0.01))
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.fault("firecrawl", "lost_reply", method="POST", times=1)
    task.deferred(crawl(api_version=version, deferrable=True))
    (job,) = sandbox.control.jobs()
    assert task.pushed == {"job_id": job["id"], "api_version": version}
    assert len(sent(sandbox, "POST")) == 1


# -- looks that fail -------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F17")
@pytest.mark.parametrize("fault", ["500", "502_html", "429_seconds", "reset"])
def test_a_look_that_fails_does_not_end_the_job(sandbox: Any, task: Instance, crawl: Any, fault: str) -> None:
    """P2."""
    sandbox.control.fault("firecrawl", fault, method="GET", path_contains="/crawl/", times=2, seconds=1)
    assert task.execute(crawl())["state"] == "succeeded"
    assert sent(sandbox, "DELETE") == []


@pytest.mark.pitfall("F14", "F15")
def test_an_id_that_is_gone(sandbox: Any, task: Instance, crawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    deferral = task.deferred(crawl(deferrable=True))
    sandbox.control.act(task.pushed["job_id"], "forget")
    deferral.trigger.job = deferral.trigger.job.__class__.from_dict(  # started long ago: "not yet" is out of question
        {**deferral.trigger.job.to_dict(), "started_at": deferral.trigger.job.started_at - 120}
    )
    event = task.fire(deferral)
    with pytest.raises(AirflowFailException, match="Job not found"):
        task.resume(crawl(), deferral, event)
