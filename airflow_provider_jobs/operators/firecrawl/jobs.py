"""Operators that scrape lists of pages and whole sites."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook, job_ref
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus, StartedJob
from airflow_provider_jobs.operators.base import RemoteJobOperator
from airflow_provider_jobs.operators.delivery import Delivery
from airflow_provider_jobs.operators.firecrawl.delivering import FirecrawlResults
from airflow_provider_jobs.results import Sink
from airflow_provider_jobs.services.firecrawl import FirecrawlService, version_for
from airflow_provider_jobs.tasks import is_literal


class FirecrawlJobOperator(FirecrawlResults, RemoteJobOperator):
    """What the operators of all kinds of Firecrawl jobs share.

    :param options: further keys of the request body in Firecrawl's own spelling, checked before anything is billed.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "options", "api_version", "output_path")
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    ui_color = "#ffe8d6"
    service = "firecrawl"
    kind: ClassVar[str]

    def __init__(
        self,
        *,
        options: dict[str, Any] | None = None,
        api_version: str | None = None,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.options = options
        self.api_version = api_version
        self.firecrawl_conn_id = firecrawl_conn_id

    def _check_options(self) -> None:
        """Check what is known when the DAG is read; called at the end of each constructor."""
        version = self.api_version if is_literal(self.api_version) else None
        if version is not None:
            version = version_for(self.kind, given=version, default=version)
        if is_literal(self.options):
            FirecrawlService.check_options(self.kind, self.options, version=version, check_names=self.check_options)

    @cached_property
    def hook(self) -> FirecrawlHook:  # type: ignore[override]
        """The hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self.firecrawl_conn_id

    def name_job(self, job_id: str, api_version: str | None) -> JobRef:
        """Return the name of a job of this operator."""
        return job_ref(self.kind, job_id, api_version or self.hook.version_for(self.kind))


class FirecrawlBatchScrapeOperator(FirecrawlJobOperator):
    """Scrapes a list of pages in one Firecrawl job.

    :param urls: the pages' addresses. Each is billed, also when it stands in the list twice.
    :param options: further keys of the request body in Firecrawl's own spelling, such as
        ``{"formats": ["markdown", "links"], "onlyMainContent": True}``.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param count_http_errors: count pages that their site answered with an error, such as 404, as failed. Firecrawl
        bills them and returns what the site sent; that is delivered in any case.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`. Returns the summary of the job; see the documentation.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "urls", "options", "api_version", "output_path")
    template_fields_renderers: ClassVar[dict[str, str]] = {"urls": "json", "options": "json"}
    kind = "batch_scrape"

    def __init__(self, *, urls: Any, count_http_errors: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.urls = urls
        self.count_http_errors = count_http_errors
        self._check_options()
        if is_literal(self.urls):
            lenient = not is_literal(self.options) or bool((self.options or {}).get("ignoreInvalidURLs"))
            FirecrawlService.check_urls(self.urls, allow_invalid=lenient)

    def build(self) -> JobSpec:
        """Return the batch scrape that the rendered arguments describe."""
        return self.hook.service.batch_scrape(
            self.urls, api_version=self.hook.api_version, options=self.options, check_names=self.check_options
        )


class FirecrawlCrawlOperator(FirecrawlJobOperator):
    """Scrapes a site from one page on, following its links, in one Firecrawl job.

    :param url: where to begin.
    :param limit: the most pages to scrape and pay for. Always sent; default 10,000, the service's own.
    :param options: further keys of the request body in Firecrawl's own spelling, such as
        ``{"includePaths": ["^/docs/"], "scrapeOptions": {"formats": ["markdown"]}}``.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param count_http_errors: as in :class:`FirecrawlBatchScrapeOperator`.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`; ``max_failed`` as a share is of the pages found.
    Returns the summary of the job; see the documentation.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "url", "limit", "options", "api_version", "output_path")
    kind = "crawl"

    def __init__(
        self, *, url: str, limit: int | str | None = None, count_http_errors: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.url = url
        self.limit = limit
        self.count_http_errors = count_http_errors
        self._check_options()
        if is_literal(self.url):
            FirecrawlService.check_url(self.url)
        if is_literal(self.limit):
            FirecrawlService.check_limit(self.limit)

    def build(self) -> JobSpec:
        """Return the crawl that the rendered arguments describe."""
        return self.hook.service.crawl(
            self.url, limit=self.limit, api_version=self.hook.api_version, options=self.options,
            check_names=self.check_options,
        )  # fmt: skip

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring the documents into a sink; say so when the account's credits may have cut the crawl short."""
        delivery = super().deliver(job, status, sink)
        if delivery.summary.records < FirecrawlService.check_limit(self.limit) and self._has_no_credits():
            self.log.warning(
                "The account has no credits left: the crawl may have ended early for that reason, which Firecrawl "
                "reports as completed"
            )
        return delivery

    def _has_no_credits(self) -> bool:
        try:
            usage = self.hook.credit_usage()
        except RemoteJobsError:
            return False
        left = usage.get("remaining_credits", usage.get("remainingCredits"))
        return isinstance(left, int | float) and left < 1
