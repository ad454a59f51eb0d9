"""Sensor of Firecrawl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.sensors.base import RemoteJobSensor
from airflow_provider_jobs.services.firecrawl import check_cancellable, check_kind, check_version_of
from airflow_provider_jobs.tasks import is_literal, known


class FirecrawlJobSensor(RemoteJobSensor):
    """Waits until a Firecrawl job that something else started is over.

    :param job_id: the job's id.
    :param kind: what sort of job it is: ``batch_scrape``, ``crawl``, ``agent`` or ``extract``.
    :param api_version: ``v1`` or ``v2``; default: the connection's. An agent is always of ``v2``.
    :param firecrawl_conn_id: the Airflow connection.
    :raises NotCancellableError: at construction, for ``cancel_on_kill=True`` and a kind that cannot be cancelled.

    The other arguments are those of :class:`RemoteJobSensor`.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "job_id", "kind", "api_version")
    ui_color = "#ffe8d6"

    def __init__(
        self,
        *,
        job_id: str,
        kind: str = "batch_scrape",
        api_version: str | None = None,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.kind = kind
        self.api_version = api_version
        self.firecrawl_conn_id = firecrawl_conn_id
        if is_literal(kind):
            check_kind(kind)
            if self.cancel_on_kill:
                check_cancellable(kind)
        check_version_of(known(kind), known(api_version))

    def make_hook(self) -> RemoteJobsHook:
        """Return the hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    def name_job(self, hook: RemoteJobsHook) -> JobRef:
        """Return the name of the job."""
        assert isinstance(hook, FirecrawlHook)
        if self.cancel_on_kill:
            check_cancellable(self.kind)
        return hook.job(self.job_id, self.kind)
