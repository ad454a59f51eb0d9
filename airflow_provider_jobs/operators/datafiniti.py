"""Operators of Datafiniti."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook, job_ref
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus, StartedJob
from airflow_provider_jobs.operators.base import RemoteJobOperator
from airflow_provider_jobs.operators.cancelling import cancel_job
from airflow_provider_jobs.operators.datafiniti_files import deliver_files
from airflow_provider_jobs.operators.delivery import Delivery
from airflow_provider_jobs.operators.fetching import FetchResultsOperator
from airflow_provider_jobs.results import Sink
from airflow_provider_jobs.services.datafiniti import (
    DatafinitiService,
    check_data_type,
    check_file_format,
    check_num_records,
    check_query,
    check_view,
    format_of,
)
from airflow_provider_jobs.tasks import airflow_errors, is_literal

if TYPE_CHECKING:
    from airflow.sdk import Context


class DatafinitiDownloadOperator(RemoteJobOperator):
    """Downloads the records that match a query, in one Datafiniti job.

    :param data_type: ``businesses``, ``products``, ``properties`` or ``people``.
    :param query: what to look for, such as ``categories:hotels AND country:US``.
    :param num_records: the most records to download and pay for. Required, because the service takes and bills
        everything that matches without it.
    :param allow_all_records: do just that when ``num_records`` is not given.
    :param file_format: ``json`` or ``csv``.
    :param view: name of a view, or a list of fields.
    :param fail_on_empty: fail when no record matches.
    :param options: further keys of the request body in Datafiniti's own spelling.
    :param datafiniti_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`. Returns the summary of the job; see the documentation.
    """

    template_fields: Sequence[str] = (
        "datafiniti_conn_id",
        "data_type",
        "query",
        "num_records",
        "file_format",
        "view",
        "options",
        "output_path",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    ui_color = "#d9ecff"
    service = "datafiniti"

    def __init__(
        self,
        *,
        data_type: str,
        query: str,
        num_records: int | str | None = None,
        allow_all_records: bool = False,
        file_format: str = "json",
        view: str | list[Any] | None = None,
        fail_on_empty: bool = False,
        options: dict[str, Any] | None = None,
        datafiniti_conn_id: str = DatafinitiHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_type = data_type
        self.query = query
        self.num_records = num_records
        self.allow_all_records = allow_all_records
        self.file_format = file_format
        self.view = view
        self.fail_on_empty = fail_on_empty
        self.options = options
        self.datafiniti_conn_id = datafiniti_conn_id
        self._check_literals()

    def _check_literals(self) -> None:
        if is_literal(self.data_type):
            check_data_type(self.data_type)
        if is_literal(self.query):
            check_query(self.query)
        if is_literal(self.num_records):
            check_num_records(self.num_records, allow_all_records=self.allow_all_records)
        if is_literal(self.file_format):
            check_file_format(self.file_format)
        if self.view is not None and is_literal(self.view):
            check_view(self.view)
        if is_literal(self.options):
            DatafinitiService.check_download_options(self.options, check_names=self.check_options)

    @cached_property
    def hook(self) -> DatafinitiHook:
        """The hook of the connection."""
        return DatafinitiHook(self.datafiniti_conn_id)

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self.datafiniti_conn_id

    def build(self) -> JobSpec:
        """Return the download that the rendered arguments describe."""
        return self.hook.service.download(
            self.data_type,
            self.query,
            self.num_records,
            file_format=self.file_format,
            view=self.view,
            allow_all_records=self.allow_all_records,
            options=self.options,
            check_names=self.check_options,
        )

    def name_job(self, job_id: str, api_version: str | None) -> JobRef:
        """Return the name of a download."""
        return job_ref(job_id)

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring all result files into a sink and compare their rows with what the service counted."""
        return deliver_files(self.hook, job.ref, status, sink, check_file_format(self.file_format), log=self.log)


class DatafinitiFetchResultsOperator(FetchResultsOperator):
    """Delivers the result of a Datafiniti download that something else has started. Never cancels it.

    :param download_id: the download's id.
    :param file_format: ``json`` or ``csv``. Default: what the service says of the download, else what the endings of
        its files say.
    :param fail_on_empty: fail when no record matched.
    :param datafiniti_conn_id: the Airflow connection.

    The other arguments are those of :class:`FetchResultsOperator`. Returns the summary of the job; see the
    documentation.
    """

    template_fields: Sequence[str] = ("datafiniti_conn_id", "download_id", "file_format", "output_path")
    ui_color = "#d9ecff"
    service = "datafiniti"

    def __init__(
        self,
        *,
        download_id: str | int,
        file_format: str | None = None,
        fail_on_empty: bool = False,
        datafiniti_conn_id: str = DatafinitiHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.download_id = download_id
        self.file_format = file_format
        self.fail_on_empty = fail_on_empty
        self.datafiniti_conn_id = datafiniti_conn_id
        if file_format is not None and is_literal(file_format):
            check_file_format(file_format)

    @cached_property
    def hook(self) -> DatafinitiHook:
        """The hook of the connection."""
        return DatafinitiHook(self.datafiniti_conn_id)

    def name_job(self) -> JobRef:
        """Return the name of the download."""
        if self.file_format is not None:
            check_file_format(self.file_format)
        return job_ref(self.download_id)

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring all result files into a sink and compare their rows with what the service counted."""
        if self.file_format is None:
            file_format = format_of(status.file_format, status.links)
        else:
            file_format = check_file_format(self.file_format)
        return deliver_files(self.hook, job.ref, status, sink, file_format, log=self.log)


class DatafinitiCancelDownloadOperator(BaseOperator):
    """Cancels a Datafiniti download by its id, and makes sure of it. What it has so far is kept and billed.

    A download that is over or unknown is success with a log line, unless ``fail_if_over``.

    :param download_id: the download's id.
    :param fail_if_over: fail when there was nothing left to cancel.
    :param datafiniti_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("datafiniti_conn_id", "download_id")

    def __init__(
        self,
        *,
        download_id: str | int,
        fail_if_over: bool = False,
        datafiniti_conn_id: str = DatafinitiHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.download_id = download_id
        self.fail_if_over = fail_if_over
        self.datafiniti_conn_id = datafiniti_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the download."""
        with airflow_errors():
            hook = DatafinitiHook(self.datafiniti_conn_id)
            return cancel_job(hook, job_ref(self.download_id), fail_if_over=self.fail_if_over, log=self.log)
