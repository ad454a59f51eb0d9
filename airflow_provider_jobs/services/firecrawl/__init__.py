"""Firecrawl's API, v1 and v2."""

from airflow_provider_jobs.services.firecrawl.account import FirecrawlAccount
from airflow_provider_jobs.services.firecrawl.calls import CALLS, CallResult, FirecrawlCalls
from airflow_provider_jobs.services.firecrawl.kinds import (
    EXTRACT_SUCCESSOR,
    KINDS,
    VERSIONS,
    check_cancellable,
    check_kind,
    check_version,
    check_version_of,
    version_for,
)
from airflow_provider_jobs.services.firecrawl.pages import PageWalk, http_error
from airflow_provider_jobs.services.firecrawl.wire import HOSTED, FirecrawlService, state_of

__all__ = [
    "CALLS",
    "EXTRACT_SUCCESSOR",
    "HOSTED",
    "KINDS",
    "VERSIONS",
    "CallResult",
    "FirecrawlAccount",
    "FirecrawlCalls",
    "FirecrawlService",
    "PageWalk",
    "check_cancellable",
    "check_kind",
    "check_version",
    "check_version_of",
    "http_error",
    "state_of",
    "version_for",
]
