"""Sensor of Firecrawl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook, check_kind, job_ref
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.sensors.base import RemoteJobSensor
from airflow_provider_jobs.services.firecrawl import check_version
from airflow_provider_jobs.tasks import is_literal


class FirecrawlJobSensor(RemoteJobSensor):
    """Waits until a Firecrawl job that something else started is over.

    :param job_id: the job's id.
    :param kind: what sort of job it is.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param firecrawl_conn_id: the Airflow connection.

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
        if api_version is not None and is_literal(api_version):
            check_version(api_version)

    def make_hook(self) -> RemoteJobsHook:
        """Return the hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    def name_job(self, hook: RemoteJobsHook) -> JobRef:
        """Return the name of the job."""
        assert isinstance(hook, FirecrawlHook)
        return job_ref(self.kind, self.job_id, hook.api_version)
