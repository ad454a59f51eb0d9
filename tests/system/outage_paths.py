"""D, further: something of Airflow is down while a task waits in the triggerer."""

import os
import signal
import time
from collections.abc import Sequence

from tests.airflow.stories import Run, Telling, Until, process_gone, trigger_gone
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until
from tests.system.deferred_paths import gone
from tests.system.moves import replaced
from tests.system.paths import also, path
from tests.system.scenes import scene
from tests.system.stage import BOTH, FAST, SystemStage

TRIGGERERS = ("triggerer", "triggerer-2")
HUNDRED = 100

Stages = Sequence[SystemStage]


def stop_triggerers(airflow: AirflowCluster, stages: Stages) -> None:
    """SIGTERM to both at once: none takes over from the other."""
    for name in TRIGGERERS:
        os.kill(airflow.pids[name], signal.SIGTERM)
    wait_until(lambda: not set(TRIGGERERS) & set(airflow.pids), 60, "both triggerers to end")


def kill_triggerers(airflow: AirflowCluster, stages: Stages) -> None:
    for name in TRIGGERERS:
        airflow.kill(name)


def start_triggerers(airflow: AirflowCluster, stages: Stages) -> None:
    for name in TRIGGERERS:
        airflow.start(name)


def nothing(airflow: AirflowCluster, stages: Stages) -> None:
    """Let stories that must be quick go on when all others are where they want to be."""


# -- both triggerers are stopped for a while -------------------------------------------------------------------------

scene(
    "triggerers stop",
    ("about to stop", nothing),
    ("triggerers stopped", stop_triggerers),
    ("triggerers started", start_triggerers),
)


@path(
    "D9",
    mode="deferred",
    what="the triggerer stops while it cancels the job of a killed task",
    happens="The stopping triggerer waits for the cancel.",
    state="failed",
    scene="triggerers stop",
)
def stopped_while_cancelling(stage: SystemStage) -> Telling:
    stage.hold()
    # The first request does nothing; the second is due in the middle of the stop.
    stage.control.fault("firecrawl", "429_seconds", method="DELETE", seconds=4)
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("about to stop")
    stage.ends(job)
    run.mark("failed")
    yield Until("the cancel to be refused", lambda: [seen["status"] for seen in stage.deletes()] == [429])
    yield stage.cue("triggerers stopped")
    yield from stage.over(run, "failed")


