"""The trigger in a real event loop, against the sandbox."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from airflow.models.trigger import Trigger as TriggerRow

from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.triggers.job import JobTrigger
from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
OWNER = {"dag_id": "a_dag", "run_id": "manual__2026", "task_id": "job", "map_index": -1}
STATES = {"completed", "cancelled", "failed"}


def start(sandbox: Any, service: str, *, hold: bool = True) -> StartedJob:
    """Start a job; held, it runs until somebody ends it."""
    sandbox.control.settings(firecrawl={"hold": hold}, datafiniti={"hold": hold})
    if service == "firecrawl":
        return FirecrawlHook().start_batch_scrape([f"{sandbox.urls['site']}/page1.html"])
    return DatafinitiHook().start_download("businesses", "country:US", 3)


def trigger_for(job: StartedJob, **others: Any) -> JobTrigger:
    arguments = {"owner": OWNER, "deadline": time.time() + 600, "poll_interval": 0.05, **others}
    return JobTrigger(conn_id=f"{job.ref.service}_default", job=job.to_dict(), **arguments)


async def events(trigger: JobTrigger) -> list[dict[str, Any]]:
    """Run a trigger to its end."""
    return [event.payload async for event in trigger.run()]


def only_event(trigger: JobTrigger) -> dict[str, Any]:
    (event,) = asyncio.run(asyncio.wait_for(events(trigger), 60))
    assert json.loads(json.dumps(event)) == event, "an event is plain JSON"
    return event


async def until(check: Callable[[], Any], timeout: float = 20) -> Any:
    """Wait for a condition without blocking the loop."""
    end = time.monotonic() + timeout
    while not (answer := await asyncio.to_thread(check)):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)
    return answer


def looks(sandbox: Any, job: StartedJob) -> int:
    return len(sandbox.control.requests(method="GET", path_contains=job.ref.job_id))


def deletes(sandbox: Any) -> list[dict[str, Any]]:
    return list(sandbox.control.requests(method="DELETE"))


def state(sandbox: Any, job: StartedJob) -> str:
    return str(sandbox.control.job(job.ref.job_id)["state"])


# -- arguments -------------------------------------------------------------------------------------------------------


def through_the_database(trigger: JobTrigger) -> JobTrigger:
    """Store a trigger as Airflow does, and load it again."""
    classpath, kwargs = trigger.serialize()
    row = TriggerRow(classpath=classpath, kwargs=kwargs)
    assert row.classpath == f"{JobTrigger.__module__}.{JobTrigger.__name__}"
    return JobTrigger(**row.kwargs)


def refused_job(names: int) -> StartedJob:
    refused = tuple(f"https://www.example.com/articles/page {number}.html" for number in range(names))
    ref = JobRef("firecrawl", "batch_scrape", "6fa2a1f4-6a41-4b86-a3d4-0d3f7a3e5a01", "v2")
    return StartedJob(ref, 1764000000.25, asked=500, refused=names, refused_names=refused)


def test_arguments_are_plain_json_and_come_back() -> None:
    trigger = trigger_for(refused_job(3), cancel_on_kill=False, cancel_at_deadline=False)
    _, kwargs = trigger.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    again = through_the_database(trigger)
    assert again.serialize() == trigger.serialize()
    assert again.job.ref == trigger.job.ref
    assert (again.cancel_on_kill, again.cancel_at_deadline, again.deadline) == (False, False, trigger.deadline)


def test_arguments_stay_small() -> None:
    """They are read from the database once a second for every waiting task."""
    _, kwargs = trigger_for(refused_job(100)).serialize()
    assert len(json.dumps(kwargs)) < 2048


@BOTH
def test_arguments_hold_no_secret(sandbox: Any, service: str) -> None:
    job = start(sandbox, service)
    trigger = trigger_for(job)

    async def begin() -> None:
        running = asyncio.create_task(events(trigger))
        await until(lambda: looks(sandbox, job))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(begin())
    text = repr(trigger.serialize()) + repr(vars(trigger))
    assert FIRECRAWL_KEY not in text
    assert DATAFINITI_TOKEN not in text
    assert state(sandbox, job) not in STATES, "a cancelled coroutine is no kill"


def test_arguments_of_an_older_version(sandbox: Any) -> None:
    """What has a default may be missing; what the database has kept since before an update must load."""
    job = start(sandbox, "firecrawl", hold=False)
    stored = {"ref": job.ref.to_dict(), "started_at": job.started_at}
    trigger = JobTrigger(conn_id="firecrawl_default", job=stored)
    assert through_the_database(trigger).serialize() == trigger.serialize()
    assert only_event(trigger)["outcome"] == "over"


# -- the wait --------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(("action", "told"), [("finish", "succeeded"), ("fail", "failed"), ("cancel", "cancelled")])
def test_the_end_of_a_job(sandbox: Any, service: str, action: str, told: str) -> None:
    job = start(sandbox, service)
    sandbox.control.act(job.ref.job_id, action)
    event = only_event(trigger_for(job))
    assert (event["outcome"], event["status"]["state"]) == ("over", told)
    assert event["job"]["job_id"] == job.ref.job_id
    assert "links" not in event["status"]
    assert deletes(sandbox) == []


def test_the_end_is_noticed_while_waiting(sandbox: Any) -> None:
    job = start(sandbox, "firecrawl")

    async def wait() -> list[dict[str, Any]]:
        running = asyncio.create_task(events(trigger_for(job)))
        await until(lambda: looks(sandbox, job) >= 2)
        assert not running.done()
        await asyncio.to_thread(sandbox.control.act, job.ref.job_id, "finish")
        return await running

    (event,) = asyncio.run(wait())
    assert event["status"]["state"] == "succeeded"


@pytest.mark.pitfall("F30")
@BOTH
def test_deadline_cancels(sandbox: Any, service: str) -> None:
    job = start(sandbox, service)
    began = time.time()
    event = only_event(trigger_for(job, deadline=began + 2))
    assert time.time() - began >= 2
    assert (event["outcome"], event["cancelled"]) == ("timed_out", True)
    assert event["status"]["state"] == "running"
    assert state(sandbox, job) == "cancelled"


@pytest.mark.pitfall("F12")
def test_deadline_cancels_until_the_cancel_takes_effect(sandbox: Any) -> None:
    job = start(sandbox, "firecrawl")
    sandbox.control.settings(firecrawl={"cancel_ignored": 1})
    event = only_event(trigger_for(job, deadline=time.time()))
    assert event["cancelled"] is True
    assert len(deletes(sandbox)) == 2
    assert state(sandbox, job) == "cancelled"


def test_deadline_says_when_the_cancel_failed(sandbox: Any) -> None:
    job = start(sandbox, "firecrawl")
    sandbox.control.fault("firecrawl", "403", times=None, method="DELETE")
    event = only_event(trigger_for(job, deadline=time.time()))
    assert (event["outcome"], event["cancelled"]) == ("timed_out", False)
    assert state(sandbox, job) == "scraping"


@BOTH
def test_deadline_of_a_sensor_leaves_the_job(sandbox: Any, service: str) -> None:
    job = start(sandbox, service)
    event = only_event(trigger_for(job, deadline=time.time(), cancel_at_deadline=False))
    assert (event["outcome"], event["cancelled"]) == ("timed_out", False)
    assert deletes(sandbox) == []


@BOTH
def test_revoked_key_ends_the_wait(sandbox: Any, service: str) -> None:
    """Nothing can be asked or cancelled any more: said at once, with the reason, and tried all the same."""
    job = start(sandbox, service)
    sandbox.control.fault(service, "401", times=None)
    event = only_event(trigger_for(job))
    assert (event["outcome"], event["permanent"], event["cancelled"]) == ("gave_up", True, False)
    assert "401" in event["error"]
    assert FIRECRAWL_KEY not in str(event)
    assert DATAFINITI_TOKEN not in str(event)


@pytest.mark.pitfall("F39")
@BOTH
def test_look_that_is_refused_for_good_cancels(sandbox: Any, service: str) -> None:
    job = start(sandbox, service)
    sandbox.control.fault(service, "410", times=1, method="GET")
    event = only_event(trigger_for(job))
    assert (event["outcome"], event["permanent"], event["cancelled"]) == ("gave_up", True, True)
    assert state(sandbox, job) == "cancelled"


@pytest.mark.pitfall("F15")
def test_unknown_job_after_the_grace_time(sandbox: Any) -> None:
    ref = JobRef("firecrawl", "batch_scrape", "3b1f0f2e-0000-4000-8000-000000000000", "v1")
    event = only_event(trigger_for(StartedJob(ref, time.time() - 61)))
    assert (event["outcome"], event["permanent"]) == ("gave_up", True)


@pytest.mark.pitfall("F14")
def test_job_that_is_not_known_yet(sandbox: Any) -> None:
    sandbox.control.settings(firecrawl={"not_found_for": 1.5})
    job = start(sandbox, "firecrawl", hold=False)
    assert only_event(trigger_for(job))["status"]["state"] == "succeeded"


BAD_LOOKS = {
    "500": {},
    "502_html": {},
    "503": {},
    "504_empty": {},
    "reset": {},
    "truncated_json": {},
    "html_200": {},
    "429_seconds": {"seconds": 1},
    "429_date": {"seconds": 1},
    "429_text": {"seconds": 1},
    "slow": {"seconds": 4},  # the connection's timeout is 2 s
    "status_word": {"word": "reticulating"},
}


@pytest.mark.pitfall("F17", "F18", "F44")
def test_one_bad_look_does_not_end_the_wait(sandbox: Any) -> None:
    """All at once, a job for each, so that it does not take a minute."""
    jobs = {fault: start(sandbox, "firecrawl") for fault in BAD_LOOKS}
    for fault, params in BAD_LOOKS.items():
        sandbox.control.fault("firecrawl", fault, path_contains=jobs[fault].ref.job_id, method="GET", **params)

    async def wait(job: StartedJob) -> list[dict[str, Any]]:
        running = asyncio.create_task(events(trigger_for(job)))
        await until(lambda: looks(sandbox, job) >= 2)
        await asyncio.to_thread(sandbox.control.act, job.ref.job_id, "finish")
        return await running

    async def wait_for_all() -> list[list[dict[str, Any]]]:
        return await asyncio.wait_for(asyncio.gather(*map(wait, jobs.values())), 60)

    told = dict(zip(jobs, asyncio.run(wait_for_all()), strict=True))
    assert {fault: [event["status"]["state"] for event in found] for fault, found in told.items()} == {
        fault: ["succeeded"] for fault in BAD_LOOKS
    }
    assert deletes(sandbox) == []
    assert {fault["name"]: fault["applied"] for fault in sandbox.control.faults()} == dict.fromkeys(BAD_LOOKS, 1)


def test_service_that_is_away_for_a_while(sandbox: Any) -> None:
    """Many bad looks in a row are no reason either."""
    job = start(sandbox, "firecrawl", hold=False)
    sandbox.control.fault("firecrawl", "500", times=1, method="GET")
    sandbox.control.fault("firecrawl", "reset", times=2, method="GET")
    assert only_event(trigger_for(job))["status"]["state"] == "succeeded"


def test_settings_that_cannot_be_read_for_a_while(
    sandbox: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secrets backend that is away when a triggerer starts is no reason to end a healthy job."""
    job = start(sandbox, "firecrawl", hold=False)
    settings = os.environ["AIRFLOW_CONN_FIRECRAWL_DEFAULT"]
    monkeypatch.delenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT")
    tried = len(sandbox.control.requests())
    trigger = trigger_for(job)

    async def play() -> list[dict[str, Any]]:
        running = asyncio.create_task(events(trigger))
        await until(lambda: "could not be read" in capsys.readouterr().out)
        os.environ["AIRFLOW_CONN_FIRECRAWL_DEFAULT"] = settings
        return await asyncio.wait_for(running, 30)

    (event,) = asyncio.run(play())
    assert event["status"]["state"] == "succeeded"
    assert len(sandbox.control.requests()) > tried
    assert deletes(sandbox) == []


