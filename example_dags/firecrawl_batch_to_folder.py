"""Scrape a list of pages into a folder, without holding a worker while Firecrawl works."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG(
    dag_id="firecrawl_batch_to_folder",
    schedule=None,
    tags=["firecrawl", "example"],
    # Lists and numbers in params stay what they are; without this they would arrive as text.
    render_template_as_native_obj=True,
    params={
        "urls": Param(["https://example.com/", "https://example.org/"], type="array", items={"type": "string"}),
        "output_folder": Param("/tmp/firecrawl", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    FirecrawlBatchScrapeOperator(
        task_id="scrape",
        urls="{{ params.urls }}",
        options={"formats": ["markdown"], "onlyMainContent": True},
        # A folder for each run: a task does not write over the result of another one.
        output_path="{{ params.output_folder }}/{{ run_id }}",
        # The triggerer does the waiting, and the worker slot is free meanwhile.
        deferrable=True,
        # One page in ten may fail; more fails the task, after delivering what came.
        max_failed=0.1,
    )
