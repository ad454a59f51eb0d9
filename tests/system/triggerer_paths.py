"""H: several triggerers, of which one stalls, blocks or dies."""

import datetime as dt
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.airflow.stories import Run, Telling, Until, process_gone, trigger_gone
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until
from tests.system.deferred_paths import breaking_file, broken_trigger
from tests.system.moves import replaced
from tests.system.outage_paths import goes_on
from tests.system.paths import also, path
from tests.system.scenes import scene
from tests.system.stage import BOTH, SystemStage

FIRST, SECOND = "triggerer", "triggerer-2"
BOTH_WAKE = 40.0
TAKE_OVER = 60.0

Stages = Sequence[SystemStage]


# -- acts ------------------------------------------------------------------------------------------------------------


def alive(airflow: AirflowCluster) -> set[int]:
    """Return the triggerers whose heart beats, as Airflow itself sees it."""
    query = (
        "SELECT id FROM job WHERE job_type = 'TriggererJob' AND end_date IS NULL"
        " AND latest_heartbeat > now() - interval '10 seconds'"
    )
    return {row[0] for row in airflow.sql(query)}


def one_has_all(airflow: AirflowCluster) -> None:
    """Wait until one triggerer counts as dead and the other has all triggers."""

    def check() -> bool:
        owners = {row[0] for row in airflow.sql("SELECT DISTINCT triggerer_id FROM trigger")}
        living = alive(airflow)
        return len(living) == 1 and owners <= living

    wait_until(check, TAKE_OVER, "one triggerer to take over")


def both_live(airflow: AirflowCluster) -> None:
    wait_until(lambda: len(alive(airflow)) == 2, BOTH_WAKE, "both triggerers to live")


def with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def supervisor_stalls(airflow: AirflowCluster, stages: Stages) -> None:
    os.kill(airflow.pids[FIRST], signal.SIGSTOP)
    one_has_all(airflow)


def supervisor_wakes(airflow: AirflowCluster, stages: Stages) -> None:
    os.kill(airflow.pids[FIRST], signal.SIGCONT)
    both_live(airflow)


def triggerer_stalls(airflow: AirflowCluster, stages: Stages) -> None:
    for process in with_children(airflow.pids[SECOND]):
        process.suspend()
    one_has_all(airflow)


def triggerer_wakes(airflow: AirflowCluster, stages: Stages) -> None:
    for process in with_children(airflow.pids[SECOND]):
        process.resume()
    both_live(airflow)


def go_file(airflow: AirflowCluster) -> Path:
    return airflow.home / "block-the-triggerer"


def loop_blocks(airflow: AirflowCluster, stages: Stages) -> None:
    go_file(airflow).touch()
    one_has_all(airflow)


def loop_goes_on(airflow: AirflowCluster, stages: Stages) -> None:
    both_live(airflow)


scene(
    "triggerers stall",
    ("supervisor stalls", supervisor_stalls),
    ("supervisor wakes", supervisor_wakes),
    ("triggerer stalls", triggerer_stalls),  # it has all triggers since the first one stalled
    ("triggerer wakes", triggerer_wakes),
    ("loop blocks", loop_blocks),  # of the first, which has all triggers now
    ("loop goes on", loop_goes_on),
)


def let_go(run: Run, since: float, how: str = "invoking on_kill") -> Until:
    """Wait until a triggerer has let the task's trigger go, in Airflow's own words, after this moment.

    A stale owner is told to kill, unless it sees first that the job is over: then its trigger just ends.
    """

    def check() -> bool:
        lines = [json.loads(line) for line in run.log().splitlines() if how in line and line.startswith("{")]
        return any(dt.datetime.fromisoformat(line["timestamp"]).timestamp() > since for line in lines)

    return Until(f"a triggerer to say '{how}'", check)


ENDED = "trigger completed"


# -- H1, H2, H5, H6 --------------------------------------------------------------------------------------------------


