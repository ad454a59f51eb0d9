"""Sensor of Datafiniti."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook, job_ref
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.sensors.base import RemoteJobSensor


class DatafinitiDownloadSensor(RemoteJobSensor):
    """Waits until a Datafiniti download that something else started is over.

    :param download_id: the download's id.
    :param datafiniti_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobSensor`.
    """

    template_fields: Sequence[str] = ("datafiniti_conn_id", "download_id")
    ui_color = "#d9ecff"

    def __init__(
        self,
        *,
        download_id: str | int,
        datafiniti_conn_id: str = DatafinitiHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.download_id = download_id
        self.datafiniti_conn_id = datafiniti_conn_id

    def make_hook(self) -> RemoteJobsHook:
        """Return the hook of the connection."""
        return DatafinitiHook(self.datafiniti_conn_id)

    def name_job(self, hook: RemoteJobsHook) -> JobRef:
        """Return the name of the download."""
        return job_ref(self.download_id)
