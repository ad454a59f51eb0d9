"""S: the task waits for its job itself."""

from tests.airflow.stories import Run, Telling, Until
from tests.system.paths import also, path
from tests.system.scenes import scene
from tests.system.stage import BOTH, SystemStage


def same_job_goes_on(stage: SystemStage, run: Run, job: dict, number: int | None = 2, task_id: str = "job") -> Telling:
    """Check that another try takes the job up; let it succeed."""
    if number is not None:
        yield run.try_begins(number, task_id=task_id)
    yield Until(
        "the job to be named again", lambda: run.xcom_keys(task_id) >= {"job_id"} and run.xcom("job_id", task_id)
    )
    assert run.xcom("job_id", task_id) == job["id"], "the next try has another job"
    yield stage.polled(job["id"], 2)
    stage.finish(job["id"])
    yield run.becomes("success", task_id)
    assert run.xcom(task_id=task_id)["job_id"] == job["id"]
    assert len(stage.posts()) == 1, "a second start was sent"


@path(
    "S1",
    mode="sync",
    what="task or run marked failed",
    happens="The job is cancelled at Airflow's next heartbeat, within seconds. Tries that are left change nothing.",
    state="failed",
    each=BOTH,
)
def marked_failed(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")


scene(
    "scheduler killed",
    ("scheduler killed", lambda airflow, stages: airflow.kill("scheduler")),
    ("scheduler started", lambda airflow, stages: airflow.start("scheduler")),
)


@path(
    "S12",
    mode="sync",
    what="the scheduler restarts, LocalExecutor",
    happens="Airflow starts a new try beside the old process; it goes on with the job, the old one leaves it alone.",
    state="success",
    scene="scheduler killed",
    each=[{"way": "sync_retry"}],
)
@also("S12", state="success", scene="scheduler killed", each=[{"way": "sync"}])
def scheduler_restarts(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way)
    job = yield from stage.begun(run, "running")
    old = run.task()["pid"]
    yield stage.cue("scheduler started")
    yield Until(
        "another process to have the task", lambda: run.task()["state"] == "running" and run.task()["pid"] != old
    )
    yield from same_job_goes_on(stage, run, job, number=None)
