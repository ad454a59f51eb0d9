"""What the next try does about the job of an earlier one: never a second start, nothing bought twice.

The paths are numbered as in the list of kill paths. The verdict is the sandbox's own record of starts and cancels.
"""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.stories import WAITING, Run, Stage, Telling, Until, story
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])


def goes_on(stage: Stage, run: Run, job: dict[str, Any]) -> Telling:
    """Check that the second try takes the job up and delivers it."""
    yield run.try_begins(2)
    looks = len(stage.control.requests(method="GET", path_contains=job["id"]))
    yield Until(
        "the new try to look", lambda: len(stage.control.requests(method="GET", path_contains=job["id"])) > looks
    )
    yield Until("the job to be named again", lambda: "job_id" in run.xcom_keys() and run.xcom("job_id") == job["id"])
    stage.finish(job["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]
    assert len(stage.posts()) == 1, "a second job was started"
    assert stage.deletes() == [], "a healthy job was cancelled"


@story
@BOTH
def test_s8_killed_with_a_retry_left(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_retry")
    job = yield from stage.begun(run, "running")
    os.kill(run.task()["pid"], signal.SIGKILL)
    yield from goes_on(stage, run, job)


@story
@BOTH
def test_s6_sigterm_with_a_retry_left(stage: Stage, service: str) -> Telling:
    """An eviction is no wish to end the job."""
    stage.hold()
    run = stage.start(service, way="sync_retry")
    job = yield from stage.begun(run, "running")
    os.kill(run.task()["pid"], signal.SIGTERM)
    yield from goes_on(stage, run, job)


@story
def test_s1_marked_failed_with_a_retry_left(stage: Stage) -> Telling:
    """The user's word counts, whatever tries are left."""
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    run.mark("failed")
    yield stage.nothing_runs(20)
    assert stage.control.job(job["id"])["cancelled_by_delete"]
    assert len(stage.posts()) == 1


@story
def test_not_durable(stage: Stage) -> Telling:
    """The next try ends the earlier job before it starts its own."""
    stage.hold()
    run = stage.start("firecrawl", way="sync_fresh")
    old = yield from stage.begun(run, "running")
    os.kill(run.task()["pid"], signal.SIGKILL)
    jobs = yield stage.jobs_started(2)
    new = next(job for job in jobs if job["id"] != old["id"])
    assert stage.control.job(old["id"])["ended_at"] <= new["started_at"]
    assert stage.control.job(old["id"])["cancelled_by_delete"]
    stage.finish(new["id"])
    yield run.becomes("success")
    assert len(stage.jobs()) == 2


@story
@BOTH
@pytest.mark.parametrize("way", ["sync", "deferred"])
def test_e8_a_clear_delivers_what_is_paid_for(stage: Stage, service: str, way: str) -> Telling:
    """The storage was down: what is done and undelivered is not bought again."""
    stage.hold()
    in_the_way = Path(stage.airflow.home) / f"in-the-way-{service}-{way}"
    run = stage.start(service, way=way, output_path=str(in_the_way / "out"))
    job = yield from stage.begun(run, WAITING[way])
    shutil.rmtree(in_the_way)
    in_the_way.write_text("a file where a folder should be")
    stage.finish(job["id"])
    yield run.ends("failed")
    in_the_way.unlink()
    run.clear("job")
    yield run.becomes("success")
    assert len(stage.posts()) == 1, "the job was bought again"
    summary = run.xcom()
    assert summary["job_id"] == job["id"]
    assert summary["records"] == sum(
        len(Path(name.removeprefix("file://")).read_text().splitlines()) for name in summary["output"]
    )
    assert summary["records"] > 0


@story
def test_e6_a_clear_after_a_delivery_starts_anew(stage: Stage) -> Telling:
    run = stage.start("firecrawl", way="sync")
    (old,) = yield stage.jobs_started(1)
    yield run.ends("success")
    run.clear("job")
    jobs = yield stage.jobs_started(2)
    yield Until("the second delivery", lambda: run.task()["try_number"] == 2 and run.task()["state"] == "success")
    assert run.xcom()["job_id"] == next(job["id"] for job in jobs if job["id"] != old["id"])
    assert stage.deletes() == []


@story
@BOTH
def test_r4_a_lost_answer_is_not_followed_by_a_second_start(stage: Stage, service: str) -> Telling:
    """One start and a clear statement; after a clear, which is the user's word, another one."""
    stage.control.fault(service, "lost_reply", method="POST")
    run = stage.start(service, way="sync_retry")
    yield run.ends("failed")
    assert len(stage.posts()) == 1
    assert "A job may be running and billed" in run.log()
    run.clear("job")
    yield stage.jobs_started(2)
    yield Until("the second try", lambda: run.task()["try_number"] == 2 and run.task()["state"] == "success")
    assert len(stage.posts()) == 2
    assert "The task was cleared since" in run.log()


@story
def test_g6_killed_while_the_start_is_under_way(stage: Stage) -> Telling:
    """The worker dies after the POST and before the id: the retry starts nothing and says what may be running."""
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="POST", seconds=30)
    run = stage.start("firecrawl", way="sync_retry")
    yield stage.jobs_started(1)
    os.kill(run.task()["pid"], signal.SIGKILL)
    yield run.becomes("failed")
    assert len(stage.posts()) == 1
    log = run.log()
    assert "POST /v1/batch/scrape" in log
    assert "no answer to it is on record" in log


@story
def test_refused_starts_are_tried_again(stage: Stage) -> Telling:
    """A definite no leaves nothing behind that could stop the retry."""
    stage.control.fault("firecrawl", "429_seconds", method="POST", times=5, seconds=0)
    run = stage.start("firecrawl", way="sync_retry")
    yield run.becomes("success")
    assert run.task()["try_number"] == 2
    assert len(stage.jobs()) == 1


def test_d14_cleared_while_no_triggerer_lives(airflow: AirflowCluster) -> None:
    """No hook runs for the old job: the new try ends it by the record."""
    stage = Stage(airflow, "no-triggerer")
    try:
        stage.hold()
        run = stage.start("firecrawl", way="deferred")
        airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred")
        (old,) = wait_until(stage.jobs, 30, "the job")
        airflow.stop("triggerer")
        run.clear("job")
        jobs = wait_until(lambda: stage.jobs() if len(stage.jobs()) == 2 else None, 60, "the new job") or []
        assert stage.control.job(old["id"])["cancelled_by_delete"]
        assert stage.control.job(old["id"])["ended_at"] <= jobs[1]["started_at"]
        airflow.start("triggerer")
        stage.finish(jobs[1]["id"])
        wait_until(lambda: run.task()["state"] == "success", 60, "the new try to succeed")
        assert len(stage.jobs()) == 2
    finally:
        stage.close()


def test_the_record_holds_no_secret(airflow: AirflowCluster) -> None:
    rows = airflow.sql("SELECT key, value FROM task_state_store")
    records = [json.loads(value) for key, value in rows if key == "airflow_provider_jobs"]
    assert records
    assert "key-of" not in json.dumps(records)
    assert {entry["closed"] for record in records for entry in record} >= {"delivered"}
