"""One DAG per way of running a job. What a run does, its `conf` says."""

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_jobs.operators.datafiniti import DatafinitiCancelDownloadOperator, DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator, FirecrawlCancelJobOperator
from airflow_provider_jobs.sensors.datafiniti import DatafinitiDownloadSensor
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor

RETRY_DELAY = timedelta(seconds=1)


def conf(name: str, default: str = "None") -> str:
    return "{{ dag_run.conf.get('" + name + "', " + default + ") }}"


FIRECRAWL = {
    "firecrawl_conn_id": conf("firecrawl", "'firecrawl_default'"),
    "api_version": conf("api_version"),
}
DATAFINITI = {"datafiniti_conn_id": conf("datafiniti", "'datafiniti_default'")}
SCRAPE = {
    **FIRECRAWL,
    "urls": conf("urls"),
    "options": conf("options"),
    "output_path": conf("output_path"),
    "poll_interval": 1,
}
DOWNLOAD = {
    **DATAFINITI,
    "data_type": conf("data_type", "'businesses'"),
    "query": conf("query", "'country:US'"),
    "num_records": conf("num_records", "10"),
    "file_format": conf("file_format", "'json'"),
    "output_path": conf("output_path"),
    "poll_interval": 1,
}

# Arguments of the operators, and of the DAG.
WAYS = {
    "sync": {"deferrable": False},
    "deferred": {"deferrable": True},
    "sync_retry": {"deferrable": False, "retries": 1},
    "deferred_retry": {"deferrable": True, "retries": 1},
    "sync_fresh": {"deferrable": False, "retries": 1, "durable": False},
    "sync_left": {"deferrable": False, "cancel_on_kill": False},
    "deferred_left": {"deferrable": True, "cancel_on_kill": False},
    "sync_execution_timeout": {"deferrable": False, "execution_timeout": timedelta(seconds=8)},
    "deferred_execution_timeout": {"deferrable": True, "execution_timeout": timedelta(seconds=14)},
    "sync_job_timeout": {"deferrable": False, "job_timeout": 4},
    "deferred_job_timeout": {"deferrable": True, "job_timeout": timedelta(seconds=12)},
    "sync_dagrun_timeout": {"deferrable": False, "dagrun_timeout": timedelta(seconds=20)},
    "deferred_dagrun_timeout": {"deferrable": True, "dagrun_timeout": timedelta(seconds=20)},
    "max_failed_one": {"deferrable": True, "max_failed": 1},
    "max_failed_half": {"deferrable": False, "max_failed": 0.5},
    "partial": {"deferrable": True, "deliver_partial": True, "retries": 1},
}


def dag(dag_id: str, **arguments) -> DAG:
    return DAG(dag_id, schedule=None, catchup=False, render_template_as_native_obj=True, **arguments)


for way, arguments in WAYS.items():
    of_dag = {name: value for name, value in arguments.items() if name == "dagrun_timeout"}
    of_task = {name: value for name, value in arguments.items() if name not in of_dag} | {"retry_delay": RETRY_DELAY}
    with dag(f"firecrawl_{way}", **of_dag):
        FirecrawlBatchScrapeOperator(task_id="job", **SCRAPE, **of_task)
    with dag(f"datafiniti_{way}", **of_dag):
        DatafinitiDownloadOperator(task_id="job", **DOWNLOAD, **of_task)

# Text templates, as DAGs have them without native rendering.
with DAG("firecrawl_text", schedule=None, catchup=False):
    FirecrawlBatchScrapeOperator(
        task_id="listed",
        firecrawl_conn_id="{{ dag_run.conf['firecrawl'] }}",
        urls=["{{ dag_run.conf['site'] }}/page1.html", "{{ dag_run.conf['site'] }}/page2.html"],
        options={"formats": ["{{ dag_run.conf['format'] }}"]},
        output_path="{{ dag_run.conf['folder'] }}/{{ run_id }}/{{ ti.map_index }}",
        poll_interval=1,
    )
    FirecrawlBatchScrapeOperator(
        task_id="one_text",
        firecrawl_conn_id="{{ dag_run.conf['firecrawl'] }}",
        urls="{{ dag_run.conf['urls'] }}",
        retries=2,
    )
