"""Datafiniti's API v4."""

from airflow_provider_jobs.services.datafiniti.checks import (
    check_data_type,
    check_file_format,
    check_num_records,
    check_query,
    check_view,
)
from airflow_provider_jobs.services.datafiniti.files import (
    RecordCounter,
    check_file_reply,
    file_name,
    record_of,
    rows,
)
from airflow_provider_jobs.services.datafiniti.wire import HOSTED, DatafinitiService

__all__ = [
    "HOSTED",
    "DatafinitiService",
    "RecordCounter",
    "check_data_type",
    "check_file_format",
    "check_file_reply",
    "check_num_records",
    "check_query",
    "check_view",
    "file_name",
    "record_of",
    "rows",
]
