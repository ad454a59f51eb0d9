"""What was killed while no triggerer lived is ended when one starts, and by nothing else.

The paths are numbered as in the list of kill paths. There is no ledger folder here: of a deleted run, only the trigger
is left. The verdict is the sandbox's own record.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.stories import Run, Stage, process_gone
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

OFF = "AIRFLOW__AIRFLOW_PROVIDER_JOBS__SWEEP_ON_START"
LONGEST = 20.0
"""Seconds that a sweep may hold up the start of a triggerer."""
SLACK = 15.0
"""Seconds that a triggerer itself needs for its start on a busy machine."""


@pytest.fixture
def stage(airflow: AirflowCluster) -> Iterator[Stage]:
    """Jobs that run until somebody ends them. Afterwards, a triggerer lives again."""
    made = Stage(airflow, "sweep")
    try:
        made.hold()
        yield made
    finally:
        airflow.env.pop(OFF, None)
        made.control.clear_faults()
        if "triggerer" not in airflow.pids:
            airflow.start("triggerer")
        for run in made.runs:
            airflow.api_raw("PATCH", f"/dags/{run.dag_id}/dagRuns/{run.run_id}", {"state": "failed"})
        wait_until(lambda: not triggers(airflow, made), 60, "the triggers to go")
        if made.running():
            # Nothing of a test that has failed may be in the way of the next one.
            airflow.cli("remote-jobs", "cleanup", "--older-than", "0")
        made.close()


def triggers(airflow: AirflowCluster, stage: Stage) -> list[Any]:
    """The stored triggers that Airflow has for this stage's tasks."""
    found = [run.task() for run in stage.runs]
    return [task["trigger"] for task in found if task and task["trigger"]]


def stored(airflow: AirflowCluster) -> int:
    return int(airflow.sql("SELECT count(*) FROM trigger")[0][0])


def deferred(stage: Stage, dag_id: str, **conf: Any) -> tuple[Run, str]:
    """Bring a task to the triggerer; the answer is its run and its job."""
    run = stage.run(dag_id, **{**stage.small(dag_id.partition("_")[0]), **conf})
    stage.airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred", 90)
    gone = process_gone(run)
    wait_until(gone.check, 60, gone.what)
    job_id = str(run.xcom("job_id"))
    polled = stage.polled(job_id)
    wait_until(polled.check, 60, polled.what)
    return run, job_id


def cancelled(stage: Stage, job_id: str) -> bool:
    return bool(stage.control.job(job_id)["cancelled_by_delete"])


SENSOR_TIMEOUT = 20.0
"""Seconds, as in the DAG `cleaning_sensor`."""


def triggerer_log(airflow: AirflowCluster) -> str:
    return (airflow.home / "components" / "triggerer.log").read_text()


def said(airflow: AirflowCluster) -> dict[str, int]:
    """How often each component has written about a sweep."""
    words = "for jobs without an owner"
    return {path.stem: path.read_text().count(words) for path in Path(airflow.home / "components").glob("*.log")}


def test_d13_d15_ended_when_a_triggerer_starts(airflow: AirflowCluster, stage: Stage) -> None:
    deleted, of_deleted = deferred(stage, "firecrawl_deferred")
    marked, of_marked = deferred(stage, "datafiniti_deferred")
    retried, of_retried = deferred(stage, "firecrawl_deferred_retry")
    left, of_left = deferred(stage, "firecrawl_deferred_left")
    lives, of_living = deferred(stage, "datafiniti_deferred_retry")
    airflow.stop("triggerer")
    before = said(airflow)
    deleted.mark_run("failed")
    airflow.delete_run(deleted.dag_id, deleted.run_id)
    for run in (marked, retried, left):
        run.mark("failed")

    # Neither a scheduler nor an API server that starts, nor the process of a task, sweeps anything.
    airflow.restart("scheduler")
    airflow.restart("api-server")
    stage.control.settings(firecrawl={"hold": False})
    other = stage.start("firecrawl", way="sync")
    airflow.wait_for_task(other.dag_id, other.run_id, "job", "success", 90)
    stage.control.settings(firecrawl={"hold": True})
    assert stage.deletes() == []
    assert said(airflow) == before

    airflow.start("triggerer")
    for name, job_id in {"deleted": of_deleted, "marked": of_marked, "marked, a try left": of_retried}.items():
        try:
            wait_until(lambda job_id=job_id: cancelled(stage, job_id), 30, "the job to be ended")
        except AssertionError as error:
            raise AssertionError(f"{name}: {job_id}: {error}\n{triggerer_log(airflow)}\n{stage.explain()}") from None
    assert said(airflow)["triggerer"] > before.get("triggerer", 0)

    # The wait that nobody has ended goes on, and what was to be left is left.
    polled = stage.polled(of_living, 2)
    wait_until(polled.check, 60, polled.what)
    assert {job["id"] for job in stage.running()} == {of_left, of_living}
    assert {job["id"]: job["deletes"] for job in stage.running()} == {of_left: 0, of_living: 0}
    stage.finish(of_living)
    airflow.wait_for_task(lives.dag_id, lives.run_id, "job", "success", 60)
    assert len(stage.posts()) == 6


