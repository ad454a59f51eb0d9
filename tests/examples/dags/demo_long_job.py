"""The job that the demo kills. It always runs on the sandbox, through a connection of its own."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG(
    dag_id="demo_long_job",
    schedule=None,
    tags=["demo"],
    render_template_as_native_obj=True,
    params={"urls": Param(type="array", items={"type": "string"})},
) as dag:
    FirecrawlBatchScrapeOperator(
        task_id="scrape",
        urls="{{ params.urls }}",
        firecrawl_conn_id="demo_sandbox",
        deferrable=True,
    )