@path(
    "D10",
    mode="deferred",
    what="the triggerer restarts",
    happens="The job runs on, and is watched again.",
    state="success",
    scene="triggerers stop",
    each=BOTH,
)
def restarted(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers started")
    yield from goes_on(stage, run, job)


def goes_on(stage: SystemStage, run: Run, job: dict) -> Telling:
    """Check that the job is watched, and delivered when it is over."""
    yield stage.polled(job["id"], 2)
    stage.finish(job["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]
    assert run.task()["try_number"] == 1


@path(
    "D12",
    mode="deferred",
    what="task marked failed or success while no triggerer runs",
    happens="The job is cancelled when a triggerer starts.",
    state="failed",
    scene="triggerers stop",
    each=[{"state": "failed"}],
)
@also("D12", state="success", scene="triggerers stop", each=[{"state": "success"}])
def marked_without_a_triggerer(stage: SystemStage, state: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers stopped")
    stage.ends(job)
    run.mark(state)
    yield stage.cue("triggerers started")
    yield from stage.over(run, state)


@path(
    "D13",
    mode="deferred",
    what="a hundred tasks cleared at once; then the run marked failed while no triggerer runs",
    happens="A hundred jobs are cancelled and a hundred started; then a starting triggerer cancels those.",
    state="failed",
    starts=2 * HUNDRED,
    at_once=HUNDRED,
    scene="triggerers stop",
)
def a_hundred(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.run("hundred")
    yield stage.jobs_started(HUNDRED, timeout=300)
    yield all_are(run, "deferred")
    old = stage.jobs()
    for job in old:
        stage.ends(job)
    run.clear("job")
    yield stage.jobs_started(2 * HUNDRED, timeout=300)
    yield all_are(run, "deferred")
    yield Until("the old jobs to be over", lambda: len(stage.running()) == HUNDRED, FAST)
    new = stage.running()
    assert not {job["id"] for job in old} & {job["id"] for job in new}, "the new tries' jobs were cancelled"
    yield Until("the old triggers to be gone", lambda: stray_triggers(stage.airflow) == 0)
    yield stage.cue("triggerers stopped")
    for job in new:
        stage.ends(job)
    run.mark_run("failed")
    yield all_are(run, "failed")
    yield stage.cue("triggerers started")
    yield stage.nothing_runs(60)


def all_are(run: Run, state: str) -> Until:
    """Wait until all mapped tasks are in this state."""
    where = f"dag_id = '{run.dag_id}' AND run_id = '{run.run_id}'"
    query = f"SELECT coalesce(state, 'none'), count(*) FROM task_instance WHERE {where} GROUP BY 1"
    wanted = [(state, HUNDRED)]
    return Until(f"all tasks to be {state}", lambda: run.airflow.sql(query) == wanted, 300)


def stray_triggers(airflow: AirflowCluster) -> int:
    """Count the triggers that nobody waits for."""
    attached = "SELECT 1 FROM task_instance WHERE trigger_id = trigger.id"
    return int(airflow.sql(f"SELECT count(*) FROM trigger WHERE NOT EXISTS ({attached})")[0][0])


@path(
    "D14",
    mode="deferred",
    what="task cleared while no triggerer runs",
    happens="The new try cancels the old job and starts its own.",
    state="success",
    starts=2,
    scene="triggerers stop",
)
def cleared_without_a_triggerer(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers stopped")
    stage.ends(old)
    run.clear("job")
    yield stage.jobs_started(2)
    yield run.try_begins(2, "deferred")
    yield process_gone(run)
    assert stage.control.job(old["id"])["cancelled_by_delete"], "the new job was started beside the old one"
    yield stage.cue("triggerers started")
    yield from replaced(stage, run, old)


@path(
    "D15",
    mode="deferred",
    what="run deleted while no triggerer runs",
    happens="The job is cancelled when a triggerer starts, unless the scheduler has removed the trigger before.",
    state="gone",
    scene="triggerers stop",
)
def deleted_without_a_triggerer(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers stopped")
    stage.ends(job)
    run.mark_run("failed")
    stage.airflow.delete_run(run.dag_id, run.run_id)
    yield gone(run)
    yield stage.cue("triggerers started")
    yield stage.nothing_runs(FAST)


@path(
    "D17",
    mode="deferred",
    what="no triggerer runs when the job's deadline passes",
    happens="The first triggerer that starts cancels the job; if Airflow ends the wait before, the resumed task does.",
    state="failed",
    scene="triggerers stop",
)
def deadline_without_a_triggerer(stage: SystemStage) -> Telling:
    stage.hold()
    yield stage.cue("about to stop")
    run = stage.start("firecrawl", way="deferred_deadline")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    yield stage.cue("triggerers stopped")
    yield Until("the deadline to pass", lambda: time.time() > job["started_at"] + 25)
    assert stage.running(), "cancelled before its time"
    yield stage.cue("triggerers started")
    yield from stage.over(run, "failed")


@also("D17", state="failed", scene="triggerers stop")
def deferral_timeout_without_a_triggerer(stage: SystemStage) -> Telling:
    stage.hold()
    yield stage.cue("about to stop")
    run = stage.start("firecrawl", way="deferred_cut_later")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    yield stage.cue("triggerers stopped")
    assert run.task()["state"] == "deferred", "it took too long to stop the triggerers"
    yield run.becomes("failed")
    yield from stage.over(run, "failed")


# -- both are killed, and come back before Airflow takes them for dead -----------------------------------------------

scene("triggerers die", ("triggerers killed", kill_triggerers), ("triggerers started", start_triggerers))


@path(
    "D11",
    mode="deferred",
    what="the triggerer is killed and started again",
    happens="The job runs on, and is watched again once Airflow takes the old triggerer for dead.",
    state="success",
    scene="triggerers die",
    each=BOTH,
)
def killed(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers started")
    yield from goes_on(stage, run, job)


@path(
    "D16",
    mode="deferred",
    what="the triggerer is killed, the task marked failed or cleared, the triggerer started at once",
    happens="Marked failed: the job is cancelled when the triggerer starts. Cleared: the new try cancels it.",
    state="failed",
    scene="triggerers die",
)
def marked_while_the_triggerer_is_dead(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers killed")
    stage.ends(job)
    run.mark("failed")
    yield stage.cue("triggerers started")
    yield from stage.over(run, "failed")


@also("D16", state="success", starts=2, scene="triggerers die")
def cleared_while_the_triggerer_is_dead(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerers killed")
    stage.ends(old)
    run.clear("job")
    yield stage.cue("triggerers started")
    yield from replaced(stage, run, old)


# -- the scheduler is killed; the scene is S12's ---------------------------------------------------------------------


@path(
    "D22",
    mode="deferred",
    what="the scheduler restarts",
    happens="Nothing happens to the job.",
    state="success",
    scene="scheduler killed",
    each=BOTH,
)
def scheduler_restarts(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("scheduler started")
    yield from goes_on(stage, run, job)


@path(
    "D23",
    mode="deferred",
    what="task marked failed while no scheduler runs",
    happens="The triggerer cancels the job.",
    state="failed",
    scene="scheduler killed",
)
def marked_without_a_scheduler(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("scheduler killed")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")


@path(
    "D26",
    mode="deferred",
    what="task marked failed after the wait has timed out, before the task is resumed",
    happens="The job's own deadline comes first, and the trigger has cancelled the job by then. "
    "Where Airflow's timeout came first, `cleanup` ends it.",
    state="failed",
    scene="scheduler killed",
)
def marked_after_the_deadline(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred_deadline")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    yield stage.cue("scheduler killed")
    yield stage.cancelled(job, 60)
    yield run.becomes("scheduled")
    run.mark("failed")
    yield from stage.over(run, "failed")


@also("D26", state="failed", scene="scheduler killed")
def marked_after_the_deferral_timeout(stage: SystemStage) -> Telling:
    """Airflow does not call `on_kill` then."""
    stage.hold()
    run = stage.start("firecrawl", way="deferred_cut_later")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("scheduler killed")
    where = f"run_id = '{run.run_id}' AND dag_id = '{run.dag_id}'"
    query = f"SELECT count(*) FROM task_instance WHERE {where} AND trigger_timeout < now()"
    yield Until("the deferral timeout", lambda: stage.airflow.sql(query) == [(1,)])
    stage.leaves(job)
    run.mark("failed")
    yield trigger_gone(run)
    yield run.becomes("failed")


# -- the API server is killed; the scene is S13's --------------------------------------------------------------------


@path(
    "D24",
    mode="deferred",
    what="the API server is down",
    happens="Nothing happens to the job: the triggerer does not need it.",
    state="success",
    scene="API server killed",
    each=BOTH,
)
def api_server_down(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("API server killed")
    yield stage.polled(job["id"], 5)
    yield stage.cue("API server started")
    yield from goes_on(stage, run, job)


# -- PostgreSQL is killed --------------------------------------------------------------------------------------------

USERS_OF_DATABASE = {"scheduler", "dag-processor", *TRIGGERERS}


def kill_database(airflow: AirflowCluster, stages: Stages) -> None:
    airflow.kill_database()
    wait_until(lambda: not USERS_OF_DATABASE & set(airflow.pids), 90, "Airflow's components to end")


def start_database(airflow: AirflowCluster, stages: Stages) -> None:
    airflow.start_database()
    for name in airflow.names:
        if name not in airflow.pids:
            airflow.start(name)


scene("database killed", ("database killed", kill_database), ("database started", start_database))


@path(
    "D20",
    mode="deferred",
    what="Airflow's database is killed; scheduler, DAG processor and triggerers end, and are started again",
    happens="The job runs on, and is watched again.",
    state="success",
    scene="database killed",
    each=BOTH,
)
def database_down(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("database started")
    yield stage.polled(job["id"], 1, 60)
    yield from goes_on(stage, run, job)
