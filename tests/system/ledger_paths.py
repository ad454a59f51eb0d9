"""What the clean-up must leave alone: jobs that were given away, and those of another Airflow."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.airflow.stories import WAITING, Run, Telling, Until, process_gone
from tests.system.moves import send
from tests.system.paths import also, path
from tests.system.scenes import CLEANUP, scene
from tests.system.stage import BOTH, SystemStage
from tests.system.triggerer_paths import let_go


class Command:
    """`airflow ARGUMENTS` beside the stories."""

    def __init__(self, stage: SystemStage, env: dict[str, str], *arguments: str) -> None:
        self._what = f"airflow {' '.join(arguments)}"
        self._said = Path(stage.airflow.home) / f"command-{id(self)}.txt"
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env={**stage.airflow.env, **env},
                cwd=stage.airflow.home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def succeeds(self, others: tuple[int, ...] = ()) -> Until:
        """Wait for its end.

        :param others: exit codes beside 0 that are right
        """

        def check() -> bool:
            assert self.process.poll() in {None, 0, *others}, (
                f"{self._what} ended with {self.process.poll()}:\n{self.said}"
            )
            return self.process.poll() is not None

        return Until(self._what, check)


# -- given away ------------------------------------------------------------------------------------------------------


@path(
    "handed-over",
    mode="all",
    what="the job was handed over (`wait_for_completion=False`), or its task killed with `cancel_on_kill=False`",
    happens="The job runs on, also after `cleanup`; `list --all` names it.",
    state="success",
    each=BOTH,
)
def handed_over(stage: SystemStage, service: str) -> Telling:
    stage.hold()
    run = stage.start(service, way="only_started")
    (job,) = yield stage.jobs_started(1)
    yield run.becomes("success")
    yield process_gone(run)
    stage.keeps(job)
    yield from listed(stage, run, job["id"], "handed over")


@also("handed-over", state="failed", each=[{"service": one["service"], "way": way} for one in BOTH for way in WAITING])
def left(stage: SystemStage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=f"{way}_left")
    job = yield from stage.begun(run, WAITING[way])
    run.mark("failed")
    yield run.becomes("failed")
    if way == "deferred":
        yield let_go(run, 0)
    yield process_gone(run)
    stage.keeps(job)
    yield from listed(stage, run, job["id"], "on purpose")


def listed(stage: SystemStage, run: Run, job_id: str, why: str) -> Telling:
    """Check that `list --all` names a job that nobody has to end."""
    command = Command(stage, {}, "remote-jobs", "list", "--all", "--dag-id", run.dag_id, "-o", "json")
    yield command.succeeds()
    (entry,) = [entry for entry in json.loads(command.said[command.said.index("[") :]) if entry["run_id"] == run.run_id]
    assert entry["job_id"] == job_id
    assert entry["orphan"] is False
    assert why in entry["reason"], entry


# -- two deployments -------------------------------------------------------------------------------------------------

scene("two deployments")  # a scene of its own: a clean-up in the middle of it must not meet other stories


@path(
    "deployments",
    mode="all",
    what="two Airflows share one ledger folder, under two names",
    happens="The clean-up of each ends its own orphans, and leaves all jobs of the other alone.",
    state="failed",
    starts=3,
    at_once=3,
    scene="two deployments",
)
def two_deployments(stage: SystemStage) -> Telling:
    """The one is the cluster; the other has a database of its own, and one task that `airflow dags test` runs."""
    stage.hold()
    ledger = str(stage.airflow.home / "ledger")
    owned = stage.run("deployed_deferred", ledger=ledger, deployment="east", urls=stage.pages(1))
    conf = stage.airflow.run(owned.dag_id, owned.run_id)["conf"]
    east = settings(ledger, "east")
    west = {**settings(ledger, "west"), **own_database(stage, conf["firecrawl"])}
    migrated = Command(stage, west, "db", "migrate")
    healthy = yield from stage.begun(owned, "deferred")
    killed = stage.run("deployed_sync", ledger=ledger, deployment="east", urls=stage.pages(2))
    orphan = yield from stage.begun(killed, "running", number=2)
    stage.leaves(orphan)
    send(killed, signal.SIGKILL)
    yield killed.becomes("failed")

    yield migrated.succeeds()
    conf |= {"deployment": "west", "urls": stage.pages(3)}
    other = Command(stage, west, "dags", "test", "deployed_sync", "2026-01-01", "--conf", json.dumps(conf))
    jobs = yield stage.jobs_started(3)
    (foreign,) = [job for job in jobs if job["id"] not in {healthy["id"], orphan["id"]}]
    yield stage.polled(foreign["id"])
    stage.leaves(foreign)
    os.killpg(other.process.pid, signal.SIGKILL)
    other.process.wait()
    with closing(sqlite3.connect(Path(west["AIRFLOW_HOME"]) / "airflow.db")) as database, database:
        database.execute("UPDATE task_instance SET state = 'failed'")  # as its scheduler would, if it had one

    # Each of the two finds its own orphan, and only that.
    # The cluster may hold what the stories before have left, and their sandboxes are closed: hence the exit code 1.
    yield Command(stage, east, *CLEANUP).succeeds((1,))
    assert {job["id"] for job in stage.running()} == {healthy["id"], foreign["id"]}
    yield Command(stage, west, *CLEANUP).succeeds()
    assert {job["id"] for job in stage.running()} == {healthy["id"]}
    assert stage.control.job(healthy["id"])["deletes"] == 0

    stage.ends(healthy)
    owned.mark("failed")
    yield from stage.over(owned, "failed")


def settings(ledger: str, deployment: str) -> dict[str, str]:
    values = {"LEDGER_PATH": ledger, "DEPLOYMENT": deployment}
    return {f"AIRFLOW__AIRFLOW_PROVIDER_JOBS__{name}": value for name, value in values.items()}


def own_database(stage: SystemStage, conn_id: str) -> dict[str, str]:
    """Return what another Airflow has for itself: home, database, connection."""
    home = stage.airflow.home / "west"
    home.mkdir()
    connection = {"conn_type": "firecrawl", "host": stage.sandbox.urls["firecrawl"], "password": "fc-another-key"}
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"sqlite+aiosqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection),
    }