def test_a_look_that_hangs_does_not_outlast_the_deadline(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own end of the deferral comes later by a margin, and runs no code of ours in the triggerer."""
    settings = json.loads(os.environ["AIRFLOW_CONN_FIRECRAWL_DEFAULT"])
    settings["extra"]["timeout"] = 60
    job = start(sandbox, "firecrawl")
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", json.dumps(settings))
    sandbox.control.fault("firecrawl", "slow", method="GET", path_contains=job.ref.job_id, seconds=40)
    begun = time.monotonic()
    event = only_event(trigger_for(job, deadline=time.time() + 6))
    assert (event["outcome"], event["cancelled"]) == ("timed_out", True)
    assert time.monotonic() - begun < 30
    assert state(sandbox, job) == "cancelled"


def test_settings_that_are_wrong_are_told() -> None:
    job = StartedJob(JobRef("firecrawl", "batch_scrape", "6fa2a1f4-6a41-4b86-a3d4-0d3f7a3e5a01", "v1"), time.time())
    trigger = JobTrigger(conn_id="firecrawl_default", job=job.to_dict(), cancel_at_deadline=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", '{"conn_type": "firecrawl", "host": "ftp://nowhere"}')
        event = only_event(trigger)
    assert (event["outcome"], event["permanent"]) == ("gave_up", True)
    assert "firecrawl_default" in event["error"]


@BOTH
def test_another_triggerer_takes_over(sandbox: Any, service: str) -> None:
    """A triggerer ends its coroutines when it stops; the next one goes on from the stored arguments."""
    job = start(sandbox, service)
    first = trigger_for(job)

    async def watched_and_stopped() -> None:
        running = asyncio.create_task(events(first))
        await until(lambda: looks(sandbox, job))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await first.cleanup()

    asyncio.run(watched_and_stopped())
    assert deletes(sandbox) == []
    second = through_the_database(first)
    sandbox.control.act(job.ref.job_id, "finish")
    assert only_event(second)["status"]["state"] == "succeeded"


# -- kill ------------------------------------------------------------------------------------------------------------


async def as_a_triggerer(trigger: JobTrigger) -> None:
    """Run a trigger as Airflow 3.3 does, with its answer to a user's kill."""
    try:
        async for _ in trigger.run():
            pass
    except asyncio.CancelledError as error:
        if error.args == ("user-action",):
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(trigger.on_kill(), 30)
        raise


async def killed(sandbox: Any, triggers: list[JobTrigger], jobs: list[StartedJob], *, every: float = 1.0) -> None:
    """Let triggers run, then cancel them, and again every second until they are over."""
    running = [asyncio.create_task(as_a_triggerer(trigger)) for trigger in triggers]
    for job in jobs:
        await until(lambda job=job: looks(sandbox, job))
    left = set(running)
    while left:
        for task in left:
            task.cancel("user-action")
        _, left = await asyncio.wait(left, timeout=every)


@BOTH
def test_kill_cancels(sandbox: Any, service: str) -> None:
    """Outside a triggerer nobody can be asked about the owner, and then the job is cancelled."""
    job = start(sandbox, service)
    asyncio.run(killed(sandbox, [trigger_for(job)], [job]))
    assert state(sandbox, job) == "cancelled"


@pytest.mark.parametrize("fault", ["slow", "429_seconds", "502_html", "reset", None])
def test_kill_that_is_cancelled_again_and_again(sandbox: Any, fault: str | None) -> None:
    """Airflow cancels the kill itself a second after it began, and every second from then on."""
    job = start(sandbox, "firecrawl")
    if fault is None:
        sandbox.control.settings(firecrawl={"cancel_ignored": 1})
    else:
        sandbox.control.fault("firecrawl", fault, times=1, method="DELETE", seconds=1)
        sandbox.control.fault("firecrawl", "slow", times=2, method="GET", skip=1, seconds=1)
    asyncio.run(killed(sandbox, [trigger_for(job)], [job], every=0.2))
    # asyncio.run has waited for the threads of the loop, as a stopping triggerer does.
    assert state(sandbox, job) == "cancelled"


def test_kill_in_a_triggerer_that_stops(sandbox: Any) -> None:
    """The loop ends while the cancel has just begun with a look at the job."""
    job = start(sandbox, "firecrawl")
    sandbox.control.fault("firecrawl", "slow", times=1, method="GET", skip=1, seconds=1)

    async def stop_at_once() -> None:
        task = asyncio.create_task(as_a_triggerer(trigger_for(job, poll_interval=60)))
        before = await until(lambda: looks(sandbox, job))
        task.cancel("user-action")
        await until(lambda: looks(sandbox, job) > before)
        task.cancel()
        assert deletes(sandbox) == []

    asyncio.run(stop_at_once())
    assert state(sandbox, job) == "cancelled"


def test_kill_before_the_first_look(sandbox: Any) -> None:
    """The trigger has not even read its connection."""
    job = start(sandbox, "firecrawl")
    trigger = trigger_for(job)
    asyncio.run(trigger.on_kill())
    assert state(sandbox, job) == "cancelled"


def test_kill_of_a_trigger_without_owner(sandbox: Any) -> None:
    job = start(sandbox, "firecrawl")
    asyncio.run(trigger_for(job, owner=None).on_kill())
    assert state(sandbox, job) == "cancelled"


def test_kill_twice(sandbox: Any) -> None:
    job = start(sandbox, "firecrawl")
    trigger = trigger_for(job)

    async def twice() -> None:
        await asyncio.gather(trigger.on_kill(), trigger.on_kill())
        await trigger.on_kill()

    asyncio.run(twice())
    assert state(sandbox, job) == "cancelled"
    assert 1 <= len(deletes(sandbox)) <= 2


def test_kill_after_the_event_does_nothing(sandbox: Any) -> None:
    """The task is resumed with the event, so the trigger has nothing to do with the job any more."""
    job = start(sandbox, "firecrawl")
    trigger = trigger_for(job, deadline=time.time(), cancel_at_deadline=False)
    assert only_event(trigger)["outcome"] == "timed_out"
    asyncio.run(trigger.on_kill())
    assert deletes(sandbox) == []
    assert state(sandbox, job) == "scraping"


@BOTH
def test_kill_with_cancel_on_kill_false(sandbox: Any, service: str) -> None:
    job = start(sandbox, service)
    asyncio.run(killed(sandbox, [trigger_for(job, cancel_on_kill=False)], [job]))
    assert deletes(sandbox) == []
    assert state(sandbox, job) not in STATES


def test_kill_of_a_job_that_is_over(sandbox: Any) -> None:
    """A server may turn a finished job into a cancelled one: it is looked at first."""
    job = start(sandbox, "firecrawl", hold=False)
    sandbox.control.wait_for(lambda: state(sandbox, job) == "completed")
    asyncio.run(trigger_for(job).on_kill())
    assert deletes(sandbox) == []


def test_many_kills_at_once(sandbox: Any) -> None:
    """A run of sixty mapped tasks is marked failed while each DELETE takes a second."""
    jobs = [start(sandbox, "firecrawl") for _ in range(60)]
    sandbox.control.fault("firecrawl", "slow", times=None, method="DELETE", seconds=1)
    began = time.monotonic()
    asyncio.run(killed(sandbox, [trigger_for(job) for job in jobs], jobs))
    took = time.monotonic() - began
    assert {state(sandbox, job) for job in jobs} == {"cancelled"}
    assert {seen["path"].rsplit("/", 1)[1] for seen in deletes(sandbox)} == {job.ref.job_id for job in jobs}
    assert took < 30, f"{took:.1f} s, and a triggerer that stops waits for about twenty"
