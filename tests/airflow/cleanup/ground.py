"""Where the clean-up is tried: an Airflow with a ledger folder, a sandbox, and tasks that have lost their process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.jobs.history import Entry
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.airflow.stories import OVER, Run, Stage, process_gone
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

DEPLOYMENT = "ours"
KEYS = (
    "dag_id run_id task_id map_index generation service kind job_id conn_id state completed total age_s orphan reason"
)
PATIENCE = 120.0


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    def rows(self) -> dict[str, dict[str, Any]]:
        """The jobs of a list in JSON, by id; those without one by nothing."""
        return {str(row["job_id"]): row for row in json.loads(self.out)}


class Ground:
    """The Airflow, and what a test does with it."""

    def __init__(self, airflow: AirflowCluster, ledger: Path) -> None:
        self.airflow = airflow
        self.ledger = ledger
        self.stage = Stage(airflow, "cleanup")
        self.stage.hold()

    # -- commands ------------------------------------------------------------------------------------------------

    def remote_jobs(self, *arguments: str, env: Mapping[str, str] | None = None, answer: str = "") -> Answer:
        done = self.airflow.cli("remote-jobs", *arguments, env=env, answer=answer)
        return Answer(done.returncode, done.stdout, done.stderr)

    def elsewhere(self, ledger: Path | str = "", deployment: str = "") -> dict[str, str]:
        """The environment of a command that looks into another ledger folder, or into none."""
        section = "AIRFLOW__AIRFLOW_PROVIDER_JOBS__"
        return {f"{section}LEDGER_PATH": str(ledger), f"{section}DEPLOYMENT": deployment}

    # -- tasks ---------------------------------------------------------------------------------------------------

    def start(self, dag_id: str, **conf: Any) -> Run:
        """Start a run of a small job."""
        service = "datafiniti" if dag_id.startswith("datafiniti") else "firecrawl"
        return self.stage.run(dag_id, **{**self.stage.small(service), **conf})

    def job_of(self, run: Run, map_index: int = -1) -> str:
        """Wait for the job that a task has named; the answer is its id."""
        state = {"running", "deferred", "success"}
        self.airflow.wait_for_task(run.dag_id, run.run_id, "job", state, PATIENCE, map_index)
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/job/xcomEntries/job_id"

        def named() -> str | None:
            found = self.airflow.api_raw("GET", path, params={"map_index": map_index, "stringify": False})
            return str(found.json()["value"]) if found.ok else None

        return wait_until(named, PATIENCE, f"the job of {run.dag_id} to be named") or ""

    def deferred(self, run: Run) -> str:
        """Wait until the triggerer has the task; the answer is its job's id."""
        job_id = self.job_of(run)
        self.airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred", PATIENCE)
        gone = process_gone(run)
        wait_until(gone.check, PATIENCE, gone.what)
        polled = self.stage.polled(job_id)
        wait_until(polled.check, PATIENCE, polled.what)
        return job_id

    def crash(self, run: Run, state: str = "failed", map_index: int = -1) -> str:
        """Kill the task's process by SIGKILL, once it has a job: no hook runs; the answer is the job's id."""
        job_id = self.job_of(run, map_index)
        pid = run.task(map_index=map_index)["pid"]
        os.kill(pid, signal.SIGKILL)
        self.airflow.wait_for_task(run.dag_id, run.run_id, "job", state, PATIENCE, map_index)
        assert self.runs_on(job_id), "the crash has ended the job: nothing to clean up"
        return job_id

    def pause(self, dag_id: str, paused: bool = True) -> None:
        self.airflow.api("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    # -- the sandbox's record ------------------------------------------------------------------------------------

    def runs_on(self, job_id: str) -> bool:
        return self.stage.control.job(job_id)["state"] not in OVER

    def is_cancelled(self, job_id: str) -> bool:
        return bool(self.stage.control.job(job_id)["cancelled_by_delete"])

    def deletes(self) -> dict[str, int]:
        return {job["id"]: job["deletes"] for job in self.stage.jobs()}

    # -- jobs that no task of this Airflow has started -------------------------------------------------------------

    def strange_job(self) -> StartedJob:
        """Start a job as somebody else would."""
        urls = self.stage.sandbox.urls
        answer = requests.post(
            f"{urls['firecrawl']}/v1/batch/scrape", json={"urls": [f"{urls['site']}/page1.html"]}, timeout=30
        )
        ref = JobRef("firecrawl", "batch_scrape", str(answer.json()["id"]), "v1")
        return StartedJob(ref, started_at=time.time() - 3600)

    def record(self, folder: LedgerFolder, number: int, job: StartedJob) -> Owner:
        """Write a start of an owner down that no Airflow knows."""
        owner = Owner("a_dag_of_somebody", f"manual__{number}", "job")
        entry = Entry(
            seq=1, generation=0, fingerprint="print", conn_id=self.firecrawl, service="firecrawl", kind=job.ref.kind,
            request="POST /v1/batch/scrape", intent_at=job.started_at, job=job,
        )  # fmt: skip
        folder.save(owner, entry.to_dict())
        return owner

    @property
    def firecrawl(self) -> str:
        """The connection that the tasks use."""
        rows = self.airflow.api("GET", "/connections")["connections"]
        return next(row["connection_id"] for row in rows if row["connection_id"].startswith("firecrawl_story"))