def test_a_service_that_hangs(airflow: AirflowCluster, stage: Stage) -> None:
    """The triggerer starts all the same, and the clean-up ends the job later."""
    jobs = []
    for _ in range(3):
        run, job_id = deferred(stage, "firecrawl_deferred")
        jobs.append((run, job_id))
    airflow.stop("triggerer")
    for run, _ in jobs:
        run.mark("failed")
    stage.control.fault("firecrawl", "slow", times=None, seconds=50)
    began = time.monotonic()
    airflow.start("triggerer")
    assert time.monotonic() - began < LONGEST + SLACK
    assert len(stage.running()) == 3
    log = triggerer_log(airflow)
    assert all(job_id in log for _, job_id in jobs), "the log names what may still run"
    stage.control.clear_faults()
    done = airflow.cli("remote-jobs", "cleanup", "--older-than", "0")
    assert all(f"{job_id} of" in done.stdout for _, job_id in jobs), done
    assert all(cancelled(stage, job_id) for _, job_id in jobs)
    # It works: another task is watched and delivered.
    stage.control.settings(firecrawl={"hold": False})
    run = stage.run("firecrawl_deferred", urls=stage.pages(1))
    airflow.wait_for_task(run.dag_id, run.run_id, "job", "success", 90)


def test_switched_off(airflow: AirflowCluster, stage: Stage) -> None:
    run, job_id = deferred(stage, "datafiniti_deferred")
    airflow.stop("triggerer")
    before = said(airflow)
    run.mark("failed")
    airflow.env[OFF] = "False"
    airflow.start("triggerer")
    wait_until(lambda: not stored(airflow), 60, "Airflow to forget the trigger")
    assert [job["id"] for job in stage.running()] == [job_id]
    assert stage.deletes() == []
    assert said(airflow) == before
    listed = airflow.cli("remote-jobs", "list", "--dag-id", "datafiniti_deferred", "-o", "json")
    assert job_id in listed.stdout
    done = airflow.cli("remote-jobs", "cleanup", "--older-than", "0")
    assert f"{job_id} of" in done.stdout, done
    assert cancelled(stage, job_id)


def test_c5_the_wait_of_a_sensor_that_airflow_cut_off(airflow: AirflowCluster, stage: Stage) -> None:
    """With cancel_on_kill=True, too: it timed out while no triggerer lived, and nobody killed it."""
    starter = stage.run("cleaning_handed", urls=stage.pages(1))
    airflow.wait_for_task(starter.dag_id, starter.run_id, "job", "success", 90)
    job_id = str(starter.xcom("job_id"))
    run = stage.run("cleaning_sensor", job_id=job_id)
    airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred", 90)
    began = time.time()
    airflow.stop("triggerer")
    wait_until(lambda: time.time() > began + SENSOR_TIMEOUT, 60, "the sensor's timeout to pass")
    # Airflow's own is two minutes later.
    where = f"dag_id = '{run.dag_id}' AND run_id = '{run.run_id}'"
    airflow.sql(f"UPDATE task_instance SET trigger_timeout = '2020-01-01 00:00:00+00:00' WHERE {where}")
    wait_until(lambda: run.task()["state"] == "failed", 60, "the sensor to time out")
    assert "AirflowSensorTimeout" in run.log()
    airflow.start("triggerer")
    wait_until(lambda: not stored(airflow), 60, "Airflow to forget the trigger")
    assert [job["id"] for job in stage.running()] == [job_id], triggerer_log(airflow)
    assert stage.deletes() == []
