"""Operators of Firecrawl."""

from airflow_provider_jobs.operators.firecrawl.agents import FirecrawlAgentOperator, FirecrawlExtractOperator
from airflow_provider_jobs.operators.firecrawl.by_id import FirecrawlCancelJobOperator, FirecrawlFetchResultsOperator
from airflow_provider_jobs.operators.firecrawl.calls import (
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)
from airflow_provider_jobs.operators.firecrawl.jobs import FirecrawlBatchScrapeOperator, FirecrawlCrawlOperator

__all__ = [
    "FirecrawlAgentOperator",
    "FirecrawlBatchScrapeOperator",
    "FirecrawlCancelJobOperator",
    "FirecrawlCrawlOperator",
    "FirecrawlExtractOperator",
    "FirecrawlFetchResultsOperator",
    "FirecrawlMapOperator",
    "FirecrawlScrapeOperator",
    "FirecrawlSearchOperator",
]
