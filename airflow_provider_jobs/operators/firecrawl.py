"""Operators of Firecrawl."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_jobs.exceptions import NotCancellableError, RemoteJobsError
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook, job_ref
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus, JobSummary, StartedJob
from airflow_provider_jobs.operators.base import RemoteJobOperator
from airflow_provider_jobs.operators.cancelling import cancel_job
from airflow_provider_jobs.operators.delivery import Delivery
from airflow_provider_jobs.results import Sink
from airflow_provider_jobs.services.firecrawl import FirecrawlService, check_version
from airflow_provider_jobs.tasks import airflow_errors, is_literal

if TYPE_CHECKING:
    from airflow.sdk import Context


class FirecrawlBatchScrapeOperator(RemoteJobOperator):
    """Scrapes a list of pages in one Firecrawl job.

    :param urls: the pages' addresses. Each is billed, also when it stands in the list twice.
    :param options: further keys of the request body in Firecrawl's own spelling, such as
        ``{"formats": ["markdown", "links"], "onlyMainContent": True}``.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`. Returns the summary of the job; see the documentation.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "urls", "options", "api_version", "output_path")
    template_fields_renderers: ClassVar[dict[str, str]] = {"urls": "json", "options": "json"}
    ui_color = "#ffe8d6"
    service = "firecrawl"

    def __init__(
        self,
        *,
        urls: Any,
        options: dict[str, Any] | None = None,
        api_version: str | None = None,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.urls = urls
        self.options = options
        self.api_version = api_version
        self.firecrawl_conn_id = firecrawl_conn_id
        self._check_literals()

    def _check_literals(self) -> None:
        version = self.api_version if is_literal(self.api_version) else None
        if version is not None:
            check_version(version)
        if is_literal(self.options):
            FirecrawlService.check_batch_options(self.options, version=version, check_names=self.check_options)
        if is_literal(self.urls):
            lenient = not is_literal(self.options) or bool((self.options or {}).get("ignoreInvalidURLs"))
            FirecrawlService.check_urls(self.urls, allow_invalid=lenient)

    @cached_property
    def hook(self) -> FirecrawlHook:
        """The hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self.firecrawl_conn_id

    def build(self) -> JobSpec:
        """Return the batch scrape that the rendered arguments describe."""
        return self.hook.service.batch_scrape(
            self.urls, api_version=self.hook.api_version, options=self.options, check_names=self.check_options
        )

    def name_job(self, job_id: str, api_version: str | None) -> JobRef:
        """Return the name of a batch scrape."""
        return job_ref("batch_scrape", job_id, api_version or self.hook.api_version)

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring the documents into a sink, each once, and compare their number with what was sent and counted."""
        walk = self.hook.pages(job.ref)
        with self.hook.get_conn() as transport:
            while (request := walk.request()) is not None:
                for document in walk.read(request, transport.send(request)):
                    sink.add(document)
        if walk.repeated:
            self.log.warning("Firecrawl sent %d documents more than once; each is delivered once", walk.repeated)
        failed = self._failed_pages(job)
        number = len(failed) + max(0, job.refused - len(job.refused_names))
        completed = max(walk.completed or 0, status.completed or 0)
        missing = max(0, completed - walk.delivered, (job.asked or 0) - walk.delivered - number)
        summary = JobSummary(
            service=self.service,
            kind=job.ref.kind,
            job_id=job.ref.job_id,
            state=str(status.state),
            completed=status.completed,
            total=status.total,
            records=walk.delivered,
            failed=number,
            missing=missing,
            credits_used=status.credits_used,
            data=sink.data,
        )
        return Delivery(summary, failed)

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


class FirecrawlCancelJobOperator(BaseOperator):
    """Cancels a Firecrawl job by its id, and makes sure of it.

    A job that is over, unknown or expired is success with a log line, unless ``fail_if_over``.

    :param job_id: the job's id.
    :param kind: what sort of job it is.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param fail_if_over: fail when there was nothing left to cancel.
    :param firecrawl_conn_id: the Airflow connection.
    :raises NotCancellableError: at construction, for a kind that the service cannot cancel.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "job_id", "kind", "api_version")

    def __init__(
        self,
        *,
        job_id: str,
        kind: str = "batch_scrape",
        api_version: str | None = None,
        fail_if_over: bool = False,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.kind = kind
        self.api_version = api_version
        self.fail_if_over = fail_if_over
        self.firecrawl_conn_id = firecrawl_conn_id
        if is_literal(kind):
            check_cancellable(kind)
        if api_version is not None and is_literal(api_version):
            check_version(api_version)

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the job."""
        with airflow_errors():
            check_cancellable(self.kind)
            hook = FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)
            ref = job_ref(self.kind, self.job_id, hook.api_version)
            return cancel_job(hook, ref, fail_if_over=self.fail_if_over, log=self.log)


def check_cancellable(kind: str) -> None:
    """Raise for a kind of job that Firecrawl cannot cancel.

    :raises NotCancellableError: it cannot, or there is no such kind.
    """
    known = FirecrawlService.kinds
    if kind not in known or not known[kind].cancellable:
        able = ", ".join(name for name, info in known.items() if info.cancellable)
        raise NotCancellableError(f"Firecrawl cannot cancel {kind!r}; it can cancel {able}")
