"""The sensor of Firecrawl for jobs of every kind, in poke mode and deferred, without Airflow's services."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    JobKilledError,
    JobNotFoundError,
    RouteNotFoundError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor
from tests.conftest import FIRECRAWL_KEY, connection
from tests.operators.conftest import Instance, killed_when, sent

UNKNOWN = "3b1f0f2e-0000-4000-8000-000000000000"
ALL = [
    ("batch_scrape", "v1"), ("batch_scrape", "v2"), ("crawl", "v1"), ("crawl", "v2"), ("agent", "v2"),
    ("extract", "v1"), ("extract", "v2"),
]  # fmt: skip
KINDS = pytest.mark.parametrize(("kind", "version"), ALL)
CANCELLABLE = pytest.mark.parametrize(("kind", "version"), ALL[:5])


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> None:
    value = connection("firecrawl", sandbox.urls["firecrawl"], FIRECRAWL_KEY)
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", value)


@pytest.fixture
def task() -> Instance:
    return Instance()


@pytest.fixture
def start(sandbox: Any) -> Any:
    """Return a function that starts a job as somebody else does; it runs until somebody ends it."""

    def begin(kind: str, version: str) -> str:
        sandbox.control.settings(firecrawl={"hold": True})
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


def sensor(kind: str, version: str, job_id: str, **arguments: Any) -> FirecrawlJobSensor:
    given = {"task_id": "wait", "job_id": job_id, "kind": kind, "api_version": version, "poke_interval": 0.1}
    return FirecrawlJobSensor(**{**given, **arguments})


@contextmanager
def meanwhile(sandbox: Any, job_id: str, action: str, looks: int = 2) -> Iterator[None]:
    """Do something to a job as soon as the sensor has looked at it so often."""
    failed: list[BaseException] = []

    def act() -> None:
        try:
            sandbox.control.wait_for(lambda: len(sent(sandbox, "GET", job_id)) >= looks)
            sandbox.control.act(job_id, action)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    assert not failed, failed


@KINDS
def test_it_waits_for_the_end(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    job_id = start(kind, version)
    with meanwhile(sandbox, job_id, "finish"):
        value = task.execute(sensor(kind, version, job_id))
    count = 3 if kind in {"batch_scrape", "crawl"} else None
    assert (value["service"], value["kind"], value["job_id"]) == ("firecrawl", kind, job_id)
    assert (value["state"], value["completed"], value["total"]) == ("succeeded", count, count)
    assert {seen["path"] for seen in sent(sandbox, "GET")} == {sent(sandbox, "GET")[0]["path"]}
    assert sent(sandbox, "GET")[0]["path"].startswith(f"/{version}/")
    assert sent(sandbox, "DELETE") == []


@KINDS
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("action", ["fail", "cancel"])
def test_a_job_that_ends_badly(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, action: str, soft: bool
) -> None:
    """No retry is spent on it; with soft_fail it is skipped."""
    job_id = start(kind, version)
    sandbox.control.act(job_id, action)
    word = "cancelled" if action == "cancel" and kind != "agent" else "failed"  # an agent's own word for both
    error, told = (AirflowSkipException, "soft_fail") if soft else (AirflowFailException, f"{job_id} ended as {word}")
    with pytest.raises(error, match=told):
        task.execute(sensor(kind, version, job_id, soft_fail=soft))


@KINDS
@pytest.mark.pitfall("F16", "F17", "F18")
@pytest.mark.parametrize("fault", ["500", "502_html", "504_empty", "reset", "429_seconds", "truncated_json"])
def test_looks_that_fail(sandbox: Any, task: Instance, start: Any, kind: str, version: str, fault: str) -> None:
    """P2."""
    job_id = start(kind, version)
    sandbox.control.act(job_id, "finish")
    sandbox.control.fault("firecrawl", fault, method="GET", times=2, seconds=1)
    assert task.execute(sensor(kind, version, job_id))["state"] == "succeeded"


@KINDS
@pytest.mark.parametrize(("fault", "error"), [("401", AuthenticationError), ("html_404", RouteNotFoundError)])
def test_looks_that_cannot_succeed(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, fault: str, error: Any
) -> None:
    job_id = start(kind, version)
    sandbox.control.fault("firecrawl", fault, method="GET", times=None)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(sensor(kind, version, job_id))
    assert isinstance(caught.value.__cause__, error)
    assert FIRECRAWL_KEY not in str(caught.value)
    assert len(sent(sandbox, "GET")) == 1


@KINDS
@pytest.mark.pitfall("F14", "F15")
def test_an_unknown_job(sandbox: Any, task: Instance, kind: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a minute it may be too new; then it is final."""
    with pytest.raises(AirflowSensorTimeout):
        task.execute(sensor(kind, version, UNKNOWN, timeout=0.5))
    assert len(sent(sandbox, "GET")) > 1
    monkeypatch.setattr("airflow_provider_jobs.jobs.verdict.GRACE", 0.0)
    with pytest.raises(AirflowFailException, match="not found") as caught:
        Instance().execute(sensor(kind, version, UNKNOWN))
    assert isinstance(caught.value.__cause__, JobNotFoundError)


