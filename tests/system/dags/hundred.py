"""A hundred deferred tasks. In a file of its own: each of them reads it."""

from airflow.sdk import DAG

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG("hundred", schedule=None, catchup=False, render_template_as_native_obj=True):
    FirecrawlBatchScrapeOperator.partial(
        task_id="job",
        firecrawl_conn_id="{{ dag_run.conf['firecrawl'] }}",
        poll_interval=10,
        deferrable=True,
    ).expand(urls=[[f"http://hundred.invalid/{number}"] for number in range(100)])
