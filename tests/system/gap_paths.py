"""G: between the start of the job and the deferral of the task.

The first look lies in the gap. The sandbox answers it late, so that there is time to stop the process there.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.airflow.stories import Run, Telling, Until
from tests.system.moves import (
    a_folder,
    first_look,
    frozen_in_gap,
    gone,
    other_process,
    replaced,
    same_job_goes_on,
    send,
)
from tests.system.paths import also, path
from tests.system.stage import SystemStage

GAP = {"mode": "gap"}
SEEN_IN_TIME = "it was ended before it could wait for"


def deferring(stage: SystemStage, way: str = "deferred", seconds: float = 3) -> Run:
    """Start a run whose first look takes a while."""
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="GET", seconds=seconds)
    return stage.start("firecrawl", way=way)


@path(
    "G1",
    **GAP,
    what="marked failed in the seconds before the deferral",
    happens="The task looks at its own state before it defers, and cancels the job.",
    state="failed",
)
def marked_failed(stage: SystemStage) -> Telling:
    run = deferring(stage)
    job, pid = yield from frozen_in_gap(stage, run)
    stage.ends(job)
    run.mark("failed")
    os.kill(pid, signal.SIGCONT)
    yield from stage.over(run, "failed")
    assert SEEN_IN_TIME in run.log(), "the kill came by a signal, that is another path"


@path(
    "G2",
    **GAP,
    what="cleared in the seconds before the deferral",
    happens="As G1: the job is cancelled, the new try starts its own.",
    state="success",
    starts=2,
)
def cleared(stage: SystemStage) -> Telling:
    run = deferring(stage)
    old, pid = yield from frozen_in_gap(stage, run)
    stage.ends(old)
    run.clear("job")
    os.kill(pid, signal.SIGCONT)
    yield from replaced(stage, run, old)
    assert SEEN_IN_TIME in run.log(try_number=1), "the kill came by a signal, that is another path"


@path(
    "G3",
    **GAP,
    what="marked failed before the start",
    happens="The start may still be sent; then the job is cancelled before the task could defer.",
    state="failed",
    starts=(0, 1),
)
def marked_failed_before_the_start(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    yield Until("the process", lambda: run.task().get("state") == "running" and run.task().get("pid"))
    pid = send(run, signal.SIGSTOP)
    assert stage.posts() == [], "the process was too quick"
    stage.ends_all()
    run.mark("failed")
    os.kill(pid, signal.SIGCONT)
    yield gone(pid)
    yield from stage.over(run, "failed")


@path(
    "G4",
    **GAP,
    what="SIGTERM before the deferral",
    happens="As in the wait: left for the next try, cancelled on the last one. The task does not defer any more.",
    state="failed",
)
def terminated(stage: SystemStage) -> Telling:
    run = deferring(stage)
    job = yield from first_look(stage)
    stage.ends(job)
    send(run, signal.SIGTERM)
    yield from stage.over(run, "failed")
    assert not run.was_deferred()


@also("G4", state="success")
def terminated_with_a_retry_left(stage: SystemStage) -> Telling:
    run = deferring(stage, "deferred_retry")
    job = yield from first_look(stage)
    send(run, signal.SIGTERM)
    yield from same_job_goes_on(stage, run, job, state="deferred")


@path(
    "G5",
    **GAP,
    what="SIGKILL before the deferral, a try is left",
    happens="The job runs on, the next try goes on with it.",
    state="success",
)
def killed(stage: SystemStage) -> Telling:
    run = deferring(stage, "deferred_retry")
    job = yield from first_look(stage)
    send(run, signal.SIGKILL)
    yield from same_job_goes_on(stage, run, job, state="deferred")


@path(
    "G6",
    **GAP,
    what="SIGKILL while the start is under way",
    happens="The next try looks for the job in what the service lists. With a ledger folder, it goes on with it; "
    "else it fails, and `cleanup` ends the job. Where no list shows it, the task names the request, and `list` does: "
    "it has to be looked up at the service. A clear then starts anew.",
    by_hand=True,
    state="failed",
    each=[{"way": "sync_retry"}, {"way": "deferred_retry"}],
)
def killed_during_the_start(stage: SystemStage, way: str) -> Telling:
    """A server of 2025 lists no batch scrapes."""
    stage.hold()
    stage.control.settings(firecrawl={"server": "2025"})
    stage.control.fault("firecrawl", "slow", method="POST", seconds=30)
    run = stage.start("firecrawl", way=way)
    (job,) = yield stage.jobs_started(1)
    stage.nameless(job, run)
    send(run, signal.SIGKILL)
    yield run.becomes("failed")
    log = run.log()
    assert "POST /v1/batch/scrape" in log
    assert "no answer to it is on record" in log


@also("G6", state="success", each=[{"way": "sync_retry"}, {"way": "deferred_retry"}])
def killed_during_the_start_and_found(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="POST", seconds=30)
    run = stage.start("firecrawl", way=f"recorded_{way}", ledger=a_folder(stage))
    (job,) = yield stage.jobs_started(1)
    send(run, signal.SIGKILL)
    yield run.try_begins(2, "running" if way == "sync_retry" else "deferred")
    yield stage.polled(job["id"])
    stage.finish(job["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]
    assert len(stage.posts()) == 1


@path(
    "G7",
    **GAP,
    what="SIGKILL before the deferral, last try",
    happens="No code runs any more; `cleanup` ends the job.",
    state="failed",
)
def killed_on_the_last_try(stage: SystemStage) -> Telling:
    run = deferring(stage)
    job = yield from first_look(stage)
    stage.leaves(job)
    send(run, signal.SIGKILL)
    yield run.becomes("failed")


@path(
    "G8",
    **GAP,
    what="the API server is down at the deferral",
    happens="A try is left: the next one goes on with the job. Last try: it is cancelled, or `cleanup` ends it.",
    state="success",
    scene="API server killed",
)
def api_server_down(stage: SystemStage) -> Telling:
    run = deferring(stage, "deferred_retries")
    job, pid = yield from frozen_in_gap(stage, run)
    yield stage.cue("API server killed")
    os.kill(pid, signal.SIGCONT)
    yield gone(pid, 150)
    yield stage.cue("API server started")
    yield other_process(run, pid)
    yield from same_job_goes_on(stage, run, job, number=None, state="deferred")


@also("G8", state="failed", scene="API server killed")
def api_server_down_on_the_last_try(stage: SystemStage) -> Telling:
    run = deferring(stage)
    job, pid = yield from frozen_in_gap(stage, run)
    stage.leaves(job)
    yield stage.cue("API server killed")
    os.kill(pid, signal.SIGCONT)
    yield gone(pid, 150)
    yield stage.cue("API server started")
    yield run.becomes("failed")


@path(
    "G9",
    **GAP,
    what="the supervisor dies before the deferral",
    happens="The deferral goes nowhere; after the heartbeat timeout the next try goes on with the job.",
    state="success",
    early=True,
)
def supervisor_lost(stage: SystemStage) -> Telling:
    run = deferring(stage, "deferred_retry")
    job, pid = yield from frozen_in_gap(stage, run)
    send(run, signal.SIGKILL, supervisor=True)
    os.kill(pid, signal.SIGCONT)
    yield gone(pid)
    assert stage.deletes() == []
    yield from same_job_goes_on(stage, run, job, state="deferred")


@contextmanager
def row_locked(run: Run) -> Iterator[Any]:
    """Hold the row of the task: what reads it goes on, what changes it waits."""
    where = "dag_id = %s AND run_id = %s AND task_id = 'job'"
    with run.airflow.transaction() as cursor:
        cursor.execute(f"SELECT id FROM task_instance WHERE {where} FOR UPDATE", (run.dag_id, run.run_id))
        yield lambda state: cursor.execute(
            f"UPDATE task_instance SET state = %s, end_date = now() WHERE {where}", (state, run.dag_id, run.run_id)
        )


@path(
    "G10",
    **GAP,
    what="marked failed in the instant between the task's last look at its state and the deferral",
    happens="Airflow refuses the deferral and no code runs any more; `cleanup` ends the job.",
    state="failed",
)
def marked_failed_at_the_last_instant(stage: SystemStage) -> Telling:
    run = deferring(stage)
    job, pid = yield from frozen_in_gap(stage, run)
    stage.leaves(job)
    with row_locked(run) as becomes:
        os.kill(pid, signal.SIGCONT)
        held_up = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        yield Until("the deferral to wait for the row", lambda: run.airflow.sql(held_up)[0][0] > 0, 5)
        becomes("failed")
    yield gone(pid)
    yield run.becomes("failed")
    assert SEEN_IN_TIME not in run.log(), "it was seen before the deferral, that is another path"


@path(
    "G11",
    **GAP,
    what="a trigger argument that cannot be stored (a subclass of ours with a mistake)",
    happens="Arguments of ours are plain JSON. With a subclass that breaks this, the task fails; "
    "the job is cancelled, or `cleanup` ends it.",
    state="failed",
)
def argument_that_cannot_be_stored(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="not_plain")
    (job,) = yield stage.jobs_started(1)
    stage.leaves(job)
    yield run.becomes("failed")
