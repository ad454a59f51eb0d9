"""C: sensors wait for what something else has started, and leave it alone."""

import signal
import time

from tests.airflow.stories import Run, Telling, Until, process_gone, trigger_gone
from tests.system.moves import send
from tests.system.paths import also, path
from tests.system.stage import BOTH, FAST, SystemStage
from tests.system.triggerer_paths import let_go, survives_stalls

WAITS_AS = {"poke": "running", "reschedule": "up_for_reschedule", "deferred": "deferred"}


def waiting(stage: SystemStage, service: str, way: str, looks: int = 1) -> Telling:
    """Start a job and a sensor that waits for it; answer both."""
    stage.hold()
    job_id = stage.start_elsewhere(service)
    run = stage.run(f"{service}_sensor_{way}", job_id=job_id)
    state = WAITS_AS[way.partition("_")[0]]
    yield run.becomes(state)
    if state == "deferred":
        yield process_gone(run)
    yield stage.polled(job_id, looks)
    return job_id, run


def untouched(stage: SystemStage, job_id: str) -> None:
    assert stage.deletes() == [], "a sensor has cancelled"
    stage.keeps(job_id)


# -- killed ----------------------------------------------------------------------------------------------------------


@path(
    "C1",
    mode="sensor, deferred",
    what="task or run marked failed or success, cleared, or timed out by `dagrun_timeout`",
    happens="The job is left alone.",
    state="failed",
    each=BOTH,
)
def marked_failed(stage: SystemStage, service: str) -> Telling:
    job_id, run = yield from waiting(stage, service, "deferred")
    yield from ended_by(stage, run, job_id, lambda: run.mark("failed"), "failed")


def ended_by(stage: SystemStage, run: Run, job_id: str, act: object, state: str) -> Telling:
    told = let_go(run, time.time())
    act()
    yield run.becomes(state)
    yield told
    yield trigger_gone(run)
    untouched(stage, job_id)


@also("C1", state="success")
def marked_success(stage: SystemStage) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", "deferred")
    yield from ended_by(stage, run, job_id, lambda: run.mark("success"), "success")


@also("C1", state="failed")
def run_marked_failed(stage: SystemStage) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", "deferred")
    yield from ended_by(stage, run, job_id, lambda: run.mark_run("failed"), "failed")


@also("C1", state="skipped")
def dagrun_timeout(stage: SystemStage) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", "deferred_ended")
    yield from ended_by(stage, run, job_id, lambda: None, "skipped")


@also("C1", state="success")
def cleared(stage: SystemStage) -> Telling:
    """The new try waits for the same job."""
    job_id, run = yield from waiting(stage, "firecrawl", "deferred")
    run.clear("job")
    yield run.try_begins(2, "deferred")
    yield let_go(run, 0)
    yield process_gone(run)
    yield stage.polled(job_id, 3)
    assert stage.deletes() == [], "a sensor has cancelled"
    stage.finish(job_id)
    yield run.becomes("success")


@path(
    "C2",
    mode="sensor, deferred",
    what="as H1",
    happens="The job is left alone, also by a sensor that was asked to cancel on a kill.",
    state="success",
    scene="triggerers stall",
    each=[{"way": "deferred"}, {"way": "deferred_cancels"}],
)
def stalled(stage: SystemStage, way: str) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", way)
    yield from survives_stalls(stage, run, job_id)
    stage.finish(job_id)
    yield run.becomes("success")
    assert run.task()["try_number"] == 1


@path(
    "C3",
    mode="sensor, poke",
    what="task marked failed",
    happens="The job is left alone.",
    state="failed",
    each=BOTH,
)
def marked_failed_while_poking(stage: SystemStage, service: str) -> Telling:
    job_id, run = yield from waiting(stage, service, "poke")
    pid = run.task()["pid"]
    run.mark("failed")
    yield run.becomes("failed")
    yield process_gone(run)
    assert pid
    untouched(stage, job_id)


@path(
    "C4",
    mode="sensor, reschedule",
    what="task marked failed between two looks",
    happens="The job is left alone, also by a sensor that was asked to cancel: no code runs then.",
    state="failed",
    each=BOTH,
)
def marked_failed_between_looks(stage: SystemStage, service: str) -> Telling:
    job_id, run = yield from waiting(stage, service, "reschedule")
    yield run.becomes("up_for_reschedule")
    yield process_gone(run)
    run.mark("failed")
    yield run.becomes("failed")
    untouched(stage, job_id)


# -- timed out -------------------------------------------------------------------------------------------------------


@path(
    "C5",
    mode="sensor",
    what="`timeout` of the sensor",
    happens="The sensor fails without a retry, or skips with `soft_fail`. The job is left alone.",
    state="failed",
    each=[{"service": one["service"], "way": way} for one in BOTH for way in ("deferred_limited", "poke_limited")],
)
def timeout(stage: SystemStage, service: str, way: str) -> Telling:
    job_id, run = yield from waiting(stage, service, way)
    task = yield run.becomes("failed")
    assert task["try_number"] == 1, "a sensor that timed out is not retried"
    assert "AirflowSensorTimeout" in run.log()
    untouched(stage, job_id)


@also("C5", state="skipped")
def timeout_with_soft_fail(stage: SystemStage) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", "deferred_limited_soft")
    yield run.becomes("skipped")
    untouched(stage, job_id)


# -- asked to cancel -------------------------------------------------------------------------------------------------


@path(
    "C6",
    mode="sensor",
    what="task marked failed, `cancel_on_kill=True`",
    happens="The job is cancelled.",
    state="failed",
    each=[{"service": one["service"], "way": way} for one in BOTH for way in ("deferred_cancels", "poke_cancels")],
)
def asked_to_cancel(stage: SystemStage, service: str, way: str) -> Telling:
    job_id, run = yield from waiting(stage, service, way)
    stage.ends(job_id)
    run.mark("failed")
    yield from stage.over(run, "failed")
    assert stage.control.job(job_id)["cancelled_by_delete"]


# -- retried ---------------------------------------------------------------------------------------------------------

TIMEOUT = 30.0
AFTER = 15.0
"""Seconds after which the first try is killed: a timeout that started again would end at 45 or later."""


@path(
    "C7",
    mode="sensor",
    what="the sensor's process is killed, and a retry goes on",
    happens="The job is left alone. The timeout counts from the first try.",
    state="failed",
    each=[{"way": "poke"}, {"way": "deferred"}],
)
def retried(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    if way == "deferred":  # the process is there to be killed for as long as the first look takes
        stage.control.fault("firecrawl", "slow", method="GET", seconds=60)
    job_id = stage.start_elsewhere("firecrawl")
    run = stage.run(f"firecrawl_sensor_{way}_retried", job_id=job_id)
    yield Until("the first look", lambda: stage.looks(job_id) > 0)
    began = time.monotonic()
    yield Until("half of the time to be over", lambda: time.monotonic() > began + AFTER)
    send(run, signal.SIGKILL)
    yield run.try_begins(2)
    yield run.becomes("failed")
    took = time.monotonic() - began
    assert "AirflowSensorTimeout" in run.log()
    untouched(stage, job_id)
    assert took < TIMEOUT + FAST / 3, f"the timeout of {TIMEOUT:g} s ended the sensor after {took:.0f} s"
