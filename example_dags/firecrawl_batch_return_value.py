"""Scrape a few pages and hand the documents to the next task as a return value."""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG(
    dag_id="firecrawl_batch_return_value",
    schedule=None,
    tags=["firecrawl", "example"],
    render_template_as_native_obj=True,
    params={"urls": Param(["https://example.com/"], type="array", items={"type": "string"})},
) as dag:
    scrape = FirecrawlBatchScrapeOperator(
        task_id="scrape",
        urls="{{ params.urls }}",
        # No output_path: the documents are in the return value under "data", up to 1 MiB of JSON.
        # The worker waits itself, which saves the way through the triggerer: good for jobs of seconds.
        deferrable=False,
        # No page may fail.
        max_failed=0,
    )

    @task
    def titles(summary: dict[str, Any]) -> list[str]:
        return [document["metadata"]["title"] for document in summary["data"]]

    titles(scrape.output)
