"""One DAG per kind of Firecrawl job beside the batch scrape, and per way of waiting for it."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlAgentOperator,
    FirecrawlCrawlOperator,
    FirecrawlExtractOperator,
)

COMMON = {
    "task_id": "job",
    "firecrawl_conn_id": "{{ dag_run.conf['firecrawl'] }}",
    "poll_interval": 1,
    "retry_delay": timedelta(seconds=1),
}
PAGE = "{{ dag_run.conf['urls'][0] }}"
KINDS = {
    "crawl": (FirecrawlCrawlOperator, {"url": PAGE, "limit": 5}),
    "agent": (FirecrawlAgentOperator, {"prompt": "What is on {{ run_id }}?", "urls": [PAGE]}),
    "extract": (FirecrawlExtractOperator, {"prompt": "What is on {{ run_id }}?", "urls": [PAGE]}),
}
WAYS = {"sync": {"deferrable": False}, "deferred": {"deferrable": True}}

for kind, (operator, arguments) in KINDS.items():
    for way, more in WAYS.items():
        with DAG(f"firecrawl_{kind}_{way}", schedule=None, catchup=False, render_template_as_native_obj=True):
            operator(**COMMON, **arguments, **more)