@KINDS
@pytest.mark.parametrize("deferrable", [False, True])
def test_an_end_of_patience_leaves_the_job(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str, deferrable: bool
) -> None:
    job_id = start(kind, version)
    made = sensor(kind, version, job_id, timeout=0.3, deferrable=deferrable)
    with pytest.raises(AirflowSensorTimeout):
        if deferrable:
            deferral = task.deferred(made)
            task.resume(sensor(kind, version, job_id), deferral, task.fire(deferral))
        else:
            task.execute(made)
    assert sent(sandbox, "DELETE") == []


@KINDS
def test_a_kill_leaves_the_job(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    """P2: it is not the sensor's. Airflow ends the process; here the wait goes on until the job is over."""
    job_id = start(kind, version)
    made = sensor(kind, version, job_id)
    with (
        meanwhile(sandbox, job_id, "finish", looks=4),
        killed_when(made, lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))),
    ):
        assert task.execute(made)["state"] == "succeeded"
    assert sent(sandbox, "DELETE") == []


@CANCELLABLE
def test_a_kill_cancels_where_that_was_asked_for(
    sandbox: Any, task: Instance, start: Any, kind: str, version: str
) -> None:
    job_id = start(kind, version)
    task.state = "failed"  # a user has ended it
    made = sensor(kind, version, job_id, cancel_on_kill=True)
    moment = lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))  # noqa: E731
    with killed_when(made, moment), pytest.raises(JobKilledError):
        task.execute(made)
    assert sandbox.control.job(job_id)["cancelled_by_delete"]


@KINDS
def test_deferred(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    job_id = start(kind, version)
    deferral = task.deferred(sensor(kind, version, job_id, deferrable=True))
    trigger: Any = deferral.trigger
    assert (trigger.cancel_on_kill, trigger.cancel_at_deadline) == (False, False)
    sandbox.control.act(job_id, "finish")
    value = task.resume(sensor(kind, version, job_id), deferral, task.fire(deferral))
    assert (value["kind"], value["state"]) == (kind, "succeeded")
    assert sent(sandbox, "DELETE") == []


@CANCELLABLE
def test_deferred_to_be_cancelled(sandbox: Any, task: Instance, start: Any, kind: str, version: str) -> None:
    job_id = start(kind, version)
    trigger: Any = task.deferred(sensor(kind, version, job_id, deferrable=True, cancel_on_kill=True)).trigger
    assert (trigger.cancel_on_kill, trigger.cancel_at_deadline) == (True, False)


@pytest.mark.parametrize("connection_version", ["v1", "v2"])
def test_the_version_is_the_connections(
    sandbox: Any, task: Instance, start: Any, connection_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = connection("firecrawl", sandbox.urls["firecrawl"], FIRECRAWL_KEY, api_version=connection_version)
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", value)
    job_id = start("crawl", connection_version)
    sandbox.control.act(job_id, "finish")
    task.execute(FirecrawlJobSensor(task_id="wait", job_id=job_id, kind="crawl"))
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {connection_version}
