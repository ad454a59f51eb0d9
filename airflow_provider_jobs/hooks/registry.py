"""Which hook belongs to which service. Hooks are imported when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_jobs.hooks.base import RemoteJobsHook


def hook_for(service: str, conn_id: str) -> RemoteJobsHook:
    """Return a hook for a job of a service.

    :raises ValueError: there is no such service.
    """
    if service == "firecrawl":
        from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook

        return FirecrawlHook(conn_id)
    if service == "datafiniti":
        from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook

        return DatafinitiHook(conn_id)
    raise ValueError(f"unknown service {service!r}")


def is_call(service: str, kind: str) -> bool:
    """Whether this is a billed call that answers at once, and no job. Reads no connection."""
    try:
        return kind in hook_for(service, "").service.calls
    except ValueError:
        return False
