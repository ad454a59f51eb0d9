"""S: the task waits for its job itself."""

import os
import signal

from tests.airflow.stories import Telling, Until, process_gone
from tests.system.moves import gone, named, replaced, same_job_goes_on, send, signalled
from tests.system.paths import also, path
from tests.system.stage import BOTH, SystemStage

SYNC = {"mode": "sync"}


# -- what a user does ------------------------------------------------------------------------------------------------


@path(
    "S1",
    **SYNC,
    what="task or run marked failed",
    happens="The job is cancelled at Airflow's next heartbeat, within seconds. Tries that are left change nothing.",
    state="failed",
    each=BOTH,
)
def marked_failed(stage: SystemStage, service: str, way: str = "sync") -> Telling:
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")
    assert "return_value" not in run.xcom_keys(), "a killed task has delivered"


@also("S1", state="failed")
def marked_failed_with_a_retry_left(stage: SystemStage) -> Telling:
    yield from marked_failed(stage, "firecrawl", "sync_retry")


@also("S1", state="failed")
def run_marked_failed(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark_run("failed")
    yield from stage.over(run, "failed")


@path(
    "S2",
    **SYNC,
    what="task or run marked success",
    happens="The job is cancelled at Airflow's next heartbeat; nothing is delivered.",
    state="success",
    each=BOTH,
)
def marked_success(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark("success")
    yield from stage.over(run, "success")
    assert "return_value" not in run.xcom_keys(), "a killed task has delivered"


@also("S2", state=None)
def run_marked_success(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark_run("success")
    yield stage.nothing_runs()
    yield process_gone(run)
    assert run.task()["state"] in {"success", "skipped"}


@path(
    "S3",
    **SYNC,
    what="task cleared",
    happens="The job is cancelled; the new try starts its own after the old process has ended.",
    state="success",
    starts=2,
    each=BOTH,
)
def cleared(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    old = yield from stage.begun(run, "running")
    stage.ends(old)
    run.clear("job")
    yield from replaced(stage, run, old)


@path(
    "S14",
    **SYNC,
    what="run marked failed and deleted",
    happens="Airflow refuses to delete what runs. Once it is deleted, the process finds no owner and cancels the job.",
    state="gone",
)
def run_deleted(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    pid = run.task()["pid"]
    refused = stage.airflow.api_raw("DELETE", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")
    assert refused.status_code == 409, refused.text
    stage.ends(job)
    run.mark_run("failed")
    stage.airflow.delete_run(run.dag_id, run.run_id)
    yield stage.nothing_runs()
    yield gone(pid)


@path(
    "S15",
    **SYNC,
    what="run marked failed and its DAG deleted",
    happens="As with a deleted run: the process finds no owner and cancels the job.",
    state="gone",
)
def dag_deleted(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_deleted")
    job = yield from stage.begun(run, "running")
    pid = run.task()["pid"]
    refused = stage.airflow.api_raw("DELETE", f"/dags/{run.dag_id}")
    assert refused.status_code == 409, refused.text
    stage.ends(job)
    run.mark_run("failed")
    stage.airflow.api("DELETE", f"/dags/{run.dag_id}")
    yield stage.nothing_runs()
    yield gone(pid)


@path(
    "S16",
    **SYNC,
    what="DAG paused",
    happens="Nothing: the job runs to its end and is delivered.",
    state="success",
)
def paused(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="sync_paused")
    job = yield from stage.begun(run, "running")
    stage.airflow.api("PATCH", f"/dags/{run.dag_id}", {"is_paused": True})
    yield stage.polled(job["id"], 6)
    stage.finish(job["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == job["id"]


# -- deadlines -------------------------------------------------------------------------------------------------------


@path(
    "S4",
    **SYNC,
    what="`dagrun_timeout` of the DAG",
    happens="Airflow skips the task; the job is cancelled at the next heartbeat.",
    state="skipped",
    each=BOTH,
)
def dagrun_timeout(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync_dagrun_timeout")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    yield run.becomes("skipped")
    yield from stage.over(run, "skipped")


@path(
    "S5",
    **SYNC,
    what="`execution_timeout` of the task, or `job_timeout`",
    happens="The job is cancelled and the task fails. A try that is left starts a job of its own.",
    state="failed",
    each=[{"service": service, "way": f"sync_{name}_timeout"} for service in ("firecrawl", "datafiniti")
          for name in ("execution", "job")],
)  # fmt: skip
def timeout(stage: SystemStage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=way)
    (job,) = yield stage.jobs_started(1)
    stage.ends(job)
    yield run.becomes("failed")
    yield from stage.over(run, "failed")
    assert ("AirflowTaskTimeout" if "execution" in way else "JobTimeoutError") in run.log()


@also("S5", state="failed", starts=2, each=[{"way": f"sync_{name}_timeout_retry"} for name in ("execution", "job")])
def timeout_with_a_retry_left(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    (first,) = yield stage.jobs_started(1)
    stage.ends(first)
    jobs = yield stage.jobs_started(2)
    stage.ends(next(job for job in jobs if job["id"] != first["id"]))
    yield run.becomes("failed")
    yield from stage.over(run, "failed")


# -- a kill at a bad moment ------------------------------------------------------------------------------------------


@path(
    "S17",
    **SYNC,
    what="the cancel meets trouble: a slow, refused, lost or ineffective DELETE",
    happens="The cancel is short, checked and repeated while the process lives; Airflow kills it five seconds later.",
    state="failed",
    each=[{"trouble": name} for name in ("slow", "429_seconds", "429_bare", "502_html", "reset", "ignored", "late")],
)
def cancel_meets_trouble(stage: SystemStage, trouble: str) -> Telling:
    stage.hold()
    make_trouble(stage, trouble)
    run = stage.start("firecrawl", way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed", timeout=60)
    if trouble not in {"late", "ignored"}:
        assert [seen["fault"] for seen in stage.deletes()][:1] == [trouble], "the fault was not met"


def make_trouble(stage: SystemStage, trouble: str) -> None:
    """Have the first cancel meet something."""
    if trouble == "ignored":
        stage.control.settings(firecrawl={"cancel_ignored": 1})
    elif trouble == "late":
        stage.control.settings(firecrawl={"cancel_delay": 2})
    elif trouble == "slow":
        stage.control.fault("firecrawl", "slow", method="DELETE", seconds=6)
    else:
        stage.control.fault("firecrawl", trouble, method="DELETE", times=1)


@path(
    "S18",
    **SYNC,
    what="killed while the task is inside a call to Airflow",
    happens="The kill makes no call to Airflow in the signal's own frame, so it cannot deadlock: the job is cancelled.",
    state="failed",
    each=[{"way": "busy"}, {"way": "busy_retry"}],
)
def killed_inside_a_call(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    (job,) = yield stage.jobs_started(1)
    yield Until("the id", lambda: named(run))
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")


@path(
    "S19",
    **SYNC,
    what="killed while the start request is under way",
    happens="The kill is remembered; the job is cancelled as soon as its id arrives. If that takes longer than five "
    "seconds, nobody gets the id: `list` shows the start, and the job has to be looked up at the service.",
    by_hand=True,
    state="failed",
    each=[{"way": "sync"}, {"way": "deferred"}],
)
def killed_during_the_start(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    stage.control.fault("firecrawl", "slow", method="POST", seconds=2)
    run = stage.start("firecrawl", way=way)
    (job,) = yield stage.jobs_started(1)
    stage.ends(job)
    pid = send(run, signal.SIGSTOP)
    run.mark("failed")
    yield signalled(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    yield from stage.over(run, "failed")


@also("S19", state="failed")
def killed_during_a_long_start(stage: SystemStage) -> Telling:
    stage.hold()
    stage.control.settings(firecrawl={"server": "2025"})
    stage.control.fault("firecrawl", "slow", method="POST", seconds=40)
    run = stage.start("firecrawl", way="sync")
    (job,) = yield stage.jobs_started(1)
    stage.nameless(job, run)
    pid = run.task()["pid"]
    run.mark("failed")
    yield gone(pid)
    yield run.becomes("failed")


@path(
    "S20",
    **SYNC,
    what="an error after the start",
    happens="A try is left: the job runs on for it. Last try, or an error that no retry can mend: it is cancelled.",
    state="failed",
    each=[{"way": "breaking"}, {"way": "sync_retry"}],
)
def error_after_the_start(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    if way == "sync_retry":
        stage.control.fault("firecrawl", "401", method="GET", times=1)
    run = stage.start("firecrawl", way=way)
    stage.ends_all()
    yield stage.jobs_started(1)
    yield from stage.over(run, "failed")
    assert ("ZeroDivisionError" if way == "breaking" else "401") in run.log()


@also("S20", state="success")
def error_after_the_start_with_a_retry_left(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="breaking_retry")
    (job,) = yield stage.jobs_started(1)
    yield from same_job_goes_on(stage, run, job)


@path(
    "S21",
    **SYNC,
    what="`wait_for_completion=False`, and something after the task's success takes too long for Airflow",
    happens="Airflow terminates the process; the job was handed over before and runs on.",
    state="success",
)
def killed_after_the_hand_over(stage: SystemStage) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way="lingers")
    (job,) = yield stage.jobs_started(1)
    stage.keeps(job)
    yield run.becomes("success")
    yield gone(run.task()["pid"], 50)  # it would go on for a minute
    assert stage.deletes() == []
