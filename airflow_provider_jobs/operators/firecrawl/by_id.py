"""Operators for jobs that something else has started: fetch the result, or cancel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook, job_ref
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.operators.cancelling import cancel_job
from airflow_provider_jobs.operators.fetching import FetchResultsOperator
from airflow_provider_jobs.operators.firecrawl.delivering import FirecrawlResults
from airflow_provider_jobs.services.firecrawl import check_cancellable, check_kind, check_version_of
from airflow_provider_jobs.tasks import airflow_errors, is_literal, known

if TYPE_CHECKING:
    from airflow.sdk import Context


class FirecrawlFetchResultsOperator(FirecrawlResults, FetchResultsOperator):
    """Delivers the result of a Firecrawl job that something else has started, and that is over. Never cancels.

    :param job_id: the job's id.
    :param kind: what sort of job it is: ``batch_scrape``, ``crawl``, ``agent`` or ``extract``.
    :param api_version: ``v1`` or ``v2``; default: the connection's. An agent is always of ``v2``.
    :param count_http_errors: count pages that their site answered with an error, such as 404, as failed.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`FetchResultsOperator`. Firecrawl keeps results for 24 hours, and on
    self-hosted servers without a database for one hour.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "job_id", "kind", "api_version", "output_path")
    ui_color = "#ffe8d6"
    service = "firecrawl"

    def __init__(
        self,
        *,
        job_id: str,
        kind: str = "batch_scrape",
        api_version: str | None = None,
        count_http_errors: bool = False,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.kind = kind
        self.api_version = api_version
        self.count_http_errors = count_http_errors
        self.firecrawl_conn_id = firecrawl_conn_id
        if is_literal(kind):
            check_kind(kind)
        check_version_of(known(kind), known(api_version))

    @cached_property
    def hook(self) -> FirecrawlHook:  # type: ignore[override]
        """The hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    def name_job(self) -> JobRef:
        """Return the name of the job."""
        return self.hook.job(self.job_id, self.kind)


class FirecrawlCancelJobOperator(BaseOperator):
    """Cancels a Firecrawl job by its id, and makes sure of it.

    A job that is over, unknown or expired is success with a log line, unless ``fail_if_over``.

    :param job_id: the job's id.
    :param kind: what sort of job it is: ``batch_scrape``, ``crawl``, ``agent``, or ``scrape``. Firecrawl's
        documentation shows how to cancel a single scrape, and no server that was read offers that: the task fails and
        says so. There is no status of a scrape, so the cancel cannot be verified.
    :param api_version: ``v1`` or ``v2``; default: the connection's. An agent is always of ``v2``.
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
        check_version_of(known(kind), known(api_version))

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the job."""
        with airflow_errors():
            check_cancellable(self.kind)
            hook = FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)
            ref = job_ref(self.kind, self.job_id, hook.version_for(self.kind), watchable=False)
            return cancel_job(hook, ref, fail_if_over=self.fail_if_over, log=self.log)
