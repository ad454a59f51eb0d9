"""R: starts and retries."""

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.airflow.stories import FIRECRAWL_KEY, Run, Telling, Until, alive
from tests.system.moves import a_folder, named, replaced, same_job_goes_on, send
from tests.system.paths import also, path, shared
from tests.system.stage import BOTH, SystemStage

START = {"mode": "start"}
STATEMENT = "A job may be running and billed"

shared(
    "R1",
    "S8",
    **START,
    reason="a killed worker is the plain way to a retry beside a running job",
    what="a retry while the job runs",
    happens="The retry goes on with it.",
)
shared(
    "R2",
    "E2",
    **START,
    reason="the try that is killed during its delivery is followed by a retry that finds the job done",
    what="a retry after the job has succeeded, undelivered",
    happens="The retry delivers it and starts nothing.",
)
shared(
    "R9",
    "S12",
    **START,
    reason="the process that a scheduler's restart leaves behind is the late process of a replaced try",
    what="a late process of a try that was replaced",
    happens="It finds no record under its name any more, and leaves the job to its successor.",
)
shared(
    "R10",
    "D10",
    **START,
    reason="triggers of ours never start a job; D10 restarts the triggerer under one and counts the starts",
    what="a start inside a trigger, and the triggerer restarts",
    happens="Does not exist here: jobs are started by workers only.",
)


