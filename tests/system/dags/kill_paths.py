"""DAGs for kill paths that the common ones cannot play: their own deadlines, and users' code that gets in the way."""

import json
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from airflow.sdk import DAG, Variable, task

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator


def conf(name: str, default: str = "None") -> str:
    return "{{ dag_run.conf.get('" + name + "', " + default + ") }}"


SCRAPE = {
    "firecrawl_conn_id": conf("firecrawl", "'firecrawl_default'"),
    "urls": conf("urls"),
    "output_path": conf("output_path"),
    "poll_interval": 1,
    "retry_delay": timedelta(seconds=1),
}
DOWNLOAD = {
    "datafiniti_conn_id": conf("datafiniti", "'datafiniti_default'"),
    "data_type": "businesses",
    "query": "country:US",
    "num_records": conf("num_records", "10"),
    "file_format": "json",
    "output_path": conf("output_path"),
    "poll_interval": 1,
    "retry_delay": timedelta(seconds=1),
}


def dag(dag_id: str, **arguments) -> DAG:
    return DAG(dag_id, schedule=None, catchup=False, render_template_as_native_obj=True, **arguments)


class Busy(FirecrawlBatchScrapeOperator):
    """Is inside a call to Airflow nearly always."""

    @cached_property
    def hook(self):
        hook = FirecrawlBatchScrapeOperator.hook.func(self)

        def wait(job, *, sleep, **_):
            while True:
                Variable.get("nobody's", default=None)
                sleep(0)

        hook.wait = wait
        return hook


class Breaking(FirecrawlBatchScrapeOperator):
    """Raises in its first try while its job runs."""

    def execute(self, context):
        self.first = context["ti"].try_number == 1
        return super().execute(context)

    @cached_property
    def hook(self):
        hook = FirecrawlBatchScrapeOperator.hook.func(self)

        def wait(job, **_):
            hook.look(job.ref)
            raise ZeroDivisionError("a mistake in somebody's code")

        if self.first:
            hook.wait = wait
        return hook


class NotPlain(FirecrawlBatchScrapeOperator):
    """Gives its trigger what cannot be stored."""

    def execute(self, context):
        self.poll_interval = object()
        return super().execute(context)


def linger(context):
    time.sleep(60)


WAYS = {
    "sync_retries": {"deferrable": False, "retries": 4, "retry_delay": timedelta(seconds=10)},
    "deferred_retries": {"deferrable": True, "retries": 4, "retry_delay": timedelta(seconds=10)},
    "sync_execution_timeout_retry": {
        "deferrable": False,
        "retries": 1,
        "execution_timeout": timedelta(seconds=8),
    },
    "sync_job_timeout_retry": {"deferrable": False, "job_timeout": 4, "retries": 1},
    "deferred_job_timeout_retry": {"deferrable": True, "job_timeout": 12, "retries": 1},
    "sync_deleted": {"deferrable": False},
    "sync_paused": {"deferrable": False},
}
for way, arguments in WAYS.items():
    with dag(f"firecrawl_{way}"):
        FirecrawlBatchScrapeOperator(task_id="job", **{**SCRAPE, **arguments})
    with dag(f"datafiniti_{way}"):
        DatafinitiDownloadOperator(task_id="job", **{**DOWNLOAD, **arguments})

for retries, name in ((0, ""), (1, "_retry")):
    with dag(f"firecrawl_busy{name}"):
        Busy(task_id="job", **SCRAPE, deferrable=False, retries=retries)
    with dag(f"firecrawl_breaking{name}"):
        Breaking(task_id="job", **SCRAPE, deferrable=False, retries=retries)
with dag("firecrawl_not_plain"):
    NotPlain(task_id="job", **SCRAPE, deferrable=True)
with dag("firecrawl_lingers"):
    FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE, wait_for_completion=False, on_success_callback=linger)

# One task per list of addresses; the lists stand in a file that may change.
with dag("firecrawl_mapped_file"):

    @task
    def lists(dag_run=None):
        return json.loads(Path(dag_run.conf["file"]).read_text())

    settings = {name: value for name, value in SCRAPE.items() if name != "urls"}
    settings["output_path"] = "{{ dag_run.conf['output_path'] }}/{{ ti.map_index }}"
    FirecrawlBatchScrapeOperator.partial(task_id="job", **settings, deferrable=True).expand(urls=lists())
