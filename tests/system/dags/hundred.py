"""A hundred deferred tasks. In a file of its own: each of them reads it."""

from airflow.sdk import DAG

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

# A few at a time: a machine that is too busy to let the scheduler's heart beat starts healthy tasks again.
with DAG("hundred", schedule=None, catchup=False, render_template_as_native_obj=True, max_active_tasks=8):
    FirecrawlBatchScrapeOperator.partial(
        task_id="job",
        firecrawl_conn_id="{{ dag_run.conf['firecrawl'] }}",
        poll_interval=10,
        deferrable=True,
    ).expand(urls=[[f"http://hundred.invalid/{number}"] for number in range(100)])
