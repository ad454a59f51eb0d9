"""Datafiniti's API v4."""

from airflow_provider_jobs.services.datafiniti.checks import (
    check_data_type,
    check_file_format,
    check_num_records,
    check_query,
    check_view,
)
from airflow_provider_jobs.services.datafiniti.files import (
    CsvFile,
    JsonFile,
    check_file_reply,
    file_name,
    format_of,
    result_file,
)
from airflow_provider_jobs.services.datafiniti.wire import HOSTED, DatafinitiService

__all__ = [
    "HOSTED",
    "CsvFile",
    "DatafinitiService",
    "JsonFile",
    "check_data_type",
    "check_file_format",
    "check_file_reply",
    "check_num_records",
    "check_query",
    "check_view",
    "file_name",
    "format_of",
    "result_file",
]
