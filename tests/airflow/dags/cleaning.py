"""Tasks whose jobs a clean-up meets, and the clean-up as a task."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.operators.cleanup import RemoteJobsCleanupOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor

SCRAPE = {
    "firecrawl_conn_id": "{{ dag_run.conf.get('firecrawl', 'firecrawl_default') }}",
    "urls": "{{ dag_run.conf['urls'] }}",
    "poll_interval": 1,
}
WAYS = {
    "late_retry": {"deferrable": False, "retries": 1, "retry_delay": timedelta(hours=1)},
    "cleared": {"deferrable": False},
    "scheduled": {"deferrable": True},
    "handed": {"wait_for_completion": False},
}
for way, arguments in WAYS.items():
    with DAG(f"cleaning_{way}", schedule=None, catchup=False, render_template_as_native_obj=True):
        FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE, **arguments)

with DAG("cleaning_sensor", schedule=None, catchup=False):
    FirecrawlJobSensor(
        task_id="job",
        firecrawl_conn_id=SCRAPE["firecrawl_conn_id"],
        job_id="{{ dag_run.conf['job_id'] }}",
        deferrable=True,
        cancel_on_kill=True,
        poke_interval=1,
        timeout=20,
    )

for way, arguments in {"now": {}, "report": {"only_report": True}}.items():
    with DAG(f"cleaning_{way}", schedule=None, catchup=False):
        RemoteJobsCleanupOperator(
            task_id="clean",
            older_than=timedelta(milliseconds=1),
            retries=2,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )
