"""What several stories of the kill paths do or wait for."""

import os
import signal
import uuid
from pathlib import Path
from typing import Any

import psutil

from tests.airflow.stories import Run, Telling, Until, alive, process_gone
from tests.system.stage import FAST, SystemStage


def named(run: Run, map_index: int = -1) -> Any:
    """Return the id of the job that the current try has named; None before it has."""
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/job/xcomEntries/job_id"
    params = {"map_index": map_index, "deserialize": False, "stringify": False}
    answer = run.airflow.api_raw("GET", path, params=params)
    return answer.json()["value"] if answer.ok else None


def other_process(run: Run, pid: int) -> Until:
    """Wait until another process than this has the task, or had it and has deferred it."""

    def check() -> bool:
        task = run.task()
        return task["state"] in {"running", "deferred"} and task["pid"] not in {None, pid}

    return Until(f"another process than {pid}", check)


def same_job_goes_on(
    stage: SystemStage, run: Run, job: dict[str, Any], number: int | None = 2, state: str | None = None
) -> Telling:
    """Check that another try takes the job up; let it succeed.

    :param number: the try that is expected; None: it has begun already
    :param state: in which the try waits, if it is known
    """
    if number is not None:
        yield run.try_begins(number, states=[state] if state else ("running", "deferred"))
    elif state is not None:
        yield run.becomes(state)
    name = yield Until("the job to be named again", lambda: named(run))
    assert name == job["id"], "the next try has another job"
    if state == "deferred":
        yield process_gone(run)
    yield stage.polled(job["id"], 2)
    stage.finish(job["id"])
    yield run.becomes("success")
    yield process_gone(run)
    assert run.xcom()["job_id"] == job["id"]
    assert len(stage.posts()) == 1, "a second start was sent"


def replaced(stage: SystemStage, run: Run, old: dict[str, Any]) -> Telling:
    """Check that a second job takes the place of a cancelled one; let it succeed."""
    jobs = yield stage.jobs_started(2)
    new = next(job for job in jobs if job["id"] != old["id"])
    yield stage.cancelled(old)
    yield Until("the new job to be named", lambda: named(run) == new["id"])
    state = yield run.becomes(("running", "deferred"))
    if state["state"] == "deferred":
        yield process_gone(run)
    yield stage.polled(new["id"], 2)
    stage.finish(new["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == new["id"]


def send(run: Run, sent: signal.Signals, supervisor: bool = False, task_id: str = "job") -> int:
    """Send a signal to the task's process, or to the worker that supervises it; return its pid."""
    pid = int(run.task(task_id)["pid"])
    if supervisor:
        parent = psutil.Process(pid).ppid()
        assert parent > 1, "nobody supervises this process"
        pid = parent
    os.kill(pid, sent)
    return pid


def gone(pid: int, timeout: float = FAST) -> Until:
    """Wait for the end of a process, without asking Airflow."""
    return Until(f"process {pid} to end", lambda: not alive(pid), timeout)


def signalled(pid: int, sent: signal.Signals) -> Until:
    """Wait until a stopped process has a signal waiting for it."""

    def check() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        waiting = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("ShdPnd", "SigPnd"))]
        return any(mask >> (sent - 1) & 1 for mask in waiting)

    return Until(f"{sent.name} to process {pid}", check, 30)


def heartbeat(run: Run, task_id: str = "job") -> Any:
    """Return when Airflow last heard of the task's process."""
    query = "SELECT last_heartbeat_at FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = %s"
    return run.airflow.sql(query, (run.dag_id, run.run_id, task_id))[0][0]


def a_heartbeat(run: Run) -> Until:
    """Wait for the next heartbeat: the one after it is five seconds away."""
    before = heartbeat(run)
    return Until("a heartbeat", lambda: heartbeat(run) not in {before, None}, 30)


def first_look(stage: SystemStage) -> Telling:
    """Wait until the job is started, its id is stored, and the task looks at it; the answer is the job."""
    (job,) = yield stage.jobs_started(1)
    yield Until("the first look", lambda: stage.looks(job["id"]) >= 1)
    return job


def frozen_in_gap(stage: SystemStage, run: Run) -> Telling:
    """Stop the process between start and deferral, right after a heartbeat; answer the job and the process.

    The first look lies between the two. It has to be slow: `stage.control.fault("firecrawl", "slow", method="GET", …)`.
    """
    job = yield from first_look(stage)
    pid = send(run, signal.SIGSTOP)
    yield a_heartbeat(run)
    return job, pid


def a_folder(stage: SystemStage) -> str:
    """Name a new ledger folder: only with one, a task takes a job that it has found for its own."""
    return f"file://{stage.airflow.home}/ledger-{uuid.uuid4()}"
