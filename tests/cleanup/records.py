"""Jobs that really run at the sandbox, and records of them in a ledger folder."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.history import Entry
from airflow_provider_jobs.jobs.model import StartedJob
from airflow_provider_jobs.ledger_folder import LedgerFolder

HOUR = 3600.0


class Service:
    """The sandbox's own record."""

    def __init__(self, sandbox: Any) -> None:
        self.control = sandbox.control
        self._site = sandbox.urls["site"]

    def start(self, service: str = "firecrawl", *, ago: float = HOUR) -> StartedJob:
        """Start a job; as far as the record will tell, it was started so many seconds ago."""
        if service == "firecrawl":
            job = FirecrawlHook().start_batch_scrape([f"{self._site}/page1.html"])
        else:
            job = DatafinitiHook().start_download("businesses", "country:US", 3)
        return dataclasses.replace(job, started_at=time.time() - ago)

    def state(self, job: StartedJob) -> str:
        return str(self.control.job(job.ref.job_id)["state"])

    def is_cancelled(self, job: StartedJob) -> bool:
        return bool(self.control.job(job.ref.job_id)["cancelled_by_delete"])

    def is_untouched(self, job: StartedJob) -> bool:
        found = self.control.job(job.ref.job_id)
        return found["deletes"] == 0 and found["state"] not in {"completed", "cancelled", "failed"}

    def deletes(self) -> int:
        return len(self.control.requests(method="DELETE"))


def owner(number: int = 1, **changes: Any) -> Owner:
    return dataclasses.replace(Owner("a_dag", f"manual__{number}", "job"), **changes)


def entry(job: StartedJob | None, *, seq: int = 1, **changes: Any) -> Entry:
    """Return what a task writes down about a start."""
    service = job.ref.service if job else "firecrawl"
    made = Entry(
        seq=seq,
        generation=0,
        fingerprint="print",
        conn_id=f"{service}_default",
        service=service,
        kind=job.ref.kind if job else "batch_scrape",
        request="POST /v1/batch/scrape",
        intent_at=job.started_at if job else time.time() - HOUR,
        job=job,
    )
    return dataclasses.replace(made, **changes)


def write(folder: LedgerFolder, of: Owner, *entries: Entry) -> None:
    for one in entries:
        folder.save(of, one.to_dict())


def read(folder: LedgerFolder, of: Owner) -> list[Entry]:
    return [Entry.from_dict(one) for one in folder.load(of)]
