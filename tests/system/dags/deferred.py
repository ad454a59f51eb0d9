"""DAGs of the deferred paths, beside those of `tests/airflow/dags`."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from tests.system.odd import BlockingOperator, OddScrapeOperator


def conf(name: str) -> str:
    return "{{ dag_run.conf.get('" + name + "') }}"


SCRAPE = {
    "firecrawl_conn_id": conf("firecrawl"),
    "urls": conf("urls"),
    "poll_interval": 1,
    "deferrable": True,
    "retry_delay": timedelta(seconds=1),
}
DOWNLOAD = {
    "datafiniti_conn_id": conf("datafiniti"),
    "data_type": "businesses",
    "query": "country:US",
    "num_records": 4,
    "file_format": "json",
    "poll_interval": 1,
    "deferrable": True,
}


def dag(dag_id: str, **arguments) -> DAG:
    return DAG(dag_id, schedule=None, catchup=False, render_template_as_native_obj=True, **arguments)


# Airflow's own timeout comes first. The others of these DAGs are there to be deleted or paused.
for name, arguments in {
    "deferred_cut": {"cut_after": 12},
    "deferred_cut_retry": {"cut_after": 12, "retries": 1},
    "deferred_cut_later": {"cut_after": 30},
    "deferred_breaks": {"breaks": conf("breaks")},
    "deferred_breaks_retry": {"breaks": conf("breaks"), "retries": 1},
}.items():
    with dag(f"firecrawl_{name}"):
        OddScrapeOperator(task_id="job", **SCRAPE, **arguments)
for name in ("deferred_deleted", "deferred_paused"):
    with dag(f"firecrawl_{name}"):
        FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE)
# Time enough for a task to wait before it is ended, on a busy machine too.
LATE = timedelta(seconds=45)
with dag("firecrawl_deferred_ended", dagrun_timeout=LATE):
    FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE)
with dag("datafiniti_deferred_ended", dagrun_timeout=LATE):
    DatafinitiDownloadOperator(task_id="job", **DOWNLOAD)
with dag("firecrawl_deferred_limited"):
    FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE, execution_timeout=timedelta(seconds=30))
with dag("datafiniti_deferred_limited"):
    DatafinitiDownloadOperator(task_id="job", **DOWNLOAD, execution_timeout=timedelta(seconds=30))
with dag("firecrawl_deferred_deadline"):
    FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE, job_timeout=25)

with dag("blocks_the_triggerer"):
    BlockingOperator(task_id="job", go=conf("go"), seconds=30)
