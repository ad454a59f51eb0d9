"""D: the triggerer waits. Here the paths on which all of Airflow is up; the others are in `outage_paths`."""

from pathlib import Path

from tests.airflow.stories import Run, Telling, Until, trigger_gone
from tests.system.moves import replaced, same_job_goes_on
from tests.system.paths import also, path
from tests.system.stage import BOTH, FAST, SystemStage
from tests.system.sync_paths import make_trouble


def gone(run: Run) -> Until:
    """Wait until the run is deleted."""
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}"
    return Until("the run to be gone", lambda: run.airflow.api_raw("GET", path).status_code == 404)


def delivered_nothing(run: Run) -> None:
    assert "return_value" not in run.xcom_keys(), "a killed task has delivered"


# -- a user's kill ---------------------------------------------------------------------------------------------------


@path(
    "D1",
    mode="deferred",
    what="task or run marked failed or success",
    happens="The triggerer cancels the job, within seconds.",
    state="failed",
    each=BOTH,
)
def marked_failed(stage: SystemStage, service: str) -> Telling:
    yield from marked(stage, service, "failed")


@also("D1", state="success", each=BOTH)
def marked_success(stage: SystemStage, service: str) -> Telling:
    yield from marked(stage, service, "success")


def marked(stage: SystemStage, service: str, state: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.mark(state)
    yield from stage.over(run, state)
    delivered_nothing(run)


@also("D1", state="failed", each=[{"state": "failed"}])
@also("D1", state="success", each=[{"state": "success"}])
def run_marked(stage: SystemStage, state: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.mark_run(state)
    yield from stage.over(run, state)
    delivered_nothing(run)


@path(
    "D2",
    mode="deferred",
    what="task cleared",
    happens="The new try cancels the old job and starts its own.",
    state="success",
    starts=2,
    each=BOTH,
)
def cleared(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    old = yield from stage.begun(run, "deferred")
    stage.ends(old)
    run.clear("job")
    yield from replaced(stage, run, old)


@path(
    "D3",
    mode="deferred",
    what="run cleared",
    happens="The new try cancels the old job and starts its own.",
    state="success",
    starts=2,
)
def run_cleared(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    stage.ends(old)
    run.clear()
    yield from replaced(stage, run, old)


@path(
    "D8",
    mode="deferred",
    what="the service is slow, or refuses at first, while a killed task's job is cancelled",
    happens="The cancel goes on in a thread of its own, is checked and repeated until the job is over.",
    state="failed",
    each=[{"trouble": name} for name in ("slow", "429_seconds", "429_bare", "502_html", "reset", "ignored", "late")],
)
def cancel_that_meets_trouble(stage: SystemStage, trouble: str) -> Telling:
    stage.hold()
    make_trouble(stage, trouble)
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed", timeout=60)
    if trouble not in {"late", "ignored"}:
        assert [seen["fault"] for seen in stage.deletes()][:1] == [trouble], "the fault was not met"


@path(
    "D18",
    mode="deferred",
    what="run or DAG deleted",
    happens="The triggerer cancels the job.",
    state="gone",
)
def run_deleted(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.mark_run("failed")
    stage.airflow.delete_run(run.dag_id, run.run_id)
    yield gone(run)
    yield stage.nothing_runs(FAST)


@also("D18", state="gone")
def dag_deleted(stage: SystemStage) -> Telling:
    """Airflow allows this while a task is deferred."""
    stage.hold()
    run = stage.start("firecrawl", way="deferred_deleted")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    stage.airflow.api("DELETE", f"/dags/{run.dag_id}")
    yield gone(run)
    yield stage.nothing_runs(FAST)


@path(
    "D25",
    mode="deferred",
    what="task marked failed while the service keeps a look waiting",
    happens="The look is broken off and the job is cancelled at once.",
    state="failed",
    each=BOTH,
)
def killed_while_a_look_hangs(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.polled(job["id"])
    stage.control.fault(service, "slow", method="GET", seconds=50)
    yield Until("a look to hang", lambda: any(seen["status"] is None for seen in stage.control.requests(method="GET")))
    stage.ends(job)
    run.mark("failed")
    yield stage.cancelled(job, 20)
    yield from stage.over(run, "failed")


@path(
    "D27",
    mode="deferred",
    what="one of several mapped tasks marked failed",
    happens="Its job is cancelled, those of the other map indexes run on.",
    state="failed/success",  # the task that makes the lists has succeeded
    starts=3,
    at_once=3,
)
def one_mapped_task_marked_failed(stage: SystemStage) -> Telling:
    stage.hold()
    lists = [stage.pages(1), stage.pages(2), stage.pages(3)]
    run = stage.run("firecrawl_mapped_deferred", lists=lists)
    jobs = yield stage.jobs_started(3)
    for index in range(3):
        yield run.becomes("deferred", map_index=index)
    for job in jobs:
        yield stage.polled(job["id"])
    killed = next(job for job in jobs if job["input"] == lists[1])
    others = [job for job in jobs if job is not killed]
    stage.ends(killed)
    run.mark("failed", map_index=1)
    yield stage.cancelled(killed)
    yield run.becomes("failed", map_index=1)
    for job in others:
        yield stage.polled(job["id"], 3)
        stage.ends(job)
    run.mark_run("failed")
    yield stage.nothing_runs(FAST)
    for index in range(3):
        yield run.becomes("failed", map_index=index)


# -- Airflow ends the wait -------------------------------------------------------------------------------------------


@path(
    "D4",
    mode="deferred",
    what="`dagrun_timeout` of the DAG",
    happens="The triggerer cancels the job; Airflow skips the task.",
    state="skipped",
    each=BOTH,
)
def dagrun_timeout(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred_ended")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    yield run.becomes("skipped")
    yield from stage.over(run, "skipped")
    delivered_nothing(run)


@path(
    "D5",
    mode="deferred",
    what="`execution_timeout` of the task",
    happens="The trigger cancels the job at that moment, though Airflow does not enforce the timeout here.",
    state="failed",
    each=BOTH,
)
def execution_timeout(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred_limited")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    yield run.becomes("failed")
    yield from stage.over(run, "failed")
    after = stage.control.job(job["id"])
    assert after["ended_at"] - after["started_at"] < 30 + FAST


@path(
    "D6",
    mode="deferred",
    what="Airflow's deferral timeout, no try left",
    happens="It comes after the job's own deadline. Should it come first, the resumed task cancels the job.",
    state="failed",
    each=BOTH,
)
def deferral_timeout(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    where = f"run_id = '{run.run_id}' AND dag_id = '{run.dag_id}'"
    stage.airflow.sql(f"UPDATE task_instance SET trigger_timeout = '2020-01-01 00:00:00+00:00' WHERE {where}")
    yield run.becomes("failed")
    yield from stage.over(run, "failed")
    delivered_nothing(run)


@also("D6", state="failed", each=[{"way": "deferred_cut"}])
def deferral_timeout_of_the_defer(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    (job,) = yield stage.jobs_started(1)
    stage.ends(job)
    yield run.becomes("failed")
    yield from stage.over(run, "failed")
    assert run.was_deferred()


@path(
    "D7",
    mode="deferred",
    what="Airflow's deferral timeout, tries left",
    happens="The resumed task cancels the job; the next try starts its own.",
    state="success",
    starts=2,
)
def deferral_timeout_with_a_try_left(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred_cut_retry")
    (job,) = yield stage.jobs_started(1)
    stage.ends(job)
    yield from replaced(stage, run, job)


# -- what is no kill -------------------------------------------------------------------------------------------------


@path(
    "D19",
    mode="deferred",
    what="DAG paused",
    happens="The job runs on. Airflow delivers its result once the DAG is unpaused.",
    state="success",
)
def paused(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred_paused")
    job = yield from stage.begun(run, "deferred")
    stage.airflow.api("PATCH", f"/dags/{run.dag_id}", {"is_paused": True})
    yield stage.polled(job["id"], 5)
    stage.finish(job["id"])
    yield run.becomes("scheduled")
    yield trigger_gone(run)
    stage.airflow.api("PATCH", f"/dags/{run.dag_id}", {"is_paused": False})
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]


@path(
    "D21",
    mode="deferred",
    what="the trigger raises",
    happens="With a try left, the next one goes on with the job; on the last try it is cancelled.",
    state="failed",
)
def trigger_raises(stage: SystemStage) -> Telling:
    run, job = yield from broken_trigger(stage, "deferred_breaks")
    stage.ends(job)
    Path(breaking_file(stage)).touch()
    yield run.becomes("failed")
    yield from stage.over(run, "failed")


@also("D21", state="success")
def trigger_raises_with_a_try_left(stage: SystemStage) -> Telling:
    run, job = yield from broken_trigger(stage, "deferred_breaks_retry")
    Path(breaking_file(stage)).touch()
    yield from same_job_goes_on(stage, run, job)


def broken_trigger(stage: SystemStage, way: str) -> Telling:
    """Wait with a trigger that raises as soon as its file is there."""
    stage.hold()
    run = stage.start("firecrawl", way=way, breaks=breaking_file(stage))
    job = yield from stage.begun(run, "deferred")
    yield stage.polled(job["id"])
    return run, job


def breaking_file(stage: SystemStage) -> str:
    return str(stage.airflow.home / f"breaks-{stage.name.replace(' ', '-')}")
