"""Sensors wait for what something else has started. That they leave it alone is in `tests/system/sensor_paths`."""

import pytest

from tests.airflow.stories import Stage, Telling, process_gone, story

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
MODES = ("poke", "reschedule", "deferred")
WAITING = {"poke": "running", "reschedule": "up_for_reschedule", "deferred": "deferred"}


def waiting(stage: Stage, service: str, way: str) -> Telling:
    """Start a job and a sensor that waits for it; return both."""
    stage.hold()
    job_id = stage.start_elsewhere(service)
    run = stage.run(f"{service}_sensor_{way}", job_id=job_id)
    state = WAITING[way.partition("_")[0]]
    yield run.becomes(state)
    if state == "deferred":
        yield process_gone(run)
    yield stage.polled(job_id)
    return job_id, run


@story
@pytest.mark.pitfall("F14", "F15")
@BOTH
@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_id_that_the_service_does_not_know(stage: Stage, service: str, mode: str) -> Telling:
    """It may be a job that has just been started; after a minute it is a wrong id."""
    unknown = "3b1f0f2e-0000-4000-8000-000000000000" if service == "firecrawl" else "123456"
    run = stage.run(f"{service}_sensor_{mode}", job_id=unknown)
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert unknown in run.log()
    looks = [seen["time"] for seen in stage.control.requests(method="GET", path_contains=unknown)]
    assert looks[-1] - looks[0] >= 50, "given up before the service had the time to know it"


@story
@BOTH
def test_all_modes_wait_for_a_job_that_was_handed_over(stage: Stage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="handed_over")
    (job,) = yield stage.jobs_started(1)
    yield run.becomes("success", "start")
    value = run.xcom(task_id="start")
    assert (value["job_id"], value["records"], value["output"]) == (job["id"], 0, [])
    assert run.xcom("job_id", "start") == job["id"]
    for mode in MODES:
        yield run.becomes(WAITING[mode], mode)
    yield process_gone(run, "deferred")
    yield stage.polled(job["id"], 4)
    stage.finish(job["id"])
    number = 3 if service == "firecrawl" else 4
    for mode in MODES:
        yield run.becomes("success", mode)
        told = run.xcom(task_id=mode)
        assert (told["job_id"], told["state"], told["completed"]) == (job["id"], "succeeded", number)
    assert stage.deletes() == []
    assert len(stage.posts()) == 1


@story
@BOTH
def test_cancel_operator(stage: Stage, service: str) -> Telling:
    """The job that was handed over is cancelled by its id; a second cancel finds nothing, and fails if asked to."""
    stage.hold()
    run = stage.start(service, way="cancel")
    (job,) = yield stage.jobs_started(1)
    yield run.becomes("success", "cancel")
    value = run.xcom(task_id="cancel")
    assert (value["job_id"], value["state"], value["cancelled"]) == (job["id"], "cancelled", True)
    assert stage.control.job(job["id"])["cancelled_by_delete"]
    task = yield run.becomes("failed", "again")
    assert task["try_number"] == 1, "a retry cannot help"
    assert len(stage.deletes()) == 1


@story
@BOTH
@pytest.mark.parametrize("mode", MODES)
def test_failed_job_fails_the_sensor_without_a_retry(stage: Stage, service: str, mode: str) -> Telling:
    job_id, run = yield from waiting(stage, service, mode)
    stage.control.act(job_id, "fail")
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert job_id in run.log()
    assert stage.deletes() == []


@story
@pytest.mark.parametrize("way", ["poke_soft", "deferred_soft"])
def test_soft_fail_skips(stage: Stage, way: str) -> Telling:
    job_id, run = yield from waiting(stage, "firecrawl", way)
    stage.control.act(job_id, "cancel")
    yield run.becomes("skipped")


@story
@BOTH
@pytest.mark.parametrize("mode", MODES)
def test_revoked_key_fails_without_a_retry(stage: Stage, service: str, mode: str) -> Telling:
    job_id, run = yield from waiting(stage, service, mode)
    stage.control.fault(service, "401", times=None, method="GET")
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert "401" in run.log()
    assert [job["id"] for job in stage.running()] == [job_id]
    assert stage.deletes() == []
