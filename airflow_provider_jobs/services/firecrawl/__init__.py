"""Firecrawl's API, v1 and v2."""

from airflow_provider_jobs.services.firecrawl.pages import PageWalk
from airflow_provider_jobs.services.firecrawl.wire import HOSTED, VERSIONS, FirecrawlService, check_version, state_of

__all__ = ["HOSTED", "VERSIONS", "FirecrawlService", "PageWalk", "check_version", "state_of"]