with DAG("datafiniti_text", schedule=None, catchup=False):
    DatafinitiDownloadOperator(
        task_id="job",
        datafiniti_conn_id="{{ dag_run.conf['datafiniti'] }}",
        data_type="{{ dag_run.conf['data_type'] }}",
        query="country:{{ dag_run.conf['country'] }}",
        num_records="{{ dag_run.conf['num_records'] }}",
        poll_interval=1,
    )

# One task per list of addresses.
for way in ("sync", "deferred"):
    with dag(f"firecrawl_mapped_{way}"):

        @task
        def lists(dag_run=None):
            return dag_run.conf["lists"]

        settings = {name: value for name, value in SCRAPE.items() if name != "urls"}
        FirecrawlBatchScrapeOperator.partial(task_id="job", **settings, deferrable=way == "deferred").expand(
            urls=lists()
        )

# Started by one task, waited for by others.
# A task that comes back before the scheduler has heard of the end of its process is failed by Airflow, hence 5 s.
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule", "poke_interval": 5},
    "deferred": {"deferrable": True},
}
with dag("firecrawl_handed_over"):
    start = FirecrawlBatchScrapeOperator(task_id="start", **SCRAPE, wait_for_completion=False)
    for name, arguments in MODES.items():
        FirecrawlJobSensor(
            task_id=name,
            job_id=start.output["job_id"],
            **FIRECRAWL,
            **({"poke_interval": 1, "timeout": 300} | arguments),
        )
with dag("datafiniti_handed_over"):
    start = DatafinitiDownloadOperator(task_id="start", **DOWNLOAD, wait_for_completion=False)
    for name, arguments in MODES.items():
        DatafinitiDownloadSensor(
            task_id=name,
            download_id=start.output["job_id"],
            **DATAFINITI,
            **({"poke_interval": 1, "timeout": 300} | arguments),
        )
with dag("firecrawl_cancel"):
    start = FirecrawlBatchScrapeOperator(task_id="start", **SCRAPE, wait_for_completion=False)
    cancel = FirecrawlCancelJobOperator(task_id="cancel", job_id=start.output["job_id"], **FIRECRAWL)
    again = FirecrawlCancelJobOperator(
        task_id="again",
        job_id=start.output["job_id"],
        **FIRECRAWL,
        fail_if_over=True,
        retries=1,
        retry_delay=RETRY_DELAY,
    )
    cancel >> again
with dag("datafiniti_cancel"):
    start = DatafinitiDownloadOperator(task_id="start", **DOWNLOAD, wait_for_completion=False)
    cancel = DatafinitiCancelDownloadOperator(task_id="cancel", download_id=start.output["job_id"], **DATAFINITI)
    again = DatafinitiCancelDownloadOperator(
        task_id="again", download_id=start.output["job_id"], **DATAFINITI, fail_if_over=True, retries=1,
        retry_delay=RETRY_DELAY,
    )  # fmt: skip
    cancel >> again

# Sensors of jobs that no task has started: each with its own failure.
WAITS = {
    **MODES,
    "poke_soft": {"mode": "poke", "soft_fail": True},
    "deferred_soft": {"deferrable": True, "soft_fail": True},
    "poke_short": {"mode": "poke", "timeout": 3},
    "deferred_short": {"deferrable": True, "timeout": 6},
    "deferred_short_soft": {"deferrable": True, "timeout": 6, "soft_fail": True},
    "poke_cancels": {"mode": "poke", "cancel_on_kill": True},
    "deferred_cancels": {"deferrable": True, "cancel_on_kill": True},
}
for way, arguments in WAITS.items():
    settings = {"poke_interval": 1, "timeout": 300, "retries": 1, "retry_delay": RETRY_DELAY, **arguments}
    with dag(f"firecrawl_sensor_{way}"):
        FirecrawlJobSensor(task_id="job", job_id=conf("job_id"), **FIRECRAWL, **settings)
    with dag(f"datafiniti_sensor_{way}"):
        DatafinitiDownloadSensor(task_id="job", download_id=conf("job_id"), **DATAFINITI, **settings)