@path(
    "H1",
    mode="deferred",
    what="a triggerer stalls, another takes over, the first wakes up and is told to kill what it lost",
    happens="It asks first, sees that nobody killed the task, and leaves the job alone.",
    state="success",
    scene="triggerers stall",
    each=BOTH,
)
def stalled(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield from survives_stalls(stage, run, job["id"])
    yield from goes_on(stage, run, job)


def survives_stalls(stage: SystemStage, run: Run, job_id: str) -> Telling:
    """Go through a stalled supervisor, a stalled triggerer, and their wakings; check that the job was in danger."""
    yield stage.cue("supervisor stalls")
    yield stage.polled(job_id, 2)
    yield stage.cue("supervisor wakes")
    yield stage.polled(job_id, 2)
    yield stage.cue("triggerer stalls")
    yield stage.polled(job_id, 2)
    since = time.time()
    yield stage.cue("triggerer wakes")
    yield let_go(run, since)
    yield stage.polled(job_id, 3)


@path(
    "H2",
    mode="deferred",
    what="somebody's trigger blocks a triggerer's event loop for half a minute",
    happens="Another triggerer takes over. The blocked one leaves the job alone when it goes on.",
    state="success",
    scene="triggerers stall",
    each=BOTH,
)
def blocked(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    if service == BOTH[0]["service"]:
        blocker = stage.run("blocks_the_triggerer", go=str(go_file(stage.airflow)))
        yield blocker.becomes("deferred")
    since = time.time()
    yield stage.cue("triggerer wakes")
    yield let_go(run, since)
    since = time.time()
    yield stage.cue("loop blocks")
    yield stage.polled(job["id"], 2)
    yield stage.cue("loop goes on")
    yield let_go(run, since)
    yield stage.polled(job["id"], 3)
    yield from goes_on(stage, run, job)


@path(
    "H5",
    mode="deferred",
    what="task marked failed or cleared after another triggerer has taken over",
    happens="The new owner cancels the job; after a clear, the new try's job is left alone.",
    state="failed",
    scene="triggerers stall",
)
def marked_after_a_take_over(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerer stalls")
    stage.ends(job)
    since = time.time()
    run.mark("failed")
    yield from stage.over(run, "failed")
    yield let_go(run, since, ENDED)
    since = time.time()
    yield stage.cue("triggerer wakes")
    yield let_go(run, since, ENDED)


@also("H5", state="success", starts=2, scene="triggerers stall")
def cleared_after_a_take_over(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    yield stage.cue("triggerer stalls")
    stage.ends(old)
    run.clear("job")
    jobs = yield stage.jobs_started(2)
    new = next(job for job in jobs if job["id"] != old["id"])
    yield stage.cancelled(old)
    yield run.try_begins(2, "deferred")
    yield process_gone(run)
    yield stage.polled(new["id"], 3)
    since = time.time()
    yield stage.cue("triggerer wakes")
    yield let_go(run, since, ENDED)
    yield stage.polled(new["id"], 3)
    yield from replaced(stage, run, old)


@path(
    "H6",
    mode="deferred",
    what="a stalled triggerer wakes up while the task's next try goes on with the job",
    happens="It leaves the job to that try.",
    state="success",
    scene="triggerers stall",
)
def next_try_has_the_job(stage: SystemStage) -> Telling:
    run, job = yield from broken_trigger(stage, "deferred_breaks_retry")
    yield stage.cue("triggerer stalls")
    Path(breaking_file(stage)).touch()
    yield run.try_begins(2, "running")
    yield Until("the job to be named again", lambda: run.xcom_keys() >= {"job_id"} and run.xcom("job_id") == job["id"])
    yield stage.polled(job["id"], 2)
    Path(breaking_file(stage)).unlink()  # for the stale owner, nothing has happened
    since = time.time()
    yield stage.cue("triggerer wakes")
    yield let_go(run, since)
    yield stage.polled(job["id"], 3)
    assert run.task()["state"] == "running"
    stage.finish(job["id"])
    yield run.becomes("success")
    assert len(stage.posts()) == 1, "a second start was sent"


# -- H3, H4 ----------------------------------------------------------------------------------------------------------


def leave_all_to_the_first(airflow: AirflowCluster, stages: Stages) -> None:
    airflow.stop(SECOND)
    one_has_all(airflow)
    airflow.start(SECOND)
    both_live(airflow)


scene(
    "a triggerer dies",
    ("one has all", leave_all_to_the_first),
    ("owner killed", lambda airflow, stages: airflow.kill(FIRST)),
    ("owner started", lambda airflow, stages: airflow.start(FIRST)),
)


@path(
    "H3",
    mode="deferred",
    what="a triggerer is killed, and a task of its marked failed before Airflow takes it for dead; another one lives",
    happens="Airflow calls nobody and forgets the trigger. `cleanup` ends the job.",
    state="failed",
    scene="a triggerer dies",
)
def marked_while_the_owner_is_dead(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("owner killed")
    stage.leaves(job)
    run.mark("failed")
    yield trigger_gone(run)
    yield run.becomes("failed")
    yield stage.cue("owner started")


@path(
    "H4",
    mode="deferred",
    what="a triggerer is killed, and a task of its cleared before Airflow takes it for dead; another one lives",
    happens="The new try cancels the old job and starts its own.",
    state="success",
    starts=2,
    scene="a triggerer dies",
)
def cleared_while_the_owner_is_dead(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    old = yield from stage.begun(run, "deferred")
    yield stage.cue("owner killed")
    stage.ends(old)
    run.clear("job")
    yield from replaced(stage, run, old)


@also("D11", state="success", scene="a triggerer dies")
def killed_beside_another(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("owner killed")
    yield stage.polled(job["id"], 1, TAKE_OVER)
    yield from goes_on(stage, run, job)
