"""How the result of a Firecrawl job is brought to where the user wants it, and what is missing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobStatus, JobSummary, StartedJob
from airflow_provider_jobs.operators.delivery import Delivery
from airflow_provider_jobs.results import Sink
from airflow_provider_jobs.services.firecrawl import KINDS, http_error

if TYPE_CHECKING:
    from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook


class FirecrawlResults:
    """Delivers the result of a job of any kind. Mixed into operators that have a hook and a log."""

    hook: FirecrawlHook
    log: Any
    count_http_errors: bool = False

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring a result into a sink, and compare its size with what was sent and counted."""
        if KINDS[job.ref.kind].paged:
            return self._deliver_pages(job, status, sink)
        content = self.hook.raw_value(job.ref)
        if content is not None:
            sink.add(content)
        return Delivery(_summary(job, status, sink, records=0 if content is None else 1), [])

    def _deliver_pages(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        walk = self.hook.pages(job.ref)
        on_target: list[dict[str, str]] = []
        with self.hook.get_conn() as transport:
            while (request := walk.request()) is not None:
                for document in walk.read(request, transport.send(request)):
                    sink.add(document)
                    if self.count_http_errors and (failure := http_error(document)):
                        on_target.append(failure)
        if walk.repeated:
            self.log.warning("Firecrawl sent %d documents more than once; each is delivered once", walk.repeated)
        failed = self._failed_pages(job)
        number = len(failed) + max(0, job.refused - len(job.refused_names))
        completed = max(walk.completed or 0, status.completed or 0)
        missing = max(0, completed - walk.delivered, (job.asked or 0) - walk.delivered - number)
        summary = _summary(job, status, sink, records=walk.delivered, failed=number + len(on_target), missing=missing)
        # A page that its site answered with an error is delivered and, if the user counts it as failed, listed too.
        return Delivery(summary, failed + on_target, base=job.asked or walk.delivered + number + missing)

    def _failed_pages(self, job: StartedJob) -> list[dict[str, str]]:
        failed = [{"url": url, "error": "not a valid address", "code": "INVALID_URL"} for url in job.refused_names]
        try:
            errors = self.hook.page_errors(job.ref)
        except RemoteJobsError as error:
            self.log.warning("The list of failed pages could not be read: %s", error)
            return failed
        if errors is None:
            self.log.warning("This Firecrawl server cannot tell which pages failed")
        return failed + (errors or [])


def _summary(
    job: StartedJob, status: JobStatus, sink: Sink, *, records: int, failed: int = 0, missing: int = 0
) -> JobSummary:
    return JobSummary(
        service=job.ref.service,
        kind=job.ref.kind,
        job_id=job.ref.job_id,
        state=str(status.state),
        completed=status.completed,
        total=status.total,
        records=records,
        failed=failed,
        missing=missing,
        credits_used=status.credits_used,
        data=sink.data,
    )
