"""E: the trigger has fired, the result is on its way."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil

from tests.airflow.stories import WAITING, Run, Telling, Until, process_gone, trigger_gone
from tests.system.gap_paths import deferring
from tests.system.moves import frozen_in_gap, gone, send
from tests.system.paths import also, path
from tests.system.scenes import scene, stop_scheduler
from tests.system.stage import BOTH, SystemStage

DELIVERY = {"mode": "delivery"}
EACH_WAY = [{**service, "way": way} for service in BOTH for way in WAITING]

scene(
    "scheduler stalls",
    ("scheduler stalls", stop_scheduler),
    ("scheduler goes on", lambda airflow, stages: os.kill(airflow.pids["scheduler"], signal.SIGCONT)),
)


def delivered(stage: SystemStage, run: Run, job: dict[str, Any], number: int | None = None) -> Telling:
    """Check that this job's result is delivered, and that nothing else was started or cancelled."""
    yield Until(
        "the delivery",
        lambda: run.task()["state"] == "success" and number in {None, run.task()["try_number"]},
    )
    yield process_gone(run)
    assert run.xcom()["job_id"] == job["id"]
    assert len(stage.posts()) == 1, "the job was bought again"
    assert stage.deletes() == [], "a cancel was sent though the job was over"


def delivering(stage: SystemStage, service: str, way: str) -> Telling:
    """Bring a task to where it fetches the result of its job, slowly; the answer is the run and the job."""
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, "deferred")
    if service == "datafiniti":
        stage.control.fault("files", "slow", method="GET", seconds=20)
    stage.finish(job["id"])
    yield Until("the event", lambda: run.task()["state"] != "deferred")
    if service == "firecrawl":
        looks = stage.looks(job["id"])
        stage.control.fault("firecrawl", "slow", method="GET", seconds=20)
        yield Until("the delivery to begin", lambda: stage.looks(job["id"]) > looks)
    else:
        yield Until("the delivery to begin", lambda: stage.control.requests(method="GET", host="files"))
    yield Until("the resumed process", lambda: run.task()["state"] == "running" and run.task()["pid"])
    return run, job


