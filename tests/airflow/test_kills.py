"""A task that is killed takes its job with it. The paths are numbered as in the list of kill paths (S1, D1 …).

The verdict is the sandbox's own record of starts and cancels.
"""

import os
import signal
from typing import Any

import pytest

from tests.airflow.stories import OVER, WAITING, Run, Stage, Telling, Until, process_gone, story, trigger_gone
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
FAST = 20.0
"""Seconds from the act to the end of the job; a triggerer that has not been asked anything yet needs up to ten."""


def ended_with(stage: Stage, run: Run, job: dict[str, Any], state: str) -> Telling:
    """Check that the job was cancelled, nothing else was started, and the task is over in this state."""
    yield stage.nothing_runs(FAST)
    yield run.becomes(state)
    yield process_gone(run)
    assert [j["id"] for j in stage.jobs()] == [job["id"]], "a second job was started"
    assert len(stage.posts()) == 1
    after = stage.control.job(job["id"])
    assert (after["state"], after["cancelled_by_delete"]) == ("cancelled", True)
    assert "return_value" not in run.xcom_keys(), "a killed task has delivered"
    assert run.task()["state"] == state


# -- S: the task waits itself ----------------------------------------------------------------------------------------


@story
@BOTH
def test_s4_dagrun_timeout_while_waiting(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_dagrun_timeout")
    job = yield from stage.begun(run, "running")
    yield run.becomes("skipped")
    yield from ended_with(stage, run, job, "skipped")


@story
@BOTH
def test_d4_dagrun_timeout_while_deferred(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred_dagrun_timeout")
    job = yield from stage.begun(run, "deferred")
    yield run.becomes("skipped")
    yield from ended_with(stage, run, job, "skipped")


@story
@BOTH
def test_s1_marked_failed(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    run.mark("failed")
    yield from ended_with(stage, run, job, "failed")


@story
def test_s1_run_marked_failed(stage: Stage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    run.mark_run("failed")
    yield from ended_with(stage, run, job, "failed")


@story
@BOTH
def test_s2_marked_success(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    run.mark("success")
    yield from ended_with(stage, run, job, "success")


@story
@BOTH
def test_s3_cleared(stage: Stage, service: str) -> Telling:
    """The new try starts a job of its own, after the old one was cancelled."""
    stage.hold()
    run = stage.start(service, way="sync")
    old = yield from stage.begun(run, "running")
    run.clear("job")
    yield from replaced(stage, run, old)


def replaced(stage: Stage, run: Run, old: dict[str, Any]) -> Telling:
    """Check that a second job takes the place of a cancelled one, and let it succeed."""
    jobs = yield stage.jobs_started(2)
    new = next(job for job in jobs if job["id"] != old["id"])
    yield Until("the old job to be over", lambda: stage.control.job(old["id"])["state"] in OVER, FAST)
    before = stage.control.job(old["id"])
    assert (before["state"], before["cancelled_by_delete"]) == ("cancelled", True)
    yield run.try_begins(2)
    yield Until("the new job to be named", lambda: run.xcom_keys() >= {"job_id"} and run.xcom("job_id") == new["id"])
    if run.task()["state"] == "deferred":
        yield process_gone(run)
    yield stage.polled(new["id"], 2)
    assert stage.control.job(new["id"])["deletes"] == 0, "the new try's job was cancelled too"
    stage.finish(new["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == new["id"]
    assert len(stage.jobs()) == 2


@story
@BOTH
def test_s5_execution_timeout(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_execution_timeout")
    (job,) = yield stage.jobs_started(1)
    yield run.becomes("failed")
    yield from ended_with(stage, run, job, "failed")
    assert "AirflowTaskTimeout" in run.log()


@story
@BOTH
def test_s6_sigterm_on_the_last_try(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    os.kill(run.task()["pid"], signal.SIGTERM)
    yield from ended_with(stage, run, job, "failed")


@story
@pytest.mark.parametrize("way", ["sync", "deferred"])
def test_s19_marked_failed_while_the_start_is_under_way(stage: Stage, way: str) -> Telling:
    """The kill comes before the job's id; it must not be forgotten when the id arrives."""
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="POST", seconds=4)
    run = stage.start("firecrawl", way=way)
    (job,) = yield stage.jobs_started(1)
    run.mark("failed")
    yield from ended_with(stage, run, job, "failed")


@story
@BOTH
@pytest.mark.parametrize("way", ["sync", "deferred"])
def test_job_timeout(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=f"{way}_job_timeout")
    (job,) = yield stage.jobs_started(1)
    yield run.becomes("failed")
    yield from ended_with(stage, run, job, "failed")
    assert "JobTimeoutError" in run.log()
    # It counts from the moment in which the start was sent, a little before the sandbox has the job.
    assert job_seconds(stage, job) > (4 if way == "sync" else 8) - 1, "cancelled before its time"


def job_seconds(stage: Stage, job: dict[str, Any]) -> float:
    after = stage.control.job(job["id"])
    return float(after["ended_at"] - after["started_at"])


# -- D: the triggerer waits ------------------------------------------------------------------------------------------


@story
@BOTH
@pytest.mark.parametrize("state", ["failed", "success"])
def test_d1_marked(stage: Stage, service: str, state: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    run.mark(state)
    yield from ended_with(stage, run, job, state)


@story
@pytest.mark.parametrize(("run_state", "task_state"), [("failed", "failed"), ("success", "success")])
def test_d1_run_marked(stage: Stage, run_state: str, task_state: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    run.mark_run(run_state)
    yield Until("the task to be over", lambda: run.task()["state"] not in {"deferred", "running"})
    yield from ended_with(stage, run, job, run.task()["state"])
    assert run.task()["state"] in {task_state, "skipped"}


@story
@BOTH
def test_d2_cleared(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    old = yield from stage.begun(run, "deferred")
    run.clear("job")
    yield from replaced(stage, run, old)


@story
def test_d3_run_cleared(stage: Stage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    run.clear()
    yield from replaced(stage, run, old)


@story
@BOTH
def test_d5_execution_timeout_counts_while_deferred(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred_execution_timeout")
    job = yield from stage.begun(run, "deferred")
    yield run.becomes("failed")
    yield from ended_with(stage, run, job, "failed")
    assert job_seconds(stage, job) < 14 + FAST


@story
@BOTH
def test_d6_airflow_cuts_the_deferral_off(stage: Stage, service: str) -> Telling:
    """Airflow's own timeout runs no code in the triggerer: the resumed task has to cancel."""
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    where = f"run_id = '{run.run_id}' AND dag_id = '{run.dag_id}'"
    stage.airflow.sql(f"UPDATE task_instance SET trigger_timeout = '2020-01-01 00:00:00+00:00' WHERE {where}")
    yield run.becomes("failed")
    yield from ended_with(stage, run, job, "failed")
    assert "TaskDeferralTimeout" in run.log()


@story
def test_d27_one_of_several_mapped_tasks(stage: Stage) -> Telling:
    stage.hold()
    lists = [stage.pages(1), stage.pages(2), stage.pages(3)]
    run = stage.run("firecrawl_mapped_deferred", lists=lists)
    jobs = yield stage.jobs_started(3)
    for index in range(3):
        yield run.becomes("deferred", map_index=index)
    for job in jobs:
        yield stage.polled(job["id"])
    killed = next(job for job in jobs if job["input"] == lists[1])
    run.mark("failed", map_index=1)
    yield Until("its job to be over", lambda: stage.control.job(killed["id"])["state"] == "cancelled", FAST)
    yield run.becomes("failed", map_index=1)
    others = [job["id"] for job in jobs if job["id"] != killed["id"]]
    for job_id in others:
        yield stage.polled(job_id, 2)
    assert {job["id"] for job in stage.running()} == set(others), "jobs of other map indexes were touched"
    run.mark_run("failed")
    yield stage.nothing_runs(FAST)
    assert [job["deletes"] > 0 for job in stage.jobs()] == [True] * 3
    assert len(stage.jobs()) == 3


# -- what the service makes of the DELETE ----------------------------------------------------------------------------


@story
@pytest.mark.parametrize("way", ["sync", "deferred"])
@pytest.mark.parametrize("trouble", ["slow", "429_seconds", "429_bare", "502_html", "reset", "ignored", "late"])
def test_a_cancel_that_meets_trouble(stage: Stage, way: str, trouble: str) -> Telling:
    stage.hold()
    if trouble == "ignored":
        stage.control.settings(firecrawl={"cancel_ignored": 1})
    elif trouble == "late":
        stage.control.settings(firecrawl={"cancel_delay": 2})
    elif trouble == "slow":
        stage.control.fault("firecrawl", "slow", method="DELETE", seconds=6)
    else:
        stage.control.fault("firecrawl", trouble, method="DELETE", times=1)
    run = stage.start("firecrawl", way=way)
    job = yield from stage.begun(run, WAITING[way])
    run.mark("failed")
    yield stage.nothing_runs(60)
    yield from ended_with(stage, run, job, "failed")
    if trouble not in {"late", "ignored"}:
        assert [seen["fault"] for seen in stage.deletes()][:1] == [trouble], "the fault was not met"


# -- jobs that are left ----------------------------------------------------------------------------------------------


@story
@BOTH
@pytest.mark.parametrize("way", ["sync", "deferred"])
def test_cancel_on_kill_false_leaves_the_job(stage: Stage, service: str, way: str) -> Telling:
    """A twin that is cancelled shows when the kill has been dealt with."""
    stage.hold()
    left = stage.start(service, way=f"{way}_left")
    job = yield from stage.begun(left, WAITING[way])
    twin = stage.start(service, way=way)
    other = yield from stage.begun(twin, WAITING[way], number=2)
    left.mark("failed")
    twin.mark("failed")
    yield Until("the twin's cancel", lambda: stage.control.job(other["id"])["state"] == "cancelled", FAST)
    yield process_gone(left)
    yield trigger_gone(left)
    assert [j["id"] for j in stage.running()] == [job["id"]]
    assert stage.control.job(job["id"])["deletes"] == 0
    assert left.task()["state"] == "failed"


# -- what is no kill -------------------------------------------------------------------------------------------------


def test_d10_a_triggerer_that_restarts_cancels_nothing(airflow: AirflowCluster) -> None:
    stage = Stage(airflow, "restart")
    try:
        stage.hold()
        runs = [stage.start(service, way="deferred") for service in ("firecrawl", "datafiniti")]
        for run in runs:
            airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred")
        jobs = wait_until(lambda: stage.jobs() if len(stage.jobs()) == 2 else None, 30, "two jobs") or []
        airflow.restart("triggerer")
        for job in jobs:
            polled = stage.polled(job["id"], 2)
            wait_until(polled.check, 60, polled.what)
        assert stage.deletes() == []
        for job in jobs:
            stage.finish(job["id"])
        for run in runs:
            airflow.wait_for_task(run.dag_id, run.run_id, "job", "success")
        assert len(stage.jobs()) == 2
    finally:
        stage.close()
