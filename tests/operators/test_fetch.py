"""Fetching the result of a job that something else has started: looks once, delivers, and never cancels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobNotOverError,
    OutputConflictError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteJobsError,
    RequestRejectedError,
    ResultIncompleteError,
    RouteNotFoundError,
    ServiceUnavailableError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.firecrawl import FirecrawlFetchResultsOperator
from tests.conftest import FIRECRAWL_KEY
from tests.operators.conftest import Instance, killed_when, sent

UNKNOWN = "3b1f0f2e-0000-4000-8000-000000000000"
ALL = [
    ("batch_scrape", "v1"), ("batch_scrape", "v2"), ("crawl", "v1"), ("crawl", "v2"), ("agent", "v2"),
    ("extract", "v1"), ("extract", "v2"),
]  # fmt: skip
KINDS = pytest.mark.parametrize(("kind", "version"), ALL)
PAGED = pytest.mark.parametrize(("kind", "version"), ALL[:4])

pytestmark = pytest.mark.usefixtures("firecrawl_default")


@pytest.fixture
def start(sandbox: Any) -> Any:
    """Return a function that starts a job as somebody else does, and returns its id."""

    def begin(kind: str, version: str, *, hold: bool = True) -> str:
        sandbox.control.settings(firecrawl={"hold": hold})
        site, hook = sandbox.urls["site"], FirecrawlHook(api_version=version)
        if kind == "batch_scrape":
            job = hook.start_batch_scrape([f"{site}/page{number}.html" for number in (1, 2, 3)])
        elif kind == "crawl":
            job = hook.start_crawl(f"{site}/articles/1.html", limit=3)
        elif kind == "agent":
            job = hook.start_agent("who keeps bees?")
        else:
            job = hook.start_extract(urls=[f"{site}/articles/15.html"])
        return job.ref.job_id

    return begin


def fetch(kind: str, version: str, job_id: str, **arguments: Any) -> FirecrawlFetchResultsOperator:
    given = {"task_id": "fetch", "job_id": job_id, "kind": kind, "api_version": version}
    return FirecrawlFetchResultsOperator(**{**given, **arguments})


@pytest.fixture(autouse=True)
def never_a_cancel(sandbox: Any) -> Any:
    """Whatever happens."""
    yield
    assert sent(sandbox, "DELETE") == []


# -- the good case ---------------------------------------------------------------------------------------------------


@KINDS
def test_a_finished_job(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    started = len(sent(sandbox))
    summary = task.execute(fetch(kind, version, job_id))
    count = 3 if kind in {"batch_scrape", "crawl"} else 1
    assert (summary["service"], summary["kind"], summary["job_id"]) == ("firecrawl", kind, job_id)
    assert (summary["state"], summary["records"], summary["failed"], summary["missing"]) == ("succeeded", count, 0, 0)
    assert len(summary["data"]) == count
    assert task.pushed == {"job_id": job_id, "api_version": version}
    assert {seen["method"] for seen in sent(sandbox)[started:]} == {"GET"}
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {version}


@KINDS
def test_into_a_folder(sandbox: Any, task: Instance, start: Any, kind: str, version: str, tmp_path: Path) -> None:
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    summary = task.execute(fetch(kind, version, job_id, output_path=str(tmp_path)))
    assert "data" not in summary
    assert len((tmp_path / "part-00000.jsonl").read_text().splitlines()) == summary["records"]
    assert json.loads((tmp_path / "_manifest.json").read_text())["owner"]["task_id"] == "job"
    # Twice is the same as once.
    assert task.execute(fetch(kind, version, job_id, output_path=str(tmp_path)))["records"] == summary["records"]


def test_the_version_is_the_connections(sandbox: Any, task: Instance, start: Any, firecrawl_default: Any) -> None:
    firecrawl_default(api_version="v2")
    job_id = start("crawl", "v2")
    sandbox.control.act(job_id, "finish")
    operator = FirecrawlFetchResultsOperator(task_id="fetch", job_id=f" {job_id} ", kind="crawl")
    assert task.execute(operator)["job_id"] == job_id
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {"v2"}


@PAGED
def test_all_pages_are_read(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    """P4."""
    sandbox.control.settings(firecrawl={"page_documents": 1})
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    assert task.execute(fetch(kind, version, job_id))["records"] == 3


# -- not over, unknown, gone -----------------------------------------------------------------------------------------


@KINDS
def test_a_job_that_still_runs(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    """A retry may mend that."""
    job_id = start(kind, version)
    with pytest.raises(JobNotOverError, match=f"firecrawl {kind} {job_id} is not over yet: running") as caught:
        task.execute(fetch(kind, version, job_id))
    assert not caught.value.permanent
    assert "wait for it with the sensor first" in str(caught.value)
    sandbox.control.act(job_id, "finish")
    assert task.execute(fetch(kind, version, job_id))["state"] == "succeeded"


@pytest.mark.pitfall("F44")
def test_a_word_that_nobody_knows_is_not_over(sandbox: Any, task: Instance, start: Any) -> None:
    job_id = start("crawl", "v1")
    sandbox.control.settings(firecrawl={"raw_status": "paused"})
    with pytest.raises(JobNotOverError, match=r"unknown \(paused\)"):
        task.execute(fetch("crawl", "v1", job_id))


@KINDS
@pytest.mark.pitfall("F15")
def test_an_unknown_job(task: Instance, kind: str, version: str) -> None:
    with pytest.raises(AirflowFailException, match="not found") as caught:
        task.execute(fetch(kind, version, UNKNOWN))
    assert isinstance(caught.value.__cause__, JobNotFoundError)


@KINDS
def test_an_id_that_is_none(task: Instance, kind: str, version: str) -> None:
    """HTTP 400 on servers of 2026."""
    with pytest.raises(AirflowFailException, match="Invalid job ID format") as caught:
        task.execute(fetch(kind, version, "no-uuid"))
    assert isinstance(caught.value.__cause__, RequestRejectedError)


@PAGED
@pytest.mark.pitfall("F7", "F33")
def test_results_that_are_gone(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    """The job still says completed 3/3."""
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    sandbox.control.act(job_id, "expire_results")
    with pytest.raises(AirflowFailException, match="not complete: 0 delivered, 0 failed, 3 missing") as caught:
        task.execute(fetch(kind, version, job_id))
    assert isinstance(caught.value.__cause__, ResultIncompleteError)


# -- jobs that ended badly -------------------------------------------------------------------------------------------


@PAGED
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(("action", "error"), [("cancel", JobCancelledError), ("fail", JobFailedError)])
def test_what_an_ended_job_has(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, action: str, error: Any, partial: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    sandbox.control.settings(firecrawl={"hold_after": 1, "concurrency": 1})
    job_id = start(kind, version, hold=False)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 1)
    sandbox.control.act(job_id, action)
    operator = fetch(kind, version, job_id, deliver_partial=partial, output_path=str(tmp_path / "out"))
    with pytest.raises(AirflowFailException) as caught:  # no retry can change it
        task.execute(operator)
    assert type(caught.value.__cause__) is error
    assert job_id in str(caught.value)
    assert ("1 records were delivered to" if partial else "1 records can still be fetched") in str(caught.value)
    assert (tmp_path / "out" / "part-00000.jsonl").exists() is partial


@pytest.mark.parametrize("partial", [False, True])
def test_what_an_agent_has_found_before_it_failed(
    sandbox: Any, task: Instance, start: Any, partial: bool, tmp_path: Path
) -> None:
    job_id = start("agent", "v2")
    found = {"keepers": ["Ada"]}
    sandbox.control.act(
        job_id, "fail", error="no credits left", stop_reason="credit_limit_reached", partial=found
    )  # fmt: skip
    operator = fetch("agent", "v2", job_id, deliver_partial=partial, output_path=str(tmp_path / "out"))
    with pytest.raises(AirflowFailException, match="no credits left"):
        task.execute(operator)
    file = tmp_path / "out" / "part-00000.jsonl"
    assert file.exists() is partial
    if partial:
        assert json.loads(file.read_text()) == found


@pytest.mark.pitfall("F13", "F43")
def test_a_failed_extract(sandbox: Any, task: Instance, start: Any) -> None:
    job_id = start("extract", "v1")
    sandbox.control.act(job_id, "fail", error={"name": "AI_RetryError", "prompt": "page text " * 900})
    with pytest.raises(AirflowFailException) as caught:
        task.execute(fetch("extract", "v1", job_id))
    assert isinstance(caught.value.__cause__, JobFailedError)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("kind", ["agent", "extract"])
def test_completed_without_a_value(sandbox: Any, task: Instance, start: Any, kind: str) -> None:
    job_id = start(kind, "v2")
    sandbox.control.act(job_id, "finish")
    sandbox.control.act(job_id, "expire_results")
    with pytest.raises(AirflowFailException, match="nothing was delivered"):
        task.execute(fetch(kind, "v2", job_id))


# -- what failed -----------------------------------------------------------------------------------------------------


@PAGED
@pytest.mark.pitfall("F5")
def test_failed_pages_are_listed_and_counted(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, tmp_path: Path
) -> None:
    """Nobody knows here how much was asked for: a share is of what came, failed or is missing."""
    sandbox.control.fault("site", "reset", path_contains="2.html", times=None)
    job_id = start(kind, version, hold=False)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == "completed")
    summary = task.execute(fetch(kind, version, job_id, max_failed=0.5, output_path=str(tmp_path)))
    assert (summary["failed"], summary["missing"]) == (1, 0)
    (line,) = (tmp_path / "_failed.jsonl").read_text().splitlines()
    assert json.loads(line)["url"].endswith("2.html")
    with pytest.raises(AirflowFailException, match="more than max_failed"):
        task.execute(fetch(kind, version, job_id, max_failed=0))
    share = 1 / (summary["records"] + 1)
    task.execute(fetch(kind, version, job_id, max_failed=share))
    with pytest.raises(AirflowFailException, match="more than max_failed"):
        task.execute(fetch(kind, version, job_id, max_failed=share - 0.01))


@pytest.mark.pitfall("F6")
@pytest.mark.parametrize("count", [True, False])
def test_error_pages_may_count(sandbox: Any, task: Instance, count: bool) -> None:
    urls = [f"{sandbox.urls['site']}/error/{status}.html" for status in (404, 500)]
    job = FirecrawlHook().start_batch_scrape([*urls, f"{sandbox.urls['site']}/page1.html"])
    sandbox.control.act(job.ref.job_id, "finish")
    summary = task.execute(fetch("batch_scrape", "v1", job.ref.job_id, count_http_errors=count))
    assert (summary["records"], summary["failed"]) == (3, 2 if count else 0)


# -- errors of the service -------------------------------------------------------------------------------------------

FINAL = [
    ("401", AuthenticationError),
    ("403", PermissionDeniedError),
    ("html_404", RouteNotFoundError),
    ("410", EndpointGoneError),
]
PASSING = [("500", ServiceUnavailableError), ("502_html", ServiceUnavailableError), ("429_bare", RateLimitedError)]


@KINDS
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "error"), FINAL)
def test_a_final_error(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, fault: str, error: Any
) -> None:
    job_id = start(kind, version)
    sandbox.control.fault("firecrawl", fault, method="GET", times=None)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(fetch(kind, version, job_id))
    assert isinstance(caught.value.__cause__, error)
    assert FIRECRAWL_KEY not in str(caught.value)
    assert ("FirecrawlAgentOperator" in str(caught.value)) is (kind == "extract" and fault == "410")


@KINDS
@pytest.mark.pitfall("F16", "F17", "F18")
@pytest.mark.parametrize(("fault", "error"), PASSING)
def test_an_error_of_the_moment(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, fault: str, error: Any
) -> None:
    """A retry of the task is the wait."""
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    sandbox.control.fault("firecrawl", fault, method="GET", times=1)
    with pytest.raises(error):
        task.execute(fetch(kind, version, job_id))
    assert task.execute(fetch(kind, version, job_id))["state"] == "succeeded"


@PAGED
def test_a_page_of_results_that_fails_is_asked_for_again(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: and if it cannot be had, nothing is delivered as if it were all."""
    monkeypatch.setattr("airflow_provider_jobs.transport.policy.FIRST_BACKOFF", 0.01)
    sandbox.control.settings(firecrawl={"page_documents": 1})
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    sandbox.control.fault("firecrawl", "502_html", method="GET", skip=2, times=2)
    assert task.execute(fetch(kind, version, job_id))["records"] == 3
    sandbox.control.clear_faults()
    sandbox.control.fault("firecrawl", "502_html", method="GET", skip=2, times=None)
    with pytest.raises(RemoteJobsError):
        task.execute(fetch(kind, version, job_id))


