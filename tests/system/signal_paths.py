"""S: signals to the task's processes, and Airflow's own components on their way."""

import signal
from typing import Any

import psutil

from tests.airflow.stories import Telling
from tests.support.cluster import kill_all
from tests.system.moves import gone, other_process, same_job_goes_on, send
from tests.system.paths import also, path
from tests.system.scenes import kill_scheduler, scene
from tests.system.stage import BOTH, SystemStage

SYNC = {"mode": "sync"}


# -- signals ---------------------------------------------------------------------------------------------------------


@path(
    "S6",
    **SYNC,
    what="SIGTERM (eviction, deployment), a try is left",
    happens="The job runs on, the next try goes on with it.",
    state="success",
    each=BOTH,
)
def terminated(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_retry")
    job = yield from stage.begun(run, "running")
    send(run, signal.SIGTERM)
    yield from same_job_goes_on(stage, run, job)


@also("S6", state="success")
def supervisor_terminated(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    send(run, signal.SIGTERM, supervisor=True)
    yield from same_job_goes_on(stage, run, job)


@path(
    "S6-last",
    **SYNC,
    what="SIGTERM (eviction, deployment), last try",
    happens="The job is cancelled, the task fails.",
    state="failed",
    each=BOTH,
)
def terminated_on_the_last_try(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    send(run, signal.SIGTERM)
    yield from stage.over(run, "failed")


@path(
    "S7",
    **SYNC,
    what="SIGINT to the task",
    happens="As SIGTERM: left for the next try, cancelled on the last one.",
    state="failed",
    each=[{"supervisor": False}, {"supervisor": True}],
)
def interrupted(stage: SystemStage, supervisor: bool) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    send(run, signal.SIGINT, supervisor=supervisor)
    yield from stage.over(run, "failed")


@also("S7", state="success")
def interrupted_with_a_retry_left(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    send(run, signal.SIGINT)
    yield from same_job_goes_on(stage, run, job)


@path(
    "S8",
    **SYNC,
    what="SIGKILL (out of memory), a try is left",
    happens="The job runs on, the next try goes on with it.",
    state="success",
    each=BOTH,
)
def killed(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_retry")
    job = yield from stage.begun(run, "running")
    send(run, signal.SIGKILL)
    yield from same_job_goes_on(stage, run, job)


@path(
    "S9",
    **SYNC,
    what="SIGKILL (out of memory), last try",
    happens="No code runs any more; `cleanup` ends the job.",
    state="failed",
    each=BOTH,
)
def killed_on_the_last_try(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    stage.leaves(job)
    send(run, signal.SIGKILL)
    yield run.becomes("failed")


def lose_node(run: Any) -> None:
    pid = int(run.task()["pid"])
    kill_all([psutil.Process(psutil.Process(pid).ppid()), psutil.Process(pid)])


@path(
    "S10",
    **SYNC,
    what="the node is lost",
    happens="Airflow notices after its heartbeat timeout. The next try goes on with the job; without one, "
    "`cleanup` ends it.",
    state="success",
    early=True,
)
def node_lost(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    lose_node(run)
    yield from same_job_goes_on(stage, run, job)


@also("S10", state="failed", early=True)
def node_lost_on_the_last_try(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.leaves(job)
    lose_node(run)
    yield run.becomes("failed")


@path(
    "S11",
    **SYNC,
    what="the worker's supervisor dies, the task's process lives on unseen",
    happens="After the heartbeat timeout the next try goes on with the job; the old process leaves it alone. "
    "Without a next try, the old process cancels it.",
    state="success",
    early=True,
)
def supervisor_lost(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    pid = run.task()["pid"]
    send(run, signal.SIGKILL, supervisor=True)
    yield run.try_begins(2)
    yield from same_job_goes_on(stage, run, job)
    yield gone(pid)
    assert stage.deletes() == []


@also("S11", state="failed", early=True)
def supervisor_lost_on_the_last_try(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.leaves(job)
    send(run, signal.SIGKILL, supervisor=True)
    yield run.becomes("failed")


# -- Airflow's own components ----------------------------------------------------------------------------------------


scene(
    "scheduler killed",
    ("scheduler killed", kill_scheduler),
    ("scheduler started", lambda airflow, stages: airflow.start("scheduler")),
)


@path(
    "S12",
    **SYNC,
    what="the scheduler restarts, LocalExecutor",
    happens="Airflow starts a new try beside the old process; it goes on with the job, the old one leaves it alone.",
    state="success",
    scene="scheduler killed",
    each=[{"way": "sync_retry"}, {"way": "sync"}],
)
def scheduler_restarts(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    job = yield from stage.begun(run, "running")
    old = run.task()["pid"]
    yield stage.cue("scheduler started")
    yield other_process(run, old)
    yield gone(old, 60)
    yield from same_job_goes_on(stage, run, job, number=None)


def kill_api_server(airflow: Any, stages: Any) -> None:
    children = psutil.Process(airflow.pids["api-server"]).children(recursive=True)
    airflow.kill("api-server")
    kill_all(children)


scene(
    "API server killed",
    ("API server killed", kill_api_server),
    ("API server started", lambda airflow, stages: airflow.start("api-server")),
)


@path(
    "S13",
    **SYNC,
    what="the API server is down until Airflow kills the task",
    happens="A try is left: the job runs on, the next try goes on with it. Last try: the job is cancelled.",
    state="success",
    scene="API server killed",
)
def api_server_down(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retries")
    job = yield from stage.begun(run, "running")
    pid = run.task()["pid"]
    yield stage.cue("API server killed")
    yield gone(pid, 120)
    yield stage.cue("API server started")
    yield other_process(run, pid)
    yield from same_job_goes_on(stage, run, job, number=None)


@also("S13", state="failed", scene="API server killed")
def api_server_down_on_the_last_try(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    pid = run.task()["pid"]
    yield stage.cue("API server killed")
    yield stage.nothing_runs(120)
    yield gone(pid, 120)
    yield stage.cue("API server started")
    yield from stage.over(run, "failed")