@path(
    "E1",
    **DELIVERY,
    what="marked failed after the trigger has fired, before the task is resumed",
    happens="The job is over, nothing has to end it. Its result stays on record: a clear delivers it.",
    state="success",
    scene="scheduler killed",
)
def marked_failed_before_the_resume(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred")
    job = yield from stage.begun(run, "deferred")
    yield stage.cue("scheduler killed")
    stage.finish(job["id"])
    yield run.becomes("scheduled")
    run.mark("failed")
    yield stage.cue("scheduler started")
    yield run.ends("failed")
    assert run.task()["state"] == "failed"
    run.clear("job")
    yield from delivered(stage, run, job)


@path(
    "E2",
    **DELIVERY,
    what="SIGKILL during the delivery, a try is left",
    happens="The next try delivers the finished job; nothing is bought again.",
    state="success",
    each=BOTH,
)
def killed(stage: SystemStage, service: str) -> Telling:
    run, job = yield from delivering(stage, service, "deferred_retry")
    send(run, signal.SIGKILL)
    yield from delivered(stage, run, job, number=2)


@path(
    "E3",
    **DELIVERY,
    what="marked failed during the delivery",
    happens="The job is over, no cancel is sent; nothing is delivered. A clear delivers it.",
    state="success",
    each=BOTH,
)
def marked_failed(stage: SystemStage, service: str) -> Telling:
    run, job = yield from delivering(stage, service, "deferred")
    pid = run.task()["pid"]
    run.mark("failed")
    yield gone(pid)
    assert run.task()["state"] == "failed"
    assert "return_value" not in run.xcom_keys(), "a killed task has delivered"
    run.clear("job")
    yield from delivered(stage, run, job)


@path(
    "E4",
    **DELIVERY,
    what="the job ends before the scheduler has heard of the deferral (Airflow fails the try: `state mismatch`)",
    happens="The next try, or a clear, delivers the finished job; nothing is bought again.",
    state="success",
    scene="scheduler stalls",
    each=[{"way": "deferred_retry"}, {"way": "deferred"}],
)
def ends_too_soon(stage: SystemStage, way: str) -> Telling:
    run = deferring(stage, way)
    job, pid = yield from frozen_in_gap(stage, run)
    worker = psutil.Process(pid).parent()
    yield stage.cue("scheduler stalls")
    os.kill(pid, signal.SIGCONT)
    yield run.becomes("deferred")
    yield gone(pid)
    yield Until("the worker to have reported the end of the process", lambda: "<idle>" in " ".join(worker.cmdline()))
    stage.finish(job["id"])
    yield run.becomes("scheduled")
    yield stage.cue("scheduler goes on")
    if way == "deferred":
        yield run.ends("failed")
        run.clear("job")
    yield from delivered(stage, run, job, number=2)


@path(
    "E5",
    **DELIVERY,
    what="the job ends as it should",
    happens="The trigger ends with its event; no cancel is ever sent.",
    state="success",
    each=BOTH,
)
def ends(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred")
    job = yield from stage.begun(run, "deferred")
    stage.finish(job["id"])
    yield from delivered(stage, run, job)
    yield trigger_gone(run)
    assert stage.deletes() == []


@path(
    "E6",
    **DELIVERY,
    what="cleared after the delivery",
    happens="The task starts a new job.",
    state="success",
    starts=2,
    each=[{"way": "sync"}, {"way": "deferred"}],
)
def cleared_after_the_delivery(stage: SystemStage, way: str) -> Telling:
    run = stage.start("firecrawl", way=way)
    (old,) = yield stage.jobs_started(1)
    yield run.ends("success")
    run.clear("job")
    jobs = yield stage.jobs_started(2)
    yield Until("the second delivery", lambda: run.task()["try_number"] == 2 and run.task()["state"] == "success")
    assert run.xcom()["job_id"] == next(job["id"] for job in jobs if job["id"] != old["id"])
    assert stage.deletes() == []


@path(
    "E7",
    **DELIVERY,
    what="`job_timeout` while deferred",
    happens="The trigger cancels the job, then the task fails. A try that is left starts its own, never beside it.",
    state="failed",
    each=BOTH,
)
def job_timeout(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="deferred_job_timeout")
    (job,) = yield stage.jobs_started(1)
    stage.ends(job)
    yield run.becomes("failed")
    yield from stage.over(run, "failed")
    assert "JobTimeoutError" in run.log()
    after = stage.control.job(job["id"])
    # It counts from the moment in which the start was sent, a little before the sandbox has the job.
    assert after["ended_at"] - after["started_at"] > 11, "cancelled before its time"


@also("E7", state="failed", starts=2)
def job_timeout_with_a_retry_left(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="deferred_job_timeout_retry")
    (first,) = yield stage.jobs_started(1)
    stage.ends(first)
    jobs = yield stage.jobs_started(2)
    stage.ends(next(job for job in jobs if job["id"] != first["id"]))
    yield run.becomes("failed")
    yield from stage.over(run, "failed")


@path(
    "E8",
    **DELIVERY,
    what="SIGKILL during the delivery, last try; or the result cannot be stored",
    happens="The task fails, the finished job stays on record: a clear delivers it, nothing is bought again.",
    state="success",
    each=BOTH,
)
def killed_on_the_last_try(stage: SystemStage, service: str) -> Telling:
    run, job = yield from delivering(stage, service, "deferred")
    send(run, signal.SIGKILL)
    yield run.ends("failed")
    run.clear("job")
    yield from delivered(stage, run, job)


@also("E8", state="success", each=EACH_WAY)
def storage_down(stage: SystemStage, service: str, way: str) -> Telling:
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
    yield from delivered(stage, run, job)
    summary = run.xcom()
    files = [Path(name.removeprefix("file://")) for name in summary["output"]]
    assert 0 < summary["records"] == sum(len(file.read_text().splitlines()) for file in files)