@path(
    "R3",
    **START,
    what="a retry after the job has failed, or was cancelled by somebody else",
    happens="The retry starts a new job.",
    state="success",
    starts=2,
    each=[{"way": way, "end": end} for way in ("sync_retry", "deferred_retry") for end in ("fail", "cancel")],
)
def failed_job(stage: SystemStage, way: str, end: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    old = yield from stage.begun(run, "running" if way == "sync_retry" else "deferred")
    stage.control.act(old["id"], end)
    jobs = yield stage.jobs_started(2)
    new = next(job for job in jobs if job["id"] != old["id"])
    yield run.try_begins(2)
    stage.finish(new["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == new["id"]


@also("R3", state="success", starts=2)
def not_durable(stage: SystemStage) -> Telling:
    """With `durable=False` the next try ends the earlier job before it starts its own."""
    stage.hold()
    run = stage.start("firecrawl", way="sync_fresh")
    old = yield from stage.begun(run, "running")
    stage.ends(old)
    send(run, signal.SIGKILL)
    yield from replaced(stage, run, old)


@path(
    "R4",
    **START,
    what="the answer to the start is lost: broken connection, timeout, 5xx",
    happens="It is never simply sent again. The job is looked for in what the service lists. With a ledger folder, "
    "the task goes on with it; else it fails, and `cleanup` ends the job. Where no list shows it, the task names the "
    "request, and `list` does: it has to be looked up at the service. A clear then starts anew.",
    by_hand=True,
    state="failed",
    each=[{"fault": "lost_reply"}, {"fault": "server_error_after_start"}, {"fault": "truncated_json"}],
)
def lost_answer(stage: SystemStage, fault: str) -> Telling:
    """A server of 2025 lists no batch scrapes."""
    stage.hold()
    stage.control.settings(firecrawl={"server": "2025"})
    stage.control.fault("firecrawl", fault, method="POST")
    run = stage.start("firecrawl", way="sync_retry")
    (job,) = yield stage.jobs_started(1)
    stage.nameless(job, run)
    yield run.ends("failed")
    assert run.task()["try_number"] == 1
    assert STATEMENT in run.log()


@also(
    "R4", state="success", each=[{"service": "firecrawl", "way": "sync"}, {"service": "datafiniti", "way": "deferred"}]
)
def lost_answer_found(stage: SystemStage, service: str, way: str) -> Telling:
    stage.hold()
    stage.control.fault(service, "lost_reply", method="POST")
    run = stage.start(service, way=f"recorded_{way}", ledger=a_folder(stage))
    job = yield from stage.begun(run, "running" if way == "sync" else way)
    stage.finish(job["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]
    assert len(stage.posts()) == 1


@also("R4", state="failed")
def lost_answer_without_a_folder(stage: SystemStage) -> Telling:
    """The log names the one job that fits; the clean-up, which knows all tasks, ends it."""
    stage.hold()
    stage.control.fault("firecrawl", "lost_reply", method="POST")
    run = stage.start("firecrawl", way="sync_retry")
    (job,) = yield stage.jobs_started(1)
    stage.leaves(job)
    yield run.ends("failed")
    assert f"only {job['id']} fits" in run.log()


@also("R4", state="failed")
def timed_out(stage: SystemStage) -> Telling:
    stage.hold()
    stage.control.settings(firecrawl={"server": "2025"})
    stage.control.fault("firecrawl", "slow", method="POST", seconds=6)
    impatient = f"impatient_{abs(hash(stage.sandbox.urls['firecrawl']))}"
    stage.airflow.add_connection(
        impatient, "firecrawl", host=stage.sandbox.urls["firecrawl"], password=FIRECRAWL_KEY,
        extra=json.dumps({"timeout": 2}),
    )  # fmt: skip
    run = stage.start("firecrawl", way="sync_retry", firecrawl=impatient)
    (job,) = yield stage.jobs_started(1)
    stage.nameless(job, run)
    yield run.ends("failed")
    assert STATEMENT in run.log()


@also("R4", state="success", starts=2, each=BOTH)
def lost_answer_and_cleared(stage: SystemStage, service: str) -> Telling:
    """A clear is the user's word that nothing runs; here the job has ended by itself, and no list shows it."""
    stage.control.settings(firecrawl={"server": "2025"}, datafiniti={"wire": "w3"})
    stage.control.fault(service, "lost_reply", method="POST")
    run = stage.start(service, way="sync_retry")
    yield run.ends("failed")
    assert len(stage.posts()) == 1
    assert STATEMENT in run.log()
    yield stage.nothing_runs()
    run.clear("job")
    yield stage.jobs_started(2)
    yield Until("the second try", lambda: run.task()["try_number"] == 2 and run.task()["state"] == "success")
    assert len(stage.posts()) == 2
    assert "The task was cleared since" in run.log()


@also("R4", state="success")
def refused_start(stage: SystemStage) -> Telling:
    """A definite no leaves nothing behind that could stop the retry."""
    stage.control.fault("firecrawl", "429_seconds", method="POST", times=5, seconds=0)
    run = stage.start("firecrawl", way="sync_retry")
    yield run.becomes("success")
    assert run.task()["try_number"] == 2


@path(
    "R5",
    **START,
    what="cleared after a retry",
    happens="A retry goes on with the job; a clear cancels it and starts a new one.",
    state="success",
    starts=2,
    each=[{"way": "sync_retry"}, {"way": "deferred_retry"}],
)
def retried_and_cleared(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="GET", seconds=3)
    run = stage.start("firecrawl", way=way)
    (old,) = yield stage.jobs_started(1)
    yield Until("the first look", lambda: stage.looks(old["id"]) >= 1)
    send(run, signal.SIGKILL)
    yield run.try_begins(2, "running" if way == "sync_retry" else "deferred")
    name = yield Until("the id", lambda: named(run))
    assert name == old["id"], "the retry has another job"
    yield stage.polled(old["id"], 3)
    stage.ends(old)
    run.clear("job")
    yield from replaced(stage, run, old)


@path(
    "R6",
    **START,
    what="`retries` lowered in the DAG between start and clear, so that Airflow's count stays the same",
    happens="One job runs after the clear, and the task delivers it: the same or, after a cancel, a new one.",
    state="success",
    starts=(1, 2),
    early=True,
)
def retries_lowered(stage: SystemStage) -> Telling:
    file = Path(stage.airflow.home) / "dags" / "lowered.py"
    file.write_text(LOWERED.format(retries=2))
    stage.hold()
    run = stage.start("firecrawl", way="lowered")
    old = yield from stage.begun(run, "deferred")
    before = run.task()["max_tries"]
    file.write_text(LOWERED.format(retries=1))
    stage.airflow.api("PUT", f"/parseDagFile/{stage.airflow.api('GET', f'/dags/{run.dag_id}')['file_token']}")
    known = f"/dags/{run.dag_id}/tasks/job"
    yield Until("the DAG to be read again", lambda: stage.airflow.api("GET", known)["retries"] == 1)
    stage.ends(old)
    run.clear("job")
    yield run.try_begins(2, "deferred")
    assert run.task()["max_tries"] == before, "Airflow's count has changed: that is another path"
    job_id = yield Until("the id", lambda: named(run))
    yield stage.polled(job_id, 4)
    assert [job["id"] for job in stage.running()] == [job_id]
    stage.finish(job_id)
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job_id


LOWERED = """
from airflow.sdk import DAG
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG("firecrawl_lowered", schedule=None, catchup=False, render_template_as_native_obj=True):
    FirecrawlBatchScrapeOperator(
        task_id="job",
        firecrawl_conn_id="{{{{ dag_run.conf['firecrawl'] }}}}",
        urls="{{{{ dag_run.conf['urls'] }}}}",
        poll_interval=1,
        deferrable=True,
        retries={retries},
    )
"""


@path(
    "R7",
    **START,
    what="a mapped task whose list has changed is cleared",
    happens="What was asked for before and is paid for is delivered; what is new is started. Indexes never mix.",
    state="success",
    starts=3,
    at_once=2,
)
def mapped_list_changed(stage: SystemStage) -> Telling:
    """The results of two jobs could not be stored; then one of the two lists changes."""
    folder = Path(stage.airflow.home) / "mapped-list"
    folder.mkdir()
    file, out = folder / "lists.json", folder / "out"
    same, old, new = stage.pages(1), stage.pages(2), stage.pages(3)
    file.write_text(json.dumps([old, same]))
    stage.hold()
    run = stage.run("firecrawl_mapped_file", file=str(file), output_path=str(out))
    jobs = yield stage.jobs_started(2)
    for index in range(2):
        yield run.becomes("deferred", map_index=index)
        yield Until("its process to end", lambda index=index: not is_running(run, index))
    shutil.rmtree(out, ignore_errors=True)
    out.write_text("a file where a folder should be")
    for job in jobs:
        stage.finish(job["id"])
    yield run.ends("failed")
    out.unlink()
    file.write_text(json.dumps([new, same]))
    run.clear()
    jobs = yield stage.jobs_started(3)
    (third,) = [job for job in jobs if job["input"] == new]
    yield run.becomes("deferred", map_index=0)
    stage.finish(third["id"])
    yield run.ends("success")
    kept = next(job for job in jobs if job["input"] == same)
    assert [run.xcom(map_index=index)["job_id"] for index in range(2)] == [third["id"], kept["id"]]
    assert stage.deletes() == []


def is_running(run: Run, index: int) -> bool:
    return alive(run.task(map_index=index).get("pid"))


@path(
    "R8",
    **START,
    what="Airflow's clean-up of expired records, between a start and its retry",
    happens="The record of a job does not expire: the retry goes on with it.",
    state="success",
)
def record_cleaned(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_retry")
    job = yield from stage.begun(run, "running")
    assert expiries(run) == [None]
    yield from command(run, "state-store", "clean")
    assert expiries(run) == [None]
    send(run, signal.SIGKILL)
    yield from same_job_goes_on(stage, run, job)


def expiries(run: Run) -> list[Any]:
    """Return when the records of a run expire."""
    query = (
        "SELECT s.expires_at FROM task_state_store s JOIN dag_run r ON r.id = s.dag_run_id"
        " WHERE r.run_id = %s AND r.dag_id = %s AND s.key = 'airflow_provider_jobs'"
    )
    return [row[0] for row in run.airflow.sql(query, (run.run_id, run.dag_id))]


def command(run: Run, *arguments: str) -> Telling:
    """Run `airflow ARGUMENTS` while other stories go on."""
    log = Path(run.airflow.home) / f"{'-'.join(arguments)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*run.airflow.command, *arguments], env=run.airflow.env, cwd=run.airflow.home, stdout=output, stderr=output
        )
    yield Until(f"airflow {' '.join(arguments)}", lambda: process.poll() is not None)
    assert process.returncode == 0, log.read_text()[-1000:]