# -- killed, and others ----------------------------------------------------------------------------------------------


@KINDS
def test_a_kill_cancels_nothing(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    """P2: it is not its job. Airflow ends the process; here the task runs on to its end."""
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    sandbox.control.fault("firecrawl", "slow", method="GET", times=None, seconds=0.2)
    operator = fetch(kind, version, job_id)
    with killed_when(operator, lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))):
        assert task.execute(operator)["state"] == "succeeded"


def test_the_folder_of_another_task(sandbox: Any, task: Instance, start: Any, tmp_path: Path) -> None:
    job_id = start("crawl", "v1")
    sandbox.control.act(job_id, "finish")
    task.execute(fetch("crawl", "v1", job_id, output_path=str(tmp_path)))
    other = Instance()
    other.run_id = "manual__2027"
    looked = len(sent(sandbox))
    with pytest.raises(AirflowFailException) as caught:
        other.execute(fetch("crawl", "v1", job_id, output_path=str(tmp_path)))
    assert isinstance(caught.value.__cause__, OutputConflictError)
    assert len(sent(sandbox)) == looked


def test_too_large_for_a_return_value(sandbox: Any, task: Instance, tmp_path: Path) -> None:
    sandbox.control.settings(firecrawl={"content_bytes": 2 << 20})
    job = FirecrawlHook().start_agent("who keeps bees?")
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["state"] == "completed")
    with pytest.raises(AirflowFailException, match="set output_path"):
        task.execute(fetch("agent", "v2", job.ref.job_id))
    assert task.execute(fetch("agent", "v2", job.ref.job_id, output_path=str(tmp_path)))["records"] == 1


# -- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"kind": "scrape"}, "kind must be one of batch_scrape, crawl, agent, extract"),
        ({"kind": "download"}, "kind must be one of"),
        ({"kind": None}, "kind must be one of"),
        ({"api_version": "v3"}, "api_version"),
        ({"kind": "agent", "api_version": "v1"}, "agent in v2 only"),
        ({"max_failed": -1}, "max_failed"),
    ],
)
def test_input(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        FirecrawlFetchResultsOperator(**{"task_id": "fetch", "job_id": "1", **arguments})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"job_id": None}, "job_id"),
        ({"job_id": " "}, "job_id"),
        ({"job_id": ["1"]}, "job_id"),
        ({"kind": "scrape"}, "kind"),
        ({"api_version": "v9"}, "api_version"),
        ({"output_path": " "}, "output_path"),
    ],
)
def test_rendered_input(sandbox: Any, task: Instance, fields: dict[str, Any], told: str) -> None:
    operator = FirecrawlFetchResultsOperator(task_id="fetch", job_id="1")
    for name, value in fields.items():
        assert name in operator.template_fields
        setattr(operator, name, value)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(operator)
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert sent(sandbox) == []
